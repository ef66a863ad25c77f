// What a page reads: a value, or the problem in its place; the value before stays while the next one is read.
import { Problem } from '../api/client';

export class Loader<T> {
  value = $state.raw<T>();
  problem = $state.raw<Problem>();
  busy = $state(false);
  #reading: AbortController | undefined;

  constructor(private readonly read: (signal: AbortSignal) => Promise<T>) {}

  load = async (): Promise<void> => {
    this.#reading?.abort();
    const reading = new AbortController();
    this.#reading = reading;
    this.busy = true;
    try {
      const value = await this.read(reading.signal);
      if (reading.signal.aborted) return;
      this.value = value;
      this.problem = undefined;
    } catch (error) {
      if (reading.signal.aborted) return;
      this.problem = asProblem(error);
    }
    this.busy = false;
  };

  stop = (): void => this.#reading?.abort();
}

export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return new Problem(0, 'console', 'The console made a mistake', error instanceof Error ? error.message : String(error));
}

/** Does something now and then, but not for a page that nobody sees. Returns the way to stop. */
export function every(ms: number, work: () => unknown): () => void {
  void work();
  const timer = setInterval(() => { if (!document.hidden) void work(); }, ms);
  return () => clearInterval(timer);
}

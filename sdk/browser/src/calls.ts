// Questions to the server: one attempt in a bounded time, and the last good answer where there is none.

import type { PersonalStore } from './storage';

interface Kept { at: number; answer: unknown }
const KEPT_ANSWERS = 40;
const KEPT_MS = 7 * 24 * 3600 * 1000;
const KEPT_CHARS = 30_000;

export interface CallOptions {
  /** Milliseconds after which the page goes on without an answer. */
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Keep the answer for when Merx is away; the default. */
  keep?: boolean;
}

export class Calls {
  constructor(private server: string, private key: string, private store: PersonalStore, private timeoutMs: number) {}

  /** The answer, else the last good one to the same question with `stale`, else null. `of` names the question among what is kept. */
  async ask<T extends object>(path: string, body: object | undefined, of: string, options: CallOptions = {}): Promise<T | null> {
    try {
      const answer = await this.#fetch<T>(path, body, options);
      if (options.keep !== false) this.#keep(of, answer);
      return answer;
    } catch {
      if (options.signal?.aborted || options.keep === false) return null;
      const kept = this.#kept()[of];
      return kept ? { ...(kept.answer as T), stale: true } : null;
    }
  }

  async #fetch<T>(path: string, body: object | undefined, options: CallOptions): Promise<T> {
    const bound = AbortSignal.timeout(options.timeoutMs ?? this.timeoutMs);
    const reply = await fetch(this.server + path, {
      method: body ? 'POST' : 'GET',
      body: body ? JSON.stringify(body) : null,
      headers: { Authorization: `Bearer ${this.key}`, ...(body && { 'Content-Type': 'application/json' }) },
      // Price and stock as they are now: what the browser has is asked for again, by its tag.
      cache: 'no-cache',
      signal: options.signal ? anySignal([options.signal, bound]) : bound,
    });
    if (!reply.ok) throw new Error(`${path}: ${reply.status}`);
    return reply.json() as Promise<T>;
  }

  #kept(): Record<string, Kept> {
    return this.store.get<Record<string, Kept>>('answers') ?? {};
  }

  #keep(of: string, answer: unknown): void {
    if (JSON.stringify(answer).length > KEPT_CHARS) return;
    const since = Date.now() - KEPT_MS;
    const others = Object.entries(this.#kept()).filter(([name, kept]) => name !== of && kept.at > since);
    this.store.set('answers', Object.fromEntries([...others.slice(1 - KEPT_ANSWERS), [of, { at: Date.now(), answer }]]));
  }

  forget(): void {
    this.store.remove('answers');
  }
}

/** `AbortSignal.any`, which browsers of 2023 lack. */
function anySignal(signals: AbortSignal[]): AbortSignal {
  const controller = new AbortController();
  for (const signal of signals) {
    if (signal.aborted) controller.abort(signal.reason);
    signal.addEventListener('abort', () => controller.abort(signal.reason), { once: true });
  }
  return controller.signal;
}

// Events on their way: bundled, kept over page loads, sent again until the server has said that they are on disk.
// Each carries its messageId, so that what is sent twice (another tab, a lost answer) is stored once.

import type { Store } from './storage';

export interface Message { messageId: string; [member: string]: unknown }
export type Sent = 'taken' | 'refused' | { retryAfterMs: number | undefined };
export type Send = (batch: Message[], leaving: boolean) => Promise<Sent>;

/** Beyond these the oldest are given up: a shop's page is no archive. */
const KEPT = 500;
const BATCH = 50;
const BUNDLE_MS = 250;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;

export class Queue {
  #waiting: Message[];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sending: Promise<void> | undefined;
  #failures = 0;

  constructor(private store: Store, private send: Send, private jitter: () => number = Math.random) {
    this.#waiting = store.get<Message[]>('queue') ?? [];
    if (this.#waiting.length) this.#soon(BUNDLE_MS);
    addEventListener('online', () => this.#soon(0));
    addEventListener('pagehide', () => void this.flush(true));
    document.addEventListener('visibilitychange', () => { if (document.visibilityState === 'hidden') void this.flush(true); });
  }

  get length(): number {
    return this.#waiting.length;
  }

  push(message: Message): void {
    this.#waiting = [...this.#waiting, message].slice(-KEPT);
    this.store.set('queue', this.#waiting);
    if (!this.#failures) this.#soon(this.#waiting.length >= BATCH ? 0 : BUNDLE_MS);
  }

  clear(): void {
    this.#waiting = [];
    this.store.remove('queue');
  }

  /** Sends what waits now. A page that is left sends once and doesn't wait for the answer. */
  flush(leaving = false): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#waiting.length) return this.#sending ?? Promise.resolve();
    if (this.#sending && !leaving) return this.#sending.then(() => this.flush());
    const work = this.#round(leaving).finally(() => { if (this.#sending === work) this.#sending = undefined; });
    this.#sending = work;
    return work;
  }

  async #round(leaving: boolean): Promise<void> {
    while (this.#waiting.length) {
      const batch = this.#waiting.slice(0, BATCH);
      const sent = await this.send(batch, leaving).catch((): Sent => ({ retryAfterMs: undefined }));
      if (typeof sent === 'object') {
        const wait = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures) * (0.5 + this.jitter());
        this.#failures += 1;
        this.#soon(sent.retryAfterMs ?? wait);
        return;
      }
      this.#failures = 0;
      const done = new Set(batch.map(message => message.messageId));
      this.#waiting = this.#waiting.filter(message => !done.has(message.messageId));
      this.store.set('queue', this.#waiting);
    }
  }

  #soon(ms: number): void {
    if (this.#timer !== undefined) {
      if (ms > 0) return;
      clearTimeout(this.#timer);
    }
    this.#timer = setTimeout(() => void this.flush(), ms);
  }
}

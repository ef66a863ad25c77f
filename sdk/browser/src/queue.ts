// Events on their way: bundled, kept over page loads, sent again until the server has said that they are on disk.
// Each carries its messageId, so that what is sent twice (another tab, a lost answer) is stored once.

import { randomId } from './identity';
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
/** A server may ask for so much patience at most. */
const LONGEST_WAIT_MS = 3600 * 1000;

/** Each tab writes under a name of its own, so that no tab overwrites what another one keeps. */
const NAME = 'queue.';
interface Kept { at: number; left: boolean; waiting: Message[] }
/** A tab that said nothing for so long, longer than its retries are apart, has crashed. */
const ABANDONED_MS = 5 * 60_000;

export class Queue {
  #name = NAME + randomId();
  #left = false;
  #waiting: Message[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sending: Promise<void> | undefined;
  #failures = 0;
  /** The server said not before. */
  #until = 0;

  constructor(private store: Store, private send: Send, private jitter: () => number = Math.random) {
    this.#adopt();
    if (this.#waiting.length) this.#soon(BUNDLE_MS);
    addEventListener('online', () => this.#soon(0));
    addEventListener('pagehide', () => this.#leave());
    addEventListener('pageshow', event => { if (event.persisted) this.#comeBack(); });
    document.addEventListener('visibilitychange', () => { if (document.visibilityState === 'hidden') void this.flush(true); });
  }

  get length(): number {
    return this.#waiting.length;
  }

  push(message: Message): void {
    this.#waiting = [...this.#waiting, message].slice(-KEPT);
    this.#keep();
    if (!this.#failures) this.#soon(this.#waiting.length >= BATCH ? 0 : BUNDLE_MS);
  }

  /** Gives up what waits in this tab, and what other tabs keep. */
  clear(others: boolean): void {
    this.#waiting = [];
    for (const name of others ? this.#stored() : [this.#name]) this.store.remove(name);
  }

  /** Sends what waits now. A page that is left sends once and doesn't wait for the answer. */
  flush(leaving = false): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#waiting.length) return this.#sending ?? Promise.resolve();
    const rest = this.#until - Date.now();
    if (rest > 0) {
      this.#soon(rest);
      return this.#sending ?? Promise.resolve();
    }
    // After a failure the next attempt has its time already.
    if (this.#sending && !leaving) return this.#sending.then(() => (this.#failures ? undefined : this.flush()));
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
        const asked = sent.retryAfterMs && Math.min(LONGEST_WAIT_MS, sent.retryAfterMs);
        if (asked) this.#until = Date.now() + asked;
        this.#keep();
        this.#soon(asked ?? wait);
        return;
      }
      this.#failures = 0;
      const done = new Set(batch.map(message => message.messageId));
      this.#waiting = this.#waiting.filter(message => !done.has(message.messageId));
      this.#keep();
    }
  }

  #keep(): void {
    if (this.#waiting.length) this.store.set(this.#name, { at: Date.now(), left: this.#left, waiting: this.#waiting } satisfies Kept);
    else this.store.remove(this.#name);
  }

  #stored(): string[] {
    return this.store.names().filter(name => name.startsWith(NAME));
  }

  /** Takes over what pages left behind. Should one of them live on, what both send is stored once. */
  #adopt(): void {
    const all = this.#stored().map(name => ({ name, kept: this.store.get<Kept>(name) }));
    const abandoned = all.filter(({ kept }) => !kept || kept.left || Math.abs(Date.now() - kept.at) > ABANDONED_MS);
    abandoned.sort((a, b) => (a.kept?.at ?? 0) - (b.kept?.at ?? 0));
    this.#waiting = abandoned.flatMap(({ kept }) => kept?.waiting ?? []).slice(-KEPT);
    for (const { name } of abandoned) this.store.remove(name);
    this.#keep();
  }

  #leave(): void {
    this.#left = true;
    this.#keep();
    void this.flush(true);
  }

  /** Shown again out of the browser's memory: what another page took over meanwhile is its own. */
  #comeBack(): void {
    this.#left = false;
    this.#waiting = this.store.get<Kept>(this.#name)?.waiting ?? [];
    this.#keep();
    if (this.#waiting.length) this.#soon(BUNDLE_MS);
  }

  #soon(ms: number): void {
    if (this.#timer !== undefined) {
      if (ms > 0) return;
      clearTimeout(this.#timer);
    }
    this.#timer = setTimeout(() => void this.flush(), ms);
  }
}

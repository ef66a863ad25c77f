// Who the visitor is: a random first-party id, kept in a cookie of the shop's own host once analytics is allowed.

import type { PersonalStore } from './storage';

const COOKIE = 'merx_id';
/** Thirteen months: as long as supervisory authorities take a visitor's id for reasonable. */
const MAX_AGE_S = 395 * 24 * 3600;

export const randomId = (): string =>
  [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, '0')).join('');

export class Identity {
  #id: string | undefined;

  constructor(private store: PersonalStore, private mayKeep: () => boolean) {}

  /** The id that is known from before, which a refusal must name too; else a new one, which without consent ends with the page. */
  get visitor(): string {
    this.#id ??= readCookie() ?? this.store.get<string>('visitor') ?? randomId();
    this.keep();
    return this.#id;
  }

  get user(): string | undefined {
    return this.store.get<string>('user');
  }

  set user(id: string | undefined) {
    if (id === undefined) this.store.remove('user');
    else this.store.set('user', id);
  }

  /** Called when consent comes: the page's id becomes the visitor's, unless one is known already. */
  keep(): void {
    if (!this.mayKeep() || this.#id === undefined) return;
    // Another tab may have been first.
    this.#id = readCookie() ?? this.#id;
    this.store.set('visitor', this.#id);
    writeCookie(this.#id, MAX_AGE_S);
  }

  /** Another person from now on: signed out, or consent withdrawn. */
  forget(): void {
    this.#id = undefined;
    this.user = undefined;
    this.store.remove('visitor');
    writeCookie('', 0);
  }
}

function readCookie(): string | undefined {
  try {
    return document.cookie.split('; ').find(pair => pair.startsWith(`${COOKIE}=`))?.slice(COOKIE.length + 1) || undefined;
  } catch {
    return undefined;
  }
}

function writeCookie(value: string, age: number): void {
  try {
    const secure = location.protocol === 'https:' ? '; Secure' : '';
    document.cookie = `${COOKIE}=${value}; Max-Age=${age}; Path=/; SameSite=Lax${secure}`;
  } catch { /* sandboxed frames have no cookies */ }
}

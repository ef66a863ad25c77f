// What the shopper allows. Nothing is tracked and no id is kept before analytics is allowed; a refusal and the browser's
// Global Privacy Control always win.

import type { Consent, Purpose } from './types';
import { PREFIX, type Store } from './storage';

/** The categories of Segment's consent object that the server's default configuration knows. */
const CATEGORY: Record<Purpose, string> = {
  analytics: 'Analytics', personalisation: 'Personalisation', marketing: 'Marketing', sale_sharing: 'DataSharing',
};

export class ConsentGate {
  #said: Consent;
  #listeners = new Set<(consent: Consent, elsewhere: boolean) => void>();
  readonly gpc: boolean;

  /** `initial` counts until the shopper has said something; undefined asks first. */
  constructor(private store: Store, initial: Consent | undefined) {
    this.gpc = (globalThis.navigator as { globalPrivacyControl?: boolean } | undefined)?.globalPrivacyControl === true;
    this.#said = store.get<Consent>('consent') ?? initial ?? {};
    // What is said in one tab counts in all.
    addEventListener('storage', event => {
      const said = event.key === `${PREFIX}consent` && store.get<Consent>('consent');
      if (said) this.#hear(said, true);
    });
  }

  /** Whether the shopper has been asked and has answered. */
  get answered(): boolean {
    return this.store.get('consent') !== undefined;
  }

  get current(): Consent {
    return this.gpc ? { ...this.#said, sale_sharing: false } : { ...this.#said };
  }

  allows(purpose: Purpose): boolean {
    return this.current[purpose] === true;
  }

  /** Undecided: events wait in memory. */
  get pending(): boolean {
    return this.current.analytics === undefined;
  }

  set(consent: Consent): void {
    const said = { ...this.#said, ...consent };
    this.store.set('consent', said);
    this.#hear(said, false);
  }

  #hear(said: Consent, elsewhere: boolean): void {
    this.#said = said;
    for (const listener of this.#listeners) listener(this.current, elsewhere);
  }

  /** `elsewhere`: it was said in another tab, which tells the server of it. */
  onChange(listener: (consent: Consent, elsewhere: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** For `context.consent` of events. */
  categories(): Record<string, boolean> {
    const said = Object.entries(this.current) as [Purpose, boolean | undefined][];
    return Object.fromEntries(said.filter(([, value]) => value !== undefined).map(([purpose, value]) => [CATEGORY[purpose], value === true]));
  }
}

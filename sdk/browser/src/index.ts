// Merx in a shop's page: `createMerx({ server, key })`, then track and ask. Nothing here throws because Merx is away:
// events wait, questions are answered by the last good answer or by null, and the shop still sells.

import { Attribution, type Shown } from './attribution';
import { Calls, type CallOptions } from './calls';
import { ConsentGate } from './consent';
import type { EventName, Events, LineItem } from './events';
import { Identity, randomId } from './identity';
import { Queue, type Message, type Sent } from './queue';
import { browserStore, memoryStore, PersonalStore, type Store } from './storage';
import type { Consent, Decided, Found, Item, LaidOut, LayoutBlock, Recommended, SearchRequest, ShopProduct, SlotRequest, Suggestion } from './types';

export type * from './types';
export type * from './events';
export type { CallOptions } from './calls';
export type { Shown } from './attribution';
export { ConsentGate } from './consent';
export { quoted } from './filter';
export { major } from './money';

export const VERSION = '0.1.0';

export interface Options {
  /** Where Merx is: `https://merx.shop.example`; empty is the page's own origin. */
  server?: string;
  /** A public key. */
  key: string;
  market?: string;
  /** The campaign that the page belongs to, `winter-sale`: a merchant may let less, or more, be decided there. */
  campaign?: string;
  /** What counts before the shopper has said anything. Left out: nothing is tracked until they have. */
  consent?: Consent;
  /** Questions wait so long at most, in milliseconds. */
  timeoutMs?: number;
  /** False keeps everything in memory. */
  persist?: boolean;
}

/** Something that happened, for debug toolbars and tests. */
export type Note =
  | { kind: 'decision'; of: string; answer: Decided; items: Item[] }
  | { kind: 'event'; name: string; properties: Record<string, unknown>; state: 'queued' | 'waits for consent' | 'refused' };

/** Tracked before consent is known: kept in memory, so many at most. */
const HELD = 100;

export class Merx {
  readonly consent: ConsentGate;
  readonly options: Options;
  /** What the shopper asked to be kept; it needs no consent. */
  readonly store: Store;
  #personal: PersonalStore;
  #identity: Identity;
  #queue: Queue;
  #calls: Calls;
  #attribution: Attribution;
  #held: Message[] = [];
  #refused: boolean;
  #listeners = new Set<(note: Note) => void>();
  #notes: Note[] = [];

  constructor(options: Options) {
    this.options = options;
    this.store = options.persist === false ? memoryStore() : browserStore();
    this.consent = new ConsentGate(this.store, options.consent);
    this.#refused = this.consent.current.analytics === false;
    const mayKeep = () => this.consent.allows('analytics');
    this.#personal = new PersonalStore(this.store, mayKeep);
    this.#identity = new Identity(this.#personal, () => options.persist !== false && mayKeep());
    this.#calls = new Calls(this.#server, options.key, this.#personal, options.timeoutMs ?? 3_000);
    this.#queue = new Queue(this.store, (batch, leaving) => this.#send(batch, leaving));
    this.#attribution = new Attribution(this.#personal, shown => this.#tellShown(shown));
    this.consent.onChange((_, elsewhere) => this.#consentChanged(elsewhere));
  }

  get #server(): string {
    return (this.options.server ?? '').replace(/\/$/, '');
  }

  /** What the server calls `anonymous_id`. */
  get visitor(): string {
    return this.#identity.visitor;
  }

  get user(): string | undefined {
    return this.#identity.user;
  }

  // ---- What happened ----

  /** Tells of an event. Where a product was come to by a decision, the event says so by itself. */
  track<N extends EventName>(name: N, properties: Events[N]): void;
  track(name: string, properties?: Record<string, unknown>): void;
  track(name: string, properties: object = {}): void {
    this.#add('track', { event: name, properties: this.#attributed(properties as Record<string, unknown>) });
  }

  page(name?: string): void {
    this.#add('page', { name, properties: { path: location.pathname, title: document.title } });
  }

  /** From now on the visitor is this customer; what they did before counts for them. */
  identify(user: string, traits: Record<string, unknown> = {}): void {
    this.#identity.user = user;
    this.#add('identify', { traits });
  }

  /** The customer signed out: the next visitor is another one. */
  reset(): void {
    this.#forget();
    this.#notes = [];
    this.store.remove('wished');
  }

  /** Sends what waits. */
  flush(): Promise<void> {
    return this.#queue.flush();
  }

  /** Counts an element as this decision's showing of a product: once half of it was in view, and when it is clicked. */
  watch(element: Element, shown: Shown): void {
    this.#attribution.watch(element, shown);
    element.addEventListener('click', () => this.clicked(shown));
  }

  clicked(shown: Shown): void {
    this.#attribution.clicked(shown);
    const { decision_id, product_id, position, slot } = shown;
    this.track('Product Clicked', { product_id, position, decision_id, ...(slot && { slot }) });
  }

  /** Counts an element as a block of a layout: once half of it was in view, and when a link in it is first followed. */
  watchBlock(element: Element, block: { decision_id: string; id: string; position: number }): void {
    const properties = { promotion_id: block.id, position: block.position, decision_id: block.decision_id };
    this.#attribution.whenSeen(element, () => this.track('Promotion Viewed', properties));
    const used = (event: Event) => {
      if (!event.composedPath().some(node => (node as Element).localName === 'a')) return;
      element.removeEventListener('click', used);
      this.track('Promotion Clicked', properties);
    };
    element.addEventListener('click', used);
  }

  // ---- What to show ----

  /** Which of a page's blocks to show, in which order. Null where Merx can't say: the page shows them in its own. */
  async layout(page: string, blocks: LayoutBlock[], options: CallOptions & { count?: number } = {}): Promise<LaidOut | null> {
    const body = { ...this.#who(), page, blocks, ...(options.count && { count: options.count }) };
    const answer = await this.#calls.ask<LaidOut>('/v1/layout', body, `layout ${page}`, options);
    if (answer) this.#note({ kind: 'decision', of: `layout of ${page}`, answer, items: [] });
    return answer;
  }

  async recommend(slots: SlotRequest[], options: CallOptions = {}): Promise<Recommended | null> {
    const answer = await this.#calls.ask<Recommended>('/v1/recommend', { ...this.#who(), slots }, `recommend ${JSON.stringify(slots)}`, options);
    if (answer) this.#note({ kind: 'decision', of: slots.map(slot => slot.name ?? slot.scenario).join(', '), answer, items: answer.slots.flatMap(slot => slot.items) });
    return answer;
  }

  async search(request: SearchRequest, options: CallOptions = {}): Promise<Found | null> {
    const answer = await this.#calls.ask<Found>('/v1/search', { ...this.#who(), ...request }, `search ${JSON.stringify(request)}`, options);
    if (answer) this.#note({ kind: 'decision', of: `search "${request.query ?? ''}"`, answer, items: answer.hits });
    return answer;
  }

  async suggest(text: string, counts: { queries?: number; products?: number; categories?: number; brands?: number } = {}, options: CallOptions = {}): Promise<Suggestion[]> {
    const body = { ...this.#person(), text, ...counts };
    const answer = await this.#calls.ask<{ suggestions: Suggestion[] }>('/v1/suggest', body, '', { keep: false, ...options });
    return answer?.suggestions ?? [];
  }

  /** Products as they stand now, price and stock included; those that aren't sold are left out. */
  async products(ids: string[], options: CallOptions = {}): Promise<ShopProduct[]> {
    if (!ids.length) return [];
    const market = this.options.market ? `&market=${encodeURIComponent(this.options.market)}` : '';
    const path = `/v1/storefront/products?ids=${ids.map(encodeURIComponent).join(',')}${market}`;
    const answer = await this.#calls.ask<{ products: ShopProduct[] }>(path, undefined, path, options);
    return answer?.products ?? [];
  }

  /** Whether an engine of this name answers; widgets of engines that aren't there hide themselves. */
  async has(capability: string): Promise<boolean> {
    const answer = await this.#calls.ask<{ capabilities: string[] }>('/v1/storefront', undefined, 'storefront');
    return answer?.capabilities.includes(capability) ?? false;
  }

  // ---- For those who look in ----

  /** Every decision and event of this page, those of the past first. */
  listen(listener: (note: Note) => void): () => void {
    this.#notes.forEach(listener);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #note(note: Note): void {
    this.#notes = [...this.#notes, note].slice(-100);
    for (const listener of this.#listeners) listener(note);
  }

  #who(): object {
    const { campaign } = this.options;
    return { ...this.#person(), ...(campaign && { campaign }), device: matchMedia('(max-width: 640px)').matches ? 'phone' : 'desktop' };
  }

  #person(): object {
    const { personalisation, marketing, analytics, sale_sharing } = this.consent.current;
    const consent = Object.fromEntries(Object.entries({ personalisation, marketing, analytics, sale_sharing }).filter(([, said]) => said !== undefined));
    return {
      anonymous_id: this.visitor,
      ...(this.options.market && { market: this.options.market }),
      ...(Object.keys(consent).length && { consent }),
    };
  }

  #attributed(properties: Record<string, unknown>): Record<string, unknown> {
    if (properties.decision_id !== undefined) return properties;
    if (!Array.isArray(properties.products)) return this.#attributedLine(properties);
    const products = properties.products.map(line => this.#attributedLine(line));
    // What holds for some lines only is said of them alone.
    const decision_id = products[0]?.decision_id;
    const shared = decision_id !== undefined && products.every(line => line.decision_id === decision_id);
    return { ...properties, products, ...(shared && { decision_id }) };
  }

  #attributedLine<L extends Partial<LineItem>>(line: L): L {
    const decision_id = line.decision_id ?? (line.product_id && this.#attribution.decisionOf(line.product_id));
    return decision_id ? { ...line, decision_id } : line;
  }

  #tellShown(shown: Shown[]): void {
    const decisions = new Map<string, Shown[]>();
    for (const one of shown) {
      const place = `${one.decision_id} ${one.slot ?? ''}`;
      decisions.set(place, [...(decisions.get(place) ?? []), one]);
    }
    for (const group of decisions.values()) {
      const [{ decision_id, slot }] = group as [Shown];
      const products = group.map(({ product_id, position }) => ({ product_id, position }));
      this.track('Recommendation Shown', { decision_id, products, ...(slot && { slot }) });
    }
  }

  #add(type: string, members: { event?: string; properties?: Record<string, unknown>; name?: string | undefined; traits?: object }): void {
    const note = (state: 'queued' | 'waits for consent' | 'refused') =>
      this.#note({ kind: 'event', name: members.event ?? type, properties: members.properties ?? {}, state });
    if (this.consent.current.analytics === false) return note('refused');
    const message: Message = { type, messageId: randomId(), timestamp: new Date().toISOString(), ...members };
    if (this.consent.pending) {
      this.#held = [...this.#held, message].slice(-HELD);
      return note('waits for consent');
    }
    this.#queue.push(this.#stamped(message));
    note('queued');
  }

  /** With who it was and what they allow, as of now. */
  #stamped(message: Message): Message {
    const context = {
      consent: { categoryPreferences: this.consent.categories() },
      locale: navigator.language,
      userAgent: navigator.userAgent,
      page: { path: location.pathname, url: location.origin + location.pathname, ...(document.referrer && { referrer: document.referrer }) },
      library: { name: '@merx/browser', version: VERSION },
      ...(this.options.market && { market: this.options.market }),
    };
    const user = this.#identity.user;
    return { ...message, anonymousId: this.visitor, ...(user && { userId: user }), context };
  }

  #consentChanged(elsewhere: boolean): void {
    // Another purpose was chosen; whether anything may be told or kept is still open.
    if (this.consent.pending) return;
    const told: Message = {
      type: 'track', event: 'Segment Consent Preference Updated', messageId: randomId(), timestamp: new Date().toISOString(), properties: {},
    };
    if (this.consent.allows('analytics')) {
      this.#refused = false;
      this.#personal.keep();
      this.#identity.keep();
      for (const message of [...this.#held.splice(0), ...(elsewhere ? [] : [told])]) this.#queue.push(this.#stamped(message));
      return;
    }
    // What the server holds must hear of the refusal; nothing else is told, and nothing stays here.
    const refusal = this.#stamped(told);
    if (!this.#refused) {
      this.#refused = true;
      this.#queue.clear(!elsewhere);
      this.#forget();
    }
    if (elsewhere) return;
    this.#queue.push(refusal);
    void this.#queue.flush();
  }

  /** Nobody who comes next is taken for whoever was here. */
  #forget(): void {
    this.#held = [];
    this.#attribution.forget();
    this.#identity.forget();
    this.#calls.forget();
  }

  async #send(batch: Message[], leaving: boolean): Promise<Sent> {
    const body = JSON.stringify({ batch, sentAt: new Date().toISOString() });
    const reply = await fetch(`${this.#server}/v1/batch`, {
      method: 'POST',
      body,
      // Browsers refuse more than 64 KiB to a page that is left.
      keepalive: leaving && body.length < 60_000,
      headers: { Authorization: `Bearer ${this.options.key}`, 'Content-Type': 'application/json' },
    });
    if (reply.ok) return 'taken';
    if (reply.status === 429 || reply.status >= 500) {
      const seconds = Number(reply.headers.get('Retry-After'));
      return { retryAfterMs: seconds > 0 ? seconds * 1000 : undefined };
    }
    return 'refused';
  }
}

export const createMerx = (options: Options): Merx => new Merx(options);

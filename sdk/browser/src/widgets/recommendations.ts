// Carousels of decided products: any slot, and the usual ones under names of their own.

import type { Item, SlotRequest } from '../index';
import { card, CARD, skeleton } from './card';
import { h, MerxElement } from './element';

export class Recommendations extends MerxElement {
  static observedAttributes = ['scenario', 'products', 'exclude', 'count', 'filter', 'heading'];
  static styles = `${CARD}
.head { display: flex; justify-content: space-between; align-items: end; gap: 1rem; margin-bottom: .9rem; min-height: 44px; }
.arrows { display: flex; gap: .4rem; }
.arrows button { width: 44px; height: 44px; border-radius: 50%; border: 1px solid var(--_line); background: var(--_paper); font-size: 1.1rem; line-height: 1; }
.arrows button:disabled { opacity: .35; cursor: default; }
:host(:dir(rtl)) .arrows button { transform: scaleX(-1); }
.row { display: grid; grid-auto-flow: column; grid-auto-columns: calc((100% - var(--_gaps)) / var(--_shown)); --_gap: clamp(.7rem, 2vw, 1.25rem); --_shown: var(--merx-cards, 5);
  --_gaps: calc(var(--_gap) * (var(--_shown) - 1)); gap: var(--_gap); overflow-x: auto; scroll-snap-type: x mandatory; scroll-behavior: smooth; padding: 4px 0; margin: -4px 0; scrollbar-width: none; list-style: none; }
.row > li { scroll-snap-align: start; min-width: 0; }
@media (max-width: 1000px) { .row { --_shown: var(--merx-cards-tablet, 3.4); } }
@media (max-width: 640px) { .row { --_shown: var(--merx-cards-phone, 2.2); } .arrows { display: none; } }`;

  protected get scenario(): string {
    return this.getAttribute('scenario') ?? 'for_you';
  }

  protected request(): SlotRequest {
    const filter = this.getAttribute('filter');
    return { scenario: this.scenario, count: this.number('count', 10), products: this.list('products'), exclude: this.list('exclude'), ...(filter && { filter }) };
  }

  protected async start(): Promise<void> {
    this.hidden = false;
    if (!this.shown && !this.children.length) this.draw(...this.frame(Array.from({ length: 6 }, skeleton)));
    const answer = await this.merx.recommend([this.request()]);
    const items = answer?.slots[0]?.items ?? [];
    if (!answer || !items.length) return this.nothing();
    this.shown = true;
    this.show(items, answer.decision_id);
  }

  protected shown = false;

  /** What the server rendered stays; else the place closes. */
  protected nothing(): void {
    if (this.children.length) this.draw(h('slot'));
    else this.hidden = true;
  }

  protected show(items: Item[], decision_id: string): void {
    this.draw(...this.frame(items.map((item, place) => this.card(item, decision_id, place + 1))));
    this.tell('merx-shown', { decision_id, count: items.length });
  }

  protected card(item: Item, decision_id: string, position: number): HTMLElement {
    const place = { decision_id, position, slot: this.getAttribute('name') ?? this.scenario };
    return card(this, item, place, element => this.merx.watch(element, { ...place, product_id: item.product_id }), this.words.soldOut);
  }

  protected get heading(): string {
    return this.getAttribute('heading') ?? this.words.headings[this.scenario] ?? '';
  }

  private frame(cards: HTMLElement[]): Node[] {
    const row = h('ul', { class: 'row', part: 'row', tabindex: '-1' }, ...cards.map(element => h('li', {}, element)));
    const move = (by: number) => () => row.scrollBy({ left: by * row.clientWidth * 0.8 * (getComputedStyle(row).direction === 'rtl' ? -1 : 1) });
    const [back, forward] = [h('button', { type: 'button', 'aria-label': this.words.previous, onclick: move(-1) }, '‹'), h('button', { type: 'button', 'aria-label': this.words.next, onclick: move(1) }, '›')];
    const ends = () => {
      const at = Math.abs(row.scrollLeft);
      back.disabled = at < 4;
      forward.disabled = at > row.scrollWidth - row.clientWidth - 4;
    };
    row.addEventListener('scroll', ends, { passive: true });
    requestAnimationFrame(ends);
    return [h('div', { class: 'head' }, h('h2', { part: 'heading' }, this.heading), h('div', { class: 'arrows' }, back, forward)), row];
  }
}

export class Trending extends Recommendations {
  protected get scenario(): string { return 'trending'; }
}

export class RecentlyViewed extends Recommendations {
  protected get scenario(): string { return 'recently_viewed'; }
}

/** The product of the page and what is bought with it, each to be left out, all added at once. */
export class Bundle extends MerxElement {
  static observedAttributes = ['product', 'count'];
  static styles = `${CARD}
.items { display: flex; gap: 1rem; align-items: start; flex-wrap: wrap; }
.items > label { width: 150px; position: relative; cursor: pointer; }
.items input { position: absolute; top: .5rem; inset-inline-start: .5rem; width: 24px; height: 24px; z-index: 1; accent-color: var(--_accent); }
.items > span { align-self: center; font-size: 1.6rem; color: var(--_quiet); }
.box { border: 1px solid var(--_line); border-radius: var(--_radius); padding: 1.2rem; display: grid; gap: 1.1rem; background: var(--_paper); }
.sum { display: flex; align-items: center; gap: 1rem; flex-wrap: wrap; } .sum strong { font-size: 1.15rem; }
label.off { opacity: .5; }
@media (max-width: 640px) { .items > label { width: calc(50% - 1.4rem); } }`;

  protected async start(): Promise<void> {
    const product = this.getAttribute('product');
    if (!product) return void (this.hidden = true);
    const [own, answer] = await Promise.all([
      this.merx.products([product]),
      this.merx.recommend([{ scenario: 'bought_together', products: [product], count: this.number('count', 2) }]),
    ]);
    const partners = answer?.slots[0]?.items ?? [];
    const first = own[0];
    this.hidden = !first?.in_stock || !partners.length;
    if (this.hidden || !first || !answer) return;
    const place = (position: number) => ({ decision_id: answer.decision_id, position, slot: 'bought_together' });
    const items: { item: Item; position: number }[] = [
      { item: { product_id: first.id, name: first.name, price: first.price ?? null, image: first.images[0] ?? null, score: 0, reasons: [] }, position: 0 },
      ...partners.map((item, number) => ({ item, position: number + 1 })),
    ];
    const chosen = new Set(items.map(({ item }) => item));
    const total = h('strong', { 'aria-live': 'polite' });
    const button = h('button', { type: 'button', class: 'button', part: 'button', onclick: () => {
      for (const { item, position } of items) {
        if (!chosen.has(item)) continue;
        if (position) this.merx.clicked({ ...place(position), product_id: item.product_id });
        this.tell('merx-add', { product_id: item.product_id, name: item.name, price: item.price, image: item.image, ...(position && { decision_id: answer.decision_id }) });
      }
    } });
    const sum = () => {
      const prices = [...chosen].map(item => item.price).filter(price => !!price);
      const currency = prices[0]?.currency;
      total.textContent = currency ? this.money({ minor: prices.reduce((minor, price) => minor + price.minor, 0), currency }) : '';
      button.textContent = chosen.size > 1 ? this.words.addAll(chosen.size) : this.words.add;
      button.disabled = !chosen.size;
    };
    const shown = items.flatMap(({ item, position }, number) => {
      const box = h('input', { type: 'checkbox', checked: true, 'aria-label': item.name, onchange: () => {
        if (box.checked) chosen.add(item); else chosen.delete(item);
        label.classList.toggle('off', !box.checked);
        sum();
      } });
      const label = h('label', {}, box, h('span', { class: 'card' },
        item.image ? h('img', { class: 'picture', src: item.image, alt: '', width: 150, height: 150, loading: 'lazy' }) : h('span', { class: 'picture' }),
        h('span', { class: 'name' }, item.name), h('span', { class: 'price' }, this.money(item.price))));
      if (position) this.merx.watch(label, { ...place(position), product_id: item.product_id });
      return number ? [h('span', { 'aria-hidden': 'true' }, '+'), label] : [label];
    });
    sum();
    this.draw(h('div', { class: 'box' }, h('h2', { part: 'heading' }, this.words.headings.bought_together ?? ''), h('div', { class: 'items' }, ...shown),
      h('div', { class: 'sum' }, h('span', {}, `${this.words.total} `, total), button)));
  }
}

// What a search or a category page found: facets that narrow it, sorting, and more on demand. What was chosen is told to
// the page (`merx-refined`), so that it can stand in the address.

import type { Facet, Found, SearchRequest } from '../index';
import { quoted } from '../filter';
import { card, CARD, skeleton } from './card';
import { h, MerxElement } from './element';

const PAGE = 24;

export class Results extends MerxElement {
  static observedAttributes = ['query', 'category', 'filter', 'facets', 'labels'];
  static styles = `${CARD}
.all { display: grid; grid-template-columns: 240px 1fr; gap: 2rem; align-items: start; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(46%, 210px), 1fr)); gap: clamp(.9rem, 2vw, 1.5rem); }
.count { margin: 0; }
.bar { display: flex; justify-content: space-between; align-items: center; gap: 1rem; margin-bottom: 1.1rem; flex-wrap: wrap; min-height: 44px; }
select { border: 1px solid var(--_line); border-radius: 999px; background: var(--_paper); padding: .4rem .9rem; min-height: 44px; }
.facets { display: grid; gap: .4rem; } .facets > summary { display: none; }
fieldset { border: 0; border-top: 1px solid var(--_line); margin: 0; padding: .9rem 0; min-width: 0; }
legend { font-weight: 650; padding: 0; float: inline-start; width: 100%; margin-bottom: .4rem; } legend + * { clear: both; }
.facets label { display: flex; gap: .6rem; align-items: center; min-height: 32px; cursor: pointer; }
.facets label span:last-child { margin-inline-start: auto; font-size: .85rem; color: var(--_quiet); font-variant-numeric: tabular-nums; }
input[type=checkbox] { width: 18px; height: 18px; accent-color: var(--_accent); } input[type=range] { width: 100%; accent-color: var(--_accent); }
.chips { display: flex; flex-wrap: wrap; gap: .5rem; margin-bottom: 1rem; }
.chips button { border: 1px solid var(--_line); background: var(--_soft); border-radius: 999px; padding: .35rem .8rem; min-height: 36px; }
.more { display: block; margin: 2rem auto 0; } .none { padding: 3rem 0; text-align: center; }
@media (max-width: 820px) { .all { grid-template-columns: 1fr; gap: 1rem; } .facets.awaited { min-height: calc(1.4rem + 1.5em + 2px); } .facets > summary { display: block; padding: .7rem 1rem; border: 1px solid var(--_line); border-radius: 999px; font-weight: 600; cursor: pointer; } }`;

  #chosen = new Map<string, Set<string>>();
  #priceTo: number | undefined;
  #priceMost: number | undefined;
  #sort = '';
  #of = '';
  #number = 0;

  protected async start(): Promise<void> {
    const of = JSON.stringify(Results.observedAttributes.map(name => this.getAttribute(name)));
    if (of !== this.#of) {
      this.#of = of;
      this.#chosen.clear();
      this.#priceTo = this.#priceMost = undefined;
      // As high as what will stand here, so that the cards stay where they are.
      this.draw(this.#frame(h('div', { class: 'facets awaited' }), h('div', {}, h('div', { class: 'bar' }), h('div', { class: 'grid' }, ...Array.from({ length: 12 }, skeleton)))));
    }
    await this.#ask();
  }

  get #facets(): string[] {
    return this.list('facets').length ? this.list('facets') : ['category', 'brand', 'attributes.colour_family', 'price'];
  }

  #request(offset: number): SearchRequest {
    const refinements = [...this.#chosen].filter(([, values]) => values.size)
      .map(([field, values]) => ({ field, filter: `${field} IN (${[...values].map(quoted).join(', ')})` }));
    if (this.#priceTo !== undefined) refinements.push({ field: 'price', filter: `price <= ${this.#priceTo}` });
    const category = this.getAttribute('category');
    const filters = [category && `category = ${quoted(category)}`, this.getAttribute('filter')].filter(Boolean);
    const [field, order] = this.#sort.split(' ');
    return {
      query: this.getAttribute('query') ?? '', refinements, facets: this.#facets, facet_values: 12, count: PAGE, offset,
      ...(filters.length && { filter: filters.join(' AND ') }), ...(category && { category }), ...(field && { sort: [{ field, descending: order === 'down' }] }),
    };
  }

  async #ask(): Promise<void> {
    const number = ++this.#number;
    const found = await this.merx.search(this.#request(0));
    if (number !== this.#number) return;
    if (!found) return this.draw(h('slot'));
    this.hidden = false;
    if (this.getAttribute('query')) this.merx.track('Products Searched', { query: this.getAttribute('query') ?? '', decision_id: found.decision_id });
    this.#show(found);
  }

  #show(found: Found): void {
    const words = this.words;
    const grid = h('div', { class: 'grid' });
    let shown = 0;
    const add = (answer: Found): void => {
      for (const hit of answer.hits) {
        const place = { decision_id: answer.decision_id, position: ++shown, slot: 'search' };
        // Why it was found is for merchants; the card of a hit says no more than the product.
        grid.append(card(this, { ...hit, reasons: [] }, place, element => this.merx.watch(element, { ...place, product_id: hit.product_id }), words.soldOut));
      }
    };
    add(found);
    const more = h('button', { class: 'button plain more', type: 'button', onclick: async () => {
      // A second click would ask for, and show, the same hits again.
      more.disabled = true;
      const next = await this.merx.search(this.#request(shown));
      if (next) add(next);
      more.disabled = false;
      more.hidden = !next?.hits.length || shown >= found.total;
    } }, words.more);
    more.hidden = shown >= found.total;
    const corrected = found.searched_for && found.searched_for !== this.getAttribute('query') ? h('span', { class: 'quiet' }, ` · ${words.showing(found.searched_for)}`) : null;
    const bar = h('div', { class: 'bar' }, h('p', { role: 'status', class: 'count' }, words.results(found.total), corrected), this.#sorting());
    const none = found.hits.length ? null : h('p', { class: 'none quiet' }, words.noResults);
    this.draw(this.#frame(this.#narrowing(found.facets), h('div', {}, bar, this.#chips(), none, grid, more)));
    this.tell('merx-refined', { total: found.total, decision_id: found.decision_id, query: this.getAttribute('query') ?? '' });
  }

  #frame(facets: HTMLElement, found: HTMLElement): HTMLElement {
    return h('div', { class: 'all' }, facets, found);
  }

  #sorting(): HTMLElement {
    const words = this.words;
    const orders: [string, string][] = [['', words.relevance], ['price up', words.cheapest], ['price down', words.dearest], ['created_at down', words.newest]];
    return h('select', { 'aria-label': words.sort, onchange: (event: Event) => { this.#sort = (event.target as HTMLSelectElement).value; void this.#ask(); } },
      ...orders.map(([value, label]) => h('option', { value, selected: value === this.#sort }, label)));
  }

  #chips(): HTMLElement | null {
    const chosen = [...this.#chosen].flatMap(([field, values]) => [...values].map(value => ({ field, value })));
    if (!chosen.length) return null;
    const buttons = chosen.map(({ field, value }) => h('button', { type: 'button', onclick: () => { this.#chosen.get(field)?.delete(value); void this.#ask(); } }, `${value} ×`));
    return h('div', { class: 'chips' }, ...buttons);
  }

  #narrowing(facets: Facet[]): HTMLElement {
    const box = h('details', { class: 'facets', open: matchMedia('(min-width: 821px)').matches }, h('summary', {}, this.words.filters));
    for (const facet of facets) {
      if (facet.field === 'price') box.append(...this.#price(facet));
      else if (facet.values.length > 1 || this.#chosen.get(facet.field)?.size) box.append(this.#values(facet));
    }
    return box;
  }

  #values(facet: Facet): HTMLElement {
    const chosen = this.#chosen.get(facet.field) ?? new Set();
    this.#chosen.set(facet.field, chosen);
    const own = this.getAttribute('category');
    const rows = facet.values.filter(({ value }) => value !== own).slice(0, 8).map(({ value, count }) => {
      const text = String(value);
      return h('label', {}, h('input', { type: 'checkbox', checked: chosen.has(text), onchange: (event: Event) => {
        if ((event.target as HTMLInputElement).checked) chosen.add(text); else chosen.delete(text);
        void this.#ask();
      } }), h('span', {}, text), h('span', {}, String(count)));
    });
    return h('fieldset', {}, h('legend', {}, this.#label(facet.field)), h('div', {}, ...rows));
  }

  #price({ statistics }: Facet): HTMLElement[] {
    if (!statistics || statistics.max <= statistics.min) return [];
    this.#priceMost ??= Math.ceil(statistics.max);
    const most = this.#priceMost;
    const said = h('output', {}, String(this.#priceTo ?? most));
    const slider = h('input', { type: 'range', min: Math.floor(Math.min(statistics.min, most)), max: most, value: this.#priceTo ?? most, 'aria-label': this.words.priceTo,
      oninput: () => { said.textContent = slider.value; },
      onchange: () => { this.#priceTo = Number(slider.value) < most ? Number(slider.value) : undefined; void this.#ask(); } });
    return [h('fieldset', {}, h('legend', {}, `${this.words.priceTo} `, said), h('div', {}, slider))];
  }

  /** `labels="brand:Marke,attributes.colour_family:Farbe"`, else the field's last word. */
  #label(field: string): string {
    const label = this.list('labels').map(pair => pair.split(':')).find(([name]) => name === field)?.[1];
    const plain = (field.split('.').pop() ?? field).replace(/_/g, ' ');
    return label ?? plain.charAt(0).toUpperCase() + plain.slice(1);
  }
}

// The search field: suggestions while one types, by keyboard and screen reader as the ARIA combobox pattern says.

import type { Suggestion } from '../index';
import { webAddress } from '../address';
import { h, MerxElement } from './element';

const PAUSE_MS = 70;

export class SearchBox extends MerxElement {
  static observedAttributes = ['placeholder', 'value'];
  static styles = `
:host { position: relative; }
form { display: flex; align-items: center; border: 1px solid var(--_line); border-radius: 999px; background: var(--_paper); padding-inline: .9rem .3rem; min-height: 46px; }
form:focus-within { border-color: var(--_accent); box-shadow: 0 0 0 3px color-mix(in srgb, var(--_accent) 18%, transparent); }
input { flex: 1; min-width: 0; border: 0; background: none; outline: none; height: 44px; font-size: 1rem; }
input::-webkit-search-cancel-button { display: none; }
.go { border: 0; background: none; width: 40px; height: 40px; border-radius: 50%; }
svg { width: 20px; height: 20px; display: block; margin: auto; }
.list { position: absolute; z-index: 30; top: calc(100% + 6px); inset-inline: 0; background: var(--_paper); border: 1px solid var(--_line); border-radius: var(--_radius); box-shadow: 0 18px 44px #0002;
  padding: .5rem; max-height: min(70vh, 560px); overflow: auto; margin: 0; list-style: none; }
.list li { display: flex; align-items: center; gap: .75rem; padding: .5rem .7rem; border-radius: 8px; cursor: pointer; min-height: 44px; }
.list li[aria-selected=true], .list li:hover { background: var(--_soft); }
.list img { width: 44px; height: 44px; border-radius: 8px; object-fit: cover; background: var(--_soft); }
.list .text { flex: 1; } .list b { font-weight: 700; } .list .price { font-variant-numeric: tabular-nums; color: var(--_quiet); }`;

  #asked = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #shown: Suggestion[] = [];
  #at = -1;
  #input!: HTMLInputElement;
  #list!: HTMLUListElement;

  protected start(): void {
    if (this.#input) {
      this.#input.value = this.getAttribute('value') ?? this.#input.value;
      return;
    }
    const words = this.words;
    this.#input = h('input', {
      type: 'search', name: 'q', role: 'combobox', 'aria-expanded': 'false', 'aria-controls': 'list', 'aria-autocomplete': 'list', autocomplete: 'off', spellcheck: 'false', enterkeyhint: 'search',
      'aria-label': words.search, placeholder: this.getAttribute('placeholder') ?? words.search, oninput: () => this.#typed(), onkeydown: (event: KeyboardEvent) => this.#key(event), onfocus: () => this.#typed(),
    });
    this.#input.value = this.getAttribute('value') ?? '';
    this.#list = h('ul', { class: 'list', id: 'list', role: 'listbox', 'aria-label': words.suggestions, hidden: true });
    const glass = '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" aria-hidden="true"><circle cx="11" cy="11" r="7"/><path d="m20 20-4-4"/></svg>';
    const button = h('button', { class: 'go', type: 'submit', 'aria-label': words.search });
    button.innerHTML = glass;
    this.draw(h('form', { role: 'search', onsubmit: (event: Event) => { event.preventDefault(); this.#search(this.#input.value); } }, this.#input, button), this.#list);
    this.addEventListener('focusout', event => { if (!this.contains(event.relatedTarget as Node | null)) setTimeout(() => this.#close(), 120); });
  }

  focus(): void {
    this.#input?.focus();
  }

  #typed(): void {
    clearTimeout(this.#timer);
    const text = this.#input.value.trim();
    if (!text) return this.#close();
    this.#timer = setTimeout(() => void this.#suggest(text), PAUSE_MS);
  }

  async #suggest(text: string): Promise<void> {
    const number = ++this.#asked;
    const found = await this.merx.suggest(text, { queries: 5, products: 4, categories: 3, brands: 2 });
    // An older answer that comes late is of no use.
    if (number !== this.#asked) return;
    this.#shown = found;
    this.#at = -1;
    if (!found.length) return this.#close();
    this.#list.replaceChildren(...found.map((one, place) => this.#option(one, place, text)));
    this.#open(true);
  }

  #option(one: Suggestion, place: number, text: string): HTMLElement {
    const words = this.words;
    const kind = { category: words.categories, brand: '', product: '', query: '' }[one.type];
    return h('li', { id: `o${place}`, role: 'option', 'aria-selected': 'false', onmousedown: (event: Event) => { event.preventDefault(); this.#choose(one); } },
      one.image ? h('img', { src: one.image, alt: '', width: 44, height: 44 }) : null,
      h('span', { class: 'text' }, ...marked(one.text, text)),
      one.price ? h('span', { class: 'price' }, this.money(one.price)) : kind ? h('span', { class: 'quiet' }, kind) : null);
  }

  #key(event: KeyboardEvent): void {
    if (event.key === 'Escape') return this.#close();
    if (event.key === 'Enter' && this.#at >= 0) {
      event.preventDefault();
      const one = this.#shown[this.#at];
      if (one) this.#choose(one);
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || this.#list.hidden) return;
    event.preventDefault();
    const count = this.#shown.length + 1;
    this.#at = (this.#at + 1 + step + count) % count - 1;
    [...this.#list.children].forEach((option, place) => option.setAttribute('aria-selected', String(place === this.#at)));
    this.#list.children[this.#at]?.scrollIntoView({ block: 'nearest' });
    if (this.#at >= 0) this.#input.setAttribute('aria-activedescendant', `o${this.#at}`);
    else this.#input.removeAttribute('aria-activedescendant');
  }

  #choose(one: Suggestion): void {
    if (one.type === 'product') {
      this.#close();
      const url = one.url && webAddress(one.url);
      if (this.tell('merx-open', { product_id: one.product_id, url }) && url) location.assign(url);
      return;
    }
    if (one.type === 'category') {
      this.#close();
      if (!this.tell('merx-category', { category: one.text })) return;
    }
    this.#input.value = one.text;
    this.#search(one.text);
  }

  #search(text: string): void {
    this.#close();
    this.#asked += 1;
    this.#input.blur();
    const query = text.trim();
    if (this.tell('merx-search', { query })) location.assign(`${this.getAttribute('action') ?? '/search'}?q=${encodeURIComponent(query)}`);
  }

  #open(open: boolean): void {
    this.#list.hidden = !open;
    this.#input.setAttribute('aria-expanded', String(open));
    if (!open) this.#input.removeAttribute('aria-activedescendant');
  }

  #close(): void {
    clearTimeout(this.#timer);
    this.#at = -1;
    this.#open(false);
  }
}

/** The part that was typed, plain; the rest, which is suggested, bold. */
function marked(text: string, typed: string): Node[] {
  const at = text.toLowerCase().indexOf(typed.toLowerCase());
  if (at < 0) return [document.createTextNode(text)];
  const end = at + typed.length;
  return [h('b', {}, text.slice(0, at)), document.createTextNode(text.slice(at, end)), h('b', {}, text.slice(end))];
}

// Things that show themselves only when there is something to say: what is back in stock, and the chat where an assistant
// answers.

import { h, MerxElement } from './element';

/**
 * With `product`: an offer to be told, while it is sold out. Without: says which of those that were asked for are back.
 * The wishes stay in this browser, or on this page where Merx was told to persist nothing.
 */
export class BackInStock extends MerxElement {
  static observedAttributes = ['product'];
  static styles = `
.note { display: flex; gap: 1rem; align-items: center; background: var(--_soft); border: 1px solid var(--_line); border-radius: var(--_radius); padding: .7rem 1rem; margin: 0 0 .6rem; }
.note a { flex: 1; font-weight: 600; } .note button { border: 0; background: none; min-width: 44px; min-height: 44px; font-size: 1.2rem; }`;

  get #wished(): string[] {
    return this.merx.store.get<string[]>('wished') ?? [];
  }

  protected start(): Promise<void> {
    const product = this.getAttribute('product');
    return product ? this.#offer(product) : this.#tellBack();
  }

  async #offer(product: string): Promise<void> {
    const [found] = await this.merx.products([product]);
    this.hidden = !found || found.in_stock;
    if (this.hidden) return;
    if (this.#wished.includes(product)) return this.draw(h('p', { class: 'quiet', role: 'status' }, this.words.willTell));
    this.draw(h('button', { class: 'button plain', type: 'button', onclick: () => {
      this.merx.store.set('wished', [...this.#wished, product].slice(-50));
      this.merx.track('Product Added to Wishlist', { product_id: product });
      this.draw(h('p', { class: 'quiet', role: 'status' }, this.words.willTell));
    } }, this.words.tellMe));
  }

  async #tellBack(): Promise<void> {
    const wished = this.#wished;
    this.hidden = true;
    if (!wished.length) return;
    const back = (await this.merx.products(wished)).filter(product => product.in_stock);
    this.hidden = !back.length;
    const forget = (id: string, note: Element) => {
      this.merx.store.set('wished', this.#wished.filter(wish => wish !== id));
      note.remove();
    };
    this.draw(...back.map(product => {
      const note: HTMLElement = h('p', { class: 'note', role: 'status' }, h('a', { href: product.url ?? '#' }, this.words.back(product.name)),
        h('button', { type: 'button', 'aria-label': this.words.dismiss, onclick: () => forget(product.id, note) }, '×'));
      return note;
    }));
  }
}

/**
 * The way to the assistant. Hidden where the server has none. Each question is told to the page as `merx-question`; whoever
 * answers calls `answer(text)`.
 */
export class Chat extends MerxElement {
  static styles = `
:host { position: fixed; inset-block-end: 1.2rem; inset-inline-end: 1.2rem; z-index: 40; }
dialog { position: fixed; inset: auto; inset-block-end: 5rem; inset-inline-end: 1.2rem; margin: 0; width: min(360px, calc(100vw - 2.4rem)); border: 1px solid var(--_line); border-radius: var(--_radius); background: var(--_paper); padding: 1rem; box-shadow: 0 18px 44px #0003; }
.log { display: grid; gap: .5rem; max-height: 40vh; overflow: auto; } .log p { margin: 0; padding: .5rem .8rem; border-radius: 12px; background: var(--_soft); } .log .own { justify-self: end; background: var(--_accent); color: #fff; }
form { display: flex; gap: .5rem; margin-top: .8rem; } input { flex: 1; min-width: 0; border: 1px solid var(--_line); border-radius: 999px; padding: .5rem .9rem; }`;
  #log!: HTMLElement;

  protected async start(): Promise<void> {
    this.hidden = true;
    if (!(await this.merx.has('assistant'))) return;
    this.#log = h('div', { class: 'log', role: 'log', 'aria-live': 'polite' });
    const input = h('input', { 'aria-label': this.words.message, placeholder: this.words.message, required: true });
    const dialog = h('dialog', { 'aria-label': this.words.chat }, this.#log, h('form', { onsubmit: (event: Event) => {
      event.preventDefault();
      this.#say(input.value, 'own');
      this.tell('merx-question', { text: input.value });
      input.value = '';
    } }, input, h('button', { class: 'button' }, this.words.send)));
    this.draw(dialog, h('button', { class: 'button', type: 'button', 'aria-haspopup': 'dialog', onclick: () => (dialog.open ? dialog.close() : dialog.show()) }, this.words.chat));
    this.hidden = false;
  }

  answer(text: string): void {
    this.#say(text, '');
  }

  #say(text: string, whose: string): void {
    this.#log.append(h('p', { class: whose }, text));
    this.#log.scrollTop = this.#log.scrollHeight;
  }
}

// What all widgets share: the instance of Merx they ask, a shadow tree with the theme's variables, and helpers to build it
// without markup in strings (nothing that a shop writes into its catalogue can become a script).

import type { Merx, Money } from '../index';
import { webAddress } from '../address';
import { major } from '../money';
import { languageOf, wordsOf, type Words } from './words';

let instance: Merx | undefined;
const waiting = new Set<MerxElement>();

/** Tells the widgets whom to ask; those that are on the page already begin now. */
export function useMerx(merx: Merx): void {
  instance = merx;
  for (const element of waiting) element.begin();
  waiting.clear();
}

type Child = Node | string | null | undefined | false;
type Properties = Record<string, string | number | boolean | ((event: any) => void) | null | undefined>;

const ADDRESSES = ['href', 'src', 'action', 'formaction'];

/** An element with attributes (`onclick`-like ones are listeners) and children. Addresses that lead elsewhere than to the web are left out. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, properties?: Properties, ...children: Child[]): HTMLElementTagNameMap[K];
export function h(tag: string, properties?: Properties, ...children: Child[]): HTMLElement;
export function h(tag: string, properties: Properties = {}, ...children: Child[]): HTMLElement {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (ADDRESSES.includes(name) && webAddress(String(value)) === undefined) continue;
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child): child is Node | string => child !== null && child !== undefined && child !== false));
  return element;
}

const BASE = `
:host { display: block; font: inherit; color: var(--merx-ink, inherit); --_accent: var(--merx-accent, #8a3b1e); --_line: var(--merx-line, #ddd5c8);
  --_paper: var(--merx-paper, #fff); --_soft: var(--merx-soft, #f5f1ea); --_quiet: var(--merx-quiet, #6b6259); --_radius: var(--merx-radius, 12px); }
:host([hidden]), [hidden] { display: none !important; }
* { box-sizing: border-box; }
h2 { font: var(--merx-heading, 600 1.35rem/1.2 inherit); margin: 0; }
button, input, select { font: inherit; color: inherit; }
button { cursor: pointer; }
a { color: inherit; }
:focus-visible { outline: 3px solid var(--merx-focus, #1d5fd1); outline-offset: 2px; border-radius: 4px; }
.quiet { color: var(--_quiet); }
.vh { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.button { border: 1px solid var(--_accent); background: var(--_accent); color: var(--merx-on-accent, #fff); border-radius: 999px; padding: .6rem 1.1rem; min-height: 44px; font-weight: 600; }
.button.plain { background: none; color: var(--_accent); }
.button:hover { filter: brightness(1.08); }
@media (prefers-reduced-motion: reduce) { * { transition: none !important; animation: none !important; scroll-behavior: auto !important; } }
`;

export abstract class MerxElement extends HTMLElement {
  static styles = '';
  protected readonly root: ShadowRoot;
  #begun = false;

  constructor() {
    super();
    this.root = this.shadowRoot ?? this.attachShadow({ mode: 'open' });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(BASE + (this.constructor as typeof MerxElement).styles);
    this.root.adoptedStyleSheets = [sheet];
    // What the server put between the tags stands until there is something better.
    this.root.append(document.createElement('slot'));
  }

  connectedCallback(): void {
    if (instance) this.begin();
    else waiting.add(this);
  }

  disconnectedCallback(): void {
    waiting.delete(this);
  }

  attributeChangedCallback(_: string, before: string | null, after: string | null): void {
    if (this.#begun && before !== after) this.begin();
  }

  begin(): void {
    this.#begun = true;
    // A widget in trouble leaves its place empty and the page as it is.
    Promise.resolve(this.start()).catch(error => {
      this.hidden = true;
      console.debug('merx', error);
    });
  }

  /** Asks and draws; again when an attribute changes. */
  protected abstract start(): void | Promise<void>;

  protected get merx(): Merx {
    if (!instance) throw new Error('useMerx was not called');
    return instance;
  }

  protected get words(): Words {
    return wordsOf(this);
  }

  protected number(name: string, otherwise: number): number {
    const value = Number(this.getAttribute(name));
    return Number.isFinite(value) && value > 0 ? value : otherwise;
  }

  protected list(name: string): string[] {
    return (this.getAttribute(name) ?? '').split(',').map(id => id.trim()).filter(Boolean);
  }

  protected draw(...children: Child[]): void {
    this.root.replaceChildren(...children.filter((child): child is Node | string => Boolean(child)));
  }

  /** Tells the page; false when the page took care of it. */
  protected tell(name: string, detail: unknown): boolean {
    return this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true, cancelable: true }));
  }

  money(money: Money | null | undefined): string {
    return money ? formatMoney(money, languageOf(this)) : '';
  }
}

export function formatMoney(money: Money, language: string): string {
  return new Intl.NumberFormat(language, { style: 'currency', currency: money.currency }).format(major(money));
}

/** Defines an element unless the page has one of this name already. */
export function define(name: string, element: CustomElementConstructor): void {
  if (!customElements.get(name)) customElements.define(name, element);
}

// The shop: addresses to pages, and what all pages share. It knows Merx by its public key, its public API and its widgets;
// when Merx is away it still shows what it last saw, and the basket works.

import { createMerx, type Merx } from '../../sdk/browser/src/index';
import { useMerx } from '../../sdk/browser/src/widgets/index';
import * as basket from './basket';
import { askOnce } from './consent';
import { byId, h, toast } from './dom';
import { account } from './pages/account';
import { basketPage, checkout, thanks } from './pages/basket';
import { category, search } from './pages/browse';
import { home } from './pages/home';
import { product } from './pages/product';

export interface Shop { merx: Merx; go(path: string): void; lang: string }
/** Draws a page; what it gives back is called when the page is left. */
export type Page = (shop: Shop, main: HTMLElement, rest: string, query: URLSearchParams) => void | (() => void) | Promise<void | (() => void)>;

const BASE = '/shop/';
const PAGES: [RegExp, string, Page][] = [
  [/^$/, 'Tamarind, a shop to try Merx in', home],
  [/^p\/(.+)$/, '', product],
  [/^c\/(.+)$/, '', category],
  [/^search$/, 'Search · Tamarind', search],
  [/^basket$/, 'Basket · Tamarind', basketPage],
  [/^checkout$/, 'Checkout · Tamarind', checkout],
  [/^thanks$/, 'Thank you · Tamarind', thanks],
  [/^account$/, 'Account · Tamarind', account],
];

async function begin(): Promise<void> {
  const lang = new URLSearchParams(location.search).get('lang') ?? 'en';
  document.documentElement.lang = lang;
  document.documentElement.dir = /^(ar|he|fa)/.test(lang) ? 'rtl' : 'ltr';
  const config = await fetch(`${BASE}config.json`).then(reply => reply.json() as Promise<{ key: string; market: string }>).catch(() => ({ key: '', market: '' }));
  const merx = createMerx({ server: '', key: config.key, market: config.market });
  const shop: Shop = { merx, go, lang };
  let leave: void | (() => void);
  let number = 0;

  async function show(first = false): Promise<void> {
    const turn = ++number;
    const path = decodeURI(location.pathname).slice(BASE.length).replace(/\/$/, '');
    const found = PAGES.map(([pattern, title, page]) => ({ match: pattern.exec(path), title, page })).find(({ match }) => match);
    leave?.();
    leave = undefined;
    const main = byId('main');
    if (found?.title) document.title = found.title;
    // A product's page came with its texts from the server; they stay until there is more to see.
    if (!(first && main.querySelector('article.plain'))) main.replaceChildren();
    mark(path);
    if (!first) { scrollTo({ top: 0, behavior: 'instant' }); main.focus({ preventScroll: true }); }
    merx.page(found?.title || path);
    if (!found) return void main.replaceChildren(h('div', { class: 'empty' }, h('h1', {}, 'There is no such page'), h('a', { class: 'button', href: BASE }, 'To the shop')));
    const left = await found.page(shop, main, decodeURIComponent(found.match?.[1] ?? ''), new URLSearchParams(location.search));
    if (turn === number) leave = left; else left?.();
  }

  function go(path: string): void {
    history.pushState(null, '', path);
    void show();
  }

  document.addEventListener('click', event => {
    const link = event.composedPath().find((node): node is HTMLAnchorElement => node instanceof HTMLAnchorElement && !!node.href);
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || link.target) return;
    const url = new URL(link.href);
    if (url.origin !== location.origin || !url.pathname.startsWith(BASE) || url.searchParams.has('merx-debug') || (url.hash && url.pathname === location.pathname)) return;
    event.preventDefault();
    go(url.pathname + url.search);
  });
  addEventListener('popstate', () => void show());
  document.addEventListener('merx-search', event => { event.preventDefault(); go(`${BASE}search?q=${encodeURIComponent((event as CustomEvent).detail.query)}`); });
  document.addEventListener('merx-category', event => { event.preventDefault(); go(`${BASE}c/${encodeURIComponent((event as CustomEvent).detail.category)}`); });
  document.addEventListener('merx-open', event => { event.preventDefault(); go((event as CustomEvent).detail.url); });
  document.addEventListener('merx-add', event => {
    const { product_id, name, decision_id } = (event as CustomEvent).detail;
    void addFirst(merx, product_id, name, decision_id);
  });
  basket.onChange(counted);
  counted();
  useMerx(merx);
  void departments(merx);
  askOnce(merx);
  await show(true);
}

/** A bundle's products go in as the first variant that is there. */
async function addFirst(merx: Merx, product_id: string, name: string, decision_id?: string): Promise<void> {
  const [found] = await merx.products([product_id]);
  const variant = found?.variants.find(one => one.stock !== 'out');
  basket.add({ product_id, ...(variant && { variant_id: variant.id, label: Object.values(variant.attributes).join(', ') }) });
  merx.track('Product Added', { product_id, ...(decision_id && { decision_id }) });
  toast(`${name} is in your basket`);
}

function counted(): void {
  const count = basket.count();
  const badge = byId('basket-count');
  badge.hidden = !count;
  badge.textContent = String(count);
  byId('basket-link').setAttribute('aria-label', `Basket ${count} ${count === 1 ? 'thing' : 'things'}`);
}

function mark(path: string): void {
  for (const link of document.querySelectorAll('#departments a'))
    link.toggleAttribute('aria-current', decodeURIComponent(new URL((link as HTMLAnchorElement).href).pathname) === `/shop/${path}`);
}

async function departments(merx: Merx): Promise<void> {
  const found = await merx.search({ count: 0, facets: ['category.lvl0'], facet_values: 20 });
  const names = found?.facets[0]?.values.map(({ value }) => String(value)) ?? [];
  byId('departments').replaceChildren(...names.map(name => h('a', { href: `${BASE}c/${encodeURIComponent(name)}` }, name)));
  mark(decodeURI(location.pathname).slice(BASE.length));
}

void begin();

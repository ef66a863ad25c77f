// The shop: addresses to pages, and what all pages share. It knows Merx by its public key, its public API and its widgets;
// when Merx is away it still shows what it last saw, and the basket works.

import { createMerx, type Merx } from '../../sdk/browser/src/index';
import { useMerx } from '../../sdk/browser/src/widgets/index';
import { BASE, decoded, route } from './address';
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

const PAGES: [RegExp, { title: string; page: Page }][] = [
  [/^$/, { title: 'Tamarind, a shop to try Merx in', page: home }],
  [/^p\/(.+)$/, { title: '', page: product }],
  [/^c\/(.+)$/, { title: '', page: category }],
  [/^search$/, { title: 'Search · Tamarind', page: search }],
  [/^basket$/, { title: 'Basket · Tamarind', page: basketPage }],
  [/^checkout$/, { title: 'Checkout · Tamarind', page: checkout }],
  [/^thanks$/, { title: 'Thank you · Tamarind', page: thanks }],
  [/^account$/, { title: 'Account · Tamarind', page: account }],
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
    const found = route(PAGES, location.pathname);
    const title = found?.to.title;
    leave?.();
    leave = undefined;
    const main = byId('main');
    if (title) document.title = title;
    // A product's page came with its texts from the server; they stay until there is more to see.
    if (!(first && main.querySelector('article.plain'))) main.replaceChildren();
    mark();
    if (!first) { scrollTo({ top: 0, behavior: 'instant' }); main.focus({ preventScroll: true }); }
    merx.page(title || decoded(location.pathname.slice(BASE.length)));
    if (!found) return void main.replaceChildren(h('div', { class: 'empty' }, h('h1', {}, 'There is no such page'), h('a', { class: 'button', href: BASE }, 'To the shop')));
    const left = await found.to.page(shop, main, found.rest, new URLSearchParams(location.search));
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
  document.addEventListener('merx-open', event => {
    event.preventDefault();
    const { url, product_id } = (event as CustomEvent<{ url?: string; product_id: string }>).detail;
    const target = new URL(url ?? `${BASE}p/${encodeURIComponent(product_id)}`, location.href);
    if (target.origin === location.origin && target.pathname.startsWith(BASE)) go(target.pathname + target.search); else location.assign(target);
  });
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

function mark(): void {
  const here = decoded(location.pathname).replace(/\/$/, '');
  for (const link of document.querySelectorAll('#departments a'))
    link.toggleAttribute('aria-current', decoded((link as HTMLAnchorElement).pathname) === here);
}

async function departments(merx: Merx): Promise<void> {
  const found = await merx.search({ count: 0, facets: ['category.lvl0'], facet_values: 20 });
  const names = found?.facets[0]?.values.map(({ value }) => String(value)) ?? [];
  byId('departments').replaceChildren(...names.map(name => h('a', { href: `${BASE}c/${encodeURIComponent(name)}` }, name)));
  mark();
}

void begin();

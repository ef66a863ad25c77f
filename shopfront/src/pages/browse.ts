// Category and search pages: the results widget and a headline.

import { quoted } from '../../../sdk/browser/src/index';
import { h } from '../dom';
import type { Page } from '../shop';

const FACETS = 'category,brand,attributes.colour_family,attributes.style,attributes.material,price';
const LABELS = 'attributes.colour_family:Colour,attributes.style:Style,attributes.material:Material';

export const category: Page = async ({ merx }, main, name) => {
  document.title = `${name} · Tamarind`;
  const subs = h('nav', { class: 'subs', 'aria-label': 'Narrower' });
  main.replaceChildren(
    h('div', { class: 'head' }, h('nav', { class: 'crumbs', 'aria-label': 'You are here' }, h('a', { href: '/shop/' }, 'Home'), h('span', {}, '›'), h('span', {}, name)), h('h1', {}, name), subs),
    h('merx-results', { category: name, facets: FACETS, labels: LABELS }),
    h('merx-trending', { count: 10, filter: `category = ${quoted(name)}`, heading: `Trending in ${name}` }),
  );
  merx.track('Product List Viewed', { list_id: name, products: [] });
  const found = await merx.search({ filter: `category = ${quoted(name)}`, count: 1, facets: ['category'], facet_values: 14 });
  const path = found?.hits[0]?.category_path ?? [];
  const above = new Set(path.slice(0, path.indexOf(name) + 1));
  const below = (found?.facets[0]?.values ?? []).map(({ value }) => String(value)).filter(value => !above.has(value));
  subs.replaceChildren(...below.slice(0, 10).map(value => h('a', { href: `/shop/c/${encodeURIComponent(value)}` }, value)));
  subs.hidden = !below.length;
};

export const search: Page = (_, main, __, query) => {
  const text = query.get('q') ?? '';
  document.title = text ? `${text} · Tamarind` : 'Everything · Tamarind';
  document.querySelector('merx-search-box')?.setAttribute('value', text);
  main.replaceChildren(
    h('div', { class: 'head' }, h('h1', {}, text ? `“${text}”` : 'Everything')),
    h('merx-results', { query: text, facets: FACETS, labels: LABELS }),
    h('merx-recommendations', { scenario: 'continue_session', count: 10 }),
  );
};

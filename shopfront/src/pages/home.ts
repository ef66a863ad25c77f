// The home page: a few things that rise, what is personal, the departments.

import { quoted } from '../../../sdk/browser/src/index';
import { h } from '../dom';
import type { Page } from '../shop';

export const home: Page = async ({ merx }, main) => {
  const collage = h('div', { class: 'collage' }, h('a', { 'aria-hidden': 'true' }), h('a', { 'aria-hidden': 'true' }), h('a', { 'aria-hidden': 'true' }));
  const tiles = h('div', { class: 'tiles' });
  main.replaceChildren(
    h('section', { class: 'hero' },
      h('div', {}, h('h1', {}, 'Things that get used, and kept.'), h('p', {}, 'Look around. The shelves below notice what you like, within a second, if you let them.'), h('a', { class: 'button', href: '/shop/search?q=' }, 'See everything')),
      collage),
    h('merx-recommendations', { scenario: 'for_you', count: 12 }),
    h('section', {}, h('h2', {}, 'Departments'), tiles),
    h('merx-trending', { count: 12 }),
    h('merx-recommendations', { scenario: 'new', count: 12 }),
    h('merx-recommendations', { scenario: 'buy_again', count: 12 }),
    h('merx-recently-viewed', { count: 12 }),
  );
  // One answer, three departments, no product twice.
  const answer = await merx.recommend(['Shoes', 'Home', 'Electronics'].map(name => ({ name: `hero ${name}`, scenario: 'popular', count: 1, filter: `category = ${quoted(name)}` })));
  const items = answer?.slots.flatMap(slot => slot.items) ?? [];
  if (answer && items.length) {
    collage.replaceChildren(...items.map((item, place) => {
      const link = h('a', { href: item.url, 'aria-label': item.name }, h('img', { src: item.image, alt: '' }));
      merx.watch(link, { decision_id: answer.decision_id, product_id: item.product_id, position: place + 1, slot: 'hero' });
      return link;
    }));
  }
  const found = await merx.search({ count: 0, facets: ['category.lvl0'], facet_values: 20 });
  const names = found?.facets[0]?.values.map(({ value }) => String(value)) ?? [];
  const best = await Promise.all(names.map(name => merx.search({ filter: `category = ${quoted(name)}`, count: 1, sort: [{ field: 'popularity', descending: true }] })));
  tiles.replaceChildren(...names.map((name, place) => {
    const image = best[place]?.hits[0]?.image;
    return h('a', { href: `/shop/c/${encodeURIComponent(name)}` }, h('span', {}, image ? h('img', { src: image, alt: '', loading: 'lazy', width: 150, height: 150 }) : null), name);
  }));
};

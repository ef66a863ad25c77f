// The home page: blocks in an order that Merx decides, beneath a hero that stays.

import { quoted, type Merx } from '../../../sdk/browser/src/index';
import { h } from '../dom';
import type { Page } from '../shop';

/** What the page can show, in the shop's own order: so it stands where Merx has nothing to say. */
const BLOCKS: Record<string, (merx: Merx) => HTMLElement> = {
  hero,
  for_you: () => row('for_you'),
  departments,
  trending: () => h('merx-trending', { count: 12 }),
  small: () => banner('Small things, small prices.', 'Everything under 20', '/shop/search?q=under%2020'),
  new: () => row('new'),
  why: () => banner('Why do I see this?', 'Your shelves, your say', '/shop/account'),
  buy_again: () => row('buy_again'),
  recently_viewed: () => h('merx-recently-viewed', { count: 12 }),
};
const FIXED = 'hero';
/** A page that waits longer for its order is a slow page. */
const PATIENCE_MS = 600;

export const home: Page = async ({ merx }, main) => {
  const first = block(merx, FIXED);
  main.replaceChildren(first);
  const asked = Object.keys(BLOCKS).map(id => ({ id, ...(id === FIXED && { fixed: true }) }));
  const layout = await merx.layout('home', asked, { timeoutMs: PATIENCE_MS });
  const order = (layout?.blocks ?? asked).map(({ id }) => id).filter(id => id in BLOCKS);
  // Somebody may have gone on meanwhile.
  if (!first.isConnected) return;
  const blocks = order.map(id => (id === FIXED ? first : block(merx, id)));
  main.append(...blocks.filter(element => element !== first));
  if (layout) blocks.forEach((element, place) => merx.watchBlock(element, { decision_id: layout.decision_id, id: order[place] ?? '', position: place + 1 }));
};

function block(merx: Merx, id: string): HTMLElement {
  const element = BLOCKS[id]?.(merx) ?? h('section');
  element.dataset.block = id;
  return element;
}

const row = (scenario: string): HTMLElement => h('merx-recommendations', { scenario, count: 12 });

const banner = (words: string, link: string, href: string): HTMLElement =>
  h('section', { class: 'banner' }, h('h2', {}, words), h('a', { class: 'button plain', href }, link));

function hero(merx: Merx): HTMLElement {
  const collage = h('div', { class: 'collage' }, h('a', { 'aria-hidden': 'true' }), h('a', { 'aria-hidden': 'true' }), h('a', { 'aria-hidden': 'true' }));
  void fillHero(merx, collage);
  return h('section', { class: 'hero' },
    h('div', {}, h('h1', {}, 'Things that get used, and kept.'), h('p', {}, 'Look around. The shelves below notice what you like, within a second, if you let them.'), h('a', { class: 'button', href: '/shop/search?q=' }, 'See everything')),
    collage);
}

/** One answer, three departments, no product twice. */
async function fillHero(merx: Merx, collage: HTMLElement): Promise<void> {
  const answer = await merx.recommend(['Shoes', 'Home', 'Electronics'].map(name => ({ name: `hero ${name}`, scenario: 'popular', count: 1, filter: `category = ${quoted(name)}` })));
  const items = answer?.slots.flatMap(slot => slot.items) ?? [];
  if (!answer || !items.length) return;
  collage.replaceChildren(...items.map((item, place) => {
    const link = h('a', { href: item.url, 'aria-label': item.name }, h('img', { src: item.image, alt: '' }));
    merx.watch(link, { decision_id: answer.decision_id, product_id: item.product_id, position: place + 1, slot: 'hero' });
    return link;
  }));
}

function departments(merx: Merx): HTMLElement {
  const tiles = h('div', { class: 'tiles' });
  void fillTiles(merx, tiles);
  return h('section', {}, h('h2', {}, 'Departments'), tiles);
}

async function fillTiles(merx: Merx, tiles: HTMLElement): Promise<void> {
  const found = await merx.search({ count: 0, facets: ['category.lvl0'], facet_values: 20 });
  const names = found?.facets[0]?.values.map(({ value }) => String(value)) ?? [];
  const best = await Promise.all(names.map(name => merx.search({ filter: `category = ${quoted(name)}`, count: 1, sort: [{ field: 'popularity', descending: true }] })));
  tiles.replaceChildren(...names.map((name, place) => {
    const image = best[place]?.hits[0]?.image;
    return h('a', { href: `/shop/c/${encodeURIComponent(name)}` }, h('span', {}, image ? h('img', { src: image, alt: '', loading: 'lazy', width: 150, height: 150 }) : null), name);
  }));
}

// A product as a card: picture, name, price, why it is here.

import type { Item } from '../index';
import { h, type MerxElement } from './element';

export const CARD = `
.card { position: relative; display: flex; flex-direction: column; gap: .45rem; min-width: 0; }
.card a { text-decoration: none; display: flex; flex-direction: column; gap: .45rem; }
.picture { aspect-ratio: 1; width: 100%; height: auto; border-radius: var(--_radius); background: var(--_soft); object-fit: cover; display: block; transition: transform .25s; }
.frame { overflow: hidden; border-radius: var(--_radius); }
.card a:hover .picture { transform: scale(1.03); }
.name { font-weight: 500; line-height: 1.3; display: -webkit-box; -webkit-line-clamp: 2; -webkit-box-orient: vertical; overflow: hidden; min-height: 2.6em; }
.price { font-weight: 650; font-variant-numeric: tabular-nums; }
.why { font-size: .82rem; color: var(--_quiet); line-height: 1.3; display: -webkit-box; -webkit-line-clamp: 2; -webkit-box-orient: vertical; overflow: hidden; min-height: 2.6em; }
.skeleton .picture, .skeleton .name, .skeleton .price { background: var(--_soft); color: transparent; border-radius: 8px; }
.skeleton .name { min-height: 2.6em; } .skeleton .price { width: 40%; }
`;

export interface Place { decision_id: string; position: number; slot: string }

export function card(owner: MerxElement, item: Item & { in_stock?: boolean }, place: Place, watch: (element: Element) => void, soldOut: string): HTMLElement {
  const why = item.reasons[0]?.words;
  const picture = item.image
    ? h('img', { class: 'picture', src: item.image, alt: '', width: 400, height: 400, loading: 'lazy', decoding: 'async' })
    : h('span', { class: 'picture' });
  const link = h('a', { href: item.url ?? '#', part: 'card' },
    h('span', { class: 'frame' }, picture),
    h('span', { class: 'name', part: 'name' }, item.name),
    h('span', { class: 'price', part: 'price' }, owner.money(item.price), item.in_stock === false && h('span', { class: 'quiet' }, ` · ${soldOut}`)));
  const element = h('article', { class: 'card', 'data-product': item.product_id, 'data-position': place.position }, link,
    why ? h('span', { class: 'why', part: 'why' }, sentence(why)) : null);
  watch(link);
  return element;
}

export const skeleton = (): HTMLElement =>
  h('div', { class: 'card skeleton', 'aria-hidden': 'true' }, h('span', { class: 'picture' }), h('span', { class: 'name' }), h('span', { class: 'price' }, ' '));

const sentence = (words: string): string => words.charAt(0).toUpperCase() + words.slice(1);

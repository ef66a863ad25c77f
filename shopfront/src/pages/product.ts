// A product: what it is, what it costs and whether there are any, live; what goes with it.

import { formatMoney } from '../../../sdk/browser/src/widgets/index';
import type { ShopProduct, ShopVariant } from '../../../sdk/browser/src/index';
import * as basket from '../basket';
import { h, toast } from '../dom';
import type { Page, Shop } from '../shop';

/** Price and stock are asked for again so often while the page is looked at. */
const LIVE_MS = 8_000;
const STOCK = { plenty: 'In stock', few: 'Only a few left', out: 'Sold out' };
const NAMES: Record<string, string> = { made_in: 'Made in', colour_family: '' };

export const product: Page = async (shop, main, id) => {
  const { merx } = shop;
  const [found] = await merx.products([id]);
  if (!found) {
    document.title = 'Not sold any more · Tamarind';
    return void main.replaceChildren(h('div', { class: 'empty' }, h('h1', {}, 'This one is not sold any more'), h('a', { class: 'button', href: '/shop/' }, 'To the shop')), h('merx-trending', { count: 10 }));
  }
  document.title = `${found.name} · Tamarind`;
  let chosen = found.variants.length === 1 ? found.variants[0] : undefined;
  const facts = h('div', { class: 'facts' });
  let now = found;
  const draw = (): void => facts.replaceChildren(...about(shop, now, chosen, variant => { chosen = variant; draw(); }));
  draw();
  main.replaceChildren(
    h('nav', { class: 'crumbs', 'aria-label': 'You are here' }, ...found.category_path.flatMap(level => [h('a', { href: `/shop/c/${encodeURIComponent(level)}` }, level), h('span', {}, '›')]), h('span', {}, found.name)),
    h('section', { class: 'product' }, h('div', { class: 'picture' }, found.images[0] ? h('img', { src: found.images[0], alt: found.name, width: 800, height: 800, fetchpriority: 'high' }) : null), facts),
    h('merx-bundle', { product: id }),
    h('merx-recommendations', { scenario: 'similar', products: id, count: 12 }),
    h('merx-recommendations', { scenario: 'continue_session', exclude: id, count: 12 }),
  );
  merx.track('Product Viewed', { product_id: id, name: found.name, ...basket.toldPrice(found.price) });

  const timer = setInterval(async () => {
    if (document.hidden) return;
    const [fresh] = await merx.products([id]);
    if (!fresh || JSON.stringify(fresh) === JSON.stringify(now) || facts.contains(document.activeElement)) return;
    now = fresh;
    chosen = fresh.variants.find(variant => variant.id === chosen?.id);
    draw();
  }, LIVE_MS);
  return () => clearInterval(timer);
};

function about(shop: Shop, product: ShopProduct, chosen: ShopVariant | undefined, choose: (variant: ShopVariant) => void): HTMLElement[] {
  const price = chosen?.price ?? product.price;
  const list = chosen?.list_price ?? product.list_price;
  const off = price && list ? Math.round(100 * (1 - price.minor / list.minor)) : 0;
  const stock = chosen?.stock ?? (product.in_stock ? 'plenty' : 'out');
  const attributes = Object.entries(product.attributes).filter(([name, value]) => value !== false && NAMES[name] !== '');
  return [
    h('div', {}, product.brand ? h('a', { class: 'quiet', href: `/shop/search?q=${encodeURIComponent(product.brand)}` }, product.brand) : null, h('h1', {}, product.name)),
    h('div', { class: 'price', 'aria-live': 'polite' }, price ? formatMoney(price, shop.lang) : '', list ? h('s', {}, formatMoney(list, shop.lang)) : null, off > 0 ? h('span', { class: 'off' }, `${off} % off`) : null),
    h('div', { class: `stock ${stock}`, role: 'status' }, STOCK[stock]),
    ...choices(product, chosen, choose),
    h('div', { class: 'buy' }, addButton(shop, product, chosen, stock)),
    h('merx-back-in-stock', { product: product.id }),
    h('p', {}, product.description),
    h('dl', {}, ...attributes.flatMap(([name, value]) => [h('dt', {}, NAMES[name] ?? plain(name)), h('dd', {}, value === true ? 'Yes' : String(value))])),
  ];
}

function choices(product: ShopProduct, chosen: ShopVariant | undefined, choose: (variant: ShopVariant) => void): HTMLElement[] {
  const name = Object.keys(product.variants[0]?.attributes ?? {})[0];
  if (!name || product.variants.length < 2) return [];
  const options = product.variants.map(variant => h('label', {},
    h('input', { type: 'radio', name: 'variant', value: variant.id, checked: variant.id === chosen?.id, disabled: variant.stock === 'out', onchange: () => choose(variant) }),
    h('span', {}, String(variant.attributes[name] ?? variant.id))));
  return [h('fieldset', { class: 'choices' }, h('legend', {}, plain(name)), h('div', {}, ...options))];
}

function addButton({ merx, lang }: Shop, product: ShopProduct, chosen: ShopVariant | undefined, stock: keyof typeof STOCK): HTMLElement {
  const missing = product.variants.length > 1 && !chosen;
  const words = stock === 'out' ? STOCK.out : missing ? `Choose a ${Object.keys(product.variants[0]?.attributes ?? {})[0] ?? 'variant'}` : 'Add to basket';
  return h('button', { class: 'button', id: 'add', type: 'button', disabled: stock === 'out' || missing, lang: lang === 'en' ? null : 'en', onclick: () => {
    basket.add({ product_id: product.id, ...(chosen && { variant_id: chosen.id, label: Object.values(chosen.attributes).join(', ') }) });
    merx.track('Product Added', { product_id: product.id, quantity: 1, ...(chosen && { variant: chosen.id }), ...basket.toldPrice(product.price) });
    toast(`${product.name} is in your basket`);
  } }, words);
}

const plain = (name: string): string => (name.charAt(0).toUpperCase() + name.slice(1)).replace(/_/g, ' ');

// Basket, a checkout that pays nothing, and thanks.

import { major } from '../../../sdk/browser/src/index';
import { formatMoney } from '../../../sdk/browser/src/widgets/index';
import type { Merx, Money, ShopProduct } from '../../../sdk/browser/src/index';
import * as basket from '../basket';
import { h } from '../dom';
import type { Page } from '../shop';

interface Priced { line: basket.Line; product: ShopProduct; price: Money | undefined }

async function priced(merx: Merx): Promise<Priced[]> {
  const lines = basket.lines();
  const products = new Map((await merx.products([...new Set(lines.map(line => line.product_id))])).map(product => [product.id, product]));
  return lines.flatMap(line => {
    const product = products.get(line.product_id);
    const price = product?.variants.find(variant => variant.id === line.variant_id)?.price ?? product?.price ?? undefined;
    return product ? [{ line, product, price }] : [];
  });
}

function total(all: Priced[]): Money | undefined {
  const first = all.find(one => one.price)?.price;
  return first && { ...first, minor: all.reduce((sum, { line, price }) => sum + (price?.minor ?? 0) * line.quantity, 0) };
}

const empty = (): HTMLElement => h('div', { class: 'empty' }, h('h1', {}, 'Your basket is empty'), h('p', { class: 'quiet' }, 'Nothing in it yet; there is a lot on the shelves.'), h('a', { class: 'button', href: '/shop/' }, 'Look around'));

export const basketPage: Page = async (shop, main) => {
  const { merx, lang } = shop;
  let told = false;
  const draw = async (): Promise<void> => {
    const all = await priced(merx);
    if (!all.length) return main.replaceChildren(empty(), h('merx-recommendations', { scenario: 'for_you', count: 10 }));
    const sum = total(all);
    const ids = all.map(({ product }) => product.id);
    if (!told) merx.track('Cart Viewed', { products: all.map(({ line }) => ({ product_id: line.product_id, quantity: line.quantity })) });
    told = true;
    const rows = all.map(({ line, product, price }) => {
      const change = (by: number) => () => {
        basket.setQuantity(line, line.quantity + by);
        merx.track(by > 0 ? 'Product Added' : 'Product Removed', { product_id: line.product_id, quantity: 1 });
        void draw();
      };
      return h('div', { class: 'line' }, h('a', { href: product.url, 'aria-label': product.name }, product.images[0] ? h('img', { src: product.images[0], alt: '', width: 104, height: 104 }) : null),
        h('div', {}, h('a', { href: product.url }, product.name), line.label ? h('div', { class: 'quiet' }, line.label) : null,
          h('div', { class: 'count' }, h('button', { type: 'button', 'aria-label': `One less of ${product.name}`, onclick: change(-1) }, '−'), h('output', {}, String(line.quantity)), h('button', { type: 'button', 'aria-label': `One more of ${product.name}`, onclick: change(1) }, '+'))),
        h('div', { class: 'end' }, price ? formatMoney(basket.times(price, line.quantity), lang) : ''));
    });
    main.replaceChildren(h('h1', {}, 'Basket'),
      h('div', { class: 'split' }, h('div', { class: 'lines' }, ...rows),
        h('aside', { class: 'box', 'aria-label': 'Sum' }, h('h2', {}, 'Sum'), h('div', { class: 'sum' }, h('span', {}, 'Delivery'), h('span', {}, 'Free')),
          h('div', { class: 'sum total' }, h('span', {}, 'Total'), h('span', { id: 'total' }, sum ? formatMoney(sum, lang) : '')), h('a', { class: 'button', id: 'to-checkout', href: '/shop/checkout' }, 'Checkout'))),
      h('merx-recommendations', { scenario: 'complete_basket', products: ids.join(','), exclude: ids.join(','), count: 10 }));
  };
  await draw();
};

const FIELDS: [string, string, string, string][] = [
  ['name', 'Name', 'text', 'name'], ['email', 'E-mail', 'email', 'email'], ['street', 'Street and number', 'text', 'street-address'], ['postcode', 'Postcode', 'text', 'postal-code'], ['city', 'City', 'text', 'address-level2'],
];

export const checkout: Page = async ({ merx, go, lang }, main) => {
  const all = await priced(merx);
  if (!all.length) return void main.replaceChildren(empty());
  const sum = total(all);
  const products = all.map(({ line, price }) => basket.told(line, price));
  const money = sum ? { currency: sum.currency } : {};
  merx.track('Checkout Started', { products, ...money });
  const order = (event: Event): void => {
    event.preventDefault();
    // The address stays in this page: an order that nobody delivers needs none.
    const order_id = `T${Date.now().toString(36).toUpperCase()}`;
    merx.track('Order Completed', { order_id, products, ...money, ...(sum && { total: major(sum), revenue: major(sum) }) });
    basket.clear();
    void merx.flush();
    go(`/shop/thanks?order=${order_id}`);
  };
  const fields = FIELDS.map(([name, label, type, autocomplete]) => h('label', { class: name === 'street' ? 'wide' : '' }, label, h('input', { name, type, autocomplete, required: true })));
  main.replaceChildren(h('h1', {}, 'Checkout'), h('div', { class: 'split' },
    h('form', { class: 'fields', onsubmit: order }, ...fields, h('p', { class: 'quiet wide' }, 'A demonstration: no payment is asked for, nothing is delivered, and the address leaves this page for nowhere.'), h('button', { class: 'button wide', id: 'order' }, 'Place the order')),
    h('aside', { class: 'box', 'aria-label': 'Your order' }, h('h2', {}, 'Your order'),
      ...all.map(({ line, product, price }) => h('div', { class: 'sum' }, h('span', {}, `${line.quantity} × ${product.name}`), h('span', {}, price ? formatMoney(basket.times(price, line.quantity), lang) : ''))),
      h('div', { class: 'sum total' }, h('span', {}, 'Total'), h('span', {}, sum ? formatMoney(sum, lang) : '')))));
};

export const thanks: Page = (_, main, __, query) => {
  main.replaceChildren(h('div', { class: 'empty' }, h('h1', {}, 'Thank you'), h('p', {}, 'Your order ', h('code', { id: 'order-id' }, query.get('order') ?? ''), ' was placed, and cost nothing.'), h('a', { class: 'button', href: '/shop/' }, 'Back to the shop')),
    h('merx-recommendations', { scenario: 'for_you', count: 10 }));
};

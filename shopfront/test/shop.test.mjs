import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decoded, route } from '../src/address';
import { told, toldPrice } from '../src/basket';

const PLACES = [[/^$/, 'home'], [/^p\/(.+)$/, 'product'], [/^c\/(.+)$/, 'category']];

test('a name in an address is decoded once', () => {
  assert.deepEqual(route(PLACES, '/shop/'), { to: 'home', rest: '' });
  assert.deepEqual(route(PLACES, '/shop/c/100%25%20cotton'), { to: 'category', rest: '100% cotton' });
  assert.deepEqual(route(PLACES, '/shop/c/100%2525'), { to: 'category', rest: '100%25' });
  assert.deepEqual(route(PLACES, '/shop/p/a%2Fb/'), { to: 'product', rest: 'a/b' });
  assert.equal(route(PLACES, '/shop/nowhere'), undefined);
});

test('an address that means nothing is no blank page', () => {
  assert.deepEqual(route(PLACES, '/shop/c/100%'), { to: 'category', rest: '100%' });
  assert.equal(decoded('/shop/%zz'), '/shop/%zz');
});

test('events tell prices in major units of their currency', () => {
  assert.deepEqual(told({ product_id: 'p1', variant_id: 'v1', quantity: 2 }, { minor: 1200, currency: 'JPY' }), { product_id: 'p1', variant: 'v1', quantity: 2, price: 1200 });
  assert.deepEqual(toldPrice({ minor: 1899, currency: 'EUR' }), { price: 18.99, currency: 'EUR' });
  assert.deepEqual(toldPrice(null), {});
});

// Our own Node client, as `npm pack` packs it, against a server.
import assert from 'node:assert/strict';
import { MerxClient, MerxError } from '@merx/client';
import { check, eventually, finish, origin, run } from './server.mjs';

const merx = new MerxClient({ url: origin, key: process.argv[3] });
const id = `node-${run}`;
await merx.put('/v1/products/{id}', { path: { id }, body: { name: 'Node Bag', variants: [{ id: `${id}-1`, prices: [{ amount: { minor: 1899, currency: 'EUR' } }] }] } });
const product = await merx.get('/v1/products/{id}', { path: { id } });
check('a product is put and read', product.name === 'Node Bag', product);
const visitor = `node-visitor-${run}`;
const event = { anonymousId: visitor, event: 'Product Viewed', properties: { product_id: id }, messageId: `m-${run}` };
check('events are taken, twice is once', (await merx.track([event, event])).length === 0);
const recent = async () => {
  const { slots } = await merx.post('/v1/recommend', { body: { anonymous_id: visitor, slots: [{ scenario: 'recently_viewed', count: 3 }] } });
  return slots[0].items.map(item => item.product_id);
};
await eventually('the next answer knows what was viewed', recent, ids => ids.includes(id));
let [count, found] = [0, false];
for await (const { id: one } of merx.all('/v1/products', 100)) { count += 1; found ||= one === id; }
check('all products come, page after page', found && count > 100, count);
await assert.rejects(merx.post('/v1/recommend', { body: { slots: [{ scenario: 'guess' }] } }), error => error instanceof MerxError && error.errors[0].at === 'slots[0].scenario');
await merx.delete('/v1/products/{id}', { path: { id } });
await assert.rejects(merx.get('/v1/products/{id}', { path: { id: `${id}-none` } }), { status: 404, code: 'not_found' });
check('refusals are errors with a place and a code', true);
finish();

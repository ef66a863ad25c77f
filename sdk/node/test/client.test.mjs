import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { MerxClient, MerxError } from '../dist/index.js';

let answers = [];
const calls = [];
const server = createServer((request, reply) => {
  let text = '';
  request.on('data', part => { text += part; });
  request.on('end', () => {
    calls.push({ method: request.method, url: request.url, body: text && JSON.parse(text), key: request.headers.authorization });
    const { status = 200, json = {}, headers = {} } = answers.shift() ?? {};
    if (status === 0) return request.socket.destroy();
    reply.writeHead(status, { 'Content-Type': 'application/json', ...headers });
    reply.end(status === 204 ? '' : JSON.stringify(json));
  });
});
let merx;
before(async () => {
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  merx = new MerxClient({ url: `http://127.0.0.1:${server.address().port}/`, key: 'mx_sec_1' });
});
after(() => server.close());
const given = (...next) => { answers = next; calls.length = 0; };

test('paths, queries and keys are put in', async () => {
  given({ json: { id: 'a/b' } });
  assert.deepEqual(await merx.get('/v1/products/{id}', { path: { id: 'a/b' } }), { id: 'a/b' });
  assert.deepEqual([calls[0].url, calls[0].key], ['/v1/products/a%2Fb', 'Bearer mx_sec_1']);
});

test('what twice is once is tried again; what makes a new thing is not', async () => {
  given({ status: 0 }, { status: 503 }, { json: { fine: true } });
  assert.deepEqual(await merx.get('/v1/orders'), { fine: true });
  assert.equal(calls.length, 3);
  given({ status: 503, json: { code: 'not_ready' } }, {});
  await assert.rejects(merx.post('/v1/jobs', { body: { kind: 'train' } }), { code: 'not_ready' });
  assert.equal(calls.length, 1);
  given({ status: 429, headers: { 'Retry-After': '0.01' } }, { json: { id: 'j1' } });
  assert.deepEqual(await merx.post('/v1/jobs', { body: { kind: 'train' } }), { id: 'j1' });
});

test('of POSTs only what asks, puts in place or has an id of its own is tried again', async () => {
  const attempts = async (path, call) => {
    given({ status: 503, json: { code: 'not_ready' } }, { json: {} });
    await merx.post(path, call).catch(error => assert.equal(error.code, 'not_ready'));
    return calls.length;
  };
  const [event, named] = [{ anonymousId: 'a', event: 'X' }, { anonymousId: 'a', event: 'X', messageId: 'm1' }];
  for (const [path, call] of [
    ['/v1/models/{name}/promote', { path: { name: 'blend' }, body: { version: 3 } }], ['/v1/models/{name}/rollback', { path: { name: 'blend' } }],
    ['/v1/privacy/requests', { body: {} }], ['/v1/approvals/{number}/approve', { path: { number: 1 }, body: {} }],
    ['/1/indexes/{index}', { path: { index: 'i' }, body: {} }], ['/1/indexes/{index}/batch', { path: { index: 'i' }, body: { requests: [] } }],
    ['/1/indexes/{index}/{objectID}/partial', { path: { index: 'i', objectID: 'query' }, body: {} }],
    ['/v1/track', { body: event }], ['/v1/batch', { body: { batch: [named, event] } }],
  ]) assert.equal(await attempts(path, call), 1, path);
  for (const [path, call] of [
    ['/v1/recommend', { body: {} }], ['/v1/search', { body: {} }], ['/v1/suggest', { body: {} }], ['/v1/facets', { body: {} }],
    ['/v1/products/batch', { body: {} }], ['/v1/stock/batch', { body: {} }], ['/v1/decisions/{id}/replay', { path: { id: 'd' } }],
    ['/1/indexes/{index}/query', { path: { index: 'i' }, body: {} }],
    ['/v1/track', { body: named }], ['/v1/identify', { body: named }], ['/v1/batch', { body: { batch: [named] } }],
  ]) assert.equal(await attempts(path, call), 2, path);
});

test('a refusal says what and where, once', async () => {
  given({ status: 422, json: { code: 'invalid_request', hint: 'look', errors: [{ at: 'slots[0]', code: 'x', detail: 'wrong' }] } });
  const error = await merx.post('/v1/recommend', { body: { slots: [] } }).catch(error => error);
  assert.ok(error instanceof MerxError);
  assert.deepEqual([error.status, error.code, error.hint, error.message, calls.length], [422, 'invalid_request', 'look', 'slots[0]: wrong', 1]);
});

test('lists come page after page', async () => {
  given({ json: { items: [{ id: 1 }, { id: 2 }], next_cursor: 'c 1' } }, { json: { items: [{ id: 3 }], next_cursor: null } });
  const ids = [];
  for await (const product of merx.all('/v1/products', 2)) ids.push(product.id);
  assert.deepEqual(ids, [1, 2, 3]);
  assert.equal(calls[1].url, '/v1/products?limit=2&cursor=c+1');
});

test('events keep their id over attempts, and come in batches', async () => {
  given({ status: 503 }, { json: { success: true, rejected: [{ at: 'batch[0]', code: 'x', detail: 'y' }] } });
  assert.equal((await merx.track([{ anonymousId: 'a', event: 'Product Viewed' }])).length, 1);
  assert.equal(calls[0].body.batch[0].messageId, calls[1].body.batch[0].messageId);
  given();
  await merx.track(Array.from({ length: 1_100 }, () => ({ anonymousId: 'a', event: 'X' })));
  assert.deepEqual(calls.map(call => call.body.batch.length), [500, 500, 100]);
  const refused = place => ({ json: { rejected: [{ at: `batch[${place}]`, code: 'x', detail: 'y' }] } });
  given(refused(3), refused(4), {});
  const places = await merx.track(Array.from({ length: 1_100 }, () => ({ anonymousId: 'a', event: 'X' })));
  assert.deepEqual(places.map(one => one.at), ['batch[3]', 'batch[504]']);
});

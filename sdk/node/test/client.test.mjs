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
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMerx } from '../src/index';
import { calls, openPage, settings, YES } from './page';

const ANSWER = { decision_id: 'd1', slots: [{ name: 'for_you', items: [{ product_id: 'p1', name: 'Bag', score: 1, reasons: [] }] }], fallback: 'live_model', arm: 'treated', latency_us: 40 };

test('asks as the visitor, with consent', async () => {
  openPage({ answer: () => ({ json: ANSWER }) });
  const merx = createMerx({ ...settings, market: 'gb', campaign: 'winter-sale', consent: { analytics: true, personalisation: false } });
  const answer = await merx.recommend([{ scenario: 'for_you', count: 4 }]);
  assert.equal(answer?.slots[0]?.items[0]?.product_id, 'p1');
  assert.deepEqual(calls[0]?.body, {
    anonymous_id: merx.visitor, market: 'gb', campaign: 'winter-sale', device: 'desktop', consent: { personalisation: false, analytics: true },
    slots: [{ scenario: 'for_you', count: 4 }],
  });
});

test('a page asks for the order of its blocks, and has its own where there is none', async () => {
  let up = true;
  const laidOut = { decision_id: 'd2', page: 'home', blocks: [{ id: 'new' }, { id: 'hero' }], propensity: 0.5, fallback: 'live_model', arm: 'treated', latency_us: 30 };
  openPage({ answer: () => (up ? { json: laidOut } : 'down') });
  const merx = createMerx({ ...settings, consent: YES });
  const layout = await merx.layout('home', [{ id: 'hero', fixed: true }, { id: 'new' }], { count: 2 });
  assert.deepEqual(layout?.blocks.map(({ id }) => id), ['new', 'hero']);
  assert.deepEqual([calls[0]?.path, calls[0]?.body.page, calls[0]?.body.blocks, calls[0]?.body.count], ['/v1/layout', 'home', [{ id: 'hero', fixed: true }, { id: 'new' }], 2]);
  up = false;
  assert.equal((await merx.layout('home', [{ id: 'hero' }]))?.stale, true);
  assert.equal(await merx.layout('basket', [{ id: 'hero' }]), null);
});

test('Global Privacy Control goes with every question', async () => {
  openPage({ gpc: true, answer: () => ({ json: ANSWER }) });
  await createMerx({ ...settings, consent: { ...YES, sale_sharing: true } }).recommend([{ scenario: 'for_you' }]);
  assert.equal(calls[0]?.body.consent.sale_sharing, false);
});

test('when Merx is away, the last good answer to the same question stands in; to another one, nothing does', async () => {
  let up = true;
  openPage({ answer: () => (up ? { json: ANSWER } : 'down') });
  const merx = createMerx({ ...settings, consent: YES });
  await merx.recommend([{ scenario: 'for_you' }]);
  up = false;
  const kept = await merx.recommend([{ scenario: 'for_you' }]);
  assert.deepEqual([kept?.stale, kept?.decision_id], [true, 'd1']);
  assert.equal(await merx.recommend([{ scenario: 'trending' }]), null);
  assert.deepEqual(await merx.suggest('bag'), []);
  assert.deepEqual(await merx.products(['p1']), []);
  assert.equal(await merx.has('assistant'), false);
});

test('a server that says nothing holds no page up', async () => {
  openPage({ answer: () => 'silent' });
  const merx = createMerx({ ...settings, consent: YES, timeoutMs: 20 });
  const began = performance.now();
  assert.equal(await merx.search({ query: 'bag' }), null);
  assert.ok(performance.now() - began < 2_000);
});

test('errors of the server are no answers', async () => {
  openPage({ answer: () => ({ status: 503, json: { code: 'not_ready' } }) });
  assert.equal(await createMerx({ ...settings, consent: YES }).recommend([{ scenario: 'for_you' }]), null);
});

test('whoever looks in sees decisions and events, those before too', async () => {
  openPage({ answer: () => ({ json: ANSWER }) });
  const merx = createMerx({ ...settings, consent: {} });
  await merx.recommend([{ scenario: 'for_you' }]);
  merx.track('Product Viewed', { product_id: 'p1' });
  const seen: unknown[] = [];
  merx.listen(note => seen.push(note.kind === 'event' ? [note.name, note.state] : [note.of, note.answer.decision_id]));
  assert.deepEqual(seen, [['for_you', 'd1'], ['Product Viewed', 'waits for consent']]);
});

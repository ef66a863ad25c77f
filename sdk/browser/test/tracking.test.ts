import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { createMerx } from '../src/index';
import { type Call, batches, calls, openPage, pass, scrollTo, settings, told, waiting, YES } from './page';

beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_800_000_000_000 }));
afterEach(() => mock.timers.reset());

test('events go out together, with who, where and what is allowed', async () => {
  openPage();
  const merx = createMerx({ ...settings, consent: YES, market: 'de' });
  merx.page('Product');
  merx.track('Product Viewed', { product_id: 'p1', price: 19.99, currency: 'EUR' });
  assert.deepEqual(calls, [], 'the page is not held up');
  await pass(300);
  assert.equal(batches().length, 1);
  const [page, viewed] = told() as [any, any];
  assert.equal(page.type, 'page');
  assert.equal(viewed.event, 'Product Viewed');
  assert.equal(viewed.anonymousId, merx.visitor);
  assert.match(viewed.messageId, /^[0-9a-f]{32}$/);
  assert.deepEqual(viewed.context.consent.categoryPreferences, { Analytics: true, Personalisation: true });
  assert.equal(viewed.context.market, 'de');
  assert.equal((calls as Call[])[0]?.headers.Authorization, 'Bearer mx_pub_1');
  await pass(1_000);
  assert.equal(batches().length, 1, 'what was taken is not sent again');
});

test('nothing is sent or kept before the shopper has said yes, and then everything of this page is', async () => {
  const window = openPage();
  const merx = createMerx(settings);
  merx.track('Product Viewed', { product_id: 'p1' });
  const visitor = merx.visitor;
  await pass(2_000);
  assert.deepEqual(calls, []);
  assert.equal(window.document.cookie, '');
  assert.equal(window.localStorage.length, 0);
  merx.consent.set(YES);
  await pass(300);
  assert.deepEqual(told().map(event => event.event), ['Product Viewed', 'Segment Consent Preference Updated']);
  assert.ok(told().every(event => event.anonymousId === visitor), 'the page and its visitor stay one');
  assert.equal(window.document.cookie, `merx_id=${visitor}`);
});

test('a refusal tells the server once, and leaves nothing behind', async () => {
  const window = openPage();
  const merx = createMerx({ ...settings, consent: YES });
  merx.track('Product Viewed', { product_id: 'p1' });
  const visitor = merx.visitor;
  merx.consent.set({ analytics: false, personalisation: false });
  merx.track('Product Viewed', { product_id: 'p2' });
  await pass(2_000);
  assert.deepEqual(told().map(event => event.event), ['Segment Consent Preference Updated']);
  assert.equal(told()[0]?.anonymousId, visitor, 'the server knows whose refusal it is');
  assert.deepEqual(told()[0]?.context.consent.categoryPreferences, { Analytics: false, Personalisation: false });
  assert.equal(window.document.cookie, '');
  assert.notEqual(merx.visitor, visitor);
  assert.deepEqual(Object.keys(window.localStorage), ['merx.consent']);
});

test('another purpose chosen first leaves analytics open', async () => {
  openPage();
  const merx = createMerx(settings);
  merx.track('Product Viewed', { product_id: 'p1' });
  const visitor = merx.visitor;
  merx.consent.set({ marketing: false });
  await pass(2_000);
  assert.deepEqual(calls, [], 'nothing is told before analytics was answered');
  merx.consent.set({ analytics: true });
  await pass(300);
  assert.deepEqual(told().map(event => [event.event, event.anonymousId]), [['Product Viewed', visitor], ['Segment Consent Preference Updated', visitor]]);
  assert.deepEqual(told()[1]?.context.consent.categoryPreferences, { Marketing: false, Analytics: true });
});

test('a refusal on a later page names the visitor of the earlier ones', async () => {
  const window = openPage();
  const earlier = createMerx(settings);
  earlier.consent.set(YES);
  const visitor = earlier.visitor;
  await pass(300);
  openPage({ keep: window });
  createMerx(settings).consent.set({ analytics: false });
  await pass(300);
  assert.deepEqual(told().map(event => event.anonymousId), [visitor]);
  assert.equal(window.document.cookie, '');
});

test('a refusal that could not be told yet outlives further choices', async () => {
  let up = false;
  openPage({ answer: () => (up ? { json: {} } : 'down') });
  const merx = createMerx({ ...settings, consent: YES });
  const visitor = merx.visitor;
  merx.consent.set({ analytics: false });
  merx.consent.set({ marketing: false });
  await pass(300);
  up = true;
  calls.length = 0;
  await pass(5_000);
  assert.equal(told()[0]?.anonymousId, visitor);
});

test('without consent nothing personal outlives the page; with it, what the page held does', async () => {
  const answer = { decision_id: 'd1', slots: [], hits: [] };
  const window = openPage({ answer: () => ({ json: answer }) });
  const merx = createMerx(settings);
  merx.identify('c1');
  merx.clicked({ decision_id: 'd1', product_id: 'p1', position: 1 });
  await merx.search({ query: 'a private word' });
  assert.equal(window.localStorage.length, 0);
  assert.equal(merx.user, 'c1');
  merx.consent.set(YES);
  const kept = () => Object.keys(window.localStorage).filter(name => !name.startsWith('merx.queue')).sort();
  assert.deepEqual(kept(), ['merx.answers', 'merx.clicked', 'merx.consent', 'merx.user', 'merx.visitor']);
  merx.consent.set({ analytics: false });
  await pass(300);
  assert.deepEqual(kept(), ['merx.consent']);
});

test('lines that one decision led to share it, and a line\'s own decision stands', async () => {
  openPage();
  const merx = createMerx({ ...settings, consent: YES });
  merx.clicked({ decision_id: 'd1', product_id: 'p1', position: 1 });
  merx.clicked({ decision_id: 'd2', product_id: 'p2', position: 2 });
  merx.track('Order Completed', { order_id: 'o1', products: [{ product_id: 'p1' }, { product_id: 'p9', decision_id: 'd1' }] });
  merx.track('Order Completed', { order_id: 'o2', products: [{ product_id: 'p1' }, { product_id: 'p2' }] });
  await pass(300);
  const [one, two] = told().filter(event => event.event === 'Order Completed').map(event => event.properties);
  assert.deepEqual(one, { order_id: 'o1', decision_id: 'd1', products: [{ product_id: 'p1', decision_id: 'd1' }, { product_id: 'p9', decision_id: 'd1' }] });
  assert.deepEqual(two, { order_id: 'o2', products: [{ product_id: 'p1', decision_id: 'd1' }, { product_id: 'p2', decision_id: 'd2' }] });
});

test('Global Privacy Control refuses sale and sharing, whatever else is said', async () => {
  openPage({ gpc: true });
  const merx = createMerx({ ...settings, consent: { ...YES, sale_sharing: true } });
  merx.track('Product Viewed', { product_id: 'p1' });
  await pass(300);
  assert.equal(told()[0]?.context.consent.categoryPreferences.DataSharing, false);
});

test('what can\'t be sent is sent later, in order, under the same ids', async () => {
  let up = false;
  const window = openPage({ answer: () => (up ? { json: {} } : 'down') });
  const merx = createMerx({ ...settings, consent: YES });
  merx.track('Product Viewed', { product_id: 'p1' });
  await pass(400);
  const first = told().map(event => event.messageId);
  assert.equal(first.length, 1);
  merx.track('Product Viewed', { product_id: 'p2' });
  await pass(200);
  assert.equal(batches().length, 1, 'a server in trouble is left alone for a while');

  // The shopper goes on to the next page; it finds what the last one could not send.
  window.dispatchEvent(new window.Event('pagehide'));
  openPage({ keep: window, answer: () => (up ? { json: {} } : 'down') });
  up = true;
  createMerx({ ...settings, consent: YES });
  await pass(300);
  assert.deepEqual(told().map(event => event.properties.product_id), ['p1', 'p2']);
  assert.equal(told()[0]?.messageId, first[0]);
});

test('429 waits as long as the server says; a refused batch is not sent again', async () => {
  let status = 429;
  openPage({ answer: () => ({ status, headers: { 'Retry-After': '7' } }) });
  const merx = createMerx({ ...settings, consent: YES });
  merx.track('Product Viewed', { product_id: 'p1' });
  await pass(6_500);
  assert.equal(batches().length, 1);
  status = 400;
  await pass(1_000);
  assert.equal(batches().length, 2);
  await pass(120_000);
  assert.equal(batches().length, 2);
});

test('a flush meanwhile does not hurry a server that asked for time', async () => {
  openPage({ answer: () => ({ status: 429, headers: { 'Retry-After': '7' } }) });
  const merx = createMerx({ ...settings, consent: YES });
  merx.track('Product Viewed', { product_id: 'p1' });
  void merx.flush();
  void merx.flush();
  await pass(1_000);
  void merx.flush();
  await pass(5_500);
  assert.equal(batches().length, 1);
  await pass(1_000);
  assert.equal(batches().length, 2);
});

test('a flush meanwhile does not try again at once what has just failed', async () => {
  openPage({ answer: () => 'down' });
  const merx = createMerx({ ...settings, consent: YES });
  merx.track('Product Viewed', { product_id: 'p1' });
  void merx.flush();
  void merx.flush();
  await pass(100);
  assert.equal(batches().length, 1);
});

test('tabs keep what they could not send beside each other, and the next page sends all of it', async () => {
  const window = openPage({ answer: () => 'down' });
  const [one, other] = [createMerx({ ...settings, consent: YES }), createMerx({ ...settings, consent: YES })];
  one.track('Product Viewed', { product_id: 'p1' });
  other.track('Product Viewed', { product_id: 'p2' });
  await pass(300);
  openPage({ keep: window });
  createMerx({ ...settings, consent: YES });
  await pass(100);
  assert.deepEqual(calls, [], 'tabs that live look after their own');
  window.dispatchEvent(new window.Event('pagehide'));
  openPage({ keep: window });
  createMerx({ ...settings, consent: YES });
  await pass(300);
  assert.deepEqual(told().map(event => event.properties.product_id), ['p1', 'p2']);
  assert.deepEqual(waiting(), []);
});

test('what a tab that crashed kept is sent by a later page', async () => {
  const window = openPage();
  const kept = (at: number, messageId: string) => JSON.stringify({ at, left: false, waiting: [{ type: 'track', messageId }] });
  window.localStorage.setItem('merx.queue.living', kept(Date.now() - 60_000, 'living'));
  window.localStorage.setItem('merx.queue.crashed', kept(Date.now() - 6 * 60_000, 'crashed'));
  createMerx({ ...settings, consent: YES });
  await pass(300);
  assert.deepEqual(told().map(event => event.messageId), ['crashed']);
  assert.deepEqual(waiting().map(event => event.messageId), ['living']);
});

test('a page that is shown again leaves what the next one took over to it', async () => {
  let up = false;
  const window = openPage({ answer: () => (up ? { json: {} } : 'down') });
  createMerx({ ...settings, consent: YES }).track('Product Viewed', { product_id: 'p1' });
  await pass(300);
  window.dispatchEvent(new window.Event('pagehide'));
  await pass(50);
  openPage({ keep: window, answer: () => (up ? { json: {} } : 'down') });
  up = true;
  createMerx({ ...settings, consent: YES });
  window.dispatchEvent(Object.assign(new window.Event('pageshow'), { persisted: true }));
  await pass(5_000);
  assert.deepEqual(told().map(event => event.properties.product_id), ['p1']);
});

test('a queue is bounded and keeps the newest', async () => {
  openPage({ answer: () => 'down' });
  const merx = createMerx({ ...settings, consent: YES });
  for (let number = 0; number < 700; number += 1) merx.track('Product Viewed', { product_id: `p${number}` });
  await pass(300);
  const kept = waiting();
  assert.equal(kept.length, 500);
  assert.equal(kept.at(-1)?.properties.product_id, 'p699');
});

test('a page that is left sends what waits, and may be closed meanwhile', async () => {
  const window = openPage();
  const merx = createMerx({ ...settings, consent: YES });
  merx.track('Product Added', { product_id: 'p1' });
  window.dispatchEvent(new window.Event('pagehide'));
  await pass(50);
  assert.equal(calls[0]?.keepalive, true);
});

test('half a second in view is a view, told once for a decision; a click is remembered until the order', async () => {
  const window = openPage();
  const merx = createMerx({ ...settings, consent: YES });
  const show = (product_id: string, position: number) => {
    const element = window.document.createElement('a') as unknown as HTMLElement;
    merx.watch(element, { decision_id: 'd1', product_id, position, slot: 'home' });
    return element;
  };
  const [first, second, passing] = [show('p1', 1), show('p2', 2), show('p3', 3)];
  scrollTo(first, true);
  scrollTo(second, true);
  scrollTo(passing, true);
  await pass(300);
  scrollTo(passing, false);
  await pass(1_200);
  const shown = told().filter(event => event.event === 'Recommendation Shown');
  assert.deepEqual(shown.map(event => event.properties), [
    { decision_id: 'd1', slot: 'home', products: [{ product_id: 'p1', position: 1 }, { product_id: 'p2', position: 2 }] },
  ]);
  first.click();
  merx.track('Product Added', { product_id: 'p1' });
  merx.track('Product Added', { product_id: 'p9' });
  merx.track('Order Completed', { order_id: 'o1', products: [{ product_id: 'p9' }, { product_id: 'p1' }] });
  await pass(300);
  const outcome = (name: string) => told().filter(event => event.event === name).map(event => event.properties.decision_id);
  assert.deepEqual(outcome('Product Clicked'), ['d1']);
  assert.deepEqual(outcome('Product Added'), ['d1', undefined]);
  const order = told().find(event => event.event === 'Order Completed') as any;
  assert.equal(order.properties.decision_id, undefined, 'the decision led to one of its lines only');
  assert.deepEqual(order.properties.products, [{ product_id: 'p9' }, { product_id: 'p1', decision_id: 'd1' }]);
  mock.timers.setTime(1_800_000_000_000 + 25 * 3600 * 1000);
  merx.track('Product Added', { product_id: 'p1' });
  await pass(300);
  assert.equal(outcome('Product Added').at(-1), undefined, 'a day later it is another visit');
});

test('a customer who signs out leaves another visitor', async () => {
  openPage();
  const merx = createMerx({ ...settings, consent: YES });
  const visitor = merx.visitor;
  merx.identify('c1', { plan: 'gold' });
  merx.track('Product Viewed', { product_id: 'p1' });
  await pass(300);
  assert.deepEqual(told().map(event => [event.anonymousId, event.userId]), [[visitor, 'c1'], [visitor, 'c1']]);
  merx.reset();
  assert.equal(merx.user, undefined);
  assert.notEqual(merx.visitor, visitor);
});

test('who signs out leaves no clicks, notes or waiting events to whoever comes next', async () => {
  openPage();
  const merx = createMerx(settings);
  merx.clicked({ decision_id: 'd1', product_id: 'p1', position: 1 });
  merx.reset();
  const seen: unknown[] = [];
  merx.listen(note => seen.push(note));
  assert.deepEqual(seen, []);
  merx.consent.set(YES);
  merx.track('Product Added', { product_id: 'p1' });
  await pass(300);
  assert.deepEqual(told().map(event => event.event), ['Segment Consent Preference Updated', 'Product Added']);
  assert.equal(told()[1]?.properties.decision_id, undefined);
});

test('what is said in one tab counts in all, and is told by one', async () => {
  const window = openPage();
  const [one, other] = [createMerx(settings), createMerx(settings)];
  const heard = () => window.dispatchEvent(Object.assign(new window.Event('storage'), { key: 'merx.consent' }));
  other.track('Product Viewed', { product_id: 'p1' });
  void other.visitor;
  one.consent.set(YES);
  void one.visitor;
  heard();
  await pass(300);
  assert.deepEqual(told().filter(event => event.event !== 'Product Viewed').length, 1);
  assert.deepEqual(told().filter(event => event.event === 'Product Viewed').map(event => event.anonymousId), [one.visitor], 'both tabs are one visitor');
  other.track('Product Viewed', { product_id: 'p2' });
  one.consent.set({ analytics: false });
  heard();
  other.track('Product Viewed', { product_id: 'p3' });
  calls.length = 0;
  await pass(1_000);
  assert.deepEqual(told().map(event => event.event), [], 'the refusal went out at once, nothing comes after it');
  assert.deepEqual(Object.keys(window.localStorage), ['merx.consent']);
});

test('who wants nothing persisted gets no cookie either', async () => {
  const window = openPage();
  const merx = createMerx({ ...settings, consent: YES, persist: false });
  merx.identify('c1');
  await pass(300);
  assert.equal(told().length, 1);
  assert.equal(window.document.cookie, '');
  assert.equal(window.localStorage.length, 0);
});

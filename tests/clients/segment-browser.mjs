// @segment/analytics-next in jsdom: settings from the server and an event a request, then settings inline and a batch.
import { JSDOM } from 'jsdom';
import { check, counts, eventually, finish, history, origin, run, sleep, writeKey } from './server.mjs';

// Node as a page. (No CORS in here: the server's own tests look at preflights.)
const { window } = new JSDOM('<!doctype html><title>Shop</title>', { url: `${origin}/shop?utm_source=letter`, pretendToBeVisual: true });
for (const name of ['window', 'document', 'navigator', 'location', 'history', 'screen', 'localStorage', 'sessionStorage', 'CustomEvent', 'Event', 'HTMLElement', 'Element', 'Node', 'XMLHttpRequest'])
  Object.defineProperty(globalThis, name, { value: name === 'window' ? window : window[name], configurable: true, writable: true });
const replies = [], plain = globalThis.fetch;
globalThis.fetch = window.fetch = async (url, init) => {
  const reply = await plain(url, init);
  replies.push({ path: new URL(String(url)).pathname, status: reply.status });
  return reply;
};
const { AnalyticsBrowser } = await import('@segment/analytics-next');

const [user, single, batched] = [`web-user-${run}`, `web-boot-${run}`, `web-shoe-${run}`];
const { protocol, host } = new URL(origin);
const target = { apiHost: `${host}/v1`, protocol: protocol.replace(':', '') };
const before = await counts();

const a = AnalyticsBrowser.load({ writeKey, cdnURL: origin }, { integrations: { 'Segment.io': target } });
await a.page('Shop', 'Home');
await a.identify(user, { email: `${user}@example.com` });
await a.track('Product Viewed', { product_id: single, price: 18.99, currency: 'usd' });
await a.group('club', { name: 'Club' });
await a.alias(`${user}-new`, user);
await sleep(500);
const first = await counts();
check('five events stored', first.accepted - before.accepted === 5, first);

const delivery = { deliveryStrategy: { strategy: 'batching', config: { size: 3, timeout: 500 } } };
const b = AnalyticsBrowser.load({ writeKey, cdnSettings: { integrations: { 'Segment.io': { apiKey: writeKey } } } }, { integrations: { 'Segment.io': { ...target, ...delivery } } });
b.track('Product List Viewed', { list_id: 'l1', products: [{ product_id: batched, position: 1 }] });
b.track('Product Clicked', { product_id: batched, position: 1 });
b.track('Cart Viewed', { cart_id: 'c1', products: [] });
await sleep(2_000);
const second = await counts();
check('a batch of three stored', second.accepted - first.accepted === 3, second);
check('none refused', second.rejected === before.rejected, second);
check('settings came from the server', replies.some(reply => reply.path.endsWith('/settings')));
for (const path of ['p', 'i', 't', 'g', 'a', 'b']) check(`POST /v1/${path}`, replies.some(reply => reply.path === `/v1/${path}`));
check('every reply is 200', replies.every(reply => reply.status === 200), replies.filter(reply => reply.status !== 200));
await eventually('the next answer knows both', () => history({ user_id: user }), seen => [single, batched].every(product => seen.includes(product)));
finish();

// @segment/analytics-node: one batch with every kind of call, then the same once more.
import { Analytics } from '@segment/analytics-node';
import { api, check, counts, eventually, finish, history, origin, run, writeKey } from './server.mjs';

const [user, visitor, product] = [`node-user-${run}`, `node-visitor-${run}`, `node-boot-${run}`];
const calls = analytics => {
  const at = new Date('2026-11-01T10:00:00.000Z');
  const id = name => ({ messageId: `${name}-${run}`, timestamp: at });
  analytics.identify({ ...id('identify'), userId: user, anonymousId: visitor, traits: { email: `${user}@example.com`, plan: 'gold' } });
  analytics.page({ ...id('page'), userId: user, category: 'Shop', name: 'Home', properties: { url: 'https://shop.example/' } });
  analytics.screen({ ...id('screen'), anonymousId: visitor, name: 'Cart' });
  analytics.group({ ...id('group'), userId: user, groupId: 'club', traits: { name: 'Club' } });
  analytics.alias({ ...id('alias'), userId: user, previousId: visitor });
  analytics.track({ ...id('search'), userId: user, event: 'Products Searched', properties: { query: 'blue boots' } });
  analytics.track({
    ...id('view'), userId: user, event: 'Product Viewed',
    properties: { product_id: product, sku: `${product}-42`, name: 'Blue Boot', category: 'Shoes', brand: 'Acme', price: 89.5, currency: 'EUR' },
    context: { locale: 'de-DE', consent: { categoryPreferences: { Analytics: true, Functional: true, Advertising: false } } },
  });
  analytics.track({
    ...id('order'), userId: user, event: 'Order Completed',
    properties: { order_id: `order-${run}`, revenue: 89.5, total: 94.5, currency: 'EUR', products: [{ product_id: product, price: 89.5, quantity: 1 }] },
  });
};

async function deliver() {
  const errors = [];
  const analytics = new Analytics({ writeKey, host: origin, flushAt: 20, flushInterval: 500, maxRetries: 1 });
  analytics.on('error', error => errors.push(error.code));
  calls(analytics);
  await analytics.closeAndFlush({ timeout: 10_000 });
  return errors;
}

const before = await counts();
check('delivered', (await deliver()).length === 0);
const first = await counts();
check('eight events stored', first.accepted - before.accepted === 8, first);
check('none refused', first.rejected === before.rejected, first);
check('delivered again', (await deliver()).length === 0);
const second = await counts();
check('the repetition is stored once', second.accepted === first.accepted && second.duplicate - first.duplicate === 8, second);
check('the product is known from its mention', (await api('GET', `/v1/products/${product}`)).body.name === 'Blue Boot');
await eventually('the next answer knows the view', () => history({ user_id: user }), seen => seen.includes(product));
await eventually('and the visitor is the same person', () => history({ anonymous_id: visitor }), seen => seen.includes(product));
const bad = new Analytics({ writeKey: 'mx_pub_made_up', host: origin, maxRetries: 0 });
const refused = [];
bad.on('error', error => refused.push(error));
bad.track({ userId: user, event: 'Product Viewed', properties: { product_id: product } });
await bad.closeAndFlush({ timeout: 5_000 });
check('an unknown write key is refused', refused.length === 1);
finish();

// @rudderstack/rudder-sdk-node: gzip under a form content type, then plain.
import { createRequire } from 'node:module';
import { check, counts, eventually, finish, history, origin, run, sleep, writeKey } from './server.mjs';

const library = createRequire(import.meta.url)('@rudderstack/rudder-sdk-node');
const Rudder = library.default ?? library;

for (const gzip of [true, false]) {
  const [user, product] = [`rudder-user-${gzip}-${run}`, `rudder-boot-${gzip}-${run}`];
  const before = await counts();
  const delivered = [];
  const done = error => delivered.push(error?.message ?? 'ok');
  const client = new Rudder(writeKey, { dataPlaneUrl: origin, flushAt: 4, flushInterval: 300, gzip });
  client.identify({ userId: user, traits: { email: `${user}@example.com` } }, done);
  client.page({ userId: user, category: 'Shop', name: 'Home', properties: {} }, done);
  client.track({ userId: user, event: 'Order Completed', properties: { order_id: `${user}-o1`, revenue: 10, currency: 'EUR', products: [{ product_id: product, price: 10 }] } }, done);
  client.alias({ previousId: `${user}-before`, userId: user }, done);
  for (let tries = 0; tries < 50 && delivered.length < 4; tries++) await sleep(100);
  const name = gzip ? 'gzip' : 'plain';
  check(`${name}: four calls delivered`, delivered.length === 4 && delivered.every(outcome => outcome === 'ok'), delivered);
  const after = await counts();
  check(`${name}: four events stored`, after.accepted - before.accepted === 4, after);
  check(`${name}: none refused`, after.rejected === before.rejected, after);
  await eventually(`${name}: the next answer knows the purchase`, () => history({ user_id: user }), seen => seen.includes(product));
}
finish();

// OpenFeature's server SDK with the OFREP provider: flags of every type, an experiment's arm that stays, errors in the
// protocol's words, and the shown arm in the report.
import { OpenFeature } from '@openfeature/server-sdk';
import { OFREPProvider } from '@openfeature/ofrep-provider';
import { api, check, finish, origin, run, writeKey } from './server.mjs';

const secret = process.argv[3];
const id = name => `${name}-${run}`;
async function live(name, definition) {
  const put = await api('PUT', `/v1/experiments/${id(name)}`, definition);
  const started = await api('POST', `/v1/experiments/${id(name)}/start`);
  check(`${name} is live`, put.status === 200 && started.body.state === 'running', put.body);
}
const flag = value => ({ kind: 'flag', arms: [{ name: 'only', percent: 100, value }] });
await live('switch', flag(true));
await live('text', flag('two-tower'));
await live('number', flag(0.15));
await live('object', flag({ columns: 4 }));
await live('button', { metrics: ['conversion'], arms: [{ name: 'red', percent: 50, value: 'red' }, { name: 'green', percent: 50, value: 'green' }] });

const provider = key => new OFREPProvider({ baseUrl: origin, headers: [['Authorization', `Bearer ${key}`]], timeoutMs: 5000 });
await OpenFeature.setProviderAndWait(provider(secret));
const client = OpenFeature.getClient();
const context = { targetingKey: `customer-${run}`, country: 'FR', vip: true, tags: ['a', 'b'], nested: { x: 1 } };
const details = {
  switch: await client.getBooleanDetails(id('switch'), false, context),
  text: await client.getStringDetails(id('text'), '', context),
  number: await client.getNumberDetails(id('number'), 0, context),
  object: await client.getObjectDetails(id('object'), {}, context),
};
const expected = { switch: true, text: 'two-tower', number: 0.15, object: { columns: 4 } };
for (const [name, value] of Object.entries(expected)) {
  const got = details[name];
  check(`${name} has its value`, !got.errorCode && JSON.stringify(got.value) === JSON.stringify(value) && got.reason === 'STATIC', got);
}
const arms = new Set();
for (let n = 0; n < 20; n++) {
  const of = { targetingKey: `customer-${run}-${n}` };
  const first = await client.getStringDetails(id('button'), '', of);
  const again = await client.getStringDetails(id('button'), '', of);
  if (first.value !== again.value || first.reason !== 'SPLIT' || first.flagMetadata.experiment_id !== id('button')) check('an arm stays', false, { first, again });
  arms.add(first.variant);
}
check('both arms are dealt', arms.size === 2, [...arms]);
const report = (await api('GET', `/v1/experiments/${id('button')}/report`)).body;
check('each asker was shown one arm', report.arms.reduce((sum, arm) => sum + arm.units, 0) === 20, report.arms);

check('an unknown flag is FLAG_NOT_FOUND', (await client.getBooleanDetails(id('none'), false, context)).errorCode === 'FLAG_NOT_FOUND');
check('nobody is TARGETING_KEY_MISSING', (await client.getBooleanDetails(id('switch'), false, {})).errorCode === 'TARGETING_KEY_MISSING');
const mismatch = await client.getNumberDetails(id('text'), 7, context);
check('another type than asked for is the default', mismatch.errorCode === 'TYPE_MISMATCH' && mismatch.value === 7, mismatch);
await OpenFeature.setProviderAndWait(provider('mx_sec_unknown'));
const refused = await OpenFeature.getClient().getBooleanDetails(id('switch'), false, context);
check('a key that nobody knows gets the default', refused.value === false && !!refused.errorCode, refused);
if (writeKey !== secret) {
  await OpenFeature.setProviderAndWait(provider(writeKey));
  const named = await OpenFeature.getClient().getBooleanDetails(id('switch'), false, { userId: 'customer-1' });
  check('a public key may not name customers', !!named.errorCode && named.value === false, named);
}
await api('POST', `/v1/experiments/${id('switch')}/end`);
await OpenFeature.setProviderAndWait(provider(secret));
const ended = await OpenFeature.getClient().getBooleanDetails(id('switch'), false, context);
check('an ended flag is disabled', ended.reason === 'DISABLED', ended);
finish();

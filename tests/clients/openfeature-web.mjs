// OpenFeature's web SDK with the OFREP web provider: one call for all flags, polls that cost a 304, a change that arrives, a
// change that is told by the event stream, and another person behind the same page.
import { api, check, eventually, finish, origin, run, sleep, writeKey } from './server.mjs';

globalThis.document = { visibilityState: 'visible', addEventListener() {}, removeEventListener() {} };
globalThis.localStorage = { items: {}, length: 0, getItem(k) { return this.items[k] ?? null; }, setItem(k, v) { this.items[k] = v; }, removeItem(k) { delete this.items[k]; }, key() { return null; } };
const seen = [];
const plain = globalThis.fetch;
globalThis.fetch = async (input, init) => {
  const sent = (input.headers ?? new Headers(init?.headers)).get('if-none-match');
  const reply = await plain(input, init);
  if (String(input.url ?? input).includes('/ofrep/v1/evaluate')) seen.push({ status: reply.status, sent });
  return reply;
};
const { OpenFeature } = await import('@openfeature/web-sdk');
const { OFREPWebProvider } = await import('@openfeature/ofrep-web-provider');

const id = `banner-${run}`;
const flag = value => ({ kind: 'flag', arms: [{ name: 'only', percent: 100, value }] });
await api('PUT', `/v1/experiments/${id}`, flag('summer'));
await api('POST', `/v1/experiments/${id}/start`);

await OpenFeature.setContext({ targetingKey: `visitor-${run}` });
await OpenFeature.setProviderAndWait(new OFREPWebProvider({ baseUrl: origin, pollInterval: 400, headers: [['Authorization', `Bearer ${writeKey}`]] }));
const client = OpenFeature.getClient();
const first = client.getStringDetails(id, 'default');
check('the flag has its value', first.value === 'summer' && first.reason === 'STATIC', first);
await sleep(1500);
check('polls are answered 304', seen.some(one => one.status === 304 && one.sent), seen);

const stream = await plain(`${origin}/ofrep/v1/stream`);
check('the event stream opens', stream.status === 200 && stream.headers.get('content-type').startsWith('text/event-stream'), stream.status);
const reader = stream.body.getReader();
await api('PATCH', `/v1/experiments/${id}`, { arms: flag('winter').arms });
let told = '';
while (!told.includes('\n\n') || !told.includes('data:')) {
  const { value, done } = await reader.read();
  if (done) break;
  told += new TextDecoder().decode(value);
}
const data = JSON.parse(told.split('\n').find(line => line.startsWith('data:')).slice(5));
check('the stream tells to ask again', data.type === 'refetchEvaluation', told);
await reader.cancel();
await eventually('the change arrives', async () => client.getStringDetails(id, 'default').value, value => value === 'winter');

const count = seen.length;
await OpenFeature.setContext({ targetingKey: `customer-${run}` });
// A poll of before may still come in between.
check('a new context is evaluated afresh', seen.slice(count).some(one => one.status === 200 && !one.sent), seen.slice(count));
check('and has the flag', client.getStringDetails(id, 'default').value === 'winter');
finish();

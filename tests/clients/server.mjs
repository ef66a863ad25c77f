// The server as the drivers see it: what it counted, what it knows of a shopper, and a report that decides the exit code.
const [base, secret, publicKey = secret] = process.argv.slice(2);
if (!secret) {
  console.error('usage: node DRIVER http://host:port SECRET_KEY [PUBLIC_KEY]');
  process.exit(2);
}
export const origin = new URL(base).origin;
export const writeKey = publicKey;
export const secretKey = secret;
// New ids for every run, so that it can be repeated on the same data.
export const run = `${Date.now().toString(36)}-${process.pid}`;

const failures = [];
export function check(what, ok, detail = '') {
  if (!ok) failures.push(what);
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${what}${ok || detail === '' ? '' : `: ${JSON.stringify(detail)}`}`);
}
export function finish() {
  console.log(failures.length ? `${failures.length} failed` : 'all passed');
  process.exit(failures.length ? 1 : 0);
}
for (const kind of ['uncaughtException', 'unhandledRejection'])
  // Some clients throw plain objects.
  process.on(kind, error => { check(kind, false, error?.message ?? String(error)); finish(); });

// Kept before a driver replaces `fetch` with one that watches.
const plainFetch = globalThis.fetch;
export async function api(method, path, body) {
  const headers = { authorization: `Bearer ${secret}`, ...(body && { 'content-type': 'application/json' }) };
  const reply = await plainFetch(origin + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await reply.text();
  return { status: reply.status, body: text && reply.headers.get('content-type')?.includes('json') ? JSON.parse(text) : text };
}

// Events by what became of them: { accepted, duplicate, rejected }.
export async function counts() {
  const { body } = await api('GET', '/metrics');
  const of = outcome => Number(body.match(new RegExp(`merx_events_total\\{outcome="${outcome}"\\} (\\d+)`))?.[1] ?? 0);
  const rejected = [...body.matchAll(/merx_events_rejected_total\{[^}]*\} (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
  return { accepted: of('accepted'), duplicate: of('duplicate'), rejected };
}

// The products that a decision for this shopper was made from, oldest first.
export async function history(shopper) {
  const asked = await api('POST', '/v1/recommend', { ...shopper, slots: [{ scenario: 'recently_viewed', count: 1 }] });
  if (asked.status !== 200) return asked;
  const record = await api('GET', `/v1/decisions/${asked.body.decision_id}`);
  return record.body.features.history.map(entry => entry.product_id);
}

// A popular product that others were bought with: in a small shop not every one is.
export async function boughtWithOthers() {
  const { body } = await api('GET', '/v1/recommend/popular?count=40');
  for (const item of body.slots[0].items) {
    const asked = await api('POST', '/v1/recommend', { slots: [{ scenario: 'bought_together', count: 1, products: [item.product_id] }] });
    if (asked.body.slots[0].items.length) return item;
  }
  throw new Error('no popular product was bought with another');
}

export const sleep = ms => new Promise(done => setTimeout(done, ms));

// Reads until the answer is right or two seconds are over.
export async function eventually(what, read, right) {
  let value;
  for (let tries = 0; tries < 20; tries++) {
    value = await read();
    if (right(value)) return check(what, true);
    await sleep(100);
  }
  check(what, false, value);
}

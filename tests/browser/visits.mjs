// A first visit to a page, measured as a page-speed tool would: paints, shifts, bytes, what axe finds.
import { readFileSync } from 'node:fs';

const AXE = readFileSync(new URL('./node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
export const DESK = { width: 1350, height: 940 };
export const PHONE = { width: 412, height: 823, isMobile: true, hasTouch: true };
/** Lighthouse's mobile setting: slow 4G as the page sees it, and a processor a quarter as fast. */
const SLOW_NETWORK = { offline: false, latency: 150 * 3.75, downloadThroughput: (1_638.4 * 1_024 * 0.9) / 8, uploadThroughput: (675 * 1_024 * 0.9) / 8 };
const SLOWER_PROCESSOR = 4;
const QUIET_MS = 700;

/** Watches from the very first paint on. */
const watch = page => page.evaluateOnNewDocument(() => {
  window.seen = { shift: 0, largest: 0, blocked: 0 };
  const each = (type, take) => new PerformanceObserver(list => list.getEntries().forEach(take)).observe({ type, buffered: true });
  // Nobody touches anything here. A phone's screen is set as the page begins, which the browser would count as an input.
  each('layout-shift', entry => { window.seen.shift += entry.value; });
  each('largest-contentful-paint', entry => { window.seen.largest = entry.startTime; });
  each('longtask', entry => { window.seen.blocked += Math.max(0, entry.duration - 50); });
});

/** Until nothing has come for a while. A stream that stays open is no answer. */
export const settle = page => new Promise(done => {
  let timer;
  const end = () => { page.off('response', later); done(); };
  const later = () => { clearTimeout(timer); timer = setTimeout(end, QUIET_MS); };
  page.on('response', later);
  later();
});

/** A first visit: nothing is cached. `there` says, in the page, that what was come for is visible. */
export async function visit(context, address, { there, viewport = DESK, slow = false }) {
  const page = await context.newPage();
  await page.setViewport(viewport);
  await watch(page);
  const session = await page.createCDPSession();
  await session.send('Network.enable');
  await session.send('Network.setCacheDisabled', { cacheDisabled: true });
  if (slow) {
    await session.send('Network.emulateNetworkConditions', SLOW_NETWORK);
    await session.send('Emulation.setCPUThrottlingRate', { rate: SLOWER_PROCESSOR });
  }
  const scripts = new Map();
  let wire = 0;
  let requests = 0;
  session.on('Network.responseReceived', ({ requestId, type }) => { requests += 1; if (type === 'Script') scripts.set(requestId, 0); });
  session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => { wire += encodedDataLength; if (scripts.has(requestId)) scripts.set(requestId, encodedDataLength); });
  await page.goto(address, { waitUntil: 'domcontentloaded', timeout: 120_000 });
  await page.waitForFunction(there, { timeout: 120_000, polling: 'raf' });
  const visible = await page.evaluate(() => performance.now());
  await settle(page);
  const seen = await page.evaluate(() => ({ ...window.seen, first: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0 }));
  return { page, figures: { first_paint_ms: seen.first, largest_paint_ms: seen.largest, content_visible_ms: visible, blocked_ms: seen.blocked, layout_shift: seen.shift, script_kb: [...scripts.values()].reduce((a, b) => a + b, 0) / 1_000, wire_kb: wire / 1_000, requests } };
}

export async function axe(page) {
  await page.evaluate(() => Promise.allSettled(document.getAnimations().map(animation => animation.finished)));
  await page.evaluate(AXE);
  const { violations, passes } = await page.evaluate(rules => window.axe.run(document, { runOnly: rules }), RULES);
  const serious = violations.filter(one => ['serious', 'critical'].includes(one.impact));
  return { axe_serious: serious.length, axe_other: violations.length - serious.length, axe_passed: passes.length, ...(violations.length ? { axe_rules: violations.map(one => one.id) } : {}) };
}

/** A session's cookie, as a sign-in by key leaves it. */
export async function signedIn(context, origin, adminKey) {
  const reply = await fetch(`${origin}/v1/session`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ key: adminKey }) });
  const [name, value] = reply.headers.get('set-cookie').split(';')[0].split('=');
  await context.setCookie({ name, value, domain: new URL(origin).hostname, path: '/', httpOnly: true });
}

/** A page of the console has come to rest. */
export const CONSOLE = () => document.querySelector('main h1') && !document.querySelector('main [aria-busy="true"]');

/** Frames while the first table of a page is scrolled, `step` pixels a frame; times in ms. */
export async function scrolled(page, step) {
  const session = await page.createCDPSession();
  // Time that the page's own thread worked: what others do on the machine is not in it.
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  const worked = async () => (await session.send('Performance.getMetrics')).metrics.find(one => one.name === 'TaskDuration').value * 1_000;
  const before = await worked();
  const { rows, drawn, gaps } = await page.evaluate(async step => {
    const body = document.querySelector('[role=rowgroup][tabindex="0"]');
    const rows = Number(document.querySelector('[role=table]').getAttribute('aria-rowcount')) - 1;
    body.scrollTop = 0;
    const gaps = [];
    let drawn = 0;
    await new Promise(done => {
      let last;
      const frame = now => {
        if (last !== undefined) gaps.push(now - last);
        last = now;
        drawn = Math.max(drawn, body.querySelectorAll('.line').length);
        const before = body.scrollTop;
        body.scrollTop += step;
        if (body.scrollTop === before || gaps.length >= 300) done();
        else requestAnimationFrame(frame);
      };
      requestAnimationFrame(frame);
    });
    return { rows, drawn, gaps };
  }, step);
  const busy = await worked() - before;
  await session.detach();
  const sorted = [...gaps].sort((a, b) => a - b);
  const at = share => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  const late = gaps.filter(gap => gap > 20).length;
  return { rows, rows_drawn: drawn, frames: gaps.length, busy_ms_a_frame: busy / gaps.length, frames_per_second: 1_000 * gaps.length / gaps.reduce((a, b) => a + b, 0), frame_ms_p50: at(0.5), frame_ms_p95: at(0.95), frame_ms_worst: at(1), late_share: late / gaps.length };
}

/** Answers of the API that fill a table with as many rows as are wanted. */
const MADE = {
  catalogue: ['/v1/assortment', at => ({ product_id: `M${at}`, name: `Canvas sneaker number ${at}`, brand: `Brand ${at % 70}`, category: ['Shoes', `Kind ${at % 40}`], price: { minor: 1_000 + at, currency: 'EUR' }, margin: (at % 60) / 100, stock: at % 37 ? at % 90 : 0, attributes: at % 12, lacks: at % 9 ? [] : ['brand'], visible: at % 50 !== 0, image: null })],
  decisions: ['/v1/decisions', at => ({ decision_id: at.toString(16).padStart(32, '0'), engine: ['recommend', 'search', 'layout'][at % 3], at: new Date(Date.UTC(2026, 0, 1) + at * 1_000).toISOString(), subject_id: null, market: 'de', fallback: at % 5 ? 'live_model' : 'popularity', model_version: 3, arm: at % 10 ? 'treated' : 'holdout', propensity: 0.9, held_out: false, automation: 'live', experiments: [], granted: [], model_artifact: null, campaign: null, slots: [{ name: `slot ${at % 7}`, scenario: 'for_you', count: 0, products: [], items: [] }], trouble: [], latency_us: at % 900 })],
  'settings?tab=audit': ['/v1/audit', at => ({ number: at + 1, at: new Date(Date.UTC(2026, 0, 1) + at * 1_000).toISOString(), actor: `user ${at % 9}`, action: ['models.promote', 'automation.mode', 'key.create'][at % 3], entity: `thing ${at}`, before: null, after: null, reason: '', hash: at.toString(16).padStart(64, '0') })],
};
export const LONG_TABLES = Object.keys(MADE);

/** Opens a page of the console whose table holds `rows` made rows: images and the server's speed are not part of it. */
export async function longTable(context, origin, path, rows) {
  const [endpoint, make] = MADE[path];
  const body = JSON.stringify({ items: Array.from({ length: rows }, (_, at) => make(at)), total: rows });
  const page = await context.newPage();
  await page.setViewport(DESK);
  await page.setRequestInterception(true);
  page.on('request', request => {
    const address = new URL(request.url());
    if (address.pathname !== endpoint) return request.continue();
    return request.respond({ contentType: 'application/json', body: address.searchParams.get('after') > 0 ? JSON.stringify({ items: [], total: rows }) : body });
  });
  await page.goto(`${origin}/console/${path}`, { waitUntil: 'domcontentloaded' });
  await page.waitForSelector('div[role=row].line', { timeout: 60_000 });
  await settle(page);
  return page;
}

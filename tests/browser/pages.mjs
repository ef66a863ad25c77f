// How fast, steady and accessible the pages are, as a page-speed tool would measure it: one JSON object a line.
// Not a test: it holds nothing against a limit. benchmarks/*-pages.md says how it was run.
//   node pages.mjs ORIGIN ADMIN_KEY [RUNS [scroll]]
import { readFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { gzipSync } from 'node:zlib';
import { launch } from './browser.mjs';

const [origin, adminKey, runs = '5', only] = process.argv.slice(2);
const AXE = readFileSync(new URL('./node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
const DESK = { width: 1350, height: 940 };
const PHONE = { width: 412, height: 823, isMobile: true, hasTouch: true };
/** Lighthouse's mobile setting: slow 4G as the page sees it, and a processor a quarter as fast. */
const SLOW_NETWORK = { offline: false, latency: 150 * 3.75, downloadThroughput: (1_638.4 * 1_024 * 0.9) / 8, uploadThroughput: (675 * 1_024 * 0.9) / 8 };
const SLOWER_PROCESSOR = 4;
const QUIET_MS = 700;

const say = line => console.log(JSON.stringify(line));
const middle = values => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const round = (value, digits = 0) => Number(value.toFixed(digits));

/** Watches from the very first paint on. */
const watch = page => page.evaluateOnNewDocument(() => {
  window.seen = { shift: 0, largest: 0, blocked: 0 };
  const each = (type, take) => new PerformanceObserver(list => list.getEntries().forEach(take)).observe({ type, buffered: true });
  each('layout-shift', entry => { if (!entry.hadRecentInput) window.seen.shift += entry.value; });
  each('largest-contentful-paint', entry => { window.seen.largest = entry.startTime; });
  each('longtask', entry => { window.seen.blocked += Math.max(0, entry.duration - 50); });
});

/** Until nothing has come for a while. A stream that stays open is no answer. */
const settle = page => new Promise(done => {
  let timer;
  const end = () => { page.off('response', later); done(); };
  const later = () => { clearTimeout(timer); timer = setTimeout(end, QUIET_MS); };
  page.on('response', later);
  later();
});

/** A first visit: nothing is cached. `there` says, in the page, that what was come for is visible. */
async function visit(context, path, { there, viewport = DESK, slow = false }) {
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
  await page.goto(origin + path, { waitUntil: 'domcontentloaded', timeout: 120_000 });
  await page.waitForFunction(there, { timeout: 120_000, polling: 'raf' });
  const visible = await page.evaluate(() => performance.now());
  await settle(page);
  const seen = await page.evaluate(() => ({ ...window.seen, first: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0 }));
  return { page, figures: { first_paint_ms: seen.first, largest_paint_ms: seen.largest, content_visible_ms: visible, blocked_ms: seen.blocked, layout_shift: seen.shift, script_kb: [...scripts.values()].reduce((a, b) => a + b, 0) / 1_000, wire_kb: wire / 1_000, requests } };
}

async function axe(page) {
  await page.evaluate(() => Promise.allSettled(document.getAnimations().map(animation => animation.finished)));
  await page.evaluate(AXE);
  const { violations, passes } = await page.evaluate(rules => window.axe.run(document, { runOnly: rules }), RULES);
  const serious = violations.filter(one => ['serious', 'critical'].includes(one.impact));
  return { axe_serious: serious.length, axe_other: violations.length - serious.length, axe_passed: passes.length, ...(violations.length ? { axe_rules: violations.map(one => one.id) } : {}) };
}

/** Several first visits, each in a browser context of its own; middle and worst. */
async function measure(browser, what, path, options) {
  const all = [];
  let found = {};
  for (let run = 0; run < Number(runs); run += 1) {
    const context = await browser.createBrowserContext();
    await options.before?.(context);
    const { page, figures } = await visit(context, path, options);
    if (run === 0) found = await axe(page);
    all.push(figures);
    await context.close();
  }
  const line = {};
  for (const name of Object.keys(all[0])) {
    const digits = name === 'layout_shift' ? 4 : name.endsWith('_kb') ? 1 : 0;
    line[name] = round(middle(all.map(one => one[name])), digits);
    if (name.endsWith('_ms') || name === 'layout_shift') line[`worst_${name}`] = round(Math.max(...all.map(one => one[name])), digits);
  }
  say({ what, path, width: (options.viewport ?? DESK).width, ...(options.slow ? { throttled: 'slow 4G, processor / 4' } : {}), runs: all.length, ...line, ...found });
}

const CONSOLE = () => document.querySelector('main h1') && !document.querySelector('main [aria-busy="true"]');

/** A session's cookie, as a sign-in by key leaves it. */
async function signedIn(context) {
  const reply = await fetch(`${origin}/v1/session`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ key: adminKey }) });
  const [name, value] = reply.headers.get('set-cookie').split(';')[0].split('=');
  await context.setCookie({ name, value, domain: new URL(origin).hostname, path: '/', httpOnly: true });
}

/** Frames while a table is scrolled from its first row to its last, a step a frame. */
async function scroll(browser) {
  const context = await browser.createBrowserContext();
  await signedIn(context);
  const page = await context.newPage();
  await page.setViewport(DESK);
  await page.goto(`${origin}/console/catalogue`);
  await page.waitForSelector('div[role=row].line', { timeout: 60_000 });
  await settle(page);
  const session = await page.createCDPSession();
  // Time that the page's own thread worked: what others do on the machine is not in it.
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  const worked = async () => (await session.send('Performance.getMetrics')).metrics.find(one => one.name === 'TaskDuration').value * 1_000;
  for (const [how, step] of [['as a hand scrolls', 60], ['as a dragged bar scrolls', 2_500]]) {
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
    const sorted = [...gaps].sort((a, b) => a - b);
    const at = share => round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))], 1);
    // A frame that missed its turn shows as a gap of two.
    say({ what: 'scroll', how, rows, rows_drawn: drawn, frames: gaps.length, busy_ms_a_frame: round(busy / gaps.length, 2), frames_per_second: round(1_000 * gaps.length / gaps.reduce((a, b) => a + b, 0), 1), frame_ms_p50: at(0.5), frame_ms_p95: at(0.95), frame_ms_worst: at(1), late_share: round(gaps.filter(gap => gap > 25).length / gaps.length, 3) });
  }
  await context.close();
}

/** What a query opens with, for pages that show one product or department. */
async function places() {
  const list = await (await fetch(`${origin}/v1/assortment?limit=1`, { headers: { Authorization: `Bearer ${adminKey}` } })).json();
  return { product: list.items[0].product_id, department: list.items[0].category[0], products: list.total };
}

const { product, department, products } = await places();
const browser = await launch();
say({ what: 'machine', cpu: cpus()[0].model, cores: cpus().length, load: loadavg().map(one => round(one, 2)), browser: await browser.version(), node: process.version, products, at: new Date().toISOString() });
try {
  for (const file of ['merx.js', 'widgets.js']) {
    const reply = await fetch(`${origin}/sdk/${file}`);
    if (reply.ok) say({ what: 'library', file, gzip_kb: round(gzipSync(Buffer.from(await reply.arrayBuffer()), { level: 9 }).length / 1_000, 1) });
  }
  await scroll(browser);
  if (only === 'scroll') { await browser.close(); process.exit(0); }
  const inside = (host, selector) => `() => [...document.querySelectorAll('${host}')].some(node => node.shadowRoot?.querySelector('${selector}'))`;
  const shop = [
    ['shop: home', '/shop/', inside('merx-recommendations', 'article a')],
    ['shop: department', `/shop/c/${encodeURIComponent(department)}`, inside('merx-results', '.grid article a')],
    ['shop: search', '/shop/search?q=shirt', inside('merx-results', '.grid article a')],
    ['shop: product', `/shop/p/${product}`, `() => document.querySelector('.product h1')`],
    ['shop: basket', '/shop/basket', `() => document.querySelector('main h1, main h2')`],
  ];
  for (const [what, path, there] of shop) {
    await measure(browser, what, path, { there });
    await measure(browser, what, path, { there, viewport: PHONE });
    await measure(browser, what, path, { there, viewport: PHONE, slow: true });
  }
  await measure(browser, 'console: sign in', '/console', { there: () => document.querySelector('input[name=password]') });
  const pages = ['', 'value', 'value?tab=kpis', 'live', 'catalogue', 'search?q=shirt', 'recommendations', 'customers', 'experiments', 'automations', 'decisions', 'models', 'privacy', 'health', 'settings', 'settings?tab=channels', 'settings?tab=markets', 'settings?tab=audit'];
  for (const path of pages) await measure(browser, `console: ${path || 'home'}`, `/console${path ? `/${path}` : ''}`, { there: CONSOLE, before: signedIn });
  await measure(browser, 'console: home', '/console', { there: CONSOLE, before: signedIn, viewport: PHONE, slow: true });
} finally {
  await browser.close();
}

// How fast, steady and accessible the pages are, as a page-speed tool would measure it: one JSON object a line.
// Not a test: it holds nothing against a limit. benchmarks/*-pages.md says how it was run.
//   node pages.mjs ORIGIN ADMIN_KEY [RUNS [scroll]]
import { cpus, loadavg } from 'node:os';
import { gzipSync } from 'node:zlib';
import { launch } from './browser.mjs';
import { axe, CONSOLE, DESK, LONG_TABLES, longTable, PHONE, scrolled, settle, signedIn, visit } from './visits.mjs';

const [origin, adminKey, runs = '5', only] = process.argv.slice(2);
const say = line => console.log(JSON.stringify(line));
const middle = values => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const round = (value, digits = 0) => Number(value.toFixed(digits));

/** Several first visits, each in a browser context of its own; middle and worst. */
async function measure(browser, what, path, options) {
  const all = [];
  let found = {};
  for (let run = 0; run < Number(runs); run += 1) {
    const context = await browser.createBrowserContext();
    await options.before?.(context);
    const { page, figures } = await visit(context, origin + path, options);
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

/** Frames while tables of ten thousand rows are scrolled from the first row on: the catalogue as it is, others with made rows. */
async function scroll(browser) {
  const frames = async (table, page) => {
    for (const [how, step] of [['as a hand scrolls', 60], ['as a dragged bar scrolls', 2_500]]) {
      const figures = await scrolled(page, step);
      say({ what: 'scroll', table, how, ...Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, round(value, name === 'late_share' ? 3 : 2)])) });
    }
  };
  const context = await browser.createBrowserContext();
  await signedIn(context, origin, adminKey);
  const page = await context.newPage();
  await page.setViewport(DESK);
  await page.goto(`${origin}/console/catalogue`);
  await page.waitForSelector('div[role=row].line', { timeout: 60_000 });
  await settle(page);
  await frames('catalogue, with its pictures', page);
  await page.close();
  for (const path of LONG_TABLES) {
    const made = await longTable(context, origin, path, 10_000);
    await frames(`${path}, made rows`, made);
    await made.close();
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
  for (const path of pages) await measure(browser, `console: ${path || 'home'}`, `/console${path ? `/${path}` : ''}`, { there: CONSOLE, before: context => signedIn(context, origin, adminKey) });
  await measure(browser, 'console: home', '/console', { there: CONSOLE, before: context => signedIn(context, origin, adminKey), viewport: PHONE, slow: true });
} finally {
  await browser.close();
}

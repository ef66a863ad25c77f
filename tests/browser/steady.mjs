// What doesn't depend on how fast the machine is: nothing moves while a page fills, scripts stay small and come compressed, axe
// finds nothing serious, and a table of ten thousand rows holds few of them in the page.
import assert from 'node:assert/strict';
import { launch } from './browser.mjs';
import { axe, CONSOLE, DESK, LONG_TABLES, longTable, PHONE, scrolled, signedIn, visit } from './visits.mjs';

const [origin, publicKey, adminKey] = process.argv.slice(2);
const PRODUCT = process.env.PRODUCT || 'P000019';
/** What page-speed tools call good. */
const MOST_SHIFT = 0.1;
const MOST_SCRIPT_KB = 400;
const ROWS = 10_000;
const MOST_DRAWN = 60;

const inside = (host, selector) => `() => [...document.querySelectorAll('${host}')].some(node => node.shadowRoot?.querySelector('${selector}'))`;

async function shopPages() {
  if (!(await (await fetch(`${origin}/shop/`)).text()).includes('shop.js')) return [];
  const { hits } = await (await fetch(`${origin}/v1/search?q=shirt`, { headers: { Authorization: `Bearer ${publicKey}` } })).json();
  const department = hits[0].category_path[0];
  const script = await fetch(`${origin}/shop/shop.js`, { headers: { 'Accept-Encoding': 'br' } });
  assert.equal(script.headers.get('content-encoding'), 'br', 'the shop’s script comes compressed');
  return [
    ['/shop/', inside('merx-recommendations', 'article a')],
    [`/shop/c/${encodeURIComponent(department)}`, inside('merx-results', '.grid article a')],
    ['/shop/search?q=shirt', inside('merx-results', '.grid article a')],
    [`/shop/p/${PRODUCT}`, `() => document.querySelector('.product h1')`],
  ];
}

/** Somebody shops meanwhile: pages that show what happens have something to show. */
async function shops(at) {
  await fetch(`${origin}/v1/track`, { method: 'POST', headers: { Authorization: `Bearer ${publicKey}`, 'Content-Type': 'application/json' }, body: JSON.stringify({ event: ['Product Viewed', 'Product Added', 'Cart Viewed', 'Product Clicked'][at % 4], anonymousId: `steady-${at % 7}`, properties: at % 9 ? { product_id: PRODUCT } : { price: 1 } }) });
}

const browser = await launch();
let visits = 0;
const shopping = setInterval(() => { visits += 1; shops(visits).catch(() => {}); }, 150);
try {
  const pages = [...await shopPages(), ['/console', () => document.querySelector('input[name=password]')], ...(adminKey ? ['', '/live', '/catalogue', '/decisions', '/experiments', '/automations', '/customers?tab=segments', '/models', '/recommendations?tab=rules', '/settings?tab=audit', '/health'].map(path => [`/console${path}`, CONSOLE, true]) : [])];
  let [most, largest] = [0, 0];
  for (const [path, there, isSignedIn] of pages) {
    for (const viewport of [DESK, PHONE]) {
      const context = await browser.createBrowserContext();
      if (isSignedIn) await signedIn(context, origin, adminKey);
      const { page, figures } = await visit(context, origin + path, { there, viewport });
      const where = `${path} at ${viewport.width} px`;
      assert.ok(figures.layout_shift <= MOST_SHIFT, `${where} shifts by ${figures.layout_shift.toFixed(3)}`);
      assert.ok(figures.script_kb > 0 && figures.script_kb < MOST_SCRIPT_KB, `${where}: ${figures.script_kb} kB of scripts`);
      assert.ok(figures.largest_paint_ms > 0, `${where} paints something`);
      const { axe_serious, axe_rules } = await axe(page);
      assert.equal(axe_serious, 0, `${where}: ${axe_rules}`);
      [most, largest] = [Math.max(most, figures.layout_shift), Math.max(largest, figures.script_kb)];
      await context.close();
    }
  }
  const frames = [];
  if (adminKey) {
    const context = await browser.createBrowserContext();
    await signedIn(context, origin, adminKey);
    for (const path of LONG_TABLES) {
      const page = await longTable(context, origin, path, ROWS);
      const { rows, rows_drawn, late_share } = await scrolled(page, 2_500);
      assert.equal(rows, ROWS);
      assert.ok(rows_drawn > 5 && rows_drawn < MOST_DRAWN, `${path}: ${rows_drawn} rows in the page`);
      frames.push(`${path} ${rows_drawn} of ${ROWS} rows in the page, ${Math.round(100 * late_share)} % of frames later than 20 ms`);
      await rowsStayTrue(page);
      await page.close();
    }
    await context.close();
  }
  console.log(`steady: ${pages.length} pages at two widths, shift ${most.toFixed(3)} at most, ${largest.toFixed(0)} kB of scripts at most; ${frames.join('; ')}`);
} finally {
  clearInterval(shopping);
  await browser.close();
}

/** Rows come back as others: after a long way each says what stands at its place, in order, and a button that left keeps no focus. */
async function rowsStayTrue(page) {
  const shown = async top => {
    await page.$eval('[role=rowgroup][tabindex="0"]', (body, top) => { body.scrollTop = top; }, top);
    await page.evaluate(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))));
    return page.$$eval('div[role=row].line', rows => rows.map(row => [Number(row.getAttribute('aria-rowindex')), row.innerText]));
  };
  const first = await shown(0);
  const away = await shown(100_000);
  for (const rows of [first, away]) assert.deepEqual(rows.map(([at]) => at), rows.map((_, at) => rows[0][0] + at), 'read in their order');
  assert.ok(away[0][0] > first.at(-1)[0]);
  assert.equal(new Set([...first, ...away].map(([, words]) => words)).size, first.length + away.length, 'no row says what another does');
  assert.deepEqual(await shown(0), first, 'and back again they say the same');
}

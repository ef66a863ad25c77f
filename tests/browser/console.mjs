// The merchants' console in a browser: sign in, every page, what is done there, on a desk and on a phone, by the keys alone.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { launch, watchedPage } from './browser.mjs';

const [origin, keys, folder = 'screenshots'] = process.argv.slice(2);
const [publicKey, secretKey, adminKey] = keys.split(',');
const AXE = readFileSync(new URL('./node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
const DESK = { width: 1440, height: 900 };
const PHONE = { width: 390, height: 844, isMobile: true, hasTouch: true };
const FIRST_VIEW_LIMIT_BYTES = 400_000;
const PRODUCT = process.env.PRODUCT || 'P000019';
const PAGES = ['', 'live', 'catalogue', 'search?q=shirt', 'search?q=shirt&beside=price', 'recommendations', `recommendations?slot=product&products=${PRODUCT}`,
  'decisions', 'models', 'models?name=recommend&version=1', 'health', 'settings',
  'experiments', 'experiments?new=1', 'privacy', 'privacy?new=1'];

const post = async (path, body, key = publicKey) => {
  const reply = await fetch(`${origin}${path}`, { method: 'POST', headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
  assert.ok(reply.ok, `${path}: ${reply.status}`);
  return reply.json();
};
const view = (product, visitor) => post('/v1/track', { event: 'Product Viewed', anonymousId: visitor, properties: { product_id: product } });

/** Something to look at: visitors who look, search, and send a mistake. */
async function shoppers() {
  const { items } = await (await fetch(`${origin}/v1/assortment?limit=60`, { headers: { Authorization: `Bearer ${secretKey}` } })).json();
  for (const [at, product] of items.entries()) {
    const visitor = `browser-${at % 5}`;
    await view(product.product_id, visitor);
    await post('/v1/recommend', { anonymous_id: visitor, slots: [{ scenario: 'home' }] });
    if (at % 4 === 0) await post('/v1/search', { query: product.category.at(-1), anonymous_id: visitor });
  }
  await post('/v1/track', { event: 'Product Viewed', anonymousId: 'browser-0', properties: { price: 3 } });
}

const settled = async page => {
  await page.waitForFunction(() => document.querySelector('main h1') && !document.querySelector('main [aria-busy="true"]'), { timeout: 60_000 });
};
const open = async (page, path) => {
  await page.goto(`${origin}/console${path ? `/${path}` : ''}`, { waitUntil: 'domcontentloaded' });
  await settled(page);
};
const text = (page, selector) => page.$eval(selector, node => node.innerText);
const shows = (page, words) => page.waitForFunction(words => document.body.innerText.includes(words), { timeout: 60_000 }, words);

/** What axe finds serious or worse. */
async function accessible(page, name) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
  const serious = violations.filter(one => ['serious', 'critical'].includes(one.impact));
  assert.deepEqual(serious.map(one => `${name}: ${one.id}: ${one.nodes.slice(0, 3).map(node => node.html.slice(0, 160)).join(' | ')}`), []);
}

async function signIn(page, troubles) {
  await page.goto(`${origin}/console`);
  await page.waitForSelector('input[name=key]');
  await accessible(page, 'sign in');
  await page.type('input[name=key]', publicKey);
  await page.keyboard.press('Enter');
  await page.waitForSelector('[role=alert]');
  assert.ok(troubles.pop()?.includes('403'), 'the browser itself reports the refusal');
  assert.deepEqual(troubles, []);
  await page.$eval('input[name=key]', node => { node.value = ''; node.dispatchEvent(new Event('input')); });
  await page.type('input[name=key]', adminKey);
  await page.keyboard.press('Enter');
  await page.waitForSelector('nav');
  assert.equal(await page.evaluate(() => document.cookie), '', 'no script reads the cookie');
  assert.ok(!(await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]))).includes('mx_'), 'the key is kept nowhere');
}

/** Bytes on the wire of the scripts of a first view, and how soon something was seen. */
async function firstView(page) {
  const session = await page.createCDPSession();
  await session.send('Network.enable');
  const scripts = new Map();
  session.on('Network.responseReceived', event => { if (event.type === 'Script') scripts.set(event.requestId, 0); });
  session.on('Network.loadingFinished', event => { if (scripts.has(event.requestId)) scripts.set(event.requestId, event.encodedDataLength); });
  await page.setCacheEnabled(false);
  await open(page, '');
  await page.setCacheEnabled(true);
  await session.detach();
  const bytes = [...scripts.values()].reduce((a, b) => a + b, 0);
  assert.ok(scripts.size > 0 && bytes < FIRST_VIEW_LIMIT_BYTES, `${bytes} bytes of scripts`);
  const painted = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0);
  return { bytes, painted };
}

async function liveEventsArrive(page) {
  await open(page, 'live');
  await shows(page, 'Live');
  await post('/v1/track', { event: 'Product Added', anonymousId: 'browser-live', properties: { product_id: PRODUCT, price: 12.34, currency: 'EUR' } });
  await shows(page, 'Product Added');
  await shows(page, 'Missing product id');
}

/** Ten thousand rows or two: only those in sight are in the page, and the keys walk them. */
async function tableIsWalked(page) {
  await open(page, 'catalogue');
  await page.waitForSelector('div[role=row].line');
  const count = () => page.$$eval('div[role=row].line', rows => rows.length);
  assert.ok(await count() < 60, 'rows out of sight are not drawn');
  const shown = await page.$eval('[role=table]', table => Number(table.getAttribute('aria-rowcount')) - 1);
  await page.focus('[role=rowgroup][tabindex="0"]');
  await page.keyboard.press('End');
  await page.waitForFunction(last => document.querySelector(`[aria-rowindex="${last}"]`), {}, shown + 1);
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog[open] h2');
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => !document.querySelector('dialog[open]'));
  await page.click('[role=columnheader] button');
  await page.waitForSelector('[aria-sort=ascending]');
  return shown;
}

async function productIsHiddenAndShown(page) {
  await open(page, `catalogue?id=${PRODUCT}`);
  const button = words => page.waitForFunction(words => [...document.querySelectorAll('dialog button, .toasts button')].find(one => one.innerText.includes(words)), {}, words);
  await (await button('Hide it')).click();
  await (await button('Undo')).click();
  await shows(page, 'Undone');
  const product = await (await fetch(`${origin}/v1/products/${PRODUCT}`, { headers: { Authorization: `Bearer ${secretKey}` } })).json();
  assert.equal(product.status, 'visible');
}

async function decisionIsExplainedAndRepeated(page) {
  await open(page, 'decisions');
  await page.waitForSelector('div[role=row].line');
  await page.click('div[role=row].line');
  await page.waitForSelector('dialog[open]');
  await shows(page, 'Why');
  assert.match(page.url(), /id=[0-9a-f]{32}/, 'it has an address of its own');
  const again = await page.waitForFunction(() => [...document.querySelectorAll('dialog button')].find(one => one.innerText.includes('Decide again')));
  await again.click();
  await shows(page, 'The same, bit for bit');
}

async function searchIsTried(page) {
  await open(page, 'search');
  await page.type('input[type=search]', 'shirt');
  await page.keyboard.press('Enter');
  await page.waitForSelector('main ol li');
  assert.match(page.url(), /q=shirt/);
  const why = await page.waitForSelector('main ol li button');
  await why.click();
  await page.waitForSelector('main ol li dl, main ol li [aria-expanded=true]');
}

async function keysLeadAnywhere(page) {
  await open(page, '');
  await page.keyboard.down('Control');
  await page.keyboard.press('k');
  await page.keyboard.up('Control');
  await page.waitForSelector('dialog[open] input');
  await page.keyboard.type('mod');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => location.pathname === '/console/models');
  await page.goBack();
  await page.waitForFunction(() => location.pathname === '/console');
}

async function keyIsMadeAndRevoked(page) {
  await open(page, 'settings');
  await page.type('input[maxlength="200"]', 'made by a test');
  await page.click('form button.primary');
  await shows(page, 'Here it is, this once');
  const made = await page.waitForFunction(() => [...document.querySelectorAll('tbody tr')].find(row => row.innerText.includes('made by a test'))?.querySelector('code').innerText);
  const id = await made.jsonValue();
  await page.evaluate(id => [...document.querySelectorAll('tbody tr')].find(row => row.innerText.includes(id)).querySelector('button').click(), id);
  await page.waitForSelector('dialog[open] .primary');
  await page.click('dialog[open] .primary');
  await shows(page, `Key ${id} is revoked`);
}

/** A change is tried: kept as a draft, started, read, ended. */
async function experimentIsRun(page) {
  await open(page, 'experiments?new=1');
  const name = `Variety, tried ${Date.now()}`;
  await page.type('input[name=title]', name);
  await page.click('dialog form button.primary');
  const press = async words => {
    const button = await page.waitForFunction(words => [...document.querySelectorAll('dialog button')].find(one => one.innerText.trim() === words), {}, words);
    await button.click();
  };
  await press('Start');
  await shows(page, 'End it');
  await page.waitForFunction(() => document.querySelector('dialog [role=img][aria-label^=Lift]'));
  await accessible(page, 'an experiment');
  await press('End it');
  await shows(page, 'Ended');
}

/** A visitor is erased, and the proof is shown. */
async function visitorIsErased(page) {
  await view(PRODUCT, 'browser-forgotten');
  await open(page, 'privacy?new=1');
  await page.select('select[name=kind]', 'erasure');
  await page.select('select[name=name-kind]', 'anonymous_id');
  await page.type('input[name=value]', 'browser-forgotten');
  await page.click('dialog form button.primary');
  await page.waitForFunction(() => document.querySelector('dialog .proof'), { timeout: 60_000 });
  await shows(page, 'Completed');
}

/** A secret key opens what it reaches; the rest says why not. */
async function reachIsShown(browser) {
  const context = await browser.createBrowserContext();
  const { page, troubles } = await watchedPage(context, [origin]);
  await page.setViewport(DESK);
  await page.goto(`${origin}/console/models`);
  await page.waitForSelector('input[name=key]');
  await page.type('input[name=key]', secretKey);
  await page.keyboard.press('Enter');
  await shows(page, 'needs an admin key');
  await page.goto(`${origin}/console`);
  await settled(page);
  await page.click('button[aria-label="Sign out"]');
  await page.waitForSelector('input[name=key]');
  assert.deepEqual(troubles, []);
  await context.close();
}

const shot = (page, name) => page.screenshot({ path: join(folder, `${name}.png`) });

mkdirSync(folder, { recursive: true });
await shoppers();
const browser = await launch();
try {
  const { page, troubles } = await watchedPage(browser, [origin]);
  await page.setViewport(DESK);
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }]);
  await signIn(page, troubles);
  const first = await firstView(page);
  for (const path of PAGES) {
    await open(page, path);
    await accessible(page, path || 'home');
    if (!path.includes('&') && !path.includes('new=')) await shot(page, `console-${path.split('?')[0] || 'home'}`);
  }
  await liveEventsArrive(page);
  const rows = await tableIsWalked(page);
  await productIsHiddenAndShown(page);
  await decisionIsExplainedAndRepeated(page);
  await accessible(page, 'a decision');
  await shot(page, 'console-decision');
  await searchIsTried(page);
  await keysLeadAnywhere(page);
  await keyIsMadeAndRevoked(page);
  await experimentIsRun(page);
  await visitorIsErased(page);
  assert.match(await text(page, '#menu'), /admin key/);

  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
  for (const path of PAGES) {
    await open(page, path);
    await accessible(page, `${path || 'home'}, dark`);
    if (path === '') await shot(page, 'console-dark');
  }
  await page.setViewport(PHONE);
  for (const path of PAGES) {
    await open(page, path);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= PHONE.width, `${path || 'home'} scrolls sideways on a phone: ${width} px`);
    if (path === '') await shot(page, 'console-phone');
  }
  await open(page, '');
  await page.click('button[aria-label=Menu]');
  await page.waitForSelector('#menu.menu');
  await accessible(page, 'the menu on a phone');
  await reachIsShown(browser);
  assert.deepEqual(troubles, [], 'no complaint, and nobody else was asked');
  console.log(`the console: ${PAGES.length} pages, ${rows} rows; first view: ${Math.round(first.bytes / 1_000)} kB of scripts, painted after ${Math.round(first.painted)} ms`);
} finally {
  await browser.close();
}

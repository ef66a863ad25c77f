// The demo shop, as a shopper meets it: found, looked at, learnt from, bought; on a desk and on a phone; by people who see
// little, read from right to left, say no, or come while Merx is away.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { launch, watchedPage } from './browser.mjs';

const [origin, key, folder, secret] = process.argv.slice(2);
const SHOP = `${origin}/shop/`;
const PHONE = { width: 390, height: 844, isMobile: true, hasTouch: true };
const DESK = { width: 1360, height: 900 };
const AXE = readFileSync(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

const inside = (host, selector) => `${host} >>> ${selector}`;
// Mutations within shadow trees wake no selector that waits.
const appears = (page, host, selector) => page.waitForFunction((host, selector) => [...document.querySelectorAll(host)].some(node => node.shadowRoot?.querySelector(selector)), {}, host, selector);
// Until nothing has come for a while. (A request that outlives its page is never seen to end.)
const settle = page => new Promise(done => {
  let timer;
  const later = () => { clearTimeout(timer); timer = setTimeout(end, 700); };
  const end = () => { page.off('response', later); done(); };
  page.on('response', later);
  later();
});
// A request that outlives its page is never seen to end: one may be open.
const shot = (page, name) => page.screenshot({ path: join(folder, `${name}.jpg`), type: 'jpeg', quality: 78 });

/** A page of a new shopper, who has said nothing yet. */
async function shopper(browser, viewport) {
  const context = await browser.createBrowserContext();
  const { page, troubles } = await watchedPage(context, [origin]);
  await page.setViewport(viewport);
  await page.evaluateOnNewDocument(() => {
    window.shifted = 0;
    new PerformanceObserver(list => list.getEntries().forEach(entry => { if (!entry.hadRecentInput) window.shifted += entry.value; })).observe({ type: 'layout-shift', buffered: true });
  });
  return { context, page, troubles };
}

async function open(page, path) {
  await page.goto(SHOP + path);
  await page.waitForSelector('#departments a');
  await settle(page);
}

const say = async (page, words) => {
  await page.waitForSelector('#consent button');
  for (const button of await page.$$('#consent button')) if ((await button.evaluate(node => node.textContent)).startsWith(words)) return button.click();
  throw new Error(`no answer begins with ${words}`);
};

async function ask(page, text) {
  await page.click(inside('merx-search-box', 'input'), { count: 3 });
  await page.keyboard.type(text);
}

async function accessible(page, what) {
  // What is fading in or out has its colours afterwards.
  await page.evaluate(() => Promise.allSettled(document.getAnimations().map(animation => animation.finished)));
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ['violations'] }));
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  assert.deepEqual(serious.map(({ id, nodes }) => `${what}: ${id} ${nodes.slice(0, 3).map(node => node.target.join(' ')).join(' | ')}`), []);
}

async function fits(page, what) {
  const { wide, window: width } = await page.evaluate(() => ({ wide: document.documentElement.scrollWidth, window: innerWidth }));
  assert.ok(wide <= width, `${what}: nothing scrolls sideways: ${wide} of ${width} px`);
}

const still = async (page, what) => {
  const shifted = await page.evaluate(() => window.shifted);
  assert.ok(shifted < 0.1, `${what}: the layout shifts by ${shifted.toFixed(3)}`);
  return shifted;
};

/** As they are stored: what is sent again while the answer is slow carries the same id, and counts once. */
const events = page => {
  const told = [];
  page.on('request', request => {
    if (!request.url().endsWith('/v1/batch')) return;
    told.push(...JSON.parse(request.postData()).batch.filter(event => !told.some(known => known.messageId === event.messageId)));
  });
  return told;
};

/** From the first look to the order, with everything in between. */
async function buys(browser, viewport, name) {
  const { context, page, troubles } = await shopper(browser, viewport);
  const told = events(page);
  await open(page, '');
  assert.equal(told.length, 0, 'nothing is told before the shopper has answered');
  assert.deepEqual(await page.cookies(), []);
  await accessible(page, 'home, asking');
  await say(page, 'Yes');
  await settle(page);
  const shift = await still(page, 'home');
  await fits(page, 'home');
  await accessible(page, 'home');
  await shot(page, `shop-home-${name}`);

  await ask(page, 'sneak');
  await appears(page, 'merx-search-box', '[role=option]');
  await page.keyboard.press('ArrowDown');
  assert.equal(await page.$eval(inside('merx-search-box', 'input'), input => input.getAttribute('aria-activedescendant')), 'o0');
  await page.keyboard.press('Escape');
  await ask(page, 'red shoes');
  await page.keyboard.press('Enter');
  await appears(page, 'merx-results', '.grid article[data-product]');
  assert.match(page.url(), /search\?q=red%20shoes/);
  const found = () => page.$eval(inside('merx-results', '[role=status]'), node => Number.parseInt(node.textContent, 10));
  const all = await found();
  await accessible(page, 'search');
  await fits(page, 'search');
  await shot(page, `shop-search-${name}`);
  if (viewport === PHONE) await page.click(inside('merx-results', 'summary'));
  await page.click(inside('merx-results', 'fieldset label input'));
  await page.waitForFunction(before => Number.parseInt(document.querySelector('merx-results').shadowRoot.querySelector('[role=status]')?.textContent, 10) < before, {}, all);
  assert.ok((await found()) > 0);

  // Three red shoes are looked at; the shelves notice.
  const red = await page.$$eval(inside('merx-results', '.grid article a'), links => links.slice(0, 3).map(link => new URL(link.href).pathname.slice('/shop/'.length)));
  for (const path of red) {
    await open(page, path);
    await page.waitForSelector('.product h1');
  }
  await open(page, '');
  const reasons = await page.$$eval(inside('merx-recommendations[scenario=for_you]', '.why'), nodes => nodes.map(node => node.textContent));
  const holdout = await page.evaluate(() => fetch('/shop/config.json').then(reply => reply.json()).then(({ key }) => fetch('/v1/recommend', {
    method: 'POST', headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ anonymous_id: document.cookie.match(/merx_id=(\w+)/)[1], slots: [{ scenario: 'for_you', count: 1 }] }),
  })).then(reply => reply.json()).then(({ arm }) => arm === 'holdout'));
  if (!holdout) assert.ok(reasons.some(words => words.startsWith('Because you viewed') || words.startsWith('Similar to')), `the shelves know what was looked at: ${reasons.slice(0, 3).join('; ')}`);

  await open(page, red[0]);
  await accessible(page, 'product');
  await fits(page, 'product');
  await still(page, 'product');
  await shot(page, `shop-product-${name}`);
  const size = await page.$('.choices input:not(:disabled)');
  if (size) await size.click();
  await page.click('#add');
  await page.waitForSelector('#basket-count:not([hidden])');
  await page.click('#basket-link');
  await page.waitForSelector('#to-checkout');
  const price = await page.$eval('#total', node => node.textContent);
  await page.click('[aria-label^="One more"]');
  await page.waitForFunction(before => document.querySelector('#total').textContent !== before, {}, price);
  await settle(page);
  await accessible(page, 'basket');
  await fits(page, 'basket');
  await shot(page, `shop-basket-${name}`);
  await page.click('#to-checkout');
  await page.waitForSelector('#order');
  await accessible(page, 'checkout');
  for (const [field, text] of Object.entries({ name: 'Ada', email: 'ada@example.com', street: 'Lane 1', postcode: '12345', city: 'Hamburg' })) await page.type(`input[name=${field}]`, text);
  await page.click('#order');
  await page.waitForSelector('#order-id');
  await settle(page);
  const order = told.find(event => event.event === 'Order Completed');
  assert.equal(order.properties.products[0].quantity, 2);
  assert.ok(!JSON.stringify(told).includes('ada@example.com'), 'the address is told to nobody');
  assert.ok(told.some(event => event.event === 'Recommendation Shown' && /^[0-9a-f]{32}$/.test(event.properties.decision_id)), 'what was seen is told with its decision');
  assert.deepEqual(troubles, [], 'no complaint, and nobody else was asked');

  await page.click('#account-link');
  await page.waitForSelector('.why li');
  await accessible(page, 'account');
  await fits(page, 'account');
  await shot(page, `shop-account-${name}`);
  await context.close();
  return shift;
}

/** The search field completes what is typed: by keys and by hand, heard and seen, and tells where it leads. */
async function completes(browser, viewport, what) {
  const { context, page, troubles } = await shopper(browser, viewport);
  await open(page, '');
  await say(page, 'Yes');
  await settle(page);
  const field = name => page.$eval(inside('merx-search-box', 'input'), (input, name) => input.getAttribute(name), name);
  const options = () => page.$$eval(inside('merx-search-box', '[role=option]'), nodes => nodes.map(node => ({ words: node.querySelector('.text').textContent, picture: !!node.querySelector('img'), chosen: node.getAttribute('aria-selected') === 'true' })));
  assert.deepEqual([await field('role'), await field('aria-expanded')], ['combobox', 'false']);
  await ask(page, 'shi');
  await appears(page, 'merx-search-box', '[role=option]');
  assert.equal(await field('aria-expanded'), 'true');
  const shown = await options();
  assert.ok(shown.some(one => /shi/i.test(one.words)), `what is typed is completed: ${shown.map(one => one.words).join('; ')}`);
  assert.ok(shown.some(one => one.picture), 'products are among them, with their pictures');
  await accessible(page, `suggestions, ${what}`);
  await fits(page, `suggestions, ${what}`);
  assert.ok((await page.evaluate(() => window.shifted)) < 0.1, 'the list moves nothing');
  await shot(page, `shop-suggestions-${what}`);

  // Down to the last, one more is the field again, up is the last.
  for (const key of ['ArrowDown', 'ArrowUp', 'ArrowUp']) await page.keyboard.press(key);
  assert.deepEqual((await options()).map(one => one.chosen), shown.map((_, at) => at === shown.length - 1));
  assert.equal(await field('aria-activedescendant'), `o${shown.length - 1}`);
  await page.keyboard.press('Escape');
  assert.equal(await field('aria-expanded'), 'false');

  // A letter more asks anew; what came late for fewer letters does not stand.
  await Promise.all([page.waitForResponse(reply => reply.url().endsWith('/v1/suggest') && reply.request().postData().includes('"shirt"')), ask(page, 'shirt')]);
  await appears(page, 'merx-search-box', '.list:not([hidden]) [role=option] img');
  const product = (await options()).findIndex(one => one.picture);
  await page.click(inside('merx-search-box', `#o${product}`));
  await page.waitForSelector('.product h1');
  assert.match(page.url(), /\/shop\/p\//);

  // Enter on what is walked to searches for it.
  await ask(page, 'shi');
  await appears(page, 'merx-search-box', '[role=option]');
  const queries = await options();
  const query = queries.findIndex(one => !one.picture);
  for (let step = 0; step <= query; step += 1) await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await appears(page, 'merx-results', '.grid article a');
  assert.deepEqual(troubles, []);
  await context.close();
}

async function saysNo(browser) {
  const { context, page } = await shopper(browser, DESK);
  const told = events(page);
  await open(page, '');
  await say(page, 'No');
  await settle(page);
  await open(page, 'p/P000019');
  await open(page, '');
  const names = told.map(event => event.event ?? event.type);
  assert.deepEqual(names, ['Segment Consent Preference Updated'], 'the refusal is told, and nothing else');
  assert.deepEqual(await page.cookies(), []);
  assert.ok(await page.$(inside('merx-recommendations', 'article')), 'the shop is there all the same');
  await context.close();
}

/** The home page's blocks stand as Merx says, and in the shop's own order where it says nothing. */
async function layout(browser) {
  const { context, page, troubles } = await shopper(browser, DESK);
  const told = events(page);
  const standing = () => page.$$eval('[data-block]', blocks => blocks.map(block => block.dataset.block));
  const asked = page.waitForResponse(reply => reply.url().endsWith('/v1/layout'));
  await open(page, '');
  const { decision_id, blocks, propensity } = await (await asked).json();
  assert.deepEqual(await standing(), blocks.map(({ id }) => id));
  assert.equal(blocks[0].id, 'hero');
  assert.ok(propensity > 0 && propensity <= 1);
  await say(page, 'Yes');
  await page.waitForFunction(() => document.querySelectorAll('[data-block]').length > 5);
  await page.evaluate(() => document.querySelector('[data-block=small] a').click());
  await page.waitForFunction(() => location.pathname.endsWith('/search'));
  await page.evaluate(() => dispatchEvent(new Event('pagehide')));
  await settle(page);
  const of = name => told.filter(event => event.event === name && event.properties.decision_id === decision_id).map(event => event.properties.promotion_id);
  assert.ok(of('Promotion Viewed').includes('hero'), 'what was seen is told with its decision');
  assert.deepEqual(of('Promotion Clicked'), ['small'], 'and what was used');
  assert.deepEqual(troubles, []);
  if (secret) {
    const why = await call(`/v1/decisions/${decision_id}/why`, secret);
    assert.deepEqual(why.blocks.map(({ id }) => id), blocks.map(({ id }) => id));
    assert.equal((await call(`/v1/decisions/${decision_id}/replay`, secret, {})).identical, true);
  }
  await context.close();

  const other = await shopper(browser, DESK);
  other.page.removeAllListeners('request');
  let turned = true;
  other.page.on('request', request => {
    if (!request.url().endsWith('/v1/layout')) return request.continue();
    if (!turned) return request.abort();
    const { blocks } = JSON.parse(request.postData());
    const shown = [blocks[0], ...blocks.slice(1).reverse()].map(({ id }) => ({ id, score: 0.1, chance: 1, reason: { type: 'learned', words: '' } }));
    return request.respond({ contentType: 'application/json', body: JSON.stringify({ decision_id: 'f'.repeat(32), page: 'home', blocks: shown, propensity: 1, fallback: 'live_model', arm: 'treated', latency_us: 1 }) });
  });
  const turnedOrder = async () => { await open(other.page, ''); return other.page.$$eval('[data-block]', blocks => blocks.map(block => block.dataset.block)); };
  const reversed = await turnedOrder();
  assert.deepEqual(reversed.slice(0, 2), ['hero', 'recently_viewed']);
  turned = false;
  await other.page.evaluate(() => localStorage.clear());
  assert.deepEqual((await turnedOrder()).slice(0, 2), ['hero', 'for_you'], "without an answer, the shop's own order");
  await other.context.close();
}

/** Merx dies while somebody shops. */
async function merxIsAway(browser) {
  const { context, page } = await shopper(browser, DESK);
  await open(page, '');
  await say(page, 'Yes');
  await settle(page);
  page.removeAllListeners('request');
  page.on('request', request => (request.url().includes('/v1/') ? request.abort() : request.continue()));
  await page.goto(SHOP);
  await appears(page, 'merx-recommendations', 'article[data-product]');
  assert.ok((await page.$$(inside('merx-recommendations', 'article[data-product]'))).length > 4, 'the last good shelf stands in');
  const waiting = 'Object.keys(localStorage).filter(name => name.startsWith("merx.queue.")).flatMap(name => JSON.parse(localStorage.getItem(name)).waiting).length';
  const before = await page.evaluate(waiting);
  await page.click('.hero .button');
  await page.waitForFunction(`${waiting} > ${before}`);
  await context.close();
}

async function rightToLeft(browser) {
  const { context, page } = await shopper(browser, DESK);
  await open(page, '?lang=ar');
  const heading = await page.$eval(inside('merx-trending', 'h2'), node => [node.textContent, getComputedStyle(node).direction]);
  assert.deepEqual(heading, ['الأكثر رواجًا', 'rtl']);
  await fits(page, 'right to left');
  await context.close();
}

const call = async (path, bearer, body, method = body ? 'POST' : 'GET') => {
  const reply = await fetch(origin + path, { method, headers: { Authorization: `Bearer ${bearer}`, 'Content-Type': 'application/json' }, ...(body && { body: JSON.stringify(body) }) });
  assert.ok(reply.ok, `${path}: ${reply.status}`);
  return reply.json();
};

/** A product with partners, all of them into the basket at once. */
async function bundle(browser) {
  const { hits } = await call('/v1/search', key, { query: '', count: 100, sort: [{ field: 'popularity', descending: true }] });
  let product;
  for (const { product_id } of hits) {
    const { slots } = await call('/v1/recommend', key, { slots: [{ scenario: 'bought_together', count: 2, products: [product_id] }] });
    if (slots[0].items.length === 2) { product = product_id; break; }
  }
  assert.ok(product, 'something is bought together');
  const { context, page } = await shopper(browser, DESK);
  await open(page, `p/${product}`);
  await say(page, 'Yes');
  await appears(page, 'merx-bundle', '.button');
  await accessible(page, 'bundle');
  await page.click(inside('merx-bundle', '.button'));
  await page.waitForFunction(() => document.querySelector('#basket-count').textContent === '3');
  await context.close();
}

/** It is sold out while somebody looks, they ask to be told, it comes back. */
async function outAndBack(browser) {
  const product = 'P000019';
  const { items } = await call(`/v1/stock/${product}`, secret);
  const set = quantity => call('/v1/stock/batch', secret, { upsert: items.map(({ updated_at, ...level }) => ({ ...level, quantity: quantity ?? level.quantity })) });
  const { context, page } = await shopper(browser, DESK);
  try {
    await set(40);
    await open(page, `p/${product}`);
    await say(page, 'Yes');
    await page.waitForSelector('.stock.plenty');
    await set(0);
    await page.waitForSelector('.stock.out', { timeout: 20_000 });
    await appears(page, 'merx-back-in-stock[product]', 'button');
    await page.click(inside('merx-back-in-stock[product]', 'button'));
    await set(40);
    await open(page, '');
    await appears(page, '.notices merx-back-in-stock', '.note a');
  } finally {
    await set();
    await context.close();
  }
}

/** Those who run no script, search engines among them. */
async function crawlers() {
  const html = await (await fetch(`${SHOP}p/P000019`)).text();
  const data = JSON.parse(html.match(/<script type="application\/ld\+json">(.*?)<\/script>/)[1]);
  assert.equal(data['@type'], 'Product');
  assert.equal(data.sku, 'P000019');
  assert.match(data.offers.price, /^\d+\.\d\d$/);
  assert.ok(html.includes(`<h1>${data.name.replace(/&/g, '&amp;')}</h1>`) || html.includes('&#'), 'the name stands in the page');
  assert.equal(html, await (await fetch(`${SHOP}p/P000019`)).text(), 'the same for everybody');
}

async function debugToolbar(browser) {
  const { context, page } = await shopper(browser, DESK);
  await open(page, '?merx-debug');
  const words = await page.$eval(inside('merx-debug', 'details'), node => node.textContent);
  assert.match(words, /[0-9a-f]{32}/, 'decision ids are shown');
  assert.match(words, /waits for consent/);
  await context.close();
}

/** As a page-speed tool would say it, on this machine, without throttling. */
async function speed(browser) {
  const { context, page } = await shopper(browser, DESK);
  await page.evaluateOnNewDocument(() => new PerformanceObserver(list => { window.largest = list.getEntries().at(-1).startTime; }).observe({ type: 'largest-contentful-paint', buffered: true }));
  await open(page, '');
  const figures = await page.evaluate(() => ({
    first_paint_ms: Math.round(performance.getEntriesByName('first-contentful-paint')[0].startTime),
    largest_paint_ms: Math.round(window.largest),
    shift: Number(window.shifted.toFixed(3)),
    script_kb: Math.round(performance.getEntriesByType('resource').filter(entry => entry.name.endsWith('.js')).reduce((sum, entry) => sum + entry.decodedBodySize, 0) / 1024),
    requests: performance.getEntriesByType('resource').length,
  }));
  await context.close();
  return figures;
}

mkdirSync(folder, { recursive: true });
if (!(await (await fetch(SHOP)).text()).includes('shop.js')) {
  console.log('the binary was built without the shop: skipped');
  process.exit(0);
}
const browser = await launch();
try {
  await crawlers();
  await buys(browser, DESK, 'desk');
  await buys(browser, PHONE, 'phone');
  await completes(browser, DESK, 'desk');
  await completes(browser, PHONE, 'phone');
  await saysNo(browser);
  await merxIsAway(browser);
  await rightToLeft(browser);
  await bundle(browser);
  if (secret) await outAndBack(browser);
  await layout(browser);
  await debugToolbar(browser);
  console.log(`the shop sells, on a desk and on a phone: ${JSON.stringify(await speed(browser))}`);
} finally {
  await browser.close();
}

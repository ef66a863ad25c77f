// The merchants' console in a browser: sign in, every page, what is done there, on a desk and on a phone, by the keys alone.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { launch, watchedPage } from './browser.mjs';

const [origin, keys, folder = 'screenshots'] = process.argv.slice(2);
const [publicKey, secretKey, adminKey] = keys.split(',');
const AXE = readFileSync(new URL('./node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
const DESK = { width: 1440, height: 900 };
const PHONE = { width: 390, height: 844, isMobile: true, hasTouch: true };
const FIRST_VIEW_LIMIT_BYTES = 400_000;
const PRODUCT = process.env.PRODUCT || 'P000019';
const PAGES = ['', 'value', 'value?tab=kpis', 'live', 'catalogue', 'search?q=shirt', 'search?q=shirt&beside=price', 'recommendations', `recommendations?slot=product&products=${PRODUCT}`, 'recommendations?tab=rules', 'recommendations?tab=rules&new=home',
  'search?tab=analytics', 'search?tab=rules', 'search?tab=rules&new=shirt', 'search?tab=synonyms', 'search?tab=history',
  'decisions', 'models', 'models?name=recommend&version=1', 'models?compare=recommend&before=1&after=1', 'health', 'settings', 'settings?tab=users', 'settings?tab=channels', 'settings?tab=markets', 'settings?tab=markets&market=de', 'settings?tab=audit',
  'experiments', 'experiments?new=1', 'experiments?new=flag', 'automations', 'automations?tab=approvals', 'automations?tab=history',
  'customers', 'customers?tab=segments', 'privacy', 'privacy?new=1'];
const PASSWORD = 'four words are a good one';
const RUN = Date.now().toString(36);

const post = async (path, body, key = publicKey, method = 'POST') => {
  const reply = await fetch(`${origin}${path}`, { method, headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
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
const press = async (page, words, within = 'main, dialog') => {
  const button = await page.waitForFunction((words, within) => [...document.querySelectorAll(within)].flatMap(place => [...place.querySelectorAll('button, a')]).find(one => one.innerText.trim().startsWith(words) && !one.disabled), { timeout: 60_000 }, words, within);
  await button.click();
};
/** What is in a field is replaced. */
const fill = async (page, selector, words) => {
  await (await page.waitForSelector(selector)).click({ count: 3 });
  await page.keyboard.type(words);
};
const shows = (page, words) => page.waitForFunction(words => document.body.innerText.includes(words), { timeout: 60_000 }, words);

/** What axe finds serious or worse. */
async function accessible(page, name) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
  const serious = violations.filter(one => ['serious', 'critical'].includes(one.impact));
  assert.deepEqual(serious.map(one => `${name}: ${one.id}: ${one.nodes.slice(0, 3).map(node => node.html.slice(0, 160)).join(' | ')}`), []);
}

const byKey = async (page, key) => {
  await (await page.waitForSelector('button.other')).click();
  await page.waitForSelector('input[name=key]');
  await page.type('input[name=key]', key);
  await page.keyboard.press('Enter');
};

async function signIn(page, troubles) {
  await page.goto(`${origin}/console`);
  await page.waitForSelector('input[name=password]');
  await accessible(page, 'sign in');
  await byKey(page, publicKey);
  await page.waitForSelector('[role=alert]');
  assert.ok(troubles.pop()?.includes('403'), 'the browser itself reports the refusal');
  assert.deepEqual(troubles, []);
  await fill(page, 'input[name=key]', adminKey);
  await page.keyboard.press('Enter');
  await page.waitForSelector('nav');
  assert.equal(await page.evaluate(() => document.cookie), '', 'no script reads the cookie');
  assert.ok(!(await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]))).includes('mx_'), 'the key is kept nowhere');
}

/** A page of somebody who signs in by name. */
async function signedIn(browser, name) {
  const context = await browser.createBrowserContext();
  const { page, troubles } = await watchedPage(context, [origin]);
  await page.setViewport(DESK);
  await page.goto(`${origin}/console`);
  await page.waitForSelector('input[name=name]');
  await page.type('input[name=name]', name);
  await page.type('input[name=password]', PASSWORD);
  await page.keyboard.press('Enter');
  await page.waitForSelector('nav');
  return { context, page, troubles };
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

/** The order of a page is drawn from its first block to its last, each with how likely it was. */
async function layoutIsDrawn(page) {
  const blocks = [{ id: 'hero', fixed: true }, { id: 'for_you' }, { id: 'trending' }, { id: 'new' }];
  const { decision_id, blocks: decided } = await post('/v1/layout', { page: 'home', anonymous_id: `layout-${RUN}`, blocks });
  const listed = async () => (await fetch(`${origin}/v1/decisions/${decision_id}`, { headers: { Authorization: `Bearer ${secretKey}` } })).ok;
  for (let tries = 0; !(await listed()) && tries < 100; tries += 1) await new Promise(done => setTimeout(done, 100));
  await open(page, `decisions?engine=layout&id=${decision_id}`);
  await page.waitForSelector('dialog ol[aria-label="Blocks, from the top on"] li');
  const drawn = await page.$$eval('dialog ol[aria-label="Blocks, from the top on"] li', rows => rows.map(row => [row.querySelector('strong').innerText, row.innerText.match(/(\d+) % likely/)?.[1]]));
  const words = id => id.charAt(0).toUpperCase() + id.slice(1).replaceAll('_', ' ');
  assert.deepEqual(drawn, decided.map(({ id, chance }) => [words(id), (100 * chance).toFixed(0)]));
  await accessible(page, 'the order of a page');
  const about = await page.$$eval('main div[role=row].line', rows => rows.map(row => row.innerText));
  assert.ok(about.some(row => row.includes(decided.map(({ id }) => id).join(', '))), 'the list says which blocks');
  await press(page, 'Decide again', 'dialog');
  await shows(page, 'The same, bit for bit');
}

/** What a record holds of its model and of each product's features is shown. */
async function featuresAreShown(browser) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  await page.goto(`${origin}/console`);
  await byKey(page, adminKey);
  await page.waitForSelector('nav');
  const { decision_id } = await post('/v1/recommend', { slots: [{ scenario: 'popular', count: 2 }] });
  const about = { Authorization: `Bearer ${secretKey}` };
  let record;
  for (let tries = 0; !record && tries < 100; tries += 1) {
    const reply = await fetch(`${origin}/v1/decisions/${decision_id}`, { headers: about });
    if (reply.ok) record = await reply.json(); else await new Promise(done => setTimeout(done, 100));
  }
  assert.match(record.model_artifact, /^[0-9a-f]{64}$/);
  await open(page, `decisions?id=${decision_id}`);
  await shows(page, record.model_artifact);
  await page.waitForSelector('dialog summary');
  assert.equal((await page.$$('dialog summary')).length, 2, 'of both products');
  await page.focus('dialog summary');
  await page.keyboard.press('Enter');
  const rows = await page.$$eval('dialog details[open] tbody tr', rows => rows.map(row => [...row.cells].map(cell => cell.innerText).filter(Boolean)));
  assert.equal(rows[0][0], 'Popular');
  assert.match(rows[0].at(-1), /^\+[0-9.]+$/);
  await accessible(page, 'what moved a product');
  await context.close();
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
  await page.type('input[name=label]', 'made by a test');
  await page.click('form button.primary');
  await shows(page, 'Here it is, this once');
  const made = await page.waitForFunction(() => [...document.querySelectorAll('div[role=row].line')].find(row => row.innerText.includes('made by a test'))?.querySelector('code').innerText);
  const id = await made.jsonValue();
  await page.evaluate(id => [...document.querySelectorAll('div[role=row].line')].find(row => row.innerText.includes(id)).querySelector('button').click(), id);
  await page.waitForSelector('dialog[open] .primary');
  await page.click('dialog[open] .primary');
  await shows(page, `Key ${id} is revoked`);
}

/** Somebody is told of alerts: an address is added, tested with a real call that its secret proves, and removed. */
async function channelIsToldAndRemoved(page) {
  const told = [];
  const receiver = createServer((request, reply) => {
    let body = '';
    request.on('data', part => { body += part; }).on('end', () => { told.push({ headers: request.headers, body }); reply.writeHead(204).end(); });
  });
  await new Promise(ready => receiver.listen(0, '127.0.0.1', ready));
  const address = `http://127.0.0.1:${receiver.address().port}/hooks/${RUN}`;
  try {
    await open(page, 'settings?tab=channels');
    await page.type('input[name=url]', address);
    await page.click('input[type=checkbox][value=test]');
    await press(page, 'Add it');
    await shows(page, 'Its secret, this once');
    const secret = await page.$eval('[role=status] code', node => node.innerText);
    await press(page, 'Send a test alert');
    await page.waitForFunction(() => [...document.querySelectorAll('div[role=row].line')].some(row => row.innerText.includes('delivered')), { timeout: 60_000 });
    const { headers, body } = told[0];
    assert.equal(JSON.parse(body).type, 'alert.test');
    const signed = createHmac('sha256', Buffer.from(secret.slice('whsec_'.length), 'base64')).update(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`).digest('base64');
    assert.ok(headers['webhook-signature'].split(' ').includes(`v1,${signed}`), 'its secret proves where the call comes from');
    await accessible(page, 'alert channels with a delivery');
    await shot(page, 'console-channels');
    await press(page, `Remove ${address}`.slice(0, 6), 'div[role=row].line');
    await press(page, 'Remove', 'dialog');
    await shows(page, 'is told nothing more');
  } finally {
    receiver.close();
  }
}

/** People change their own password: sessions elsewhere end, this one goes on. */
async function passwordIsChanged(browser) {
  const name = `analyst-${RUN}`;
  const elsewhere = await signedIn(browser, name);
  const { context, page, troubles } = await signedIn(browser, name);
  await open(page, 'settings?tab=password');
  await accessible(page, 'one’s own password');
  const other = 'another four words here';
  const change = async (now, wanted) => {
    await fill(page, 'input[name=now]', now);
    await fill(page, 'input[name=new]', wanted);
    await fill(page, 'input[name=again]', wanted);
    await press(page, 'Change it');
  };
  await change('not the password', other);
  await page.waitForSelector('form [role=alert]');
  assert.ok(troubles.pop()?.includes('401'), 'the browser itself reports the refusal');
  await change(PASSWORD, other);
  await shows(page, 'your sessions elsewhere have ended');
  await open(page, 'models');
  assert.equal(await text(page, 'h1'), 'Models', 'this session goes on');
  await elsewhere.page.goto(`${origin}/console`);
  await elsewhere.page.waitForSelector('input[name=password]');
  await open(page, 'settings?tab=password');
  await change(other, PASSWORD);
  await shows(page, 'your sessions elsewhere have ended');
  assert.deepEqual(troubles, []);
  await context.close();
  await elsewhere.context.close();
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
  await shows(page, 'How the interval narrowed');
  await accessible(page, 'an experiment');
  await press('End it');
  await shows(page, 'Ended');
}

/** Products that a shopper finds in the demo shop. */
async function foundInShop(browser, query) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  await page.goto(`${origin}/shop/search?q=${encodeURIComponent(query)}`);
  await page.waitForFunction(() => document.querySelector('merx-results')?.shadowRoot?.querySelector('.grid article a'), { timeout: 60_000 });
  const found = await page.$$eval('merx-results >>> .grid article a', links => links.map(link => new URL(link.href).pathname.split('/').at(-1)));
  await context.close();
  return [...new Set(found)];
}

/** A rule is written beside its preview, acts in the shop, and is taken back. */
async function ruleActsInTheShop(page, browser) {
  const query = 'shirt';
  const [first, ...others] = await foundInShop(browser, query);
  assert.ok(first && others.length > 1, 'the shop finds shirts');
  await open(page, `search?tab=rules&new=${query}`);
  await fill(page, 'input[name=name]', `Without the first, ${RUN}`);
  const hide = await page.waitForSelector('section[aria-label=Preview] li:first-child .acts button:last-child');
  await hide.click();
  await page.waitForFunction(() => document.querySelector('section[aria-label=Preview]').innerText.includes('the rule acts'));
  const hidden = await page.$eval('.consequence code', node => node.innerText);
  await shot(page, 'console-rule');
  await accessible(page, 'a rule');
  await press(page, 'Set the rule', 'dialog');
  await shows(page, 'Searches go by it now');
  assert.ok(!(await foundInShop(browser, query)).includes(hidden), 'the shop hides it');
  await press(page, 'Undo', '.toasts');
  await shows(page, 'Undone');
  assert.ok((await foundInShop(browser, query)).includes(first), 'and shows what it showed before');
}

/** A rule for slots is written beside its preview, acts on the next page, stands in its record, and is taken back. */
async function slotRuleActs(page) {
  const shown = async () => {
    const { decision_id, slots } = await post('/v1/recommend', { slots: [{ scenario: 'popular', count: 6 }] });
    return { decision: decision_id, items: slots[0].items.map(item => item.product_id) };
  };
  const before = (await shown()).items;
  await open(page, 'recommendations?tab=rules&new=popular');
  await fill(page, 'input[name=name]', `Not the first, ${RUN}`);
  const row = number => page.waitForSelector(`section[aria-label=Preview] li:nth-child(${number})`);
  await (await (await row(1)).waitForSelector('.acts button:last-child')).click();
  await page.waitForFunction(() => document.querySelector('section[aria-label=Preview]').innerText.includes('the rule acts'));
  await (await (await row(4)).waitForSelector('.acts button:first-child')).click();
  await page.waitForFunction(() => document.querySelector('section[aria-label=Preview] li').innerText.includes('chosen by the shop'));
  const [hidden, pinned] = await page.$$eval('.consequence code', nodes => nodes.map(node => node.innerText));
  await shot(page, 'console-slot-rule');
  await accessible(page, 'a rule for slots');
  await press(page, 'Set the rule', 'dialog');
  await shows(page, 'Slots go by it now');
  const after = await shown();
  assert.equal(hidden, before[0]);
  assert.ok(!after.items.includes(hidden) && after.items[0] === pinned, `${before} became ${after.items}`);
  await accessible(page, 'rules for slots');
  let why;
  for (let tries = 0; !why && tries < 100; tries += 1) {
    const reply = await fetch(`${origin}/v1/decisions/${after.decision}/why`, { headers: { Authorization: `Bearer ${secretKey}` } });
    if (reply.ok) why = await reply.json(); else await new Promise(done => setTimeout(done, 100));
  }
  assert.ok(why.words.some(words => words.startsWith('the merchant\'s rule not-the-first')), why.words.join('; '));
  await press(page, 'Undo', '.toasts');
  await shows(page, 'Undone');
  assert.deepEqual((await shown()).items, before);
}

/** Whom a try is for stands in no address, unless it is a pseudonym. */
async function namesStandInNoAddress(page) {
  await open(page, 'recommendations');
  await page.select('select[name=by]', 'user_id');
  await fill(page, 'input[name=who]', `customer-${RUN}`);
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('main ul.tiles li, main .nothing'));
  assert.ok(!page.url().includes(RUN), page.url());
  await page.click('main a[href*="slot="]');
  assert.ok(!page.url().includes(RUN), page.url());
}

/** Two versions stand beside each other under an address of their own; what was usual is said again. */
async function versionsAreCompared(page) {
  await open(page, 'models');
  await press(page, 'Compare versions');
  await page.waitForSelector('dialog[open] select[name=before]');
  await shows(page, 'On held-out time');
  assert.match(page.url(), /compare=[a-z]+&before=\d+&after=\d+/);
  await accessible(page, 'two versions');
  await shot(page, 'console-versions');
  await page.keyboard.press('Escape');
  await page.waitForFunction(() => !document.querySelector('dialog[open]'));
  // A hundred values of a number are needed to compare it.
  for (let at = 0; at < 120; at += 1) await post('/v1/recommend', { anonymous_id: `browser-${at % 5}`, slots: [{ scenario: 'home', count: 3 }] });
  await press(page, 'Call this usual');
  await press(page, 'Call them usual', 'dialog');
  await shows(page, 'are called usual from now on');
  await page.waitForSelector('section[aria-label="Drift of recommend"] table tbody tr');
  await accessible(page, 'drift');
}

async function synonymIsSetAndUndone(page) {
  await open(page, 'search?tab=synonyms');
  await page.type('input[name=words]', `zzshirt${RUN}, shirt`);
  await press(page, 'Set it');
  await shows(page, 'Searches know it now');
  const { total } = await post('/v1/search', { query: `zzshirt${RUN}` });
  assert.ok(total > 0, 'the new word finds what the old one does');
  await press(page, 'Undo', '.toasts');
  await shows(page, 'Undone');
}

/** Shoppers click the same after two words; a training proposes them as synonyms, somebody agrees with a key, and searches know it. */
async function synonymIsProposedAndApproved(page) {
  const word = `ruby${RUN}`;
  const find = query => post('/v1/search', { query, count: 20 });
  const { hits } = await find(`${word} shirt`);
  // How many are found hangs on how much a word tells in this shop; that a word is missing in all of them doesn't.
  const isUnknown = async () => (await find(`${word} shirt`)).steps.some(step => step.type === 'relaxed' && step.words.includes(word));
  assert.ok(await isUnknown(), `no product has ${word}`);
  const shared = new Set(hits.map(hit => hit.product_id));
  const both = (await find('red shirt')).hits.map(hit => hit.product_id).filter(id => shared.has(id)).slice(0, 2);
  assert.equal(both.length, 2, 'two products are found by both');
  for (let shopper = 0; shopper < 260; shopper += 1) {
    const anonymousId = `taught-${RUN}-${shopper}`;
    const { decision_id } = await post('/v1/search', { query: shopper % 2 ? 'red shirt' : `${word} shirt`, count: 20, anonymous_id: anonymousId });
    await post('/v1/track', { event: 'Product Clicked', anonymousId, properties: { product_id: both[shopper % 4 < 2 ? 0 : 1], decision_id } });
  }
  // What is younger than two seconds may not be on record yet, and a training leaves it out.
  await new Promise(done => setTimeout(done, 3_000));
  const { id } = await post('/v1/jobs', { kind: 'training' }, adminKey);
  const state = async () => (await (await fetch(`${origin}/v1/jobs/${id}`, { headers: { Authorization: `Bearer ${adminKey}` } })).json()).state;
  for (let tries = 0; !['done', 'failed'].includes(await state()) && tries < 600; tries += 1) await new Promise(done => setTimeout(done, 500));
  assert.equal(await state(), 'done');

  await open(page, 'search?tab=synonyms');
  await shows(page, `red = ${word}`);
  await accessible(page, 'proposed synonyms');
  await shot(page, 'console-proposals');
  await page.focus('.proposals');
  const place = await page.$$eval('.proposals li', (rows, words) => rows.findIndex(row => row.innerText.includes(words)), `red = ${word}`);
  for (let step = 0; step < place; step += 1) await page.keyboard.press('j');
  await page.keyboard.press('a');
  await shows(page, `red = ${word} mean the same now`);
  const [found, red] = [await find(`${word} shirt`), await find('red shirt')];
  assert.deepEqual([found.steps, found.total], [[], red.total], `${word} finds what red does`);
  await press(page, 'Undo', '.toasts');
  await shows(page, 'Undone');
  assert.ok(await isUnknown(), `${word} means nothing again`);
  await open(page, 'search?tab=history');
  await shows(page, word);
}

/** Somebody asks for more of an automation; somebody else agrees with a key and a reason. */
async function suggestionIsApproved(page, browser) {
  await post('/v1/automations/search/mode', { mode: 'suggest' }, adminKey);
  await open(page, 'automations');
  await page.evaluate(() => [...document.querySelectorAll('section')].find(card => card.querySelector('h2')?.innerText === 'Search').querySelector('[role=group] button:last-child').click());
  await fill(page, 'textarea[name=why]', 'it was right in the shadow for a week');
  await fill(page, 'input[name=effect]', 'more orders from searches');
  await fill(page, 'input[name=risk]', 'fewer clicks on new products');
  await press(page, 'Ask for agreement', 'dialog');
  await shows(page, 'It waits for somebody else');
  const other = await signedIn(browser, `owner-${RUN}`);
  await open(other.page, 'automations?tab=approvals');
  await shows(other.page, 'it was right in the shadow');
  await shot(other.page, 'console-approvals');
  await other.page.keyboard.press('a');
  await other.page.waitForSelector('dialog textarea[name=reason]');
  await accessible(other.page, 'an approval');
  await other.page.type('dialog textarea[name=reason]', 'agreed in the weekly round');
  await press(other.page, 'Approve', 'dialog');
  await shows(other.page, 'from the next decision on');
  await shows(other.page, 'agreed in the weekly round');
  const { mode } = await (await fetch(`${origin}/v1/automations/search`, { headers: { Authorization: `Bearer ${secretKey}` } })).json();
  assert.equal(mode, 'live');
  await open(other.page, 'settings?tab=audit');
  await shows(other.page, `user owner-${RUN}`);
  await shows(other.page, 'The chain holds');
  assert.deepEqual(other.troubles, []);
  await other.context.close();
}

/** A market, and a campaign where the server knows them, has a mode of its own, and loses it again. */
async function placesHaveModes(page) {
  const automation = async () => (await fetch(`${origin}/v1/automations/search`, { headers: { Authorization: `Bearer ${secretKey}` } })).json();
  const row = name => page.waitForFunction(name => [...document.querySelectorAll('main table tr')].find(row => row.innerText.startsWith(name)), {}, name);
  const set = async (kind, name) => {
    await page.evaluate(() => [...document.querySelectorAll('main button')].find(one => one.innerText.replace(/\s+/g, ' ').includes('A mode for one market') && one.innerText.includes('search')).click());
    await page.waitForSelector('dialog [aria-label="Where it counts"]');
    await press(page, 'Off', 'dialog');
    await press(page, kind, 'dialog');
    await page.type('dialog input[name=where]', name);
    await accessible(page, 'a mode of its own');
    await press(page, 'Set it', 'dialog');
    await row(name);
  };
  await open(page, 'automations');
  await set('One market', 'gb');
  assert.equal((await automation()).markets.gb.mode, 'off');
  await accessible(page, 'modes by market');
  await shot(page, 'console-automations');
  await press(page, 'Undo', '.toasts');
  await shows(page, 'Undone');
  assert.equal((await automation()).markets.gb.mode, 'live');
  if ((await automation()).campaigns === undefined) return;
  await open(page, 'automations');
  await set('One campaign', `sale-${RUN}`);
  assert.equal((await automation()).campaigns[`sale-${RUN}`].mode, 'off');
  const button = await page.waitForFunction(name => [...document.querySelectorAll('main table tr')].find(row => row.innerText.startsWith(name))?.querySelector('button:last-of-type'), {}, `sale-${RUN}`);
  await button.click();
  await shows(page, 'is as everywhere');
  assert.equal((await automation()).campaigns[`sale-${RUN}`], undefined);
}

/** The kill switch is one click, and one more back. */
async function automationIsStopped(page) {
  await open(page, 'automations');
  await press(page, 'Stop at once');
  await shows(page, 'is stopped in every market');
  await press(page, 'Undo', '.toasts');
  await shows(page, 'Undone');
}

async function userIsAdded(page) {
  await open(page, 'settings?tab=users');
  for (const role of ['owner', 'merchandiser', 'analyst', 'support', 'auditor']) {
    await page.type('input[name=user]', `${role}-${RUN}`);
    await page.select('select[name=role]', role);
    await page.type('input[name=password]', PASSWORD);
    await press(page, 'Add');
    await shows(page, `${role}-${RUN} may sign in now`);
  }
}

/** Each role finds pages that work, and nowhere asks for what it may not have. */
async function rolesFindTheirPages(browser) {
  for (const role of ['merchandiser', 'analyst', 'support', 'auditor']) {
    const { context, page, troubles } = await signedIn(browser, `${role}-${RUN}`);
    await shows(page, role);
    const links = await page.$$eval('#menu nav a', anchors => anchors.filter(one => !one.querySelector('.locked')).map(one => one.getAttribute('href')));
    assert.ok(links.length > 4 && links.length < 14, `${role} sees ${links.length} pages`);
    for (const link of links) {
      await page.goto(`${origin}${link}`);
      await settled(page);
    }
    assert.deepEqual(troubles, [], `${role} asks for nothing in vain`);
    await context.close();
  }
}

/** A customer is found, seen, erased, and the proof is shown. */
async function visitorIsErased(page) {
  await view(PRODUCT, `forgotten-${RUN}`);
  await post('/v1/recommend', { anonymous_id: `forgotten-${RUN}`, slots: [{ scenario: 'home' }] });
  await open(page, 'customers');
  await page.select('select[name=by]', 'anonymous_id');
  await page.type('input[name=name]', `forgotten-${RUN}`);
  await page.type('input[name=reason]', 'ticket 4711');
  await press(page, 'Look');
  await shows(page, 'Product Viewed');
  await shows(page, 'What they will buy again');
  await page.waitForSelector('ul[aria-label="What they may want"] li a');
  assert.match(page.url(), /subject=[0-9a-f]{32}$/, 'an address holds a pseudonym and no name');
  await accessible(page, 'a customer');
  await shot(page, 'console-customer');
  await press(page, 'Erase');
  await page.waitForSelector('select[name=kind]');
  await press(page, 'Erase', 'dialog form');
  await shows(page, 'Nothing of this person is left');
  await accessible(page, 'a proof');
  await shot(page, 'console-proof');
  await press(page, 'Search every store again', 'dialog');
  await page.waitForFunction(() => document.querySelector('dialog')?.getAttribute('aria-label') === 'Verification request' && document.querySelector('dialog .proof .good'), { timeout: 60_000 });
}

/** Overviews look at nobody: what stands in the list of looks was asked for by name. */
async function overviewsLookAtNobody(page) {
  const looks = async () => (await (await fetch(`${origin}/v1/privacy/reads?limit=1000`, { headers: { Authorization: `Bearer ${adminKey}` } })).json()).items.length;
  const before = await looks();
  for (const path of ['', 'decisions', 'live', 'recommendations', 'recommendations?tab=rules', 'customers?tab=segments', 'models', 'automations', 'privacy']) await open(page, path);
  assert.equal(await looks(), before);
}

/** A secret key opens what it reaches; the rest says why not. */
async function reachIsShown(browser) {
  const context = await browser.createBrowserContext();
  const { page, troubles } = await watchedPage(context, [origin]);
  await page.setViewport(DESK);
  await page.goto(`${origin}/console/models`);
  await byKey(page, secretKey);
  await shows(page, 'Models is closed to you');
  await page.goto(`${origin}/console`);
  await settled(page);
  await page.click('button[aria-label="Sign out"]');
  await page.waitForSelector('input[name=password]');
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
    if (!path.includes('&') && !path.includes('new=')) await shot(page, `console-${path.replace('?tab=', '-').split('?')[0] || 'home'}`);
  }
  await liveEventsArrive(page);
  const rows = await tableIsWalked(page);
  await productIsHiddenAndShown(page);
  await decisionIsExplainedAndRepeated(page);
  await accessible(page, 'a decision');
  await shot(page, 'console-decision');
  await layoutIsDrawn(page);
  await shot(page, 'console-layout');
  await featuresAreShown(browser);
  await searchIsTried(page);
  await keysLeadAnywhere(page);
  await keyIsMadeAndRevoked(page);
  await userIsAdded(page);
  await ruleActsInTheShop(page, browser);
  await slotRuleActs(page);
  await namesStandInNoAddress(page);
  await synonymIsSetAndUndone(page);
  await synonymIsProposedAndApproved(page);
  await versionsAreCompared(page);
  await channelIsToldAndRemoved(page);
  await automationIsStopped(page);
  await placesHaveModes(page);
  await suggestionIsApproved(page, browser);
  await overviewsLookAtNobody(page);
  await experimentIsRun(page);
  await visitorIsErased(page);
  await passwordIsChanged(browser);
  await rolesFindTheirPages(browser);
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

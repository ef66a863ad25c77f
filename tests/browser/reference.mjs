// The browsable reference, as a developer meets it: everything is drawn, found, reached without a mouse, readable on a
// phone, and a request can be sent from it.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { launch, watchedPage } from './browser.mjs';

const [origin, key, folder] = process.argv.slice(2);
const METHODS = ['get', 'post', 'put', 'patch', 'delete'];
const PHONE = { width: 390, height: 844 };
const DESK = { width: 1360, height: 900 };

const visible = (page, selector) => page.$$eval(selector, nodes => nodes.filter(node => node.offsetParent !== null).length);
const drawn = page => page.waitForSelector('#operations[aria-busy=false] article');

async function everythingIsDrawn(page) {
  const api = await page.evaluate(async () => (await fetch('/openapi.json')).json());
  const documented = Object.entries(api.paths).flatMap(([path, item]) => METHODS.filter(method => item[method]).map(method => `${method} ${path}`));
  const shown = await page.$$eval('article', nodes => nodes.flatMap(node => node.dataset.operations.split(' | ')));
  assert.deepEqual(shown.toSorted(), documented.toSorted(), 'each operation stands on the page once');
  const linked = await page.$$eval('#index a', links => links.filter(link => !document.querySelector(link.hash)).map(link => link.hash));
  assert.deepEqual(linked, [], 'links of the contents lead somewhere');
  const withoutExample = await page.$$eval('article', nodes => nodes.filter(node => !node.querySelector('pre')?.textContent.startsWith('curl ')).map(node => node.id));
  assert.deepEqual(withoutExample, [], 'each operation shows a request');
  for (const problem of api['x-problems']) assert.ok(await page.$(`#problem-${problem.code}`), `the problem ${problem.code} is described`);
  return documented.length;
}

async function fieldsOpen(page) {
  const nested = await page.$('#recommend ul.fields details');
  const shown = () => nested.evaluate(node => node.querySelector('li').checkVisibility());
  assert.equal(await shown(), false);
  await (await nested.$('summary')).click();
  assert.equal(await shown(), true, 'the fields of an inner object open');
}

async function searchNarrows(page) {
  const all = await visible(page, 'article');
  await page.keyboard.press('/');
  await page.keyboard.type('replay');
  assert.deepEqual(await page.$$eval('article:not([hidden])', nodes => nodes.map(node => node.id)), ['replay_decision']);
  await page.$eval('#find', input => { input.value = ''; input.dispatchEvent(new Event('input')); });
  assert.equal(await visible(page, 'article'), all, 'an emptied search shows all again');
}

async function requestIsSent(page) {
  await page.type('#key', key);
  const call = await page.$('#recommend .try');
  await (await call.$('summary')).click();
  await (await call.$('button')).click();
  await page.waitForFunction(() => /^\d/.test(document.querySelector('#recommend .try figcaption span').textContent));
  const [status, answer] = await call.evaluate(node => [node.querySelector('figcaption span').textContent, node.querySelector('pre').textContent]);
  assert.match(status, /^200/, answer);
  assert.match(JSON.parse(answer).decision_id, /^[0-9a-f]{32}$/);
}

/** From the top of the page, by Tab and Enter alone, to an operation. */
async function keyboardReaches(page) {
  await page.goto(`${origin}/docs`);
  await drawn(page);
  const focused = () => page.evaluate(() => ({ text: document.activeElement.textContent, outlined: getComputedStyle(document.activeElement).outlineStyle !== 'none' }));
  await page.keyboard.press('Tab');
  assert.match((await focused()).text, /^Skip/, 'the first stop jumps over the contents');
  // Every address of the contents is a stop.
  const most = await page.$$eval('a[href^="#"]', links => links.length);
  for (let stops = 0; !/Decide again/.test((await focused()).text); stops += 1) {
    assert.ok(stops < most, 'an operation is reached by Tab');
    await page.keyboard.press('Tab');
  }
  assert.ok((await focused()).outlined, 'the focus is seen');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => location.hash === '#replay_decision');
  const top = await page.$eval('#replay_decision', node => node.getBoundingClientRect().top);
  assert.ok(top > 0 && top < 300, `the operation is in sight, at ${top}`);
}

async function phoneFits(page) {
  await page.setViewport({ ...PHONE, isMobile: true, hasTouch: true });
  await page.goto(`${origin}/docs`);
  await drawn(page);
  await page.$$eval('details', nodes => nodes.forEach(node => { node.open = true; }));
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(width <= PHONE.width, `nothing scrolls sideways: ${width} px`);
  await page.$$eval('details', nodes => nodes.forEach(node => { node.open = false; }));
}

async function darkIsDark(page) {
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }]);
  const light = await paper();
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
  assert.notEqual(await paper(), light);
}

const shot = (page, name) => page.screenshot({ path: join(folder, `${name}.png`) });

mkdirSync(folder, { recursive: true });
const browser = await launch();
try {
  const { page, troubles } = await watchedPage(browser, [origin]);
  await page.setViewport(DESK);
  await page.goto(`${origin}/docs`);
  await drawn(page);
  const operations = await everythingIsDrawn(page);
  await shot(page, 'reference-top');
  await fieldsOpen(page);
  await searchNarrows(page);
  await requestIsSent(page);
  await page.$eval('#recommend', node => node.scrollIntoView());
  await shot(page, 'reference');
  await keyboardReaches(page);
  await darkIsDark(page);
  await shot(page, 'reference-dark');
  await phoneFits(page);
  await shot(page, 'reference-phone');
  assert.deepEqual(troubles, [], 'no complaint, and nobody else was asked');
  console.log(`the reference shows ${operations} operations`);
} finally {
  await browser.close();
}

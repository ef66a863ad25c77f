// An InstantSearch front end in a browser, on an origin of its own, with the libraries as a <script> tag gets them: a shopper types, narrows,
// sorts, pages and clicks, with keyboard and mouse. Only the page's origin and Merx may be asked.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { launch, watchedPage } from './browser.mjs';

const [origin, key, folder] = process.argv.slice(2);
const library = path => readFileSync(new URL(`node_modules/${path}`, import.meta.url));
const files = {
  '/instantsearch.js': library('instantsearch.js/dist/instantsearch.production.min.js'),
  '/algoliasearch.js': library('algoliasearch/dist/lite/builds/browser.umd.js'),
  '/insights.js': library('search-insights/dist/search-insights.iife.min.js'),
};
const ask = async (path, body) => (await fetch(origin + path, { method: body ? 'POST' : 'GET', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' }, body: body && JSON.stringify(body) })).json();
// A popular product that others were bought with: in a small shop not every one is.
let seed;
for (const item of (await ask('/v1/recommend/popular?count=40')).slots[0].items) {
  const { slots: [{ items }] } = await ask('/v1/recommend', { slots: [{ scenario: 'bought_together', count: 1, products: [item.product_id] }] });
  if (items.length) { seed = item; break; }
}
assert(seed, 'no popular product was bought with another');
// The commonest word of product names, typed but for its last letter.
const words = (await ask('/v1/search', { count: 100 })).hits.flatMap(hit => hit.name.toLowerCase().match(/[a-z]{4,}/g) ?? []);
const times = word => words.filter(other => other === word).length;
const typed = words.toSorted((a, b) => times(b) - times(a))[0].slice(0, -1);
const everything = await ask('/v1/search', { query: typed, unfinished: true, count: 0, facets: ['brand', 'category.lvl0'] });
const brand = everything.facets[0].values[0].value, department = everything.facets[1].values[0].value;

const slots = ['box', 'suggestions', 'stats', 'sort', 'chosen', 'clear', 'trail', 'brand', 'levels', 'range', 'hits', 'pages', 'more', 'together', 'related', 'trending', 'alike'];
const html = `<!doctype html><meta charset="utf-8"><title>Shop</title><link rel="icon" href="data:,">
<style>body { font: 15px sans-serif; max-width: 70rem; margin: 1rem auto } mark { background: #ffe08a } article { display: inline-block; width: 15rem; margin: .3rem; vertical-align: top }</style>
${slots.map(slot => `<div id="${slot}"></div>`).join('')}
<script src="/algoliasearch.js"></script><script src="/instantsearch.js"></script>
<script>window.AlgoliaAnalyticsObject = 'aa'; window.aa = function () { (aa.queue = aa.queue || []).push(arguments); };</script><script src="/insights.js"></script>
<script>
const host = ${JSON.stringify(origin)}, key = ${JSON.stringify(key)};
const searchClient = window['algoliasearch/lite'].liteClient('SHOP', key, { hosts: [{ url: new URL(host).host, accept: 'readWrite', protocol: 'http' }],
  timeouts: { connect: 10000, read: 10000, write: 10000 } });
aa('init', { appId: 'SHOP', apiKey: key, host, useCookie: false, userToken: 'browser-' + Date.now() });
const { widgets } = instantsearch, at = id => ({ container: '#' + id });
const search = instantsearch({ indexName: 'products', searchClient, insights: { insightsClient: aa } });
window.search = search; window.errors = [];
search.on('error', ({ error }) => errors.push(error.message));
const card = (hit, { html }) => html\`<b>\${hit.name}</b>\`;
search.addWidgets([
  widgets.configure({ hitsPerPage: 6, attributesToSnippet: ['description:6'], clickAnalytics: true }),
  widgets.searchBox({ ...at('box'), placeholder: 'Search' }), widgets.stats(at('stats')),
  widgets.sortBy({ ...at('sort'), items: [{ label: 'Relevance', value: 'products' }, { label: 'Cheapest', value: 'products_price_asc' }] }),
  widgets.currentRefinements(at('chosen')), widgets.clearRefinements(at('clear')), widgets.breadcrumb({ ...at('trail'), attributes: ['categories.lvl0', 'categories.lvl1'] }),
  widgets.refinementList({ ...at('brand'), attribute: 'brand', operator: 'or', limit: 40, searchable: true }),
  widgets.hierarchicalMenu({ ...at('levels'), attributes: ['categories.lvl0', 'categories.lvl1', 'categories.lvl2'] }),
  widgets.rangeInput({ ...at('range'), attribute: 'price' }),
  widgets.hits({ ...at('hits'), templates: { item: (hit, { html, components, sendEvent }) => html\`<article data-id=\${hit.objectID} data-price=\${hit.price} data-brand=\${hit.brand}
    onClick=\${() => sendEvent('click', hit, 'Product Clicked')}><h2>\${components.Highlight({ hit, attribute: 'name' })}</h2><p>\${components.Snippet({ hit, attribute: 'description' })}</p></article>\` } }),
  widgets.pagination(at('pages')),
  widgets.infiniteHits({ ...at('more'), templates: { item: card } }),
  widgets.index({ indexName: 'products_query_suggestions' }).addWidgets([widgets.configure({ hitsPerPage: 5 }), widgets.hits({ ...at('suggestions'), templates: { item: (hit, { html, components }) => html\`<i>\${components.Highlight({ hit, attribute: 'query' })}</i>\` } })]),
]);
search.start();
// A screen of its own: infiniteHits of 4.118 fails where recommendations are drawn before the first hits are there.
const beside = instantsearch({ indexName: 'products', searchClient });
beside.addWidgets([
  widgets.frequentlyBoughtTogether({ ...at('together'), objectIDs: [${JSON.stringify(seed.product_id)}], templates: { item: card } }),
  widgets.relatedProducts({ ...at('related'), objectIDs: [${JSON.stringify(seed.product_id)}], limit: 4, templates: { item: card } }),
  widgets.trendingItems({ ...at('trending'), limit: 4, templates: { item: card } }),
  widgets.lookingSimilar({ ...at('alike'), objectIDs: [${JSON.stringify(seed.product_id)}], limit: 4, templates: { item: card } }),
]);
beside.start();
</script>`;
const shop = createServer((request, reply) => {
  const file = files[request.url];
  reply.setHeader('Content-Type', file ? 'text/javascript; charset=utf-8' : 'text/html; charset=utf-8');
  reply.end(file ?? html);
});
await new Promise(listening => shop.listen(0, '127.0.0.1', listening));
const address = `http://127.0.0.1:${shop.address().port}`;

const browser = await launch();
try {
  const { page, troubles } = await watchedPage(browser, [address, origin]);
  await page.setViewport({ width: 1280, height: 1000 });
  const texts = selector => page.$$eval(selector, nodes => nodes.map(node => node.textContent));
  const number = async () => Number((await texts('#stats'))[0].replaceAll(',', '').match(/\d+/)?.[0]);
  // Does something and waits until the page has drawn the answer to it.
  const after = async act => {
    await page.evaluate(() => { window.drawn = false; search.once('render', () => { window.drawn = true; }); });
    await act();
    await page.waitForFunction(() => window.drawn && search.status === 'idle');
  };
  await page.goto(address);
  await page.waitForFunction(() => document.querySelectorAll('#hits article').length === 6);
  for (const slot of ['together', 'related', 'trending', 'alike']) await page.waitForSelector(`#${slot} b`);
  const all = await number();

  await page.type('#box input', typed);
  await page.waitForFunction(count => { const now = Number(document.querySelector('#stats').textContent.replaceAll(',', '').match(/\d+/)?.[0]); return search.status === 'idle' && now > 0 && now < count; }, {}, all);
  await page.waitForFunction(() => document.querySelector('#hits mark'));
  assert.ok((await texts('#hits mark')).every(mark => mark.length > 0), 'what was typed is marked');
  await page.waitForSelector('#suggestions i mark');
  assert.ok((await texts('#suggestions i')).every(text => text.includes(typed)), 'suggestions complete what was typed');
  const found = await number();

  await after(() => page.$$eval('#brand label', (labels, brand) => labels.find(label => label.textContent.includes(brand)).click(), brand));
  assert.ok((await page.$$eval('#hits article', hits => hits.map(hit => hit.dataset.brand))).every(one => one === brand), 'only the chosen brand');
  assert.ok((await texts('#brand li')).length > 1 && await number() < found, 'other brands can still be chosen');
  assert.match((await texts('#chosen'))[0], new RegExp(brand), 'the choice is listed');
  await after(() => page.click('#clear button'));
  assert.equal(await number(), found);

  await after(() => page.$$eval('#levels a', (links, department) => links.find(link => link.textContent.includes(department)).click(), department));
  assert.ok((await texts('#levels li li')).length > 0, 'the level below opens');
  assert.match((await texts('#trail'))[0], new RegExp(department));
  await after(() => page.click('#clear button'));

  const bounds = await page.$$eval('#range input', inputs => inputs.map(input => Number(input.placeholder)));
  assert.ok(bounds[0] < bounds[1], 'the range knows its bounds');
  const middle = Math.round((bounds[0] + bounds[1]) / 2);
  await page.type('#range input[type=number]', String(middle));
  await after(() => page.click('#range button'));
  assert.ok((await page.$$eval('#hits article', hits => hits.map(hit => Number(hit.dataset.price)))).every(price => price >= middle), 'only from this price on');
  await after(() => page.click('#clear button'));

  await after(() => page.select('#sort select', 'products_price_asc'));
  const prices = await page.$$eval('#hits article', hits => hits.map(hit => Number(hit.dataset.price)));
  assert.ok(prices.every((price, place) => place === 0 || price >= prices[place - 1]), `cheapest first: ${prices}`);
  await after(() => page.select('#sort select', 'products'));

  const first = await texts('#hits h2');
  const shown = (await texts('#more b')).length;
  if (await page.$('#more button.ais-InfiniteHits-loadMore:not([disabled])')) {
    await after(() => page.click('#more button.ais-InfiniteHits-loadMore'));
    assert.ok((await texts('#more b')).length > shown, 'more hits are added');
    assert.notDeepEqual(await texts('#hits h2'), first, 'the next page is another');
    await after(() => page.click('#pages .ais-Pagination-item--page a'));
    assert.deepEqual(await texts('#hits h2'), first, 'and the first one is the same again');
  }
  if (folder) await page.screenshot({ path: join(folder, 'instantsearch.png') });

  const isEvent = reply => reply.url().startsWith(`${origin}/1/events`) && reply.request().method() === 'POST' && /"click"/.test(reply.request().postData() ?? '');
  const [stored] = await Promise.all([page.waitForResponse(isEvent), page.click('#hits article')]);
  const [click] = JSON.parse(stored.request().postData()).events;
  assert.equal(stored.status(), 200);
  assert.match(click.queryID, /^[0-9a-f]{32}$/, 'a click names the search that it came from');
  assert.equal(click.positions[0], 1);
  assert.deepEqual(await page.evaluate(() => window.errors), []);
  assert.deepEqual(troubles, [], 'no complaint, and nobody else was asked');
  console.log(`an InstantSearch front end finds ${found} of ${all} products, narrows, sorts, pages, recommends and reports a click`);
} finally {
  await browser.close();
  shop.close();
}

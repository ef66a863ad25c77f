// instantsearch.js with search-insights in a page of jsdom, over the v5 client (Node and browser builds) and the v4 client: every widget
// draws, a refined state asks for its facets apart, highlights are drawn, and what the shopper does arrives as events.
import { createRequire } from 'node:module';
import { api, boughtWithOthers, check, counts, eventually, finish, history, origin, run, secretKey, sleep, writeKey } from './server.mjs';
import { page } from './page.mjs';
import { recorded } from './recorder.mjs';

const require = createRequire(import.meta.url);
const indexName = 'products', shopper = `is-${run}`;
const slots = ['searchBox', 'hits', 'infiniteHits', 'refinementList', 'menu', 'menuSelect', 'hierarchicalMenu', 'rangeSlider', 'rangeInput', 'toggleRefinement', 'ratingMenu',
  'numericMenu', 'pagination', 'stats', 'sortBy', 'hitsPerPage', 'currentRefinements', 'clearRefinements', 'breadcrumb', 'queryRuleCustomData', 'dynamicWidgets', 'poweredBy',
  'frequentlyBoughtTogether', 'relatedProducts', 'trendingItems', 'lookingSimilar', 'suggestions'];
const window = page('http://shop.example/search', '');
const instantsearch = require('instantsearch.js').default ?? require('instantsearch.js');
const widgets = require('instantsearch.js/cjs/widgets');
const { default: insights } = await import('search-insights');

const seed = await boughtWithOthers();
// Products with attributes that the widgets below refine by.
const family = `Fam${run.replaceAll('-', '')}`;
const products = [...Array(24)].map((_, place) => ({
  action: 'addObject', body: {
    objectID: `is-${run}-${place}`, name: `${family} ${place % 2 ? 'Boot' : 'Sandal'} ${place}`, brand: `${family} ${place % 3}`, price: 10 + place, rating: 1 + place % 5,
    description: `A ${place % 2 ? 'boot' : 'sandal'} for rain, for snow and for the long way home that nobody wants to walk on foot, number ${place}.`,
    categories: { lvl0: family, lvl1: `${family} > ${place % 2 ? 'Boots' : 'Sandals'}` }, free_shipping: place % 2 === 0, weight: place / 4,
  },
}));
const algolia = async (method, path, body) => (await fetch(`${origin}/1/indexes/${path}`, { method, headers: { 'x-algolia-api-key': secretKey }, body: body && JSON.stringify(body) })).json();
const { taskID } = await algolia('POST', 'products/batch', { requests: products });
await eventually('products for the widgets are searched', () => algolia('GET', `products/task/${taskID}`), task => task.status === 'published');

function searchClient(build, address) {
  const { host } = new URL(address);
  if (build === 'version 4') return (require('algoliasearch4').default ?? require('algoliasearch4'))('SHOP', writeKey, { hosts: [{ url: host, protocol: 'http', accept: 3 }], timeouts: { connect: 10, read: 10, write: 10 } });
  const lite = build === 'version 5' ? require('algoliasearch/lite') : browserBuild;
  return lite.liteClient('SHOP', writeKey, { hosts: [{ url: host, accept: 'readWrite', protocol: 'http' }], timeouts: { connect: 10_000, read: 10_000, write: 10_000 } });
}
const browserBuild = await import('./node_modules/algoliasearch/dist/lite/builds/browser.js');

const text = id => document.getElementById(id).textContent.replace(/\s+/g, ' ').trim();
const count = selector => document.querySelectorAll(selector).length;

async function drive(build) {
  document.body.innerHTML = slots.map(slot => `<div id="${slot}"></div>`).join('');
  const recorder = await recorded(origin, `instantsearch-${build.replace('version ', 'v').replaceAll(' ', '-')}`);
  const client = searchClient(build, recorder.origin), calls = [], errors = [];
  let open = 0;
  for (const name of ['search', 'getRecommendations']) {
    const method = client[name]?.bind(client);
    if (method) client[name] = async (...asked) => {
      open += 1;
      const answer = await method(...asked).finally(() => { open -= 1; });
      calls.push({ name, requests: asked[0].requests ?? asked[0], results: answer.results });
      return answer;
    };
  }
  insights('init', { appId: 'SHOP', apiKey: writeKey, host: recorder.origin, useCookie: false, userToken: shopper });
  const search = instantsearch({ indexName, searchClient: client, insights: { insightsClient: insights }, future: { preserveSharedStateOnUnmount: true } });
  search.on('error', ({ error }) => errors.push(error?.message ?? String(error)));
  const at = id => ({ container: `#${id}` });
  const card = (hit, { html }) => html`<b>${hit.name}</b>`;
  const levels = ['categories.lvl0', 'categories.lvl1'];
  const item = (hit, { html, components, sendEvent }) => html`<article data-id=${hit.objectID} onClick=${() => sendEvent('click', hit, 'Product Clicked')}>
    <h2>${components.Highlight({ hit, attribute: 'name' })}</h2><p>${components.Snippet({ hit, attribute: 'description' })}</p></article>`;
  search.addWidgets([
    widgets.configure({ hitsPerPage: 8, attributesToSnippet: ['description:8'], filters: 'in_stock:true', clickAnalytics: true }),
    widgets.searchBox(at('searchBox')),
    widgets.hits({ ...at('hits'), templates: { item } }),
    widgets.infiniteHits({ ...at('infiniteHits'), templates: { item: card } }),
    widgets.refinementList({ ...at('refinementList'), attribute: 'brand', searchable: true, operator: 'or', showMore: true }),
    widgets.menu({ ...at('menu'), attribute: 'category' }), widgets.menuSelect({ ...at('menuSelect'), attribute: 'weight' }),
    widgets.hierarchicalMenu({ ...at('hierarchicalMenu'), attributes: levels }),
    widgets.rangeSlider({ ...at('rangeSlider'), attribute: 'price' }), widgets.rangeInput({ ...at('rangeInput'), attribute: 'price' }),
    widgets.toggleRefinement({ ...at('toggleRefinement'), attribute: 'free_shipping' }), widgets.ratingMenu({ ...at('ratingMenu'), attribute: 'rating' }),
    widgets.numericMenu({ ...at('numericMenu'), attribute: 'weight', items: [{ label: 'All' }, { label: 'Below 3', end: 3 }] }),
    widgets.pagination(at('pagination')), widgets.stats(at('stats')),
    widgets.sortBy({ ...at('sortBy'), items: [{ label: 'Relevance', value: indexName }, { label: 'Dearest', value: `${indexName}_price_desc` }] }),
    widgets.hitsPerPage({ ...at('hitsPerPage'), items: [{ label: '8', value: 8, default: true }, { label: '16', value: 16 }] }),
    widgets.currentRefinements(at('currentRefinements')), widgets.clearRefinements(at('clearRefinements')), widgets.breadcrumb({ ...at('breadcrumb'), attributes: levels }),
    widgets.queryRuleCustomData({ ...at('queryRuleCustomData'), templates: { default: ({ items }) => JSON.stringify(items) } }),
    widgets.dynamicWidgets({ ...at('dynamicWidgets'), facets: ['*'], widgets: [], fallbackWidget: ({ container, attribute }) => widgets.refinementList({ container, attribute }) }),
    widgets.poweredBy(at('poweredBy')),
    widgets.index({ indexName: `${indexName}_query_suggestions`, indexId: 'suggestions' }).addWidgets([
      widgets.configure({ hitsPerPage: 4, filters: '' }), widgets.hits({ ...at('suggestions'), templates: { item: (hit, { html, components }) => html`<i>${components.Highlight({ hit, attribute: 'query' })}</i>` } })]),
  ]);
  // A screen of its own: infiniteHits of 4.118 fails where recommendations are drawn before the first hits are there.
  const beside = instantsearch({ indexName, searchClient: client });
  if (build !== 'version 4') {
    beside.on('error', ({ error }) => errors.push(error?.message ?? String(error)));
    beside.addWidgets([
      widgets.frequentlyBoughtTogether({ ...at('frequentlyBoughtTogether'), objectIDs: [seed.product_id], templates: { item: card } }),
      widgets.relatedProducts({ ...at('relatedProducts'), objectIDs: [seed.product_id], limit: 4, templates: { item: card } }),
      widgets.trendingItems({ ...at('trendingItems'), limit: 5, templates: { item: card } }),
      widgets.lookingSimilar({ ...at('lookingSimilar'), objectIDs: [seed.product_id], templates: { item: card } }),
    ]);
    beside.start();
  }
  const ok = (what, right, detail) => check(`${build}: ${what}`, right, detail);
  const settled = async () => {
    let quiet = 0;
    for (let tries = 0; tries < 100 && quiet < 4; tries++) {
      await sleep(50);
      quiet = open === 0 && search.status === 'idle' ? quiet + 1 : 0;
    }
  };
  const before = await counts();
  search.start();
  await settled();
  ok('the first page is drawn', count('#hits article') === 8 && count('#pagination li') > 3, text('hits'));
  ok('the chosen facets are drawn', count('#dynamicWidgets li') > 3, text('dynamicWidgets'));
  search.helper.setQuery(seed.name.slice(0, 4)).search();
  await settled();
  ok('suggestions are drawn, what was typed marked', count('#suggestions i mark') > 0, text('suggestions'));

  search.helper.setQuery(family.toLowerCase()).search();
  await settled();
  ok('all of the family is found', /^24 results/.test(text('stats')), text('stats'));
  ok('highlights are drawn', count('#hits mark') === 8 && [...document.querySelectorAll('#hits mark')].every(mark => mark.textContent.toLowerCase() === family.toLowerCase()), document.getElementById('hits').innerHTML.slice(0, 300));
  ok('snippets are drawn', [...document.querySelectorAll('#hits p')].every(cut => /…$/.test(cut.textContent) && cut.textContent.split(' ').length <= 9), text('hits'));
  ok('ranges have their bounds', search.helper.lastResults.getFacetStats('price')?.min === 10 && search.helper.lastResults.getFacetStats('price')?.max === 33, search.helper.lastResults.getFacetStats('price'));
  ok('levels are drawn', count('#hierarchicalMenu li') === 1 && count('#menuSelect option') === 11 && count('#ratingMenu li') >= 4, [text('hierarchicalMenu'), text('menuSelect'), text('ratingMenu')]);
  document.querySelector('#infiniteHits button.ais-InfiniteHits-loadMore').click();
  await settled();
  ok('more hits are shown', count('#infiniteHits b') === 16, count('#infiniteHits b'));

  const asked = calls.length;
  search.helper.setPage(0).toggleFacetRefinement('brand', `${family} 1`).addNumericRefinement('price', '>=', 12).toggleFacetRefinement('categories.lvl0', `${family} > Boots`).search();
  await settled();
  const refined = calls.slice(asked).filter(call => call.name === 'search').flatMap(call => call.requests);
  ok('a refined state asks for its facets apart', refined.length >= 5, refined.length);
  ok('refinements narrow', /^3 results/.test(text('stats')), text('stats'));
  ok('the refined facet keeps its other values', count('#refinementList .ais-RefinementList-item') === 3, text('refinementList'));
  ok('the level below is open', count('#hierarchicalMenu li') === 3 && /Boots/.test(text('breadcrumb')), [text('hierarchicalMenu'), text('menuSelect'), text('ratingMenu')]);
  ok('refinements are listed', count('#currentRefinements .ais-CurrentRefinements-category') >= 3, text('currentRefinements'));
  search.helper.clearRefinements('categories.lvl0').setIndex(`${indexName}_price_desc`).search();
  await settled();
  const prices = search.helper.lastResults.hits.map(hit => hit.price);
  ok('sorted by price', prices.length > 1 && prices.every((price, place) => place === 0 || price <= prices[place - 1]), prices);
  const found = await search.mainHelper.searchForFacetValues('brand', family.toLowerCase(), 10);
  ok('values of a facet are searched', found.facetHits.length === 3 && found.facetHits[0].highlighted.startsWith('<em>'), found);
  search.helper.clearRefinements().setIndex(indexName).setQuery('').search();
  await settled();
  if (build !== 'version 4') {
    for (const slot of ['frequentlyBoughtTogether', 'relatedProducts', 'trendingItems', 'lookingSimilar']) ok(`${slot} is drawn`, count(`#${slot} b`) > 0, text(slot));
    ok('recommendations come in one call', calls.some(call => call.name === 'getRecommendations' && call.requests.length === 4));
  }
  const clicked = document.querySelector('#hits article');
  const [product] = [clicked.dataset.id];
  clicked.dispatchEvent(new window.MouseEvent('click', { bubbles: true }));
  search.sendEventToInsights({ insightsMethod: 'convertedObjectIDsAfterSearch', widgetType: 'x', eventType: 'conversion', payload: { eventName: 'Order Completed', index: indexName, objectIDs: [product], queryID: search.helper.lastResults.queryID } });
  await sleep(700);
  const after = await counts();
  ok('events are stored and none is refused', after.accepted > before.accepted && after.rejected === before.rejected, after);
  await eventually(`${build}: the shop knows what was clicked`, () => history({ anonymous_id: shopper }), seen => seen?.includes?.(product));
  ok('the library complains of nothing', errors.length === 0, errors);
  await settled();
  search.dispose();
  if (beside.started) beside.dispose();
  recorder.save();
}

for (const build of (process.env.BUILDS?.split(',') ?? ['version 5', 'version 5 in a page', 'version 4'])) await drive(build);
await algolia('POST', 'products/batch', { requests: products.map(({ body }) => ({ action: 'deleteObject', body: { objectID: body.objectID } })) });
finish();

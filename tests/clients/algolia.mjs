// algoliasearch of versions 5 (Node and browser builds) and 4, and Algolia's insights client: the same search from each of
// them, facets, sorting, suggestions, and a click that is attributed to its search.
import { algoliasearch } from 'algoliasearch';
import { insightsClient } from '@algolia/client-insights';
import { JSDOM } from 'jsdom';
import { createRequire } from 'node:module';
import { api, check, counts, eventually, finish, history, origin, run, writeKey } from './server.mjs';

const { host } = new URL(origin);
const hosts = [{ url: host, accept: 'readWrite', protocol: 'http' }];
const older = createRequire(import.meta.url)('algoliasearch4');
// The browser build asks through the page, across origins.
globalThis.XMLHttpRequest = new JSDOM('', { url: 'http://shop.example/' }).window.XMLHttpRequest;
const { liteClient } = await import('./node_modules/algoliasearch/dist/lite/builds/browser.js');
const clients = {
  'version 5': algoliasearch('SHOP', writeKey, { hosts }),
  'version 5 in a page': liteClient('SHOP', writeKey, { hosts }),
  'version 4': (older.default ?? older)('SHOP', writeKey, { hosts: [{ url: host, protocol: 'http', accept: 3 }] }),
};

const shopper = `algolia-${run}`;
const all = (await api('POST', '/v1/search', { count: 1, facets: ['brand'] })).body;
const brand = all.facets[0].values[0].value;
const params = { query: '', facets: ['brand', 'price'], facetFilters: [[`brand:${brand}`]], hitsPerPage: 5, clickAnalytics: true, userToken: shopper };
const answers = [];
for (const [name, client] of Object.entries(clients)) {
  const request = indexName => name === 'version 4' ? { indexName, params } : { indexName, ...params };
  const requests = [request('products'), request('products_price_desc')];
  const { results } = await client.search(name === 'version 4' ? requests : { requests });
  answers.push(results[0].hits.map(hit => hit.objectID).join());
  check(`${name}: every hit is of the brand`, results[0].hits.length > 0 && results[0].hits.every(hit => hit.brand === brand), results[0]);
  check(`${name}: facets count what was found`, results[0].facets.brand[brand] === results[0].nbHits, results[0].facets);
  const prices = results[1].hits.map(hit => hit.price);
  check(`${name}: sorted by price`, prices.every((price, place) => place === 0 || price <= prices[place - 1]), prices);
}
check('all clients get the same', new Set(answers).size === 1, answers);

const client = clients['version 5'];
const values = await client.searchForFacetValues({ indexName: 'products', facetName: 'brand', searchForFacetValuesRequest: { facetQuery: brand } });
check('facet values are searched', values.facetHits.some(hit => hit.value === brand), values);
const wrong = await client.searchSingleIndex({ indexName: 'products', searchParams: { filters: 'price >' } }).catch(error => error);
check('a bad filter is refused in words', wrong.status === 422 && /price|condition/.test(wrong.message), wrong.message);

const found = await client.searchSingleIndex({ indexName: 'products', searchParams: params });
const clicked = found.hits[0].objectID;
const before = await counts();
const insights = insightsClient('SHOP', writeKey, undefined, { hosts });
await insights.pushEvents({ events: [{ eventType: 'click', eventName: 'Product Clicked', index: 'products', userToken: shopper, objectIDs: [clicked], positions: [1], queryID: found.queryID }] });
check('the click is stored', (await counts()).accepted === before.accepted + 1);
await eventually('the shop knows what was clicked', () => history({ anonymous_id: shopper }), products => products.includes(clicked));
finish();

// What algoliasearch and search-insights read in answers: how much of a query each text has, facets under the names that were declared, pages of
// a browse, what only admin keys see, and many events at once. It writes products of its own and takes them out again.
import { algoliasearch } from 'algoliasearch';
import { insightsClient } from '@algolia/client-insights';
import { check, counts, finish, origin, run, secretKey, writeKey } from './server.mjs';

const indexName = 'products';
const hosts = [{ url: new URL(origin).host, accept: 'readWrite', protocol: 'http' }];
const client = algoliasearch('SHOP', secretKey, { hosts });
const shopper = algoliasearch('SHOP', writeKey, { hosts });
const brand = `Brand-${run}`;
const family = `zorblo${run.replace(/[^a-z0-9]/g, '').slice(-6)}`;
const ids = Array.from({ length: 25 }, (_, number) => `answers-${number}-${run}`);
const objects = ids.map((objectID, number) => ({
  objectID, name: `${family} canvas shoes`, brand, price: 10 + number, margin: 7, costs: { unit: 3, freight: 1 }, colours: ['deep blue', 'canvas red'],
  specs: { sole: 'rubber for canvas' }, _tags: [number % 2 ? 'odd' : 'even'], _geoloc: { lat: 10, lng: 20 },
  description: `One two three four five six seven eight nine ten. Canvas of ${family} for shoes that last.`,
}));
const find = async params => shopper.searchSingleIndex({ indexName, searchParams: { filters: `brand:"${brand}"`, hitsPerPage: 3, ...params } });
const settings = async indexSettings => {
  const { taskID } = await client.setSettings({ indexName, indexSettings });
  await client.waitForTask({ indexName, taskID });
};
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

await client.saveObjects({ indexName, objects, waitForTasks: true });
try {
  await highlights();
  await facets();
  await browse();
  await hidden();
  await events();
} finally {
  await settings({ attributesForFaceting: null, unretrievableAttributes: null });
  const { taskID } = await client.deleteBy({ indexName, deleteByParams: { filters: `brand:"${brand}"` } });
  await client.waitForTask({ indexName, taskID });
}
finish();

async function highlights() {
  const of = async (query, params = {}) => (await find({ query, attributesToSnippet: ['description:4'], ...params })).hits[0];
  const typed = await of(`${family} canvas sho`);
  const full = { value: `<em>${family}</em> <em>canvas</em> <em>sho</em>es`, matchLevel: 'full', matchedWords: [family, 'canvas', 'sho'], fullyHighlighted: false };
  check('highlight: all words, the last as far as it is typed', same(sorted(typed?._highlightResult.name), sorted(full)), typed?._highlightResult.name);
  check('highlight: of an attribute with one of them', typed?._highlightResult.specs.sole.matchLevel === 'partial' && same(typed._highlightResult.specs.sole.matchedWords, ['canvas']), typed?._highlightResult.specs);
  check('highlight: each text of a list', same(typed?._highlightResult.colours.map(one => one.matchLevel), ['none', 'partial']), typed?._highlightResult.colours);
  check('highlight: where nothing matches nothing is said of it', same(sorted(typed?._highlightResult.brand), { matchedWords: [], matchLevel: 'none', value: brand }), typed?._highlightResult.brand);
  const matching = await of(`${family} canvas`, { restrictHighlightAndSnippetArrays: true });
  check('highlight: of lists what matches alone', same(matching?._highlightResult.colours.map(one => one.value), ['<em>canvas</em> red']), matching?._highlightResult.colours);
  check('snippet: where most of the query stands', /<em>Canvas<\/em> of <em>zorblo/.test(typed?._snippetResult.description.value) && typed._snippetResult.description.matchLevel === 'partial', typed?._snippetResult);
  const whole = await of(`shoes canvas ${family}`, { queryType: 'prefixNone' });
  check('highlight: a text that is nothing else', whole?._highlightResult.name.fullyHighlighted === true && same(whole._highlightResult.name.matchedWords, ['shoes', 'canvas', family]), whole?._highlightResult.name);
  const misspelt = await of(`${family} canvsa`);
  check('highlight: a misspelling names what was typed', misspelt?._highlightResult.name.matchLevel === 'full' && same(misspelt._highlightResult.name.matchedWords, [family, 'canvsa']) && misspelt._highlightResult.name.value.includes('<em>canvas</em>'), misspelt?._highlightResult.name);
  const word = `vleet${run.replace(/[^a-z0-9]/g, '').slice(-6)}`;
  await client.saveSynonym({ indexName, objectID: word, synonymHit: { objectID: word, type: 'synonym', synonyms: [word, 'canvas'] } });
  const meant = await of(`${family} ${word}`, { queryType: 'prefixNone' });
  check('highlight: a synonym names what was typed', same(meant?._highlightResult.name.matchedWords, [family, word]) && meant._highlightResult.name.value.includes('<em>canvas</em>'), meant?._highlightResult.name);
  await client.deleteSynonym({ indexName, objectID: word });
}

async function facets() {
  await settings({ attributesForFaceting: ['searchable(brand)', 'afterDistinct(specs.sole)', 'filterOnly(colours)', 'hierarchicalCategories.lvl0', 'price', '_tags'] });
  const all = await find({ query: '', facets: ['*'] });
  check('facets: those that are declared, by their names', same(Object.keys(all.facets).sort(), ['_tags', 'brand', 'price', 'specs.sole']), all.facets);
  check('facets: counted', all.facets.brand[brand] === 25 && all.facets['specs.sole']['rubber for canvas'] === 25 && all.facets_stats.price.max === 34, all.facets);
  check('facets: drawn in an order', same([...all.renderingContent.facetOrdering.facets.order].sort(), ['_tags', 'brand', 'price', 'specs.sole']));
  const refused = await shopper.searchForFacetValues({ indexName, facetName: 'colours', searchForFacetValuesRequest: { facetQuery: 'b' } }).catch(error => error);
  check('facets: what only filters is refused in words', refused.status === 422 && /filterOnly/.test(refused.message), refused.message);
  const filtered = await find({ query: '', filters: `brand:"${brand}" AND colours:"deep blue" AND odd` });
  check('facets: and filters; a word alone is a tag', filtered.nbHits === 12, filtered.nbHits);
}

async function browse() {
  const pages = [];
  await client.browseObjects({ indexName, browseParams: { query: `canvas shoes ${family}`, filters: `brand:"${brand}"`, hitsPerPage: 10 }, aggregator: page => pages.push(page) });
  const seen = new Set(pages.flatMap(page => page.hits.map(hit => hit.objectID)));
  check('browse: all that has the words, once', seen.size === 25 && ids.every(id => seen.has(id)), seen.size);
  check('browse: counted on every page', same(pages.map(page => [page.nbHits, page.nbPages, page.page]), [[25, 3, 0], [25, 3, 1], [25, 3, 2]]), pages.map(page => [page.nbHits, page.nbPages, page.page]));
  const found = await client.searchSingleIndex({ indexName, searchParams: { query: 'canvas' } });
  check('browse: as many as a search of words finds', (await client.browse({ indexName, browseParams: { query: 'canvas', hitsPerPage: 1 } })).nbHits === found.nbHits, found.nbHits);
  const dear = [];
  await client.browseObjects({ indexName, browseParams: { filters: `brand:"${brand}" AND price >= 25`, hitsPerPage: 4 }, aggregator: page => dear.push(page) });
  check('browse: counted under filters', dear.every(page => page.nbHits === 10 && page.nbPages === 3) && dear.flatMap(page => page.hits).length === 10, dear.map(page => [page.nbHits, page.hits.length]));
  const none = await client.browse({ indexName, browseParams: { query: 'qqxxzzyy', typoTolerance: false } });
  check('browse: nothing is nothing', none.nbHits === 0 && none.hits.length === 0 && !none.cursor, none);
}

async function hidden() {
  await settings({ attributesForFaceting: null, unretrievableAttributes: ['margin', 'costs.unit', '_geoloc', 'description'] });
  const shows = record => ['margin' in record, 'unit' in (record.costs ?? {}), '_geoloc' in record, 'description' in record];
  const params = { query: family, attributesToRetrieve: ['*', 'margin', 'costs.unit'], attributesToSnippet: ['description:5'], facets: ['*', 'margin'], aroundLatLng: '10,20', getRankingInfo: true, unretrievableAttributes: [] };
  const keys = { public: [shopper, false], secret: [client, false] };
  if (process.env.MERX_ADMIN_KEY) keys.admin = [algoliasearch('SHOP', process.env.MERX_ADMIN_KEY, { hosts }), true];
  for (const [name, [asker, sees]] of Object.entries(keys)) {
    const found = await asker.searchSingleIndex({ indexName, searchParams: { filters: `brand:"${brand}"`, ...params } });
    const records = [found.hits[0], await asker.getObject({ indexName, objectID: ids[0], attributesToRetrieve: ['*', 'margin', 'costs', 'costs.unit', '_geoloc', 'description'] }),
      (await asker.getObjects({ requests: [{ indexName, objectID: ids[0] }] })).results[0]];
    if (name !== 'public') records.push((await asker.browse({ indexName, browseParams: { filters: `objectID:"${ids[0]}"` } })).hits[0]);
    check(`${name} key: hidden attributes`, records.every(record => shows(record).every(shown => shown === sees) && record.costs.freight === 1), records.map(shows));
    const [hit] = found.hits;
    check(`${name} key: nor in what is highlighted, cut, counted or measured`, ['description' in hit._highlightResult, 'description' in hit._snippetResult, 'margin' in found.facets, 'matchedGeoLocation' in hit._rankingInfo].every(shown => shown === sees), [hit, found.facets]);
  }
  await client.partialUpdateObject({ indexName, objectID: ids[1], attributesToUpdate: { price: 99 } }).then(({ taskID }) => client.waitForTask({ indexName, taskID }));
  await settings({ unretrievableAttributes: null });
  check('a change by somebody who does not see them keeps them', same(shows(await shopper.getObject({ indexName, objectID: ids[1] })), [true, true, true, true]));
}

async function events() {
  const insights = insightsClient('SHOP', writeKey, undefined, { hosts });
  const at = Date.now();
  const click = number => ({ eventType: 'click', eventName: 'Product Clicked', index: indexName, userToken: `answers-${run}`, objectIDs: [ids[number % 25]], timestamp: at + number });
  const before = await counts();
  const many = await insights.pushEvents({ events: Array.from({ length: 1000 }, (_, number) => click(number)) });
  check('events: a thousand at once', many.status === 200 && many.message === 'OK' && (await counts()).accepted === before.accepted + 1000, many);
  const bad = await insights.pushEvents({ events: [click(1001), { ...click(1002), userToken: null }, { ...click(1003), eventType: 'hover' }, click(1004)] });
  check('events: a bad one is named, the others are kept', bad.status === 200 && bad.errors?.length === 1 && bad.errors[0].at === 'events[1]', bad);
  const after = await counts();
  check('events: and counted', after.accepted === before.accepted + 1002 && after.rejected === before.rejected + 1, [before, after]);
  const refused = await insights.pushEvents({ events: [{ ...click(1), objectIDs: [] }] }).catch(error => error);
  check('events: nothing but mistakes is refused in words', refused.status === 422 && /objectIDs/.test(refused.message), refused.message);
}

function sorted(object) {
  return object && Object.fromEntries(Object.entries(object).sort(([a], [b]) => a.localeCompare(b)));
}

// algoliasearch of versions 5 and 4 as a back end uses them: records, batches, browsing, tasks, settings, rules, synonyms, replacing
// everything, and the recommend client. It writes products of its own and takes them out again.
import { algoliasearch } from 'algoliasearch';
import { recommendClient } from '@algolia/recommend';
import { createRequire } from 'node:module';
import { api, boughtWithOthers, check, eventually, finish, origin, run, secretKey, writeKey } from './server.mjs';
import { recorded } from './recorder.mjs';

const indexName = 'products';
const older = createRequire(import.meta.url)('algoliasearch4');
const shoe = (id, more = {}) => ({ objectID: id, name: `Runner ${id}`, brand: `Brand-${run}`, price: 19.99, categories: { lvl0: 'Shoes', lvl1: 'Shoes > Runners' }, colours: ['red'], ...more });
const catalogue = async () => {
  const { body } = await api('GET', '/v1/products?limit=1000');
  return body.items.filter(product => product.status === 'visible').map(product => product.id).sort();
};

async function version5() {
  const recorder = await recorded(origin, 'client-v5');
  const client = algoliasearch('SHOP', secretKey, { hosts: [{ url: new URL(recorder.origin).host, accept: 'readWrite', protocol: 'http' }] });
  const [a, b] = [`v5-a-${run}`, `v5-b-${run}`];
  await client.saveObjects({ indexName, objects: [shoe(a, { stock: 3 }), shoe(b)], waitForTasks: true });
  const { results } = await client.search({ requests: [{ indexName, query: a, hitsPerPage: 3 }] });
  check('v5: what was saved is found once its task is done', results[0].hits[0]?.objectID === a, results[0].hits);
  await client.partialUpdateObjects({ indexName, objects: [{ objectID: a, stock: { _operation: 'Increment', value: 2 }, colours: { _operation: 'AddUnique', value: 'blue' } }], createIfNotExists: false, waitForTasks: true });
  const read = await client.getObject({ indexName, objectID: a });
  check('v5: partial updates compute', read.stock === 5 && read.colours.join() === 'red,blue' && read.price === 19.99, read);
  const some = await client.getObjects({ requests: [{ indexName, objectID: a, attributesToRetrieve: ['name'] }, { indexName, objectID: b }] });
  check('v5: several are read', some.results.map(one => one.objectID).join() === [a, b].join() && !('price' in some.results[0]), some);
  const browsed = [];
  await client.browseObjects({ indexName, browseParams: { hitsPerPage: 1, filters: `brand:"Brand-${run}"` }, aggregator: page => browsed.push(...page.hits) });
  check('v5: browsing reads every one', browsed.map(one => one.objectID).sort().join() === [a, b].join(), browsed);
  await client.addOrUpdateObject({ indexName, objectID: b, body: { name: 'Walker', price: 5 } });
  const { taskID } = await client.partialUpdateObject({ indexName, objectID: b, attributesToUpdate: { brand: `Brand-${run}` } });
  await client.waitForTask({ indexName, taskID });
  check('v5: one is replaced', (await client.getObject({ indexName, objectID: b })).name === 'Walker');
  const several = await client.multipleBatch({ requests: [{ action: 'partialUpdateObject', indexName, body: { objectID: b, rating: 4 } }] });
  check('v5: a batch over indexes has a task for each', Number.isInteger(several.taskID[indexName]), several);
  const refused = await client.saveObjects({ indexName: 'articles', objects: [{ objectID: 'x' }] }).catch(error => error);
  check('v5: another index is refused in words', refused.status === 403 && /one catalogue/.test(refused.message), refused.message);

  const before = await client.getSettings({ indexName });
  await client.setSettings({ indexName, indexSettings: { attributesToSnippet: ['description:5'], customRanking: ['desc(popularity)'], replicas: ['virtual(products_dear)'] } });
  await client.setSettings({ indexName: 'products_dear', indexSettings: { customRanking: ['desc(price)'] } });
  const dear = await client.searchSingleIndex({ indexName: 'products_dear', searchParams: { query: '', hitsPerPage: 5 } });
  check('v5: a sort order is set', dear.hits.every((hit, place) => place === 0 || hit.price <= dear.hits[place - 1].price), dear.hits.map(hit => hit.price));
  check('v5: settings hold for searches', dear.hits.every(hit => '_snippetResult' in hit));
  check('v5: settings are read', (await client.getSettings({ indexName })).replicas[0] === 'virtual(products_dear)' && before.hitsPerPage === 20);
  await client.deleteIndex({ indexName: 'products_dear' });
  await client.setSettings({ indexName, indexSettings: { attributesToSnippet: null, customRanking: null, replicas: null } });

  await rulesOfVersion5(client, a);

  await client.deleteObject({ indexName, objectID: b });
  const { taskID: removal } = await client.deleteBy({ indexName, deleteByParams: { filters: `brand:"Brand-${run}"` } });
  await client.waitForTask({ indexName, taskID: removal });
  const gone = await client.getObject({ indexName, objectID: a }).catch(error => error);
  check('v5: what was removed is not there', gone.status === 404, gone);
  check('v5: a key knows what it may do', (await client.getApiKey({ key: secretKey })).acl.includes('addObject'));
  check('v5: indexes are listed', (await client.listIndices()).items.some(index => index.name === indexName && index.entries > 0));

  // All records at once, and back: the catalogue ends as it began.
  const all = [];
  await client.browseObjects({ indexName, browseParams: { hitsPerPage: 1000 }, aggregator: page => all.push(...page.hits) });
  const standing = await catalogue();
  await client.replaceAllObjects({ indexName, objects: [...all.slice(0, 3), shoe(a)], batchSize: 2 });
  check('v5: everything is replaced', (await catalogue()).join() === [...all.slice(0, 3).map(one => one.objectID), a].sort().join());
  recorder.save();
  const restored = algoliasearch('SHOP', secretKey, { hosts: [{ url: new URL(origin).host, accept: 'readWrite', protocol: 'http' }] });
  await restored.replaceAllObjects({ indexName, objects: all, batchSize: 500 });
  check('v5: and put back', (await catalogue()).join() === standing.join());
}

// Rules and synonyms of its own; those of the shop stay.
async function rulesOfVersion5(client, promoted) {
  const [rule, more, synonym] = [`v5-rule-${run}`, `v5-more-${run}`, `v5-synonym-${run}`];
  const word = `zorbl${run}`.replace(/[^a-z0-9]/g, '');
  const conditions = [{ pattern: word, anchoring: 'contains' }];
  const saved = await client.saveRule({ indexName, objectID: rule, rule: { objectID: rule, conditions, consequence: { promote: [{ objectID: promoted, position: 0 }], params: { query: { remove: [word] } }, userData: { banner: rule } }, enabled: true }, forwardToReplicas: true });
  await client.waitForTask({ indexName, taskID: saved.taskID });
  const found = await client.searchSingleIndex({ indexName, searchParams: { query: word, hitsPerPage: 3 } });
  check('v5: a rule holds for the next search', found.hits[0]?.objectID === promoted && found.userData?.[0].banner === rule && found.appliedRules?.[0].objectID === rule, found);
  const without = await client.searchSingleIndex({ indexName, searchParams: { query: word, hitsPerPage: 3, enableRules: false } });
  check('v5: and not for one that leaves rules out', without.appliedRules === undefined);
  check('v5: a rule is read as it was written', (await client.getRule({ indexName, objectID: rule })).conditions[0].pattern === word);
  await client.saveRules({ indexName, rules: [{ objectID: more, consequence: { params: { optionalFilters: [`brand:Brand-${run}<score=2>`] } }, conditions, enabled: false }] });
  const listed = await client.searchRules({ indexName, searchRulesParams: { query: String(run) } });
  check('v5: rules are searched', listed.hits.map(one => one.objectID).sort().join() === [more, rule].sort().join(), listed);
  const browsed = [];
  await client.browseRules({ indexName, aggregator: page => browsed.push(...page.hits) });
  check('v5: and browsed', browsed.length >= 2);
  const refused = await client.saveRule({ indexName, objectID: rule, rule: { objectID: rule, conditions: [{ pattern: '{facet:brand}', anchoring: 'is' }], consequence: { params: { automaticFacetFilters: ['brand'] } } } }).catch(error => error);
  check('v5: what a rule cannot do is refused in words', refused.status === 422 && /automaticFacetFilters/.test(refused.message), refused.message);
  for (const objectID of [rule, more]) await client.deleteRule({ indexName, objectID });
  check('v5: rules are removed', (await client.getRule({ indexName, objectID: rule }).catch(error => error)).status === 404);

  await client.saveSynonym({ indexName, objectID: synonym, synonymHit: { objectID: synonym, type: 'synonym', synonyms: [word, 'runner'] } });
  await client.saveSynonyms({ indexName, synonymHit: [{ objectID: `${synonym}-1`, type: 'onewaysynonym', input: `${word}2`, synonyms: ['runner'] }] });
  check('v5: a synonym finds', (await client.searchSingleIndex({ indexName, searchParams: { query: word, typoTolerance: false } })).nbHits > 0);
  check('v5: and can be left out', (await client.searchSingleIndex({ indexName, searchParams: { query: word, typoTolerance: false, synonyms: false } })).nbHits === 0);
  check('v5: synonyms are searched', (await client.searchSynonyms({ indexName, searchSynonymsParams: { query: word } })).nbHits === 2);
  check('v5: a synonym is read', (await client.getSynonym({ indexName, objectID: synonym })).synonyms.join() === [word, 'runner'].join());
  for (const objectID of [synonym, `${synonym}-1`]) await client.deleteSynonym({ indexName, objectID });

  const preferred = await client.searchSingleIndex({ indexName, searchParams: { query: '', hitsPerPage: 2, optionalFilters: [`brand:Brand-${run}<score=2>`] } });
  check('v5: what is preferred comes first', preferred.hits[0]?.brand === `Brand-${run}`, preferred.hits.map(hit => hit.brand));
  const distinct = await client.searchSingleIndex({ indexName, searchParams: { query: '', hitsPerPage: 50, distinct: true, attributeForDistinct: 'brand' } });
  const brands = distinct.hits.map(hit => hit.brand).filter(Boolean);
  check('v5: of a brand one is shown', new Set(brands).size === brands.length, brands);
  await client.partialUpdateObjects({ indexName, objects: [{ objectID: promoted, _geoloc: { lat: 48.8566, lng: 2.3522 } }], createIfNotExists: false, waitForTasks: true });
  const near = await client.searchSingleIndex({ indexName, searchParams: { query: '', aroundLatLng: '48.86,2.35', aroundRadius: 2000, getRankingInfo: true } });
  check('v5: what is near is found', near.nbHits === 1 && near.hits[0].objectID === promoted && near.hits[0]._rankingInfo.matchedGeoLocation.distance < 500, near);
  const box = await client.searchSingleIndex({ indexName, searchParams: { query: '', insideBoundingBox: [[48.9, 2.3, 48.8, 2.4]] } });
  check('v5: and what lies in a box', box.hits.map(hit => hit.objectID).join() === promoted, box.hits);
}

async function version4() {
  const recorder = await recorded(origin, 'client-v4');
  const client = (older.default ?? older)('SHOP', secretKey, { hosts: [{ url: new URL(recorder.origin).host, protocol: 'http', accept: 3 }] });
  const index = client.initIndex(indexName);
  const a = `v4-a-${run}`;
  await index.saveObjects([shoe(a), { name: `Nameless-${run}`, brand: `Brand-${run}` }], { autoGenerateObjectIDIfNotExist: true }).wait();
  const found = await index.search(a, { hitsPerPage: 2 });
  check('v4: what was saved is found once its task is done', found.hits[0]?.objectID === a, found.hits);
  await index.partialUpdateObject({ objectID: a, stock: { _operation: 'Decrement', value: 2 }, rating: 5 }).wait();
  const read = await index.getObject(a, { attributesToRetrieve: ['rating', 'stock'] });
  check('v4: partial updates compute', read.rating === 5 && read.stock === -2, read);
  check('v4: several are read', (await index.getObjects([a, 'no-such'])).results[1] === null);
  const browsed = [];
  await index.browseObjects({ query: '', filters: `brand:"Brand-${run}"`, hitsPerPage: 1, batch: hits => browsed.push(...hits) });
  check('v4: browsing reads every one', browsed.length === 2, browsed);
  await index.setSettings({ snippetEllipsisText: '..' });
  check('v4: settings are read', (await index.getSettings()).snippetEllipsisText === '..');
  await index.setSettings({ snippetEllipsisText: null });
  const rule = { objectID: `v4-rule-${run}`, conditions: [{ pattern: `blorg${run}`, anchoring: 'is' }], consequence: { params: { query: a }, userData: { banner: 'v4' } } };
  await index.saveRule(rule, { forwardToReplicas: true }).wait();
  await index.saveRules([{ ...rule, objectID: `${rule.objectID}-off`, enabled: false }]).wait();
  check('v4: a rule holds', (await index.search(`blorg${run}`, { hitsPerPage: 1 })).userData?.[0].banner === 'v4');
  check('v4: rules are searched', (await index.searchRules(`v4-rule-${run}`)).nbHits === 2);
  check('v4: a rule is read', (await index.getRule(rule.objectID)).consequence.params.query === a);
  for (const one of [rule.objectID, `${rule.objectID}-off`]) await index.deleteRule(one).wait();
  const synonym = { objectID: `v4-synonym-${run}`, type: 'oneWaySynonym', input: 'zapatilla', synonyms: ['runner'] };
  await index.saveSynonym(synonym).wait();
  await index.saveSynonyms([{ objectID: `${synonym.objectID}-2`, type: 'synonym', synonyms: ['zapatilla', 'runner'] }]).wait();
  check('v4: synonyms are searched', (await index.searchSynonyms('zapatilla')).nbHits === 2);
  check('v4: a synonym is read', (await index.getSynonym(synonym.objectID)).input === 'zapatilla');
  for (const one of [synonym.objectID, `${synonym.objectID}-2`]) await index.deleteSynonym(one).wait();
  await client.multipleBatch([{ action: 'deleteObject', indexName, body: { objectID: a } }]).wait();
  await index.deleteBy({ filters: `brand:"Brand-${run}"` }).wait();
  check('v4: what was removed is not there', (await index.getObjects([a])).results[0] === null);
  check('v4: whether an index is there', await index.exists());
  check('v4: indexes are listed', (await client.listIndices()).items.length > 0);
  recorder.save();
}

async function recommend() {
  const recorder = await recorded(origin, 'recommend-v5');
  const client = recommendClient('SHOP', writeKey, { hosts: [{ url: new URL(recorder.origin).host, accept: 'readWrite', protocol: 'http' }] });
  const popular = (await boughtWithOthers()).product_id;
  const category = (await api('POST', '/v1/search', { count: 0, facets: ['category'] })).body.facets[0].values[0].value;
  const { results } = await client.getRecommendations({ requests: [
    { indexName, model: 'bought-together', objectID: popular, threshold: 0, maxRecommendations: 4 },
    { indexName, model: 'related-products', objectID: popular, threshold: 10, maxRecommendations: 8, queryParameters: { filters: 'in_stock:true' }, fallbackParameters: { facetFilters: [`category:${category}`] } },
    { indexName, model: 'trending-items', threshold: 0, facetName: 'category', facetValue: category },
    { indexName, model: 'trending-facets', threshold: 0, facetName: 'brand' },
    { indexName, model: 'looking-similar', objectID: popular, threshold: 0 },
    { indexName, model: 'recommended-for-you', threshold: 0, queryParameters: { userToken: `u-${run}` } },
  ] });
  check('six models answer', results.length === 6 && results.every(result => result.hits.length > 0), results.map(result => result.hits.length));
  check('no product recommends itself', [0, 1, 4].every(place => results[place].hits.every(hit => hit.objectID !== popular)));
  check('what is related stays above the threshold or comes from the fallback', results[1].hits.every(hit => hit._score >= 10 || hit._score === 0));
  check('trending facets are values', results[3].hits.every(hit => hit.facetName === 'brand' && hit.facetValue));
  recorder.save();
}

await eventually('the server searches', () => api('POST', '/v1/search', { count: 1 }), reply => reply.status === 200);
await version5();
await version4();
await recommend();
finish();

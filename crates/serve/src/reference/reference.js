// Draws /openapi.json. No library, nothing from elsewhere.
import { el, prose, listing } from './element.js';
import { Schemas } from './schema.js';
import { Call } from './request.js';

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];
const SCOPES = { public: 'any key', secret: 'a secret or an admin key', admin: 'an admin key' };
const $ = id => document.getElementById(id);

/** Operations by tag. Addresses of one and the same operation are one entry with further addresses. */
function entries(api, tag) {
  const found = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter(method => item[method]?.tags?.includes(tag))) {
      const operation = item[method];
      const same = JSON.stringify([method, { ...operation, operationId: '' }]);
      if (found.has(same)) found.get(same).also.push({ path, id: operation.operationId });
      else found.set(same, { path, method, operation, id: operation.operationId, also: [] });
    }
  }
  return [...found.values()];
}

const method = name => el('span', { class: `method ${name}` }, name === 'delete' ? 'DEL' : name.toUpperCase());
const schemaOf = part => part?.content && Object.values(part.content)[0].schema;

function parameters(schemas, list) {
  return list.length > 0 && [el('h4', {}, 'Parameters'), el('ul', { class: 'fields' },
    ...list.map(parameter => schemas.field(parameter.name, parameter.schema || {}, parameter.required, parameter.description, [])))];
}

function answers(schemas, operation) {
  return Object.entries(operation.responses).map(([status, response]) => {
    const schema = schemaOf(response);
    const isProblem = schema?.$ref?.endsWith('/Problem');
    return el('li', {}, el('code', {}, status), el('span', { class: 'type' }, ...prose(response.description)),
      schema && !isProblem && schemas.inner(schema) && el('details', {}, el('summary', {}, 'Fields of the answer'), schemas.fields(schema)));
  });
}

function answerExample(schemas, operation) {
  const [status, response] = Object.entries(operation.responses).find(([status]) => status.startsWith('2')) || [];
  const schema = schemaOf(response);
  if (!schema || !/json/.test(Object.keys(response.content)[0])) return undefined;
  return listing(`Answer, ${status}`, JSON.stringify(schemas.example(schema, true), null, 2), true);
}

function article(schemas, entry) {
  const { path, operation, also } = entry;
  const call = new Call(entry, schemas);
  const body = schemaOf(operation.requestBody);
  const scope = operation['x-key'];
  const words = [entry.method, path, operation.summary, ...also.map(({ path }) => path)].join(' ').toLowerCase();
  return el('article', { id: entry.id, 'data-words': words, 'data-operations': [entry, ...also].map(({ path }) => `${entry.method} ${path}`).join(' | ') },
    el('div', {},
      ...also.map(({ id }) => el('span', { id })),
      el('h3', {}, el('a', { href: `#${entry.id}` }, operation.summary || path)),
      el('div', { class: 'address' }, method(entry.method), ' ', el('code', {}, path)),
      also.length > 0 && el('div', { class: 'soft' }, 'also ', ...also.flatMap(({ path }, place) => [place ? ', ' : '', el('code', {}, path)])),
      operation.description && el('p', {}, ...prose(operation.description)),
      scope && el('p', { class: 'soft' }, `Needs ${SCOPES[scope]}.`),
      parameters(schemas, operation.parameters || []),
      body && [el('h4', {}, 'Body'), schemas.fields(body)],
      el('h4', {}, 'Answers'), el('ul', { class: 'fields' }, ...answers(schemas, operation))),
    el('div', { class: 'aside' }, call.curl(), answerExample(schemas, operation), call.form($('key'))));
}

function introduction(api) {
  return el('section', { id: 'introduction' },
    el('h2', {}, 'Introduction'),
    el('p', {}, ...prose(api.info.description), ' The same as a document: ', el('a', { href: '/openapi.json' }, 'openapi.json'), '.'),
    el('p', { id: 'authentication' }, ...prose('Send a key as `Authorization: Bearer KEY` or `X-API-Key: KEY`. A public key (`mx_pub_…`) writes events and asks for recommendations and may stand in a web page; a secret key (`mx_sec_…`) also reads and writes the shop\'s records and decisions; an admin key (`mx_adm_…`) does everything. Put one into the field at the top to send requests from here.')));
}

function problems(api) {
  const row = problem => el('tr', { id: `problem-${problem.code}` }, el('td', {}, el('code', {}, problem.code)), el('td', {}, String(problem.status)), el('td', {}, problem.title, el('div', { class: 'soft' }, problem.hint)));
  const head = ['code', 'status', 'meaning, and what to do'].map(words => el('th', { scope: 'col' }, words));
  return el('section', { id: 'problems' },
    el('h2', {}, 'Problems'),
    el('p', {}, ...prose('Every refusal is `application/problem+json` (RFC 9457). Branch on `code`; `errors` names each mistake and its place; the log has more under `request_id`.')),
    el('table', {}, el('thead', {}, el('tr', {}, ...head)), el('tbody', {}, ...api['x-problems'].map(row))));
}

function draw(api) {
  $('version').textContent = api.info.version;
  const schemas = new Schemas(api);
  const link = (id, ...words) => el('a', { href: `#${id}` }, ...words);
  const sections = [introduction(api)];
  const index = [el('div', {}, el('h2', {}, 'Introduction'), link('authentication', 'Keys'), link('problems', 'Problems'))];
  for (const tag of api.tags) {
    const list = entries(api, tag.name);
    sections.push(el('section', { id: `tag-${tag.name}` }, el('h2', {}, tag.name), el('p', {}, tag.description || ''), ...list.map(entry => article(schemas, entry))));
    index.push(el('div', {}, el('h2', {}, tag.name), ...list.map(entry => link(entry.id, el('span', {}, entry.operation.summary), method(entry.method)))));
  }
  $('operations').replaceChildren(...sections, problems(api));
  $('index').replaceChildren(...index);
  $('operations').setAttribute('aria-busy', 'false');
  followReading();
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

/** Marks in the contents what is being read. */
function followReading() {
  const linkOf = id => document.querySelector(`#index a[href="#${CSS.escape(id)}"]`);
  const observer = new IntersectionObserver(seen => {
    const read = seen.find(({ isIntersecting }) => isIntersecting);
    const link = read && linkOf(read.target.id);
    if (!link) return;
    document.querySelector('#index a[aria-current]')?.removeAttribute('aria-current');
    link.setAttribute('aria-current', 'true');
  }, { rootMargin: '-10% 0% -80% 0%' });
  for (const article of document.querySelectorAll('article')) observer.observe(article);
}

function find(wanted) {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  for (const article of document.querySelectorAll('article')) {
    article.hidden = !words.every(word => article.dataset.words.includes(word));
    document.querySelector(`#index a[href="#${CSS.escape(article.id)}"]`).hidden = article.hidden;
  }
  // A part without operations is hidden while something is looked for.
  const idle = (part, kind) => words.length > 0 && !part.querySelector(kind);
  for (const part of document.querySelectorAll('section')) part.hidden = idle(part, 'article:not([hidden])');
  for (const group of document.querySelectorAll('#index > div')) group.hidden = idle(group, 'a:not([hidden]) .method');
}

$('theme').addEventListener('click', () => {
  const root = document.documentElement;
  const shown = root.dataset.theme || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
  root.dataset.theme = shown === 'dark' ? 'light' : 'dark';
});
$('find').addEventListener('input', event => find(event.target.value));
addEventListener('keydown', event => {
  if (event.key !== '/' || event.target.matches('input, textarea')) return;
  event.preventDefault();
  $('find').focus();
});
if (matchMedia('(max-width: 50rem)').matches) $('contents').open = false;

try {
  draw(await (await fetch('/openapi.json')).json());
} catch (error) {
  $('operations').textContent = `The reference can't be drawn: ${error.message}`;
  throw error;
}

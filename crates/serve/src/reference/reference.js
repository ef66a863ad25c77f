// Draws /openapi.json. No library, nothing from elsewhere; text is only ever set as text.
'use strict';
const METHODS = ['get', 'post', 'put', 'patch', 'delete'];
const $ = id => document.getElementById(id);

function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.filter(child => child !== undefined && child !== null));
  return node;
}

let api;
const named = reference => api.components.schemas[reference.split('/').pop()];
const follow = schema => (schema && schema.$ref ? named(schema.$ref) : schema) || {};

// A value of the schema's form, for the try-it form.
function sample(schema, depth = 0) {
  schema = follow(schema);
  if (schema.example !== undefined) return schema.example;
  if (depth > 4) return null;
  if (schema.enum) return schema.enum[0];
  const one = (schema.oneOf || schema.anyOf || []).find(part => part.type !== 'null');
  if (one) return sample(one, depth + 1);
  if (schema.allOf) return Object.assign({}, ...schema.allOf.map(part => sample(part, depth + 1)));
  const type = Array.isArray(schema.type) ? schema.type.find(name => name !== 'null') : schema.type;
  if (type === 'object') {
    const required = schema.required || [];
    return Object.fromEntries(Object.entries(schema.properties || {}).filter(([name]) => required.includes(name)).map(([name, part]) => [name, sample(part, depth + 1)]));
  }
  if (type === 'array') return schema.items ? [sample(schema.items, depth + 1)] : [];
  return { string: 'text', integer: 1, number: 1, boolean: true }[type] ?? null;
}

function typeName(schema) {
  if (!schema) return '';
  if (schema.$ref) return schema.$ref.split('/').pop();
  const parts = schema.oneOf || schema.anyOf;
  if (parts) return parts.map(typeName).join(' or ');
  if (schema.enum) return schema.enum.map(value => JSON.stringify(value)).join(' or ');
  const types = [].concat(schema.type ?? 'any').map(name => (name === 'array' ? `list of ${typeName(schema.items)}` : name));
  return types.join(' or ');
}

function bounds(schema) {
  const words = [];
  for (const [key, word] of [['minimum', '≥'], ['maximum', '≤'], ['minItems', 'at least'], ['maxItems', 'at most'], ['maxLength', 'characters ≤'], ['format', ''], ['default', 'default']])
    if (schema[key] !== undefined) words.push(`${word} ${schema[key]}`.trim());
  return words.join(', ');
}

function form(schema, seen = []) {
  const name = schema?.$ref?.split('/').pop();
  const shape = follow(schema);
  const rows = Object.entries(shape.properties || {}).map(([key, part]) => {
    const inner = part.$ref || part.items?.$ref || (part.oneOf || []).map(one => one.$ref).find(Boolean);
    const nested = inner && !seen.includes(inner) ? el('details', {}, el('summary', {}, inner.split('/').pop()), form({ $ref: inner }, [...seen, inner])) : undefined;
    return el('tr', {},
      el('td', {}, el('code', {}, key), (shape.required || []).includes(key) ? ' *' : ''),
      el('td', { class: 'soft' }, typeName(part)),
      el('td', {}, follow(part).description && !part.description ? follow(part).description : part.description || '', el('div', { class: 'soft' }, bounds(part)), nested));
  });
  if (!rows.length) return el('p', { class: 'soft' }, name || typeName(shape) || 'any JSON');
  return el('table', {}, el('tbody', {}, ...rows));
}

function tryIt(path, method, operation) {
  const parameters = operation.parameters || [];
  const fields = parameters.map(parameter => {
    const input = el('input', { name: parameter.name, value: parameter.example ?? parameter.schema?.example ?? '' });
    return { parameter, input };
  });
  const content = operation.requestBody?.content;
  const contentType = content && Object.keys(content)[0];
  const body = content && el('textarea', { 'aria-label': 'Body', spellcheck: 'false' });
  if (body) body.value = JSON.stringify(sample(content[contentType].schema), null, 2);
  const shown = el('pre', { hidden: '' });
  const send = async event => {
    event.preventDefault();
    let address = path;
    const query = new URLSearchParams();
    for (const { parameter, input } of fields) {
      if (parameter.in === 'path') address = address.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (input.value) query.set(parameter.name, input.value);
    }
    const headers = {};
    if ($('key').value) headers.Authorization = `Bearer ${$('key').value}`;
    if (body) headers['Content-Type'] = contentType;
    shown.hidden = false;
    shown.textContent = '…';
    try {
      const started = performance.now();
      const reply = await fetch(address + (query.size ? `?${query}` : ''), { method: method.toUpperCase(), headers, body: body?.value });
      const text = await reply.text();
      let pretty = text;
      try { pretty = JSON.stringify(JSON.parse(text), null, 2); } catch { /* shown as it is */ }
      shown.textContent = `${reply.status} ${reply.statusText}  ${(performance.now() - started).toFixed(0)} ms\n${pretty}`;
    } catch (error) { shown.textContent = String(error); }
  };
  return el('form', { class: 'try', onsubmit: send }, el('h3', {}, 'Try it'),
    ...fields.map(({ parameter, input }) => el('label', {}, `${parameter.name} `, input)), body, el('div', {}, el('button', {}, 'Send')), shown);
}

function operationOf(path, method, operation) {
  const body = operation.requestBody?.content;
  const schema = body && Object.values(body)[0].schema;
  const responses = Object.entries(operation.responses).map(([status, response]) => {
    const reply = response.content && Object.values(response.content)[0].schema;
    return el('tr', {}, el('td', {}, el('code', {}, status)), el('td', {}, response.description,
      reply?.$ref && !/Problem$/.test(reply.$ref) ? el('details', {}, el('summary', {}, typeName(reply)), form(reply)) : undefined));
  });
  const parameters = (operation.parameters || []).map(parameter => el('tr', {},
    el('td', {}, el('code', {}, parameter.name), parameter.required ? ' *' : ''), el('td', { class: 'soft' }, `${parameter.in}, ${typeName(parameter.schema)}`),
    el('td', {}, parameter.description || '', el('div', { class: 'soft' }, bounds(parameter.schema || {})))));
  const inside = el('div', { class: 'inside' }, operation.description && el('p', {}, operation.description));
  let drawn = false;
  const details = el('details', { ontoggle: () => {
    if (drawn || !details.open) return;
    drawn = true;
    if (parameters.length) inside.append(el('h3', {}, 'Parameters'), el('table', {}, el('tbody', {}, ...parameters)));
    if (schema) inside.append(el('h3', {}, 'Body'), form(schema));
    inside.append(el('h3', {}, 'Answers'), el('table', {}, el('tbody', {}, ...responses)), tryIt(path, method, operation));
  } }, el('summary', {}, el('span', { class: `method ${method}` }, method.toUpperCase()), el('code', {}, path), ' ', el('span', { class: 'soft' }, operation.summary || '')), inside);
  return el('article', { id: operation.operationId, 'data-text': `${method} ${path} ${operation.summary}`.toLowerCase() }, details);
}

function draw() {
  $('version').textContent = api.info.version;
  $('about').textContent = api.info.description.replaceAll('`', '');
  const sections = [], index = [];
  for (const tag of api.tags) {
    const operations = Object.entries(api.paths).flatMap(([path, item]) => METHODS.filter(method => item[method]?.tags?.includes(tag.name)).map(method => ({ path, method, operation: item[method] })));
    sections.push(el('section', {}, el('h2', {}, tag.name), el('p', { class: 'soft' }, tag.description || ''), ...operations.map(({ path, method, operation }) => operationOf(path, method, operation))));
    index.push(el('h2', {}, tag.name), ...operations.map(({ path, method, operation }) => el('a', { href: `#${operation.operationId}` }, el('span', { class: `method ${method}` }, method.toUpperCase()), path)));
  }
  $('operations').replaceChildren(...sections);
  $('index').replaceChildren(...index);
  open();
}

function open() {
  const details = document.getElementById(decodeURIComponent(location.hash.slice(1)))?.querySelector('details');
  if (details) { details.open = true; details.scrollIntoView(); }
}

$('theme').addEventListener('click', () => {
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  const shown = document.documentElement.dataset.theme || (dark ? 'dark' : 'light');
  document.documentElement.dataset.theme = shown === 'dark' ? 'light' : 'dark';
});
$('find').addEventListener('input', event => {
  const wanted = event.target.value.trim().toLowerCase();
  for (const article of document.querySelectorAll('article')) article.hidden = !article.dataset.text.includes(wanted);
});
addEventListener('hashchange', open);
fetch('/openapi.json').then(reply => reply.json()).then(document => { api = document; draw(); })
  .catch(error => { $('operations').textContent = `The reference can't be drawn: ${error}`; });

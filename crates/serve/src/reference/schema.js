// Schemas of the OpenAPI document: as lists of fields to read, and as examples to send.
import { el, prose } from './element.js';

const MAX_DEPTH = 6;
/** Lower bound, upper bound, and what is bounded. */
const RANGES = [['minimum', 'maximum', ''], ['minItems', 'maxItems', ' entries'], ['minLength', 'maxLength', ' characters']];

const nameOf = reference => reference.split('/').pop();
const notNull = parts => parts.filter(part => part.type !== 'null');
const alternatives = schema => schema.oneOf || schema.anyOf;

export class Schemas {
  constructor(api) { this.named = api.components.schemas; }

  follow(schema) {
    const reached = schema?.$ref ? this.named[nameOf(schema.$ref)] : schema || {};
    const parts = alternatives(reached) && notNull(alternatives(reached));
    return parts?.length === 1 ? { description: reached.description, ...this.follow(parts[0]) } : reached;
  }

  /** All properties, those of `allOf` parts too. */
  shape(schema) {
    const reached = this.follow(schema);
    const parts = (reached.allOf || []).map(part => this.shape(part));
    return {
      properties: Object.assign({}, ...parts.map(part => part.properties), reached.properties),
      required: [...parts.flatMap(part => part.required), ...(reached.required || [])],
    };
  }

  /** What of a schema has fields of its own: it, its entries, or its values. */
  inner(schema) {
    const reached = this.follow(schema);
    if (reached.type === 'array' || reached.type?.includes?.('array')) return this.inner(reached.items);
    return Object.keys(this.shape(reached).properties).length ? schema : undefined;
  }

  type(schema) {
    const reached = this.follow(schema);
    const parts = alternatives(reached) && notNull(alternatives(reached));
    if (parts) return parts.map(part => this.type(part)).join(' or ');
    if (reached.enum) return reached.enum.map(value => `"${value}"`).join(', ');
    const types = [].concat(reached.type ?? 'any').filter(name => name !== 'null');
    const worded = name => (name === 'array' ? `list of ${this.type(reached.items)}` : name === 'string' && reached.format === 'date-time' ? 'time (RFC 3339)' : name);
    return types.map(worded).join(' or ');
  }

  bounds(schema) {
    const reached = this.follow(schema);
    const range = ([low, high, what]) => {
      const [from, to] = [reached[low], reached[high]];
      if (from === undefined && to === undefined) return undefined;
      return (from === undefined ? `at most ${to}` : to === undefined ? `at least ${from}` : `${from} to ${to}`) + what;
    };
    const words = RANGES.map(range);
    if (reached.pattern) words.push(`matches ${reached.pattern}`);
    if (reached.default !== undefined) words.push(`${JSON.stringify(reached.default)} by default`);
    return words.filter(Boolean).join(', ');
  }

  field(name, schema, needed, description, seen) {
    const bounds = this.bounds(schema);
    const words = description || schema.description || this.follow(schema).description;
    const inner = this.inner(schema);
    const key = inner && JSON.stringify(inner);
    return el('li', {}, el('code', {}, name), el('span', { class: 'type' }, this.type(schema)),
      needed && el('span', { class: 'needed' }, 'required'), words && el('p', {}, ...prose(words)), bounds && el('p', { class: 'soft' }, bounds),
      inner && !seen.includes(key) && el('details', {}, el('summary', {}, `Fields of ${name}`), this.fields(inner, [...seen, key])));
  }

  /** The fields of a body, a list that opens level by level. */
  fields(schema, seen = []) {
    const inner = this.inner(schema);
    if (!inner) return el('p', { class: 'soft' }, this.type(schema));
    const { properties, required } = this.shape(inner);
    const rank = name => (required.includes(name) ? 0 : 1);
    const names = Object.keys(properties).sort((a, b) => rank(a) - rank(b));
    return el('ul', { class: 'fields' }, ...names.map(name => this.field(name, properties[name], required.includes(name), '', seen)));
  }

  /** A value of this form; `whole`: with the fields that may be absent. */
  example(schema, whole = false, depth = 0) {
    const reached = this.follow(schema);
    if (schema?.example !== undefined) return schema.example;
    if (reached.example !== undefined) return reached.example;
    if (reached.default !== undefined) return reached.default;
    if (depth > MAX_DEPTH) return null;
    if (reached.enum) return reached.enum[0];
    const parts = alternatives(reached) && notNull(alternatives(reached));
    if (parts) return this.example(parts[0], whole, depth + 1);
    const { properties, required } = this.shape(reached);
    const names = Object.keys(properties).filter(name => whole || required.includes(name));
    if (names.length) return Object.fromEntries(names.map(name => [name, this.example(properties[name], whole, depth + 1)]));
    const type = [].concat(reached.type ?? []).find(name => name !== 'null');
    if (type === 'array') return reached.items ? [this.example(reached.items, whole, depth + 1)] : [];
    if (type === 'string') return reached.format === 'date-time' ? '2026-11-21T10:00:00.000Z' : reached.pattern?.includes('{32}') ? '0193a1f2c0de5a3b7c4d9e8f01234567' : '…';
    return { integer: 1, number: 0.5, boolean: true, object: {} }[type] ?? null;
  }
}

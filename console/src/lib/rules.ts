// Merchants' rules in words, and what they are made of.
import type { Schemas } from '../api/client';

export type Rule = Schemas['SearchRule'];
export type Consequence = Schemas['SearchRuleConsequence'];
export type Banner = Extract<Consequence, { type: 'banner' }>;
export type Kind = Consequence['type'];
export type Synonym = Schemas['SearchSynonym'];

export const KINDS: readonly (readonly [Kind, string])[] = [
  ['pin', 'Pin a product to a place'], ['hide', 'Hide a product'], ['boost', 'Boost what passes a filter'], ['bury', 'Bury what passes a filter'],
  ['filter', 'Find only what passes a filter'], ['replace_query', 'Search for something else'], ['remove_words', 'Leave words out'],
  ['redirect', 'Send the shopper elsewhere'], ['banner', 'Show a banner'],
];
export const MATCHES: readonly (readonly [Schemas['SearchRuleMatch'], string])[] = [['is', 'is'], ['contains', 'contains'], ['starts_with', 'starts with'], ['ends_with', 'ends with']];

/** A new one of a kind, to be filled in. */
export function blank(type: Kind): Consequence {
  switch (type) {
    case 'pin': return { type, product_id: '', position: 1 };
    case 'hide': return { type, product_id: '' };
    case 'boost': return { type, filter: '', strength: 0.5 };
    case 'bury': return { type, filter: '', strength: 0.5 };
    case 'filter': return { type, filter: '' };
    case 'replace_query': return { type, text: '' };
    case 'remove_words': return { type, words: [] };
    case 'redirect': return { type, url: '' };
    case 'banner': return { type, data: {} };
  }
}

export function consequenceWords(one: Consequence): string {
  switch (one.type) {
    case 'pin': return `pins ${one.product_id} to place ${one.position}`;
    case 'hide': return `hides ${one.product_id}`;
    case 'boost': return `boosts ${one.filter} by ${Math.round(100 * one.strength)} %`;
    case 'bury': return `buries ${one.filter} by ${Math.round(100 * one.strength)} %`;
    case 'filter': return `finds only ${one.filter}`;
    case 'replace_query': return `searches for “${one.text}”`;
    case 'remove_words': return `leaves out ${one.words.join(', ')}`;
    case 'redirect': return `sends to ${one.url}`;
    case 'banner': return 'shows a banner';
  }
}

export function conditionWords(rule: Rule): string {
  const words = (rule.conditions ?? []).map(one => [
    one.query ? `the query ${MATCHES.find(([name]) => name === one.query?.match)?.[1] ?? 'is'} “${one.query.text}”` : '',
    one.category ? `on ${one.category}` : '', one.segment ? `for ${one.segment}` : '',
  ].filter(Boolean).join(' '));
  const where = rule.markets?.length ? ` in ${rule.markets.join(', ')}` : '';
  const whom = rule.segments?.length ? ` for ${rule.segments.join(' or ')}` : '';
  return (words.length ? words.join(', or ') : 'every search') + where + whom;
}

/** Half-written consequences are left out of a preview. */
export function isWritten(one: Consequence): boolean {
  const said = 'product_id' in one ? one.product_id : 'filter' in one ? one.filter : 'text' in one ? one.text : 'words' in one ? one.words.join('') : 'url' in one ? one.url : 'banner';
  return said.trim() !== '';
}

/** What every kind of rule has. */
export type Framed = Pick<Rule, 'id' | 'name' | 'enabled' | 'priority' | 'from' | 'until'>;
/** The first place, from 1, that nothing is pinned to. */
export function freePlace(taken: number[]): number {
  let place = 1;
  while (taken.includes(place)) place += 1;
  return place;
}

export type Standing = 'acts' | 'off' | 'waits' | 'over';
export function standing(rule: Framed, now: number): Standing {
  if (rule.enabled === false) return 'off';
  if (rule.from && now < Date.parse(rule.from)) return 'waits';
  return rule.until && now >= Date.parse(rule.until) ? 'over' : 'acts';
}

/** As a field for a moment wants it: local, to the minute. */
export function localMinute(at: string | undefined): string {
  if (!at) return '';
  const date = new Date(at);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** Known in addresses and logs; unlike those there are. */
export function freshId(words: string, taken: string[]): string {
  const base = words.toLowerCase().normalize('NFKD').replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '').slice(0, 60) || 'rule';
  let id = base;
  for (let number = 2; taken.includes(id); number += 1) id = `${base}-${number}`;
  return id;
}

export const synonymWords = (one: Synonym): string => (one.from ? `${one.from} → ${(one.to ?? []).join(', ')}` : (one.words ?? []).join(' = '));
/** Words between commas. */
export const list = (text: string): string[] => text.split(',').map(word => word.trim()).filter(Boolean);

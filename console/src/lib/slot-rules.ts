// Merchants' rules for recommendations in words, and what they are made of.
import type { Schemas } from '../api/client';

export type SlotRule = Schemas['SlotRule'];
export type SlotConsequence = Schemas['SlotRuleConsequence'];
export type SlotKind = SlotConsequence['type'];

export const SLOT_KINDS: readonly (readonly [SlotKind, string])[] = [['pin', 'Pin a product to a place'], ['hide', 'Hide a product'], ['boost', 'Boost what has something'], ['bury', 'Bury what has something']];
/** What a boost may look at beside a filter. */
export const FIELDS: readonly (readonly [string, string])[] = [['margin', 'a high margin'], ['stock', 'plenty of stock'], ['newness', 'newness']];

export function blankSlot(type: SlotKind): SlotConsequence {
  switch (type) {
    case 'pin': return { type, product_id: '', position: 1 };
    case 'hide': return { type, product_id: '' };
    case 'boost': case 'bury': return { type, field: '', strength: 0.5 };
  }
}

const fieldWords = (field: string): string => FIELDS.find(([name]) => name === field)?.[1] ?? field;
export function slotConsequenceWords(one: SlotConsequence): string {
  switch (one.type) {
    case 'pin': return `pins ${one.product_id} to place ${one.position}`;
    case 'hide': return `hides ${one.product_id}`;
    case 'boost': return `boosts ${fieldWords(one.field)} by ${Math.round(100 * one.strength)} %`;
    case 'bury': return `buries ${fieldWords(one.field)} by ${Math.round(100 * one.strength)} %`;
  }
}

export function placeWords(rule: SlotRule): string {
  const slots = rule.slots?.length ? rule.slots.join(', ') : 'every slot';
  const markets = rule.markets?.length ? ` in ${rule.markets.join(', ')}` : '';
  return slots + markets + (rule.campaigns?.length ? ` during ${rule.campaigns.join(' or ')}` : '');
}

/** Half-written parts are left out of a preview. */
export const isWritten = (one: SlotConsequence): boolean => ('product_id' in one ? one.product_id : one.field).trim() !== '';

interface Shown { product_id: string }
/** How far a product moved up; undefined: it was not there. */
export function moved(before: Shown[], after: Shown[], id: string): number | undefined {
  const [from, to] = [before, after].map(items => items.findIndex(item => item.product_id === id));
  return from === undefined || to === undefined || from < 0 ? undefined : from - to;
}

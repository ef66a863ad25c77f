// What a decision's record says beyond the order of its products.
import type { Schemas } from '../api/client';

/** What one feature of a product did to its score. */
export type Contribution = Schemas['ContributionAnswer'];

/** The strongest first, whichever way they pull. */
export const contributions = (item: Schemas['ExplainedItem']): Contribution[] =>
  [...item.contributions].sort((a, b) => Math.abs(b.contribution ?? 0) - Math.abs(a.contribution ?? 0));

export const ENGINES: Record<string, string> = { recommend: 'Recommendations', search: 'Searches', layout: 'Orders of pages' };

/** What was decided about, in a line. */
export function about(record: Schemas['DecisionAnswer']): string {
  if (record.query !== undefined) return `“${record.query}”`;
  if (record.blocks?.length) return record.blocks.map(block => block.id).join(', ');
  return record.slots.map(slot => `${slot.name}${slot.name === slot.scenario ? '' : ` (${slot.scenario})`}`).join(', ');
}

/** Products or blocks. */
export const filled = (record: Schemas['DecisionAnswer']): number => (record.blocks?.length ?? 0) + record.slots.reduce((total, slot) => total + slot.items.length, 0);

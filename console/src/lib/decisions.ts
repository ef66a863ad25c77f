// What a decision's record says beyond the order of its products.
import type { Schemas } from '../api/client';

/** What one feature of a product did to its score. */
export interface Contribution { feature: string; value: number | string | boolean | null; contribution: number }

/** Older records and other engines don't hold all of it. */
interface Held { model?: { name?: string | null; version?: number | null; artifact?: string | null } | null; campaign?: string | null }

const held = (record: Schemas['DecisionAnswer']) => record as unknown as Held;
/** Hash of the model's file: two versions with the same one are the same model. */
export const artifact = (record: Schemas['DecisionAnswer']): string => held(record).model?.artifact ?? '';
export const campaign = (record: Schemas['DecisionAnswer']): string => held(record).campaign ?? '';

/** The strongest first, whichever way they pull. */
export function contributions(item: object): Contribution[] {
  const all = (item as { contributions?: Contribution[] | null }).contributions ?? [];
  return [...all].sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution));
}

export const ENGINES: Record<string, string> = { recommend: 'Recommendations', search: 'Searches', layout: 'Orders of pages' };

/** What was decided about, in a line. */
export function about(record: Schemas['DecisionAnswer']): string {
  if (record.query !== undefined) return `“${record.query}”`;
  if (record.blocks?.length) return record.blocks.map(block => block.id).join(', ');
  return record.slots.map(slot => `${slot.name}${slot.name === slot.scenario ? '' : ` (${slot.scenario})`}`).join(', ');
}

/** Products or blocks. */
export const filled = (record: Schemas['DecisionAnswer']): number => (record.blocks?.length ?? 0) + record.slots.reduce((total, slot) => total + slot.items.length, 0);

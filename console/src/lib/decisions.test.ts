import { expect, it } from 'vitest';
import type { Schemas } from '../api/client';
import { about, contributions, filled } from './decisions';

const record = (parts: object) => ({ slots: [], ...parts }) as unknown as Schemas['DecisionAnswer'];
const block = (id: string) => ({ id, score: 0, chance: 1, reason: { type: 'fixed', words: '' } });

it('a decision is about a query, the blocks of a page or its slots', () => {
  expect(about(record({ query: 'shirt' }))).toBe('“shirt”');
  expect(about(record({ blocks: [block('hero'), block('new')] }))).toBe('hero, new');
  expect(about(record({ slots: [{ name: 'home', scenario: 'for_you', items: [] }, { name: 'recent', scenario: 'recent', items: [] }] }))).toBe('home (for_you), recent');
});

it('blocks and products are counted', () => {
  expect(filled(record({ blocks: [block('hero'), block('new')] }))).toBe(2);
  expect(filled(record({ slots: [{ items: [{}, {}, {}] }] }))).toBe(3);
});

it('what pulls most comes first', () => {
  const item = { slot: 'home', position: 1, product_id: 'p', name: '', score: 1, reasons: [] };
  const held = contributions({ ...item, contributions: [{ feature: 'a', value: 1, contribution: 0.1 }, { feature: 'age_days', value: 3 }, { feature: 'b', contribution: -0.4 }] });
  expect(held.map(one => one.feature)).toEqual(['b', 'a', 'age_days']);
  expect(contributions({ ...item, contributions: [] })).toEqual([]);
});

import { expect, test } from 'vitest';
import { grouped, isPaid, people, segmentName, type Segment, type SegmentsPage } from './segments';

const segment = (group: string, name: string, people: number | null): Segment => ({ group, name, words: '', people, figures: null });
const page: SegmentsPage = { read_at: '', currency: 'EUR', people: 3, not_measured: 0, left_out: 0, fewest: 5, events_behind: 0, segments: [segment('stage', 'newcomers', 0), segment('stage', 'regulars', null), segment('planet', 'mars', 9)] };

test('segments stand in their groups, in the order they come in', () =>
  expect(grouped(page).map(group => [group.title, group.segments.map(one => one.name)])).toEqual([['How far they came as customers', ['newcomers', 'regulars']], ['Planet', ['mars']]]));

test('codes stay codes, and what was paid elsewhere is not nothing', () => {
  expect([segment('market', 'de', 9), segment('stage', 'at risk', 9)].map(segmentName)).toEqual(['de', 'At risk']);
  const figures = { share: 1, here: 1, buyers: 1, orders: 2, counted_orders: 0, revenue: 0, revenue_per_person: 0, revenue_per_order: null, personalised: 1 };
  expect([isPaid(figures), isPaid({ ...figures, orders: 0 }), isPaid({ ...figures, counted_orders: 1 })]).toEqual([false, true, true]);
});

test('of a few people no number is told', () => expect(page.segments.map(one => people(one, page.fewest, String))).toEqual(['0', 'fewer than 5', '9']));

import { expect, test } from 'vitest';
import { grouped, people, type Segment, type SegmentsPage } from './segments';

const segment = (group: string, name: string, people: number | null): Segment => ({ group, name, words: '', people, figures: null });
const page: SegmentsPage = { read_at: '', currency: 'EUR', people: 3, not_measured: 0, left_out: 0, fewest: 5, events_behind: 0, segments: [segment('stage', 'newcomers', 0), segment('stage', 'regulars', null), segment('planet', 'mars', 9)] };

test('segments stand in their groups, in the order they come in', () =>
  expect(grouped(page).map(group => [group.title, group.segments.map(one => one.name)])).toEqual([['How far they came as customers', ['newcomers', 'regulars']], ['Planet', ['mars']]]));

test('of a few people no number is told', () => expect(page.segments.map(one => people(one, page.fewest, String))).toEqual(['0', 'fewer than 5', '9']));

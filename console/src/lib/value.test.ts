import { expect, test } from 'vitest';
import { amount, direction, kpiValue, payback, tree, type AutomationValue, type Kpi } from './value';

const kpi = (name: string, parent: string | null, more: Partial<Kpi> = {}): Kpi => ({ name, words: name, unit: 'share', kind: 'lagging', parent, higher_is_better: true, measured: true, why_not: null, value: 0.5, before: 0.4, change: 0.25, ...more });

test('figures stand under what they move, and an unknown parent loses none', () => {
  const roots = tree([kpi('revenue', null), kpi('visits', 'revenue'), kpi('conversion', 'visits'), kpi('lost', 'nowhere')]);
  expect(roots.map(one => one.name)).toEqual(['revenue', 'lost']);
  expect(roots[0]?.children[0]?.children[0]?.name).toBe('conversion');
});

test('less is better where it is', () => {
  expect(direction(kpi('a', null))).toBe('good');
  expect(direction(kpi('a', null, { higher_is_better: false }))).toBe('bad');
  expect(direction(kpi('a', null, { change: -0.001 }))).toBe('soft');
  expect(direction(kpi('a', null, { change: null }))).toBe('soft');
});

test('values carry their unit', () => {
  expect(kpiValue(0.1234, 'share', 'EUR')).toBe('12.3 %');
  expect(kpiValue(1234.5, 'money', 'EUR')).toBe('€1,235');
  expect(kpiValue(12.5, 'money', 'EUR')).toBe('€12.50');
  expect(kpiValue(3.14, 'per_year', 'EUR')).toBe('3.1 a year');
  expect(kpiValue(null, 'count', 'EUR')).toBe('–');
  expect(amount(-177.9, 'EUR')).toBe('-€178');
});

test('what never pays back says so', () => {
  const one = { one_time_cost: 200, payback_months: { estimate: 2.5, soonest: 1.25, latest: null } } as AutomationValue;
  expect(payback(one)).toBe('2.5 months (1.3 months to never)');
  expect(payback({ ...one, payback_months: null })).toBe('not known');
  expect(payback({ ...one, one_time_cost: 0 })).toBe('nothing to pay back');
});

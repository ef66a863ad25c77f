import { expect, test } from 'vitest';
import { course, named, rate, strain, worst, type Drift } from './drift';

const number = (name: string, psi: number, ks = 0): Drift => ({ name, reference_count: 1_000, count: 900, psi, psi_threshold: 0.2, ks, ks_threshold: 0.1, drifted: psi > 0.2 || ks > 0.1 });

test('a number is told beside its own threshold', () => {
  expect(strain(number('feature.views', 0.1), 'psi')).toBeCloseTo(0.5);
  expect(worst(number('feature.views', 0.1, 0.2))).toBeCloseTo(2);
});

test('the way there: those nearest to an alarm, with gaps where a number was not seen', () => {
  expect(course([{ at: '2026-11-20T00:00:00Z', numbers: [] }], 'psi')).toBeUndefined();
  const looks = [{ at: '2026-11-20T00:00:00Z', numbers: [number('feature.views', 0.02), number('prediction.top_score', 0.1)] }, { at: '2026-11-20T01:00:00Z', numbers: [number('prediction.top_score', 0.3)] }];
  const found = course(looks, 'psi', 2);
  expect(found?.times).toEqual([Date.parse('2026-11-20T00:00:00Z') / 1_000, Date.parse('2026-11-20T01:00:00Z') / 1_000]);
  expect(found?.series.map(one => [one.label, one.values.map(value => value === null ? null : Number(value.toFixed(2)))])).toEqual([['prediction top score', [0.5, 1.5]], ['feature views', [0.1, null]]]);
  expect(course(looks, 'psi', 1)?.series).toHaveLength(1);
});

test('names and shares', () => {
  expect(named('prediction.top_score')).toEqual({ kind: 'prediction', what: 'top score' });
  expect([rate({ count: 1, of: 4 }), rate({ count: 0, of: 0 })]).toEqual([0.25, undefined]);
});

import { expect, it } from 'vitest';
import { bandsOf, toneOf } from './interval';

it('says good or bad only of what lies on one side of nothing', () => {
  expect(toneOf(0.1, 0.3)).toBe('good');
  expect(toneOf(0.1, 0.3, false)).toBe('bad');
  expect(toneOf(-0.3, -0.1)).toBe('bad');
  expect(toneOf(-0.1, 0.3)).toBe('open');
  expect(toneOf(null, undefined)).toBe('open');
});

it('lets an unknown end reach as far as the axis', () => {
  expect(bandsOf([{ label: 'May', words: '', value: null, low: null, high: 0.2 }], 0.5)).toEqual([{ label: 'May', words: '', from: -0.5, to: 0.2, mark: null, tone: 'open' }]);
});

import { expect, test } from 'vitest';
import { measures, shareInterval } from './models';

test('Wilson’s interval: figures of the literature, and no share beyond 0 and 1', () => {
  const [low, high] = shareInterval(8, 10);
  expect(low).toBeCloseTo(0.490, 3);
  expect(high).toBeCloseTo(0.943, 3);
  expect(shareInterval(0, 10)[0]).toBe(0);
  expect(shareInterval(10, 10)[1]).toBe(1);
  expect(shareInterval(0, 0)).toEqual([0, 1]);
});

test('a version that was asked nothing has no quality', () => {
  expect(measures({ metrics: { 'ndcg@20': 0, questions: 0 } })).toEqual({ questions: 0 });
  expect(measures({ metrics: { 'ndcg@20': 0, questions: 3 } })).toEqual({ 'ndcg@20': 0, questions: 3 });
  expect(measures({})).toEqual({});
});

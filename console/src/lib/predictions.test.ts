import { expect, test } from 'vitest';
import type { Schemas } from '../api/client';
import { dueInDays, dueWords } from './predictions';

const item = (...reasons: object[]) => ({ product_id: 'p', name: '', price: null, url: null, image: null, score: 1, reasons }) as unknown as Schemas['ItemAnswer'];

test('when a product is due again', () => {
  expect(dueInDays(item({ type: 'due_again', words: '', interval_days: 30, elapsed_days: 27 }))).toBe(3);
  expect(dueInDays(item({ type: 'pinned', words: '' }, { type: 'due_again', words: '', interval_days: 30, elapsed_days: 40 }))).toBe(-10);
  expect(dueInDays(item({ type: 'viewed', words: '' }))).toBeUndefined();
  expect([3, 1, 0.2, -0.4, -10].map(dueWords)).toEqual(['due in 3 days', 'due in 1 day', 'due today', 'due today', 'due 10 days ago']);
});

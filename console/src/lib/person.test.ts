import { expect, it } from 'vitest';
import { timeline, type Person } from './person';

it('puts events, decisions and orders into one order, newest first', () => {
  const event = (id: string, at: string, kind: string, decision: string | null) =>
    ({ id, kind, custom_name: null, occurred_at: at, query: null, decision, value: null, lines: [{ product: 'p1', quantity: 1, position: null }], context: { market: 'de', device: 'phone' } });
  const person = {
    events: [event('e2', '2026-11-21T10:02:00.000Z', 'Product Viewed', 'd1'), event('e1', '2026-11-21T10:00:00.000Z', 'Product Viewed', null)],
    decisions: [{ decision_id: 'd1', at: '2026-11-21T10:01:00.000Z', engine: 'search', granted: [], model_version: 3 }],
    orders: [{ id: 'o1', placed_at: '2026-11-21T10:03:00.000Z', currency: 'EUR', status: 'placed', lines: [{ product_id: 'p1', quantity: 1 }] }],
  } as unknown as Person;
  const shown = timeline(person);
  expect(shown.map(one => one.key)).toEqual(['order o1', 'e2', 'd1', 'e1']);
  expect(shown[1]).toMatchObject({ decision: 'd1', words: 'phone · de', products: ['p1'] });
  expect(shown[2]?.words).toBe('by model v3');
});

import { describe, expect, it } from 'vitest';
import { blankSlot, isWritten, moved, placeWords, SLOT_KINDS, slotConsequenceWords } from './slot-rules';

describe('rules for slots', () => {
  it('say where they act', () => {
    expect(placeWords({ consequences: [] })).toBe('every slot');
    expect(placeWords({ consequences: [], slots: ['home', 'similar'], markets: ['de'], campaigns: ['sale'] })).toBe('home, similar in de during sale');
  });
  it('have a form and words for every consequence, and begin unwritten', () => {
    for (const [kind] of SLOT_KINDS) {
      expect(slotConsequenceWords(blankSlot(kind))).not.toBe('');
      expect(isWritten(blankSlot(kind))).toBe(false);
    }
    expect(slotConsequenceWords({ type: 'bury', field: 'margin', strength: 0.25 })).toBe('buries a high margin by 25 %');
    expect(isWritten({ type: 'boost', field: 'price < 5', strength: 1 })).toBe(true);
  });
});
it('tells how products moved', () => {
  const list = (...ids: string[]) => ids.map(product_id => ({ product_id }));
  expect(['a', 'b', 'c'].map(id => moved(list('a', 'b'), list('b', 'a', 'c'), id))).toEqual([-1, 1, undefined]);
});

import { describe, expect, it } from 'vitest';
import { blank, conditionWords, consequenceWords, freePlace, freshId, isWritten, KINDS, list, standing, synonymWords } from './rules';

describe('rules', () => {
  const rule = { consequences: [], from: '2026-11-20T00:00:00Z', until: '2026-12-01T00:00:00Z' };
  it('stand by their schedule', () => {
    const at = (time: string) => standing(rule, Date.parse(time));
    expect([at('2026-11-19T23:59:59Z'), at('2026-11-20T00:00:00Z'), at('2026-12-01T00:00:00Z')]).toEqual(['waits', 'acts', 'over']);
    expect(standing({ ...rule, enabled: false }, Date.parse('2026-11-21T00:00:00Z'))).toBe('off');
  });
  it('say what they are about', () => {
    expect(conditionWords({ consequences: [] })).toBe('every search');
    expect(conditionWords({ consequences: [], conditions: [{ query: { text: 'bag', match: 'contains' } }, { category: 'Bags' }], markets: ['de'] }))
      .toBe('the query contains “bag”, or on Bags in de');
  });
  it('have a form and words for every consequence', () => {
    for (const [kind] of KINDS) {
      expect(consequenceWords(blank(kind))).not.toBe('');
      // A banner may carry nothing.
      expect(isWritten(blank(kind))).toBe(kind === 'banner');
    }
    expect(isWritten({ type: 'filter', filter: 'price < 5' })).toBe(true);
  });
  it('get ids that nobody has', () => expect(freshId('Summer Sale!', ['summer-sale', 'summer-sale-2'])).toBe('summer-sale-3'));
});
it('pins to the first free place', () => expect([[], [1, 3], [2]].map(freePlace)).toEqual([1, 2, 1]));
it('reads lists', () => expect(list(' sofa , couch,,')).toEqual(['sofa', 'couch']));
it('shows which way synonyms go', () => expect([synonymWords({ words: ['sofa', 'couch'] }), synonymWords({ from: 'iphone', to: ['phone'] })]).toEqual(['sofa = couch', 'iphone → phone']));

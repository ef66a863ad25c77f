import { describe, expect, it } from 'vitest';
import { ago, count, duration, money, percent, timeLabel, title } from './format';

describe('what people read', () => {
  it('has units', () => {
    expect(duration(0.25)).toBe('250 µs');
    expect(duration(4.21)).toBe('4.2 ms');
    expect(duration(1_500)).toBe('1.5 s');
    expect(duration(7_200_000)).toBe('2 h');
    expect(percent(0.1234)).toBe('12.3 %');
  });
  it('keeps the minor units of each currency', () => {
    expect(money({ minor: 1_899, currency: 'EUR' })).toBe('€18.99');
    expect(money({ minor: 1_899, currency: 'JPY' })).toContain('1,899');
    expect(money(null)).toBe('–');
  });
  it('shortens only what nobody counts', () => {
    expect(count(12_345)).toBe('12,345');
    expect(count(1_234_567)).toBe('1.2M');
  });
  it('looks both ways in time', () => {
    expect(ago(0, 60_000 * 5)).toBe('5 min ago');
    expect(ago(60_000 * 5, 0)).toBe('in 5 min');
  });
  it('labels ticks as precisely as they stand apart', () => {
    const at = new Date(2026, 10, 21, 9, 5, 30).getTime() / 1_000;
    expect([10, 60, 86_400].map(step => timeLabel(at, step))).toEqual(['09:05:30', '09:05', '21 Nov']);
  });
  it('makes words of names', () => expect(title('live_model')).toBe('Live model'));
});

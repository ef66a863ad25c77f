// Intervals: what may be said of them, and several of them as one picture.
import { saveBands, type Band } from './picture';

type End = number | null | undefined;
export interface Estimate { label: string; words: string; value: End; low: End; high: End; better?: boolean }

/** Whether the interval lies on one side of nothing, and whether that is the good one. */
export function toneOf(low: End, high: End, better = true): 'good' | 'bad' | 'open' {
  if (typeof low === 'number' && low > 0) return better ? 'good' : 'bad';
  if (typeof high === 'number' && high < 0) return better ? 'bad' : 'good';
  return 'open';
}

/** On one axis to both sides of nothing, as on the page; an end that is unknown reaches as far as the axis. */
export function bandsOf(estimates: Estimate[], reach: number): Band[] {
  return estimates.map(one => ({ label: one.label, words: one.words, from: one.low ?? -reach, to: one.high ?? reach, mark: one.value ?? null, tone: toneOf(one.low, one.high, one.better) }));
}

export const saveIntervals = (name: string, estimates: Estimate[], reach: number): void => saveBands(name, bandsOf(estimates, reach), { from: -reach, to: reach });

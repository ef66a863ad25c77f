// How models are measured, and what may be said of a share.
import { count, decimal, duration } from './format';

/** On held-out time: name, words, and how it is written. */
export const METRICS: [string, string, (value: number) => string][] = [
  ['ndcg@20', 'NDCG@20', decimal], ['recall@20', 'Recall@20', decimal], ['coverage@20', 'Coverage', decimal], ['answer_ms', 'An answer takes', duration], ['questions', 'Questions', count],
];

/** What a version was measured at; without a question nothing was, and zeros would read as bad ones. */
export function measures(version: { metrics?: unknown }): Record<string, number> {
  const all = (version.metrics ?? {}) as Record<string, number>;
  return all.questions === 0 ? { questions: 0 } : all;
}

/** 95 % interval of a share, by Wilson's score: it stays within 0 and 1, and holds for few cases too. */
export function shareInterval(successes: number, of: number): [number, number] {
  if (of <= 0) return [0, 1];
  const z = 1.96;
  const share = successes / of;
  const middle = (share + (z * z) / (2 * of)) / (1 + (z * z) / of);
  const half = (z / (1 + (z * z) / of)) * Math.sqrt((share * (1 - share)) / of + (z * z) / (4 * of * of));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

// What features and predictions do beside the saved reference, as the server writes it (the description of the API calls it an object).
export interface Drift { name: string; reference_count: number; count: number; psi: number; psi_threshold: number; ks: number; ks_threshold: number; drifted: boolean }
export interface Look { at: string; numbers: Drift[] }
interface Share { count: number; of: number }
export interface EngineDrift {
  engine: string; reference_at: string | null; reference_version: number | null; decisions: number; numbers: Drift[]; drifted: boolean;
  clicked_before: Share; clicked: Share; decayed: boolean; shadow_version: number | null; history: Look[];
}
export interface DriftPage { engines: EngineDrift[] }

export const MEASURES = [['psi', 'PSI'], ['ks', 'KS']] as const;
export type Measure = (typeof MEASURES)[number][0];

/** How far a number is from its reference, in parts of what would be an alarm: 1 is one. */
export const strain = (one: Drift, measure: Measure): number => one[measure] / Math.max(one[`${measure}_threshold`], 1e-9);
export const worst = (one: Drift): number => Math.max(strain(one, 'psi'), strain(one, 'ks'));

/** `feature.views` in two words. */
export function named(name: string): { kind: string; what: string } {
  const [kind = '', ...rest] = name.split('.');
  return rest.length ? { kind, what: rest.join(' ').replaceAll('_', ' ') } : { kind: '', what: name };
}

/** The numbers that came nearest to an alarm, over the looks; lines need two looks to be any. */
export function course(history: Look[], measure: Measure, most = 4): { times: number[]; series: { label: string; values: (number | null)[] }[] } | undefined {
  if (history.length < 2) return undefined;
  const highest = new Map<string, number>();
  for (const look of history) for (const one of look.numbers) highest.set(one.name, Math.max(highest.get(one.name) ?? 0, strain(one, measure)));
  const names = [...highest].sort(([, a], [, b]) => b - a).slice(0, most).map(([name]) => name);
  return {
    times: history.map(look => Date.parse(look.at) / 1_000),
    series: names.map(name => ({ label: `${named(name).kind} ${named(name).what}`.trim(), values: history.map(look => { const one = look.numbers.find(number => number.name === name); return one ? strain(one, measure) : null; }) })),
  };
}

export const rate = (share: Share): number | undefined => (share.of > 0 ? share.count / share.of : undefined);

// The report of an experiment and of the holdout, as the server writes them (the description of the API calls both an object).
export interface Reading { low: number | null; high: number | null; p_value: number }

export interface Comparison {
  arm: string;
  /** better, worse, undecided, mismatch; or why there is nothing to say. */
  verdict: string;
  lift: number | null;
  /** Of the lift; holds however often somebody looks. */
  sequential: Reading | null;
  adjusted_p_value: number | null;
  one_look: Reading | null;
  difference: number | null;
  belief: { lift: number; low: number; high: number; chance_to_win: number } | null;
  segments: { segment: string; difference: number; standard_error: number; units: number; adjusted_p_value: number }[];
  segments_p_value: number | null;
}

export interface MetricReport {
  name: string;
  words: string;
  unit: 'share' | 'money' | 'count' | 'ms';
  higher_is_better: boolean;
  decides: boolean;
  arms: { arm: string; units: number; mean: number | null; chance_to_be_best: number | null; expected_loss: number | null }[];
  comparisons: Comparison[];
}

export interface Report {
  experiment: string;
  read_at: string;
  currency: string;
  trust: { sample_ratio_p_value: number | null; sample_ratio_mismatch: boolean; crossed_units: number; unknown_exposures: number; events_read: number };
  arms: { name: string; planned_percent: number; units: number }[];
  metrics: MetricReport[];
  latency: { unit: string; quantile: number; arms: { arm: string; decisions: number; value: number | null }[] } | null;
  course: { arm: string; metric: string; days: (number | null)[]; verdict: string }[];
  notes: string[];
}

export interface HoldoutReport {
  currency: string;
  months: { month: string; held_out_visitors: number; treated_visitors: number; held_out: number; treated: number; lift: number | null; interval: Reading | null }[];
  increment: number;
  increment_low: number;
  increment_high: number;
}

/** One metric's lift, as reports of earlier moments told it. */
export interface SequenceReport {
  metric: string;
  words: string;
  higher_is_better: boolean;
  arms: { arm: string; looks: { at: string; units: number; lift: number | null; sequential: Reading | null; one_look: Reading | null }[] }[];
}

/** A value in the metric's unit. */
export function inUnit(value: number | null | undefined, unit: MetricReport['unit'], currency: string): string {
  if (value === null || value === undefined) return '–';
  if (unit === 'share') return `${(100 * value).toFixed(2)} %`;
  if (unit === 'money') return new Intl.NumberFormat('en-GB', { style: 'currency', currency }).format(value);
  return unit === 'ms' ? `${value.toFixed(1)} ms` : value.toFixed(3);
}

/** A relative change: .05 is +5.0 %. */
export function lift(value: number | null | undefined): string {
  if (value === null || value === undefined) return '?';
  return `${value < 0 ? '−' : '+'}${(100 * Math.abs(value)).toFixed(1)} %`;
}

/** How far an axis must reach so that every interval that has an end is on it. */
export function reachOf(comparisons: Comparison[]): number {
  const ends = comparisons.flatMap(one => [one.lift, one.sequential?.low, one.sequential?.high]).filter((end): end is number => typeof end === 'number' && Number.isFinite(end));
  return Math.min(2, Math.max(0.05, ...ends.map(Math.abs)) * 1.1);
}

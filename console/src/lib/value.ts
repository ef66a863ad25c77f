// What automations earn and the tree of figures, as the server writes them (the description of the API calls both an object).
import type { Reading } from './experiments';

/** An estimate and its 95 % interval. */
export interface Range { estimate: number; low: number; high: number }

export interface AutomationValue {
  automation: string;
  mode: string;
  kpi: string;
  /** earns, costs, undecided; off, not_measured. */
  verdict: string;
  why_not: string | null;
  from: string;
  until: string;
  /** Share of people that go without. */
  without_share: number;
  months: { month: string; held_out_visitors: number; treated_visitors: number; held_out: number; treated: number; lift: number | null; interval: Reading | null }[];
  incremental_revenue: Range | null;
  savings: Range | null;
  running_cost: number;
  one_time_cost: number;
  net: Range | null;
  payback_months: { estimate: number | null; soonest: number | null; latest: number | null } | null;
  attributed: { decisions: number | null; clicked_decisions: number; orders: number; revenue: number };
  before_and_after: { days: number; before: number; after: number } | null;
}

export interface ValueReport { read_at: string; currency: string; window_days: number; automations: AutomationValue[]; events_behind: number }

export interface Kpi {
  name: string;
  words: string;
  unit: 'money' | 'share' | 'count' | 'per_year';
  /** leading or lagging. */
  kind: string;
  parent: string | null;
  higher_is_better: boolean;
  measured: boolean;
  why_not: string | null;
  value: number | null;
  before: number | null;
  /** Relative. */
  change: number | null;
}

export interface KpiReport { read_at: string; currency: string; days: number; kpis: Kpi[]; events_behind: number }

export const VERDICTS: Record<string, readonly ['good' | 'bad' | 'warn' | 'plain', string]> = {
  earns: ['good', 'earns'], costs: ['bad', 'costs'], undecided: ['plain', 'undecided'], not_measured: ['warn', 'not measured'], off: ['plain', 'off'],
};
export const verdict = (name: string) => VERDICTS[name] ?? (['plain', name] as const);

export function kpiValue(value: number | null, unit: Kpi['unit'], currency: string): string {
  if (value === null) return '–';
  if (unit === 'share') return `${(100 * value).toFixed(1)} %`;
  if (unit === 'money') return amount(value, currency);
  const number = new Intl.NumberFormat('en-GB', { maximumFractionDigits: unit === 'count' ? 0 : 1 }).format(value);
  return unit === 'per_year' ? `${number} a year` : number;
}

/** Whole from a hundred on: cents say nothing there. */
export function amount(value: number, currency: string): string {
  const digits = Math.abs(value) < 100 ? 2 : 0;
  return new Intl.NumberFormat('en-GB', { style: 'currency', currency, minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

export const between = (range: Range, currency: string): string => `${amount(range.low, currency)} to ${amount(range.high, currency)}`;

/** How long until the one-time cost is paid back, with both ends of the interval. */
export function payback(one: AutomationValue): string {
  if (one.one_time_cost === 0) return 'nothing to pay back';
  const months = one.payback_months;
  if (!months) return 'not known';
  const words = (value: number | null) => (value === null ? 'never' : `${value < 10 ? value.toFixed(1) : Math.round(value)} months`);
  return `${words(months.estimate)} (${words(months.soonest)} to ${words(months.latest)})`;
}

export interface Branch extends Kpi { children: Branch[] }

/** The figures under what they move; one whose parent is unknown stands at the top. */
export function tree(kpis: Kpi[]): Branch[] {
  const branches = new Map(kpis.map(kpi => [kpi.name, { ...kpi, children: [] as Branch[] }]));
  const roots: Branch[] = [];
  for (const branch of branches.values()) (branches.get(branch.parent ?? '')?.children ?? roots).push(branch);
  return roots;
}

/** Better, worse, or nothing to say. */
export function direction(kpi: Kpi): 'good' | 'bad' | 'soft' {
  if (kpi.change === null || Math.abs(kpi.change) < 0.005) return 'soft';
  return kpi.change > 0 === kpi.higher_is_better ? 'good' : 'bad';
}

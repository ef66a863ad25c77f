// What two versions of a model have different: made of, measured at, and how shoppers took them.
import type { Schemas } from '../api/client';
import { count, decimal, duration, moment, percent, title } from './format';
import { measures, METRICS, shareInterval } from './models';

type Card = Schemas['ModelCard'];
export interface Row { what: string; before: string; after: string; /** What became of it, in words. */ change: string; tone: '' | 'good' | 'bad'; same: boolean }
export interface Group { title: string; rows: Row[]; /** What the rows can't say. */ note?: string }

const NOTHING = '–';
const row = (what: string, before: string, after: string, change = '', tone: Row['tone'] = ''): Row => ({ what, before, after, change, tone, same: before === after });

const FACTS: [string, string, (value: unknown) => string][] = [
  ['window_from', 'Data from', value => moment(Number(value))], ['window_until', 'Data until', value => moment(Number(value))], ['events', 'Events', value => count(Number(value))], ['subjects', 'People', value => count(Number(value))],
  ['items', 'Products', value => count(Number(value))], ['parent', 'Made from', value => `v${value}`], ['code', 'Code', String], ['seed', 'Seed', String], ['fit_s', 'Fitted in', value => duration(1_000 * Number(value))],
];
const lineage = (card: Card) => (card.lineage ?? {}) as Record<string, unknown>;
const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

/** By how much a number changed, of what it was. */
export function relative(before: number, after: number): string {
  if (before === after) return '';
  const share = before === 0 ? undefined : (after - before) / Math.abs(before);
  if (share === undefined || Math.abs(share) > 10) return after > before ? 'more' : 'less';
  return `${share > 0 ? '+' : '−'}${percent(Math.abs(share))}`;
}

/** Settings, also those within others, by their path. */
export function flat(value: unknown, path = ''): [string, string][] {
  if (value !== null && typeof value === 'object') return Object.entries(value).flatMap(([name, inner]) => flat(inner, path ? `${path}.${name}` : name));
  return path ? [[path, String(value)]] : [];
}

/** Of these, less is better. */
const COSTS = ['answer_ms', 'held_out_error'];

export function differences(before: Card, after: Card): Group[] {
  const [old, new_] = [lineage(before), lineage(after)];
  const told = (value: unknown, show: (value: unknown) => string) => (value === undefined || value === null ? NOTHING : show(value));
  const data = FACTS.filter(([key]) => old[key] !== undefined || new_[key] !== undefined).map(([key, label, show]) =>
    row(label, told(old[key], show), told(new_[key], show), isNumber(old[key]) && isNumber(new_[key]) && !key.startsWith('window') && key !== 'seed' && key !== 'parent' ? relative(old[key], new_[key]) : ''));

  const [was, is] = [measures(before), measures(after)];
  const metrics = [...new Set([...Object.keys(was), ...Object.keys(is)])].map(key => {
    const known = METRICS.find(([metric]) => metric === key);
    const show = (value: unknown) => (known ? known[2](Number(value)) : decimal(Number(value), 4));
    const [a, b] = [was[key], is[key]];
    const judged = known && key !== 'questions' || COSTS.includes(key);
    const better = a !== undefined && b !== undefined && a !== b ? (b > a) !== COSTS.includes(key) : undefined;
    return row(known?.[1] ?? title(key), told(a, show), told(b, show), a !== undefined && b !== undefined ? relative(a, b) : '', judged && better !== undefined ? (better ? 'good' : 'bad') : '');
  });

  const [oldSettings, newSettings] = [new Map(flat(old.parameters)), new Map(flat(new_.parameters))];
  const names = [...new Set([...oldSettings.keys(), ...newSettings.keys()])].sort();
  const settings = names.map(name => row(name, oldSettings.get(name) ?? NOTHING, newSettings.get(name) ?? NOTHING)).filter(one => !one.same);

  const gates = (card: Card) => (lineage(card).gate as string[] | undefined) ?? [];
  const gate = Array.from({ length: Math.max(gates(before).length, gates(after).length) }, (_, at) => row(`Test ${at + 1}`, gates(before)[at] ?? NOTHING, gates(after)[at] ?? NOTHING));

  const segmentNames = [...new Set([...before.segments, ...after.segments].map(one => one.segment))];
  const segments = segmentNames.map(name => {
    const [a, b] = [before, after].map(card => card.segments.find(one => one.segment === name));
    const show = (one: typeof a) => (one ? `${percent(one.click_rate)} of ${count(one.decisions)}` : NOTHING);
    const between = (one: typeof a) => (one ? shareInterval(one.click_rate * one.decisions, one.decisions) : [0, 1] as [number, number]);
    // Where the intervals don't meet the difference is no chance; where they do nothing is said.
    const apart = a && b ? (between(b)[0] > between(a)[1] ? 'good' : between(b)[1] < between(a)[0] ? 'bad' : '') : '';
    return row(name, show(a), show(b), a && b ? (apart ? relative(a.click_rate, b.click_rate) : 'could be chance') : '', apart as Row['tone']);
  });

  return [
    { title: 'Data', rows: data },
    { title: 'On held-out time', rows: metrics, note: 'Each was measured on the newest part of its own window: other days, other questions. The gate compared both on the same ones.' },
    { title: 'The gate said', rows: gate },
    { title: 'Settings that differ', rows: settings },
    { title: 'Clicked, by segment of shoppers', rows: segments, note: 'Of the newest decisions that each made. They served at other times, so a difference may be the season’s; an experiment can tell.' },
  ];
}

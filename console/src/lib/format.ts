// Numbers, money and times as people read them, always with their unit.
import type { Schemas } from '../api/client';

const LOCALE = 'en-GB';
const whole = new Intl.NumberFormat(LOCALE);
// British English would write 1.2m, which reads as a thousandth.
const compact = new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 1 });

export const count = (value: number): string => (Math.abs(value) < 100_000 ? whole.format(Math.round(value)) : compact.format(value));
export const many = (value: number, one: string, more = `${one}s`): string => `${count(value)} ${value === 1 ? one : more}`;
export const percent = (share: number, digits = 1): string => `${(100 * share).toFixed(digits)} %`;
export const decimal = (value: number, digits = 3): string => value.toFixed(digits);

export function money(amount: Schemas['Money'] | null | undefined): string {
  if (!amount) return '–';
  const format = new Intl.NumberFormat(LOCALE, { style: 'currency', currency: amount.currency });
  return format.format(amount.minor / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
}

export function duration(ms: number): string {
  if (ms < 1) return `${Math.round(ms * 1_000)} µs`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 5_400_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 129_600_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} days`;
}

export function ago(at: string | number, now = Date.now()): string {
  const ms = now - new Date(at).getTime();
  if (Math.abs(ms) < 2_000) return 'now';
  const whole = Math.max(Math.round(Math.abs(ms) / 1_000) * 1_000, 1_000);
  const words = whole < 60_000 ? `${whole / 1_000} s` : duration(whole);
  return ms < 0 ? `in ${words}` : `${words} ago`;
}

export const time = (at: string | number): string => new Date(at).toLocaleTimeString(LOCALE, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
export const moment = (at: string | number): string =>
  new Date(at).toLocaleString(LOCALE, { day: 'numeric', month: 'short', year: 'numeric', hour: '2-digit', minute: '2-digit' });

/** `live_model` -> `Live model`. */
export function title(name: string): string {
  const words = name.replace(/[_-]+/g, ' ').trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A tick of an axis, as precise as the ticks stand apart (both in seconds). */
export function timeLabel(at: number, step: number): string {
  const date = new Date(at * 1_000);
  if (step >= 86_400) return date.toLocaleDateString(LOCALE, { day: 'numeric', month: 'short' });
  return date.toLocaleTimeString(LOCALE, { hour: '2-digit', minute: '2-digit', ...(step < 60 ? { second: '2-digit' } : {}) });
}
/** The day of an ISO date, as people say it. */
export const day = (at: string): string => new Date(at).toLocaleDateString(LOCALE, { day: 'numeric', month: 'short', year: 'numeric' });

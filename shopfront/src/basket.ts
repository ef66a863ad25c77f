// The basket lives in this browser. Prices are asked for anew whenever it is shown.

import { major, type LineItem, type Money } from '../../sdk/browser/src/index';

export interface Line { product_id: string; variant_id?: string; label?: string; quantity: number }

const NAME = 'tamarind.basket';
const listeners = new Set<() => void>();

export function lines(): Line[] {
  try { return JSON.parse(localStorage.getItem(NAME) ?? '[]') as Line[]; } catch { return []; }
}

function write(next: Line[]): void {
  try { localStorage.setItem(NAME, JSON.stringify(next)); } catch { /* this visit only */ }
  listeners.forEach(listener => listener());
}

const same = (a: Line, b: Line): boolean => a.product_id === b.product_id && a.variant_id === b.variant_id;

export function add(line: Omit<Line, 'quantity'>): void {
  const known = lines();
  const found = known.find(one => same(one, line as Line));
  write(found ? known.map(one => (one === found ? { ...one, quantity: one.quantity + 1 } : one)) : [...known, { ...line, quantity: 1 }]);
}

export function setQuantity(line: Line, quantity: number): void {
  write(lines().map(one => (same(one, line) ? { ...one, quantity } : one)).filter(one => one.quantity > 0));
}

export const clear = (): void => write([]);
export const count = (): number => lines().reduce((sum, line) => sum + line.quantity, 0);
export const onChange = (listener: () => void): void => void listeners.add(listener);
export const times = (money: Money, quantity: number): Money => ({ ...money, minor: money.minor * quantity });

/** A line as events tell of it; they want prices in major units. */
export const told = ({ product_id, quantity, variant_id }: Line, price: Money | undefined): LineItem =>
  ({ product_id, quantity, ...(variant_id && { variant: variant_id }), ...(price && { price: major(price) }) });
export const toldPrice = (price: Money | null | undefined): { price?: number; currency?: string } => (price ? { price: major(price), currency: price.currency } : {});

// What is held of one person, as the server writes it (the description of the API calls it an object), in the order it happened.
import type { Schemas } from '../api/client';
import { money } from './format';

interface Entry { decision_id: string; at: string; engine: string; granted: string[]; model_version: number | null }
interface HeldEvent {
  id: string; kind: string; custom_name: string | null; occurred_at: string; query: string | null; decision: string | null;
  value: Schemas['Money'] | null; lines: { product: string; quantity: number; position: number | null }[]; context: { market: string; device: string };
}
export interface Person {
  subject_id: string;
  names: { kind: string; value: string }[];
  consent: { granted: string[]; denied: string[]; global_privacy_control: boolean };
  orders: { id: string; placed_at: string; currency: string; status: string; lines: { product?: string; product_id?: string; quantity: number; unit_price?: Schemas['Money'] }[] }[];
  features: {
    affinities: { feature: string; key: string; weight: number }[];
    views: number; carts: number; purchases: number; sessions: number; session_started_at: number | null;
  };
  events: HeldEvent[];
  decisions: Entry[];
}

export interface Moment { key: string; at: string; icon: string; what: string; words: string; products: string[]; decision?: string; kind: 'event' | 'decision' | 'order' }

const ICONS: Record<string, string> = { 'Products Searched': 'search', 'Order Completed': 'check', 'Product Added': 'plus', 'Product Viewed': 'box' };

const ANSWERED: Record<string, readonly [icon: string, what: string]> = {
  search: ['search', 'Was answered a search'], recommend: ['spark', 'Was recommended something'], layout: ['layers', 'Was shown a page in an order'],
};

/** Newest first. */
export function timeline(person: Person): Moment[] {
  const events = person.events.map((one): Moment => ({
    key: one.id, at: one.occurred_at, icon: ICONS[one.kind] ?? 'pulse', what: one.custom_name ?? one.kind, kind: 'event',
    words: [one.query ? `“${one.query}”` : '', one.value ? money(one.value) : '', one.context.device === 'unknown' ? '' : one.context.device, one.context.market].filter(Boolean).join(' · '),
    products: one.lines.map(line => line.product), ...(one.decision ? { decision: one.decision } : {}),
  }));
  const decisions = person.decisions.map((one): Moment => ({
    key: one.decision_id, at: one.at, icon: ANSWERED[one.engine]?.[0] ?? 'spark', what: ANSWERED[one.engine]?.[1] ?? `Was answered by ${one.engine}`, kind: 'decision',
    words: one.model_version === null ? 'without a model' : `by model v${one.model_version}`, products: [], decision: one.decision_id,
  }));
  const orders = person.orders.map((one): Moment => ({
    key: `order ${one.id}`, at: one.placed_at, icon: 'check', what: `Order ${one.id}`, kind: 'order', words: one.status, products: one.lines.flatMap(line => line.product_id ?? line.product ?? []),
  }));
  return [...events, ...decisions, ...orders].sort((a, b) => b.at.localeCompare(a.at) || a.key.localeCompare(b.key));
}

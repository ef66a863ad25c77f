// The shop's people by segment, as the server writes it (the description of the API calls it an object).
import { title } from './format';

export interface Figures { share: number; here: number; buyers: number; orders: number; counted_orders: number; revenue: number; revenue_per_person: number; revenue_per_order: number | null; personalised: number }
export interface Segment { group: string; name: string; words: string; people: number | null; figures: Figures | null }
export interface SegmentsPage { read_at: string; currency: string; people: number; not_measured: number; left_out: number; fewest: number; segments: Segment[]; events_behind: number }

export const GROUPS: Record<string, string> = {
  stage: 'How far they came as customers', spending: 'What they spent', cart: 'Open carts', device: 'Device of their last visit', market: 'Market of their last visit',
};

/** In the order that the server tells them in. */
export function grouped(page: SegmentsPage): { group: string; title: string; segments: Segment[] }[] {
  const groups = [...new Set(page.segments.map(one => one.group))];
  return groups.map(group => ({ group, title: GROUPS[group] ?? title(group), segments: page.segments.filter(one => one.group === group) }));
}

/** Markets are known by their codes. */
export const segmentName = (one: Segment): string => (one.group === 'market' ? one.name : title(one.name));
/** Whether what they paid is known: orders in other currencies have no revenue here. */
export const isPaid = (one: Figures): boolean => one.orders === 0 || one.counted_orders > 0;

/** How many there are, or that there are too few to say. */
export const people = (one: Segment, fewest: number, show: (value: number) => string): string => (one.people === null ? `fewer than ${fewest}` : show(one.people));

// What models would show one person, in words.
import type { Schemas } from '../api/client';

type Item = Schemas['ItemAnswer'];

/** Days until a product is due again, by how often this person bought it; negative: overdue. */
export function dueInDays(item: Item): number | undefined {
  const due = item.reasons.find(reason => reason.type === 'due_again');
  return due?.interval_days === undefined || due.elapsed_days === undefined ? undefined : due.interval_days - due.elapsed_days;
}

export function dueWords(days: number): string {
  const whole = Math.round(Math.abs(days));
  if (whole === 0) return 'due today';
  const words = `${whole} ${whole === 1 ? 'day' : 'days'}`;
  return days > 0 ? `due in ${words}` : `due ${words} ago`;
}

// Which decision a product came of: told when it is really seen and when it is clicked, remembered until it is bought.

import type { PersonalStore } from './storage';

export interface Shown { decision_id: string; product_id: string; position: number; slot?: string }

/** Half of it for half a second counts as seen. */
const SEEN_SHARE = 0.5;
const SEEN_MS = 500;
/** Views that come together are told together. */
const BUNDLE_MS = 400;
const REMEMBERED = 200;
const REMEMBERED_MS = 24 * 3600 * 1000;

export class Attribution {
  #observer: IntersectionObserver | undefined;
  #shown = new WeakMap<Element, Shown>();
  #timers = new WeakMap<Element, ReturnType<typeof setTimeout>>();
  #told = new Set<string>();
  #fresh: Shown[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private store: PersonalStore, private tell: (shown: Shown[]) => void) {
    if (typeof IntersectionObserver === 'undefined') return;
    this.#observer = new IntersectionObserver(entries => entries.forEach(entry => this.#look(entry)), { threshold: SEEN_SHARE });
  }

  /** Watches an element that shows a decided product; its clicks are remembered. */
  watch(element: Element, shown: Shown): void {
    this.#shown.set(element, shown);
    this.#observer?.observe(element);
  }

  clicked(shown: Shown): void {
    const known = this.#known().filter(([product]) => product !== shown.product_id);
    this.store.set('clicked', [...known, [shown.product_id, shown.decision_id, Date.now()]].slice(-REMEMBERED));
  }

  /** The decision that led to a product within the last day. */
  decisionOf(product: string): string | undefined {
    return this.#known().find(([known]) => known === product)?.[1];
  }

  /** Nothing that was seen or clicked counts for whoever comes next. */
  forget(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#fresh = [];
    this.#told.clear();
    this.store.remove('clicked');
  }

  #known(): [string, string, number][] {
    const since = Date.now() - REMEMBERED_MS;
    return (this.store.get<[string, string, number][]>('clicked') ?? []).filter(([, , at]) => at > since);
  }

  #look(entry: IntersectionObserverEntry): void {
    const element = entry.target;
    if (entry.isIntersecting) {
      if (!this.#timers.has(element)) this.#timers.set(element, setTimeout(() => this.#seen(element), SEEN_MS));
    } else {
      clearTimeout(this.#timers.get(element));
      this.#timers.delete(element);
    }
  }

  #seen(element: Element): void {
    this.#observer?.unobserve(element);
    const shown = this.#shown.get(element);
    if (!shown || this.#told.has(shown.decision_id + shown.product_id)) return;
    this.#told.add(shown.decision_id + shown.product_id);
    this.#fresh.push(shown);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.tell(this.#fresh.splice(0));
    }, BUNDLE_MS);
  }
}

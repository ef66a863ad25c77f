// `?merx-debug`: every decision and event of the page with their ids and reasons, for those who build the shop.

import type { Note } from '../index';
import { h, MerxElement } from './element';

export class Debug extends MerxElement {
  static styles = `
:host { position: fixed; inset-block-end: 0; inset-inline-start: 0; z-index: 60; font: 12px/1.4 ui-monospace, monospace; color: #e7e7e7; }
details { background: #16191dee; border-start-end-radius: 10px; max-width: min(560px, 100vw); } summary { padding: .6rem 1rem; cursor: pointer; }
ol { margin: 0; padding: 0 1rem 1rem; list-style: none; max-height: 50vh; overflow: auto; } li { border-top: 1px solid #333; padding: .4rem 0; overflow-wrap: anywhere; }
.decision { color: #8fd0ff; } .event { color: #a6e3a1; } .refused { color: #f7a1a1; } small { color: #aaa; display: block; }`;
  #stop: (() => void) | undefined;

  protected start(): void {
    const list = h('ol');
    const summary = h('summary', {}, 'merx');
    let [decisions, events] = [0, 0];
    this.draw(h('details', { open: true }, summary, list));
    this.#stop?.();
    this.#stop = this.merx.listen(note => {
      if (note.kind === 'decision') decisions += 1; else events += 1;
      summary.textContent = `merx · visitor ${this.merx.visitor.slice(0, 8)} · ${decisions} decisions · ${events} events`;
      list.prepend(row(note));
    });
  }

  disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#stop?.();
  }
}

function row(note: Note): HTMLElement {
  if (note.kind === 'event') return h('li', { class: note.state === 'queued' ? 'event' : 'refused' }, `${note.name} (${note.state})`, h('small', {}, JSON.stringify(note.properties).slice(0, 300)));
  const { decision_id, fallback, arm, stale } = note.answer;
  const reasons = note.items.slice(0, 5).map(item => h('small', {}, `${item.product_id} ${item.name}: ${item.reasons[0]?.words ?? '-'}`));
  return h('li', { class: 'decision' }, `${note.of} → ${decision_id}`, h('small', {}, `${fallback}, ${arm}${stale ? ', kept from before' : ''}`), ...reasons);
}

/** Puts the toolbar on the page where its address asks for it. */
export function offerDebug(): void {
  if (new URLSearchParams(location.search).has('merx-debug') && !document.querySelector('merx-debug')) document.body.append(document.createElement('merx-debug'));
}

// @vitest-environment happy-dom
import { flushSync, mount, unmount } from 'svelte';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Banner, Rule } from '../../lib/rules';
import RuleEditor from './RuleEditor.svelte';

let shown: Record<string, unknown> | undefined;
beforeEach(() => {
  vi.stubGlobal('fetch', () => new Promise(() => {}));
  HTMLDialogElement.prototype.showModal ??= () => {};
});
afterEach(async () => {
  if (shown) await unmount(shown);
  shown = undefined;
  vi.unstubAllGlobals();
});

/** The server takes any JSON; the types know objects of nobody's. */
const banner = (data: unknown): Banner => ({ type: 'banner', data: data as Banner['data'] });
const rule = (consequences: Rule['consequences']): Rule => ({ id: 'r', name: 'Rule', enabled: true, priority: 0, conditions: [], consequences });

function draw(before: Rule, put: (rule: Rule) => Promise<unknown> = async () => {}): void {
  shown = mount(RuleEditor, { target: document.body, props: { before, taken: [], put, drop: async () => {}, saved: async () => {}, close: () => {} } });
  flushSync();
}
const fields = () => [...document.querySelectorAll<HTMLTextAreaElement>('textarea')];
function type(field: HTMLTextAreaElement | undefined, text: string): void {
  if (!field) throw new Error('no such field');
  field.value = text;
  field.dispatchEvent(new Event('input', { bubbles: true }));
  flushSync();
}
function remove(place: number): void {
  document.querySelectorAll<HTMLButtonElement>('button[aria-label^="Remove: "]')[place]?.click();
  flushSync();
}

test('a banner keeps its text when one above it is removed', () => {
  draw(rule([banner({ at: 'first' }), { type: 'hide', product_id: 'p1' }, banner({ at: 'second' })]));
  expect(fields().map(field => field.value)).toEqual(['{"at":"first"}', '{"at":"second"}']);
  type(fields()[0], '{"at":"changed"}');
  type(fields()[1], '{"at":"half writ');
  remove(0);
  expect(fields().map(field => field.value)).toEqual(['{"at":"half writ']);
  remove(0);
  expect(fields().map(field => field.value)).toEqual(['{"at":"half writ']);
});

test('what is kept is what is shown', async () => {
  const kept = vi.fn(async (_rule: Rule) => {});
  draw(rule([banner(1), banner(2)]), kept);
  type(fields()[0], '"gone"');
  type(fields()[1], '{"at":"second"}');
  remove(0);
  document.querySelector('form')?.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true }));
  await vi.waitFor(() => expect(kept).toHaveBeenCalled());
  expect(JSON.parse(JSON.stringify(kept.mock.calls[0]?.[0].consequences))).toEqual([{ type: 'banner', data: { at: 'second' } }]);
});

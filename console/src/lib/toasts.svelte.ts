// Short words about what was just done, with the way back where there is one.
import { asProblem } from './load.svelte';

export interface Toast { id: number; words: string; bad: boolean; undo?: () => Promise<unknown> }

let list = $state<Toast[]>([]);
let drawn = 0;

export const toasts = { get list() { return list; } };

export function drop(id: number): void {
  list = list.filter(toast => toast.id !== id);
}

export function say(words: string, options: { bad?: boolean; undo?: () => Promise<unknown> } = {}): void {
  drawn += 1;
  const toast: Toast = { id: drawn, words, bad: options.bad ?? false };
  if (options.undo) toast.undo = options.undo;
  list = [...list.slice(-3), toast];
  setTimeout(() => drop(toast.id), toast.undo || toast.bad ? 12_000 : 5_000);
}

/** Does it and says how it went. Returns whether it went well. */
export async function attempt(work: () => Promise<unknown>, done: string, undo?: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    say(done, undo ? { undo } : {});
    return true;
  } catch (error) {
    say(asProblem(error).words, { bad: true });
    return false;
  }
}

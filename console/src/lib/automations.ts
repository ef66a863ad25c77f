// Modes of an automation, from nothing to everything.
import type { Schemas } from '../api/client';

export type Mode = Schemas['AutomationMode'];
export const MODES: readonly (readonly [Mode, string])[] = [['off', 'Off'], ['shadow', 'Shadow'], ['suggest', 'Suggest'], ['canary', 'Canary'], ['live', 'Live']];
export const MODE_WORDS: Record<Mode, string> = {
  off: 'Nothing is computed; the generic answer is served.',
  shadow: 'Computed and recorded, never shown.',
  suggest: 'As shadow; going live waits for somebody’s approval.',
  canary: 'Shown to a share of the shoppers.',
  live: 'Shown to everybody but the holdout.',
};
export const MEASURES: readonly (readonly [Schemas['GuardrailMeasure'], string, string])[] = [
  ['fallback_share', 'Share of decisions that no model answered', '%'], ['trouble_share', 'Share of decisions with trouble on the way', '%'], ['latency_ms', 'Latency, 95 of 100 within', 'ms'],
];
export const modeWords = (one: Schemas['ModeAnswer']): string => (one.mode === 'canary' ? `canary ${one.canary_percent ?? 0} %` : one.mode);
/** Shares are kept as parts of one and read in per cent. */
export const shown = (one: Schemas['Guardrail']): string => (one.measure === 'latency_ms' ? `${one.at_most} ms` : `${Math.round(1_000 * one.at_most) / 10} %`);

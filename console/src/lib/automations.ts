// Modes of an automation, from nothing to everything, and where they count.
import { address, send, type Schemas } from '../api/client';

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
/** What an approval is about: a mode, or limits that it would loosen. */
export const askedWords = (one: Schemas['Approval']): string => (one.mode === undefined ? one.loosened.join('; ') : modeWords({ mode: one.mode, ...(one.canary_percent === undefined ? {} : { canary_percent: one.canary_percent }) }));
/** Shares are kept as parts of one and read in per cent. */
export const shown = (one: Schemas['Guardrail']): string => (one.measure === 'latency_ms' ? `${one.at_most} ms` : `${Math.round(1_000 * one.at_most) / 10} %`);

/** Where a mode of its own counts. */
export interface Place { kind: 'market' | 'campaign'; name: string }
export interface OwnMode extends Place { mode: Schemas['ModeAnswer'] }

/** `undefined` where the server knows none: then nothing about them is offered. */
const campaigns = (one: Schemas['Automation']): Record<string, Schemas['ModeAnswer']> | undefined => (one as { campaigns?: Record<string, Schemas['ModeAnswer']> }).campaigns;
export const knowsCampaigns = (one: Schemas['Automation']): boolean => campaigns(one) !== undefined;

/** What counts otherwise than everywhere: markets, then campaigns, by name. */
export function ownModes(one: Schemas['Automation']): OwnMode[] {
  const of = (kind: Place['kind'], modes: Record<string, Schemas['ModeAnswer']>) => Object.entries(modes).map(([name, mode]) => ({ kind, name, mode })).sort((a, b) => a.name.localeCompare(b.name));
  return [...of('market', one.markets), ...of('campaign', campaigns(one) ?? {})];
}

/** The mode that counts there now. */
export const modeAt = (one: Schemas['Automation'], place?: Place): Schemas['ModeAnswer'] => (place && ownModes(one).find(own => own.kind === place.kind && own.name === place.name)?.mode) ?? one;

/** What is asked for may be for a campaign; older servers never say so. */
export const approvalPlace = (one: Schemas['Approval']): string => one.market ?? (one as { campaign?: string | null }).campaign ?? '';

/** The mode that counts everywhere counts there again. */
export const inherit = (automation: string, place: Place): Promise<Response> => send(address('/v1/automations/{name}/mode', { name: automation }, { [place.kind]: place.name }), { method: 'DELETE' });

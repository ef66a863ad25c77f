import { expect, it } from 'vitest';
import type { Schemas } from '../api/client';
import { approvalPlace, knowsCampaigns, modeAt, ownModes } from './automations';

const automation = (parts: object) => ({ name: 'recommend', mode: 'live', markets: {}, ...parts }) as unknown as Schemas['Automation'];

it('markets and campaigns with a mode of their own stand in one list', () => {
  const one = automation({ markets: { gb: { mode: 'off' }, de: { mode: 'canary', canary_percent: 20 } }, campaigns: { 'winter-sale': { mode: 'shadow' } } });
  expect(ownModes(one).map(own => [own.kind, own.name, own.mode.mode])).toEqual([['market', 'de', 'canary'], ['market', 'gb', 'off'], ['campaign', 'winter-sale', 'shadow']]);
  expect(modeAt(one, { kind: 'campaign', name: 'winter-sale' }).mode).toBe('shadow');
  expect(modeAt(one, { kind: 'campaign', name: 'de' }).mode).toBe('live');
  expect(modeAt(one).mode).toBe('live');
});

it('a server that knows no campaigns is understood', () => {
  const one = automation({ markets: { de: { mode: 'off' } } });
  expect(knowsCampaigns(one)).toBe(false);
  expect(knowsCampaigns(automation({ campaigns: {} }))).toBe(true);
  expect(ownModes(one)).toHaveLength(1);
});

it('an approval says where it would count', () => {
  const asked = (parts: object) => parts as unknown as Schemas['Approval'];
  expect(approvalPlace(asked({ market: 'de' }))).toBe('de');
  expect(approvalPlace(asked({ market: null, campaign: 'winter-sale' }))).toBe('winter-sale');
  expect(approvalPlace(asked({}))).toBe('');
});

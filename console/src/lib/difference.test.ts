import { describe, expect, it } from 'vitest';
import type { Schemas } from '../api/client';
import { differences, flat, relative } from './difference';

const card = (over: object): Schemas['ModelCard'] => ({
  name: 'recommend', version: 1, stage: 'live', trained_at: '2026-11-20T00:00:00Z', artifact: 'a', lineage: {}, metrics: {}, owner: '', purpose: '', mode: 'live', segments: [], limits: [], approvals: [], markdown: '', ...over,
}) as Schemas['ModelCard'];
const of = (groups: ReturnType<typeof differences>, title: string) => groups.find(group => group.title === title)?.rows ?? [];

describe('two versions', () => {
  it('differ in what they were made of', () => {
    const groups = differences(card({ lineage: { events: 100, seed: 1, parameters: { blend: { ials: 0.5, knn: 0.5 }, window: 8 } } }), card({ lineage: { events: 150, seed: 2, parent: 1, parameters: { blend: { ials: 0.7, knn: 0.5 } } } }));
    expect(of(groups, 'Data').map(row => [row.what, row.before, row.after, row.change])).toEqual([['Events', '100', '150', '+50.0 %'], ['Made from', '–', 'v1', ''], ['Seed', '1', '2', '']]);
    expect(of(groups, 'Settings that differ').map(row => [row.what, row.before, row.after])).toEqual([['blend.ials', '0.5', '0.7'], ['window', '8', '–']]);
  });
  it('are better or worse where that can be said', () => {
    const rows = of(differences(card({ metrics: { 'ndcg@20': 0.2, answer_ms: 1, questions: 50 } }), card({ metrics: { 'ndcg@20': 0.25, answer_ms: 2, questions: 60 } })), 'On held-out time');
    expect(rows.map(row => [row.what, row.tone])).toEqual([['NDCG@20', 'good'], ['An answer takes', 'bad'], ['Questions', '']]);
  });
  it('are clicked more only beyond chance', () => {
    const segment = (decisions: number, click_rate: number) => ({ segments: [{ segment: 'all', decisions, click_rate, latency_ms: 1 }] });
    const change = (a: object, b: object) => of(differences(card(a), card(b)), 'Clicked, by segment of shoppers')[0];
    expect(change(segment(20, 0.1), segment(20, 0.2))).toMatchObject({ change: 'could be chance', tone: '' });
    expect(change(segment(5_000, 0.1), segment(5_000, 0.2))).toMatchObject({ change: '+100.0 %', tone: 'good' });
    expect(change({}, segment(20, 0.2))).toMatchObject({ before: '–', change: '' });
  });
});
it('writes changes as people say them', () => expect([relative(0, 3), relative(2, 1), relative(1, 1), relative(1, 100)]).toEqual(['more', '−50.0 %', '', 'more']));
it('flattens what is within', () => expect(flat({ a: { b: [1, 2] }, c: null })).toEqual([['a.b.0', '1'], ['a.b.1', '2'], ['c', 'null']]));

import { afterEach, expect, it, vi } from 'vitest';
import { address, api, askAhead, Problem, signCalls } from './client';

afterEach(() => vi.unstubAllGlobals());

it('fills addresses in and leaves out what is not said', () => {
  expect(address('/v1/products/{id}', { id: 'a/b c' }, { limit: 5, cursor: undefined, q: '' })).toBe('/v1/products/a%2Fb%20c?limit=5');
});

it('proves where a change comes from, and reads need no proof', async () => {
  const sent: RequestInit[] = [];
  vi.stubGlobal('fetch', async (_: string, init: RequestInit) => { sent.push(init); return new Response('{}', { headers: { 'content-type': 'application/json' } }); });
  signCalls('token', () => {});
  await api.get('/v1/jobs');
  await api.post('/v1/jobs', { body: { kind: 'training' } });
  expect(sent.map(init => new Headers(init.headers).get('X-CSRF-Token'))).toEqual([null, 'token']);
});

it('throws refusals with their places and signs out when nobody is known', async () => {
  let out = false;
  const problem = { code: 'invalid_request', title: 'No', status: 422, hint: 'h', errors: [{ at: 'a', code: 'c', detail: 'd' }] };
  vi.stubGlobal('fetch', async () => new Response(JSON.stringify(problem), { status: 401 }));
  signCalls('', () => { out = true; });
  await expect(api.get('/v1/jobs')).rejects.toMatchObject({ code: 'invalid_request', words: 'No · a: d' });
  expect(out).toBe(true);
});

it('says so when the server is away', async () => {
  vi.stubGlobal('fetch', async () => { throw new TypeError('failed'); });
  await expect(api.get('/v1/jobs')).rejects.toBeInstanceOf(Problem);
});

it('hands out once what was asked for ahead, to reads alone', async () => {
  const asked: string[] = [];
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => { asked.push(`${init.method ?? 'ahead'} ${url}`); return new Response('{}', { headers: { 'content-type': 'application/json' } }); });
  askAhead(['/v1/jobs']);
  await api.post('/v1/jobs', { body: { kind: 'training' } });
  await api.get('/v1/jobs');
  await api.get('/v1/jobs');
  expect(asked).toEqual(['ahead /v1/jobs', 'POST /v1/jobs', 'GET /v1/jobs']);
});

// The Merx API from Node, typed from its OpenAPI document: `merx.post('/v1/recommend', { body })` knows what goes in and
// what comes out.

import { randomUUID } from 'node:crypto';
import type { paths } from './api.js';

export type { components, paths } from './api.js';

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';
type PathsWith<M extends Method> = { [P in keyof paths]: paths[P] extends Record<M, { responses: unknown }> ? P : never }[keyof paths];
type Operation<P extends keyof paths, M extends Method> = paths[P] extends Record<M, infer O> ? O : never;
type Json<T> = T extends { content: { 'application/json': infer J } } ? J : undefined;
type Answer<O> = O extends { responses: infer R } ? Json<R[Extract<keyof R, 200 | 201 | 202>]> : never;
type Part<O, K extends 'path' | 'query'> = O extends { parameters: { [key in K]: infer V } } ? V : undefined;
type Body<O> = O extends { requestBody: { content: infer C } } ? C[keyof C] : undefined;
type Filled<T> = [T] extends [undefined] ? object : T;

export type Call<O> = (undefined extends Part<O, 'path'> ? { path?: undefined } : { path: Filled<Part<O, 'path'>> })
  & (undefined extends Body<O> ? { body?: undefined } : { body: Body<O> })
  & { query?: Part<O, 'query'>; signal?: AbortSignal };

export interface Settings {
  /** `https://merx.shop.example` */
  url: string;
  /** A secret key for most calls; an admin key for models, jobs and keys. */
  key: string;
  /** Attempts beside the first one; 4. */
  retries?: number;
  /** Of each attempt, in milliseconds; 10,000. */
  timeoutMs?: number;
}

/** An answer of the server that is none: `code` is stable, `hint` says what to do. */
export class MerxError extends Error {
  constructor(readonly status: number, readonly code: string, message: string, readonly hint?: string, readonly errors: { at: string; code: string; detail: string }[] = [], readonly requestId?: string) {
    super(message);
    this.name = 'MerxError';
  }
}

/** An event as `POST /v1/batch` takes it. `messageId` is made where there is none, so that an event is stored once however often it is sent. */
export interface Event {
  type?: 'track' | 'page' | 'identify' | 'screen' | 'group' | 'alias';
  event?: string;
  userId?: string;
  anonymousId?: string;
  properties?: Record<string, unknown>;
  traits?: Record<string, unknown>;
  context?: Record<string, unknown>;
  timestamp?: string;
  messageId?: string;
}

const FIRST_WAIT_MS = 200;
const EVENTS_A_CALL = 500;
/** POSTs that only ask, or put things in place under their own ids. Every other one may do its work a second time (promote, roll back, approve, make a key). */
const REPEATABLE = [
  /^\/v1\/(recommend|search|search\/preview|suggest|facets|consent|off-policy|experiment-plan|policy\/dry-run)$/,
  /^\/v1\/(products|orders|stock)\/batch$/,
  /^\/v1\/(decisions\/[^/]+\/replay|experiments\/[^/]+\/check)$/,
  /^\/ofrep\/v1\/evaluate\/flags/,
  /^\/1\/indexes\/[^/]+\/(query|queries|browse|objects|recommendations|facets\/[^/]+\/query)$/,
];
/** Events are stored once by their `messageId`; without one, twice is twice. */
const EVENTS = /^\/v1\/(track|page|identify|screen|group|alias|batch|import|[tpisgab])$/;

export class MerxClient {
  readonly #settings: Required<Settings>;

  constructor(settings: Settings) {
    this.#settings = { retries: 4, timeoutMs: 10_000, ...settings, url: settings.url.replace(/\/$/, '') };
  }

  get<P extends PathsWith<'get'>>(path: P, call?: Call<Operation<P, 'get'>>): Promise<Answer<Operation<P, 'get'>>> {
    return this.#call('get', path, call);
  }

  post<P extends PathsWith<'post'>>(path: P, call: Call<Operation<P, 'post'>>): Promise<Answer<Operation<P, 'post'>>> {
    return this.#call('post', path, call);
  }

  put<P extends PathsWith<'put'>>(path: P, call: Call<Operation<P, 'put'>>): Promise<Answer<Operation<P, 'put'>>> {
    return this.#call('put', path, call);
  }

  patch<P extends PathsWith<'patch'>>(path: P, call: Call<Operation<P, 'patch'>>): Promise<Answer<Operation<P, 'patch'>>> {
    return this.#call('patch', path, call);
  }

  delete<P extends PathsWith<'delete'>>(path: P, call: Call<Operation<P, 'delete'>>): Promise<Answer<Operation<P, 'delete'>>> {
    return this.#call('delete', path, call);
  }

  /** All things of a list, page after page: `for await (const product of merx.all('/v1/products'))`. */
  async *all<P extends '/v1/products' | '/v1/orders'>(path: P, pageSize = 200): AsyncGenerator<Answer<Operation<P, 'get'>> extends { items: (infer I)[] } ? I : never> {
    let cursor: string | undefined;
    do {
      const page = await this.#call<{ items: never[]; next_cursor?: string | null }>('get', path, { query: { limit: pageSize, ...(cursor && { cursor }) } });
      yield* page.items;
      cursor = page.next_cursor ?? undefined;
    } while (cursor);
  }

  /** Tells of events; returns after they are on disk. Those that were refused are in the answer, `at` being their places in `events`. */
  async track(events: Event[]): Promise<{ at: string; code: string; detail: string }[]> {
    const named = events.map(event => ({ type: 'track', timestamp: new Date().toISOString(), messageId: randomUUID(), ...event }));
    const refused = [];
    for (let from = 0; from < named.length; from += EVENTS_A_CALL) {
      const batch = named.slice(from, from + EVENTS_A_CALL);
      const answer = await this.#call<{ rejected?: { at: string; code: string; detail: string }[] }>('post', '/v1/batch', { body: { batch, sentAt: new Date().toISOString() } });
      refused.push(...(answer.rejected ?? []).map(one => ({ ...one, at: one.at.replace(/^batch\[(\d+)\]/, (_, place) => `batch[${from + Number(place)}]`) })));
    }
    return refused;
  }

  async #call<T>(method: Method, path: string, call: { path?: unknown; query?: unknown; body?: unknown; signal?: AbortSignal } = {}): Promise<T> {
    const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String((call.path as Record<string, unknown>)[name])));
    const query = new URLSearchParams(Object.entries((call.query ?? {}) as Record<string, unknown>).filter(([, value]) => value !== undefined && value !== null).map(([name, value]): [string, string] => [name, String(value)]));
    const address = `${this.#settings.url}${filled}${query.size ? `?${query}` : ''}`;
    const again = repeatable(method, path, call.body);
    for (let attempt = 0; ; attempt += 1) {
      const last = attempt >= this.#settings.retries;
      const reply = await this.#send(method, address, call).catch((error: unknown) => {
        if (last || !again || call.signal?.aborted) throw error;
        return undefined;
      });
      if (reply?.ok) return (reply.status === 204 ? undefined : await reply.json()) as T;
      // 429 took nothing, whatever was sent; other troubles of the server are tried again where twice is once.
      const mayRepeat = !reply || reply.status === 429 || (again && reply.status >= 500);
      if (reply && (last || !mayRepeat)) throw await problem(reply);
      await wait(attempt, reply?.headers.get('retry-after'));
    }
  }

  #send(method: Method, address: string, { body, signal }: { body?: unknown; signal?: AbortSignal }): Promise<Response> {
    const bound = AbortSignal.timeout(this.#settings.timeoutMs);
    return fetch(address, {
      method: method.toUpperCase(),
      headers: { Authorization: `Bearer ${this.#settings.key}`, ...(body !== undefined && { 'Content-Type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: signal ? AbortSignal.any([signal, bound]) : bound,
    });
  }
}

/** Whether twice is once: reading, putting in place, merge patches and removing always; of POSTs those of the lists above. */
function repeatable(method: Method, path: string, body: unknown): boolean {
  if (method !== 'post' || REPEATABLE.some(pattern => pattern.test(path))) return true;
  if (!EVENTS.test(path)) return false;
  const { batch } = (body ?? {}) as { batch?: unknown };
  return (Array.isArray(batch) ? batch : [body]).every(event => Boolean((event as Event | null)?.messageId));
}

function wait(attempt: number, retryAfter: string | null | undefined): Promise<void> {
  const seconds = Number(retryAfter);
  const ms = seconds > 0 ? seconds * 1_000 : FIRST_WAIT_MS * 2 ** attempt * (0.5 + Math.random());
  return new Promise(done => setTimeout(done, ms));
}

async function problem(reply: Response): Promise<MerxError> {
  const said = (await reply.json().catch(() => ({}))) as { code?: string; title?: string; detail?: string; hint?: string; errors?: { at: string; code: string; detail: string }[]; request_id?: string };
  const words = said.detail ?? said.errors?.map(error => `${error.at}: ${error.detail}`).join('; ') ?? said.title ?? `status ${reply.status}`;
  return new MerxError(reply.status, said.code ?? 'unknown', words, said.hint, said.errors, said.request_id);
}

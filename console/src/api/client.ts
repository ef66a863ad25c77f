// Calls of Merx' own API. Addresses, parameters and answers are checked against openapi/merx.json when the console is built.
import type { components, paths } from './schema';

export type Schemas = components['schemas'];

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';
type With<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<M, { responses: unknown }> ? P : never;
}[keyof paths];
type Operation<P extends keyof paths, M extends Method> = paths[P] extends Record<M, infer O> ? O : never;
type Json<R> = R extends { content: { 'application/json': infer B } } ? B : undefined;
type Answer<O> = O extends { responses: infer R } ? { [S in keyof R & (200 | 201 | 202 | 204)]: Json<R[S]> }[keyof R & (200 | 201 | 202 | 204)] : never;
type Query<O> = O extends { parameters: { query?: infer Q } } ? Exclude<Q, undefined> : never;
type Place<O> = O extends { parameters: { path: infer P } } ? P : never;
type Body<O> = O extends { requestBody?: { content: { 'application/json': infer B } } } ? B : never;

export interface Sent<O> {
  path?: Place<O>;
  query?: Partial<Query<O>>;
  body?: Body<O>;
  signal?: AbortSignal;
  /** Why somebody's data is looked at: stands in the list of looks. */
  reason?: string;
}

/** What the server answered in place of an answer: a problem document (RFC 9457), or that it could not be reached. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    title: string,
    readonly detail?: string,
    readonly hint?: string,
    readonly errors: { at: string; code: string; detail: string }[] = [],
  ) {
    super(title);
  }

  /** Title, detail and what is wrong where, in one text. */
  get words(): string {
    const places = this.errors.map(error => (error.at ? `${error.at}: ${error.detail}` : error.detail));
    return [this.detail ?? this.message, ...places].join(' · ');
  }

  static async of(response: Response): Promise<Problem> {
    const text = await response.text();
    try {
      const document = JSON.parse(text);
      return new Problem(response.status, document.code, document.title, document.detail, document.hint, document.errors);
    } catch {
      return new Problem(response.status, 'unreadable', response.statusText || 'The answer is no problem document', text.slice(0, 300));
    }
  }
}

/** Proves that a writing call comes from this page: other origins can't read it. Given at sign-in. */
let csrfToken = '';
let whenSignedOut = () => {};

export function signCalls(token: string, signedOut: () => void): void {
  csrfToken = token;
  whenSignedOut = signedOut;
}

export function address(path: string, place: Record<string, unknown> = {}, query: Record<string, unknown> = {}): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(place[name] ?? '')));
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '');
  const search = new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString();
  return search ? `${filled}?${search}` : filled;
}

/** Answers on their way to code that is itself still on its way; each is handed out once, and none that is old. */
const ahead = new Map<string, { at: number; response: Promise<Response> }>();
const AHEAD_MS = 10_000;

/** Asks for what a page will ask for, while its code is loaded: over a slow line that spares a way there and back. */
export function askAhead(urls: string[]): void {
  for (const url of urls) {
    const response = fetch(url, { credentials: 'same-origin' });
    // Whoever is handed it hears of the failure.
    response.catch(() => {});
    ahead.set(url, { at: Date.now(), response });
  }
}

function asked(url: string): Promise<Response> | undefined {
  const known = ahead.get(url);
  ahead.delete(url);
  return known && Date.now() - known.at < AHEAD_MS ? known.response : undefined;
}

/** A call as the browser makes it, with what proves who calls. Refusals are thrown as problems. */
export async function send(url: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (init.method && init.method !== 'GET') headers.set('X-CSRF-Token', csrfToken);
  let response: Response;
  try {
    const reads = (init.method ?? 'GET') === 'GET';
    response = await ((reads ? asked(url) : undefined) ?? fetch(url, { ...init, headers, credentials: 'same-origin' }));
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Problem(0, 'unreachable', 'Merx does not answer', 'the server is stopped or the network is away', 'What is shown may be old; it comes back by itself.');
  }
  if (response.ok) return response;
  const problem = await Problem.of(response);
  // Who mistypes their own password is still signed in.
  if (response.status === 401 && problem.code !== 'wrong_password') whenSignedOut();
  throw problem;
}

/** Headers carry no more than this; accents go, the words stay. */
const latin = (words: string): string => words.normalize('NFKD').replace(/[^\x20-\x7e]/g, '').slice(0, 200);

async function call(method: string, path: string, sent: Sent<unknown> & { body?: unknown } = {}): Promise<unknown> {
  const init: RequestInit = { method };
  if (sent.signal) init.signal = sent.signal;
  if (sent.body !== undefined) {
    init.body = JSON.stringify(sent.body);
    init.headers = { 'Content-Type': 'application/json' };
  }
  if (sent.reason) init.headers = { ...init.headers, 'X-Reason': latin(sent.reason) };
  const place = sent.path as Record<string, unknown> | undefined;
  const query = sent.query as Record<string, unknown> | undefined;
  const response = await send(address(path, place, query), init);
  const text = await response.text();
  return text && response.headers.get('content-type')?.includes('json') ? JSON.parse(text) : text;
}

type Caller<M extends Method> = <P extends With<M>>(path: P, sent?: Sent<Operation<P, M>>) => Promise<Answer<Operation<P, M>>>;
const caller = <M extends Method>(method: M): Caller<M> =>
  ((path: string, sent?: Sent<unknown>) => call(method.toUpperCase(), path, sent)) as unknown as Caller<M>;

export const api = { get: caller('get'), post: caller('post'), put: caller('put'), patch: caller('patch'), delete: caller('delete') };

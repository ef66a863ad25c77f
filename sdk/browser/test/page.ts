// A page for the tests: happy-dom's window as the global one, a server that records, and time that the test moves.
import { mock } from 'node:test';
import { Window } from 'happy-dom';

export interface Call { path: string; body: any; headers: Record<string, string>; keepalive: boolean }
type Answer = { status?: number; json?: unknown; headers?: Record<string, string> } | 'down' | 'silent';

export const calls: Call[] = [];
let answer: (call: Call) => Answer = () => ({ json: {} });

export const observers: { callback: (entries: object[]) => void; elements: Set<Element> }[] = [];
class Observer {
  elements = new Set<Element>();
  constructor(public callback: (entries: object[]) => void) { observers.push(this); }
  observe(element: Element) { this.elements.add(element); }
  unobserve(element: Element) { this.elements.delete(element); }
  disconnect() { this.elements.clear(); }
}
export const scrollTo = (element: Element, isIntersecting: boolean) => {
  for (const observer of observers) if (observer.elements.has(element)) observer.callback([{ target: element, isIntersecting }]);
};

export function openPage(options: { gpc?: boolean; answer?: typeof answer; keep?: Window } = {}): Window {
  const window = options.keep ?? new Window({ url: 'https://shop.example/p/1' });
  calls.length = 0;
  observers.length = 0;
  answer = options.answer ?? (() => ({ json: {} }));
  const globals: Record<string, unknown> = {
    window, document: window.document, localStorage: window.localStorage, sessionStorage: window.sessionStorage, location: window.location,
    IntersectionObserver: Observer, navigator: { language: 'en-GB', userAgent: 'test', globalPrivacyControl: options.gpc ?? false },
    addEventListener: window.addEventListener.bind(window), matchMedia: window.matchMedia.bind(window), fetch: serve,
    HTMLElement: window.HTMLElement, customElements: window.customElements, CustomEvent: window.CustomEvent, Event: window.Event,
    ResizeObserver: window.ResizeObserver, MutationObserver: window.MutationObserver,
  };
  for (const [name, value] of Object.entries(globals)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  return window;
}

async function serve(url: string, init: RequestInit = {}): Promise<Response> {
  const call = {
    path: String(url).replace('https://merx.example', ''), body: init.body ? JSON.parse(String(init.body)) : undefined,
    headers: init.headers as Record<string, string>, keepalive: init.keepalive ?? false,
  };
  calls.push(call);
  const given = answer(call);
  if (given === 'down') throw new TypeError('Failed to fetch');
  if (given === 'silent') {
    // Node ends a test when only the signal's own timer is left.
    const hold = setTimeout(() => {}, 60_000);
    return new Promise((_, refuse) => init.signal?.addEventListener('abort', () => { clearTimeout(hold); refuse(init.signal?.reason); }));
  }
  return new Response(JSON.stringify(given.json ?? {}), { status: given.status ?? 200, headers: given.headers ?? {} });
}

export const batches = () => calls.filter(call => call.path === '/v1/batch').map(call => call.body.batch as Record<string, any>[]);
export const told = () => batches().flat();

/** What the tabs of this browser keep to be sent. */
export const waiting = () => Object.keys(localStorage).filter(name => name.startsWith('merx.queue'))
  .flatMap(name => JSON.parse(String(localStorage.getItem(name))).waiting as Record<string, any>[]);

/** Moves the clock, and lets what was waiting for it run. */
export async function pass(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 50) {
    mock.timers.tick(Math.min(50, left));
    for (let turn = 0; turn < 8; turn += 1) await Promise.resolve();
    await new Promise<void>(done => setImmediate(done));
  }
}

export const settings = { server: 'https://merx.example', key: 'mx_pub_1' } as const;
export const YES = { analytics: true, personalisation: true } as const;

// Node as a page, for libraries that only know browsers. (No CORS in here: tests/browser runs a real one.)
import { JSDOM } from 'jsdom';

export function page(url, html) {
  const { window } = new JSDOM(`<!doctype html><title>Shop</title>${html}`, { url, pretendToBeVisual: true });
  const idle = class { observe() {} unobserve() {} disconnect() {} };
  Object.assign(window, { IntersectionObserver: idle, ResizeObserver: idle, scrollTo() {}, fetch: globalThis.fetch });
  for (const name of ['window', 'document', 'navigator', 'location', 'history', 'screen', 'localStorage', 'sessionStorage', 'CustomEvent', 'Event',
    'MouseEvent', 'KeyboardEvent', 'HTMLElement', 'Element', 'Node', 'DocumentFragment', 'XMLHttpRequest', 'IntersectionObserver', 'ResizeObserver', 'MutationObserver',
    'requestAnimationFrame', 'cancelAnimationFrame', 'getComputedStyle'])
    Object.defineProperty(globalThis, name, { value: name === 'window' ? window : window[name], configurable: true, writable: true });
  return window;
}

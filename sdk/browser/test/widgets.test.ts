import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMerx, major, quoted, type Merx } from '../src/index';
import { type Call, calls, openPage, settings, YES } from './page';

// The elements are made for the window that is there when they are loaded, so all tests share one.
const window = openPage();
Object.assign(globalThis, { CSSStyleSheet: window.CSSStyleSheet });
const { formatMoney, h, useMerx } = await import('../src/widgets/index');

const hit = (id: string, more: object = {}) => ({ product_id: id, name: id, score: 1, reasons: [], name_parts: [], category_path: [], in_stock: true, url: `/p/${id}`, image: `/i/${id}.jpg`, ...more });
const found = (hits: object[], total = hits.length, facets: object[] = []) => ({ decision_id: 'd1', fallback: 'live_model', arm: 'treated', latency_us: 1, hits, total, facets, steps: [], banners: [], rules: [] });
const settled = async () => { for (let turn = 0; turn < 20; turn += 1) await new Promise(done => setImmediate(done)); };

async function show(tag: string, attributes: Record<string, string>, answer: (call: Call) => object, options: object = {}): Promise<{ root: ShadowRoot; element: HTMLElement; merx: Merx }> {
  openPage({ keep: window, answer: call => ({ json: answer(call) }) });
  window.localStorage.clear();
  const merx = createMerx({ ...settings, consent: YES, ...options });
  useMerx(merx);
  const element = h(tag, attributes);
  document.body.replaceChildren(element);
  await settled();
  return { root: element.shadowRoot as ShadowRoot, element, merx };
}

test('links and pictures lead to the web or nowhere', () => {
  for (const bad of ['javascript:alert(1)', ' JavaScript:alert(1)', 'java\tscript:alert(1)', 'data:text/html,x', 'vbscript:x', 'https://']) {
    assert.equal(h('a', { href: bad }).hasAttribute('href'), false, bad);
    assert.equal(h('img', { src: bad }).hasAttribute('src'), false, bad);
  }
  for (const good of ['https://shop.example/p/1', 'http://localhost/p', '/p/1?a=b', 'p/1', '?q=x', '#', '//cdn.example/1.jpg']) assert.equal(h('a', { href: good }).getAttribute('href'), good);
});

test('a script in a catalogue becomes no link of a card', async () => {
  const { root } = await show('merx-results', {}, () => found([hit('p1', { url: 'javascript:alert(1)', image: 'javascript:alert(2)' })]));
  assert.equal(root.querySelector('article a')?.hasAttribute('href'), false);
  assert.equal(root.querySelector('article img')?.hasAttribute('src'), false);
});

test('a script in a suggestion is gone to by nobody', async () => {
  const { root, element } = await show('merx-search-box', {}, () => ({ suggestions: [{ type: 'product', text: 'Bag', weight: 1, product_id: 'p1', url: 'javascript:alert(1)' }] }));
  const [gone, told]: [string[], object[]] = [[], []];
  Object.defineProperty(globalThis, 'location', { value: { assign: (url: string) => gone.push(url) }, configurable: true, writable: true });
  element.addEventListener('merx-open', event => told.push((event as CustomEvent).detail));
  const input = root.querySelector('input') as HTMLInputElement;
  input.value = 'ba';
  input.dispatchEvent(new Event('input'));
  await new Promise(done => setTimeout(done, 120));
  await settled();
  root.querySelector('[role=option]')?.dispatchEvent(new Event('mousedown'));
  assert.deepEqual([gone, told], [[], [{ product_id: 'p1', url: undefined }]]);
});

test('a value with quotes is asked for as it is', async () => {
  assert.equal(quoted('7" \\ tablet'), '"7\\" \\\\ tablet"');
  const { root } = await show('merx-results', { category: 'a "b"' }, () => found([hit('p1'), hit('p2')], 2, [{ field: 'brand', values: [{ value: '7" tablet', count: 2 }, { value: 'b', count: 1 }], distinct: 2 }]));
  assert.equal(calls[0]?.body.filter, 'category = "a \\"b\\""');
  const box = root.querySelector('fieldset input') as HTMLInputElement;
  box.checked = true;
  box.dispatchEvent(new Event('change'));
  await settled();
  assert.deepEqual(calls.filter(call => call.path === '/v1/search').at(-1)?.body.refinements, [{ field: 'brand', filter: 'brand IN ("7\\" tablet")' }]);
});

test('who clicks twice on more gets it once', async () => {
  const page = (offset: number) => Array.from({ length: 24 }, (_, place) => hit(`p${offset + place}`));
  const { root } = await show('merx-results', {}, call => found(call.body.offset === undefined ? [] : page(call.body.offset), 60));
  const more = root.querySelector('.more') as HTMLButtonElement;
  more.click();
  more.click();
  await settled();
  const shown = [...root.querySelectorAll('article')].map(card => card.dataset.product);
  assert.equal(shown.length, 48);
  assert.equal(new Set(shown).size, 48);
  more.click();
  await settled();
  assert.equal(root.querySelectorAll('article').length, 72, 'and may go on');
});

test('wishes are kept where Merx may keep something, and nowhere else', async () => {
  const product = { id: 'p1', name: 'Bag', description: '', category_path: [], attributes: {}, images: [], in_stock: false, variants: [] };
  const wish = async (options: object) => {
    const { root, element } = await show('merx-back-in-stock', { product: 'p1' }, () => ({ products: [product] }), options);
    assert.equal(element.hidden, false);
    root.querySelector('button')?.click();
    assert.ok(root.querySelector('[role=status]'));
    return localStorage.getItem('merx.wished');
  };
  assert.equal(await wish({}), '["p1"]');
  assert.equal(await wish({ persist: false }), null);
});

test('money has the digits that the server counts, not those of price tags', () => {
  const majors = [['EUR', 1899], ['JPY', 1200], ['HUF', 99000], ['KWD', 1500], ['IQD', 1000]].map(([currency, minor]) => major({ currency: String(currency), minor: Number(minor) }));
  assert.deepEqual(majors, [18.99, 1200, 990, 1.5, 1]);
  assert.equal(formatMoney({ minor: 1200, currency: 'JPY' }, 'en'), '¥1,200');
  assert.match(formatMoney({ minor: 99000, currency: 'HUF' }, 'en'), /^HUF\s990(\.00)?$/);
});

// The page of docs/start/web-page.md, as it stands there: put a key in, open it, click.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { launch, watchedPage } from './browser.mjs';

const [origin, key] = process.argv.slice(2);
const document = readFileSync(new URL('../../docs/start/web-page.md', import.meta.url), 'utf8');
const product = process.env.PRODUCT || 'P000019';
const html = document.match(/```html\n(.*?)```/s)[1]
  .replace('http://localhost:8080', origin).replace('mx_pub_..', key).replace('T-201', product);

// A shop on another origin than Merx, as in real life.
const shop = createServer((_, reply) => { reply.setHeader('Content-Type', 'text/html; charset=utf-8'); reply.end(html); });
await new Promise(resolve => shop.listen(0, '127.0.0.1', resolve));
const address = `http://127.0.0.1:${shop.address().port}`;
const browser = await launch();
try {
  const { page, troubles } = await watchedPage(browser, [address, origin]);
  await page.goto(address);
  await page.waitForSelector('#next li');
  const before = await page.$$eval('#next li', entries => entries.map(entry => entry.title));
  await page.click(`[data-product="${product}"]`);
  await page.waitForFunction(() => [...document.querySelectorAll('#next li')].some(entry => entry.title.startsWith('because you viewed')));
  const [answer] = await Promise.all([page.waitForResponse(reply => reply.url().endsWith('/v1/track')), page.click('#next li')]);
  assert.deepEqual(await answer.json(), { success: true });
  assert.deepEqual(troubles.filter(trouble => !trouble.includes('favicon')), []);
  console.log(`the page of the documentation recommends (${before.length} at first, others after a click)`);
} finally {
  await browser.close();
  shop.close();
}

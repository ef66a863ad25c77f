// Sign-in to the console by an OpenID Connect issuer, in a browser: with a role from a claim, and all the ways in which nobody is
// signed in. The server and the issuer are this test's own.
//   node oidc.mjs PATH_OF_MERX
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { launch, watchedPage } from './browser.mjs';
import { axe, DESK } from './visits.mjs';
import { Issuer } from './issuer.mjs';

const [binary] = process.argv.slice(2);
const SECRET = 'a secret: with a colon';
const ANNA = { sub: '7', email: 'anna@shop.example', email_verified: true, realm_access: { roles: ['everybody', 'merx-analysts'] } };
const OTTO = { sub: '8', email: 'otto@shop.example', email_verified: true, realm_access: { roles: ['merx-analysts', 'merx-owners'] } };

/** The issuer is told the server's address, and the server the issuer's: one has to be known before it is there. */
const freePort = () => new Promise(found => {
  const probe = createServer().listen(0, '127.0.0.1', () => { const { port } = probe.address(); probe.close(() => found(port)); });
});

async function serve(folder, issuer) {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  writeFileSync(join(folder, 'merx.toml'), `
[server]
listen = "127.0.0.1:${port}"
[oidc]
issuer = "${issuer.address}"
client_id = "${issuer.client}"
public_url = "${url}"
label = "the shop's account"
roles_claim = "realm_access.roles"
[oidc.roles]
merx-owners = "owner"
merx-analysts = "analyst"
`);
  const ready = join(folder, 'ready.json');
  const server = spawn(binary, ['serve', '--config', join(folder, 'merx.toml'), '--data', join(folder, 'data'), '--ready-file', ready], { env: { ...process.env, MERX_OIDC_SECRET: SECRET }, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  server.stderr.on('data', part => { said += part; });
  const read = () => { try { return JSON.parse(readFileSync(ready, 'utf8')); } catch { return undefined; } };
  for (let tries = 0; !read() && tries < 300; tries += 1) {
    assert.equal(server.exitCode, null, said);
    await new Promise(done => setTimeout(done, 100));
  }
  return { server, url, keys: read() };
}

const folder = mkdtempSync(join(tmpdir(), 'merx-oidc-'));
const issuer = new Issuer('merx', encodeURIComponent(SECRET));
await issuer.open();
const { server, url, keys } = await serve(folder, issuer);
const browser = await launch();

/** From the console's first page to where the issuer and Merx send the browser. */
async function comes(person, wrong = '') {
  issuer.person = person;
  issuer.wrong = wrong;
  const context = await browser.createBrowserContext();
  const { page, troubles } = await watchedPage(context, [url, issuer.address]);
  await page.setViewport(DESK);
  await page.goto(`${url}/console`);
  await page.waitForFunction(() => [...document.querySelectorAll('a')].some(one => one.innerText === 'Sign in with the shop\'s account'));
  await Promise.all([page.waitForNavigation(), page.click('a[href="/v1/session/oidc"]')]);
  await page.waitForSelector('nav, [role=alert]');
  return { context, page, troubles };
}

const session = page => page.evaluate(() => fetch('/v1/session').then(reply => reply.json()));

async function isSignedInWithTheirRole() {
  const { context, page, troubles } = await comes(ANNA);
  await page.waitForFunction(() => document.querySelector('#menu')?.innerText.includes('anna@shop.example'));
  const { signed_in, scope } = await session(page);
  assert.deepEqual([signed_in, scope], [true, 'analyst']);
  assert.match(await page.$eval('#menu', menu => menu.innerText), /analyst/);
  assert.equal(await page.evaluate(() => document.cookie), '', 'no script reads the session');
  assert.equal(page.url(), `${url}/console`, 'no code stays in the address');
  await page.goto(`${url}/console/decisions`);
  await page.waitForFunction(() => document.body.innerText.includes('Decisions is closed to you'));
  const { axe_serious, axe_rules } = await axe(page);
  assert.equal(axe_serious, 0, String(axe_rules));
  await page.goto(`${url}/console/settings?tab=password`);
  await page.waitForSelector('main h1');
  assert.equal(await page.$('input[name=now]'), null, 'whose password is the issuer’s has none to change here');
  await page.click('button[aria-label="Sign out"]');
  await page.waitForSelector('input[name=password]');
  assert.equal((await session(page)).signed_in, false);
  assert.deepEqual(troubles, []);
  await context.close();
}

/** Of several roles the widest counts, and the audit log names the person. */
async function ownersAreNamedInTheAuditLog() {
  const { context, page } = await comes(OTTO);
  await page.waitForFunction(() => document.querySelector('#menu')?.innerText.includes('otto@shop.example'));
  assert.equal((await session(page)).scope, 'owner');
  await page.goto(`${url}/console/settings?tab=users`);
  await page.waitForSelector('input[name=user]');
  await page.type('input[name=user]', 'added-by-otto');
  await page.type('input[name=password]', 'four words are a good one');
  await page.evaluate(() => [...document.querySelectorAll('main button')].find(one => one.innerText.trim() === 'Add').click());
  await page.waitForFunction(() => document.body.innerText.includes('added-by-otto may sign in now'));
  const audit = await (await fetch(`${url}/v1/audit`, { headers: { Authorization: `Bearer ${keys.admin_key}` } })).json();
  assert.ok(audit.items.some(entry => JSON.stringify(entry).includes('person otto@shop.example')), 'who changed it');
  await context.close();
}

/** Nobody is signed in, and the page says why. */
async function isRefused(person, wrong, words, address) {
  const { context, page } = await comes(person, wrong);
  const alert = await page.waitForSelector('[role=alert]');
  assert.match(await alert.evaluate(node => node.innerText), words, wrong);
  assert.ok(page.url().endsWith(`/console?refused=${address}`), page.url());
  assert.equal((await session(page)).signed_in, false, `${wrong || address}: nobody is signed in`);
  const { axe_serious, axe_rules } = await axe(page);
  assert.equal(axe_serious, 0, String(axe_rules));
  await context.close();
}

/** The way back counts once, and in the browser that began it. */
async function theWayBackCountsOnce() {
  issuer.person = ANNA;
  issuer.wrong = '';
  const mine = await browser.createBrowserContext();
  const page = await mine.newPage();
  let back;
  await page.setRequestInterception(true);
  page.on('request', request => {
    if (!request.url().includes('/v1/session/oidc/callback')) return request.continue();
    back = request.url();
    return request.respond({ status: 204 });
  });
  await page.goto(`${url}/console`);
  await (await page.waitForSelector('a[href="/v1/session/oidc"]')).click();
  for (let tries = 0; !back && tries < 100; tries += 1) await new Promise(done => setTimeout(done, 50));
  assert.match(back, /[?&]code=/);
  const another = await browser.createBrowserContext();
  const stranger = await another.newPage();
  for (const whose of ['another browser’s', 'used up']) {
    await stranger.goto(back);
    await stranger.waitForSelector('[role=alert]');
    assert.ok(stranger.url().endsWith('?refused=expired'), whose);
    assert.equal((await session(stranger)).signed_in, false, whose);
  }
  await mine.close();
  await another.close();
}

try {
  await isSignedInWithTheirRole();
  await ownersAreNamedInTheAuditLog();
  await isRefused({ ...ANNA, realm_access: { roles: ['everybody'] } }, '', /none of your groups has a role/, 'no_role');
  await isRefused({ sub: '9' }, '', /under which proven name/, 'nameless');
  await isRefused({ ...ANNA, email_verified: false }, '', /under which proven name/, 'nameless');
  for (const wrong of ['nonce', 'audience', 'expired', 'signature']) await isRefused(ANNA, wrong, /nobody was signed in/, 'token');
  await isRefused(ANNA, 'refuses', /refused or left there/, 'denied');
  await theWayBackCountsOnce();
  console.log('an issuer signs in who has a role, and nobody with another’s nonce, audience, time, signature, browser or without a role');
} finally {
  await browser.close();
  server.kill();
  issuer.close();
  rmSync(folder, { recursive: true, force: true });
}

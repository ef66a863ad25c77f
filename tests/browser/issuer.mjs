// A small OpenID Connect issuer: discovery, keys, the authorization code flow with PKCE, ID tokens signed with RS256. Whoever comes is
// the person that the test has set, and agrees.
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { createServer } from 'node:http';

const base64 = value => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

export class Issuer {
  /** Claims of whoever signs in next. */
  person = {};
  /** What is otherwise than it should be: `nonce`, `audience`, `expired`, `signature`, `refuses`. */
  wrong = '';
  #pair = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  /** Nobody knows its public half. */
  #other = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  #codes = new Map();
  #server;

  constructor(client, secret) {
    this.client = client;
    this.secret = secret;
  }

  async open() {
    this.#server = createServer((request, reply) => {
      let body = '';
      request.on('data', part => { body += part; }).on('end', () => this.#answer(new URL(request.url, this.address), request, body, reply));
    });
    await new Promise(ready => this.#server.listen(0, '127.0.0.1', ready));
    this.address = `http://127.0.0.1:${this.#server.address().port}`;
  }

  close() {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #answer(url, request, body, reply) {
    const json = (value, status = 200) => reply.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
    switch (url.pathname) {
      case '/.well-known/openid-configuration':
        return json({ issuer: this.address, authorization_endpoint: `${this.address}/authorize`, token_endpoint: `${this.address}/token`, jwks_uri: `${this.address}/keys`, response_types_supported: ['code'], id_token_signing_alg_values_supported: ['RS256'] });
      case '/keys':
        return json({ keys: [{ ...this.#pair.publicKey.export({ format: 'jwk' }), kid: 'first', alg: 'RS256', use: 'sig' }] });
      case '/authorize':
        return reply.writeHead(302, { Location: this.#authorize(Object.fromEntries(url.searchParams)) }).end();
      case '/token':
        return this.#exchange(request, Object.fromEntries(new URLSearchParams(body)), json);
      default:
        return json({ error: 'not_found' }, 404);
    }
  }

  /** Where the browser goes on. */
  #authorize(asked) {
    const back = new URL(asked.redirect_uri);
    back.searchParams.set('state', asked.state);
    const fits = asked.response_type === 'code' && asked.client_id === this.client && asked.scope.split(' ').includes('openid') && asked.code_challenge_method === 'S256';
    if (!fits || this.wrong === 'refuses') {
      back.searchParams.set('error', fits ? 'access_denied' : 'invalid_request');
    } else {
      const code = randomBytes(16).toString('hex');
      this.#codes.set(code, asked);
      back.searchParams.set('code', code);
    }
    return back.href;
  }

  #exchange(request, form, json) {
    const asked = this.#codes.get(form.code);
    this.#codes.delete(form.code);
    const proven = request.headers.authorization === `Basic ${Buffer.from(`${this.client}:${this.secret}`).toString('base64')}`;
    const challenge = createHash('sha256').update(form.code_verifier ?? '').digest('base64url');
    if (!asked || !proven || form.grant_type !== 'authorization_code' || form.redirect_uri !== asked.redirect_uri || challenge !== asked.code_challenge) return json({ error: 'invalid_grant' }, 400);
    return json({ access_token: 'opaque', token_type: 'Bearer', expires_in: 300, id_token: this.#token(asked.nonce) });
  }

  #token(nonce) {
    const now = Math.floor(Date.now() / 1_000);
    const expires = this.wrong === 'expired' ? now - 3_600 : now + 300;
    const claims = { iss: this.address, aud: this.wrong === 'audience' ? 'another shop' : this.client, iat: expires - 300, exp: expires, nonce: this.wrong === 'nonce' ? 'of another sign-in' : nonce, ...this.person };
    const signed = `${base64({ alg: 'RS256', typ: 'JWT', kid: 'first' })}.${base64(claims)}`;
    const key = (this.wrong === 'signature' ? this.#other : this.#pair).privateKey;
    return `${signed}.${sign('RSA-SHA256', Buffer.from(signed), key).toString('base64url')}`;
  }
}

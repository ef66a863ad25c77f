// Who is signed in. The cookie is the server's and no script can read it; here is what it stands for.
import { api, signCalls, type Schemas } from '../api/client';

type Standing = 'unknown' | 'out' | 'in';
const REACH: Schemas['Scope'][] = ['public', 'secret', 'admin'];

let standing = $state<Standing>('unknown');
let scope = $state<Schemas['Scope']>('public');
let label = $state('');

function take(answer: Schemas['SessionAnswer']): void {
  standing = answer.signed_in ? 'in' : 'out';
  scope = answer.scope ?? 'public';
  label = answer.label ?? '';
  signCalls(answer.csrf_token ?? '', () => { standing = 'out'; });
}

export const session = {
  get standing() { return standing; },
  get scope() { return scope; },
  get label() { return label; },
  /** Whether what is signed in reaches this far. The server decides; this only spares a click in vain. */
  reaches(needed: Schemas['Scope']) { return REACH.indexOf(scope) >= REACH.indexOf(needed); },
  async resume() { take(await api.get('/v1/session')); },
  async signIn(key: string) { take(await api.post('/v1/session', { body: { key } })); },
  async signOut() {
    await api.delete('/v1/session');
    standing = 'out';
  },
};

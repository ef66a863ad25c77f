// Who is signed in. The cookie is the server's and no script can read it; here is what it stands for.
import { api, signCalls, type Schemas } from '../api/client';

type Standing = 'unknown' | 'out' | 'in';

let standing = $state<Standing>('unknown');
let scope = $state<Schemas['Scope']>('public');
let label = $state('');
let reads = $state.raw<string[]>([]);
let changes = $state.raw<string[]>([]);

function take(answer: Schemas['SessionAnswer']): void {
  standing = answer.signed_in ? 'in' : 'out';
  scope = answer.scope ?? 'public';
  label = answer.label ?? '';
  reads = answer.reads;
  changes = answer.changes;
  signCalls(answer.csrf_token ?? '', () => { standing = 'out'; });
}

const KEYS: Schemas['Scope'][] = ['public', 'secret', 'admin'];

export const session = {
  get standing() { return standing; },
  get scope() { return scope; },
  get label() { return label; },
  /** `admin key`, or the role of a person. */
  get words() { return KEYS.includes(scope) ? `${scope} key` : scope; },
  /** Whether all of a part of the API (a tag of its description) may be read. The server decides; this only spares a click in vain. */
  reads(part: string) { return reads.includes(part); },
  changes(part: string) { return changes.includes(part); },
  async resume() { take(await api.get('/v1/session')); },
  async signIn(proof: Schemas['SignIn']) { take(await api.post('/v1/session', { body: proof })); },
  async signOut() {
    await api.delete('/v1/session');
    standing = 'out';
  },
};

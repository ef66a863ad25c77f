// Held by the compiler: what the API's document says goes in and comes out.
import { MerxClient } from '../src/index.js';

export async function typed(merx: MerxClient): Promise<[string, number | undefined, string]> {
  const answer = await merx.post('/v1/recommend', { body: { anonymous_id: 'v', slots: [{ scenario: 'for_you', count: 4 }] } });
  const minor = answer.slots[0]?.items[0]?.price?.minor;
  const product = await merx.get('/v1/products/{id}', { path: { id: 'p1' } });
  // @ts-expect-error no such path
  await merx.get('/v1/prodcts');
  // @ts-expect-error slots are missing
  await merx.post('/v1/recommend', { body: { anonymous_id: 'v' } });
  // @ts-expect-error the id is missing
  await merx.get('/v1/products/{id}', {});
  return [answer.decision_id, minor, product.name];
}

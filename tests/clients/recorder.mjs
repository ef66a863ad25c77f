// A server between a client and Merx that writes down what the client sent and how it was answered, in the form of the fixtures in crates/serve/tests/fixtures.
//   MERX_RECORD=FOLDER node algolia.mjs ..
import { writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { join } from 'node:path';

const folder = process.env.MERX_RECORD;

/** The origin to give a client: Merx itself, or the recorder before it. `save` writes the file where one was asked for. */
export async function recorded(origin, name) {
  if (!folder) return { origin, save() {} };
  const calls = [];
  const server = createServer((incoming, outgoing) => {
    const chunks = [];
    incoming.on('data', chunk => chunks.push(chunk));
    incoming.on('end', () => {
      const body = Buffer.concat(chunks), { pathname, searchParams } = new URL(incoming.url, origin);
      // Keys, agents and ids of requests are of this run; everything else is how the client writes.
      const kept = [...searchParams].filter(([key]) => !/^x-algolia-/i.test(key));
      const call = {
        method: incoming.method, path: pathname.replace(/^(.1.keys.).*/, '$1KEY') + (kept.length ? `?${new URLSearchParams(kept)}` : ''),
        keys: [...searchParams.keys()].some(key => /^x-algolia-api-key$/i.test(key)) ? 'address' : 'headers',
        content_type: incoming.headers['content-type'] ?? null, body: body.length ? body.toString() : null,
      };
      calls.push(call);
      const onward = request(origin + incoming.url, { method: incoming.method, headers: { ...incoming.headers, host: new URL(origin).host } }, reply => {
        call.status = reply.statusCode;
        outgoing.writeHead(reply.statusCode, reply.headers);
        reply.pipe(outgoing);
      });
      onward.on('error', error => outgoing.destroy(error));
      onward.end(body);
    });
  });
  await new Promise(listening => server.listen(0, '127.0.0.1', listening));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    save: () => writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(calls, null, 1)}\n`),
  };
}

// Writes NAME.br and NAME.gz beside every built file: the server sends them as they are, whatever they cost to make.
import { readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import type { Plugin } from 'vite';

const brotli = promisify(brotliCompress);
const gzipped = promisify(gzip);

export function precompress(): Plugin {
  let folder = '';
  return {
    name: 'precompress',
    apply: 'build',
    configResolved(config) { folder = resolve(config.root, config.build.outDir); },
    async writeBundle(_, bundle) {
      await Promise.all(Object.keys(bundle).map(async name => {
        const path = resolve(folder, name);
        const bytes = await readFile(path);
        await writeFile(`${path}.br`, await brotli(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
        await writeFile(`${path}.gz`, await gzipped(bytes, { level: 9 }));
      }));
    },
  };
}

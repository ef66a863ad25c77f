// Makes dist/merx.js (tracking and calls) and dist/widgets.js (web components), each with its compressed forms, or with --test
// the tests as plain scripts.
import { build } from 'esbuild';
import { readdirSync } from 'node:fs';
import { precompress } from './precompress.mjs';

const shared = { bundle: true, format: 'esm', target: 'es2022', logLevel: 'warning', legalComments: 'none' };

if (process.argv.includes('--test')) {
  const entryPoints = readdirSync('test').filter(name => name.endsWith('.test.ts')).map(name => `test/${name}`);
  await build({ ...shared, entryPoints, outdir: 'build/test', platform: 'node', packages: 'external', outExtension: { '.js': '.mjs' } });
}
await build({ ...shared, entryPoints: ['src/index.ts'], outfile: 'dist/merx.js', minify: true });
await build({ ...shared, entryPoints: ['src/widgets/index.ts'], outfile: 'dist/widgets.js', minify: true });
precompress(['dist/merx.js', 'dist/widgets.js']);

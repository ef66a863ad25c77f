// Makes dist/: the page, one script, one style sheet, these two compressed as well; or with --test the tests as plain scripts.
import { build } from 'esbuild';
import { cpSync, mkdirSync } from 'node:fs';
import { precompress } from '../sdk/browser/precompress.mjs';

const shared = { bundle: true, format: 'esm', target: 'es2022', legalComments: 'none', logLevel: 'warning' };
if (process.argv.includes('--test')) {
  await build({ ...shared, entryPoints: ['test/shop.test.mjs'], outdir: 'build/test', outExtension: { '.js': '.mjs' }, platform: 'node' });
} else {
  mkdirSync('dist', { recursive: true });
  for (const name of ['index.html', 'icon.svg']) cpSync(`src/${name}`, `dist/${name}`);
  await build({ ...shared, entryPoints: ['src/shop.ts', 'src/shop.css'], outdir: 'dist', minify: true });
  precompress(['dist/shop.js', 'dist/shop.css']);
}

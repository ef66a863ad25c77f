// Makes dist/: the page, one script, one style sheet.
import { build } from 'esbuild';
import { cpSync, mkdirSync } from 'node:fs';

mkdirSync('dist', { recursive: true });
for (const name of ['index.html', 'icon.svg']) cpSync(`src/${name}`, `dist/${name}`);
await build({ entryPoints: ['src/shop.ts', 'src/shop.css'], outdir: 'dist', bundle: true, format: 'esm', target: 'es2022', minify: true, legalComments: 'none', logLevel: 'warning' });

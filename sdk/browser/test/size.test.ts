import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';

const gzipped = (name: string) => gzipSync(readFileSync(`dist/${name}`), { level: 9 }).length;

test('tracking and calls stay under 12 kB gzipped', t => {
  const bytes = gzipped('merx.js');
  t.diagnostic(`merx.js: ${bytes} bytes gzipped`);
  assert.ok(bytes < 12_000, `${bytes} bytes`);
});

test('the widgets stay under 16 kB gzipped', t => {
  const bytes = gzipped('widgets.js');
  t.diagnostic(`widgets.js: ${bytes} bytes gzipped`);
  assert.ok(bytes < 16_000, `${bytes} bytes`);
});

import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';
import { precompress } from './tools/precompress.ts';

const server = process.env.MERX_URL ?? 'http://127.0.0.1:8080';

// `npm run dev` proxies the API to a running server, so that cookies stay on one origin.
export default defineConfig({
  base: '/console/',
  plugins: [svelte(), precompress()],
  // Inlined files would be data: addresses, which the page's policy forbids for scripts and styles.
  build: { outDir: 'dist/site', emptyOutDir: true, target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  // Tests draw parts of pages in a page of their own.
  resolve: process.env.VITEST ? { conditions: ['browser'] } : {},
  server: { proxy: Object.fromEntries(['/v1', '/health', '/metrics', '/openapi.json', '/docs'].map(path => [path, server])) },
});

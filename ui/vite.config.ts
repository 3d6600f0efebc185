/** `npx vite build ui`: the pages and the worker into dist/ui. The core and the guests are assets, so that the built folder is all there is. */
import { defineConfig } from 'vite';
import { standalonePage } from './standalone/template.ts';

export default defineConfig({
  base: './',
  plugins: [standalonePage()],
  build: {
    outDir: '../dist/ui',
    emptyOutDir: true,
    target: 'es2022',
    // Data URLs would need a hole in the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: true,
    chunkSizeWarningLimit: 250,
  },
  worker: { format: 'es' },
});

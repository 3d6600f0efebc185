/** `npx vite build ui`: the pages and the worker into dist/ui. The core and the guests are assets, so that the built folder is all there is. */
import { fileURLToPath } from 'node:url';
import { type Plugin, type Rolldown, defineConfig } from 'vite';
import { standalonePage } from './standalone/template.ts';

/** Modules that are loaded with one, without those of `other`. */
function loadedWith(entry: string, module: (id: string) => Rolldown.ModuleInfo | null, other?: ReadonlySet<string>): ReadonlySet<string> {
  const all = new Set<string>();
  const visit = (id: string): void => {
    if (all.has(id) || other?.has(id) === true) return;
    all.add(id);
    module(id)?.importedIds.forEach(visit);
  };
  visit(entry);
  return all;
}

/** Two scripts for what every page needs, the small one first: one request for each, where every module that other scripts share would be one. */
function scriptOf(): (id: string, context: { getModuleInfo(id: string): Rolldown.ModuleInfo | null }) => string | null {
  let [first, app]: (ReadonlySet<string> | undefined)[] = [];
  const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
  return (id, context) => {
    const module = (of: string): Rolldown.ModuleInfo | null => context.getModuleInfo(of);
    first ??= loadedWith(path('main.ts'), module);
    app ??= loadedWith(path('app.ts'), module, first);
    return first.has(id) || id.includes('preload-helper') ? 'first' : app.has(id) ? 'app' : null;
  };
}

/** The browser asks for the pages' script with the first one, not when that asks for it. */
function preloadApp(): Plugin {
  return {
    name: 'chronovisor-preload-app',
    apply: 'build',
    transformIndexHtml: {
      order: 'post',
      handler(_html, { bundle = {} }) {
        // That which main.ts imports, and that which it is in.
        const files = Object.values(bundle).filter((file) => file.type === 'chunk' && [file.facadeModuleId, ...file.moduleIds].some((id) => id?.endsWith('/ui/app.ts') === true));
        if (files.length === 0) throw new Error('the pages have no script of their own: is app.ts imported by main.ts?');
        return files.map(({ fileName }) => ({ tag: 'link', injectTo: 'head', attrs: { rel: 'modulepreload', href: `./${fileName}` } }));
      },
    },
  };
}

export default defineConfig({
  base: './',
  plugins: [preloadApp(), standalonePage()],
  build: {
    outDir: '../dist/ui',
    emptyOutDir: true,
    target: 'es2022',
    // Data URLs would need a hole in the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: true,
    chunkSizeWarningLimit: 250,
    rolldownOptions: { output: { codeSplitting: { includeDependenciesRecursively: false, groups: [{ name: scriptOf() }] } } },
  },
  worker: { format: 'es' },
});

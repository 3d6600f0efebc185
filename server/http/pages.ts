/** The built pages: index.html, standalone.html (which pages put a recording into) and assets/, listed, never looked up by a path from a request. */
import { readdir, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.wasm': 'application/wasm',
  '.svg': 'image/svg+xml',
  '.elf': 'application/octet-stream',
  '.map': 'application/json; charset=utf-8',
};

export interface Page {
  readonly path: string;
  readonly type: string;
  /** Its name holds a hash of its content. */
  readonly immutable: boolean;
}

export class Pages {
  private readonly folder: string;
  private pages = new Map<string, Page>();

  constructor(folder: string) {
    this.folder = folder;
  }

  /** url: the path part of a request. Undefined: there is no such page. */
  async pageOf(url: string): Promise<Page | undefined> {
    // A build may have replaced them.
    if (!this.pages.has(url)) await this.list();
    return this.pages.get(url);
  }

  private async list(): Promise<void> {
    const pages = new Map<string, Page>();
    for (const name of ['index.html', 'standalone.html']) {
      const path = join(this.folder, name);
      if ((await stat(path).catch(() => undefined))?.isFile() !== true) continue;
      const page: Page = { path, type: TYPES['.html'], immutable: false };
      pages.set(`/${name}`, page);
      if (name === 'index.html') pages.set('/', page);
    }
    const assets = join(this.folder, 'assets');
    for (const entry of await readdir(assets, { withFileTypes: true }).catch(() => [])) {
      if (!entry.isFile()) continue;
      pages.set(`/assets/${entry.name}`, { path: join(assets, entry.name), type: TYPES[extname(entry.name)] ?? 'application/octet-stream', immutable: true });
    }
    this.pages = pages;
  }
}

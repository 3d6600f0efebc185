/** Source files of a guest, where they are in a folder that is named for them. What a guest's image calls its files is not trusted: nothing outside is read. */
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';

/** More is no source file. */
const SOURCE_BYTES_MAX = 8 << 20;
const FILES_KEPT = 64;

export class Sources {
  private readonly folders: readonly string[];
  private readonly kept = new Map<string, { readonly path: string; readonly lines: readonly string[] } | undefined>();

  /** Looked through in this order. */
  constructor(folders: readonly string[]) {
    this.folders = folders.flatMap((folder) => {
      try {
        return [realpathSync(folder)];
      } catch {
        return [];
      }
    });
  }

  /** By the name that the compiler was given; leading parts that are of another machine may be missing here. */
  find(file: string): { readonly path: string; readonly lines: readonly string[] } | undefined {
    if (this.kept.has(file)) return this.kept.get(file);
    const parts = file.split('/').filter((part) => part !== '' && part !== '.');
    let found: { readonly path: string; readonly lines: readonly string[] } | undefined;
    for (const folder of this.folders) {
      for (let from = 0; from < parts.length && found === undefined; from++) found = this.read(folder, parts.slice(from));
    }
    if (this.kept.size >= FILES_KEPT) this.kept.clear();
    this.kept.set(file, found);
    return found;
  }

  private read(folder: string, parts: readonly string[]): { readonly path: string; readonly lines: readonly string[] } | undefined {
    if (parts.includes('..') || parts.some((part) => part.includes('\0'))) return undefined;
    try {
      const path = realpathSync(join(folder, ...parts));
      if (!path.startsWith(folder + sep)) return undefined;
      const stat = statSync(path);
      if (!stat.isFile() || stat.size > SOURCE_BYTES_MAX) return undefined;
      return { path, lines: readFileSync(path, 'utf8').split('\n') };
    } catch {
      return undefined;
    }
  }
}

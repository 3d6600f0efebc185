/** Where this package lies on disk. The same from source and from dist/. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Package {
  /** The folder that has package.json. */
  readonly root: string;
  readonly version: string;
}

let found: Package | undefined;

/** The nearest folder above this file whose package.json is ours. */
export function ownPackage(): Package {
  if (found !== undefined) return found;
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    const file = join(folder, 'package.json');
    if (existsSync(file)) {
      const { name, version } = JSON.parse(readFileSync(file, 'utf8')) as { name?: unknown; version?: unknown };
      if (name === 'chronovisor') {
        found = { root: folder, version: String(version) };
        return found;
      }
    }
    if (dirname(folder) === folder) throw new Error('package.json of chronovisor is not above this program: install it again');
  }
}

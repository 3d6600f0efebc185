import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A path in the repository, found from the sources and from dist/ alike. */
export function repositoryPath(relative: string): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package-lock.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('the repository has no package-lock.json');
    folder = parent;
  }
  return join(folder, relative);
}

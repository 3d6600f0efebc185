/**
 * Guest images by their SHA-256, for recordings that are too large to hold them: those of fetched guests, of the lab's own, and any handed in.
 * As with recordings, a request only picks from what was listed.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

export interface ImagePlaces {
  /** Folder of fetched guests: NAME/guest.json, and older ones beside it, with SHA-256 by file name. */
  readonly guests: string | undefined;
  /** Single image files. */
  readonly files: readonly string[];
}

export class Images {
  private readonly places: ImagePlaces;
  private byHash: Map<string, string> | undefined;

  constructor(places: ImagePlaces) {
    this.places = places;
  }

  async pathOf(sha256: string): Promise<string | undefined> {
    this.byHash ??= await this.listFiles();
    return this.byHash.get(sha256) ?? (await this.listGuests()).get(sha256);
  }

  private async listFiles(): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    for (const path of this.places.files) {
      const hash = createHash('sha256');
      await pipeline(createReadStream(path), hash);
      found.set(hash.digest('hex'), path);
    }
    return found;
  }

  /** Each time anew: a guest may have been fetched since. */
  private async listGuests(): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    const { guests } = this.places;
    if (guests === undefined) return found;
    const folders = await readdir(guests, { withFileTypes: true }).catch(() => []);
    for (const folder of folders) {
      if (!folder.isDirectory()) continue;
      // guest-HASH.json are those before the present one; their images stay, and recordings refer to them.
      const descriptions = (await readdir(join(guests, folder.name)).catch(() => [])).filter((name) => /^guest(-[0-9a-f]+)?\.json$/.test(name));
      for (const name of descriptions) {
        const text = await readFile(join(guests, folder.name, name), 'utf8').catch(() => undefined);
        for (const [file, sha256] of imagesOf(text ?? '')) found.set(sha256, join(guests, folder.name, file));
      }
    }
    return found;
  }
}

/** File names and hashes in a guest's description; names that are not plain are left out. */
function imagesOf(text: string): readonly (readonly [string, string])[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // A description that is being written; the guest store itself reports damage.
    return [];
  }
  if (typeof json !== 'object' || json === null || !('sha256' in json) || typeof json.sha256 !== 'object' || json.sha256 === null) return [];
  return Object.entries(json.sha256).filter((pair): pair is [string, string] => typeof pair[1] === 'string' && /^[\w.+-]+$/.test(pair[0]) && !pair[0].startsWith('.'));
}

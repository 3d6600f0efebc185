/**
 * The recordings that the server shows: the *.cvlog files of a few folders. Ids come from listing the folders and are looked up in a
 * map, so no part of a request ever becomes a path.
 */
import { type Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LogError } from '../../engine/log/errors.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { type LogSummary, summarize } from '../../engine/protocol/summary.ts';
import { FileSource } from '../store/files.ts';

export const LOG_SUFFIX = '.cvlog';

export interface RecordingFolder {
  /** First part of the ids of its recordings. */
  readonly name: string;
  readonly path: string;
}

export interface CatalogueEntry {
  readonly id: string;
  readonly folder: string;
  readonly file: string;
  readonly bytes: number;
  /** When the file was written, ms since 1970. */
  readonly modifiedMs: number;
  readonly summary: LogSummary | undefined;
  /** Why there is no summary. */
  readonly problem: { readonly message: string; readonly advice: string } | undefined;
}

interface Known {
  readonly path: string;
  readonly entry: CatalogueEntry;
}

export class Catalogue {
  private readonly folders: readonly RecordingFolder[];
  private known = new Map<string, Known>();

  constructor(folders: readonly RecordingFolder[]) {
    this.folders = folders;
  }

  /** Lists the folders anew. A folder that does not exist has no recordings. */
  async list(): Promise<readonly CatalogueEntry[]> {
    const known = new Map<string, Known>();
    for (const folder of this.folders) {
      for (const name of await logFiles(folder.path)) {
        const id = `${folder.name}:${name.slice(0, -LOG_SUFFIX.length)}`;
        const path = join(folder.path, name);
        const found = await this.look(id, folder.name, name, path);
        if (found !== undefined) known.set(id, found);
      }
    }
    this.known = known;
    return [...known.values()].map(({ entry }) => entry);
  }

  /** The file of an id that a listing gave. */
  async pathOf(id: string): Promise<string | undefined> {
    if (!this.known.has(id)) await this.list();
    return this.known.get(id)?.path;
  }

  private async look(id: string, folder: string, file: string, path: string): Promise<Known | undefined> {
    const status = await stat(path).catch(() => undefined);
    // Deleted since it was listed.
    if (status === undefined) return undefined;
    const before = this.known.get(id);
    if (before !== undefined && before.entry.bytes === status.size && before.entry.modifiedMs === status.mtimeMs) return before;
    const common = { id, folder, file, bytes: status.size, modifiedMs: status.mtimeMs };
    let source: FileSource | undefined;
    try {
      source = new FileSource(path, 'recording');
      return { path, entry: { ...common, summary: summarize(LogReader.open(source), source.length), problem: undefined } };
    } catch (error) {
      const problem = error instanceof LogError ? { message: error.message, advice: error.advice } : { message: 'the file cannot be read', advice: 'check its permissions' };
      return { path, entry: { ...common, summary: undefined, problem } };
    } finally {
      source?.close();
    }
  }
}

/** Names of the plain files that look like logs, in order. Links are not followed. */
async function logFiles(folder: string): Promise<readonly string[]> {
  let entries: Dirent[];
  try {
    entries = await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return [];
    throw error;
  }
  return entries.filter((entry) => entry.isFile() && entry.name.endsWith(LOG_SUFFIX) && entry.name.length > LOG_SUFFIX.length).map((entry) => entry.name).sort();
}

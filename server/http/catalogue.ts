/**
 * The recordings that the server shows: the *.cvlog files of a few folders. Ids come from listing the folders and are looked up in a
 * map, so no part of a request ever becomes a path.
 */
import { type Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { BranchNode, RecordingState } from '../../engine/protocol/lab.ts';
import type { LogSummary } from '../../engine/protocol/summary.ts';
import { type Look, look, lookClosely } from '../runs/look.ts';
import { LOG_SUFFIX, type Run } from '../runs/runs.ts';

export { LOG_SUFFIX } from '../runs/runs.ts';

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
  readonly state: RecordingState;
  /** It may be deleted through the server. */
  readonly isWritable: boolean;
  /** The run that writes it. */
  readonly run: string | undefined;
  /** Of a branch: the log that it goes on from. */
  readonly parent: { readonly logId: string; readonly position: number } | undefined;
  readonly summary: LogSummary | undefined;
  /** Why there is no summary, or what is wrong although there is one. */
  readonly problem: { readonly message: string; readonly advice: string } | undefined;
}

export interface KnownRecording {
  readonly path: string;
  readonly entry: CatalogueEntry;
  /** Of the file: what was learnt of another one does not count. */
  readonly version: string;
  /** Of a log that is written: bytes that are whole. */
  readonly readableBytes: number | undefined;
}

const CUT_OFF = { message: 'the recording was cut off: its recorder was stopped by force', advice: 'it can be replayed as far as it goes; `chronovisor check --repair OUT` makes a closed log of it' };

const LOOKED_AT = { message: 'the recording was cut off, and is looked at byte by byte', advice: 'reload the list in a moment' };
/** A list waits no longer for one file. */
const PATIENCE_MS = 2000;
/** Surveys that are remembered. */
const LOOKS_MAX = 1000;

export interface CatalogueOptions {
  /** Name of the folder whose recordings may be deleted. */
  readonly writableFolder?: string | undefined;
  /** The run that writes a file now. */
  readonly writing?: (path: string) => Run | undefined;
  /** In a thread, as it may take long; here unless given. */
  readonly lookClosely?: (path: string) => Promise<Look>;
  /** Bytes of a file that is surveyed without it. */
  readonly surveyedAtOnce?: number;
  readonly patienceMs?: number;
}

export class Catalogue {
  private readonly folders: readonly RecordingFolder[];
  private readonly writableFolder: string | undefined;
  private readonly writing: (path: string) => Run | undefined;
  private readonly lookClosely: (path: string) => Promise<Look>;
  private readonly surveyedAtOnce: number | undefined;
  private readonly patienceMs: number;
  private readonly looking = new Map<string, Promise<Look>>();
  private known = new Map<string, KnownRecording>();

  constructor(folders: readonly RecordingFolder[], options: CatalogueOptions = {}) {
    this.folders = folders;
    this.writableFolder = options.writableFolder;
    this.writing = options.writing ?? (() => undefined);
    this.surveyedAtOnce = options.surveyedAtOnce;
    this.patienceMs = options.patienceMs ?? PATIENCE_MS;
    this.lookClosely = options.lookClosely ?? (async (path) => lookClosely(path));
  }

  /** Lists the folders anew. A folder that does not exist has no recordings. */
  async list(): Promise<readonly CatalogueEntry[]> {
    const known = new Map<string, KnownRecording>();
    for (const folder of this.folders) {
      for (const name of await logFiles(folder.path)) {
        const id = `${folder.name}:${name.slice(0, -LOG_SUFFIX.length)}`;
        const found = await this.look(id, folder.name, name, join(folder.path, name));
        if (found !== undefined) known.set(id, found);
      }
    }
    this.known = known;
    return [...known.values()].map(({ entry }) => entry);
  }

  /** The recording of an id that a listing gave, as it is now. */
  async find(id: string): Promise<KnownRecording | undefined> {
    if (!this.known.has(id)) await this.list();
    const known = this.known.get(id);
    if (known === undefined) return undefined;
    const { folder, file } = known.entry;
    const found = await this.look(id, folder, file, known.path);
    if (found === undefined) this.known.delete(id);
    else this.known.set(id, found);
    return found;
  }

  /** The file of an id that a listing gave. */
  async pathOf(id: string): Promise<string | undefined> {
    return (await this.find(id))?.path;
  }

  /** Recordings under those that they go on from. */
  async branches(): Promise<readonly BranchNode[]> {
    const entries = (await this.list()).filter((entry): entry is CatalogueEntry & { summary: LogSummary } => entry.summary !== undefined);
    const ids = new Set(entries.map(({ summary }) => summary.id));
    const nodeOf = (entry: CatalogueEntry & { summary: LogSummary }, above: readonly string[]): BranchNode => {
      const { id, state, parent, summary } = entry;
      const line = [...above, summary.id];
      // Copies of one log are each the parent, and logs may name each other in a circle.
      const children = entries.filter((each) => each.parent?.logId === summary.id && !line.includes(each.summary.id)).map((each) => nodeOf(each, line));
      return { id, logId: summary.id, guest: summary.guest, state, lastPosition: summary.lastPosition, at: parent?.position, isOrphan: parent !== undefined && !ids.has(parent.logId), children };
    };
    return entries.filter(({ parent }) => parent === undefined || !ids.has(parent.logId)).map((entry) => nodeOf(entry, []));
  }

  private async look(id: string, folder: string, file: string, path: string): Promise<KnownRecording | undefined> {
    const status = await stat(path).catch(() => undefined);
    // Deleted since it was listed.
    if (status === undefined) return undefined;
    const run = this.writing(path);
    const readableBytes = run?.readableBytes;
    const version = run === undefined ? `${status.size.toString(36)}-${Math.floor(status.mtimeMs).toString(36)}` : `run-${run.id}`;
    const bytes = readableBytes ?? status.size;
    const before = this.known.get(id);
    if (before !== undefined && before.version === version && before.entry.bytes === bytes) return before;
    const common = { id, folder, file, bytes, modifiedMs: status.mtimeMs, isWritable: folder === this.writableFolder, run: run?.id };
    const known = (entry: Pick<CatalogueEntry, 'state' | 'parent' | 'summary' | 'problem'>): KnownRecording => ({ path, version, readableBytes, entry: { ...common, ...entry } });
    const found = look(path, readableBytes, this.surveyedAtOnce) ?? (await this.patiently(path, version));
    if (found === undefined) return { ...known({ state: 'cut-off', parent: undefined, summary: undefined, problem: LOOKED_AT }), version: `${version}-looked-at` };
    if (found.kind === 'unusable') return known({ state: run === undefined ? 'damaged' : 'recording', parent: undefined, summary: undefined, problem: found.problem });
    const { summary, parent, torn, hasEnd } = found;
    const state: RecordingState = run !== undefined ? 'recording' : hasEnd ? 'complete' : 'cut-off';
    const problem = torn !== undefined && hasEnd ? torn : state === 'cut-off' ? CUT_OFF : undefined;
    return known({ state, parent: parent === undefined ? undefined : { logId: parent.logId, position: parent.position }, summary, problem });
  }

  /** Undefined: it takes longer than a list should. */
  private async patiently(path: string, version: string): Promise<Look | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), this.patienceMs)));
    const failed = (error: unknown): Look => {
      console.error(error);
      return { kind: 'unusable', problem: { message: 'looking at the file failed', advice: 'look at the output of the server; `chronovisor check` says more' } };
    };
    const found = await Promise.race([this.closely(path, version).catch(failed), late]);
    clearTimeout(timer);
    return found;
  }

  /** Once for all who ask, meanwhile and later. */
  private closely(path: string, version: string): Promise<Look> {
    const key = `${version} ${path}`;
    const known = this.looking.get(key);
    if (known !== undefined) return known;
    const asked = this.lookClosely(path);
    this.looking.set(key, asked);
    // What failed may be tried again.
    asked.catch(() => this.looking.delete(key));
    if (this.looking.size > LOOKS_MAX) this.looking.delete(this.looking.keys().next().value as string);
    return asked;
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
  return entries.filter((entry) => entry.isFile() && entry.name.endsWith(LOG_SUFFIX) && entry.name.length > LOG_SUFFIX.length && !entry.name.startsWith('.')).map((entry) => entry.name).sort();
}

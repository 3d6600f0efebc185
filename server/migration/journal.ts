/**
 * What each side of a migration has on disk, so that a crash at any moment leaves one answer to "who runs the guest?".
 *
 *     source       LOG.handover         which migration, and whether it was handed over
 *     destination  CHILD.intent         the same for its side
 *                  CHILD.arriving       every frame as it came; synced before READY
 *
 * The first two have two lines of one length, the record and the one before it, each with its number and a CRC. A new record takes the place of the older one: one write and
 * one sync, of a file that neither grows nor is renamed, as the guest may be standing still. Torn, it is not there, and the other one holds.
 */
import { closeSync, existsSync, fdatasyncSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { crc32c } from '../../engine/log/crc32c.ts';
import { FileSink, FileSource } from '../store/files.ts';
import { StoreError, fileError } from '../store/errors.ts';

/** `offered`: the source runs the guest. `handed-over`: the destination owns it, for ever. `kept`: this migration will never be handed over. */
export type SourceVerdict = 'offered' | 'handed-over' | 'kept';
/** `receiving`: no complete copy yet. `ready`: complete and verified; the source decides. `owner`: runs the guest. `discarded`: the source kept it. */
export type DestinationState = 'receiving' | 'ready' | 'owner' | 'discarded';

export interface SourceRecord {
  readonly migration: string;
  readonly verdict: SourceVerdict;
  readonly logId: string;
  readonly to: string;
  /** Set with `handed-over`. */
  readonly position?: number | undefined;
  readonly records?: number | undefined;
  readonly digest?: string | undefined;
}
export interface DestinationRecord {
  readonly migration: string;
  readonly state: DestinationState;
  readonly parentId: string;
  readonly childId: string;
}

/** A small file with one record that is replaced as a whole, durably. */
export interface Journal<T> {
  read(): T | undefined;
  /** When it returns, the record survives a crash. */
  write(record: T): void;
}
/** Frames, appended. */
export interface Arriving {
  append(bytes: Uint8Array): void;
  sync(): void;
  /** All that survived. */
  contents(): Uint8Array;
  remove(): void;
}

export interface SourceFiles {
  readonly verdict: Journal<SourceRecord>;
}
export interface DestinationFiles {
  readonly intent: Journal<DestinationRecord>;
  readonly arriving: Arriving;
}

export function handoverPath(log: string): string {
  return `${log}.handover`;
}
export function intentPath(child: string): string {
  return `${child}.intent`;
}
export function arrivingPath(child: string): string {
  return `${child}.arriving`;
}

const LINE_BYTES = 2048;
const LINES = 2;

interface Numbered<T> {
  readonly number: number;
  readonly record: T;
}

function lineOf<T>(numbered: Numbered<T>): Uint8Array {
  const text = JSON.stringify(numbered);
  const bytes = new TextEncoder().encode(`${crcOf(text)} ${text}`);
  if (bytes.length >= LINE_BYTES) throw new RangeError(`a record of ${bytes.length} bytes: there is room for ${LINE_BYTES}`);
  const line = new Uint8Array(LINE_BYTES).fill(0x20);
  line.set(bytes);
  line[LINE_BYTES - 1] = 0x0a;
  return line;
}
/** Undefined for a line that was torn. */
function parseLine<T>(line: string): Numbered<T> | undefined {
  const text = line.slice(9).trimEnd();
  return text !== '' && line.startsWith(`${crcOf(text)} `) ? (JSON.parse(text) as Numbered<T>) : undefined;
}
function crcOf(text: string): string {
  return crc32c(new TextEncoder().encode(text)).toString(16).padStart(8, '0');
}

export class FileJournal<T> implements Journal<T> {
  private readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  private last(): Numbered<T> | undefined {
    if (!existsSync(this.path)) return undefined;
    const bytes = readFileSync(this.path);
    // By place: a torn line may have lost its end.
    const lines = Array.from({ length: LINES }, (_, i) => parseLine<T>(bytes.toString('utf8', i * LINE_BYTES, (i + 1) * LINE_BYTES)));
    const last = lines.reduce((best, each) => (each !== undefined && each.number > (best?.number ?? -1) ? each : best), undefined);
    if (last === undefined) throw new StoreError('file-failed', { file: this.path, action: 'read', what: 'the record of the migration', detail: 'it holds no whole record' });
    return last;
  }
  read(): T | undefined {
    return this.last()?.record;
  }

  write(record: T): void {
    const number = (this.last()?.number ?? -1) + 1;
    try {
      if (number === 0) this.create(lineOf({ number, record }));
      else this.replace((number % LINES) * LINE_BYTES, lineOf({ number, record }));
    } catch (error) {
      throw fileError(error, 'write', this.path, 'the record of the migration');
    }
  }
  private replace(at: number, line: Uint8Array): void {
    const fd = openSync(this.path, 'r+');
    try {
      if (writeSync(fd, line, 0, line.length, at) !== line.length) throw new Error('the disk took a part of it');
      fdatasyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }
  private create(line: Uint8Array): void {
    const draft = `${this.path}.part`;
    const fd = openSync(draft, 'w', 0o644);
    try {
      writeSync(fd, line);
      writeSync(fd, `${' '.repeat(LINE_BYTES - 1)}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(draft, this.path);
    const folder = openSync(dirname(this.path), 'r');
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  }
}

const PROBES = 5;

/** What a new record and the replacing of one take beside a file on this host, ms: for a prediction of the switch-over. Leaves nothing behind. */
export function measureJournal(beside: string, monotonicMs: () => number): { readonly createMs: number; readonly replaceMs: number } {
  const path = `${beside}.probe`;
  rmSync(path, { force: true });
  const journal = new FileJournal<number>(path);
  const timed = (): number => {
    const from = monotonicMs();
    journal.write(0);
    return monotonicMs() - from;
  };
  try {
    const createMs = timed();
    return { createMs, replaceMs: Array.from({ length: PROBES }, timed).sort((a, b) => a - b)[PROBES >>> 1] };
  } finally {
    rmSync(path, { force: true });
  }
}

/** Bytes between two syncs in the background, so that the one before READY has little left to do. */
const SYNC_BYTES = 1 << 20;

export class FileArriving implements Arriving {
  private readonly path: string;
  private sink: FileSink | undefined;
  private unsynced = 0;

  constructor(path: string) {
    this.path = path;
  }

  append(bytes: Uint8Array): void {
    this.sink ??= new FileSink(this.path, '-o');
    this.sink.append(bytes);
    this.unsynced += bytes.length;
    if (this.unsynced < SYNC_BYTES) return;
    this.unsynced = 0;
    this.sink.syncSoon();
  }
  sync(): void {
    this.sink?.sync();
  }
  contents(): Uint8Array {
    const source = new FileSource(this.path, 'what has arrived');
    try {
      return source.read(0, source.length);
    } finally {
      source.close();
    }
  }
  remove(): void {
    this.sink?.close();
    this.sink = undefined;
    rmSync(this.path, { force: true });
  }
}

export function sourceFiles(log: string): SourceFiles {
  return { verdict: new FileJournal(handoverPath(log)) };
}
export function destinationFiles(child: string): DestinationFiles {
  return { intent: new FileJournal(intentPath(child)), arriving: new FileArriving(arrivingPath(child)) };
}

/**
 * What each side of a migration has on disk, so that a crash at any moment leaves one answer to "who runs the guest?".
 *
 *     source       LOG.handover         JSON: which migration, and whether it was handed over. Written anew as a whole, synced, renamed
 *     destination  CHILD.intent         the same for its side
 *                  CHILD.arriving       every frame as it came; synced before READY
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { FileSink, FileSource } from '../store/files.ts';
import { fileError } from '../store/errors.ts';

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

export class FileJournal<T> implements Journal<T> {
  private readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  read(): T | undefined {
    if (!existsSync(this.path)) return undefined;
    return JSON.parse(readFileSync(this.path, 'utf8')) as T;
  }

  write(record: T): void {
    const draft = `${this.path}.part`;
    try {
      const fd = openSync(draft, 'w', 0o644);
      try {
        writeSync(fd, `${JSON.stringify(record)}\n`);
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
    } catch (error) {
      throw fileError(error, 'write', this.path, 'the record of the migration');
    }
  }
}

export class FileArriving implements Arriving {
  private readonly path: string;
  private sink: FileSink | undefined;

  constructor(path: string) {
    this.path = path;
  }

  append(bytes: Uint8Array): void {
    this.sink ??= new FileSink(this.path, '-o');
    this.sink.append(bytes);
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

/** The index of a recording, in a file beside it: `run.cvlog` and `run.cvlog.index`. */
import { existsSync, renameSync, rmSync } from 'node:fs';
import type { LogReader } from '../../engine/log/reader.ts';
import { CheckpointError } from '../../engine/recording/checkpoint-errors.ts';
import type { CheckpointStore } from '../../engine/recording/checkpoint-store.ts';
import { IndexFile, writeIndex } from '../../engine/recording/index-file.ts';
import { fileError } from './errors.ts';
import { FileSink, FileSource } from './files.ts';

export function indexPath(log: string): string {
  return `${log}.index`;
}

export interface FoundIndex {
  /** Undefined if there is none that can be used. */
  readonly index: IndexFile | undefined;
  /** Why the one that is there cannot be used. */
  readonly problem: CheckpointError | undefined;
}

/** Throws StoreError if the file is there and cannot be read at all. */
export function findIndex(log: string, reader: LogReader): FoundIndex {
  const path = indexPath(log);
  if (!existsSync(path)) return { index: undefined, problem: undefined };
  const source = new FileSource(path, 'the index of the recording');
  try {
    return { index: IndexFile.open(source, reader), problem: undefined };
  } catch (error) {
    source.close();
    if (error instanceof CheckpointError) return { index: undefined, problem: error };
    throw error;
  }
}

/** Writes the index beside the log; what was there is replaced only when the new one is whole. Returns its bytes. Throws StoreError. */
export function saveIndex(log: string, reader: LogReader, store: CheckpointStore): number {
  const path = indexPath(log);
  const draft = `${path}.${process.pid}.part`;
  rmSync(draft, { force: true });
  const sink = new FileSink(draft, 'FILE');
  try {
    const bytes = writeIndex(sink, reader, store);
    sink.close();
    renameSync(draft, path);
    return bytes;
  } catch (error) {
    sink.close();
    rmSync(draft, { force: true });
    throw error instanceof Error && 'code' in error ? fileError(error, 'write', path, 'the index') : error;
  }
}

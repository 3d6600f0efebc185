/** The index of a recording, in a file beside it: `run.cvlog` and `run.cvlog.index`. */
import { existsSync, renameSync, rmSync } from 'node:fs';
import type { LogReader } from '../../engine/log/reader.ts';
import { openChain } from '../../engine/recording/chain.ts';
import { CheckpointError } from '../../engine/recording/checkpoint-errors.ts';
import type { CheckpointStore } from '../../engine/recording/checkpoint-store.ts';
import { IndexFile, writeIndex } from '../../engine/recording/index-file.ts';
import { fileError } from './errors.ts';
import type { OpenedRecording } from './chains.ts';
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

/**
 * The index of a recording; of a branch without one, what the index of its nearest ancestor has of the time before it. Throws StoreError if the file is there and
 * cannot be read at all.
 */
export function findIndex(log: string, reader: LogReader, ancestry?: Pick<OpenedRecording, 'chain' | 'paths'>): FoundIndex {
  const path = indexPath(log);
  if (!existsSync(path)) return ancestry === undefined ? { index: undefined, problem: undefined } : indexOfAncestor(ancestry);
  const source = new FileSource(path, 'the index of the recording');
  try {
    return { index: IndexFile.open(source, reader), problem: undefined };
  } catch (error) {
    source.close();
    if (error instanceof CheckpointError) return { index: undefined, problem: error };
    throw error;
  }
}

function indexOfAncestor({ chain: { readers, links }, paths }: Pick<OpenedRecording, 'chain' | 'paths'>): FoundIndex {
  for (let i = readers.length - 2; i >= 0; i--) {
    if (!existsSync(indexPath(paths[i]))) continue;
    const { reader } = openChain(readers[i], ({ logId }) => readers.find(({ header }) => header.id === logId));
    const found = findIndex(paths[i], reader);
    // What is wrong with it is told to those who open that recording.
    if (found.index === undefined) continue;
    for (const { position, firstRecord } of links.slice(i + 1)) found.index.keepUpTo(position, firstRecord);
    return found;
  }
  return { index: undefined, problem: undefined };
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

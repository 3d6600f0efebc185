/** A file that a verb makes beside what it prints: never written over, or (--force) only when the new one is complete. */
import { existsSync, realpathSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { StoreError, fileError } from '../store/errors.ts';
import { FileSink } from '../store/files.ts';
import type { Arguments } from './arguments.ts';
import { isLogFile } from './profile-source.ts';
import { UsageError } from './usage-error.ts';

export interface NewFile {
  readonly file: string;
  /** As it is written on the command line: `--flame`. */
  readonly option: string;
  readonly isForced: boolean;
}

/** Of an option and --force, before anything is done. Throws StoreError if the file exists, UsageError if it is one of the operands, or a recording. */
export function newFile(parsed: Arguments, name: string): NewFile {
  const file = parsed.text(name) ?? '';
  const option = `--${name}`;
  if (file === '') throw new UsageError(`${option} needs the name of a file`, parsed.verb);
  const isForced = parsed.has('force');
  const made = { file, option, isForced };
  if (existsSync(file) && !isForced) throw new StoreError('output-exists', { file, option: `${option} (or replace it with --force)` });
  refuseRead(made, parsed.operands, parsed.verb);
  if (!existsSync(dirname(file))) throw new StoreError('folder-missing', { file, what: option });
  return made;
}

/** What is read, and any recording (the parent of a branch is read without being named), is never written over, whatever is forced. Throws UsageError. */
export function refuseRead({ file, option }: Pick<NewFile, 'file' | 'option'>, read: readonly string[], verb: string): void {
  if (!existsSync(file)) return;
  if (read.some((each) => existsSync(each) && realpathSync(each) === realpathSync(file))) throw new UsageError(`${option} ${file} is what is read: choose another name`, verb);
  if (statSync(file).isFile() && isLogFile(file)) throw new UsageError(`${option} ${file} is a recording, which nothing is written over, --force or not: choose another name, or move it away`, verb);
}

/** Returns the bytes written. Throws StoreError. */
export function writeNew({ file, option, isForced }: NewFile, bytes: Uint8Array): number {
  const isReplaced = isForced && existsSync(file);
  const target = isReplaced ? `${file}.part-${process.pid}` : file;
  const sink = new FileSink(target, option);
  let isDone = false;
  try {
    sink.append(bytes);
    sink.sync();
    sink.close();
    if (isReplaced) renameSync(target, file);
    isDone = true;
  } catch (error) {
    throw error instanceof StoreError ? error : fileError(error, 'write', file, option);
  } finally {
    if (!isDone) sink.discard();
  }
  return bytes.length;
}

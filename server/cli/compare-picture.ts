/** Where the picture of a comparison goes. */
import { existsSync, realpathSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import { StoreError, fileError } from '../store/errors.ts';
import { FileSink } from '../store/files.ts';
import type { Arguments } from './arguments.ts';
import { UsageError } from './usage-error.ts';

export interface PictureFile {
  /** `recordings` are never written over, whatever is forced. */
  readonly write: (svg: string, recordings: readonly string[]) => { readonly file: string; readonly bytes: number };
}

/** Of --svg and --force; undefined without --svg. Throws StoreError before anything is done if the file exists. */
export function pictureFile(parsed: Arguments): PictureFile | undefined {
  const file = parsed.text('svg');
  if (file === undefined) return undefined;
  if (file === '') throw new UsageError('--svg needs a name for the picture', 'compare');
  const isForced = parsed.has('force');
  const refuseRecording = (recordings: readonly string[]): void => {
    if (existsSync(file) && recordings.some((each) => existsSync(each) && realpathSync(each) === realpathSync(file))) {
      throw new UsageError(`--svg ${file} is a recording that is compared: choose another name`, 'compare');
    }
  };
  if (existsSync(file) && !isForced) throw new StoreError('output-exists', { file, option: '--svg (or replace it with --force)' });
  if (!existsSync(dirname(file))) throw new StoreError('folder-missing', { file, what: '--svg' });
  refuseRecording(parsed.operands);
  return {
    write: (svg, recordings) => {
      refuseRecording(recordings);
      const isReplaced = isForced && existsSync(file);
      const target = isReplaced ? `${file}.part-${process.pid}` : file;
      const sink = new FileSink(target, '--svg');
      const bytes = new TextEncoder().encode(svg);
      let isDone = false;
      try {
        sink.append(bytes);
        sink.sync();
        sink.close();
        if (isReplaced) renameSync(target, file);
        isDone = true;
      } catch (error) {
        throw error instanceof StoreError ? error : fileError(error, 'write', file, '--svg');
      } finally {
        if (!isDone) sink.discard();
      }
      return { file, bytes: bytes.length };
    },
  };
}

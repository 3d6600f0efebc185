/** Where the picture of a comparison goes. */
import type { Arguments } from './arguments.ts';
import { newFile, refuseRead, writeNew } from './new-file.ts';

export interface PictureFile {
  /** `recordings` are never written over, whatever is forced. */
  readonly write: (svg: string, recordings: readonly string[]) => { readonly file: string; readonly bytes: number };
}

/** Of --svg and --force; undefined without --svg. Throws StoreError before anything is done if the file exists. */
export function pictureFile(parsed: Arguments): PictureFile | undefined {
  if (parsed.text('svg') === undefined) return undefined;
  const target = newFile(parsed, 'svg');
  return {
    write: (svg, recordings) => {
      refuseRead(target, recordings, parsed.verb);
      return { file: target.file, bytes: writeNew(target, new TextEncoder().encode(svg)) };
    },
  };
}

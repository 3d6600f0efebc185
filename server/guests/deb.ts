/** Takes files out of a .deb without installing it. */
import { GuestError } from './errors.ts';
import { complaint, run } from './run.ts';
import { TarReader } from './tar.ts';

/** The files of the package whose path (without a leading slash) is wanted. dpkg-deb undoes the compression. */
export async function readDeb(
  file: string,
  wanted: (path: string) => boolean,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const reader = new TarReader(wanted);
  let detail: string | undefined;
  try {
    const result = await run('dpkg-deb', ['--fsys-tarfile', file], { onStdout: (chunk) => reader.push(chunk) });
    if (result.status === 0) reader.end();
    else detail = complaint(result);
  } catch (error) {
    if (error instanceof GuestError) throw error;
    detail = error instanceof Error ? error.message : String(error);
  }
  if (detail !== undefined) throw new GuestError('deb-damaged', { file, detail });
  return reader.files;
}

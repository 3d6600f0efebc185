/** Small files beside a recording, with what people add to it: `run.cvlog.marks`, `run.cvlog.notes`. Each is replaced as a whole; the recording itself is never written. */
import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { fileError } from './errors.ts';

const BYTES_MAX = 8 << 20;

/** `items`: undefined, with the reason, where what is there is not used. */
export interface Beside {
  readonly items: readonly unknown[] | undefined;
  readonly problem: string | undefined;
}

/** The list that the file has under `name`; empty if there is no file. id: of the recording; what is of another one is not used. */
export function readBeside(path: string, id: string, name: string): Beside {
  const not = (problem: string): Beside => ({ items: undefined, problem: `${path} ${problem}` });
  if (!existsSync(path)) return { items: [], problem: undefined };
  try {
    const { size } = statSync(path);
    if (size > BYTES_MAX) return not(`has ${size} bytes, more than a file of ${name} may have; it was not used, and a new one replaces it`);
    const file = JSON.parse(readFileSync(path, 'utf8')) as Readonly<Record<string, unknown>> | null;
    const items = file?.[name];
    if (file?.['format'] !== 1 || !Array.isArray(items)) return not(`is no file of ${name}; it was not used, and a new one replaces it`);
    if (file['recording'] !== id) return not('is of another recording; it was not used, and a new one replaces it');
    return { items, problem: undefined };
  } catch (error) {
    return not(`cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Throws StoreError. */
export function writeBeside(path: string, id: string, name: string, items: readonly unknown[]): void {
  const draft = `${path}.${process.pid}.part`;
  try {
    writeFileSync(draft, `${JSON.stringify({ format: 1, recording: id, [name]: items }, undefined, 2)}\n`);
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error instanceof Error && 'code' in error ? fileError(error, 'write', path, `the ${name} of the recording`) : error;
  }
}

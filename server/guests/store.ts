/**
 * The folder of guests: one folder a guest, with guest.json and the images it names. Images are named by their content and never
 * change; guest.json is replaced as a whole, and the one before it is kept beside it. All writes go to a temporary name, are
 * synced, and are then renamed.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { GuestError } from './errors.ts';

/** What guest.json holds. File names are relative to its folder. */
export interface Guest {
  readonly format: 1;
  readonly name: string;
  readonly kernel: string;
  readonly initrd: string;
  readonly commandLine: string;
  /** Default size of guest memory, bytes. */
  readonly memoryBytes: number;
  /** SHA-256 by file name. */
  readonly sha256: Readonly<Record<string, string>>;
  readonly packages: readonly { readonly name: string; readonly version: string; readonly sha256: string }[];
  /** SHA-256 of what our own code adds to the initrd: scripts, links, module list. */
  readonly recipe: string;
}

/** A guest with absolute paths. */
export interface StoredGuest {
  readonly folder: string;
  readonly guest: Guest;
  readonly kernelPath: string;
  readonly initrdPath: string;
}

const DESCRIPTION = 'guest.json';

/** `$CHRONOVISOR_HOME/guests`, or by the XDG base directories `~/.local/share/chronovisor/guests`. */
export function guestsFolder(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  const own = environment['CHRONOVISOR_HOME'];
  if (own !== undefined && own !== '') return join(own, 'guests');
  const data = environment['XDG_DATA_HOME'];
  // Relative paths there are to be ignored (XDG Base Directory Specification).
  const base = data?.startsWith('/') === true ? data : join(homedir(), '.local', 'share');
  return join(base, 'chronovisor', 'guests');
}

export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Reads and checks a description; the images are not read. Throws GuestError. */
export async function openGuest(name: string, guests: string = guestsFolder()): Promise<StoredGuest> {
  const folder = join(guests, name);
  const file = join(folder, DESCRIPTION);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (!isMissing(error)) throw error;
    throw new GuestError('guest-unknown', { name, folder: guests });
  }
  const guest = parseGuest(text, file);
  return { folder, guest, kernelPath: join(folder, guest.kernel), initrdPath: join(folder, guest.initrd) };
}

/** Names of the guests in the folder, sorted. */
export async function listGuests(guests: string = guestsFolder()): Promise<readonly string[]> {
  const names: string[] = [];
  let entries: readonly string[];
  try {
    entries = await readdir(guests);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
  for (const name of entries) {
    try {
      await openGuest(name, guests);
      names.push(name);
    } catch (error) {
      // Damaged ones are listed too: opening them says what is wrong.
      if (!(error instanceof GuestError)) continue;
      if (error.code === 'guest-damaged') names.push(name);
    }
  }
  return names.sort();
}

/** The bytes of an image of a guest, checked against guest.json. */
export async function readGuestImage(stored: StoredGuest, name: string): Promise<Uint8Array> {
  const file = join(stored.folder, name);
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (error) {
    if (!isMissing(error)) throw error;
    throw new GuestError('guest-damaged', { file: join(stored.folder, DESCRIPTION), detail: `${name} is missing` });
  }
  const expected = stored.guest.sha256[name] ?? 'none';
  const actual = sha256(bytes);
  if (actual !== expected) {
    throw new GuestError('checksum-wrong', { what: file, actual, expected, authority: DESCRIPTION });
  }
  return bytes;
}

/** Of an image with this SHA-256. */
export const storedImageName = (stem: string, hash: string, extension: string): string => `${stem}-${hash.slice(0, 12)}${extension}`;

/**
 * Writes an image under a name made of `stem`, its hash and `extension`, unless the same is there already.
 * Returns the name.
 */
export async function storeImage(folder: string, stem: string, extension: string, bytes: Uint8Array): Promise<string> {
  const hash = sha256(bytes);
  const name = storedImageName(stem, hash, extension);
  const file = join(folder, name);
  await mkdir(folder, { recursive: true });
  const existing = await readIfThere(file);
  if (existing === undefined) await writeWhole(file, bytes);
  else if (sha256(existing) !== hash) throw new GuestError('store-damaged', { file });
  return name;
}

/** Writes guest.json. A different one that is there is kept as guest-HASH.json, whose name is returned. */
export async function storeGuest(folder: string, guest: Guest): Promise<string | undefined> {
  const file = join(folder, DESCRIPTION);
  const text = `${JSON.stringify(guest, undefined, 2)}\n`;
  const existing = await readIfThere(file);
  if (existing !== undefined && sha256(existing) === sha256(text)) return undefined;
  let kept: string | undefined;
  if (existing !== undefined) {
    kept = `guest-${sha256(existing).slice(0, 12)}.json`;
    if ((await readIfThere(join(folder, kept))) === undefined) await writeWhole(join(folder, kept), existing);
  }
  await writeWhole(file, new TextEncoder().encode(text));
  return kept;
}

async function writeWhole(file: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${file}.${process.pid}.${randomBytes(4).toString('hex')}.part`;
  try {
    const handle = await open(temporary, 'wx', 0o644);
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

async function readIfThere(file: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(file);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

function parseGuest(text: string, file: string): Guest {
  const bad = (detail: string): GuestError => new GuestError('guest-damaged', { file, detail });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw bad('it is not JSON');
  }
  if (typeof value !== 'object' || value === null) throw bad('it is not an object');
  const fields = value as Readonly<Record<string, unknown>>;
  if (fields['format'] !== 1) throw bad(`its format is ${String(fields['format'])}, this version reads 1`);
  for (const key of ['name', 'kernel', 'initrd', 'commandLine', 'recipe']) {
    if (typeof fields[key] !== 'string') throw bad(`"${key}" is not a text`);
  }
  for (const key of ['kernel', 'initrd']) {
    if (/[/\\]/.test(fields[key] as string)) throw bad(`"${key}" is not a plain file name`);
  }
  if (!Number.isSafeInteger(fields['memoryBytes'])) throw bad('"memoryBytes" is not a whole number');
  const hashes = fields['sha256'];
  if (typeof hashes !== 'object' || hashes === null) throw bad('"sha256" is not an object');
  if (!Array.isArray(fields['packages'])) throw bad('"packages" is not a list');
  return value as Guest;
}

/** Files out of Debian packages, checked on the way: the .deb against apt's index or a manifest, what is taken out of a pinned one against the manifest. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Apt, AptPackage } from './apt.ts';
import { readDeb } from './deb.ts';
import { GuestError } from './errors.ts';
import type { PinnedPackage } from './manifest.ts';
import { sha256 } from './store.ts';

export interface Source {
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
  /** Undefined for a version that is not the pinned one. */
  readonly pinned: PinnedPackage | undefined;
}

export interface SourceOptions {
  /** Take the newest version in the archive rather than the pinned one. */
  readonly latest?: boolean | undefined;
  /** A folder of .deb files to use instead of apt; they are checked against the manifest. */
  readonly debs?: string | undefined;
}

/** Decides which version to take. `metaPackage`: depends on the newest version where that has another name. */
export async function resolvePackage(
  apt: Apt,
  pin: PinnedPackage,
  options: SourceOptions,
  metaPackage: string | undefined,
): Promise<Source> {
  const pinned: Source = { name: pin.package, version: pin.version, sha256: pin.sha256, pinned: pin };
  if (options.debs !== undefined) return pinned;
  if (options.latest === true) {
    await updateOnce(apt);
    const newest = await findNewest(apt, pin.package, metaPackage);
    if (newest === undefined) throw new GuestError('package-unknown', { package: metaPackage ?? pin.package });
    if (newest.name === pin.package && newest.version === pin.version) {
      checkSum(pin.package, newest.sha256, pin.sha256, 'manifest.json');
      return pinned;
    }
    return { name: newest.name, version: newest.version, sha256: newest.sha256, pinned: undefined };
  }
  const found = await apt.find(pin.package, pin.version);
  if (found === undefined) {
    const newest = await findNewest(apt, pin.package, metaPackage);
    if (newest === undefined) throw new GuestError('package-unknown', { package: pin.package });
    throw new GuestError('pinned-version-gone', {
      package: pin.package,
      version: pin.version,
      newest: ` (the newest is ${newest.name} ${newest.version})`,
    });
  }
  checkSum(`${pin.package} in apt's index`, found.sha256, pin.sha256, 'manifest.json');
  return pinned;
}

const updatedApts = new WeakSet<Apt>();
async function updateOnce(apt: Apt): Promise<void> {
  if (updatedApts.has(apt)) return;
  updatedApts.add(apt);
  await apt.update();
}

/** The candidate of a package, or of the kernel package that a meta-package depends on (its name has the ABI number). */
async function findNewest(apt: Apt, name: string, metaPackage: string | undefined): Promise<AptPackage | undefined> {
  if (metaPackage === undefined) return apt.find(name);
  const meta = await apt.find(metaPackage);
  const current = meta === undefined ? undefined : /\b(linux-image-[0-9][^ ,(]*)/.exec(meta.depends)?.[1];
  return current === undefined ? undefined : apt.find(current);
}

/** Gets the .deb, checks it, and takes the wanted files out, checked too if the version is the pinned one. */
export async function unpack(
  apt: Apt,
  source: Source,
  debs: string | undefined,
  wanted: (path: string) => boolean,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const file =
    debs === undefined
      ? await apt.download(source.name, source.version)
      : await findDeb(debs, source, apt.architecture);
  const authority = debs === undefined ? "apt's signed index" : 'manifest.json';
  checkSum(file, sha256(await readFile(file)), source.sha256, authority);
  const files = await readDeb(file, wanted);
  for (const [path, expected] of Object.entries(source.pinned?.files ?? {})) {
    const bytes = take(source, files, path, path);
    checkSum(`${path} in ${source.name}`, sha256(bytes), expected, 'manifest.json');
  }
  return files;
}

/** apt writes a colon in a version as %3a in file names. */
async function findDeb(folder: string, source: Source, architecture: string): Promise<string> {
  const plain = `${source.name}_${source.version}_${architecture}.deb`;
  const withoutEpoch = `${source.name}_${source.version.replace(/^\d+:/, '')}_${architecture}.deb`;
  const names = await readdir(folder);
  const name = [plain, plain.replace(':', '%3a'), withoutEpoch].find((one) => names.includes(one));
  if (name === undefined) {
    throw new GuestError('deb-missing', { package: source.name, version: source.version, folder });
  }
  return join(folder, name);
}

export function take(
  source: Source,
  files: ReadonlyMap<string, Uint8Array>,
  path: string | undefined,
  what: string,
): Uint8Array {
  const bytes = path === undefined ? undefined : files.get(path);
  if (bytes === undefined) {
    throw new GuestError('package-file-missing', { package: source.name, version: source.version, path: what });
  }
  return bytes;
}

/** Throws unless they are equal; `authority` is who says what was expected. */
export function checkSum(what: string, actual: string, expected: string, authority: string): void {
  if (actual !== expected) throw new GuestError('checksum-wrong', { what, actual, expected, authority });
}

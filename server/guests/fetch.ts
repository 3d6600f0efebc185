/**
 * Fetches the Linux guest: Debian's kernel and static busybox as packages through the host's apt, checked twice (by apt's signed
 * indices and by manifest.json), and an initrd of our own around them.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Apt, type AptPackage } from './apt.ts';
import { readDeb } from './deb.ts';
import { GuestError } from './errors.ts';
import { BUSYBOX_APPLETS, makeInitrd, moduleDependencies, VIRTIO_MODULES } from './initrd.ts';
import { type LinuxFlavour, MANIFEST, type PinnedPackage } from './manifest.ts';
import { INIT, VIRTIO, WORK } from './scripts.ts';
import {
  type Guest,
  guestsFolder,
  openGuest,
  readGuestImage,
  sha256,
  type StoredGuest,
  storeGuest,
  storeImage,
} from './store.ts';

export interface FetchOptions {
  /** `cloud` (guest "linux", the default) or `full` (guest "linux-full"). */
  readonly flavour?: LinuxFlavour | undefined;
  /** Take the newest version in the archive rather than the pinned one. */
  readonly latest?: boolean | undefined;
  /** A folder of .deb files to use instead of apt; they are checked against the manifest. */
  readonly debs?: string | undefined;
  /** The folder of guests; guestsFolder() if undefined. */
  readonly guests?: string | undefined;
  /** Takes a line for each step. */
  readonly log?: ((line: string) => void) | undefined;
}

export interface FetchReport extends StoredGuest {
  /** False if all was there already. */
  readonly changed: boolean;
}

/** Source: the reference of this project, abi.md 2.3, "Suggested command line". */
export const LINUX_COMMAND_LINE =
  'console=ttyS0 quiet panic=1 reboot=t cryptomgr.notests=1 noreplace-smp nokaslr pci=off';
const LINUX_MEMORY_BYTES = 256 << 20;
const GUEST_NAMES: Readonly<Record<LinuxFlavour, string>> = { cloud: 'linux', full: 'linux-full' };
const BUSYBOX_PATH = 'bin/busybox';

/** What our own code puts into an initrd, as one hash. */
export const RECIPE: string = sha256(JSON.stringify([INIT, VIRTIO, WORK, BUSYBOX_APPLETS, VIRTIO_MODULES]));

interface Source {
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
  /** Undefined for a version that is not the pinned one. */
  readonly pinned: PinnedPackage | undefined;
}

export async function fetchLinux(options: FetchOptions = {}): Promise<FetchReport> {
  const flavour = options.flavour ?? 'cloud';
  const log = options.log ?? (() => {});
  const guests = options.guests ?? guestsFolder();
  const name = GUEST_NAMES[flavour];
  const kernelPin = MANIFEST.kernels[flavour];
  const busyboxPin = MANIFEST.busybox;

  if (options.latest !== true) {
    const present = await presentGuest(name, guests, [kernelPin, busyboxPin]);
    if (present !== undefined) {
      log(`${name} is there already: ${present.folder}`);
      return { ...present, changed: false };
    }
  }

  const scratch = await mkdtemp(join(tmpdir(), 'chronovisor-'));
  try {
    const apt = new Apt(scratch, MANIFEST.architecture, log);
    const kernel = await resolve(apt, kernelPin, options, kernelPin.metaPackage);
    const busybox = await resolve(apt, busyboxPin, options, undefined);
    for (const source of [kernel, busybox]) {
      if (source.pinned === undefined) {
        log(`${source.name} ${source.version} is newer than the pinned version: only apt vouches for it`);
      }
    }

    const kernelFiles = await unpack(apt, kernel, options, (path) => {
      const isModule = path.startsWith('lib/modules/') && VIRTIO_MODULES.includes(basename(path, '.ko'));
      return path.startsWith('boot/vmlinuz-') || (isModule && path.endsWith('.ko'));
    });
    const busyboxFiles = await unpack(apt, busybox, options, (path) => path === BUSYBOX_PATH);

    const kernelPath = [...kernelFiles.keys()].find((path) => path.startsWith('boot/vmlinuz-'));
    const image = take(kernel, kernelFiles, kernelPath, 'boot/vmlinuz-*');
    const modules = orderedModules(kernel, kernelFiles);
    const initrd = makeInitrd({ busybox: take(busybox, busyboxFiles, BUSYBOX_PATH, BUSYBOX_PATH), modules });

    const folder = join(guests, name);
    const kernelName = await storeImage(folder, basename(kernelPath ?? 'vmlinuz'), '', image);
    const initrdName = await storeImage(folder, 'initrd', '.cpio', initrd);
    const guest: Guest = {
      format: 1,
      name,
      kernel: kernelName,
      initrd: initrdName,
      commandLine: LINUX_COMMAND_LINE,
      memoryBytes: LINUX_MEMORY_BYTES,
      sha256: { [kernelName]: sha256(image), [initrdName]: sha256(initrd) },
      packages: [kernel, busybox].map((source) => ({
        name: source.name,
        version: source.version,
        sha256: source.sha256,
      })),
      recipe: RECIPE,
    };
    const kept = await storeGuest(folder, guest);
    if (kept !== undefined) log(`the description before is kept as ${kept}`);
    log(`${name}: ${join(folder, kernelName)}, ${initrdName}`);
    return { ...(await openGuest(name, guests)), changed: true };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The guest, if it is made of exactly the pinned packages by this version's recipe and its files are whole. */
async function presentGuest(
  name: string,
  guests: string,
  pins: readonly PinnedPackage[],
): Promise<StoredGuest | undefined> {
  try {
    const stored = await openGuest(name, guests);
    const { guest } = stored;
    const same =
      guest.recipe === RECIPE &&
      guest.commandLine === LINUX_COMMAND_LINE &&
      guest.packages.length === pins.length &&
      pins.every((pin, index) => guest.packages[index].sha256 === pin.sha256);
    if (!same) return undefined;
    await readGuestImage(stored, guest.kernel);
    await readGuestImage(stored, guest.initrd);
    return stored;
  } catch (error) {
    // Missing or damaged: fetch again. Image names are hashes, so damage is reported when the image is stored.
    if (error instanceof GuestError) return undefined;
    throw error;
  }
}

/** Decides which version to take. */
async function resolve(
  apt: Apt,
  pin: PinnedPackage,
  options: FetchOptions,
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
async function unpack(
  apt: Apt,
  source: Source,
  options: FetchOptions,
  wanted: (path: string) => boolean,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const file =
    options.debs === undefined
      ? await apt.download(source.name, source.version)
      : await findDeb(options.debs, source);
  const authority = options.debs === undefined ? "apt's signed index" : 'manifest.json';
  checkSum(file, sha256(await readFile(file)), source.sha256, authority);
  const files = await readDeb(file, wanted);
  for (const [path, expected] of Object.entries(source.pinned?.files ?? {})) {
    const bytes = take(source, files, path, path);
    checkSum(`${path} in ${source.name}`, sha256(bytes), expected, 'manifest.json');
  }
  return files;
}

/** apt writes a colon in a version as %3a in file names. */
async function findDeb(folder: string, source: Source): Promise<string> {
  const plain = `${source.name}_${source.version}_${MANIFEST.architecture}.deb`;
  const withoutEpoch = `${source.name}_${source.version.replace(/^\d+:/, '')}_${MANIFEST.architecture}.deb`;
  const names = await readdir(folder);
  const name = [plain, plain.replace(':', '%3a'), withoutEpoch].find((one) => names.includes(one));
  if (name === undefined) {
    throw new GuestError('deb-missing', { package: source.name, version: source.version, folder });
  }
  return join(folder, name);
}

function orderedModules(
  source: Source,
  files: ReadonlyMap<string, Uint8Array>,
): readonly { readonly name: string; readonly bytes: Uint8Array }[] {
  const loaded = new Set<string>();
  return VIRTIO_MODULES.map((name) => {
    const path = [...files.keys()].find((one) => basename(one) === `${name}.ko`);
    const bytes = take(source, files, path, `${name}.ko`);
    for (const needs of moduleDependencies(bytes)) {
      if (!loaded.has(needs)) {
        throw new GuestError('module-order', { module: name, package: source.name, version: source.version, needs });
      }
    }
    loaded.add(name.replaceAll('-', '_'));
    return { name, bytes };
  });
}

function take(
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

function checkSum(what: string, actual: string, expected: string, authority: string): void {
  if (actual !== expected) throw new GuestError('checksum-wrong', { what, actual, expected, authority });
}

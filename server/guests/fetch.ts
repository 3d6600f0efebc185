/**
 * Fetches the Linux guest: Debian's kernel and static busybox as packages through the host's apt, checked twice (by apt's signed
 * indices and by manifest.json), and an initrd of our own around them.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Apt } from './apt.ts';
import { GuestError } from './errors.ts';
import { BUSYBOX_APPLETS, makeInitrd, moduleDependencies, VIRTIO_MODULES } from './initrd.ts';
import { type LinuxFlavour, MANIFEST, type PinnedPackage } from './manifest.ts';
import { resolvePackage, type Source, type SourceOptions, take, unpack } from './packages.ts';
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

export interface FetchOptions extends SourceOptions {
  /** `cloud` (guest "linux", the default) or `full` (guest "linux-full"). */
  readonly flavour?: LinuxFlavour | undefined;
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
    const kernel = await resolvePackage(apt, kernelPin, options, kernelPin.metaPackage);
    const busybox = await resolvePackage(apt, busyboxPin, options, undefined);
    for (const source of [kernel, busybox]) {
      if (source.pinned === undefined) {
        log(`${source.name} ${source.version} is newer than the pinned version: only apt vouches for it`);
      }
    }

    const kernelFiles = await unpack(apt, kernel, options.debs, (path) => {
      const isModule = path.startsWith('lib/modules/') && VIRTIO_MODULES.includes(basename(path, '.ko'));
      return path.startsWith('boot/vmlinuz-') || (isModule && path.endsWith('.ko'));
    });
    const busyboxFiles = await unpack(apt, busybox, options.debs, (path) => path === BUSYBOX_PATH);

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

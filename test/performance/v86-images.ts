/** What v86 runs: Debian's 32-bit kernel, the same initrd made with 32-bit busybox, and SeaBIOS. Fetched through apt as pinned packages and kept beside the guests. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { Apt } from '../../server/guests/apt.ts';
import { makeInitrd } from '../../server/guests/initrd.ts';
import { MANIFEST, type PinnedPackage } from '../../server/guests/manifest.ts';
import { resolvePackage, unpack } from '../../server/guests/packages.ts';
import { guestsFolder, sha256, storeImage, storedImageName } from '../../server/guests/store.ts';
import { withBenchScript } from './guest.ts';

export interface V86Images {
  readonly kernel: Uint8Array;
  readonly initrd: Uint8Array;
  readonly bios: Uint8Array;
  readonly vgaBios: Uint8Array;
}

const { architecture, kernel, busybox, firmware } = MANIFEST.v86;
const folder = (): string => join(dirname(guestsFolder()), 'peers', 'v86');

async function kept(path: string, hash: string): Promise<Uint8Array | undefined> {
  try {
    const bytes = await readFile(join(folder(), storedImageName(basename(path), hash, '')));
    return sha256(bytes) === hash ? bytes : undefined;
  } catch {
    return undefined;
  }
}

/** The pinned files of a package by path, from the folder or else by apt. */
async function filesOf(pin: PinnedPackage, apt: Apt): Promise<ReadonlyMap<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const [path, hash] of Object.entries(pin.files)) {
    const bytes = await kept(path, hash);
    if (bytes !== undefined) files.set(path, bytes);
  }
  if (files.size === Object.keys(pin.files).length) return files;
  const fetched = await unpack(apt, await resolvePackage(apt, pin, {}, undefined), undefined, (path) => path in pin.files);
  for (const [path, bytes] of fetched) await storeImage(folder(), basename(path), '', bytes);
  return fetched;
}

/** Throws GuestError. */
export async function loadV86Images(log: (line: string) => void): Promise<V86Images> {
  const scratch = await mkdtemp(join(tmpdir(), 'chronovisor-'));
  try {
    const apt = new Apt(scratch, architecture, log);
    const files = new Map([...(await filesOf(kernel, apt)), ...(await filesOf(busybox, apt)), ...(await filesOf(firmware, apt))]);
    const named = (end: RegExp): Uint8Array => [...files].find(([path]) => end.test(path))![1];
    return {
      kernel: named(/\/vmlinuz-/),
      initrd: withBenchScript(makeInitrd({ busybox: named(/\/busybox$/), modules: [] })),
      bios: named(/\/bios\.bin$/),
      vgaBios: named(/\/vgabios-stdvga\.bin$/),
    };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The lab's own guests: images in git, named by engine/guests/images/manifest.json. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isElf, parseElf } from '../../engine/machine/boot/elf.ts';
import { sha256 } from '../guests/store.ts';
import { StoreError } from './errors.ts';
import { readImage } from './files.ts';
import { ownPackage } from './package-root.ts';

export interface LabImage {
  readonly name: string;
  readonly description: string;
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly memoryBytes: number;
  readonly commandLine: string;
  /** It boots under this regime only; undefined: on the bare machine. */
  readonly regime?: 'para';
}

/** What people type for the kernel without a planted bug. */
export const LAB_GUEST = 'lab';
/** The same kernel, built for the VMM of engine/regimes/para. */
export const LAB_PV_GUEST = 'lab-pv';

export function imagesFolder(): string {
  return join(ownPackage().root, 'engine', 'guests', 'images');
}

/** The bugged variants and the paravirtual build too. The first is the default guest. */
export function labImages(folder: string = imagesFolder()): readonly LabImage[] {
  const file = join(folder, 'manifest.json');
  if (!existsSync(file)) return [];
  interface Entry { readonly name: string; readonly file: string; readonly description: string; readonly sha256: string; readonly bytes: number; readonly memoryMib: number; readonly commandLine: string }
  const { images, paravirtual } = JSON.parse(readFileSync(file, 'utf8')) as { images: readonly Entry[]; paravirtual: readonly Entry[] };
  return [...images, ...paravirtual].map((image, i) => ({
    name: image.name === 'lab-kernel' ? LAB_GUEST : image.name,
    description: image.description,
    path: join(folder, image.file),
    sha256: image.sha256,
    bytes: image.bytes,
    memoryBytes: image.memoryMib * 0x100000,
    commandLine: image.commandLine,
    ...(i >= images.length && { regime: 'para' as const }),
  }));
}

/**
 * The lab's image that has the symbols of a recorded kernel: the same file, or one with the same code. Lines move in the debug information whenever a comment of the sources does, and what runs stays.
 * `recorded`: the kernel, if the recording holds it.
 */
export function labSymbols(hash: string, recorded: Uint8Array | undefined, images: readonly LabImage[] = labImages()): LabImage | undefined {
  const same = images.find((image) => image.sha256 === hash);
  if (same !== undefined || recorded === undefined || !isElf(recorded)) return same;
  return images.find((image) => hasSameCode(recorded, readLabImage(image)));
}

/** Whether two ELF files place the same bytes. Throws BootError for what is no sound ELF file. */
function hasSameCode(a: Uint8Array, b: Uint8Array): boolean {
  const [first, second] = [a, b].map((bytes) => parseElf(bytes).loads.map(({ paddr, vaddr, flags, offset, fileSize, memorySize }) => ({ paddr, vaddr, flags, memorySize, bytes: bytes.subarray(offset, offset + fileSize) })));
  return (
    first.length === second.length &&
    first.every((load, i) => {
      const other = second[i];
      return load.paddr === other.paddr && load.vaddr === other.vaddr && load.flags === other.flags && load.memorySize === other.memorySize && Buffer.compare(load.bytes, other.bytes) === 0;
    })
  );
}

/** Throws StoreError if the file is not what the manifest says. */
export function readLabImage(image: LabImage): Uint8Array {
  const bytes = readImage(image.path, `the guest ${image.name}`);
  const hash = sha256(bytes);
  if (hash !== image.sha256) {
    throw new StoreError('guest-image-damaged', { file: image.path, manifest: 'manifest.json', detail: `SHA-256 ${hash}, expected ${image.sha256}` });
  }
  return bytes;
}

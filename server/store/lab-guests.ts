/** The lab's own guests: images in git, named by engine/guests/images/manifest.json. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
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
}

/** What people type for the kernel without a planted bug. */
export const LAB_GUEST = 'lab';

export function imagesFolder(): string {
  return join(ownPackage().root, 'engine', 'guests', 'images');
}

/** The bugged variants too. The first is the default guest. */
export function labImages(folder: string = imagesFolder()): readonly LabImage[] {
  const file = join(folder, 'manifest.json');
  if (!existsSync(file)) return [];
  const { images } = JSON.parse(readFileSync(file, 'utf8')) as {
    images: readonly { name: string; file: string; description: string; sha256: string; bytes: number; memoryMib: number; commandLine: string }[];
  };
  return images.map((image) => ({
    name: image.name === 'lab-kernel' ? LAB_GUEST : image.name,
    description: image.description,
    path: join(folder, image.file),
    sha256: image.sha256,
    bytes: image.bytes,
    memoryBytes: image.memoryMib * 0x100000,
    commandLine: image.commandLine,
  }));
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

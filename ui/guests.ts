/** The lab's own guests, as they are built into the pages. */
import manifest from '../engine/guests/images/manifest.json' with { type: 'json' };

export interface GuestImage {
  readonly name: string;
  readonly description: string;
  readonly memoryBytes: number;
  readonly commandLine: string;
  readonly url: string;
}

// Vite makes an asset of each file that the pattern matches.
const url = (file: string): string => new URL(`../engine/guests/images/${file}.elf`, import.meta.url).href;

export const GUESTS: readonly GuestImage[] = manifest.images.map(({ name, file, description, memoryMib, commandLine }) => ({
  name,
  description,
  memoryBytes: memoryMib * 2 ** 20,
  commandLine,
  url: url(file.replace(/\.elf$/, '')),
}));

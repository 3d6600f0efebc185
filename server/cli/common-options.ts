/** Options that several verbs share. */
import type { ImagePlaces } from '../store/guest-images.ts';
import type { Arguments, OptionSpec } from './arguments.ts';

export const JSON_OPTION: OptionSpec = { name: 'json', help: 'one JSON object on stdout, for scripts' };
export const QUIET_OPTION: OptionSpec = { name: 'quiet', short: 'q', help: 'errors only: no console, no progress, no summary' };

export const PARENT_OPTION: OptionSpec = { name: 'parent', value: 'FILE', help: 'of a branch: the recording that it goes on from, if it is not in its folder', multiple: true };

/** Where the images of a recording are, when they are not in it. */
export const IMAGE_OPTIONS: readonly OptionSpec[] = [
  { name: 'kernel', value: 'FILE', help: 'the kernel that was recorded' },
  { name: 'initrd', value: 'FILE', help: 'the initrd that was recorded' },
  { name: 'disk', value: 'FILE', help: 'the disk image that was recorded' },
  { name: 'images', value: 'FOLDER', help: 'a folder with them, under any names' },
  PARENT_OPTION,
];

export function imagePlaces(parsed: Arguments): ImagePlaces {
  return { kernel: parsed.text('kernel'), initrd: parsed.text('initrd'), disk: parsed.text('disk'), folder: parsed.text('images') };
}

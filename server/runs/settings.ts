/** What to record, checked and made complete: the recipe and the images. Runs in the thread that records. */
import type { VirtioKind } from '../../engine/machine/machine.ts';
import type { RunSettings } from '../../engine/protocol/lab.ts';
import type { Recipe, RunImages } from '../../engine/recording/recipe.ts';
import { wallClockNs } from '../cli/host.ts';
import { openNamedGuest } from '../store/guest-images.ts';
import { RecipeSettingError, guestFor, recipeOf } from '../store/guest-recipe.ts';
import { ProblemError } from './problem.ts';

/** Without an image there is no disk. */
const VIRTIO_KINDS: readonly VirtioKind[] = ['console', 'net', 'rng'];
export const MEMORY_BYTES_MIN = 4 << 20;

function wrong(message: string): never {
  throw new ProblemError({ code: 'bad-settings', message, advice: 'change the settings of the run' });
}

/** Throws ProblemError, StoreError, GuestError. */
export async function runOf(settings: RunSettings, memoryBytesMax: number): Promise<{ readonly recipe: Recipe; readonly images: RunImages }> {
  const guest = guestFor(settings.guest, settings.regime);
  const named = await openNamedGuest(guest);
  const memoryBytes = settings.memoryBytes ?? named.memoryBytes;
  if (memoryBytes % 4096 !== 0 || memoryBytes < MEMORY_BYTES_MIN) wrong(`memory of ${memoryBytes} bytes: give a multiple of 4096, at least ${MEMORY_BYTES_MIN}`);
  if (memoryBytes > memoryBytesMax) wrong(`memory of ${memoryBytes} bytes is more than the ${memoryBytesMax} that this server gives a guest`);
  try {
    const recipe = recipeOf({ ...settings, guest, named, memoryBytes, virtio: virtioOf(settings.virtio ?? []), wallClockNs: settings.wallClockNs ?? wallClockNs() });
    return { recipe, images: { kernel: named.kernel, initrd: named.initrd } };
  } catch (error) {
    if (!(error instanceof RecipeSettingError)) throw error;
    return wrong(error.message);
  }
}

function virtioOf(names: readonly string[]): readonly VirtioKind[] {
  return names.map((name) => VIRTIO_KINDS.find((each) => each === name) ?? wrong(`virtio: "${name}" is not one of ${VIRTIO_KINDS.join(', ')}, which a run of the lab can have`));
}

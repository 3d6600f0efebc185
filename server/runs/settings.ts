/** What to record, checked and made complete: the recipe and the images. Runs in the thread that records. */
import type { RunSettings } from '../../engine/protocol/lab.ts';
import type { BootChoice } from '../../engine/machine/boot/plan.ts';
import { DEFAULT_ACCESS_COST_NS, type VirtioKind } from '../../engine/machine/machine.ts';
import { PARAVIRT_KINDS } from '../../engine/machine/paravirt/paravirt.ts';
import { virtioArgument } from '../../engine/devices/virtio/mmio.ts';
import { DEFAULT_DIGEST_INSTRUCTIONS, DEFAULT_EPOCH_INSTRUCTIONS, PARAVIRT_REGIMES, PARA_REGIME, RECORDED_REGIMES, type Recipe, type RunImages } from '../../engine/recording/recipe.ts';
import { wallClockNs } from '../cli/host.ts';
import { openNamedGuest } from '../store/guest-images.ts';
import { LAB_GUEST, LAB_PV_GUEST } from '../store/lab-guests.ts';
import { ProblemError } from './problem.ts';

/** Without an image there is no disk. */
const VIRTIO_KINDS: readonly VirtioKind[] = ['console', 'net', 'rng'];
export const MEMORY_BYTES_MIN = 4 << 20;

function wrong(message: string): never {
  throw new ProblemError({ code: 'bad-settings', message, advice: 'change the settings of the run' });
}

/** Throws ProblemError, StoreError, GuestError. */
export async function runOf(settings: RunSettings, memoryBytesMax: number): Promise<{ readonly recipe: Recipe; readonly images: RunImages }> {
  // The lab kernel has a build of its own for the paravirtual machine.
  const guestName = settings.regime === PARA_REGIME && settings.guest === LAB_GUEST ? LAB_PV_GUEST : settings.guest;
  const named = await openNamedGuest(guestName);
  const regime = settings.regime ?? named.regime ?? 'native';
  if (!RECORDED_REGIMES.includes(regime)) wrong(`"${regime}" is no regime to record under: there are ${RECORDED_REGIMES.join(', ')}`);
  if (regime === PARA_REGIME && named.regime !== PARA_REGIME) wrong(`the guest ${guestName} has no build for the regime ${PARA_REGIME}: ${LAB_GUEST} has one`);
  if (regime !== PARA_REGIME && named.regime === PARA_REGIME) wrong(`the guest ${guestName} boots under the regime ${PARA_REGIME} only`);
  const virtio = virtioOf(settings.virtio ?? []);
  if (regime === PARA_REGIME && (virtio.length > 0 || settings.acpi === true)) wrong(`the regime ${PARA_REGIME} has neither ACPI nor virtio devices`);
  const pv = PARAVIRT_KINDS.find((kind) => kind === settings.pv);
  if (settings.pv !== undefined && pv === undefined) wrong(`"${settings.pv}" is no paravirtual interface: there are ${PARAVIRT_KINDS.join(', ')}`);
  if (pv !== undefined && !PARAVIRT_REGIMES.includes(regime)) wrong(`the paravirtual interface ${pv} is offered under ${PARAVIRT_REGIMES.join(' or ')}`);
  const memoryBytes = settings.memoryBytes ?? named.memoryBytes;
  if (memoryBytes % 4096 !== 0 || memoryBytes < MEMORY_BYTES_MIN) wrong(`memory of ${memoryBytes} bytes: give a multiple of 4096, at least ${MEMORY_BYTES_MIN}`);
  if (memoryBytes > memoryBytesMax) wrong(`memory of ${memoryBytes} bytes is more than the ${memoryBytesMax} that this server gives a guest`);
  // Debian's kernel finds virtio-mmio devices through ACPI only; the lab kernel by its command line.
  const acpi = settings.acpi ?? (virtio.length > 0 && !named.isLab && regime !== PARA_REGIME);
  const plain = settings.commandLine ?? named.commandLine;
  const commandLine = acpi || plain.includes('virtio_mmio.device=') ? plain : [plain, ...virtio.map((_, slot) => virtioArgument(slot))].filter((text) => text !== '').join(' ');
  return {
    images: { kernel: named.kernel, initrd: named.initrd },
    recipe: {
      guest: guestName,
      commandLine,
      protocol: 'auto' satisfies BootChoice,
      regime,
      machine: {
        memoryBytes, acpi, virtio,
        seed: seedOf(settings.seed ?? '1'),
        wallClockNs: settings.wallClockNs ?? wallClockNs(),
        accessCostNs: DEFAULT_ACCESS_COST_NS,
        counts: true,
        ...(pv !== undefined && { pv }),
      },
      epochInstructions: settings.epochInstructions ?? DEFAULT_EPOCH_INSTRUCTIONS,
      digestInstructions: settings.digestInstructions ?? DEFAULT_DIGEST_INSTRUCTIONS,
    },
  };
}

function virtioOf(names: readonly string[]): readonly VirtioKind[] {
  return names.map((name, i) => {
    const kind = VIRTIO_KINDS.find((each) => each === name);
    if (kind === undefined) wrong(`"${name}" is no virtio device that a run of the lab can have: there are ${VIRTIO_KINDS.join(', ')}`);
    if (names.indexOf(name) !== i) wrong(`the virtio device ${name} is named twice`);
    return kind;
  });
}

function seedOf(text: string): string {
  if (!/^(\d{1,20}|0x[0-9a-fA-F]{1,16})$/.test(text) || BigInt(text) >= 1n << 64n) wrong(`"${text}" is no seed: give a whole number below 2^64, decimal or 0x...`);
  return BigInt(text).toString(16).padStart(16, '0');
}

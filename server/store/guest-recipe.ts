/** What somebody asked to record, checked and made complete: for the command line and for runs of the server. */
import { virtioArgument } from '../../engine/devices/virtio/mmio.ts';
import type { BootChoice } from '../../engine/machine/boot/plan.ts';
import { DEFAULT_ACCESS_COST_NS, type VirtioKind } from '../../engine/machine/machine.ts';
import { PARAVIRT_KINDS } from '../../engine/machine/paravirt/paravirt.ts';
import { DEFAULT_DIGEST_INSTRUCTIONS, DEFAULT_EPOCH_INSTRUCTIONS, PARAVIRT_REGIMES, PARA_REGIME, RECORDED_REGIMES, type Recipe } from '../../engine/recording/recipe.ts';
import type { NamedGuest } from './guest-images.ts';
import { LAB_GUEST, LAB_PV_GUEST } from './lab-guests.ts';

/** Of a kernel that is given as a file. */
const DEFAULT_MEMORY_BYTES = 256 << 20;
const DEFAULT_SEED = '1';

export interface RecipeAsked {
  /** Its name in the log. */
  readonly guest: string;
  /** Undefined: a kernel that was given as a file. */
  readonly named: NamedGuest | undefined;
  readonly commandLine?: string | undefined;
  readonly memoryBytes?: number | undefined;
  readonly protocol?: BootChoice | undefined;
  readonly regime?: string | undefined;
  /** Of a hypervisor. */
  readonly pv?: string | undefined;
  readonly acpi?: boolean | undefined;
  /** In the order of their slots. */
  readonly virtio: readonly VirtioKind[];
  /** Decimal or 0x... */
  readonly seed?: string | undefined;
  readonly wallClockNs: string;
  readonly epochInstructions?: number | undefined;
  readonly digestInstructions?: number | undefined;
  /** In the dirty sets: the first write to each page, and which pages are zeros. */
  readonly firstWrites?: boolean | undefined;
}

/** A setting that cannot be. The message begins with its name, which is that of the option as well. */
export class RecipeSettingError extends Error {
  constructor(setting: 'regime' | 'pv' | 'virtio' | 'acpi' | 'seed', text: string) {
    super(`${setting} ${text}`);
  }
}

/** The lab kernel has a build of its own for the paravirtual machine. */
export function guestFor(guest: string, regime: string | undefined): string {
  return regime === PARA_REGIME && guest === LAB_GUEST ? LAB_PV_GUEST : guest;
}

/** Throws RecipeSettingError. */
export function recipeOf(asked: RecipeAsked): Recipe {
  const { guest, named, virtio, pv } = asked;
  const regime = asked.regime ?? named?.regime ?? 'native';
  const wrong = (...what: ConstructorParameters<typeof RecipeSettingError>): never => {
    throw new RecipeSettingError(...what);
  };
  if (!RECORDED_REGIMES.includes(regime)) wrong('regime', `"${regime}" is not one of ${RECORDED_REGIMES.join(', ')}`);
  if (named !== undefined && regime === PARA_REGIME && named.regime !== PARA_REGIME) wrong('regime', `${regime}: the guest ${guest} has no build for it, ${LAB_GUEST} has one`);
  if (named?.regime === PARA_REGIME && regime !== PARA_REGIME) wrong('regime', `${regime}: the guest ${guest} boots under ${PARA_REGIME} only`);
  if (regime === PARA_REGIME && virtio.length > 0) wrong('virtio', `does not go with the regime ${PARA_REGIME}: its guest has a console and a disk`);
  if (regime === PARA_REGIME && asked.acpi === true) wrong('acpi', `does not go with the regime ${PARA_REGIME}`);
  if (new Set(virtio).size !== virtio.length) wrong('virtio', 'names a device twice');
  const kind = PARAVIRT_KINDS.find((each) => each === pv);
  if (pv !== undefined && kind === undefined) wrong('pv', `"${pv}" is not one of ${PARAVIRT_KINDS.join(', ')}`);
  if (kind !== undefined && !PARAVIRT_REGIMES.includes(regime)) wrong('pv', `${kind}: it is the interface of a hypervisor on hardware assistance, offered under the regimes ${PARAVIRT_REGIMES.join(' and ')}`);
  // Debian's kernel finds virtio-mmio devices through ACPI only; the lab kernel by its command line.
  const acpi = asked.acpi ?? (virtio.length > 0 && named?.isLab !== true);
  const plain = asked.commandLine ?? named?.commandLine ?? '';
  const commandLine = acpi || plain.includes('virtio_mmio.device=') ? plain : [plain, ...virtio.map((_, slot) => virtioArgument(slot))].filter((text) => text !== '').join(' ');
  return {
    guest,
    commandLine,
    protocol: asked.protocol ?? 'auto',
    regime,
    machine: {
      memoryBytes: asked.memoryBytes ?? named?.memoryBytes ?? DEFAULT_MEMORY_BYTES,
      acpi, virtio,
      seed: seedOf(asked.seed ?? DEFAULT_SEED),
      wallClockNs: asked.wallClockNs,
      accessCostNs: DEFAULT_ACCESS_COST_NS,
      counts: true,
      ...(asked.firstWrites === true && { firstWrites: true }),
      ...(kind !== undefined && { pv: kind }),
    },
    epochInstructions: asked.epochInstructions ?? DEFAULT_EPOCH_INSTRUCTIONS,
    digestInstructions: asked.digestInstructions ?? DEFAULT_DIGEST_INSTRUCTIONS,
  }; // prettier-ignore
}

function seedOf(text: string): string {
  if (!/^(\d{1,20}|0x[0-9a-fA-F]{1,16})$/.test(text) || BigInt(text) >= 1n << 64n) throw new RecipeSettingError('seed', `"${text}" is not a whole number below 2^64, decimal or 0x...`);
  return BigInt(text).toString(16).padStart(16, '0');
}

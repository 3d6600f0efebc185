/**
 * What a run is made from, and the machine made from it. The recorder writes it into the log's header; the replayer reads it
 * there. Both build the machine by the same function, so that nothing can differ but the source of the inputs.
 */
import { planBoot } from '../machine/boot/select.ts';
import type { BootChoice, BootPlan } from '../machine/boot/plan.ts';
import type { Decompress } from '../machine/boot/bzimage.ts';
import { DEFAULT_ACCESS_COST_NS, MACHINE_REVISION, Machine, type MachineConfig, type VirtioKind, acpiTables } from '../machine/machine.ts';
import { PARAVIRT_KINDS } from '../machine/paravirt/paravirt.ts';
import type { BlockBacking } from '../devices/virtio-block/virtio-block.ts';
import type { ImageReference, LogConfiguration, LogHeader } from '../log/header.ts';
import { Sha256 } from '../log/sha256.ts';
import { buildDomain } from '../regimes/para/domain.ts';
import { Vmm } from '../regimes/para/vmm.ts';

/** Quirks of recordings that this version still replays: see engine/recording/README.md. */
export const KNOWN_QUIRKS: readonly string[] = [];

export const DEFAULT_EPOCH_INSTRUCTIONS = 10_000_000;
export const DEFAULT_DIGEST_INSTRUCTIONS = 50_000_000;

/**
 * What a recording is labelled with. A guest that cannot tell runs the same instructions under each of these: they are one machine. Only what `machine.pv`
 * offers the guest makes a difference; and PARA_REGIME, which is another machine.
 */
export const RECORDED_REGIMES: readonly string[] = ['native', 'full', 'hw', 'hw-shadow', 'para'];
/** Under it a guest runs that was built for the VMM of engine/regimes/para: another machine, whose devices are the rings of engine/guests/pv-abi.h. */
export const PARA_REGIME = 'para';
/** Those whose hypervisor has a paravirtual interface (`machine.pv`). */
export const PARAVIRT_REGIMES: readonly string[] = ['hw', 'hw-shadow'];

/** All that decides a run but its images and inputs. */
export interface Recipe {
  /** What people call the guest. */
  readonly guest: string;
  readonly commandLine: string;
  readonly protocol: BootChoice;
  /** Of RECORDED_REGIMES; native unless given. */
  readonly regime?: string;
  readonly machine: MachineConfig;
  /** Instructions between dirty-page records; 0 for none. */
  readonly epochInstructions: number;
  /** Instructions between digests; 0 for the last one only. */
  readonly digestInstructions: number;
}

/** Those of a recording may be read when they are first asked for, and that may throw (server/store/guest-images.ts). */
export interface RunImages {
  readonly kernel: Uint8Array;
  readonly initrd?: Uint8Array | undefined;
  /** Base image of the block device; never written. */
  readonly disk?: BlockBacking | undefined;
}

export type ImageName = 'kernel' | 'initrd' | 'disk';

/** Where the machine's outputs go. */
export interface Outputs {
  /** Bytes of the serial console. */
  readonly console?: ((byte: number) => void) | undefined;
  /** Bytes of the virtio console. */
  readonly virtioConsole?: ((bytes: Uint8Array) => void) | undefined;
}

export function planRecipe(recipe: Recipe, images: RunImages, decompress?: Decompress): BootPlan {
  return planBoot(
    { kernel: images.kernel, initrd: images.initrd },
    {
      memoryBytes: recipe.machine.memoryBytes,
      commandLine: recipe.commandLine,
      rsdpAddress: recipe.machine.acpi ? acpiTables(recipe.machine).rsdpAddress : undefined,
      protocol: recipe.protocol,
      decompress,
      kernelName: recipe.guest,
    },
  );
}

/**
 * The machine at power-on, its images loaded. `isBlank`: nothing is loaded, because a checkpoint is restored before it runs; then kernel and initrd are not looked at,
 * but under PARA_REGIME, whose hypervisor knows the kernel. Throws BootError.
 */
export function buildMachine(recipe: Recipe, images: RunImages, module: WebAssembly.Module, outputs: Outputs, isBlank = false): Machine {
  const domain =
    recipe.regime === PARA_REGIME
      ? buildDomain(images.kernel, { memoryBytes: recipe.machine.memoryBytes, commandLine: recipe.commandLine, diskBytes: images.disk?.byteLength, kernelName: recipe.guest })
      : undefined;
  const plan = isBlank ? undefined : (domain?.plan ?? planRecipe(recipe, images));
  const machine = new Machine({
    config: recipe.machine,
    module,
    ...(domain === undefined ? {} : { hypervisor: (host) => new Vmm(host, domain) }),
    ...(outputs.console === undefined ? {} : { console: outputs.console }),
    ...(outputs.virtioConsole === undefined ? {} : { virtioConsole: outputs.virtioConsole }),
    ...(images.disk === undefined ? {} : { disk: images.disk }),
  });
  if (plan !== undefined) machine.load(plan);
  return machine;
}

const HASH_CHUNK = 1 << 20;

/** SHA-256 in pieces. */
export interface Hash {
  update(bytes: Uint8Array): unknown;
  /** 64 lower-case hex digits */
  digestHex(): string;
}

/** Names, hashes and sizes of the images, in the order of the header. A host that has SHA-256 of its own hands it in: it is many times faster. */
export function referImages(images: RunImages, newHash: () => Hash = () => new Sha256()): ImageReference[] {
  const references: ImageReference[] = [];
  const add = (name: ImageName, length: number, read: (offset: number, length: number) => Uint8Array): void => {
    const hash = newHash();
    for (let at = 0; at < length; at += HASH_CHUNK) hash.update(read(at, Math.min(HASH_CHUNK, length - at)));
    references.push({ name, sha256: hash.digestHex(), bytes: length });
  };
  const { kernel, initrd, disk } = images;
  add('kernel', kernel.length, (offset, length) => kernel.subarray(offset, offset + length));
  if (initrd !== undefined) add('initrd', initrd.length, (offset, length) => initrd.subarray(offset, offset + length));
  if (disk !== undefined) add('disk', disk.byteLength, (offset, length) => disk.read(offset, length));
  return references;
}

export function encodeRecipe(recipe: Recipe): LogConfiguration {
  const { machine } = recipe;
  const revision = machine.revision ?? MACHINE_REVISION;
  return {
    guest: recipe.guest,
    memoryBytes: machine.memoryBytes,
    regime: recipe.regime ?? 'native',
    seed: machine.seed,
    tscHz: 1_000_000_000,
    commandLine: recipe.commandLine,
    devices: machine.virtio.map((kind) => `virtio-${kind}`),
    cpuModel: 'chronovisor-v1',
    epochInstructions: recipe.epochInstructions,
    digestInstructions: recipe.digestInstructions,
    options: { protocol: recipe.protocol, acpi: machine.acpi, accessCostNs: machine.accessCostNs, ...(machine.counts === true && { counts: true }), ...(machine.firstWrites === true && { firstWrites: true }), ...(machine.pv !== undefined && { pv: machine.pv }), ...(revision > 1 && { revision }) },
  };
}

/** A log that cannot be replayed here, although it is intact. */
export class RecipeError extends Error {
  override readonly name = 'RecipeError';
}

/** The inverse of encodeRecipe. Throws RecipeError for what this version does not know. */
export function decodeRecipe(header: LogHeader): Recipe {
  const { config } = header;
  for (const quirk of header.quirks) if (!KNOWN_QUIRKS.includes(quirk)) throw new RecipeError(`the log needs the quirk "${quirk}", which this version does not have: use a newer Chronovisor`);
  if (config.cpuModel !== 'chronovisor-v1') throw new RecipeError(`the log was recorded on the CPU model "${config.cpuModel}", which this version does not have`);
  if (!RECORDED_REGIMES.includes(config.regime)) throw new RecipeError(`the log was recorded under the regime "${config.regime}", which this version does not have`);
  if (config.tscHz !== 1_000_000_000) throw new RecipeError(`the log was recorded with a TSC of ${config.tscHz} Hz; this version has 1000000000 only`);
  const { protocol, acpi, accessCostNs, counts, firstWrites, pv, revision = 1 } = config.options;
  if (typeof revision !== 'number' || !Number.isInteger(revision) || revision < 1 || revision > MACHINE_REVISION) {
    throw new RecipeError(`the log was recorded on revision ${JSON.stringify(revision)} of the machine; this version has 1 to ${MACHINE_REVISION}: use a newer Chronovisor`);
  }
  const kind = PARAVIRT_KINDS.find((each) => each === pv);
  if (pv !== undefined && kind === undefined) throw new RecipeError(`the log was recorded with the paravirtual interface "${String(pv)}", which this version does not have`);
  const virtio = config.devices.map((device): VirtioKind => {
    const kind = device.replace(/^virtio-/, '');
    if (kind === 'console' || kind === 'block' || kind === 'net' || kind === 'rng') return kind;
    throw new RecipeError(`the log was recorded with the device "${device}", which this version does not have`);
  });
  return {
    guest: config.guest,
    commandLine: config.commandLine,
    protocol: (typeof protocol === 'string' ? protocol : 'auto') as BootChoice,
    ...(config.regime !== 'native' && { regime: config.regime }),
    machine: {
      memoryBytes: config.memoryBytes,
      seed: config.seed,
      wallClockNs: header.wallClockNs,
      acpi: acpi === true,
      virtio,
      accessCostNs: typeof accessCostNs === 'number' ? accessCostNs : DEFAULT_ACCESS_COST_NS,
      ...(counts === true && { counts }),
      ...(firstWrites === true && { firstWrites }),
      ...(kind !== undefined && { pv: kind }),
      revision,
    },
    epochInstructions: config.epochInstructions,
    digestInstructions: config.digestInstructions,
  };
}

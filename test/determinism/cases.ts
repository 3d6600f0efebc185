/** What is drawn: a guest, the machine it runs on, what is typed, and how the recorder is driven. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { VIRTIO_IRQS, VIRTIO_MMIO_BASE, VIRTIO_MMIO_LENGTH } from '../../engine/devices/virtio/mmio.ts';
import type { VirtioKind } from '../../engine/machine/machine.ts';
import type { Recipe, RunImages } from '../../engine/recording/recipe.ts';
import { type Instruction, instructions } from './instructions.ts';
import { PLACE, TINY_PROTOCOLS, type TinyProgram, buildTinyGuest } from './tiny-guest.ts';

export interface TypedInput {
  /** Instructions after the input before. */
  readonly after: number;
  readonly text: string;
  /** Waits for the guest to halt, and for this part of its halt (0 to 1); undefined: at the very position. */
  readonly idle: number | undefined;
}

/** How the recorder is driven. Two recordings with the same drive are the same. */
export interface Drive {
  /** Instructions of each step, in turn. */
  readonly slices: readonly number[];
  readonly inputs: readonly TypedInput[];
  /** Steps between two flushes; 0 for none. */
  readonly flushEvery: number;
  /** Steps between two marks of the user; 0 for none. */
  readonly markEvery: number;
  readonly instructionsMax: number;
}

export interface Case {
  /** For people: the story of the guest. */
  readonly story: string;
  readonly recipe: Recipe;
  readonly images: RunImages;
  readonly blockBytes: number;
  readonly drive: Drive;
  /** Bytes of the disk; 0 if there is none. */
  readonly diskBytes: number;
}

const LAB_IMAGES = ['lab-kernel', 'bug-lost-update', 'bug-stray-write', 'bug-use-after-free'] as const;
const labImages = new Map<string, Uint8Array>();
export function labImage(name: string): Uint8Array {
  let bytes = labImages.get(name);
  if (bytes === undefined) {
    bytes = new Uint8Array(readFileSync(fileURLToPath(new URL(`../../engine/guests/images/${name}.elf`, import.meta.url))));
    labImages.set(name, bytes);
  }
  return bytes;
}

/** A disk whose bytes depend on their place and a seed. */
export function generateDisk(byteLength: number, seed: number): NonNullable<RunImages['disk']> {
  return { byteLength, read: (offset, length) => Uint8Array.from({ length }, (_, i) => Math.imul(offset + i + seed, 0x9e3779b1) >>> 24) };
}

const MIB = 1 << 20;
const virtioSets: fc.Arbitrary<readonly VirtioKind[]> = fc.shuffledSubarray<VirtioKind>(['console', 'block', 'net', 'rng']);
const seed = fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }).map((value) => value.toString(16).padStart(16, '0'));

interface MachineDraw {
  readonly memoryMib: number;
  readonly seed: string;
  readonly wallClockS: number;
  readonly acpi: boolean;
  readonly virtio: readonly VirtioKind[];
  readonly accessCostNs: number;
  readonly counts: boolean;
  readonly blockBytes: number;
  readonly epoch: number;
  readonly digest: number;
  readonly diskSectors: number;
  readonly diskSeed: number;
}

const machineDraw: fc.Arbitrary<MachineDraw> = fc.record({
  memoryMib: fc.oneof({ weight: 4, arbitrary: fc.constantFrom(16, 17, 32, 64) }, { weight: 1, arbitrary: fc.integer({ min: 16, max: 256 }) }),
  seed,
  wallClockS: fc.nat(4_000_000_000),
  acpi: fc.boolean(),
  virtio: virtioSets,
  accessCostNs: fc.constantFrom(1000, 1000, 0, 1, 37, 12_345),
  counts: fc.boolean(),
  blockBytes: fc.oneof(fc.constantFrom(2048, 4096, 65_536), fc.integer({ min: 2048, max: 65_536 })),
  epoch: fc.oneof(fc.constantFrom(0, 1_000_000), fc.integer({ min: 500, max: 200_000 })),
  digest: fc.oneof(fc.constantFrom(0, 1_000_000), fc.integer({ min: 5000, max: 200_000 })),
  diskSectors: fc.integer({ min: 1, max: 512 }),
  diskSeed: fc.nat(1000),
});

function assemble(machine: MachineDraw, guest: { name: string; kernel: Uint8Array; commandLine: string; protocol: Recipe['protocol'] }, story: string, drive: Drive): Case {
  const diskBytes = machine.virtio.includes('block') ? machine.diskSectors * 512 : 0;
  return {
    story: `${story} on ${JSON.stringify(machine)}, ${JSON.stringify(drive)}`,
    recipe: {
      guest: guest.name,
      commandLine: guest.commandLine,
      protocol: guest.protocol,
      machine: {
        memoryBytes: machine.memoryMib * MIB,
        seed: machine.seed,
        wallClockNs: (BigInt(machine.wallClockS) * 1_000_000_000n).toString(),
        acpi: machine.acpi,
        virtio: machine.virtio,
        accessCostNs: machine.accessCostNs,
        counts: machine.counts,
      },
      epochInstructions: machine.epoch,
      digestInstructions: machine.digest,
    },
    images: { kernel: guest.kernel, ...(diskBytes === 0 ? {} : { disk: generateDisk(diskBytes, machine.diskSeed) }) },
    blockBytes: machine.blockBytes,
    diskBytes,
    drive,
  };
}

const slices = fc.array(fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1000, max: 100_000 }), fc.constant(1_000_000)), { minLength: 1, maxLength: 6 })
  // One long slice keeps the number of steps down.
  .map((list) => [...list, 200_000]);

function driveOf(texts: fc.Arbitrary<string>, after: fc.Arbitrary<number>, instructionsMax: number, inputsMax: number): fc.Arbitrary<Drive> {
  return fc.record({
    slices,
    inputs: fc.array(fc.record({ after, text: texts, idle: fc.option(fc.constantFrom(0, 0.25, 0.5, 0.999, 1), { nil: undefined }) }), { maxLength: inputsMax }),
    flushEvery: fc.constantFrom(0, 0, 1, 7),
    markEvery: fc.constantFrom(0, 0, 0, 5),
    instructionsMax: fc.constant(instructionsMax),
  });
}

const anyText = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), minLength: 1, maxLength: 40 });

// ---- the lab kernel ----

const COMMANDS = [
  'ps', 'help', 'echo hello', 'random', 'sleep 3', 'sleep 40', 'mark here', 'disk', 'disk read 0', 'disk read 1', 'disk write 0', 'work io', 'work fork', 'work mem', 'work parallel', 'work syscall',
  'work cpu', 'crash null', 'crash ud', 'crash stack', 'crash alarm', 'crash div', 'nonsense',
] as const;
const LAST = ['poweroff', 'poweroff 7', 'panic', 'panic null', 'panic stack', 'work mixed', ''] as const;

function virtioArguments(virtio: readonly VirtioKind[]): string[] {
  return virtio.map((_, slot) => `virtio_mmio.device=${VIRTIO_MMIO_LENGTH}@0x${(VIRTIO_MMIO_BASE + slot * VIRTIO_MMIO_LENGTH).toString(16)}:${VIRTIO_IRQS[slot]}`);
}

/** The lab's kernel and its variants with a planted bug, booted by each protocol, with commands to run and commands to type. */
export function labCases(instructionsMax: number): fc.Arbitrary<Case> {
  const typed = fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...COMMANDS, ...LAST).map((command) => `${command}\n`) }, { weight: 1, arbitrary: anyText });
  return fc
    .record({
      machine: machineDraw,
      image: fc.constantFrom(...LAB_IMAGES),
      protocol: fc.constantFrom<Recipe['protocol']>('auto', 'pvh', 'multiboot'),
      run: fc.array(fc.constantFrom(...COMMANDS), { maxLength: 3 }),
      last: fc.constantFrom(...LAST, 'poweroff', '', ''),
      isVirtioConsole: fc.boolean(),
      drive: driveOf(typed, fc.oneof(fc.nat(2000), fc.nat(400_000)), instructionsMax, 6),
    })
    .map(({ machine, image, protocol, run, last, isVirtioConsole, drive }) => {
      const commands = [...run, last].filter((command) => command !== '').join('; ');
      const commandLine = [...(commands === '' ? [] : [`run="${commands}"`]), ...virtioArguments(machine.virtio), ...(isVirtioConsole && machine.virtio.includes('console') ? ['console=hvc0'] : [])].join(' ');
      return assemble(machine, { name: image, kernel: labImage(image), commandLine, protocol }, `${image} (${protocol}) ${commandLine}`, drive);
    });
}

// ---- tiny guests ----

function programs(passesMax: number): fc.Arbitrary<TinyProgram> {
  const chunk: fc.Arbitrary<Instruction[]> = fc.array(instructions(PLACE), { minLength: 1, maxLength: 6 });
  return fc.record({
    protocol: fc.constantFrom(...TINY_PROTOCOLS),
    chunks: fc.array(chunk, { minLength: 1, maxLength: 24 }),
    passes: fc.tuple(fc.integer({ min: 1, max: passesMax }), fc.integer({ min: 1, max: passesMax })),
    timer: fc.oneof(
      fc.record({ kind: fc.constant('pit' as const), divisor: fc.oneof(fc.integer({ min: 3, max: 30 }), fc.integer({ min: 3, max: 300 })) }),
      fc.record({ kind: fc.constant('lapic' as const), count: fc.oneof(fc.integer({ min: 1500, max: 9000 }), fc.integer({ min: 1500, max: 200_000 })) }),
      fc.constant({ kind: 'none' as const }),
    ),
    iopl3: fc.boolean(),
    smallPages: fc.boolean(),
    console: fc.boolean(),
    // Code in one page, or over the end of one.
    lead: fc.constantFrom(0, 0xe00),
  });
}

function tellProgram(program: TinyProgram): string {
  const { chunks, ...rest } = program;
  return `${JSON.stringify(rest)}\n${chunks.map((chunk, i) => `  ${i}: ${chunk.map(({ text }) => text).join(' | ')}`).join('\n')}\n`;
}

/** Guests of drawn instructions, which run up to passesMax times in each ring. */
export function tinyCases(instructionsMax: number, passesMax = 12): fc.Arbitrary<Case> {
  return fc
    .record({ machine: machineDraw, program: programs(passesMax), drive: driveOf(anyText, fc.oneof(fc.nat(200), fc.nat(30_000)), instructionsMax, 5) })
    .map(({ machine, program, drive }) => {
      const timed = program.timer.kind === 'lapic' && !machine.acpi ? { ...program, timer: { kind: 'pit' as const, divisor: 20 } } : program;
      return assemble(machine, { name: 'tiny', kernel: buildTinyGuest(timed), commandLine: '', protocol: program.protocol }, `tiny guest ${tellProgram(timed)}`, drive);
    });
}

/** What a revision of the machine changed is in new recordings, and those of before go on as they went. */
import { expect, test } from 'vitest';
import { MACHINE_REVISION } from '../../engine/machine/machine.ts';
import { decodeRecipe, encodeRecipe, RecipeError } from '../../engine/recording/recipe.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import type { Case } from './cases.ts';
import { AREAS, type Instruction } from './instructions.ts';
import { core, open, record } from './runs.ts';
import { buildTinyGuest } from './tiny-guest.ts';

const TSC = 0x10;
const TSC_DEADLINE = 0x6e0;
const LOWERED = 5000;
/** Of the TSC, from where it is put to the deadline. */
const WAIT_NS = 3_000_000;

const word = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
const wrmsr = (msr: number, value: number): Instruction => ({ text: `wrmsr ${msr.toString(16)}, ${value}`, bytes: [0xb9, ...word(msr), 0xb8, ...word(value), 0x31, 0xd2, 0x0f, 0x30] });

/** Counts to 100,000, puts its TSC back to 5,000, and sleeps until it is 3,005,000. */
const lowersItsTsc: readonly Instruction[] = [
  { text: 'mov ecx, 100000; dec ecx; jnz', bytes: [0xb9, ...word(100_000), 0xff, 0xc9, 0x75, 0xfc] },
  wrmsr(TSC, LOWERED),
  { text: 'LVT timer: TSC deadline', bytes: [0xba, ...word(AREAS.lapic + 0x320), 0xc7, 0x02, ...word(0x40030)] },
  wrmsr(TSC_DEADLINE, LOWERED + WAIT_NS),
  { text: 'sti; hlt', bytes: [0xfb, 0xf4] },
];

function guest(revision: number | undefined): Case {
  return {
    story: 'a guest that lowers its TSC',
    recipe: {
      guest: 'tiny',
      commandLine: '',
      protocol: 'multiboot',
      machine: { memoryBytes: 16 << 20, seed: '0000000000000001', wallClockNs: '0', acpi: true, virtio: [], accessCostNs: 1000, ...(revision !== undefined && { revision }) },
      epochInstructions: 0,
      digestInstructions: 0,
    },
    images: { kernel: buildTinyGuest({ protocol: 'multiboot', chunks: [lowersItsTsc], passes: [1, 0], timer: { kind: 'none' }, iopl3: false, smallPages: false, console: false }) },
    blockBytes: 65_536,
    diskBytes: 0,
    drive: { slices: [1_000_000], inputs: [], flushEvery: 0, markEvery: 0, instructionsMax: 2_000_000 },
  };
}

/** Virtual ns that the guest slept. */
function slept(one: Case): { readonly ns: number; readonly revision: unknown } {
  const { bytes, end } = record(one);
  expect(end.reason).toBe('debug-exit');
  const log = open(bytes);
  expect(new Replayer({ reader: log, images: one.images, module: core() }).run()).toMatchObject({ kind: 'identical', complete: true });
  let ns = 0;
  for (const event of log.events({ kinds: ['idle'] })) if (event.kind === 'idle') ns += event.ns;
  return { ns, revision: log.header.config.options['revision'] };
}

test('a deadline is where the TSC will be, also after a guest has lowered it', () => {
  const { ns, revision } = slept(guest(undefined));
  expect(revision).toBe(MACHINE_REVISION);
  // Between WRMSR and HLT are a few instructions.
  expect(ns).toBeGreaterThan(WAIT_NS - 10_000);
  expect(ns).toBeLessThanOrEqual(WAIT_NS);
});

test('on revision 1, which says nothing of itself, it was past at once; such a log replays', () => {
  expect(slept(guest(1))).toEqual({ ns: 0, revision: undefined });
});

test('a recipe keeps its revision, and one that is not known is refused', () => {
  const header = (revision: unknown): Parameters<typeof decodeRecipe>[0] => {
    const config = encodeRecipe(guest(undefined).recipe);
    return { id: 'x', product: 'test', blockBytes: 65_536, quirks: [], wallClockNs: '0', images: [], config: { ...config, options: { ...config.options, revision: revision as number } } };
  };
  expect(decodeRecipe(header(2)).machine.revision).toBe(2);
  const { revision: _, ...options } = header(2).config.options;
  expect(decodeRecipe({ ...header(2), config: { ...header(2).config, options } }).machine.revision).toBe(1);
  for (const unknown of [0, MACHINE_REVISION + 1, 1.5, 'two']) expect(() => decodeRecipe(header(unknown)), String(unknown)).toThrow(RecipeError);
});

/** Drawn guests, drawn branches. The larger run is branch.all.test.ts. */
import fc from 'fast-check';
import { test } from 'vitest';
import { type Case, labCases, tinyCases } from '../determinism/cases.ts';
import { assertProperty } from '../determinism/runs.ts';
import { buildTinyGuest } from '../determinism/tiny-guest.ts';
import { aChangedBranchReplays, anUnchangedBranchIsTheRest, changedDraws, unchangedDraws } from './laws.ts';

const FILE = 'test/branch/branch.test.ts';
const places = fc.array(fc.nat((1 << 20) - 1), { minLength: 1, maxLength: 4 });
const unchanged = fc.array(unchangedDraws, { minLength: 1, maxLength: 3 });
const changed = fc.array(changedDraws, { minLength: 1, maxLength: 3 });

test('a branch without a change is the rest of its parent', () => {
  assertProperty(FILE, fc.property(tinyCases(40_000), unchanged, anUnchangedBranchIsTheRest), 15, 1_500);
  assertProperty(FILE, fc.property(labCases(400_000), unchanged, anUnchangedBranchIsTheRest), 4, 1_500);
});

test('a branch replays, whatever it changes, and so do its branches', () => {
  assertProperty(FILE, fc.property(tinyCases(40_000), changed, places, aChangedBranchReplays), 15, 1_500);
  assertProperty(FILE, fc.property(labCases(400_000), changed, places, aChangedBranchReplays), 4, 1_500);
});

test('a branch that halts before the time of an input, without any timer, lets the time pass, and so does its replay', () => {
  // mov ecx, 200000; dec ecx; jnz; sti; hlt
  const bytes = [0xb9, 0x40, 0x0d, 3, 0, 0xff, 0xc9, 0x75, 0xfc, 0xfb, 0xf4];
  const kernel = buildTinyGuest({ protocol: 'pvh', chunks: [[{ text: 'a loop and a halt', bytes }]], passes: [1, 0], timer: { kind: 'none' }, iopl3: false, smallPages: false, console: false });
  const one: Case = {
    story: '',
    recipe: { guest: 'tiny', commandLine: '', protocol: 'pvh', machine: { memoryBytes: 16 << 20, seed: '0000000000000000', wallClockNs: '0', acpi: false, virtio: [], accessCostNs: 0 }, epochInstructions: 0, digestInstructions: 0 },
    images: { kernel },
    blockBytes: 4096,
    drive: { slices: [1_000_000], inputs: [{ after: 1000, text: 'x', idle: 1 }], flushEvery: 0, markEvery: 0, instructionsMax: 1_000_000 },
    diskBytes: 0,
  };
  const change = { kind: 'register', register: 'rcx', value: '5' } as const;
  aChangedBranchReplays(one, [{ at: 1 << 19, slices: [300_000], takesOver: false, changes: [{ after: 0, change }], typed: '', inputs: 'keep' }], []);
});

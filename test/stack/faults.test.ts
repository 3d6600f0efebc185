/** Steps over instructions that fault and do not run again: the handler goes on somewhere else, as a kernel's exception table does. */
import { expect, test } from 'vitest';
import { readRegister } from '../../engine/debug/inspect.ts';
import { reverseStepOver, stepOver } from '../../engine/debug/steps.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { EXIT_REASONS } from '../../engine/log/events.ts';
import type { Case } from '../determinism/cases.ts';
import { core, open, record } from '../determinism/runs.ts';
import { buildTinyGuest } from '../determinism/tiny-guest.ts';

test('a step over such a fault ends where the guest goes on, and a step back leads to the instruction that faulted', () => {
  const nop = { text: 'nop', bytes: [0x90] };
  const kernel = buildTinyGuest({
    protocol: 'pvh', chunks: [[nop, { text: 'ud2', bytes: [0x0f, 0x0b] }, nop], [nop, nop]], passes: [3, 3], timer: { kind: 'pit', divisor: 20 }, iopl3: true, smallPages: true, console: false,
  }); // prettier-ignore
  const one: Case = {
    story: 'ud2', blockBytes: 65_536, diskBytes: 0, images: { kernel },
    recipe: { guest: 'tiny', commandLine: '', protocol: 'pvh', epochInstructions: 1_000_000, digestInstructions: 0, machine: { memoryBytes: 16 << 20, seed: '0000000000000001', wallClockNs: '0', acpi: false, virtio: [], accessCostNs: 1000, counts: false } },
    drive: { slices: [1_000_000], inputs: [], flushEvery: 0, markEvery: 0, instructionsMax: 1_000_000 },
  }; // prettier-ignore
  const reader = open(record(one).bytes);
  const travel = new TimeTravel({ reader, images: one.images, module: core() });
  const rip = (): bigint => readRegister(travel.machine, 'rip') ?? 0n;
  const faults = [...reader.events({ kinds: ['exit'] })].filter((event) => event.kind === 'exit' && event.reason === EXIT_REASONS.exception && event.detail.kind === 'exception' && event.detail.vector === 6);
  expect(faults).toHaveLength(6);
  const rings = faults.map(({ position }) => {
    travel.seek(position);
    const ring = readRegister(travel.machine, 'cpl');
    const faulted = rip();
    const stop = stepOver(travel);
    // Over `ud2` (2 bytes), the NOP after it, and the store of where the chunk after the next one is (12 bytes).
    expect([stop.kind, rip(), readRegister(travel.machine, 'cpl')]).toEqual(['step', faulted + 15n, ring]);
    reverseStepOver(travel);
    expect([travel.position, rip()]).toEqual([position, faulted]);
    return ring;
  });
  expect(rings).toEqual([0n, 0n, 0n, 3n, 3n, 3n]);
}, 60_000);

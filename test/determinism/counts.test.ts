/** What the CPU counts is what somebody counts who looks at every instruction. */
import { expect, test } from 'vitest';
import * as L from '../../engine/cpu/layout.ts';
import type { Case } from './cases.ts';
import { labImage } from './cases.ts';
import { Walker, open, record } from './runs.ts';

const calls: Case = {
  story: 'work syscall',
  recipe: {
    guest: 'lab-kernel',
    commandLine: 'run="work syscall; poweroff"',
    protocol: 'auto',
    machine: { memoryBytes: 32 << 20, seed: '0000000000000001', wallClockNs: '1700000000000000000', acpi: true, virtio: [], accessCostNs: 1000, counts: true },
    epochInstructions: 150_000,
    digestInstructions: 0,
  },
  images: { kernel: labImage('lab-kernel') },
  blockBytes: 65_536,
  diskBytes: 0,
  drive: { slices: [1_000_000], inputs: [], flushEvery: 0, markEvery: 0, instructionsMax: 900_000 },
};
const SYSCALL = 0x050f;

test('kernel instructions and system calls of every counts event', () => {
  const log = open(record(calls).bytes);
  const walker = new Walker(calls, []);
  const { core } = walker.machine;
  const isUser = (): boolean => core.u32[L.CPL >>> 2] === 3;
  let kernel = 0;
  let systemCalls = 0;
  let events = 0;
  let marks = 0;
  for (const event of log.events({ kinds: ['counts', 'mark'] })) {
    if (event.kind === 'mark') marks++;
    for (let at = walker.machine.position(); at < event.position; at++) {
      const from = isUser();
      const paddr = from ? core.exports.inspectAddress(BigInt.asIntN(64, core.big(L.RIP))) : -1n;
      const isCall = paddr >= 0n && new DataView(core.u8.buffer).getUint16(L.RAM + Number(paddr), true) === SYSCALL;
      walker.to(at + 1);
      if (!isUser()) kernel++;
      if (isCall && !isUser()) systemCalls++;
    }
    if (event.kind !== 'counts') continue;
    events++;
    expect({ kernelInstructions: event.kernelInstructions, systemCalls: event.systemCalls }, `counts at @${event.position}`).toEqual({ kernelInstructions: kernel, systemCalls });
  }
  expect(events).toBeGreaterThan(6 + marks);
  expect(marks).toBeGreaterThan(0);
  expect(systemCalls).toBeGreaterThan(1000);
});

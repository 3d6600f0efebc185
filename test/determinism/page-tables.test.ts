/** What a page-table event says is what the memory then holds. */
import { expect, test } from 'vitest';
import * as L from '../../engine/cpu/layout.ts';
import type { Case } from './cases.ts';
import { labImage } from './cases.ts';
import { Walker, open, record } from './runs.ts';

const forks: Case = {
  story: 'work fork',
  recipe: {
    guest: 'lab-kernel',
    commandLine: 'run="work fork; poweroff"',
    protocol: 'auto',
    machine: { memoryBytes: 32 << 20, seed: '0000000000000001', wallClockNs: '1700000000000000000', acpi: true, virtio: [], accessCostNs: 1000 },
    epochInstructions: 0,
    digestInstructions: 0,
  },
  images: { kernel: labImage('lab-kernel') },
  blockBytes: 65_536,
  diskBytes: 0,
  drive: { slices: [1_000_000], inputs: [], flushEvery: 0, markEvery: 0, instructionsMax: 20_000_000 },
};

test('a page-table event names the store that follows it', () => {
  const log = open(record(forks).bytes);
  const walker = new Walker(forks, []);
  const { core } = walker.machine;
  const memory = new DataView(core.u8.buffer);
  let checked = 0;
  const levels = new Set<number>();
  for (const event of log.events({ kinds: ['exit'] })) {
    if (event.kind !== 'exit' || event.detail.kind !== 'page-table') continue;
    const { address, value, level } = event.detail;
    levels.add(level);
    if (checked++ % 7 !== 0 || event.position < walker.machine.position()) continue;
    walker.to(event.position);
    expect(core.big(L.RIP), `rip at @${event.position}`).toBe(event.rip);
    walker.to(event.position + 1);
    expect(memory.getBigUint64(L.RAM + address, true), `the entry at 0x${address.toString(16)} after @${event.position}`).toBe(value);
  }
  expect(checked).toBeGreaterThan(100);
  expect([...levels].toSorted()).toContain(1);
});

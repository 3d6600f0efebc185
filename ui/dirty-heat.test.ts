import { expect, it } from 'vitest';
import { readFileSync } from 'node:fs';
import { LogReader } from '../engine/log/reader.ts';
import { MemorySource } from '../engine/log/storage.ts';
import type { EventBatch } from '../engine/log/event-batch.ts';
import { DirtyHeatFold, RANGES } from './dirty-heat.ts';

const reader = LogReader.open(new MemorySource(new Uint8Array(readFileSync(new URL('../traces/lab-kernel.cvlog', import.meta.url)))));
const batches: readonly EventBatch[] = reader.eventBlocks.map((_, i) => reader.batch(i));
const sets = [...reader.events({ kinds: ['dirty'] })].flatMap((event) => (event.kind === 'dirty' ? [event] : []));

it('has every page of every dirty set, in the range of its address', () => {
  const fold = new DirtyHeatFold(reader.header.config.memoryBytes);
  for (const batch of batches) fold.add(batch);
  const { positions, values, pagesOfRange } = fold.heat();
  const expected = new Map<string, number>();
  for (const { position, pages } of sets) {
    for (const page of pages) {
      const key = `${positions.indexOf(position)} ${Math.floor(page / pagesOfRange)}`;
      expected.set(key, (expected.get(key) ?? 0) + 1);
    }
  }
  // The last digest may end an epoch where another had ended: those are one stretch of two.
  const sum = (stretch: number): number => values.subarray(stretch * RANGES, (stretch + 1) * RANGES).reduce((total, each) => total + each, 0);
  for (let stretch = 0; stretch < positions.length - 2; stretch++) {
    for (let range = 0; range < RANGES; range++) expect(values[stretch * RANGES + range], `${stretch} ${range}`).toBe(expected.get(`${stretch + 1} ${range}`) ?? 0);
  }
  expect(sum(0)).toBeGreaterThan(0);
});

it('stays within its bound, and keeps the mean', () => {
  const fold = new DirtyHeatFold(reader.header.config.memoryBytes, 16);
  const times = Math.ceil(100 / sets.length);
  for (let i = 0; i < times; i++) {
    // The same block further on.
    for (const batch of batches) fold.add({ ...batch, position: batch.position.map((at) => at + i * (reader.lastPosition + 1)) });
  }
  const { positions, values } = fold.heat();
  expect(positions.length - 1).toBeLessThanOrEqual(17);
  expect(positions.length - 1).toBeGreaterThan(4);
  for (let i = 1; i < positions.length; i++) expect(positions[i]).toBeGreaterThan(positions[i - 1]);
  expect(values.some((each) => each > 0)).toBe(true);
});

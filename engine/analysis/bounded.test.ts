/** What a long log takes of memory while it is analysed: a reader lets go of the blocks that it has read, and no fold holds on to their batches. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import type { EventBatch } from '../log/event-batch.ts';
import { LogReader } from '../log/reader.ts';
import { MemorySource } from '../log/storage.ts';
import { QUICK_BOOT, syntheticBoot, writeLog } from '../log/testing.ts';
import { REGIMES, candidate, projectionOf } from '../regimes/catalogue.ts';
import { Comparison } from './comparison/comparison.ts';
import { EpochSplitter } from './dirty/epoch.ts';
import { ExitProfileFold } from './exit-profile/fold.ts';
import { Pyramid } from './pyramid/pyramid.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const log = writeLog((sink) => syntheticBoot(sink, { ...QUICK_BOOT, consoleBytes: 3000, ticks: 2000, pageFaults: 3000 }), { blockBytes: 2048 });

const ANALYSERS: Readonly<Record<string, () => (batch: EventBatch) => void>> = {
  'exit profile': () => {
    const fold = new ExitProfileFold({ name: 'x' });
    return (batch) => fold.fold(batch);
  },
  ...Object.fromEntries(REGIMES.map(({ id }) => [`exit profile under ${id}`, () => {
    const fold = new ExitProfileFold({ name: 'x', projection: projectionOf(candidate(id)) });
    return (batch: EventBatch) => fold.fold(batch);
  }])),
  'comparison of all': () => {
    const comparison = new Comparison({ candidates: REGIMES.map(({ id }) => candidate(id)) });
    return (batch) => comparison.add(batch);
  },
  pyramid: () => {
    const pyramid = new Pyramid();
    return (batch) => pyramid.add(batch);
  },
  'dirty epochs': () => {
    const splitter = new EpochSplitter();
    return (batch) => void splitter.split(batch);
  },
};

/** Decoded blocks that are alive at once, at most, while the taker is. */
async function mostAlive(take: (batch: EventBatch) => void): Promise<{ readonly blocks: number; readonly alive: number }> {
  const reader = LogReader.open(new MemorySource(log));
  const batches: WeakRef<EventBatch>[] = [];
  let alive = 0;
  const step = (i: number): void => {
    const batch = reader.batch(i);
    batches.push(new WeakRef(batch));
    take(batch);
  };
  for (let i = 0; i < reader.eventBlocks.length; i++) {
    step(i);
    if (i % 16 !== 15) continue;
    // What was looked at through a WeakRef lives to the end of its job.
    await new Promise((resolve) => setImmediate(resolve));
    collect();
    alive = Math.max(alive, batches.filter((each) => each.deref() !== undefined).length);
  }
  return { blocks: reader.eventBlocks.length, alive };
}

test(`${Object.keys(ANALYSERS).length} analysers at once hold a few blocks of many`, async () => {
  const takers = Object.values(ANALYSERS).map((make) => make());
  const { blocks, alive } = await mostAlive((batch) => {
    for (const take of takers) take(batch);
  });
  expect(blocks).toBeGreaterThan(16);
  // Two that the reader keeps; a fold may hold the last it was given, and a stack frame another.
  expect(alive).toBeLessThanOrEqual(4);
});

test('one that holds on to its batches is found', async () => {
  const held: EventBatch[] = [];
  const { blocks, alive } = await mostAlive((batch) => held.push(batch));
  expect(alive).toBeGreaterThan(blocks - 16);
});

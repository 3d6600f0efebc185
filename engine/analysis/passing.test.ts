/** Folds keep nothing of a batch: they make the same of batches whose arrays are written over as soon as they have been taken (LogReader.passingBatch). */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { EventBatch } from '../log/event-batch.ts';
import { LogReader } from '../log/reader.ts';
import { MemorySource } from '../log/storage.ts';
import { QUICK_BOOT, syntheticBoot, writeLog } from '../log/testing.ts';
import { REGIMES, candidate, projectionOf } from '../regimes/catalogue.ts';
import { Comparison } from './comparison/comparison.ts';
import { type DirtyEpoch, EpochSplitter } from './dirty/epoch.ts';
import { ExitProfileFold } from './exit-profile/fold.ts';
import { Pyramid } from './pyramid/pyramid.ts';

interface Analyser {
  readonly take: (batch: EventBatch) => void;
  readonly result: () => unknown;
}

const profile = (fold: ExitProfileFold): Analyser => ({ take: (batch) => fold.fold(batch), result: () => fold.report() });

const ANALYSERS: Readonly<Record<string, (log: LogReader) => Analyser>> = {
  'exit profile': () => profile(new ExitProfileFold({ name: 'x' })),
  ...Object.fromEntries(REGIMES.map(({ id }) => [`exit profile under ${id}`, () => profile(new ExitProfileFold({ name: 'x', projection: projectionOf(candidate(id)) }))])),
  'comparison of all': () => {
    const comparison = new Comparison({ candidates: REGIMES.map(({ id }) => candidate(id)) });
    return { take: (batch) => comparison.add(batch), result: () => comparison.report() };
  },
  pyramid: ({ lastPosition }) => {
    const pyramid = new Pyramid(lastPosition);
    return { take: (batch) => pyramid.add(batch), result: () => pyramid.save() };
  },
  'dirty epochs': () => {
    const splitter = new EpochSplitter();
    const epochs: DirtyEpoch[] = [];
    return { take: (batch) => epochs.push(...splitter.split(batch)), result: () => epochs };
  },
};

/** What no block has in any row. */
function scribble({ position, timeOffsetNs, kind, site, valueLo, valueHi, aux, payloadStart, payloadLength }: EventBatch): void {
  for (const column of [position, timeOffsetNs, kind, site, valueLo, valueHi, aux, payloadStart, payloadLength]) column.fill(0xfe);
}

const LOGS: Readonly<Record<string, () => Uint8Array>> = {
  'a boot': () => writeLog((sink) => syntheticBoot(sink, QUICK_BOOT), { blockBytes: 2048 }),
  'debian-lmbench-pti': () => new Uint8Array(readFileSync(new URL('../../traces/published/debian-lmbench-pti.cvlog', import.meta.url))),
};

for (const [name, bytesOf] of Object.entries(LOGS)) {
  const bytes = bytesOf();
  test.each(Object.entries(ANALYSERS))(`%s of ${name}`, (_, make) => {
    const log = LogReader.open(new MemorySource(bytes));
    const [kept, passing] = [make(log), make(log)];
    for (let i = 0; i < log.eventBlocks.length; i++) kept.take(log.batch(i));
    for (let i = 0; i < log.eventBlocks.length; i++) {
      const batch = log.passingBatch(i);
      passing.take(batch);
      scribble(batch);
    }
    expect(log.eventBlocks.length).toBeGreaterThan(3);
    expect(passing.result()).toEqual(kept.result());
  });
}

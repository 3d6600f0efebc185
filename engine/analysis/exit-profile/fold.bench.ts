/**
 * The cost of one event: `npx vitest bench --run engine/analysis`. One pass is over the batches of a loud boot, or of a published log, in memory, as often as makes a million events;
 * events a second are passes a second x events a pass.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { bench, describe } from 'vitest';
import { LogReader } from '../../log/reader.ts';
import { MemorySource } from '../../log/storage.ts';
import { LOUD_BOOT, openLog, syntheticBoot, writeLog } from '../../log/testing.ts';
import { REGIMES, candidate, projectionOf } from '../../regimes/catalogue.ts';
import type { RegimeSink } from '../../regimes/regime.ts';
import { ExitProfileFold } from './fold.ts';
import { batchesOf } from './testing.ts';

const published = (name: string): LogReader => LogReader.open(new MemorySource(new Uint8Array(readFileSync(fileURLToPath(new URL(`../../../traces/published/${name}.cvlog`, import.meta.url))))));
const nowhere: RegimeSink = { exit: () => undefined, exitTimes: () => undefined, direct: () => undefined };
let sum = 0;

const LOGS: readonly (readonly [name: string, log: LogReader])[] = [
  ['a loud boot', openLog(writeLog((sink) => syntheticBoot(sink, LOUD_BOOT)))],
  ['debian-lmbench-pti', published('debian-lmbench-pti')],
  ['debian-boot', published('debian-boot')],
];

for (const [name, log] of LOGS) {
  const batches = batchesOf(log);
  const once = batches.reduce((events, { count }) => events + count, 0);
  const times = Math.ceil(1e6 / once);
  describe(`${name}, ${once * times} events`, () => {
    bench('a bare loop: kind, site, position, time', () => {
      for (let turn = 0; turn < times; turn++) {
        for (const { count, kind, site, position, timeOffsetNs } of batches) for (let i = 0; i < count; i++) if (kind[i] === 2) sum += site[i] + position[i] + timeOffsetNs[i];
      }
      if (sum < 0) throw new Error();
    });
    bench('profile of architectural events', () => {
      const fold = new ExitProfileFold({ name: 'bench' });
      for (let turn = 0; turn < times; turn++) for (const batch of batches) fold.fold(batch);
    });
    for (const { id } of REGIMES) {
      bench(`projection ${id} alone`, () => {
        const projection = projectionOf(candidate(id));
        for (let turn = 0; turn < times; turn++) for (const batch of batches) projection.fold(batch, 0, batch.count, nowhere);
      });
      bench(`profile under ${id}`, () => {
        const fold = new ExitProfileFold({ name: 'bench', projection: projectionOf(candidate(id)) });
        for (let turn = 0; turn < times; turn++) for (const batch of batches) fold.fold(batch);
      });
    }
  });
}

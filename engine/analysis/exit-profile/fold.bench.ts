/**
 * The cost of one event: `npx vitest bench --run engine/analysis`. One pass is over the batches of a loud boot, in memory, as often as makes a million events;
 * events a second are passes a second x events a pass.
 */
import { bench, describe } from 'vitest';
import { LOUD_BOOT, openLog, syntheticBoot, writeLog } from '../../log/testing.ts';
import { candidate, projectionOf } from '../../regimes/catalogue.ts';
import type { RegimeSink } from '../../regimes/regime.ts';
import { ExitProfileFold } from './fold.ts';
import { batchesOf } from './testing.ts';

const batches = batchesOf(openLog(writeLog((sink) => syntheticBoot(sink, LOUD_BOOT))));
const once = batches.reduce((sum, { count }) => sum + count, 0);
const times = Math.ceil(1e6 / once);
const title = `${once * times} events`;
const nowhere: RegimeSink = { exit: () => undefined, exitTimes: () => undefined, direct: () => undefined };
let sum = 0;

describe(title, () => {
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
  for (const regime of ['native', 'hw', 'para', 'full']) {
    bench(`projection ${regime} alone`, () => {
      const projection = projectionOf(candidate(regime));
      for (let turn = 0; turn < times; turn++) for (const batch of batches) projection.fold(batch, 0, batch.count, nowhere);
    });
    bench(`profile under ${regime}`, () => {
      const fold = new ExitProfileFold({ name: 'bench', projection: projectionOf(candidate(regime)) });
      for (let turn = 0; turn < times; turn++) for (const batch of batches) fold.fold(batch);
    });
  }
});

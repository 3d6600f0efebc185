/** Events a second through each projection, from decoded batches. `npx vitest bench --run engine/regimes`. */
import { bench, describe } from 'vitest';
import type { EventBatch } from '../log/event-batch.ts';
import { LOUD_BOOT, openLog, syntheticBoot, writeLog } from '../log/testing.ts';
import { Ledger } from '../analysis/comparison/ledger.ts';
import { candidate, projectionOf, REGIMES } from './catalogue.ts';

const reader = openLog(writeLog((writer) => syntheticBoot(writer, LOUD_BOOT)));
const batches: EventBatch[] = reader.eventBlocks.map((_, i) => reader.batch(i));
const events = batches.reduce((sum, batch) => sum + batch.count, 0);

describe(`a loud boot, ${events} events`, () => {
  for (const { id } of REGIMES) {
    bench(id, () => {
      const projection = projectionOf(candidate(id));
      const ledger = new Ledger();
      for (const batch of batches) projection.fold(batch, 0, batch.count, ledger);
    });
  }
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openLog, QUICK_BOOT, syntheticBoot, writeLog } from '../log/testing.ts';
import { countBySite, selectRows } from './site-rows.ts';

const log = openLog(writeLog((sink) => syntheticBoot(sink, QUICK_BOOT), { blockBytes: 8192 }));

test('rows of any stretch are counted by site, and those of any sites are found, in order', () => {
  fc.assert(
    fc.property(fc.nat(log.eventBlocks.length - 1), fc.nat(), fc.nat(), fc.nat(), (block, a, b, chosen) => {
      const batch = log.batch(block);
      const [start, end] = [a % (batch.count + 1), b % (batch.count + 1)].sort((x, y) => x - y);
      const rows = Array.from({ length: end - start }, (_, i) => start + i);
      const isOf = Uint8Array.from({ length: batch.sites.count }, (_, site) => (chosen >>> (site % 31)) & 1);
      const into = new Uint16Array(end - start + 1);
      expect([...into.subarray(0, selectRows(batch, start, end, isOf, into))]).toEqual(rows.filter((row) => isOf[batch.site[row]] === 1));
      const counts = new Uint32Array(batch.sites.count + 1).fill(7);
      countBySite(batch, start, end, counts);
      expect([...counts]).toEqual([...Array.from({ length: batch.sites.count }, (_, site) => rows.filter((row) => batch.site[row] === site).length), 7]);
    }),
    { numRuns: 200 },
  );
});

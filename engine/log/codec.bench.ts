/**
 * Cost of one event: `npx vitest bench --run engine/log`. The goal of issue 2 is a recorder that costs at most 3 % of the guest; at 100 MIPS
 * and one event in 2200 instructions (the loud boot) that is 660 ns an event. Compare rows with each other only: vitest looks up every import at
 * every use, which makes these loops several times slower than in the built program (there: 250 ns to make and encode, as much to decode and verify).
 */
import { bench, describe } from 'vitest';
import { crc32c } from './crc32c.ts';
import { sha256Hex } from './sha256.ts';
import type { ByteSink } from './storage.ts';
import { LOUD_BOOT, openLog, syntheticBoot, testHeader, writeLog } from './testing.ts';
import { VerifyingSink } from './verify.ts';
import { createLog } from './writer.ts';

const NOWHERE: ByteSink = { append: () => undefined, sync: () => undefined };
const log = writeLog((writer) => syntheticBoot(writer, LOUD_BOOT));
const megabyte = new Uint8Array(1 << 20).map((_, i) => i * 7);

describe(`${openLog(log).records} events`, () => {
  bench('make and encode', () => {
    const writer = createLog(NOWHERE, testHeader());
    syntheticBoot(writer, LOUD_BOOT);
    writer.close();
  });
  bench('make and verify', () => {
    const sink = new VerifyingSink(openLog(log));
    syntheticBoot(sink, LOUD_BOOT);
    if (sink.finish() !== undefined) throw new Error('diverged');
  });
  bench('decode to batches', () => {
    for (const { batch } of openLog(log).batches()) if (batch.count === 0) throw new Error('empty');
  });
  bench('decode to objects', () => {
    for (const event of openLog(log).events()) if (event.kind === 'end') break;
  });
});

describe('1 MiB', () => {
  bench('CRC-32C', () => void crc32c(megabyte));
  bench('SHA-256', () => void sha256Hex(megabyte));
});

/**
 * A log is damaged in every way that one byte or one cut can, and what is said of it is compared with what is known.
 */
import { describe, expect, test } from 'vitest';
import { blockBytesOf, recordsOf } from './block.ts';
import { equalBytes } from './bytes.ts';
import { LogError } from './errors.ts';
import { LOG_KINDS, kindCode } from './events.ts';
import type { LogEvent } from './events.ts';
import { position } from './position.ts';
import { describeRecovery, recover } from './recover.ts';
import { sha256Hex } from './sha256.ts';
import { MemorySink, MemorySource } from './storage.ts';
import { checkLog } from './survey.ts';
import { QUICK_BOOT, openLog, randomOf, syntheticBoot, withoutTotals, writeLog } from './testing.ts';
import type { RecoveryReport } from './recover.ts';

const IMAGE = Uint8Array.of(1, 2, 3, 4, 5);
/** An image block and three event blocks, of few bytes, ended and closed. */
const SMALL = writeLog((writer) => {
  writer.image(IMAGE);
  writer.exitIo(position(10), 0x8100_0000, 0xffff_ffff, 0x3f8, 1, 0x10, 0x41, 1000);
  writer.device(position(10), { kind: 'uart-tx', port: 0x3f8, byte: 0x41 });
  writer.flush();
  writer.inputConsole(position(20), 'ttyS0', Uint8Array.of(0x6c, 0x73));
  writer.idle(position(30), 5000);
  writer.flush();
  writer.digest(position(40), '0123456789abcdef0123456789abcdef');
  writer.end(position(50), 'shutdown', 'bye');
}, { images: [{ name: 'initrd', sha256: sha256Hex(IMAGE), bytes: IMAGE.length }] });
const SMALL_READER = openLog(SMALL);
const SMALL_EVENTS = [...SMALL_READER.events()];
const HEADER_END = SMALL_READER.blocks[0].offset;
const BLOCK_ENDS = SMALL_READER.blocks.map((entry) => entry.offset + blockBytesOf(entry));
const FOOTER_OFFSET = BLOCK_ENDS.at(-1)!;

/** All that a strict reader can be asked for. */
function readAll(bytes: Uint8Array): LogEvent[] {
  const reader = openLog(bytes);
  for (const entry of reader.blocks) reader.payload(entry);
  return [...reader.events()];
}

function repaired(bytes: Uint8Array): { report: RecoveryReport; bytes: Uint8Array } {
  const sink = new MemorySink();
  const report = recover(new MemorySource(bytes), sink);
  return { report, bytes: sink.toBytes() };
}

/** The new log is read by the strict reader: intact, ended, closed, its events are a prefix of those of the whole, and the report counts them. */
function expectPrefix(damaged: Uint8Array, whole: readonly LogEvent[]): RecoveryReport {
  const before = damaged.slice();
  const { report, bytes } = repaired(damaged);
  expect(equalBytes(damaged, before)).toBe(true);
  expect(checkLog(new MemorySource(bytes))).toEqual({ problems: [], isClosed: true, hasEnd: true });
  const events = readAll(bytes);
  const kept = events.slice(0, report.kept.records);
  expect(kept).toEqual(whole.slice(0, report.kept.records));
  expect(LOG_KINDS.map((kind) => report.kept.byKind[kind])).toEqual(LOG_KINDS.map((kind) => kept.filter((event) => event.kind === kind).length));
  expect(events.length).toBe(report.kept.records + (report.isTruncated ? 1 : 0));
  if (report.isTruncated) expect(events.at(-1)).toMatchObject({ kind: 'end', reason: 'truncated', position: report.lastPosition, totals: { records: report.kept.records } });
  return report;
}

describe('a flipped bit anywhere', () => {
  test('in a small log: the strict reader stops, check locates it, recover keeps what comes before', () => {
    for (let offset = 0; offset < SMALL.length; offset++) {
      for (const mask of [1 << (offset % 8), 0xff]) {
        const damaged = SMALL.slice();
        damaged[offset] ^= mask;
        expect(() => readAll(damaged), `byte ${offset}`).toThrow(LogError);
        const { problems } = checkLog(new MemorySource(damaged));
        expect(problems.length, `byte ${offset}`).toBe(1);
        const [problem] = problems;
        expect(problem.offset <= offset && offset < problem.offset + problem.length, `byte ${offset}: ${problem.message}`).toBe(true);
        if (offset < HEADER_END) {
          expect(() => repaired(damaged)).toThrow(LogError);
          continue;
        }
        const report = expectPrefix(damaged, SMALL_EVENTS);
        const hit = BLOCK_ENDS.findIndex((end) => offset < end);
        expect(report.kept.blocks).toBe(hit < 0 ? BLOCK_ENDS.length : hit);
        // The footer is intact, or nothing else is damaged: so nothing is left unknown.
        expect(report.lost.isExact).toBe(true);
        if (hit >= 0) {
          const lost = SMALL_READER.blocks[hit];
          const unusable = SMALL_READER.blocks.slice(hit + 1);
          expect(report.lost).toMatchObject({ blocks: 1, bytes: blockBytesOf(lost), records: recordsOf(lost) });
          expect(LOG_KINDS.map((kind) => report.lost.byKind[kind])).toEqual(LOG_KINDS.map((kind) => lost.counts[kindCode(kind)]));
          expect(report.unusable).toMatchObject({ blocks: unusable.length, records: unusable.reduce((sum, entry) => sum + recordsOf(entry), 0) });
        } else {
          expect(report).toMatchObject({ isTruncated: false, lost: { blocks: 0, records: 0 }, unusable: { blocks: 0 } });
        }
      }
    }
  }, 60_000);

  test('in a larger log, at 300 random places, with and without the footer', () => {
    const whole = writeLog((writer) => syntheticBoot(writer, QUICK_BOOT), { blockBytes: 4096 });
    const reader = openLog(whole);
    const events = [...reader.events()];
    const footerOffset = reader.blocks.at(-1)!.offset + blockBytesOf(reader.blocks.at(-1)!);
    const random = randomOf(99);
    for (let i = 0; i < 300; i++) {
      const damaged = (i % 2 === 0 ? whole : whole.subarray(0, footerOffset)).slice();
      const offset = random(damaged.length);
      damaged[offset] ^= 1 << random(8);
      expect(() => readAll(damaged), `byte ${offset}`).toThrow(LogError);
      const { problems } = checkLog(new MemorySource(damaged));
      expect(problems.length, `byte ${offset}`).toBe(1);
      expect(problems[0].offset <= offset && offset < problems[0].offset + problems[0].length, `byte ${offset}: ${problems[0].message}`).toBe(true);
      if (offset < reader.blocks[0].offset || i % 10 > 1) continue;
      const { report, bytes } = repaired(damaged);
      const again = [...openLog(bytes).events()].map(withoutTotals);
      expect(again.slice(0, report.kept.records)).toEqual(events.map(withoutTotals).slice(0, report.kept.records));
      const hit = reader.blocks.findIndex((entry) => offset < entry.offset + blockBytesOf(entry));
      expect(report.kept.blocks).toBe(hit < 0 ? reader.blocks.length : hit);
      if (report.lost.isExact) expect(report.kept.records + report.lost.records + report.unusable.records).toBe(events.length);
      else expect(report.lost.unknownBytes).toBe(blockBytesOf(reader.blocks[hit]));
    }
  }, 60_000);
});

test('a cut at every byte of a small log: recover keeps the whole blocks, and says what the rest was', () => {
  for (let length = 0; length < SMALL.length; length++) {
    const cut = SMALL.slice(0, length);
    if (length < HEADER_END) {
      expect(() => repaired(cut)).toThrow(expect.objectContaining({ code: 'LOG_HEADER_DAMAGED' }));
      continue;
    }
    const report = expectPrefix(cut, SMALL_EVENTS);
    const blocks = BLOCK_ENDS.filter((end) => end <= length).length;
    const restBytes = length - (blocks === 0 ? HEADER_END : BLOCK_ENDS[blocks - 1]);
    const isBoundary = restBytes === 0;
    expect(report.kept.blocks).toBe(blocks);
    expect(report.wasClosed).toBe(false);
    expect(report.isTorn, `length ${length}`).toBe(!isBoundary);
    expect(report.isTruncated).toBe(blocks < BLOCK_ENDS.length);
    expect(report.problems.length).toBe(isBoundary ? 0 : 1);
    expect(report.unusable.blocks).toBe(0);
    if (length > FOOTER_OFFSET || isBoundary) {
      expect(report.lost).toMatchObject({ blocks: 0, bytes: 0, records: 0, isExact: true });
    } else if (restBytes < 80) {
      expect(report.lost).toMatchObject({ blocks: 1, bytes: restBytes, records: 0, isExact: false, unknownBytes: restBytes });
    } else {
      expect(report.lost).toMatchObject({ blocks: 1, bytes: restBytes, records: recordsOf(SMALL_READER.blocks[blocks]), isExact: true });
    }
    // The strict reader takes a log that is cut between two blocks for one that is being written, and stops at every other cut.
    if (isBoundary) expect(readAll(cut).length).toBe(report.kept.records);
    else expect(() => readAll(cut)).toThrow(LogError);
  }
}, 60_000);

test('an intact log is recovered to the same bytes', () => {
  const { report, bytes } = repaired(SMALL);
  expect(bytes).toEqual(SMALL);
  expect(report).toMatchObject({ problems: [], isTruncated: false, wasClosed: true, lost: { blocks: 0 } });
});

test('blocks that were taken out, swapped or repeated are noticed', () => {
  const piece = (i: number): Uint8Array => SMALL.slice(i === 0 ? HEADER_END : BLOCK_ENDS[i - 1], BLOCK_ENDS[i]);
  const join = (...blocks: readonly number[]): Uint8Array => Uint8Array.from([...SMALL.slice(0, HEADER_END), ...blocks.flatMap((i) => [...piece(i)])]);
  for (const order of [[0, 1, 3], [0, 2, 1, 3], [1, 2, 3], [0, 1, 1, 2, 3]]) {
    const damaged = join(...order);
    expect(() => readAll(damaged), order.join()).toThrow(expect.objectContaining({ code: 'LOG_BLOCK_DAMAGED' }));
    expect(checkLog(new MemorySource(damaged)).problems[0]).toMatchObject({ code: 'LOG_BLOCK_DAMAGED' });
    expectPrefix(damaged, SMALL_EVENTS);
  }
});

test('what a newer program wrote is not damage', () => {
  const sink = new MemorySink();
  const bytes = writeLog((writer) => writer.block(99, 0, Uint8Array.of(1)));
  expect(() => recover(new MemorySource(bytes), sink)).toThrow(expect.objectContaining({ code: 'LOG_UNKNOWN_BLOCK' }));
  expect(sink.length).toBe(0);
});

test('a report for people', () => {
  const { report } = repaired(SMALL.slice(0, BLOCK_ENDS[2] - 1));
  expect(describeRecovery(report)).toEqual([
    `LOG_TORN at byte ${BLOCK_ENDS[1]}, ${BLOCK_ENDS[2] - 1 - BLOCK_ENDS[1]} bytes: ${BLOCK_ENDS[2] - 1 - BLOCK_ENDS[1]} of ${BLOCK_ENDS[2] - BLOCK_ENDS[1]} bytes of a block`,
    `kept: 2 records (exit 1, device 1) in 2 blocks, ${BLOCK_ENDS[1] - HEADER_END} bytes, up to @10`,
    `lost: 2 records (input 1, idle 1) in 1 blocks, ${BLOCK_ENDS[2] - 1 - BLOCK_ENDS[1]} bytes`,
    'an end event with reason truncated was added',
  ]);
});

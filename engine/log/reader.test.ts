import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeBlockHeader, FLAG_OPTIONAL } from './block.ts';
import { LOG_KINDS } from './events.ts';
import { POSITION_MAX, position } from './position.ts';
import { LogReader } from './reader.ts';
import { sha256Hex } from './sha256.ts';
import { MemorySink, MemorySource } from './storage.ts';
import type { ByteSink } from './storage.ts';
import { checkLog } from './survey.ts';
import { QUICK_BOOT, anyEvents, openLog, randomOf, syntheticBoot, testHeader, writeLog } from './testing.ts';
import { createLog } from './writer.ts';

describe('queries', () => {
  test('from, to and kinds give what a filter over all events gives', () => {
    const kinds = fc.option(fc.subarray(LOG_KINDS), { nil: undefined });
    fc.assert(
      fc.property(anyEvents, fc.double({ min: 0, max: 1.1, noNaN: true }), fc.double({ min: 0, max: 1.1, noNaN: true }), kinds, (events, a, b, kinds) => {
        const reader = openLog(writeLog((writer) => events.forEach((event) => writer.append(event)), { blockBytes: 2048 }));
        const last = events.at(-1)?.position ?? 0;
        const from = position(Math.floor(a * last));
        const to = position(Math.floor(b * last));
        expect([...reader.events({ from, to, ...(kinds && { kinds }) })]).toEqual(events.filter((event) => event.position >= from && event.position < to && (kinds?.includes(event.kind) ?? true)));
        const first = events.findIndex((event) => event.position >= from);
        expect(reader.recordIndexAt(from)).toBe(first < 0 ? events.length : first);
      }),
      { numRuns: 100 },
    );
  });

  test('blocks that hold no record of a kind are not read', () => {
    const bytes = writeLog((writer) => {
      syntheticBoot(writer, QUICK_BOOT);
    }, { blockBytes: 4096 });
    let reads = 0;
    const source = new MemorySource(bytes);
    const reader = LogReader.open({ length: source.length, read: (offset, length) => (reads++, source.read(offset, length)) });
    expect(reads).toBeLessThan(8);
    const before = reads;
    expect([...reader.events({ kinds: ['end'] })].length).toBe(1);
    expect(reads - before).toBe(2);
    expect(reader.counts.end).toBe(1);
    expect(reader.hasEnd).toBe(true);
    expect([...reader.events({ from: POSITION_MAX })]).toEqual([]);
  });
});

test('passing batches are what batches are, in the same arrays, and leave kept ones alone', () => {
  const reader = openLog(writeLog((writer) => syntheticBoot(writer, QUICK_BOOT), { blockBytes: 4096 }));
  const counts = reader.eventBlocks.map((_, i) => reader.batch(i).count);
  expect(new Set(counts).size).toBeGreaterThan(2);
  const largest = counts.indexOf(Math.max(...counts));
  const first = reader.passingBatch(largest);
  const kept = reader.batch(0);
  const copy = structuredClone(kept);
  for (let i = 0; i < counts.length; i++) {
    const passing = reader.passingBatch(i);
    expect(passing).toEqual(reader.batch(i));
    expect(passing.position.buffer).toBe(first.position.buffer);
  }
  expect(kept).toEqual(copy);
  expect(() => reader.passingBatch(counts.length)).toThrow('no event block');
});

test('a log without a footer is read by walking its blocks', () => {
  const sink = new MemorySink();
  const writer = createLog(sink, testHeader());
  writer.idle(position(5), 10);
  expect(LogReader.open(new MemorySource(sink.toBytes())).records).toBe(0);
  writer.flush();
  expect(sink.syncedBytes).toBe(sink.length);
  writer.flush();
  expect(sink.syncedBytes).toBe(writer.bytesWritten);
  writer.mark(position(6), 'here', 'user');
  const open = LogReader.open(new MemorySource(sink.toBytes()));
  expect(open.isClosed).toBe(false);
  expect([...open.events()]).toEqual([{ kind: 'idle', position: 5, ns: 10 }]);
  writer.close();
  const closed = LogReader.open(new MemorySource(sink.toBytes()));
  expect(closed.isClosed).toBe(true);
  expect([...closed.entries()].map((entry) => [entry.index, entry.timeOffsetNs])).toEqual([[0, 0], [1, 10]]);
  expect(checkLog(new MemorySource(sink.toBytes()))).toEqual({ problems: [], isClosed: true, hasEnd: false });
});

test('an empty log', () => {
  const reader = openLog(writeLog(() => undefined));
  expect([reader.isClosed, reader.records, reader.lastPosition, reader.hasEnd]).toEqual([true, 0, 0, false]);
});

describe('images', () => {
  const random = randomOf(11);
  const images = [0, 1, 1920, 10_000, 200_000].map((length) => Uint8Array.from({ length }, () => random(256)));
  const header = { images: images.map((bytes, i) => ({ name: `image ${i}`, sha256: sha256Hex(bytes), bytes: bytes.length })) };

  for (const blockBytes of [2048, 65_536]) {
    test(`of any size come back, in blocks of ${blockBytes} bytes`, () => {
      const bytes = writeLog((writer) => {
        for (const [i, image] of images.entries()) {
          writer.image(image);
          writer.idle(position(i), 1);
        }
      }, { ...header, blockBytes });
      const reader = openLog(bytes);
      for (const entry of reader.blocks) expect(entry.payloadBytes + 80).toBeLessThanOrEqual(blockBytes);
      for (const image of images) expect(sha256Hex(reader.image(sha256Hex(image))!)).toBe(sha256Hex(image));
      expect(reader.image('00'.repeat(32))).toBeUndefined();
      expect(reader.records).toBe(images.length);
      expect(checkLog(new MemorySource(bytes)).problems).toEqual([]);
    });
  }

  test('one whose last chunks were not written is incomplete', () => {
    const whole = writeLog((writer) => writer.image(images[3]), { ...header, blockBytes: 2048 });
    const first = openLog(whole).blocks[0];
    const reader = openLog(whole.subarray(0, first.offset + 80 + first.payloadBytes));
    expect(() => reader.image(sha256Hex(images[3]))).toThrow(expect.objectContaining({ code: 'LOG_IMAGE_INCOMPLETE' }));
  });
});

describe('blocks of unknown types', () => {
  test('are skipped if they are optional', () => {
    const bytes = writeLog((writer) => {
      writer.idle(position(1), 1);
      writer.block(99, FLAG_OPTIONAL, Uint8Array.of(1, 2, 3));
      writer.idle(position(2), 2);
    });
    expect([...openLog(bytes).events()].length).toBe(2);
    expect(openLog(bytes).blocks.length).toBe(3);
    expect(checkLog(new MemorySource(bytes)).problems).toEqual([]);
  });

  test('are an error if not, and so are unknown flags', () => {
    for (const [type, flags] of [[99, 0], [2, 2]] as const) {
      const bytes = writeLog((writer) => writer.block(type, flags, Uint8Array.of(1, 2, 3)));
      expect(() => openLog(bytes)).toThrow(expect.objectContaining({ code: 'LOG_UNKNOWN_BLOCK' }));
      expect(checkLog(new MemorySource(bytes)).problems).toMatchObject([{ code: 'LOG_UNKNOWN_BLOCK' }]);
    }
  });
});

test('a record of an unknown shape or code is an error', () => {
  const bytes = writeLog((writer) => writer.interrupt(position(7), 1, 2, 0x20, -1));
  const reader = openLog(bytes);
  const entry = reader.blocks[0];
  const patched = (at: number, value: number): LogReader => {
    const payload = reader.payload(entry).slice();
    payload[at] = value;
    const copy = bytes.slice(0, entry.offset + 80 + payload.length);
    copy.set(encodeBlockHeader(entry, 0, payload), entry.offset);
    copy.set(payload, entry.offset + 80);
    return openLog(copy);
  };
  // Token, shape, mask, then f0: the phase.
  expect(() => [...patched(1, 0x7e).events()]).toThrow(expect.objectContaining({ code: 'LOG_UNKNOWN_RECORD', offset: entry.offset + 81 }));
  expect(() => [...patched(3, 9).events()]).toThrow(expect.objectContaining({ code: 'LOG_UNKNOWN_RECORD' }));
});

test('after a failed write nothing more is written', () => {
  let room = 1500;
  const calls: number[] = [];
  const sink: ByteSink = {
    append(bytes) {
      calls.push(bytes.length);
      if (bytes.length > room) throw new Error('ENOSPC: no space left on device');
      room -= bytes.length;
    },
    sync: () => undefined,
  };
  const writer = createLog(sink, testHeader());
  const failure = expect.objectContaining({ code: 'LOG_WRITE_FAILED', status: 49, message: expect.stringContaining('ENOSPC') });
  expect(() => {
    for (let i = 0; i < 100; i++) {
      writer.mark(position(i), `mark number ${i}`, 'tool');
      writer.flush();
    }
  }).toThrow(failure);
  const before = calls.length;
  expect(() => writer.close()).toThrow(failure);
  expect(calls.length).toBe(before);
});

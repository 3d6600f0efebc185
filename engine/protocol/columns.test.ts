import fc from 'fast-check';
import { expect, it } from 'vitest';
import { eventAt } from '../log/event-batch.ts';
import { dirtyLog } from '../analysis/dirty/testing.ts';
import { decodeConsoleFrame, encodeConsoleFrame } from './console-frame.ts';
import { type Column, ColumnsError, columnOf, decodeColumns, encodeColumns } from './columns.ts';
import { FrameSplitter, decodeEventRows, encodeEventRows, framed } from './event-batches.ts';

const column: fc.Arbitrary<Column> = fc.oneof<fc.Arbitrary<Column>[]>(
  fc.uint8Array({ maxLength: 40 }), fc.uint16Array({ maxLength: 40 }), fc.uint32Array({ maxLength: 40 }), fc.float64Array({ maxLength: 40 }),
); // prettier-ignore

it('columns survive, wherever their bytes lie', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.uniqueArray(fc.tuple(fc.string(), column), { selector: ([name]) => name, maxLength: 8 }), fc.integer({ min: 0, max: 9 }), (meta, columns, shift) => {
      const encoded = encodeColumns(meta, columns);
      const moved = new Uint8Array(encoded.length + shift).subarray(shift);
      moved.set(encoded);
      const decoded = decodeColumns(moved);
      expect(decoded.meta).toEqual(JSON.parse(JSON.stringify(meta)));
      expect([...decoded.columns]).toEqual(columns);
    }),
  );
});

it('bytes that are no columns are refused, never misread', () => {
  const encoded = encodeColumns({ a: 1 }, [['x', Float64Array.of(1, 2, 3)], ['y', Uint8Array.of(1, 2, 3)]]);
  for (let length = 0; length < encoded.length - 8; length++) expect(() => decodeColumns(encoded.subarray(0, length)), String(length)).toThrow(ColumnsError);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat({ max: encoded.length - 1 }), (bytes, at) => {
      const damaged = encoded.slice();
      damaged.set(bytes.subarray(0, damaged.length - at), at);
      try {
        decodeColumns(damaged);
      } catch (error) {
        expect(error).toBeInstanceOf(ColumnsError);
      }
    }),
  );
  expect(() => columnOf(decodeColumns(encoded), 'x', 'u8')).toThrow(/no column x of u8/);
  expect(() => columnOf(decodeColumns(encoded), 'z', 'u8')).toThrow(ColumnsError);
  expect(() => decodeEventRows(encoded)).toThrow(ColumnsError);
});

it('rows of a block become events again, in a stream of any pieces', () => {
  const { reader } = dirtyLog({ epochs: 40, pages: 64, blockBytes: 2048 });
  const all = [...reader.entries()].filter(({ index }) => index % 3 !== 1);
  const stream: number[] = [];
  for (let i = 0; i < reader.eventBlocks.length; i++) {
    const batch = reader.batch(i);
    const rows = Uint32Array.from({ length: batch.count }, (_, row) => row).filter((row) => (batch.firstRecord + row) % 3 !== 1);
    stream.push(...framed(encodeEventRows(batch, rows)));
  }
  const bytes = Uint8Array.from(stream);
  for (const size of [1000, 4096, bytes.length]) {
    const splitter = new FrameSplitter();
    const found: object[] = [];
    for (let at = 0; at < bytes.length; at += size) {
      for (const piece of splitter.push(bytes.subarray(at, at + size))) {
        const { batch, records } = decodeEventRows(piece);
        for (let row = 0; row < batch.count; row++) found.push({ index: records[row], timeOffsetNs: batch.timeOffsetNs[row], event: eventAt(batch, row) });
      }
    }
    expect(splitter.pendingBytes).toBe(0);
    expect(found).toEqual(all);
  }
});

it('console frames', () => {
  const frame = { from: 2 ** 40 + 1, bytes: Uint8Array.of(1, 2, 255) };
  expect(decodeConsoleFrame(encodeConsoleFrame(frame))).toEqual(frame);
  expect(decodeConsoleFrame(Uint8Array.of(1, 2))).toBeUndefined();
  expect(decodeConsoleFrame(new Uint8Array(20))).toBeUndefined();
});

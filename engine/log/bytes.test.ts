import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteReader, ByteWriter, bigintOf, getU64, highOf, highOfBigint, isShortZigzag, lowOf, lowOfBigint, setU64, signedNumberOf, viewOf, zigzag64At } from './bytes.ts';

const u64 = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom(0n, 63n, 64n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n));

test('varint and zigzag of any 64-bit value come back', () => {
  fc.assert(
    fc.property(u64, u64, (value, base) => {
      const writer = new ByteWriter(32);
      writer.varint64(lowOfBigint(value), highOfBigint(value));
      const start = writer.length;
      writer.zigzag64(lowOfBigint(value), highOfBigint(value), lowOfBigint(base), highOfBigint(base));
      expect(isShortZigzag(lowOfBigint(value), highOfBigint(value), lowOfBigint(base), highOfBigint(base))).toBe(writer.length - start === 1);
      const reader = new ByteReader(writer.bytes.subarray(0, writer.length), 0);
      reader.varint64();
      expect(bigintOf(reader.lo, reader.hi)).toBe(value);
      reader.zigzag64(lowOfBigint(base), highOfBigint(base));
      expect(bigintOf(reader.lo, reader.hi)).toBe(value);
      expect(reader.done).toBe(true);
    }),
    { numRuns: 2000 },
  );
});

test('zigzag64At reads what the reader reads, anywhere, and fails where and as it does', () => {
  const read = (bytes: Uint8Array, at: number, base: bigint): unknown => {
    const reader = new ByteReader(bytes, 100);
    reader.at = at;
    reader.zigzag64(lowOfBigint(base), highOfBigint(base));
    return [reader.at, reader.lo | 0, reader.hi | 0];
  };
  const readAt = (bytes: Uint8Array, at: number, base: bigint): unknown => {
    const into = new Int32Array(2);
    return [zigzag64At(new ByteReader(bytes, 100), at, lowOfBigint(base) | 0, highOfBigint(base) | 0, into), into[0], into[1]];
  };
  const outcome = (of: typeof read, ...given: Parameters<typeof read>): unknown => {
    try {
      return of(...given);
    } catch (error) {
      return String(error);
    }
  };
  // Numbers of every length, longer ones than they need, and bytes that are no number; with much, little and nothing after them.
  const long = fc.tuple(fc.array(fc.integer({ min: 0x80, max: 0xff }), { maxLength: 11 }), fc.integer({ min: 0, max: 0xff })).map(([more, last]) => [...more, last]);
  fc.assert(
    fc.property(long, u64, fc.nat(3), fc.nat(12), fc.nat(11), (number, base, before, after, cut) => {
      const bytes = Uint8Array.from([...Array<number>(before).fill(0x80), ...number, ...Array<number>(after).fill(0xff)]);
      for (const some of [bytes, bytes.subarray(0, before + cut)]) expect(outcome(readAt, some, before, base)).toEqual(outcome(read, some, before, base));
    }),
    { numRuns: 3000 },
  );
});

test('safe integers come back as two halves', () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (n) => {
      expect(signedNumberOf(lowOf(n), highOf(n))).toBe(n);
      const bytes = new Uint8Array(8);
      setU64(viewOf(bytes), 0, Math.abs(n));
      expect(getU64(viewOf(bytes), 0)).toBe(Math.abs(n));
    }),
  );
});

test('a number that is too long, too large or cut off is damage', () => {
  const read = (bytes: readonly number[]): (() => number) => () => new ByteReader(Uint8Array.from(bytes), 100).varint();
  expect(read([0x80])).toThrow(/byte 101/);
  expect(read([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02])).toThrow(/larger than 64 bits/);
  expect(read([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])).toThrow(/safe integer/);
});

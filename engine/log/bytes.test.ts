import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteReader, ByteWriter, bigintOf, getU64, highOf, highOfBigint, isShortZigzag, lowOf, lowOfBigint, setU64, signedNumberOf, viewOf } from './bytes.ts';

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

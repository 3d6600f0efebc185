import { expect, test } from 'vitest';
import { formatPosition, parsePosition, position } from './position.ts';

test('a position is a safe integer', () => {
  expect(position(0)).toBe(0);
  expect(position(Number.MAX_SAFE_INTEGER)).toBe(2 ** 53 - 1);
  for (const wrong of [-1, 0.5, Number.NaN, Infinity, 2 ** 53]) expect(() => position(wrong)).toThrow(RangeError);
});

test('format and parse are inverse', () => {
  for (const n of [0, 123, 2 ** 53 - 1]) expect(parsePosition(formatPosition(position(n)))).toBe(n);
  expect(formatPosition(position(123))).toBe('@123');
  expect(parsePosition('@380_000_000')).toBe(380_000_000);
  for (const wrong of ['', '@', '123', '@-1', '@1.5', '@1e3', '@_1', '@9007199254740992', ' @1']) expect(parsePosition(wrong)).toBeUndefined();
});

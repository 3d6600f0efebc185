import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Frequency } from './frequency.ts';

describe('Frequency', () => {
  test('agrees with unbounded integers', () => {
    const hertz = fc.constantFrom(1193182, 32768, 1_000_000_000, 24_000_000, 100_000_000, 2_000_000_000);
    const nanoseconds = fc.integer({ min: 0, max: 2 ** 51 });
    fc.assert(
      fc.property(hertz, nanoseconds, (hz, ns) => {
        const frequency = new Frequency(hz);
        const tick = frequency.ticksAt(ns);
        expect(BigInt(tick)).toBe((BigInt(ns) * BigInt(hz)) / 1_000_000_000n);
        const at = frequency.nsAt(tick);
        expect(frequency.ticksAt(at)).toBeGreaterThanOrEqual(tick);
        if (at > 0) expect(frequency.ticksAt(at - 1)).toBeLessThan(tick);
      }),
      { numRuns: 2000 },
    );
  });

  test('rounds down below zero, and gives no negative zero', () => {
    const frequency = new Frequency(1193182);
    expect(frequency.ticksAt(-1)).toBe(-1);
    expect(Object.is(frequency.ticksAt(0), 0)).toBe(true);
    expect(Object.is(frequency.nsAt(0), 0)).toBe(true);
  });

  test('refuses what it cannot do exactly', () => {
    expect(() => new Frequency(133_333_333)).toThrow(RangeError);
    expect(() => new Frequency(0)).toThrow(RangeError);
    expect(() => new Frequency(1.5)).toThrow(RangeError);
  });
});

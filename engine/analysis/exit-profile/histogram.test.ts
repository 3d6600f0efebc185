import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BUCKETS, bucketFloor, bucketOf, quantile, record } from './histogram.ts';

describe('histogram', () => {
  it('puts every value into the bucket whose bounds hold it, and a bucket is narrow', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 40 - 1 }), (value) => {
        const bucket = bucketOf(value);
        expect(bucket).toBeLessThan(BUCKETS);
        expect(bucketFloor(bucket)).toBeLessThanOrEqual(value);
        if (bucket + 1 < BUCKETS) {
          expect(bucketFloor(bucket + 1)).toBeGreaterThan(value);
          expect(bucketFloor(bucket + 1) - bucketFloor(bucket)).toBeLessThanOrEqual(Math.max(1, bucketFloor(bucket) / 8));
        }
      }),
    );
    expect([bucketOf(-1), bucketOf(0), bucketOf(7), bucketOf(8), bucketOf(2 ** 40), bucketOf(Infinity)]).toEqual([0, 0, 7, 8, BUCKETS - 1, BUCKETS - 1]);
    expect(bucketOf(2 ** 32) - bucketOf(2 ** 32 - 1)).toBe(1);
  });

  it('finds a quantile within a sixteenth of the nearest rank', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 1_000_000 }), { minLength: 1, maxLength: 300 }), fc.constantFrom(0.5, 0.9, 0.99, 1), (values, share) => {
        const counts = new Uint32Array(BUCKETS + 5);
        for (const value of values) record(counts, 5, value);
        const sorted = [...values].sort((a, b) => a - b);
        const exact = sorted[Math.ceil(values.length * share) - 1];
        const found = quantile(counts, 5, share, sorted[0], sorted[sorted.length - 1]);
        expect(Math.abs(found - exact)).toBeLessThanOrEqual(exact / 16 + 0.5);
      }),
    );
    expect(quantile(new Uint32Array(BUCKETS), 0, 0.99, 0, 0)).toBe(0);
    const full = new Uint32Array(BUCKETS).fill(0xffff_ffff);
    record(full, 0, 3);
    expect(full[3]).toBe(0xffff_ffff);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DirtyTimeline, TimelineBuilder } from './timeline.ts';
import { type DirtyTruth, windowCount } from './truth.ts';
import { WaveletMatrix } from './wavelet.ts';

describe('WaveletMatrix', () => {
  it('counts as a loop does', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 70 }), { maxLength: 200 }), fc.nat(210), fc.nat(210), fc.nat(80), (values, a, b, bound) => {
        const matrix = new WaveletMatrix(Uint32Array.from(values));
        const begin = Math.min(a, b, values.length);
        const end = Math.min(Math.max(a, b), values.length);
        expect(matrix.countBelow(begin, end, bound)).toBe(values.slice(begin, end).filter((value) => value < bound).length);
      }),
      { numRuns: 400 },
    );
  });
});

/** Writes as (epoch, page) at any time; epochs of 10 ns. */
const writes = fc.array(fc.record({ at: fc.integer({ min: 0, max: 299 }), page: fc.integer({ min: 0, max: 12 }) }), { maxLength: 250 }).map((list) => list.sort((a, b) => a.at - b.at));
const EPOCH_NS = 10;

function truthOf(list: readonly { readonly at: number; readonly page: number }[], times: DirtyTruth['times']): DirtyTruth {
  const builder = new TimelineBuilder();
  for (let epoch = 0; epoch < 30; epoch++) {
    const seen = new Set<number>();
    for (const { at, page } of list) {
      if (Math.floor(at / EPOCH_NS) !== epoch || seen.has(page)) continue;
      seen.add(page);
      builder.add(times === 'epoch end' ? (epoch + 1) * EPOCH_NS : at, page);
    }
  }
  return { name: 't', pages: 13, beginNs: 0, endNs: 300, timeline: builder.build(), epochEndsNs: Float64Array.from({ length: 30 }, (_, i) => (i + 1) * EPOCH_NS), times, busyShare: 1 };
}
const brute = (list: readonly { readonly at: number; readonly page: number }[], from: number, to: number): number => new Set(list.filter(({ at }) => at >= from && at < to).map(({ page }) => page)).size;

describe('D(t0, dt)', () => {
  it('is a brute-force count, for random windows of whole epochs, from epoch sets and from first writes', () => {
    fc.assert(
      fc.property(writes, fc.nat(30), fc.nat(30), (list, a, b) => {
        const from = Math.min(a, b) * EPOCH_NS;
        const to = Math.max(a, b) * EPOCH_NS;
        for (const times of ['epoch end', 'first write'] as const) {
          expect(windowCount(truthOf(list, times), from, to)).toEqual({ atLeast: brute(list, from, to), atMost: brute(list, from, to), isExact: true });
        }
      }),
      { numRuns: 500 },
    );
  });

  it('is between its bounds for any window, and never looser from first writes', () => {
    fc.assert(
      fc.property(writes, fc.nat(300), fc.nat(300), (list, a, b) => {
        const [from, to] = [Math.min(a, b), Math.max(a, b)];
        const exact = brute(list, from, to);
        const coarse = windowCount(truthOf(list, 'epoch end'), from, to);
        const fine = windowCount(truthOf(list, 'first write'), from, to);
        for (const each of [coarse, fine]) {
          expect(each.atLeast).toBeLessThanOrEqual(exact);
          expect(each.atMost).toBeGreaterThanOrEqual(exact);
          if (each.isExact) expect(each.atLeast).toBe(exact);
        }
        expect(fine.atLeast).toBeGreaterThanOrEqual(coarse.atLeast);
        expect(fine.atMost).toBeLessThanOrEqual(coarse.atMost);
      }),
      { numRuns: 500 },
    );
  });

  it('is exact everywhere when every write is known', () => {
    fc.assert(
      fc.property(writes, fc.nat(300), fc.nat(300), (list, a, b) => {
        const timeline = new DirtyTimeline({ atNs: Float64Array.from(list, ({ at }) => at), page: Uint32Array.from(list, ({ page }) => page) });
        const truth: DirtyTruth = { ...truthOf(list, 'first write'), timeline, epochEndsNs: undefined };
        expect(windowCount(truth, Math.min(a, b), Math.max(a, b)).atLeast).toBe(brute(list, Math.min(a, b), Math.max(a, b)));
        expect(Array.from(timeline.pagesBetween(100, 200))).toEqual([...new Set(list.filter(({ at }) => at >= 100 && at < 200).map(({ page }) => page))].sort((x, y) => x - y));
      }),
    );
  });
});

it('refuses times out of order', () => {
  expect(() => new DirtyTimeline({ atNs: Float64Array.of(2, 1), page: Uint32Array.of(0, 0) })).toThrow(RangeError);
});

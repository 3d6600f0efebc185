import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SITES_MAX, SiteCounts } from './site-counts.ts';

describe('SiteCounts', () => {
  it('counts what a map counts, across save and restore', () => {
    const address = fc.record({ lo: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 0xffff_ffff })), hi: fc.constantFrom(0, 1, 0xffff_ffff, 0x1f_ffff) });
    fc.assert(
      fc.property(fc.array(address, { maxLength: 400 }), fc.nat(400), (addresses, cut) => {
        let counts = new SiteCounts();
        const model = new Map<number, number>();
        addresses.forEach(({ lo, hi }, i) => {
          const key = (hi & 0xf_ffff) * 2 ** 32 + lo;
          const slot = counts.slotOf(lo, hi);
          expect(counts.at(slot)).toBe(model.get(key) ?? 0);
          counts.add(slot, lo, hi);
          model.set(key, (model.get(key) ?? 0) + 1);
          if (i === cut) {
            const restored = new SiteCounts();
            restored.restore(counts.entries());
            counts = restored;
          }
        });
        expect(new Map(counts.entries())).toEqual(model);
      }),
    );
  });

  it('begins anew when it is full', () => {
    const counts = new SiteCounts();
    for (let lo = 0; lo <= SITES_MAX; lo++) counts.add(counts.slotOf(lo, 0), lo, 0);
    expect(counts.entries()).toEqual([[SITES_MAX, 1]]);
  });
});

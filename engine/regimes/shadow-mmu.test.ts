import { describe, expect, it } from 'vitest';
import { STORE_FREE, STORE_UNSYNC, STORE_WATCHED, ShadowMmu, type ShadowPolicy } from './shadow-mmu.ts';

const KVM: ShadowPolicy = { isUnsync: true, prefetch: 8, rootsCached: 4, flood: 3, pagesMax: 4, touchedShare: 0.5, fillsPerNewRoot: 16 };
const TABLE = 0x10_0000;
const PRESENT_USER = 0x5;
const PRESENT_KERNEL = 0x1;
const at = (index: number, table = TABLE): number => table + index * 8;

describe('ShadowMmu', () => {
  it('lets a last-level table go at its first store, and reads it again at the next root', () => {
    const mmu = new ShadowMmu(KVM);
    expect([mmu.store(1, at(0), 0), mmu.store(1, at(1), 0), mmu.store(1, at(2), 0)]).toEqual([STORE_UNSYNC, STORE_FREE, STORE_FREE]);
    mmu.loadRoot(7);
    expect(mmu.synced).toBe(1);
    expect(mmu.store(1, at(3), 0)).toBe(STORE_UNSYNC);
    mmu.loadRoot(7);
    mmu.loadRoot(7);
    expect(mmu.synced).toBe(0);
  });

  it('sees every store without that', () => {
    const mmu = new ShadowMmu({ ...KVM, isUnsync: false, flood: 0 });
    for (let i = 0; i < 10; i++) expect(mmu.store(1, at(i), 0)).toBe(STORE_WATCHED);
    mmu.loadRoot(1);
    expect(mmu.synced).toBe(0);
  });

  it('drops an upper table at the third store, until it may be in use again', () => {
    const mmu = new ShadowMmu(KVM);
    expect([1, 2, 3, 4, 5].map((i) => mmu.store(2, at(i), PRESENT_USER))).toEqual([STORE_WATCHED, STORE_WATCHED, STORE_WATCHED, STORE_FREE, STORE_FREE]);
    mmu.trueFault(0);
    expect(mmu.store(2, at(6), PRESENT_USER)).toBe(STORE_WATCHED);
    expect(mmu.drops).toBe(1);
  });

  it('fills the entry that a true fault asked for, at once and once', () => {
    const mmu = new ShadowMmu({ ...KVM, touchedShare: 0 });
    mmu.trueFault(5 * 4096 + 123);
    mmu.store(1, at(4), PRESENT_USER);
    expect(mmu.fills).toBe(0);
    mmu.store(1, at(5), PRESENT_USER);
    expect(mmu.fills).toBe(1);
    mmu.store(1, at(5), PRESENT_USER);
    expect(mmu.fills).toBe(0);
    mmu.store(1, at(5), 0);
    mmu.trueFault(5 * 4096);
    mmu.store(1, at(5), PRESENT_USER);
    expect(mmu.fills).toBe(1);
  });

  it('fills neighbours together, kernel entries always and user entries by their share', () => {
    const count = (value: number, share: number): number => {
      const mmu = new ShadowMmu({ ...KVM, touchedShare: share });
      let fills = 0;
      for (let i = 0; i < 64; i++) {
        mmu.store(1, at(i), value);
        fills += mmu.fills;
      }
      return fills;
    };
    expect(count(PRESENT_KERNEL, 0)).toBe(8);
    expect(count(PRESENT_USER, 1)).toBe(8);
    expect(count(PRESENT_USER, 0.5)).toBe(4);
    expect(count(PRESENT_USER, 0)).toBe(0);
  });

  it('knows the last roots, and what a new one needs', () => {
    const mmu = new ShadowMmu(KVM);
    const seen = [1, 2, 1, 3, 4, 5, 1, 2].map((root) => {
      mmu.loadRoot(root);
      return [mmu.isCachedRoot, mmu.fills];
    });
    expect(seen).toEqual([[false, 16], [false, 16], [true, 0], [false, 16], [false, 16], [false, 16], [true, 0], [false, 0]]);
    mmu.forget(2);
    mmu.loadRoot(2);
    expect(mmu.fills).toBe(16);
  });

  it('keeps no more pages than it may', () => {
    const mmu = new ShadowMmu(KVM);
    for (let table = 0; table < 100; table++) mmu.store(1, at(0, table * 4096), 0);
    expect(mmu.counters()).toMatchObject({ 'shadow pages': 4, 'shadow pages made': 100 });
    mmu.loadRoot(1);
    expect(mmu.synced).toBe(4);
  });
});

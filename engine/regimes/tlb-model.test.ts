import { describe, expect, it } from 'vitest';
import { TLB_FETCH, TLB_FLUSH_ALL, TLB_FLUSH_LOCAL, TLB_FLUSH_PAGE, TLB_GLOBAL, TLB_SHIFT, TLB_USER } from '../cpu/layout.ts';
import { TLBS } from './costs/tlbs.ts';
import { TlbModel } from './tlb-model.ts';

const SMALL = 12 << TLB_SHIFT;
const LARGE = 21 << TLB_SHIFT;
const [NEHALEM, HASWELL] = TLBS;

describe('TlbModel', () => {
  it('walks once for a page, and again when it has gone from both levels', () => {
    const tlb = new TlbModel(HASWELL);
    for (let turn = 0; turn < 2; turn++) for (let way = 0; way < 5; way++) tlb.access(way * 16, 0, SMALL | TLB_USER);
    // Five pages of one first-level set of four: the second time each is in the second level.
    expect(tlb.counts()).toMatchObject({ walks: 5, dataUser: 5, secondLevelHits: 5 });
    // Nine of one second-level set of eight.
    for (let turn = 0; turn < 2; turn++) for (let way = 0; way < 9; way++) tlb.access(1 + way * 128, 0, SMALL);
    expect(tlb.counts()).toMatchObject({ walks: 5 + 18, dataKernel: 18, secondLevelHits: 5 });
  });

  it('tells data from fetches and 4 KiB pages from large ones with the same number', () => {
    const tlb = new TlbModel(HASWELL);
    tlb.access(512, 0, SMALL);
    tlb.access(512 * 512, 0, LARGE);
    expect(tlb.counts()).toMatchObject({ walks: 2, secondLevelHits: 0 });
    tlb.access(512, 0, SMALL | TLB_FETCH);
    expect(tlb.counts()).toMatchObject({ walks: 2, secondLevelHits: 1 });
    tlb.access(512 * 512 + 511, 0, LARGE);
    expect(tlb.counts()).toMatchObject({ walks: 2, secondLevelHits: 1 });
  });

  it('keeps large pages in the shared level where the CPU does', () => {
    const walks = TLBS.slice(0, 2).map((geometry) => {
      const tlb = new TlbModel(geometry);
      for (let turn = 0; turn < 2; turn++) for (let way = 0; way < 5; way++) tlb.access(way * 8 * 512, 0, LARGE);
      return tlb.counts().walks;
    });
    expect(walks).toEqual([10, 5]);
  });

  it('drops on MOV CR3 what is not global, on INVLPG one page of any size, else all', () => {
    const [user, kernel] = [SMALL | TLB_USER, SMALL | TLB_GLOBAL];
    const missesAfter = (what: number, pageLow: number, pageHigh: number): number => {
      const tlb = new TlbModel(HASWELL);
      const touch = (): void => {
        tlb.access(0x400, 0, user);
        tlb.access(0xfff8_1000, 0xf_ffff, kernel);
        tlb.access(0x600, 0, LARGE);
      };
      touch();
      tlb.flush(what, pageLow, pageHigh);
      touch();
      return tlb.counts().walks - 3;
    };
    expect(missesAfter(TLB_FLUSH_LOCAL, 0, 0)).toBe(2);
    expect(missesAfter(TLB_FLUSH_PAGE, 0xfff8_1000, 0xf_ffff)).toBe(1);
    expect(missesAfter(TLB_FLUSH_PAGE, 0x601, 0)).toBe(1);
    expect(missesAfter(TLB_FLUSH_PAGE, 0x401, 0)).toBe(0);
    expect(missesAfter(TLB_FLUSH_ALL, 0, 0)).toBe(3);
  });

  it('refuses arrays that the counting core cannot serve', () => {
    expect(() => new TlbModel({ ...NEHALEM, data: { entries: 64, ways: 64 } })).toThrow('data has 1 sets; it must be a power of two, and at least 16');
    expect(() => new TlbModel({ ...NEHALEM, shared: { entries: 1536, ways: 8 } })).toThrow('192 sets');
  });
});

/** TLBs of real CPUs, for counting misses in a replay (../tlb-model.ts). Entries and ways of each array; replacement is not published, and taken to be LRU. */
import type { TlbArray, TlbGeometry } from '../tlb-model.ts';

const TABLE_SKYLAKE = 'Intel 64 and IA-32 Architectures Optimization Reference Manual (248966-045), Table 2-15, as quoted in Intel community thread 1371605; CPUID leaf 2 there';
const HASWELL = 'Intel optimization manual (248966), Haswell, cache and TLB parameters; sizes of the data TLBs also in measurements published by news.mynavi.jp, 2013-06-21 (haswell2, page 15)';
const NEHALEM = 'RealWorldTech, "Inside Nehalem", 2 April 2008, pages 4 and 8';

const DATA: TlbArray = { entries: 64, ways: 4 };
const DATA_LARGE: TlbArray = { entries: 32, ways: 4 };
const DATA_HUGE: TlbArray = { entries: 4, ways: 4 };

export const TLBS = [
  {
    id: 'nehalem', title: 'Intel Nehalem', trust: 'secondary', source: NEHALEM,
    data: DATA, dataLarge: DATA_LARGE, dataHuge: DATA_HUGE, fetch: { entries: 128, ways: 4 }, fetchLarge: { entries: 7, ways: 7 }, shared: { entries: 512, ways: 4 }, sharedHoldsLarge: false,
    note: 'large fetch entries are those of one thread; the 1 GiB array is taken to be that of its successors',
  },
  {
    id: 'haswell', title: 'Intel Haswell', trust: 'secondary', source: HASWELL,
    data: DATA, dataLarge: DATA_LARGE, dataHuge: DATA_HUGE, fetch: { entries: 128, ways: 4 }, fetchLarge: { entries: 8, ways: 8 }, shared: { entries: 1024, ways: 8 }, sharedHoldsLarge: true,
    note: 'large fetch entries are those of one thread',
  },
  {
    id: 'skylake', title: 'Intel Skylake, Skylake-SP and Cascade Lake', trust: 'secondary', source: TABLE_SKYLAKE,
    data: DATA, dataLarge: DATA_LARGE, dataHuge: DATA_HUGE, fetch: { entries: 128, ways: 8 }, fetchLarge: { entries: 8, ways: 8 }, shared: { entries: 1536, ways: 12 }, sharedHoldsLarge: true,
    note: 'CPUID leaf 2 says 6 ways of the shared array, the manual 12; its 16 entries for 1 GiB pages are left out',
  },
] as const satisfies readonly TlbGeometry[];

/** Shadow page tables under VT-x or SVM. */
import type { CostTable } from './cost-table.ts';

const AA06 = 'Adams & Agesen, ASPLOS 2006, section 6.3, as quoted in ligurio/openbsd-tests tests/atomics/at_vmm.cc';
const PVM23 = 'Huang et al., SOSP 2023, Tables 2 to 4';

export const SHADOW_COSTS = [
  { parameter: 'shadow.cr3', cpu: 'cascade-lake', year: 2023, low: 1150, typical: 1190, high: 2340, definition: 'guest', source: PVM23, trust: 'derived', note: '(2.09 - 0.22) us / 2 = 2,340 for one switch of KPTI, which reads CR3 and writes it: less a null exit (1,150) for the read; high: all of it. The root is in the cache of roots' },
  { parameter: 'shadow.cr3', cpu: 'pentium4', year: 2006, low: 4340, typical: 11242, high: 12733, definition: 'guest', source: AA06, trust: 'assumed', note: 'as a #PF exit; low: the transitions alone' },
  { parameter: 'shadow.new-root', cpu: 'any', year: 2023, low: 0, typical: 1190, high: 12733, definition: 'host', source: 'none known', trust: 'assumed', note: 'a root that is not in the cache: a shadow page is found or made' },
  { parameter: 'shadow.true-fault', cpu: 'pentium4', year: 2006, low: 10149, typical: 10149, high: 10149, definition: 'guest', source: AA06, trust: 'derived', note: 'pgfault under VT-x 11,242, less the 1,093 of the bare machine, which are apart' },
  { parameter: 'shadow.true-fault', cpu: 'cascade-lake', year: 2023, low: 975, typical: 1575, high: 4150, definition: 'guest', source: PVM23, trust: 'derived', note: 'prot fault +2.51 us under shadow less two CR3 exits of KPTI (1.88 us); low: half of page fault +0.78 us; high: a #UD exit. What the bare machine takes is apart' },
  { parameter: 'shadow.fill', cpu: 'pentium4', year: 2006, low: 4340, typical: 10149, high: 11242, definition: 'guest', source: AA06, trust: 'derived', note: 'a hidden fault: 11,242 less the 1,093 of the guest; low: the transitions alone' },
  { parameter: 'shadow.fill', cpu: 'cascade-lake', year: 2023, low: 975, typical: 1558, high: 1950, definition: 'guest', source: PVM23, trust: 'derived', note: 'page fault +0.78 us less a sixteenth of a true fault with KPTI (fault-around of 16 pages); low: half of it; high: all of it' },
  { parameter: 'shadow.write', cpu: 'pentium4', year: 2006, low: 12733, typical: 12733, high: 12733, definition: 'guest', source: AA06, trust: 'secondary', note: 'ptemod: a page-table write that exits and is emulated' },
  { parameter: 'shadow.write', cpu: 'cascade-lake', year: 2023, low: 1558, typical: 2532, high: 2928, definition: 'guest', source: PVM23, trust: 'derived', note: 'a fill and one emulated instruction (974)' },
  { parameter: 'shadow.unsync', cpu: 'pentium4', year: 2006, low: 4340, typical: 10149, high: 12733, definition: 'guest', source: AA06, trust: 'assumed', note: 'a write fault that gives write access back; as a fill' },
  { parameter: 'shadow.unsync', cpu: 'cascade-lake', year: 2023, low: 975, typical: 1558, high: 1950, definition: 'guest', source: PVM23, trust: 'assumed', note: 'a write fault that gives write access back; as a fill' },
  { parameter: 'shadow.sync', cpu: 'cascade-lake', year: 2023, low: 2080, typical: 2080, high: 4320, definition: 'host', source: 'status note of a port of PVM to Linux 7.3 (2026), one author', trust: 'derived', note: '26.69 us of a page-table load with about 32 resyncs, less about 1 us: 0.80 us a page at 2.6 GHz; high: at 5.4 GHz' },
  { parameter: 'shadow.invlpg', cpu: 'cascade-lake', year: 2023, low: 1150, typical: 1190, high: 2340, definition: 'guest', source: PVM23, trust: 'assumed', note: 'as a CR3 load' },
  { parameter: 'shadow.invlpg', cpu: 'pentium4', year: 2006, low: 4340, typical: 11242, high: 12733, definition: 'guest', source: AA06, trust: 'assumed', note: 'as a #PF exit; low: the transitions alone' },
] as const satisfies CostTable;

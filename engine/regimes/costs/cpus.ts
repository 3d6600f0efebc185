/** Machines of which something was measured. */
import type { CpuRow } from './cost-table.ts';

export const CPUS: readonly CpuRow[] = [
  { id: 'pentium4',     title: 'Intel Pentium 4 672 (Prescott), VT-x of the first generation', year: 2006, gigahertz: 3.8 },
  { id: 'core2',        title: 'Intel Core 2 Duo (Merom)', year: 2006, gigahertz: 2.66 },
  { id: 'athlon-x2',    title: 'AMD Athlon X2 (K8), SVM of the first generation', year: 2007 },
  { id: 'nehalem',      title: 'Intel Xeon X5570 (Nehalem)', year: 2010, gigahertz: 2.93 },
  { id: 'intel-2012',   title: 'an Intel machine of 2012 that its source does not name', year: 2012 },
  { id: 'haswell',      title: 'Intel Xeon (Haswell)', year: 2017 },
  { id: 'skylake',      title: 'Intel Xeon (Skylake-SP)', year: 2020 },
  { id: 'amd-2020',     title: 'an AMD server of 2020 that its source does not name', year: 2020 },
  { id: 'cascade-lake', title: '2x Intel Xeon Platinum 8269CY (Cascade Lake), cycles at the nominal 2.5 GHz', year: 2023, gigahertz: 2.5 },
  { id: 'server-2024',  title: 'servers of 2024 that their sources do not name', year: 2024 },
];

/** Xen PV, and PVM (software paravirtualisation with shadow page tables). */
import type { CostTable } from './cost-table.ts';

const PVM23 = 'Huang et al., SOSP 2023, Table 1, PVM on bare metal';
const XENLOG = 'Xen commit 3e1b9525 (2007), lmbench lat_syscall, CPU not named';

export const PARAVIRTUAL_COSTS = [
  { parameter: 'pv.hypercall', cpu: 'cascade-lake', year: 2023, low: 1350, typical: 1350, high: 1350, definition: 'guest', source: PVM23, trust: 'derived', note: '0.54 us; taken for Xen PV too, which also switches by SYSCALL' },
  { parameter: 'pv.exception', cpu: 'cascade-lake', year: 2023, low: 448, typical: 3082, high: 4175, definition: 'guest', source: PVM23, trust: 'derived', note: '#UD, 1.67 us with the guest handler, less native.exception (of another machine); low: one world switch of 0.179 us; high: the whole' },
  { parameter: 'pv.bounce', cpu: 'cascade-lake', year: 2023, low: 448, typical: 896, high: 2700, definition: 'guest', source: PVM23, trust: 'derived', note: 'a trap frame built on the guest stack: two world switches of 0.179 us; its IRET is a hypercall of its own; high: two hypercalls' },
  { parameter: 'pv.syscall', cpu: 'cascade-lake', year: 2023, low: 575, typical: 1792, high: 4625, definition: 'guest', source: PVM23, trust: 'assumed', note: 'SYSCALL to the guest kernel and back: get_pid +0.23 us with direct switch (low), +1.85 us without (high); typical: four world switches' },
  { parameter: 'pv.privileged', cpu: 'cascade-lake', year: 2023, low: 2170, typical: 6325, high: 6325, definition: 'guest', source: `${PVM23} (an emulated MSR access, 2.53 us); low: ${XENLOG}, 0.868 us at 2.5 GHz`, trust: 'derived' },
  { parameter: 'pv.cpuid', cpu: 'cascade-lake', year: 2023, low: 1500, typical: 1500, high: 6325, definition: 'guest', source: PVM23, trust: 'derived', note: '0.60 us; high: as another privileged instruction' },
  { parameter: 'pv.update', cpu: 'any', year: 2023, low: 100, typical: 300, high: 1350, definition: 'host', source: 'none known', trust: 'assumed', note: 'checking and writing one page-table entry within a hypercall; high: as a hypercall' },
  { parameter: 'pv.table', cpu: 'any', year: 2023, low: 512, typical: 2560, high: 10240, definition: 'host', source: 'none known; Xen looks at each of the 512 entries (alloc_l1_table to alloc_l4_table, xen/arch/x86/mm.c)', trust: 'assumed', note: 'validating one page table, its present entries apart, which are pv.update each: 1, 5 or 20 cycles for each of 512 entries' },
  { parameter: 'pv.ring', cpu: 'cascade-lake', year: 2023, low: 1350, typical: 12275, high: 32350, definition: 'guest', source: PVM23, trust: 'assumed', note: 'a request to the driver domain: low, the event channel alone; typical, as PIO to userspace (4.91 us); high, nested (12.94 us)' },
  { parameter: 'pv.io-user', cpu: 'cascade-lake', year: 2023, low: 12275, typical: 12275, high: 12275, definition: 'guest', source: PVM23, trust: 'derived', note: '4.91 us' },
  { parameter: 'pv.direct-switch', cpu: 'cascade-lake', year: 2023, low: 150, typical: 575, high: 575, definition: 'guest', source: 'Huang et al., SOSP 2023, Table 2', trust: 'derived', note: 'get_pid with direct switch 0.29 us against 0.06 us; low: null I/O +0.06 us over EPT with KPTI' },
  { parameter: 'pv.fault', cpu: 'cascade-lake', year: 2023, low: 1347, typical: 1947, high: 4175, definition: 'guest', source: 'Huang et al., SOSP 2023, Table 1', trust: 'derived', note: 'shadow.true-fault less two VT-x world switches (262) and two of PVM (448)' },
  { parameter: 'pv.fill', cpu: 'cascade-lake', year: 2023, low: 1347, typical: 1930, high: 2322, definition: 'guest', source: 'Huang et al., SOSP 2023, Table 1', trust: 'derived', note: 'shadow.fill less two VT-x world switches (262) and two of PVM (448)' },
  { parameter: 'pv.write', cpu: 'cascade-lake', year: 2023, low: 1930, typical: 2904, high: 3300, definition: 'guest', source: 'Huang et al., SOSP 2023, Table 1', trust: 'derived', note: 'shadow.write less two VT-x world switches (262) and two of PVM (448)' },
  { parameter: 'pv.load-root', cpu: 'cascade-lake', year: 2023, low: 1350, typical: 1390, high: 2712, definition: 'guest', source: PVM23, trust: 'derived', note: 'HC_LOAD_PGTBL without resyncs: a hypercall, and the 40 cycles by which a CR3 load exceeds a null exit; high: the most a CR3 exit can be (2,340), with the other world switch' },
] as const satisfies CostTable;

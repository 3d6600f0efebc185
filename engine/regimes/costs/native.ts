/** What the bare machine takes, and what a container adds. */
import type { CostTable } from './cost-table.ts';

const AA06 = 'Adams & Agesen, ASPLOS 2006, section 6.3, as quoted in ligurio/openbsd-tests tests/atomics/at_vmm.cc';
const PVM23 = 'Huang et al., SOSP 2023, Table 2 and text (get_pid with and without KPTI)';

export const NATIVE_COSTS = [
  { parameter: 'native.exception', cpu: 'pentium4', year: 2006, low: 889, typical: 1093, high: 1093, definition: 'event', source: AA06, trust: 'secondary', note: 'divzero 889, pgfault 1,093: delivery, an empty handler, return' },
  { parameter: 'native.interrupt', cpu: 'any', year: 2006, low: 889, typical: 1093, high: 2186, definition: 'event', source: 'none known', trust: 'assumed', note: 'as native.exception' },
  { parameter: 'native.port', cpu: 'pentium4', year: 2006, low: 3209, typical: 3209, high: 3209, definition: 'event', source: AA06, trust: 'secondary', note: 'IN from port 0x80, 0.84 us' },
  { parameter: 'native.port', cpu: 'cascade-lake', year: 2023, low: 1056, typical: 2111, high: 2500, definition: 'event', source: AA06, trust: 'derived', note: '0.84 us of the bus at 2.5 GHz; low is half of it' },
  { parameter: 'native.mmio', cpu: 'any', year: 2006, low: 100, typical: 1000, high: 3209, definition: 'event', source: 'none known', trust: 'assumed', note: 'a device register; at most a port' },
  { parameter: 'native.apic', cpu: 'any', year: 2006, low: 0, typical: 100, high: 500, definition: 'event', source: 'none known', trust: 'assumed', note: 'a register of the local APIC, which is in the CPU' },
  { parameter: 'native.kpti', cpu: 'cascade-lake', year: 2023, low: 400, typical: 400, high: 400, definition: 'event', source: PVM23, trust: 'derived', note: '(0.22 - 0.06) us x 2.5 GHz for each entry to the guest kernel and return' },
  { parameter: 'native.walk', cpu: 'any', year: 2023, low: 10, typical: 35, high: 150, definition: 'event', source: 'none known', trust: 'assumed', note: 'one TLB miss, four levels, most of them in caches' },
  { parameter: 'container.syscall', cpu: 'any', year: 2023, low: 0, typical: 100, high: 500, definition: 'event', source: 'none known', trust: 'assumed', note: 'seccomp filter and cgroup accounting of a system call' },
] as const satisfies CostTable;

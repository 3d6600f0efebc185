/** Binary translation with shadow page tables (VMware, 2006). */
import type { CostTable } from './cost-table.ts';

const AA06 = 'Adams & Agesen, ASPLOS 2006, section 6.3, as quoted in ligurio/openbsd-tests tests/atomics/at_vmm.cc';

export const BINARY_TRANSLATION_COSTS = [
  { parameter: 'bt.true-fault', cpu: 'pentium4', year: 2006, low: 3927, typical: 3927, high: 3927, definition: 'guest', source: AA06, trust: 'secondary', note: 'pgfault' },
  { parameter: 'bt.exception', cpu: 'pentium4', year: 2006, low: 3223, typical: 3223, high: 3927, definition: 'guest', source: AA06, trust: 'secondary', note: 'divzero; high: pgfault' },
  { parameter: 'bt.interrupt', cpu: 'pentium4', year: 2006, low: 3223, typical: 3223, high: 3927, definition: 'guest', source: AA06, trust: 'assumed', note: 'as an exception' },
  { parameter: 'bt.fill', cpu: 'pentium4', year: 2006, low: 391, typical: 2834, high: 3927, definition: 'guest', source: AA06, trust: 'derived', note: 'a hidden fault: 3,927 less the 1,093 of the guest; low: as an adapted page-table write' },
  { parameter: 'bt.trace', cpu: 'pentium4', year: 2006, low: 2834, typical: 3927, high: 12733, definition: 'guest', source: AA06, trust: 'assumed', note: 'a trace fault before its instruction is translated again: as a fault; high: as ptemod under VT-x' },
  { parameter: 'bt.trace-adapted', cpu: 'pentium4', year: 2006, low: 391, typical: 391, high: 391, definition: 'event', source: AA06, trust: 'secondary', note: 'ptemod' },
  { parameter: 'bt.callout', cpu: 'pentium4', year: 2006, low: 35, typical: 391, high: 2834, definition: 'event', source: AA06, trust: 'assumed', note: 'CR, MSR, CPUID, INVLPG, HLT: between a CR8 write (35) and a fault; typical as an adapted page-table write' },
  { parameter: 'bt.device', cpu: 'pentium4', year: 2006, low: 214, typical: 214, high: 3209, definition: 'event', source: 'Adams & Agesen, ASPLOS 2006: "15 times faster than native", through a secondary note', trust: 'derived', note: '3,209 / 15; high: as native' },
  { parameter: 'bt.device-model', cpu: 'pentium4', year: 2006, low: 3209, typical: 15826, high: 20574, definition: 'guest', source: AA06, trust: 'assumed', note: 'the world switch of a hosted monitor to its device model: as IN under VT-x; high as inl_from_qemu of 2012' },
  { parameter: 'bt.syscall', cpu: 'pentium4', year: 2006, low: 2000, typical: 2000, high: 2000, definition: 'event', source: AA06, trust: 'secondary', note: 'what SYSCALL and SYSRET take more than native ("about")' },
  { parameter: 'bt.kernel-instruction', cpu: 'any', year: 2006, low: 0, typical: 0.77, high: 1, definition: 'event', source: `${AA06}; 7,350,170 returns in 381,516,683 instructions of a boot of Debian's kernel 6.1.192-2, counted for this project`, trust: 'derived', note: 'per instruction of the translated kernel: 1.93 % are returns, which look up their target, and a call with its return is 51 cycles instead of 11; low: a look-up that costs nothing' },
] as const satisfies CostTable;

/** Exits of VT-x and SVM under a KVM-like monitor, with nested paging. */
import type { CostTable } from './cost-table.ts';

const AA06 = 'Adams & Agesen, ASPLOS 2006';
const PVM23 = 'Huang et al., SOSP 2023, Table 1, VT-x on bare metal';
const KUT = 'kvm-unit-tests commit 00bfecaa';
const PERF_LINUX = 'perf kvm stat of an idle Linux guest, 2021 (blog post): mean, over that of MSR_READ there (1.56 us)';
const PERF_WINDOWS = 'perf kvm stat of an idle Windows 10 guest (cloud-atlas notes): mean, over that of MSR_READ there (1.87 us)';
const SCALED = 'x 2,175 cycles, an MSR exit in SOSP 2023';

export const HARDWARE_COSTS = [
  { parameter: 'hw.vmcall', cpu: 'pentium4', year: 2006, low: 4340, typical: 4340, high: 11242, definition: 'hardware', source: `${AA06}, Table 1, through a secondary note`, trust: 'derived', note: 'entry 2,409 + exit 1,931, no handler; high is a whole #PF exit' },
  { parameter: 'hw.vmcall', cpu: 'core2', year: 2006, low: 2123, typical: 2123, high: 3898, definition: 'hardware', source: `${AA06}, Table 1, through a secondary note`, trust: 'derived', note: 'entry 937 + exit 1,186, no handler; high as in 2012' },
  { parameter: 'hw.vmcall', cpu: 'athlon-x2', year: 2007, low: 3300, typical: 4850, high: 5000, definition: 'guest', source: 'Xen commits db82fef5, f64b7618', trust: 'primary', note: 'null hypercall under SVM, before and after two changes' },
  { parameter: 'hw.vmcall', cpu: 'nehalem', year: 2010, low: 2000, typical: 2000, high: 3898, definition: 'guest', source: 'Landau et al., SplitX (abstract)', trust: 'primary', note: 'direct cost of one exit; high as in 2012' },
  { parameter: 'hw.vmcall', cpu: 'intel-2012', year: 2012, low: 3898, typical: 3898, high: 3898, definition: 'guest', source: KUT, trust: 'primary' },
  { parameter: 'hw.vmcall', cpu: 'skylake', year: 2020, low: 1529, typical: 1529, high: 1559, definition: 'guest', source: 'W. Li, kvm list, 2020', trust: 'primary' },
  { parameter: 'hw.vmcall', cpu: 'amd-2020', year: 2020, low: 1344, typical: 1376, high: 2576, definition: 'hardware', source: 'M. Roth, kvm list, December 2020', trust: 'primary', note: 'VMRUN to #VMEXIT inside KVM_RUN; high is the whole ioctl' },
  { parameter: 'hw.vmcall', cpu: 'cascade-lake', year: 2023, low: 1150, typical: 1150, high: 1150, definition: 'guest', source: PVM23, trust: 'derived', note: '0.46 us' },
  { parameter: 'hw.cpuid', cpu: 'cascade-lake', year: 2023, low: 1350, typical: 1350, high: 1350, definition: 'guest', source: PVM23, trust: 'derived', note: '0.54 us' },
  { parameter: 'hw.cpuid', cpu: 'server-2024', year: 2024, low: 1018, typical: 1053, high: 1110, definition: 'guest', source: 'S. Christopherson; B. Kauer, kvm list, December 2024', trust: 'primary' },
  { parameter: 'hw.msr', cpu: 'cascade-lake', year: 2023, low: 2175, typical: 2175, high: 2175, definition: 'guest', source: PVM23, trust: 'derived', note: '0.87 us' },
  { parameter: 'hw.msr-timer', cpu: 'haswell', year: 2017, low: 2500, typical: 2500, high: 3700, definition: 'guest', source: 'kvm-unit-tests commit cfbd129c', trust: 'primary', note: 'tscdeadline_immed: arming and the immediate interrupt' },
  { parameter: 'hw.msr-timer', cpu: 'skylake', year: 2020, low: 2495, typical: 2495, high: 3028, definition: 'guest', source: 'W. Li, kvm list, 2020', trust: 'primary', note: 'tscdeadline_immed with and without the fast path' },
  { parameter: 'hw.exception', cpu: 'cascade-lake', year: 2023, low: 3057, typical: 3057, high: 4150, definition: 'guest', source: PVM23, trust: 'derived', note: '#UD, 1.66 us with the guest handler, less native.exception (of another machine); high: without that' },
  { parameter: 'hw.cr', cpu: 'intel-2012', year: 2012, low: 3898, typical: 3898, high: 5150, definition: 'guest', source: KUT, trust: 'assumed', note: 'as a null exit; high with the change of the MMU role (P. Bonzini, 2022)' },
  { parameter: 'hw.cr', cpu: 'cascade-lake', year: 2023, low: 1150, typical: 4879, high: 5096, definition: 'guest', source: 'P. Bonzini, kvm list, 2022 (CR0.WP toggled); low: a null exit of SOSP 2023', trust: 'primary', note: 'the machine of 2022 is not named' },
  { parameter: 'hw.io-kernel', cpu: 'intel-2012', year: 2012, low: 4451, typical: 4451, high: 7237, definition: 'guest', source: KUT, trust: 'primary', note: 'outl to a device in the kernel; high: inl, emulated' },
  { parameter: 'hw.io-kernel', cpu: 'cascade-lake', year: 2023, low: 1313, typical: 1313, high: 2135, definition: 'guest', source: `${KUT} and ${PVM23}`, trust: 'derived', note: '4,451 and 7,237 of 3,898, x 1,150' },
  { parameter: 'hw.io-kernel', cpu: 'pentium4', year: 2006, low: 4956, typical: 4956, high: 8058, definition: 'guest', source: `${KUT} and ${AA06}`, trust: 'derived', note: '4,451 and 7,237 of 3,898, x 4,340' },
  { parameter: 'hw.io-user', cpu: 'pentium4', year: 2006, low: 15826, typical: 15826, high: 15826, definition: 'guest', source: `${AA06}, section 6.3`, trust: 'secondary', note: 'IN from port 0x80 through the device model' },
  { parameter: 'hw.io-user', cpu: 'intel-2012', year: 2012, low: 20574, typical: 20574, high: 24615, definition: 'guest', source: KUT, trust: 'primary', note: 'inl_from_qemu; high: inl_from_pmtimer' },
  { parameter: 'hw.io-user', cpu: 'cascade-lake', year: 2023, low: 9475, typical: 9475, high: 9475, definition: 'guest', source: PVM23, trust: 'derived', note: '3.79 us' },
  { parameter: 'hw.emulate', cpu: 'intel-2012', year: 2012, low: 739, typical: 3300, high: 3300, definition: 'host', source: `${KUT}; low: b5105e8b`, trust: 'primary', note: 'decoding and emulating one instruction' },
  { parameter: 'hw.emulate', cpu: 'cascade-lake', year: 2023, low: 218, typical: 974, high: 1370, definition: 'host', source: `${KUT} and ${PVM23}`, trust: 'derived', note: '739 and 3,300 of 3,898, x 1,150; high: an own measurement of KVM\'s emulator on another machine' },
  { parameter: 'hw.ept-violation', cpu: 'cascade-lake', year: 2023, low: 4431, typical: 10212, high: 42511, definition: 'host', source: PERF_WINDOWS, trust: 'derived', note: `8.78 us (3.81 to 36.55) / 1.87 us ${SCALED}; allocating the page included` },
  { parameter: 'hw.apic', cpu: 'cascade-lake', year: 2023, low: 2175, typical: 5410, high: 6385, definition: 'host', source: PERF_LINUX, trust: 'derived', note: `APIC_WRITE 3.88 us / 1.56 us ${SCALED}; low: as an MSR; high: and its emulation` },
  { parameter: 'hw.interrupt', cpu: 'cascade-lake', year: 2023, low: 1150, typical: 2036, high: 3059, definition: 'host', source: `${PERF_LINUX}; the Windows 10 table`, trust: 'derived', note: `1.46 / 1.56 us and 2.63 / 1.87 us ${SCALED}; low: a null exit` },
  { parameter: 'hw.window', cpu: 'cascade-lake', year: 2023, low: 1150, typical: 2617, high: 2617, definition: 'host', source: PERF_WINDOWS, trust: 'derived', note: `2.25 / 1.87 us ${SCALED}; low: a null exit` },
  { parameter: 'hw.timer', cpu: 'cascade-lake', year: 2023, low: 1150, typical: 2970, high: 2970, definition: 'host', source: PERF_LINUX, trust: 'derived', note: `PREEMPTION_TIMER 2.13 / 1.56 us ${SCALED}; low: a null exit` },
  { parameter: 'hw.halt', cpu: 'skylake', year: 2020, low: 1529, typical: 5000, high: 11505, definition: 'guest', source: 'W. Li, kvm list, 2020 (cyclictest in a guest, 4,602 ns)', trust: 'assumed', note: 'to sleep and back; low: an exit that is woken at once; high: 4,602 ns at 2.5 GHz; typical lies between' },
  { parameter: 'hw.walk', cpu: 'any', year: 2023, low: 10, typical: 175, high: 750, definition: 'event', source: 'formula (4+1)(4+1)-1 = 24 references against 4', trust: 'assumed', note: 'what a two-dimensional walk adds to native.walk: five times as much; low: the upper levels hit' },
  { parameter: 'hw.walk-huge', cpu: 'any', year: 2023, low: 5, typical: 131, high: 562, definition: 'event', source: 'formula (4+1)(3+1)-1 = 19 references against 4', trust: 'assumed', note: 'the same with 2 MiB entries in the second dimension: 3.75 times as much' },
  { parameter: 'hw.spec-ctrl', cpu: 'haswell', year: 2017, low: 500, typical: 500, high: 500, definition: 'host', source: 'kvm-unit-tests commit f2665de7', trust: 'derived', note: 'two writes of IBRS at about 250, each exit' },
  { parameter: 'hw.l1d-flush', cpu: 'any', year: 2018, low: 500, typical: 1500, high: 5000, definition: 'host', source: 'Linux l1tf.rst gives 1 % to 50 %, no cycles', trust: 'assumed', note: 'flush of the L1 data cache at each entry' },
] as const satisfies CostTable;

/**
 * The CPU model: CPUID and the MSRs that are plain values. One file, data only.
 *
 * An AMD family 0xf processor at the x86-64-v2 level, as QEMU's qemu64 with the missing v2 bits: Linux then needs neither page-table
 * isolation nor microcode, and probes little. No XSAVE, AVX, FSGSBASE, PCID, SMEP, SMAP, MWAIT or x2APIC are offered; what
 * is not offered is not used, and costs no instructions. Layouts: AMD APM vol. 3 appendix E, Intel SDM vol. 2 CPUID.
 */

/** EAX EBX ECX EDX */
export type CpuidRow = readonly [number, number, number, number];

/** Physical address bits; the core checks reserved bits by the same number. */
export const PHYSICAL_BITS = 40;

const text = (s: string): number => (s.charCodeAt(0) | (s.charCodeAt(1) << 8) | (s.charCodeAt(2) << 16) | (s.charCodeAt(3) << 24)) >>> 0;
const bits = (...n: number[]): number => n.reduce((v, b) => (v | (1 << b)) >>> 0, 0);

const BRAND = 'Chronovisor virtual CPU'.padEnd(48, '\0');
const brandRow = (i: number): CpuidRow => [text(BRAND.slice(i, i + 4)), text(BRAND.slice(i + 4, i + 8)), text(BRAND.slice(i + 8, i + 12)), text(BRAND.slice(i + 12, i + 16))];

//                    fpu de pse tsc msr pae mce cx8 sep mtrr pge mca cmov pat pse36 clfsh mmx fxsr sse sse2
const LEAF1_EDX = bits(0, 2, 3, 4, 5, 6, 8, 11, 13, 15, 16, 17, 19, 23, 24, 25, 26);
const EDX_APIC = bits(9);
//                    sse3 ssse3 cx16 sse4.1 sse4.2 popcnt rdrand
const LEAF1_ECX = bits(0, 9, 13, 19, 20, 23, 30);
const ECX_TSC_DEADLINE = bits(24);
const ECX_HYPERVISOR = bits(31);
//                          the low half repeats leaf 1   syscall nx rdtscp lm
const EXTENDED_EDX = (LEAF1_EDX & 0x0183f3ff & ~bits(11) & ~bits(17)) | bits(11, 20, 27, 29);
//                    lahf_lm cr8
const EXTENDED_ECX = bits(0, 4);

export interface CpuModelOptions {
  /** A local APIC is there. */
  readonly apic: boolean;
  /** TSC frequency, Hz. */
  readonly tscHz: number;
  /** A hypervisor answers the leaves from 4000_0000h on. False unless given. */
  readonly hypervisor?: boolean;
}

/** The CPUID function of the model. Leaves outside the table read as zeros. */
export class CpuModel {
  private readonly rows: ReadonlyMap<number, CpuidRow>;

  constructor(options: CpuModelOptions) {
    const edx = options.apic ? LEAF1_EDX | EDX_APIC : LEAF1_EDX;
    const ecx = (options.apic ? LEAF1_ECX | ECX_TSC_DEADLINE : LEAF1_ECX) | (options.hypervisor === true ? ECX_HYPERVISOR : 0);
    this.rows = new Map<number, CpuidRow>([
      [0x0, [0xd, text('Auth'), text('cAMD'), text('enti')]],
      // family 0xf, model 0x6b, stepping 1; CLFLUSH 64 bytes, one logical processor
      [0x1, [0x00060fb1, 0x00010800, ecx >>> 0, edx >>> 0]],
      [0x80000000, [0x80000008, text('Auth'), text('cAMD'), text('enti')]],
      [0x80000001, [0x00060fb1, 0, EXTENDED_ECX, (options.apic ? EXTENDED_EDX | EDX_APIC : EXTENDED_EDX) >>> 0]],
      [0x80000002, brandRow(0)],
      [0x80000003, brandRow(16)],
      [0x80000004, brandRow(32)],
      // 64 KiB L1 caches of 2 ways, 64-byte lines; 512 KiB L2 of 16 ways
      [0x80000005, [0x01ff01ff, 0x01ff01ff, 0x40020140, 0x40020140]],
      [0x80000006, [0, 0x42004200, 0x02008140, 0]],
      // invariant TSC
      [0x80000007, [0, 0, 0, bits(8)]],
      [0x80000008, [PHYSICAL_BITS | (48 << 8), 0, 0, 0]],
    ]);
  }

  row(leaf: number, _subleaf: number): CpuidRow {
    return this.rows.get(leaf) ?? [0, 0, 0, 0];
  }
}

/**
 * MSRs that hold what was last written, with their value at reset. Anything else raises #GP unless the core or a device has it.
 * There are no performance counters (C001_0000 to C001_0007): Linux then says so and leaves RDPMC alone.
 */
export const PLAIN_MSRS: ReadonlyMap<number, bigint> = new Map([
  [0x8b, 0n], // patch level
  [0xc0010010, 0n], // SYSCFG
  [0xc0010015, 0n], // HWCR
  [0xc0010055, 0n], // interrupt pending
  [0xc0011029, 0n], // DE_CFG
]);

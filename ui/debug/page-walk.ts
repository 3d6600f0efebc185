/** A page walk shown level by level: the entries that translate a linear address (Intel SDM, volume 3, chapter 4). Looks only: no A or D bit is set. */
import * as L from '../../engine/cpu/layout.ts';
import type { Machine } from '../../engine/machine/machine.ts';
import type { PagingLevel, PagingView } from '../../engine/protocol/moment.ts';

const CR0_PG = 0x8000_0000;
const CR4_PSE = 0x10;
const CR4_PAE = 0x20;
const EFER_LMA = 0x400;
const PRESENT = 1n;
const WRITABLE = 2n;
const USER = 4n;
const PAGE_SIZE = 0x80n;
const NO_EXECUTE = 1n << 63n;
const FRAME = 0x000f_ffff_ffff_f000n;

/** Tables 4-15 to 4-20. */
const FLAGS: readonly (readonly [bit: bigint, name: string])[] = [[0n, 'P'], [1n, 'RW'], [2n, 'US'], [3n, 'PWT'], [4n, 'PCD'], [5n, 'A'], [6n, 'D'], [7n, 'PS'], [8n, 'G'], [63n, 'XD']]; // prettier-ignore

interface Step {
  readonly name: string;
  readonly shift: bigint;
  readonly bits: bigint;
  readonly canEnd: boolean;
}

const LONG: readonly Step[] = [
  { name: 'PML4', shift: 39n, bits: 9n, canEnd: false },
  { name: 'PDPT', shift: 30n, bits: 9n, canEnd: true },
  { name: 'PD', shift: 21n, bits: 9n, canEnd: true },
  { name: 'PT', shift: 12n, bits: 9n, canEnd: false },
];
const PAE: readonly Step[] = [{ name: 'PDPT', shift: 30n, bits: 2n, canEnd: false }, ...LONG.slice(2)];
const LEGACY: readonly Step[] = [
  { name: 'PD', shift: 22n, bits: 10n, canEnd: true },
  { name: 'PT', shift: 12n, bits: 10n, canEnd: false },
];

export function walkPages({ core }: Machine, address: bigint): PagingView {
  const cr3 = core.big(L.CR3);
  const cr4 = core.u32[L.CR4 >>> 2];
  const isLong = (core.u32[L.EFER >>> 2] & EFER_LMA) !== 0;
  const isPae = (cr4 & CR4_PAE) !== 0;
  const all = { isWritable: true, isUser: true, isExecutable: true };
  if ((core.u32[L.CR0 >>> 2] & CR0_PG) === 0) return { address, mode: 'off', cr3, levels: [], paddr: BigInt.asUintN(32, address), pageBytes: 4096, rights: all };
  const steps = isLong ? LONG : isPae ? PAE : LEGACY;
  const mode = isLong ? '4-level' : isPae ? 'PAE' : '32-bit';
  const bytes = steps === LEGACY ? 4 : 8;
  const levels: PagingLevel[] = [];
  const rights = { ...all };
  let table = cr3 & (steps === PAE ? 0xffff_ffe0n : FRAME);
  const unmapped = (): PagingView => ({ address, mode, cr3, levels, paddr: undefined, pageBytes: 0, rights });
  // Of what is not canonical there is no walk: SDM vol. 1, 3.3.7.1.
  if (isLong && BigInt.asUintN(64, BigInt.asIntN(48, address)) !== address) return unmapped();
  for (const { name, shift, bits, canEnd } of steps) {
    const index = Number((address >> shift) & ((1n << bits) - 1n));
    const paddr = Number(table) + index * bytes;
    // In PAE mode the CPU keeps the four first entries, as they were when CR3 was loaded.
    const isKept = steps === PAE && name === 'PDPT';
    if (!isKept && paddr + bytes > core.ramBytes) return unmapped();
    const entry = isKept ? core.big(L.PDPTE + index * 8) : bytes === 8 ? core.u64[(L.RAM + paddr) >>> 3] : BigInt(core.u32[(L.RAM + paddr) >>> 2]);
    levels.push({ name, index, paddr, entry, flags: FLAGS.filter(([bit]) => ((entry >> bit) & 1n) === 1n).map(([, flag]) => flag) });
    if ((entry & PRESENT) === 0n) return unmapped();
    if (!isKept) {
      rights.isWritable &&= (entry & WRITABLE) !== 0n;
      rights.isUser &&= (entry & USER) !== 0n;
      rights.isExecutable &&= (entry & NO_EXECUTE) === 0n;
    }
    const isLast = shift === 12n || (canEnd && (entry & PAGE_SIZE) !== 0n && (steps !== LEGACY || (cr4 & CR4_PSE) !== 0));
    if (isLast) {
      const offset = (1n << shift) - 1n;
      // Bits 13 to 20 of a 4-MiB entry are bits 32 to 39 of the address (PSE-36).
      const high = steps === LEGACY && shift !== 12n ? ((entry >> 13n) & 0xffn) << 32n : 0n;
      return { address, mode, cr3, levels, paddr: (entry & FRAME & ~offset) | high | (address & offset), pageBytes: 2 ** Number(shift), rights };
    }
    table = entry & FRAME;
  }
  return unmapped();
}

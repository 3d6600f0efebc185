/**
 * A guest of one page of code that uses a paravirtual interface as Linux does: it reads the hypervisor's clock all the time, is interrupted by a timer, and ends
 * interrupts by a bit in memory. Every fourth timer interrupt sends itself another of higher priority and lets it in, so that one is nested in the other.
 *
 *     set up ──► loop: read the clock, compare with the last reading ──► 20 interrupts ──► hypercalls ──► debug exit
 */
import { buildElf } from '../../engine/machine/boot/testing.ts';
import type { ParavirtKind } from '../../engine/machine/paravirt/paravirt.ts';
import { Assembler } from './assembler.ts';

export const TICKS_WANTED = 20;
/** Nested interrupts: each makes the outer one write the EOI register. */
export const NESTED_WANTED = TICKS_WANTED / 4;

/** Variables of 8 bytes, and the pages shared with the hypervisor. */
const VARIABLES = 0x300000;
export const TICKS = VARIABLES, NESTED = VARIABLES + 8, EOI_WRITES = VARIABLES + 16, CLOCK_LAST = VARIABLES + 24, BACKWARDS = VARIABLES + 32, IPIS_TAKEN = VARIABLES + 40, SIGNATURE = VARIABLES + 48, FEATURES = VARIABLES + 64;
/** Of the hypercalls at the end. */
export const RESULTS = VARIABLES + 128;
export const CLOCK = 0x302000;
export const WALL_CLOCK = 0x302100;
const EOI_BYTE = 0x303000;
const HYPERCALL_PAGE = 0x304000;
const STACK = 0x310000;

const BASE = 0x100000;
const IDT = BASE + 0x1000;
const GDT = BASE + 0x2000;
const PML4 = BASE + 0x3000;
const PDPT = PML4 + 0x1000;
const PD0 = PDPT + 0x1000;
const PD3 = PD0 + 0x1000;
const END = PD3 + 0x1000;
const CODE = 0x08, DATA = 0x10;
const VECTOR_TIMER = 0x30, VECTOR_NESTED = 0x41;
const LAPIC = 0xfee00000;
/** Virtual ns between two interrupts. */
const PERIOD_NS = 20_000;

const store = (a: Assembler, at: number): Assembler => a.emit(0x48, 0x89, 0x04, 0x25).word(at); // mov [at], rax
const increment = (a: Assembler, at: number): Assembler => a.emit(0x48, 0xff, 0x04, 0x25).word(at);
const out8 = (a: Assembler, port: number, value: number): Assembler => a.emit(0xb0, value, 0x66, 0xba, port, port >> 8, 0xee);
const lapic = (a: Assembler, register: number, value: number): Assembler => a.emit(0xba).word(LAPIC + register).emit(0xc7, 0x02).word(value);
const wrmsr = (a: Assembler, index: number, value: number): Assembler => a.emit(0xb9).word(index).emit(0xb8).word(value).emit(0x31, 0xd2, 0x0f, 0x30);
const VMMCALL = [0x0f, 0x01, 0xd9] as const;

export function buildParavirtGuest(kind: ParavirtKind): Uint8Array {
  const a = new Assembler(BASE);
  setUp(a);
  if (kind === 'kvm') useKvm(a);
  else useHyperV(a);
  a.emit(0xfb).label('loop'); // sti
  if (kind === 'kvm') readKvmClock(a);
  else readReferenceTime(a);
  a.emit(0x48, 0x3b, 0x04, 0x25).word(CLOCK_LAST).emit(0x73, 8); // cmp rax, [last]; jae over the next
  increment(a, BACKWARDS);
  store(a, CLOCK_LAST);
  a.emit(0x48, 0x83, 0x3c, 0x25).word(TICKS).emit(TICKS_WANTED, 0x0f, 0x82).rel32('loop'); // cmp [ticks], wanted; jb
  a.emit(0xfa); // cli
  if (kind === 'kvm') callKvm(a);
  else callHyperV(a);
  out8(a, 0xf4, 0);
  a.emit(0xfa, 0xf4);
  handlers(a, kind);
  tables(a);
  return buildElf({ loads: [{ paddr: BigInt(BASE), bytes: a.finish() }], entry: BigInt(BASE) });
}

/** In long mode already, by the 64-bit Linux boot protocol. */
function setUp(a: Assembler): void {
  a.emit(0x0f, 0x01, 0x14, 0x25).abs32('gdt pointer').emit(0x0f, 0x01, 0x1c, 0x25).abs32('idt pointer'); // lgdt, lidt
  a.emit(0xb8).word(PML4).emit(0x0f, 0x22, 0xd8, 0xbc).word(STACK); // mov cr3; mov esp
  a.emit(0x6a, CODE, 0x68).abs32('segments').emit(0x48, 0xcb).label('segments'); // retfq
  a.emit(0xb8).word(DATA).emit(0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0);
  out8(a, 0x21, 0xff);
  out8(a, 0xa1, 0xff);
  a.emit(0xb8).word(0x40000000).emit(0x0f, 0xa2, 0x89, 0x1c, 0x25).word(SIGNATURE).emit(0x89, 0x0c, 0x25).word(SIGNATURE + 4).emit(0x89, 0x14, 0x25).word(SIGNATURE + 8); // cpuid
  a.emit(0xb8).word(1).emit(0x0f, 0xa2, 0x89, 0x0c, 0x25).word(FEATURES);
  lapic(a, 0xf0, 0x1ff);
  lapic(a, 0x350, 0x10000);
}

function useKvm(a: Assembler): void {
  wrmsr(a, 0x4b564d00, WALL_CLOCK);
  wrmsr(a, 0x4b564d01, CLOCK | 1);
  wrmsr(a, 0x4b564d04, EOI_BYTE | 1);
  lapic(a, 0x3e0, 0xb);
  lapic(a, 0x320, 0x20000 | VECTOR_TIMER);
  lapic(a, 0x380, PERIOD_NS);
}

function useHyperV(a: Assembler): void {
  wrmsr(a, 0x40000000, 0x1234);
  wrmsr(a, 0x40000001, HYPERCALL_PAGE | 1);
  wrmsr(a, 0x40000021, CLOCK | 1);
  wrmsr(a, 0x40000073, EOI_BYTE | 1);
  wrmsr(a, 0x400000b0, 0x1003 | (VECTOR_TIMER << 4)); // direct, periodic, enabled
  wrmsr(a, 0x400000b1, PERIOD_NS / 100);
}

/** RAX: ns. */
function readKvmClock(a: Assembler): void {
  a.label('read').emit(0x44, 0x8b, 0x04, 0x25).word(CLOCK).emit(0x41, 0xf6, 0xc0, 0x01, 0x0f, 0x85).rel32('read'); // r8d = version; odd: again
  a.emit(0x0f, 0x31, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0, 0x48, 0x2b, 0x04, 0x25).word(CLOCK + 8); // rdtsc; rax -= tsc_timestamp
  a.emit(0x8a, 0x0c, 0x25).word(CLOCK + 28).emit(0x48, 0xd3, 0xe0, 0x8b, 0x0c, 0x25).word(CLOCK + 24); // rax <<= shift; ecx = multiplier
  a.emit(0x48, 0xf7, 0xe1, 0x48, 0x0f, 0xac, 0xd0, 0x20, 0x48, 0x03, 0x04, 0x25).word(CLOCK + 16); // mul rcx; shrd rax, rdx, 32; += system_time
  a.emit(0x44, 0x3b, 0x04, 0x25).word(CLOCK).emit(0x0f, 0x85).rel32('read'); // the same version still?
}

/** RAX: 100 ns. */
function readReferenceTime(a: Assembler): void {
  a.label('read').emit(0x44, 0x8b, 0x04, 0x25).word(CLOCK).emit(0x0f, 0x31, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0); // r8d = sequence; rdtsc
  a.emit(0x48, 0xf7, 0x24, 0x25).word(CLOCK + 8).emit(0x48, 0x03, 0x14, 0x25).word(CLOCK + 16).emit(0x48, 0x89, 0xd0); // mul scale; rdx += offset
  a.emit(0x44, 0x3b, 0x04, 0x25).word(CLOCK).emit(0x0f, 0x85).rel32('read');
}

function callKvm(a: Assembler): void {
  [5, 9, 10, 999].forEach((number, i) => {
    // rbx = rsi = 0: HC_SEND_IPI has an empty set
    a.emit(0x31, 0xdb, 0x31, 0xc9, 0x31, 0xd2, 0x31, 0xf6, 0xb8).word(number).emit(...VMMCALL);
    store(a, RESULTS + i * 8);
  });
}

function callHyperV(a: Assembler): void {
  [8, 3].forEach((code, i) => {
    a.emit(0xb9).word(code).emit(0xb8).word(HYPERCALL_PAGE).emit(0xff, 0xd0); // call rax
    store(a, RESULTS + i * 8);
  });
}

function handlers(a: Assembler, kind: ParavirtKind): void {
  const end = (name: string): void => {
    a.emit(0x0f, 0xba, 0x34, 0x25).word(EOI_BYTE).emit(0, 0x0f, 0x82).rel32(name); // btr [byte], 0; jc
    increment(a, EOI_WRITES);
    if (kind === 'kvm') lapic(a, 0xb0, 0);
    else wrmsr(a, 0x40000070, 0);
    a.label(name).emit(0x5a, 0x59, 0x58, 0x48, 0xcf); // pop rdx, rcx, rax; iretq
  };
  a.label('timer').emit(0x50, 0x51, 0x52);
  increment(a, TICKS);
  a.emit(0x8b, 0x04, 0x25).word(TICKS).emit(0xa8, 3, 0x0f, 0x85).rel32('not now'); // test al, 3; jnz
  if (kind === 'kvm') {
    a.emit(0x53, 0x56, 0xbb).word(1).emit(0x31, 0xc9, 0x31, 0xd2, 0xbe).word(VECTOR_NESTED).emit(0xb8).word(10).emit(...VMMCALL, 0x5e, 0x5b); // HC_SEND_IPI
    a.emit(0x48, 0x01, 0x04, 0x25).word(IPIS_TAKEN);
  } else wrmsr(a, 0x40000071, 0x40000 | VECTOR_NESTED);
  a.emit(0xfb, 0x90, 0x90, 0xfa); // sti; nop; nop; cli
  a.label('not now');
  end('timer over');
  a.label('nested').emit(0x50, 0x51, 0x52);
  increment(a, NESTED);
  end('nested over');
  a.label('fault').emit(0xb0, 1, 0x66, 0xba, 0xf4, 0, 0xee, 0xfa, 0xf4);
}

function tables(a: Assembler): void {
  a.padTo(IDT);
  for (let vector = 0; vector < 256; vector++) {
    const at = a.addressOf(vector === VECTOR_TIMER ? 'timer' : vector === VECTOR_NESTED ? 'nested' : 'fault');
    a.emit(at, at >> 8, CODE, 0, 0, 0x8e, at >> 16, at >> 24).word(0).word(0);
  }
  a.padTo(GDT).big(0n).big(0x00af9a000000ffffn).big(0x00cf92000000ffffn);
  a.label('gdt pointer').emit(23, 0).quad(GDT).label('idt pointer').emit(0xff, 0x0f).quad(IDT);
  a.padTo(PML4).quad(PDPT + 3);
  a.padTo(PDPT).quad(PD0 + 3).quad(0).quad(0).quad(PD3 + 3);
  a.padTo(PD0);
  for (let page = 0; page < 8; page++) a.quad(page * 0x200000 + 0x83);
  a.padTo(PD3 + ((LAPIC >>> 21) & 511) * 8).quad(LAPIC + 0x83);
  a.padTo(END);
}

/**
 * A guest of a few kilobytes around drawn instructions. It sets up long mode, paging, an IDT, a timer and the UART's interrupt, and then runs
 * the program some times in ring 0 and some times in ring 3:
 *
 *     entry (32 or 64 bit) ──► set up ──► program, ring 0 ──► program, ring 3 ──► debug exit
 *                                            │    ▲
 *                                   any fault ▼    │ at the next chunk, with a good stack
 *                                          handler ┘
 *
 * A chunk begins by noting where the next one is, so whatever its instructions break, the program goes on. Pages of the demand
 * area come with a page fault; the timer interrupt takes one away again.
 */
import { buildElf, multibootHeader, pvhNote } from '../../engine/machine/boot/testing.ts';
import { Assembler } from './assembler.ts';
import { AREAS, type Instruction, type ProgramPlace } from './instructions.ts';

export const TINY_PROTOCOLS = ['pvh', 'linux64', 'multiboot'] as const;
export type TinyProtocol = (typeof TINY_PROTOCOLS)[number];

export interface TinyProgram {
  readonly protocol: TinyProtocol;
  readonly chunks: readonly (readonly Instruction[])[];
  /** Times that the program runs in ring 0, and then in ring 3. */
  readonly passes: readonly [number, number];
  readonly timer: { readonly kind: 'pit'; readonly divisor: number } | { readonly kind: 'lapic'; readonly count: number } | { readonly kind: 'none' };
  /** Ring 3 may use ports, STI and CLI. */
  readonly iopl3: boolean;
  /** The first 2 MiB are mapped by small pages. */
  readonly smallPages: boolean;
  /** The UART interrupts when a byte comes. */
  readonly console: boolean;
  /** Bytes before the program in its first page. */
  readonly lead?: number;
}

const BASE = 0x100000;
const ENTRY_64 = BASE + 0x1000;
export const PROGRAM = BASE + 0x4000;
const PROGRAM_END = PROGRAM + 0x10000;
const TABLES = PROGRAM_END;
const IDT = TABLES;
const GDT = TABLES + 0x1000;
const TSS = GDT + 0x100;
const TSS_BYTES = 104 + 128 + 1;
const PML4 = TABLES + 0x2000;
const PDPT = PML4 + 0x1000;
const PD0 = PDPT + 0x1000;
const PD1 = PD0 + 0x1000;
const PD3 = PD1 + 0x1000;
const PT0 = PD3 + 0x1000;
const PT_DEMAND = PT0 + 0x1000;
const ALIAS_FRAMES = [PT_DEMAND + 0x1000, PT_DEMAND + 0x2000] as const;
const ALIAS_ENTRY = PT_DEMAND + ((AREAS.alias - AREAS.demand) >> 12) * 8;
const END = ALIAS_FRAMES[1] + 0x1000;

/** Variables, in plain RAM. */
const VARIABLES = 0x300000;
const RESUME = VARIABLES;
const PASSES = VARIABLES + 8;
const TICKS = VARIABLES + 16;
const CLOCKS = VARIABLES + 24;
const FAULTS = VARIABLES + 32;
const SAVED = VARIABLES + 40;
const RING = VARIABLES + 48;
/** Counts entries to 32-bit code. */
export const ENTERED_32 = VARIABLES + 56;
const STACK = 0x310000;
const FAULT_STACK = 0x320000;
const INTERRUPT_STACK = 0x330000;
/** RAM behind the demand area. */
const DEMAND_RAM = 0x400000;
const DEMAND_PAGES = 64;

const CODE0 = 0x08, DATA0 = 0x10, DATA3 = 0x1b, CODE3 = 0x23, TASK = 0x28;
/** 32-bit code of ring 0 is at CODE0 + TO_32, that of ring 3 at CODE3 + TO_32. */
const TO_32 = 0x30;
const VECTOR_TIMER = 0x20, VECTOR_UART = 0x24, VECTOR_LAPIC = 0x30, VECTOR_EXIT = 0x40, VECTOR_SPURIOUS = 0xff;

export const PLACE: ProgramPlace = {
  code: PROGRAM, aliasEntries: [ALIAS_ENTRY, ALIAS_ENTRY + 8], aliasFrames: ALIAS_FRAMES, aliasRoutines: [0x100, 0x200, 0xffd],
  dataEntry: PD0 + 8, programEntry: PT0 + (PROGRAM >> 12) * 8, to32: TO_32, entered32: ENTERED_32,
}; // prettier-ignore

/** `ins qword [disp32], imm32` */
const store = (a: Assembler, at: number, value: number): Assembler => a.emit(0x48, 0xc7, 0x04, 0x25).word(at).word(value);
const increment = (a: Assembler, at: number): Assembler => a.emit(0x48, 0xff, 0x04, 0x25).word(at);
const out8 = (a: Assembler, port: number, value: number): Assembler => a.emit(0xb0, value, 0x66, 0xba, port, port >> 8, 0xee);
/** Device register of 32 bits; through rdx, because addresses above 2 GiB do not fit a displacement. */
const device = (a: Assembler, at: number, value: number): Assembler => a.emit(0xba).word(at).emit(0xc7, 0x02).word(value);

export function buildTinyGuest(program: TinyProgram): Uint8Array {
  const a = new Assembler(BASE);
  entry32(a);
  a.padTo(ENTRY_64).label('entry64');
  entry64(a, program);
  handlers(a, program);
  a.padTo(PROGRAM + (program.lead ?? 0));
  body(a, program);
  a.padTo(PROGRAM_END);
  tables(a, program);
  a.padTo(END);
  const bytes = a.finish();
  switch (program.protocol) {
    case 'pvh':
      return buildElf({ loads: [{ paddr: BigInt(BASE), bytes }], notes: [pvhNote(BASE)] });
    case 'linux64':
      return buildElf({ loads: [{ paddr: BigInt(BASE), bytes }], entry: BigInt(ENTRY_64) });
    case 'multiboot':
      return buildElf({ loads: [{ paddr: BigInt(BASE), bytes }], prefix: multibootHeader(0), entry: BigInt(BASE) });
  }
}

/** From 32-bit protected mode without paging to long mode. */
function entry32(a: Assembler): void {
  a.emit(0x0f, 0x01, 0x15).abs32('gdt pointer'); // lgdt
  a.emit(0x0f, 0x20, 0xe0, 0x0d).word(0x620).emit(0x0f, 0x22, 0xe0); // cr4 |= PAE, OSFXSR, OSXMMEXCPT
  a.emit(0xb8).word(PML4).emit(0x0f, 0x22, 0xd8); // cr3
  a.emit(0xb9).word(0xc0000080).emit(0x0f, 0x32, 0x0d).word(0x100).emit(0x0f, 0x30); // efer |= LME
  a.emit(0x0f, 0x20, 0xc0, 0x0d).word(0x80010002).emit(0x0f, 0x22, 0xc0); // cr0 |= PG, WP, MP
  a.emit(0xea).abs32('entry64').emit(CODE0, 0); // far jump
}

function entry64(a: Assembler, program: TinyProgram): void {
  a.emit(0x0f, 0x01, 0x14, 0x25).abs32('gdt pointer');
  a.emit(0x0f, 0x01, 0x1c, 0x25).abs32('idt pointer');
  a.emit(0xb8).word(PML4).emit(0x0f, 0x22, 0xd8);
  a.emit(0x0f, 0x20, 0xe0, 0x0d).word(0x620).emit(0x0f, 0x22, 0xe0);
  a.emit(0x0f, 0x20, 0xc0, 0x0d).word(0x10002).emit(0x0f, 0x22, 0xc0);
  a.emit(0xbc).word(STACK); // mov esp
  a.emit(0x6a, CODE0, 0x68).abs32('segments').emit(0x48, 0xcb); // retfq
  a.label('segments');
  a.emit(0xb8).word(DATA0).emit(0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0);
  a.emit(0xb8).word(TASK).emit(0x0f, 0x00, 0xd8); // ltr
  // Two 8259, at vectors 0x20 and 0x28; only the timer and the UART are open.
  for (const [port, value] of [[0x20, 0x11], [0x21, 0x20], [0x21, 4], [0x21, 1], [0xa0, 0x11], [0xa1, 0x28], [0xa1, 2], [0xa1, 1], [0x21, 0xee], [0xa1, 0xff]] as const) out8(a, port, value);
  const { timer } = program;
  if (timer.kind === 'pit') {
    out8(a, 0x43, 0x34);
    out8(a, 0x40, timer.divisor & 0xff);
    out8(a, 0x40, timer.divisor >> 8);
  } else {
    // The 8254 ticks from power-on.
    out8(a, 0x21, 0xef);
  }
  // Without a local APIC these go nowhere.
  device(a, AREAS.lapic + 0xf0, 0x100 | VECTOR_SPURIOUS);
  device(a, AREAS.lapic + 0x350, 0x700); // LINT0: ExtINT
  if (timer.kind === 'lapic') {
    device(a, AREAS.lapic + 0x3e0, 0xb); // divide by 1
    device(a, AREAS.lapic + 0x320, 0x20000 | VECTOR_LAPIC);
    device(a, AREAS.lapic + 0x380, timer.count);
  }
  if (program.console) {
    out8(a, 0x3fa, 0x07);
    out8(a, 0x3f9, 0x01);
    out8(a, 0x3fc, 0x0b);
  }
  store(a, PASSES, program.passes[0]);
  store(a, RING, 0);
  a.emit(0xe9).rel32('program');

  a.label('pass over');
  // After the last pass in ring 0 comes ring 3, after the last there the end.
  a.emit(0x48, 0x83, 0x3c, 0x25).word(RING).emit(0).emit(0x0f, 0x85).rel32('finish');
  store(a, RING, 3);
  store(a, PASSES, program.passes[1]);
  a.emit(0xbc).word(STACK);
  a.emit(0x6a, DATA3, 0x68).word(STACK).emit(0x68).word(0x202 | (program.iopl3 ? 0x3000 : 0)).emit(0x6a, CODE3, 0x68).abs32('program').emit(0x48, 0xcf);
  a.label('finish').emit(0xcd, VECTOR_EXIT, 0xeb, 0xfc);
}

function handlers(a: Assembler, program: TinyProgram): void {
  a.label('timer');
  a.emit(0x50, 0x51, 0x52); // push rax, rcx, rdx
  increment(a, TICKS);
  a.emit(0x0f, 0x31, 0x48, 0x31, 0x04, 0x25).word(CLOCKS); // rdtsc; xor [clocks], rax
  // One page of the demand area goes away: its entry is cleared, without INVLPG on odd ticks.
  a.emit(0x8b, 0x04, 0x25).word(TICKS).emit(0x83, 0xe0, DEMAND_PAGES - 1); // mov eax, [ticks]; and eax, 63
  a.emit(0x48, 0xc7, 0x04, 0xc5).word(PT_DEMAND).word(0); // mov qword [pt + rax * 8], 0
  a.emit(0xa8, 0x01, 0x75, 0x06, 0x0f, 0x20, 0xd9, 0x0f, 0x22, 0xd9); // test al, 1; jnz +6; reload cr3
  if (program.timer.kind === 'lapic') device(a, AREAS.lapic + 0xb0, 0);
  else out8(a, 0x20, 0x20);
  a.emit(0x5a, 0x59, 0x58, 0x48, 0xcf);

  a.label('uart').emit(0x50, 0x52);
  a.emit(0x66, 0xba, 0xf8, 0x03, 0xec); // in al, 0x3f8
  a.emit(0x00, 0x04, 0x25).word(CLOCKS); // add [clocks], al
  a.emit(0xee); // and out again
  out8(a, 0x20, 0x20);
  a.emit(0x5a, 0x58, 0x48, 0xcf);

  a.label('ignore').emit(0x48, 0xcf);

  a.label('exit');
  out8(a, 0xf4, 0);
  a.emit(0xfa, 0xf4, 0xeb, 0xfc);

  // Page faults of the demand area: map the page and try again. Page 5 is read-only.
  a.label('page fault');
  a.emit(0x50, 0x52); // push rax, rdx: the frame with its error code begins at rsp + 16
  a.emit(0x0f, 0x20, 0xd0); // mov rax, cr2
  a.emit(0x48, 0x2d).word(AREAS.demand); // sub rax, demand
  a.emit(0x48, 0x3d).word(DEMAND_PAGES * 4096).emit(0x73).rel8('no page'); // cmp; jae
  a.emit(0xc1, 0xe8, 0x0c); // shr eax, 12
  a.emit(0x48, 0x83, 0x3c, 0xc5).word(PT_DEMAND).emit(0).emit(0x75).rel8('no page'); // present: a write to a read-only page
  a.emit(0x89, 0xc2, 0xc1, 0xe2, 0x0c, 0x81, 0xc2).word(DEMAND_RAM + 7); // edx = eax << 12 + ram + P, W, U
  a.emit(0x3c, 0x05, 0x75, 0x03, 0x83, 0xea, 0x02); // page 5: not W
  a.emit(0x48, 0x89, 0x14, 0xc5).word(PT_DEMAND); // mov [pt + rax * 8], rdx
  a.emit(0x5a, 0x58, 0x48, 0x83, 0xc4, 0x08, 0x48, 0xcf); // pop; skip the error code; iretq
  a.label('no page').emit(0x5a, 0x58, 0xeb).rel8('fault');

  // Everything else: on with the next chunk, in 64-bit code. The frame is at the same place each time, because the stack is.
  a.label('fault');
  a.emit(0x48, 0x89, 0x04, 0x25).word(SAVED);
  increment(a, FAULTS);
  a.emit(0xbc).word(FAULT_STACK - 40);
  a.emit(0x48, 0x8b, 0x04, 0x25).word(RESUME).emit(0x48, 0x89, 0x04, 0x24);
  a.emit(0x48, 0x83, 0x7c, 0x24, 0x08, TO_32, 0x72, 0x06, 0x48, 0x83, 0x6c, 0x24, 0x08, TO_32); // cmp qword [rsp + 8], TO_32; jb +6; sub
  a.emit(0x48, 0xc7, 0x44, 0x24, 0x10).word(0x202 | (program.iopl3 ? 0x3000 : 0));
  a.emit(0x48, 0xc7, 0x44, 0x24, 0x18).word(STACK);
  a.emit(0x48, 0x8b, 0x04, 0x25).word(SAVED).emit(0x48, 0xcf);
}

function body(a: Assembler, program: TinyProgram): void {
  a.label('program');
  a.emit(0x48, 0xff, 0x0c, 0x25).word(PASSES).emit(0x0f, 0x88).rel32('over'); // dec [passes]; js
  a.emit(0xbc).word(STACK);
  program.chunks.forEach((chunk, i) => {
    a.emit(0x48, 0xc7, 0x04, 0x25).word(RESUME).abs32(i + 1 < program.chunks.length ? `chunk ${i + 1}` : 'again');
    if (i > 0) a.label(`chunk ${i}`);
    for (const { bytes } of chunk) a.emit(...bytes);
  });
  // The chunk's jumps may lead some bytes too far.
  a.emit(...Array.from({ length: 16 }, () => 0x90)).label('again');
  a.emit(0x48, 0xc7, 0x04, 0x25).word(RESUME).abs32('again');
  a.emit(0xe9).rel32('program');
  a.label('over');
  // Only ring 0 may go on to ring 3; from there the exit is an interrupt.
  a.emit(0xe9).rel32('pass over');
}

function tables(a: Assembler, program: TinyProgram): void {
  a.padTo(IDT);
  const gate = (handler: string, stack: number, dpl: number): void => {
    const at = a.addressOf(handler);
    a.emit(at, at >> 8, CODE0, 0, stack, 0x8e | (dpl << 5), at >> 16, at >> 24).word(0).word(0);
  };
  for (let vector = 0; vector < 256; vector++) {
    if (vector === 14) gate('page fault', 1, 0);
    else if (vector === VECTOR_TIMER || vector === VECTOR_LAPIC) gate('timer', 2, 0);
    else if (vector === VECTOR_UART) gate('uart', 2, 0);
    else if (vector === VECTOR_EXIT) gate('exit', 1, 3);
    else if (vector === 3 || vector === 4 || vector === 0x41) gate('ignore', 1, 3);
    else if (vector < 32) gate('fault', 1, 0);
    else gate('ignore', 2, 0);
  }
  a.padTo(GDT);
  const task = 0x0000_8900_0000_0000n | BigInt(TSS_BYTES - 1) | (BigInt(TSS & 0xffffff) << 16n) | (BigInt(TSS >>> 24) << 56n);
  for (const descriptor of [0n, 0x00af9a000000ffffn, 0x00cf92000000ffffn, 0x00cff2000000ffffn, 0x00affa000000ffffn, task, 0n, 0x00cf9a000000ffffn, 0n, 0n, 0x00cffa000000ffffn]) a.big(descriptor);
  a.label('gdt pointer').emit(0x57, 0).quad(GDT);
  a.label('idt pointer').emit(0xff, 0x0f).quad(IDT);
  a.padTo(TSS);
  a.word(0).quad(STACK + 0x8000).quad(0).quad(0).quad(0).quad(FAULT_STACK).quad(INTERRUPT_STACK);
  a.padTo(TSS + 102).emit(104, 0);
  // Ports up to 0x3ff are open to ring 3 in part: every other byte of the map.
  for (let i = 0; i < 128; i++) a.emit(i % 2 === 0 ? 0 : 0xff);
  a.emit(0xff);

  const large = (page: number): number => page * 0x200000 + 0x87;
  a.padTo(PML4).quad(PDPT + 7);
  a.padTo(PDPT).quad(PD0 + 7).quad(PD1 + 7).quad(0).quad(PD3 + 7);
  a.padTo(PD0).quad(program.smallPages ? PT0 + 7 : large(0));
  for (let page = 1; page < 8; page++) a.quad(large(page));
  a.padTo(PD1).quad(PT_DEMAND + 7);
  a.padTo(PD3);
  // Devices from 3 GiB to 4 GiB; uncached.
  for (let page = 0; page < 512; page++) a.quad(0xc000_0000 + page * 0x200000 + 0x97);
  a.padTo(PT0);
  for (let page = 0; page < 512; page++) a.quad(page * 4096 + 7);
  a.padTo(ALIAS_ENTRY).quad(ALIAS_FRAMES[0] + 7).quad(ALIAS_FRAMES[1] + 7);
  ALIAS_FRAMES.forEach((frame, i) => {
    // The end of a MOV that began in the page before, whatever was mapped there.
    a.padTo(frame).emit(...Array.from({ length: 7 }, (_, k) => 17 * (k + 1) + i), 0xc3);
    // add rax, rcx or xor rax, rcx; inc rax
    a.padTo(frame + 0x100).emit(0x48, i === 0 ? 0x01 : 0x31, 0xc8, ...(i === 0 ? [] : [0x48, 0xff, 0xc0]), 0xc3);
    // add eax, ecx or sub r8d, ecx; as 32-bit code inc eax; add eax, ecx or inc ecx; sub eax, ecx
    a.padTo(frame + 0x200).emit(0x40 + i, i === 0 ? 0x01 : 0x29, 0xc8, 0xc3);
    a.padTo(frame + 0xffd).emit(0x48, 0xb8, i);
  });
}

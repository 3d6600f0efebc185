/**
 * Instructions that a test draws, each a few bytes with a line that tells what they are. Most do something useful with memory, ports,
 * interrupts or time; some fault; some are no instructions at all.
 */
import fc from 'fast-check';

export interface Instruction {
  readonly text: string;
  readonly bytes: readonly number[];
}

/** Guest-linear addresses: tiny-guest.ts maps them. */
export const AREAS = {
  /** Plain RAM. */
  data: 0x200000,
  /** Pages that come at the first touch, and go at timer interrupts. */
  demand: 0x4000_0000,
  /** Two pages of code that are mapped anew by drawn instructions. */
  alias: 0x4008_0000,
  /** Nothing is there, ever. */
  hole: 0x7000_0000,
  lapic: 0xfee0_0000,
  ioapic: 0xfec0_0000,
  virtio: 0xd000_0000,
} as const;

const le = (value: number, bytes: number): number[] => Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * i)) & 0xff);
const REGISTER_NAMES = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'];
const hex = (value: number): string => `0x${value.toString(16)}`;

/** Any register but rsp, which only push, pop and the raw bytes change. */
const register = fc.constantFrom(0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
const sizeBits = fc.constantFrom(8, 16, 32, 64);
const immediate32 = fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xffff, 0x7fffffff), fc.nat(0x7fffffff));

const offset = (max: number): fc.Arbitrary<number> => fc.oneof(fc.constantFrom(0, 0xff8, 0xffc, 0xffd, 0xffe, 0xfff, 0x1ff9), fc.nat(max - 1)).map((at) => Math.min(at, max - 1));
const ram = offset(0x40000).map((at) => AREAS.data + at);
const demand = offset(0x40000).map((at) => AREAS.demand + at);
/** Where an ordinary operand lies. */
const address = fc.oneof({ weight: 6, arbitrary: ram }, { weight: 4, arbitrary: demand }, { weight: 1, arbitrary: fc.nat(0xfff).map((at) => AREAS.hole + at) });
/** Code of the program itself, to be overwritten, wherever in its pages it begins. */
const codeOffset = fc.tuple(fc.nat(0x7ff), fc.constantFrom(0, 0xe00)).map(([at, lead]) => at + lead);

const rex = (bits: number, reg: number, rm: number): number[] => {
  const prefix = 0x40 | (bits === 64 ? 8 : 0) | (reg >> 3 << 2) | (rm >> 3);
  return [...(bits === 16 ? [0x66] : []), prefix];
};
const modRegister = (reg: number, rm: number): number => 0xc0 | ((reg & 7) << 3) | (rm & 7);
/** Operand at an absolute address: no base, no index. */
const atAddress = (reg: number, at: number): number[] => [((reg & 7) << 3) | 4, 0x25, ...le(at, 4)];

const load = (reg: number, value: number): number[] => [0x48 | (reg >> 3), 0xb8 | (reg & 7), ...le(value, 8)];

const ALU = ['add', 'or', 'adc', 'sbb', 'and', 'sub', 'xor', 'cmp'];
const SHIFTS = ['rol', 'ror', 'rcl', 'rcr', 'shl', 'shr', 'sal', 'sar'];
const STRINGS: Readonly<Record<string, number>> = { movs: 0xa4, cmps: 0xa6, stos: 0xaa, lods: 0xac, scas: 0xae };

const plain: fc.Arbitrary<Instruction> = fc.oneof(
  fc.tuple(register, immediate32).map(([r, v]) => ({ text: `mov ${REGISTER_NAMES[r]}, ${hex(v)}`, bytes: load(r, v) })),
  fc.tuple(fc.nat(7), sizeBits, register, register).map(([op, bits, a, b]) => ({
    text: `${ALU[op]} ${REGISTER_NAMES[a]}, ${REGISTER_NAMES[b]} (${bits})`, bytes: [...rex(bits, b, a), (op << 3) | (bits === 8 ? 0 : 1), modRegister(b, a)],
  })),
  fc.tuple(fc.nat(7), sizeBits, register, address, fc.boolean()).map(([op, bits, r, at, toMemory]) => ({
    text: `${ALU[op]} ${toMemory ? `[${hex(at)}], ${REGISTER_NAMES[r]}` : `${REGISTER_NAMES[r]}, [${hex(at)}]`} (${bits})`,
    bytes: [...rex(bits, r, 0), (op << 3) | (bits === 8 ? 0 : 1) | (toMemory ? 0 : 2), ...atAddress(r, at)],
  })),
  fc.tuple(sizeBits, register, address, fc.boolean()).map(([bits, r, at, toMemory]) => ({
    text: `mov ${toMemory ? `[${hex(at)}], ${REGISTER_NAMES[r]}` : `${REGISTER_NAMES[r]}, [${hex(at)}]`} (${bits})`,
    bytes: [...rex(bits, r, 0), (toMemory ? 0x88 : 0x8a) | (bits === 8 ? 0 : 1), ...atAddress(r, at)],
  })),
  fc.tuple(fc.nat(7), sizeBits, register, fc.nat(70)).map(([op, bits, r, n]) => ({ text: `${SHIFTS[op]} ${REGISTER_NAMES[r]}, ${n} (${bits})`, bytes: [...rex(bits, 0, r), bits === 8 ? 0xc0 : 0xc1, modRegister(op, r), n] })),
  fc.tuple(fc.constantFrom(2, 3, 4, 5, 6, 7), sizeBits, register).map(([op, bits, r]) => ({
    text: `${['', '', 'not', 'neg', 'mul', 'imul', 'div', 'idiv'][op]} ${REGISTER_NAMES[r]} (${bits})`, bytes: [...rex(bits, 0, r), bits === 8 ? 0xf6 : 0xf7, modRegister(op, r)],
  })),
  // bt, bts, btr, btc, xadd, cmpxchg: with a register operand the bit offset reaches far outside
  fc.tuple(fc.constantFrom(0xa3, 0xab, 0xb3, 0xbb, 0xc1, 0xb1), fc.constantFrom(32, 64), register, ram, fc.boolean()).map(([op, bits, r, at, lock]) => ({
    text: `${lock && op !== 0xa3 ? 'lock ' : ''}0f ${op.toString(16)} [${hex(at)}], ${REGISTER_NAMES[r]} (${bits})`, bytes: [...(lock && op !== 0xa3 ? [0xf0] : []), ...rex(bits, r, 0), 0x0f, op, ...atAddress(r, at)],
  })),
  // setcc, cmovcc, bsf, bsr, popcnt, bswap
  fc.tuple(fc.nat(15), register).map(([cc, r]) => ({ text: `set${cc} ${REGISTER_NAMES[r]}`, bytes: [...rex(8, 0, r), 0x0f, 0x90 | cc, modRegister(0, r)] })),
  fc.tuple(fc.nat(15), register, register).map(([cc, a, b]) => ({ text: `cmov${cc} ${REGISTER_NAMES[a]}, ${REGISTER_NAMES[b]}`, bytes: [...rex(64, a, b), 0x0f, 0x40 | cc, modRegister(a, b)] })),
  fc.tuple(fc.constantFrom(0xbc, 0xbd, 0xaf), register, register).map(([op, a, b]) => ({ text: `0f ${op.toString(16)} ${REGISTER_NAMES[a]}, ${REGISTER_NAMES[b]}`, bytes: [...rex(64, a, b), 0x0f, op, modRegister(a, b)] })),
  register.map((r) => ({ text: `push, pop ${REGISTER_NAMES[r]}`, bytes: [...(r > 7 ? [0x41] : []), 0x50 | (r & 7), ...(r > 7 ? [0x41] : []), 0x58 | (r & 7)] })),
  fc.constantFrom<Instruction>({ text: 'nop', bytes: [0x90] }, { text: 'pause', bytes: [0xf3, 0x90] }, { text: 'cdq', bytes: [0x99] }, { text: 'lahf', bytes: [0x9f] }, { text: 'cmc', bytes: [0xf5] }, { text: 'std', bytes: [0xfd] }, { text: 'cld', bytes: [0xfc] }),
);

/** A short loop: the interrupt comes in the middle of it. */
const loop: fc.Arbitrary<Instruction> = fc.tuple(plain, fc.integer({ min: 1, max: 400 })).map(([body, count]) => {
  // The counter is in memory, out of reach of the body.
  const counter = AREAS.data + 0x50000;
  const bytes = [0x48, 0xc7, 0x04, 0x25, ...le(counter, 4), ...le(count, 4), ...body.bytes];
  const decrement = [0x48, 0xff, 0x0c, 0x25, ...le(counter, 4)];
  return { text: `${count} times ${body.text}`, bytes: [...bytes, ...decrement, 0x75, 0x100 - (body.bytes.length + decrement.length + 2)] };
});
/** Over the next few bytes, wherever that is. */
const skip: fc.Arbitrary<Instruction> = fc.tuple(fc.nat(15), fc.nat(12)).map(([cc, distance]) => ({ text: `j${cc} +${distance}`, bytes: [0x70 | cc, distance] }));
const call: fc.Arbitrary<Instruction> = plain.map(({ text, bytes }) => ({ text: `call { ${text} }`, bytes: [0xe8, 2, 0, 0, 0, 0xeb, bytes.length + 1, ...bytes, 0xc3] }));

const repeated: fc.Arbitrary<Instruction> = fc
  .record({
    name: fc.constantFrom(...Object.keys(STRINGS)), bits: sizeBits, prefix: fc.constantFrom(0xf3, 0xf3, 0xf2), count: fc.oneof(fc.nat(40), fc.nat(3000)), from: address, to: address,
    overlap: fc.boolean(), backwards: fc.integer({ min: 0, max: 7 }).map((n) => n === 0), narrow: fc.integer({ min: 0, max: 7 }).map((n) => n === 0),
    before: fc.constantFrom<Instruction>({ text: '', bytes: [] }, { text: '', bytes: [] }, { text: 'sti; ', bytes: [0xfb] }, { text: 'cli; sti; ', bytes: [0xfa, 0xfb] }, { text: 'mov ss; ', bytes: [0x8c, 0xd0, 0x8e, 0xd0] }),
  })
  .map(({ name, bits, prefix, count, from, to, overlap, backwards, narrow, before }) => {
    const target = overlap ? from + 3 : to;
    const opcode = STRINGS[name] | (bits === 8 ? 0 : 1);
    return {
      text: `${before.text}rep(${prefix.toString(16)}) ${name} x${count} (${bits}) ${hex(from)} -> ${hex(target)}${backwards ? ' backwards' : ''}${narrow ? ' a32' : ''}`,
      bytes: [...load(6, from), ...load(7, target), ...load(1, count), backwards ? 0xfd : 0xfc, ...before.bytes, ...(narrow ? [0x67] : []), prefix, ...(bits === 16 ? [0x66] : []), ...(bits === 64 ? [0x48] : []), opcode],
    };
  });

const PORTS = [0x20, 0x21, 0xa0, 0xa1, 0x40, 0x41, 0x42, 0x43, 0x61, 0x60, 0x64, 0x70, 0x71, 0x80, 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0xf5, 0x2f8, 0x1234];
/** Writing here would end the run, or the interrupts, too soon. */
const QUIET_PORTS = [0x80, 0x3f8, 0x3f8, 0x3ff, 0x70, 0x42, 0xf5, 0x2f8];
const ports: fc.Arbitrary<Instruction> = fc.oneof(
  fc.tuple(fc.constantFrom(...PORTS), fc.constantFrom(8, 16, 32)).map(([port, bits]) => ({ text: `in ${hex(port)} (${bits})`, bytes: [0x66, 0xba, ...le(port, 2), ...(bits === 16 ? [0x66] : []), bits === 8 ? 0xec : 0xed] })),
  fc.tuple(fc.constantFrom(...QUIET_PORTS), fc.nat(0xff)).map(([port, value]) => ({ text: `out ${hex(port)}, ${hex(value)}`, bytes: [0xb0, value, 0x66, 0xba, ...le(port, 2), 0xee] })),
  // A command for PIT, PIC, UART, RTC: whatever it does, it does it again on replay.
  fc.tuple(fc.constantFrom(...PORTS), fc.nat(0xff)).map(([port, value]) => ({ text: `out ${hex(port)}, ${hex(value)}`, bytes: [0xb0, value, 0x66, 0xba, ...le(port, 2), 0xee] })),
  fc.record({ input: fc.boolean(), bits: fc.constantFrom(8, 16, 32), port: fc.constantFrom(...QUIET_PORTS, 0x3fd, 0x40), at: address, count: fc.nat(60), sti: fc.boolean() }).map(({ input, bits, port, at, count, sti }) => ({
    text: `rep ${input ? 'ins' : 'outs'} x${count} (${bits}) port ${hex(port)} ${hex(at)}`,
    bytes: [...load(input ? 7 : 6, at), ...load(1, count), 0x66, 0xba, ...le(port, 2), 0xfc, ...(sti ? [0xfb] : []), 0xf3, ...(bits === 16 ? [0x66] : []), (input ? 0x6c : 0x6e) | (bits === 8 ? 0 : 1)],
  })),
);

const interrupts: fc.Arbitrary<Instruction> = fc.oneof(
  fc.constantFrom<Instruction>(
    { text: 'sti', bytes: [0xfb] }, { text: 'sti; nop', bytes: [0xfb, 0x90] }, { text: 'sti; cli', bytes: [0xfb, 0xfa] }, { text: 'cli', bytes: [0xfa] }, { text: 'sti; sti', bytes: [0xfb, 0xfb] },
    { text: 'sti; hlt', bytes: [0xfb, 0xf4] }, { text: 'sti; mov ss', bytes: [0x8c, 0xd0, 0xfb, 0x8e, 0xd0] }, { text: 'mov ss; nop', bytes: [0x8c, 0xd0, 0x8e, 0xd0, 0x90] }, { text: 'mov ss; mov ss', bytes: [0x8c, 0xd0, 0x8e, 0xd0, 0x8e, 0xd0] },
    { text: 'int3', bytes: [0xcc] }, { text: 'int1', bytes: [0xf1] }, { text: 'int 0x41', bytes: [0xcd, 0x41] }, { text: 'ud2', bytes: [0x0f, 0x0b] }, { text: 'syscall', bytes: [0x0f, 0x05] },
    { text: 'pushf; popf', bytes: [0x9c, 0x9d] },
  ),
  // popf with drawn flags: IF, TF, DF, RF, AC, NT and the arithmetic ones
  fc.tuple(fc.constantFrom(0x202, 0x200, 0x2, 0x302, 0x602, 0x40202, 0x10202, 0x4202), fc.nat(0xff)).map(([flags, low]) => ({ text: `popf ${hex(flags | low)}`, bytes: [0x68, ...le(flags | (low & 0xd5), 4), 0x9d] })),
  fc.tuple(plain, fc.constantFrom<readonly number[]>([0xfb], [0x8c, 0xd0, 0x8e, 0xd0])).map(([{ text, bytes }, before]) => ({ text: `shadow; ${text}`, bytes: [...before, ...bytes] })),
);

const system: fc.Arbitrary<Instruction> = fc.oneof(
  fc.nat(0x10).map((leaf) => ({ text: `cpuid ${leaf}`, bytes: [0xb8, ...le(leaf, 4), 0x0f, 0xa2] })),
  fc.constantFrom<Instruction>(
    { text: 'rdtsc', bytes: [0x0f, 0x31] }, { text: 'rdtscp', bytes: [0x0f, 0x01, 0xf9] }, { text: 'rdrand rbx', bytes: [0x48, 0x0f, 0xc7, 0xf3] }, { text: 'wbinvd', bytes: [0x0f, 0x09] },
    { text: 'reload cr3', bytes: [0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8] }, { text: 'rdmsr tsc', bytes: [0xb9, 0x10, 0, 0, 0, 0x0f, 0x32] },
    { text: 'clts', bytes: [0x0f, 0x06] }, { text: 'set ts', bytes: [0x0f, 0x20, 0xc0, 0x48, 0x83, 0xc8, 0x08, 0x0f, 0x22, 0xc0] }, { text: 'mov rax, dr6', bytes: [0x0f, 0x21, 0xf0] },
    { text: 'swapgs', bytes: [0x0f, 0x01, 0xf8] }, { text: 'sgdt', bytes: [0x0f, 0x01, 0x04, 0x25, ...le(AREAS.data, 4)] }, { text: 'mov cr8', bytes: [0x44, 0x0f, 0x20, 0xc0, 0x44, 0x0f, 0x22, 0xc0] },
  ),
  immediate32.map((value) => ({ text: `wrmsr tsc ${hex(value)}`, bytes: [0xb9, 0x10, 0, 0, 0, 0xb8, ...le(value, 4), 0x31, 0xd2, 0x0f, 0x30] })),
  demand.map((at) => ({ text: `invlpg ${hex(at)}`, bytes: [0x0f, 0x01, 0x3c, 0x25, ...le(at, 4)] })),
  // A data or code breakpoint.
  fc.tuple(ram, fc.nat(3), fc.nat(3)).map(([at, kind, length]) => ({
    text: `breakpoint ${hex(at)} kind ${kind} length ${length}`, bytes: [...load(0, at), 0x0f, 0x23, 0xc0, ...load(0, 0x401 | (kind << 16) | (length << 18)), 0x0f, 0x23, 0xf8],
  })),
  fc.constant<Instruction>({ text: 'no breakpoints', bytes: [0x31, 0xc0, 0x0f, 0x23, 0xf8] }),
  fc.tuple(fc.constantFrom(AREAS.lapic, AREAS.ioapic, AREAS.virtio), fc.nat(63), fc.constantFrom(8, 32, 64), fc.boolean()).map(([base, at, bits, far]) => ({
    text: `mov rcx, [${hex(base + at * 16)}] (${bits})`, bytes: [...load(3, base + at * 16 + (far ? 0x1000 : 0)), ...rex(bits, 1, 3), bits === 8 ? 0x8a : 0x8b, 0x0b],
  })),
  fc.tuple(fc.constantFrom(AREAS.lapic + 0x80, AREAS.lapic + 0x380, AREAS.ioapic, AREAS.virtio + 0x14, AREAS.virtio + 0x70, AREAS.virtio + 0x50), fc.nat(0xffff)).map(([at, value]) => ({
    text: `mov [${hex(at)}], ${hex(value)}`, bytes: [...load(3, at), 0xc7, 0x03, ...le(value, 4)],
  })),
);

const vectors: fc.Arbitrary<Instruction> = fc.oneof(
  fc.tuple(fc.constantFrom(0x58, 0x59, 0x5c, 0x5e, 0x51, 0x10, 0x28), fc.constantFrom(0x66, 0xf2, 0xf3, 0), fc.nat(7), fc.nat(7)).map(([op, prefix, a, b]) => ({ text: `sse ${prefix.toString(16)} 0f ${op.toString(16)} xmm${a}, xmm${b}`, bytes: [...(prefix === 0 ? [] : [prefix]), 0x0f, op, modRegister(a, b)] })),
  fc.tuple(fc.constantFrom(0x10, 0x11, 0x28, 0x29), fc.nat(7), address).map(([op, a, at]) => ({ text: `movps 0f ${op.toString(16)} xmm${a}, [${hex(at)}]`, bytes: [0x0f, op, ...atAddress(a, at)] })),
  fc.tuple(fc.constantFrom(0xd8, 0xd9, 0xdc, 0xdd), fc.nat(7), ram).map(([op, reg, at]) => ({ text: `x87 ${op.toString(16)} /${reg} [${hex(at)}]`, bytes: [op, ...atAddress(reg, at)] })),
  fc.tuple(fc.constantFrom(0xd8, 0xd9, 0xda, 0xdb, 0xdd, 0xde), fc.nat(0x3f)).map(([op, rm]) => ({ text: `x87 ${op.toString(16)} ${(0xc0 | rm).toString(16)}`, bytes: [op, 0xc0 | rm] })),
  fc.constantFrom<Instruction>({ text: 'fninit', bytes: [0xdb, 0xe3] }, { text: 'fxsave', bytes: [0x0f, 0xae, 0x04, 0x25, ...le(AREAS.data, 4)] }, { text: 'fxrstor', bytes: [0x0f, 0xae, 0x0c, 0x25, ...le(AREAS.data, 4)] }),
);

/** Bytes that may be anything. */
const raw: fc.Arbitrary<Instruction> = fc.uint8Array({ minLength: 1, maxLength: 15 }).map((bytes) => ({ text: `db ${Array.from(bytes, (byte) => byte.toString(16)).join(' ')}`, bytes: Array.from(bytes) }));

/** What drawn code may change of the guest it runs in; guest-physical addresses. */
export interface ProgramPlace {
  /** Where the program begins. */
  readonly code: number;
  /** Entries of the two pages of AREAS.alias, the code that can be there, and where in it routines begin (the last one's first instruction goes over the end of the page). */
  readonly aliasEntries: readonly [number, number];
  readonly aliasFrames: readonly [number, number];
  readonly aliasRoutines: readonly number[];
  /** Entries that map the data area (by a large page) and the program (where pages are small), and what is in them. */
  readonly dataEntry: number;
  readonly programEntry: number;
  /** From the selector of 64-bit code to that of 32-bit code of the same ring. */
  readonly to32: number;
  /** Counts entries to 32-bit code. */
  readonly entered32: number;
}

const CALL_ECX = [0xff, 0xd1];
/** mov qword [at], value */
const storeQuad = (at: number, value: number): number[] => [0x48, 0xc7, 0x04, 0x25, ...le(at, 4), ...le(value, 4)];
const RELOAD_CR3 = [0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8];

/** Page tables, code that is mapped elsewhere, 32-bit code. */
function mappings({ aliasEntries, aliasFrames, aliasRoutines, dataEntry, programEntry, code, to32, entered32 }: ProgramPlace): fc.Arbitrary<Instruction> {
  const routine = fc.tuple(fc.nat(1), fc.constantFrom(...aliasRoutines)).map(([page, at]) => AREAS.alias + page * 4096 + at);
  const callAlias = routine.map((at) => ({ text: `call ${hex(at)}`, bytes: [0xb9, ...le(at, 4), ...CALL_ECX] }));
  const flush = (at: number): fc.Arbitrary<Instruction> => fc.constantFrom<Instruction>({ text: 'invlpg', bytes: [0x0f, 0x01, 0x3c, 0x25, ...le(at, 4)] }, { text: 'reload cr3', bytes: RELOAD_CR3 }, { text: 'no flush', bytes: [] });
  const remap = fc.nat(1).chain((page) =>
    fc.tuple(fc.constantFrom(aliasFrames[0] + 7, aliasFrames[1] + 7, aliasFrames[0] + 7, aliasFrames[1] + 7, aliasFrames[0] + 5, aliasFrames[1] + 3, 0), flush(AREAS.alias + page * 4096), fc.option(callAlias)).map(([entry, { text, bytes }, then]) => ({
      text: `alias ${page} = ${hex(entry)}, ${text}${then === null ? '' : `, ${then.text}`}`, bytes: [...storeQuad(aliasEntries[page], entry), ...bytes, ...(then?.bytes ?? [])],
    })));
  // Accessed, dirty and global bits, read-only code.
  const change = fc.oneof(
    fc.tuple(fc.constantFrom(0x87, 0xa7, 0xe7, 0x1e7), flush(AREAS.data)).map(([bits, { text, bytes }]) => ({ text: `data entry ${hex(bits)}, ${text}`, bytes: [...storeQuad(dataEntry, AREAS.data + bits), ...bytes] })),
    fc.tuple(fc.constantFrom(0x07, 0x27, 0x65, 0x67), flush(code)).map(([bits, { text, bytes }]) => ({ text: `program entry ${hex(bits)}, ${text}`, bytes: [...storeQuad(programEntry, (code & ~0xfff) + bits), ...bytes] })),
    fc.constant<Instruction>({ text: 'cr4 ^= PGE', bytes: [0x0f, 0x20, 0xe0, 0x48, 0x0f, 0xba, 0xf8, 0x07, 0x0f, 0x22, 0xe0] }),
  );
  // To 32-bit code and back by far returns: the selectors follow from CS, the way back from EDX.
  const mode = fc.option(routine).map((called): Instruction => {
    const inside = [0xff, 0x05, ...le(entered32, 4), 0x40, 0x01, 0xc8, ...(called === null ? [] : [0x52, 0xbf, ...le(called, 4), 0xff, 0xd7, 0x5a])];
    const back = [0x83, 0xc2, inside.length + 11, 0x8c, 0xc8, 0x83, 0xe8, to32, 0x50, 0x52, 0xcb];
    return { text: `32-bit code${called === null ? '' : `, call ${hex(called)}`}`, bytes: [0x8c, 0xc8, 0x83, 0xc0, to32, 0x48, 0x8d, 0x15, 4, 0, 0, 0, 0x50, 0x52, 0x48, 0xcb, ...inside, ...back] };
  });
  return fc.oneof({ weight: 3, arbitrary: callAlias }, { weight: 3, arbitrary: remap }, { weight: 2, arbitrary: change }, { weight: 1, arbitrary: mode });
}

/** place: where the program lies, for those that write to it. */
export function instructions(place: ProgramPlace): fc.Arbitrary<Instruction> {
  const codeBase = place.code;
  const selfModifying: fc.Arbitrary<Instruction> = fc.oneof(
    // A byte of the program becomes a NOP, a byte of an immediate changes, or the same byte is written again.
    fc.tuple(codeOffset, fc.constantFrom(0x90, 0x90, 0xf4, 0xcc, 0x05)).map(([at, value]) => ({ text: `code +${hex(at)} = ${hex(value)}`, bytes: [0xc6, 0x04, 0x25, ...le(codeBase + at, 4), value] })),
    codeOffset.map((at) => ({ text: `code +${hex(at)} ^= 0`, bytes: [0x80, 0x34, 0x25, ...le(codeBase + at, 4), 0] })),
    // Of the very next instruction: mov [next + 1], al; mov al, imm
    fc.nat(0xff).map((value) => ({ text: `next immediate = ${hex(value)}`, bytes: [0xc6, 0x05, 1, 0, 0, 0, value, 0xb0, 0] })),
  );
  return fc.oneof(
    { weight: 8, arbitrary: plain }, { weight: 3, arbitrary: loop }, { weight: 1, arbitrary: skip }, { weight: 1, arbitrary: call }, { weight: 5, arbitrary: repeated }, { weight: 4, arbitrary: ports },
    { weight: 6, arbitrary: interrupts }, { weight: 3, arbitrary: system }, { weight: 2, arbitrary: vectors }, { weight: 1, arbitrary: selfModifying }, { weight: 4, arbitrary: mappings(place) },
    { weight: 1, arbitrary: raw },
  );
}

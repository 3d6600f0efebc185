/**
 * Where CPUs of other makes than Intel's do otherwise than the engine, whose CPU model is an Intel one, and are right: the manuals leave it open. Such cases are left out
 * of the comparison with a host of another make, and nothing else is; on an Intel host all are compared, and everywhere the stored outcomes are, which an Intel CPU gave.
 *
 * Each row decides from the case and from what the host made of it, never from what the engine did. The remarks say what Intel does first, then what was seen on
 * AMD (family 26, Zen 5). APM: AMD64 Architecture Programmer's Manual. Undefined flags are no matter of this table but of undefined-flags.ts.
 */
import type { Case, Outcome } from './case.ts';
import { FORMS, type Form } from './forms.ts';
import { ARITHMETIC, FS_BASE, GS_BASE, WINDOWS } from './layout.ts';

const RCX = 1;
const RSP = 4;
const RSI = 6;
const RDI = 7;

const STACK_FAULT = 12;
const GENERAL_PROTECTION = 13;
const PAGE_FAULT = 14;

interface Difference {
  readonly name: string;
  /** Names in forms.ts; none: any. */
  readonly forms: string;
  readonly applies: (c: Case, i: Instruction, host: Outcome) => boolean;
  /** Only these flags are left out, and the rest is compared. */
  readonly flags?: number;
}

const DIFFERENCES: readonly Difference[] = [
  // SDM vol. 2B, PUSH: with an operand size of 32 bits, "either a zero-extended value is pushed or the segment selector is written on the stack using a 16-bit move". Intel
  // since Core writes 16 bits, AMD 32.
  { name: '32-bit push of a segment register', forms: 'push-sreg', applies: (c, i, host) => c.mode === 32 && i.size === 4 && host.registers[RSP] === BigInt.asUintN(32, c.registers[RSP]! - 4n) },

  // SDM vol. 2B, SHLD and SHRD: "If the count operand is larger than the operand size, the result is undefined"; APM vol. 3 has the same. Counts are modulo 32.
  { name: '16-bit double shift by more than 16', forms: 'shld shrd', applies: (c, i) => i.size === 2 && (doubleShiftCount(c) & 31) > 16 },

  // SDM vol. 2A 2.1.1: repeat prefixes are for string instructions, "such use [with others] may cause unpredictable behavior"; APM vol. 3 1.2.6: they "should only be used"
  // there. Intel ignores them; on AMD F2h makes LOOPNE and F3h LOOPE of both opcodes, as they do of REP.
  { name: 'LOOPE with F2h, LOOPNE with F3h', forms: 'loope loopne', applies: (c, i) => i.repeat === (c.name === 'loope' ? 0xf2 : 0xf3) },

  // SDM vol. 2B, REP: "When a page fault occurs during CMPS or SCAS instructions that are prefixed with REPNE, the EFLAGS value is restored to the state prior to the
  // execution of the instruction"; Intel does that for REPE as well. AMD leaves the flags of the last iteration that was completed.
  {
    name: 'flags of a repeated CMPS or SCAS that faults after its first iteration', forms: 'cmps scas', flags: ARITHMETIC,
    applies: (c, i, host) => i.repeat !== 0 && isMemoryFault(host) && host.registers[RCX] !== c.registers[RCX],
  },

  // Manuals do not say whether a REP that makes no iteration writes its registers. With 67h Intel does, so that their upper halves are cleared, and AMD does not: Linux,
  // arch/x86/kvm/emulate.c, string_registers_quirk(), which its author calls the one non-architectural behaviour of Intel that KVM emulates.
  {
    name: 'REP with 67h, without an iteration', forms: 'movs stos lods scas cmps',
    applies: (c, i, host) => c.mode === 64 && i.addressSize === 4 && i.repeat !== 0 && host.registers[RCX] === c.registers[RCX]
      && (isMemoryFault(host) || BigInt.asUintN(32, c.registers[RCX]!) === 0n) && [RCX, RSI, RDI].some((r) => c.registers[r]! >> 32n !== 0n),
  },

  // SDM vol. 3A 6.9: exceptions within one class of table 6-2, such as those of executing an instruction, "are implementation-dependent and may vary from processor to
  // processor". Intel reads ES:rDI first, AMD DS:rSI.
  {
    name: 'CMPS, both operands fault', forms: 'cmps',
    applies: (c, i, host) => isMemoryFault(host) && !isMapped(linear(c, i, host.registers[RSI]!), i.size) && !isMapped(linear(c, { ...i, segment: 0 }, host.registers[RDI]!), i.size),
  },

  // The same: Intel raises #BR for the lower bound before it reads the upper one, AMD reads both first.
  {
    name: 'BOUND, the upper bound faults', forms: 'bound',
    applies: (c, i, host) => host.vector === PAGE_FAULT && i.offset !== undefined && faultsBeyond(linear(c, i, i.offset), i.size, i.size * 2, host),
  },

  // SDM vol. 2B, MOVSXD with 66h: r/m16; APM vol. 3: reg/mem32. The result is the same, but AMD reads two bytes more.
  {
    name: '16-bit MOVSXD, the upper half of 32 bits faults', forms: 'movsxd',
    applies: (c, i, host) => i.size === 2 && i.offset !== undefined && faultsBeyond(linear(c, i, i.offset), 2, 4, host),
  },

  // The pseudo-code of the SDM (vol. 2A, CALL) tests the target before the push, and AMD does; Intel leaves the return address below the stack pointer.
  {
    name: 'memory after a CALL whose target is not canonical', forms: 'call',
    applies: (c, i, host) => c.mode === 64 && i.form?.opcode[0] === 0xff && host.vector === GENERAL_PROTECTION && (i.offset === undefined || isCanonical(linear(c, i, i.offset))),
  },

  // SDM vol. 3A 5.3: where the effective limit is FFFFFFFFh, accesses that wrap around it "may or may not cause the indicated exceptions"; Intel wraps, AMD raises #GP or #SS.
  {
    name: 'operand across 4 GiB', forms: '',
    applies: (c, i, host) => c.mode === 32 && i.addressSize === 4 && (host.vector === GENERAL_PROTECTION || host.vector === STACK_FAULT) && host.error === 0
      && i.offset !== undefined && i.offset + BigInt(operandBytes(i)) > 1n << 32n,
  },
];

/** What is left out of a case on a host that is not Intel's: the row, or undefined. */
export function vendorDifference(c: Case, host: Outcome): Difference | undefined {
  if (c.name === 'seq') return undefined;
  const instruction = decode(c);
  return DIFFERENCES.find((d) => (d.forms === '' || d.forms.split(' ').includes(c.name)) && d.applies(c, instruction, host));
}

// ---- as much of a decoder as the rows ask for ----

interface Instruction {
  readonly form: Form | undefined;
  /** Operand size and address size in bytes. */
  readonly size: number;
  readonly addressSize: number;
  /** F2h, F3h or 0. */
  readonly repeat: number;
  /** The last override, or 0. */
  readonly segment: number;
  /** Of the memory operand that ModRM names, within its segment; not known for addresses of 16 bits. */
  readonly offset: bigint | undefined;
}

function decode(c: Case): Instruction {
  const { code, mode } = c;
  let at = 0;
  let rex = 0;
  let repeat = 0;
  let segment = 0;
  let operand = false;
  let address = false;
  for (; at < code.length; at++) {
    const byte = code[at]!;
    if (mode === 64 && (byte & 0xf0) === 0x40) {
      rex = byte;
      continue;
    }
    if (byte === 0x66) operand = true;
    else if (byte === 0x67) address = true;
    else if (byte === 0xf2 || byte === 0xf3) repeat = byte;
    else if (byte === 0x64 || byte === 0x65 || (mode === 32 && [0x26, 0x2e, 0x36, 0x3e].includes(byte))) segment = byte;
    else if (![0x26, 0x2e, 0x36, 0x3e, 0xf0].includes(byte)) break;
    // A REX before another prefix counts for nothing.
    rex = 0;
  }
  const form = FORMS.find((f) => f.name === c.name && f.modes.includes(mode) && matches(f, code.subarray(at)));
  const bytes = c.name === 'invalid' || form === undefined || /b$/.test(form.operands[0] ?? '') || (form.setup === 'string' && (code[at]! & 1) === 0);
  const size = bytes ? 1 : (rex & 8) !== 0 ? 8 : operand ? 2 : form.d64 && mode === 64 ? 8 : 4;
  const addressSize = mode === 64 ? (address ? 4 : 8) : address ? 2 : 4;
  const modrm = form === undefined ? undefined : at + form.opcode.length;
  const addressed = form?.operands.some((o) => /^[EM]/.test(o)) === true && modrm !== undefined && code[modrm]! < 0xc0 && addressSize !== 2;
  const partial = { form, size, addressSize, repeat, segment };
  if (!addressed) return { ...partial, offset: undefined };
  const mask = addressSize === 8 ? 64 : 32;
  let offset = BigInt.asUintN(mask, modrmOffset(c, modrm, rex));
  // BT and its kin with a register reach outside: that many whole operands on.
  if (form !== undefined && form.name.startsWith('bt') && form.digit === undefined) {
    const bits = BigInt.asIntN(size * 8, c.registers[(code[modrm]! >> 3 & 7) | (rex & 4) << 1]!);
    offset = BigInt.asUintN(mask, offset + (bits >> BigInt(Math.log2(size * 8))) * BigInt(size));
  }
  return { ...partial, offset };
}

function matches(form: Form, code: Uint8Array): boolean {
  const last = form.opcode.length - 1;
  const inOpcode = form.operands.some((o) => o.startsWith('Z'));
  if (!form.opcode.every((b, i) => (i === last && inOpcode ? code[i]! & ~7 : code[i]) === b)) return false;
  return form.digit === undefined || (code[last + 1]! >> 3 & 7) === form.digit;
}

/** SDM vol. 2A 2.1.5, tables 2-2 and 2-3. */
function modrmOffset(c: Case, modrm: number, rex: number): bigint {
  const { code, registers } = c;
  const view = new DataView(code.buffer, code.byteOffset);
  const mod = code[modrm]! >> 6;
  let base = code[modrm]! & 7;
  let at = modrm + 1;
  let offset = 0n;
  const sib = base === 4;
  if (sib) {
    const byte = code[at++]!;
    const index = (byte >> 3 & 7) | (rex & 2) << 2;
    base = byte & 7;
    if (index !== 4) offset += registers[index]! << BigInt(byte >> 6);
  }
  if (mod === 0 && base === 5) {
    offset += BigInt(view.getInt32(at, true));
    return c.mode === 64 && !sib ? offset + BigInt(c.address + code.length) : offset;
  }
  offset += registers[base | (rex & 1) << 3]!;
  return offset + BigInt(mod === 1 ? view.getInt8(at) : mod === 2 ? view.getInt32(at, true) : 0);
}

/** Of the operand in memory. */
function operandBytes(i: Instruction): number {
  const operand = i.form?.operands.find((o) => /^[EM]/.test(o)) ?? '';
  switch (operand[1]) {
    case 'b':
      return 1;
    case 'w':
      return 2;
    case 'd':
      return 4;
    case 'p': // far pointer
      return i.size + 2;
    case 'z': // BOUND
      return i.size * 2;
    case undefined: // CMPXCHG8B
      return 8;
    default:
      return i.size;
  }
}

function doubleShiftCount(c: Case): number {
  const byCl = c.code.some((b, at) => b === 0x0f && (c.code[at + 1] === 0xa5 || c.code[at + 1] === 0xad));
  return byCl ? Number(c.registers[RCX]! & 0xffn) : c.code.at(-1)!;
}

function isMemoryFault(o: Outcome): boolean {
  return o.vector === PAGE_FAULT || o.vector === GENERAL_PROTECTION || o.vector === STACK_FAULT;
}

/** The first `read` bytes at `address` are no cause of the fault, and what follows them up to `length` is. */
function faultsBeyond(address: bigint, read: number, length: number, host: Outcome): boolean {
  const last = BigInt.asUintN(64, address + BigInt(length - 1));
  if (host.vector === PAGE_FAULT) return host.cr2 >= address + BigInt(read) && host.cr2 <= last;
  return isMemoryFault(host) && isCanonical(BigInt.asUintN(64, address + BigInt(read - 1))) && isCanonical(address) && !isCanonical(last);
}

function linear(c: Case, i: Instruction, offset: bigint): bigint {
  const base = c.mode !== 64 ? 0n : i.segment === 0x64 ? FS_BASE : i.segment === 0x65 ? GS_BASE : 0n;
  return BigInt.asUintN(c.mode === 64 ? 64 : 32, base + BigInt.asUintN(i.addressSize * 8, offset));
}

function isCanonical(address: bigint): boolean {
  return BigInt.asUintN(64, BigInt.asIntN(48, address)) === address;
}

/** All of it lies in windows. */
function isMapped(address: bigint, length: number): boolean {
  return [address, address + BigInt(length - 1)].every((a) => WINDOWS.some((w) => a >= BigInt(w.address) && a < BigInt(w.address + w.size)));
}

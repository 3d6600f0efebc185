/**
 * Cases from the table of forms: case (seed, index) is the same on every host, whatever else is generated. Each draws an encoding, places the
 * instruction, and then solves for register values so that its operands lie where they are wanted.
 */
import { fillRegisters, type Case, type MemoryRun } from './case.ts';
import { ARITHMETIC, CODE, CONSTANTS, DATA, DF, FLAGS_BASE, FS_BASE, GS_BASE, SELECTORS, STACK, UNMAPPED, WINDOWS } from './layout.ts';
import { FORMS, type Form } from './forms.ts';
import { Random } from './random.ts';

const MASK64 = 0xffffffffffffffffn;
const MASK32 = 0xffffffffn;
const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const RSP = 4;
const RBP = 5;
const RSI = 6;
const RDI = 7;

const CODE_BYTES_MAX = 60;
const SEQUENCE_CODE_MAX = 44;
/** Vectors whose gates a user may call on Linux. */
const OPEN_VECTORS = [3, 4, 0x80];

const VALUES: readonly bigint[] = [
  0n, 1n, 2n, MASK64, MASK64 - 1n, 0x7fn, 0x80n, 0x81n, 0xffn, 0x7fffn, 0x8000n, 0xffffn, 0x7fffffffn, 0x80000000n, 0xffffffffn,
  0x7fffffffffffffffn, 0x8000000000000000n, 0x8000000000000001n, 0x5555555555555555n, 0xaaaaaaaaaaaaaaaan, 0x0123456789abcdefn, 0x00ff00ff00ff00ffn,
];

type RmOperand = { readonly kind: 'none' } | { readonly kind: 'register'; readonly number: number } | { readonly kind: 'memory'; readonly address: bigint; readonly base: number; readonly index: number };

/** Completes the bytes when the address of the instruction and its length are known. */
type Fixup = (address: number, length: number) => void;

/** Sixteen bytes little-endian or fewer. */
export function littleEndian(value: bigint, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = Number((value >> BigInt(i * 8)) & 0xffn);
  return bytes;
}
function signed(value: bigint, bits: number): bigint {
  return BigInt.asIntN(bits, value);
}

/** May take F2h or F3h without a change of meaning. */
function ignoresRepeat(form: Form): boolean {
  return form.opcode.length === 1 && form.prefix === undefined && !['string', 'input-output'].includes(form.setup) && form.opcode[0] !== 0x90
    && form.name !== 'xchg' && form.name !== 'invalid' && form.name !== 'mov';
}

class Generator {
  private readonly random: Random;
  private readonly mode: 64 | 32;
  private readonly fill: number;
  private readonly registers: BigUint64Array;
  private readonly memory: MemoryRun[] = [];
  private flags: number;

  // of the instruction that is being made
  private form!: Form;
  /** Operand size in bytes. */
  private size = 4;
  private address67 = false;
  private segment = 0;
  private locked = false;
  private rm: RmOperand = { kind: 'none' };
  private regField = 0;
  private rexPresent = false;
  private fixups: Fixup[] = [];
  private bytes: number[] = [];

  constructor(random: Random, form: Form) {
    this.random = random;
    this.mode = form.modes.length === 1 ? form.modes[0]! : random.oneIn(6) ? 32 : 64;
    this.fill = random.u32();
    this.registers = fillRegisters(this.mode, this.fill);
    this.flags = FLAGS_BASE | (random.u32() & ARITHMETIC) | (random.oneIn(6) ? DF : 0);
    this.form = form;
  }

  make(): Case {
    const { form } = this;
    if (form.setup === 'sequence') return this.sequence();
    this.instruction(form);
    const length = this.bytes.length;
    const address = this.placement(length);
    for (const fix of this.fixups) fix(address, length);
    return this.finish(form.name, this.bytes, address);
  }

  private finish(name: string, bytes: readonly number[], address: number): Case {
    const { mode, fill, registers, flags, memory } = this;
    return { mode, name, code: Uint8Array.from(bytes), address, fill, registers, flags, memory };
  }

  private sequence(): Case {
    const { random } = this;
    const pieces: number[][] = [];
    const fixups: { readonly fix: Fixup; readonly offset: number; readonly length: number }[] = [];
    let length = 0;
    const count = random.between(2, 6);
    for (let i = 0; i < count; i++) {
      this.instruction(random.pick(SEQUENCE_FORMS));
      const { bytes } = this;
      if (length + bytes.length > SEQUENCE_CODE_MAX) break;
      for (const fix of this.fixups) fixups.push({ fix, offset: length, length: bytes.length });
      // A condition that is seen in a register: jcc over mov r8, imm8.
      const test = random.oneIn(3) ? [0x70 | random.below(16), 2, 0xb0 | random.below(8), random.below(256)] : [];
      pieces.push(bytes, test);
      length += bytes.length + test.length;
    }
    const address = this.placement(length);
    for (const { fix, offset, length: own } of fixups) fix(address + offset, own);
    return this.finish('seq', pieces.flat(), address);
  }

  // ---- encoding ----

  private begin(form: Form): void {
    this.form = form;
    this.bytes = [];
    this.fixups = [];
    this.rm = { kind: 'none' };
    this.locked = false;
    this.segment = 0;
    this.ripRelative = undefined;
  }

  private instruction(form: Form): void {
    const { random, mode } = this;
    this.begin(form);
    const has = (letter: string): boolean => form.operands.some((o) => o.startsWith(letter));
    const hasModrm = form.digit !== undefined || has('E') || has('M') || has('G') || has('R');
    const addressed = has('E') || has('M') || has('O') || ['string', 'input-output', 'loop', 'translate'].includes(form.setup);
    const sized = form.operands.some((o) => /[vyz]$/.test(o) && (o !== 'Jz' || mode === 32)) || form.d64;

    // Operand size and the prefixes that make it.
    let prefix66 = false;
    let rexW = false;
    if (mode === 32) {
      this.size = sized && random.oneIn(3) ? 2 : 4;
      prefix66 = this.size === 2;
      if (form.operands.some((o) => /y$/.test(o))) {
        this.size = 4;
        prefix66 = false;
      }
    } else if (form.d64) {
      // The manual gives 66h to near branches on AMD only; they go without.
      const branch = ['indirect', 'return', 'branch'].includes(form.setup);
      this.size = !branch && random.oneIn(4) ? 2 : 8;
      prefix66 = this.size === 2;
      rexW = this.size === 8 && random.oneIn(6);
      if (rexW && !branch && random.oneIn(4)) prefix66 = true;
    } else if (sized) {
      this.size = random.pick([2, 4, 8]);
      const y = form.operands.some((o) => /y$/.test(o)) && !form.operands.some((o) => /v$/.test(o));
      if (y && this.size === 2) this.size = 4;
      prefix66 = this.size === 2;
      rexW = this.size === 8;
      if (rexW && form.prefix === undefined && form.opcode.length === 1 && random.oneIn(12)) prefix66 = true;
    } else {
      this.size = form.rexW && random.oneIn(2) ? 8 : 4;
      rexW = form.rexW ? this.size === 8 : random.oneIn(10);
      if (!form.rexW && form.opcode.length === 1 && form.name !== 'invalid' && !form.operands.some((o) => o.startsWith('J')) && form.setup !== 'return') prefix66 = random.oneIn(12);
    }
    if (form.setup === 'string' && form.opcode[0]! % 2 === 0) this.size = 1;
    // 67h changes nothing that has no address; in 32-bit code it makes addresses of 16 bits, below anything mapped.
    this.address67 = addressed ? random.oneIn(mode === 64 ? 10 : 8) : form.name !== 'invalid' && random.oneIn(25);

    const prefixes: number[] = [];
    if (prefix66) prefixes.push(0x66);
    if (this.address67) prefixes.push(0x67);
    if (addressed && random.oneIn(10)) {
      const segment = random.pick(mode === 64 ? [0x64, 0x65, 0x64, 0x65, 0x26, 0x2e, 0x36, 0x3e] : [0x26, 0x36, 0x3e]);
      prefixes.push(segment);
      this.segment = segment;
    }
    if (form.prefix !== undefined) prefixes.push(form.prefix);
    const repeat = form.setup === 'string' || form.setup === 'input-output' ? random.pick([0, 0xf2, 0xf3, 0xf3]) : 0;
    if (repeat !== 0) prefixes.push(repeat);

    // ModRM and what follows it.
    let rexR = 0;
    let rexX = 0;
    let rexB = 0;
    const opcode = [...form.opcode];
    const tail: number[] = [];
    if (hasModrm) {
      this.regField = form.digit ?? (has('S') ? random.below(6) : random.below(mode === 64 ? 16 : 8));
      rexR = form.digit === undefined ? this.regField >> 3 : 0;
      const memoryOnly = has('M');
      const registerOnly = has('R');
      if (memoryOnly || (!registerOnly && random.below(5) >= 2)) {
        this.locked = form.lock && random.oneIn(6);
        const encoded = this.memoryOperand(this.regField & 7, tail);
        rexX = encoded.rexX;
        rexB = encoded.rexB;
      } else {
        const number = random.below(mode === 64 ? 16 : 8);
        rexB = number >> 3;
        tail.push(0xc0 | (this.regField & 7) << 3 | (number & 7));
        this.rm = { kind: 'register', number };
      }
    } else if (has('Z')) {
      const number = random.below(mode === 64 ? 16 : 8);
      this.rm = { kind: 'register', number };
      opcode[opcode.length - 1]! += number & 7;
      rexB = number >> 3;
    }
    if (this.locked || (!form.lock && form.name !== 'invalid' && random.oneIn(200))) prefixes.push(0xf0);
    else if (ignoresRepeat(form) && random.oneIn(25)) prefixes.push(random.pick([0xf2, 0xf3]));

    let rex = (rexW ? 8 : 0) | rexR << 2 | rexX << 1 | rexB;
    this.rexPresent = mode === 64 && (rex !== 0 || random.oneIn(6));
    if (this.rexPresent) rex |= 0x40;

    for (let i = prefixes.length - 1; i > 0; i--) {
      const k = random.below(i + 1);
      [prefixes[i], prefixes[k]] = [prefixes[k]!, prefixes[i]!];
    }
    // A REX that is not right before the opcode counts for nothing.
    if (mode === 64 && prefixes.length > 0 && random.oneIn(60)) prefixes.unshift(0x40 | random.below(16));
    const immediates = this.immediates();
    const bare = prefixes.length + (this.rexPresent ? 1 : 0) + opcode.length + tail.length + immediates.length;
    // Up to the limit of 15 bytes, and beyond it.
    if (random.oneIn(100) && bare < 15 && form.name !== 'invalid') {
      const room = random.pick([14, 15, 16]) - bare;
      for (let i = 0; i < room; i++) prefixes.unshift(mode === 64 ? 0x2e : prefixes.includes(0x67) ? 0x67 : 0x3e);
      if (mode === 32 && this.segment !== 0) this.segment = 0x3e;
    }
    this.bytes = [...prefixes, ...(this.rexPresent ? [rex] : []), ...opcode];
    const tailAt = this.bytes.length;
    this.bytes.push(...tail, ...immediates);
    const { bytes, ripRelative } = this;
    if (ripRelative !== undefined) {
      this.fixups.push((address, length) => bytes.splice(tailAt + ripRelative.at, 4, ...littleEndian((ripRelative.offset - BigInt(address + length)) & MASK64, 4)));
    }
    this.prepare(repeat);
  }

  /** Where behind the opcode the displacement of a rip-relative operand is, and what it is to reach. */
  private ripRelative: { readonly at: number; readonly offset: bigint } | undefined;

  private segmentBase(): bigint {
    return this.mode === 64 && this.segment === 0x64 ? FS_BASE : this.mode === 64 && this.segment === 0x65 ? GS_BASE : 0n;
  }

  private setRegister(number: number, value: bigint): void {
    this.registers[number] = this.mode === 64 ? value & MASK64 : value & MASK32;
  }
  /** A register as an address uses it: with 67h the upper half is noise. */
  private setAddressRegister(number: number, value: bigint): void {
    if (this.mode === 64 && this.address67) this.setRegister(number, (value & MASK32) | (BigInt(this.random.u32()) << 32n));
    else this.setRegister(number, value);
  }

  /** Encodes a memory operand and solves for its registers. Returns the REX bits; appends ModRM, SIB and displacement. */
  private memoryOperand(reg: number, out: number[]): { readonly rexX: number; readonly rexB: number } {
    const { random, mode } = this;
    if (mode === 32 && this.address67) {
      const mod = random.below(3);
      const rm = random.below(8);
      out.push(mod << 6 | reg << 3 | rm);
      const displacement = mod === 1 ? 1 : mod === 2 || rm === 6 ? 2 : 0;
      for (let i = 0; i < displacement; i++) out.push(random.below(256));
      this.rm = { kind: 'memory', address: 0n, base: -1, index: -1 };
      return { rexX: 0, rexB: 0 };
    }
    const mask = mode === 64 && !this.address67 ? MASK64 : MASK32;
    const linear = this.target();
    let offset = (linear - this.segmentBase()) & mask;
    const kind = random.pick(['absolute', 'relative', 'base', 'base', 'base', 'both', 'both', 'both', 'index']);
    const registers = mode === 64 ? 16 : 8;
    let base = random.below(registers);
    let index = random.below(registers);
    while (index === RSP) index = random.below(registers);
    const scale = random.below(4);
    const times = BigInt(1 << scale);
    const bytesOf = (value: bigint, length: number): number[] => [...littleEndian(value & MASK64, length)];

    if (kind === 'absolute' || kind === 'relative') {
      base = -1;
      index = -1;
      if (kind === 'absolute' && mode === 64) {
        out.push(reg << 3 | 4, random.below(4) << 6 | 4 << 3 | 5, ...bytesOf(offset, 4));
      } else {
        const at = out.length + 1;
        out.push(reg << 3 | 5, ...bytesOf(offset, 4));
        if (mode === 64) this.ripRelative = { at, offset };
      }
      this.rm = { kind: 'memory', address: linear, base, index };
      return { rexX: 0, rexB: 0 };
    }
    if (kind === 'index') {
      let displacement = BigInt(random.u32() | 0);
      displacement -= signed(displacement - offset, 64) & (times - 1n);
      displacement = signed(displacement, 32);
      displacement -= (displacement - offset) & (times - 1n);
      this.setAddressRegister(index, ((offset - displacement) & mask) / times);
      out.push(reg << 3 | 4, scale << 6 | (index & 7) << 3 | 5, ...bytesOf(displacement, 4));
      this.rm = { kind: 'memory', address: linear, base: -1, index };
      return { rexX: index >> 3, rexB: 0 };
    }
    const displacementBytes = (base & 7) === 5 ? random.pick([1, 4]) : random.pick([0, 1, 4]);
    let displacement = displacementBytes === 0 ? 0n : displacementBytes === 1 ? BigInt(random.between(-128, 127)) : BigInt(random.u32() | 0);
    let address = linear;
    if (kind === 'base') {
      this.setAddressRegister(base, offset - displacement);
      index = -1;
    } else if (base === index) {
      const whole = times + 1n;
      if (displacementBytes === 0) {
        offset -= offset % whole;
        address = (offset + this.segmentBase()) & MASK64;
      } else displacement = offset % whole;
      this.setAddressRegister(base, (offset - displacement) / whole);
    } else {
      if (random.oneIn(2)) this.setRegister(index, BigInt(random.between(-64, 64)));
      this.setAddressRegister(base, offset - displacement - this.registers[index]! * times);
    }
    const mod = displacementBytes === 0 ? 0 : displacementBytes === 1 ? 1 : 2;
    const needsSib = kind === 'both' || (base & 7) === 4 || random.oneIn(10);
    if (needsSib) out.push(mod << 6 | reg << 3 | 4, (kind === 'both' ? scale << 6 | (index & 7) << 3 : random.below(4) << 6 | 4 << 3) | (base & 7));
    else out.push(mod << 6 | reg << 3 | (base & 7));
    out.push(...bytesOf(displacement, displacementBytes));
    this.rm = { kind: 'memory', address, base, index };
    return { rexX: kind === 'both' ? index >> 3 : 0, rexB: base >> 3 };
  }

  private immediates(): number[] {
    const { random } = this;
    const out: number[] = [];
    for (const operand of this.form.operands) {
      const wide = this.size === 8 ? 4 : this.size;
      switch (operand) {
        case 'Ib': case 'Jb': out.push(random.oneIn(2) ? random.below(256) : random.pick([0, 1, 0x7f, 0x80, 0xff, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64])); break;
        case 'Iw': out.push(...littleEndian(BigInt(random.oneIn(2) ? random.below(0x80) : random.below(0x10000)), 2)); break;
        case 'Iz': out.push(...littleEndian(this.value(), wide)); break;
        case 'Jz': out.push(...littleEndian(0n, this.mode === 64 ? 4 : wide)); break;
        case 'Iv': out.push(...littleEndian(this.value(), this.size)); break;
        case 'Ob': case 'Ov': {
          const length = this.mode === 64 ? (this.address67 ? 4 : 8) : this.address67 ? 2 : 4;
          const address = this.target();
          this.rm = { kind: 'memory', address, base: -1, index: -1 };
          out.push(...littleEndian((address - this.segmentBase()) & MASK64, length));
          break;
        }
        default: break;
      }
    }
    return out;
  }

  private value(): bigint {
    const { random } = this;
    switch (random.below(4)) {
      case 0: return random.u64();
      case 1: return BigInt(random.between(-130, 130)) & MASK64;
      default: return random.pick(VALUES);
    }
  }

  // ---- operands in place ----

  /** A linear address for a memory operand, with a value put there as often as not. */
  private target(): bigint {
    const { random } = this;
    const size = this.form.setup === 'compare-wide' ? this.size * 2 : this.form.operands.some((o) => /^[EMO]b/.test(o)) ? 1 : this.size;
    // The bus lock of an access across two cache lines is slow, and a signal on some hosts.
    const aligned = this.locked || this.form.name === 'xchg';
    const kind = random.below(100);
    let address: number;
    if (kind < 72) address = DATA.address + 64 + random.below(DATA.size - 128);
    else if (kind < 82) address = DATA.address + 0x1000 * random.between(1, 2) - random.between(1, 16);
    else if (kind < 86) address = CONSTANTS.address + random.below(CONSTANTS.size - 16);
    else if (kind < 89) address = CONSTANTS.address - random.between(1, 16);
    else if (kind < 91) address = CONSTANTS.address + CONSTANTS.size - random.between(1, 16);
    else if (kind < 93) address = DATA.address - random.between(1, 16);
    else if (kind < 95) address = STACK.address + random.below(STACK.size - 16);
    else if (kind < 96) address = CODE.address + random.below(CODE.size);
    else if (kind < 98) address = UNMAPPED + random.below(0x10000);
    else {
      if (this.mode === 32) return BigInt(random.oneIn(2) ? random.below(0x10000) : 0xfffffff0 + random.below(16));
      return random.pick([0x0000800000000000n, 0x00007fffffffffffn, 0xffff7fffffffffffn, 0x8000000000000000n, 0x1234567890abcdefn]) - BigInt(random.below(16));
    }
    if (random.oneIn(2) || aligned) address -= address % size;
    if (this.form.setup === 'compare-wide' && !random.oneIn(8)) address -= address % 16;
    if (random.below(3) !== 0) this.put(BigInt(address), littleEndian(this.value(), Math.min(size, 8)));
    return BigInt(address);
  }

  /** Memory contents before the case, where something is mapped. */
  private put(address: bigint, bytes: Uint8Array): void {
    for (const w of WINDOWS) {
      if (w === CODE) continue;
      // Bytes that reach into the next window go to both.
      const from = address > BigInt(w.address) ? address : BigInt(w.address);
      const to = address + BigInt(bytes.length) < BigInt(w.address + w.size) ? address + BigInt(bytes.length) : BigInt(w.address + w.size);
      if (from >= to) continue;
      this.memory.push({ address: Number(from), bytes: bytes.slice(Number(from - address), Number(to - address)) });
    }
  }

  /** Sets the r/m operand to a value of `size` bytes, where that is possible without moving it. */
  private setRm(value: bigint, size: number): void {
    if (this.rm.kind === 'memory') this.put(this.rm.address, littleEndian(value, size));
    else if (this.rm.kind === 'register') this.setOperandRegister(this.rm.number, value, size);
  }
  private setOperandRegister(number: number, value: bigint, size: number): void {
    const high = size === 1 && !this.rexPresent && number >= 4 && number < 8;
    const register = high ? number - 4 : number;
    const shift = high ? 8n : 0n;
    const mask = ((1n << BigInt(size * 8)) - 1n) << shift;
    this.registers[register] = (this.registers[register]! & ~mask & MASK64) | ((value << shift) & mask);
  }
  private usesForAddress(number: number): boolean {
    return this.rm.kind === 'memory' && (this.rm.base === number || this.rm.index === number);
  }

  // ---- preparation by form ----

  private prepare(repeat: number): void {
    const { random } = this;
    switch (this.form.setup) {
      case 'none': case 'sequence': return;
      case 'count': {
        if (!this.usesForAddress(RCX)) this.setRegister(RCX, (this.registers[RCX]! & ~0xffn) | BigInt(random.oneIn(2) ? random.below(256) : random.below(70)));
        return;
      }
      case 'divide': this.divide(); return;
      case 'bit': this.bitOffset(); return;
      case 'compare': {
        const size = this.form.operands[0] === 'Eb' ? 1 : this.size;
        const value = this.value();
        if (random.oneIn(2) && !this.usesForAddress(RAX)) {
          this.setRm(value, size);
          this.setOperandRegister(RAX, value, size);
          if (this.rm.kind === 'register' && this.rm.number !== RAX) this.setRm(value, size);
        }
        return;
      }
      case 'compare-wide': {
        const low = this.value();
        const high = this.value();
        if (this.rm.kind !== 'memory' || random.oneIn(3)) return;
        this.put(this.rm.address, littleEndian(low, this.size));
        this.put(this.rm.address + BigInt(this.size), littleEndian(high, this.size));
        const mask = (1n << BigInt(this.size * 8)) - 1n;
        if (!this.usesForAddress(RAX)) this.setRegister(RAX, (low & mask) | (this.registers[RAX]! & ~mask & MASK64));
        if (!this.usesForAddress(RDX)) this.setRegister(RDX, (high & mask) | (this.registers[RDX]! & ~mask & MASK64));
        return;
      }
      case 'string': this.string(repeat); return;
      case 'input-output': {
        this.setAddressRegister(RDI, BigInt(DATA.address + 64));
        this.setAddressRegister(RSI, BigInt(DATA.address + 64));
        return;
      }
      case 'stack': this.stack(); return;
      case 'pop-flags': {
        const at = this.stack();
        // Not TF, which would trap, and not AC, for which the engine has no alignment check.
        this.put(at, littleEndian(random.u64() & ~0x40100n, 8));
        return;
      }
      case 'enter': {
        this.stack();
        this.setRegister(RBP, this.stackPointer());
        // Both halves of the immediate: few bytes and few levels more often than not.
        const at = this.bytes.length - 3;
        if (random.below(3) !== 0) this.bytes[at + 1] = 0;
        if (random.below(3) !== 0) this.bytes[at + 2] = random.below(40);
        return;
      }
      case 'leave': this.setRegister(RBP, this.stackPointer()); return;
      case 'return': {
        const at = this.stack();
        this.put(at, littleEndian(this.destination(), 8));
        return;
      }
      case 'indirect': {
        this.stack();
        this.setRm(this.destination(), this.size);
        return;
      }
      case 'branch': this.branch(); return;
      case 'loop': {
        this.branch();
        this.setRegister(RCX, random.pick([0n, 1n, 2n, 0x10000n, 0x10001n, 0x100000000n, 0x100000001n, 0x123456780000n, this.registers[RCX]!]));
        return;
      }
      case 'translate': {
        const al = this.registers[RAX]! & 0xffn;
        this.setAddressRegister(RBX, this.target() - this.segmentBase() - al);
        return;
      }
      case 'bound': {
        if (this.rm.kind !== 'memory') return;
        const value = this.registers[this.regField]!;
        const half = this.size;
        this.put(this.rm.address, littleEndian((value - BigInt(random.between(-1, 2))) & MASK64, half));
        this.put(this.rm.address + BigInt(half), littleEndian((value + BigInt(random.between(-1, 2))) & MASK64, half));
        return;
      }
      case 'far-pointer': {
        if (this.rm.kind === 'memory') this.put(this.rm.address, Uint8Array.from([...littleEndian(this.value(), this.size), SELECTORS.data, 0]));
        return;
      }
      case 'interrupt': {
        const at = this.bytes.length - 1;
        while (OPEN_VECTORS.includes(this.bytes[at]!)) this.bytes[at] = random.below(256);
        return;
      }
      default: throw new Error(`no preparation: ${this.form.setup satisfies never}`);
    }
  }

  private stackPointer(): bigint {
    const { random } = this;
    const kind = random.below(100);
    if (kind < 80) return BigInt(STACK.address + 0x400 + random.below(0x1800 / 8) * 8);
    if (kind < 86) return BigInt(STACK.address + 0x400 + random.below(0x1800));
    if (kind < 91) return BigInt(STACK.address + 0x1000 + random.between(-9, 9));
    if (kind < 94) return BigInt(STACK.address + random.below(80));
    if (kind < 96) return BigInt(STACK.address + STACK.size - random.below(80));
    if (kind < 98 || this.mode === 32) return BigInt(UNMAPPED + random.below(100));
    return random.pick([0x0000800000000000n, 0x0000800000000004n, 0x8000000000000000n]);
  }
  private stack(): bigint {
    const at = this.stackPointer();
    if (!this.usesForAddress(RSP)) this.setRegister(RSP, at);
    if (this.random.oneIn(2)) this.put(at, littleEndian(this.value(), 8));
    return at;
  }

  /** Where an indirect branch goes. */
  private destination(): bigint {
    const { random } = this;
    const kind = random.below(20);
    if (kind < 14) return BigInt(CODE.address + random.below(0x20) + (random.oneIn(2) ? 0 : 0x1f00));
    if (kind < 16) return BigInt(DATA.address + random.below(0x2000));
    if (kind < 18) return BigInt(UNMAPPED + random.below(0x1000));
    return this.mode === 64 ? random.pick([0x0000800000000000n, 0x8000000000000000n, 0x12345678n, 0xffff800000000000n]) : BigInt(random.u32());
  }

  private branch(): void {
    const { random, bytes } = this;
    const operand = this.form.operands[0];
    this.fixups.push((address, length) => {
      const at = bytes.length;
      if (operand === 'Jb') {
        // Not into the instruction itself.
        let relative: number;
        do relative = (random.below(256) << 24) >> 24;
        while (relative < 0 && relative >= -length);
        bytes[at - 1] = relative & 0xff;
        return;
      }
      const width = this.mode === 32 && this.size === 2 ? 2 : 4;
      const kind = random.below(10);
      const target = kind < 6 ? CODE.address + random.below(0x20) : kind < 8 ? UNMAPPED + random.below(0x1000) : random.u32();
      bytes.splice(at - width, width, ...littleEndian(BigInt(target - (address + length)) & MASK64, width));
    });
    if (this.form.name === 'call') this.stack();
  }

  private divide(): void {
    const { random } = this;
    const size = this.form.operands[0] === 'Eb' ? 1 : this.size;
    const bits = size * 8;
    const isSigned = this.form.name === 'idiv';
    if (random.oneIn(6)) return;
    const mask = (1n << BigInt(bits)) - 1n;
    const draw = (): bigint => {
      const v = this.value() & mask;
      return isSigned ? signed(v, bits) : v;
    };
    const divisor = draw();
    let quotient = draw();
    if (random.oneIn(8)) quotient += random.pick([1n, -1n, mask]);
    const magnitude = divisor < 0n ? -divisor : divisor;
    let remainder = magnitude <= 1n ? 0n : this.value() % magnitude;
    if (random.oneIn(6)) remainder = magnitude === 0n ? 0n : magnitude - 1n;
    const product = quotient * divisor;
    const dividend = isSigned && product < 0n ? product - remainder : product + remainder;
    if (size === 1) this.setOperandRegister(RAX, dividend & 0xffffn, 2);
    else {
      if (!this.usesForAddress(RAX)) this.setOperandRegister(RAX, dividend & mask, size);
      if (!this.usesForAddress(RDX)) this.setOperandRegister(RDX, (dividend >> BigInt(bits)) & mask, size);
    }
    this.setRm(divisor & mask, size);
  }

  /** BT and its kin with a register offset reach outside their memory operand. */
  private bitOffset(): void {
    const { random } = this;
    if (this.rm.kind !== 'memory' || this.rm.base < 0 || this.usesForAddress(this.regField) || (this.mode === 32 && this.address67)) return;
    const bits = this.size * 8;
    const limit = Math.min(2 ** (bits - 1) - 1, random.oneIn(4) ? 0x40000000 : 0x4000);
    const offset = random.between(-limit, limit);
    this.setOperandRegister(this.regField, BigInt(offset) & MASK64, this.size);
    if (this.size === 4 && this.mode === 64 && random.oneIn(2)) this.registers[this.regField] = (this.registers[this.regField]! & MASK32) | (BigInt(random.u32()) << 32n);
    const moved = BigInt(Math.floor(offset / bits) * this.size);
    const base = this.registers[this.rm.base]!;
    // base and index the same register: the operand goes where it goes.
    if (this.rm.base !== this.rm.index) this.setAddressRegister(this.rm.base, base - moved);
  }

  private string(repeat: number): void {
    const { random } = this;
    const opcode = this.form.opcode[0]! & 0xfe;
    const { size } = this;
    const backward = random.oneIn(4);
    this.flags = backward ? this.flags | DF : this.flags & ~DF;
    const count = random.pick([0, 1, 2, 3, random.below(20), random.below(64), random.below(700)]);
    const span = repeat === 0 ? size : Math.min(count * size, 0x1000);
    // Mostly inside the data, now and then over its edges.
    const edge = backward ? DATA.address : opcode === 0xaa || opcode === 0xa4 ? CONSTANTS.address : CONSTANTS.address + CONSTANTS.size;
    const inside = (): number => {
      if (random.oneIn(16)) return backward ? edge + random.below(span + 1) : edge - random.below(span + 1);
      const from = DATA.address + (random.oneIn(8) ? 0 : 64);
      const to = DATA.address + DATA.size + (random.oneIn(8) ? 256 : -span - 64);
      const at = from + random.below(Math.max(to - from, 1));
      return backward ? at + span : at;
    };
    const destination = inside();
    let source = inside();
    if (random.oneIn(4)) source = destination + random.between(-24, 24);
    if (random.oneIn(12)) source = STACK.address + random.below(STACK.size);
    if (random.oneIn(2)) source -= source % size;
    // With 67h the segment's base comes on top of 32 bits.
    this.setAddressRegister(RSI, BigInt(source) - (random.oneIn(20) ? 0n : this.segmentBase()));
    this.setAddressRegister(RDI, BigInt(destination));
    this.setAddressRegister(RCX, BigInt(count));
    if (this.mode === 32 && this.address67) return;
    if ((opcode === 0xa6 || opcode === 0xae) && repeat !== 0 && span > 0) {
      // A run of equal elements, up to a random length.
      const length = Math.min(span, 96);
      const element = littleEndian(this.value(), 8).subarray(0, size);
      const run = new Uint8Array(length - (length % size));
      for (let i = 0; i < run.length; i++) run[i] = element[i % size]!;
      const broken = random.below(run.length * 2 + 1);
      const low = (at: number): bigint => BigInt(backward ? at - run.length + size : at);
      this.put(low(source), run);
      const other = run.slice();
      if (broken < run.length) other[broken]! ^= 1 << random.below(8);
      if (repeat === 0xf2 && random.oneIn(2)) for (let i = 0; i < other.length; i++) other[i]! ^= random.below(256);
      this.put(low(destination), other);
      if (opcode === 0xae) this.setOperandRegister(RAX, BigInt(`0x${Buffer.from(element).reverse().toString('hex')}`), size);
    }
  }

  // ---- placement ----

  /** Address of the first byte: now and then across the page boundary, or up to or over the end of the window. */
  private placement(length: number): number {
    const { random } = this;
    const kind = random.below(100);
    // Which comes first, #UD or the fault of the next page, is for an invalid opcode not architectural.
    const movable = this.form.name !== 'invalid';
    if (kind < 4 && movable) return CODE.address + 0x1000 - random.below(length + 1);
    if (kind < 5 && movable) return CODE.address + CODE.size - length;
    return CODE.address + 0x100 + random.below(0x1d00);
  }
}

/** What sequences are made of: no branches, no stack, no REP that would hide the rest. */
const SEQUENCE_FORMS = FORMS.filter((f) => f.modes.includes(64) && ['none', 'count', 'bit', 'compare'].includes(f.setup) && !['invalid', 'hlt', 'cli', 'sti', 'into', 'clflush'].includes(f.name));

export function generate(seed: number, index: number): Case {
  const random = new Random(seed, index);
  const form = FORMS[index % FORMS.length]!;
  const made = new Generator(random, form).make();
  if (made.code.length > CODE_BYTES_MAX) throw new Error('a case is too long');
  return made;
}

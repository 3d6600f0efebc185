/**
 * Machine code as text: x86 in 16-, 32- and 64-bit mode, Intel syntax as GNU objdump writes it with `-M intel`, so that both can be compared.
 *
 *     prefixes, REX ─► opcode ─► disassembler-tables.ts ─► ModRM, SIB, displacement ─► operands, left to right ─► text
 *
 * Known are the instructions of the CPU here: integer, system, x87, MMX, SSE to SSE4.2, and a few that programs ask CPUID for (AES, SHA, XSAVE, VMX).
 * VEX and EVEX (AVX) are told with their length only, `(avx)`. Opcodes, operand codes and sizes: Intel SDM, volume 2, chapter 2 and appendix A.
 */
import { CONDITION_NAMES, FIXED, GROUPS, MAP_0F, MAP_0F38, MAP_0F3A, MAP_ONE, X87_MEMORY, X87_REGISTER } from './disassembler-tables.ts';

/** Bits of addresses and operands that a code segment stands for. */
export type CodeBits = 16 | 32 | 64;

/** Where an instruction leads: `next` to the one behind it only. */
export type Flow = 'next' | 'jump' | 'branch' | 'call' | 'return' | 'trap' | 'stop';

export interface Instruction {
  readonly address: bigint;
  /** Bytes; 1 if they are no instruction. */
  readonly length: number;
  /** With its prefixes: `rep stos`. `(bad)` if the bytes are no instruction. */
  readonly mnemonic: string;
  readonly operands: string;
  readonly flow: Flow;
  /** Of a direct jump or call. */
  readonly target: bigint | undefined;
  /** Linear address of a memory operand that no register but rip is part of; segment bases are not added. */
  readonly reference: bigint | undefined;
}

/** Bytes of an instruction at most: SDM vol. 2, 2.3.11. */
export const INSTRUCTION_BYTES_MAX = 15;
export const BAD = '(bad)';

/** Decodes the first instruction of `bytes`, which are those at `address`. What is cut off there is no instruction. */
export function disassemble(bytes: Uint8Array, address: bigint, bits: CodeBits): Instruction {
  try {
    return new Decoder(bytes, address, bits).decode();
  } catch (error) {
    if (error !== UNDECODABLE) throw error;
    return { address, length: 1, mnemonic: BAD, operands: '', flow: 'stop', target: undefined, reference: undefined };
  }
}

/** `mov    rax,QWORD PTR [rbp-0x8]` */
export function textOf({ mnemonic, operands }: Instruction): string {
  return operands === '' ? mnemonic : `${mnemonic.padEnd(6)} ${operands}`;
}

/** Thrown and caught here: most of what is decoded is code. */
const UNDECODABLE = Symbol('undecodable');
const no = (): never => {
  throw UNDECODABLE;
};

const REGISTERS_8 = ['al', 'cl', 'dl', 'bl', 'ah', 'ch', 'dh', 'bh'];
const REGISTERS_8_REX = ['al', 'cl', 'dl', 'bl', 'spl', 'bpl', 'sil', 'dil', ...high('b')];
const REGISTERS_16 = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di', ...high('w')];
const REGISTERS_32 = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi', ...high('d')];
const REGISTERS_64 = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', ...high('')];
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];
const BASES_16 = ['bx+si', 'bx+di', 'bp+si', 'bp+di', 'si', 'di', 'bp', 'bx'];

function high(suffix: string): string[] {
  return Array.from({ length: 8 }, (_, i) => `r${i + 8}${suffix}`);
}

const PREFIXES: Readonly<Record<number, string>> = {
  0x26: 'es', 0x2e: 'cs', 0x36: 'ss', 0x3e: 'ds', 0x64: 'fs', 0x65: 'gs', 0x66: 'data', 0x67: 'addr', 0xf0: 'lock', 0xf2: 'repnz', 0xf3: 'repz',
}; // prettier-ignore

const POINTER: Readonly<Record<string, string>> = { b: 'BYTE PTR ', w: 'WORD PTR ', d: 'DWORD PTR ', q: 'QWORD PTR ', x: 'XMMWORD PTR ', t: 'TBYTE PTR ', f: 'FWORD PTR ', m: '' };

const COMPARE = ['eq', 'lt', 'le', 'unord', 'neq', 'nlt', 'nle', 'ord'];

class Decoder {
  private readonly bytes: Uint8Array;
  private readonly address: bigint;
  private readonly bits: CodeBits;
  private at = 0;
  /** In order, but REX. The last one of those that the instruction makes use of is not shown. */
  private readonly prefixes: number[] = [];
  private readonly used = new Set<number>();
  private rex = 0;
  private rexUsed = 0;
  private opcode = 0;
  private operandBits: CodeBits = 32;
  private addressBits: CodeBits = 32;
  private modrm = -1;
  private memory: { readonly text: string; readonly segment: string | undefined; readonly displacement: bigint | undefined } | undefined;
  /** Displacement from the end of the instruction: its target is known when the end is. */
  private ripDisplacement: bigint | undefined;
  private reference: bigint | undefined;
  private target: bigint | undefined;

  constructor(bytes: Uint8Array, address: bigint, bits: CodeBits) {
    this.bytes = bytes;
    this.address = address;
    this.bits = bits;
  }

  decode(): Instruction {
    this.readPrefixes();
    const { bits } = this;
    const hasData = this.has(0x66);
    this.operandBits = (this.rex & 8) !== 0 ? 64 : hasData === (bits === 16) ? 32 : 16;
    this.addressBits = this.has(0x67) ? (bits === 64 ? 32 : bits === 32 ? 16 : 32) : bits;
    const entry = this.lookUp();
    if (entry === undefined || entry === '') no();
    const avx = this.avx(entry!);
    if (avx !== undefined) return avx;
    const [name, operandText, flags] = parts(entry!);
    this.sizes(flags, hasData);
    const operands = operandText === '' ? [] : operandText.split(',');
    if (operands.some((operand) => USES_MODRM.test(operand))) this.readModrm();
    const shown = operands.map((operand) => this.operand(operand));
    const mnemonic = this.mnemonic(name, shown, flags);
    if (this.at > INSTRUCTION_BYTES_MAX) no();
    const end = this.address + BigInt(this.at);
    if (this.ripDisplacement !== undefined) this.reference = BigInt.asUintN(this.addressBits === 32 ? 32 : 64, end + this.ripDisplacement);
    return {
      address: this.address,
      length: this.at,
      mnemonic: [...this.unusedPrefixes(), mnemonic].join(' '),
      operands: shown.filter((text) => text !== '').join(','),
      flow: flowOf(name),
      target: this.target,
      reference: this.reference,
    };
  }

  // ---- bytes ----

  private byte(): number {
    if (this.at >= this.bytes.length || this.at >= INSTRUCTION_BYTES_MAX) no();
    return this.bytes[this.at++];
  }
  private peek(): number {
    if (this.at >= this.bytes.length) no();
    return this.bytes[this.at];
  }
  /** Little-endian. */
  private unsigned(bytes: number): bigint {
    let value = 0n;
    for (let i = 0; i < bytes; i++) value |= BigInt(this.byte()) << BigInt(i * 8);
    return value;
  }
  private signed(bytes: number): bigint {
    return BigInt.asIntN(bytes * 8, this.unsigned(bytes));
  }

  private readPrefixes(): void {
    for (;;) {
      const byte = this.peek();
      if (PREFIXES[byte] !== undefined) this.prefixes.push(byte);
      else if (this.bits === 64 && byte >= 0x40 && byte <= 0x4f) {
        // A REX prefix that is not the last one means nothing.
        this.rex = byte;
        this.byte();
        const next = this.peek();
        if (PREFIXES[next] === undefined && !(next >= 0x40 && next <= 0x4f)) return;
        this.rex = 0;
        continue;
      } else return;
      this.byte();
    }
  }
  private has(prefix: number): boolean {
    return this.prefixes.includes(prefix);
  }
  /** The instruction makes use of it: it is not shown by itself. */
  private use(prefix: number): void {
    this.used.add(prefix);
  }

  // ---- tables ----

  private lookUp(): string | undefined {
    this.opcode = this.byte();
    if (this.opcode !== 0x0f) return this.choose(MAP_ONE[this.opcode]);
    this.opcode = this.byte();
    if (this.opcode === 0x38) {
      this.opcode = this.byte();
      return this.choose(MAP_0F38.get(this.opcode));
    }
    if (this.opcode === 0x3a) {
      this.opcode = this.byte();
      return this.choose(MAP_0F3A.get(this.opcode));
    }
    return this.choose(MAP_0F.get(this.opcode));
  }

  /** Follows an entry to the instruction that prefixes, mode and ModRM make of it. */
  private choose(entry: string | undefined): string | undefined {
    if (entry === undefined || entry === '') return undefined;
    if (entry.includes(';')) return this.byPrefix(entry);
    if (entry.includes('~')) {
      const [memory, register] = entry.split('~');
      return this.choose((this.peek() >= 0xc0 ? register : memory).trim());
    }
    if (entry.startsWith('@')) return this.fixed(entry.slice(1));
    if (!entry.startsWith('#')) return entry;
    const [name, rest] = entry.slice(1).split(/ (.*)/s);
    const group = GROUPS.get(name);
    const chosen = group === undefined ? this.special(name) : this.choose(group[(this.peek() >>> 3) & 7]);
    return chosen === undefined || rest === undefined ? chosen : `${chosen} ${rest}`;
  }

  /** By mandatory prefix: `none ; 66 ; F3 ; F2`. F2 and F3 go before 66: SDM vol. 2, 2.1.2. */
  private byPrefix(entry: string): string | undefined {
    const choices = entry.split(';').map((each) => each.trim());
    const last = this.prefixes.findLast((prefix) => prefix === 0xf2 || prefix === 0xf3);
    const wanted = last === 0xf3 ? 2 : last === 0xf2 ? 3 : this.has(0x66) ? 1 : 0;
    const chosen = choices[wanted] ?? '';
    if (chosen !== choices[0]) this.use([0, 0x66, 0xf3, 0xf2][wanted]);
    return this.choose(chosen);
  }

  /** What depends on the mode, or on more than that. */
  private special(name: string): string | undefined {
    const isLong = this.bits === 64;
    switch (name) {
      case 'x87':
        return this.x87();
      case '62':
        return isLong || this.peek() >= 0xc0 ? 'EVEX' : 'bound Gv,Ma';
      case 'c4':
        return isLong || this.peek() >= 0xc0 ? 'VEX3' : 'les Gv,Mp';
      case 'c5':
        return isLong || this.peek() >= 0xc0 ? 'VEX2' : 'lds Gv,Mp';
      case '63':
        return isLong ? 'movsxd Gv,Ez' : 'arpl Ew,Gw';
      case '90':
        if (this.has(0xf3)) {
          this.use(0xf3);
          return 'pause';
        }
        return (this.rex & 1) !== 0 || this.has(0x66) ? 'xchg Zv,Av' : 'nop';
      case 'b8':
        return this.operandBits === 64 ? 'movabs Zv,Iv' : 'mov Zv,Iv';
      case 'a0':
        return this.addressBits === 64 ? 'movabs' : 'mov';
      default:
        throw new Error(`the table has no group "${name}"`);
    }
  }

  /** What all of ModRM chooses. */
  private fixed(name: string): string | undefined {
    const entry = FIXED.get(name)?.[this.peek() & 7];
    if (entry === undefined || entry === '') return undefined;
    const chosen = this.choose(entry);
    if (chosen === undefined) return undefined;
    this.modrm = this.byte();
    return chosen;
  }

  private x87(): string | undefined {
    const modrm = this.peek();
    const reg = (modrm >>> 3) & 7;
    if (modrm < 0xc0) return X87_MEMORY[this.opcode - 0xd8][reg];
    const row = X87_REGISTER[this.opcode - 0xd8][reg];
    const entry = row.includes('|') ? row.split('|')[modrm & 7].trim() : row;
    this.byte();
    this.modrm = modrm;
    return entry;
  }

  /** VEX and EVEX: the length only. */
  private avx(entry: string): Instruction | undefined {
    const isEvex = entry.startsWith('EVEX');
    if (!isEvex && !entry.startsWith('VEX')) return undefined;
    const first = this.byte();
    const map = entry === 'VEX2' ? 1 : isEvex ? first & 7 : first & 31;
    for (let i = entry === 'VEX2' ? 1 : entry === 'VEX3' ? 2 : 3; i > 1; i--) this.byte();
    if (map < 1 || map > 3 || this.prefixes.some((prefix) => prefix >= 0x66 && prefix !== 0x67)) no();
    const opcode = this.byte();
    if (!(map === 1 && opcode === 0x77)) {
      this.readModrm();
      if (map === 3 || (map === 1 && ((opcode >= 0x70 && opcode <= 0x73) || [0xc2, 0xc4, 0xc5, 0xc6].includes(opcode)))) this.byte();
    }
    return { address: this.address, length: this.at, mnemonic: '(avx)', operands: '', flow: 'next', target: undefined, reference: undefined };
  }

  // ---- sizes ----

  private sizes(flags: string, hasData: boolean): void {
    const { bits } = this;
    if (flags.includes('!64') && bits === 64) no();
    if (flags.includes('=64') && bits !== 64) no();
    if (bits !== 64) return;
    // Stack operations have 64 bits, or 16 with the prefix; near branches always have 64.
    if (flags.includes('d64')) {
      if ((this.rex & 8) === 0) this.operandBits = hasData ? 16 : 64;
    }
    if (flags.includes('f64')) this.operandBits = 64;
  }

  private operandBytes(): number {
    if ((this.rex & 8) === 0) this.use(0x66);
    this.rexUsed |= 8;
    return this.operandBits / 8;
  }

  // ---- ModRM ----

  private readModrm(): void {
    if (this.modrm >= 0) return;
    const modrm = this.byte();
    this.modrm = modrm;
    if (modrm >= 0xc0) return;
    const mod = modrm >>> 6;
    const rm = modrm & 7;
    this.memory = this.addressBits === 16 ? this.memory16(mod, rm) : this.memory32(mod, rm);
  }

  private memory16(mod: number, rm: number): NonNullable<Decoder['memory']> {
    if (mod === 0 && rm === 6) {
      const displacement = BigInt.asUintN(16, this.signed(2));
      return { text: `0x${displacement.toString(16)}`, segment: 'ds', displacement };
    }
    const displacement = mod === 1 ? this.signed(1) : mod === 2 ? this.signed(2) : undefined;
    return { text: `[${BASES_16[rm]}${offsetText(displacement)}]`, segment: undefined, displacement: undefined };
  }

  private memory32(mod: number, rm: number): NonNullable<Decoder['memory']> {
    const isWide = this.addressBits === 64;
    const names = isWide ? REGISTERS_64 : REGISTERS_32;
    let base: string | undefined;
    let index: string | undefined;
    let displacement: bigint | undefined;
    let hasBase = true;
    this.rexUsed |= 1;
    if (rm === 4) {
      const sib = this.byte();
      this.rexUsed |= 2;
      const indexNumber = ((sib >>> 3) & 7) | ((this.rex & 2) << 2);
      const scale = 1 << (sib >>> 6);
      const baseNumber = sib & 7;
      hasBase = !(baseNumber === 5 && mod === 0);
      if (hasBase) base = names[baseNumber | ((this.rex & 1) << 3)];
      if (indexNumber !== 4) index = `${names[indexNumber]}*${scale}`;
      // No index is written only where it makes a difference: beside another base than the stack pointer, or with a scale.
      else if (scale !== 1 || (hasBase && baseNumber !== 4)) index = `${isWide ? 'riz' : 'eiz'}*${scale}`;
      if (!hasBase) displacement = this.signed(4);
    } else if (rm === 5 && mod === 0) {
      hasBase = false;
      displacement = this.signed(4);
      if (this.bits === 64) {
        base = isWide ? 'rip' : 'eip';
        this.ripDisplacement = displacement;
      }
    } else base = names[rm | ((this.rex & 1) << 3)];
    if (mod === 1) displacement = this.signed(1);
    if (mod === 2) displacement = this.signed(4);
    if (base === undefined && index === undefined) {
      const absolute = BigInt.asUintN(isWide ? 64 : 32, displacement ?? 0n);
      return { text: `0x${absolute.toString(16)}`, segment: 'ds', displacement: absolute };
    }
    return { text: `[${[base, index].filter((part) => part !== undefined).join('+')}${offsetText(displacement)}]`, segment: undefined, displacement: undefined };
  }

  /** The memory operand, with the segment that it is in if that is told. */
  private memoryText(pointer: string): string {
    const { text, segment, displacement } = this.memory ?? no();
    this.use(0x67);
    const override = this.segmentOverride();
    if (displacement !== undefined && (override === undefined || override === 'ds')) this.reference = displacement;
    const shown = override ?? segment;
    return `${pointer}${shown === undefined ? '' : `${shown}:`}${text}`;
  }

  /** In 64-bit mode only FS and GS have a base: the others are shown as prefixes that mean nothing. */
  private segmentOverride(): string | undefined {
    const last = this.prefixes.findLast((prefix) => prefix === 0x64 || prefix === 0x65 || (this.bits !== 64 && SEGMENTS.includes(PREFIXES[prefix])));
    if (last === undefined) return undefined;
    this.use(last);
    return PREFIXES[last];
  }

  // ---- operands ----

  private register(number: number, bits: number): string {
    if (bits === 64) return REGISTERS_64[number];
    if (bits === 32) return REGISTERS_32[number];
    if (bits === 16) return REGISTERS_16[number];
    if (this.rex !== 0) {
      if (number >= 4 && number < 8) this.rexUsed |= 0x40;
      return REGISTERS_8_REX[number];
    }
    return REGISTERS_8[number];
  }
  private reg(): number {
    this.rexUsed |= 4;
    return ((this.modrm >>> 3) & 7) | ((this.rex & 4) << 1);
  }
  private rm(): number {
    this.rexUsed |= 1;
    return (this.modrm & 7) | ((this.rex & 1) << 3);
  }

  /** Bits of a size letter of a general operand. */
  private bitsOf(size: string): number {
    switch (size) {
      case 'b':
        return 8;
      case 'w':
        return 16;
      case 'd':
        return 32;
      case 'q':
        return 64;
      case 'y': // 64 with REX.W, else 32
        this.rexUsed |= 8;
        return (this.rex & 8) !== 0 ? 64 : 32;
      case 'n': // as wide as the mode
        return this.bits === 64 ? 64 : 32;
      case 'z': // 32 at most
        return Math.min(32, this.operandBytes() * 8);
      case 's': // 16 in memory; a register has the operand size
      case 'v':
        return this.operandBytes() * 8;
      default:
        throw new Error(`the table has an operand of size "${size}"`);
    }
  }

  private operand(code: string): string {
    if (/^[a-z0-9]+$/.test(code)) return code;
    const size = code.slice(1);
    switch (code[0]) {
      case 'E':
        if (this.modrm >= 0xc0) return this.register(this.rm(), this.bitsOf(size));
        return this.memoryText(size === 's' ? POINTER['w'] : pointerOf(this.bitsOf(size)));
      case 'G':
        return this.register(this.reg(), this.bitsOf(size));
      case 'R':
        return this.register(this.rm(), this.bitsOf(size));
      case 'M':
        if (this.modrm >= 0xc0) no();
        // Far pointers: a selector and an offset of the operand size.
        if (size === 'p') return this.memoryText(this.operandBytes() === 2 ? POINTER['d'] : this.operandBits === 64 ? POINTER['t'] : POINTER['f']);
        if (size === 'a') return this.memoryText(this.operandBytes() === 2 ? POINTER['d'] : POINTER['q']);
        if (size === '9') return this.memoryText(this.operandBits === 64 ? 'OWORD PTR ' : POINTER['q']);
        if (size === 'v' || size === 'y') return this.memoryText(pointerOf(this.bitsOf(size)));
        return this.memoryText(POINTER[size]);
      case 'Z':
        this.rexUsed |= 1;
        return this.register((this.opcode & 7) | ((this.rex & 1) << 3), size === '' ? this.operandBytes() * 8 : this.bitsOf(size));
      case 'A':
        return this.accumulator(size);
      case 'I':
        return this.immediate(size);
      case 'J':
        return this.branch(size);
      case 'O':
        return this.offset();
      case 'S':
        return SEGMENTS[(this.modrm >>> 3) & 7] ?? no();
      case 'C':
      case 'D': {
        const number = this.reg();
        if (code[0] === 'C' && ![0, 2, 3, 4, 8].includes(number)) return `cr${number}`;
        return `${code[0] === 'C' ? 'cr' : 'dr'}${number}`;
      }
      case 'V':
        return `xmm${this.reg()}`;
      case 'W':
        return this.modrm >= 0xc0 ? `xmm${this.rm()}` : this.memoryText(POINTER[size]);
      case 'U':
        return this.modrm >= 0xc0 ? `xmm${this.rm()}` : no();
      case 'P':
        return `mm${(this.modrm >>> 3) & 7}`;
      case 'Q':
        return this.modrm >= 0xc0 ? `mm${this.modrm & 7}` : this.memoryText(POINTER[size]);
      case 'N':
        return this.modrm >= 0xc0 ? `mm${this.modrm & 7}` : no();
      case 'H': // a general register or memory: extracted elements
        if (this.modrm >= 0xc0) return this.register(this.rm(), this.bitsOf('y'));
        return this.memoryText(POINTER[size]);
      case 'K': // the same, the register of 32 bits
        return this.modrm >= 0xc0 ? this.register(this.rm(), 32) : this.memoryText(POINTER[size]);
      case 'T':
        return `st(${this.modrm & 7})`;
      case 'X':
        return `${pointerOf(this.bitsOf(size))}${this.segmentOverride() ?? 'ds'}:[${this.stringRegister(6)}]`;
      case 'Y':
        return `${pointerOf(this.bitsOf(size))}es:[${this.stringRegister(7)}]`;
      case 'B':
        return `${POINTER['b']}${this.segmentOverride() ?? 'ds'}:[${this.stringRegister(3)}]`;
      case 'L': {
        const offset = this.unsigned(this.operandBytes());
        return `0x${this.unsigned(2).toString(16)}:0x${offset.toString(16)}`;
      }
      default:
        throw new Error(`the table has an operand "${code}"`);
    }
  }

  private accumulator(size: string): string {
    return this.register(0, this.bitsOf(size));
  }
  private stringRegister(number: number): string {
    this.use(0x67);
    return this.register(number, this.addressBits);
  }

  private immediate(size: string): string {
    switch (size) {
      case 'b':
        return hex(this.unsigned(1));
      case 'w':
        return hex(this.unsigned(2));
      case 'c': // sign-extended byte, as wide as the operand
        return hex(BigInt.asUintN(this.operandBytes() * 8, this.signed(1)));
      case 'z': { // at most 4 bytes, sign-extended
        const bytes = this.operandBytes();
        return hex(BigInt.asUintN(bytes * 8, this.signed(Math.min(bytes, 4))));
      }
      case 'v':
        return hex(this.unsigned(this.operandBytes()));
      default:
        throw new Error(`the table has an immediate of size "${size}"`);
    }
  }

  private branch(size: string): string {
    const bytes = size === 'b' ? 1 : this.bits === 64 ? 4 : Math.min(4, this.operandBytes());
    const displacement = this.signed(bytes);
    const width = this.bits === 64 ? 64 : this.operandBytes() * 8;
    const next = this.address + BigInt(this.at);
    this.target = BigInt.asUintN(width, next + displacement);
    return `0x${this.target.toString(16)}`;
  }

  private offset(): string {
    this.use(0x67);
    const displacement = this.unsigned(this.addressBits / 8);
    const override = this.segmentOverride();
    if (override === undefined || override === 'ds') this.reference = displacement;
    return `${override ?? 'ds'}:${hex(displacement)}`;
  }

  // ---- names ----

  private mnemonic(name: string, shown: string[], flags: string): string {
    let chosen = name;
    if (name.includes('/')) {
      const choices = name.split('/');
      chosen = choices[[16, 32, 64].indexOf(this.operandBits)] ?? choices[choices.length - 1];
      this.operandBytes();
    }
    // jcxz: by the size of addresses.
    if (name.includes('\\')) {
      chosen = name.split('\\')[[16, 32, 64].indexOf(this.addressBits)];
      this.use(0x67);
    }
    if (chosen.endsWith('*')) {
      const usual = this.bits === 64 && /[df]64/.test(flags) ? 64 : this.bits === 16 ? 16 : 32;
      const bits = this.operandBytes() * 8;
      chosen = `${chosen.slice(0, -1)}${bits === usual ? '' : bits === 16 ? 'w' : bits === 32 ? 'd' : 'q'}`;
    }
    if (chosen.endsWith('CC')) chosen = `${chosen.slice(0, -2)}${CONDITION_NAMES[this.opcode & 15]}`;
    if (flags.includes('cmp')) chosen = this.comparison(chosen, shown);
    if (flags.includes('rep')) chosen = this.repeated(chosen, flags);
    if (flags.includes('bnd') && this.has(0xf2)) {
      this.use(0xf2);
      chosen = `bnd ${chosen}`;
    }
    if (flags.includes('hint')) chosen = this.hinted(chosen);
    if (flags.includes('track') && this.has(0x3e) && this.modrm >= 0xc0) {
      this.use(0x3e);
      chosen = `notrack ${chosen}`;
    }
    if (flags.includes('W')) this.rexUsed |= 8;
    if (flags.includes('o16')) this.use(0x66);
    return chosen;
  }

  /** `cmpps xmm0,xmm1,0x1` is `cmpltps xmm0,xmm1`. */
  private comparison(name: string, shown: string[]): string {
    const predicate = COMPARE.at(Number(shown[2]));
    if (predicate === undefined || !(Number(shown[2]) < COMPARE.length)) return name;
    shown[2] = '';
    return `cmp${predicate}${name.slice(3)}`;
  }

  private repeated(name: string, flags: string): string {
    const last = this.prefixes.findLast((prefix) => prefix === 0xf2 || prefix === 0xf3);
    if (last === undefined) return name;
    this.use(last);
    const prefix = flags.includes('repz') ? (last === 0xf3 ? 'repz' : 'repnz') : last === 0xf3 ? 'rep' : 'repnz';
    return `${prefix} ${name}`;
  }

  /** Branch hints of old: 2E not taken, 3E taken. */
  private hinted(name: string): string {
    const last = this.prefixes.findLast((prefix) => prefix === 0x2e || prefix === 0x3e);
    if (last === undefined) return name;
    this.use(last);
    return `${name},${last === 0x2e ? 'pn' : 'pt'}`;
  }

  private unusedPrefixes(): readonly string[] {
    const shown = this.prefixes.filter((prefix, i) => !this.used.has(prefix) || this.prefixes.lastIndexOf(prefix) !== i).map((prefix) => {
      if (prefix === 0x66) return this.bits === 16 ? 'data32' : 'data16';
      if (prefix === 0x67) return this.bits === 32 ? 'addr16' : 'addr32';
      return PREFIXES[prefix];
    });
    const rest = this.rex & 15 & ~this.rexUsed;
    const isPlain = this.rex === 0x40 && (this.rexUsed & 0x40) === 0;
    if (this.rex !== 0 && (rest !== 0 || isPlain)) {
      const letters = ['W', 'R', 'X', 'B'].filter((_, i) => (this.rex & (8 >>> i)) !== 0).join('');
      shown.push(letters === '' ? 'rex' : `rex.${letters}`);
    }
    return shown;
  }
}

/** Operands that ModRM tells of. */
const USES_MODRM = /^[EGMRSCDVWUPQNHK]/;

function pointerOf(bits: number): string {
  return POINTER[bits === 8 ? 'b' : bits === 16 ? 'w' : bits === 32 ? 'd' : 'q'];
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

function offsetText(displacement: bigint | undefined): string {
  if (displacement === undefined) return '';
  return displacement < 0n ? `-0x${(-displacement).toString(16)}` : `+0x${displacement.toString(16)}`;
}

/** `name operands flags`; operands have no blanks. */
const partsKept = new Map<string, readonly [string, string, string]>();
function parts(entry: string): readonly [string, string, string] {
  const known = partsKept.get(entry);
  if (known !== undefined) return known;
  const words = entry.trim().split(/\s+/);
  const hasOperands = words.length > 1 && !FLAG.test(words[1]);
  const made = [words[0], hasOperands ? words[1] : '', words.slice(hasOperands ? 2 : 1).join(' ')] as const;
  partsKept.set(entry, made);
  return made;
}
const FLAG = /^(?:!64|=64|d64|f64|o16|rep|repz|bnd|hint|track|cmp|W)$/;

function flowOf(name: string): Flow {
  if (name.startsWith('call')) return 'call';
  if (name.startsWith('jmp')) return 'jump';
  if (/^(?:jCC|loop|j.*cxz)/.test(name)) return 'branch';
  if (/^(?:ret|iret|sysret|sysexit|rsm)/.test(name)) return 'return';
  if (/^(?:int|syscall|sysenter|ud|vmcall|vmmcall)/.test(name)) return 'trap';
  if (name === 'hlt') return 'stop';
  return 'next';
}

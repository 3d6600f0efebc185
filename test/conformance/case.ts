/**
 * A case and its outcome, and the line of text that holds both. The line is what a failing test prints, what the fixtures
 * store, and what the command line takes to run one case again:
 *
 *   64 shl 48c1e005 @10000400 fill=1f rcx=40 flags=a46 10010020:ff00 => rip+4 rax=20 flags=202 10010020:fe
 *   │  │   code      address  │    registers that differ from the fill, flags, memory    changed registers, memory ...
 *   │  name in forms.ts       seed of the registers               ... or => #14 rip+0 error=6 cr2=10040000
 *   mode
 */
import { ARITHMETIC, DF, FLAGS_BASE } from './layout.ts';

export const REGISTER_NAMES = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'] as const;

export interface MemoryRun {
  readonly address: number;
  readonly bytes: Uint8Array;
}

export interface Case {
  readonly mode: 64 | 32;
  readonly name: string;
  readonly code: Uint8Array;
  readonly address: number;
  readonly fill: number;
  readonly registers: BigUint64Array;
  readonly flags: number;
  readonly memory: readonly MemoryRun[];
}

/** The exception that ended the case and the state it left. Vector 3 at `rip` is the regular end. */
export interface Outcome {
  readonly vector: number;
  readonly error: number;
  readonly cr2: bigint;
  readonly rip: bigint;
  readonly registers: BigUint64Array;
  readonly flags: number;
  readonly memory: readonly MemoryRun[];
}

/** Vector of an outcome that did not end within the time (native) or the instructions (engine) allowed. */
export const TIMEOUT = 255;
export const FLAGS_COMPARED = ARITHMETIC | DF | 0x247300; // and TF IF IOPL NT AC ID; not RF

const CORNERS = [
  0n, 1n, 0xffffffffffffffffn, 0x8000000000000000n, 0x7fffffffffffffffn, 0x80000000n, 0x7fffffffn, 0xffffffffn,
  0xffffffff80000000n, 0x8000n, 0x7fffn, 0xffff8000n, 0x80n, 0x7fn, 0x5555555555555555n, 0xaaaaaaaaaaaaaaaan,
] as const;

/**
 * The registers that a seed stands for: noise, small numbers and corner values. Stored cases depend on it: never change it.
 */
export function fillRegisters(mode: 64 | 32, seed: number): BigUint64Array {
  const registers = new BigUint64Array(16);
  const words = new Uint32Array(registers.buffer);
  let state = seed | 0;
  const next = (): number => {
    state = (state + 0x9e3779b9) | 0;
    let z = state ^ (state >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  for (let i = 0; i < 16; i++) {
    const kind = next() & 7;
    const low = next();
    const high = next();
    switch (kind) {
      case 4:
        words[i * 2] = ((low & 0xff) - 128) >>> 0;
        words[i * 2 + 1] = (low & 0xff) < 128 ? 0xffffffff : 0;
        break;
      case 5:
      case 6:
        registers[i] = CORNERS[low & 15]!;
        break;
      case 7:
        words[i * 2] = low;
        words[i * 2 + 1] = low >>> 31 ? 0xffffffff : 0;
        break;
      default:
        words[i * 2] = low;
        words[i * 2 + 1] = high;
        break;
    }
    if (mode === 32) words[i * 2 + 1] = 0;
  }
  return registers;
}

/** Sixteen in 64-bit mode, else the eight that 32-bit code sees. */
export function registerCount(mode: 64 | 32): number {
  return mode === 64 ? 16 : 8;
}

// ---- text ----

const hex = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
const run = (m: MemoryRun): string => `${m.address.toString(16)}:${hex(m.bytes)}`;

export function formatCase(c: Case): string {
  const parts = [`${c.mode} ${c.name} ${hex(c.code)} @${c.address.toString(16)} fill=${c.fill.toString(16)}`];
  const plain = fillRegisters(c.mode, c.fill);
  for (let i = 0; i < registerCount(c.mode); i++) if (c.registers[i] !== plain[i]) parts.push(`${REGISTER_NAMES[i]}=${c.registers[i]!.toString(16)}`);
  if (c.flags !== FLAGS_BASE) parts.push(`flags=${c.flags.toString(16)}`);
  for (const m of c.memory) parts.push(run(m));
  return parts.join(' ');
}

export function formatOutcome(c: Case, o: Outcome): string {
  const parts: string[] = [];
  if (o.vector !== 3) parts.push(o.vector === TIMEOUT ? 'timeout' : `#${o.vector}`);
  const distance = o.rip - BigInt(c.address);
  parts.push(distance >= 0n && distance < 0x2000n ? `rip+${distance.toString(16)}` : `rip=${o.rip.toString(16)}`);
  if (o.vector !== 3 && o.error !== 0) parts.push(`error=${o.error.toString(16)}`);
  if (o.vector === 14) parts.push(`cr2=${o.cr2.toString(16)}`);
  for (let i = 0; i < registerCount(c.mode); i++) if (o.registers[i] !== c.registers[i]) parts.push(`${REGISTER_NAMES[i]}=${o.registers[i]!.toString(16)}`);
  if (o.flags !== c.flags) parts.push(`flags=${o.flags.toString(16)}`);
  for (const m of o.memory) parts.push(run(m));
  return parts.join(' ');
}

function parseRun(word: string): MemoryRun {
  const colon = word.indexOf(':');
  return { address: Number.parseInt(word.slice(0, colon), 16), bytes: new Uint8Array(Buffer.from(word.slice(colon + 1), 'hex')) };
}

export interface ParsedLine {
  readonly case: Case;
  readonly outcome: Outcome | undefined;
}

export function parseLine(line: string): ParsedLine {
  const [left = '', right] = line.trim().split(' => ');
  const words = left.split(' ');
  const [mode, name, code, at, fillWord] = words;
  if ((mode !== '64' && mode !== '32') || name === undefined || code === undefined || !at?.startsWith('@') || !fillWord?.startsWith('fill=')) throw new Error(`not a case: ${line}`);
  const bits = mode === '64' ? 64 : 32;
  const fill = Number.parseInt(fillWord.slice(5), 16);
  const registers = fillRegisters(bits, fill);
  const memory: MemoryRun[] = [];
  let flags = FLAGS_BASE;
  for (const word of words.slice(5)) {
    if (word.includes(':')) memory.push(parseRun(word));
    else {
      const [key = '', value = ''] = word.split('=');
      const register = (REGISTER_NAMES as readonly string[]).indexOf(key);
      if (key === 'flags') flags = Number.parseInt(value, 16);
      else if (register >= 0) registers[register] = BigInt(`0x${value}`);
      else throw new Error(`not a word of a case: ${word}`);
    }
  }
  const parsed: Case = { mode: bits, name, code: new Uint8Array(Buffer.from(code, 'hex')), address: Number.parseInt(at.slice(1), 16), fill, registers, flags, memory };
  return { case: parsed, outcome: right === undefined ? undefined : parseOutcome(parsed, right) };
}

function parseOutcome(c: Case, text: string): Outcome {
  const registers = c.registers.slice();
  const memory: MemoryRun[] = [];
  let vector = 3;
  let error = 0;
  let cr2 = 0n;
  let rip = 0n;
  let flags = c.flags;
  for (const word of text.split(' ')) {
    if (word.startsWith('#')) vector = Number(word.slice(1));
    else if (word === 'timeout') vector = TIMEOUT;
    else if (word.startsWith('rip+')) rip = BigInt(c.address + Number.parseInt(word.slice(4), 16));
    else if (word.includes(':')) memory.push(parseRun(word));
    else {
      const [key = '', value = ''] = word.split('=');
      const register = (REGISTER_NAMES as readonly string[]).indexOf(key);
      if (key === 'rip') rip = BigInt(`0x${value}`);
      else if (key === 'flags') flags = Number.parseInt(value, 16);
      else if (key === 'error') error = Number.parseInt(value, 16);
      else if (key === 'cr2') cr2 = BigInt(`0x${value}`);
      else if (register >= 0) registers[register] = BigInt(`0x${value}`);
      else throw new Error(`not a word of an outcome: ${word}`);
    }
  }
  return { vector, error, cr2, rip, registers, flags, memory };
}

// ---- comparison ----

/** TASK_SIZE_MAX of x86-64 Linux: the last page of the lower half is no process's. */
const LINUX_TASK_SIZE = 0x7ffffffff000n;

/** What differs between two outcomes of a case, or undefined. Flags in `undefinedFlags` are not looked at. */
export function difference(c: Case, expected: Outcome, actual: Outcome, undefinedFlags: number): string | undefined {
  const parts: string[] = [];
  if (expected.vector !== actual.vector) parts.push(`vector ${expected.vector} and not ${actual.vector}`);
  if (expected.rip !== actual.rip) parts.push(`rip ${expected.rip.toString(16)} and not ${actual.rip.toString(16)}`);
  if (expected.vector === actual.vector && expected.vector !== 3) {
    // Linux sets the present bit in what it reports of addresses beyond a process's own.
    const shown = expected.vector === 14 && expected.cr2 >= LINUX_TASK_SIZE ? ~1 : ~0;
    if (((expected.error ^ actual.error) & shown) !== 0) parts.push(`error ${expected.error.toString(16)} and not ${actual.error.toString(16)}`);
    if (expected.vector === 14 && expected.cr2 !== actual.cr2) parts.push(`cr2 ${expected.cr2.toString(16)} and not ${actual.cr2.toString(16)}`);
  }
  for (let i = 0; i < registerCount(c.mode); i++) {
    if (expected.registers[i] !== actual.registers[i]) parts.push(`${REGISTER_NAMES[i]} ${expected.registers[i]!.toString(16)} and not ${actual.registers[i]!.toString(16)}`);
  }
  const flags = (expected.flags ^ actual.flags) & FLAGS_COMPARED & ~undefinedFlags;
  if (flags !== 0) parts.push(`flags ${flagNames(flags)}: ${expected.flags.toString(16)} and not ${actual.flags.toString(16)}`);
  if (!sameMemory(expected.memory, actual.memory)) parts.push(`memory ${expected.memory.map(run).join(' ') || 'unchanged'} and not ${actual.memory.map(run).join(' ') || 'unchanged'}`);
  return parts.length === 0 ? undefined : `expected ${parts.join('; ')}`;
}

function sameMemory(a: readonly MemoryRun[], b: readonly MemoryRun[]): boolean {
  if (a.length !== b.length) return false;
  return a.every((m, i) => m.address === b[i]!.address && Buffer.compare(m.bytes, b[i]!.bytes) === 0);
}

const FLAG_NAMES: readonly (readonly [number, string])[] = [
  [0x1, 'CF'], [0x4, 'PF'], [0x10, 'AF'], [0x40, 'ZF'], [0x80, 'SF'], [0x100, 'TF'], [0x200, 'IF'], [0x400, 'DF'], [0x800, 'OF'],
  [0x3000, 'IOPL'], [0x4000, 'NT'], [0x40000, 'AC'], [0x200000, 'ID'],
];
function flagNames(flags: number): string {
  return FLAG_NAMES.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name).join(' ');
}

/** What the debugger shows, as text: places, halts, code, memory, stacks. */
import { valueText } from '../../engine/debug/beginning.ts';
import { type Frame, codeAddress } from '../../engine/debug/call-stack.ts';
import { textOf } from '../../engine/debug/disassembler.ts';
import type { GuestSymbols } from '../../engine/debug/guest-symbols.ts';
import { GENERAL_REGISTERS, REGISTER_NAMES, readLinear, readPhysical, readRegister } from '../../engine/debug/inspect.ts';
import { type ListedInstruction, codeBits, instructionAt, listing } from '../../engine/debug/listing.ts';
import type { Machine } from '../../engine/machine/machine.ts';
import { writeText } from '../cli/bisect-common.ts';
import { grouped } from '../cli/format.ts';
import type { Debugger, Halt, Place, Point } from './debugger.ts';
import { DebuggerError } from './error.ts';

/** `@1_234 of @60_362_002 (12.3 %)  accounting_exit+0x12  kernel/accounting.c:85  sh[12]`: the status line. */
export function placeText(place: Place): string {
  const parts = [`@${grouped(place.position)} of @${grouped(place.last)} (${percentText(place.percent)} %)`, place.symbol];
  if (place.line !== undefined) parts.push(`${place.line.file}:${place.line.line}`);
  if (place.task !== undefined) parts.push(place.task);
  return parts.join('  ');
}

/** Near the ends more digits, so that they are not taken for the ends. */
function percentText(percent: number): string {
  return percent.toFixed(percent === 0 || percent === 100 ? 0 : percent < 1 || percent > 99 ? 3 : 1);
}

/** Why it stopped, for people; empty for a plain step. */
export function haltText(debug: Debugger, halt: Halt): string {
  switch (halt.kind) {
    case 'step':
    case 'seek':
      return '';
    case 'interrupted':
      return 'interrupted';
    case 'begin':
      return 'the beginning of the recording';
    case 'end': {
      const end = debug.end();
      return `the end of the recording${end === undefined ? ', which is cut off' : `: ${end.reason}${end.detail === '' ? '' : `, ${end.detail}`}`}`;
    }
    case 'point':
      return `${halt.point.kind} ${halt.point.id}, ${pointText(halt.point)}${halt.write === undefined ? '' : `\n  ${writeText(debug.symbols.table, halt.write)}`}`;
  }
}

export function pointText(point: Point): string {
  const where = point.addresses.map((address) => `0x${address.toString(16)}`).slice(0, 4).join(' ');
  const range = point.range === undefined ? '' : `${point.range.length} bytes at 0x${point.range.address.toString(16)}`;
  const detail = [where, range, point.conditionText === undefined ? '' : `if ${point.conditionText}`].filter((part) => part !== '' && part !== point.text);
  return `${point.text}${detail.length === 0 ? '' : ` (${detail.join(', ')})`}`;
}

/** `=> 0xffffffff80101dd5 <out8+4>  48 89 e5  mov rbp,rsp` */
export function instructionText(symbols: GuestSymbols, instruction: ListedInstruction, marker = '   '): string {
  const name = symbols.table.at(instruction.address) === undefined ? '' : ` <${symbols.tell(instruction.address)}>`;
  if (instruction.bytes.length === 0) return `${marker}0x${instruction.address.toString(16)}${name}  not mapped`;
  const target = instruction.target ?? instruction.reference;
  const comment = target !== undefined && symbols.table.at(target) !== undefined ? `  # ${symbols.tell(target)}` : '';
  return `${marker}0x${instruction.address.toString(16)}${name}  ${textOf(instruction)}${comment}`;
}

export function frameText(symbols: GuestSymbols, frames: readonly Frame[], number: number): string {
  const frame = frames[number];
  const line = symbols.lineOf(codeAddress(frames, number));
  const name = frame.function === undefined ? '' : ` in ${frame.function.name}+0x${(frame.rip - frame.function.address).toString(16)}`;
  const where = line === undefined ? '' : ` at ${line.file}:${line.line}`;
  const how = frame.kind === 'call' || frame.kind === 'top' ? '' : ` <${frame.kind}>`;
  return `#${number}  0x${frame.rip.toString(16)}${name}${where}${how}${frame.calledAt === undefined ? '' : `  @${grouped(frame.calledAt)}`}`;
}

const COMMON = ['rip', 'rflags', ...GENERAL_REGISTERS, 'cs', 'ss', 'ds', 'es', 'fs', 'gs', 'cpl', 'cr0', 'cr2', 'cr3', 'cr4', 'cr8', 'efer', 'fs.base', 'gs.base', 'kernel_gs_base'];
const FLAGS: readonly (readonly [number, string])[] = [[0, 'CF'], [2, 'PF'], [4, 'AF'], [6, 'ZF'], [7, 'SF'], [8, 'TF'], [9, 'IF'], [10, 'DF'], [11, 'OF'], [14, 'NT'], [16, 'RF'], [17, 'VM'], [18, 'AC'], [21, 'ID']]; // prettier-ignore

/** `[ ZF PF IF ]`: RFLAGS, SDM vol. 1, 3.4.3. */
export function flagsText(rflags: bigint): string {
  return `[ ${FLAGS.filter(([bit]) => ((rflags >> BigInt(bit)) & 1n) !== 0n).map(([, name]) => `${name} `).join('')}]`; // prettier-ignore
}
export function flagsOf(rflags: bigint): readonly (readonly [string, number])[] {
  return [...FLAGS.map(([bit, name]) => [name, Number((rflags >> BigInt(bit)) & 1n)] as const), ['IOPL', Number((rflags >> 12n) & 3n)] as const];
}

/** Names: none for the common ones, `all`. Throws DebuggerError. */
export function registerLines(machine: Machine, symbols: GuestSymbols, asked: readonly string[]): readonly string[] {
  const names = asked.length === 0 ? COMMON : asked[0] === 'all' ? REGISTER_NAMES : asked.map((name) => name.replace(/^\$/, '').toLowerCase());
  return names.flatMap((name) => {
    const value = registerOf(machine, name);
    if (value === undefined) {
      if (asked.length === 0) return [];
      throw new DebuggerError(`there is no register "${name}"; \`info registers all\` has them`);
    }
    const note = name === 'rflags' || name === 'eflags' ? flagsText(value) : name === 'rip' || (symbols.table.at(value) !== undefined && value > 0xfffn) ? symbols.tell(value) : value > 9n ? String(value) : '';
    return [`${name.padEnd(15)} 0x${value.toString(16).padEnd(18)} ${note}`.trimEnd()];
  });
}

/** Also by the names that other debuggers have: eflags, cr8. */
export function registerOf(machine: Machine, name: string): bigint | undefined {
  if (name === 'cr8') return BigInt(machine.taskPriority);
  return readRegister(machine, name === 'eflags' ? 'rflags' : name);
}

export interface MemoryFormat {
  readonly count: number;
  readonly format: 'x' | 'd' | 'u' | 'o' | 't' | 'c' | 's' | 'i' | 'a';
  /** Bytes of a unit. */
  readonly size: 1 | 2 | 4 | 8;
}
const SIZES = { b: 1, h: 2, w: 4, g: 8 } as const;
export const MEMORY_UNITS_MAX = 4096;
const STRING_BYTES_MAX = 400;

/** `8xg` of `x/8xg`; letters in any order, what is not told as before. Throws DebuggerError. */
export function memoryFormat(text: string, before: MemoryFormat): MemoryFormat {
  const match = /^(\d{0,5})([xduotcsia]?)([bhwg]?)$/.exec(text.replace(/^(\d*)([bhwg])([xduotcsia])$/, '$1$3$2'));
  if (match === null) throw new DebuggerError(`x/${text}: give a count, a format (x d u o t c s i a) and a size (b h w g), such as x/8xg`);
  const count = match[1] === '' ? 1 : Number(match[1]);
  if (count < 1 || count > MEMORY_UNITS_MAX) throw new DebuggerError(`x/${text}: the count is 1 to ${MEMORY_UNITS_MAX}`);
  const format = match[2] === '' ? before.format : (match[2] as MemoryFormat['format']);
  const usual = format === 'a' ? 8 : format === 'c' || format === 's' ? 1 : before.size;
  return { count, format, size: match[3] === '' ? usual : SIZES[match[3] as keyof typeof SIZES] };
}

/** Lines, and the address behind what they show. Throws DebuggerError. */
export function memoryLines(machine: Machine, symbols: GuestSymbols, address: bigint, format: MemoryFormat, isPhysical: boolean): { readonly lines: readonly string[]; readonly next: bigint } {
  const lines: string[] = [];
  let at = BigInt.asUintN(64, address);
  if (format.format === 'i') {
    if (isPhysical) throw new DebuggerError('instructions are read at linear addresses: x/i, not xp/i');
    for (const instruction of listing(machine, at, format.count)) {
      lines.push(instructionText(symbols, instruction));
      at = BigInt.asUintN(64, instruction.address + BigInt(instruction.length));
    }
    return { lines, next: at };
  }
  const read = (length: number): Uint8Array => (isPhysical ? physical(machine, at, length) : readLinear(machine, at, length));
  const label = (): string => (isPhysical || symbols.table.at(at) === undefined ? `0x${at.toString(16)}` : `0x${at.toString(16)} <${symbols.tell(at)}>`);
  if (format.format === 's') {
    for (let i = 0; i < format.count; i++) {
      const bytes = read(STRING_BYTES_MAX);
      if (bytes.length === 0) throw new DebuggerError(`0x${at.toString(16)} is not mapped to memory here`);
      const end = bytes.indexOf(0);
      const text = Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('latin1');
      lines.push(`${label()}:  ${JSON.stringify(text)}${end < 0 ? '...' : ''}`);
      at = BigInt.asUintN(64, at + BigInt(end < 0 ? bytes.length : end + 1));
    }
    return { lines, next: at };
  }
  const perLine = format.format === 't' ? 1 : format.format === 'c' ? 8 : Math.max(1, 16 / format.size);
  for (let done = 0; done < format.count; ) {
    const units = Math.min(perLine, format.count - done);
    const bytes = read(units * format.size);
    const whole = Math.floor(bytes.length / format.size);
    if (whole === 0) {
      lines.push(`${label()}:  not mapped to memory here`);
      if (done === 0) throw new DebuggerError(`0x${at.toString(16)} is not mapped to memory here`);
      break;
    }
    const cells = Array.from({ length: whole }, (_, i) => unitText(symbols, bytes.subarray(i * format.size, (i + 1) * format.size), format.format));
    lines.push(`${label()}:  ${cells.join('  ')}`);
    at = BigInt.asUintN(64, at + BigInt(whole * format.size));
    done += whole;
  }
  return { lines, next: at };
}

function physical(machine: Machine, at: bigint, length: number): Uint8Array {
  const { ramBytes } = machine.core;
  if (at >= BigInt(ramBytes)) throw new DebuggerError(`physical 0x${at.toString(16)}: memory ends at 0x${ramBytes.toString(16)}`);
  return readPhysical(machine, Number(at), Math.min(length, ramBytes - Number(at)));
}

function unitText(symbols: GuestSymbols, bytes: Uint8Array, format: MemoryFormat['format']): string {
  const bits = bytes.length * 8;
  const value = BigInt(valueText(bytes));
  switch (format) {
    case 'd':
      return String(BigInt.asIntN(bits, value));
    case 'u':
      return String(value);
    case 'o':
      return `0${value.toString(8)}`;
    case 't':
      return value.toString(2).padStart(bits, '0');
    case 'c':
      return value >= 0x20n && value < 0x7fn ? `'${String.fromCharCode(Number(value))}'` : `0x${value.toString(16).padStart(2, '0')}`;
    case 'a':
      return symbols.table.at(value) === undefined ? `0x${value.toString(16)}` : `0x${value.toString(16)} <${symbols.tell(value)}>`;
    default:
      return `0x${value.toString(16).padStart(bits / 4, '0')}`;
  }
}

/** Of `print`: hexadecimal, decimal and the symbol, or as the format says. */
export function numberText(symbols: GuestSymbols, value: bigint, format: string): string {
  switch (format) {
    case '':
      return [`0x${value < 0n ? BigInt.asUintN(64, value).toString(16) : value.toString(16)}`, ...(value > 9n || value < 0n ? [String(value)] : []), ...(value > 0xfffn && symbols.table.at(value) !== undefined ? [`<${symbols.tell(value)}>`] : [])].join('  ');
    case 'x':
      return `0x${BigInt.asUintN(64, value).toString(16)}`;
    case 'd':
      return String(value);
    case 'u':
      return String(BigInt.asUintN(64, value));
    case 'o':
      return `0${BigInt.asUintN(64, value).toString(8)}`;
    case 't':
      return BigInt.asUintN(64, value).toString(2);
    case 'a':
      return symbols.tell(BigInt.asUintN(64, value));
    case 'c':
      return JSON.stringify(String.fromCharCode(Number(value & 0xffn)));
    default:
      throw new DebuggerError(`print/${format}: the formats are x d u o t a c`);
  }
}

/** The instruction at the cursor. */
export function nextInstructionText(debug: Debugger): string {
  const { machine } = debug.travel;
  return instructionText(debug.symbols, instructionAt(machine, debug.place().rip, codeBits(machine)), '=> ');
}

/**
 * The register file as gdb is told of it (`target.xml`) and as `g` and `p` give it. The order is the description's, not that of instruction encodings.
 *
 * gdb knows the names of the first three features (gdb/features/i386/64bit-core.xml, 64bit-sse.xml, 64bit-segments.xml); the last one is ours. All modes have
 * the 64-bit layout, because a size cannot change while gdb is connected.
 */
import * as L from '../../engine/cpu/layout.ts';
import { readRegister } from '../../engine/debug/inspect.ts';
import type { Machine } from '../../engine/machine/machine.ts';

interface Register {
  readonly name: string;
  readonly bits: 32 | 64 | 80 | 128;
  readonly type: string;
  readonly group?: string;
  readonly read: (machine: Machine) => bigint;
}

const named = (name: string, bits: Register['bits'], type: string, own = name): Register => ({ name, bits, type, read: (machine) => raw(machine, own) });
const floatControl = (name: string, read: Register['read']): Register => ({ name, bits: 32, type: 'int', group: 'float', read });

const CORE: readonly Register[] = [
  ...['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi'].map((name) => named(name, 64, 'int64')),
  named('rbp', 64, 'data_ptr'),
  named('rsp', 64, 'data_ptr'),
  ...Array.from({ length: 8 }, (_, i) => named(`r${i + 8}`, 64, 'int64')),
  named('rip', 64, 'code_ptr'),
  named('eflags', 32, 'i386_eflags', 'rflags'),
  ...['cs', 'ss', 'ds', 'es', 'fs', 'gs'].map((name) => named(name, 32, 'int32')),
  ...Array.from({ length: 8 }, (_, i): Register => ({ name: `st${i}`, bits: 80, type: 'i387_ext', read: (machine) => raw(machine, `fpr${(top(machine) + i) & 7}`) })),
  floatControl('fctrl', (machine) => raw(machine, 'fcw')),
  floatControl('fstat', (machine) => raw(machine, 'fsw')),
  floatControl('ftag', tagWord),
  floatControl('fiseg', (machine) => BigInt(machine.core.u16[L.FCS >>> 1])),
  floatControl('fioff', (machine) => raw(machine, 'fip')),
  floatControl('foseg', (machine) => BigInt(machine.core.u16[L.FDS >>> 1])),
  floatControl('fooff', (machine) => raw(machine, 'fdp')),
  floatControl('fop', (machine) => raw(machine, 'fop')),
];
const SSE: readonly Register[] = [
  ...Array.from({ length: 16 }, (_, i) => named(`xmm${i}`, 128, 'vec128')),
  { name: 'mxcsr', bits: 32, type: 'i386_mxcsr', group: 'vector', read: (machine) => raw(machine, 'mxcsr') },
];
const SEGMENTS: readonly Register[] = [named('fs_base', 64, 'int', 'fs.base'), named('gs_base', 64, 'int', 'gs.base')];
const CONTROL: readonly Register[] = [
  ...['cr0', 'cr2', 'cr3', 'cr4'].map((name) => named(name, 64, 'uint64')),
  { name: 'cr8', bits: 64, type: 'uint64', read: (machine) => BigInt(machine.taskPriority) },
  named('efer', 64, 'uint64'),
  { name: 'icount', bits: 64, type: 'uint64', read: (machine) => BigInt(machine.position()) },
];

/** By number. */
export const REGISTERS: readonly Register[] = [...CORE, ...SSE, ...SEGMENTS, ...CONTROL];

/** Names of bits, from bit 0. SDM vol. 1, figure 3-8. */
const EFLAG_NAMES = ['CF', '', 'PF', '', 'AF', '', 'ZF', 'SF', 'TF', 'IF', 'DF', 'OF', '', '', 'NT', '', 'RF', 'VM', 'AC', 'VIF', 'VIP', 'ID'];
/** SDM vol. 1, figure 10-3. */
const MXCSR_NAMES = ['IE', 'DE', 'ZE', 'OE', 'UE', 'PE', 'DAZ', 'IM', 'DM', 'ZM', 'OM', 'UM', 'PM', '', '', 'FZ'];
/** The shapes in which gdb shows an XMM register. */
const VECTORS = `<vector id="v4f" type="ieee_single" count="4"/>
<vector id="v2d" type="ieee_double" count="2"/>
<vector id="v16i8" type="int8" count="16"/>
<vector id="v8i16" type="int16" count="8"/>
<vector id="v4i32" type="int32" count="4"/>
<vector id="v2i64" type="int64" count="2"/>
<union id="vec128">
<field name="v4_float" type="v4f"/>
<field name="v2_double" type="v2d"/>
<field name="v16_int8" type="v16i8"/>
<field name="v8_int16" type="v8i16"/>
<field name="v4_int32" type="v4i32"/>
<field name="v2_int64" type="v2i64"/>
<field name="uint128" type="uint128"/>
</union>`;

/** The description, as `qXfer:features:read:target.xml` gives it. */
export const TARGET_XML = `<?xml version="1.0"?>
<!DOCTYPE target SYSTEM "gdb-target.dtd">
<target version="1.0">
<architecture>i386:x86-64</architecture>
${feature('org.gnu.gdb.i386.core', CORE, flags('i386_eflags', 4, EFLAG_NAMES))}
${feature('org.gnu.gdb.i386.sse', SSE, `${VECTORS}\n${flags('i386_mxcsr', 4, MXCSR_NAMES)}`)}
${feature('org.gnu.gdb.i386.segments', SEGMENTS, '')}
${feature('org.chronovisor.control', CONTROL, '')}
</target>
`;

/** One register as on the wire: hexadecimal, little-endian. Undefined if there is no such number. */
export function registerHex(machine: Machine, number: number): string | undefined {
  const register = REGISTERS.at(number);
  if (register === undefined || number < 0) return undefined;
  const { bits, read } = register;
  return Buffer.from(BigInt.asUintN(bits, read(machine)).toString(16).padStart(bits / 4, '0'), 'hex').reverse().toString('hex');
}

/** All registers, for `g`. */
export function allRegistersHex(machine: Machine): string {
  return REGISTERS.map((_, number) => registerHex(machine, number)).join('');
}

function raw(machine: Machine, name: string): bigint {
  const value = readRegister(machine, name);
  if (value === undefined) throw new Error(`there is no register ${name}`);
  return value;
}

function top(machine: Machine): number {
  return Number((raw(machine, 'fsw') >> 11n) & 7n);
}

/** The full tag word of FSTENV from the abridged one of FXSAVE: SDM vol. 1, 8.1.7 and 10.5.1.1, table "Recreating FSAVE Format". */
function tagWord(machine: Machine): bigint {
  const notEmpty = raw(machine, 'ftw');
  let word = 0n;
  for (let i = 0; i < 8; i++) {
    let tag = 3n;
    if ((notEmpty >> BigInt(i)) & 1n) {
      const value = raw(machine, `fpr${i}`);
      const exponent = (value >> 64n) & 0x7fffn;
      const significand = BigInt.asUintN(64, value);
      if (exponent === 0n && significand === 0n) tag = 1n;
      else tag = exponent === 0x7fffn || significand >> 63n === 0n ? 2n : 0n;
    }
    word |= tag << BigInt(i * 2);
  }
  return word;
}

function feature(name: string, registers: readonly Register[], types: string): string {
  const lines = registers.map(({ name: register, bits, type, group }) => `<reg name="${register}" bitsize="${bits}" type="${type}"${group === undefined ? '' : ` group="${group}"`}/>`);
  return [`<feature name="${name}">`, ...(types === '' ? [] : [types]), ...lines, '</feature>'].join('\n');
}
function flags(id: string, bytes: number, names: readonly string[]): string {
  const fields = names.flatMap((name, bit) => (name === '' ? [] : [`<field name="${name}" start="${bit}" end="${bit}"/>`]));
  return [`<flags id="${id}" size="${bytes}">`, ...fields, '</flags>'].join('\n');
}

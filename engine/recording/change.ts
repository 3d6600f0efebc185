/**
 * What a branch changes: a register, memory, the timing of an interrupt, the time that the CPU gets. Changes are inputs: they come from outside, are logged before the guest can see
 * them, and a replay makes them again.
 */
import * as L from '../cpu/layout.ts';
import type { EventSink } from '../log/event-sink.ts';
import type { InputDetail } from '../log/events.ts';
import type { Position } from '../log/position.ts';
import type { Machine } from '../machine/machine.ts';
import { CPU_DIGEST_BYTES, CPU_PARTS, restoreCpu, saveCpu } from '../machine/snapshot.ts';

export type Change = Extract<InputDetail, { kind: 'register' | 'memory' | 'timer-shift' | 'line' | 'stall' }>;

export function isChange(input: InputDetail): input is Change {
  return input.kind === 'register' || input.kind === 'memory' || input.kind === 'timer-shift' || input.kind === 'line' || input.kind === 'stall';
}

const GENERAL = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'] as const;
/** SDM vol. 2, order of the segment registers in an encoding. */
const FS = 4, GS = 5; // prettier-ignore

const ADDRESSES: ReadonlyMap<string, number> = new Map([
  ...GENERAL.map((name, i) => [name, L.REGS + i * 8] as const),
  ['rip', L.RIP], ['cr2', L.CR2], ['cr3', L.CR3], ['kernel_gs_base', L.MSR_KERNEL_GS_BASE],
  ['fs.base', L.SEGS + FS * L.SEG_SIZE + L.SEG_BASE], ['gs.base', L.SEGS + GS * L.SEG_SIZE + L.SEG_BASE],
]); // prettier-ignore
const MUST_BE_CANONICAL: readonly string[] = ['rip', 'kernel_gs_base', 'fs.base', 'gs.base'];
/** CF, PF, AF, ZF, SF, TF, IF, DF, OF, IOPL, NT, AC, ID; bit 1 is always set (SDM vol. 1, figure 3-8). */
const FLAGS = 0x247fd5n;
const FLAGS_FIXED = 2n;
/** SDM vol. 3A, figure 4-9; physical addresses have at most 52 bits. */
const CR3_BITS = 0x000f_ffff_ffff_f018n;

/** Registers that a branch may set. */
export const SETTABLE_REGISTERS: readonly string[] = [...GENERAL, 'rip', 'rflags', 'cr2', 'cr3', 'fs.base', 'gs.base', 'kernel_gs_base'];
/** Interrupt lines of the board. */
const LINES = 16;
/** Where the second interrupt controller is connected. */
const CASCADE = 2;

/** Why a machine cannot make this change; undefined if it can. */
export function changeProblem(machine: Machine, change: Change): string | undefined {
  switch (change.kind) {
    case 'register': {
      const { register, value } = change;
      const hex = `0x${value.toString(16)}`;
      if (!SETTABLE_REGISTERS.includes(register)) return `there is no register "${register}" that can be set: ${SETTABLE_REGISTERS.join(', ')}`;
      if (value < 0n || value >= 1n << 64n) return `${register}: ${hex} has more than 64 bits`;
      if (register === 'rflags' && (value & ~(FLAGS | FLAGS_FIXED)) !== 0n) return `rflags: ${hex} has bits that cannot be set; those that can are 0x${FLAGS.toString(16)}`;
      if (register === 'cr3' && (value & ~CR3_BITS) !== 0n) return `cr3: ${hex} has reserved bits`;
      if (MUST_BE_CANONICAL.includes(register) && BigInt.asUintN(64, BigInt.asIntN(48, value)) !== value) return `${register}: ${hex} is not a canonical address`;
      return undefined;
    }
    case 'memory': {
      const { ramBytes } = machine.core;
      if (!(change.address >= 0 && change.address + change.bytes.length <= ramBytes)) return `${change.bytes.length} bytes at physical 0x${change.address.toString(16)}: memory has 0x${ramBytes.toString(16)} bytes`;
      return undefined;
    }
    case 'timer-shift': {
      const { names } = machine.scheduler;
      if (!names.includes(change.timer)) return `there is no timer "${change.timer}": the machine has ${names.join(', ')}`;
      if (!Number.isSafeInteger(change.ns)) return `${change.ns} is no number of ns`;
      return undefined;
    }
    case 'line':
      return Number.isInteger(change.line) && change.line >= 0 && change.line < LINES && change.line !== CASCADE ? undefined : `there is no interrupt line ${change.line}: they are 0 to ${LINES - 1}, without ${CASCADE}`;
    case 'stall':
      return Number.isSafeInteger(change.ns) && change.ns >= 0 ? undefined : `the CPU cannot stand still for ${change.ns} ns`;
  }
}

/** Between runs only; changeProblem() has nothing against it. */
export function applyChange(machine: Machine, change: Change): void {
  const problem = changeProblem(machine, change);
  if (problem !== undefined) throw new RangeError(problem);
  switch (change.kind) {
    case 'register':
      return setRegister(machine, change.register, change.value);
    case 'memory':
      if (change.bytes.length > 0) machine.core.writePhysical(change.address, change.bytes);
      return;
    case 'timer-shift':
      machine.scheduler.shift(change.timer, change.ns);
      return;
    case 'line':
      return machine.setLine(change.line, change.asserted);
    case 'stall':
      return machine.stall(change.ns);
  }
}

/** Through the canonical form, so that lazy flags and caches are what a restored state has. */
function setRegister(machine: Machine, register: string, value: bigint): void {
  const { core } = machine;
  const cpu = saveCpu(core);
  const view = new DataView(cpu.buffer, cpu.byteOffset);
  if (register === 'rflags') view.setBigUint64(CPU_DIGEST_BYTES - 8, value | FLAGS_FIXED, true);
  else view.setBigUint64(offsetOf(ADDRESSES.get(register)!), value, true);
  restoreCpu(core, cpu);
  if (register === 'cr3') core.exports.tlbFlushAll();
}

function offsetOf(address: number): number {
  let at = 0;
  for (const [from, length] of CPU_PARTS) {
    if (address >= from && address + 8 <= from + length) return at + address - from;
    at += length;
  }
  throw new Error(`no CPU state at ${address}`);
}

/** As the log has it. */
export function logChange(sink: EventSink, position: Position, change: Change): void {
  switch (change.kind) {
    case 'register':
      return sink.inputRegister(position, change.register, Number(change.value & 0xffff_ffffn), Number(change.value >> 32n));
    case 'memory':
      return sink.inputMemory(position, change.address, change.bytes);
    case 'timer-shift':
      return sink.inputTimerShift(position, change.timer, change.ns);
    case 'line':
      return sink.inputLine(position, change.line, change.asserted);
    case 'stall':
      return sink.inputStall(position, change.ns);
  }
}

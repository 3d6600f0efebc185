/** Two machines compared: registers, pages of memory, devices. */
import * as L from '../../engine/cpu/layout.ts';
import { type PageDifference, differingPages, pageDifference } from '../../engine/debug/page-differences.ts';
import type { SavedState, SavedValue } from '../../engine/devices/device.ts';
import type { Machine } from '../../engine/machine/machine.ts';

export interface RegisterDifference {
  readonly name: string;
  readonly a: bigint;
  readonly b: bigint;
}

export interface DeviceDifference {
  readonly device: string;
  readonly field: string;
  readonly a: string;
  readonly b: string;
}

export interface StateDifference {
  readonly registers: readonly RegisterDifference[];
  readonly pages: readonly PageDifference[];
  readonly devices: readonly DeviceDifference[];
}

const GENERAL = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'];
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr'];
/** Name, address, bytes. */
const OTHERS: readonly (readonly [string, number, number])[] = [
  ['cpl', L.CPL, 4], ['halted', L.HALTED, 4], ['intr', L.INTR, 4], ['intr_shadow', L.INTR_SHADOW, 4],
  ['gdtr.base', L.GDTR_BASE, 8], ['gdtr.limit', L.GDTR_LIMIT, 4], ['idtr.base', L.IDTR_BASE, 8], ['idtr.limit', L.IDTR_LIMIT, 4],
  ['cr0', L.CR0, 8], ['cr2', L.CR2, 8], ['cr3', L.CR3, 8], ['cr4', L.CR4, 8], ['cr8', L.CR8, 8], ['efer', L.EFER, 8],
  ['dr0', L.DR0, 8], ['dr1', L.DR0 + 8, 8], ['dr2', L.DR0 + 16, 8], ['dr3', L.DR0 + 24, 8], ['dr6', L.DR6, 8], ['dr7', L.DR7, 8],
  ['star', L.MSR_STAR, 8], ['lstar', L.MSR_LSTAR, 8], ['cstar', L.MSR_CSTAR, 8], ['fmask', L.MSR_FMASK, 8], ['kernel_gs_base', L.MSR_KERNEL_GS_BASE, 8],
  ['sysenter_cs', L.MSR_SYSENTER_CS, 8], ['sysenter_esp', L.MSR_SYSENTER_ESP, 8], ['sysenter_eip', L.MSR_SYSENTER_EIP, 8],
  ['pat', L.MSR_PAT, 8], ['tsc_aux', L.MSR_TSC_AUX, 8], ['tsc_offset', L.TSC_OFFSET, 8], ['random', L.RANDOM, 8],
  ['fcw', L.FCW, 2], ['fsw', L.FSW, 2], ['ftw', L.FTW, 1], ['fop', L.FOP, 2], ['fip', L.FIP, 8], ['fdp', L.FDP, 8], ['mxcsr', L.MXCSR, 4],
]; // prettier-ignore

/** Every register of the CPU, and the virtual time. */
export function registersOf(machine: Machine): ReadonlyMap<string, bigint> {
  const { core } = machine;
  const registers = new Map<string, bigint>();
  const view = new DataView(core.memory.buffer);
  const read = (address: number, bytes: number): bigint => {
    if (bytes === 8) return view.getBigUint64(address, true);
    return BigInt(bytes === 4 ? view.getUint32(address, true) : bytes === 2 ? view.getUint16(address, true) : view.getUint8(address));
  };
  registers.set('position', BigInt(machine.position()));
  registers.set('time_offset_ns', BigInt(machine.timeOffsetNs));
  registers.set('rip', core.big(L.RIP));
  registers.set('rflags', BigInt.asUintN(64, core.exports.getFlags()));
  GENERAL.forEach((name, i) => registers.set(name, core.big(L.REGS + i * 8)));
  SEGMENTS.forEach((name, i) => {
    const at = L.SEGS + i * L.SEG_SIZE;
    registers.set(`${name}.selector`, read(at + L.SEG_SELECTOR, 2));
    registers.set(`${name}.base`, read(at + L.SEG_BASE, 8));
    registers.set(`${name}.limit`, read(at + L.SEG_LIMIT, 4));
    registers.set(`${name}.attr`, read(at + L.SEG_ATTR, 4));
  });
  for (const [name, address, bytes] of OTHERS) registers.set(name, read(address, bytes));
  const wide = (address: number): bigint => core.big(address) | (core.big(address + 8) << 64n);
  for (let i = 0; i < 8; i++) registers.set(`fpr${i}`, wide(L.FPR + i * 16));
  for (let i = 0; i < 16; i++) registers.set(`xmm${i}`, wide(L.XMM + i * 16));
  return registers;
}

export function compareMachines(a: Machine, b: Machine): StateDifference {
  const registers: RegisterDifference[] = [];
  const ofB = registersOf(b);
  for (const [name, value] of registersOf(a)) {
    const other = ofB.get(name) ?? 0n;
    if (value !== other) registers.push({ name, a: value, b: other });
  }
  return { registers, pages: differingPages(a.core, b.core).flatMap((page) => pageDifference(a.core, b.core, page) ?? []), devices: differingDevices(a.saveDevices(), b.saveDevices()) };
}

function differingDevices(a: SavedState, b: SavedState): DeviceDifference[] {
  const differences: DeviceDifference[] = [];
  for (const device of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const ofA = fieldsOf(a[device]);
    const ofB = fieldsOf(b[device]);
    for (const field of new Set([...ofA.keys(), ...ofB.keys()])) {
      const textA = ofA.get(field) ?? 'absent';
      const textB = ofB.get(field) ?? 'absent';
      if (textA !== textB) differences.push({ device, field, a: textA, b: textB });
    }
  }
  return differences;
}

function fieldsOf(value: SavedValue | undefined): ReadonlyMap<string, string> {
  if (value === undefined) return new Map();
  const isState = typeof value === 'object' && !Array.isArray(value) && !(value instanceof Uint8Array);
  return new Map(isState ? Object.entries(value).map(([name, each]) => [name, textOf(each)]) : [['', textOf(value)]]);
}

function textOf(value: SavedValue): string {
  return JSON.stringify(value, (_, each: unknown) => (each instanceof Uint8Array ? Buffer.from(each).toString('hex') : each));
}

/** Looks into a machine between runs. Nothing here changes it: not its state, not an A bit, not a digest. */
import * as L from '../cpu/layout.ts';
import type { Machine } from '../machine/machine.ts';

export const GENERAL_REGISTERS = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'] as const;
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr'] as const;

/** Address and bytes of the plain ones. */
const PLAIN: ReadonlyMap<string, readonly [number, 1 | 2 | 4 | 8]> = new Map([
  ...GENERAL_REGISTERS.map((name, i) => [name, [L.REGS + i * 8, 8]] as const),
  ...SEGMENTS.flatMap((name, i) => {
    const at = L.SEGS + i * L.SEG_SIZE;
    return [[name, [at + L.SEG_SELECTOR, 2]], [`${name}.base`, [at + L.SEG_BASE, 8]], [`${name}.limit`, [at + L.SEG_LIMIT, 4]], [`${name}.attr`, [at + L.SEG_ATTR, 4]]] as const;
  }),
  ['cpl', [L.CPL, 4]], ['halted', [L.HALTED, 4]], ['intr_shadow', [L.INTR_SHADOW, 4]],
  ['gdtr.base', [L.GDTR_BASE, 8]], ['gdtr.limit', [L.GDTR_LIMIT, 4]], ['idtr.base', [L.IDTR_BASE, 8]], ['idtr.limit', [L.IDTR_LIMIT, 4]],
  ['cr0', [L.CR0, 8]], ['cr2', [L.CR2, 8]], ['cr3', [L.CR3, 8]], ['cr4', [L.CR4, 8]], ['efer', [L.EFER, 8]],
  ['dr0', [L.DR0, 8]], ['dr1', [L.DR0 + 8, 8]], ['dr2', [L.DR0 + 16, 8]], ['dr3', [L.DR0 + 24, 8]], ['dr6', [L.DR6, 8]], ['dr7', [L.DR7, 8]],
  ['star', [L.MSR_STAR, 8]], ['lstar', [L.MSR_LSTAR, 8]], ['cstar', [L.MSR_CSTAR, 8]], ['fmask', [L.MSR_FMASK, 8]], ['kernel_gs_base', [L.MSR_KERNEL_GS_BASE, 8]],
  ['sysenter_cs', [L.MSR_SYSENTER_CS, 8]], ['sysenter_esp', [L.MSR_SYSENTER_ESP, 8]], ['sysenter_eip', [L.MSR_SYSENTER_EIP, 8]],
  ['pat', [L.MSR_PAT, 8]], ['tsc_aux', [L.MSR_TSC_AUX, 8]], ['tsc_offset', [L.TSC_OFFSET, 8]],
  ['fcw', [L.FCW, 2]], ['fsw', [L.FSW, 2]], ['ftw', [L.FTW, 1]], ['fop', [L.FOP, 2]], ['fip', [L.FIP, 8]], ['fdp', [L.FDP, 8]], ['mxcsr', [L.MXCSR, 4]],
] as readonly (readonly [string, readonly [number, 1 | 2 | 4 | 8]])[]); // prettier-ignore

/** All names that readRegister() knows, in the order people expect. */
export const REGISTER_NAMES: readonly string[] = [
  'rip', 'rflags', ...PLAIN.keys(), ...Array.from({ length: 8 }, (_, i) => `fpr${i}`), ...Array.from({ length: 16 }, (_, i) => `xmm${i}`),
]; // prettier-ignore

/** Also while an observer is told of an instruction, which then has not begun. Undefined for an unknown name. fprN and xmmN are 128 bits, fprN by physical register. */
export function readRegister(machine: Machine, name: string): bigint | undefined {
  const { core } = machine;
  if (name === 'rip') return (BigInt(core.ripHigh()) << 32n) | BigInt(core.ripLow());
  if (name === 'rflags') return BigInt.asUintN(64, core.exports.getFlags());
  const plain = PLAIN.get(name);
  if (plain !== undefined) {
    const [at, bytes] = plain;
    if (bytes === 8) return core.big(at);
    return BigInt(bytes === 4 ? core.u32[at >>> 2] : bytes === 2 ? core.u16[at >>> 1] : core.u8[at]);
  }
  const wide = /^(fpr|xmm)(\d+)$/.exec(name);
  if (wide === null) return undefined;
  const [, file, digits] = wide;
  const i = Number(digits);
  if (i >= (file === 'fpr' ? 8 : 16)) return undefined;
  const at = (file === 'fpr' ? L.FPR : L.XMM) + i * 16;
  return core.big(at) | (core.big(at + 8) << 64n);
}

export function readRegisters(machine: Machine): ReadonlyMap<string, bigint> {
  return new Map(REGISTER_NAMES.map((name) => [name, readRegister(machine, name)!]));
}

/** Guest-physical address of a linear one, as the running code would be given it; undefined if nothing is mapped there. Rights are not looked at. */
export function translate(machine: Machine, linear: bigint): number | undefined {
  const physical = BigInt.asUintN(64, machine.core.exports.inspectAddress(BigInt.asIntN(64, linear)));
  return physical === 0xffff_ffff_ffff_ffffn ? undefined : Number(physical);
}

/** A copy of guest-physical memory. Throws RangeError outside RAM. */
export function readPhysical(machine: Machine, paddr: number, length: number): Uint8Array {
  const { ramBytes } = machine.core;
  if (!(paddr >= 0 && length >= 0 && paddr + length <= ramBytes)) throw new RangeError(`${length} bytes at physical 0x${paddr.toString(16)}: memory has 0x${ramBytes.toString(16)} bytes`);
  return machine.core.readPhysical(paddr, length);
}

/** A copy of linear memory, up to the first byte that is not mapped to RAM. */
export function readLinear(machine: Machine, linear: bigint, length: number): Uint8Array {
  const out = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const at = BigInt.asUintN(64, linear + BigInt(done));
    const part = Math.min(length - done, 4096 - Number(at & 0xfffn));
    const paddr = translate(machine, at);
    if (paddr === undefined || paddr + part > machine.core.ramBytes) break;
    out.set(machine.core.readPhysical(paddr, part), done);
    done += part;
  }
  return out.subarray(0, done);
}

/** A range of RAM. */
export interface PhysicalRange {
  readonly paddr: number;
  readonly length: number;
}

/** What a linear range is mapped to now; parts that are not mapped to RAM are left out. */
export function physicalRanges(machine: Machine, linear: bigint, length: number): readonly PhysicalRange[] {
  const ranges: PhysicalRange[] = [];
  for (let done = 0; done < length; ) {
    const at = BigInt.asUintN(64, linear + BigInt(done));
    const part = Math.min(length - done, 4096 - Number(at & 0xfffn));
    const paddr = translate(machine, at);
    if (paddr !== undefined && paddr + part <= machine.core.ramBytes) ranges.push({ paddr, length: part });
    done += part;
  }
  return ranges;
}

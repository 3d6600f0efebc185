/** The registers of a machine as text. */
import type { MachineState } from '../engine/protocol/messages.ts';
import * as L from '../engine/cpu/layout.ts';
import type { Machine } from '../engine/machine/machine.ts';

const GENERAL = ['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'rsp', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'] as const;
/** Encoding order, as the core keeps them. */
const ENCODING = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'];
const SEGMENTS = [['cs', L.CS], ['ss', L.SS], ['ds', L.DS], ['es', L.ES], ['fs', L.FS], ['gs', L.GS], ['tr', L.TR], ['ldtr', L.LDTR]] as const; // prettier-ignore
const CONTROL = [['cr0', L.CR0], ['cr2', L.CR2], ['cr3', L.CR3], ['cr4', L.CR4], ['efer', L.EFER]] as const;

const VECTORS = Array.from({ length: 16 }, (_, i) => `xmm${i}`);
const X87_CONTROL = [['fcw', L.FCW], ['fsw', L.FSW]] as const;
const X87 = Array.from({ length: 8 }, (_, i) => `fpr${i}`);

export function readMachineState(machine: Machine): MachineState {
  const { core } = machine;
  const wide = (value: bigint): string => value.toString(16).padStart(16, '0');
  return {
    position: machine.position(),
    halted: core.u32[L.HALTED >>> 2] !== 0,
    cpl: core.u32[L.CPL >>> 2],
    groups: [
      {
        name: 'General',
        registers: [
          ['rip', wide(core.big(L.RIP))],
          ['rflags', wide(BigInt.asUintN(64, core.exports.getFlags()))],
          ...GENERAL.map((name): [string, string] => [name, wide(core.big(L.REGS + ENCODING.indexOf(name) * 8))]),
        ],
      },
      { name: 'Control', registers: CONTROL.map(([name, address]): [string, string] => [name, wide(core.big(address))]) },
      {
        name: 'Segments',
        registers: [
          ...SEGMENTS.map(([name, index]): [string, string] => [name, core.u16[(L.SEGS + index * L.SEG_SIZE + L.SEG_SELECTOR) >>> 1].toString(16).padStart(4, '0')]),
          ['fs.base', wide(core.big(L.SEGS + L.FS * L.SEG_SIZE + L.SEG_BASE))],
          ['gs.base', wide(core.big(L.SEGS + L.GS * L.SEG_SIZE + L.SEG_BASE))],
        ],
      },
      {
        name: 'SSE',
        registers: [['mxcsr', core.u32[L.MXCSR >>> 2].toString(16).padStart(8, '0')], ...VECTORS.map((name, i): [string, string] => [name, wide(core.big(L.XMM + i * 16 + 8)) + wide(core.big(L.XMM + i * 16))])],
      },
      {
        name: 'x87, by physical register',
        registers: [
          ...X87_CONTROL.map(([name, address]): [string, string] => [name, core.u16[address >>> 1].toString(16).padStart(4, '0')]),
          ...X87.map((name, i): [string, string] => [name, core.u16[(L.FPR + i * 16 + 8) >>> 1].toString(16).padStart(4, '0') + wide(core.big(L.FPR + i * 16))]),
        ],
      },
    ],
  };
}

/** RFLAGS bits that are set, SDM vol. 1 figure 3-8. */
const FLAGS: readonly (readonly [bit: number, name: string])[] = [[0, 'CF'], [2, 'PF'], [4, 'AF'], [6, 'ZF'], [7, 'SF'], [8, 'TF'], [9, 'IF'], [10, 'DF'], [11, 'OF'], [18, 'AC'], [21, 'ID']]; // prettier-ignore

export function flagNames(rflags: string): string {
  const value = Number.parseInt(rflags.slice(-8), 16);
  const names = FLAGS.filter(([bit]) => (value >>> bit) & 1).map(([, name]) => name);
  const iopl = (value >>> 12) & 3;
  return [...names, ...(iopl === 0 ? [] : [`IOPL=${iopl}`])].join(' ');
}

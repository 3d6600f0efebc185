/** The registers of the machine as scopes and variables. */
import { GENERAL_REGISTERS } from '../../engine/debug/inspect.ts';
import { grouped, virtualTime } from '../cli/format.ts';
import type { Debugger } from '../debugger/debugger.ts';
import { flagsOf, flagsText, registerOf } from '../debugger/text.ts';

interface Scope {
  readonly name: string;
  readonly hint?: 'registers';
  readonly list: (debug: Debugger) => readonly Variable[];
}

export interface Variable {
  readonly name: string;
  readonly value: string;
  readonly variablesReference: 0;
  readonly memoryReference?: string;
}

const variable = (name: string, value: string): Variable => ({ name, value, variablesReference: 0 });

function registers(names: readonly string[]): Scope['list'] {
  return ({ travel: { machine }, symbols }) =>
    names.flatMap((name) => {
      const value = registerOf(machine, name);
      if (value === undefined) return [];
      const hex = `0x${value.toString(16)}`;
      const note = name === 'rflags' ? ` ${flagsText(value)}` : value > 0xfffn && symbols.table.at(value) !== undefined ? ` <${symbols.tell(value)}>` : '';
      return [{ ...variable(name, `${hex}${note}`), ...(value > 0xfffn && value < 1n << 64n ? { memoryReference: hex } : {}) }];
    });
}

const SEGMENTS = ['cs', 'ss', 'ds', 'es', 'fs', 'gs', 'ldtr', 'tr'];

/** A variables reference is the place in this list, from 1. */
export const SCOPES: readonly Scope[] = [
  { name: 'Registers', hint: 'registers', list: registers(['rip', 'rflags', ...GENERAL_REGISTERS]) },
  { name: 'Flags', hint: 'registers', list: ({ travel: { machine } }) => flagsOf(registerOf(machine, 'rflags') ?? 0n).map(([name, value]) => variable(name, String(value))) },
  { name: 'Control registers', hint: 'registers', list: registers(['cr0', 'cr2', 'cr3', 'cr4', 'cr8', 'efer', 'cpl', 'halted', 'gdtr.base', 'gdtr.limit', 'idtr.base', 'idtr.limit', 'dr0', 'dr1', 'dr2', 'dr3', 'dr6', 'dr7', 'star', 'lstar', 'fmask', 'kernel_gs_base', 'pat']) },
  { name: 'Segments', hint: 'registers', list: registers(SEGMENTS.flatMap((name) => [name, `${name}.base`, `${name}.limit`, `${name}.attr`])) },
  { name: 'Floating point and SSE', hint: 'registers', list: registers(['fcw', 'fsw', 'ftw', 'mxcsr', ...Array.from({ length: 8 }, (_, i) => `fpr${i}`), ...Array.from({ length: 16 }, (_, i) => `xmm${i}`)]) },
  {
    name: 'Recording',
    list: (debug) => {
      const place = debug.place();
      const { travel } = debug;
      return [
        variable('position', `@${grouped(place.position)}`), variable('end', `@${grouped(place.last)}`), variable('percent', place.percent.toFixed(3)), variable('event', grouped(travel.records)),
        variable('virtual time', virtualTime(travel.machine.nowNs())), ...(place.task === undefined ? [] : [variable('task', place.task)]),
      ]; // prettier-ignore
    },
  },
];

export function scopeVariables(debug: Debugger, scope: number): readonly Variable[] {
  return SCOPES[scope].list(debug);
}

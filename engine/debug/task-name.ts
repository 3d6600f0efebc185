/** What runs, by name: `comm-pid` of Linux or of the lab's kernel; else the address space, `cr3 0x1000`. */
import type { Machine } from '../machine/machine.ts';
import type { GuestSymbols } from './guest-symbols.ts';
import { currentProcess } from './lab-kernel.ts';
import { currentTask } from './linux.ts';
import { cr3Of } from './shadow-stack.ts';

/** Of the machine as it stands, in the midst of an instruction, too. Changes nothing. */
export function taskName(machine: Machine, symbols: GuestSymbols): string {
  const task = currentTask(machine, symbols);
  if (task !== undefined) return `${task.comm}-${task.pid}`;
  const lab = currentProcess(machine, symbols);
  return lab !== undefined ? `${lab.name}-${lab.pid}` : `cr3 0x${(cr3Of(machine) * 4096).toString(16)}`;
}

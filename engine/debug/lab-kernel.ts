/** Which process of the lab's own guest kernel runs: engine/guests/kernel/process.h. */
import type { Machine } from '../machine/machine.ts';
import type { GuestSymbols } from './guest-symbols.ts';
import { readLinear, translate } from './inspect.ts';

export interface LabProcess {
  readonly pid: number;
  readonly name: string;
}

/** struct process: `fpu` (512 bytes), `context`, `state`, `pid`, ..., `name` (NAME_MAX bytes) last. */
const PID_OFFSET = 524;
const KERNEL_STACK_BYTES = 8192;
const NAME_BYTES = 16;
const FIRST_NAME = 'idle\0';

/** The process that `current` points to. Undefined: another kernel, or too early. */
export function currentProcess(machine: Machine, { table }: GuestSymbols): LabProcess | undefined {
  const pointer = table.addressOf('current');
  const [processes] = table.named('processes');
  const [stacks] = table.named('stacks');
  if (pointer === undefined || processes === undefined || stacks === undefined) return undefined;
  const count = stacks.size / KERNEL_STACK_BYTES;
  const bytes = processes.size / count;
  if (!Number.isInteger(count) || count === 0 || !Number.isInteger(bytes) || bytes <= PID_OFFSET) return undefined;
  const at = readLinear(machine, pointer, 8);
  if (at.length < 8) return undefined;
  const offset = Number(new DataView(at.buffer).getBigUint64(0, true) - processes.address);
  if (!(offset >= 0 && offset < processes.size && offset % bytes === 0)) return undefined;
  const bytesOfOne = readLinear(machine, processes.address + BigInt(offset), bytes);
  if (bytesOfOne.length < bytes) return undefined;
  const nameAt = nameOffset(machine, processes.address, bytes);
  if (nameAt === undefined) return undefined;
  const text = bytesOfOne.subarray(nameAt, nameAt + NAME_BYTES);
  const end = text.indexOf(0);
  if (end < 0 || !text.subarray(0, end).every((byte) => byte >= 0x20 && byte < 0x7f)) return undefined;
  return { pid: new DataView(bytesOfOne.buffer, bytesOfOne.byteOffset).getUint32(PID_OFFSET, true), name: new TextDecoder().decode(text.subarray(0, end)) };
}

/** Where the pointer to the running process is, guest-physical. Undefined: another kernel, or too early. */
export function currentProcessPlace(machine: Machine, { table }: GuestSymbols): number | undefined {
  const pointer = table.addressOf('current');
  return pointer === undefined || table.named('processes').length === 0 ? undefined : translate(machine, pointer);
}

/** Slot 0 is the idle task, and is called so. */
function nameOffset(machine: Machine, processes: bigint, bytes: number): number | undefined {
  const first = readLinear(machine, processes, bytes);
  for (let at = PID_OFFSET; at + NAME_BYTES <= first.length; at++) {
    if ([...FIRST_NAME].every((character, i) => first[at + i] === character.charCodeAt(0))) return at;
  }
  return undefined;
}

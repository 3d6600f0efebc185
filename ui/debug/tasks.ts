/**
 * Which task runs when: writes to the kernel's pointer to the running task are the switches, exactly; names are read at some of them. A task keeps its name between two places
 * where it is the same, so a name that changed (exec) is looked for by halves.
 */
import { currentProcess, currentProcessPlace } from '../../engine/debug/lab-kernel.ts';
import { currentTask, currentTaskPlace } from '../../engine/debug/linux.ts';
import type { GuestSymbols } from '../../engine/debug/guest-symbols.ts';
import type { Machine } from '../../engine/machine/machine.ts';
import type { TaskSpans } from '../../engine/protocol/moment.ts';
import { ColumnsError, columnOf, decodeColumns, encodeColumns } from '../../engine/protocol/columns.ts';

/** Switches that are told; of more, the track ends there. */
export const SWITCHES_MAX = 200_000;

/** `sh[12]` */
export function taskText(machine: Machine, symbols: GuestSymbols): string | undefined {
  const task = currentTask(machine, symbols);
  if (task !== undefined) return `${task.comm}[${task.pid}]`;
  const process = currentProcess(machine, symbols);
  return process === undefined ? undefined : `${process.name}[${process.pid}]`;
}

/** Guest-physical, of the pointer. */
export function taskPlace(machine: Machine, symbols: GuestSymbols): number | undefined {
  return currentTaskPlace(machine, symbols) ?? currentProcessPlace(machine, symbols);
}

/** A stretch in which one task runs; ends where the next begins. */
export interface Switch {
  readonly position: number;
  /** What the pointer holds, hex. */
  readonly task: string;
}

/** Names of all switches. `read`: the name at a position. Yields positions that it wants to be read at, and is given the names. */
export function* naming(switches: readonly Switch[], last: number): Generator<number, readonly string[], string | undefined> {
  const names: string[] = switches.map(() => '');
  const byTask = new Map<string, number[]>();
  switches.forEach(({ task }, i) => byTask.set(task, [...(byTask.get(task) ?? []), i]));
  const end = (i: number): number => (switches[i + 1]?.position ?? last + 1) - 1;
  for (const own of byTask.values()) {
    const known = new Map<number, string>();
    function* nameAt(n: number): Generator<number, string, string | undefined> {
      const name = known.get(n) ?? (yield end(own[n])) ?? '';
      known.set(n, name);
      return name;
    }
    const work: [number, number][] = [[0, own.length - 1]];
    for (;;) {
      const range = work.pop();
      if (range === undefined) break;
      const [low, high] = range;
      const first = yield* nameAt(low);
      const after = yield* nameAt(high);
      if (first === after) for (let n = low; n <= high; n++) names[own[n]] = first;
      else if (high - low > 1) work.push([low, (low + high) >>> 1], [(low + high) >>> 1, high]);
      else {
        names[own[low]] = first;
        names[own[high]] = after;
      }
    }
  }
  return names;
}

/** Neighbours of one name together. */
export function spansOf(switches: readonly Switch[], names: readonly string[], last: number): TaskSpans {
  const known = new Map<string, number>();
  const positions: number[] = [];
  const tasks: number[] = [];
  switches.forEach(({ position }, i) => {
    const number = known.get(names[i]) ?? known.size;
    known.set(names[i], number);
    if (tasks.at(-1) === number) return;
    positions.push(position);
    tasks.push(number);
  });
  positions.push(last + 1);
  return { names: [...known.keys()], positions: Float64Array.from(positions), tasks: Uint16Array.from(tasks) };
}

export function encodeTasks({ names, positions, tasks }: TaskSpans): Uint8Array<ArrayBuffer> {
  return encodeColumns({ version: 1, names }, [['positions', positions], ['tasks', tasks]]); // prettier-ignore
}

/** Undefined: of another version, or damaged. */
export function decodeTasks(bytes: Uint8Array): TaskSpans | undefined {
  try {
    const decoded = decodeColumns(bytes);
    const { version, names } = decoded.meta as { readonly version: number; readonly names: readonly string[] };
    return version === 1 ? { names, positions: columnOf(decoded, 'positions', 'f64'), tasks: columnOf(decoded, 'tasks', 'u16') } : undefined;
  } catch (error) {
    if (error instanceof ColumnsError || error instanceof TypeError) return undefined;
    throw error;
  }
}

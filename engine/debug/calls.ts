/** Calls of functions over a run: who called, with what, what came back, and when. */
import * as L from '../cpu/layout.ts';
import { readLinear, readRegister } from './inspect.ts';
import { observed } from './observed.ts';
import { cr3Of } from './shadow-stack.ts';
import { type CallsQuestion, type Span, type Stretch, type StretchCrew, rowsInParallel, rowsOf } from './stretches.ts';
import type { TimeTravel } from './time-travel.ts';

/** System V ABI for x86-64, 3.2.3: the first six of class INTEGER. */
export const ARGUMENT_REGISTERS = ['rdi', 'rsi', 'rdx', 'rcx', 'r8', 'r9'] as const;

export interface FunctionCall {
  /** Where the function's first instruction begins. */
  readonly position: number;
  readonly address: bigint;
  readonly cpl: number;
  /** In the order of ARGUMENT_REGISTERS; how many of them are arguments the machine cannot know. */
  readonly arguments: readonly bigint[];
  /** The address that it is to return to. */
  readonly returnsTo: bigint;
  /** Of that address: tells calls of one stack apart, and what is within what. */
  readonly slot: bigint;
  readonly cr3: number;
  /** Undefined: it has not returned so far as was looked. */
  readonly returned: { readonly position: number; readonly value: bigint } | undefined;
}

export interface CallsOptions extends Span {
  /** A call that has not returned after so many instructions has not returned, so far as is looked. */
  readonly returnInstructionsMax?: number;
}

const RCX = ARGUMENT_REGISTERS.indexOf('rcx');
const CALLS_MAX = 4096;
export const RETURN_INSTRUCTIONS_MAX = 16_000_000;
/** Instructions between two looks whether all have returned. */
const LOOK_INSTRUCTIONS = 1_000_000;

type Open = Omit<FunctionCall, 'returned'> & { returned: FunctionCall['returned'] };

/** Calls of the functions that begin at these addresses, also by jumps. Moves the cursor. Throws DivergedError. */
export function calls(travel: TimeTravel, addresses: readonly bigint[], { returnInstructionsMax = RETURN_INSTRUCTIONS_MAX, ...span }: CallsOptions): Generator<FunctionCall> {
  return rowsOf(travel, { kind: 'calls', addresses, returnInstructionsMax }, span);
}

/** The same of several workers at a time; the same rows in the same order. */
export function callsInParallel(travel: TimeTravel, crew: StretchCrew, addresses: readonly bigint[], { returnInstructionsMax = RETURN_INSTRUCTIONS_MAX, ...span }: CallsOptions): AsyncGenerator<FunctionCall> {
  return rowsInParallel(travel, crew, { kind: 'calls', addresses, returnInstructionsMax }, span);
}

/** The calls of one stretch. Those that have not returned at its end are followed on. */
export function callsIn(travel: TimeTravel, { addresses, returnInstructionsMax }: CallsQuestion, { begin, end }: Stretch, keepsLast: boolean): { readonly rows: readonly FunctionCall[]; readonly isFull: boolean } {
  const { machine } = travel;
  const { core } = machine;
  const wanted = new Set(addresses);
  const rows: Open[] = [];
  /** By address space and slot; the low half of memory is that of a process. */
  const open = new Map<string, Open>();
  /** The last that began, here or after the end. */
  let latest: Open | undefined;
  let isFull = false;
  const keyOf = (slot: bigint): string => `${slot < 1n << 63n ? cr3Of(machine) : ''} ${slot}`;
  const began = (position: number, rip: bigint): void => {
    const slot = readRegister(machine, 'rsp') ?? 0n;
    const key = keyOf(slot);
    const same = open.get(key);
    if (same !== undefined && same === latest && same.address === rip) {
      if (travel.isRepString(rip)) {
        // It is told again where the replay was stopped amid its iterations, which are positions: then it goes on. After an interrupt it is another start, as for breakpoints.
        const iterations = same.arguments[RCX] - (readRegister(machine, 'rcx') ?? 0n);
        if (BigInt.asUintN(16, iterations) === BigInt.asUintN(16, BigInt(position - same.position))) return;
      } else {
        // An instruction that faulted begins again.
        const at = rows.lastIndexOf(same);
        if (at >= 0) rows.splice(at, 1);
      }
    }
    open.delete(key);
    latest = undefined;
    if (position >= end || (isFull && !keepsLast)) return;
    if (rows.length >= CALLS_MAX * (keepsLast ? 2 : 1)) {
      isFull = true;
      if (!keepsLast) return;
      rows.splice(0, CALLS_MAX);
    }
    latest = {
      position, address: rip, cpl: core.u32[L.CPL >>> 2], arguments: ARGUMENT_REGISTERS.map((name) => readRegister(machine, name) ?? 0n),
      returnsTo: wordAt(travel, slot), slot, cr3: cr3Of(machine), returned: undefined,
    }; // prettier-ignore
    rows.push(latest);
    open.set(key, latest);
  };
  travel.seek(Math.max(0, begin - 1));
  observed(machine, { addresses: wanted, calls: true }, {
    start: (kinds) => {
      const position = machine.position();
      if (position < begin) return false;
      if ((kinds & L.OBSERVE_START) !== 0) {
        const rip = readRegister(machine, 'rip') ?? 0n;
        if (wanted.has(rip)) began(position, rip);
      }
      if ((kinds & L.OBSERVE_RETURN) !== 0 && open.size > 0) {
        const key = keyOf(readRegister(machine, 'rsp') ?? 0n);
        const row = open.get(key);
        if (row !== undefined) {
          if (position + 1 - row.position <= returnInstructionsMax) row.returned = { position: position + 1, value: readRegister(machine, 'rax') ?? 0n };
          open.delete(key);
        }
      }
      return false;
    },
  }, () => {
    travel.replayOn(end);
    const kept = new Set(rows);
    for (let at = end; !travel.isAtEnd; at = travel.position) {
      for (const [key, row] of open) if (at - row.position > returnInstructionsMax || !kept.has(row)) open.delete(key);
      if (open.size === 0) break;
      travel.replayOn(at + LOOK_INSTRUCTIONS);
    }
  }); // prettier-ignore
  // It began in the stretch before, and is told there.
  if (rows.length > 0 && travel.isRepString(rows[0].address) && travel.isContinuation(rows[0].position, rows[0].address)) rows.shift();
  return { rows, isFull };
}

function wordAt({ machine }: TimeTravel, address: bigint): bigint {
  const bytes = readLinear(machine, address, 8);
  return bytes.length < 8 ? 0n : new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
}

/** How deep each call is within others of the list, which is in order of position. */
export function nesting(list: readonly FunctionCall[]): readonly number[] {
  const open: FunctionCall[] = [];
  return list.map((call) => {
    const isWithin = (outer: FunctionCall): boolean => (outer.returned === undefined || outer.returned.position > call.position) && outer.cr3 === call.cr3 && outer.slot > call.slot;
    for (let i = open.length - 1; i >= 0; i--) if (open[i].returned !== undefined && open[i].returned!.position <= call.position) open.splice(i, 1);
    const depth = open.filter(isWithin).length;
    open.push(call);
    return depth;
  });
}

/** Calls of functions over a run: who called, with what, what came back, and when. */
import * as L from '../cpu/layout.ts';
import { readLinear, readRegister } from './inspect.ts';
import type { Span } from './queries.ts';
import { observed } from './observed.ts';
import { cr3Of } from './shadow-stack.ts';
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
  /** A call that has not returned at the end of its stretch is followed for so many instructions. */
  readonly returnInstructionsMax?: number;
}

const STRETCH_INSTRUCTIONS = 4_000_000;
const CALLS_MAX = 4096;
export const RETURN_INSTRUCTIONS_MAX = 16_000_000;

type Open = Omit<FunctionCall, 'returned'> & { returned: FunctionCall['returned'] };

/** Calls of the functions that begin at these addresses, also by jumps. Moves the cursor. Throws DivergedError. */
export function* calls(travel: TimeTravel, addresses: readonly bigint[], { from, to, backward = false, returnInstructionsMax = RETURN_INSTRUCTIONS_MAX }: CallsOptions): Generator<FunctionCall> {
  for (let begin = from, end = to; begin < end; ) {
    const low = backward ? Math.max(begin, end - STRETCH_INSTRUCTIONS) : begin;
    const high = backward ? end : Math.min(end, begin + STRETCH_INSTRUCTIONS);
    const { rows, isFull } = collect(travel, addresses, low, high, backward);
    for (const row of backward ? [...rows].reverse() : rows) yield row.returned === undefined ? { ...row, returned: returnOf(travel, row, returnInstructionsMax) } : row;
    if (backward) end = isFull ? rows[0].position : low;
    else begin = isFull ? rows[rows.length - 1].position + 1 : high;
  }
}

function collect(travel: TimeTravel, addresses: readonly bigint[], begin: number, end: number, keepsLast: boolean): { readonly rows: readonly Open[]; readonly isFull: boolean } {
  const { machine } = travel;
  const { core } = machine;
  const wanted = new Set(addresses);
  const rows: Open[] = [];
  /** By address space and slot; the low half of memory is that of a process. */
  const open = new Map<string, Open>();
  let isFull = false;
  const keyOf = (slot: bigint): string => `${slot < 1n << 63n ? cr3Of(machine) : ''} ${slot}`;
  travel.seek(Math.max(0, begin - 1));
  observed(machine, { addresses: wanted, calls: true }, {
    start: (kinds) => {
      const position = machine.position();
      if (position < begin) return false;
      if ((kinds & L.OBSERVE_START) !== 0 && position < end) {
        const rip = readRegister(machine, 'rip') ?? 0n;
        if (wanted.has(rip)) {
          if (rows.length >= CALLS_MAX * (keepsLast ? 2 : 1)) {
            isFull = true;
            if (!keepsLast) return false;
            rows.splice(0, CALLS_MAX);
          }
          const slot = readRegister(machine, 'rsp') ?? 0n;
          // An instruction that faulted begins again.
          const same = open.get(keyOf(slot));
          if (same !== undefined && same.address === rip && rows.at(-1) === same) rows.pop();
          const row: Open = {
            position, address: rip, cpl: core.u32[L.CPL >>> 2], arguments: ARGUMENT_REGISTERS.map((name) => readRegister(machine, name) ?? 0n),
            returnsTo: wordAt(travel, slot), slot, cr3: cr3Of(machine), returned: undefined,
          }; // prettier-ignore
          rows.push(row);
          open.set(keyOf(slot), row);
        }
      }
      if ((kinds & L.OBSERVE_RETURN) !== 0 && open.size > 0) {
        const key = keyOf(readRegister(machine, 'rsp') ?? 0n);
        const row = open.get(key);
        if (row !== undefined) {
          row.returned = { position: position + 1, value: readRegister(machine, 'rax') ?? 0n };
          open.delete(key);
        }
      }
      return false;
    },
  }, () => travel.replayOn(end)); // prettier-ignore
  return { rows, isFull };
}

function returnOf(travel: TimeTravel, { position, returnsTo, slot, cr3 }: Open, instructionsMax: number): FunctionCall['returned'] {
  const last = Math.min(travel.last, position + instructionsMax);
  travel.seek(position);
  const walk = travel.continuing([
    { kind: 'breakpoint', address: returnsTo, condition: (machine) => readRegister(machine, 'rsp') === slot + 8n && (slot >= 1n << 63n || cr3Of(machine) === cr3) },
  ]);
  for (;;) {
    const slice = walk.next();
    if (slice.done === true) return slice.value.kind === 'stop-point' ? { position: slice.value.position, value: readRegister(travel.machine, 'rax') ?? 0n } : undefined;
    if (slice.value <= last) continue;
    walk.return(undefined as never);
    return undefined;
  }
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

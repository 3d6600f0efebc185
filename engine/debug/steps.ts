/**
 * Steps by function and by line, in both directions: gdb's nexti, finish, step and next, and their reverse.
 *
 *     stepOver         the next instruction of this function, or of its caller after a return: calls, system calls, REP and deliveries count as one
 *     stepOut          after the return of this function, of this handler or of this system call
 *     reverseStepOver  back to the instruction before: from behind a call to the CALL
 *     reverseStepOut   the CALL that made this frame, or what its delivery interrupted
 *
 * A return is recognised by its address and its stack pointer, so a recursion, or another task in the same function, is none.
 */
import * as L from '../cpu/layout.ts';
import type { Machine } from '../machine/machine.ts';
import type { Position } from '../log/position.ts';
import { type Frame, callBefore, callStacking } from './call-stack.ts';
import { isInFrame } from './conditions.ts';
import type { GuestSymbols, SourceLine } from './guest-symbols.ts';
import { physicalRanges, readLinear, readRegister } from './inspect.ts';
import { type ListedInstruction, codeBits, instructionAt } from './listing.ts';
import { type Delivery, cr3Of, delivered, deliveriesHere } from './shadow-stack.ts';
import type { Condition, StopPoint } from './stop-points.ts';
import { SymbolTable } from './symbols.ts';
import type { Stop, TimeTravel } from './time-travel.ts';

/** The step was made; or one of the stop points that were given, or the end of history, came first. */
export type StepStop = Stop | { readonly kind: 'step'; readonly position: Position };

export interface StepOptions {
  /** What stops a step on its way, such as the breakpoints of a debugger. */
  readonly stops?: readonly StopPoint[];
}

/** A step in slices: yields positions, as TimeTravel.continuing() does; whoever gives it up (`return()`) then seeks where it wants to be. */
export type Stepping = Generator<Position, StepStop, void>;

/** There is no such step from here: why, and what to do. */
export class StepError extends Error {
  override readonly name = 'StepError';
}

export function stepOver(travel: TimeTravel, options: StepOptions = {}): StepStop {
  return finish(steppingOver(travel, options));
}
/** Throws StepError in the outermost frame. */
export function stepOut(travel: TimeTravel, symbols: GuestSymbols, options: StepOptions = {}): StepStop {
  return finish(steppingOut(travel, symbols, options));
}
export function reverseStepOver(travel: TimeTravel, options: StepOptions = {}): StepStop {
  return finish(reverseSteppingOver(travel, options));
}
/** Throws StepError in the outermost frame. */
export function reverseStepOut(travel: TimeTravel, symbols: GuestSymbols, options: StepOptions = {}): StepStop {
  return finish(reverseSteppingOut(travel, symbols, options));
}

/** Runs a step to its end. */
export function finish<T>(steps: Generator<unknown, T, void>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value as T;
  }
}

const USER = 3;
const ANYWHERE: Condition = { kind: 'expression', expression: { text: '1', names: [] } };
const NO_SYMBOLS: GuestSymbols = { table: SymbolTable.EMPTY, origin: 'none', lineOf: () => undefined, addressesOf: () => [], tell: (address) => `0x${address.toString(16)}` };

/** The place where a frame goes on. */
interface Place {
  readonly rip: bigint;
  readonly rsp: bigint;
  readonly isUser: boolean;
  /** Undefined: whatever it is then. */
  readonly cr3: number | undefined;
}

function placeOf(machine: Machine): Place {
  const isUser = machine.core.u32[L.CPL >>> 2] === USER;
  return { rip: readRegister(machine, 'rip') ?? 0n, rsp: readRegister(machine, 'rsp') ?? 0n, isUser, cr3: isUser ? cr3Of(machine) : undefined };
}

function isAt(place: Place): Condition {
  const { rsp, isUser, cr3 } = place;
  return { kind: 'frame', rsp, isUser, cr3 };
}

function isRep({ mnemonic }: ListedInstruction): boolean {
  return /\brep(n?z)? /.test(`${mnemonic} `);
}

export function* steppingOver(travel: TimeTravel, { stops = [] }: StepOptions = {}): Stepping {
  const { machine } = travel;
  const faulted = travel.isBetween ? undefined : deliveries(travel).find(({ isPast }) => !isPast);
  if (faulted !== undefined) {
    // What is interrupted runs when the handler is through with it, or something else instead.
    const { rip } = placeOf(machine);
    const back = yield* throughHandler(travel, stops, placeOf(machine), faulted);
    if (back.kind !== 'step' || readRegister(machine, 'rip') !== rip) return back;
    return yield* steppingOver(travel, { stops });
  }
  const here = placeOf(machine);
  const instruction = instructionAt(machine, here.rip);
  const isCall = instruction.flow === 'call' || (instruction.flow === 'trap' && !instruction.mnemonic.startsWith('ud'));
  if (!isCall && !isRep(instruction)) {
    const stop = yield* oneStep(travel, stops);
    const taken = stop.kind === 'step' ? deliveries(travel).find(({ isPast }) => isPast) : undefined;
    if (taken === undefined) return stop;
    const isUser = taken.cpl === USER;
    return yield* throughHandler(travel, stops, { rip: taken.rip, rsp: taken.rsp, isUser, cr3: isUser ? cr3Of(machine) : undefined }, taken);
  }
  return yield* goOn(travel, stops, { ...here, rip: BigInt.asUintN(64, here.rip + BigInt(instruction.length)) });
}

/** One instruction on, or to what stops it: only watchpoints and conditions can. */
function* oneStep(travel: TimeTravel, stops: readonly StopPoint[]): Stepping {
  const from = travel.position;
  const own: StopPoint = { kind: 'condition', condition: ANYWHERE };
  if (stops.some(({ kind }) => kind === 'watchpoint' || kind === 'condition')) {
    const stop = yield* travel.continuing([...stops, own]);
    return stop.kind === 'stop-point' && stop.point !== own ? stop : stop.kind === 'history' ? stop : { kind: 'step', position: stop.position };
  }
  const position = travel.step();
  return position === from ? { kind: 'history', position } : { kind: 'step', position };
}

function* goOn(travel: TimeTravel, stops: readonly StopPoint[], place: Place): Stepping {
  const own: StopPoint = { kind: 'breakpoint', address: place.rip, condition: isAt(place) };
  const stop = yield* travel.continuing([...stops, own]);
  return stop.kind === 'stop-point' && stop.point === own ? { kind: 'step', position: stop.position } : stop;
}

/** Until the handler of a delivery is through: what it interrupted is about to run, or what runs there instead (an exception table) with the stack as it was. */
function* throughHandler(travel: TimeTravel, stops: readonly StopPoint[], place: Place, { frame }: Delivery): Stepping {
  const again: StopPoint = { kind: 'breakpoint', address: place.rip, condition: isAt(place) };
  // The IRET takes RIP from there.
  const taken: StopPoint = { kind: 'watchpoint', ranges: physicalRanges(travel.machine, frame, 8), access: 'read' };
  for (;;) {
    const stop: Stop = yield* travel.continuing([...stops, again, taken]);
    if (stop.kind !== 'stop-point' || (stop.point !== again && stop.point !== taken)) return stop;
    if (stop.point === again || isInFrame(travel.machine, place)) return { kind: 'step', position: stop.position };
  }
}

/** What is delivered at the cursor's position. */
function deliveries(travel: TimeTravel): readonly Delivery[] {
  const { position, machine } = travel;
  const events = [...delivered(travel.reader, position, position + 1)];
  return events.length === 0 ? [] : deliveriesHere(machine, events);
}

/** The instruction at the cursor does not run at its position: something is delivered before it, or it faults. */
function deliversHere(travel: TimeTravel): boolean {
  return deliveries(travel).some(({ isPast }) => !isPast);
}

export function* steppingOut(travel: TimeTravel, symbols: GuestSymbols, { stops = [] }: StepOptions = {}): Stepping {
  const [frame, caller] = yield* callStacking(travel, symbols, { framesMax: 2 });
  if (frame === undefined || caller === undefined || frame.kind === 'top') throw new StepError(`@${travel.position} is in the outermost frame that is known: there is nothing to return to`);
  const isUser = caller.rip < 1n << 47n && (frame.kind === 'syscall' || (readRegister(travel.machine, 'cpl') ?? 0n) === 3n || isUserFrame(travel, frame));
  return yield* goOn(travel, stops, { rip: caller.rip, rsp: frame.stackPointer, isUser, cr3: undefined });
}

/** Was it user mode that a delivery interrupted? */
function isUserFrame({ machine }: TimeTravel, { kind, stackPointer }: Frame): boolean {
  return kind === 'interrupt' && stackPointer < 1n << 47n && (readRegister(machine, 'rsp') ?? 0n) >= 1n << 63n;
}

export function* reverseSteppingOut(travel: TimeTravel, symbols: GuestSymbols, { stops = [] }: StepOptions = {}): Stepping {
  const from = travel.position;
  const [frame, caller] = yield* callStacking(travel, symbols, { framesMax: 2 });
  if (frame === undefined || caller === undefined || frame.kind === 'top') throw new StepError(`@${from} is in the outermost frame that is known: what called it is not in the recording, or too far back`);
  if (frame.calledAt !== undefined) return yield* backTo(travel, stops, frame.calledAt);
  const stop = yield* backToCall(travel, stops, { ...placeOf(travel.machine), rip: caller.rip, rsp: frame.stackPointer });
  if (stop !== undefined) return stop;
  travel.seek(from);
  throw new StepError(`@${from}: the call of this function was not found`);
}

/** Back to a position, unless something stops it before. */
function* backTo(travel: TimeTravel, stops: readonly StopPoint[], target: number): Stepping {
  if (stops.length > 0) {
    const walk = travel.reverseContinuing(stops);
    for (;;) {
      const slice = walk.next();
      if (slice.done === true) {
        if (slice.value.kind === 'stop-point' && slice.value.position > target) return slice.value;
        break;
      }
      yield slice.value;
      if (slice.value > target) continue;
      walk.return(undefined as never);
      break;
    }
  }
  return { kind: 'step', position: travel.seek(target) };
}

/** Back to the CALL that returns to a place. */
function* backToCall(travel: TimeTravel, stops: readonly StopPoint[], { rip, rsp, isUser, cr3 }: Place): Generator<Position, StepStop | undefined, void> {
  const code = readLinear(travel.machine, BigInt.asUintN(64, rip - 8n), 8);
  const site = code.length === 8 ? callBefore(code, rip) : undefined;
  if (site === undefined) return undefined;
  const own: StopPoint = { kind: 'breakpoint', address: BigInt.asUintN(64, rip - BigInt(site.bytes)), condition: isAt({ rip, rsp, isUser, cr3 }) };
  const stop = yield* travel.reverseContinuing([...stops, own]);
  if (stop.kind === 'history') return undefined;
  return stop.kind === 'stop-point' && stop.point === own ? { kind: 'step', position: stop.position } : stop;
}

export function* reverseSteppingOver(travel: TimeTravel, options: StepOptions = {}): Stepping {
  const { stops = [] } = options;
  const from = travel.position;
  const after = placeOf(travel.machine);
  const wasBetween = travel.isBetween;
  travel.reverseStep();
  const { position, machine } = travel;
  if (position === from) return wasBetween ? { kind: 'step', position } : { kind: 'history', position };
  // Where something was delivered it was the handler's first instruction that ran.
  if (deliversHere(travel)) return yield* stepBack(travel, stops, from, position);
  const before = placeOf(machine);
  const instruction = instructionAt(machine, before.rip);
  const { mnemonic, flow } = instruction;
  if (isRep(instruction) && flow === 'next') {
    travel.seek(from);
    const own: StopPoint = { kind: 'breakpoint', address: before.rip };
    const stop = yield* travel.reverseContinuing([...stops, own]);
    return stop.kind === 'stop-point' && stop.point === own ? { kind: 'step', position: stop.position } : stop;
  }
  if (flow !== 'return') return yield* stepBack(travel, stops, from, position);
  if (mnemonic.includes('sysret') || mnemonic.includes('sysexit')) {
    travel.seek(from);
    const own: StopPoint = { kind: 'breakpoint', address: after.rip - 2n, condition: isAt(after) };
    const stop = yield* travel.reverseContinuing([...stops, own]);
    if (stop.kind !== 'history') return stop.point === own ? { kind: 'step', position: stop.position } : stop;
    return { kind: 'step', position: travel.seek(position) };
  }
  const isInterruptReturn = mnemonic.includes('iret');
  const [frame] = yield* callStacking(travel, NO_SYMBOLS, { framesMax: 1 });
  const slot = isInterruptReturn ? undefined : before.rsp + (codeBits(machine) === 64 ? 8n : 4n);
  const isItsFrame = frame !== undefined && (isInterruptReturn ? frame.kind === 'interrupt' || frame.kind === 'syscall' : frame.kind === 'call' && frame.stackPointer === slot);
  if (!isItsFrame || frame.calledAt === undefined) {
    if (!isInterruptReturn && isItsFrame) {
      travel.seek(from);
      const stop = yield* backToCall(travel, stops, after);
      if (stop !== undefined) return stop;
    }
    travel.seek(from);
    return yield* stepBack(travel, stops, from, position);
  }
  travel.seek(from);
  const stop = yield* backTo(travel, stops, frame.calledAt);
  if (stop.kind !== 'step' || frame.kind !== 'interrupt') return stop;
  // What was interrupted was to run next then as now: the step back is the one before it.
  return deliversHere(travel) && (readRegister(machine, 'rip') ?? 0n) === after.rip ? yield* reverseSteppingOver(travel, options) : stop;
}

/** The cursor was at `from` and is to be at the position before. */
function* stepBack(travel: TimeTravel, stops: readonly StopPoint[], from: number, position: Position): Stepping {
  if (!stops.some(({ kind }) => kind === 'watchpoint' || kind === 'condition')) return { kind: 'step', position: travel.seek(position) };
  travel.seek(from);
  return yield* backTo(travel, stops, position);
}

// ---- by line ----

/** To the first instruction of another line, also of a function that is called, if it has lines (gdb's `step`). */
export function* steppingLine(travel: TimeTravel, symbols: GuestSymbols, options: StepOptions = {}): Stepping {
  return yield* untilLine(travel, symbols, options, true);
}
/** The same over functions (`next`). */
export function* steppingOverLine(travel: TimeTravel, symbols: GuestSymbols, options: StepOptions = {}): Stepping {
  return yield* untilLine(travel, symbols, options, false);
}
/** Back to where the present line began, or the one before it (`reverse-step`). */
export function* reverseSteppingLine(travel: TimeTravel, symbols: GuestSymbols, options: StepOptions = {}): Stepping {
  return yield* backUntilLine(travel, symbols, options, true);
}
export function* reverseSteppingOverLine(travel: TimeTravel, symbols: GuestSymbols, options: StepOptions = {}): Stepping {
  return yield* backUntilLine(travel, symbols, options, false);
}

class Lines {
  private readonly symbols: GuestSymbols;
  private readonly starts = new Map<string, ReadonlySet<bigint>>();

  constructor(symbols: GuestSymbols) {
    this.symbols = symbols;
  }
  at(machine: Machine): SourceLine | undefined {
    return this.symbols.lineOf(readRegister(machine, 'rip') ?? 0n);
  }
  /** The code of a line begins at rip. */
  isStart(machine: Machine, { file, line }: SourceLine): boolean {
    const key = `${line} ${file}`;
    let known = this.starts.get(key);
    if (known === undefined) this.starts.set(key, (known = new Set(this.symbols.addressesOf(file, line))));
    return known.size === 0 || known.has(readRegister(machine, 'rip') ?? 0n);
  }
}

function isSame(a: SourceLine | undefined, b: SourceLine | undefined): boolean {
  return a?.line === b?.line && a?.file === b?.file;
}

function* untilLine(travel: TimeTravel, symbols: GuestSymbols, options: StepOptions, into: boolean): Stepping {
  const { machine } = travel;
  const lines = new Lines(symbols);
  const start = lines.at(machine);
  // Code without lines is stepped by instruction.
  if (start === undefined) return yield* into ? oneStep(travel, options.stops ?? []) : steppingOver(travel, options);
  for (;;) {
    const { position } = travel;
    const isCall = into && instructionAt(machine, readRegister(machine, 'rip') ?? 0n).flow === 'call' && !deliversHere(travel);
    if (isCall) {
      const stop = yield* oneStep(travel, options.stops ?? []);
      if (stop.kind !== 'step') return stop;
      const entered = lines.at(machine);
      if (entered !== undefined) return stop;
      travel.seek(position);
    }
    const stop = yield* steppingOver(travel, options);
    if (stop.kind !== 'step') return stop;
    const line = lines.at(machine);
    if (line !== undefined && !isSame(line, start) && lines.isStart(machine, line)) return stop;
    yield stop.position;
  }
}

function* backUntilLine(travel: TimeTravel, symbols: GuestSymbols, options: StepOptions, into: boolean): Stepping {
  const { machine } = travel;
  const lines = new Lines(symbols);
  if (lines.at(machine) === undefined) {
    if (!into) return yield* reverseSteppingOver(travel, options);
    const { position } = travel;
    travel.reverseStep();
    return travel.position === position ? { kind: 'history', position } : { kind: 'step', position: travel.position };
  }
  /** The earliest place so far where the line that is gone back to begins. */
  let found: { readonly position: Position; readonly line: SourceLine } | undefined;
  for (;;) {
    const { position } = travel;
    let stop: StepStop | undefined;
    if (into) {
      // A return that is gone back over leads into a function with lines.
      travel.reverseStep();
      const inside = lines.at(machine);
      if (travel.position < position && inside !== undefined && instructionAt(machine, readRegister(machine, 'rip') ?? 0n).flow === 'return' && !deliversHere(travel)) {
        stop = { kind: 'step', position: travel.position };
      } else travel.seek(position);
    }
    stop ??= yield* reverseSteppingOver(travel, options);
    if (stop.kind !== 'step') {
      if (found === undefined) return stop;
      return { kind: 'step', position: travel.seek(found.position) };
    }
    const line = lines.at(machine);
    if (found !== undefined && !isSame(line, found.line)) return { kind: 'step', position: travel.seek(found.position) };
    if (line !== undefined && lines.isStart(machine, line)) found = { position: stop.position, line };
    yield stop.position;
  }
}

/** Where a debugger stops, as people write it: `accounting_exit`, `panic.c:44 if rdi == 0`, `exit io`, `syscall openat`. */
import { conditionOf } from '../../engine/debug/conditions.ts';
import { EVENT_FORMS, EventWordsError, eventsOfWords } from '../../engine/debug/event-words.ts';
import { type Expression, parseExpression } from '../../engine/debug/expression.ts';
import { ExpressionView } from '../../engine/debug/expression-view.ts';
import type { GuestSymbols } from '../../engine/debug/guest-symbols.ts';
import { type PhysicalRange, readRegister } from '../../engine/debug/inspect.ts';
import { syscallName } from '../../engine/debug/linux.ts';
import type { Condition, StopPoint } from '../../engine/debug/stop-points.ts';
import { finish } from '../../engine/debug/steps.ts';
import type { TimeTravel } from '../../engine/debug/time-travel.ts';
import type { AskedRange } from '../../engine/debug/asked-range.ts';
import { rangeOf } from '../cli/bisect-common.ts';
import { DebuggerError } from './error.ts';

export type PointKind = 'breakpoint' | 'watchpoint' | 'catchpoint';
export type WatchAccess = 'change' | 'write' | 'read' | 'access';

/** What a point stops at; a line of source may be several addresses. */
export interface PointStops {
  readonly stops: readonly StopPoint[];
  /** Addresses of a breakpoint, range of a watchpoint. */
  readonly addresses: readonly bigint[];
  readonly range: AskedRange | undefined;
  /** Asked at the stop itself, for what the engine has no condition for. */
  readonly condition: Expression | undefined;
}

/** Lines of source without code that are passed over, as other debuggers do. */
const LINES_AHEAD_MAX = 20;
/** Numbers of system calls that are looked through for a name. */
const SYSCALL_NUMBERS = 1024;

/** `FILE:LINE`, `*EXPRESSION`, a symbol or an expression: addresses, ascending. Throws DebuggerError, ExpressionError. */
export function addressesOf(travel: TimeTravel, symbols: GuestSymbols, text: string): readonly bigint[] {
  const line = /^(.*\.[A-Za-z]\w*):(\d{1,9})$/.exec(text.trim());
  if (line !== null) {
    const [, file, number] = line;
    for (let ahead = 0; ahead <= LINES_AHEAD_MAX; ahead++) {
      const found = symbols.addressesOf(file, Number(number) + ahead);
      if (found.length > 0) return found;
    }
    const why = symbols.origin === 'elf' ? 'no code of the guest comes from there' : 'the guest has no line numbers; give an ELF file with them (--symbols)';
    throw new DebuggerError(`${file}:${number}: ${why}`);
  }
  return [valueAt(travel, symbols, text.trim().replace(/^\*/, ''))];
}

/** Of an expression, at the cursor. Throws DebuggerError, ExpressionError. */
export function valueAt(travel: TimeTravel, symbols: GuestSymbols, text: string): bigint {
  const value = parseExpression(text, symbols.table, travel.reader).value(new ExpressionView(travel.machine));
  if (value === undefined) throw new DebuggerError(`"${text}" reads memory that is not mapped at @${travel.position}`);
  return value;
}

export function parseBreakpoint(travel: TimeTravel, symbols: GuestSymbols, text: string, condition: string | undefined): PointStops {
  const addresses = addressesOf(travel, symbols, text);
  for (const address of addresses) if (address < 0n || address >= 1n << 64n) throw new DebuggerError(`"${text}" is ${address}, which is no address`);
  const holds = condition === undefined ? undefined : conditionOf(parseExpression(condition, symbols.table, travel.reader));
  return { stops: addresses.map((address): StopPoint => ({ kind: 'breakpoint', address, ...(holds === undefined ? {} : { condition: holds }) })), addresses, range: undefined, condition: undefined };
}

/** `EXPRESSION[,BYTES]`, a symbol, or u32(EXPRESSION) and the like; p32(EXPRESSION) is physical. What is mapped there now is watched. */
export function parseWatchpoint(travel: TimeTravel, symbols: GuestSymbols, text: string, access: WatchAccess, condition: string | undefined): PointStops {
  const typed = /^([usp])(8|16|32|64)\s*\((.*)\)$/.exec(text.trim());
  const asked = typed === null ? text.trim() : `${typed[3]},${Number(typed[2]) / 8}`;
  const range = rangeOf({ travel, symbols: symbols.table }, asked, typed?.[1] === 'p', 'debug');
  return watch(range, access, condition === undefined ? undefined : conditionOf(parseExpression(condition, symbols.table, travel.reader)));
}

export function physicalWatchpoint(range: PhysicalRange, access: WatchAccess): PointStops {
  return watch({ address: BigInt(range.paddr), length: range.length, ranges: [range] }, access, undefined);
}

function watch(range: AskedRange, access: WatchAccess, condition: Condition | undefined): PointStops {
  const stop: StopPoint = { kind: 'watchpoint', ranges: range.ranges, access: access === 'change' ? 'write' : access, changed: access === 'change', condition };
  return { stops: [stop], addresses: [], range, condition: undefined };
}

export const CATCH_FORMS = `${EVENT_FORMS}, syscall [NAME|NUMBER], when EXPRESSION`;

/** Throws DebuggerError, ExpressionError. */
export function parseCatchpoint(travel: TimeTravel, symbols: GuestSymbols, text: string): PointStops {
  const [, kind, rest] = /^\s*(\S*)\s*(.*?)\s*$/s.exec(text) ?? ['', '', ''];
  const only = (stop: StopPoint): PointStops => ({ stops: [stop], addresses: [], range: undefined, condition: undefined });
  if (kind === 'syscall') return catchSyscall(travel, symbols, rest);
  if (kind === 'when') {
    const expression = parseExpression(rest, symbols.table, travel.reader);
    if (expression.rip !== undefined) return { stops: [{ kind: 'breakpoint', address: expression.rip, condition: conditionOf(expression) }], addresses: [expression.rip], range: undefined, condition: undefined };
    return only({ kind: 'condition', condition: conditionOf(expression) });
  }
  const events = eventStop(text);
  if (events === undefined) throw new DebuggerError(`catch "${kind}": give ${CATCH_FORMS}`);
  return only(events);
}

/** Throws DebuggerError. */
function eventStop(text: string): StopPoint | undefined {
  try {
    return eventsOfWords(text);
  } catch (error) {
    throw error instanceof EventWordsError ? new DebuggerError(error.message) : error;
  }
}

/** The first instruction of the kernel's handler (LSTAR, for SYSCALL), with the number in rax. */
function catchSyscall(travel: TimeTravel, symbols: GuestSymbols, text: string): PointStops {
  let number: number | undefined;
  if (text !== '') {
    number = /^\d{1,4}$/.test(text) ? Number(text) : Array.from({ length: SYSCALL_NUMBERS }, (_, i) => i).find((i) => syscallName(i) === text);
    if (number === undefined) throw new DebuggerError(`there is no system call "${text}": give the name of a Linux one, or a number`);
  }
  const entry = syscallEntry(travel);
  if (entry === 0n) throw new DebuggerError('the guest never says where SYSCALL leads (LSTAR is 0, here and at the end)');
  const condition = number === undefined ? undefined : conditionOf(parseExpression(`(rax & 0xffffffff) == ${number}`, symbols.table));
  return { stops: [{ kind: 'breakpoint', address: entry, condition }], addresses: [entry], range: undefined, condition: undefined };
}

/** Kernels set it once, so it is that of the end where it is not set yet. */
function syscallEntry(travel: TimeTravel): bigint {
  const here = readRegister(travel.machine, 'lstar') ?? 0n;
  if (here !== 0n) return here;
  return finish(
    travel.excursion(function* () {
      yield travel.seek(Number.MAX_SAFE_INTEGER);
      return readRegister(travel.machine, 'lstar') ?? 0n;
    }),
  );
}

/** Where something begins: the questions of `bisect` by whoever asks them, and what there is to say about the place that was found. */
import type { LogEvent } from '../log/events.ts';
import type { LogReader } from '../log/reader.ts';
import { type Bisection, type Panic, bisect, bisectInParallel, findPanic, findPanicInParallel } from './bisect.ts';
import { rangesOf } from './bisect-scan.ts';
import { type Frame, callStack, codeAddress } from './call-stack.ts';
import type { Expression } from './expression.ts';
import type { GuestSymbols } from './guest-symbols.ts';
import { type PhysicalRange, readRegister, readRegisters } from './inspect.ts';
import { type LinuxTask, currentTask } from './linux.ts';
import { type Write, consoleLineBefore, eventBefore, parallel, writesBackward, writesForward } from './queries.ts';
import type { StretchCrew } from './stretches.ts';
import type { SymbolTable } from './symbols.ts';
import type { TimeTravel } from './time-travel.ts';

export type BeginningAsked =
  /** `stays`: from where on it is true to the end of the search. */
  | { readonly kind: 'when'; readonly expression: Expression; readonly stays: boolean }
  | { readonly kind: 'panic' }
  | { readonly kind: 'console'; readonly text: string }
  /** The first store there. */
  | { readonly kind: 'store'; readonly address: bigint; readonly length: number; readonly ranges: readonly PhysicalRange[] };

export interface Beginning {
  readonly title: string;
  /** The first position where it is so. */
  readonly position: number;
  /** The instruction at the position before did it, rather than that it is about to run there. */
  readonly isEffect: boolean;
  /** How it was found. */
  readonly method: string;
  /** Memory that it is about. */
  readonly ranges: readonly PhysicalRange[];
}

export interface Search {
  readonly from: number;
  readonly to: number;
  /** `from @1 to @2`, as it is to be written. */
  readonly span: string;
}

/** A text says why there is none. Moves the cursor. Throws DivergedError. */
export function findBeginning(travel: TimeTravel, symbols: SymbolTable, asked: BeginningAsked, search: Search): Beginning | string {
  if (asked.kind === 'when') return bisected(travel, asked, search, bisect(travel, asked.expression, { ...search, stays: asked.stays }));
  if (asked.kind === 'panic') return panicked(findPanic(travel, symbols), search);
  if (asked.kind === 'console') return printed(travel, asked, search);
  for (const write of writesForward(travel, asked.ranges, search.from, search.to)) return firstStore(asked, search, write);
  return firstStore(asked, search, undefined);
}

/** The same of several workers at a time; the same answer. */
export async function findBeginningInParallel(travel: TimeTravel, crew: StretchCrew, symbols: SymbolTable, asked: BeginningAsked, search: Search): Promise<Beginning | string> {
  if (asked.kind === 'when') return bisected(travel, asked, search, await bisectInParallel(travel, crew, asked.expression, { ...search, stays: asked.stays }));
  if (asked.kind === 'panic') return panicked(await findPanicInParallel(travel, crew, symbols), search);
  if (asked.kind === 'console') return printed(travel, asked, search);
  for await (const write of parallel.writes(travel, crew, asked.ranges, search)) return firstStore(asked, search, write);
  return firstStore(asked, search, undefined);
}

type Asked<Kind extends BeginningAsked['kind']> = Extract<BeginningAsked, { kind: Kind }>;

function bisected(travel: TimeTravel, { expression, stays }: Asked<'when'>, { span }: Search, found: Bisection): Beginning | string {
  const { text } = expression;
  if (found.kind === 'none') return stays ? `${text} is not true where the search ends, so it does not stay true` : `${text} is never true ${span}`;
  if (found.kind === 'from-start') return `${text} is ${stays ? 'true all the time' : 'true already where the search begins'}, ${span}: it does not begin there`;
  travel.seek(found.position);
  const isMemory = found.method === 'memory';
  return {
    title: `${text} ${stays ? 'is true from here on' : 'is true for the first time'}`, position: found.position, isEffect: found.method !== 'breakpoint',
    method: isMemory ? 'computed anew at each store to what it reads' : found.method === 'events' ? 'the log alone' : found.method, ranges: isMemory ? rangesOf(travel, expression) : [],
  }; // prettier-ignore
}

function firstStore({ address, length, ranges }: Asked<'store'>, { span }: Search, write: Write | undefined): Beginning | string {
  const what = `0x${address.toString(16)}, ${length} bytes`;
  if (write === undefined) return `nothing stores to ${what}, ${span}`;
  return { title: `first store to ${what}, ${span}`, position: write.position + 1, isEffect: true, method: 'a watchpoint', ranges };
}

function panicked(panic: Panic | undefined, { from, to, span }: Search): Beginning | string {
  if (panic === undefined || panic.position < from || panic.position > to) return `the guest's kernel does not panic ${span}: it neither prints "PANIC: " or "Kernel panic" nor enters panic()`;
  return { title: `the kernel panics: ${panic.how}`, position: panic.position, isEffect: false, method: 'console text and breakpoints', ranges: [] };
}

function printed(travel: TimeTravel, asked: Asked<'console'>, { from, to, span }: Search): Beginning | string {
  const text = JSON.stringify(asked.text);
  travel.seek(from);
  const stop = travel.continue([{ kind: 'console', text: asked.text }]);
  if (stop.kind !== 'stop-point' || stop.position > to) return `the serial console does not print ${text} ${span}`;
  return { title: `the console prints the last byte of ${text}`, position: stop.position, isEffect: false, method: 'the log alone', ranges: [] };
}

/** The last of each before a position, as far as the log tells. */
export interface Before {
  readonly event: LogEvent | undefined;
  /** That the CPU took. */
  readonly interrupt: LogEvent | undefined;
  readonly mark: LogEvent | undefined;
  /** The last line of the serial console. */
  readonly console: { readonly text: string; readonly position: number } | undefined;
}

export function whatCameBefore(reader: LogReader, position: number): Before {
  return {
    event: eventBefore(reader, ['exit', 'input', 'interrupt', 'device', 'idle'], position),
    interrupt: eventBefore(reader, ['interrupt'], position, (event) => event.kind === 'interrupt' && (event.phase === 'injected' || event.phase === 'acknowledged')),
    mark: eventBefore(reader, ['mark'], position),
    console: consoleLineBefore(reader, position),
  };
}

/** The machine where something begins. */
export interface Scene {
  /** Of the instruction: the cursor is there. */
  readonly at: number;
  readonly rip: bigint;
  readonly ring: number;
  /** The last stores to the memory that it is about, the latest first. */
  readonly stores: readonly Write[];
  /** Innermost first. */
  readonly stack: readonly Frame[];
  readonly task: LinuxTask | undefined;
  /** Before the instruction runs. */
  readonly registers: ReadonlyMap<string, bigint>;
  readonly before: Before;
}

/** Moves the cursor to the instruction. Throws DivergedError. */
export function sceneOf(travel: TimeTravel, guest: GuestSymbols, { position, isEffect, ranges }: Beginning, { from, storesMax }: { readonly from: number; readonly storesMax: number }): Scene {
  const stores: Write[] = [];
  if (isEffect && ranges.length > 0) {
    for (const write of writesBackward(travel, ranges, position, from)) if (stores.push(write) >= storesMax) break;
  }
  const at = isEffect ? position - 1 : position;
  travel.seek(at);
  // A delivery may come before the instruction that begins there: who stored knows.
  const storer = stores.at(0)?.position === at ? stores[0] : undefined;
  return {
    at,
    rip: storer?.rip ?? readRegister(travel.machine, 'rip') ?? 0n,
    ring: storer?.cpl ?? Number(readRegister(travel.machine, 'cpl') ?? 0n),
    stores,
    stack: callStack(travel, guest),
    task: currentTask(travel.machine, guest),
    registers: readRegisters(travel.machine),
    before: whatCameBefore(travel.reader, at),
  };
}

/** `panic+0x3f`, of each frame. */
export function stackNames(guest: Pick<GuestSymbols, 'tell' | 'table'>, frames: readonly Frame[]): readonly string[] {
  return frames.map(({ rip }, i) => {
    const code = codeAddress(frames, i);
    const symbol = code === rip ? undefined : guest.table.at(code);
    return symbol === undefined ? guest.tell(rip) : `${symbol.name}+0x${(rip - symbol.address).toString(16)}`;
  });
}

/** A number where it can be one, else the first bytes, `bytesMax` at most. */
export function valueText(bytes: Uint8Array, bytesMax = 32): string {
  const hex = (each: Iterable<number>, between: string): string => Array.from(each, (byte) => byte.toString(16).padStart(2, '0')).join(between);
  if (bytes.length <= 8) return `0x${hex([...bytes].reverse(), '').replace(/^0+(?=.)/, '')}`;
  return hex(bytes.subarray(0, bytesMax), ' ') + (bytes.length > bytesMax ? ' ...' : '');
}

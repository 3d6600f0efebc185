/**
 * Where something begins: the first position of a recording at which an expression is true, or from which on it stays so.
 *
 * How it is looked for depends on what the expression is about, and none of the ways guesses:
 *
 *     memory, events      its bytes are watched and it is computed anew at each store to one of them, and after each event (MemoryScan): the speed of a replay, and
 *                         what the dirty sets rule out is not replayed
 *     events alone        from the log, after each of them
 *     rip == ADDRESS &&   a breakpoint; the rest is looked at where it is met
 *     numbers alone       not at all
 *     else                every single instruction is looked at: about a million a second
 */
import { type Change, changes, changesInParallel } from './changes.ts';
import { conditionOf } from './conditions.ts';
import type { Expression } from './expression.ts';
import { countChanges } from './expression-events.ts';
import { ExpressionView } from './expression-view.ts';
import { nextLogStop } from './log-stops.ts';
import type { StopPoint } from './stop-points.ts';
import type { Span, StretchCrew } from './stretches.ts';
import type { SymbolTable } from './symbols.ts';
import type { Stop, TimeTravel } from './time-travel.ts';

type FoundSymbol = ReturnType<SymbolTable['find']>;

export type BisectMethod = 'constant' | 'events' | 'memory' | 'breakpoint' | 'every instruction';

export type Bisection =
  | { readonly kind: 'found'; readonly position: number; readonly method: BisectMethod }
  /** It is true where the search starts, so it does not begin there. */
  | { readonly kind: 'from-start'; readonly position: number; readonly method: BisectMethod }
  /** It is never true; with `stays`: it is not true at the end. */
  | { readonly kind: 'none'; readonly method: BisectMethod };

export interface BisectOptions {
  readonly from: number;
  /** The last position that is looked at. */
  readonly to: number;
  /** Looks for the position from which on it is true at every position up to `to`. */
  readonly stays: boolean;
  /** Instructions that are replayed at once. */
  readonly stretch?: number;
}

export function methodOf(expression: Expression, stays: boolean): BisectMethod {
  if (expression.registers.size === 0) return expression.readsMemory ? 'memory' : expression.events.length > 0 ? 'events' : 'constant';
  return expression.rip !== undefined && !stays ? 'breakpoint' : 'every instruction';
}

/** Moves the cursor. Throws DivergedError. */
export function bisect(travel: TimeTravel, expression: Expression, options: BisectOptions): Bisection {
  const method = methodOf(expression, options.stays);
  if (method === 'breakpoint') return firstTrue(travel, expression, options) ?? whereIt(travel.continue(stopsOf(expression)), options);
  const known = withoutChanges(travel, expression, method, options);
  if (known !== undefined) return known;
  for (const change of changes(travel, expression, 'truth', spanOf(options), options.stretch)) {
    const answer = judged(change, method, options);
    if (answer !== undefined) return answer;
  }
  return { kind: 'none', method };
}

/** The same of several workers at a time; the same answer. */
export async function bisectInParallel(travel: TimeTravel, crew: StretchCrew, expression: Expression, options: BisectOptions): Promise<Bisection> {
  const method = methodOf(expression, options.stays);
  if (method === 'breakpoint') return firstTrue(travel, expression, options) ?? whereIt(await finished(travel.continuingWith(crew, stopsOf(expression))), options);
  const known = withoutChanges(travel, expression, method, options);
  if (known !== undefined) return known;
  for await (const change of changesInParallel(travel, crew, expression, 'truth', spanOf(options), options.stretch)) {
    const answer = judged(change, method, options);
    if (answer !== undefined) return answer;
  }
  return { kind: 'none', method };
}

/** What holds at the end is looked for from there. */
function spanOf({ from, to, stays }: BisectOptions): Span {
  return { from, to, backward: stays };
}

/** What a change of the truth says; undefined: nothing, look at the next. */
function judged({ position, value }: Change, method: BisectMethod, { from, stays }: BisectOptions): Bisection | undefined {
  if (value !== true) return stays ? { kind: 'none', method } : undefined;
  return { kind: position === from ? 'from-start' : 'found', position, method };
}

function withoutChanges(travel: TimeTravel, expression: Expression, method: BisectMethod, { from, to, stays }: BisectOptions): Bisection | undefined {
  if (method === 'constant') return expression.isTrue(new ExpressionView(travel.machine)) ? { kind: 'from-start', position: from, method } : { kind: 'none', method };
  if (method === 'events') return bisectEvents(travel, expression, { from, to, stays });
  return undefined;
}

/** Its value is another one only at the positions after its events. */
function bisectEvents(travel: TimeTravel, expression: Expression, { from, to, stays }: BisectOptions): Bisection {
  const method = 'events';
  const places = [from, ...countChanges(expression, from, to)];
  const holds = eventValues(travel, expression, (view) => expression.isTrue(view));
  if (stays) {
    const last = places.findLastIndex((position) => !holds(position));
    if (last < 0) return { kind: 'from-start', position: from, method };
    return last === places.length - 1 ? { kind: 'none', method } : { kind: 'found', position: places[last + 1], method };
  }
  const first = places.find(holds);
  if (first === undefined) return { kind: 'none', method };
  return { kind: first === from ? 'from-start' : 'found', position: first, method };
}

/** What an expression over events alone is at a position, without a seek. */
export function eventValues<T>(travel: TimeTravel, expression: Expression, of: (view: ExpressionView) => T): (position: number) => T {
  if (expression.registers.size > 0 || expression.readsMemory) throw new Error(`"${expression.text}" is not about events alone`);
  const view = new ExpressionView(travel.machine);
  return (position) => {
    view.position = position;
    return of(view);
  };
}

/** Of an expression that can be true at one address only: true where the search starts. Else the cursor is there. */
function firstTrue(travel: TimeTravel, expression: Expression, { from }: BisectOptions): Bisection | undefined {
  travel.seek(from);
  return expression.isTrue(new ExpressionView(travel.machine)) ? { kind: 'from-start', position: from, method: 'breakpoint' } : undefined;
}
function stopsOf(expression: Expression): readonly StopPoint[] {
  return [{ kind: 'breakpoint', address: expression.rip!, condition: conditionOf(expression) }];
}
function whereIt(stop: Stop, { to }: BisectOptions): Bisection {
  return stop.kind === 'stop-point' && stop.position <= to ? { kind: 'found', position: stop.position, method: 'breakpoint' } : { kind: 'none', method: 'breakpoint' };
}

async function finished<T>(walk: AsyncGenerator<unknown, T, void>): Promise<T> {
  for (;;) {
    const { done, value } = await walk.next();
    if (done === true) return value as T;
  }
}

/** What kernels print when they give up. */
export const PANIC_TEXTS: readonly string[] = ['Kernel panic', 'PANIC: '];
/** Functions that they come to first. */
const PANIC_FUNCTIONS = ['panic', 'vpanic'];

export interface Panic {
  readonly position: number;
  readonly how: string;
}

/** Where the guest's kernel begins to panic: the cursor is there. Undefined: it does not. */
export function findPanic(travel: TimeTravel, symbols: SymbolTable): Panic | undefined {
  const printed = panicPrinted(travel);
  const functions = panicFunctions(symbols);
  travel.seek(printed?.position ?? Number.MAX_SAFE_INTEGER);
  return (functions.length > 0 ? panicCalled(functions, travel.reverseContinue(breakpointsAt(functions))) : undefined) ?? arrived(travel, printed);
}

/** The same of several workers at a time; the same answer. */
export async function findPanicInParallel(travel: TimeTravel, crew: StretchCrew, symbols: SymbolTable): Promise<Panic | undefined> {
  const printed = panicPrinted(travel);
  const functions = panicFunctions(symbols);
  travel.seek(printed?.position ?? Number.MAX_SAFE_INTEGER);
  return (functions.length > 0 ? panicCalled(functions, await finished(travel.reverseContinuingWith(crew, breakpointsAt(functions)))) : undefined) ?? arrived(travel, printed);
}

/** What the log has of it. The message comes from the panic that came before it; without one, the panic may have been silent. */
function panicPrinted({ reader }: TimeTravel): Panic | undefined {
  const met = nextLogStop(reader, PANIC_TEXTS.map((text) => ({ kind: 'console', text })), -1); // prettier-ignore
  return met === undefined ? undefined : { position: met.position, how: `the console printed "${PANIC_TEXTS[met.stops[0]]}"` };
}
function panicFunctions(symbols: SymbolTable): readonly FoundSymbol[] {
  return PANIC_FUNCTIONS.filter((name) => symbols.has(name)).map((name) => symbols.find(name));
}
function breakpointsAt(functions: readonly FoundSymbol[]): readonly StopPoint[] {
  return functions.map(({ address }) => ({ kind: 'breakpoint', address }));
}
function panicCalled(functions: readonly FoundSymbol[], stop: Stop): Panic | undefined {
  return stop.kind === 'stop-point' ? { position: stop.position, how: `${functions[stop.index].name}() was called` } : undefined;
}
function arrived(travel: TimeTravel, printed: Panic | undefined): Panic | undefined {
  if (printed !== undefined) travel.seek(printed.position);
  return printed;
}

/** Questions about all of a recording, latest first or from a position on: who wrote or read there, what ran, which exits there were; and what had happened before a position. */
import { eventAt } from '../log/event-batch.ts';
import { type ExitEvent, type LogEvent, type LogKind, kindCode } from '../log/events.ts';
import type { Position } from '../log/position.ts';
import type { LogReader } from '../log/reader.ts';
import type { PhysicalRange } from './inspect.ts';
import { type Execution, type Read, type Span, type Start, type StretchCrew, type Write, rowsInParallel, rowsOf } from './stretches.ts';
import type { TimeTravel } from './time-travel.ts';

export type { Execution, Read, Span, Write } from './stretches.ts';

/** Writes to the ranges by what is at positions before `before`, the latest first. Moves the cursor. Throws DivergedError. */
export function writesBackward(travel: TimeTravel, ranges: readonly PhysicalRange[], before: number, from = 0): Generator<Write> {
  return rowsOf(travel, { kind: 'writes', ranges }, { from, to: before, backward: true });
}

/** Writes to the ranges by what is at `from` or later, and before `to`, in order. Moves the cursor. Throws DivergedError. */
export function writesForward(travel: TimeTravel, ranges: readonly PhysicalRange[], from: number, to: number): Generator<Write> {
  return rowsOf(travel, { kind: 'writes', ranges }, { from, to });
}

/** Who read the ranges. Page walks and devices are not told. Moves the cursor. Throws DivergedError. */
export function reads(travel: TimeTravel, ranges: readonly PhysicalRange[], span: Span): Generator<Read> {
  return rowsOf(travel, { kind: 'reads', ranges }, span);
}

/** Where the instructions at these linear addresses began to run; REP strings once. Moves the cursor. Throws DivergedError. */
export function* execs(travel: TimeTravel, addresses: readonly bigint[], span: Span): Generator<Execution> {
  for (const row of rowsOf<Start>(travel, { kind: 'starts', addresses }, span)) if (isFirst(travel, row)) yield executionOf(row);
}

/** No further iteration of a string instruction. Moves the cursor. */
function isFirst(travel: TimeTravel, { isString, position, rip }: Start): boolean {
  return !isString || !travel.isContinuation(position, rip);
}
function executionOf({ position, rip, cpl }: Start): Execution {
  return { position, rip, cpl };
}

/** Those questions asked of several workers at a time; the same rows in the same order (`stretches.ts`). */
export const parallel = {
  writes: (travel: TimeTravel, crew: StretchCrew, ranges: readonly PhysicalRange[], span: Span): AsyncGenerator<Write> => rowsInParallel(travel, crew, { kind: 'writes', ranges }, span),
  reads: (travel: TimeTravel, crew: StretchCrew, ranges: readonly PhysicalRange[], span: Span): AsyncGenerator<Read> => rowsInParallel(travel, crew, { kind: 'reads', ranges }, span),
  async *execs(travel: TimeTravel, crew: StretchCrew, addresses: readonly bigint[], span: Span): AsyncGenerator<Execution> {
    for await (const row of rowsInParallel<Start>(travel, crew, { kind: 'starts', addresses }, span)) if (isFirst(travel, row)) yield executionOf(row);
  },
};

export interface ExitFilter {
  /** Intel's basic exit reasons; all if absent. */
  readonly reasons?: ReadonlySet<number>;
  readonly matches?: (event: ExitEvent) => boolean;
}

/** Exits, from the log alone. */
export function* exits(reader: LogReader, { reasons, matches }: ExitFilter, { from, to, backward = false }: Span): Generator<ExitEvent> {
  for (const event of backward ? eventsBackward(reader, ['exit'], to) : reader.events({ kinds: ['exit'], from: from as Position, to: to as Position })) {
    if (event.position < from) return;
    if (event.kind === 'exit' && (reasons === undefined || reasons.has(event.reason)) && (matches?.(event) ?? true)) yield event;
  }
}

// ---- what the log tells ----

/** The last event before a position that matches. */
export function eventBefore(reader: LogReader, kinds: readonly LogKind[], before: number, matches: (event: LogEvent) => boolean = () => true): LogEvent | undefined {
  for (const event of eventsBackward(reader, kinds, before)) if (matches(event)) return event;
  return undefined;
}

/** Characters of a console line at most. */
const LINE_MAX = 200;

/** The last line that the serial console had printed before a position, as far as it had come; undefined: none. */
export function consoleLineBefore(reader: LogReader, before: number): { readonly text: string; readonly position: number } | undefined {
  let text = '';
  let position = 0;
  for (const event of eventsBackward(reader, ['device'], before)) {
    if (event.kind !== 'device' || event.report.kind !== 'uart-tx') continue;
    const { byte } = event.report;
    if (byte === 0x0a || byte === 0x0d) {
      if (text.trim() !== '') break;
      continue;
    }
    if (text === '') ({ position } = event);
    text = String.fromCharCode(byte) + text;
    if (text.length >= LINE_MAX) break;
  }
  return text.trim() === '' ? undefined : { text, position };
}

/** The latest first. */
export function* eventsBackward(reader: LogReader, kinds: readonly LogKind[], before: number): Generator<LogEvent> {
  const codes = kinds.map(kindCode);
  for (let block = Math.min(reader.blockIndexAt(before as Position), reader.eventBlocks.length - 1); block >= 0; block--) {
    const entry = reader.eventBlocks[block];
    if (!codes.some((code) => entry.counts[code] > 0)) continue;
    const batch = reader.batch(block);
    for (let i = batch.count - 1; i >= 0; i--) if (batch.position[i] < before && codes.includes(batch.kind[i])) yield eventAt(batch, i);
  }
}

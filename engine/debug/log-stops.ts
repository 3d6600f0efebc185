/** Stop points that the log alone answers: events and console text, forward and backward. */
import { eventAt } from '../log/event-batch.ts';
import { kindCode } from '../log/events.ts';
import type { LogEvent, LogKind } from '../log/events.ts';
import type { Position } from '../log/position.ts';
import type { LogReader } from '../log/reader.ts';
import type { LogStop } from './event-words.ts';
import type { Met } from './hits.ts';
import type { StopPoint } from './stop-points.ts';

/** The first position after `after` where stop points of the log are met, and all of those. */
export function nextLogStop(reader: LogReader, stops: readonly StopPoint[], after: number): Met | undefined {
  let best: Met | undefined;
  stops.forEach((point, stop) => {
    const to = ((best?.position ?? Infinity) + 1) as Position;
    const position = point.kind === 'event' ? nextEvent(reader, point.kinds, point.matches, after, to) : point.kind === 'console' ? consoleStops(reader, point.text).find((at) => at > after) : undefined;
    if (position !== undefined && position < to) best = { position, stops: position === best?.position ? [...best.stops, stop] : [stop] };
  });
  return best;
}

/** The last position before `before` where stop points of the log are met, and all of those. */
export function previousLogStop(reader: LogReader, stops: readonly StopPoint[], before: number): Met | undefined {
  let best: Met | undefined;
  stops.forEach((point, stop) => {
    const position = point.kind === 'event' ? previousEvent(reader, point.kinds, point.matches, before) : point.kind === 'console' ? consoleStops(reader, point.text).findLast((at) => at < before) : undefined;
    if (position !== undefined && position >= (best?.position ?? 0)) best = { position, stops: position === best?.position ? [...best.stops, stop] : [stop] };
  });
  return best;
}

function nextEvent(reader: LogReader, kinds: readonly LogKind[], matches: ((event: LogEvent) => boolean) | undefined, after: number, to: Position): number | undefined {
  for (const event of reader.events({ kinds, from: (after + 1) as Position, to })) if (matches === undefined || matches(event)) return event.position;
  return undefined;
}

function previousEvent(reader: LogReader, kinds: readonly LogKind[], matches: ((event: LogEvent) => boolean) | undefined, before: number): number | undefined {
  const codes = kinds.map(kindCode);
  for (let block = Math.min(reader.blockIndexAt(before as Position), reader.eventBlocks.length - 1); block >= 0; block--) {
    const entry = reader.eventBlocks[block];
    if (!codes.some((code) => entry.counts[code] > 0)) continue;
    const batch = reader.batch(block);
    for (let i = batch.count - 1; i >= 0; i--) {
      if (batch.position[i] >= before || !codes.includes(batch.kind[i])) continue;
      if (matches === undefined || matches(eventAt(batch, i))) return batch.position[i];
    }
  }
  return undefined;
}

const kept = new WeakMap<LogReader, Map<string, readonly number[]>>();

/** All positions where a stop point of the log is met, ascending; several events at one position are as many. */
export function positionsOf(reader: LogReader, point: LogStop): readonly number[] {
  if (point.kind === 'console') return consoleStops(reader, point.text);
  const positions: number[] = [];
  for (const event of reader.events({ kinds: point.kinds })) if (point.matches === undefined || point.matches(event)) positions.push(event.position);
  return positions;
}

/** Positions of the last byte of each occurrence of a text on the serial console, ascending; occurrences may overlap. */
function consoleStops(reader: LogReader, text: string): readonly number[] {
  const known = kept.get(reader) ?? new Map<string, readonly number[]>();
  kept.set(reader, known);
  const before = known.get(text);
  if (before !== undefined) return before;
  const wanted = new TextEncoder().encode(text);
  const positions: number[] = [];
  if (wanted.length > 0) {
    const failure = failureTable(wanted);
    let matched = 0;
    for (const event of reader.events({ kinds: ['device'] })) {
      if (event.kind !== 'device' || event.report.kind !== 'uart-tx') continue;
      const { byte } = event.report;
      while (matched > 0 && wanted[matched] !== byte) matched = failure[matched - 1];
      if (wanted[matched] === byte) matched++;
      if (matched < wanted.length) continue;
      positions.push(event.position);
      matched = failure[matched - 1];
    }
  }
  known.set(text, positions);
  return positions;
}

/** Knuth, Morris, Pratt 1977: how much of the text is still matched after a mismatch. */
function failureTable(wanted: Uint8Array): number[] {
  const table = [0];
  for (let i = 1, matched = 0; i < wanted.length; i++) {
    while (matched > 0 && wanted[i] !== wanted[matched]) matched = table[matched - 1];
    if (wanted[i] === wanted[matched]) matched++;
    table.push(matched);
  }
  return table;
}

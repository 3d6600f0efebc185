/** Where a walk of the page stops: from what a person gives to what the engine looks for, and all of its hits. Runs in the worker. */
import { conditionOf, holderOf } from '../../engine/debug/conditions.ts';
import { parseExpression } from '../../engine/debug/expression.ts';
import { ExpressionView } from '../../engine/debug/expression-view.ts';
import type { GuestSymbols } from '../../engine/debug/guest-symbols.ts';
import { physicalRanges } from '../../engine/debug/inspect.ts';
import { nextLogStop } from '../../engine/debug/log-stops.ts';
import { execs, reads, writesForward } from '../../engine/debug/queries.ts';
import type { StopPoint } from '../../engine/debug/stop-points.ts';
import type { TimeTravel } from '../../engine/debug/time-travel.ts';
import { KIND_NAMES, type LogKind } from '../../engine/log/events.ts';
import type { Position } from '../../engine/log/position.ts';
import type { LogReader } from '../../engine/log/reader.ts';
import type { PagePoint, PointAsked } from '../../engine/protocol/moment.ts';
import { eventText } from '../event-text.ts';
import { textFilter } from '../text-filter.ts';

/** A point that cannot be made, in words for people. */
export class PointError extends Error {}

const WATCH_BYTES_MAX = 1 << 20;
/** Hits of a point that are told. */
export const HITS_MAX = 100_000;
/** Instructions between two looks of whoever waits. */
const SPAN_INSTRUCTIONS = 4_000_000;

/** At the cursor. Throws PointError, ExpressionError, SymbolError. */
export function makePoint(travel: TimeTravel, symbols: GuestSymbols, asked: PointAsked): PagePoint {
  const { machine } = travel;
  const conditional = asked.kind === 'breakpoint' ? /^(.*?)\s+if\s+(.+)$/s.exec(asked.text.trim()) : null;
  if (conditional !== null) {
    const [, where, condition] = conditional;
    // What is wrong with it is told now, not at the first hit.
    parseExpression(condition, symbols.table, travel.reader);
    const made = makePoint(travel, symbols, { kind: 'breakpoint', text: where });
    return made.kind === 'breakpoint' ? { ...made, text: `${made.text} if ${condition}`, condition } : made;
  }
  const line = asked.kind === 'breakpoint' ? /^(.*\.[A-Za-z]\w*):(\d{1,9})$/.exec(asked.text.trim()) : null;
  if (line !== null) {
    const addresses = symbols.addressesOf(line[1], Number(line[2]));
    if (addresses.length === 0) throw new PointError(`no code of the guest comes from ${asked.text.trim()}`);
    return { kind: 'breakpoint', text: asked.text.trim(), addresses };
  }
  const text = asked.text.trim();
  const value = parseExpression(text, symbols.table, travel.reader).value(new ExpressionView(machine));
  if (value === undefined) throw new PointError(`"${text}" reads memory that is not mapped here`);
  const address = BigInt.asUintN(64, value);
  if (asked.kind === 'breakpoint') return { kind: 'breakpoint', text: /^(0x)?[0-9a-f]+$/i.test(text) ? symbols.tell(address) : text, addresses: [address] };
  const { bytes, access, isPhysical } = asked;
  if (!(Number.isInteger(bytes) && bytes > 0 && bytes <= WATCH_BYTES_MAX)) throw new PointError(`${bytes} bytes cannot be watched: give 1 to ${WATCH_BYTES_MAX}`);
  const isRam = address + BigInt(bytes) <= BigInt(machine.core.ramBytes);
  const ranges = isPhysical ? (isRam ? [{ paddr: Number(address), length: bytes }] : []) : physicalRanges(machine, address, bytes);
  if (ranges.length === 0) throw new PointError(`nothing is mapped at 0x${address.toString(16)} here`);
  const name = isPhysical ? `physical 0x${address.toString(16)}` : symbols.tell(address);
  return { kind: 'watchpoint', text: bytes === 1 ? name : `${name}, ${bytes} bytes`, access, ranges };
}

/** A line of source may be several stop points; `owners` says of each whose it is. Watchpoints first: where both are met, it is the watchpoint that is told. */
export function stopsOf({ reader }: TimeTravel, points: readonly PagePoint[], symbols: GuestSymbols): { readonly stops: readonly StopPoint[]; readonly owners: readonly number[] } {
  const rows = points.flatMap((point, index) => stopPoints(point, symbols, reader).map((stop) => ({ stop, index })));
  rows.sort((a, b) => Number(b.stop.kind === 'watchpoint') - Number(a.stop.kind === 'watchpoint'));
  return { stops: rows.map(({ stop }) => stop), owners: rows.map(({ index }) => index) };
}

function stopPoints(point: PagePoint, symbols: GuestSymbols, log: LogReader): readonly StopPoint[] {
  switch (point.kind) {
    case 'breakpoint':
      return point.addresses.map((address) => ({ kind: 'breakpoint', address, condition: point.condition === undefined ? undefined : conditionOf(parseExpression(point.condition, symbols.table, log)) }));
    case 'watchpoint':
      return [{ kind: 'watchpoint', ranges: point.ranges, access: point.access === 'change' ? 'write' : point.access, changed: point.access === 'change' }];
    case 'console':
      return [{ kind: 'console', text: point.text }];
    case 'event': {
      const accepts = textFilter(point.words);
      return [{ kind: 'event', kinds: kindsOf(point.kinds), matches: (event) => accepts(eventText(event).toLowerCase()) }];
    }
    default:
      return point satisfies never;
  }
}

function kindsOf(mask: number): LogKind[] {
  return KIND_NAMES.flatMap((name, code) => (name !== undefined && ((mask >> code) & 1) === 1 ? [name] : []));
}

/** All positions where a walk would stop, span by span. Moves the cursor. Throws DivergedError. */
export function* hitsOf(travel: TimeTravel, point: PagePoint, symbols: GuestSymbols): Generator<{ readonly found: readonly number[]; readonly scanned: Position }, { readonly isFull: boolean }, void> {
  const { last } = travel;
  let left = HITS_MAX;
  for (let from = 0; from <= last; from += SPAN_INSTRUCTIONS) {
    const to = Math.min(last + 1, from + SPAN_INSTRUCTIONS);
    const found = hitsBetween(travel, point, symbols, from, to).slice(0, left);
    left -= found.length;
    yield { found, scanned: Math.min(to, last) as Position };
    if (left === 0) return { isFull: true };
  }
  return { isFull: false };
}

function hitsBetween(travel: TimeTravel, point: PagePoint, symbols: GuestSymbols, from: number, to: number): readonly number[] {
  const span = { from, to };
  switch (point.kind) {
    case 'breakpoint': {
      const positions = Array.from(execs(travel, point.addresses, span), ({ position }) => position);
      if (point.condition === undefined) return positions;
      const holds = holderOf(conditionOf(parseExpression(point.condition, symbols.table, travel.reader)), travel.reader);
      return positions.filter((position) => {
        travel.seek(position);
        return holds(travel.machine);
      });
    }
    case 'watchpoint': {
      const { access, ranges } = point;
      const positions: number[] = [];
      // A walk stops after the instruction, where what it wrote is there.
      if (access !== 'read') {
        for (const { position, before, after } of writesForward(travel, ranges, from, to)) {
          if (access !== 'change' || before.some((byte, i) => byte !== after[i])) positions.push(position + 1);
        }
      }
      if (access === 'read' || access === 'access') for (const { position } of reads(travel, ranges, span)) positions.push(position + 1);
      return [...new Set(positions)].sort((a, b) => a - b);
    }
    case 'event': {
      const accepts = textFilter(point.words);
      const positions = new Set<number>();
      for (const event of travel.reader.events({ kinds: kindsOf(point.kinds), from: from as Position, to: to as Position })) if (accepts(eventText(event).toLowerCase())) positions.add(event.position);
      return [...positions];
    }
    case 'console': {
      const { stops } = stopsOf(travel, [point], symbols);
      const positions: number[] = [];
      for (let at = from - 1; ; ) {
        const hit = nextLogStop(travel.reader, stops, at);
        if (hit === undefined || hit.position >= to) return positions;
        positions.push(hit.position);
        at = hit.position;
      }
    }
    default:
      return point satisfies never;
  }
}

/**
 * A recording under a debugger that knows no terminal and no protocol: points to stop at, walks in slices, looks at the cursor. The terminal
 * (commands.ts) and the Debug Adapter Protocol (server/dap) are its two doors.
 *
 * A walk stops at the same places in both directions (engine/debug, decision 2): where a watchpoint is met, after the instruction that accessed it.
 */
import { type Frame, callStacking } from '../../engine/debug/call-stack.ts';
import { type Expression, parseExpression } from '../../engine/debug/expression.ts';
import { ExpressionView } from '../../engine/debug/expression-view.ts';
import type { GuestSymbols, SourceLine } from '../../engine/debug/guest-symbols.ts';
import { physicalRanges, readRegister } from '../../engine/debug/inspect.ts';
import { currentTask } from '../../engine/debug/linux.ts';
import { linearRip } from '../../engine/debug/listing.ts';
import { type WhyLink, type WhyStart, why } from '../../engine/debug/why.ts';
import { type Write, parallel, writesBackward } from '../../engine/debug/queries.ts';
import {
  type StepStop, reverseSteppingLine, reverseSteppingOut, reverseSteppingOver, reverseSteppingOverLine, steppingLine, steppingOut, steppingOver, steppingOverLine,
} from '../../engine/debug/steps.ts'; // prettier-ignore
import type { StopPoint } from '../../engine/debug/stop-points.ts';
import type { StretchCrew } from '../../engine/debug/stretches.ts';
import { DivergedError, SeekError, type TimeTravel } from '../../engine/debug/time-travel.ts';
import type { EndEvent } from '../../engine/log/events.ts';
import type { Position } from '../../engine/log/position.ts';
import { PLACE_FORMS, parsePlace } from '../../engine/debug/places.ts';
import { DebuggerError } from './error.ts';
import type { Bookmarks } from './bookmarks.ts';
import { type PointKind, type PointStops, type WatchAccess, parseBreakpoint, parseCatchpoint, parseWatchpoint, valueAt } from './points.ts';

export interface Point extends PointStops {
  readonly id: number;
  readonly kind: PointKind;
  /** As it was asked for. */
  readonly text: string;
  readonly conditionText: string | undefined;
  readonly isTemporary: boolean;
  /** A message with {EXPRESSIONS} that is told instead of stopping. */
  readonly message: string | undefined;
  /** From the hit with this number on it stops. */
  readonly fromHit: number;
  isEnabled: boolean;
  /** Times that it was met, in either direction. */
  hits: number;
}

export interface PointOptions {
  readonly condition?: string | undefined;
  readonly isTemporary?: boolean;
  readonly message?: string | undefined;
  readonly fromHit?: number | undefined;
}

/** Why it stands still. */
export type Halt =
  | { readonly kind: 'step' | 'seek' | 'interrupted' | 'begin' | 'end' }
  /** `write`: of a watchpoint, who wrote there; undefined if it was only read. */
  | { readonly kind: 'point'; readonly point: Point; readonly write: Write | undefined };

/** Where the cursor is. */
export interface Place {
  readonly position: Position;
  readonly last: Position;
  /** 0 to 100. */
  readonly percent: number;
  /** Linear. */
  readonly rip: bigint;
  /** `symbol+0x12`. */
  readonly symbol: string;
  readonly line: SourceLine | undefined;
  /** `sh[12]`; undefined if that cannot be told. */
  readonly task: string | undefined;
}

export type StepKind = 'instruction' | 'over-instruction' | 'line' | 'over-line' | 'out';

export interface DebuggerOptions {
  readonly travel: TimeTravel;
  readonly symbols: GuestSymbols;
  /** Lets keys, packets and timers in, between slices of a walk. */
  readonly turn: () => Promise<void>;
  /** For one walk back or question: who replays its stretches. Without it, this machine alone. */
  readonly crew?: (() => StretchCrew) | undefined;
  readonly bookmarks?: Bookmarks;
  /** Checkpoints are known for all of the recording, so that no seek is long. */
  readonly isIndexed?: boolean;
  /** Told between slices of a walk: a position up to which it has come. */
  readonly onProgress?: (at: number, direction: 'forward' | 'backward') => void;
  /** The text of a point with a message. */
  readonly onMessage?: (text: string) => void;
}

export const POINTS_MAX = 1000;
/** Instructions of a forward seek that are replayed at once. */
const SEEK_SLICE = 4_000_000;

export class Debugger {
  readonly travel: TimeTravel;
  readonly symbols: GuestSymbols;
  readonly bookmarks: Bookmarks | undefined;
  private readonly options: DebuggerOptions;
  private readonly numbered = new Map<number, Point>();
  private nextId = 1;
  private isInterrupted = false;
  /** So far it has been, and checkpoints were laid. */
  private charted = 0;

  constructor(options: DebuggerOptions) {
    this.options = options;
    this.travel = options.travel;
    this.symbols = options.symbols;
    this.bookmarks = options.bookmarks;
  }

  get points(): readonly Point[] {
    return [...this.numbered.values()];
  }

  place(): Place {
    const { travel, symbols } = this;
    const rip = linearRip(travel.machine);
    const task = currentTask(travel.machine, symbols);
    return {
      position: travel.position,
      last: travel.last,
      percent: travel.last === 0 ? 100 : (travel.position / travel.last) * 100,
      rip,
      symbol: symbols.tell(rip),
      line: symbols.lineOf(rip),
      task: task === undefined ? undefined : `${task.comm}[${task.pid}]`,
    };
  }

  // ---- points ----

  /** Throws DebuggerError, ExpressionError. */
  addBreakpoint(text: string, options: PointOptions = {}): Point {
    return this.add('breakpoint', text, parseBreakpoint(this.travel, this.symbols, text, options.condition), options);
  }
  addWatchpoint(text: string, access: WatchAccess, options: PointOptions = {}): Point {
    return this.add('watchpoint', text, parseWatchpoint(this.travel, this.symbols, text, access, options.condition), options);
  }
  addCatchpoint(text: string, options: PointOptions = {}): Point {
    const stops = parseCatchpoint(this.travel, this.symbols, text);
    const condition = options.condition === undefined ? undefined : parseExpression(options.condition, this.symbols.table, this.travel.reader);
    return this.add('catchpoint', text, { ...stops, condition }, options);
  }

  private add(kind: PointKind, text: string, stops: PointStops, options: PointOptions): Point {
    if (this.numbered.size >= POINTS_MAX) throw new DebuggerError(`there are ${POINTS_MAX} breakpoints already: delete some`);
    const point: Point = {
      ...stops, id: this.nextId++, kind, text, conditionText: options.condition, isTemporary: options.isTemporary === true, message: options.message, fromHit: options.fromHit ?? 1, isEnabled: true, hits: 0,
    }; // prettier-ignore
    this.numbered.set(point.id, point);
    return point;
  }

  /** False: there is none of this number. */
  remove(id: number): boolean {
    return this.numbered.delete(id);
  }
  point(id: number): Point | undefined {
    return this.numbered.get(id);
  }

  /** Watchpoints first: where both are met, they tell what was written. */
  private stops(counts: (point: Point) => boolean = () => true): { readonly stops: readonly StopPoint[]; readonly owners: readonly Point[] } {
    const enabled = this.points.filter((point) => point.isEnabled && counts(point)).sort((a, b) => Number(b.kind === 'watchpoint') - Number(a.kind === 'watchpoint'));
    return { stops: enabled.flatMap((point) => point.stops), owners: enabled.flatMap((point) => point.stops.map(() => point)) };
  }

  // ---- walks ----

  /** What is running stops at the next slice. In vain when nothing runs. */
  interrupt(): void {
    this.isInterrupted = true;
  }

  /** To the next place where a point is met. Throws DivergedError. */
  async continue(direction: 'forward' | 'backward'): Promise<Halt> {
    return this.walking(() => this.run(direction, direction === 'forward' ? Infinity : -1));
  }

  /** `count` steps. Over functions and lines, points that may turn out not to count (hit counts, messages) are passed over. Throws DivergedError. */
  async step(kind: StepKind, direction: 'forward' | 'backward', count = 1): Promise<Halt> {
    return this.walking(async () => {
      const isForward = direction === 'forward';
      // Where nothing is known of lines a step is one of instructions.
      const hasLine = this.symbols.lineOf(linearRip(this.travel.machine)) !== undefined;
      const how = hasLine ? kind : kind === 'line' ? 'instruction' : kind === 'over-line' ? 'over-instruction' : kind;
      if (how === 'instruction') return this.stepInstructions(isForward, count);
      let halt: Halt = { kind: 'step' };
      for (let i = 0; i < count; i++) {
        const { stops, owners } = this.stops(({ condition, message, fromHit }) => condition === undefined && message === undefined && fromHit <= 1);
        const { travel, symbols } = this;
        const options = { stops };
        const walk =
          how === 'over-instruction' ? (isForward ? steppingOver(travel, options) : reverseSteppingOver(travel, options))
          : how === 'line' ? (isForward ? steppingLine(travel, symbols, options) : reverseSteppingLine(travel, symbols, options))
          : how === 'over-line' ? (isForward ? steppingOverLine(travel, symbols, options) : reverseSteppingOverLine(travel, symbols, options))
          : isForward ? steppingOut(travel, symbols, options) : reverseSteppingOut(travel, symbols, options); // prettier-ignore
        const stop: StepStop | undefined = await this.sliced(walk, direction);
        if (stop === undefined) return { kind: 'interrupted' };
        if (stop.kind === 'history') return { kind: isForward ? 'end' : 'begin' };
        const accepted = stop.kind === 'stop-point' ? this.acceptAny(stop.indices.map((index) => owners[index])) : undefined;
        if (accepted !== undefined) return accepted;
        halt = { kind: 'step' };
      }
      return halt;
    });
  }

  /** To the next event of the log, or the last one before here, whatever points there are. `words` are those of parseCatchpoint(). Throws DebuggerError, DivergedError. */
  async event(words: string, direction: 'forward' | 'backward', count = 1): Promise<Halt> {
    const { stops } = parseCatchpoint(this.travel, this.symbols, words);
    return this.walking(async () => {
      for (let i = 0; i < count; i++) {
        const stop = await this.sliced(direction === 'forward' ? this.travel.continuing(stops) : this.travel.reverseContinuing(stops), direction);
        if (stop === undefined) return { kind: 'interrupted' };
        if (stop.kind === 'history') return { kind: direction === 'forward' ? 'end' : 'begin' };
      }
      return { kind: 'step' };
    });
  }

  /** Where a value comes from, link by link, until it is interrupted; the cursor stays. */
  async *why(start: WhyStart): AsyncGenerator<WhyLink, void, void> {
    this.isInterrupted = false;
    for (const link of why(this.travel, start)) {
      yield link;
      await this.options.turn();
      if (this.isInterrupted) return;
    }
  }

  /** Throws what seek() throws for a place that is none, or not in the recording; nothing moves. */
  checkPlace(where: string): void {
    const { reader, last } = this.travel;
    const number = /^@?(\d+(?:_\d+)*)$/.exec(where);
    const position = number === null ? 0 : Number(number[1].replaceAll('_', ''));
    if (position > last) throw new SeekError(`@${position} is after the end: the recording ends at @${last}`);
    if (number === null && parsePlace(where) === undefined) throw new DebuggerError(`"${where.slice(0, 100)}" is no place: give ${PLACE_FORMS}`);
    const event = Number(/^event:(\d+)$/.exec(where)?.[1] ?? -1);
    if (event >= reader.records) throw new SeekError(`there is no event ${event}: the recording has ${reader.records}, numbered from 0`);
    if (Number(/^([\d.]+)%$/.exec(where)?.[1] ?? 0) > 100) throw new SeekError(`${where} is outside the recording: give 0% to 100%`);
    if (!where.startsWith('mark:') || this.bookmarks?.find(where.slice(5)) !== undefined) return;
    for (const mark of reader.events({ kinds: ['mark'] })) if (mark.kind === 'mark' && mark.name === where.slice(5)) return;
    throw new SeekError(`the recording has no mark "${where.slice(5, 105)}"`);
  }

  /** Goes there: `@N`, `N%`, `event:N`, `mark:NAME` (those of bookmarks, too), `end`. Throws DebuggerError, SeekError, DivergedError. */
  async seek(where: string): Promise<Halt> {
    const bookmark = where.startsWith('mark:') ? this.bookmarks?.find(where.slice(5)) : undefined;
    if (bookmark !== undefined) return this.seekPosition(bookmark.position);
    const number = /^@?(\d+(?:_\d+)*)$/.exec(where);
    const percent = /^(\d+(?:\.\d+)?)%$/.exec(where);
    const { travel } = this;
    if (where === 'end') return this.seekPosition(Number.MAX_SAFE_INTEGER);
    if (number !== null) return this.seekPosition(Number(number[1].replaceAll('_', '')));
    if (percent !== null && Number(percent[1]) <= 100) return this.seekPosition(Math.round((travel.last * Number(percent[1])) / 100));
    const go = parsePlace(where);
    if (go === undefined) throw new DebuggerError(`"${where.slice(0, 100)}" is no place: give ${PLACE_FORMS}`);
    return this.walking(async () => {
      go(travel);
      return { kind: 'seek' };
    });
  }

  /** In slices if it is a long way over which no checkpoints are known. Throws SeekError, DivergedError. */
  async seekPosition(target: number): Promise<Halt> {
    const { travel } = this;
    if (target !== Number.MAX_SAFE_INTEGER && target > travel.last) throw new SeekError(`@${target} is after the end: the recording ends at @${travel.last}`);
    return this.walking(async () => {
      const end = Math.min(target, travel.last);
      if (this.options.isIndexed !== true && end > Math.max(this.charted, travel.position) + SEEK_SLICE) {
        const walk = travel.continuing([]);
        for (let slice = walk.next(); slice.done !== true; slice = walk.next()) {
          if (slice.value + SEEK_SLICE >= end) break;
          this.options.onProgress?.(slice.value, 'forward');
          await this.options.turn();
          if (!this.isInterrupted) continue;
          walk.return(undefined as never);
          travel.seek(slice.value);
          return { kind: 'interrupted' };
        }
        walk.return(undefined as never);
      }
      travel.seek(target);
      return { kind: 'seek' };
    });
  }

  private async walking(walk: () => Promise<Halt>): Promise<Halt> {
    this.isInterrupted = false;
    try {
      return await walk();
    } catch (error) {
      // The machine is where the replay went wrong. The last place that is known to be right is power-on.
      if (error instanceof DivergedError) this.travel.seek(0);
      throw error;
    } finally {
      this.charted = Math.max(this.charted, this.travel.position);
    }
  }

  private async stepInstructions(isForward: boolean, count: number): Promise<Halt> {
    const { travel } = this;
    // A single step has no room for breakpoints, and what was accessed on it is told by watchpoints only.
    if (count === 1 && !this.points.some(({ kind, isEnabled }) => isEnabled && kind !== 'breakpoint')) {
      if (isForward) return this.stepOne();
      if (travel.position === 0 && !travel.isBetween) return { kind: 'begin' };
      travel.reverseStep();
      return { kind: 'step' };
    }
    const target = isForward ? travel.position + count : travel.position - count;
    return this.run(isForward ? 'forward' : 'backward', target);
  }

  private stepOne(): Halt {
    const { travel } = this;
    if (travel.isAtEnd) return { kind: 'end' };
    const before = travel.position;
    travel.step();
    // At the last position there may be something left that retires nothing.
    return { kind: travel.position === before && travel.isAtEnd ? 'end' : 'step' };
  }

  /** To the next point, at most to `limit`, which is a step. */
  private async run(direction: 'forward' | 'backward', limit: number): Promise<Halt> {
    const { travel } = this;
    const isForward = direction === 'forward';
    for (;;) {
      const { stops, owners } = this.stops();
      // Steps are short.
      const crew = limit < 0 ? this.options.crew?.() : undefined;
      const walk = isForward ? travel.continuing(stops) : crew === undefined ? travel.reverseContinuing(stops) : travel.reverseContinuingWith(crew, stops);
      const stop = await this.sliced(walk, direction, limit);
      const isPast = isForward ? travel.position > limit : travel.position < limit;
      if (stop !== undefined && isPast && limit >= 0) {
        travel.seek(limit);
        return { kind: 'step' };
      }
      if (stop === undefined) return { kind: travel.position === limit ? 'step' : 'interrupted' };
      if (stop.kind === 'history') return { kind: isForward ? 'end' : 'begin' };
      const accepted = this.acceptAny(stop.indices.map((index) => owners[index]));
      if (accepted !== undefined) return accepted;
    }
  }

  /** Undefined: given up, at an interrupt or at the limit. */
  private async sliced<T extends { readonly kind: string }>(walk: Generator<Position, T, void> | AsyncGenerator<Position, T, void>, direction: 'forward' | 'backward', limit = direction === 'forward' ? Infinity : -1): Promise<T | undefined> {
    for (;;) {
      // An interrupt that came with the command is heard before anything is done.
      await this.options.turn();
      const slice = await walk.next();
      if (slice.done === true) return slice.value;
      const isThere = direction === 'forward' ? slice.value >= limit : slice.value <= limit;
      this.options.onProgress?.(slice.value, direction);
      if (!isThere && !this.isInterrupted) continue;
      await walk.return(undefined as never);
      this.travel.seek(isThere ? limit : slice.value);
      return undefined;
    }
  }

  /** Of all points that are met at one place, the first that counts; undefined: none does. */
  private acceptAny(met: readonly Point[]): Halt | undefined {
    const halts = [...new Set(met)].map((point) => this.accept(point));
    return halts.find((halt) => halt !== undefined);
  }

  /** What the stop means; undefined: it does not count. */
  private accept(point: Point): Halt | undefined {
    const { travel } = this;
    if (point.condition !== undefined && !this.isTrue(point.condition)) return undefined;
    point.hits++;
    if (point.hits < point.fromHit) return undefined;
    if (point.message !== undefined) {
      this.options.onMessage?.(point.message.replace(/\{([^{}]*)\}/g, (_, text: string) => this.valueText(text)));
      return undefined;
    }
    if (point.isTemporary) this.numbered.delete(point.id);
    return { kind: 'point', point, write: point.range === undefined ? undefined : this.writeBefore(travel.position, point.range.ranges) };
  }

  /** Who wrote there with the instruction that led here. */
  private writeBefore(position: Position, ranges: NonNullable<Point['range']>['ranges']): Write | undefined {
    if (position === 0) return undefined;
    const { travel } = this;
    const write = [...writesBackward(travel, ranges, position, position - 1)].at(0);
    travel.seek(position);
    return write;
  }

  // ---- looks ----

  /** Throws ExpressionError, DebuggerError. */
  evaluate(text: string): bigint {
    return valueAt(this.travel, this.symbols, text);
  }

  private isTrue(expression: Expression): boolean {
    return expression.isTrue(new ExpressionView(this.travel.machine));
  }

  private valueText(text: string): string {
    try {
      return `0x${this.evaluate(text).toString(16)}`;
    } catch (error) {
      return `{${text}: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}}`;
    }
  }

  /** Innermost first; undefined: it was interrupted. */
  async stack(framesMax: number): Promise<readonly Frame[] | undefined> {
    this.isInterrupted = false;
    const walk = callStacking(this.travel, this.symbols, { framesMax });
    for (;;) {
      const slice = walk.next();
      if (slice.done === true) return slice.value;
      await this.options.turn();
      if (!this.isInterrupted) continue;
      walk.return(undefined as never);
      return undefined;
    }
  }

  /** The last store before here to a range, the cursor stays. Undefined: none, or interrupted. */
  async lastWrite(ranges: ReturnType<typeof physicalRanges>): Promise<Write | undefined> {
    const { travel } = this;
    const here = travel.position;
    this.isInterrupted = false;
    const to = here + (travel.isAtEnd ? 1 : 0);
    const crew = this.options.crew?.();
    try {
      if (crew === undefined) return writesBackward(travel, ranges, to).next().value ?? undefined;
      for await (const write of parallel.writes(travel, crew, ranges, { from: 0, to, backward: true })) return write;
      return undefined;
    } finally {
      travel.seek(here);
    }
  }

  /** The end of the recording, if it has one. */
  end(): EndEvent | undefined {
    for (const event of this.travel.reader.events({ kinds: ['end'] })) if (event.kind === 'end') return event;
    return undefined;
  }

  register(name: string): bigint | undefined {
    return readRegister(this.travel.machine, name);
  }
}

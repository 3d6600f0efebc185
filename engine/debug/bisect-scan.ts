/**
 * Where the value of an expression over memory changes, exactly, at the speed of a replay.
 *
 * Such a value can change only by a store to a byte that it was computed from (or to an entry of the page tables on the way), or where a control
 * register changes what an address means. So these bytes are watched, and the expression is computed anew before each store to one of them:
 *
 *     ── store ──────── store ─ cr3 ── store ───►      the value is the same between two of these
 *
 * A stretch in which no frame of theirs is written, by the dirty sets, and no address space is entered that was not looked at since, is not replayed.
 *
 * Which bytes they are changes with the values (a list that grows). A stretch in which it turned out that a frame should have been watched, and was
 * not, is replayed again with it, until all of them were. What is found is checked at the position itself, with nothing but a seek.
 */
import * as L from '../cpu/layout.ts';
import { EXIT_REASONS, HYPERCALL_REASON, type LogEvent } from '../log/events.ts';
import type { Position } from '../log/position.ts';
import type { LogReader } from '../log/reader.ts';
import type { Expression } from './expression.ts';
import { countChanges, eventBefore, eventFrom } from './expression-events.ts';
import { ExpressionView } from './expression-view.ts';
import type { PhysicalRange } from './inspect.ts';
import { eventsBackward } from './queries.ts';
import type { Stretch } from './stretches.ts';
import type { TimeTravel } from './time-travel.ts';

const MSR_EFER = 0xc000_0080;
/** Of a value for CR3: the TLB keeps what it has. Not kept in CR3 itself (SDM vol. 2, MOV to CR). */
const CR3_KEEP = 1n << 63n;
/** Bytes that are told apart. */
const GRAIN = 8;

/** The value is the same at each of these positions: `first` to `last`. It may begin or end one earlier, where a device writes between two instructions. */
interface Interval {
  readonly value: Measured;
  readonly first: number;
  last: number;
}

/** Whether an expression is true, or its value. */
export type Measured = boolean | bigint | undefined;

interface Past {
  readonly from: number;
  readonly to: number;
  /** At these positions. */
  readonly fromCr3: bigint | undefined;
  readonly toCr3: bigint | undefined;
  /** Values by CR3, in force before the first store to a watched frame; and after the last. */
  readonly early: ReadonlyMap<bigint, Measured>;
  readonly late: ReadonlyMap<bigint, Measured>;
}
/** What a scan knows after a stretch that helps with the next one, as plain data. */
export interface Learnt {
  readonly past: Past;
  readonly watched: readonly number[];
}
const NO_PAST: Past = { from: -1, to: -1, fromCr3: undefined, toCr3: undefined, early: new Map(), late: new Map() };

export class MemoryScan {
  private readonly travel: TimeTravel;
  private readonly expression: Expression;
  private readonly view: ExpressionView;
  private readonly plain: ExpressionView;
  private readonly watched = new Set<number>();
  /** Frames that a value came from and that were not watched. */
  private readonly missing = new Set<number>();
  /** Frame to the evaluation that looked at each of its grains last. */
  private readonly marks = new Map<number, Uint32Array>();
  private evaluation = 0;
  /** What the last stretch that was replayed has told of its neighbours. */
  private past: Past = NO_PAST;

  private readonly measures: 'truth' | 'value';

  constructor(travel: TimeTravel, expression: Expression, measures: 'truth' | 'value') {
    this.measures = measures;
    if (expression.registers.size > 0 || !expression.readsMemory) throw new Error(`"${expression.text}" is not about memory alone`);
    this.travel = travel;
    this.expression = expression;
    this.view = new ExpressionView(travel.machine, (paddr, length) => this.touch(paddr, length));
    this.plain = new ExpressionView(travel.machine);
  }

  private touch(paddr: number, length: number): void {
    for (let grain = Math.floor(paddr / GRAIN); grain <= Math.floor((paddr + length - 1) / GRAIN); grain++) {
      const frame = Math.floor((grain * GRAIN) / 4096);
      let marks = this.marks.get(frame);
      if (marks === undefined) this.marks.set(frame, (marks = new Uint32Array(4096 / GRAIN)));
      marks[grain % (4096 / GRAIN)] = this.evaluation;
      if (!this.watched.has(frame)) this.missing.add(frame);
    }
  }

  private isSeen(paddr: number, size: number): boolean {
    for (let grain = Math.floor(paddr / GRAIN); grain <= Math.floor((paddr + size - 1) / GRAIN); grain++) {
      const marks = this.marks.get(Math.floor((grain * GRAIN) / 4096));
      if (marks !== undefined && marks[grain % (4096 / GRAIN)] === this.evaluation) return true;
    }
    return false;
  }

  /** `position`: which events count. */
  private evaluate(position: number): Measured {
    this.evaluation++;
    this.view.forget();
    this.view.position = position;
    return this.measures === 'truth' ? this.expression.isTrue(this.view) : this.expression.value(this.view);
  }

  get learnt(): Learnt {
    return { past: this.past, watched: [...this.watched] };
  }
  /** What another scan of the same expression has learnt from the stretch that it replayed last. */
  learn({ past, watched }: Learnt): void {
    this.past = past;
    for (const frame of watched) this.watched.add(frame);
  }

  /** The positions of a stretch at which it is not what it was one position before. Replays. */
  changesIn({ begin, end }: Stretch): readonly { readonly position: number; readonly value: Measured }[] {
    const [, ...intervals] = this.intervals(begin - 1, end - 1);
    if (intervals.length === 0) return [];
    let before = this.valueAt(begin - 1);
    const found: { position: number; value: Measured }[] = [];
    for (const { first } of intervals) {
      // A device that writes between two instructions may be seen one earlier.
      for (const position of [first - 1, first]) {
        if (position < begin || position >= end) continue;
        const value = this.valueAt(position);
        if (value !== before) found.push({ position, value });
        before = value;
      }
    }
    return found;
  }

  /** From the end of what is known on, the position up to which the value needs not be looked for by a replay, and is one of those that are `dull`; at least `at`. */
  private sameUntil(at: number, to: number, isDull: (value: Measured) => boolean): number {
    const { travel, past } = this;
    const isKnown = (cr3: bigint | undefined): boolean => cr3 !== undefined && past.late.has(cr3) && isDull(past.late.get(cr3));
    let { toCr3 } = past;
    if (at !== past.to || at >= to || !isKnown(toCr3)) return at;
    let reached = Math.min(travel.unwrittenUntil(this.watched, at - 1, to), eventFrom(this.expression, at));
    for (const { position, cr3 } of pagingChanges(travel.reader, at, reached)) {
      if (isKnown(cr3)) toCr3 = cr3;
      else {
        reached = position;
        break;
      }
    }
    if (reached <= at) return at;
    this.past = { ...past, to: reached, toCr3 };
    return reached;
  }

  /** The same from the beginning of what is known back; at most `end`. */
  private sameSince(end: number, from: number, isDull: (value: Measured) => boolean): number {
    const { travel, past } = this;
    const isKnown = (cr3: bigint | undefined): boolean => cr3 !== undefined && past.early.has(cr3) && isDull(past.early.get(cr3));
    let { fromCr3 } = past;
    if (end !== past.from || end <= from || !isKnown(fromCr3)) return end;
    let since = Math.max(travel.unwrittenSince(this.watched, from, end), eventBefore(this.expression, end) + 1);
    if (since >= end) return end;
    // What CR3 was before a change is what the change before that one says.
    let change: number | undefined;
    for (const { position, cr3 } of pagingChangesBackward(travel.reader, end)) {
      if (change !== undefined && !isKnown(cr3)) break;
      if (change !== undefined) fromCr3 = cr3;
      change = position < since - 1 ? undefined : position;
      if (change === undefined) break;
    }
    if (change !== undefined) since = Math.max(since, change + 1);
    if (since >= end) return end;
    this.past = { ...past, from: since, fromCr3 };
    return since;
  }

  /** Nothing changes in a stretch, beside the last one that was replayed or beside what is the same as its end; no replay. */
  isSame({ begin, end }: Stretch, backward: boolean): boolean {
    const [first, last] = [begin - 1, end - 1];
    const { early, late, fromCr3, toCr3 } = this.past;
    const cr3 = backward ? fromCr3 : toCr3;
    if (cr3 === undefined) return false;
    const value = (backward ? early : late).get(cr3);
    return backward ? this.sameSince(last, first, (one) => one === value) <= first : this.sameUntil(first, last, (one) => one === value) >= last;
  }

  private valueAt(position: number): Measured {
    this.travel.seek(position);
    this.plain.forget();
    return this.measures === 'truth' ? this.expression.isTrue(this.plain) : this.expression.value(this.plain);
  }

  /** The values from `from` to `to`. */
  private intervals(from: number, to: number): Interval[] {
    for (;;) {
      const found = this.pass(from, to);
      if (found !== undefined) return found;
      for (const frame of this.missing) this.watched.add(frame);
    }
  }

  /** Undefined if a frame was not watched that should have been: it is in `missing`. */
  private pass(from: number, to: number): Interval[] | undefined {
    const { travel } = this;
    const { machine } = travel;
    const { core } = machine;
    travel.seek(Math.max(0, from - 1));
    this.missing.clear();
    // What the value depends on at the start is known before anything runs.
    let value = this.evaluate(travel.position);
    let fromCr3 = core.big(L.CR3);
    // What is known up to here is in force still, until something is written.
    const late = new Map<bigint, Measured>(this.past.to === from ? this.past.late : []);
    let early: Map<bigint, Measured> | undefined;
    const note = (): void => {
      late.set(core.big(L.CR3), value);
    };
    note();
    const forget = (): void => {
      early ??= new Map(late);
      late.clear();
    };
    const watchMissing = (): void => {
      for (const frame of this.missing) {
        this.watched.add(frame);
        core.watchFrame(frame, L.WATCH_WRITE);
      }
      this.missing.clear();
    };
    let isIncomplete = false;
    const intervals: Interval[] = [];
    let first = travel.position as number;
    /** Position told of the last store that counts since the last evaluation. */
    let stored: number | undefined;
    /** Where the machine stands still, what it has not looked at before is watched in time; but not if it ran since the store. */
    const settle = (standsAt: number | undefined): void => {
      if (stored === undefined) return;
      const now = this.evaluate(stored + 1);
      if (now !== value) {
        intervals.push({ value, first, last: stored });
        value = now;
        first = stored + 1;
      }
      if (this.missing.size > 0 && standsAt !== stored + 1) isIncomplete = true;
      stored = undefined;
    };
    for (const frame of this.watched) core.watchFrame(frame, L.WATCH_WRITE);
    watchMissing();
    machine.observe({
      access: (_kind, paddr, size) => {
        if (late.size > 0) forget();
        if (!this.isSeen(paddr, size)) {
          // It may be one of the bytes that the value came from since the last store, which nobody has looked at yet.
          if (stored === undefined) return false;
        }
        settle(undefined);
        if (this.isSeen(paddr, size)) stored = machine.position();
        return false;
      },
    });
    try {
      for (const [cut, isVoid] of this.cuts(from, to)) {
        travel.replayOn(cut);
        settle(cut);
        const now = this.evaluate(cut);
        if (now !== value) {
          intervals.push({ value, first, last: cut - 1 });
          value = now;
          first = cut;
        }
        if (cut === from) fromCr3 = core.big(L.CR3);
        if (isVoid) forget();
        note();
        watchMissing();
        if (travel.isAtEnd) break;
      }
    } finally {
      machine.observe(undefined);
      for (const frame of this.watched) core.watchFrame(frame, 0);
    }
    if (isIncomplete) return undefined;
    this.past = { from, to, fromCr3, toCr3: travel.position === to ? core.big(L.CR3) : undefined, early: early ?? late, late };
    intervals.push({ value, first, last: Math.min(to, travel.position) });
    return intervals;
  }

  /** Where the replay stands still: before and after each change of what an address means, after each event that counts, and at the end. True: what was known of other address spaces is void. */
  private cuts(from: number, to: number): readonly (readonly [number, boolean])[] {
    const cuts = new Map<number, boolean>();
    for (const { position, cr3 } of pagingChanges(this.travel.reader, Math.max(0, from - 1), to)) {
      if (position >= from && !cuts.has(position)) cuts.set(position, false);
      cuts.set(position + 1, cr3 === undefined || cuts.get(position + 1) === true);
    }
    for (const position of countChanges(this.expression, Math.max(0, from - 1), to)) cuts.set(position, true);
    if (!cuts.has(to)) cuts.set(to, false);
    return [...cuts].sort(([a], [b]) => a - b);
  }
}

/** Linear addresses come to mean something else: the new CR3, if it is no more than that. */
interface PagingChange {
  readonly position: number;
  readonly cr3: bigint | undefined;
}

/** From `from` (inclusive) to `to` (exclusive). */
function* pagingChanges(reader: LogReader, from: number, to: number): Generator<PagingChange> {
  for (const event of reader.events({ kinds: ['exit'], from: from as Position, to: to as Position })) {
    const change = pagingChange(event);
    if (change !== undefined) yield change;
  }
}

/** The latest first. */
function* pagingChangesBackward(reader: LogReader, before: number): Generator<PagingChange> {
  for (const event of eventsBackward(reader, ['exit'], before)) {
    const change = pagingChange(event);
    if (change !== undefined) yield change;
  }
}

function pagingChange(event: LogEvent): PagingChange | undefined {
  if (event.kind !== 'exit' || event.reason === EXIT_REASONS.exception) return undefined;
  const { position, detail, reason } = event;
  if (detail.kind === 'cr' && detail.access === 'mov-to' && detail.cr === 3) return { position, cr3: detail.value & ~CR3_KEEP };
  const isMode = detail.kind === 'cr' ? detail.access === 'lmsw' || (detail.access === 'mov-to' && (detail.cr === 0 || detail.cr === 4)) : detail.kind === 'msr' && detail.write && detail.index === MSR_EFER;
  // A paravirtual guest's tables are changed for it.
  return isMode || reason >= HYPERCALL_REASON ? { position, cr3: undefined } : undefined;
}

/** The bytes that an expression is computed from at the cursor; page tables not among them. At most `rangesMax` ranges, the first it looked at. */
export function rangesOf(travel: TimeTravel, expression: Expression, rangesMax = 64): readonly PhysicalRange[] {
  const ranges: PhysicalRange[] = [];
  const view = new ExpressionView(travel.machine, (paddr, length) => {
    if (ranges.length < rangesMax && !ranges.some((range) => range.paddr === paddr && range.length === length)) ranges.push({ paddr, length });
  }, false);
  expression.isTrue(view);
  return ranges;
}

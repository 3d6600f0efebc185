/**
 * Where the value of an expression over memory changes, exactly, at the speed of a replay.
 *
 * Such a value can change only by a store to a byte that it was computed from (or to an entry of the page tables on the way), or where a control
 * register changes what an address means. So these bytes are watched, and the expression is computed anew before each store to one of them:
 *
 *     ── store ──────── store ─ cr3 ── store ───►      the value is the same between two of these
 *
 * Which bytes they are changes with the values (a list that grows). A stretch in which it turned out that a frame should have been watched, and was
 * not, is replayed again with it, until all of them were. What is found is checked at the position itself, with nothing but a seek.
 */
import * as L from '../cpu/layout.ts';
import { EXIT_REASONS } from '../log/events.ts';
import type { Position } from '../log/position.ts';
import type { Expression } from './expression.ts';
import { ExpressionView } from './expression-view.ts';
import type { PhysicalRange } from './inspect.ts';
import type { TimeTravel } from './time-travel.ts';

/** Instructions of a stretch. */
const STRETCH_INSTRUCTIONS = 4_000_000;
const MSR_EFER = 0xc000_0080;
/** Bytes that are told apart. */
const GRAIN = 8;

/** The value is the same at each of these positions: `first` to `last`. It may begin or end one earlier, where a device writes between two instructions. */
interface Interval {
  readonly value: Measured;
  readonly first: number;
  last: number;
}

/** Whether an expression is true, or its value. */
type Measured = boolean | bigint | undefined;

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

  private readonly measures: 'truth' | 'value';

  constructor(travel: TimeTravel, expression: Expression, measures: 'truth' | 'value' = 'truth') {
    this.measures = measures;
    if (expression.registers.size > 0 || !expression.readsMemory) throw new Error(`"${expression.text}" is not about memory alone`);
    this.travel = travel;
    this.expression = expression;
    this.view = new ExpressionView(travel.machine, (paddr, length) => this.touch(paddr, length));
    this.plain = new ExpressionView(travel.machine);
  }

  /** The first position from `from` to `to` (inclusive) where it is true. */
  firstTrue(from: number, to: number): number | undefined {
    if (this.isTrueAt(from)) return from;
    for (let at = from; at < to; ) {
      const until = Math.min(to, at + STRETCH_INSTRUCTIONS);
      for (const { value, first } of this.intervals(at, until)) {
        if (value !== true) continue;
        for (const candidate of [first - 1, first]) if (candidate > from && candidate <= to && this.isTrueAt(candidate)) return candidate;
      }
      at = until;
    }
    return undefined;
  }

  /** The last position from `from` to `to` (inclusive) where it is not true. */
  lastFalse(from: number, to: number): number | undefined {
    if (!this.isTrueAt(to)) return this.travel.position;
    for (let end = to; end > from; ) {
      const begin = Math.max(from, end - STRETCH_INSTRUCTIONS);
      for (const { value, last } of this.intervals(begin, end).reverse()) {
        if (value === true) continue;
        for (const candidate of [last, last - 1]) if (candidate >= from && candidate <= to && !this.isTrueAt(candidate)) return candidate;
      }
      end = begin;
    }
    return this.isTrueAt(from) ? undefined : from;
  }

  private isTrueAt(position: number): boolean {
    this.travel.seek(position);
    this.plain.forget();
    return this.expression.isTrue(this.plain);
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

  private evaluate(): Measured {
    this.evaluation++;
    this.view.forget();
    return this.measures === 'truth' ? this.expression.isTrue(this.view) : this.expression.value(this.view);
  }

  /** The value at each position from `from` to `to` (inclusive), as the places where another one begins. With `backward` the last one comes first. Measures 'value'. */
  *changes(from: number, to: number, backward: boolean): Generator<{ readonly position: number; readonly value: bigint | undefined }> {
    const count = Math.max(1, Math.ceil((to - from) / STRETCH_INSTRUCTIONS));
    for (let i = 0; i < count; i++) {
      const stretch = backward ? count - 1 - i : i;
      const begin = from + stretch * STRETCH_INSTRUCTIONS;
      const end = Math.min(to, begin + STRETCH_INSTRUCTIONS);
      let before = this.valueAt(Math.max(from, begin));
      const found: { position: number; value: bigint | undefined }[] = stretch === 0 ? [{ position: from, value: before }] : [];
      for (const { first } of this.intervals(begin, end)) {
        // A device that writes between two instructions may be seen one earlier.
        for (const position of [first - 1, first]) {
          if (position <= begin || position > end) continue;
          const value = this.valueAt(position);
          if (value !== before) found.push({ position, value });
          before = value;
        }
      }
      yield* backward ? found.reverse() : found;
    }
  }

  private valueAt(position: number): bigint | undefined {
    this.travel.seek(position);
    this.plain.forget();
    return this.expression.value(this.plain);
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
    let value = this.evaluate();
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
      const now = this.evaluate();
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
      for (const cut of this.cuts(from, to)) {
        travel.replayOn(cut);
        settle(cut);
        const now = this.evaluate();
        if (now !== value) {
          intervals.push({ value, first, last: cut - 1 });
          value = now;
          first = cut;
        }
        watchMissing();
        if (travel.isAtEnd) break;
      }
    } finally {
      machine.observe(undefined);
      for (const frame of this.watched) core.watchFrame(frame, 0);
    }
    if (isIncomplete) return undefined;
    intervals.push({ value, first, last: Math.min(to, travel.position) });
    return intervals;
  }

  /** Where the replay stands still: before and after each change of what an address means, and at the end. */
  private cuts(from: number, to: number): readonly number[] {
    const cuts = new Set<number>([to]);
    for (const event of this.travel.reader.events({ kinds: ['exit'], from: Math.max(0, from - 1) as Position, to: to as Position })) {
      if (event.kind !== 'exit') continue;
      const { detail } = event;
      const isPaging = (detail.kind === 'cr' && detail.access !== 'mov-from') || (detail.kind === 'msr' && detail.write && detail.index === MSR_EFER);
      if (!isPaging || event.reason === EXIT_REASONS.exception) continue;
      if (event.position >= from) cuts.add(event.position);
      cuts.add(Math.min(to, event.position + 1));
    }
    return [...cuts].sort((a, b) => a - b);
  }
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

/**
 * A log as its worker has it open: rows as text, by number or by what a filter shows, the console around a row, and what one reading of all of it (the fold) tells. Blocks are
 * decoded when they are asked for and a few are kept, so that a log of any length takes the same memory.
 */
import { Pyramid, type PyramidState } from '../engine/analysis/pyramid/pyramid.ts';
import { eventAt } from '../engine/log/event-batch.ts';
import type { EventBatch } from '../engine/log/event-batch.ts';
import { KIND_COUNTS, KIND_DEVICE, KIND_DIRTY, KIND_INTERRUPT, KIND_MARK } from '../engine/log/events.ts';
import type { Position } from '../engine/log/position.ts';
import type { LogReader } from '../engine/log/reader.ts';
import { SHAPE_UART_TX } from '../engine/log/shapes.ts';
import { type ConsolePart, type DirtyHeat, type EventText, type InterruptArrow, type Mark, type ModeChange, type NearRows, type RingShares, ROWS_TOGETHER } from '../engine/protocol/events.ts';
import { type LogSummary, summarize } from '../engine/protocol/summary.ts';
import { DirtyHeatFold } from './dirty-heat.ts';
import type { OpenedPlace } from './log-place.ts';
import { rowText } from './event-text.ts';
import { InterruptFold } from './interrupt-arrows.ts';
import { RingFold } from './ring-fold.ts';
import { RowFilter } from './row-filter.ts';
import { lowerBound } from './timeline-view.ts';
import { ModeFold } from './vcpu-modes.ts';

/** Decoded blocks that are kept. */
const BATCHES_KEPT = 6;
/** Marks that are drawn with their names; more are only rows. */
const MARKS_MAX = 5000;
/** Console bytes that are sent together: so many before the row, if there are, and so many after it. */
export const CONSOLE_BEFORE = 1 << 17;
export const CONSOLE_AFTER = 1 << 16;

/** Blocks that are decoded for the console while a log is opened. */
const SOON_BLOCKS = 8;

/** What one reading of a log tells besides counts. */
export interface Folded {
  readonly marks: readonly Mark[];
  readonly rings: RingShares;
  readonly heat: DirtyHeat;
  readonly modes: readonly ModeChange[];
}

/** What is kept of a fold between two openings. */
export interface FoldState extends Folded {
  readonly pyramid: PyramidState;
  /** Bytes to the console, by event block. */
  readonly consoleBytes: Uint32Array;
}

export class OpenedLog {
  readonly reader: LogReader;
  readonly summary: LogSummary;
  pyramid: Pyramid;
  /** Undefined: the fold has not come to the end yet. */
  folded: Folded | undefined;
  filter: RowFilter | undefined;
  private consoleBytes: Uint32Array;
  /** Event blocks whose console bytes are counted. */
  private counted = 0;

  /** Throws LogError, Refusal. */
  constructor(log: OpenedPlace) {
    this.reader = log.newReader(BATCHES_KEPT);
    this.summary = summarize(this.reader, log.bytes);
    this.pyramid = new Pyramid(this.reader.lastPosition);
    this.consoleBytes = new Uint32Array(this.reader.eventBlocks.length);
  }

  // ---- rows ----

  text(row: number): EventText {
    const batch = this.reader.batch(this.reader.blockOfRecord(row));
    return rowText(batch, row - batch.firstRecord);
  }
  /** Rows that the filter shows. */
  get shown(): number {
    return this.filter?.shown ?? this.reader.records;
  }
  texts(first: number, count: number): readonly EventText[] {
    const texts: EventText[] = [];
    for (let index = first; index < Math.min(first + count, this.shown); index++) {
      const row = this.filter === undefined ? index : this.filter.rowOf(index);
      if (row !== undefined) texts.push(this.text(row));
    }
    return texts;
  }
  /** Around a position: all that a table in view can need. at: undefined: the end. */
  near(at = this.reader.lastPosition as number): NearRows {
    const row = this.reader.records === 0 ? 0 : this.rowAt(Math.min(Math.max(0, at), this.reader.lastPosition));
    const first = ROWS_TOGETHER * Math.floor(Math.max(0, row - ROWS_TOGETHER / 2) / ROWS_TOGETHER);
    return { row, first, texts: this.texts(first, 2 * ROWS_TOGETHER) };
  }
  /** How many of the shown rows come before this one. */
  indexOf(row: number): number {
    return this.filter === undefined ? row : this.filter.indexOf(row);
  }

  /** The last record at `position` or before it; 0 if there is none. */
  rowAt(position: number): number {
    return Math.max(0, this.reader.recordIndexAt((position + 1) as Position) - 1);
  }

  /** The nearest row beside `row` that is of one of the kinds, block by block; yields between them. */
  *beside(row: number, direction: 1 | -1, kinds: number): Generator<void, number | undefined, void> {
    const { eventBlocks } = this.reader;
    if (eventBlocks.length === 0) return undefined;
    for (let i = this.reader.blockOfRecord(row); i >= 0 && i < eventBlocks.length; i += direction) {
      if (!eventBlocks[i].counts.some((count, kind) => count > 0 && ((kinds >> kind) & 1) !== 0)) continue;
      const batch = this.reader.batch(i);
      const start = direction === 1 ? Math.max(0, row + 1 - batch.firstRecord) : Math.min(batch.count - 1, row - 1 - batch.firstRecord);
      for (let at = start; at >= 0 && at < batch.count; at += direction) if (((kinds >> batch.kind[at]) & 1) !== 0) return batch.firstRecord + at;
      yield;
    }
    return undefined;
  }

  // ---- the fold ----

  /** Reads all of it, block by block; yields the number of records so far. */
  *fold(): Generator<number, void, void> {
    const marks: Mark[] = [];
    const rings = new RingFold();
    const heat = new DirtyHeatFold(this.summary.memoryBytes);
    const modes = new ModeFold();
    this.pyramid = new Pyramid(this.reader.lastPosition);
    this.counted = 0;
    for (let i = 0; i < this.reader.eventBlocks.length; i++) {
      const batch = this.reader.batch(i);
      this.pyramid.add(batch);
      this.consoleBytes[i] = consoleRowsOf(batch).length;
      this.counted = i + 1;
      const { counts } = this.reader.eventBlocks[i];
      if (counts[KIND_DIRTY] > 0) heat.add(batch);
      modes.add(batch);
      if (counts[KIND_COUNTS] > 0 || (counts[KIND_MARK] > 0 && marks.length < MARKS_MAX)) {
        for (let row = 0; row < batch.count; row++) {
          if (batch.kind[row] === KIND_COUNTS) rings.add(eventAt(batch, row));
          if (batch.kind[row] !== KIND_MARK || marks.length === MARKS_MAX) continue;
          const event = eventAt(batch, row);
          if (event.kind === 'mark') marks.push({ row: batch.firstRecord + row, position: event.position, name: event.name });
        }
      }
      yield batch.firstRecord + batch.count;
    }
    this.pyramid.refresh();
    this.folded = { marks, rings: rings.shares(), heat: heat.heat(), modes: modes.changes };
  }

  saveFold(): FoldState | undefined {
    return this.folded === undefined ? undefined : { pyramid: this.pyramid.save(), ...this.folded, consoleBytes: this.consoleBytes };
  }
  /** False: it is of another log. */
  restoreFold({ pyramid, consoleBytes, ...folded }: FoldState): boolean {
    if (pyramid.records !== this.reader.records || consoleBytes.length !== this.reader.eventBlocks.length) return false;
    this.pyramid = Pyramid.restore(pyramid);
    this.consoleBytes = consoleBytes;
    this.counted = consoleBytes.length;
    this.folded = folded;
    return true;
  }

  // ---- what is made of events ----

  /** Empty if there are too many. */
  *interrupts(from: number, to: number): Generator<void, readonly InterruptArrow[], void> {
    const fold = new InterruptFold();
    const { eventBlocks } = this.reader;
    // From the beginning of the block: what is over in the window may have begun before it.
    for (let i = this.reader.blockIndexAt(from as Position); i < eventBlocks.length && eventBlocks[i].firstPosition <= to && !fold.isFull; i++) {
      if (eventBlocks[i].counts[KIND_INTERRUPT] === 0) continue;
      const batch = this.reader.batch(i);
      fold.add(batch, 0, batch.count);
      yield;
    }
    return fold.isFull ? [] : fold.arrows.filter((arrow) => arrow.from <= to && (arrow.until ?? arrow.to) >= from);
  }

  // ---- console ----

  /** Around a row, if few blocks have to be decoded for it. */
  consoleSoon(row: number): ConsolePart | undefined {
    const steps = this.consoleAround(row);
    for (let decoded = 0; decoded < SOON_BLOCKS; decoded++) {
      const step = steps.next();
      if (step.done === true) return step.value;
    }
    return undefined;
  }
  /** Around a row: yields between two blocks that it has to decode. */
  *consoleAround(row: number): Generator<void, ConsolePart, void> {
    const { eventBlocks, records } = this.reader;
    const middle = this.reader.blockOfRecord(row);
    const parts: { readonly block: number; readonly rows: Uint32Array; readonly bytes: Uint8Array }[] = [];
    const take = (block: number): { readonly rows: Uint32Array; readonly bytes: Uint8Array } => {
      const isEmpty = block < this.counted ? this.consoleBytes[block] === 0 : eventBlocks[block].counts[KIND_DEVICE] === 0;
      if (isEmpty) return NO_CONSOLE;
      const batch = this.reader.batch(block);
      const rows = consoleRowsOf(batch);
      return { rows: rows.map((at) => at + batch.firstRecord), bytes: Uint8Array.from(rows, (at) => batch.valueLo[at]) };
    };
    let before = 0;
    let first = middle;
    for (; first >= 0 && before < CONSOLE_BEFORE && eventBlocks.length > 0; first--) {
      const part = take(first);
      parts.unshift({ block: first, ...part });
      before += lowerBound(part.rows, part.rows.length, row + 1);
      if (part !== NO_CONSOLE) yield;
    }
    first++;
    let after = parts.reduce((sum, { rows }) => sum + rows.length, 0) - before;
    let end = middle + 1;
    // Where nobody has counted, the end may be far.
    for (; end < Math.min(eventBlocks.length, Math.max(this.counted, middle + 2)) && after < CONSOLE_AFTER; end++) {
      const part = take(end);
      parts.push({ block: end, ...part });
      after += part.rows.length;
      if (part !== NO_CONSOLE) yield;
    }
    const rows = new Uint32Array(parts.reduce((sum, part) => sum + part.rows.length, 0));
    const bytes = new Uint8Array(rows.length);
    let at = 0;
    for (const part of parts) {
      rows.set(part.rows, at);
      bytes.set(part.bytes, at);
      at += part.rows.length;
    }
    const isCounted = this.counted === eventBlocks.length;
    const sum = (to: number): number => this.consoleBytes.subarray(0, to).reduce((total, each) => total + each, 0);
    return {
      first: first === 0 ? 0 : first <= this.counted ? sum(first) : undefined,
      rows,
      bytes,
      // Half of what is before the row is enough to go on with.
      from: first === 0 ? 0 : rows[Math.min(rows.length - 1, CONSOLE_BEFORE >>> 1)],
      to: end >= eventBlocks.length ? records : eventBlocks[end].firstRecord - 1,
      total: isCounted ? sum(eventBlocks.length) : undefined,
    };
  }
}

const NO_CONSOLE = { rows: new Uint32Array(0), bytes: new Uint8Array(0) };

/** Rows of a batch that send a byte to the console. */
function consoleRowsOf(batch: EventBatch): Uint32Array {
  const rows: number[] = [];
  for (let row = 0; row < batch.count; row++) if (batch.kind[row] === KIND_DEVICE && batch.sites.shape[batch.site[row]] === SHAPE_UART_TX) rows.push(row);
  return Uint32Array.from(rows);
}

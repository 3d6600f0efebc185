/** Folds over epochs: the truth, the dirty-rate curve, the writable working set, the heat map, who dirties. Each can be asked at any time, saved and restored. */
import { SliceContent } from './content.ts';
import type { DirtyEpoch, RunTotals } from './epoch.ts';
import { TimelineBuilder, type TimelineColumns } from './timeline.ts';
import { type DirtyTruth, PAGE_BYTES } from './truth.ts';

/** What an operator needs of a fold: see operators.ts. `State` is plain data. */
export interface EpochFold<Answer, State> {
  /** Answers that the epoch completes. */
  fold(epoch: DirtyEpoch): readonly Answer[];
  /** Answers that the end of the run completes. */
  finish(): readonly Answer[];
  save(): State;
  restore(state: State): void;
}

// ---- the truth ----

export interface TruthOptions {
  readonly name: string;
  readonly memoryBytes: number;
  /** Of the run, if known: input bytes, and how much of the time was idle. */
  readonly totals?: (() => RunTotals) | undefined;
  /** Pages that are not zeros at the begin, and their compressed length; undefined: not known. */
  readonly powerOn?: PowerOnPages | undefined;
  readonly deviceStateBytes?: number | undefined;
}
/** By page frame. */
export interface PowerOnPages {
  /** 1: all zeros. */
  readonly isZero: Uint8Array;
  /** LZ4; undefined: not known. */
  readonly compressedBytes?: Uint16Array | undefined;
}

export interface TruthState {
  readonly writes: TimelineColumns;
  readonly touches: TimelineColumns | undefined;
  readonly ends: readonly number[];
  readonly beginNs: number | undefined;
  readonly times: DirtyTruth['times'];
  readonly instructions: number;
  readonly content: readonly number[] | undefined;
  readonly knowsBytes: boolean;
}

export class TruthFold implements EpochFold<DirtyTruth, TruthState> {
  private readonly options: TruthOptions;
  private writes = new TimelineBuilder();
  private touches: TimelineBuilder | undefined;
  private ends: number[] = [];
  private beginNs: number | undefined;
  private times: DirtyTruth['times'] = 'epoch end';
  private instructions = 0;
  /** Zero, delta, compressed: three numbers an entry. */
  private content: number[] | undefined;
  /** Delta and compressed, too: of a replay that was asked for it. */
  private knowsBytes = false;

  constructor(options: TruthOptions) {
    if (!(options.memoryBytes > 0) || options.memoryBytes % PAGE_BYTES !== 0) throw new RangeError(`memory of ${options.memoryBytes} bytes is no number of pages`);
    this.options = options;
  }

  fold(epoch: DirtyEpoch): readonly DirtyTruth[] {
    const { pages, detail } = epoch;
    this.beginNs ??= epoch.fromNs;
    this.instructions += epoch.toPosition - epoch.fromPosition;
    if (detail !== undefined) this.times = 'first write';
    for (let i = 0; i < pages.length; i++) this.writes.add(detail === undefined ? epoch.toNs : detail.atNs[i], pages[i]);
    if (detail?.touched !== undefined) {
      this.touches ??= new TimelineBuilder();
      for (let i = 0; i < detail.touched.pages.length; i++) this.touches.add(detail.touched.atNs[i], detail.touched.pages[i]);
    }
    if (detail?.content === undefined && detail?.isZero !== undefined) {
      this.content ??= [];
      for (const zero of detail.isZero) this.content.push(zero, 0, 0);
    }
    if (detail?.content !== undefined) {
      this.knowsBytes = true;
      this.content ??= [];
      const { isZero, deltaBytes, compressedBytes } = detail.content;
      for (let i = 0; i < pages.length; i++) this.content.push(isZero[i], deltaBytes[i], compressedBytes[i]);
    }
    this.ends.push(epoch.toNs);
    return [];
  }

  finish(): readonly DirtyTruth[] {
    return [this.truth()];
  }

  /** Up to the last epoch that has ended. */
  truth(): DirtyTruth {
    const { options } = this;
    const pages = options.memoryBytes / PAGE_BYTES;
    const timeline = this.writes.build();
    const beginNs = this.beginNs ?? 0;
    const endNs = this.ends.at(-1) ?? beginNs;
    const totals = options.totals?.();
    for (const page of timeline.page) if (page >= pages) throw new RangeError(`page ${page} was written, but the guest has ${pages}`);
    const content = this.content === undefined && options.powerOn === undefined ? undefined : new SliceContent(timeline, this.content, options.powerOn, this.knowsBytes);
    return {
      name: options.name,
      pages,
      beginNs,
      endNs,
      timeline,
      epochEndsNs: Float64Array.from(this.ends),
      times: this.times,
      busyShare: endNs > beginNs ? Math.min(1, this.instructions / (endNs - beginNs)) : 1,
      ...(this.touches !== undefined && { touches: this.touches.build() }),
      ...(content !== undefined && { content }),
      ...(totals !== undefined && { inputBytes: stepsOf(totals.inputNs, totals.inputBytes) }),
      ...(options.deviceStateBytes !== undefined && { deviceStateBytes: options.deviceStateBytes }),
    };
  }

  save(): TruthState {
    return {
      writes: this.writes.columns(), touches: this.touches?.columns(), ends: [...this.ends], beginNs: this.beginNs, times: this.times, instructions: this.instructions,
      content: this.content === undefined ? undefined : [...this.content], knowsBytes: this.knowsBytes,
    }; // prettier-ignore
  }
  restore(state: TruthState): void {
    this.writes.restore(state.writes);
    this.touches = undefined;
    if (state.touches !== undefined) (this.touches = new TimelineBuilder()).restore(state.touches);
    this.ends = [...state.ends];
    this.beginNs = state.beginNs;
    this.times = state.times;
    this.instructions = state.instructions;
    this.content = state.content === undefined ? undefined : [...state.content];
    this.knowsBytes = state.knowsBytes;
  }
}

/** A function that has the value of the last step not after its argument. */
function stepsOf(atNs: readonly number[], value: readonly number[]): (ns: number) => number {
  return (ns) => {
    let low = 0;
    let high = atNs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (atNs[middle] <= ns) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : value[low - 1];
  };
}

// ---- curve ----

/** D(t0, dt) of a slice of time, and what it would be as a rate. */
export interface CurvePoint {
  /** Virtual ns. */
  readonly fromNs: number;
  readonly toNs: number;
  /** Distinct pages. */
  readonly pages: number;
  readonly pagesPerSecond: number;
  readonly bytesPerSecond: number;
}

export interface CurveState {
  readonly slice: number;
  readonly last: readonly (readonly [number, number])[];
  readonly pages: number;
  readonly reachedNs: number;
}

/** Distinct pages of one slice of time after the other. An epoch's pages count in the slice in which it ends, those of a replay where they are written first. */
export class CurveFold implements EpochFold<CurvePoint, CurveState> {
  private readonly sliceNs: number;
  private slice = 0;
  /** Slice in which a page was counted last. */
  private last = new Map<number, number>();
  private pages = 0;
  private reachedNs = 0;

  constructor(sliceNs: number) {
    if (!(sliceNs > 0)) throw new RangeError(`slices of ${sliceNs} ns`);
    this.sliceNs = sliceNs;
  }

  fold({ pages, toNs, detail }: DirtyEpoch): readonly CurvePoint[] {
    const done: CurvePoint[] = [];
    for (let i = 0; i < pages.length; i++) {
      // What ends with a slice belongs to it.
      this.moveTo(detail === undefined ? Math.ceil(toNs / this.sliceNs) - 1 : Math.floor(detail.atNs[i] / this.sliceNs), done);
      if (this.last.get(pages[i]) === this.slice) continue;
      this.last.set(pages[i], this.slice);
      this.pages++;
    }
    this.moveTo(Math.ceil(toNs / this.sliceNs) - 1, done);
    this.reachedNs = toNs;
    return done;
  }
  private moveTo(slice: number, done: CurvePoint[]): void {
    while (this.slice < slice) {
      done.push(this.point((this.slice + 1) * this.sliceNs));
      this.slice++;
      this.pages = 0;
    }
  }
  private point(toNs: number): CurvePoint {
    const fromNs = this.slice * this.sliceNs;
    const pagesPerSecond = (this.pages * 1e9) / Math.max(1, toNs - fromNs);
    return { fromNs, toNs, pages: this.pages, pagesPerSecond, bytesPerSecond: pagesPerSecond * PAGE_BYTES };
  }

  finish(): readonly CurvePoint[] {
    return this.reachedNs > this.slice * this.sliceNs ? [this.point(Math.min(this.reachedNs, (this.slice + 1) * this.sliceNs))] : [];
  }
  save(): CurveState {
    return { slice: this.slice, last: [...this.last], pages: this.pages, reachedNs: this.reachedNs };
  }
  restore({ slice, last, pages, reachedNs }: CurveState): void {
    this.slice = slice;
    this.last = new Map(last);
    this.pages = pages;
    this.reachedNs = reachedNs;
  }
}

// ---- working set ----

/** Denning's working set of writes: distinct pages written in the window before a moment. */
export interface WorkingSetPoint {
  /** Virtual ns: the end of an epoch. */
  readonly atNs: number;
  readonly pages: number;
  readonly bytes: number;
}

export interface WorkingSetState {
  readonly entries: TimelineColumns;
}

export class WorkingSetFold implements EpochFold<WorkingSetPoint, WorkingSetState> {
  private readonly windowNs: number;
  /** Entries in the window, the oldest first; what is before `head` has left. */
  private atNs: number[] = [];
  private page: number[] = [];
  private head = 0;
  private last = new Map<number, number>();

  constructor(windowNs: number) {
    if (!(windowNs > 0)) throw new RangeError(`a window of ${windowNs} ns`);
    this.windowNs = windowNs;
  }

  fold({ pages, toNs, detail }: DirtyEpoch): readonly WorkingSetPoint[] {
    for (let i = 0; i < pages.length; i++) this.add(detail === undefined ? toNs : detail.atNs[i], pages[i]);
    const oldest = toNs - this.windowNs;
    // An epoch that ends where the window begins lies before it.
    for (; this.head < this.atNs.length && (detail === undefined ? this.atNs[this.head] <= oldest : this.atNs[this.head] < oldest); this.head++) {
      if (this.last.get(this.page[this.head]) === this.atNs[this.head]) this.last.delete(this.page[this.head]);
    }
    if (this.head > 4096 && this.head * 2 > this.atNs.length) {
      this.atNs = this.atNs.slice(this.head);
      this.page = this.page.slice(this.head);
      this.head = 0;
    }
    return [{ atNs: toNs, pages: this.last.size, bytes: this.last.size * PAGE_BYTES }];
  }
  private add(atNs: number, page: number): void {
    this.atNs.push(atNs);
    this.page.push(page);
    this.last.set(page, atNs);
  }
  finish(): readonly WorkingSetPoint[] {
    return [];
  }
  save(): WorkingSetState {
    return { entries: { atNs: Float64Array.from(this.atNs.slice(this.head)), page: Uint32Array.from(this.page.slice(this.head)) } };
  }
  restore({ entries }: WorkingSetState): void {
    this.atNs = [];
    this.page = [];
    this.head = 0;
    this.last = new Map();
    for (let i = 0; i < entries.page.length; i++) this.add(entries.atNs[i], entries.page[i]);
  }
}

// ---- heat map ----

/** Page x time: in each cell the first writes (pages times epochs). */
export interface HeatMap {
  readonly pagesPerRow: number;
  readonly rows: number;
  /** Virtual ns of a column. */
  readonly columnNs: number;
  readonly columns: number;
  /** Row after row, `columns` each. */
  readonly counts: Uint32Array;
  readonly most: number;
}

export interface HeatState {
  readonly columnNs: number;
  readonly columns: number;
  readonly counts: Uint32Array;
}

/** At most 2 x `columnsMax` columns are kept: when a run is longer, two become one. So a heat map is bounded, however long the run. */
export class HeatFold implements EpochFold<HeatMap, HeatState> {
  private readonly rows: number;
  private readonly pagesPerRow: number;
  private readonly columnsMax: number;
  private columnNs: number;
  private columns = 0;
  private counts: Uint32Array;

  constructor(options: { readonly memoryBytes: number; readonly rows?: number; readonly columns?: number; readonly columnNs?: number }) {
    const pages = options.memoryBytes / PAGE_BYTES;
    this.pagesPerRow = Math.max(1, Math.ceil(pages / (options.rows ?? 128)));
    this.rows = Math.ceil(pages / this.pagesPerRow);
    this.columnsMax = (options.columns ?? 200) * 2;
    this.columnNs = options.columnNs ?? 100_000;
    this.counts = new Uint32Array(this.rows * this.columnsMax);
  }

  fold({ pages, toNs, detail }: DirtyEpoch): readonly HeatMap[] {
    for (let i = 0; i < pages.length; i++) {
      const at = detail === undefined ? Math.max(0, toNs - 1) : detail.atNs[i];
      while (at / this.columnNs >= this.columnsMax) this.halve();
      const column = Math.floor(at / this.columnNs);
      this.columns = Math.max(this.columns, column + 1);
      this.counts[Math.floor(pages[i] / this.pagesPerRow) * this.columnsMax + column]++;
    }
    while (toNs / this.columnNs > this.columnsMax) this.halve();
    this.columns = Math.max(this.columns, Math.ceil(toNs / this.columnNs));
    return [];
  }
  private halve(): void {
    const halved = new Uint32Array(this.counts.length);
    for (let row = 0; row < this.rows; row++) {
      const base = row * this.columnsMax;
      for (let column = 0; column < this.columns; column++) halved[base + (column >>> 1)] += this.counts[base + column];
    }
    this.counts = halved;
    this.columns = Math.ceil(this.columns / 2);
    this.columnNs *= 2;
  }

  finish(): readonly HeatMap[] {
    return [this.map()];
  }
  map(): HeatMap {
    const counts = new Uint32Array(this.rows * this.columns);
    let most = 0;
    for (let row = 0; row < this.rows; row++) {
      for (let column = 0; column < this.columns; column++) {
        const count = this.counts[row * this.columnsMax + column];
        counts[row * this.columns + column] = count;
        most = Math.max(most, count);
      }
    }
    return { pagesPerRow: this.pagesPerRow, rows: this.rows, columnNs: this.columnNs, columns: this.columns, counts, most };
  }
  save(): HeatState {
    return { columnNs: this.columnNs, columns: this.columns, counts: this.counts.slice() };
  }
  restore({ columnNs, columns, counts }: HeatState): void {
    if (counts.length !== this.counts.length) throw new RangeError('the state is of a heat map of another size');
    this.columnNs = columnNs;
    this.columns = columns;
    this.counts = counts.slice();
  }
}

/**
 * What a profile remembers of exits, whether they come from a log, a replay, a regime or an imported trace: columns of typed arrays.
 *
 * One *cell* for each combination of reason, handler class, target (port, MSR, ...), rip and phase. Every answer is a sum over cells, so no view costs anything while
 * events come in. Beside the cells: the times between exits of each reason, slices of time, and phases. All of it is bounded:
 *
 *     cells of a rip      CELLS_MAX, then the rips that come new share one cell for each reason, handler, target and phase
 *     cells of a target   TARGET_CELLS_MAX more, then one for each reason, handler and phase
 *     phases, reasons     PHASES_MAX, REASONS_MAX, then those that come new share one
 *     slices              SLICES; when time goes beyond the last, two become one
 *
 * What shares a cell is told by `coarse`; sums by reason stay exact.
 *
 * Most exits repeat what the same cell has had before, at the same cost: a *run*. An exit of a run that is known is counted there and nowhere else; its cell's sums and histogram get all of them when somebody asks.
 *
 *     exit ──► run (cell, cost): count, last time ──(save, sum, costsOf)──► cell: sums, histogram
 *      └────► times between exits of the reason, slice of time
 */
import { BUCKETS, record, recordMany } from './histogram.ts';
import type { Cycles } from '../../regimes/regime.ts';

export const CELLS_MAX = 8192;
export const TARGET_CELLS_MAX = 4096;
export const PHASES_MAX = 256;
export const REASONS_MAX = 1024;
export const SLICES = 512;
/** ns. A power of two, so that times divide exactly. */
const SLICE_WIDTH_FIRST = 65_536;

export const TARGET_NONE = 0;
export const TARGET_PORT = 1;
export const TARGET_MSR = 2;
/** Guest-physical address of a device register. */
export const TARGET_GPA = 3;
export const TARGET_CR = 4;
export const TARGET_DR = 5;
export const TARGET_VECTOR = 6;
/** Level of a page table. */
export const TARGET_LEVEL = 7;

/** For exits of which no regime says who handles them. */
export const HANDLER_UNKNOWN = 255;

/** What shares a cell: nothing, rips, targets (and rips). Or there is no instruction: interrupts for the host, costs of a whole phase. */
export const COARSE_NONE = 0;
export const COARSE_RIP = 1;
export const COARSE_TARGET = 2;
export const COARSE_ASYNCHRONOUS = 3;

export interface Phase {
  readonly name: string;
  /** ns and instructions since power-on. */
  readonly fromNs: number;
  readonly fromPosition: number;
}

/** Structured-cloneable: what `restore` needs to go on. */
export interface ExitTableState {
  readonly cells: number;
  readonly integers: readonly Uint32Array[];
  readonly sums: Float64Array;
  readonly histogram: Uint32Array;
  readonly reasons: number;
  readonly reasonCodes: Int32Array;
  readonly reasonNumbers: Float64Array;
  readonly reasonHistogram: Uint32Array;
  readonly slices: Float64Array;
  readonly sliceWidthNs: number;
  readonly sliceBaseNs: number | undefined;
  readonly phases: readonly Phase[];
  readonly phase: number;
  readonly phaseNames: readonly (readonly [string, number])[];
}

const SLICE_COLUMNS = 4;
export const SLICE_EXITS = 0;
export const SLICE_IDLE_EXITS = 1;
/** Typical cost of the exits that are not idle. */
export const SLICE_COST = 2;
export const SLICE_IDLE_NS = 3;

const REASON_COLUMNS = 4;
const GAP_LAST = 0;
const GAP_COUNT = 1;
const GAP_MIN = 2;
const GAP_MAX = 3;

/** What a reason code beyond REASONS_MAX becomes. */
export const REASON_OTHER = 0x7fff_ffff;

/** Columns of a cell's sums. The costs are of exits whose cost is known (CELL_COSTED). */
export const CELL_LAST_NS = 0;
/** Row of the reason among the times between exits. */
const CELL_GAP_ROW = 1;
/** 1 if the exit is sleep rather than work. */
export const CELL_IDLE = 2;
export const CELL_COUNT = 3;
export const CELL_FIRST_NS = 4;
export const CELL_COSTED = 5;
export const CELL_LOW = 6;
export const CELL_TYPICAL = 7;
export const CELL_HIGH = 8;
export const CELL_MIN = 9;
export const CELL_MAX = 10;
const CELL_COLUMNS = 11;

/** Integers of a run, half a cache line. The reason and the handler are those that runOf() was given. */
const RUN_REASON = 0;
const RUN_HANDLER = 1;
const RUN_CELL = 2;
/** The next run of the cell; -1 for none. */
const RUN_NEXT = 3;
/** Where the numbers and the histogram of its reason begin. */
const RUN_GAP = 4;
const RUN_HISTOGRAM = 5;
const RUN_IDLE = 6;
const RUN_INTEGERS = 8;
/** Exits that are not in the sums of the cell yet, and when the last was. */
const RUN_COUNT = 0;
const RUN_LAST_NS = 1;
const RUN_NUMBERS = 2;
/** Of one cell. A technique has a few costs for each reason and handler; if there are more, the last run is used again for the new one. */
const CELL_RUNS_MAX = 8;
/** Reason, target (2), rip (2), and the rest in one: half a cache line. */
const KEY_WORDS = 8;

export class ExitTable {
  cells = 0;
  reason = new Uint32Array(64);
  handler = new Uint32Array(64);
  targetKind = new Uint32Array(64);
  targetLo = new Uint32Array(64);
  targetHi = new Uint32Array(64);
  ripLo = new Uint32Array(64);
  ripHi = new Uint32Array(64);
  phaseOf = new Uint32Array(64);
  coarse = new Uint32Array(64);
  /** The columns above side by side, for look-ups: KEY_WORDS of each cell. */
  private keys = new Uint32Array(64 * KEY_WORDS);
  /** Sums of each cell side by side, so that an exit touches few cache lines: CELL_*. */
  private sums = new Float64Array(64 * CELL_COLUMNS);
  private costs = new Uint32Array(0);

  private runs = 0;
  private runIntegers = new Int32Array(64 * RUN_INTEGERS);
  private runNumbers = new Float64Array(64 * RUN_NUMBERS);
  /** Undefined: the cost is not known. */
  private runCycles: (Cycles | undefined)[] = [];
  /** Of each cell; -1 for none. */
  private firstRuns = new Int32Array(64).fill(-1);

  reasons = 0;
  reasonCodes = new Int32Array(REASONS_MAX + 1);
  reasonNumbers = new Float64Array((REASONS_MAX + 1) * REASON_COLUMNS);
  reasonHistogram = new Uint32Array(0);
  private readonly reasonRows = new Map<number, number>();

  slices = new Float64Array(SLICES * SLICE_COLUMNS);
  sliceWidthNs = SLICE_WIDTH_FIRST;
  /** Where slice 0 begins; known with the first time. */
  sliceBaseNs: number | undefined;
  private sliceAt = 0;
  private sliceFromNs = Infinity;
  private sliceToNs = -Infinity;

  phases: Phase[] = [{ name: 'start', fromNs: 0, fromPosition: 0 }];
  phase = 0;
  private readonly phaseNames = new Map<string, number>();

  /** By cell. */
  private leaves: number[] = [];
  private readonly leafCells = new Map<string, number>();

  private slots = new Int32Array(256).fill(-1);
  private readonly isIdle: (reason: number, handler: number) => boolean;

  /** `isIdle` says which exits are sleep rather than work. */
  constructor(isIdle: (reason: number, handler: number) => boolean) {
    this.isIdle = isIdle;
  }

  /** The cell of an exit in the phase of now. */
  cellOf(reason: number, handler: number, targetKind: number, targetLo: number, targetHi: number, ripLo: number, ripHi: number): number {
    const code = this.reasonCodes[this.reasonRow(reason)] === -1 ? REASON_OTHER : reason;
    let cell = this.find(code, handler, targetKind, targetLo, targetHi, ripLo, ripHi, COARSE_NONE, this.cells < CELLS_MAX);
    if (cell >= 0) return cell;
    cell = this.find(code, handler, targetKind, targetLo, targetHi, 0, 0, COARSE_RIP, this.cells < CELLS_MAX + TARGET_CELLS_MAX);
    return cell >= 0 ? cell : this.find(code, handler, TARGET_NONE, 0, 0, 0, 0, COARSE_TARGET, true);
  }

  /** The cell of an exit that no instruction of the guest makes. */
  asynchronousCell(reason: number, handler: number): number {
    const code = this.reasonCodes[this.reasonRow(reason)] === -1 ? REASON_OTHER : reason;
    return this.find(code, handler, TARGET_NONE, 0, 0, 0, 0, COARSE_ASYNCHRONOUS, true);
  }

  /** An exit happens: for the times between exits of a reason. Times of a reason do not go back; where they do, the gap counts as 0. */
  arrive(reason: number, ns: number): void {
    this.gap(this.reasonRow(reason), ns);
  }

  /** The same and `add`, for a cell that is known. */
  arriveAt(cell: number, ns: number): void {
    this.gap(this.sums[cell * CELL_COLUMNS + CELL_GAP_ROW], ns);
    this.add(cell, ns);
  }

  /** True if exits of a run are of this reason, handler and cost. */
  isRun(run: number, reason: number, handler: number, cycles: Cycles | undefined): boolean {
    const { runIntegers } = this;
    const at = run * RUN_INTEGERS;
    return runIntegers[at + RUN_REASON] === reason && runIntegers[at + RUN_HANDLER] === handler && this.runCycles[run] === cycles;
  }

  /** The run of exits of a cell at this cost (the same object each time), the first of which happens at `ns`. */
  runOf(cell: number, reason: number, handler: number, cycles: Cycles | undefined, ns: number): number {
    let last = -1;
    let length = 0;
    for (let run = this.firstRuns[cell]; run >= 0; run = this.runIntegers[run * RUN_INTEGERS + RUN_NEXT]) {
      if (this.isRun(run, reason, handler, cycles)) return run;
      last = run;
      length++;
    }
    const { sums } = this;
    const at = cell * CELL_COLUMNS;
    if (last < 0 && sums[at + CELL_COUNT] === 0) sums[at + CELL_FIRST_NS] = ns;
    if (cycles !== undefined) this.bound(at, cycles.typical);
    let run = last;
    if (length === CELL_RUNS_MAX) {
      this.endRun(run);
    } else {
      run = this.addRun();
      if (last < 0) this.firstRuns[cell] = run;
      else this.runIntegers[last * RUN_INTEGERS + RUN_NEXT] = run;
    }
    const gapRow = sums[at + CELL_GAP_ROW];
    const next = -1;
    this.runIntegers.set([reason, handler, cell, next, gapRow * REASON_COLUMNS, gapRow * BUCKETS, sums[at + CELL_IDLE]], run * RUN_INTEGERS);
    this.runCycles[run] = cycles;
    return run;
  }

  /** The same, at whatever cost. */
  isRunOf(run: number, reason: number, handler: number): boolean {
    return this.runIntegers[run * RUN_INTEGERS + RUN_REASON] === reason && this.runIntegers[run * RUN_INTEGERS + RUN_HANDLER] === handler;
  }

  /** The cell of a run. */
  cellOfRun(run: number): number {
    return this.runIntegers[run * RUN_INTEGERS + RUN_CELL];
  }

  /** An exit of a run happens. `typical`: its cost, 0 if that is not known. The way of nearly every event. */
  arriveRun(run: number, ns: number, typical: number): void {
    const { runIntegers, runNumbers, reasonNumbers } = this;
    const at = run * RUN_INTEGERS;
    const numbers = run * RUN_NUMBERS;
    runNumbers[numbers + RUN_COUNT]++;
    runNumbers[numbers + RUN_LAST_NS] = ns;
    const gapAt = runIntegers[at + RUN_GAP];
    const last = reasonNumbers[gapAt + GAP_LAST];
    reasonNumbers[gapAt + GAP_LAST] = ns;
    if (last !== -1) {
      const gap = ns > last ? ns - last : 0;
      if (gap < reasonNumbers[gapAt + GAP_MIN]) reasonNumbers[gapAt + GAP_MIN] = gap;
      if (gap > reasonNumbers[gapAt + GAP_MAX]) reasonNumbers[gapAt + GAP_MAX] = gap;
      reasonNumbers[gapAt + GAP_COUNT]++;
      record(this.reasonHistogram, runIntegers[at + RUN_HISTOGRAM], gap);
    }
    if (ns < this.sliceFromNs || ns >= this.sliceToNs) this.sliceOf(ns);
    const { slices } = this;
    const slice = this.sliceAt * SLICE_COLUMNS;
    if (runIntegers[at + RUN_IDLE] !== 0) {
      slices[slice + SLICE_IDLE_EXITS]++;
    } else {
      slices[slice + SLICE_EXITS]++;
      slices[slice + SLICE_COST] += typical;
    }
  }

  /** The exit that arriveRun() was told of last happens so many times more, at the same time: no matter how many, it takes as long as one. */
  arriveAgain(run: number, typical: number, times: number): void {
    const { runIntegers, slices, reasonNumbers } = this;
    const at = run * RUN_INTEGERS;
    const gapAt = runIntegers[at + RUN_GAP];
    reasonNumbers[gapAt + GAP_MIN] = Math.min(reasonNumbers[gapAt + GAP_MIN], 0);
    reasonNumbers[gapAt + GAP_MAX] = Math.max(reasonNumbers[gapAt + GAP_MAX], 0);
    reasonNumbers[gapAt + GAP_COUNT] += times;
    recordMany(this.reasonHistogram, runIntegers[at + RUN_HISTOGRAM], 0, times);
    this.runNumbers[run * RUN_NUMBERS + RUN_COUNT] += times;
    const slice = this.sliceAt * SLICE_COLUMNS;
    if (runIntegers[at + RUN_IDLE] !== 0) {
      slices[slice + SLICE_IDLE_EXITS] += times;
    } else {
      slices[slice + SLICE_EXITS] += times;
      slices[slice + SLICE_COST] += typical * times;
    }
  }

  private gap(row: number, ns: number): void {
    const numbers = this.reasonNumbers;
    const at = row * REASON_COLUMNS;
    const last = numbers[at + GAP_LAST];
    numbers[at + GAP_LAST] = ns;
    if (last === -1) return;
    const gap = ns > last ? ns - last : 0;
    if (gap < numbers[at + GAP_MIN]) numbers[at + GAP_MIN] = gap;
    if (gap > numbers[at + GAP_MAX]) numbers[at + GAP_MAX] = gap;
    numbers[at + GAP_COUNT]++;
    record(this.reasonHistogram, row * BUCKETS, gap);
  }

  /** An exit whose cost is not known. */
  add(cell: number, ns: number): void {
    const { sums } = this;
    const at = cell * CELL_COLUMNS;
    if (sums[at + CELL_COUNT]++ === 0 && this.firstRuns[cell] < 0) sums[at + CELL_FIRST_NS] = ns;
    sums[at + CELL_LAST_NS] = ns;
    this.slices[this.sliceOf(ns) * SLICE_COLUMNS + (sums[at + CELL_IDLE] !== 0 ? SLICE_IDLE_EXITS : SLICE_EXITS)]++;
  }

  /** An exit and what it costs, where costs do not repeat. */
  addCost(cell: number, ns: number, { low, typical, high }: Cycles): void {
    this.add(cell, ns);
    const { sums } = this;
    const at = cell * CELL_COLUMNS;
    sums[at + CELL_COSTED]++;
    sums[at + CELL_LOW] += low;
    sums[at + CELL_TYPICAL] += typical;
    sums[at + CELL_HIGH] += high;
    this.bound(at, typical);
    record(this.costs, cell * BUCKETS, typical);
    if (sums[at + CELL_IDLE] === 0) this.slices[this.sliceAt * SLICE_COLUMNS + SLICE_COST] += typical;
  }

  private bound(at: number, typical: number): void {
    const { sums } = this;
    if (typical < sums[at + CELL_MIN]) sums[at + CELL_MIN] = typical;
    if (typical > sums[at + CELL_MAX]) sums[at + CELL_MAX] = typical;
  }

  private addRun(): number {
    const run = this.runs++;
    if (run * RUN_INTEGERS === this.runIntegers.length) {
      const integers = new Int32Array(this.runIntegers.length * 2);
      integers.set(this.runIntegers);
      this.runIntegers = integers;
      const numbers = new Float64Array(this.runNumbers.length * 2);
      numbers.set(this.runNumbers);
      this.runNumbers = numbers;
    }
    return run;
  }

  private endRuns(cell: number): void {
    for (let run = this.firstRuns[cell]; run >= 0; run = this.runIntegers[run * RUN_INTEGERS + RUN_NEXT]) this.endRun(run);
  }

  private endRun(run: number): void {
    const { sums, runNumbers } = this;
    const numbers = run * RUN_NUMBERS;
    const count = runNumbers[numbers + RUN_COUNT];
    if (count === 0) return;
    runNumbers[numbers + RUN_COUNT] = 0;
    const cell = this.cellOfRun(run);
    const at = cell * CELL_COLUMNS;
    sums[at + CELL_COUNT] += count;
    sums[at + CELL_LAST_NS] = Math.max(sums[at + CELL_LAST_NS], runNumbers[numbers + RUN_LAST_NS]);
    const cycles = this.runCycles[run];
    if (cycles === undefined) return;
    sums[at + CELL_COSTED] += count;
    sums[at + CELL_LOW] += cycles.low * count;
    sums[at + CELL_TYPICAL] += cycles.typical * count;
    sums[at + CELL_HIGH] += cycles.high * count;
    recordMany(this.costs, cell * BUCKETS, cycles.typical, count);
  }

  /** The histogram of a cell's costs. */
  costsOf(cell: number): Uint32Array {
    this.endRuns(cell);
    return this.costs.subarray(cell * BUCKETS, (cell + 1) * BUCKETS);
  }

  /** One of the sums of a cell: CELL_*. */
  sum(cell: number, column: number): number {
    this.endRuns(cell);
    return this.sums[cell * CELL_COLUMNS + column];
  }

  /** The first cell with the same reason, target and side: what is left of an exit without who made it, and when. */
  leafOf(cell: number): number {
    for (let each = this.leaves.length; each <= cell; each++) {
      const key = `${this.reason[each]} ${this.targetKind[each]} ${this.targetLo[each]} ${this.targetHi[each]} ${this.isIdleCell(each) ? 1 : 0}`;
      const first = this.leafCells.get(key);
      if (first === undefined) this.leafCells.set(key, each);
      this.leaves.push(first ?? each);
    }
    return this.leaves[cell];
  }

  isIdleCell(cell: number): boolean {
    return this.sums[cell * CELL_COLUMNS + CELL_IDLE] !== 0;
  }

  /** The guest sleeps. */
  addIdle(ns: number, durationNs: number): void {
    const end = ns + durationNs;
    for (let from = ns; from < end; ) {
      // The far end first: it decides how wide slices are.
      if (from === ns) this.sliceOf(end);
      const slice = this.sliceOf(from);
      const to = Math.min(end, this.sliceToNs);
      this.slices[slice * SLICE_COLUMNS + SLICE_IDLE_NS] += to - from;
      from = to;
    }
  }

  /** A mark: what comes next belongs to another phase. A name that comes again gets a number. */
  startPhase(name: string, ns: number, position: number): void {
    if (this.phases.length > PHASES_MAX) return;
    const isLast = this.phases.length === PHASES_MAX;
    const times = (this.phaseNames.get(name) ?? 0) + 1;
    this.phaseNames.set(name, times);
    this.phase = this.phases.length;
    this.phases.push({ name: isLast ? '(later phases)' : times === 1 ? name : `${name} #${times}`, fromNs: ns, fromPosition: position });
  }

  /** What comes next belongs to this phase, which may have been used before: virtual CPUs take turns. */
  usePhase(name: string): void {
    let phase = this.phaseNames.get(name);
    if (phase === undefined) {
      const isFull = this.phases.length >= PHASES_MAX;
      phase = isFull ? PHASES_MAX : this.phases.length;
      if (phase === this.phases.length) this.phases.push({ name: isFull ? '(others)' : name, fromNs: 0, fromPosition: 0 });
      if (!isFull) this.phaseNames.set(name, phase);
    }
    this.phase = phase;
  }

  /** Times between exits of a reason: how many, and the rest for a summary. */
  gapsOf(reason: number): { readonly count: number; readonly min: number; readonly max: number; readonly offset: number } | undefined {
    const row = this.reasonRows.get(reason === REASON_OTHER ? -1 : reason);
    if (row === undefined) return undefined;
    const at = row * REASON_COLUMNS;
    return { count: this.reasonNumbers[at + GAP_COUNT], min: this.reasonNumbers[at + GAP_MIN], max: this.reasonNumbers[at + GAP_MAX], offset: row * BUCKETS };
  }

  save(): ExitTableState {
    for (let cell = 0; cell < this.cells; cell++) this.endRuns(cell);
    return {
      cells: this.cells,
      integers: this.integerColumns().map((column) => column.slice(0, this.cells)),
      sums: this.sums.slice(0, this.cells * CELL_COLUMNS),
      histogram: this.costs.slice(0, this.cells * BUCKETS),
      reasons: this.reasons,
      reasonCodes: this.reasonCodes.slice(),
      reasonNumbers: this.reasonNumbers.slice(),
      reasonHistogram: this.reasonHistogram.slice(),
      slices: this.slices.slice(),
      sliceWidthNs: this.sliceWidthNs,
      sliceBaseNs: this.sliceBaseNs,
      phases: [...this.phases],
      phase: this.phase,
      phaseNames: [...this.phaseNames],
    };
  }

  restore(state: ExitTableState): void {
    while (this.capacity < state.cells) this.grow();
    for (const [i, column] of this.integerColumns().entries()) column.set(state.integers[i]);
    this.sums.set(state.sums);
    if (this.costs.length < state.histogram.length) this.costs = new Uint32Array(this.capacity * BUCKETS);
    this.costs.fill(0);
    this.costs.set(state.histogram);
    this.runs = 0;
    this.runNumbers.fill(0);
    this.runCycles = [];
    this.firstRuns.fill(-1);
    this.cells = state.cells;
    this.reasons = state.reasons;
    this.reasonCodes.set(state.reasonCodes);
    this.reasonNumbers.set(state.reasonNumbers);
    this.reasonHistogram = state.reasonHistogram.slice();
    this.reasonRows.clear();
    for (let i = 0; i < this.reasons; i++) this.reasonRows.set(this.reasonCodes[i], i);
    this.slices.set(state.slices);
    this.sliceWidthNs = state.sliceWidthNs;
    this.sliceBaseNs = state.sliceBaseNs;
    this.sliceFromNs = Infinity;
    this.sliceToNs = -Infinity;
    this.phases = [...state.phases];
    this.phase = state.phase;
    this.phaseNames.clear();
    for (const [name, times] of state.phaseNames) this.phaseNames.set(name, times);
    this.leaves = [];
    this.leafCells.clear();
    this.index();
  }

  private get capacity(): number {
    return this.reason.length;
  }

  private integerColumns(): Uint32Array[] {
    return [this.reason, this.handler, this.targetKind, this.targetLo, this.targetHi, this.ripLo, this.ripHi, this.phaseOf, this.coarse];
  }

  /** The row of a reason; REASONS_MAX for all that come when the table is full. */
  private reasonRow(reason: number): number {
    const known = this.reasonRows.get(reason);
    if (known !== undefined) return known;
    let code = reason;
    if (this.reasons >= REASONS_MAX) {
      code = -1;
      const other = this.reasonRows.get(code);
      if (other !== undefined) return other;
    }
    const row = this.reasons++;
    this.reasonCodes[row] = code;
    this.reasonRows.set(code, row);
    const at = row * REASON_COLUMNS;
    this.reasonNumbers[at + GAP_LAST] = -1;
    this.reasonNumbers[at + GAP_MIN] = Infinity;
    this.reasonNumbers[at + GAP_MAX] = -Infinity;
    const needed = (row + 1) * BUCKETS;
    if (this.reasonHistogram.length < needed) {
      const larger = new Uint32Array(Math.max(needed, this.reasonHistogram.length * 2));
      larger.set(this.reasonHistogram);
      this.reasonHistogram = larger;
    }
    return row;
  }

  private find(reason: number, handler: number, targetKind: number, targetLo: number, targetHi: number, ripLo: number, ripHi: number, coarse: number, mayInsert: boolean): number {
    const mask = this.slots.length - 1;
    const phase = this.phase;
    const { keys, slots } = this;
    const rest = restOf(handler, targetKind, phase, coarse);
    for (let slot = hashOf(reason, handler, targetKind, targetLo, ripLo, phase, coarse) & mask; ; slot = (slot + 1) & mask) {
      const cell = slots[slot];
      if (cell < 0) {
        if (!mayInsert) return -1;
        if (this.cells === this.capacity) this.grow();
        const made = this.cells++;
        this.reason[made] = reason;
        this.handler[made] = handler;
        this.targetKind[made] = targetKind;
        this.targetLo[made] = targetLo;
        this.targetHi[made] = targetHi;
        this.ripLo[made] = ripLo;
        this.ripHi[made] = ripHi;
        this.phaseOf[made] = phase;
        this.coarse[made] = coarse;
        this.setKey(made);
        const at = made * CELL_COLUMNS;
        this.sums[at + CELL_MIN] = Infinity;
        this.sums[at + CELL_MAX] = -Infinity;
        this.sums[at + CELL_IDLE] = this.isIdle(reason, handler) ? 1 : 0;
        this.sums[at + CELL_GAP_ROW] = this.reasonRow(reason === REASON_OTHER ? -1 : reason);
        this.slots[slot] = made;
        if (this.cells * 2 > this.slots.length) this.index();
        return made;
      }
      const key = cell * KEY_WORDS;
      if (
        keys[key + 3] === ripLo >>> 0 && keys[key] === reason && keys[key + 5] === rest && keys[key + 1] === targetLo >>> 0 && keys[key + 2] === targetHi >>> 0 && keys[key + 4] === ripHi >>> 0
      ) return cell;
    }
  }

  private setKey(cell: number): void {
    const { keys, reason, targetLo, targetHi, ripLo, ripHi, handler, targetKind, phaseOf, coarse } = this;
    keys.set([reason[cell], targetLo[cell], targetHi[cell], ripLo[cell], ripHi[cell], restOf(handler[cell], targetKind[cell], phaseOf[cell], coarse[cell])], cell * KEY_WORDS);
  }

  private index(): void {
    let size = 256;
    while (size < this.cells * 4) size *= 2;
    this.slots = new Int32Array(size).fill(-1);
    for (let cell = 0; cell < this.cells; cell++) {
      let slot = hashOf(this.reason[cell], this.handler[cell], this.targetKind[cell], this.targetLo[cell], this.ripLo[cell], this.phaseOf[cell], this.coarse[cell]) & (size - 1);
      while (this.slots[slot] >= 0) slot = (slot + 1) & (size - 1);
      this.slots[slot] = cell;
      this.setKey(cell);
    }
  }

  private grow(): void {
    const integer = (column: Uint32Array): Uint32Array<ArrayBuffer> => {
      const larger = new Uint32Array(column.length * 2);
      larger.set(column);
      return larger;
    };
    this.reason = integer(this.reason);
    this.handler = integer(this.handler);
    this.targetKind = integer(this.targetKind);
    this.targetLo = integer(this.targetLo);
    this.targetHi = integer(this.targetHi);
    this.ripLo = integer(this.ripLo);
    this.ripHi = integer(this.ripHi);
    this.phaseOf = integer(this.phaseOf);
    this.coarse = integer(this.coarse);
    this.keys = integer(this.keys);
    const firstRuns = new Int32Array(this.capacity).fill(-1);
    firstRuns.set(this.firstRuns);
    this.firstRuns = firstRuns;
    const sums = new Float64Array(this.sums.length * 2);
    sums.set(this.sums);
    this.sums = sums;
    if (this.costs.length > 0) this.withCosts();
  }

  /** The slice of a time. Afterwards sliceFromNs and sliceToNs are its bounds. */
  private sliceOf(ns: number): number {
    if (ns >= this.sliceFromNs && ns < this.sliceToNs) return this.sliceAt;
    if (this.sliceBaseNs === undefined) this.sliceBaseNs = ns;
    let at = Math.max(0, Math.floor((ns - this.sliceBaseNs) / this.sliceWidthNs));
    while (at >= SLICES) {
      this.halveSlices();
      at = Math.floor((ns - this.sliceBaseNs) / this.sliceWidthNs);
    }
    this.sliceAt = at;
    this.sliceFromNs = at === 0 ? -Infinity : this.sliceBaseNs + at * this.sliceWidthNs;
    this.sliceToNs = this.sliceBaseNs + (at + 1) * this.sliceWidthNs;
    return at;
  }

  private halveSlices(): void {
    const { slices } = this;
    for (let i = 0; i < SLICES / 2; i++) {
      for (let j = 0; j < SLICE_COLUMNS; j++) slices[i * SLICE_COLUMNS + j] = slices[2 * i * SLICE_COLUMNS + j] + slices[(2 * i + 1) * SLICE_COLUMNS + j];
    }
    slices.fill(0, (SLICES / 2) * SLICE_COLUMNS);
    this.sliceWidthNs *= 2;
  }

  /** Room for the costs of all cells there are. Called before an exit with a cost is told of. */
  withCosts(): this {
    if (this.costs.length < this.capacity * BUCKETS) {
      const larger = new Uint32Array(this.capacity * BUCKETS);
      larger.set(this.costs);
      this.costs = larger;
    }
    return this;
  }

  /** One column of a slice: SLICE_*. */
  sliceValue(slice: number, column: number): number {
    return this.slices[slice * SLICE_COLUMNS + column];
  }
}

/** Handlers and phases are below 512. */
function restOf(handler: number, targetKind: number, phase: number, coarse: number): number {
  return (handler | (phase << 9) | (targetKind << 18) | (coarse << 22)) >>> 0;
}

function hashOf(reason: number, handler: number, targetKind: number, targetLo: number, ripLo: number, phase: number, coarse: number): number {
  let hash = Math.imul(reason + (targetKind << 12) + (coarse << 16) + (phase << 20) + (handler << 4), 0x9e37_79b1);
  hash = Math.imul(hash ^ (hash >>> 15) ^ targetLo, 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13) ^ ripLo, 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/**
 * What a profile remembers of exits by task and by call stack, beside its cells. One row for each stack, task and leaf (reason, target, side), without the
 * histograms that cells have; one for each task and side, with them. Bounded:
 *
 *     rows       CONTEXT_ROWS_MAX, then those that come new share one for each leaf
 *     tasks      TASKS_MAX, then those that come new share one
 */
import { BUCKETS, record } from './histogram.ts';

export const CONTEXT_ROWS_MAX = 1 << 16;
export const TASKS_MAX = 1024;
/** Stack or task of what shares a row. */
export const CONTEXT_OTHER = 0xffff_ffff;

export const SUM_COUNT = 0;
export const SUM_COSTED = 1;
export const SUM_LOW = 2;
export const SUM_TYPICAL = 3;
export const SUM_HIGH = 4;
export const SUM_MIN = 5;
export const SUM_MAX = 6;
export const SUM_FIRST_NS = 7;
export const SUM_LAST_NS = 8;
const SUM_COLUMNS = 9;

/** Structured-cloneable. The ids are those of the names that the fold was given. */
export interface ContextTableState {
  readonly keys: Uint32Array;
  readonly sums: Float64Array;
  readonly taskKeys: Uint32Array;
  readonly taskSums: Float64Array;
  readonly taskHistogram: Uint32Array;
}

/** Rows of a few numbers that name them, and sums; found by hash. */
class KeyedSums {
  keys: Uint32Array<ArrayBuffer>;
  sums = new Float64Array(64 * SUM_COLUMNS);
  count = 0;
  private readonly width: number;
  private slots = new Int32Array(256).fill(-1);

  constructor(width: number) {
    this.width = width;
    this.keys = new Uint32Array(64 * width);
  }

  /** -1 if there is none and none may be made. */
  find(a: number, b: number, c: number, mayInsert: boolean): number {
    const mask = this.slots.length - 1;
    for (let slot = hashOf(a, b, c) & mask; ; slot = (slot + 1) & mask) {
      const row = this.slots[slot];
      if (row >= 0) {
        const at = row * this.width;
        if (this.keys[at] === a && this.keys[at + 1] === b && (this.width === 2 || this.keys[at + 2] === c)) return row;
        continue;
      }
      if (!mayInsert) return -1;
      const made = this.count++;
      if ((made + 1) * SUM_COLUMNS > this.sums.length) this.grow();
      this.keys[made * this.width] = a;
      this.keys[made * this.width + 1] = b;
      if (this.width === 3) this.keys[made * 3 + 2] = c;
      this.sums[made * SUM_COLUMNS + SUM_MIN] = Infinity;
      this.sums[made * SUM_COLUMNS + SUM_MAX] = -Infinity;
      this.slots[slot] = made;
      if (this.count * 2 > this.slots.length) this.index();
      return made;
    }
  }

  add(row: number, ns: number, isCosted: boolean, low: number, typical: number, high: number): void {
    const { sums } = this;
    const at = row * SUM_COLUMNS;
    if (sums[at]++ === 0) sums[at + SUM_FIRST_NS] = ns;
    sums[at + SUM_LAST_NS] = ns;
    if (!isCosted) return;
    sums[at + SUM_COSTED]++;
    sums[at + SUM_LOW] += low;
    sums[at + SUM_TYPICAL] += typical;
    sums[at + SUM_HIGH] += high;
    if (typical < sums[at + SUM_MIN]) sums[at + SUM_MIN] = typical;
    if (typical > sums[at + SUM_MAX]) sums[at + SUM_MAX] = typical;
  }

  sum(row: number, column: number): number {
    return this.sums[row * SUM_COLUMNS + column];
  }

  save(): { readonly keys: Uint32Array; readonly sums: Float64Array } {
    return { keys: this.keys.slice(0, this.count * this.width), sums: this.sums.slice(0, this.count * SUM_COLUMNS) };
  }

  restore(keys: Uint32Array, sums: Float64Array): void {
    this.count = keys.length / this.width;
    while (this.sums.length < sums.length) this.grow();
    this.keys.set(keys);
    this.sums.set(sums);
    this.index();
  }

  private grow(): void {
    const keys = new Uint32Array(this.keys.length * 2);
    keys.set(this.keys);
    this.keys = keys;
    const sums = new Float64Array(this.sums.length * 2);
    sums.set(this.sums);
    this.sums = sums;
  }

  private index(): void {
    let size = 256;
    while (size < this.count * 4) size *= 2;
    this.slots = new Int32Array(size).fill(-1);
    for (let row = 0; row < this.count; row++) {
      const at = row * this.width;
      let slot = hashOf(this.keys[at], this.keys[at + 1], this.width === 3 ? this.keys[at + 2] : 0) & (size - 1);
      while (this.slots[slot] >= 0) slot = (slot + 1) & (size - 1);
      this.slots[slot] = row;
    }
  }
}

function hashOf(a: number, b: number, c: number): number {
  let hash = Math.imul(a, 0x9e37_79b1) ^ Math.imul(b + 1, 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 15) ^ c, 0xc2b2_ae35);
  return (hash ^ (hash >>> 13)) >>> 0;
}

export class ContextTable {
  private readonly contexts = new KeyedSums(3);
  private readonly byTask = new KeyedSums(2);
  private histogram = new Uint32Array(0);
  private readonly rowsMax: number;

  constructor(rowsMax = CONTEXT_ROWS_MAX) {
    this.rowsMax = rowsMax;
  }

  /** `leaf`: any number for what the exit is, the same for the same side. An exit without a known cost has `isCosted` false. */
  add(stack: number, task: number, leaf: number, isIdle: boolean, ns: number, isCosted: boolean, low: number, typical: number, high: number): void {
    const { contexts, byTask } = this;
    let row = contexts.find(stack, task, leaf, contexts.count < this.rowsMax);
    if (row < 0) row = contexts.find(CONTEXT_OTHER, CONTEXT_OTHER, leaf, true);
    contexts.add(row, ns, isCosted, low, typical, high);
    const side = isIdle ? 1 : 0;
    let taskRow = byTask.find(task, side, 0, byTask.count < TASKS_MAX);
    if (taskRow < 0) taskRow = byTask.find(CONTEXT_OTHER, side, 0, true);
    byTask.add(taskRow, ns, isCosted, low, typical, high);
    if (!isCosted) return;
    const needed = (taskRow + 1) * BUCKETS;
    if (this.histogram.length < needed) {
      const larger = new Uint32Array(Math.max(needed, this.histogram.length * 2));
      larger.set(this.histogram);
      this.histogram = larger;
    }
    record(this.histogram, taskRow * BUCKETS, typical);
  }

  get rows(): number {
    return this.contexts.count;
  }
  /** CONTEXT_OTHER: shared. */
  stackOf(row: number): number {
    return this.contexts.keys[row * 3];
  }
  taskOf(row: number): number {
    return this.contexts.keys[row * 3 + 1];
  }
  leafOf(row: number): number {
    return this.contexts.keys[row * 3 + 2];
  }
  sum(row: number, column: number): number {
    return this.contexts.sum(row, column);
  }

  get tasks(): number {
    return this.byTask.count;
  }
  taskAt(row: number): { readonly task: number; readonly isIdle: boolean } {
    return { task: this.byTask.keys[row * 2], isIdle: this.byTask.keys[row * 2 + 1] !== 0 };
  }
  taskSum(row: number, column: number): number {
    return this.byTask.sum(row, column);
  }
  /** Where the costs of a task's exits are in `taskHistogram`; undefined if none is known. */
  taskHistogramOf(row: number): { readonly counts: Uint32Array; readonly offset: number } | undefined {
    return this.byTask.sum(row, SUM_COSTED) === 0 ? undefined : { counts: this.histogram, offset: row * BUCKETS };
  }

  save(): ContextTableState {
    const contexts = this.contexts.save();
    const tasks = this.byTask.save();
    return { keys: contexts.keys, sums: contexts.sums, taskKeys: tasks.keys, taskSums: tasks.sums, taskHistogram: this.histogram.slice() };
  }

  restore(state: ContextTableState): void {
    this.contexts.restore(state.keys, state.sums);
    this.byTask.restore(state.taskKeys, state.taskSums);
    this.histogram = state.taskHistogram.slice();
  }
}

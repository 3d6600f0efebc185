/**
 * Which rows of a log a filter shows. What is kept is how many there are in each block; which ones, only for the blocks that were looked at last. A filter by kinds alone needs no look
 * at the events to be counted.
 */
import type { LogReader } from '../engine/log/reader.ts';
import { rowText } from './event-text.ts';
import { textFilter } from './text-filter.ts';
import { lowerBound } from './timeline-view.ts';

const BLOCKS_KEPT = 6;

export class RowFilter {
  readonly kinds: number;
  private readonly reader: LogReader;
  private readonly accepts: ((line: string) => boolean) | undefined;
  /** before[i]: shown rows in the blocks before event block i; as far as it was looked. */
  private readonly before: number[] = [0];
  /** Used last is last. */
  private readonly rows = new Map<number, Uint32Array>();

  /** kinds: bit KIND_*. */
  constructor(reader: LogReader, kinds: number, text: string) {
    this.reader = reader;
    this.kinds = kinds;
    this.accepts = text.trim() === '' ? undefined : textFilter(text);
  }

  /** Rows that are shown, as far as it was looked. */
  get shown(): number {
    return this.before[this.before.length - 1];
  }

  /** Looks at all blocks; yields the number of records so far. */
  *scan(): Generator<number, void, void> {
    const { eventBlocks } = this.reader;
    while (this.before.length <= eventBlocks.length) {
      const block = this.before.length - 1;
      this.before.push(this.shown + this.countIn(block));
      yield eventBlocks[block + 1]?.firstRecord ?? this.reader.records;
    }
  }

  /** The record with number `index` among those shown; undefined: it was not looked so far. */
  rowOf(index: number): number | undefined {
    if (!(index >= 0 && index < this.shown)) return undefined;
    let low = 0;
    let high = this.before.length - 2;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.before[middle] <= index) low = middle;
      else high = middle - 1;
    }
    return this.rowsOf(low)[index - this.before[low]];
  }

  /** How many of the shown rows come before `row`. */
  indexOf(row: number): number {
    const block = this.reader.blockOfRecord(row);
    if (block >= this.before.length - 1) return this.shown;
    const rows = this.rowsOf(block);
    return this.before[block] + lowerBound(rows, rows.length, row);
  }

  private countIn(block: number): number {
    const { counts } = this.reader.eventBlocks[block];
    let most = 0;
    for (let kind = 0; kind < counts.length; kind++) if (((this.kinds >> kind) & 1) === 1) most += counts[kind];
    return most === 0 || this.accepts === undefined ? most : this.rowsOf(block).length;
  }

  private rowsOf(block: number): Uint32Array {
    const known = this.rows.get(block);
    if (known !== undefined) {
      this.rows.delete(block);
      this.rows.set(block, known);
      return known;
    }
    const { accepts, kinds } = this;
    const batch = this.reader.batch(block);
    const found: number[] = [];
    for (let i = 0; i < batch.count; i++) {
      if (((kinds >> batch.kind[i]) & 1) === 0) continue;
      if (accepts !== undefined) {
        const { text, rip } = rowText(batch, i);
        if (!accepts(rip === undefined ? text.toLowerCase() : `${text.toLowerCase()} 0x${rip}`)) continue;
      }
      found.push(batch.firstRecord + i);
    }
    const rows = Uint32Array.from(found);
    this.rows.set(block, rows);
    for (const oldest of this.rows.keys()) {
      if (this.rows.size <= BLOCKS_KEPT) break;
      this.rows.delete(oldest);
    }
    return rows;
  }
}

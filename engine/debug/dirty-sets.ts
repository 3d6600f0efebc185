/**
 * The dirty sets of a log, for ruling stretches out: read block by block when they are asked for, and kept.
 *
 *     ── E' ──────────── E ──────────── E" ──     the set at E has every frame that was written at positions from E' to E
 *
 * What a device does at E belongs to the set at E if it was due there, and what the instruction at E writes to the next one: so a position that is the end of an epoch is
 * looked for in both.
 */
import { KIND_NAMES, kindCode } from '../log/events.ts';
import { eventAt } from '../log/event-batch.ts';
import type { Position } from '../log/position.ts';
import type { LogReader } from '../log/reader.ts';

/** Of sets that are kept. */
const BYTES_MAX = 64 << 20;

interface DirtySet {
  readonly position: number;
  /** Ascending. */
  readonly pages: Uint32Array;
  /** The next one goes on with this set. */
  readonly more: boolean;
}

export class DirtySets {
  private readonly reader: LogReader;
  /** Numbers of the event blocks that have any. */
  private readonly blocks: readonly number[];
  /** By place in `blocks`, the last used last. */
  private readonly kept = new Map<number, readonly DirtySet[]>();
  private bytes = 0;
  private readonly bytesMax: number;

  constructor(reader: LogReader, bytesMax = BYTES_MAX) {
    this.reader = reader;
    this.bytesMax = bytesMax;
    const code = kindCode('dirty');
    this.blocks = reader.eventBlocks.flatMap(({ counts }, i) => (counts[code] > 0 ? [i] : []));
  }

  /**
   * The position up to which none of the frames is written from `from` on, at most `to`: writes told at `from` or later and before it are none, but for what a device did
   * at `from` itself. Throws LogError.
   */
  unwrittenUntil(frames: ReadonlySet<number>, from: number, to: number): number {
    let reached = from;
    for (let i = this.firstAt(from + 1); i < this.blocks.length && reached < to; i++) {
      for (const { position, pages, more } of this.sets(i)) {
        if (position <= from) continue;
        if (holdsAny(pages, frames)) return reached;
        if (!more) reached = position;
        if (reached >= to) return to;
      }
    }
    return reached;
  }

  /** The position from which on none of the frames is written until `to` (exclusive), whoever writes; at least `from`. `to` if that is not known. Throws LogError. */
  unwrittenSince(frames: ReadonlySet<number>, from: number, to: number): number {
    // Until the set that has what was written just before `to` is over.
    if (this.unwrittenUntil(frames, to - 1, to) < to) return to;
    for (let i = Math.min(this.firstAt(to), this.blocks.length - 1); i >= 0; i--) {
      const sets = this.sets(i);
      for (let n = sets.length - 1; n >= 0; n--) {
        const { position, pages } = sets[n];
        if (position >= to) continue;
        if (position < from) return from;
        if (holdsAny(pages, frames)) return Math.min(to, position + 1);
      }
    }
    return from;
  }

  /** Place in `blocks` of the first that ends at `position` or later. */
  private firstAt(position: number): number {
    const block = this.reader.blockIndexAt(position as Position);
    let low = 0;
    let high = this.blocks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.blocks[middle] < block) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private sets(i: number): readonly DirtySet[] {
    const known = this.kept.get(i);
    if (known !== undefined) {
      this.kept.delete(i);
      this.kept.set(i, known);
      return known;
    }
    const batch = this.reader.batch(this.blocks[i]);
    const sets: DirtySet[] = [];
    for (let row = 0; row < batch.count; row++) {
      if (KIND_NAMES[batch.kind[row]] !== 'dirty') continue;
      const event = eventAt(batch, row);
      if (event.kind === 'dirty') sets.push({ position: event.position, pages: event.pages, more: event.more });
    }
    this.kept.set(i, sets);
    this.bytes += bytesOf(sets);
    for (const [oldest, dropped] of this.kept) {
      if (this.bytes <= this.bytesMax || oldest === i) break;
      this.kept.delete(oldest);
      this.bytes -= bytesOf(dropped);
    }
    return sets;
  }
}

function bytesOf(sets: readonly DirtySet[]): number {
  return sets.reduce((sum, { pages }) => sum + pages.byteLength, 0);
}

function holdsAny(pages: Uint32Array, frames: ReadonlySet<number>): boolean {
  if (frames.size * 16 > pages.length) return pages.some((frame) => frames.has(frame));
  for (const frame of frames) if (holds(pages, frame)) return true;
  return false;
}

function holds(pages: Uint32Array, frame: number): boolean {
  let low = 0;
  let high = pages.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (pages[middle] < frame) low = middle + 1;
    else high = middle;
  }
  return low < pages.length && pages[low] === frame;
}

/**
 * Checkpoints of one recording in memory, in order of place, under a byte budget.
 *
 *     power-on ── Δ ──► checkpoint 0 ── Δ ──► checkpoint 1 ── Δ ──► ...        Δ: frames whose page changed, hash and page of each
 *
 * A checkpoint that goes hands its changes to the next one.
 */
import { changedFrames, pageHashView, pageView, placePages } from '../machine/snapshot.ts';
import type { Machine } from '../machine/machine.ts';
import { CheckpointError } from './checkpoint-errors.ts';
import { decodeCheckpoint, encodeCheckpoint } from './checkpoint-codec.ts';
import { PagePool, packBytes, unpackBytes, unpackToFrame } from './checkpoint-pages.ts';
import type { Checkpoint, CheckpointState } from './checkpoint.ts';

/** In a change: the page is all zeros; it is as at power-on. */
export const PAGE_ZERO = 0xffff_ffff;
export const PAGE_POWER_ON = 0xffff_fffe;

/** How a checkpoint is kept. */
export interface KeptCheckpoint {
  readonly position: number;
  /** Records of the log before it. */
  readonly records: number;
  /** What encodeCheckpoint() gave, packed. */
  readonly state: Uint8Array;
  /** Pages that the state refers to. */
  readonly statePages: Uint32Array;
  /** What differs from the checkpoint before, ascending. */
  readonly frames: Uint32Array;
  /** Two words for each of `frames`. */
  readonly hashes: Uint32Array;
  /** Number of the page, PAGE_ZERO or PAGE_POWER_ON. */
  readonly pages: Uint32Array;
}

/** A record costs a replay about as much as so many instructions (README.md). */
export const RECORD_COST_INSTRUCTIONS = 350;

/** What it costs to replay from power-on to there, in instructions. */
export function placeOf({ position, records }: { readonly position: number; readonly records: number }): number {
  return position + records * RECORD_COST_INSTRUCTIONS;
}

export class CheckpointStore {
  readonly powerOn: Checkpoint;
  readonly pool = new PagePool();
  /** Bytes that the checkpoints may take. */
  readonly bytesMax: number;
  private readonly list: KeptCheckpoint[] = [];
  /** RAM of the last checkpoint. */
  private readonly lastHashes: Uint32Array;
  private stateBytes = 0;
  private readonly knownPages = new WeakMap<Uint8Array, { readonly page: number; readonly generation: number }>();
  private generation = 0;

  constructor(powerOn: Checkpoint, bytesMax: number) {
    this.powerOn = powerOn;
    this.bytesMax = bytesMax;
    this.lastHashes = powerOn.pages.hashes.slice();
  }

  get checkpoints(): readonly KeptCheckpoint[] {
    return this.list;
  }
  /** Of pages and states as they are kept. */
  get bytes(): number {
    return this.pool.bytes + this.stateBytes;
  }

  /** The machine is where `state` says; places only grow. */
  add(state: CheckpointState, machine: Machine): void {
    const last = this.list.at(-1);
    if (last !== undefined && (state.position < last.position || state.records < last.records)) throw new RangeError(`a checkpoint at @${state.position} after one at @${last.position}`);
    const { core } = machine;
    const frames = changedFrames(core, this.lastHashes);
    const now = pageHashView(core);
    const hashes = new Uint32Array(frames.length * 2);
    const pages = new Uint32Array(frames.length);
    const { hashes: atPowerOn } = this.powerOn.pages;
    frames.forEach((frame, i) => {
      const lo = (this.lastHashes[frame * 2] = hashes[i * 2] = now[frame * 2]);
      const hi = (this.lastHashes[frame * 2 + 1] = hashes[i * 2 + 1] = now[frame * 2 + 1]);
      if (lo === 0 && hi === 0) pages[i] = PAGE_ZERO;
      else if (lo === atPowerOn[frame * 2] && hi === atPowerOn[frame * 2 + 1]) pages[i] = PAGE_POWER_ON;
      else pages[i] = this.pool.add(pageView(core, frame));
    });
    const encoded = encodeCheckpoint(state);
    const kept = { position: state.position, records: state.records, state: packBytes(encoded.bytes), statePages: Uint32Array.from(encoded.pages, (page) => this.addStatePage(page)), frames, hashes, pages };
    this.list.push(kept);
    this.stateBytes += sizeOf(kept);
    while (this.bytes > this.bytesMax && this.list.length > 2) this.drop();
  }

  /** A disk's overlay hands out the same object for a page that did not change. */
  private addStatePage(page: Uint8Array): number {
    const known = this.knownPages.get(page);
    if (known !== undefined && known.generation === this.generation) {
      this.pool.retain(known.page);
      return known.page;
    }
    const number = this.pool.add(page);
    this.knownPages.set(page, { page: number, generation: this.generation });
    return number;
  }

  /**
   * Lets the checkpoint go whose loss is least felt: the gap that it leaves is smallest in proportion to its distance from the end. So
   * gaps grow with the distance from the end, and a budget of n checkpoints spans any length.
   */
  private drop(): void {
    const end = placeOf(this.list[this.list.length - 1]);
    let least = Infinity;
    let victim = 1;
    for (let i = 0; i < this.list.length - 1; i++) {
      const before = i === 0 ? 0 : placeOf(this.list[i - 1]);
      const gap = placeOf(this.list[i + 1]) - before;
      const felt = gap / (end - placeOf(this.list[i]) + 1);
      if (felt < least) {
        least = felt;
        victim = i;
      }
    }
    const gone = this.list[victim];
    const next = this.list[victim + 1];
    const merged = merge(gone, next, (page) => this.release(page));
    for (const page of gone.statePages) this.release(page);
    this.stateBytes += sizeOf(merged) - sizeOf(gone) - sizeOf(next);
    this.list.splice(victim, 2, merged);
    // Numbers of pages may be given anew.
    this.generation++;
  }

  private release(page: number): void {
    if (page < PAGE_POWER_ON) this.pool.release(page);
  }

  /** Checkpoint n, ready for Replayer.restore(). Throws CheckpointError. */
  open(n: number): Checkpoint {
    const { list, pool } = this;
    const atPowerOn = this.powerOn.pages;
    const hashes = atPowerOn.hashes.slice();
    const pageOf = new Uint32Array(hashes.length / 2).fill(PAGE_POWER_ON);
    for (let i = 0; i <= n; i++) {
      const { frames, hashes: changed, pages } = list[i];
      for (let j = 0; j < frames.length; j++) {
        const frame = frames[j];
        hashes[frame * 2] = changed[j * 2];
        hashes[frame * 2 + 1] = changed[j * 2 + 1];
        pageOf[frame] = pages[j];
      }
    }
    const { state, statePages } = list[n];
    return {
      state: decodeState(state, statePages, (page) => pool.read(page)),
      pages: {
        hashes,
        read: (frame) => (pageOf[frame] === PAGE_POWER_ON ? atPowerOn.read(frame) : pool.read(pageOf[frame])),
        place: (frames, core) => {
          for (const frame of frames) if (pageOf[frame] !== PAGE_POWER_ON) unpackToFrame(pool.packed(pageOf[frame]), frame, core);
          placePages(atPowerOn, frames.filter((frame) => pageOf[frame] === PAGE_POWER_ON), core); // prettier-ignore
        },
      },
    };
  }
}

/** The inverse of encodeCheckpoint and packBytes; `read` gives a page by its number. Throws CheckpointError. */
export function decodeState(state: Uint8Array, statePages: Uint32Array, read: (page: number) => Uint8Array): CheckpointState {
  return decodeCheckpoint(unpackBytes(state), (i) => {
    if (i >= statePages.length) throw new CheckpointError('damaged', 'a state refers to a page that it does not have');
    return read(statePages[i]);
  });
}

function sizeOf({ state, statePages, frames }: KeptCheckpoint): number {
  return state.length + statePages.length * 4 + frames.length * 16;
}

/** The changes of two neighbours as one; `release` gets the pages of `first` that `second` replaced. */
function merge(first: KeptCheckpoint, second: KeptCheckpoint, release: (page: number) => void): KeptCheckpoint {
  const most = first.frames.length + second.frames.length;
  const frames = new Uint32Array(most);
  const hashes = new Uint32Array(most * 2);
  const pages = new Uint32Array(most);
  let count = 0;
  const take = (from: KeptCheckpoint, i: number): void => {
    frames[count] = from.frames[i];
    hashes[count * 2] = from.hashes[i * 2];
    hashes[count * 2 + 1] = from.hashes[i * 2 + 1];
    pages[count++] = from.pages[i];
  };
  for (let i = 0, j = 0; i < first.frames.length || j < second.frames.length; ) {
    const a = i < first.frames.length ? first.frames[i] : Infinity;
    const b = j < second.frames.length ? second.frames[j] : Infinity;
    if (a < b) take(first, i++);
    else {
      if (a === b) release(first.pages[i++]);
      take(second, j++);
    }
  }
  return { ...second, frames: frames.slice(0, count), hashes: hashes.slice(0, count * 2), pages: pages.slice(0, count) };
}


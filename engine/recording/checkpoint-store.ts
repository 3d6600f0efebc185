/**
 * Checkpoints of one recording in memory, in order of place, under a byte budget.
 *
 *     power-on ── Δ ──► checkpoint 0 ── Δ ──► checkpoint 1 ── Δ ──► ...        Δ: frames whose page changed, hash and page of each
 *
 * RAM at power-on comes from the images, so it is never written to a file. A checkpoint that goes hands its changes to the next one.
 */
import { Sha256 } from '../log/sha256.ts';
import { changedFrames, pageHashes, pageView, type RamPages } from '../machine/snapshot.ts';
import type { Machine } from '../machine/machine.ts';
import { CheckpointError } from './checkpoint-errors.ts';
import { decodeCheckpoint, encodeCheckpoint } from './checkpoint-codec.ts';
import { PagePool, packBytes, unpackBytes } from './checkpoint-pages.ts';
import type { Checkpoint, CheckpointState } from './checkpoint.ts';

/** In a change: the page is all zeros; it is as at power-on. */
export const PAGE_ZERO = 0xffff_ffff;
export const PAGE_POWER_ON = 0xffff_fffe;

/** RAM as the images left it. */
export class PowerOnRam {
  readonly hashes: Uint32Array;
  /** Names these contents; 64 hex digits. */
  readonly identity: string;
  private readonly slots: Int32Array;
  private readonly bytes: Uint8Array;

  /** Of a machine that has not run. */
  constructor(machine: Machine) {
    const { core } = machine;
    this.hashes = pageHashes(core);
    const frames = changedFrames(core, undefined);
    this.slots = new Int32Array(this.hashes.length / 2).fill(-1);
    this.bytes = new Uint8Array(frames.length * 4096);
    // Frames that follow one another are copied as one piece.
    for (let i = 0; i < frames.length; ) {
      const first = i;
      do this.slots[frames[i]] = i++;
      while (i < frames.length && frames[i] === frames[i - 1] + 1);
      this.bytes.set(pageView(core, frames[first], i - first), first * 4096);
    }
    this.identity = new Sha256().update(new Uint8Array(this.hashes.buffer, this.hashes.byteOffset, this.hashes.byteLength)).digestHex();
  }

  read(frame: number): Uint8Array {
    const slot = this.slots[frame];
    if (slot < 0) throw new CheckpointError('damaged', `frame ${frame} holds nothing at power-on`);
    return this.bytes.subarray(slot * 4096, (slot + 1) * 4096);
  }
}

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

/** Where pages are kept: in memory, or in a file. */
export interface PageSource {
  /** 4096 bytes that nobody changes. Throws CheckpointError. */
  read(page: number): Uint8Array;
  /** The same into `target` at byte `at`; what is there after a throw is anything. */
  copyTo(page: number, target: Uint8Array, at: number): void;
}

export class CheckpointStore {
  readonly powerOn: PowerOnRam;
  readonly pool = new PagePool();
  /** Bytes that the checkpoints may take. */
  readonly bytesMax: number;
  private readonly list: KeptCheckpoint[] = [];
  /** RAM of the last checkpoint. */
  private lastHashes: Uint32Array;
  private stateBytes = 0;
  private readonly knownPages = new WeakMap<Uint8Array, { readonly page: number; readonly generation: number }>();
  private generation = 0;

  constructor(powerOn: PowerOnRam, bytesMax: number) {
    this.powerOn = powerOn;
    this.bytesMax = bytesMax;
    this.lastHashes = powerOn.hashes;
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
    const now = pageHashes(core);
    const hashes = new Uint32Array(frames.length * 2);
    const pages = new Uint32Array(frames.length);
    const { hashes: atPowerOn } = this.powerOn;
    frames.forEach((frame, i) => {
      const lo = (hashes[i * 2] = now[frame * 2]);
      const hi = (hashes[i * 2 + 1] = now[frame * 2 + 1]);
      if (lo === 0 && hi === 0) pages[i] = PAGE_ZERO;
      else if (lo === atPowerOn[frame * 2] && hi === atPowerOn[frame * 2 + 1]) pages[i] = PAGE_POWER_ON;
      else pages[i] = this.pool.add(pageView(core, frame));
    });
    this.lastHashes = now;
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
    return openCheckpoint(this.powerOn, this.list, n, this.pool);
  }
}

/** Checkpoint n of a list. Throws CheckpointError. */
export function openCheckpoint(powerOn: PowerOnRam, list: readonly KeptCheckpoint[], n: number, source: PageSource): Checkpoint {
  const hashes = powerOn.hashes.slice();
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
  const pages: RamPages = {
    hashes,
    read: (frame) => (pageOf[frame] === PAGE_POWER_ON ? powerOn.read(frame) : source.read(pageOf[frame])),
    copyTo: (frame, target, at) => (pageOf[frame] === PAGE_POWER_ON ? target.set(powerOn.read(frame), at) : source.copyTo(pageOf[frame], target, at)),
  };
  return {
    state: decodeCheckpoint(unpackBytes(state), (i) => {
      if (i >= statePages.length) throw new CheckpointError('damaged', 'a state refers to a page that it does not have');
      return source.read(statePages[i]);
    }),
    pages,
  };
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


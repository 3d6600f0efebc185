/**
 * What happens in a recording at every zoom: per track a number for each bucket of positions, at each power of two.
 *
 *     level 2 │    9            │         buckets of 4 base buckets
 *     level 1 │    3   │   6    │
 *     base    │ 1 │ 2  │ 4 │ 2  │         2^shift instructions each; at most BUCKETS_MAX of them
 *
 * A fold: a batch costs a few additions a row, whatever the length of the run. When a run outgrows its buckets, two become one. A window is answered from the
 * level of its zoom by copying; a finer one than the base by countWindow() from the few events in it.
 */
import { numberOf } from '../../log/bytes.ts';
import { type EventBatch, eventAt } from '../../log/event-batch.ts';
import { EXIT_REASONS, KIND_DEVICE, KIND_DIRTY, KIND_EXIT, KIND_IDLE, KIND_INTERRUPT, KIND_NAMES, PHASE_ACKNOWLEDGED, PHASE_INJECTED } from '../../log/events.ts';
import type { Position } from '../../log/position.ts';
import type { LogReader } from '../../log/reader.ts';
import {
  SHAPE_EXIT_CPUID, SHAPE_EXIT_CR, SHAPE_EXIT_DR, SHAPE_EXIT_EXCEPTION, SHAPE_EXIT_IO, SHAPE_EXIT_MMIO, SHAPE_EXIT_MSR, SHAPE_EXIT_PAGE_TABLE, SHAPE_NET_RX, SHAPE_NET_TX, SHAPE_TIMER_ARM,
  SHAPE_TIMER_FIRE, SHAPE_UART_RX, SHAPE_UART_TX, SHAPE_VIRTIO_COMPLETE, SHAPE_VIRTIO_REQUEST,
} from '../../log/shapes.ts'; // prettier-ignore

/** Of the base. A power of two. */
export const BUCKETS_MAX = 1 << 18;
/** Tracks at most; what would be one more is counted in `other`. */
export const TRACKS_MAX = 96;
/** Buckets of the base that are kept or left out together. */
const CHUNK_BITS = 10;
const CHUNK = 1 << CHUNK_BITS;

/** Names of tracks. Counts of events but the last four, which are sums: pages, ns, instructions, calls. */
export const SUM_TRACKS = ['dirty-pages', 'idle-ns'] as const;
const SUMS: ReadonlySet<string> = new Set(SUM_TRACKS);
const OTHER = 'other';
const KIND_TRACKS = KIND_NAMES.map((name) => `kind:${name}`);

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
const REASON_NAMES: ReadonlyMap<number, string> = new Map(Object.entries(EXIT_REASONS).map(([name, code]) => [code, kebab(name)]));
const EXIT_SHAPES: ReadonlyMap<number, number> = new Map([
  [SHAPE_EXIT_IO, EXIT_REASONS.io], [SHAPE_EXIT_MMIO, EXIT_REASONS.mmio], [SHAPE_EXIT_CPUID, EXIT_REASONS.cpuid], [SHAPE_EXIT_CR, EXIT_REASONS.cr], [SHAPE_EXIT_DR, EXIT_REASONS.dr],
  [SHAPE_EXIT_EXCEPTION, EXIT_REASONS.exception], [SHAPE_EXIT_PAGE_TABLE, EXIT_REASONS.pageTableWrite],
]); // prettier-ignore
const DEVICE_SHAPES: ReadonlyMap<number, string> = new Map([
  [SHAPE_UART_TX, 'uart-tx'], [SHAPE_UART_RX, 'uart-rx'], [SHAPE_TIMER_ARM, 'timer-arm'], [SHAPE_TIMER_FIRE, 'timer-fire'], [SHAPE_VIRTIO_REQUEST, 'virtio-request'],
  [SHAPE_VIRTIO_COMPLETE, 'virtio-complete'], [SHAPE_NET_TX, 'net-tx'], [SHAPE_NET_RX, 'net-rx'],
]); // prettier-ignore

/** The tracks of a row beside that of its kind: `exit:io`, `interrupt:32`, `device:uart-tx`. Undefined: it has none. */
function detailTrack(batch: EventBatch, site: number, kind: number): string | undefined {
  const { sites } = batch;
  const shape = sites.shape[site];
  switch (kind) {
    case KIND_EXIT: {
      const reason = shape === SHAPE_EXIT_MSR ? (sites.f1[site] !== 0 ? EXIT_REASONS.wrmsr : EXIT_REASONS.rdmsr) : (EXIT_SHAPES.get(shape) ?? sites.f0[site]);
      return `exit:${REASON_NAMES.get(reason) ?? reason}`;
    }
    case KIND_INTERRUPT:
      return (sites.f0[site] === PHASE_INJECTED || sites.f0[site] === PHASE_ACKNOWLEDGED) && sites.f1[site] !== 0 ? `interrupt:${sites.f1[site] - 1}` : undefined;
    case KIND_DEVICE:
      return `device:${DEVICE_SHAPES.get(shape) ?? shape}`;
    default:
      return undefined;
  }
}

/** Where the amounts of one track go, by bucket. */
interface Adder {
  add(bucket: number, amount: number): void;
}

const NOWHERE: Adder = { add: () => undefined };

/**
 * Adds rows to their tracks: to bucket floor(position x 2^-shift) - first. `adderOf` is asked once a batch for each track that has a row; undefined: it is not wanted.
 * One pass, nothing is allocated for a row of a kind that is only counted.
 */
function addRows(batch: EventBatch, start: number, end: number, shift: number, first: number, adderOf: (track: string) => Adder | undefined): void {
  const scale = 2 ** -shift;
  const { kind: kinds, site: sites, position } = batch;
  // Undefined: not asked yet.
  const kindAdders = new Array<Adder | undefined>(KIND_TRACKS.length).fill(undefined);
  const siteAdders = new Array<Adder | undefined>(batch.sites.count).fill(undefined);
  for (let i = start; i < end; i++) {
    const kind = kinds[i];
    const site = sites[i];
    const bucket = Math.floor(position[i] * scale) - first;
    (kindAdders[kind] ??= adderOf(KIND_TRACKS[kind]) ?? NOWHERE).add(bucket, 1);
    let adder = siteAdders[site];
    if (adder === undefined) {
      const detail = detailTrack(batch, site, kind);
      siteAdders[site] = adder = (detail === undefined ? undefined : adderOf(detail)) ?? NOWHERE;
    }
    if (adder !== NOWHERE) adder.add(bucket, 1);
    if (kind === KIND_IDLE) adderOf('idle-ns')?.add(bucket, numberOf(batch.valueLo[i], batch.valueHi[i]));
    else if (kind === KIND_DIRTY) {
      const event = eventAt(batch, i);
      if (event.kind === 'dirty') adderOf('dirty-pages')?.add(bucket, event.pages.length);
    }
  }
}

type Numbers = Uint32Array | Float64Array;

/** Numbers by bucket, in chunks; a chunk of zeros is not kept. Counts are 32 bits, sums are doubles. */
class Track implements Adder {
  readonly chunks: (Numbers | undefined)[] = [];
  private readonly make: (length: number) => Numbers;
  /** levels[k - 1]: buckets of 2^k base buckets, of which those before `intactTo` (in base buckets) are right. */
  private levels: Numbers[] = [];
  private intactTo = 0;

  constructor(name: string) {
    this.make = SUMS.has(name) ? (length) => new Float64Array(length) : (length) => new Uint32Array(length);
  }

  add(bucket: number, amount: number): void {
    const chunk = (this.chunks[bucket >>> CHUNK_BITS] ??= this.make(CHUNK));
    chunk[bucket & (CHUNK - 1)] += amount;
    if (bucket < this.intactTo) this.intactTo = bucket;
  }

  /** Two buckets become one. */
  halve(): void {
    const old = this.chunks.splice(0);
    this.levels = [];
    this.intactTo = 0;
    old.forEach((chunk, n) => chunk?.forEach((amount, i) => amount !== 0 && this.add((n * CHUNK + i) >>> 1, amount)));
  }

  /** Copies `out.length` buckets of a level, from number `first` on. Returns their sum. */
  copy(level: number, first: number, out: Float64Array): number {
    let sum = 0;
    if (level === 0) {
      for (let i = 0; i < out.length; i++) sum += out[i] = this.chunks[(first + i) >>> CHUNK_BITS]?.[(first + i) & (CHUNK - 1)] ?? 0;
      return sum;
    }
    this.refresh();
    const numbers = this.levels[Math.min(level, this.levels.length) - 1];
    // Above the highest level, which has one bucket, all is in bucket 0.
    const source = level > this.levels.length && first > 0 ? undefined : numbers;
    for (let i = 0; i < out.length; i++) sum += out[i] = source?.[first + i] ?? 0;
    return sum;
  }

  /** Makes the levels right again, from the first bucket that has changed. */
  refresh(): void {
    const { chunks } = this;
    let length = chunks.length * CHUNK;
    if (this.intactTo >= length) return;
    for (let level = 1; level === 1 || length > 1; level++) {
      const below = level === 1 ? undefined : this.levels[level - 2];
      const lengthBelow = length;
      length = Math.ceil(length / 2);
      let numbers = this.levels[level - 1];
      if (numbers === undefined || numbers.length < length) {
        const longer = this.make(length);
        if (numbers !== undefined) longer.set(numbers);
        this.levels[level - 1] = numbers = longer;
      }
      for (let i = Math.floor(this.intactTo / 2 ** level); i < length; i++) {
        if (below !== undefined) numbers[i] = below[2 * i] + (2 * i + 1 < lengthBelow ? below[2 * i + 1] : 0);
        else {
          const chunk = chunks[(2 * i) >>> CHUNK_BITS];
          numbers[i] = chunk === undefined ? 0 : chunk[(2 * i) & (CHUNK - 1)] + chunk[(2 * i + 1) & (CHUNK - 1)];
        }
      }
    }
    this.intactTo = chunks.length * CHUNK;
  }

  get bytes(): number {
    return this.chunks.reduce((sum, chunk) => sum + (chunk?.byteLength ?? 0), 0) + this.levels.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }
}

export interface PyramidWindow {
  /** Instructions of a bucket: 2^shift. */
  readonly shift: number;
  /** Number of the first bucket; it begins at first x 2^shift. */
  readonly first: number;
  readonly count: number;
  /** Sums of each bucket by track, those without any left out. */
  readonly tracks: ReadonlyMap<string, Float64Array>;
}

export interface WindowQuery {
  /** Inclusive. */
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  /** Buckets at most. The widest power of two is taken that needs no more than these. */
  readonly buckets: number;
  /** Names; a name that ends in `*` stands for all that begin so. All if undefined. */
  readonly tracks?: readonly string[] | undefined;
}

/** Structured-cloneable. */
export interface PyramidState {
  readonly shift: number;
  readonly records: number;
  readonly lastPosition: number;
  readonly tracks: readonly { readonly name: string; readonly chunks: Uint32Array; readonly values: Uint32Array | Float64Array }[];
}

export class Pyramid {
  private shift = 0;
  private readonly tracks = new Map<string, Track>();
  /** Rows folded so far. */
  records = 0;
  private lastPosition = 0;

  /** expectedLast: the last position, if that is known; then nothing has to be made coarser on the way. */
  constructor(expectedLast = 0) {
    while (expectedLast >= BUCKETS_MAX * 2 ** this.shift) this.shift++;
  }

  /** Rows from `start` to `end` of a batch, all unless told; in order. */
  add(batch: EventBatch, start = 0, end = batch.count): void {
    if (start >= end) return;
    this.lastPosition = Math.max(this.lastPosition, batch.position[end - 1]);
    while (this.lastPosition >= BUCKETS_MAX * 2 ** this.shift) {
      this.shift++;
      for (const track of this.tracks.values()) track.halve();
    }
    addRows(batch, start, end, this.shift, 0, (name) => this.trackOf(name));
    this.records += end - start;
  }

  private trackOf(name: string): Track {
    const known = this.tracks.get(name);
    if (known !== undefined) return known;
    const isFull = this.tracks.size >= TRACKS_MAX && name !== OTHER;
    if (isFull) return this.trackOf(OTHER);
    const track = new Track(name);
    this.tracks.set(name, track);
    return track;
  }

  /** Instructions of a base bucket: 2^baseShift. A window that is finer is countWindow()'s. */
  get baseShift(): number {
    return this.shift;
  }
  get trackNames(): readonly string[] {
    return [...this.tracks.keys()].sort();
  }
  get bytes(): number {
    return [...this.tracks.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Makes ready for windows what the first one would wait for. */
  refresh(): void {
    for (const track of this.tracks.values()) track.refresh();
  }

  /** Undefined: the window is finer than the base. */
  window(query: WindowQuery): PyramidWindow | undefined {
    const shift = shiftOf(query);
    if (shift < this.shift) return undefined;
    const { first, count } = spanOf(query, shift);
    const isWanted = matcher(query.tracks);
    const tracks = new Map<string, Float64Array>();
    for (const [name, track] of this.tracks) {
      if (!isWanted(name)) continue;
      const column = new Float64Array(count);
      if (track.copy(shift - this.shift, first, column) !== 0) tracks.set(name, column);
    }
    return { shift, first, count, tracks };
  }

  save(): PyramidState {
    const tracks = [...this.tracks].map(([name, { chunks }]) => {
      const kept = chunks.flatMap((chunk, n) => (chunk === undefined ? [] : [n]));
      const values = SUMS.has(name) ? new Float64Array(kept.length * CHUNK) : new Uint32Array(kept.length * CHUNK);
      kept.forEach((n, i) => values.set(chunks[n] as Numbers, i * CHUNK));
      return { name, chunks: Uint32Array.from(kept), values };
    });
    return { shift: this.shift, records: this.records, lastPosition: this.lastPosition, tracks };
  }

  static restore({ shift, records, lastPosition, tracks }: PyramidState): Pyramid {
    const pyramid = new Pyramid();
    pyramid.shift = shift;
    pyramid.records = records;
    pyramid.lastPosition = lastPosition;
    for (const { name, chunks, values } of tracks) {
      const track = new Track(name);
      chunks.forEach((n, i) => (track.chunks[n] = values.slice(i * CHUNK, (i + 1) * CHUNK)));
      pyramid.tracks.set(name, track);
    }
    return pyramid;
  }
}

/** A window from the events themselves, at any zoom: for those that are finer than a pyramid's base, in which there are few. */
export function countWindow(reader: LogReader, query: WindowQuery): PyramidWindow {
  const steps = countingWindow(reader, query);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** The same in steps of a block. */
export function* countingWindow(reader: LogReader, query: WindowQuery): Generator<void, PyramidWindow, void> {
  const shift = shiftOf(query);
  const { first, count } = spanOf(query, shift);
  const isWanted = matcher(query.tracks);
  const tracks = new Map<string, Float64Array>();
  const adders = new Map<string, Adder>();
  const adderOf = (name: string): Adder | undefined => {
    const known = adders.get(name);
    if (known !== undefined || !isWanted(name)) return known;
    const column = new Float64Array(count);
    const adder: Adder = {
      add: (bucket, amount) => {
        column[bucket] += amount;
      },
    };
    tracks.set(name, column);
    adders.set(name, adder);
    return adder;
  };
  for (const { batch, start, end } of reader.batches({ from: (first * 2 ** shift) as Position, to: ((first + count) * 2 ** shift) as Position })) {
    addRows(batch, start, end, shift, first, adderOf);
    yield;
  }
  return { shift, first, count, tracks };
}

/** Of the smallest buckets of which no more than asked for are needed. */
function shiftOf({ from, to, buckets }: WindowQuery): number {
  if (!(from >= 0 && to > from && buckets >= 1)) throw new RangeError(`a window from @${from} to @${to} in ${buckets} buckets`);
  let shift = 0;
  while (Math.ceil(to / 2 ** shift) - Math.floor(from / 2 ** shift) > buckets && shift < 52) shift++;
  return shift;
}

function spanOf({ from, to }: WindowQuery, shift: number): { readonly first: number; readonly count: number } {
  const first = Math.floor(from / 2 ** shift);
  return { first, count: Math.ceil(to / 2 ** shift) - first };
}

function matcher(names: readonly string[] | undefined): (name: string) => boolean {
  if (names === undefined) return () => true;
  const exact = new Set(names);
  const prefixes = names.filter((name) => name.endsWith('*')).map((name) => name.slice(0, -1));
  return (name) => exact.has(name) || prefixes.some((prefix) => name.startsWith(prefix));
}

/** What is known of a guest's memory over time, from its recording. All that a migration's cost is computed from (engine/analysis/migration). */
import { DirtyTimeline } from './timeline.ts';

/** Of x86-64's small pages, in which dirty logs count. */
export const PAGE_BYTES = 4096;

/** What pages hold at a moment. Only a replay (or a maker of synthetic loads) knows. Times are virtual ns. */
export interface PageContent {
  /** All bytes are zero. */
  isZero(page: number, atNs: number): boolean;
  /** Length of QEMU's XBZRLE code of what changed from one moment to a later one; 0 if nothing did; more than PAGE_BYTES if it does not pay. */
  deltaBytes(page: number, fromNs: number, toNs: number): number;
  /** Length when compressed alone; at most PAGE_BYTES. */
  compressedBytes(page: number, atNs: number): number;
  /** False: only zeros are known, and no page is told to be shorter than it is. */
  readonly knowsBytes: boolean;
  /** Whether deltaBytes() of more than one epoch is the code itself; else it is an estimate. */
  readonly isExact: boolean;
}

export interface DirtyTruth {
  /** What it is of: a file, a model. */
  readonly name: string;
  /** Pages of guest RAM, all of which a migration starts with. */
  readonly pages: number;
  /** The stretch of the run that is known, virtual ns. */
  readonly beginNs: number;
  readonly endNs: number;
  /** First writes of each page in each epoch. */
  readonly timeline: DirtyTimeline;
  /** Ends of the epochs, ascending, virtual ns; the first begins at `beginNs`. Undefined: the timeline has every write at its own time. */
  readonly epochEndsNs?: Float64Array | undefined;
  /** Times in the timeline are those of the first writes (a replay told them), or the ends of their epochs (the log did). */
  readonly times: 'first write' | 'epoch end';
  /** Share of the virtual time in which instructions ran, 0 to 1: what is left of it is slack that a throttled guest can use up first. */
  readonly busyShare: number;
  /** First accesses of each page in each epoch, reads and writes: what post-copy faults on. Undefined: only writes are known. */
  readonly touches?: DirtyTimeline | undefined;
  readonly content?: PageContent | undefined;
  /** Bytes of inputs that a replay would need, up to a moment (virtual ns): what shipping the log costs. */
  readonly inputBytes?: ((ns: number) => number) | undefined;
  /** Registers and devices, bytes. */
  readonly deviceStateBytes?: number | undefined;
}

/** The mean epoch, virtual ns; 0 where every write is known. */
export function grainOf(truth: DirtyTruth): number {
  return truth.epochEndsNs === undefined || truth.epochEndsNs.length === 0 ? 0 : (truth.endNs - truth.beginNs) / truth.epochEndsNs.length;
}

/** The bounds of D(t0, dt) when only epochs are known. */
export interface WindowCount {
  readonly atLeast: number;
  readonly atMost: number;
  readonly isExact: boolean;
}

/**
 * Distinct pages written in [fromNs, toNs) as far as the truth tells: exact when the window is made of whole epochs. Else `atLeast` counts what is certainly inside of it, and
 * `atMost` also what may be: pages that were first written in the same epoch, but before the window, may have been written again in it.
 */
export function windowCount(truth: DirtyTruth, fromNs: number, toNs: number): WindowCount {
  const { timeline, epochEndsNs } = truth;
  const count = (begin: number, end: number): number => timeline.distinctBetween(begin, end);
  if (fromNs >= toNs) return { atLeast: 0, atMost: 0, isExact: true };
  if (epochEndsNs === undefined) {
    const exact = count(timeline.indexAt(fromNs), timeline.indexAt(toNs));
    return { atLeast: exact, atMost: exact, isExact: true };
  }
  // Epoch k is [end of k-1, end of k).
  const epochOf = (ns: number): number => firstAbove(epochEndsNs, ns);
  const beginOf = (epoch: number): number => (epoch === 0 ? truth.beginNs : epochEndsNs[epoch - 1]);
  const first = epochOf(fromNs);
  const isWholeBegin = fromNs <= beginOf(first);
  const last = epochOf(toNs);
  if (truth.times === 'first write') {
    const end = timeline.indexAt(toNs);
    const atLeast = count(timeline.indexAt(fromNs), end);
    const atMost = isWholeBegin ? atLeast : count(timeline.indexAt(beginOf(first)), end);
    return { atLeast, atMost, isExact: atLeast === atMost };
  }
  // An epoch's entries are those at its end.
  const indexOfEpoch = (epoch: number): number => (epoch >= epochEndsNs.length ? timeline.length : timeline.indexAt(epochEndsNs[epoch]));
  const isWholeEnd = last >= epochEndsNs.length || toNs === beginOf(last);
  const inside = [isWholeBegin ? first : first + 1, last] as const;
  const atLeast = inside[0] < inside[1] ? count(indexOfEpoch(inside[0]), indexOfEpoch(inside[1])) : 0;
  const atMost = count(indexOfEpoch(first), indexOfEpoch(isWholeEnd ? last : last + 1));
  return { atLeast, atMost, isExact: atLeast === atMost };
}

/** Index of the first value above `bound`. */
function firstAbove(values: Float64Array, bound: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle] <= bound) low = middle + 1;
    else high = middle;
  }
  return low;
}

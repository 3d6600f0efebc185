/**
 * The guest of a migration, as a transfer sees it. Two of them, twins in what they answer:
 *
 *     RecordedGuest   what a recording tells; it does not react (open loop)
 *     BranchedGuest   a branch of the recording, run while it is migrated: it sleeps when it is throttled, and waits for pages (closed loop)
 */
import type { DirtyTimeline } from '../dirty/timeline.ts';
import { PAGE_BYTES, type DirtyTruth } from '../dirty/truth.ts';
import type { SimulationOptions } from './policy.ts';

/** What a page held at a moment, to compare it with later: of a recording the moment, of a machine the bytes. */
export type PageMemento = number | Uint8Array;

export interface MigratingGuest {
  readonly isClosedLoop: boolean;
  /** Its clock, virtual ns. */
  readonly nowNs: number;
  /** Virtual ns a wall ns, unthrottled. */
  readonly speed: number;
  /** It has ended, or waits for an input that will not come: nothing more is written. */
  readonly isOver: boolean;

  /** Lets so much wall time pass while it runs. */
  pass(wallNs: number): void;
  /** QEMU's cpu-throttle-percentage. */
  throttle(percent: number): void;

  /** Pages written up to now and not told yet, with their last writes. */
  writes(tell: (page: number, atNs: number) => void): void;
  /** The dirty log is read and cleared. */
  cleared(): void;
  /** The page was sent: whether it is written again will be asked. */
  sent(page: number): void;

  /** Of the page as it is now. */
  isZero(page: number): boolean;
  /** PAGE_BYTES if that is not known. */
  compressedBytes(page: number): number;
  keep(page: number): PageMemento;
  /** Length of the XBZRLE code of what changed since; more than PAGE_BYTES if it does not pay. */
  deltaBytes(page: number, since: PageMemento): number;

  /** It runs on at the destination, where the pages marked in `absent` are not. */
  arrive(absent: Uint8Array): Arrived;
}

/** A guest of which pages are elsewhere. */
export interface Arrived {
  /** Its next access to a page that was absent, no later than `untilNs`, virtual; undefined: none. */
  next(untilNs: number): { readonly page: number; readonly atNs: number } | undefined;
  /** It waited for so long, virtual ns. Returns by how much its clock went on meanwhile. */
  waited(ns: number): number;
}

/** A moment after the end of the recording, as the moment that is repeated there. */
export function momentInRecording(truth: DirtyTruth, options: SimulationOptions, ns: number): number {
  if (ns <= truth.endNs) return ns;
  const from = options.repeatFromNs ?? truth.beginNs;
  if (options.afterEnd === 'idle' || truth.endNs <= from) return truth.endNs;
  return from + ((ns - from) % (truth.endNs - from));
}

/** Walks a timeline along with virtual time, over the end of the recording too. */
class TimelineCursor {
  private readonly timeline: DirtyTimeline;
  private readonly truth: DirtyTruth;
  private readonly repeatFromNs: number;
  private readonly repeats: boolean;
  private i: number;
  /** Virtual ns that were added by repeats before entry i. */
  private offsetNs = 0;

  constructor(truth: DirtyTruth, timeline: DirtyTimeline, fromNs: number, options: SimulationOptions) {
    this.truth = truth;
    this.timeline = timeline;
    this.repeatFromNs = options.repeatFromNs ?? truth.beginNs;
    this.repeats = options.afterEnd !== 'idle' && truth.endNs > this.repeatFromNs;
    this.i = timeline.indexAt(fromNs);
  }

  /** Time of the next entry, Infinity if none comes. */
  nextNs(): number {
    if (this.i < this.timeline.length) return this.timeline.atNs[this.i] + this.offsetNs;
    if (!this.repeats) return Infinity;
    const first = this.timeline.indexAt(this.repeatFromNs);
    return first >= this.timeline.length ? Infinity : this.timeline.atNs[first] + this.offsetNs + this.truth.endNs - this.repeatFromNs;
  }
  /** Page of the next entry, which is passed. */
  take(): number {
    if (this.i >= this.timeline.length) {
      this.i = this.timeline.indexAt(this.repeatFromNs);
      this.offsetNs += this.truth.endNs - this.repeatFromNs;
    }
    return this.timeline.page[this.i++];
  }
  /** Leaves out repetitions, but never the last whole one before `ns`: which pages have entries, and which is the last of each, stays what it was. */
  skip(ns: number): void {
    const length = this.truth.endNs - this.repeatFromNs;
    if (!this.repeats || (this.i < this.timeline.length && this.timeline.atNs[this.i] < this.repeatFromNs)) return;
    const whole = Math.floor((ns - this.nextNs()) / length) - 1;
    if (whole > 0 && whole !== Infinity) this.offsetNs += whole * length;
  }
}

export class RecordedGuest implements MigratingGuest {
  readonly isClosedLoop = false;
  readonly isOver = false;
  readonly speed: number;
  nowNs: number;
  private readonly truth: DirtyTruth;
  private readonly options: SimulationOptions;
  private readonly cursor: TimelineCursor;
  private percent = 0;
  /** Virtual ns of each page's last write, or of the start: a page holds what it held then. */
  private readonly lastNs: Float64Array;
  /** Pages written and not told yet, each once. */
  private readonly isSeen: Uint8Array;
  private readonly seen: Uint32Array;
  private seenCount = 0;

  /** Throws RangeError for a guest that does not run. */
  constructor(truth: DirtyTruth, options: SimulationOptions) {
    this.truth = truth;
    this.options = options;
    this.nowNs = options.startNs ?? truth.beginNs;
    this.speed = (options.virtualPerWall ?? 1) * (1 - (options.loggingSlowdown ?? 0));
    if (!(this.speed > 0)) throw new RangeError('the guest must run while it is migrated: virtualPerWall above 0, loggingSlowdown below 1');
    this.cursor = new TimelineCursor(truth, truth.timeline, this.nowNs, options);
    this.lastNs = new Float64Array(truth.pages).fill(this.nowNs);
    this.isSeen = new Uint8Array(truth.pages);
    this.seen = new Uint32Array(truth.pages);
  }

  /** A guest with slack in its time loses nothing to a throttle until the slack is used up. */
  pass(wallNs: number): void {
    const share = this.percent === 0 ? 1 : Math.min(1, (1 - this.percent / 100) / Math.max(1e-3, this.truth.busyShare));
    this.nowNs += wallNs * this.speed * share;
  }
  throttle(percent: number): void {
    this.percent = percent;
  }

  private see(): void {
    this.cursor.skip(this.nowNs);
    for (let at = this.cursor.nextNs(); at < this.nowNs; at = this.cursor.nextNs()) {
      const page = this.cursor.take();
      this.lastNs[page] = at;
      if (this.isSeen[page] !== 0) continue;
      this.isSeen[page] = 1;
      this.seen[this.seenCount++] = page;
    }
  }
  writes(tell: (page: number, atNs: number) => void): void {
    this.see();
    for (let i = 0; i < this.seenCount; i++) {
      const page = this.seen[i];
      this.isSeen[page] = 0;
      tell(page, this.lastNs[page]);
    }
    this.seenCount = 0;
  }
  cleared(): void {}
  sent(): void {}

  /** A moment of the recording since which the page holds what it holds now. */
  private contentMoment(page: number): number {
    const { truth, options, nowNs } = this;
    const { timeline, endNs } = truth;
    const startNs = options.startNs ?? truth.beginNs;
    const fromNs = options.repeatFromNs ?? truth.beginNs;
    const length = endNs - fromNs;
    let untilNs = nowNs;
    if (nowNs > endNs && options.afterEnd !== 'idle' && length > 0) {
      const repetition = fromNs + ((nowNs - fromNs) % length);
      const entry = timeline.lastOf(page, repetition);
      if (entry >= 0 && timeline.atNs[entry] >= fromNs) return timeline.atNs[entry];
      // Not in this one: in the one before, the first of which began at the start.
      untilNs = Infinity;
      const last = timeline.lastOf(page, Infinity);
      if (nowNs >= endNs + length && last >= 0 && timeline.atNs[last] >= fromNs) return timeline.atNs[last];
    }
    const entry = timeline.lastOf(page, untilNs);
    return entry < 0 ? startNs : Math.max(startNs, timeline.atNs[entry]);
  }
  isZero(page: number): boolean {
    const { content } = this.truth;
    return content !== undefined && content.isZero(page, this.contentMoment(page));
  }
  compressedBytes(page: number): number {
    const { content } = this.truth;
    return content === undefined ? PAGE_BYTES : content.compressedBytes(page, this.contentMoment(page));
  }
  keep(): PageMemento {
    return this.nowNs;
  }
  /** Over the recording's end the same stretch is taken again, so a change from its end to its begin is unknown: at least that of both parts. */
  deltaBytes(page: number, since: PageMemento): number {
    const { truth, options, nowNs } = this;
    const { content, endNs } = truth;
    if (content === undefined || typeof since !== 'number') return PAGE_BYTES + 1;
    const from = momentInRecording(truth, options, since);
    const to = momentInRecording(truth, options, nowNs);
    if (since <= endNs === nowNs <= endNs && from <= to) return content.deltaBytes(page, from, to);
    return content.deltaBytes(page, from, endNs) + content.deltaBytes(page, options.repeatFromNs ?? truth.beginNs, to);
  }

  arrive(): Arrived {
    const cursor = new TimelineCursor(this.truth, this.truth.touches ?? this.truth.timeline, this.nowNs, this.options);
    return {
      next: (untilNs) => {
        const atNs = cursor.nextNs();
        return atNs === Infinity || atNs > untilNs ? undefined : { page: cursor.take(), atNs };
      },
      waited: () => 0,
    };
  }
}

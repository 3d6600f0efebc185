/** What pages hold, from what a replay saw at the ends of epochs and what is known of power-on. */
import type { PowerOnPages } from './folds.ts';
import type { DirtyTimeline } from './timeline.ts';
import { PAGE_BYTES, type PageContent } from './truth.ts';

/** Numbers of an entry in `columns`: zero, delta, compressed. */
const STRIDE = 3;

export class SliceContent implements PageContent {
  /** The sum of the codes of the epochs between is no code. With power-on alone nothing is known of later ones. */
  readonly isExact = false;
  readonly knowsBytes: boolean;
  private readonly timeline: DirtyTimeline;
  private readonly columns: readonly number[] | undefined;
  private readonly powerOn: PowerOnPages | undefined;
  /** columns: three numbers an entry of the timeline, or zero alone if bytes are not known; undefined: a page that was written is not zeros, and nothing else is known. */
  constructor(timeline: DirtyTimeline, columns: readonly number[] | undefined, powerOn: PowerOnPages | undefined, knowsBytes: boolean) {
    this.timeline = timeline;
    this.columns = columns;
    this.knowsBytes = knowsBytes && columns !== undefined;
    this.powerOn = powerOn;
  }

  isZero(page: number, atNs: number): boolean {
    const last = this.timeline.lastOf(page, atNs, true);
    if (last < 0) return this.powerOn?.isZero[page] === 1;
    return this.columns !== undefined && this.columns[last * STRIDE] === 1;
  }

  deltaBytes(page: number, fromNs: number, toNs: number): number {
    if (this.columns === undefined || !this.knowsBytes) return PAGE_BYTES + 1;
    const { timeline } = this;
    let sum = 0;
    // `before` is one more than the index.
    for (let i = timeline.lastOf(page, toNs, true); i >= 0 && timeline.atNs[i] > fromNs; i = timeline.before[i] - 1) sum += this.columns[i * STRIDE + 1];
    return sum;
  }

  compressedBytes(page: number, atNs: number): number {
    const last = this.timeline.lastOf(page, atNs, true);
    if (last >= 0) return this.columns === undefined || !this.knowsBytes ? PAGE_BYTES : this.columns[last * STRIDE + 2];
    return this.powerOn?.compressedBytes?.[page] ?? PAGE_BYTES;
  }
}

/**
 * Length of QEMU's XBZRLE code of `now` against `before`: runs of equal bytes and runs of others in turn, each with its length in one byte, or two from 128 on
 * (migration/xbzrle.c). 0: no byte is another. Equal bytes at the end cost nothing. More than PAGE_BYTES if it does not fit: QEMU's overflow.
 */
export function xbzrleBytes(before: Uint8Array, now: Uint8Array): number {
  let bytes = 0;
  for (let at = 0; at < PAGE_BYTES; ) {
    const equalFrom = at;
    while (at < PAGE_BYTES && before[at] === now[at]) at++;
    if (at === PAGE_BYTES) return bytes;
    bytes += lengthBytes(at - equalFrom);
    const otherFrom = at;
    while (at < PAGE_BYTES && before[at] !== now[at]) at++;
    bytes += lengthBytes(at - otherFrom) + (at - otherFrom);
    if (bytes > PAGE_BYTES) return PAGE_BYTES + 1;
  }
  return bytes;
}

function lengthBytes(length: number): number {
  return length < 128 ? 1 : 2;
}

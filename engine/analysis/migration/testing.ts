/** Guests whose writes are a formula, for tests. */
import { DirtyTimeline, TimelineBuilder } from '../dirty/timeline.ts';
import type { DirtyTruth, PageContent } from '../dirty/truth.ts';

export const MS = 1e6;
export const S = 1e9;

/** Every write at its own time. */
export function exactTruth(pages: number, endNs: number, fill: (add: (atNs: number, page: number) => void) => void, more: Partial<DirtyTruth> = {}): DirtyTruth {
  const builder = new TimelineBuilder();
  fill((atNs, page) => builder.add(atNs, page));
  return { name: 'formula', pages, beginNs: 0, endNs, timeline: builder.build(), times: 'first write', busyShare: 1, ...more };
}

/** `perSecond` distinct pages a second, one after the other, over a set of `setPages` from page `from`. */
export function steadyWriter(pages: number, perSecond: number, setPages = pages, seconds = 60, more: Partial<DirtyTruth> = {}): DirtyTruth {
  return exactTruth(
    pages,
    seconds * S,
    (add) => {
      for (let i = 0; i < perSecond * seconds; i++) add((i * S) / perSecond, i % setPages);
    },
    more,
  );
}

export function idleGuest(pages: number, more: Partial<DirtyTruth> = {}): DirtyTruth {
  return { name: 'idle', pages, beginNs: 0, endNs: S, timeline: new DirtyTimeline({ atNs: new Float64Array(), page: new Uint32Array() }), times: 'first write', busyShare: 0, ...more };
}

export function contentOf(options: { readonly zeroFrom?: number; readonly deltaBytes?: number; readonly compressedBytes?: number }): PageContent {
  return {
    isZero: (page) => page >= (options.zeroFrom ?? Infinity),
    deltaBytes: () => options.deltaBytes ?? 4097,
    compressedBytes: () => options.compressedBytes ?? 4096,
    knowsBytes: true,
    isExact: true,
  };
}

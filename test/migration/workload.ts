/** The workload of guest.S as data: its table, and the exact trace of what it writes. */
import { DirtyTimeline, TimelineBuilder } from '../../engine/analysis/dirty/timeline.ts';
import { PAGE_BYTES, type DirtyTruth } from '../../engine/analysis/dirty/truth.ts';

export interface Workload {
  /** Pages written over and over; a power of two. */
  readonly setPages: number;
  readonly pagesPerTick: number;
  readonly tickMs: number;
  readonly order: 'sequential' | 'scattered';
  /** In every second phase so many pages a tick instead. */
  readonly phases?: { readonly ms: number; readonly pagesPerTick: number };
}

export const FIRST_PAGE = 1024;
/** Memory that is filled begins here: below lie the BIOS data and the guest. */
export const FILL_FROM_BYTES = 2 << 20;
/** ms between two 'T'. */
export const ANNOUNCE_MS = 250;

/** guest.S with its table set. */
export function configured(image: Uint8Array, load: Workload, memoryBytes: number, tscHz: number): Uint8Array {
  const marker = new TextEncoder().encode('CVCONFIG');
  const at = image.findIndex((_, i) => marker.every((byte, j) => image[i + j] === byte));
  if (at < 0) throw new Error('the guest has no table');
  if (FIRST_PAGE + load.setPages > memoryBytes / PAGE_BYTES) throw new RangeError(`${load.setPages} pages do not fit into ${memoryBytes} bytes`);
  const out = image.slice();
  const view = new DataView(out.buffer, at + marker.length);
  const ticksOf = (ms: number): number => Math.round(ms / load.tickMs);
  const table = [
    FIRST_PAGE, load.setPages, load.pagesPerTick, Math.round((load.tickMs / 1000) * tscHz), load.order === 'scattered' ? 1 : 0, FILL_FROM_BYTES, memoryBytes,
    load.phases === undefined ? 0 : ticksOf(load.phases.ms), load.phases?.pagesPerTick ?? 0, ticksOf(ANNOUNCE_MS),
  ]; // prettier-ignore
  table.forEach((word, i) => view.setUint32(i * 4, word, true));
  return out;
}

/** What the guest writes in its first `ns`, each store at the time it is due. */
export function traceOf(load: Workload, ns: number): DirtyTimeline {
  const builder = new TimelineBuilder();
  const { setPages, tickMs, phases, order } = load;
  let place = 0;
  for (let tick = 0; tick * tickMs * 1e6 < ns; tick++) {
    const isSecond = phases !== undefined && Math.floor(tick / Math.round(phases.ms / tickMs)) % 2 === 1;
    for (let i = isSecond ? phases.pagesPerTick : load.pagesPerTick; i > 0; i--) {
      builder.add(tick * tickMs * 1e6, FIRST_PAGE + place);
      place = ((order === 'scattered' ? place * 5 : place) + 1) % setPages;
    }
  }
  return builder.build();
}

/** pages: of all RAM that is migrated; filledPages: of those, not zeros. */
export function truthOf(load: Workload, pages: number, filledPages: number, memoryBytes: number, ns: number): DirtyTruth {
  const filled = { from: FILL_FROM_BYTES / PAGE_BYTES, to: memoryBytes / PAGE_BYTES };
  // BIOS, its tables and the guest itself hold something, too: how many matters, which do not.
  const others = Math.max(0, filledPages - (filled.to - filled.from));
  const isZero = (page: number): boolean => (page < filled.from ? page >= others : page >= filled.to);
  return {
    name: 'guest.S', pages, beginNs: 0, endNs: ns, timeline: traceOf(load, ns), times: 'first write', busyShare: 0.1,
    content: { isZero, deltaBytes: () => 3, compressedBytes: () => 64, knowsBytes: true, isExact: true },
  }; // prettier-ignore
}

/** Pages of two machines' memory that are not the same. */
import type { Core } from '../cpu/core.ts';
import { changedFrames, pageHashes, pageView } from '../machine/snapshot.ts';

export interface PageDifference {
  /** Page frame number. */
  readonly page: number;
  /** Physical address of the first byte that differs. */
  readonly address: number;
  readonly a: number;
  readonly b: number;
  /** Bytes of the page that differ. */
  readonly count: number;
}

const PAGE_BYTES = 4096;

/** Numbers of the pages that differ, ascending, of memory that both have. */
export function differingPages(a: Core, b: Core): readonly number[] {
  if (a.ramBytes === b.ramBytes) return [...changedFrames(a, pageHashes(b))];
  return Array.from({ length: Math.min(a.ramBytes, b.ramBytes) / PAGE_BYTES }, (_, page) => page).filter((page) => pageDifference(a, b, page) !== undefined);
}

/** Undefined: the page is the same. */
export function pageDifference(a: Core, b: Core, page: number): PageDifference | undefined {
  const [left, right] = [pageView(a, page), pageView(b, page)];
  let first = -1;
  let count = 0;
  for (let i = 0; i < PAGE_BYTES; i++) {
    if (left[i] === right[i]) continue;
    if (first < 0) first = i;
    count++;
  }
  return first < 0 ? undefined : { page, address: page * PAGE_BYTES + first, a: left[first], b: right[first], count };
}

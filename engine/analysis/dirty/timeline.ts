/**
 * First writes: of each page and each epoch the first one, in order of time. From it D(t0, dt), the number of distinct pages that were written in a
 * window, for any window, in logarithmic time:
 *
 *     a page counts in [t0, t1) by its first entry there  ⇔  the page's entry before that one comes before t0
 *
 * so each entry keeps the index of the entry of its page before it, and D is the number of entries in the window whose `before` lies in front of the
 * window: a count in a range below a bound (wavelet.ts).
 */
import { WaveletMatrix } from './wavelet.ts';

/** Columns of a timeline, in order of time. */
export interface TimelineColumns {
  /** Virtual ns since reset: of the first write, where a replay told it; else of the end of its epoch. */
  readonly atNs: Float64Array;
  /** Guest page frame number. */
  readonly page: Uint32Array;
}

export class DirtyTimeline implements TimelineColumns {
  readonly atNs: Float64Array;
  readonly page: Uint32Array;
  /** Index of the page's entry before this one, plus 1; 0 if this is its first. */
  readonly before: Uint32Array;
  private wavelet: WaveletMatrix | undefined;

  /** Throws RangeError for columns of different lengths, or out of order. */
  constructor({ atNs, page }: TimelineColumns) {
    if (atNs.length !== page.length) throw new RangeError(`a timeline of ${atNs.length} times and ${page.length} pages`);
    this.atNs = atNs;
    this.page = page;
    this.before = new Uint32Array(page.length);
    let pageMax = -1;
    for (const each of page) if (each > pageMax) pageMax = each;
    const last = new Uint32Array(pageMax + 1);
    for (let i = 0; i < page.length; i++) {
      if (i > 0 && atNs[i] < atNs[i - 1]) throw new RangeError(`a timeline must be in order: ${atNs[i]} ns comes after ${atNs[i - 1]} ns`);
      this.before[i] = last[page[i]];
      last[page[i]] = i + 1;
    }
  }

  get length(): number {
    return this.page.length;
  }

  /** Index of the first entry at `ns` or later. */
  indexAt(ns: number): number {
    let low = 0;
    let high = this.atNs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.atNs[middle] < ns) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private starts: Uint32Array | undefined;
  private order: Uint32Array = new Uint32Array();

  /** The last entry of a page before `ns` (with `inclusive`: or at it), among all entries; -1 if there is none. */
  lastOf(page: number, ns: number, inclusive = false): number {
    const starts = (this.starts ??= this.byPage());
    const from = starts[page] ?? this.length;
    let low = from;
    let high = starts[page + 1] ?? from;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = this.atNs[this.order[middle]];
      if (at < ns || (inclusive && at === ns)) low = middle + 1;
      else high = middle;
    }
    return low === from ? -1 : this.order[low - 1];
  }
  /** Entries of page p: order[starts[p]] to order[starts[p + 1] - 1], in order of time. */
  private byPage(): Uint32Array {
    const pages = this.page.reduce((most, page) => Math.max(most, page + 1), 0);
    const starts = new Uint32Array(pages + 1);
    for (const page of this.page) starts[page + 1]++;
    for (let page = 0; page < pages; page++) starts[page + 1] += starts[page];
    const next = starts.slice();
    this.order = new Uint32Array(this.length);
    for (let i = 0; i < this.length; i++) this.order[next[this.page[i]]++] = i;
    return starts;
  }

  /** D: distinct pages with an entry from `fromNs` (inclusive) to `toNs` (exclusive). */
  distinct(fromNs: number, toNs: number): number {
    return this.distinctBetween(this.indexAt(fromNs), this.indexAt(toNs));
  }

  /** The same between two indexes. */
  distinctBetween(begin: number, end: number): number {
    if (begin >= end) return 0;
    this.wavelet ??= new WaveletMatrix(this.before, Math.max(1, 32 - Math.clz32(this.length)));
    return this.wavelet.countBelow(begin, end, begin + 1);
  }

  /** The pages themselves, ascending. */
  pagesBetween(fromNs: number, toNs: number): Uint32Array {
    const begin = this.indexAt(fromNs);
    const end = this.indexAt(toNs);
    const found: number[] = [];
    for (let i = begin; i < end; i++) if (this.before[i] <= begin) found.push(this.page[i]);
    return Uint32Array.from(found).sort();
  }

  /** ns from each page's entry to its next one, ascending. Pages that are not written again have none. */
  rewriteGapsNs(fromNs = -Infinity, toNs = Infinity): Float64Array {
    const end = this.indexAt(toNs);
    const gaps: number[] = [];
    for (let i = this.indexAt(fromNs); i < end; i++) if (this.before[i] > 0) gaps.push(this.atNs[i] - this.atNs[this.before[i] - 1]);
    return Float64Array.from(gaps).sort();
  }
}

/** Grows a timeline, entry by entry or epoch by epoch. */
export class TimelineBuilder {
  private atNs = new Float64Array(1024);
  private page = new Uint32Array(1024);
  length = 0;

  add(atNs: number, page: number): void {
    if (this.length === this.page.length) {
      this.atNs = grown(this.atNs, new Float64Array(this.length * 2));
      this.page = grown(this.page, new Uint32Array(this.length * 2));
    }
    this.atNs[this.length] = atNs;
    this.page[this.length++] = page;
  }

  /** A copy of what there is. */
  columns(): TimelineColumns {
    return { atNs: this.atNs.slice(0, this.length), page: this.page.slice(0, this.length) };
  }
  restore({ atNs, page }: TimelineColumns): void {
    this.length = 0;
    for (let i = 0; i < page.length; i++) this.add(atNs[i], page[i]);
  }
  build(): DirtyTimeline {
    return new DirtyTimeline(this.columns());
  }
}

function grown<T extends Float64Array | Uint32Array>(old: T, larger: T): T {
  larger.set(old);
  return larger;
}

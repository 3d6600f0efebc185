/**
 * The TLBs of a real CPU, told of accesses by the counting build of the core (COUNT_TLB in engine/cpu/assembly/memory.ts), counting what would miss them.
 *
 *     access ─► first level: data or fetch, one array a page size ─ miss ─► second level, shared ─ miss ─► page walk
 *
 * A hit makes an entry the most recent of its set; a miss puts it in the place of the least recent, at both levels. Hits of a set's most recent page change nothing, so the core leaves them
 * out, and the misses counted are exactly those of a model that is told of everything. Pages have the guest's sizes. MOV CR3 drops what is not global, INVLPG one page, changes of CR0.PG and of CR4.PGE,
 * PAE, PSE, SMEP all (SDM vol. 3A 4.10.4.1). An access that faults is no walk here: it is in the cost of the exception. Not modelled: speculative walks and prefetches, walks that only set a D bit, paging-structure caches
 * (they are in the cost of a walk), another thread on the same core.
 */
import { TLB_FETCH, TLB_FLUSH_ALL, TLB_FLUSH_PAGE, TLB_GLOBAL, TLB_SHIFT, TLB_USER } from '../cpu/layout.ts';
import type { TlbListener } from '../cpu/core.ts';
import { RegimeError } from './regime.ts';

export interface TlbArray {
  readonly entries: number;
  readonly ways: number;
}

/** Arrays of one CPU. `large`: 2 MiB and 4 MiB pages. `huge`: 1 GiB, which neither fetches nor the shared array hold on their own. */
export interface TlbGeometry {
  readonly id: string;
  readonly title: string;
  readonly data: TlbArray;
  readonly dataLarge: TlbArray;
  readonly dataHuge: TlbArray;
  readonly fetch: TlbArray;
  readonly fetchLarge: TlbArray;
  readonly shared: TlbArray;
  readonly sharedHoldsLarge: boolean;
  readonly source: string;
  readonly trust: string;
  readonly note: string;
}

/** Since power-on. */
export interface TlbCounts {
  /** Misses of the first level that the second had. */
  readonly secondLevelHits: number;
  /** Misses of both: walks of the guest's page tables. */
  readonly walks: number;
  readonly dataKernel: number;
  readonly dataUser: number;
  readonly fetchKernel: number;
  readonly fetchUser: number;
}

/** What the core's filter takes for granted: pages of one set share one of 16 indices (large data pages: one of 8). */
const SETS_MIN = 16;
const LARGE_SETS_MIN = 8;
const NO_PAGE = -1;

/** The number of a page and its size in one: those of 4 KiB are below 2^52, larger ones below 2^44. */
function tagOf(page: number, shift: number): number {
  return shift === 0 ? page : page + 2 ** 52 + (shift - 9) * 2 ** 44;
}

export class TlbModel implements TlbListener {
  readonly geometry: TlbGeometry;
  private readonly data: Lru;
  private readonly dataLarge: Lru;
  private readonly dataHuge: Lru;
  private readonly fetch: Lru;
  private readonly fetchLarge: Lru;
  private readonly shared: Lru;
  private secondLevelHits = 0;
  /** By privilege and purpose: TLB_USER and TLB_FETCH. */
  private readonly walks = new Float64Array(4);

  /** Throws RegimeError for arrays that the counting core cannot serve. */
  constructor(geometry: TlbGeometry) {
    this.geometry = geometry;
    const array = (name: string, { entries, ways }: TlbArray, setsMin: number): Lru => {
      const sets = entries / ways;
      if (!Number.isInteger(Math.log2(sets)) || sets < setsMin) throw new RegimeError(`TLB ${geometry.id}: ${name} has ${sets} sets; it must be a power of two, and at least ${setsMin}`);
      return new Lru(sets, ways);
    };
    this.data = array('data', geometry.data, SETS_MIN);
    this.dataLarge = array('dataLarge', geometry.dataLarge, LARGE_SETS_MIN);
    this.dataHuge = array('dataHuge', geometry.dataHuge, 1);
    this.fetch = array('fetch', geometry.fetch, SETS_MIN);
    this.fetchLarge = array('fetchLarge', geometry.fetchLarge, 1);
    this.shared = array('shared', geometry.shared, 1);
  }

  access(pageLow: number, pageHigh: number, kind: number): void {
    const shift = (kind >>> TLB_SHIFT) - 12;
    const page = shift === 0 ? pageHigh * 0x1_0000_0000 + pageLow : Math.floor((pageHigh * 0x1_0000_0000 + pageLow) / 2 ** shift);
    const index = shift === 0 ? pageLow : page >>> 0;
    const isFetch = (kind & TLB_FETCH) !== 0;
    const isGlobal = (kind & TLB_GLOBAL) !== 0;
    const first = shift === 0 ? (isFetch ? this.fetch : this.data) : isFetch ? this.fetchLarge : shift < 18 ? this.dataLarge : this.dataHuge;
    const tag = tagOf(page, shift);
    if (first.use(index, tag, isGlobal)) return;
    if ((shift === 0 || (shift < 18 && this.geometry.sharedHoldsLarge)) && this.shared.use(index, tag, isGlobal)) this.secondLevelHits++;
    else this.walks[kind & (TLB_FETCH | TLB_USER)]++;
  }

  flush(what: number, pageLow: number, pageHigh: number): void {
    const arrays = [this.data, this.dataLarge, this.dataHuge, this.fetch, this.fetchLarge, this.shared];
    if (what !== TLB_FLUSH_PAGE) {
      for (const array of arrays) array.flush(what === TLB_FLUSH_ALL);
      return;
    }
    const page = pageHigh * 0x1_0000_0000 + pageLow;
    for (const shift of [0, 9, 10, 18]) {
      const number = Math.floor(page / 2 ** shift);
      for (const array of arrays) array.drop(number >>> 0, tagOf(number, shift));
    }
  }

  counts(): TlbCounts {
    const { walks } = this;
    return {
      secondLevelHits: this.secondLevelHits, walks: walks[0] + walks[1] + walks[2] + walks[3],
      dataKernel: walks[0], dataUser: walks[TLB_USER], fetchKernel: walks[TLB_FETCH], fetchUser: walks[TLB_FETCH | TLB_USER],
    };
  }
}

/** One array: sets of ways, the most recent first. */
class Lru {
  private readonly mask: number;
  private readonly ways: number;
  private readonly tags: Float64Array;
  private readonly globals: Uint8Array;

  constructor(sets: number, ways: number) {
    this.mask = sets - 1;
    this.ways = ways;
    this.tags = new Float64Array(sets * ways).fill(NO_PAGE);
    this.globals = new Uint8Array(sets * ways);
  }

  /** True if it was there. It is the most recent of its set then, and otherwise too, in an empty way or that of the least recent. */
  use(index: number, tag: number, isGlobal: boolean): boolean {
    const { tags, globals } = this;
    const from = (index & this.mask) * this.ways;
    if (tags[from] === tag) return true;
    const last = from + this.ways - 1;
    let at = from + 1;
    while (at <= last && tags[at] !== tag) at++;
    const isHit = at <= last;
    if (!isHit) {
      at = from;
      while (at < last && tags[at] !== NO_PAGE) at++;
    }
    const flag = isHit ? globals[at] : isGlobal ? 1 : 0;
    for (; at > from; at--) {
      tags[at] = tags[at - 1];
      globals[at] = globals[at - 1];
    }
    tags[from] = tag;
    globals[from] = flag;
    return isHit;
  }

  flush(withGlobal: boolean): void {
    const { tags, globals } = this;
    for (let i = 0; i < tags.length; i++) if (withGlobal || globals[i] === 0) tags[i] = NO_PAGE;
  }

  drop(index: number, tag: number): void {
    const from = (index & this.mask) * this.ways;
    for (let at = from; at < from + this.ways; at++) if (this.tags[at] === tag) this.tags[at] = NO_PAGE;
  }
}

/**
 * A shadow MMU: the page tables that a monitor keeps beside the guest's, and what keeping them costs. Used by `hw-shadow` (as KVM does it), by `full` (as VMware's
 * monitors did) and by PVM.
 *
 * From the log it sees every store to a page table, every load of CR3, INVLPG and true page fault. What it cannot see is an access that only the shadow misses
 * (a *hidden* fault). Those are inferred:
 *  - an entry that is made present right after a true fault on its page is touched at once: the access is tried again;
 *  - an entry that is made present otherwise is touched with the probability `touchedShare` (user) or 1 (kernel), one fault for a group of `prefetch` neighbours;
 *  - a root that was never loaded needs `fillsPerNewRoot` faults for what it shares with others: kernel entries, code, stack.
 */

import { RegimeError } from './regime.ts';

export interface ShadowPolicy {
  /** True: write access to a last-level table is given back until the next synchronisation (KVM). False: each store is seen (traces). */
  readonly isUnsync: boolean;
  /** Neighbouring entries that one fill takes along: a power of two. KVM: PTE_PREFETCH_NUM = 8. */
  readonly prefetch: number;
  /** Roots that are kept for a quick return, the current one included. KVM: KVM_MMU_NUM_PREV_ROOTS = 3, and the current. */
  readonly rootsCached: number;
  /** Stores to an upper table without use after which it is dropped. KVM: 3. 0: never. */
  readonly flood: number;
  /** Shadow pages kept; the oldest goes first. */
  readonly pagesMax: number;
  readonly touchedShare: number;
  readonly fillsPerNewRoot: number;
}

/** What a store to a page table meets. */
export const STORE_FREE = 0;
/** The table loses its write protection until the next synchronisation. */
export const STORE_UNSYNC = 1;
/** The store faults and is done by the monitor. */
export const STORE_WATCHED = 2;

/** Words of a shadow page, side by side in one array: two cache lines. */
const PAGE_FRAME = 0;
const PAGE_LEVEL = 1;
/** 1: writable until the next synchronisation. */
const PAGE_UNSYNC = 2;
/** Stores since the page was last used. */
const PAGE_STORES = 3;
/** 0, or the number of uses at which it was dropped. */
const PAGE_DROPPED_AT = 4;
/** One bit an entry: the shadow has it. */
const PAGE_FILLED = 16;
const PAGE_WORDS = 32;
/** Of no page: frames have 20 bits. */
const NO_FRAME = 0xffff_ffff;
const KNOWN_ROOTS_MAX = 65_536;

/** Pages that were used last, by the low bits of their frame. A power of two. */
const RECENT = 1024;
const USES_MAX = 0xffff_ffff;

/** Frame of the top table that a value of CR3 names: bits 12 to 51. */
export function rootFrame(lo: number, hi: number): number {
  return (hi & 0xf_ffff) * 2 ** 20 + (lo >>> 12);
}

interface SavedPage {
  readonly frame: number;
  readonly level: number;
  readonly isUnsync: boolean;
  readonly stores: number;
  readonly droppedAt: number;
  readonly filled: readonly number[];
}
export interface SavedShadow {
  readonly pages: readonly SavedPage[];
  readonly roots: readonly number[];
  readonly knownRoots: readonly number[];
  readonly uses: number;
  readonly faultIndex: number;
  readonly share: number;
  readonly groupKey: number;
  readonly counters: Readonly<Record<string, number>>;
}

export class ShadowMmu {
  // The policy, in fields of its own: objects that their callers make have maps of their own, and would be looked up at each store.
  private readonly isUnsync: boolean;
  private readonly prefetch: number;
  private readonly rootsCached: number;
  private readonly flood: number;
  private readonly pagesMax: number;
  private readonly touchedShare: number;
  private readonly fillsPerNewRoot: number;
  /** Where the page of a frame begins in `words`; the oldest first. */
  private readonly pages = new Map<number, number>();
  private words = new Uint32Array(16 * PAGE_WORDS);
  /** Words of pages there have been, and where those that are free again begin. The first is of no page. */
  private used = PAGE_WORDS;
  private free: number[] = [];
  /** Where pages begin: a store looks here first. */
  private readonly recent = new Uint32Array(RECENT);
  /** Where they begin. */
  private readonly unsyncPages: Uint32Array;
  private unsyncCount = 0;
  /** Most recent last. */
  private roots: number[] = [];
  private readonly knownRoots = new Set<number>();
  /** Grows at each moment at which dropped tables come into use again. */
  private uses = 1;
  /** Entry number of the last true fault in a last-level table; -1 when it has been answered. */
  private faultIndex = -1;
  private share = 0;
  /** Group of the entry that was filled last. */
  private groupKey = -1;

  storesFree = 0;
  storesUnsync = 0;
  storesWatched = 0;
  syncs = 0;
  drops = 0;
  pagesMade = 0;
  newRoots = 0;
  cachedRoots = 0;
  /** After store(): hidden faults that the store entails. */
  fills = 0;
  /** After loadRoot(): tables that were synchronised, and whether the root was in the cache. */
  synced = 0;
  isCachedRoot = false;

  /** Throws RegimeError. */
  constructor({ isUnsync, prefetch, rootsCached, flood, pagesMax, touchedShare, fillsPerNewRoot }: ShadowPolicy) {
    if ((prefetch & (prefetch - 1)) !== 0) throw new RegimeError(`a shadow MMU fills a power of two of neighbours, not ${prefetch}`);
    this.isUnsync = isUnsync;
    this.prefetch = prefetch;
    this.rootsCached = rootsCached;
    this.flood = flood;
    this.pagesMax = pagesMax;
    this.touchedShare = touchedShare;
    this.fillsPerNewRoot = fillsPerNewRoot;
    this.unsyncPages = new Uint32Array(pagesMax);
    this.words[PAGE_FRAME] = NO_FRAME;
  }

  /** A store to a page table. level: 1 to 4. Returns STORE_*, and sets `fills`. */
  store(level: number, address: number, valueLo: number): number {
    this.fills = 0;
    const frame = address >>> 12;
    const index = (address >>> 3) & 511;
    let page = this.recent[frame & (RECENT - 1)];
    if (this.words[page + PAGE_FRAME] !== frame || this.words[page + PAGE_LEVEL] !== level) page = this.pageOf(frame, level);
    const { words } = this;

    let met: number;
    if (words[page + PAGE_DROPPED_AT] === this.uses) {
      met = STORE_FREE;
    } else if (this.isUnsync && level === 1) {
      met = words[page + PAGE_UNSYNC] !== 0 ? STORE_FREE : STORE_UNSYNC;
      if (met === STORE_UNSYNC) {
        words[page + PAGE_UNSYNC] = 1;
        this.unsyncPages[this.unsyncCount++] = page;
      }
    } else {
      met = STORE_WATCHED;
      const stores = ++words[page + PAGE_STORES];
      if (this.flood > 0 && stores >= this.flood && level > 1) {
        words[page + PAGE_DROPPED_AT] = this.uses;
        words[page + PAGE_STORES] = 0;
        words.fill(0, page + PAGE_FILLED, page + PAGE_WORDS);
        this.drops++;
      }
    }
    if (met === STORE_FREE) this.storesFree++;
    else if (met === STORE_UNSYNC) this.storesUnsync++;
    else this.storesWatched++;

    const word = page + PAGE_FILLED + (index >>> 5);
    const bit = 1 << (index & 31);
    if ((valueLo & 1) === 0) {
      words[word] &= ~bit;
    } else if ((level === 1 || (level === 2 && (valueLo & 0x80) !== 0)) && (words[word] & bit) === 0) {
      words[word] |= bit;
      this.fills = this.fillsOf(frame, index, (valueLo & 4) !== 0);
    }
    return met;
  }

  /** A load of CR3, or anything else that makes the monitor look again at all tables. */
  loadRoot(root: number): void {
    this.use();
    this.fills = 0;
    const { roots } = this;
    let at = roots.length - 1;
    while (at >= 0 && roots[at] !== root) at--;
    this.isCachedRoot = at >= 0;
    if (at >= 0) {
      for (; at + 1 < roots.length; at++) roots[at] = roots[at + 1];
      roots[at] = root;
      this.cachedRoots++;
    } else {
      if (!this.knownRoots.has(root)) {
        this.newRoots++;
        this.fills = this.fillsPerNewRoot;
        if (this.knownRoots.size >= KNOWN_ROOTS_MAX) this.knownRoots.clear();
        this.knownRoots.add(root);
      }
      if (roots.length < this.rootsCached) roots.push(root);
      else {
        for (let i = 1; i < roots.length; i++) roots[i - 1] = roots[i];
        roots[roots.length - 1] = root;
      }
    }
    this.sync();
  }

  /** The monitor reads all tables again that it had let go. Sets `synced`. */
  sync(): void {
    const { unsyncPages, unsyncCount, words } = this;
    this.synced = unsyncCount;
    this.syncs += unsyncCount;
    for (let i = 0; i < unsyncCount; i++) words[unsyncPages[i] + PAGE_UNSYNC] = 0;
    this.unsyncCount = 0;
  }

  /** A true page fault; addressLo: low half of the linear address. */
  trueFault(addressLo: number): void {
    this.use();
    this.faultIndex = (addressLo >>> 12) & 511;
  }

  /** The address space behind a root is gone: its next load is that of a new one. */
  forget(root: number): void {
    this.knownRoots.delete(root);
    this.roots = this.roots.filter((each) => each !== root);
  }

  counters(): Record<string, number> {
    return {
      'shadow pages': this.pages.size, 'shadow pages made': this.pagesMade, 'stores that cost nothing': this.storesFree,
      'tables unsynchronised': this.storesUnsync, 'stores emulated': this.storesWatched,
      'tables synchronised': this.syncs, 'tables dropped': this.drops, 'new roots': this.newRoots, 'roots from the cache': this.cachedRoots,
    };
  }

  /** Tables that were dropped are in use again. */
  private use(): void {
    if (++this.uses <= USES_MAX) return;
    // None was dropped at the use that begins.
    for (const page of this.pages.values()) this.words[page + PAGE_DROPPED_AT] = 0;
    this.uses = 1;
  }

  private pageOf(frame: number, level: number): number {
    let page = this.pages.get(frame);
    if (page === undefined || this.words[page + PAGE_LEVEL] !== level) {
      // Frames are used again, at another level.
      if (page !== undefined) this.remove(page);
      else if (this.pages.size >= this.pagesMax) this.remove(this.pages.values().next().value as number);
      page = this.addPage(frame, level);
      this.pagesMade++;
    }
    this.recent[frame & (RECENT - 1)] = page;
    return page;
  }

  private addPage(frame: number, level: number): number {
    const page = this.free.pop() ?? this.used;
    if (page === this.used) this.used += PAGE_WORDS;
    if (this.used > this.words.length) {
      const larger = new Uint32Array(this.words.length * 2);
      larger.set(this.words);
      this.words = larger;
    }
    this.words.fill(0, page, page + PAGE_WORDS);
    this.words[page + PAGE_FRAME] = frame;
    this.words[page + PAGE_LEVEL] = level;
    this.pages.set(frame, page);
    return page;
  }

  private remove(page: number): void {
    const { words } = this;
    this.pages.delete(words[page + PAGE_FRAME]);
    if (words[page + PAGE_UNSYNC] !== 0) {
      const at = this.unsyncPages.indexOf(page);
      this.unsyncPages.copyWithin(at, at + 1, this.unsyncCount--);
    }
    // Nobody finds it in `recent`.
    words[page + PAGE_FRAME] = NO_FRAME;
    this.free.push(page);
  }

  private fillsOf(frame: number, index: number, isUser: boolean): number {
    const group = frame * 512 + (index & -this.prefetch);
    if (index === this.faultIndex) {
      this.faultIndex = -1;
      this.groupKey = group;
      return 1;
    }
    if (group === this.groupKey) return 0;
    this.groupKey = group;
    if (!isUser) return 1;
    this.share += this.touchedShare;
    const whole = Math.floor(this.share);
    this.share -= whole;
    return whole;
  }

  save(): SavedShadow {
    const { words } = this;
    const pages = [...this.pages].map(([frame, page]): SavedPage => ({
      frame, level: words[page + PAGE_LEVEL], isUnsync: words[page + PAGE_UNSYNC] !== 0, stores: words[page + PAGE_STORES], droppedAt: words[page + PAGE_DROPPED_AT],
      filled: Array.from(words.subarray(page + PAGE_FILLED, page + PAGE_WORDS)),
    }));
    const { storesFree, storesUnsync, storesWatched, syncs, drops, pagesMade, newRoots, cachedRoots } = this;
    return {
      pages, roots: this.roots, knownRoots: [...this.knownRoots], uses: this.uses, faultIndex: this.faultIndex, share: this.share, groupKey: this.groupKey,
      counters: { storesFree, storesUnsync, storesWatched, syncs, drops, pagesMade, newRoots, cachedRoots },
    };
  }

  restore(saved: SavedShadow): void {
    this.pages.clear();
    this.recent.fill(0);
    this.used = PAGE_WORDS;
    this.free = [];
    this.unsyncCount = 0;
    for (const { frame, level, isUnsync, stores, droppedAt, filled } of saved.pages) {
      const page = this.addPage(frame, level);
      this.words.set([isUnsync ? 1 : 0, stores, droppedAt], page + PAGE_UNSYNC);
      this.words.set(filled, page + PAGE_FILLED);
      if (isUnsync) this.unsyncPages[this.unsyncCount++] = page;
    }
    this.roots = [...saved.roots];
    this.knownRoots.clear();
    for (const root of saved.knownRoots) this.knownRoots.add(root);
    this.uses = saved.uses;
    this.faultIndex = saved.faultIndex;
    this.share = saved.share;
    this.groupKey = saved.groupKey;
    Object.assign(this, saved.counters);
  }
}

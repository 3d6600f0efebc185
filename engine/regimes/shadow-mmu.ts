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

export interface ShadowPolicy {
  /** True: write access to a last-level table is given back until the next synchronisation (KVM). False: each store is seen (traces). */
  readonly isUnsync: boolean;
  /** Neighbouring entries that one fill takes along. KVM: PTE_PREFETCH_NUM = 8. */
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

/** Words of 32 bits for 512 entries. */
const WORDS = 16;
const KNOWN_ROOTS_MAX = 65_536;

/** Pages that were used last, by the low bits of their frame. A power of two. */
const RECENT = 64;

/** Frame of the top table that a value of CR3 names: bits 12 to 51. */
export function rootFrame(lo: number, hi: number): number {
  return (hi & 0xf_ffff) * 2 ** 20 + (lo >>> 12);
}

interface ShadowPage {
  readonly frame: number;
  level: number;
  isUnsync: boolean;
  /** Stores since the page was last used. */
  stores: number;
  /** 0, or the number of uses at which it was dropped. */
  droppedAt: number;
  /** One bit an entry: the shadow has it. */
  readonly filled: Uint32Array;
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
  private readonly policy: ShadowPolicy;
  private readonly pages = new Map<number, ShadowPage>();
  /** Of `pages`: a store looks here first. */
  private readonly recent: (ShadowPage | undefined)[] = new Array<ShadowPage | undefined>(RECENT).fill(undefined);
  private unsyncPages: ShadowPage[] = [];
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

  constructor(policy: ShadowPolicy) {
    this.policy = policy;
  }

  /** A store to a page table. level: 1 to 4. Returns STORE_*, and sets `fills`. */
  store(level: number, address: number, valueLo: number): number {
    this.fills = 0;
    const frame = address >>> 12;
    const index = (address >>> 3) & 511;
    const near = this.recent[frame & (RECENT - 1)];
    const page = near !== undefined && near.frame === frame && near.level === level ? near : this.pageOf(frame, level);
    const isPresent = (valueLo & 1) !== 0;
    const isLeaf = level === 1 || (level === 2 && (valueLo & 0x80) !== 0);
    const word = index >>> 5;
    const bit = 1 << (index & 31);

    let met: number;
    if (page.droppedAt === this.uses) {
      met = STORE_FREE;
    } else if (this.policy.isUnsync && level === 1) {
      met = page.isUnsync ? STORE_FREE : STORE_UNSYNC;
      if (!page.isUnsync) {
        page.isUnsync = true;
        this.unsyncPages.push(page);
      }
    } else {
      met = STORE_WATCHED;
      page.stores++;
      if (this.policy.flood > 0 && page.stores >= this.policy.flood && level > 1) {
        page.droppedAt = this.uses;
        page.stores = 0;
        page.filled.fill(0);
        this.drops++;
      }
    }
    if (met === STORE_FREE) this.storesFree++;
    else if (met === STORE_UNSYNC) this.storesUnsync++;
    else this.storesWatched++;

    if (!isPresent) {
      page.filled[word] &= ~bit;
    } else if (isLeaf && (page.filled[word] & bit) === 0) {
      page.filled[word] |= bit;
      this.fills = this.fillsOf(frame, index, (valueLo & 4) !== 0);
    }
    return met;
  }

  /** A load of CR3, or anything else that makes the monitor look again at all tables. */
  loadRoot(root: number): void {
    this.uses++;
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
        this.fills = this.policy.fillsPerNewRoot;
        if (this.knownRoots.size >= KNOWN_ROOTS_MAX) this.knownRoots.clear();
        this.knownRoots.add(root);
      }
      roots.push(root);
      if (roots.length > this.policy.rootsCached) roots.shift();
    }
    this.sync();
  }

  /** The monitor reads all tables again that it had let go. Sets `synced`. */
  sync(): void {
    const { unsyncPages } = this;
    this.synced = unsyncPages.length;
    if (this.synced === 0) return;
    this.syncs += this.synced;
    for (const page of unsyncPages) page.isUnsync = false;
    unsyncPages.length = 0;
  }

  /** A true page fault; addressLo: low half of the linear address. */
  trueFault(addressLo: number): void {
    this.uses++;
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

  private pageOf(frame: number, level: number): ShadowPage {
    let page = this.pages.get(frame);
    if (page === undefined || page.level !== level) {
      // Frames are used again, at another level.
      if (page !== undefined) this.remove(frame, page);
      else if (this.pages.size >= this.policy.pagesMax) {
        const [oldest, oldestPage] = this.pages.entries().next().value as [number, ShadowPage];
        this.remove(oldest, oldestPage);
      }
      page = { frame, level, isUnsync: false, stores: 0, droppedAt: 0, filled: new Uint32Array(WORDS) };
      this.pages.set(frame, page);
      this.pagesMade++;
    }
    this.recent[frame & (RECENT - 1)] = page;
    return page;
  }

  private remove(frame: number, page: ShadowPage): void {
    this.pages.delete(frame);
    if (this.recent[frame & (RECENT - 1)] === page) this.recent[frame & (RECENT - 1)] = undefined;
    if (page.isUnsync) this.unsyncPages = this.unsyncPages.filter((each) => each !== page);
  }

  private fillsOf(frame: number, index: number, isUser: boolean): number {
    const group = frame * 512 + index - (index % this.policy.prefetch);
    if (index === this.faultIndex) {
      this.faultIndex = -1;
      this.groupKey = group;
      return 1;
    }
    if (group === this.groupKey) return 0;
    this.groupKey = group;
    if (!isUser) return 1;
    this.share += this.policy.touchedShare;
    const whole = Math.floor(this.share);
    this.share -= whole;
    return whole;
  }

  save(): SavedShadow {
    const pages = [...this.pages].map(([frame, { level, isUnsync, stores, droppedAt, filled }]): SavedPage => ({ frame, level, isUnsync, stores, droppedAt, filled: Array.from(filled) }));
    const { storesFree, storesUnsync, storesWatched, syncs, drops, pagesMade, newRoots, cachedRoots } = this;
    return {
      pages, roots: this.roots, knownRoots: [...this.knownRoots], uses: this.uses, faultIndex: this.faultIndex, share: this.share, groupKey: this.groupKey,
      counters: { storesFree, storesUnsync, storesWatched, syncs, drops, pagesMade, newRoots, cachedRoots },
    };
  }

  restore(saved: SavedShadow): void {
    this.pages.clear();
    this.recent.fill(undefined);
    for (const { frame, level, isUnsync, stores, droppedAt, filled } of saved.pages) this.pages.set(frame, { frame, level, isUnsync, stores, droppedAt, filled: Uint32Array.from(filled) });
    this.unsyncPages = [...this.pages.values()].filter(({ isUnsync }) => isUnsync);
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

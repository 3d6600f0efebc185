/**
 * What the coder of a block foresees: FORMAT.md, section 3.3. Encoder and decoder hold one each and call the same methods
 * in the same order, so they cannot drift apart. Everything is forgotten at the end of a block.
 *
 *     previous two sites ──► pair[slot] ─► site, delta     (mode 0)
 *     previous site      ──► next[site] ─► site, delta     (mode 1)
 *     site itself        ──► arrive[site] ─► delta         (modes 2, 3)
 *
 * The decoder has the methods of a record (foreseeValue, learnValue, learnSite) spelt out in its loop: what changes here changes there.
 */
import { ACCESS_SIZE_MASK, HAS_BYTE, SHAPE_EXIT_IO, SHAPE_TRAITS } from './shapes.ts';

/** A block ends before it has more sites. */
export const SITES_MAX = 8192;
/** Stands for "no site": `previous` at the start, and the all-zero base of the first definition of a shape. */
export const NO_SITE = SITES_MAX;
/** Stands for a delta that is never foreseen. */
export const NO_DELTA = 0xffff_ffff;
const PAIRS = 4096;
const CACHE_SLOTS = 256;

/** What each site did last: words of `state`, side by side, so that a record looks at one cache line. They are bits: 64-bit values and u32 as signed words. */
export const STATE_SHIFT = 4;
/** Traits of the shape, with HAS_BYTE for io of size 1. */
export const STATE_TRAITS = 0;
export const STATE_LAST_LO = 1;
export const STATE_LAST_HI = 2;
export const STATE_LAST_AUX = 3;
/** 0 or 1. */
export const STATE_FOLLOWS = 4;
export const STATE_ARRIVE = 5;
/** Site + 1, 0 for none. */
export const STATE_NEXT_SITE = 6;
export const STATE_NEXT_DELTA = 7;
/** Decoder only: records of the site, and what each adds to the time offset. */
export const STATE_RECORDS = 8;
export const STATE_COST = 9;

export class Predictor {
  siteCount = 0;
  // The columns of the site table.
  readonly shape = new Uint8Array(SITES_MAX + 1);
  readonly f0 = new Uint32Array(SITES_MAX + 1);
  readonly f1 = new Uint32Array(SITES_MAX + 1);
  readonly f2 = new Uint32Array(SITES_MAX + 1);
  readonly f3 = new Uint32Array(SITES_MAX + 1);
  readonly ripLo = new Uint32Array(SITES_MAX + 1);
  readonly ripHi = new Uint32Array(SITES_MAX + 1);
  readonly addressLo = new Uint32Array(SITES_MAX + 1);
  readonly addressHi = new Uint32Array(SITES_MAX + 1);

  /** STATE_* of each site. */
  readonly state = new Int32Array((SITES_MAX + 1) << STATE_SHIFT);
  /** Two words a slot: site + 1 (0 for none), and delta. */
  readonly pair = new Int32Array(PAIRS * 2);

  readonly cacheLo = new Uint32Array(CACHE_SLOTS);
  readonly cacheHi = new Uint32Array(CACHE_SLOTS);
  readonly cacheUsed = new Uint8Array(CACHE_SLOTS);

  /** The site defined last of each shape, NO_SITE if none. */
  readonly baseOfShape = new Uint16Array(256);
  /** The rip written last in a definition. */
  definedRipLo = 0;
  definedRipHi = 0;

  previous = NO_SITE;
  beforePrevious = NO_SITE;
  /** Value of the last record that had one. */
  valueLo = 0;
  valueHi = 0;

  // Results of foreseeValue.
  guessLo = 0;
  guessHi = 0;
  otherLo = 0;
  otherHi = 0;

  constructor() {
    this.reset();
  }

  reset(): void {
    this.siteCount = 0;
    this.state[(NO_SITE << STATE_SHIFT) + STATE_NEXT_SITE] = 0;
    this.pair.fill(0);
    this.cacheUsed.fill(0);
    this.baseOfShape.fill(NO_SITE);
    this.definedRipLo = 0;
    this.definedRipHi = 0;
    this.previous = NO_SITE;
    this.beforePrevious = NO_SITE;
    this.valueLo = 0;
    this.valueHi = 0;
  }

  define(shape: number, f0: number, f1: number, f2: number, f3: number, ripLo: number, ripHi: number, addressLo: number, addressHi: number): number {
    const site = this.siteCount++;
    this.shape[site] = shape;
    this.f0[site] = f0;
    this.f1[site] = f1;
    this.f2[site] = f2;
    this.f3[site] = f3;
    this.ripLo[site] = ripLo;
    this.ripHi[site] = ripHi;
    this.addressLo[site] = addressLo;
    this.addressHi[site] = addressHi;
    const at = site << STATE_SHIFT;
    this.state.fill(0, at, at + (1 << STATE_SHIFT));
    this.state[at + STATE_TRAITS] = SHAPE_TRAITS[shape] | (shape === SHAPE_EXIT_IO && (f1 & ACCESS_SIZE_MASK) === 1 ? HAS_BYTE : 0);
    this.baseOfShape[shape] = site;
    return site;
  }

  pairSlot(): number {
    return (Math.imul(this.previous, 0x9e3779b1) ^ Math.imul(this.beforePrevious, 0x85ebca6b)) >>> 20;
  }

  traits(site: number): number {
    return this.state[(site << STATE_SHIFT) + STATE_TRAITS];
  }

  /** Sets guess and other. */
  foreseeValue(site: number): void {
    const { state } = this;
    const at = site << STATE_SHIFT;
    if (state[at + STATE_FOLLOWS] !== 0) {
      this.guessLo = this.valueLo;
      this.guessHi = this.valueHi;
      this.otherLo = state[at + STATE_LAST_LO] >>> 0;
      this.otherHi = state[at + STATE_LAST_HI] >>> 0;
    } else {
      this.guessLo = state[at + STATE_LAST_LO] >>> 0;
      this.guessHi = state[at + STATE_LAST_HI] >>> 0;
      this.otherLo = this.valueLo;
      this.otherHi = this.valueHi;
    }
  }

  learnValue(site: number, lo: number, hi: number, aux: number): void {
    const { state } = this;
    const at = site << STATE_SHIFT;
    const isLast = lo === state[at + STATE_LAST_LO] >>> 0 && hi === state[at + STATE_LAST_HI] >>> 0;
    const isFollowing = lo === this.valueLo && hi === this.valueHi;
    if (isLast !== isFollowing) state[at + STATE_FOLLOWS] = isFollowing ? 1 : 0;
    state[at + STATE_LAST_LO] = lo;
    state[at + STATE_LAST_HI] = hi;
    state[at + STATE_LAST_AUX] = aux;
    this.valueLo = lo;
    this.valueHi = hi;
  }

  /** slot: pairSlot() from before this record. */
  learnSite(slot: number, site: number, delta: number): void {
    const { pair, state } = this;
    const stored = (delta < NO_DELTA ? delta : NO_DELTA) | 0;
    const previous = this.previous << STATE_SHIFT;
    pair[slot * 2] = site + 1;
    pair[slot * 2 + 1] = stored;
    state[previous + STATE_NEXT_SITE] = site + 1;
    state[previous + STATE_NEXT_DELTA] = stored;
    state[(site << STATE_SHIFT) + STATE_ARRIVE] = stored;
    this.beforePrevious = this.previous;
    this.previous = site;
  }

  cacheSlot(lo: number, hi: number): number {
    return (Math.imul(lo, 0x9e3779b1) ^ Math.imul(hi, 0x85ebca6b)) >>> 24;
  }

  cacheStore(lo: number, hi: number): void {
    const slot = this.cacheSlot(lo, hi);
    this.cacheLo[slot] = lo;
    this.cacheHi[slot] = hi;
    this.cacheUsed[slot] = 1;
  }
}

/**
 * A wavelet matrix: how many of the values in a range of an array are below a bound, in the time of one step a bit of the largest value, after a
 * construction of n log n (Claude, Navarro, Ordonez: The wavelet matrix, 2015). What is counted here: D(t0, dt), see timeline.ts.
 */
const WORD = 32;

export class WaveletMatrix {
  readonly length: number;
  private readonly levels: number;
  /** Bits of all levels, the highest first; each level begins at a word. */
  private readonly bits: Uint32Array;
  /** Ones of a level before each of its words. */
  private readonly ranks: Uint32Array;
  private readonly zeros: Uint32Array;
  private readonly words: number;

  /** Values below 2^levelBits. The array is not kept. */
  constructor(values: Uint32Array, levelBits = bitsOf(values)) {
    const n = values.length;
    this.length = n;
    this.levels = levelBits;
    this.words = Math.floor(n / WORD) + 1;
    this.bits = new Uint32Array(this.words * levelBits);
    this.ranks = new Uint32Array(this.words * levelBits);
    this.zeros = new Uint32Array(levelBits);
    let from = values.slice();
    let to = new Uint32Array(n);
    const ones = new Uint32Array(n);
    for (let level = 0; level < levelBits; level++) {
      const shift = levelBits - 1 - level;
      const base = level * this.words;
      let zeroCount = 0;
      let oneCount = 0;
      for (let i = 0; i < n; i++) {
        const value = from[i];
        if ((value >>> shift) & 1) {
          this.bits[base + (i >>> 5)] |= 1 << (i & 31);
          ones[oneCount++] = value;
        } else to[zeroCount++] = value;
      }
      to.set(ones.subarray(0, oneCount), zeroCount);
      this.zeros[level] = zeroCount;
      let sum = 0;
      for (let word = 0; word < this.words; word++) {
        this.ranks[base + word] = sum;
        sum += popCount(this.bits[base + word]);
      }
      [from, to] = [to, from];
    }
  }

  /** How many of the values from index `begin` (inclusive) to `end` (exclusive) are below `bound`. */
  countBelow(begin: number, end: number, bound: number): number {
    if (begin >= end || bound <= 0) return 0;
    if (bound >= 2 ** this.levels) return end - begin;
    let count = 0;
    for (let level = 0; level < this.levels; level++) {
      const onesBegin = this.rank(level, begin);
      const onesEnd = this.rank(level, end);
      if ((bound >>> (this.levels - 1 - level)) & 1) {
        count += end - begin - (onesEnd - onesBegin);
        begin = this.zeros[level] + onesBegin;
        end = this.zeros[level] + onesEnd;
      } else {
        begin -= onesBegin;
        end -= onesEnd;
      }
      if (begin === end) break;
    }
    return count;
  }

  private rank(level: number, i: number): number {
    const word = level * this.words + (i >>> 5);
    const below = i & 31;
    return this.ranks[word] + (below === 0 ? 0 : popCount(this.bits[word] & ((1 << below) - 1)));
  }
}

function bitsOf(values: Uint32Array): number {
  let max = 1;
  for (const value of values) if (value > max) max = value;
  return WORD - Math.clz32(max);
}

function popCount(word: number): number {
  word -= (word >>> 1) & 0x55555555;
  word = (word & 0x33333333) + ((word >>> 2) & 0x33333333);
  return Math.imul((word + (word >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

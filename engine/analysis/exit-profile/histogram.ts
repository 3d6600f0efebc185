/**
 * A histogram of fixed size for whole numbers from 0 to 2^40 (cycles, or 18 minutes in ns): exact below 8, then eight buckets for each power of two, so a bucket
 * is at most an eighth of its lower bound wide. Many histograms share one array: a histogram is an offset in it. A bucket counts to 2^32 - 1 and stays there.
 */

const SUB_BITS = 3;
const SUB = 1 << SUB_BITS;
const EXPONENT_MAX = 39;
/** Buckets of one histogram. */
export const BUCKETS = (EXPONENT_MAX - SUB_BITS + 2) * SUB;

/** The bucket of a value; negative values count as 0, those of 2^40 and more as the largest. */
export function bucketOf(value: number): number {
  if (value < SUB) return value > 0 ? value | 0 : 0;
  if (value < 0x1_0000_0000) {
    const word = value >>> 0;
    const exponent = 31 - Math.clz32(word);
    return ((exponent - SUB_BITS + 1) << SUB_BITS) | ((word >>> (exponent - SUB_BITS)) & (SUB - 1));
  }
  return value < 0x100_0000_0000 ? bucketOf(Math.floor(value / 0x1_0000)) + 16 * SUB : BUCKETS - 1;
}

/** Counts a value. */
export function record(counts: Uint32Array, offset: number, value: number): void {
  const at = offset + bucketOf(value);
  const count = counts[at];
  if (count !== 0xffff_ffff) counts[at] = count + 1;
}

/** Counts a value so many times. */
export function recordMany(counts: Uint32Array, offset: number, value: number, times: number): void {
  const at = offset + bucketOf(value);
  counts[at] = Math.min(counts[at] + times, 0xffff_ffff);
}

/** The smallest value of a bucket. */
export function bucketFloor(bucket: number): number {
  const exponent = (bucket >>> SUB_BITS) - 1;
  return exponent < 0 ? bucket : (SUB + (bucket & (SUB - 1))) * 2 ** exponent;
}

/**
 * The value below or at which a share of the entries lies (nearest rank): the middle of its bucket, so it is off by at most a sixteenth.
 * 0 for an empty histogram. `min` and `max` are what was seen, and bound the answer.
 */
export function quantile(counts: Uint32Array | Float64Array, offset: number, share: number, min: number, max: number): number {
  let total = 0;
  for (let i = 0; i < BUCKETS; i++) total += counts[offset + i];
  if (total === 0) return 0;
  let left = Math.max(1, Math.ceil(total * share));
  for (let i = 0; i < BUCKETS; i++) {
    left -= counts[offset + i];
    if (left > 0) continue;
    const floor = bucketFloor(i);
    const middle = i + 1 < BUCKETS ? (floor + bucketFloor(i + 1) - 1) / 2 : floor;
    return Math.min(max, Math.max(min, middle));
  }
  return max;
}

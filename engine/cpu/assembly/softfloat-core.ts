/**
 * Wide integer helpers for the software floating point of the x87.
 *
 * A function with a result of two words returns the high word and leaves the low one in `low`;
 * a division returns the quotient and leaves the remainder in `rest`.
 */

export let low: u64 = 0;
export let rest: u64 = 0;

/** High 64 bits of a * b. */
export function mulHigh(a: u64, b: u64): u64 {
  const a0: u64 = a & 0xffffffff, a1: u64 = a >> 32;
  const b0: u64 = b & 0xffffffff, b1: u64 = b >> 32;
  const m1: u64 = a1 * b0 + ((a0 * b0) >> 32);
  const m2: u64 = a0 * b1 + (m1 & 0xffffffff);
  return a1 * b1 + (m1 >> 32) + (m2 >> 32);
}

/** a * b: returns the high word, `low` is the low one. */
// @ts-ignore: decorator
@inline
export function mul64To128(a: u64, b: u64): u64 {
  low = a * b;
  return mulHigh(a, b);
}

/** high:lowWord / d, for d with its top bit set and high < d. Knuth's algorithm D with two 32-bit digits. */
export function div128by64(high: u64, lowWord: u64, d: u64): u64 {
  const d1: u64 = d >> 32, d0: u64 = d & 0xffffffff;
  let q1: u64 = high / d1;
  let r: u64 = high - q1 * d1;
  const n1: u64 = lowWord >> 32, n0: u64 = lowWord & 0xffffffff;
  while ((q1 >> 32) != 0 || q1 * d0 > ((r << 32) | n1)) {
    q1--;
    r += d1;
    if ((r >> 32) != 0) break;
  }
  const middle: u64 = ((high << 32) | n1) - q1 * d;
  let q0: u64 = middle / d1;
  r = middle - q0 * d1;
  while ((q0 >> 32) != 0 || q0 * d0 > ((r << 32) | n0)) {
    q0--;
    r += d1;
    if ((r >> 32) != 0) break;
  }
  rest = ((middle << 32) | n0) - q0 * d;
  return (q1 << 32) | q0;
}

/** a >> n, with a one in bit 0 when a one was shifted out. */
export function shiftRightJam64(a: u64, n: u32): u64 {
  if (n == 0) return a;
  if (n < 64) return (a >> n) | u64((a << (64 - n)) != 0);
  return u64(a != 0);
}

/** high:lowWord >> n, with a one in bit 0 when a one was shifted out. */
export function shiftRightJam128(high: u64, lowWord: u64, n: u32): u64 {
  if (n == 0) {
    low = lowWord;
    return high;
  }
  if (n < 64) {
    low = (high << (64 - n)) | (lowWord >> n) | u64((lowWord << (64 - n)) != 0);
    return high >> n;
  }
  if (n == 64) low = high | u64(lowWord != 0);
  else if (n < 128) low = (high >> (n - 64)) | u64((high << (128 - n)) != 0 || lowWord != 0);
  else low = u64((high | lowWord) != 0);
  return 0;
}

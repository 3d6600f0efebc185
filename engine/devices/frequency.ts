/**
 * Exact conversion between virtual nanoseconds and the ticks of an oscillator.
 *
 * ticks = floor(ns * hz / 10^9) would lose bits in a double: 2^53 ns times 1193182 needs 73 bits. With hz / 10^9 in
 * lowest terms p / q, and ns = k * q + r with r < q, ticks = k * p + floor(r * p / q): every product is below
 * p * q, which the constructor requires to be a safe integer. No rounding, no accumulation, no BigInt.
 */
export class Frequency {
  private readonly p: number;
  private readonly q: number;

  constructor(hz: number) {
    if (!Number.isSafeInteger(hz) || hz <= 0) throw new RangeError(`frequency ${hz} Hz: must be a positive integer`);
    const divisor = greatestCommonDivisor(hz, NS_PER_SECOND);
    this.p = hz / divisor;
    this.q = NS_PER_SECOND / divisor;
    if (this.p * this.q > Number.MAX_SAFE_INTEGER) {
      throw new RangeError(`frequency ${hz} Hz: ${this.p}/${this.q} ticks per ns has no exact form; choose a rounder one`);
    }
  }

  /** Ticks that lie at or before `ns` (a tick lies at 0, and is not counted). `ns` may be negative: rounds down. */
  ticksAt(ns: number): number {
    return scale(ns, this.p, this.q);
  }

  /** The first nanosecond at which ticksAt() is `tick`. */
  nsAt(tick: number): number {
    return 0 - scale(-tick, this.q, this.p); // 0 - x, so that no -0 comes out
  }
}

export const NS_PER_SECOND = 1_000_000_000;

/** floor(value * numerator / denominator). */
function scale(value: number, numerator: number, denominator: number): number {
  let rest = value % denominator;
  if (rest < 0) rest += denominator;
  const product = rest * numerator;
  return ((value - rest) / denominator) * numerator + (product - (product % denominator)) / denominator;
}

function greatestCommonDivisor(a: number, b: number): number {
  while (b !== 0) [a, b] = [b, a % b];
  return a;
}

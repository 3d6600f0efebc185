/** Requests by address: a bucket that fills again. */

export interface RateLimit {
  /** Requests that may come at once. */
  readonly burst: number;
  readonly perSecond: number;
}

export const RATE_LIMIT: RateLimit = { burst: 2000, perSecond: 500 };
/** Addresses that are remembered. */
const ADDRESSES_MAX = 10_000;

export class RateLimiter {
  private readonly limit: RateLimit;
  private readonly now: () => number;
  private readonly buckets = new Map<string, { left: number; atMs: number }>();

  /** now: ms. */
  constructor(limit: RateLimit, now: () => number = () => performance.now()) {
    this.limit = limit;
    this.now = now;
  }

  /** False: it is one too many. */
  take(address: string): boolean {
    const { burst, perSecond } = this.limit;
    const now = this.now();
    const bucket = this.buckets.get(address) ?? { left: burst, atMs: now };
    bucket.left = Math.min(burst, bucket.left + ((now - bucket.atMs) / 1000) * perSecond);
    bucket.atMs = now;
    // The one that was seen last is last.
    this.buckets.delete(address);
    this.buckets.set(address, bucket);
    if (this.buckets.size > ADDRESSES_MAX) this.buckets.delete(this.buckets.keys().next().value as string);
    if (bucket.left < 1) return false;
    bucket.left--;
    return true;
  }
}

/** The one module of the command line that asks the host for time and randomness; everything else gets them from here. */
import { randomUUID } from 'node:crypto';

/** ns since 1970-01-01 UTC, decimal. */
export function wallClockNs(): string {
  return String(BigInt(Date.now()) * 1_000_000n);
}

/** For durations. */
export function monotonicMs(): number {
  return performance.now();
}

export function newLogId(): string {
  return randomUUID();
}

/** Lets signals, keys and timers in. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

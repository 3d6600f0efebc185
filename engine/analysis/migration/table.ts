/** Many migrations of one guest: bandwidth x downtime limit, the least bandwidth that converges, the best moment to start. */
import type { DirtyTruth } from '../dirty/truth.ts';
import type { MigrationOutcome } from './outcome.ts';
import type { Link, MigrationPolicy, SimulationOptions } from './policy.ts';
import { type Jitter, predict } from './predict.ts';
import { simulate } from './simulate.ts';

/** A policy for a downtime limit, ms. */
export type PolicyAt = (downtimeLimitMs: number) => MigrationPolicy;

export interface TableCell {
  readonly bytesPerSecond: number;
  readonly downtimeLimitMs: number;
  readonly converges: boolean;
  /** Converges in some of the jittered samples only. */
  readonly isUnstable: boolean;
  readonly totalTimeMs: number;
  readonly downtimeMs: number;
  readonly syncs: number;
}

/** Rows of bandwidth, columns of downtime limit, as in Gudkov's table. One cell after the other. */
export function* migrationTable(
  truth: DirtyTruth,
  policyAt: PolicyAt,
  link: Link,
  axes: { readonly bytesPerSecond: readonly number[]; readonly downtimeLimitMs: readonly number[] },
  options: SimulationOptions = {},
  jitter: Jitter = { samples: 4 },
): Generator<TableCell, void, void> {
  for (const bytesPerSecond of axes.bytesPerSecond) {
    for (const downtimeLimitMs of axes.downtimeLimitMs) {
      const { outcome, isUnstable } = predict(truth, policyAt(downtimeLimitMs), { ...link, bytesPerSecond }, options, jitter);
      yield { bytesPerSecond, downtimeLimitMs, converges: outcome.converges, isUnstable, totalTimeMs: outcome.totalTimeMs, downtimeMs: outcome.downtimeMs, syncs: outcome.ram.dirtySyncCount };
    }
  }
}

export interface FrontierPoint {
  readonly downtimeLimitMs: number;
  /** The least bandwidth found to converge, within 2 %; undefined: not even the largest does. */
  readonly bytesPerSecond: number | undefined;
}

const FRONTIER_STEP = 1.02;

/**
 * For each downtime limit the least bandwidth between `from` and `to` (bytes a second) that converges, by bisection. Near the frontier convergence is not
 * monotone in bandwidth (it depends on where a sync falls), so it is a place in the unstable band, not its edge.
 */
export function* convergenceFrontier(
  truth: DirtyTruth,
  policyAt: PolicyAt,
  link: Link,
  downtimeLimitsMs: readonly number[],
  range: { readonly from: number; readonly to: number },
  options: SimulationOptions = {},
): Generator<FrontierPoint, void, void> {
  for (const downtimeLimitMs of downtimeLimitsMs) {
    const converges = (bytesPerSecond: number): boolean => simulate(truth, policyAt(downtimeLimitMs), { ...link, bytesPerSecond }, options).converges;
    let low = range.from;
    let high = range.to;
    if (converges(low)) {
      yield { downtimeLimitMs, bytesPerSecond: low };
      continue;
    }
    if (!converges(high)) {
      yield { downtimeLimitMs, bytesPerSecond: undefined };
      continue;
    }
    while (high / low > FRONTIER_STEP) {
      const middle = Math.sqrt(low * high);
      if (converges(middle)) high = middle;
      else low = middle;
    }
    yield { downtimeLimitMs, bytesPerSecond: high };
  }
}

export interface StartCandidate {
  /** Virtual ns. */
  readonly startNs: number;
  readonly outcome: MigrationOutcome;
}

/** The same migration from `count` moments, evenly over the truth. */
export function* startCandidates(truth: DirtyTruth, policy: MigrationPolicy, link: Link, count: number, options: SimulationOptions = {}): Generator<StartCandidate, void, void> {
  for (let i = 0; i < count; i++) {
    const startNs = truth.beginNs + ((truth.endNs - truth.beginNs) * i) / count;
    yield { startNs, outcome: simulate(truth, policy, link, { ...options, startNs }) };
  }
}

/** Those that converge come first; among them the shorter total time, which is what the start decides: the policy keeps the downtime below its limit. */
export function compareStarts(a: StartCandidate, b: StartCandidate): number {
  if (a.outcome.converges !== b.outcome.converges) return a.outcome.converges ? -1 : 1;
  return a.outcome.totalTimeMs - b.outcome.totalTimeMs || a.outcome.downtimeMs - b.outcome.downtimeMs || a.startNs - b.startNs;
}

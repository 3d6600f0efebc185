/** A migration that the guest reacts to: the simulation drives a branch of the recording, and takes dirty pages and bytes from there. */
import type { Branch } from '../../recording/branch.ts';
import type { DirtyTruth } from '../dirty/truth.ts';
import { BranchedGuest } from './branched-guest.ts';
import type { MigrationOutcome } from './outcome.ts';
import type { Link, MigrationPolicy, SimulationOptions } from './policy.ts';
import { simulate } from './simulate.ts';

export interface ClosedLoopOutcome {
  readonly outcome: MigrationOutcome;
  /** Virtual ns in which the guest was held up: by the throttle, the dirty log, pages that were not there. */
  readonly stalledNs: number;
}

/**
 * Deterministic. Runs the guest for as long as the migration takes, and leaves the branch at the end of it: it is the caller's to stop. `branch` outlives its parent, and stands where the
 * migration begins. Of `truth` only sizes are asked.
 */
export function simulateBranch(truth: DirtyTruth, policy: MigrationPolicy, link: Link, options: SimulationOptions, branch: Branch): ClosedLoopOutcome {
  const guest = new BranchedGuest({ branch, ...(options.virtualPerWall !== undefined && { virtualPerWall: options.virtualPerWall }), ...(options.loggingCostNs !== undefined && { loggingCostNs: options.loggingCostNs }) });
  try {
    return { outcome: simulate(truth, policy, link, options, guest), stalledNs: guest.stalledNs };
  } finally {
    guest.release();
  }
}

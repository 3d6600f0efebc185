/** What a migration costs. Names as in QEMU's `query-migrate` where it has one. Times are wall-clock ms since the migration began. */
import type { Exactness } from './policy.ts';

/** What was sent between two syncs. */
export interface Round {
  /** Number of the sync that the round follows; the set-up is sync 1. */
  readonly sync: number;
  readonly atMs: number;
  readonly ms: number;
  /** Pages sent, zero pages among them. */
  readonly pages: number;
  readonly zeroPages: number;
  readonly bytes: number;
  /** Distinct pages written from the sync to the end of the round. */
  readonly dirtied: number;
  /** Pages to send at the end of the round, before its sync. */
  readonly remaining: number;
  /** Virtual ns of the recording at the sync: where to look. */
  readonly virtualNs: number;
  readonly throttlePercent: number;
}

export interface MigrationOutcome {
  readonly policy: string;
  readonly exactness: Exactness;
  readonly converges: boolean;
  /** Why it stopped: `below the downtime limit`, `time limit`, ... */
  readonly reason: string;
  readonly totalTimeMs: number;
  readonly downtimeMs: number;
  readonly setupTimeMs: number;
  /** The source's last own estimate (`expected-downtime`); undefined if the policy makes none. */
  readonly expectedDowntimeMs: number | undefined;
  /** The guest was stopped from here on; undefined if it never was. */
  readonly stoppedAtMs: number | undefined;
  readonly ram: {
    /** Bytes on the wire. */
    readonly transferred: number;
    /** Bytes of pages that were not sent; 0 if it converged. */
    readonly remaining: number;
    readonly total: number;
    /** Zero pages. */
    readonly duplicate: number;
    /** Pages sent whole. */
    readonly normal: number;
    readonly normalBytes: number;
    readonly dirtySyncCount: number;
    /** Pages a second, over the last period of a second or more, as QEMU counts. */
    readonly dirtyPagesRate: number;
    /** Megabits a second over the whole time. */
    readonly mbps: number;
    readonly pageSize: number;
    readonly pagesPerSecond: number;
    readonly precopyBytes: number;
    readonly downtimeBytes: number;
    readonly postcopyBytes: number;
    readonly postcopyRequests: number;
    readonly multifdBytes: number;
  };
  readonly xbzrleCache?: { readonly cacheSize: number; readonly bytes: number; readonly pages: number; readonly cacheMiss: number; readonly cacheMissRate: number; readonly overflow: number } | undefined;
  readonly cpuThrottlePercentage: number;
  /** Post-copy: how long the guest waited for pages in all, and the longest wait. */
  readonly postcopyBlocktimeMs: number;
  readonly postcopyBlocktimeMsMax: number;
  /** Log shipping: bytes of the checkpoint and of inputs. */
  readonly shipped?: { readonly checkpointBytes: number; readonly inputBytes: number; readonly replayMs: number } | undefined;
  /** Pages sent again though their last write came before they were sent. */
  readonly redundantPages: number;
  readonly rounds: readonly Round[];
  /** What this answer does not know. A sentence each. */
  readonly notes: readonly string[];
}

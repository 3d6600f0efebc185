/** What a migration that was made took. Names as in a prediction, and so as in QEMU's `query-migrate`. */
import type { MigrationOutcome } from './outcome.ts';

export interface Measured extends Pick<MigrationOutcome, 'policy' | 'converges' | 'reason' | 'totalTimeMs' | 'downtimeMs' | 'setupTimeMs' | 'expectedDowntimeMs' | 'stoppedAtMs' | 'rounds'> {
  readonly ram: Omit<MigrationOutcome['ram'], 'multifdBytes'>;
  /** The guest's clock: where the migration began, where it was stopped, virtual ns. */
  readonly virtualNs: { readonly start: number; readonly stop: number | undefined };
  /** Of the total, wall time in which neither guest nor link went on, as the host was too slow for them. */
  readonly heldMs: number;
  /** Registers and devices on the wire, bytes. */
  readonly stateBytes: number;
}

/**
 * A checkpoint: everything a replay needs to go on from a position. The state is plain data; the pages of RAM stay with whoever keeps
 * them (checkpoint-store.ts), because two neighbours share most of them.
 */
import type { MachineState, RamPages } from '../machine/snapshot.ts';
import type { Position } from '../log/position.ts';
import type { SessionState } from './session.ts';

export interface CheckpointState {
  readonly position: Position;
  /** Records of the log that were made before: the next one has this number. */
  readonly records: number;
  readonly session: SessionState;
  readonly machine: MachineState;
}

export interface Checkpoint {
  readonly state: CheckpointState;
  readonly pages: RamPages;
}

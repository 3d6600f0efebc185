/**
 * A checkpoint: everything a replay needs to go on from a position. The state is plain data; the pages of RAM stay with whoever keeps
 * them (checkpoint-store.ts), because two neighbours share most of them.
 */
import type { Machine } from '../machine/machine.ts';
import { type MachineState, type RamPages, changedFrames, pageHashes, pageView } from '../machine/snapshot.ts';
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

/** A checkpoint with a copy of every page that is not all zeros: for going back to one moment again and again. `state` is what the machine's owner saved there. */
export function copyCheckpoint(machine: Machine, state: CheckpointState): Checkpoint {
  const { core } = machine;
  const copies = new Map<number, Uint8Array>();
  for (const frame of changedFrames(core, undefined)) copies.set(frame, pageView(core, frame).slice());
  return {
    state,
    pages: {
      hashes: pageHashes(core),
      read: (frame) => {
        const page = copies.get(frame);
        if (page === undefined) throw new Error(`frame ${frame} was all zeros`);
        return page;
      },
    },
  };
}

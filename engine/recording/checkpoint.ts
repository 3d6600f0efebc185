/**
 * A checkpoint: everything a replay needs to go on from a position. The state is plain data; the pages of RAM stay with whoever keeps
 * them (checkpoint-store.ts), because two neighbours share most of them.
 */
import type { Machine } from '../machine/machine.ts';
import { type MachineState, PAGE_BYTES, type RamPages, changedFrames, pageHashes, pageView } from '../machine/snapshot.ts';
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

/**
 * A checkpoint with a copy of every page that is not all zeros: power-on, or a moment that is gone back to again and again. `state` is what the machine's owner
 * saved there.
 */
export function copyCheckpoint({ core }: Machine, state: CheckpointState): Checkpoint {
  const frames = changedFrames(core, undefined);
  const slots = new Int32Array(core.ramBytes / PAGE_BYTES).fill(-1);
  const bytes = new Uint8Array(frames.length * PAGE_BYTES);
  // Frames that follow one another are copied as one piece.
  for (let i = 0; i < frames.length; ) {
    const first = i;
    do slots[frames[i]] = i++;
    while (i < frames.length && frames[i] === frames[i - 1] + 1);
    bytes.set(pageView(core, frames[first], i - first), first * PAGE_BYTES);
  }
  const read = (frame: number): Uint8Array => {
    if (slots[frame] < 0) throw new Error(`frame ${frame} was all zeros`);
    return bytes.subarray(slots[frame] * PAGE_BYTES, (slots[frame] + 1) * PAGE_BYTES);
  };
  return { state, pages: { hashes: pageHashes(core), read } };
}

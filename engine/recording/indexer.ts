/**
 * Takes checkpoints while a run goes by: a replay that builds an index, a debugger that walks, later a recorder.
 *
 *     indexer.next(position, records) ──► run at most so far ──► indexer.visit(state, machine) ──► taken when it is due
 */
import type { Machine } from '../machine/machine.ts';
import type { Checkpoint, CheckpointState } from './checkpoint.ts';
import type { ReplayStatus, Replayer } from './replayer.ts';
import { CheckpointStore, placeOf } from './checkpoint-store.ts';

/** What replaying from one checkpoint to the next costs, in instructions (placeOf). */
export const DEFAULT_SPACING = 5_000_000;
export const DEFAULT_INDEX_BYTES_MAX = 512 << 20;

export interface IndexerOptions {
  /** Where the run begins. */
  readonly powerOn: Checkpoint;
  /** See DEFAULT_SPACING. */
  readonly spacing?: number;
  /** Of all checkpoints, as they are kept. */
  readonly bytesMax?: number;
}

export class Indexer {
  readonly store: CheckpointStore;
  readonly spacing: number;
  private last = 0;

  constructor(options: IndexerOptions) {
    this.spacing = options.spacing ?? DEFAULT_SPACING;
    this.store = new CheckpointStore(options.powerOn, options.bytesMax ?? DEFAULT_INDEX_BYTES_MAX);
  }

  /** Others keep checkpoints up to here: the next is due so much later. */
  goOnFrom(place: { readonly position: number; readonly records: number }): void {
    this.last = placeOf(place);
  }

  /** Position to run to before the next visit, at most; records may make a checkpoint due earlier. */
  next(place: { readonly position: number; readonly records: number }): number {
    return place.position + Math.max(1, Math.min(this.spacing / 32, this.last + this.spacing - placeOf(place)));
  }

  isDue(place: { readonly position: number; readonly records: number }): boolean {
    return placeOf(place) - this.last >= this.spacing;
  }

  /** Takes a checkpoint if one is due, or in any case with `always`. `state` is only asked for then. */
  visit(place: { readonly position: number; readonly records: number }, state: () => CheckpointState, machine: Machine, always = false): boolean {
    if (!always && !this.isDue(place)) return false;
    const before = this.store.checkpoints.at(-1);
    if (before?.position === place.position && before.records === place.records) return false;
    this.store.add(state(), machine);
    this.last = placeOf(place);
    return true;
  }
}


/** One step of a replay that builds an index, of at most `instructions`. The last checkpoint is one instruction before the end of the log. */
export function indexStep(replayer: Replayer, indexer: Indexer, instructions: number): ReplayStatus {
  const until = replayer.position + instructions;
  const last = Math.max(0, replayer.reader.lastPosition - 1);
  for (;;) {
    const { position } = replayer;
    const next = Math.floor(Math.min(indexer.next(replayer), until, position < last ? last : Infinity));
    const status = replayer.step(next - position);
    if (status.kind !== 'running') return status;
    indexer.visit(replayer, () => replayer.save(), replayer.machine, replayer.position === last);
    if (replayer.position >= until) return status;
  }
}

/** What must hold of checkpoints of every case. Each function throws with what does not. */
import { pageHashes, pageView } from '../../engine/machine/snapshot.ts';
import type { Checkpoint } from '../../engine/recording/checkpoint.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import type { Case } from '../determinism/cases.ts';
import { type Stop, stopPositions } from '../determinism/promises.ts';
import { core, identical, open, record } from '../determinism/runs.ts';

/** A checkpoint with a copy of all of RAM: the plainest that can be, as a reference. */
export function copyCheckpoint(replayer: Pick<Replayer, 'machine' | 'save'>): Checkpoint {
  const { machine } = replayer;
  const hashes = pageHashes(machine.core);
  const copies = new Map<number, Uint8Array>();
  for (let frame = 0; frame < hashes.length / 2; frame++) {
    if (hashes[frame * 2] !== 0 || hashes[frame * 2 + 1] !== 0) copies.set(frame, pageView(machine.core, frame).slice());
  }
  return { state: replayer.save(), pages: { hashes, read: (frame) => copies.get(frame)! } };
}

interface Taken {
  readonly checkpoint: Checkpoint;
  readonly digest: string;
}

/** At most so many checkpoints of a case: each is a copy of RAM and a replay to the end. */
const CHECKPOINTS_MAX = 6;

/** A replay that goes on from a checkpoint makes the same events and digests as one from power-on, in a new machine and in a used one. */
export function restoreThenRunIsAStraightRun(one: Case, list: readonly Stop[], order: readonly number[]): void {
  const recording = record(one);
  const all = stopPositions(recording, list);
  const positions = all.filter((_, i) => i % Math.ceil(all.length / CHECKPOINTS_MAX) === 0);
  const reader = open(recording.bytes);
  const straight = new Replayer({ reader, images: one.images, module: core() });
  const taken: Taken[] = [];
  for (const position of positions) {
    const status = straight.step(position - straight.position);
    if (status.kind !== 'running') break;
    const checkpoint = copyCheckpoint(straight);
    taken.push({ checkpoint, digest: straight.machine.digest().digest });
  }
  const end = identical(straight.run(), 'the replay that was looked at');
  if (end.digest !== recording.end.digest) throw new Error(`taking checkpoints changed the end: ${end.digest}, recorded was ${recording.end.digest}`);
  if (taken.length === 0) return;

  const used = new Replayer({ reader, images: one.images, module: core() });
  used.step(order[0] * 1000);
  for (const pick of order) {
    const { checkpoint, digest } = taken[pick % taken.length];
    used.restore(checkpoint);
    goesOn(used, checkpoint, digest, recording.end.digest, 'a used machine');
  }
  const { checkpoint, digest } = taken[taken.length - 1];
  goesOn(new Replayer({ reader, images: one.images, module: core(), from: checkpoint }), checkpoint, digest, recording.end.digest, 'a new machine');
}

/** What a recorder saves between its steps is a checkpoint of its recording. */
export function checkpointsOfARecorderAreOfItsRecording(one: Case, every: number): void {
  const taken: Taken[] = [];
  let step = 0;
  const recording = record(one, one.drive, (recorder) => {
    if (step++ % every !== 0 || taken.length >= CHECKPOINTS_MAX) return;
    taken.push({ checkpoint: copyCheckpoint(recorder), digest: recorder.machine.digest().digest });
  });
  const reader = open(recording.bytes);
  const replayer = new Replayer({ reader, images: one.images, module: core() });
  for (const { checkpoint, digest } of taken.toReversed()) {
    replayer.restore(checkpoint);
    goesOn(replayer, checkpoint, digest, recording.end.digest, 'a replay of the recording');
  }
}

function goesOn(replayer: Replayer, { state }: Checkpoint, digest: string, endDigest: string, what: string): void {
  const where = `restored at @${state.position}, record ${state.records}, into ${what}`;
  const now = replayer.machine.digest().digest;
  if (now !== digest || replayer.position !== state.position || replayer.records !== state.records) throw new Error(`${where}: @${replayer.position}, digest ${now}; saved was ${digest}`);
  const end = identical(replayer.run(), where);
  if (end.digest !== endDigest) throw new Error(`${where}: ended with ${end.digest}, recorded was ${endDigest}`);
}

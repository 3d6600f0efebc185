/** From the cursor of a walk to what a branch starts from. */
import { type RecordingChain, placeInChain } from '../recording/chain.ts';
import { type Checkpoint, copyCheckpoint } from '../recording/checkpoint.ts';
import type { RecorderStart } from '../recording/recorder.ts';
import type { RunImages } from '../recording/recipe.ts';
import { Replayer, closingOf } from '../recording/replayer.ts';
import type { TimeTravel } from './time-travel.ts';

/** There is nothing to go on with. */
export class BranchError extends Error {
  override readonly name = 'BranchError';
}

export interface BranchPoint {
  /** The whole state; restored as often as wanted. */
  readonly checkpoint: Checkpoint;
  /** For RecorderOptions.from. */
  readonly start: RecorderStart;
}

/** Of the cursor. At the end of a run that was stopped from outside, before what closed its log. Throws BranchError, DivergedError. */
export function branchPoint(travel: TimeTravel, chain: RecordingChain, images: RunImages, module: WebAssembly.Module): BranchPoint {
  const checkpoint = travel.isAtEnd ? beforeTheEnd(travel, images, module) : copyCheckpoint(travel.machine, travel.save());
  const { reader, records } = placeInChain(chain, checkpoint.state.records);
  return { checkpoint, start: { parent: reader.header, records, at: checkpoint } };
}

function beforeTheEnd(travel: TimeTravel, images: RunImages, module: WebAssembly.Module): Checkpoint {
  const { reader } = travel;
  const { end, index } = closingOf(reader);
  if (end === undefined || end.reason === 'truncated') throw new BranchError(`the recording is cut off at @${travel.last}, in the middle of an instruction: branch from @${Math.max(0, reader.lastPosition - 1)} or earlier`);
  if (end.reason !== 'limit' && end.reason !== 'user') throw new BranchError(`the guest has ended there (${end.reason}${end.detail === '' ? '' : `: ${end.detail}`}): branch from an earlier position`);
  travel.seek(Math.max(0, end.position - 1));
  const replayer = new Replayer({ reader, images, module, from: copyCheckpoint(travel.machine, travel.save()), stop: { position: end.position, records: index } });
  while (!replayer.isStopped) {
    if (replayer.step(1_000_000).kind !== 'running') throw new BranchError(`the replay does not come to the end of the recording: \`replay\` says more`);
  }
  return copyCheckpoint(replayer.machine, replayer.save());
}

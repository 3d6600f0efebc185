/** `migrate --closed-loop`: the migration again, with a guest that reacts to it (engine/analysis/migration/closed-loop.ts). */
import { simulateBranch, type ClosedLoopOutcome } from '../../engine/analysis/migration/closed-loop.ts';
import type { Link, MigrationPolicy, SimulationOptions } from '../../engine/analysis/migration/policy.ts';
import { BranchError, branchPoint } from '../../engine/debug/branch-point.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import type { DirtyTruth } from '../../engine/analysis/dirty/truth.ts';
import { Branch } from '../../engine/recording/branch.ts';
import { decodeRecipe } from '../../engine/recording/recipe.ts';
import { openRecording } from '../store/chains.ts';
import { findIndex } from '../store/checkpoints.ts';
import { loadCore } from '../store/core-module.ts';
import { FileSink, FileSource } from '../store/files.ts';
import { openImages } from '../store/guest-images.ts';
import { ownPackage } from '../store/package-root.ts';
import type { Arguments, OptionSpec } from './arguments.ts';
import { imagePlaces } from './common-options.ts';
import { positionAtNs } from './dirty-source.ts';
import { newLogId } from './host.ts';
import type { Signals } from './signals.ts';
import { UsageError } from './usage-error.ts';

export const CLOSED_LOOP_OPTIONS: readonly OptionSpec[] = [
  { name: 'closed-loop', help: 'beside each answer the one of a guest that really reacts: a branch of FILE, run anew from --start, which sleeps when it is throttled, and waits for pages' },
  { name: 'logging-cost', value: 'T', help: 'with --closed-loop: what the first write to a page after each sync costs the guest, such as 2us (default: 0)' },
];

export interface ClosedLoopAsked {
  readonly policy: MigrationPolicy;
  readonly truth: DirtyTruth;
  readonly link: Link;
  readonly options: SimulationOptions;
  /** Where the branch is kept; undefined: nowhere. */
  readonly output: string | undefined;
}
export interface ClosedLoopRun extends ClosedLoopOutcome {
  readonly policy: string;
  /** Where it began, and came to. */
  readonly from: number;
  readonly to: number;
  readonly log: { readonly file: string; readonly id: string; readonly records: number; readonly digest: string } | undefined;
}

/** Throws UsageError where there is nothing to branch from. */
export function runClosedLoop(parsed: Arguments, signals: Signals, { policy, truth, link, options, output }: ClosedLoopAsked): ClosedLoopRun {
  const source = new FileSource(parsed.operands[0], 'FILE');
  const recording = openRecording(source, parsed.all('parent'));
  const { reader, chain } = recording;
  const images = openImages(reader, imagePlaces(parsed));
  const travel = new TimeTravel({ reader, images, module: loadCore(), index: findIndex(source.path, reader, recording).index });
  return signals.letThrough(() => {
    let point;
    try {
      travel.seek(positionAtNs(reader, options.startNs ?? truth.beginNs));
      point = branchPoint(travel, chain, images, loadCore());
    } catch (error) {
      if (error instanceof BranchError) throw new UsageError(`--start: ${error.message}`, 'migrate');
      throw error;
    }
    const sink = output === undefined ? undefined : new FileSink(output, '-o');
    try {
      const id = newLogId();
      const branch = new Branch({
        recipe: decodeRecipe(reader.header), images, module: loadCore(), parent: reader, records: point.checkpoint.state.records, start: point.start, changes: [],
        inputs: 'keep', inputsBy: 'time', outlivesParent: true, idleLimitNs: Infinity,
        ...(sink !== undefined && { log: { sink, id, product: `chronovisor ${ownPackage().version}` } }),
      }); // prettier-ignore
      const from = branch.position;
      const run = simulateBranch(truth, policy, link, options, branch);
      const to = branch.position;
      const { digest } = branch.stop('limit', `the migration under ${policy.name} was over`);
      return { policy: policy.name, ...run, from, to, log: sink === undefined ? undefined : { file: output!, id, records: branch.recorder.records, digest } };
    } finally {
      sink?.close();
    }
  });
}

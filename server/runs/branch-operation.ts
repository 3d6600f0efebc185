/** A branch as a job: goes on from a moment of a recording with something changed, and records that. As `chronovisor branch`, without its terminal. */
import { BranchError, branchPoint } from '../../engine/debug/branch-point.ts';
import { parseExpression } from '../../engine/debug/expression.ts';
import { ExpressionView } from '../../engine/debug/expression-view.ts';
import { physicalRanges } from '../../engine/debug/inspect.ts';
import type { BranchSettings } from '../../engine/protocol/lab.ts';
import { Branch } from '../../engine/recording/branch.ts';
import { type Change, changeProblem } from '../../engine/recording/change.ts';
import { InputScript } from '../../engine/recording/input-script.ts';
import { decodeRecipe } from '../../engine/recording/recipe.ts';
import { lineOf } from '../cli/event-text.ts';
import { newLogId } from '../cli/host.ts';
import { toJson } from '../cli/output.ts';
import { loadCore } from '../store/core-module.ts';
import { FileSink } from '../store/files.ts';
import { ownPackage } from '../store/package-root.ts';
import { goTo, throttled } from './machine-operations.ts';
import { ProblemError } from './problem.ts';
import type { Recording } from './recording.ts';
import type { Asked } from './thread.ts';

const SLICE_INSTRUCTIONS = 1_000_000;
/** How far past the end of its parent a branch runs at most, unless told. */
const PAST_THE_END = 1_000_000_000;

interface AskedChange {
  readonly position: number;
  readonly change: Change;
}

export interface BranchArgs extends BranchSettings {
  /** Of the new log; chosen by the server. */
  readonly output: string;
}

function wrong(message: string): never {
  throw new ProblemError({ code: 'usage', message });
}

export function branchOff(recording: Recording, args: BranchArgs, asked: Asked): string {
  const { images } = recording;
  const { reader, chain } = recording.opened();
  const travel = recording.travel();
  const { table } = recording.symbols;
  goTo(travel, args.at);
  const { position, machine } = travel;
  const valueOf = (text: string): bigint => parseExpression(text, table).value(new ExpressionView(machine)) ?? wrong(`"${text}" reads memory that is not mapped at @${position}`);
  const registers = Object.entries(args.set ?? {}).map(([register, text]): AskedChange => ({ position, change: { kind: 'register', register, value: BigInt.asUintN(64, valueOf(text)) } }));
  const memory = (args.write ?? []).flatMap(({ address, bytes, isPhysical }): AskedChange[] => {
    const data = Uint8Array.from(Buffer.from(bytes, 'hex'));
    const at = BigInt.asUintN(64, valueOf(address));
    const ranges = isPhysical === true ? [{ paddr: Number(at), length: data.length }] : physicalRanges(machine, at, data.length);
    if (ranges.reduce((sum, { length }) => sum + length, 0) !== data.length) wrong(`0x${at.toString(16)} is not mapped to memory at @${position}, or not all of it`);
    let from = 0;
    return ranges.map(({ paddr, length }) => ({ position, change: { kind: 'memory', address: paddr, bytes: data.subarray(from, (from += length)) } }));
  });
  const changes = [...registers, ...memory];
  for (const { change } of changes) {
    const problem = changeProblem(machine, change);
    if (problem !== undefined) wrong(problem);
  }
  const limit = args.untilPosition ?? reader.lastPosition + PAST_THE_END;
  if (limit <= position) wrong(`@${limit} is not after the branch at @${position}`);
  const point = pointOf(() => branchPoint(travel, chain, images, loadCore()));

  const script = args.untilText === undefined ? undefined : new InputScript([{ kind: 'until', text: args.untilText }]);
  const sink = new FileSink(args.output, 'name');
  const tell = throttled(asked, limit);
  try {
    const run = new Branch({
      recipe: decodeRecipe(reader.header), images, module: loadCore(), outputs: { console: (byte) => script?.output(byte) },
      parent: reader, records: point.checkpoint.state.records, start: point.start, changes,
      typed: args.typed === undefined ? undefined : new TextEncoder().encode(args.typed),
      inputs: args.inputs ?? 'keep',
      log: { sink, id: newLogId(), product: `chronovisor ${ownPackage().version}` },
    }); // prettier-ignore
    for (;;) {
      const status = run.step(Math.min(SLICE_INSTRUCTIONS, limit - run.position));
      const end =
        status.kind === 'ended' ? status
        : script?.poll().end !== undefined ? run.stop('limit', `the console showed ${JSON.stringify(args.untilText)}`)
        : status.kind === 'waiting' ? run.stop('limit', 'the guest waits for input that will not come')
        : run.position >= limit ? run.stop('limit', `@${limit} was reached`)
        : undefined; // prettier-ignore
      tell(run.position);
      if (end === undefined) continue;
      const { parting, recorder } = run;
      return toJson({
        logId: recorder.header?.id, at: position, position: run.position, records: recorder.records, bytes: recorder.logBytes, end: { reason: end.reason, detail: end.detail, digest: end.digest },
        // Where it first did something else; null: it made the events of its parent.
        parting: parting === undefined ? null : { position: parting.position, parent: parting.expected && lineOf(parting.expected), child: parting.actual && lineOf(parting.actual) },
      }); // prettier-ignore
    }
  } finally {
    sink.close();
  }
}

function pointOf<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof BranchError) wrong(error.message);
    throw error;
  }
}

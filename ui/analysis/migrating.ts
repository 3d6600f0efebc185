/** What a guest writes, folded once; and migrations of it, as often as they are asked for. */
import { type DirtyEpoch, EpochSplitter } from '../../engine/analysis/dirty/epoch.ts';
import { powerOnPages, replayEpochs } from '../../engine/analysis/dirty/first-writes.ts';
import { CurveFold, type CurvePoint, HeatFold, TruthFold } from '../../engine/analysis/dirty/folds.ts';
import { type DirtyTruth, grainOf } from '../../engine/analysis/dirty/truth.ts';
import { type MigrationPolicy, namedPolicies } from '../../engine/analysis/migration/policy.ts';
import { type Prediction, predict } from '../../engine/analysis/migration/predict.ts';
import { type TableCell, migrationTable } from '../../engine/analysis/migration/table.ts';
import { encodeState } from '../../engine/machine/state-bytes.ts';
import type { DirtAnswer, MigrateAsked, TableAsked } from '../../engine/protocol/analysis.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import type { Turns } from '../turns.ts';
import type { AnalysedLog } from './analysed-log.ts';
import { Refusal } from '../refusal.ts';

/** Instructions of an epoch that a replay makes. */
const EPOCH_INSTRUCTIONS = 1_000_000;
const CURVE_POINTS = 160;
const HEAT = { rows: 96, columns: 200 } as const;
/** Jittered samples of a cell of the table. */
const CELL_SAMPLES = 4;

export interface Dirt {
  readonly truth: DirtyTruth;
  readonly answer: DirtAnswer;
}

/** Throws Refusal, EpochDivergence. */
export async function foldDirt(log: AnalysedLog, from: DirtAnswer['from'], loadCore: () => Promise<WebAssembly.Module>, turns: Turns, progress: (what: string, share: number) => void): Promise<Dirt> {
  const { reader } = log;
  const { memoryBytes, epochInstructions } = reader.header.config;
  const isReplay = from === 'replay';
  if (!isReplay && epochInstructions === 0) throw new Refusal('The recording was made without sets of dirty pages', 'take them from a replay instead: choose “replay” above');
  const notes: string[] = [];
  let replayer: Replayer | undefined;
  try {
    replayer = new Replayer({ reader: log.newReader(), images: await log.runImages(), module: await loadCore() });
  } catch (error) {
    if (isReplay || !(error instanceof Refusal)) throw error;
    notes.push(`${error.message}: without them it is not known which pages are zeros.`);
  }
  const splitter = new EpochSplitter();
  const machine = replayer?.machine;
  const truthFold = new TruthFold({
    name: log.summary.guest,
    memoryBytes,
    totals: () => splitter.totals(),
    powerOn: machine === undefined ? undefined : powerOnPages(machine, isReplay),
    deviceStateBytes: machine === undefined ? undefined : machine.cpuBytes().length + encodeState(machine.saveDevices()).length,
  });
  const epochs: DirtyEpoch[] = [];
  const add = (epoch: DirtyEpoch): void => {
    truthFold.fold(epoch);
    epochs.push(epoch);
  };
  for (let i = 0; i < reader.eventBlocks.length; i++) {
    const split = splitter.split(reader.batch(i));
    if (!isReplay) split.forEach(add);
    progress('Reading the log', (i + 1) / reader.eventBlocks.length);
    await turns.next();
  }
  if (isReplay) {
    for (const epoch of replayEpochs(replayer!, { instructions: EPOCH_INSTRUCTIONS, reads: true, content: true })) {
      add(epoch);
      if (!turns.isOver) continue;
      progress('Replaying the recording', epoch.toPosition / Math.max(1, log.summary.lastPosition));
      await turns.next();
    }
  }
  const truth = truthFold.truth();
  if (truth.timeline.length === 0) throw new Refusal('The guest wrote no page in what is known of it', isReplay ? 'record it for longer' : 'take what it writes from a replay instead: choose “replay” above');
  // Slices shorter than an epoch would show its length rather than the guest.
  const grainNs = truth.times === 'epoch end' ? grainOf(truth) : 0;
  const curveFold = new CurveFold(Math.max(grainNs, (truth.endNs - truth.beginNs) / CURVE_POINTS, 1));
  const heatFold = new HeatFold({ memoryBytes, ...HEAT, ...(grainNs > 0 && { columnNs: grainNs }) });
  for (const epoch of epochs) heatFold.fold(epoch);
  const curve: CurvePoint[] = epochs.flatMap((epoch) => [...curveFold.fold(epoch)]);
  curve.push(...curveFold.finish());
  if (truth.times === 'epoch end') notes.push(`The log tells what was written in each ${(grainOf(truth) / 1e6).toPrecision(2)} ms, not when in it: take it from a replay to know.`);
  const marks = [...reader.entries({ kinds: ['mark'] })].flatMap(({ event, timeOffsetNs }) => (event.kind === 'mark' ? [{ name: event.name, atNs: event.position + timeOffsetNs }] : []));
  return {
    truth,
    answer: {
      from, pages: truth.pages, beginNs: truth.beginNs, endNs: truth.endNs, busyShare: truth.busyShare, pagesWritten: truth.timeline.distinct(truth.beginNs, truth.endNs + 1), firstWrites: truth.timeline.length,
      curve, heat: heatFold.map(), marks, notes,
    },
  };
}

function policyOf(name: string, downtimeLimitMs: number): MigrationPolicy {
  const policies = namedPolicies(downtimeLimitMs, 0);
  const policy = policies.get(name);
  if (policy === undefined) throw new Refusal(`There is no policy "${name}"`, `choose one of ${[...policies.keys()].join(', ')}`);
  return policy;
}

export function migrate(truth: DirtyTruth, { policy, bytesPerSecond, downtimeLimitMs, startNs }: MigrateAsked): Prediction {
  if (!(bytesPerSecond > 0) || !(downtimeLimitMs > 0)) throw new Refusal('Bandwidth and downtime limit are above 0', 'give both');
  return predict(truth, policyOf(policy, downtimeLimitMs), { bytesPerSecond }, { startNs: within(truth, startNs) });
}

export function* cells(truth: DirtyTruth, { policy, bytesPerSecond, downtimeLimitMs, startNs }: TableAsked): Generator<TableCell, void, void> {
  yield* migrationTable(truth, (limit) => policyOf(policy, limit), { bytesPerSecond: bytesPerSecond[0] }, { bytesPerSecond, downtimeLimitMs }, { startNs: within(truth, startNs) }, { samples: CELL_SAMPLES });
}

function within({ beginNs, endNs }: DirtyTruth, startNs: number): number {
  return Math.min(endNs, Math.max(beginNs, startNs));
}

/**
 * A recording into a comparison by a replay of it.
 *
 *     machine ──► VerifyingSink: the same row as the log's? ──► VerifiedRows ──► Comparison
 *
 * With TLBs, or PAUSEs, the core is the one that tells of them; the misses that were counted at each mark go with it, and each PAUSE between the rows that it ran between.
 */
import { RowWitness } from '../../log/row-witness.ts';
import { SHAPE_MARK } from '../../log/shapes.ts';
import type { Divergence } from '../../log/verify.ts';
import { Replayer, type ReplayerOptions } from '../../recording/replayer.ts';
import { VerifiedRows } from '../../recording/verified-rows.ts';
import type { TlbModel } from '../../regimes/tlb-model.ts';
import type { Comparison } from './comparison.ts';
import { PauseList } from './pause-list.ts';

/** Instructions between two looks at who asked. */
const SLICE_INSTRUCTIONS = 2_000_000;

/**
 * Every event that a replay makes; with a model of TLBs `module` is the counting core, and page walks are counted; so it is for a comparison that takes PAUSEs. Stops at the first event that is not the
 * recording's, and returns how it differs; in turns. Throws RecipeError for a log that this version cannot replay.
 */
export function* comparingReplay(comparison: Comparison, options: Pick<ReplayerOptions, 'reader' | 'images' | 'module'>, tlb?: TlbModel): Generator<Replayer, Divergence | undefined, void> {
  /** By record: page walks before each mark of this slice. */
  const walksAt = new Map<number, number>();
  const pauses = comparison.hasPauses ? new PauseList() : undefined;
  const witness = tlb && new RowWitness(options.reader.header.blockBytes, (shape) => {
    if (shape === SHAPE_MARK) walksAt.set(replayer.records - 1, tlb.counts().walks);
  });
  const replayer: Replayer = new Replayer({ ...options, ...(witness && { witness }) });
  const { machine } = replayer;
  machine.core.tlb = tlb;
  if (pauses !== undefined) machine.core.pauses = (cpl) => pauses.add(replayer.records, machine.nowNs(), cpl);
  const rows = new VerifiedRows(options.reader, (batch, from, to) => comparison.add(batch, from, to));
  let told = 0;
  /** The first `records` events, with the PAUSEs before the next one. */
  const takeTo = (records: number): void => {
    for (; pauses !== undefined && told < pauses.count && pauses.records[told] <= records; ) {
      rows.takeTo(pauses.records[told]);
      const end = pauses.endOfRun(told);
      comparison.addPauses(pauses, told, end);
      told = end;
    }
    rows.takeTo(records);
  };
  for (;;) {
    const status = replayer.step(SLICE_INSTRUCTIONS);
    if (status.kind === 'diverged') return status.divergence;
    for (const [record, walks] of walksAt) {
      if (record > Math.min(replayer.records, options.reader.records)) break;
      takeTo(record);
      comparison.countedWalks(walks);
    }
    walksAt.clear();
    takeTo(replayer.records);
    pauses?.clear();
    told = 0;
    if (tlb !== undefined) comparison.countedWalks(tlb.counts().walks);
    if (status.kind === 'identical') return undefined;
    yield replayer;
  }
}

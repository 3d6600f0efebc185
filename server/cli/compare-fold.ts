/**
 * Recordings into a comparison: from the log, or from a replay of it.
 *
 *     log:     block ──────────────────────────────────────────────► Comparison
 *     replay:  machine ──► VerifyingSink: the same row as the log's? ──► Comparison
 *
 * A replay makes every event again, and each is compared with the log field by field before it is folded. So what is folded are the replay's events, and their
 * rows are at hand already, decoded, in the log's own batches: nothing is encoded again, and no more than the reader's two blocks are held.
 * With TLBs the core is the one that tells of accesses, and the misses that were counted at each mark go with it.
 */
import type { Comparison } from '../../engine/analysis/comparison/comparison.ts';
import type { LogReader } from '../../engine/log/reader.ts';
import { RowWitness } from '../../engine/log/row-witness.ts';
import { SHAPE_MARK } from '../../engine/log/shapes.ts';
import type { Divergence } from '../../engine/log/verify.ts';
import type { RunImages } from '../../engine/recording/recipe.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import type { TlbModel } from '../../engine/regimes/tlb-model.ts';
import type { Context } from './context.ts';
import { turn } from './host.ts';
import { Progress } from './progress.ts';

/** Instructions between looks at signals. */
const SLICE_INSTRUCTIONS = 2_000_000;

export type FoldEnd = { readonly kind: 'done' } | { readonly kind: 'stopped' } | { readonly kind: 'diverged'; readonly divergence: Divergence };

/** Every event of the log. */
export async function foldLog(comparison: Comparison, reader: LogReader, { signals }: Pick<Context, 'signals'>): Promise<FoldEnd> {
  for (let i = 0; i < reader.eventBlocks.length; i++) {
    comparison.add(reader.batch(i));
    await turn();
    if (signals.received !== undefined) return { kind: 'stopped' };
  }
  return { kind: 'done' };
}

/** Every event that a replay makes; with a model of TLBs `module` is the counting core, and page walks are counted. Stops at the first that is not the recording's. Throws RecipeError for a log that this version cannot replay. */
export async function foldReplay(comparison: Comparison, reader: LogReader, images: RunImages, module: WebAssembly.Module, { signals, err }: Pick<Context, 'signals' | 'err'>, tlb?: TlbModel): Promise<FoldEnd> {
  /** By record: page walks before each mark of this slice. */
  const walksAt = new Map<number, number>();
  const witness = tlb && new RowWitness(reader.header.blockBytes, (shape) => {
    if (shape === SHAPE_MARK) walksAt.set(replayer.records - 1, tlb.counts().walks);
  });
  const replayer = new Replayer({ reader, images, module, ...(witness && { witness }) });
  replayer.machine.core.tlb = tlb;
  const rows = new VerifiedRows(comparison, reader, walksAt);
  const progress = new Progress(err, true);
  try {
    for (;;) {
      const status = replayer.step(SLICE_INSTRUCTIONS);
      if (status.kind === 'diverged') return status;
      rows.foldTo(Math.min(replayer.records, reader.records));
      if (tlb !== undefined) comparison.countedWalks(tlb.counts().walks);
      if (status.kind === 'identical') return { kind: 'done' };
      progress.update({ position: replayer.position, virtualNs: replayer.position + replayer.machine.timeOffsetNs, fraction: replayer.position / Math.max(1, reader.lastPosition) });
      await turn();
      if (signals.received !== undefined) return { kind: 'stopped' };
    }
  } finally {
    progress.clear();
  }
}

class VerifiedRows {
  private readonly comparison: Comparison;
  private readonly reader: LogReader;
  private block = 0;
  private folded = 0;
  private readonly walksAt: Map<number, number>;

  constructor(comparison: Comparison, reader: LogReader, walksAt: Map<number, number>) {
    this.comparison = comparison;
    this.reader = reader;
    this.walksAt = walksAt;
  }

  /** The replay has made the first `records` events of the log. */
  foldTo(records: number): void {
    for (const [record, walks] of this.walksAt) {
      if (record > records) break;
      this.addTo(record);
      this.comparison.countedWalks(walks);
    }
    this.walksAt.clear();
    this.addTo(records);
  }

  private addTo(records: number): void {
    while (this.folded < records) {
      const batch = this.reader.batch(this.block);
      const end = Math.min(records - batch.firstRecord, batch.count);
      this.comparison.add(batch, this.folded - batch.firstRecord, end);
      this.folded = batch.firstRecord + end;
      if (end === batch.count) this.block++;
    }
  }
}

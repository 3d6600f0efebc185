/** Recordings into a comparison, from the log or from a replay of it, with the progress and the signals of the command line. */
import type { Comparison } from '../../engine/analysis/comparison/comparison.ts';
import { comparingReplay } from '../../engine/analysis/comparison/replayed.ts';
import type { LogReader } from '../../engine/log/reader.ts';
import type { Divergence } from '../../engine/log/verify.ts';
import type { RunImages } from '../../engine/recording/recipe.ts';
import type { Replayer } from '../../engine/recording/replayer.ts';
import type { TlbModel } from '../../engine/regimes/tlb-model.ts';
import type { Context } from './context.ts';
import { turn } from './host.ts';
import { Progress } from './progress.ts';

export type FoldEnd = { readonly kind: 'done' } | { readonly kind: 'stopped' } | { readonly kind: 'diverged'; readonly divergence: Divergence };

/** Every event of the log. */
export async function foldLog(comparison: Comparison, reader: LogReader, { signals }: Pick<Context, 'signals'>): Promise<FoldEnd> {
  for (let i = 0; i < reader.eventBlocks.length; i++) {
    comparison.add(reader.passingBatch(i));
    await turn();
    if (signals.received !== undefined) return { kind: 'stopped' };
  }
  return { kind: 'done' };
}

/** Every event that a replay makes (engine/analysis/comparison/replayed.ts). Throws RecipeError for a log that this version cannot replay. */
export function foldReplay(comparison: Comparison, reader: LogReader, images: RunImages, module: WebAssembly.Module, context: Pick<Context, 'signals' | 'err'>, tlb?: TlbModel): Promise<FoldEnd> {
  return foldingReplay(comparingReplay(comparison, { reader, images, module }, tlb), reader, context);
}

/** A replay that is folded in turns, until it ends or a signal comes. */
export async function foldingReplay(turns: Generator<Replayer, Divergence | undefined, void>, reader: LogReader, { signals, err }: Pick<Context, 'signals' | 'err'>): Promise<FoldEnd> {
  const progress = new Progress(err, true);
  try {
    for (;;) {
      const { done, value } = turns.next();
      if (done === true) return value === undefined ? { kind: 'done' } : { kind: 'diverged', divergence: value };
      progress.update({ position: value.position, virtualNs: value.position + value.machine.timeOffsetNs, fraction: value.position / Math.max(1, reader.lastPosition) });
      await turn();
      if (signals.received !== undefined) return { kind: 'stopped' };
    }
  } finally {
    progress.clear();
  }
}

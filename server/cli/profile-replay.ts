/**
 * A profile with what a log does not hold: call stacks and tasks, from a replay of the recording.
 *
 *     machine ─┬─ VerifyingSink: the same row as the log's? ─► rows of the log's batches ─┐
 *              └─ ExitContexts: the stack and the task at each row ─► columns ───────────┴─► ExitProfileFold
 */
import type { ExitProfileFold, ExitProfileOptions } from '../../engine/analysis/exit-profile/fold.ts';
import { ExitContexts } from '../../engine/debug/exit-contexts.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import type { LogReader } from '../../engine/log/reader.ts';
import type { Divergence } from '../../engine/log/verify.ts';
import { loadCore } from '../store/core-module.ts';
import { openImages } from '../store/guest-images.ts';
import type { Arguments } from './arguments.ts';
import { guestSymbolsOf } from './bisect-common.ts';
import { imagePlaces } from './common-options.ts';
import type { Context } from './context.ts';
import { turn } from './host.ts';
import { Progress } from './progress.ts';

/** Instructions between looks at signals; the columns hold the records of so many. */
const SLICE_INSTRUCTIONS = 2_000_000;

export type ReplayEnd = { readonly kind: 'done' } | { readonly kind: 'stopped' } | { readonly kind: 'diverged'; readonly divergence: Divergence };

export interface ProfileReplay {
  readonly options: Pick<ExitProfileOptions, 'contexts' | 'functionAt'>;
  /** Every event that the replay makes. Stops at the first that is not the recording's. */
  readonly foldTo: (fold: ExitProfileFold, context: Pick<Context, 'signals' | 'err'>) => Promise<ReplayEnd>;
}

/** Throws StoreError if images are missing, RecipeError for a log that this version cannot replay, UsageError for symbols that cannot be used. */
export function openReplay(reader: LogReader, parsed: Arguments, err: Context['err']): ProfileReplay {
  const images = openImages(reader, imagePlaces(parsed));
  const module = loadCore();
  const symbols = guestSymbolsOf(parsed.verb, parsed, new TimeTravel({ reader, images, module }), images.kernel, (text) => err.write(`chronovisor: ${text}\n`));
  const contexts = new ExitContexts({ reader, images, module }, symbols);
  const names = new Map<number, string | undefined>();
  const functionAt = (ripLo: number, ripHi: number): string | undefined => {
    const address = (ripHi | 0) * 4294967296 + ripLo;
    if (!names.has(address)) names.set(address, symbols.table.at((BigInt(ripHi) << 32n) | BigInt(ripLo))?.name);
    return names.get(address);
  };
  return {
    options: { contexts: contexts.names, ...(symbols.table.symbols.length > 0 && { functionAt }) },
    foldTo: async (fold, context) => {
      const { replayer, columns } = contexts;
      const progress = new Progress(context.err, true);
      let block = 0;
      let folded = 0;
      try {
        for (;;) {
          const status = replayer.step(SLICE_INSTRUCTIONS);
          if (status.kind === 'diverged') return status;
          const records = Math.min(replayer.records, reader.records);
          while (folded < records) {
            const batch = reader.batch(block);
            const end = Math.min(records - batch.firstRecord, batch.count);
            fold.fold(batch, folded - batch.firstRecord, end, columns);
            folded = batch.firstRecord + end;
            if (end === batch.count) block++;
          }
          columns.startAt(folded);
          if (status.kind === 'identical') return { kind: 'done' };
          progress.update({ position: replayer.position, virtualNs: replayer.position + replayer.machine.timeOffsetNs, fraction: replayer.position / Math.max(1, reader.lastPosition) });
          await turn();
          if (context.signals.received !== undefined) return { kind: 'stopped' };
        }
      } finally {
        progress.clear();
      }
    },
  };
}

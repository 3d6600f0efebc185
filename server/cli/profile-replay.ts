/** A profile from a replay of the recording (engine/debug/profiling-replay.ts), with the files and the progress of the command line. */
import type { ExitProfileFold } from '../../engine/analysis/exit-profile/fold.ts';
import { ProfilingReplay } from '../../engine/debug/profiling-replay.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import type { LogReader } from '../../engine/log/reader.ts';
import { loadCore } from '../store/core-module.ts';
import { openImages } from '../store/guest-images.ts';
import type { Arguments } from './arguments.ts';
import { guestSymbolsOf } from './bisect-common.ts';
import { imagePlaces } from './common-options.ts';
import { type FoldEnd, foldingReplay } from './compare-fold.ts';
import type { Context } from './context.ts';

export interface ProfileReplay {
  readonly options: ProfilingReplay['options'];
  /** Every event that the replay makes. Stops at the first that is not the recording's. */
  readonly foldTo: (fold: ExitProfileFold, context: Pick<Context, 'signals' | 'err'>) => Promise<FoldEnd>;
}

/** Throws StoreError if images are missing, RecipeError for a log that this version cannot replay, UsageError for symbols that cannot be used. */
export function openReplay(reader: LogReader, parsed: Arguments, err: Context['err']): ProfileReplay {
  const images = openImages(reader, imagePlaces(parsed));
  const module = loadCore();
  const symbols = guestSymbolsOf(parsed.verb, parsed, new TimeTravel({ reader, images, module }), images.kernel, (text) => err.write(`chronovisor: ${text}\n`));
  const replay = new ProfilingReplay({ reader, images, module }, symbols);
  return { options: replay.options, foldTo: (fold, context) => foldingReplay(replay.folding(fold), reader, context) };
}

/** Exits by what they are about and who makes them: from the log, guest functions by the names in its kernel; from a replay, with call stacks, tasks and the names of a running Linux. */
import { ExitProfileFold, type ExitProfileOptions } from '../../engine/analysis/exit-profile/fold.ts';
import { machineWindows } from '../../engine/analysis/exit-profile/places.ts';
import type { ExitProfile } from '../../engine/analysis/exit-profile/profile.ts';
import { SymbolError, Symbols } from '../../engine/analysis/exit-profile/symbols.ts';
import { guestSymbols } from '../../engine/debug/guest-symbols.ts';
import { ProfilingReplay } from '../../engine/debug/profiling-replay.ts';
import { candidate, projectionOf } from '../../engine/regimes/catalogue.ts';
import { loadCore } from '../standalone/core-module.ts';
import type { Turns } from '../turns.ts';
import type { AnalysedLog } from './analysed-log.ts';
import { Refusal } from '../refusal.ts';
import { replayInTurns } from './replaying.ts';
import { WatchedTravel } from './watched-travel.ts';

export interface ProfileAsked {
  readonly regime: string | undefined;
  readonly from: 'log' | 'replay';
}

export interface Profiled {
  readonly profile: ExitProfile;
  /** Why functions have no names. */
  readonly problem: string | undefined;
}

/** Throws Refusal, RegimeError, RecipeError, DivergedError. */
export async function profileLog(log: AnalysedLog, { regime, from }: ProfileAsked, turns: Turns, progress: (what: string, share: number | undefined) => void): Promise<Profiled> {
  const chosen = regime === undefined ? undefined : candidate(regime);
  const options: ExitProfileOptions = {
    name: log.summary.guest,
    windows: machineWindows(log.reader.header.config.devices),
    ...(chosen !== undefined && { projection: projectionOf(chosen), under: `${chosen.title}, costs of ${chosen.cpu}` }),
  };
  return from === 'log' ? fromLog(log, options, turns, progress) : fromReplay(log, options, turns, progress);
}

async function fromReplay(log: AnalysedLog, options: ExitProfileOptions, turns: Turns, progress: (what: string, share: number | undefined) => void): Promise<Profiled> {
  const images = await log.runImages();
  const module = await loadCore();
  const { lastPosition } = log.summary;
  const looking = 'Looking for the names of the guest';
  progress(looking, undefined);
  const symbols = guestSymbols(new WatchedTravel({ reader: log.newReader(), images, module }, (position) => progress(looking, Math.min(1, position / Math.max(1, lastPosition)))), images.kernel);
  const replay = new ProfilingReplay({ reader: log.newReader(), images, module }, symbols);
  const fold = new ExitProfileFold({ ...options, ...replay.options });
  await replayInTurns(replay.folding(fold), lastPosition, turns, (share) => progress('Replaying', share));
  return { profile: fold.report(), problem: symbols.origin === 'none' ? `Functions have no names. The kernel: ${symbols.problem ?? 'it has no symbols'}.` : undefined };
}

async function fromLog(log: AnalysedLog, options: ExitProfileOptions, turns: Turns, progress: (what: string, share: number | undefined) => void): Promise<Profiled> {
  let symbols: Symbols | undefined;
  let problem: string | undefined;
  try {
    symbols = Symbols.parse((await log.runImages()).kernel);
  } catch (error) {
    if (!(error instanceof SymbolError || error instanceof Refusal)) throw error;
    problem = error instanceof Refusal ? `Functions have no names: ${error.message}.` : 'Functions have no names: the image of the kernel has no symbols. A replay reads those of a running Linux.';
  }
  const { reader } = log;
  const fold = new ExitProfileFold({ ...options, ...(symbols !== undefined && { functionAt: (ripLo: number, ripHi: number) => symbols.at(ripLo, ripHi) }) });
  for (let i = 0; i < reader.eventBlocks.length; i++) {
    fold.fold(reader.passingBatch(i));
    progress('Folding events', (i + 1) / reader.eventBlocks.length);
    await turns.next();
  }
  return { profile: fold.report(), problem };
}

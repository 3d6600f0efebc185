/** Exits by what they are about and who makes them, from the log; guest functions by the names in its kernel. */
import { ExitProfileFold } from '../../engine/analysis/exit-profile/fold.ts';
import { machineWindows } from '../../engine/analysis/exit-profile/places.ts';
import type { ExitProfile } from '../../engine/analysis/exit-profile/profile.ts';
import { SymbolError, Symbols } from '../../engine/analysis/exit-profile/symbols.ts';
import { candidate, projectionOf } from '../../engine/regimes/catalogue.ts';
import type { Turns } from '../turns.ts';
import type { AnalysedLog } from './analysed-log.ts';
import { Refusal } from '../refusal.ts';

/** problem: why functions have no names. */
export async function profileLog(log: AnalysedLog, regime: string | undefined, turns: Turns, progress: (share: number) => void): Promise<{ readonly profile: ExitProfile; readonly problem: string | undefined }> {
  let symbols: Symbols | undefined;
  let problem: string | undefined;
  try {
    symbols = Symbols.parse((await log.runImages()).kernel);
  } catch (error) {
    if (!(error instanceof SymbolError || error instanceof Refusal)) throw error;
    problem = `Functions have no names. The kernel: ${error.message}.`;
  }
  const chosen = regime === undefined ? undefined : candidate(regime);
  const { reader } = log;
  const fold = new ExitProfileFold({
    name: log.summary.guest,
    windows: machineWindows(reader.header.config.devices),
    ...(symbols !== undefined && { functionAt: (ripLo: number, ripHi: number) => symbols.at(ripLo, ripHi) }),
    ...(chosen !== undefined && { projection: projectionOf(chosen), under: `${chosen.title}, costs of ${chosen.cpu}` }),
  });
  for (let i = 0; i < reader.eventBlocks.length; i++) {
    fold.fold(reader.batch(i));
    progress((i + 1) / reader.eventBlocks.length);
    await turns.next();
  }
  return { profile: fold.report(), problem };
}

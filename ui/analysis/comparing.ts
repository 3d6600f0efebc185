/** What the run would cost under each technique: from the log, or from a replay, where TLB misses can be counted. */
import { Comparison } from '../../engine/analysis/comparison/comparison.ts';
import { comparingReplay } from '../../engine/analysis/comparison/replayed.ts';
import type { CompareAsked, CompareAnswer } from '../../engine/protocol/analysis.ts';
import { candidate } from '../../engine/regimes/catalogue.ts';
import { TLBS } from '../../engine/regimes/costs/tlbs.ts';
import { TlbModel } from '../../engine/regimes/tlb-model.ts';
import { loadCore, loadCountingCore } from '../standalone/core-module.ts';
import type { Turns } from '../turns.ts';
import type { AnalysedLog } from './analysed-log.ts';
import { replayInTurns } from './replaying.ts';

/** Throws Refusal, RegimeError, RecipeError, DivergedError. */
export async function compareLog(log: AnalysedLog, asked: CompareAsked, turns: Turns, progress: (what: string, share: number | undefined) => void): Promise<CompareAnswer> {
  const { regimes, cpu, cyclesPerInstruction, guestKpti, from } = asked;
  const comparison = new Comparison({ candidates: regimes.map((id) => candidate(id, { cpu, options: guestKpti ? { guestKpti } : {} })), cyclesPerInstruction, hasAdvice: true, hasPauses: from !== 'log' && TLBS.some(({ id }) => id === from) });
  const { reader, summary } = log;
  if (from === 'log') {
    for (let i = 0; i < reader.eventBlocks.length; i++) {
      comparison.add(reader.passingBatch(i));
      progress('Folding events', (i + 1) / reader.eventBlocks.length);
      await turns.next();
    }
    return { report: comparison.report(), tlb: undefined };
  }
  const geometry = TLBS.find(({ id }) => id === from);
  const tlb = geometry && new TlbModel(geometry);
  progress('Replaying', 0);
  const module = await (tlb === undefined ? loadCore() : loadCountingCore());
  await replayInTurns(comparingReplay(comparison, { reader: log.newReader(), images: await log.runImages(), module }, tlb), summary.lastPosition, turns, (share) => progress('Replaying', share));
  return { report: comparison.report(), tlb: tlb && geometry && { title: geometry.title, source: geometry.source, ...tlb.counts() } };
}

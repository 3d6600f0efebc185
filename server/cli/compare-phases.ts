/**
 * Phases of several recordings side by side, matched by their marks: what a guest does that knows of its hypervisor, beside what is made of one that does not.
 *
 * Their instructions differ, so no slowdown of one is that of the other: everything is measured against the same phase of one recording on the bare machine.
 */
import type { ComparisonReport, SegmentReport } from '../../engine/analysis/comparison/report.ts';
import type { CycleRange } from '../../engine/analysis/comparison/ledger.ts';

export interface Matched {
  readonly file: string;
  /** Under which it was recorded. */
  readonly recordedRegime: string;
  readonly report: ComparisonReport;
}

export interface MatchedRow {
  readonly file: string;
  readonly recordedRegime: string;
  readonly regime: string;
  readonly instructions: number;
  readonly segment: SegmentReport;
  /** Cycles of this row by those of the base (typical) on the bare machine. */
  readonly slowdown: CycleRange;
}
export interface MatchedPhase {
  readonly name: string;
  readonly rows: readonly MatchedRow[];
}
export interface MatchedPhases {
  /** The recording that all is measured against: the first of a guest that does not know. */
  readonly base: string;
  readonly phases: readonly MatchedPhase[];
}

const PARA = 'para';

/** Phases that every recording has, in the order of the base; the nth of a name is the nth of that name elsewhere. Undefined if there is nothing to match. */
export function matchPhases(files: readonly Matched[]): MatchedPhases | undefined {
  const base = files.find(({ recordedRegime }) => recordedRegime !== PARA) ?? files.at(0);
  if (base === undefined || files.length < 2) return undefined;
  const places = files.map(({ report }) => placesOf(report));
  const phases: MatchedPhase[] = [];
  base.report.phases.forEach((span, basePlace) => {
    const key = keysOf(base.report)[basePlace];
    if (!places.every((place) => place.has(key))) return;
    const [native] = base.report.regimes;
    const cpi = base.report.cyclesPerInstruction;
    const baseCycles = span.instructions * cpi + native.phases[basePlace].nativeCycles.typical;
    const rows = files.flatMap(({ file, recordedRegime, report }, i) => {
      const place = places[i].get(key)!;
      const { instructions } = report.phases[place];
      const own = instructions * report.cyclesPerInstruction;
      // A paravirtual build runs under its own technique only.
      return report.regimes
        .filter(({ regime }) => recordedRegime !== PARA || regime === PARA)
        .map((regime): MatchedRow => {
          const segment = regime.phases[place];
          const { low, typical, high } = segment.cycles;
          return { file, recordedRegime, regime: regime.id, instructions, segment, slowdown: { low: (own + low) / baseCycles, typical: (own + typical) / baseCycles, high: (own + high) / baseCycles } };
        });
    });
    phases.push({ name: span.name, rows });
  });
  return phases.length === 0 ? undefined : { base: base.file, phases };
}

/** Name and how often it came before. */
function keysOf(report: ComparisonReport): string[] {
  const seen = new Map<string, number>();
  return report.phases.map(({ name }) => {
    const count = seen.get(name) ?? 0;
    seen.set(name, count + 1);
    return `${count} ${name}`;
  });
}
function placesOf(report: ComparisonReport): ReadonlyMap<string, number> {
  return new Map(keysOf(report).map((key, place) => [key, place]));
}

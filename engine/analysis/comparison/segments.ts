/** A segment of a run: the sums of a ledger as the report gives them, and several of them as one. */
import type { CycleRange, DirectRow, ReasonRow } from './ledger.ts';
import type { SegmentReport } from './report.ts';

/** What a ledger holds of a segment, and the cycles of `native` in it. */
export interface SegmentSums {
  readonly exits: number;
  readonly cycles: CycleRange;
  readonly nativeCycles: CycleRange;
  /** Dearest first. */
  readonly reasons: readonly ReasonRow[];
  readonly direct: readonly DirectRow[];
  readonly haltPollNs: number;
}

/** `baseCycles`: instructions x CPI. */
export function segmentReport({ exits, cycles, nativeCycles, reasons, direct, haltPollNs }: SegmentSums, instructions: number, baseCycles: number): SegmentReport {
  const ratio = (name: keyof CycleRange): number => (baseCycles + nativeCycles[name] === 0 ? 1 : (baseCycles + cycles[name]) / (baseCycles + nativeCycles[name]));
  const [a, typical, c] = [ratio('low'), ratio('typical'), ratio('high')];
  const parts = [...reasons.map(({ name, handler, typical: each }) => ({ name: `${name} (${handler})`, each })), ...direct.map(({ kind, typical: each }) => ({ name: kind, each }))];
  const first = parts.sort((x, y) => y.each - x.each).at(0);
  return {
    exits,
    exitsPerMillion: instructions === 0 ? 0 : (exits / instructions) * 1e6,
    cycles,
    nativeCycles,
    slowdown: { low: Math.min(a, typical, c), typical, high: Math.max(a, typical, c) },
    reasons,
    direct,
    dominant: first === undefined || cycles.typical === 0 ? undefined : { name: first.name, share: first.each / cycles.typical },
    haltPollNs,
  };
}

/** Segments of one regime as one: a workload that goes over several phases. */
export function joinSegments(segments: readonly SegmentReport[], instructions: number, cyclesPerInstruction: number): SegmentReport {
  const total = (ranges: readonly CycleRange[]): CycleRange => ranges.reduce(added, { low: 0, typical: 0, high: 0 });
  const sums: SegmentSums = {
    exits: segments.reduce((sum, { exits }) => sum + exits, 0),
    cycles: total(segments.map(({ cycles }) => cycles)),
    nativeCycles: total(segments.map(({ nativeCycles }) => nativeCycles)),
    reasons: joined(segments.flatMap(({ reasons }) => reasons), ({ reason, handler }) => `${reason} ${handler}`),
    direct: joined(segments.flatMap(({ direct }) => direct), ({ kind }) => kind),
    haltPollNs: segments.reduce((sum, segment) => sum + segment.haltPollNs, 0),
  };
  return segmentReport(sums, instructions, instructions * cyclesPerInstruction);
}

function added(a: CycleRange, b: CycleRange): CycleRange {
  return { low: a.low + b.low, typical: a.typical + b.typical, high: a.high + b.high };
}

/** Dearest first. */
function joined<Row extends ReasonRow | DirectRow>(rows: readonly Row[], keyOf: (row: Row) => string): Row[] {
  const sums = new Map<string, Row>();
  for (const row of rows) {
    const before = sums.get(keyOf(row));
    sums.set(keyOf(row), before === undefined ? row : { ...row, ...added(before, row), count: before.count + row.count });
  }
  return [...sums.values()].sort((a, b) => b.typical - a.typical || b.count - a.count);
}

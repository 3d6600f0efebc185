import { describe, expect, it } from 'vitest';
import { Comparison } from '../../engine/analysis/comparison/comparison.ts';
import type { ComparisonReport } from '../../engine/analysis/comparison/report.ts';
import { HYPERCALL_REASON } from '../../engine/log/events.ts';
import type { EventSink } from '../../engine/log/event-sink.ts';
import { position } from '../../engine/log/position.ts';
import { openLog, writeLog } from '../../engine/log/testing.ts';
import { candidate } from '../../engine/regimes/catalogue.ts';
import { matchPhases } from './compare-phases.ts';

function reportOf(fill: (sink: EventSink) => void): ComparisonReport {
  const comparison = new Comparison({ candidates: ['native', 'para'].map((id) => candidate(id, { options: id === 'para' ? { hostHz: 0 } : {} })), cyclesPerInstruction: 1, rates: {}, hasAdvice: false });
  const reader = openLog(writeLog(fill));
  reader.eventBlocks.forEach((_, i) => comparison.add(reader.batch(i)));
  return comparison.report();
}
const mark = (s: EventSink, when: number, name: string): void => s.mark(position(when), name, 'guest');

describe('phases side by side', () => {
  const plain = reportOf((s) => {
    mark(s, 1_000, 'a');
    mark(s, 11_000, 'b');
    mark(s, 12_000, 'a');
    s.end(position(14_000), 'shutdown', '');
  });
  const aware = reportOf((s) => {
    mark(s, 500, 'a');
    s.exit(position(600), 0, 0, HYPERCALL_REASON + 17, 0, 0);
    mark(s, 12_500, 'a');
    mark(s, 13_500, 'c');
    s.end(position(14_000), 'shutdown', '');
  });

  it('are those that all have, the nth of a name with the nth, against the guest that does not know', () => {
    const matched = matchPhases([{ file: 'pv', recordedRegime: 'para', report: aware }, { file: 'plain', recordedRegime: 'native', report: plain }]);
    expect(matched?.base).toBe('plain');
    expect(matched?.phases.map(({ name, rows }) => [name, ...rows.map(({ file, regime, instructions }) => `${file} ${regime} ${instructions}`)])).toEqual([
      ['(start)', 'pv para 500', 'plain native 1000', 'plain para 1000'],
      ['a', 'pv para 12000', 'plain native 10000', 'plain para 10000'],
      ['a', 'pv para 1000', 'plain native 2000', 'plain para 2000'],
    ]);
    const [, first, second] = matched?.phases ?? [];
    // 12,000 instructions and a hypercall of 1,350 cycles, by 10,000.
    expect(first.rows[0].slowdown.typical).toBeCloseTo(1.335, 10);
    expect(first.rows[1].slowdown.typical).toBe(1);
    expect(second.rows[0].slowdown.typical).toBe(0.5);
  });

  it('need two recordings with a phase in common', () => {
    expect(matchPhases([{ file: 'plain', recordedRegime: 'native', report: plain }])).toBeUndefined();
  });
});

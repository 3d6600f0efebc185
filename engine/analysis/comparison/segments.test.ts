import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anyEvents, openLog, writeLog } from '../../log/testing.ts';
import { REGIMES, candidate } from '../../regimes/catalogue.ts';
import { Comparison } from './comparison.ts';
import { joinSegments } from './segments.ts';

describe('joinSegments', () => {
  it('makes of all phases the run', () => {
    fc.assert(
      fc.property(anyEvents, fc.constantFrom(0.7, 1), (events, cyclesPerInstruction) => {
        const reader = openLog(writeLog((sink) => events.forEach((event) => sink.append(event))));
        const comparison = new Comparison({ candidates: REGIMES.map(({ id }) => candidate(id)), cyclesPerInstruction });
        reader.eventBlocks.forEach((_, i) => comparison.add(reader.batch(i)));
        const { regimes, instructions } = comparison.report();
        for (const { phases, run } of regimes) {
          const joined = joinSegments(phases, instructions, cyclesPerInstruction);
          expect(joined.exits).toBe(run.exits);
          expect(joined.haltPollNs).toBe(run.haltPollNs);
          for (const name of ['low', 'typical', 'high'] as const) {
            expect(joined.cycles[name]).toBeCloseTo(run.cycles[name], 3);
            expect(joined.slowdown[name]).toBeCloseTo(run.slowdown[name], 6);
          }
          const counts = (segment: typeof run): unknown => [...segment.reasons.map(({ name, handler, count }) => `${name} ${handler} ${count}`), ...segment.direct.map(({ kind, count }) => `${kind} ${count}`)].sort();
          expect(counts(joined)).toEqual(counts(run));
        }
      }),
      { numRuns: 25 },
    );
  });

  it('is an empty segment of none', () => {
    expect(joinSegments([], 0, 1)).toMatchObject({ exits: 0, exitsPerMillion: 0, slowdown: { low: 1, typical: 1, high: 1 }, dominant: undefined });
  });
});

import { describe, expect, it } from 'vitest';
import { findMarks } from './guest.ts';
import { CounterTotal, geometricMean, median, phasesOf } from './measure.ts';

describe('measure', () => {
  it('takes phases from mark to mark, and the whole run', () => {
    expect(phasesOf([{ name: 'boot', wallSeconds: 2, cpuSeconds: 1 }, { name: 'loop', wallSeconds: 5, cpuSeconds: 3 }])).toEqual([
      { name: 'boot', wallSeconds: 2, cpuSeconds: 1 },
      { name: 'loop', wallSeconds: 3, cpuSeconds: 2 },
      { name: 'total', wallSeconds: 5, cpuSeconds: 3 },
    ]);
    expect(phasesOf([])).toEqual([]);
  });

  it('counts the instructions of a phase where somebody counts them', () => {
    const phases = phasesOf([{ name: 'boot', wallSeconds: 2, cpuSeconds: 1, instructions: 70 }, { name: 'loop', wallSeconds: 5, cpuSeconds: 3, instructions: 100 }]);
    expect(phases.map(({ instructions }) => instructions)).toEqual([70, 30, 100]);
  });

  it('adds up a counter of 32 bits over its wraps', () => {
    const total = new CounterTotal();
    expect([5, 2 ** 32 - 1, 4, 3_000_000_000].map((value) => total.at(value))).toEqual([5, 2 ** 32 - 1, 2 ** 32 + 4, 2 ** 32 + 3_000_000_000]);
  });

  it('finds marks in whole lines of a console, and nothing else', () => {
    const found: string[] = [];
    const console = findMarks((name) => found.push(name));
    for (const byte of Buffer.from('[    1.2] bench: no\r\nbench: boot\r\n42\nbench: Upper\nbench: gzip-zeros\nbench: mem')) console(byte);
    expect(found).toEqual(['boot', 'gzip-zeros']);
  });

  it('knows the geometric mean', () => {
    expect(geometricMean([1, 4])).toBeCloseTo(2);
    expect(geometricMean([0.5, 2, NaN])).toBeNaN();
  });

  it('finds the middle of odd and even numbers of values', () => {
    expect([median([3, 1, 2]), median([4, 1, 2, 3]), median([])]).toEqual([2, 2.5, NaN]);
  });
});

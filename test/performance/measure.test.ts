import { describe, expect, it } from 'vitest';
import { median, phasesOf } from './measure.ts';

describe('measure', () => {
  it('takes phases from mark to mark, and the whole run', () => {
    expect(phasesOf([{ name: 'boot', wallSeconds: 2, cpuSeconds: 1 }, { name: 'loop', wallSeconds: 5, cpuSeconds: 3 }])).toEqual([
      { name: 'boot', wallSeconds: 2, cpuSeconds: 1 },
      { name: 'loop', wallSeconds: 3, cpuSeconds: 2 },
      { name: 'total', wallSeconds: 5, cpuSeconds: 3 },
    ]);
    expect(phasesOf([])).toEqual([]);
  });

  it('finds the middle of odd and even numbers of values', () => {
    expect([median([3, 1, 2]), median([4, 1, 2, 3]), median([])]).toEqual([2, 2.5, NaN]);
  });
});

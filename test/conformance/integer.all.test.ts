/** The long run of integer.test.ts: other seeds, and one of the reader's own (CONFORMANCE_SEED). */
import { describe, expect, it } from 'vitest';
import { compare, summarize } from './compare.ts';
import { nativeUnavailable } from './native-runner.ts';

const SEEDS = [2, 3, 4];
const COUNT = 150_000;
const SHOWN = 20;
const own = process.env['CONFORMANCE_SEED'];

describe.skipIf(nativeUnavailable() !== undefined)('integer instructions', () => {
  for (const seed of own === undefined ? SEEDS : [...SEEDS, Number(own)]) {
    it(`do what this CPU does (seed ${seed}, ${COUNT} cases)`, () => {
      const report = compare({ seed, count: COUNT });
      expect(report.failures.length, summarize(report, SHOWN)).toBe(0);
    });
  }
});

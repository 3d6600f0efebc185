/** Drawn guests: what a question answers is what a look at every position says. The planted bugs are planted.test.ts. */
import fc from 'fast-check';
import { test } from 'vitest';
import { tinyCases } from '../determinism/cases.ts';
import { assertProperty } from '../determinism/runs.ts';
import { questionDraws, questionsEqualAScan } from './scan.ts';

const FILE = 'test/bisect/queries.all.test.ts';

test('bisect, last-write and their kin equal a scan of every position', () => {
  assertProperty(FILE, fc.property(tinyCases(3000), questionDraws, questionsEqualAScan), 40, 40_000);
});

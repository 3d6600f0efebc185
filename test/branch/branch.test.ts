/** Drawn guests, drawn branches. The larger run is branch.all.test.ts. */
import fc from 'fast-check';
import { test } from 'vitest';
import { labCases, tinyCases } from '../determinism/cases.ts';
import { assertProperty } from '../determinism/runs.ts';
import { aChangedBranchReplays, anUnchangedBranchIsTheRest, changedDraws, unchangedDraws } from './laws.ts';

const FILE = 'test/branch/branch.test.ts';
const places = fc.array(fc.nat((1 << 20) - 1), { minLength: 1, maxLength: 4 });
const unchanged = fc.array(unchangedDraws, { minLength: 1, maxLength: 3 });
const changed = fc.array(changedDraws, { minLength: 1, maxLength: 3 });

test('a branch without a change is the rest of its parent', () => {
  assertProperty(FILE, fc.property(tinyCases(40_000), unchanged, anUnchangedBranchIsTheRest), 15, 1_500);
  assertProperty(FILE, fc.property(labCases(400_000), unchanged, anUnchangedBranchIsTheRest), 4, 1_500);
});

test('a branch replays, whatever it changes, and so do its branches', () => {
  assertProperty(FILE, fc.property(tinyCases(40_000), changed, places, aChangedBranchReplays), 15, 1_500);
  assertProperty(FILE, fc.property(labCases(400_000), changed, places, aChangedBranchReplays), 4, 1_500);
});

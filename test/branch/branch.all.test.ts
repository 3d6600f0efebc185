/** The larger run of branch.test.ts and explain.test.ts; and the race from its first tick to the panic. */
import fc from 'fast-check';
import { test } from 'vitest';
import { labCases, tinyCases } from '../determinism/cases.ts';
import { assertProperty } from '../determinism/runs.ts';
import { anExplanationIsWhatAScanFinds } from './explain.ts';
import { aChangedBranchReplays, anUnchangedBranchIsTheRest, changedDraws, unchangedDraws } from './laws.ts';

const FILE = 'test/branch/branch.all.test.ts';
const places = fc.array(fc.nat((1 << 20) - 1), { minLength: 1, maxLength: 4 });
const unchanged = fc.array(unchangedDraws, { minLength: 1, maxLength: 4 });
const changed = fc.array(changedDraws, { minLength: 1, maxLength: 5 });

test('a branch without a change is the rest of its parent', { timeout: 400_000 }, () => {
  assertProperty(FILE, fc.property(tinyCases(60_000), unchanged, anUnchangedBranchIsTheRest), 1000, 20_000);
  assertProperty(FILE, fc.property(labCases(2_000_000), unchanged, anUnchangedBranchIsTheRest), 300, 20_000);
});

test('a branch replays, whatever it changes, and so do its branches', { timeout: 400_000 }, () => {
  assertProperty(FILE, fc.property(tinyCases(60_000), changed, places, aChangedBranchReplays), 1000, 20_000);
  assertProperty(FILE, fc.property(labCases(2_000_000), changed, places, aChangedBranchReplays), 300, 20_000);
});

test('an explanation is what a scan finds', { timeout: 400_000 }, () => {
  assertProperty(FILE, fc.property(tinyCases(60_000), changedDraws, anExplanationIsWhatAScanFinds), 500, 20_000);
  assertProperty(FILE, fc.property(labCases(1_000_000), changedDraws, anExplanationIsWhatAScanFinds), 200, 20_000);
});

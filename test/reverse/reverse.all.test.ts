/** The larger run of reverse.test.ts. */
import fc from 'fast-check';
import { test } from 'vitest';
import { labCases, tinyCases } from '../determinism/cases.ts';
import { stops } from '../determinism/promises.ts';
import { assertProperty } from '../determinism/runs.ts';
import { anIndexLeadsToTheSameRun, indexDraws } from './index.ts';
import { restoreThenRunIsAStraightRun } from './restore.ts';
import { bothDirectionsStopWhereAScanStops, stepsAreTheirOwnInverse, stopDraws, walkDraws } from './walk.ts';

const FILE = 'test/reverse/reverse.all.test.ts';
const order = fc.array(fc.nat(99), { minLength: 1, maxLength: 4 });

test('tiny guests: restore, then run, is a straight run', { timeout: 300_000 }, () => {
  assertProperty(FILE, fc.property(tinyCases(60_000), stops, order, restoreThenRunIsAStraightRun), 2000, 20_000);
});

test('the lab kernel: restore, then run, is a straight run', { timeout: 300_000 }, () => {
  assertProperty(FILE, fc.property(labCases(2_000_000), stops, order, restoreThenRunIsAStraightRun), 500, 18_000);
});

test('an index leads to the same run', { timeout: 300_000 }, () => {
  assertProperty(FILE, fc.property(tinyCases(60_000), indexDraws, anIndexLeadsToTheSameRun), 300, 14_000);
  assertProperty(FILE, fc.property(labCases(2_000_000), indexDraws, anIndexLeadsToTheSameRun), 100, 14_000);
});

test('steps back and forward are no step', { timeout: 300_000 }, () => {
  assertProperty(FILE, fc.property(tinyCases(60_000), walkDraws, stepsAreTheirOwnInverse), 300, 14_000);
  assertProperty(FILE, fc.property(labCases(2_000_000), walkDraws, stepsAreTheirOwnInverse), 100, 14_000);
});

test('both directions stop where a scan stops', { timeout: 300_000 }, () => {
  assertProperty(FILE, fc.property(tinyCases(6_000), stopDraws, bothDirectionsStopWhereAScanStops), 300, 18_000);
  assertProperty(FILE, fc.property(labCases(6_000), stopDraws, bothDirectionsStopWhereAScanStops), 100, 20_000);
});

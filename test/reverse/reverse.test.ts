/** Drawn guests: any moment can be gone back to, and what follows is the same. The larger run is reverse.all.test.ts. */
import fc from 'fast-check';
import { test } from 'vitest';
import { labCases, tinyCases } from '../determinism/cases.ts';
import { stops } from '../determinism/promises.ts';
import { assertProperty } from '../determinism/runs.ts';
import { aForeignIndexIsRefused, anIndexLeadsToTheSameRun, indexDraws } from './index.ts';
import { checkpointsOfARecorderAreOfItsRecording, restoreThenRunIsAStraightRun } from './restore.ts';
import { aDamagedIndexIsGivenUp, bothDirectionsStopWhereAScanStops, stepsAreTheirOwnInverse, stopDraws, walkDraws } from './walk.ts';

const FILE = 'test/reverse/reverse.test.ts';
const order = fc.array(fc.nat(99), { minLength: 1, maxLength: 4 });

test('tiny guests: restore, then run, is a straight run', () => {
  assertProperty(FILE, fc.property(tinyCases(40_000), stops, order, restoreThenRunIsAStraightRun), 20, 1_000);
});

test('the lab kernel: restore, then run, is a straight run', () => {
  assertProperty(FILE, fc.property(labCases(400_000), stops, order, restoreThenRunIsAStraightRun), 5, 1_000);
});

test('what a recorder saves on the way is of its recording', () => {
  assertProperty(FILE, fc.property(tinyCases(40_000), fc.integer({ min: 1, max: 20 }), checkpointsOfARecorderAreOfItsRecording), 15, 1_000);
  assertProperty(FILE, fc.property(labCases(400_000), fc.integer({ min: 1, max: 4 }), checkpointsOfARecorderAreOfItsRecording), 5, 1_000);
});

test('an index leads to the same run, and damage of it is found', () => {
  assertProperty(FILE, fc.property(tinyCases(40_000), indexDraws, anIndexLeadsToTheSameRun), 10, 1_000);
  assertProperty(FILE, fc.property(labCases(400_000), indexDraws, anIndexLeadsToTheSameRun), 4, 1_000);
});

test('the index of another recording is refused', () => {
  const pair = fc.tuple(tinyCases(5_000), tinyCases(5_000)).filter(([a, b]) => a.story !== b.story);
  assertProperty(FILE, fc.property(pair, ([a, b]) => aForeignIndexIsRefused(a, b)), 10, 1_000);
});

test('a damaged index is given up, and every moment stays what it is', () => {
  const flips = fc.array(fc.tuple(fc.noBias(fc.nat(999_999)).map((n) => n / 1_000_000), fc.nat(7)), { minLength: 2, maxLength: 2 }); // prettier-ignore
  assertProperty(FILE, fc.property(tinyCases(40_000), walkDraws, flips, aDamagedIndexIsGivenUp), 4, 1_000);
  assertProperty(FILE, fc.property(labCases(400_000), walkDraws, flips, aDamagedIndexIsGivenUp), 1, 1_000);
});

test('steps back and forward are no step, and looking changes nothing', () => {
  assertProperty(FILE, fc.property(tinyCases(40_000), walkDraws, stepsAreTheirOwnInverse), 8, 1_000);
  assertProperty(FILE, fc.property(labCases(400_000), walkDraws, stepsAreTheirOwnInverse), 4, 1_000);
});

test('both directions stop where a scan stops', () => {
  assertProperty(FILE, fc.property(tinyCases(4_000), stopDraws, bothDirectionsStopWhereAScanStops), 10, 2_500);
});

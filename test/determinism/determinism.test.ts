/** Drawn guests, inputs, sizes: what was recorded replays bit for bit. The larger run is determinism.all.test.ts. */
import fc from 'fast-check';
import { test } from 'vitest';
import { labCases, tinyCases } from './cases.ts';
import { checks, holds, isTheSameWhereverItStops, stops } from './promises.ts';
import { assertProperty } from './runs.ts';

const FILE = 'test/determinism/determinism.test.ts';

test('tiny guests replay', () => {
  assertProperty(FILE, fc.property(tinyCases(40_000), checks, holds), 12, 3_000);
});

test('tiny guests are the same wherever they stop', () => {
  assertProperty(FILE, fc.property(tinyCases(40_000), stops, isTheSameWhereverItStops), 20, 3_000);
});

test('the lab kernel and its bugs replay', () => {
  assertProperty(FILE, fc.property(labCases(400_000), checks, holds), 5, 3_000);
});

test('the lab kernel is the same wherever it stops', () => {
  assertProperty(FILE, fc.property(labCases(400_000), stops, isTheSameWhereverItStops), 8, 3_000);
});

/** The larger run of determinism.test.ts: more guests, longer ones, and those with work to do. */
import fc from 'fast-check';
import { test } from 'vitest';
import { labCases, tinyCases } from './cases.ts';
import { checks, holds, isTheSameWhereverItStops, stops } from './promises.ts';
import { assertProperty } from './runs.ts';

const FILE = 'test/determinism/determinism.all.test.ts';

test('tiny guests replay', () => {
  assertProperty(FILE, fc.property(tinyCases(150_000), checks, holds), 300, 35_000);
});

test('tiny guests are the same wherever they stop', () => {
  assertProperty(FILE, fc.property(tinyCases(150_000), stops, isTheSameWhereverItStops), 600, 35_000);
});

test('the lab kernel and its bugs replay', () => {
  assertProperty(FILE, fc.property(labCases(6_000_000), checks, holds), 60, 30_000);
});

test('the lab kernel is the same wherever it stops', () => {
  assertProperty(FILE, fc.property(labCases(6_000_000), stops, isTheSameWhereverItStops), 60, 30_000);
});

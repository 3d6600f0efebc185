/** Predictions of live-check.ts against what the migrations took: "done when" 1 of the migration issue. */
import { expect, it } from 'vitest';
import { CASES, type Compared, compare, forecast, measure, summary } from './live-check.ts';

it('forty and more configurations: the median error is at most 2 % in pages and 5 % in downtime', async () => {
  const forecasts = CASES.map((each) => forecast(each));
  const all: Compared[] = [];
  for (const [i, each] of CASES.entries()) all.push(compare(each, forecasts[i], await measure(each)));
  const { cases, converging, pages, downtime } = summary(all);
  expect(cases).toBeGreaterThanOrEqual(40);
  expect(converging).toBeGreaterThanOrEqual(35);
  expect(all.filter(({ isVerdictRight, isUnstable }) => !isVerdictRight && !isUnstable)).toEqual([]);
  expect(pages).toBeLessThanOrEqual(2);
  expect(downtime).toBeLessThanOrEqual(5);
}, 600_000);

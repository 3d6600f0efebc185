/** Ten recorders die. A hundred do in crash.all.test.ts. */
import { expect, test } from 'vitest';
import { loadCore } from '../../server/store/core-module.ts';
import { killRecorders, randomOf, seedOfRun } from './kills.ts';

test('a recorder that is killed leaves all that it had synced', async () => {
  const random = randomOf(seedOfRun('test/crash/crash.test.ts'));
  const tally = await killRecorders({ blockBytes: 2048, flushEvery: 300_000 }, 10, random, loadCore());
  console.log(JSON.stringify(tally));
  expect(tally.kills).toBe(10);
});

/** A hundred recorders die, with small and large blocks, synced often and seldom. */
import { expect, test } from 'vitest';
import { loadCore } from '../../server/store/core-module.ts';
import { type Setting, killRecorders, randomOf, seedOfRun } from './kills.ts';

const SETTINGS: readonly Setting[] = [
  { blockBytes: 2048, flushEvery: 200_000 },
  { blockBytes: 2048, flushEvery: 3_000_000 },
  { blockBytes: 65_536, flushEvery: 1_000_000 },
  { blockBytes: 9001, flushEvery: 77_777 },
];

test('a hundred recorders that are killed leave all that they had synced', async () => {
  const random = randomOf(seedOfRun('test/crash/crash.all.test.ts'));
  const module = loadCore();
  let kills = 0;
  for (const setting of SETTINGS) {
    const tally = await killRecorders(setting, 25, random, module);
    console.log(JSON.stringify({ ...setting, ...tally }));
    kills += tally.kills;
  }
  expect(kills).toBe(100);
});

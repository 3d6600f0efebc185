/**
 * Predictions of tcp-check.ts against migrations over TCP by the wall's clock. What does not depend on how busy the host is: pages and verdicts. Times are said by `node dist/test/migration/tcp-check.js`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { CASES, check } from './tcp-check.ts';
import { summary } from './live-check.ts';

it('pages are predicted with a median error of at most 2 %, on a busy host, too', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'chronovisor-tcp-'));
  // Every second load, every second pair of bandwidth and limit.
  const { all } = await check(CASES.filter((_, i) => Math.floor(i / 8) % 2 === 1 && i % 2 === 0), folder);
  rmSync(folder, { recursive: true, force: true });
  const { cases, converging, pages } = summary(all);
  expect(cases).toBe(12);
  expect(converging).toBeGreaterThanOrEqual(9);
  expect(all.filter(({ isVerdictRight, isUnstable }) => !isVerdictRight && !isUnstable)).toEqual([]);
  expect(pages).toBeLessThanOrEqual(2);
}, 600_000);

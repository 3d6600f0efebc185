import { expect, it } from 'vitest';
import type { Position } from '../engine/log/position.ts';
import { RingFold, STRETCHES_MAX } from './ring-fold.ts';

const counts = (position: number, kernelInstructions: number, systemCalls: number) => ({ kind: 'counts' as const, position: position as Position, kernelInstructions, systemCalls });

it('tells shares and rates between counts', () => {
  const fold = new RingFold();
  fold.add(counts(1000, 500, 1));
  fold.add(counts(3000, 500, 5));
  expect(fold.shares()).toEqual({ positions: Float64Array.of(0, 1000, 3000), shares: Float64Array.of(0.5, 0), calls: Float64Array.of(1, 2) });
});

it('goes on where the number of system calls begins anew', () => {
  const fold = new RingFold();
  fold.add(counts(1000, 0, 0xffff_ffff));
  fold.add(counts(2000, 0, 4));
  expect(fold.shares().calls[1]).toBe(5);
});

it('stays within its bound, and keeps the sums', () => {
  const fold = new RingFold();
  const n = STRETCHES_MAX * 3 + 17;
  for (let i = 1; i <= n; i++) fold.add(counts(i * 10, i * 4, i));
  const { positions, shares, calls } = fold.shares();
  expect(shares.length).toBeLessThanOrEqual(STRETCHES_MAX + 1);
  expect(positions.at(-1)).toBe(n * 10);
  let kernel = 0;
  let called = 0;
  shares.forEach((share, i) => {
    kernel += share * (positions[i + 1] - positions[i]);
    called += (calls[i] * (positions[i + 1] - positions[i])) / 1000;
  });
  expect(Math.round(kernel)).toBe(n * 4);
  expect(Math.round(called)).toBe(n);
});

import { expect, it } from 'vitest';
import { RateLimiter } from './rate.ts';

it('lets a burst through, then so many a second, for each address', () => {
  let now = 0;
  const rate = new RateLimiter({ burst: 3, perSecond: 2 }, () => now);
  const takes = (n: number, address = 'a'): number => Array.from({ length: n }, () => rate.take(address)).filter((taken) => taken).length;
  expect(takes(5)).toBe(3);
  expect(takes(5, 'b')).toBe(3);
  now = 1000;
  expect(takes(5)).toBe(2);
  now = 1_000_000;
  expect(takes(5)).toBe(3);
});

it('remembers a bounded number of addresses', () => {
  const rate = new RateLimiter({ burst: 1, perSecond: 1e-9 }, () => 0);
  expect(rate.take('first')).toBe(true);
  expect(rate.take('first')).toBe(false);
  for (let i = 0; i < 10_000; i++) rate.take(`other ${i}`);
  // It was forgotten, which is the price of a bound.
  expect(rate.take('first')).toBe(true);
});

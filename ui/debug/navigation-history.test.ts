import { expect, it } from 'vitest';
import { NavigationHistory } from './navigation-history.ts';

it('goes back over jumps and forth again; a drag is one move', () => {
  let now = 0;
  const history = new NavigationHistory(() => now);
  history.move(0);
  now += 5000;
  for (let at = 100; at < 200; at += 10) {
    history.move(at);
    now += 16;
  }
  history.jump(200);
  expect(history.back(900)).toBe(200);
  expect(history.back(200)).toBe(100);
  expect(history.forth(100)).toBe(200);
  expect(history.back(200)).toBe(100);
  expect(history.back(100)).toBe(0);
  expect(history.back(0)).toBeUndefined();
  expect(history.forth(0)).toBe(100);
  now += 5000;
  history.move(100);
  expect(history.canGoForth).toBe(false);
});

it('keeps a place that was jumped to and left soon', () => {
  let now = 0;
  const history = new NavigationHistory(() => now);
  history.jump(10);
  now += 300;
  history.move(5000);
  now += 16;
  history.move(5100);
  expect(history.back(0)).toBe(5000);
  expect(history.back(5000)).toBe(10);
});

it('forgets the oldest', () => {
  const history = new NavigationHistory(() => 0);
  for (let i = 0; i < 1000; i++) history.jump(i);
  let steps = 0;
  while (history.back(steps) !== undefined) steps++;
  expect(steps).toBe(200);
});

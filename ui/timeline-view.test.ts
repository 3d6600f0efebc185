import { expect, it } from 'vitest';
import { SPAN_MIN, clampView, lowerBound, panView, tickText, ticksOf, zoomView } from './timeline-view.ts';

const POSITIONS = Float64Array.of(0, 5, 5, 5, 90, 100);

it('finds places in ascending positions', () => {
  expect(lowerBound(POSITIONS, 6, 5)).toBe(1);
  expect(lowerBound(POSITIONS, 6, 101)).toBe(6);
});

it('gives neighbours on a ruler different names', () => {
  for (const view of [{ from: 0, to: 1.19e9 }, { from: 1.1e9, to: 1.1002e9 }, { from: 0, to: 60_000 }, { from: 999_000, to: 1_001_500 }, { from: 5e12, to: 5e12 + 90 }]) {
    for (const most of [6, 12, 30]) {
      const { ticks, step } = ticksOf(view, most);
      const texts = ticks.map((at) => tickText(at, step));
      expect(new Set(texts).size, texts.join()).toBe(texts.length);
    }
  }
  expect(tickText(1_150_000_000, 50_000_000)).toBe('1.15 G');
  expect(tickText(20_000_000, 10_000_000)).toBe('20 M');
});

it('keeps the window inside the run', () => {
  expect(clampView(-10, 50, 1000)).toEqual({ from: 0, to: 50 });
  expect(clampView(990, 100, 1000)).toEqual({ from: 900, to: 1000 });
  expect(clampView(0, 5000, 1000)).toEqual({ from: 0, to: 1000 });
  expect(panView({ from: 100, to: 200 }, -500, 1000)).toEqual({ from: 0, to: 100 });
});

it('zooms around a place that stays where it is', () => {
  const view = zoomView({ from: 0, to: 1000 }, 0.5, 250, 1000);
  expect(view).toEqual({ from: 125, to: 625 });
  const closest = zoomView(view, 1e-9, 300, 1000);
  expect(closest.to - closest.from).toBe(SPAN_MIN);
});

it('has round ticks and not too many', () => {
  const { step, ticks } = ticksOf({ from: 123, to: 98_765 }, 8);
  expect(step).toBe(20_000);
  expect(ticks).toEqual([20_000, 40_000, 60_000, 80_000]);
  expect(ticksOf({ from: 0, to: SPAN_MIN }, 1000).step).toBe(1);
});

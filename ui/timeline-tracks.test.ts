import { expect, it } from 'vitest';
import { KIND_EXIT } from '../engine/log/events.ts';
import { type WindowView, binPositions, binWindow, trackRows } from './timeline-tracks.ts';

const counts = { input: 0, exit: 5, interrupt: 0, device: 0, idle: 0, dirty: 0, digest: 0, mark: 0, end: 1, counts: 0 };
const whole: WindowView = { shift: 4, first: 0, count: 4, tracks: new Map([['exit:io', Float64Array.of(1, 0, 0, 3)], ['exit:cpuid', Float64Array.of(0, 1, 0, 0)], ['kind:exit', Float64Array.of(1, 1, 0, 3)]]) }; // prettier-ignore

it('shows kinds that there are, and their parts, the most frequent first', () => {
  expect(trackRows({ counts, hasPoints: true, hasNotes: false, hasRings: false, open: new Set([KIND_EXIT]), whole })).toMatchObject([{ kind: 'points' }, { name: 'exit' }, { label: 'io' }, { label: 'cpuid' }, { name: 'end' }]);
  expect(trackRows({ counts, hasPoints: false, hasNotes: false, hasRings: false, open: new Set(), whole })).toHaveLength(2);
});

it('gives the buckets of a window to pixels', () => {
  const column = whole.tracks.get('exit:io')!;
  expect([...binWindow(column, whole, { from: 0, to: 64 }, 4)]).toEqual([1, 0, 0, 3]);
  expect([...binWindow(column, whole, { from: 0, to: 64 }, 2)]).toEqual([1, 3]);
  expect([...binWindow(column, whole, { from: 48, to: 64 }, 4)]).toEqual([3, 3, 3, 3]);
  expect([...binWindow(column, whole, { from: 16, to: 48 }, 4)]).toEqual([0, 0, 0, 0]);
});

it('finds positions by pixel', () => {
  expect([...binPositions(Float64Array.of(0, 1, 10, 63, 64), { from: 0, to: 64 }, 4)]).toEqual([3, 0, 0, 1]);
});

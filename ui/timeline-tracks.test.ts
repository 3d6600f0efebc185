import { expect, it } from 'vitest';
import { KIND_EXIT } from '../engine/log/events.ts';
import { RECORDER, type WindowView, binPositions, binWindow, binWindows, trackRows, windowAround } from './timeline-tracks.ts';

const counts = { input: 0, exit: 5, interrupt: 0, device: 0, idle: 0, dirty: 0, digest: 0, mark: 0, end: 1, counts: 0 };
const whole: WindowView = { shift: 4, first: 0, count: 4, tracks: new Map([['exit:io', Float64Array.of(1, 0, 0, 3)], ['exit:cpuid', Float64Array.of(0, 1, 0, 0)], ['kind:exit', Float64Array.of(1, 1, 0, 3)]]) }; // prettier-ignore

it('shows kinds that there are, and their parts, the most frequent first', () => {
  expect(trackRows({ counts, hasPoints: true, hasNotes: false, rings: undefined, open: new Set([KIND_EXIT]), whole })).toMatchObject([{ kind: 'points' }, { name: 'exit' }, { label: 'io' }, { label: 'cpuid' }, { kind: 'recorder', names: ['end'] }]);
  expect(trackRows({ counts, hasPoints: false, hasNotes: false, rings: undefined, open: new Set(), whole })).toHaveLength(2);
  // What the recorder says for its own sake is one track until it is opened.
  expect(trackRows({ counts: { ...counts, digest: 2 }, hasPoints: false, hasNotes: false, rings: undefined, open: new Set([RECORDER]), whole })).toMatchObject([{ name: 'exit' }, { kind: 'recorder', names: ['digest', 'end'] }, { name: 'digest' }, { name: 'end' }]);
});

it('keeps the place of what comes when the log has been read', () => {
  const asked = { counts: { ...counts, counts: 3, dirty: 4 }, hasPoints: false, hasNotes: false, open: new Set<number>(), whole };
  const before = trackRows({ ...asked, rings: undefined });
  expect(before).toMatchObject([{ kind: 'ring' }, { kind: 'calls', most: undefined }, { name: 'exit' }, { kind: 'heat' }, { kind: 'recorder' }]);
  const rings = { positions: Float64Array.of(0, 10), shares: Float64Array.of(1), calls: Float64Array.of(2) };
  expect(trackRows({ ...asked, rings }).map(({ kind }) => kind)).toEqual(before.map(({ kind }) => kind));
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

it('asks for the same window while it is panned a little, and for buckets no wider than a pixel and a half', () => {
  const last = 10_000_000;
  const asked = new Set<string>();
  for (let from = 2_000_000; from < 2_100_000; from += 1000) {
    const view = { from, to: from + 500_000 };
    const window = windowAround(view, 600, last);
    expect(window.from).toBeLessThanOrEqual(view.from - 100_000);
    expect(window.to).toBeGreaterThanOrEqual(view.to + 100_000);
    expect((window.to - window.from) / window.buckets).toBeLessThan((2 * 500_000) / 600);
    asked.add(JSON.stringify(window));
  }
  expect(asked.size).toBeLessThanOrEqual(2);
  expect(windowAround({ from: 0, to: last }, 600, last)).toMatchObject({ from: 0 });
});

it('draws from the whole run what the finer window does not reach', () => {
  const fine: WindowView = { shift: 2, first: 4, count: 4, tracks: new Map([['exit:io', Float64Array.of(7, 0, 0, 0)]]) };
  // Positions 0 to 64 in 16 pixels: the finer window has 16 to 32.
  expect([...binWindows('exit:io', fine, whole, { from: 0, to: 64 }, 16)]).toEqual([1, 1, 1, 1, 7, 0, 0, 0, 0, 0, 0, 0, 3, 3, 3, 3]);
  expect([...binWindows('exit:io', undefined, whole, { from: 0, to: 64 }, 4)]).toEqual([1, 0, 0, 3]);
});

import { describe, expect, test } from 'vitest';
import { restoreState, saveState } from './saved-state.ts';

const template = { count: 0, on: false, bytes: new Uint8Array(2), list: [0, 0], inner: { name: '' } };

describe('saved state', () => {
  test('is a copy in both directions', () => {
    const state = { count: 7, on: true, bytes: Uint8Array.of(1, 2), list: [3, 4], inner: { name: 'x' } };
    const saved = saveState(state);
    const restored = restoreState(template, saved, 'test');
    state.bytes[0] = 9;
    state.inner.name = 'y';
    restored.list[0] = 9;
    expect(saved).toEqual({ count: 7, on: true, bytes: Uint8Array.of(1, 2), list: [3, 4], inner: { name: 'x' } });
  });

  test.each([
    ['a missing field', { on: false, bytes: new Uint8Array(2), list: [0, 0], inner: { name: '' } }],
    ['another type', { ...template, count: '0' }],
    ['another length', { ...template, list: [0] }],
    ['other bytes', { ...template, bytes: new Uint8Array(3) }],
    ['an unknown field', { ...template, more: 1 }],
    ['an unsafe number', { ...template, count: NaN }],
  ])('refuses %s', (_what, saved) => {
    expect(() => restoreState(template, saved, 'test')).toThrow(/^test/);
  });
});

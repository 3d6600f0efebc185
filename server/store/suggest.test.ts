import { expect, it } from 'vitest';
import { nearest } from './suggest.ts';

it('finds what was meant, and nothing when nothing is near', () => {
  const names = ['record', 'replay', 'run', 'info', 'events', 'check', 'diff', 'guest'];
  expect(['recrod', 'reply', 'inof', 'event', 'chek', 'rec'].map((word) => nearest(word, names))).toEqual(['record', 'replay', 'info', 'events', 'check', 'record']);
  expect(nearest('frobnicate', names)).toBeUndefined();
  expect(nearest('', names)).toBeUndefined();
  expect(nearest('x', [])).toBeUndefined();
});

import { expect, it } from 'vitest';
import { isSameSecret, tokenCookie, tokenOf } from './token.ts';

it('finds the token in header or cookie', () => {
  expect(tokenOf({ authorization: 'Bearer abc.DEF-123' })).toBe('abc.DEF-123');
  expect(tokenOf({ authorization: 'bearer abc' })).toBe('abc');
  expect(tokenOf({ authorization: 'Basic abc' })).toBeUndefined();
  expect(tokenOf({ authorization: 'Bearer a b' })).toBeUndefined();
  expect(tokenOf({ cookie: 'a=b; chronovisor-token=x%20y; c=d' })).toBe('x y');
  expect(tokenOf({ cookie: 'xchronovisor-token=1; chronovisor-token' })).toBeUndefined();
  expect(tokenOf({})).toBeUndefined();
  const token = 'with;special=characters"';
  expect(tokenOf({ cookie: tokenCookie(token).split(';', 1)[0] })).toBe(token);
});

it('compares secrets', () => {
  expect(isSameSecret('secret', 'secret')).toBe(true);
  expect(isSameSecret('secret', 'secreT')).toBe(false);
  expect(isSameSecret('', 'secret')).toBe(false);
  expect(isSameSecret('secret and more', 'secret')).toBe(false);
});

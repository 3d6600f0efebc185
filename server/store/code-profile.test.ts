import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { PROFILE_BYTES_MAX } from '../../engine/jit/profile.ts';
import { KeptProfile, keptProfile, profilePath } from './code-profile.ts';

const folder = mkdtempSync(join(tmpdir(), 'chronovisor-profile-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const key = (n: number): bigint => (BigInt(n) << 7n) | (1n << 6n);

it('is in the cache folder, unless the environment or somebody says otherwise', () => {
  expect(profilePath({ CHRONOVISOR_HOME: '/x' })).toBe('/x/jit-profile');
  expect(profilePath({ XDG_CACHE_HOME: '/y' })).toBe('/y/chronovisor/jit-profile');
  expect(profilePath({ XDG_CACHE_HOME: 'relative' })).toMatch(/\.cache\/chronovisor\/jit-profile$/);
  expect(keptProfile(undefined, { CHRONOVISOR_HOME: '/x' })?.path).toBe('/x/jit-profile');
  expect(keptProfile(undefined, { CHRONOVISOR_HOME: '/x', CHRONOVISOR_JIT_PROFILE: '' })?.path).toBe('/x/jit-profile');
  expect(keptProfile(undefined, { CHRONOVISOR_JIT_PROFILE: '/z' })?.path).toBe('/z');
  expect(keptProfile(undefined, { CHRONOVISOR_JIT_PROFILE: 'off' })).toBeUndefined();
  expect(keptProfile('off', { CHRONOVISOR_JIT_PROFILE: '/z' })).toBeUndefined();
  expect(keptProfile('/w', { CHRONOVISOR_JIT_PROFILE: 'off' })?.path).toBe('/w');
});

it('is written when something was learnt, as a whole, for its owner', () => {
  const path = join(folder, 'new', 'profile');
  const first = new KeptProfile(path, false);
  expect(first.read().size).toBe(0);
  expect(first.keep()).toBeUndefined();
  expect(readdirSync(folder)).toEqual([]);
  first.read().learn(key(1), 'soon');
  expect(first.keep()).toBeUndefined();
  expect(readdirSync(join(folder, 'new'))).toEqual(['profile']);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  // One that was only read leaves it alone.
  const before = readFileSync(path);
  expect(() => new KeptProfile(join(folder, 'none', 'profile'), true).read()).toThrow(/folder of .* does not exist/);
  const reader = new KeptProfile(path, true);
  expect(reader.read().size).toBe(1);
  expect(reader.keep()).toBeUndefined();
  expect(readFileSync(path)).toEqual(before);
});

it('takes along what others have put there meanwhile', () => {
  const path = join(folder, 'shared');
  const kept = [1, 2, 3].map(() => new KeptProfile(path, true));
  kept.forEach((each, i) => each.read().learn(key(i), 'late'));
  for (const each of kept) expect(each.keep()).toBeUndefined();
  expect(new KeptProfile(path, true).read().size).toBe(3);
});

it('does not read what cannot be one', () => {
  const path = join(folder, 'large');
  writeFileSync(path, new Uint8Array(PROFILE_BYTES_MAX + 1));
  expect(() => new KeptProfile(path, true).read()).toThrow(/too large/);
  expect(new KeptProfile(path, false).read().size).toBe(0);
});

import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from 'vitest';
import { JIT_MODES, setJitMode } from '../../engine/jit/jit.ts';
import { cli, json } from './testing.ts';

const folder = mkdtempSync(join(tmpdir(), 'chronovisor-jit-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const TRACE = 'traces/lab-kernel.cvlog';

const { CHRONOVISOR_HOME, CHRONOVISOR_JIT, CHRONOVISOR_JIT_PROFILE } = process.env;
afterEach(() => {
  for (const [name, value] of Object.entries({ CHRONOVISOR_HOME, CHRONOVISOR_JIT, CHRONOVISOR_JIT_PROFILE })) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  setJitMode(JIT_MODES.find((each) => each === process.env['CHRONOVISOR_JIT']) ?? 'on');
});

it('a recording made without compiled code replays with it, and what was compiled is told', async () => {
  const on = await json('replay', TRACE, '--jit', 'on', '--jit-stats');
  const off = await json('replay', TRACE, '--jit', 'off', '--jit-stats');
  expect(on.digest).toBe(off.digest);
  expect(off.jit).toBeNull();
  expect(on.jit.regions).toBeGreaterThan(0);
  expect(on.jit.liveRegions).toBe(on.jit.regions - on.jit.replaced - on.jit.invalidated - on.jit.evicted);
  expect(on.jit.instructions).toBeGreaterThan(on.position / 2);
  expect(on.jit.compileMs).toBeGreaterThan(0);
});

it('tells in lines, too', async () => {
  const { err } = await cli('run', 'lab', '--until', 'lab# ', '--append', 'run="work cpu"', '--jit', 'on', '--jit-stats', '--input', '/dev/null');
  expect(err).toMatch(/compiled: [\d_]+ regions of [\d.]+ blocks in [\d_]+ modules/);
  expect(err).toMatch(/% of the instructions ran there/);
});

it('refuses a mode that is none', async () => {
  const { status, err } = await cli('replay', TRACE, '--jit', 'onn');
  expect(status).toBe(2);
  expect(err).toContain('off, on, eager, always');
});

it('a second command compiles at once what the first one found, and replays the same', async () => {
  process.env['CHRONOVISOR_JIT'] = 'on';
  const file = join(folder, 'profile');
  const first = await json('replay', TRACE, '--jit-profile', file, '--jit-stats');
  expect(first.jit).toMatchObject({ known: 0, begunHot: 0 });
  expect(readdirSync(folder)).toEqual(['profile']);
  const second = await json('replay', TRACE, '--jit-profile', file, '--jit-stats');
  expect(second.jit.known).toBeGreaterThan(0);
  expect(second.jit.begunHot).toBeGreaterThan(0);
  expect(second.digest).toBe(first.digest);
  // Another guest, without a log, and told in lines.
  const { err } = await cli('run', 'bug-lost-update', '--until', 'lab# ', '--jit-profile', file, '--jit-stats', '--input', '/dev/null');
  expect(err).toMatch(/of earlier runs [1-9][\d_]* blocks are known; [1-9][\d_]* began hot/);
  // Off in the command line stands above the environment.
  process.env['CHRONOVISOR_JIT_PROFILE'] = file;
  const kept = readFileSync(file);
  const off = await json('replay', TRACE, '--jit-profile', 'off', '--jit-stats');
  expect(off.jit.begunHot).toBe(0);
  expect(off.jit).not.toHaveProperty('known');
  // Modes for tests neither use it nor spoil it.
  expect((await json('replay', TRACE, '--jit', 'eager', '--jit-stats')).jit.begunHot).toBe(0);
  expect(readFileSync(file)).toEqual(kept);
  // The environment holds for verbs without the option.
  const state = await cli('state', TRACE, '--at', '90%');
  expect(state.status, state.err).toBe(0);
  expect(readFileSync(file)).not.toEqual(kept);
});

it('keeps it in the cache folder, and goes on without one', async () => {
  process.env['CHRONOVISOR_JIT'] = 'on';
  delete process.env['CHRONOVISOR_JIT_PROFILE'];
  process.env['CHRONOVISOR_HOME'] = join(folder, 'home');
  const file = join(folder, 'home', 'jit-profile');
  const { jit } = await json('replay', TRACE, '--jit-stats');
  expect(jit.known).toBe(0);
  const kept = readFileSync(file);
  expect((await json('replay', TRACE, '--jit-stats')).jit.known).toBe((kept.length - 24) / 8);
  // One that is damaged is replaced.
  writeFileSync(file, kept.subarray(0, 100));
  const again = await cli('replay', TRACE, '--jit-stats');
  expect(again).toMatchObject({ status: 0, err: expect.stringContaining('of earlier runs 0 blocks are known') });
  expect(readFileSync(file).length).toBe(kept.length);
  // A folder cannot be read as one, nor replaced.
  rmSync(file);
  mkdirSync(file);
  const { status, err } = await cli('replay', TRACE, '--quiet');
  expect({ status, err }).toEqual({ status: 0, err: '' });
  expect(readdirSync(join(folder, 'home'))).toEqual(['jit-profile']);
});

it('says what is wrong with a profile that was asked for', async () => {
  process.env['CHRONOVISOR_JIT'] = 'on';
  const bad = join(folder, 'bad');
  writeFileSync(bad, 'CVPROFIL and then nothing that was meant');
  const output = join(folder, 'never.cvlog');
  const refused = await cli('record', '-o', output, '--jit-profile', bad);
  expect(refused).toMatchObject({ status: 13, out: '', err: expect.stringMatching(/bad is no profile of guest code \(its version is .*--jit-profile/) });
  expect(existsSync(output)).toBe(false);
  expect(readFileSync(bad, 'utf8')).toMatch(/^CVPROFIL and/);
  expect(await cli('replay', TRACE, '--jit-profile', folder)).toMatchObject({ status: 13, err: expect.stringContaining('it is too large, or no file') });
  const nowhere = join(bad, 'profile');
  expect(await cli('replay', TRACE, '--jit-profile', nowhere)).toMatchObject({ status: 13 });
  expect(await cli('replay', TRACE, '--jit-profile', join(folder, 'none', 'profile'))).toMatchObject({ status: 13, err: expect.stringContaining('does not exist: make it first') });
  // Known too late to refuse: the replay is what was asked for.
  const late = await cli('replay', TRACE, '--jit-profile', '/proc/profile');
  expect(late).toMatchObject({ status: 0, err: expect.stringMatching(/what was learnt of the guest's code is lost/) });
});

import { afterEach, expect, it } from 'vitest';
import { JIT_MODES, setJitMode } from '../../engine/jit/jit.ts';
import { cli, json } from './testing.ts';

const TRACE = 'traces/lab-kernel.cvlog';

afterEach(() => setJitMode(JIT_MODES.find((each) => each === process.env['CHRONOVISOR_JIT']) ?? 'on'));

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
  const { err } = await cli('run', 'lab', '--until', 'lab# ', '--append', 'run="work cpu"', '--jit-stats', '--input', '/dev/null');
  expect(err).toMatch(/compiled: [\d_]+ regions of [\d.]+ blocks in [\d_]+ modules/);
  expect(err).toMatch(/% of the instructions ran there/);
});

it('refuses a mode that is none', async () => {
  const { status, err } = await cli('replay', TRACE, '--jit', 'onn');
  expect(status).toBe(2);
  expect(err).toContain('off, on, eager, always');
});

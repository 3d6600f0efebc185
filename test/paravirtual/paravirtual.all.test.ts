import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { newReplayer, record } from './runs.ts';

/** engine/guests/README.md */
const SUMS = {
  cpu: 'a60d15f10d3789db', syscall: 'd9606a3bf68f9ec9', io: '09aa67b5cdcfb4df', fork: '178fc0424411e783', mem: '557146ddaaa1ca18', parallel: '3cf6dbe436e9a53c', mixed: 'c9ac8f359cf1a81e',
} as const;

it('all workloads have the sums of every other machine, and are replayed', () => {
  const run = record('run="work mixed; poweroff"', { steps: 2000 });
  for (const [kind, sum] of Object.entries(SUMS)) expect(run.output).toContain(`work ${kind}: ${sum}`);
  expect(run.end).toMatchObject({ kind: 'ended', reason: 'debug-exit', detail: '1' });
  expect(newReplayer(run).run()).toMatchObject({ kind: 'identical', complete: true });
});

const hasCompiler = spawnSync('gcc', ['--version']).status === 0;

it.skipIf(!hasCompiler)('the images are what the sources make, if this is the compiler that made them', () => {
  const script = fileURLToPath(new URL('../../engine/guests/build.sh', import.meta.url));
  const { status, stderr, stdout } = spawnSync('bash', [script, '--check'], { encoding: 'utf8' });
  expect([0, 3], `${stdout}${stderr}`).toContain(status);
});

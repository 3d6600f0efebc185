/**
 * Both sides as processes, with their files and a TCP connection, and one of them is killed with SIGKILL at a drawn moment. Where each record is written, live-fault draws;
 * this finds what only real files and real processes have. Afterwards people do what the commands tell them to.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { PROGRAM, cli, json } from '../../server/cli/testing.ts';
import { destinationFiles, sourceFiles } from '../../server/migration/journal.ts';
import { sourceMayRun } from '../../server/migration/verdict.ts';
import { freePort } from './live-sides.ts';

const folder = mkdtempSync(join(tmpdir(), 'chronovisor-kill-'));
const at = (name: string): string => join(folder, name);
const UNTIL = '@20000000';
const children = new Set<ChildProcess>();
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});
beforeAll(async () => {
  expect((await cli('record', '-q', '-o', at('run.cvlog'), '--wall-clock', '1700000000000000000', '--append', 'run="work mixed; poweroff"', '--until', '@12500000')).status).toBe(0);
}, 60_000);

interface Side {
  readonly child: ChildProcess;
  readonly ended: Promise<number | undefined>;
}
/** Undefined: killed. */
function start(...argv: string[]): Side {
  const child = spawn(process.execPath, [PROGRAM, 'migrate', ...argv, '-q'], { stdio: 'ignore' });
  children.add(child);
  const ended = new Promise<number | undefined>((resolve) => child.once('close', (code) => resolve(children.delete(child) ? (code ?? undefined) : undefined)));
  return { child, ended };
}
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const DRAWS = 8;
/** Of the time from the destination's first record to the end of a whole migration, which takes about so long, ms. */
const SPAN_MS = 2200;

it.each(Array.from({ length: DRAWS }, (_, i) => ({ victim: i % 2 === 0 ? ('source' as const) : ('destination' as const), policy: i % 3 === 2 ? 'postcopy' : 'precopy', afterMs: Math.round((SPAN_MS * ((i * 5) % DRAWS)) / DRAWS), i })))(
  'the $victim is killed after $afterMs ms of $policy: one live copy, and its log replays',
  async ({ victim, policy, afterMs, i }) => {
    const [log, child] = [at(`source-${i}.cvlog`), at(`child-${i}.cvlog`)];
    const port = await freePort();
    const to = `127.0.0.1:${port}`;
    const intent = (): string | undefined => destinationFiles(child).intent.read()?.state;
    const listen = (): Side => start('--listen', String(port), '-o', child, '--until', UNTIL);
    let destination = listen();
    await pause(700);
    const source = start('--live', at('run.cvlog'), '--to', to, '-o', log, '--policy', policy, '--bandwidth', '20Mbit', '--downtime', '50ms', '--speed', '0.02', '--samples', '0', '--until', UNTIL);
    while (intent() === undefined && source.child.exitCode === null) await pause(20);
    await pause(afterMs);
    (victim === 'source' ? source : destination).child.kill('SIGKILL');

    if (victim === 'source') {
      await source.ended;
      // Whatever the destination knows, the source's record says it for good.
      if (children.has(destination.child)) await cli('migrate', '--resolve', log, '--to', to, '-q');
    } else {
      await destination.ended;
      // Comes back, with what it had; if the guest was there and ran, its log says so.
      if (!(intent() === 'owner' && existsSync(child))) destination = listen();
      await source.ended;
    }
    const isHere = sourceMayRun(sourceFiles(log));
    if (!isHere && children.has(destination.child)) await destination.ended;
    for (const each of children) each.kill('SIGKILL');
    await destination.ended;
    expect([isHere, intent() === 'owner'], `the source may run it: ${isHere}; the destination: ${intent()}`).toContainEqual(true);
    expect(isHere && intent() === 'owner').toBe(false);
    const replay = await json('replay', isHere ? log : child);
    expect(replay.result).toBe('identical');
    // Nobody killed the side that has it: it went on to its end.
    if (isHere === (victim === 'destination')) expect(replay.position).toBeGreaterThanOrEqual(Number(UNTIL.slice(1)));
    process.stderr.write(`${victim} killed after ${afterMs} ms of ${policy}: the guest is at the ${isHere ? 'source' : 'destination'}\n`);
  },
  120_000,
);

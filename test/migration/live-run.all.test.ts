/** `migrate --live RUN`: a run that the lab's server executes moves to another process, and its chain of logs replays. The server and its thread are real, and so is the link. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Prediction } from '../../engine/analysis/migration/predict.ts';
import type { RunStatus } from '../../engine/protocol/lab.ts';
import { cli, json } from '../../server/cli/testing.ts';
import { type Duplex, listenAt } from '../../server/migration/duplex.ts';
import { sourceFiles } from '../../server/migration/journal.ts';
import { sourceMayRun } from '../../server/migration/verdict.ts';
import { type TestLab, startLab, until } from '../server/lab.ts';
import { freePort, listening } from './live-sides.ts';

const folder = mkdtempSync(join(tmpdir(), 'chronovisor-live-run-'));
process.chdir(folder);
let lab: TestLab;
beforeAll(async () => {
  lab = await startLab();
});
afterAll(async () => {
  await lab.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A shell that somebody may type at. */
async function startRun(name: string): Promise<string> {
  const { id } = await lab.json<RunStatus>('/api/v1/runs', { method: 'POST', body: { guest: 'lab', name, commandLine: '', wallClockNs: '1700000000000000000', firstWrites: true, epochInstructions: 1_000_000 }, status: 201 });
  await until(() => shown(id), (text) => /\$ $/.test(text));
  return id;
}
async function shown(id: string): Promise<string> {
  return (await fetch(`${lab.url}/api/v1/runs/${id}/console`)).text();
}
const statusOf = (id: string): Promise<RunStatus> => lab.json<RunStatus>(`/api/v1/runs/${id}`);
const type = (id: string, text: string): Promise<void> => lab.json(`/api/v1/runs/${id}/input`, { method: 'POST', body: { text }, status: 204 });

for (const policy of ['precopy', 'postcopy'] as const) {
  it(`${policy}: the run goes on in the other process, with what was typed, and the chain replays`, async () => {
    const id = await startRun(policy);
    // Longer than its memory takes to go there, however fast this machine is.
    await type(id, `${'work mixed; '.repeat(12)}poweroff\n`);
    const port = await freePort();
    const arrived = json('migrate', '--listen', String(port), '-o', `${policy}.cvlog`, '--parent', join(lab.recordings, `${policy}.cvlog`));
    await listening(port);
    const left = await json('migrate', '--live', `${lab.url}/runs/${id}`, '--to', `127.0.0.1:${port}`, '--policy', policy, '--bandwidth', '400Mbit', '-q');
    expect(left).toMatchObject({ exitCode: 0, result: 'moved', isConfirmed: true, run: { id }, measured: { converges: true, ram: { total: 67_108_864 } }, prediction: { ram: { total: 67_108_864 } } });
    const there = await arrived;
    expect(there).toMatchObject({ digestAtArrival: left.digest, end: { reason: 'debug-exit', detail: '1' } });
    // Here it has ended, and may never go on.
    const here = await until(() => statusOf(id), ({ state }) => state === 'ended' || state === 'failed');
    expect(here).toMatchObject({ state: 'ended', end: { cause: 'moved', reason: 'user' }, migration: { state: 'moved', digest: left.digest } });
    expect(sourceMayRun(sourceFiles(join(lab.recordings, `${policy}.cvlog`)))).toBe(false);
    await lab.json(`/api/v1/runs/${id}/migration`, { method: 'POST', body: { to: '127.0.0.1:1' }, status: 409 });
    expect(await json('replay', `${policy}.cvlog`, '--parent', join(lab.recordings, `${policy}.cvlog`))).toMatchObject({ result: 'identical', isComplete: true, digest: there.end.digest });
  }, 120_000);
}

it('nobody there, given up, the link gone: the run goes on here, and takes what is typed', async () => {
  const id = await startRun('stays');
  const nobody = await cli('migrate', '--live', id, '--server', lab.url, '--to', `127.0.0.1:${await freePort()}`);
  expect([nobody.status, nobody.err]).toEqual([21, expect.stringMatching(/was not moved: cannot connect[^]*It goes on at http/)]);
  // Its log has no dirty set yet: what it has written so far is known all the same.
  const { migration } = await statusOf(id);
  expect(migration).toMatchObject({ state: 'kept', prediction: { outcome: { ram: { total: 67_108_864 } } } });
  expect((migration!.prediction as Prediction).outcome.ram.normal).toBeGreaterThan(10);
  // Somebody who takes the connection, and nothing else.
  const server = await listenAt('127.0.0.1', 0);
  let silent: Duplex | undefined;
  const accepted = server.accept().then((link) => (silent = link));
  await lab.json(`/api/v1/runs/${id}/migration`, { method: 'POST', body: { to: `127.0.0.1:${server.port}`, bytesPerSecond: 200_000 }, status: 202 });
  await accepted;
  expect(await lab.json(`/api/v1/runs/${id}/migration`, { method: 'POST', body: { to: '127.0.0.1:1' }, status: 409 })).toMatchObject({ code: 'run-moving' });
  silent!.close();
  expect(await until(() => statusOf(id), ({ migration }) => migration?.state !== 'moving')).toMatchObject({ state: 'running', migration: { state: 'kept', reason: expect.stringContaining('the link') as string } });
  // A slow link to a real side, given up on the way.
  const port = await freePort();
  const arrived = cli('migrate', '--listen', String(port), '-o', 'nothing.cvlog');
  await listening(port);
  await lab.json(`/api/v1/runs/${id}/migration`, { method: 'POST', body: { to: `127.0.0.1:${port}`, bytesPerSecond: 200_000 }, status: 202 });
  await until(() => statusOf(id), ({ migration }) => migration?.progress !== undefined);
  await type(id, 'echo still-here\n');
  await lab.json(`/api/v1/runs/${id}/migration`, { method: 'DELETE', status: 202 });
  expect(await until(() => statusOf(id), ({ migration }) => migration?.state !== 'moving')).toMatchObject({ state: 'running', migration: { state: 'kept', reason: 'given up by a person in the lab' } });
  expect(await lab.json(`/api/v1/runs/${id}/migration`, { method: 'DELETE', status: 409 })).toMatchObject({ code: 'run-not-moving' });
  await until(() => shown(id), (text) => /still-here[^]*still-here[^]*\$ $/.test(text));
  (process.listeners('SIGINT').at(-1) as () => void)();
  await arrived;
  const stopped = await lab.json<RunStatus>(`/api/v1/runs/${id}/stop`, { method: 'POST' });
  expect(stopped.state).toBe('ended');
  expect(await json('replay', join(lab.recordings, 'stays.cvlog'))).toMatchObject({ result: 'identical', isComplete: true, digest: stopped.end?.digest });
  server.close();
}, 120_000);

it('a run that ends by itself on the way was not moved, however late it was asked to', async () => {
  for (const [i, pause] of [0, 0, 1, 2, 4].entries()) {
    const id = await startRun(`ends-${i}`);
    await type(id, 'poweroff\n');
    await new Promise<void>((resolve) => setTimeout(resolve, pause));
    const answer = await fetch(`${lab.url}/api/v1/runs/${id}/migration`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ to: '127.0.0.1:1' }) });
    const over = await until(() => statusOf(id), ({ state }) => state === 'ended' || state === 'failed');
    expect(over).toMatchObject({ state: 'ended', end: { cause: 'guest', reason: 'debug-exit' } });
    if (answer.status === 202) expect(over.migration).toMatchObject({ state: 'kept' });
    else expect([answer.status, over.migration]).toEqual([409, undefined]);
  }
}, 120_000);

it('does not call a guest unmoved when the lab falls silent after it was asked', async () => {
  const server = createServer((request, response) => {
    response.writeHead(202, { 'content-type': 'application/json', connection: 'close' }).end(JSON.stringify({ id: '1', state: 'running', guest: 'lab', startedMs: 0, progress: {}, migration: { id: 'm', state: 'moving', settings: { to: 'x:1' } } }));
    if (request.method === 'POST') server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const result = await cli('migrate', '--live', `http://127.0.0.1:${port}/runs/1`, '--to', '127.0.0.1:2');
  expect([result.status, result.err]).toEqual([23, expect.stringContaining('What became of the migration is not known here')]);
}, 60_000);

it('says what is wrong', async () => {
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [['--live', 'http://127.0.0.1:1/runs/1', '--to', '127.0.0.1:2'], 21, /the lab at http:\/\/127\.0\.0\.1:1 does not answer/],
    [['--live', `${lab.url}/runs/77`, '--to', '127.0.0.1:2'], 21, /there is no such run/],
    [['--live', `${lab.url}/nothing`, '--to', '127.0.0.1:2'], 2, /is no run/],
    [['--live', `${lab.url}/runs/1`], 2, /give --to/],
    [['--live', `${lab.url}/runs/1`, '--to', '127.0.0.1:2', '-o', 'x'], 2, /--output does not go with a run of the lab/],
    [['--live', 'run.cvlog', '--server', lab.url, '--to', '127.0.0.1:2'], 2, /--server needs the number of a run/],
  ];
  for (const [argv, status, pattern] of cases) {
    const result = await cli('migrate', ...argv);
    expect([argv.join(' '), result.status, result.err]).toEqual([argv.join(' '), status, expect.stringMatching(pattern)]);
  }
});

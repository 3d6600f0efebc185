/** The server as a program: stopped and killed in the middle of a run, and started again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import type { JobStatus, RunStatus } from '../../engine/protocol/lab.ts';
import { until } from './lab.ts';
import { TestSocket } from './socket.ts';

const DIST = process.env['CHRONOVISOR_DIST'] ?? 'dist';
const MAIN = fileURLToPath(new URL(`../../${DIST}/server/http/main.js`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'chronovisor-kill-'));
const children: ChildProcess[] = [];
afterAll(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

interface Program {
  readonly url: string;
  /** Resolves with the exit code; null when a signal ended it. */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

async function start(): Promise<Program> {
  if (!existsSync(MAIN)) throw new Error(`${DIST} is not built: run \`npm run build\``);
  const child = spawn(process.execPath, [MAIN, '--no-open', '--port', '0', '--folder', folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const found = await until(() => /http:\/\/localhost:(\d+)\//.exec(output), (match) => match !== null || child.exitCode !== null);
  if (found === null) throw new Error(`the server did not start: ${output}`);
  return {
    url: `http://127.0.0.1:${found[1]}`,
    end: (signal) =>
      new Promise((resolve) => {
        child.once('exit', resolve);
        child.kill(signal);
      }),
  };
}
const json = async <T>(url: string, body?: object): Promise<T> => {
  const response = await fetch(url, body === undefined ? {} : { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
  if (!response.ok) throw new Error(`${url}: ${await response.text()}`);
  return (await response.json()) as T;
};
interface Recording {
  readonly id: string;
  readonly state: string;
  readonly problem?: { readonly advice: string };
  readonly summary: { readonly records: number; readonly end?: { readonly detail: string } };
}
const own = async (url: string): Promise<Recording[]> => (await json<{ recordings: Recording[] }>(`${url}/api/v1/recordings`)).recordings.filter(({ id }) => id.startsWith('recordings:'));
/** A run that has synced something of its guest. */
async function running(url: string, name: string): Promise<string> {
  const { id } = await json<RunStatus>(`${url}/api/v1/runs`, { guest: 'lab', name, isUnattended: true, commandLine: 'run="work mixed; work mixed; work mixed; work mixed; work mixed; work mixed"' });
  await until(() => own(url), (recordings) => recordings.some((each) => each.id === `recordings:${name}` && each.state === 'recording' && each.summary.records > 100));
  return id;
}
async function replay(url: string, recording: string): Promise<JobStatus> {
  const { id } = await json<JobStatus>(`${url}/api/v1/jobs`, { recording, settings: { kind: 'replay' } });
  return until(() => json<JobStatus>(`${url}/api/v1/jobs/${id}`), ({ state }) => state === 'done' || state === 'failed');
}

it('a server that is killed leaves logs that the next one finds and replays; one that is stopped closes them', async () => {
  const first = await start();
  await running(first.url, 'killed');
  expect(await first.end('SIGKILL')).toBeNull();

  const second = await start();
  const [killed] = await own(second.url);
  expect(killed).toMatchObject({ id: 'recordings:killed', state: 'cut-off', problem: { advice: expect.stringContaining('--repair') as string } });
  expect(killed.summary.records).toBeGreaterThan(100);
  expect(await json<{ runs: object[] }>(`${second.url}/api/v1/runs`)).toEqual({ runs: [] });
  expect(await replay(second.url, killed.id)).toMatchObject({ state: 'done', result: { result: 'identical', isComplete: false } });

  const id = await running(second.url, 'stopped');
  const follower = new TestSocket(`${second.url}/api/v1/runs/${id}/live`);
  await follower.text(({ kind }) => kind === 'status');
  expect(await second.end('SIGTERM')).toBe(0);
  await follower.done();
  expect(follower.texts.at(-1)).toMatchObject({ kind: 'status', run: { state: 'ended', end: { reason: 'user', detail: 'the server was stopped' } } });

  const third = await start();
  expect(await own(third.url)).toMatchObject([{ state: 'cut-off' }, { id: 'recordings:stopped', state: 'complete', summary: { end: { detail: 'the server was stopped' } } }]);
  expect(readdirSync(folder).sort()).toEqual(['killed.cvlog', 'stopped.cvlog']);
  expect(await third.end('SIGINT')).toBe(0);
});

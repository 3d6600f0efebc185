/** Runs in threads: what one does, and what becomes of it, concerns nobody else. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import { decodeConsoleFrame } from '../../engine/protocol/console-frame.ts';
import type { LiveNotice, RunStatus } from '../../engine/protocol/lab.ts';
import { threadProgram } from '../../server/runs/thread.ts';
import { SHORT_RUN, type TestLab, startLab, until } from './lab.ts';
import { TestSocket } from './socket.ts';

let lab: TestLab;
beforeAll(async () => (lab = await startLab({ runLimits: { runs: 2, memoryBytesTotal: 160 << 20 } })));
afterAll(async () => lab.close());

const start = (on: TestLab, body: object): Promise<RunStatus> => on.json<RunStatus>('/api/v1/runs', { method: 'POST', body, status: 201 });
const stop = (on: TestLab, id: string): Promise<RunStatus> => on.json<RunStatus>(`/api/v1/runs/${id}/stop`, { method: 'POST' });
const over = (on: TestLab, id: string): Promise<RunStatus> => until(() => on.json<RunStatus>(`/api/v1/runs/${id}`), ({ state }) => state === 'ended' || state === 'failed');
const SHELL = { guest: 'lab', commandLine: '' };

/** The console as a reader put it together; throws when a byte is missing. */
function consoleOf(socket: TestSocket): string {
  let text = '';
  for (const message of socket.binaries) {
    const frame = decodeConsoleFrame(message);
    if (frame === undefined) throw new Error('this is no console frame');
    if (frame.from !== text.length) throw new Error(`a frame begins at ${frame.from} instead of ${text.length}`);
    text += Buffer.from(frame.bytes).toString('latin1');
  }
  return text;
}

it('a person follows, types, and sees the end', async () => {
  const { id } = await start(lab, SHELL);
  const socket = new TestSocket(`${lab.url}/api/v1/runs/${id}/live`);
  await until(() => consoleOf(socket), (text) => text.endsWith('$ '));
  socket.send({ kind: 'input', text: 'uname\n' });
  await until(() => consoleOf(socket), (text) => /uname[\s\S]*\$ $/.test(text));
  // Bytes are typed as they are.
  socket.socket.send(Uint8Array.from(Buffer.from('typed as bytes\n')));
  await until(() => consoleOf(socket), (text) => text.includes('typed as bytes'));
  socket.send({ kind: 'mark', name: 'a mark' });
  // All this may take less than the time between two notices of progress.
  await until(() => (socket.texts as unknown as LiveNotice[]).some(({ kind }) => kind === 'progress'), (told) => told);
  socket.send({ kind: 'stop' });
  expect(await socket.done()).toMatchObject({ code: 1000 });
  const notices = socket.texts as unknown as LiveNotice[];
  const last = notices.findLast((notice) => notice.kind === 'status');
  expect(last).toMatchObject({ run: { state: 'ended', end: { cause: 'stopped', reason: 'user' } } });
  // Who comes later sees all of it, and may begin later.
  const again = new TestSocket(`${lab.url}/api/v1/runs/${id}/live`);
  await again.done();
  expect(consoleOf(again)).toBe(consoleOf(socket));
  const from = new TestSocket(`${lab.url}/api/v1/runs/${id}/live?from=10`);
  await from.done();
  expect(decodeConsoleFrame(from.binaries[0])?.from).toBe(10);
  const recording = `/api/v1/recordings/${encodeURIComponent(String((await over(lab, id)).recording))}`;
  expect(await (await fetch(`${lab.url}${recording}/console`)).text()).toBe(consoleOf(socket));
});

it('the same settings give the same recording', async () => {
  const one = await lab.record({ ...SHORT_RUN, name: 'one' });
  const other = await lab.record({ ...SHORT_RUN, name: 'other' });
  expect(one.end?.digest).toBe(other.end?.digest);
  expect(one.progress.records).toBe(other.progress.records);
  expect(await lab.job('recordings:one', { kind: 'replay' })).toMatchObject({ result: { result: 'identical', digest: one.end?.digest } });
});

it('a script types, and says when it is through', async () => {
  const { end } = await lab.record({ ...SHELL, script: 'expect "$ "\nsend "echo by-script\\n"\nuntil "by-script"', name: 'scripted' });
  expect(end).toMatchObject({ cause: 'until', isScriptDone: true });
  expect(await lab.json('/api/v1/runs', { method: 'POST', body: { ...SHELL, script: 'type "x"' }, status: 400 })).toMatchObject({ code: 'script' });
  expect(await lab.json('/api/v1/runs', { method: 'POST', body: { ...SHELL, regime: 'xen' }, status: 400 })).toMatchObject({ code: 'bad-settings' });
});

it('limits end a run and close its log', async () => {
  const byInstructions = await lab.record({ guest: 'lab', limits: { instructions: 3_000_000 } });
  expect(byInstructions).toMatchObject({ state: 'ended', end: { reason: 'limit', detail: expect.stringContaining('3000000 instructions') as string } });
  const byBytes = await lab.record({ guest: 'lab', limits: { logBytes: 130_000 } });
  expect(byBytes).toMatchObject({ state: 'ended', end: { reason: 'limit', detail: expect.stringContaining('130000 bytes') as string } });
  expect(byBytes.progress.logBytes).toBeLessThan(400_000);
  const bySeconds = await start(lab, { ...SHELL, limits: { seconds: 0.7 } });
  expect(await over(lab, bySeconds.id)).toMatchObject({ state: 'ended', end: { reason: 'limit', detail: expect.stringContaining('0.7 s') as string } });
});

it('there are only so many at a time, of so much memory', async () => {
  const first = await start(lab, SHELL);
  expect(await lab.json('/api/v1/runs', { method: 'POST', body: { ...SHELL, memoryBytes: 128 << 20 }, status: 429 })).toMatchObject({ code: 'too-much-memory' });
  const second = await start(lab, SHELL);
  expect(await lab.json('/api/v1/runs', { method: 'POST', body: SHELL, status: 429 })).toMatchObject({ code: 'too-many-runs' });
  await stop(lab, first.id);
  await stop(lab, second.id);
  await stop(lab, (await start(lab, SHELL)).id);
});

/** A thread that records as always, and does this when something of the run was synced. */
const faulty = (fault: string): URL =>
  new URL(`data:text/javascript,${encodeURIComponent(`
    import { statSync } from 'node:fs';
    import { workerData } from 'node:worker_threads';
    const timer = setInterval(() => {
      if ((statSync(workerData.path, { throwIfNoEntry: false })?.size ?? 0) < 128_000) return;
      clearInterval(timer);
      ${fault}
    }, 20);
    await import(${JSON.stringify(threadProgram('run-thread').href)});`)}`);

it.each([
  ['throws', 60_000, 'throw new Error("a planned fault")', 'thread-failed', /a planned fault/],
  ['leaves', 60_000, 'process.exit(7)', 'thread-failed', /exit code 7/],
  ['hangs', 3000, 'for (;;);', 'run-hung', /said nothing/],
])('a thread that %s harms nobody else, and leaves a log that replays', async (_, silenceMs, fault, code, message) => {
  const broken = await startLab({ programs: { run: faulty(fault) }, runLimits: { silenceMs } });
  try {
    const { id } = await start(broken, SHELL);
    const follower = new TestSocket(`${broken.url}/api/v1/runs/${id}/live`);
    const failed = await over(broken, id);
    expect(failed).toMatchObject({ state: 'failed', problem: { code, message: expect.stringMatching(message) as string } });
    await follower.done();
    expect(follower.texts).toContainEqual(expect.objectContaining({ kind: 'status', run: expect.objectContaining({ state: 'failed' }) as object }));
    expect(await broken.json('/api/v1/health')).toMatchObject({ status: 'ok' });
    const { recordings } = await broken.json<{ recordings: { id: string; state: string; problem: { advice: string }; summary: { records: number } }[] }>('/api/v1/recordings');
    expect(recordings).toMatchObject([{ state: 'cut-off', problem: { advice: expect.stringContaining('--repair') as string } }]);
    const log = readFileSync(join(broken.recordings, readdirSync(broken.recordings)[0]));
    expect(LogReader.open(new MemorySource(log)).records).toBe(recordings[0].summary.records);
    expect(await broken.job(recordings[0].id, { kind: 'replay' })).toMatchObject({ state: 'done', result: { result: 'identical', isComplete: false } });
  } finally {
    await broken.close();
  }
});

it('a question that kills its thread is an answer for who asked, and for nobody else', async () => {
  const program = new URL(`data:text/javascript,${encodeURIComponent(`
    import { parentPort } from 'node:worker_threads';
    await import(${JSON.stringify(threadProgram('recording-thread').href)});
    parentPort.on('message', ({ op }) => { if (op === 'marks') process.exit(3); });`)}`);
  const broken = await startLab({ programs: { recording: program } });
  try {
    await broken.record({ ...SHORT_RUN, untilPosition: 300_000, name: 'short' });
    const at = '/api/v1/recordings/recordings%3Ashort';
    expect(await broken.json(`${at}/profile`)).toHaveProperty('exits');
    expect(await broken.json(`${at}/marks`, { status: 500 })).toMatchObject({ code: 'thread-failed' });
    expect(await broken.json(`${at}/profile`)).toHaveProperty('exits');
    expect(await (await fetch(`${broken.url}/metrics`)).text()).toMatch(/^chronovisor_recording_threads_lost_total 1$/m);
  } finally {
    await broken.close();
  }
});

/** Every route of the OpenAPI document, asked for real: its answer is what the document says, and what the engine says. */
import { existsSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FORMAT_MAJOR, FORMAT_MINOR } from '../../engine/log/header.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { readRegister } from '../../engine/debug/inspect.ts';
import { eventAt } from '../../engine/log/event-batch.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import { columnOf, decodeColumns } from '../../engine/protocol/columns.ts';
import { FrameSplitter, decodeEventRows } from '../../engine/protocol/event-batches.ts';
import type { BranchNode, JobStatus, RunStatus } from '../../engine/protocol/lab.ts';
import { toJson } from '../../server/cli/output.ts';
import { KeptProfile } from '../../server/store/code-profile.ts';
import { loadCore } from '../../server/store/core-module.ts';
import { openImages } from '../../server/store/guest-images.ts';
import { SHORT_RUN, type TestLab, startLab } from './lab.ts';

interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly summary: string; readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { readonly schema: object }>> }>> }>>>>;
  readonly components: object;
}

let lab: TestLab;
let document: Document;
let run: RunStatus;
let id: string;
let reader: LogReader;
const ajv = new Ajv2020({ strict: false, allErrors: true });
/** Operations that a test has asked for. */
const asked = new Set<string>();

beforeAll(async () => {
  lab = await startLab({}, ['bug-lost-update']);
  document = await lab.json<Document>('/api/openapi.json');
  run = await lab.record({ ...SHORT_RUN, name: 'short' });
  id = encodeURIComponent(String(run.recording));
  reader = LogReader.open(new MemorySource(readFileSync(join(lab.recordings, 'short.cvlog'))));
});
afterAll(async () => lab.close());

/** Asks, and holds the answer against the document. `operation`: METHOD and path as the document has them. */
async function ask<T>(operation: string, path: string, { body, headers = {}, status = 200 }: { readonly body?: unknown; readonly headers?: Record<string, string>; readonly status?: number } = {}): Promise<T> {
  const [method, template] = operation.split(' ');
  const described = document.paths[template]?.[method.toLowerCase()];
  if (described === undefined) throw new Error(`the document has no ${operation}`);
  asked.add(operation);
  const isBytes = body instanceof Uint8Array;
  const response = await fetch(`${lab.url}${path}`, { method, headers: { ...(body !== undefined && { 'content-type': isBytes ? 'application/octet-stream' : 'application/json' }), ...headers }, ...(body !== undefined && { body: isBytes ? Buffer.from(body) : JSON.stringify(body) }) });
  const bytes = new Uint8Array(await response.arrayBuffer());
  expect(response.status, `${operation}: ${new TextDecoder().decode(bytes.subarray(0, 500))}`).toBe(status);
  const answer = described.responses[String(status)] ?? described.responses[`${String(status)[0]}XX`];
  expect(answer, `${operation} may answer ${status}`).toBeDefined();
  const [type, content] = Object.entries(answer.content ?? {})[0] ?? [undefined, undefined];
  if (type !== 'application/json' || content === undefined) return bytes as T;
  expect(response.headers.get('content-type')).toContain(type);
  const value = JSON.parse(new TextDecoder().decode(bytes)) as T;
  const isValid = ajv.compile({ ...content.schema, components: document.components });
  expect(isValid(value), `${operation}: ${JSON.stringify(isValid.errors?.slice(0, 5))}`).toBe(true);
  return value;
}
const of = (path: string): string => `GET /api/v1/recordings/{id}/${path}`;
const at = (path: string): string => `/api/v1/recordings/${id}/${path}`;

it('describes itself', async () => {
  expect(document.openapi).toBe('3.1.0');
  const html = await (await fetch(`${lab.url}/api`)).text();
  for (const path of Object.keys(document.paths)) expect(html).toContain(path.replace(/\{(\w+)\}/g, ':$1'));
  expect(await ask('GET /api/v1/health', '/api/v1/health')).toMatchObject({ status: 'ok' });
  expect(await ask('GET /api/v1/version', '/api/v1/version')).toMatchObject({ api: 1, logFormat: `${FORMAT_MAJOR}.${FORMAT_MINOR}` });
  const { guests } = await ask<{ guests: { name: string; state: string }[] }>('GET /api/v1/guests', '/api/v1/guests');
  expect(guests).toContainEqual(expect.objectContaining({ name: 'lab', state: 'ready' }));
  const { regimes, policies } = await ask<{ regimes: { id: string }[]; policies: { name: string }[] }>('GET /api/v1/regimes', '/api/v1/regimes');
  expect(regimes.map((each) => each.id)).toEqual(expect.arrayContaining(['native', 'full', 'para', 'hw']));
  expect(policies.map(({ name }) => name)).toContain('post-copy');
  const metrics = new TextDecoder().decode(await ask<Uint8Array>('GET /metrics', '/metrics'));
  expect(metrics).toMatch(/^chronovisor_runs_started_total 1$/m);
  expect(metrics).toMatch(/chronovisor_request_seconds_count\{method="GET",route="\/api\/v1\/health",status="200"\} 1/);
  for (const line of metrics.trimEnd().split('\n')) expect(line).toMatch(/^(# (HELP|TYPE) chronovisor_\w+ .+|chronovisor_\w+(\{[^{}]*\})? -?[\d.e+-]+)$/);
});

it('records, and has the recording', async () => {
  expect(run).toMatchObject({ state: 'ended', recording: 'recordings:short', end: { cause: 'until', reason: 'limit' }, progress: { position: 4_000_000 } });
  const { runs } = await ask<{ runs: RunStatus[] }>('GET /api/v1/runs', '/api/v1/runs');
  expect(runs).toContainEqual(run);
  expect(await ask('GET /api/v1/runs/{id}', `/api/v1/runs/${run.id}`)).toEqual(run);
  const { recordings } = await ask<{ recordings: { id: string; state: string; isWritable: boolean }[] }>('GET /api/v1/recordings', '/api/v1/recordings');
  expect(recordings.map((each) => [each.id, each.state, each.isWritable])).toEqual([['traces:bug-lost-update', 'complete', false], ['recordings:short', 'complete', true]]);
  expect(await ask('GET /api/v1/recordings/{id}', `/api/v1/recordings/${id}`)).toMatchObject({ summary: { guest: 'lab', lastPosition: 4_000_000, end: { digest: run.end?.digest } } });
  const log = await ask<Uint8Array>(of('log'), at('log'));
  expect(Buffer.from(log).equals(readFileSync(join(lab.recordings, 'short.cvlog')))).toBe(true);
  await ask('GET /api/v1/images/{sha256}', `/api/v1/images/${'0'.repeat(64)}`, { status: 404 });
  expect((await ask<{ roots: BranchNode[] }>('GET /api/v1/branches', '/api/v1/branches')).roots.map((root) => root.id)).toEqual(['traces:bug-lost-update', 'recordings:short']);
  expect(await ask('POST /api/v1/runs', '/api/v1/runs', { body: { ...SHORT_RUN, name: 'short' }, status: 409 })).toMatchObject({ code: 'output-exists' });
  expect(await ask('POST /api/v1/runs', '/api/v1/runs', { body: { guest: 'lap' }, status: 400 })).toMatchObject({ code: 'guest-unknown', message: expect.stringContaining('lab') as string });
  expect(await ask('POST /api/v1/runs', '/api/v1/runs', { body: { guest: 'lab', memoryBytes: 2 ** 40 }, status: 429 })).toMatchObject({ code: 'too-much-memory' });
});

it('a run uses what those before it learnt of the code, and adds to it', async () => {
  const { CHRONOVISOR_JIT, CHRONOVISOR_JIT_PROFILE } = process.env;
  const path = join(lab.recordings, 'jit-profile');
  try {
    Object.assign(process.env, { CHRONOVISOR_JIT: 'on', CHRONOVISOR_JIT_PROFILE: path });
    const known = (): number => new KeptProfile(path, true).read().size;
    const cold = await lab.record({ ...SHORT_RUN, name: 'cold' });
    await expect.poll(known).toBeGreaterThan(0);
    // Each run puts another file in its place.
    const before = statSync(path).ino;
    const warm = await lab.record({ ...SHORT_RUN, name: 'warm' });
    await expect.poll(() => statSync(path).ino).not.toBe(before);
    expect([cold.end?.digest, warm.end?.digest]).toEqual([run.end?.digest, run.end?.digest]);
  } finally {
    for (const [name, value] of Object.entries({ CHRONOVISOR_JIT, CHRONOVISOR_JIT_PROFILE })) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    for (const file of ['jit-profile', 'cold.cvlog', 'warm.cvlog']) rmSync(join(lab.recordings, file), { force: true });
  }
});

it('types at a run, marks and stops it', async () => {
  const { id: number } = await ask<RunStatus>('POST /api/v1/runs', '/api/v1/runs', { body: { guest: 'lab', commandLine: '' }, status: 201 });
  const shown = async (): Promise<string> => new TextDecoder().decode(await ask<Uint8Array>('GET /api/v1/runs/{id}/console', `/api/v1/runs/${number}/console`));
  await expect.poll(shown, { timeout: 60_000 }).toMatch(/\$ $/);
  await ask('POST /api/v1/runs/{id}/input', `/api/v1/runs/${number}/input`, { body: { text: 'echo typed-$((1))\n' }, status: 204 });
  await expect.poll(shown, { timeout: 60_000 }).toMatch(/typed[\s\S]*\$ $/);
  await ask('POST /api/v1/runs/{id}/marks', `/api/v1/runs/${number}/marks`, { body: { name: 'here' }, status: 204 });
  // To where nobody listens: it stays.
  expect(await ask('POST /api/v1/runs/{id}/migration', `/api/v1/runs/${number}/migration`, { body: { to: '127.0.0.1:1', speed: 1 }, status: 202 })).toMatchObject({ migration: { state: 'moving', settings: { to: '127.0.0.1:1', speed: 1 } } });
  const kept = async (): Promise<RunStatus> => ask<RunStatus>('GET /api/v1/runs/{id}', `/api/v1/runs/${number}`);
  await expect.poll(kept, { timeout: 60_000 }).toMatchObject({ state: 'running', migration: { state: 'kept', reason: expect.stringContaining('cannot connect') as string } });
  expect(await ask('DELETE /api/v1/runs/{id}/migration', `/api/v1/runs/${number}/migration`, { status: 409 })).toMatchObject({ code: 'run-not-moving' });
  const stopped = await ask<RunStatus>('POST /api/v1/runs/{id}/stop', `/api/v1/runs/${number}/stop`);
  expect(stopped).toMatchObject({ state: 'ended', end: { cause: 'stopped', reason: 'user' } });
  const recording = `/api/v1/recordings/${encodeURIComponent(String(stopped.recording))}`;
  const { marks } = await ask<{ marks: { name: string; source: string }[] }>(of('marks'), `${recording}/marks`);
  expect(marks).toContainEqual(expect.objectContaining({ name: 'here', source: 'user' }));
  expect(await ask('POST /api/v1/runs/{id}/input', `/api/v1/runs/${number}/input`, { body: { text: 'x' }, status: 409 })).toMatchObject({ code: 'run-over' });
  expect(await lab.job(String(stopped.recording), { kind: 'replay' })).toMatchObject({ state: 'done', result: { result: 'identical', isComplete: true } });
});

it('answers with the events of the log', async () => {
  const all = [...reader.entries()];
  const frames = new FrameSplitter();
  const events: object[] = [];
  for (const batch of frames.push(await ask<Uint8Array>(of('events'), at('events')))) {
    const { batch: rows, records } = decodeEventRows(batch);
    for (let i = 0; i < rows.count; i++) events.push({ index: records[i], timeOffsetNs: rows.timeOffsetNs[i], event: eventAt(rows, i) });
  }
  expect(frames.pendingBytes).toBe(0);
  expect(events).toEqual(all);

  const lines = async (query: string): Promise<{ index: number; kind: string; position: number }[]> =>
    new TextDecoder().decode(await ask<Uint8Array>(of('events'), at(`events?format=ndjson&${query}`))).split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as { index: number; kind: string; position: number });
  const kinds = await lines('kinds=mark,digest,end&limit=1000');
  expect(kinds.map(({ index }) => index)).toEqual(all.filter(({ event }) => ['mark', 'digest', 'end'].includes(event.kind)).map(({ index }) => index));
  expect((await lines('from=1000000&to=2000000&limit=100000')).map(({ index }) => index)).toEqual(all.filter(({ event: { position } }) => position >= 1_000_000 && position < 2_000_000).map(({ index }) => index));
  const ports = await lines('reasons=io&port=1016&limit=50');
  expect(ports.map(({ index }) => index)).toEqual(all.filter(({ event }) => event.kind === 'exit' && event.detail.kind === 'io' && event.detail.port === 0x3f8).slice(0, 50).map(({ index }) => index));
  // Gone on with where it stopped, it is the same.
  const pages: number[] = [];
  for (let from = 0; ; ) {
    const page = await lines(`record=${from}&limit=37&kinds=exit`);
    pages.push(...page.map(({ index }) => index));
    if (page.length < 37) break;
    from = page[36].index + 1;
  }
  expect(pages).toEqual(all.filter(({ event }) => event.kind === 'exit').map(({ index }) => index));
  expect(await ask(of('events'), at('events?kinds=exits'), { status: 400 })).toMatchObject({ message: expect.stringContaining('exits') as string });
  expect(await ask(of('events'), at('events?reasons=oi'), { status: 400 })).toMatchObject({ code: 'usage' });
});

it('zooms', async () => {
  const { meta, ...columns } = decodeColumns(await ask<Uint8Array>(of('pyramid'), at('pyramid?buckets=50')));
  const { shift, first, count } = meta as { shift: number; first: number; count: number };
  expect(count).toBeLessThanOrEqual(50);
  expect(first).toBe(0);
  const exits = new Float64Array(count);
  for (const event of reader.events({ kinds: ['exit'] })) exits[Math.floor(event.position / 2 ** shift)]++;
  expect(columnOf({ meta, ...columns }, 'kind:exit', 'f64')).toEqual(exits);
  const fine = decodeColumns(await ask<Uint8Array>(of('pyramid'), at('pyramid?from=100000&to=100064&buckets=64&tracks=kind:*')));
  expect(fine.meta).toMatchObject({ shift: 0, first: 100_000, count: 64 });
});

it('shows the console as it was', async () => {
  const shown = [...reader.entries({ kinds: ['device'] })].flatMap(({ event }) => (event.kind === 'device' && event.report.kind === 'uart-tx' ? [{ at: event.position, byte: event.report.byte }] : []));
  const half = shown[shown.length >> 1].at;
  const bytes = await ask<Uint8Array>(of('console'), at(`console?to=${half}`));
  expect([...bytes]).toEqual(shown.filter((each) => each.at < half).map(({ byte }) => byte));
  expect((await ask<Uint8Array>(of('console'), at('console?bytes=5'))).length).toBe(5);
});

it('reports', async () => {
  expect(await ask(of('profile'), at('profile'))).toMatchObject({ exits: reader.counts.exit });
  expect(await ask(of('profile'), at('profile?regime=hw&options=apicv=off'))).toMatchObject({ unit: 'cycles' });
  expect(await ask(of('profile'), at('profile?regime=hv'), { status: 400 })).toMatchObject({ code: 'regime' });
  const comparison = await ask<{ regimes: { id: string }[]; events: number }>(of('comparison'), at('comparison?regimes=native,hw&cpi=0.7'));
  expect(comparison).toMatchObject({ events: reader.records, cyclesPerInstruction: 0.7 });
  expect(comparison.regimes.map((each) => each.id)).toEqual(['native', 'hw']);
  const { heat, curve } = await ask<{ heat: { counts: number[] }; curve: { pages: number }[] }>(of('dirty'), at('dirty?rows=16&columns=20'));
  let pages = 0;
  for (const event of reader.events({ kinds: ['dirty'] })) if (event.kind === 'dirty') pages += event.pages.length;
  expect(heat.counts.reduce((sum, each) => sum + each, 0)).toBe(pages);
  expect(curve.length).toBeGreaterThan(1);
  const migration = await ask<{ predictions: { outcome: { policy: string } }[] }>('POST /api/v1/recordings/{id}/migration', at('migration'), { body: { bytesPerSecond: 125e6, policies: ['qemu-7.2', 'post-copy'], samples: 3 } });
  expect(migration.predictions.map(({ outcome }) => outcome.policy)).toEqual(['qemu-7.2', 'post-copy']);
});

it('has the state that TimeTravel has', async () => {
  const travel = new TimeTravel({ reader, images: openImages(reader, {}), module: loadCore() });
  travel.seek(2_345_678);
  const rip = readRegister(travel.machine, 'rip') ?? 0n;
  const state = await ask<{ registers: Record<string, string>; digest: object; memory: { bytes: string }[]; translations: { physical: number }[] }>(of('state'), at(`state?at=@2345678&digest=true&memory=0x${rip.toString(16)}:16&physical=0x1000:8&translate=0x${rip.toString(16)}`));
  expect(state.digest).toEqual(JSON.parse(toJson(travel.machine.digest())));
  expect(state.registers).toMatchObject({ rip: `0x${rip.toString(16)}`, rsp: `0x${(readRegister(travel.machine, 'rsp') ?? 0n).toString(16)}` });
  expect(state.memory.map(({ bytes }) => bytes.length)).toEqual([32, 16]);
  expect(await ask(of('state'), at('state'))).toMatchObject({ position: 4_000_000, isEnd: true });
  expect(await ask(of('state'), at('state?at=@5000000'), { status: 400 })).toMatchObject({ code: 'seek' });
  const { writes } = await ask<{ writes: { position: number; symbol: string }[] }>(of('writes'), at('writes?address=current&count=2'));
  expect(writes).toHaveLength(2);
  expect(writes[0].position).toBeGreaterThan(writes[1].position);
  expect(await ask(of('writes'), at('writes?address=no_such_thing'), { status: 400 })).toMatchObject({ code: 'expression' });
});

it('does long work, tells how far it is, and gives it up', async () => {
  const { id: number } = await ask<JobStatus>('POST /api/v1/jobs', '/api/v1/jobs', { body: { recording: 'traces:bug-lost-update', settings: { kind: 'replay' } }, status: 201 });
  await expect.poll(async () => (await ask<JobStatus>('GET /api/v1/jobs/{id}', `/api/v1/jobs/${number}`)).progress?.position ?? 0, { timeout: 60_000 }).toBeGreaterThan(0);
  expect(await ask('DELETE /api/v1/jobs/{id}', `/api/v1/jobs/${number}`)).toMatchObject({ state: 'cancelled' });
  expect((await ask<{ jobs: JobStatus[] }>('GET /api/v1/jobs', '/api/v1/jobs')).jobs).toContainEqual(expect.objectContaining({ id: number, state: 'cancelled' }));
  const short = decodeURIComponent(id);
  const index = await lab.job(short, { kind: 'index', spacing: 1_000_000 });
  expect(index).toMatchObject({ state: 'done' });
  expect((index.result as { checkpoints: number }).checkpoints).toBeGreaterThanOrEqual(4);
  expect(existsSync(join(lab.recordings, 'short.cvlog.index'))).toBe(true);
  const found = await lab.job(short, { kind: 'bisect', console: '\n' });
  const newline = [...reader.events({ kinds: ['device'] })].find((event) => event.kind === 'device' && event.report.kind === 'uart-tx' && event.report.byte === 0x0a);
  expect(found).toMatchObject({ state: 'done', result: { kind: 'found', position: newline?.position } });
  expect(await lab.job(short, { kind: 'bisect', when: 'position == 1000 && u8(0' })).toMatchObject({ state: 'failed', problem: { code: 'expression' } });
  expect(await ask('POST /api/v1/jobs', '/api/v1/jobs', { body: { recording: short, settings: { kind: 'bisect', panic: true, console: 'x' } }, status: 400 })).toMatchObject({ code: 'HTTP_BAD_REQUEST' });
});

it('shows branches under what they go on from, and keeps what they need', async () => {
  const short = decodeURIComponent(id);
  const branch = { kind: 'branch', name: 'child', at: '@1000000', untilPosition: 1_500_000 };
  expect(await lab.job(short, { ...branch, set: { rax: '(' } })).toMatchObject({ state: 'failed', problem: { code: 'expression' } });
  expect(await lab.job(short, { ...branch, set: { cr8: '1' } })).toMatchObject({ state: 'failed', problem: { code: 'usage', message: expect.stringContaining('cr8') as string } });
  expect(await lab.job(short, { ...branch, set: { rax: 'rax + 1' }, write: [{ address: 'rsp', bytes: '0102' }] })).toMatchObject({ state: 'done', result: { at: 1_000_000, position: 1_500_000, end: { reason: 'limit' } } });
  await lab.json('/api/v1/jobs', { method: 'POST', body: { recording: short, settings: branch }, status: 409 });
  expect(await lab.job('recordings:child', { kind: 'replay' })).toMatchObject({ state: 'done', result: { result: 'identical', isComplete: true } });
  // A parent may be in another folder.
  expect(await lab.job('traces:bug-lost-update', { ...branch, name: 'elsewhere', at: '@200000', untilPosition: 300_000 })).toMatchObject({ state: 'done', result: { parting: null } });
  expect(await ask(of('state'), '/api/v1/recordings/recordings:elsewhere/state?at=@250000')).toMatchObject({ position: 250_000, last: 300_000 });
  const { roots } = await ask<{ roots: BranchNode[] }>('GET /api/v1/branches', '/api/v1/branches');
  expect(roots.find((root) => root.id === 'recordings:short')).toMatchObject({ children: [{ id: 'recordings:child', at: 1_000_000, isOrphan: false, children: [] }] });
  expect(await lab.json(`/api/v1/recordings/${id}`, { method: 'DELETE', status: 428 })).toHaveProperty('advice');
  expect(await ask('DELETE /api/v1/recordings/{id}', `/api/v1/recordings/${id}?confirm=${id}`, { status: 409 })).toMatchObject({ code: 'HTTP_IN_USE', message: expect.stringContaining('recordings:child') as string });
  // What came before it is part of its run.
  expect(await ask(of('state'), '/api/v1/recordings/recordings:child/state?at=@500000')).toMatchObject({ position: 500_000, last: 1_500_000 });
  await ask('DELETE /api/v1/recordings/{id}', '/api/v1/recordings/recordings:child?confirm=recordings:child', { status: 204 });
  expect((await ask<{ roots: BranchNode[] }>('GET /api/v1/branches', '/api/v1/branches')).roots.find((root) => root.id === 'recordings:short')?.children).toEqual([]);
  expect(roots.find((root) => root.id === 'traces:bug-lost-update')).toMatchObject({ children: [{ id: 'recordings:elsewhere' }] });
});

it('keeps bookmarks with a recording', async () => {
  const put = (name: string, position: number, status = 200): Promise<object> => ask('PUT /api/v1/recordings/{id}/bookmarks', at('bookmarks'), { body: { name, position }, status });
  expect(await ask(of('bookmarks'), at('bookmarks'))).toEqual({ bookmarks: [] });
  await put('here', 1000);
  await put('there', 2000);
  const all = { bookmarks: [{ name: 'here', position: 3000 }, { name: 'there', position: 2000 }] };
  const set = await put('here', 3000);
  expect(set).toEqual({ bookmarks: expect.arrayContaining(all.bookmarks) as object[] });
  expect(await ask(of('bookmarks'), at('bookmarks'))).toEqual(set);
  expect(await put('a\nline', 1, 400)).toMatchObject({ code: 'debugger' });
  expect(await ask('DELETE /api/v1/recordings/{id}/bookmarks', at('bookmarks?name=there'))).toEqual({ bookmarks: [{ name: 'here', position: 3000 }] });
  await ask('DELETE /api/v1/recordings/{id}/bookmarks', at('bookmarks?name=there'), { status: 404 });
  expect(await lab.json('/api/v1/recordings/traces:bug-lost-update/bookmarks', { method: 'PUT', body: { name: 'x', position: 1 }, status: 403 })).toMatchObject({ code: 'HTTP_READ_ONLY' });
});

it('keeps notes with a recording', async () => {
  const put = (id: string, position: number, text: string, status = 200): Promise<{ notes: object[] }> => ask('PUT /api/v1/recordings/{id}/notes', at('notes'), { body: { id, position, text }, status });
  expect(await ask(of('notes'), at('notes'))).toEqual({ notes: [], isWritable: true });
  await put('a-1', 2000, 'the counter is wrong from here\non');
  const two = await put('b-2', 1000, 'üñí');
  expect(two).toMatchObject({ notes: [{ id: 'b-2', position: 1000, text: 'üñí' }, { id: 'a-1', position: 2000 }] });
  // At once, from many: all are there.
  await Promise.all(Array.from({ length: 20 }, (_, i) => put(`c-${i}`, 5000 + i, 'at once')));
  expect((await ask<{ notes: object[] }>(of('notes'), at('notes'))).notes).toHaveLength(22);
  for (let i = 0; i < 20; i++) await ask('DELETE /api/v1/recordings/{id}/notes', at(`notes?id=c-${i}`));
  expect(await ask('DELETE /api/v1/recordings/{id}/notes', at('notes?id=b-2'))).toMatchObject({ notes: [{ id: 'a-1' }] });
  await ask('DELETE /api/v1/recordings/{id}/notes', at('notes?id=b-2'), { status: 404 });
  expect(readdirSync(lab.recordings)).toContain('short.cvlog.notes');
  expect(await lab.json('/api/v1/recordings/traces:bug-lost-update/notes')).toEqual({ notes: [], isWritable: false });
  expect(await lab.json('/api/v1/recordings/traces:bug-lost-update/notes', { method: 'PUT', body: { id: 'x', position: 1, text: 'x' }, status: 403 })).toMatchObject({ code: 'HTTP_READ_ONLY' });
});

it('takes a recording, and deletes it when that is confirmed', async () => {
  const bytes = readFileSync(join(lab.recordings, 'short.cvlog'));
  const post = (name: string, body: Uint8Array, status: number): Promise<object> => ask('POST /api/v1/recordings', `/api/v1/recordings?name=${name}`, { body, status });
  expect(await post('sent', bytes, 201)).toMatchObject({ recording: { id: 'recordings:sent', state: 'complete' } });
  expect(await post('sent', bytes, 409)).toMatchObject({ code: 'HTTP_NAME_TAKEN' });
  expect(await post('cut', bytes.subarray(0, bytes.length >> 1), 201)).toMatchObject({ recording: { state: 'cut-off' } });
  expect(await post('bad', new TextEncoder().encode('no log at all'), 422)).toMatchObject({ code: 'HTTP_NOT_A_LOG' });
  const remove = (name: string, confirm: string, status: number): Promise<object> => ask('DELETE /api/v1/recordings/{id}', `/api/v1/recordings/${name}`, { headers: { 'x-confirm': encodeURIComponent(confirm) }, status });
  expect(await remove('recordings:sent', 'recordings:short', 428)).toMatchObject({ code: 'HTTP_NOT_CONFIRMED' });
  expect(await remove('traces:bug-lost-update', 'traces:bug-lost-update', 403)).toMatchObject({ code: 'HTTP_READ_ONLY' });
  await lab.json('/api/v1/recordings/recordings:sent/notes', { method: 'PUT', body: { id: 'x', position: 1, text: 'goes with it' } });
  await remove('recordings:sent', 'recordings:sent', 204);
  expect(readdirSync(lab.recordings).filter((name) => name.startsWith('sent'))).toEqual([]);
  expect(await remove('recordings:sent', 'recordings:sent', 404)).toMatchObject({ code: 'HTTP_NO_RECORDING' });
  expect(readFileSync(join(lab.recordings, 'short.cvlog')).equals(bytes)).toBe(true);
});

it('has a test for each route of the document, and a row in the manual', () => {
  const manual = readFileSync(fileURLToPath(new URL('../../server/http/README.md', import.meta.url)), 'utf8');
  const all = Object.entries(document.paths).flatMap(([path, operations]) => Object.entries(operations).map(([method, { responses }]) => ({ name: `${method.toUpperCase()} ${path}`, isSocket: '101' in responses })));
  expect(all.filter(({ isSocket }) => !isSocket).map(({ name }) => name).filter((name) => !asked.has(name))).toEqual([]);
  for (const { name, isSocket } of all) {
    const [method, path] = name.split(' ');
    expect(manual).toContain(`${isSocket ? 'WS' : method} ${path.replace('/api/v1', '').replace(/\{(\w+)\}/g, ':$1')}`);
  }
});

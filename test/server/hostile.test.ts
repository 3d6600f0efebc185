/** Requests that want what they should not get. Over sockets, because clients tidy what they send. */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { type Socket, connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunStatus } from '../../engine/protocol/lab.ts';
import { SHORT_RUN, type TestLab, startLab } from './lab.ts';
import { TestSocket } from './socket.ts';

const TOKEN = 'a-token-of-some-length';
const BODY_MS = 700;
let lab: TestLab;
let guarded: TestLab;

beforeAll(async () => {
  lab = await startLab({ limits: { bodyMs: BODY_MS, uploadBytes: 100_000, bodyBytes: 4096 } });
  guarded = await startLab({ token: TOKEN, hostNames: ['lab.example'] });
  await lab.record({ ...SHORT_RUN, untilPosition: 200_000, name: 'short' });
  writeFileSync(join(lab.folder, 'secret.cvlog'), 'secret');
});
afterAll(async () => {
  await lab.close();
  await guarded.close();
});

interface Answer {
  readonly status: number;
  readonly text: string;
}

/** Sends these bytes, and has what comes back until the server closes. */
function raw(port: number, send: (socket: Socket) => void): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => send(socket));
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString('latin1')));
    socket.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNRESET' || error.code === 'EPIPE' ? undefined : reject(error)));
    socket.on('close', () => resolve({ status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0), text }));
  });
}
const request = (port: number, line: string, headers: Record<string, string> = {}): Promise<Answer> => {
  const all = { host: `127.0.0.1:${port}`, connection: 'close', ...headers };
  return raw(port, (socket) => socket.write(`${line} HTTP/1.1\r\n${Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`));
};

describe('paths', () => {
  it('do not leave the folders', async () => {
    for (const id of ['..%2fsecret', 'recordings:..%2fsecret', 'recordings%3A..%2F..%2Fsecret', '../secret', '..', '.', '%2e%2e%2f%2e%2e%2fetc%2fpasswd', 'recordings:short%00', '%', '%ff', 'recordings:short/../../../secret', `${'a'.repeat(2000)}`, 'constructor', '__proto__']) {
      for (const rest of ['', '/log', '/events', '/state', '/pyramid', '/notes']) {
        const { status, text } = await request(lab.port, `GET /api/v1/recordings/${id}${rest}`);
        expect([400, 404, 414, 431], `${id}${rest}: ${text.slice(0, 200)}`).toContain(status);
        expect(text).not.toContain('secret.cvlog');
      }
      expect(await TestSocket.refusal(`${lab.url}/api/v1/recordings/${encodeURIComponent(id)}/debug`)).toBe(404);
    }
    for (const line of ['GET /../../etc/passwd', 'GET //etc/passwd', 'GET /assets/..%2f..%2fsecret.cvlog', 'GET /assets/%2e%2e/secret.cvlog', 'GET http://evil.example/api/v1/health']) expect((await request(lab.port, line)).status, line).toBeGreaterThanOrEqual(400);
  });

  it('are not made of names that are given', async () => {
    for (const name of ['../out', '..', '.hidden', 'a/b', 'a\\b', '', 'a\0b', '-rf', 'a'.repeat(101), 'CON:1', 'ü']) {
      const upload = await fetch(`${lab.url}/api/v1/recordings?name=${encodeURIComponent(name)}`, { method: 'POST', body: 'x', headers: { 'content-type': 'application/octet-stream' } });
      expect(upload.status, name).toBe(400);
      await lab.json('/api/v1/runs', { method: 'POST', body: { ...SHORT_RUN, name }, status: 400 });
    }
    expect(readdirSync(lab.recordings)).toEqual(['short.cvlog']);
  });
});

describe('strangers', () => {
  const sites: readonly (readonly [string, Record<string, string>, number])[] = [
    ['another name for this address', { host: 'evil.example' }, 421],
    ['a name that begins as ours', { host: 'localhost.evil.example' }, 421],
    ['no name', { host: '' }, 421],
    ['a page of another site', { origin: 'http://evil.example' }, 403],
    ['a page without an origin', { origin: 'null' }, 403],
    ['the same host on another port', { origin: 'http://127.0.0.1:1' }, 403],
    ['https in place of http', { origin: 'https://127.0.0.1' }, 403],
    ['an image of another site', { 'sec-fetch-site': 'cross-site' }, 403],
  ];
  it.each(sites)('%s', async (_, headers, status) => {
    const answer = await request(lab.port, 'GET /api/v1/recordings', headers);
    expect(answer.status).toBe(status);
    expect(answer.text).not.toContain('access-control-allow');
    expect((await request(lab.port, 'GET /metrics', headers)).status).toBe(status);
    // An upgrade goes another way.
    const upgrade = await request(lab.port, 'GET /api/v1/recordings/recordings%3Ashort/debug', { ...headers, connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==' });
    expect(upgrade.status).toBe(status);
  });

  it('get nothing without the token', async () => {
    const get = (headers: Record<string, string>, path = '/api/v1/recordings'): Promise<Answer> => request(guarded.port, `GET ${path}`, headers);
    for (const path of ['/', '/api', '/metrics', '/api/v1/health', '/api/openapi.json', '/assets/x.js']) expect((await get({}, path)).status, path).toBe(401);
    for (const authorization of ['', 'Bearer', 'Bearer ', `Bearer ${TOKEN}x`, `Bearer ${TOKEN.slice(1)}`, `Basic ${TOKEN}`, `Bearer ${'x'.repeat(5000)}`]) expect((await get({ authorization })).status, authorization.slice(0, 40)).toBe(401);
    expect((await get({ authorization: `Bearer ${TOKEN}` })).status).toBe(200);
    expect((await get({ cookie: `other=1; chronovisor-token=${TOKEN}` })).status).toBe(200);
    expect((await get({ cookie: `chronovisor-token=%E0%A4%A` })).status).toBe(401);
    expect((await get({ authorization: `Bearer ${TOKEN}`, host: 'lab.example:80' })).status).toBe(200);
    expect((await get({ authorization: `Bearer ${TOKEN}`, host: '192.0.2.1:80' })).status).toBe(200);
    expect((await get({ authorization: `Bearer ${TOKEN}`, host: 'rebound.example' })).status).toBe(421);
    // Without a token a plain address is a stranger's.
    expect((await request(lab.port, 'GET /api/v1/recordings', { host: '192.0.2.1' })).status).toBe(421);
    expect(await TestSocket.refusal(`${guarded.url}/api/v1/runs/1/live`)).toBe(401);
    expect(await TestSocket.refusal(`${guarded.url}/api/v1/runs/1/live`, { authorization: `Bearer ${TOKEN}` })).toBe(404);
  });

  it('get a cookie for the token, once', async () => {
    const { status, text } = await request(guarded.port, `GET /?token=${TOKEN}`);
    expect(status).toBe(303);
    expect(text).toMatch(/location: \/\r\n/i);
    expect(text).toMatch(new RegExp(`set-cookie: chronovisor-token=${TOKEN}; Path=/; HttpOnly; SameSite=Strict`, 'i'));
    expect((await request(guarded.port, 'GET /?token=wrong-wrong-wrong')).status).toBe(401);
  });
});

describe('too much', () => {
  it('of a body', async () => {
    const { status, text } = await raw(lab.port, (socket) => socket.write(`POST /api/v1/runs HTTP/1.1\r\nhost: 127.0.0.1:${lab.port}\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\nconnection: close\r\n\r\n`));
    expect(status, text).toBe(413);
    expect(await lab.json('/api/v1/runs', { method: 'POST', body: { guest: 'x'.repeat(5000) }, status: 413 })).toMatchObject({ code: 'HTTP_TOO_LARGE' });
  });

  it('of a recording, said and unsaid', async () => {
    const said = await fetch(`${lab.url}/api/v1/recordings?name=large`, { method: 'POST', body: new Uint8Array(200_000), headers: { 'content-type': 'application/octet-stream' } });
    expect(said.status).toBe(413);
    const chunk = 'x'.repeat(0x4000);
    const { status } = await raw(lab.port, (socket) => {
      socket.write(`POST /api/v1/recordings?name=large HTTP/1.1\r\nhost: 127.0.0.1:${lab.port}\r\ncontent-type: application/octet-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n`);
      for (let i = 0; i < 10; i++) socket.write(`4000\r\n${chunk}\r\n`);
      socket.write('0\r\n\r\n');
    });
    expect(status).toBe(413);
    expect(readdirSync(lab.recordings)).toEqual(['short.cvlog']);
  });

  it('of what a schema allows', async () => {
    const bad: readonly (readonly [string, string, unknown])[] = [
      ['POST', '/api/v1/runs', {}], ['POST', '/api/v1/runs', { guest: 'lab', unknown: 1 }], ['POST', '/api/v1/runs', { guest: 'lab', memoryBytes: -1 }], ['POST', '/api/v1/runs', { guest: 'lab', limits: { seconds: 0 } }],
      ['POST', '/api/v1/runs', []], ['POST', '/api/v1/jobs', { recording: 'x', settings: { kind: 'shell', command: 'id' } }], ['GET', '/api/v1/runs/1e3', undefined], ['GET', '/api/v1/runs/-1', undefined],
      ['GET', '/api/v1/recordings/recordings:short/events?from=-1', undefined], ['GET', '/api/v1/recordings/recordings:short/events?limit=1e99', undefined], ['GET', '/api/v1/recordings/recordings:short/events?from=1&from=2', undefined],
      ['GET', '/api/v1/recordings/recordings:short/pyramid?buckets=100000000', undefined], ['GET', '/api/v1/recordings/recordings:short/state?memory=0x0:99999999', undefined], ['GET', '/api/v1/recordings/recordings:short/state?bogus=1', undefined],
      ['GET', '/api/v1/recordings/recordings:short/dirty?sliceNs=0', undefined], ['POST', '/api/v1/recordings/recordings:short/migration', { bytesPerSecond: 0 }],
      ...[{}, { id: '../x', position: 1, text: 'x' }, { id: '', position: 1, text: 'x' }, { id: 'a'.repeat(65), position: 1, text: 'x' }, { id: 'a', position: -1, text: 'x' }, { id: 'a', position: 2 ** 53, text: 'x' }, { id: 'a', position: 1, text: '' }, { id: 'a', position: 1, text: 'x', changedMs: 1 }, []].map((body) => ['PUT', '/api/v1/recordings/recordings:short/notes', body] as const),
      ...[{}, { to: 'nowhere' }, { to: '127.0.0.1:99999x' }, { to: 'a b:1' }, { to: 'http://127.0.0.1:1/x' }, { to: '127.0.0.1:1', policy: 'xen' }, { to: '127.0.0.1:1', bytesPerSecond: 0 }, { to: '127.0.0.1:1', speed: 0 }, { to: '127.0.0.1:1', more: 1 }, []].map((body) => ['POST', '/api/v1/runs/1/migration', body] as const),
      ['DELETE', '/api/v1/recordings/recordings:short/notes', undefined], ['DELETE', '/api/v1/recordings/recordings:short/notes?id=..%2fx', undefined],
    ]; // prettier-ignore
    for (const [method, path, body] of bad) expect(await lab.json(path, { method, ...(body !== undefined && { body }), status: 400 }), path).toHaveProperty('message');
    // What a schema cannot see.
    expect(await lab.json('/api/v1/recordings/recordings:short/dirty?sliceNs=0.01', { status: 400 })).toMatchObject({ code: 'range' });
    expect(await lab.json('/api/v1/recordings/recordings:short/state?memory=0x0:1048576,0x0:1048576', { status: 400 })).toMatchObject({ code: 'range' });
    const notJson = await fetch(`${lab.url}/api/v1/runs`, { method: 'POST', body: '{', headers: { 'content-type': 'application/json' } });
    expect(notJson.status).toBe(400);
    await lab.json('/api/v1/recordings/recordings:short/notes', { method: 'PUT', body: { id: 'a', position: 1, text: 'x'.repeat(5000) }, status: 413 });
    expect(readdirSync(lab.recordings)).toEqual(['short.cvlog']);
    const form = await fetch(`${lab.url}/api/v1/runs`, { method: 'POST', body: 'guest=lab', headers: { 'content-type': 'application/x-www-form-urlencoded' } });
    expect(form.status).toBe(415);
    expect(await lab.json('/api/v1/health')).toMatchObject({ status: 'ok' });
  });

  it('at once', async () => {
    const narrow = await startLab({ rate: { burst: 5, perSecond: 0.001 } });
    const statuses = await Promise.all(Array.from({ length: 8 }, async () => (await fetch(`${narrow.url}/api/v1/health`)).status));
    expect(statuses.sort()).toEqual([200, 200, 200, 200, 200, 429, 429, 429]);
    await narrow.close();
  });
});

describe('too slow', () => {
  it('with the head', async () => {
    // Node looks for them every 30 s at most; the connection is then closed with or without an answer.
    const { status } = await raw(lab.port, (socket) => socket.write(`GET /api/v1/health HTTP/1.1\r\nhost: 127.0.0.1:${lab.port}\r\nx: `));
    expect([0, 408]).toContain(status);
  });
  it('with a body', async () => {
    const { status, text } = await raw(lab.port, (socket) => socket.write(`POST /api/v1/runs HTTP/1.1\r\nhost: 127.0.0.1:${lab.port}\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{"guest"`));
    expect(status, text).toBe(408);
    expect(text).toContain('HTTP_SLOW');
  });
  it('with a recording', async () => {
    const { status, text } = await raw(lab.port, (socket) => socket.write(`POST /api/v1/recordings?name=slow HTTP/1.1\r\nhost: 127.0.0.1:${lab.port}\r\ncontent-type: application/octet-stream\r\ncontent-length: 2000\r\n\r\nabc`));
    expect(status, text).toBe(408);
    expect(readdirSync(lab.recordings)).toEqual(['short.cvlog']);
  });
});

describe('WebSockets', () => {
  const KEY = 'AAAAAAAAAAAAAAAAAAAAAA==';
  /** Opens one by hand and sends bytes; the code that the server closes with. */
  const frames = async (path: string, bytes: readonly number[]): Promise<number | undefined> => {
    const { text } = await raw(lab.port, (socket) => {
      socket.write(`GET ${path} HTTP/1.1\r\nhost: 127.0.0.1:${lab.port}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${KEY}\r\n\r\n`);
      socket.once('data', () => setTimeout(() => socket.write(Uint8Array.from(bytes)), 50));
    });
    expect(text).toMatch(/^HTTP\/1\.1 101/);
    const body = Buffer.from(text.slice(text.indexOf('\r\n\r\n') + 4), 'latin1');
    // The last frame is the server's close: FIN and opcode 8, length, code.
    const at = body.findLastIndex((byte, i) => byte === 0x88 && body[i + 1] < 0x7e && i + 2 + body[i + 1] === body.length);
    return at < 0 ? undefined : body.readUInt16BE(at + 2);
  };
  const mask = [1, 2, 3, 4];

  it('that break the protocol are closed, and nobody else notices', async () => {
    const { id } = await lab.json<RunStatus>('/api/v1/runs', { method: 'POST', body: { guest: 'lab', commandLine: '' }, status: 201 });
    const path = `/api/v1/runs/${id}/live`;
    const other = new TestSocket(`${lab.url}${path}`);
    await other.text(({ kind }) => kind === 'status');
    const bad: readonly (readonly [string, readonly number[], number])[] = [
      ['a frame without a mask', [0x81, 0x01, 0x78], 1002],
      ['reserved bits', [0xf1, 0x80, ...mask], 1002],
      ['an unknown opcode', [0x83, 0x80, ...mask], 1002],
      ['a ping that is too long', [0x89, 0xfe, 0x00, 0x80, ...mask], 1002],
      ['a continuation of nothing', [0x80, 0x80, ...mask], 1002],
      ['text that is not UTF-8', [0x81, 0x81, 0, 0, 0, 0, 0xff], 1007],
      ['a message of 2^32 bytes', [0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, ...mask], 1009],
      ['a message of 2^63 bytes', [0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, ...mask], 1009],
      ['a close with a bad code', [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xec], 1002],
    ];
    for (const [what, bytes, code] of bad) expect([code, undefined], what).toContain(await frames(path, bytes));
    // Messages that are none are answered.
    for (const message of ['', '{', 'null', '[]', '{"kind":"eval"}', '{"kind":"mark","name":""}', '{"kind":"input"}']) other.send(message);
    await expect.poll(() => other.texts.filter(({ kind }) => kind === 'problem').length).toBe(7);
    expect(await lab.json(`/api/v1/runs/${id}`)).toMatchObject({ state: 'running' });
    await lab.json(`/api/v1/runs/${id}/stop`, { method: 'POST' });
    expect(await other.done()).toMatchObject({ code: 1000 });
  });

  it('are opened at their addresses only', async () => {
    for (const path of ['/', '/api/v1/runs/1/livex', '/api/v1/runs/x/live', '/api/v1/runs/99/live', '/api/v1/recordings/none/debug', '/api/v1/health']) expect(await TestSocket.refusal(`${lab.url}${path}`), path).toBe(404);
    const old = await request(lab.port, 'GET /api/v1/recordings/recordings%3Ashort/debug', { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '7', 'sec-websocket-key': KEY });
    expect(old.status).toBe(400);
  });

  it('are only so many', async () => {
    mkdirSync(join(lab.folder, 'more'), { recursive: true });
    const few = await startLab({ limits: { sessions: 1 } });
    await few.record({ ...SHORT_RUN, untilPosition: 100_000, name: 'short' });
    const first = new TestSocket(`${few.url}/api/v1/recordings/recordings%3Ashort/debug`);
    await first.text(({ kind }) => kind === 'opened');
    expect(await TestSocket.refusal(`${few.url}/api/v1/recordings/recordings%3Ashort/debug`)).toBe(429);
    first.socket.close();
    await first.done();
    await expect.poll(() => TestSocket.refusal(`${few.url}/api/v1/recordings/recordings%3Ashort/debug`)).toBeUndefined();
    await few.close();
  });
});

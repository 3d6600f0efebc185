import { mkdtempSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { createServer, request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createLabServer } from './lab-server.ts';

const TRACE = fileURLToPath(new URL('../../traces/bug-lost-update.cvlog', import.meta.url));
const LOCAL = { host: 'localhost:4600' };
let folder: string;
let server: FastifyInstance;
let bytes: Buffer;

beforeAll(() => {
  bytes = readFileSync(TRACE);
  folder = mkdtempSync(join(tmpdir(), 'chronovisor-http-'));
  mkdirSync(join(folder, 'logs'));
  mkdirSync(join(folder, 'ui', 'assets'), { recursive: true });
  writeFileSync(join(folder, 'logs', 'a run.cvlog'), bytes);
  writeFileSync(join(folder, 'logs', 'damaged.cvlog'), bytes.subarray(0, 1000));
  writeFileSync(join(folder, 'logs', 'empty.cvlog'), '');
  writeFileSync(join(folder, 'secret.cvlog'), bytes);
  writeFileSync(join(folder, 'kernel'), 'an image');
  symlinkSync(join(folder, 'secret.cvlog'), join(folder, 'logs', 'link.cvlog'));
  writeFileSync(join(folder, 'ui', 'index.html'), '<!doctype html>');
  writeFileSync(join(folder, 'ui', 'assets', 'app.js'), '1');
  writeFileSync(join(folder, 'ui', 'secret.js'), '1');
  server = createLabServer({
    version: '0',
    folders: [{ name: 'logs', path: join(folder, 'logs') }, { name: 'none', path: join(folder, 'none') }],
    images: { guests: undefined, files: [join(folder, 'kernel')] },
    uiFolder: join(folder, 'ui'),
  });
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

const get = (url: string, headers: Record<string, string> = {}) => server.inject({ url, headers: { ...LOCAL, ...headers } });
const log = '/api/recordings/logs%3Aa%20run/log';

it('lists the recordings with what is known of them', async () => {
  const { recordings } = (await get('/api/recordings')).json<{ recordings: { id: string; summary?: { guest: string }; problem?: { advice: string } }[] }>();
  expect(recordings.map(({ id }) => id)).toEqual(['logs:a run', 'logs:damaged', 'logs:empty']);
  expect(recordings[0].summary?.guest).toBe('bug-lost-update');
  expect(recordings[1].problem?.advice).toMatch(/repair/);
  expect(recordings[2].problem).toBeDefined();
});

it('sends a log whole and in ranges', async () => {
  const whole = await get(log);
  expect(whole.statusCode).toBe(200);
  expect(whole.rawPayload.equals(bytes)).toBe(true);
  const part = await get(log, { range: 'bytes=100-199' });
  expect(part.statusCode).toBe(206);
  expect(part.headers['content-range']).toBe(`bytes 100-199/${bytes.length}`);
  expect(part.rawPayload.equals(bytes.subarray(100, 200))).toBe(true);
  expect((await get(log, { range: 'bytes=-24' })).rawPayload.equals(bytes.subarray(-24))).toBe(true);
  expect((await get(log, { range: `bytes=${bytes.length - 5}-` })).rawPayload.length).toBe(5);
  expect((await get(log, { range: `bytes=${bytes.length}-` })).statusCode).toBe(416);
  expect((await get(log, { range: 'bytes=0-1,3-4' })).statusCode).toBe(200);
  const tag = String(whole.headers.etag);
  expect((await get(log, { 'if-none-match': tag })).statusCode).toBe(304);
  expect((await get(log, { range: 'bytes=0-9', 'if-range': tag })).statusCode).toBe(206);
  expect((await get(log, { range: 'bytes=0-9', 'if-range': '"other"' })).statusCode).toBe(200);
  const head = await server.inject({ method: 'HEAD', url: log, headers: LOCAL });
  expect(head.headers['content-length']).toBe(String(bytes.length));
  expect(head.rawPayload.length).toBe(0);
});

it('sends images by hash only', async () => {
  const sha256 = createHash('sha256').update('an image').digest('hex');
  expect((await get(`/api/images/${sha256}`)).payload).toBe('an image');
  expect((await get(`/api/images/${'0'.repeat(64)}`)).json()).toMatchObject({ code: 'HTTP_NO_IMAGE' });
  expect((await get('/api/images/kernel')).statusCode).toBe(400);
});

it('gives out nothing that it did not list', async () => {
  for (const url of [
    '/api/recordings/logs%3Alink/log', '/api/recordings/..%2Fsecret/log', '/api/recordings/logs%3A..%2F..%2Fsecret/log', '/api/recordings/%2e%2e%2fsecret/log', '/secret.js', '/assets/../secret.js',
    '/assets/..%2fsecret.js', '/assets/%2e%2e/secret.js', '//etc/passwd', '/../../etc/passwd', '/assets/', '/api/', '/api/recordings/', '/api/recordings/%00/log',
  ]) {
    const response = await get(url);
    expect([400, 404], url).toContain(response.statusCode);
    expect(response.json()).toHaveProperty('advice');
  }
  expect((await get('/')).statusCode).toBe(200);
  expect((await get('/assets/app.js')).headers['content-type']).toMatch(/javascript/);
  expect((await server.inject({ method: 'POST', url: '/api/recordings', headers: LOCAL, payload: 'x' })).statusCode).toBe(404);
});

it('answers to its own name and its own pages only', async () => {
  expect((await server.inject({ url: '/', headers: { host: 'evil.example:4600' } })).statusCode).toBe(421);
  expect((await server.inject({ url: '/', headers: { host: 'localhost.evil.example' } })).statusCode).toBe(421);
  for (const host of ['127.0.0.1:1', '[::1]:4600', 'LOCALHOST']) expect((await server.inject({ url: '/api/health', headers: { host } })).statusCode, host).toBe(200);
  expect((await get('/api/health', { origin: 'http://evil.example' })).statusCode).toBe(403);
  expect((await get('/api/health', { origin: 'null' })).statusCode).toBe(403);
  expect((await get('/api/health', { origin: 'http://localhost:4600' })).statusCode).toBe(200);
  expect((await get('/api/health', { 'sec-fetch-site': 'cross-site' })).statusCode).toBe(403);
  expect((await get('/', { 'sec-fetch-site': 'cross-site' })).statusCode).toBe(200);
});

it('sends its security headers with every answer, errors included', async () => {
  for (const url of ['/', '/api/health', '/nothing']) {
    const { headers } = await get(url);
    expect(headers['content-security-policy']).toMatch(/default-src 'none'.*script-src 'self' 'wasm-unsafe-eval'/);
    expect(headers['content-security-policy']).not.toContain('unsafe-inline');
    expect(headers['x-content-type-options']).toBe('nosniff');
  }
});

it('takes a request line as it comes over the wire', async () => {
  // inject() tidies addresses; a socket does not.
  await server.listen({ host: '127.0.0.1', port: 0 });
  const address = server.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const status = await new Promise<number | undefined>((resolve, reject) => {
    httpRequest({ host: '127.0.0.1', port, path: '/assets/../../logs/damaged.cvlog' }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
  expect(status).toBe(404);
  const other = createServer();
  const taken = await new Promise<unknown>((resolve) => other.on('error', resolve).listen(port, '127.0.0.1'));
  expect(taken).toMatchObject({ code: 'EADDRINUSE' });
});

/** `npm start` after the build: run as a program, from dist. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';

const MAIN = fileURLToPath(new URL(`../../${process.env['CHRONOVISOR_DIST'] ?? 'dist'}/server/http/main.js`, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'chronovisor-main-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** until: the program is ended by SIGTERM when it has printed this. */
function start(argument: readonly string[], until?: (output: string) => Promise<boolean>): Promise<Ended> {
  if (!existsSync(MAIN)) throw new Error('dist is not built: run `npm run build`');
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, '--no-open', '--folder', folder, ...argument], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, CHRONOVISOR_TOKEN: '' } });
    let output = '';
    const take = (chunk: Buffer): void => {
      output += chunk.toString();
      void until?.(output).then((done) => done && child.kill('SIGTERM'), reject);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}

it('prints its address, answers there, and stops on a signal', async () => {
  let status = 0;
  const { code, output } = await start(['--port', '0'], async (text) => {
    const url = /http:\/\/localhost:\d+\//.exec(text)?.[0];
    if (url === undefined) return false;
    status = (await fetch(`${url}api/health`)).status;
    return true;
  });
  expect(status).toBe(200);
  expect(output).toContain('Ctrl-C stops it');
  expect(code).toBe(0);
});

it('says what to do when the port is taken', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const address = other.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const { code, output } = await start(['--port', String(port)]);
  other.close();
  expect(code).toBe(3);
  expect(output).toContain(`Port ${port} is taken`);
  expect(output).toContain(`npm start -- --port ${port + 1}`);
});

it('explains its options', async () => {
  expect(await start(['--port', 'many'])).toMatchObject({ code: 2, output: expect.stringContaining('usage:') as string });
  expect(await start(['--bogus'])).toMatchObject({ code: 2 });
  expect(await start(['--help'])).toMatchObject({ code: 0 });
});

it('listens beyond loopback with a token only', async () => {
  for (const [argument, why] of [
    [['--host', '0.0.0.0'], /needs a token: set CHRONOVISOR_TOKEN/],
    [['--host', '0.0.0.0', '--token', 'short'], /at least 16 characters/],
    [['--host-name', 'lab.example'], /--host-name needs a token/],
    [['--runs', '0'], /--runs 0: a whole number/],
    [['--run-memory', '12'], /a size such as 512M/],
  ] as const) {
    const { code, output } = await start(argument);
    expect(code, argument.join(' ')).toBe(2);
    expect(output).toMatch(why);
  }
  const token = 'a-token-of-some-length';
  const statuses: number[] = [];
  const { code } = await start(['--host', '0.0.0.0', '--port', '0', '--token', token], async (text) => {
    const url = /http:\/\/localhost:\d+\//.exec(text)?.[0];
    if (url === undefined || statuses.length > 0) return statuses.length === 2;
    statuses.push((await fetch(`${url}api/v1/health`)).status, (await fetch(`${url}api/v1/health`, { headers: { authorization: `Bearer ${token}` } })).status);
    return true;
  });
  expect(statuses).toEqual([401, 200]);
  expect(code).toBe(0);
});

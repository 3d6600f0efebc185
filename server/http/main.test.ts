/** `npm start` after the build: run as a program, from dist. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const MAIN = fileURLToPath(new URL('../../dist/server/http/main.js', import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** until: the program is ended by SIGTERM when it has printed this. */
function start(argument: readonly string[], until?: (output: string) => Promise<boolean>): Promise<Ended> {
  if (!existsSync(MAIN)) throw new Error('dist is not built: run `npm run build`');
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, '--no-open', ...argument], { stdio: ['ignore', 'pipe', 'pipe'] });
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

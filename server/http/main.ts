#!/usr/bin/env node
/**
 * `npm start`: serves the lab on loopback, prints its address and opens it in the browser.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { guestsFolder } from '../guests/store.ts';
import { ownPackage } from '../store/package-root.ts';
import { createLabServer } from './lab-server.ts';

const PORT = 4600;
const EXIT_USAGE = 2;
const EXIT_PORT_TAKEN = 3;

const USAGE = `usage: npm start -- [options]

  --port N       listen on this port of 127.0.0.1 (default ${PORT}; 0: any that is free)
  --folder DIR   show the *.cvlog files of this folder too (default ./recordings)
  --image FILE   offer this guest image to recordings that do not hold it; may be repeated
  --no-open      do not open the browser
  --help         this text`;

async function main(): Promise<void> {
  const options = readOptions();
  const { root, version } = ownPackage();
  const server = createLabServer({
    version,
    folders: [
      { name: 'traces', path: join(root, 'traces') },
      { name: 'recordings', path: options.folder },
    ],
    images: { guests: guestsFolder(), files: options.images },
    uiFolder: join(root, 'dist/ui'),
  });
  try {
    await server.listen({ host: '127.0.0.1', port: options.port });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') {
      console.error(`Port ${options.port} is taken: another program, perhaps another lab, listens on it.\nStop that one, or choose another port: npm start -- --port ${options.port + 1}`);
      process.exit(EXIT_PORT_TAKEN);
    }
    if (error instanceof Error && 'code' in error && error.code === 'EACCES') {
      console.error(`Port ${options.port} is not allowed for this user. Choose one above 1023: npm start -- --port ${PORT}`);
      process.exit(EXIT_PORT_TAKEN);
    }
    throw error;
  }
  const address = server.server.address();
  const url = `http://localhost:${typeof address === 'object' && address !== null ? address.port : options.port}/`;
  console.log(`The lab is open at ${url}\nCtrl-C stops it.`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void server.close().then(() => process.exit(0)));
  }
  if (options.open) openBrowser(url);
}

interface Options {
  readonly port: number;
  readonly folder: string;
  readonly images: readonly string[];
  readonly open: boolean;
}

function readOptions(): Options {
  try {
    const { values } = parseArgs({
      options: { port: { type: 'string' }, folder: { type: 'string' }, image: { type: 'string', multiple: true }, 'no-open': { type: 'boolean' }, help: { type: 'boolean' } },
    });
    if (values.help === true) {
      console.log(USAGE);
      process.exit(0);
    }
    const port = values.port === undefined ? PORT : Number(values.port);
    if (!Number.isInteger(port) || port < 0 || port > 65535 || values.port === '') throw new Error(`--port ${values.port}: a number from 0 to 65535`);
    return { port, folder: values.folder ?? 'recordings', images: values.image ?? [], open: values['no-open'] !== true && (process.env['CI'] ?? '') === '' };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
    process.exit(EXIT_USAGE);
  }
}

/** The address was printed, so it does not matter if there is no browser to open. */
function openBrowser(url: string): void {
  const [command, ...rest] = process.platform === 'darwin' ? ['open'] : process.platform === 'win32' ? ['cmd', '/c', 'start', ''] : ['xdg-open'];
  const child = spawn(command, [...rest, url], { stdio: 'ignore', detached: true });
  child.on('error', () => undefined);
  child.unref();
}

await main();

#!/usr/bin/env node
/**
 * `npm start`: serves the lab, on loopback unless told otherwise, prints its address and opens it in the browser.
 */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { guestsFolder } from '../guests/store.ts';
import { RUN_LIMITS, type RunServerLimits } from '../runs/runs.ts';
import { ownPackage } from '../store/package-root.ts';
import { LAB_LIMITS } from './lab.ts';
import { createLabServer } from './lab-server.ts';
import { TOKEN_LENGTH_MIN } from './token.ts';

const MIB = 1 << 20;
const PORT = 4600;
const EXIT_USAGE = 2;
const EXIT_PORT_TAKEN = 3;
const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', '::1', 'localhost']);
const TOKEN_VARIABLE = 'CHRONOVISOR_TOKEN';

const USAGE = `usage: npm start -- [options]

  --port N           listen on this port (default ${PORT}; 0: any that is free)
  --folder DIR       keep recordings here (default ./recordings); its *.cvlog files are shown beside those of traces/
  --image FILE       offer this guest image to recordings that do not hold it; may be repeated
  --read-only        no runs, no uploads, no deletion
  --runs N           guests that are recorded at a time (default ${RUN_LIMITS.runs})
  --run-memory SIZE  of a guest, at most: 512M, 1G (default ${RUN_LIMITS.memoryBytes / MIB}M)
  --run-log SIZE     of the log of a run, at most (default ${RUN_LIMITS.logBytes / MIB}M)
  --run-seconds N    of real time, for a run (default ${RUN_LIMITS.seconds})
  --upload-limit SIZE  of a recording that is sent (default ${LAB_LIMITS.uploadBytes / MIB}M)
  --cache DIR        keep what was computed of recordings here (default: in memory alone)
  --host ADDRESS     listen on this address instead of 127.0.0.1; others can then reach the lab, so a token is needed
  --token TOKEN      what every request must give then, ${TOKEN_LENGTH_MIN} characters or more; better in ${TOKEN_VARIABLE}, where no list of processes shows it
  --host-name NAME   a name of this host that pages may use; may be repeated
  --no-open          do not open the browser
  --help             this text`;

async function main(): Promise<void> {
  const options = readOptions();
  const { root, version } = ownPackage();
  const server = createLabServer({
    version,
    folders: [
      { name: 'traces', path: join(root, 'traces') },
      { name: 'recordings', path: options.folder },
    ],
    writable: options.isReadOnly ? undefined : 'recordings',
    images: { guests: guestsFolder(), files: options.images },
    uiFolder: join(root, 'dist/ui'),
    token: options.token,
    hostNames: options.hostNames,
    cacheFolder: options.cache,
    limits: { uploadBytes: options.uploadBytes },
    runLimits: options.runLimits,
  });
  if (!options.isReadOnly) mkdirSync(options.folder, { recursive: true });
  try {
    await server.listen({ host: options.host, port: options.port });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') {
      console.error(`Port ${options.port} is taken: another program, perhaps another lab, listens on it.\nStop that one, or choose another port: npm start -- --port ${options.port + 1}`);
      process.exit(EXIT_PORT_TAKEN);
    }
    if (error instanceof Error && 'code' in error && error.code === 'EACCES') {
      console.error(`Port ${options.port} is not allowed for this user. Choose one above 1023: npm start -- --port ${PORT}`);
      process.exit(EXIT_PORT_TAKEN);
    }
    if (error instanceof Error && 'code' in error && (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND')) {
      console.error(`--host ${options.host}: this host has no such address`);
      process.exit(EXIT_USAGE);
    }
    throw error;
  }
  const address = server.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : options.port;
  const host = LOOPBACK.has(options.host) || options.host === '0.0.0.0' || options.host === '::' ? 'localhost' : options.host;
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}/`;
  console.log(`The lab is open at ${url}${options.token === undefined ? '' : `\nEach browser needs the token once: ${url}?token=TOKEN`}\nCtrl-C stops it.`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void server.close().then(() => process.exit(0)));
  }
  if (options.open) openBrowser(options.token === undefined ? url : `${url}?token=${encodeURIComponent(options.token)}`);
}

interface Options {
  readonly port: number;
  readonly host: string;
  readonly token: string | undefined;
  readonly hostNames: readonly string[];
  readonly folder: string;
  readonly images: readonly string[];
  readonly isReadOnly: boolean;
  readonly cache: string | undefined;
  readonly uploadBytes: number;
  readonly runLimits: Partial<RunServerLimits>;
  readonly open: boolean;
}

function readOptions(): Options {
  try {
    const text = { type: 'string' } as const;
    const texts = { type: 'string', multiple: true } as const;
    const flag = { type: 'boolean' } as const;
    const { values } = parseArgs({
      options: {
        port: text, folder: text, image: texts, 'read-only': flag, runs: text, 'run-memory': text, 'run-log': text, 'run-seconds': text, 'upload-limit': text, cache: text, host: text, token: text,
        'host-name': texts, 'no-open': flag, help: flag,
      },
    }); // prettier-ignore
    if (values.help === true) {
      console.log(USAGE);
      process.exit(0);
    }
    const port = values.port === undefined ? PORT : Number(values.port);
    if (!Number.isInteger(port) || port < 0 || port > 65535 || values.port === '') throw new Error(`--port ${values.port}: a number from 0 to 65535`);
    const host = values.host ?? '127.0.0.1';
    const token = values.token ?? (process.env[TOKEN_VARIABLE] === '' ? undefined : process.env[TOKEN_VARIABLE]);
    if (token === undefined && !LOOPBACK.has(host)) throw new Error(`--host ${host}: others can reach the lab there, so it needs a token: set ${TOKEN_VARIABLE}, or give --token`);
    if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) throw new Error('--token: printable ASCII without blanks');
    if (token !== undefined && token.length < TOKEN_LENGTH_MIN) throw new Error(`--token: at least ${TOKEN_LENGTH_MIN} characters`);
    if (values['host-name'] !== undefined && token === undefined) throw new Error('--host-name needs a token');
    return {
      port, host, token, hostNames: values['host-name'] ?? [], folder: values.folder ?? 'recordings', images: values.image ?? [], isReadOnly: values['read-only'] === true, cache: values.cache,
      uploadBytes: bytesOf('--upload-limit', values['upload-limit'], LAB_LIMITS.uploadBytes),
      runLimits: {
        runs: countOf('--runs', values.runs, RUN_LIMITS.runs),
        memoryBytes: bytesOf('--run-memory', values['run-memory'], RUN_LIMITS.memoryBytes),
        logBytes: bytesOf('--run-log', values['run-log'], RUN_LIMITS.logBytes),
        seconds: countOf('--run-seconds', values['run-seconds'], RUN_LIMITS.seconds),
      },
      open: values['no-open'] !== true && (process.env['CI'] ?? '') === '',
    }; // prettier-ignore
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
    process.exit(EXIT_USAGE);
  }
}

function countOf(option: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new Error(`${option} ${text}: a whole number above 0`);
  return Number(text);
}

function bytesOf(option: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const match = /^([1-9]\d{0,6})([MG])$/.exec(text);
  if (match === null) throw new Error(`${option} ${text}: a size such as 512M or 4G`);
  return Number(match[1]) * (match[2] === 'G' ? MIB * 1024 : MIB);
}

/** The address was printed, so it does not matter if there is no browser to open. */
function openBrowser(url: string): void {
  const [command, ...rest] = process.platform === 'darwin' ? ['open'] : process.platform === 'win32' ? ['cmd', '/c', 'start', ''] : ['xdg-open'];
  const child = spawn(command, [...rest, url], { stdio: 'ignore', detached: true });
  child.on('error', () => undefined);
  child.unref();
}

await main();

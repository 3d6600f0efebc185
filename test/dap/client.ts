/** A client library that is not ours, at an adapter in this process: what it needs is a port. */
import { type Server, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { type OpenOptions, type Opened, openForDebugging } from '../../server/debugger/open.ts';
import { runAdapter } from '../../server/dap/stdio.ts';
import { turn } from '../../server/gdb/testing.ts';

export interface Response {
  readonly success: boolean;
  readonly command: string;
  readonly message?: string;
  readonly body?: any;
}
export interface Event {
  readonly event: string;
  readonly body?: any;
}

/** Of the library's DebugClient, what is used here. */
export interface Client {
  start(port: number): Promise<void>;
  stop(): Promise<void>;
  /** Rejects if the response is an error. */
  customRequest(command: string, body?: object): Promise<Response>;
  /** Five seconds unless told, at an adapter that it started itself; at a port for ever. */
  waitForEvent(event: string, timeoutMs?: number): Promise<Event>;
  on(event: string, listener: (event: Event) => void): void;
}

/** Its name as a variable: without the package, which is for tests only, everything else compiles and runs. */
const LIBRARY: string = '@vscode/debugadapter-testsupport';
const library = (await import(LIBRARY).catch(() => undefined)) as { readonly DebugClient: new (runtime: string, program: string, type: string) => Client } | undefined;
export const hasLibrary = library !== undefined;
if (!hasLibrary) console.warn(`test/dap: the tests with a client library are left out, because ${LIBRARY} is not installed`);

export interface Connected {
  readonly client: Client;
  readonly log: readonly string[];
  close(): Promise<void>;
}

const opened = new Map<string, Opened>();

/** Recordings stay open from one client to the next, with the checkpoints that were laid. */
function open(file: string, options: OpenOptions): Opened {
  const known = opened.get(file);
  if (known !== undefined) return known;
  const made = openForDebugging(file, options);
  opened.set(file, made);
  return made;
}

export async function connect(program: string | undefined): Promise<Connected> {
  const log: string[] = [];
  const server: Server = createServer((socket) => {
    socket.on('error', () => {});
    const running = runAdapter({ input: socket, output: socket, turn, program, at: undefined, open, log: (text) => void log.push(text) });
    void running.ended.then(() => socket.end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const client = new library!.DebugClient('', '', 'chronovisor');
  await client.start((server.address() as AddressInfo).port);
  return {
    client,
    log,
    close: async () => {
      await client.customRequest('disconnect').catch(() => undefined);
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

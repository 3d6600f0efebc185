/** `debug`: a recording for a debugger to walk in: at the terminal, through gdb's remote protocol, or through the Debug Adapter Protocol. */
import { PLACE_FORMS, parsePlace } from '../../engine/debug/places.ts';
import { DivergedError, SeekError } from '../../engine/debug/time-travel.ts';
import { describeDivergence } from '../../engine/log/verify.ts';
import { runAdapter } from '../dap/stdio.ts';
import { Commands } from '../debugger/commands.ts';
import { Debugger } from '../debugger/debugger.ts';
import { DebuggerError } from '../debugger/error.ts';
import { type OpenOptions, type Opened, crewOf, openForDebugging } from '../debugger/open.ts';
import { historyPath, linesOf, runScript, runTerminal } from '../debugger/terminal.ts';
import { type GdbServer, serveGdb } from '../gdb/server.ts';
import { labSymbols } from '../store/lab-guests.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { SYMBOLS_OPTION } from './bisect-common.ts';
import { IMAGE_OPTIONS, JSON_OPTION, QUIET_OPTION, imagePlaces } from './common-options.ts';
import type { Context, Verb } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { grouped } from './format.ts';
import { turn } from './host.ts';
import { JOBS_OPTION, dismiss, jobsOf } from './jobs.ts';
import { toJson } from './output.ts';
import { Progress } from './progress.ts';
import { signalStatus } from './signals.ts';
import { UsageError } from './usage-error.ts';

const SPEC: VerbSpec = {
  name: 'debug',
  synopsis: 'FILE [--gdb [HOST:]PORT | --dap] [options]',
  summary: 'Walks through a recording in both directions, at the terminal or with another debugger. The recording is not changed.',
  operands: { min: 0, max: 1 },
  options: [
    { name: 'command', value: 'CMD', help: 'runs this command of the debugger and no others; the first that fails ends it (exit code 2)', multiple: true },
    { name: 'gdb', value: '[HOST:]PORT', help: 'waits for gdb there; 127.0.0.1 unless a host is named, port 0 is any that is free' },
    { name: 'dap', help: 'speaks the Debug Adapter Protocol on stdin and stdout; FILE may come with the `launch` request' },
    { name: 'at', value: 'WHERE', help: `where to begin: ${PLACE_FORMS} (default: @0)` },
    SYMBOLS_OPTION,
    { name: 'sources', value: 'FOLDER', help: 'where source files of the guest are', multiple: true },
    JOBS_OPTION,
    { name: 'once', help: 'with --gdb: ends when the first debugger leaves; without it, it waits for the next until Ctrl-C' },
    ...IMAGE_OPTIONS,
    QUIET_OPTION,
    JSON_OPTION,
  ],
  notes: [
    'At the terminal: `help` lists the commands, which are those of gdb and rr where there are such; Tab completes, Ctrl-C ends what runs, Ctrl-D or `quit` leaves.',
    'As a script: `chronovisor debug FILE < script`, or --command; with --json one JSON object a command.',
    'In gdb: `target remote HOST:PORT`. Then continue, stepi, reverse-continue, reverse-stepi, reverse-finish, break, hbreak, watch, rwatch, awatch; `print $icount` is the position, `monitor help` the rest.',
    'With an index (`chronovisor index FILE`) any moment is near; without one checkpoints are made on the way.',
    'Whoever can reach the port of --gdb can read the guest\'s memory: the protocol has no password. It is 127.0.0.1 unless a host is named; a host that others can reach is warned of.',
  ],
};

export const debug: Verb = { spec: SPEC, run: start };

async function start(parsed: Arguments, context: Context): Promise<number> {
  const { out, err } = context;
  const isJson = parsed.has('json');
  const isQuiet = parsed.has('quiet');
  const ways = ['gdb', 'dap', 'command'].filter((name) => parsed.has(name));
  if (ways.length > 1) throw new UsageError(`--${ways[0]} and --${ways[1]} do not go together`, 'debug');
  const options: OpenOptions = { images: imagePlaces(parsed), parents: parsed.all('parent'), symbols: parsed.all('symbols'), sources: parsed.all('sources'), jobs: jobsOf(parsed) };
  if (parsed.has('dap')) return dap(parsed, context, options);
  const file = parsed.operands.at(0);
  if (file === undefined) throw new UsageError('debug needs a recording: chronovisor debug FILE', 'debug');
  const gdb = parsed.has('gdb') ? endpoint(parsed) : undefined;
  const where = parsed.text('at') ?? '@0';
  const go = parsePlace(where);
  if (go === undefined) throw parsed.wrong('at', where, PLACE_FORMS);
  let path = file;
  let opened: Opened | undefined;
  try {
    opened = open(file, options);
    ({ path } = opened);
    if (!isQuiet) for (const warning of opened.warnings) err.write(`chronovisor: ${warning}\n`);
    if (!(where.startsWith('mark:') && goToBookmark(opened, where.slice(5)))) go(opened.travel);
    return await (gdb === undefined ? terminal(parsed, context, opened) : remote(parsed, context, opened, gdb));
  } catch (error) {
    if (error instanceof SeekError) throw new UsageError(`--at: ${error.message}`, 'debug');
    if (!(error instanceof DivergedError)) throw error;
    const lines = describeDivergence(error.divergence);
    if (isJson) out.write(`${toJson({ verb: 'debug', file: path, result: 'diverged', divergence: lines, exitCode: exitCode('different') })}\n`);
    else err.write(`chronovisor: the recording does not replay up to there; \`chronovisor replay\` says more\n${lines.map((line) => `  ${line}\n`).join('')}`);
    return exitCode('different');
  } finally {
    if (opened?.crew !== undefined) await dismiss(opened.crew, parsed, context);
  }
}

function open(file: string, options: OpenOptions): Opened {
  try {
    return openForDebugging(file, options);
  } catch (error) {
    if (error instanceof DebuggerError) throw new UsageError(error.message, 'debug');
    throw error;
  }
}

function goToBookmark({ bookmarks, travel }: Opened, name: string): boolean {
  const mark = bookmarks.find(name);
  if (mark !== undefined) travel.seek(mark.position);
  return mark !== undefined;
}

// ---- terminal and scripts ----

async function terminal(parsed: Arguments, context: Context, opened: Opened): Promise<number> {
  const { out, err, signals } = context;
  const isJson = parsed.has('json');
  const asked = parsed.all('command');
  const isInteractive = asked.length === 0 && !isJson && process.stdin.isTTY === true && out.isTerminal;
  const progress = new Progress(err, isInteractive);
  const { travel } = opened;
  const write = (text: string): void => {
    progress.clear();
    if (isJson) output.push(text);
    else out.write(text);
  };
  let output: string[] = [];
  const debug = new Debugger({
    travel, symbols: opened.symbols, bookmarks: opened.bookmarks, isIndexed: opened.isIndexed, turn, crew: crewOf(opened, turn),
    onProgress: (at) => progress.update({ position: at, virtualNs: travel.machine.nowNs(), fraction: travel.last === 0 ? 1 : at / travel.last }),
    onMessage: (text) => write(`${text}\n`),
  }); // prettier-ignore
  const commands = new Commands({ debug, sources: opened.sources, write });
  if (isInteractive) {
    out.write(`${opened.path}; \`help\` lists the commands\n`);
    await runTerminal({ commands, debug, input: process.stdin, output: process.stdout, history: historyPath(), beforeText: () => progress.clear() });
    return signals.received === undefined || signals.received === 'SIGINT' ? exitCode('ok') : signalStatus(signals.received);
  }
  signals.onSignal = () => {
    debug.interrupt();
    commands.isOver = true;
  };
  let command = '';
  const done = (): void => {
    if (isJson) out.write(`${toJson({ command, position: travel.position, last: travel.last, output: output.join('').split('\n').slice(0, -1) })}\n`);
    output = [];
  };
  const failed = await runScript(commands, asked.length > 0 ? asked : linesOf(process.stdin), (line) => (command = line), done);
  signals.onSignal = undefined;
  // A script that goes on after `quit` would keep the process.
  if (asked.length === 0) process.stdin.destroy();
  if (signals.received !== undefined) return signalStatus(signals.received);
  if (failed !== undefined) throw new UsageError(`command ${failed.number}, \`${failed.line}\`: ${failed.message}`, 'debug');
  return exitCode('ok');
}

// ---- the Debug Adapter Protocol ----

async function dap(parsed: Arguments, { err, signals }: Context, options: OpenOptions): Promise<number> {
  const isQuiet = parsed.has('quiet');
  const end = runAdapter({
    input: process.stdin,
    output: process.stdout,
    turn,
    program: parsed.operands.at(0),
    at: parsed.text('at'),
    open: (file, more) => openForDebugging(file, { ...options, ...more }),
    log: (text) => isQuiet || err.write(`chronovisor: ${text}\n`),
  });
  signals.onSignal = () => end.stop();
  await end.ended;
  signals.onSignal = undefined;
  return signals.received === undefined ? exitCode('ok') : signalStatus(signals.received);
}

// ---- gdb ----

async function remote(parsed: Arguments, context: Context, opened: Opened, { host, port }: Endpoint): Promise<number> {
  const { travel, path, symbols: guest } = opened;
  const { out, err, signals } = context;
  const isJson = parsed.has('json');
  const isQuiet = parsed.has('quiet');
  let stop = (): void => {};
  const stopped = new Promise<void>((resolve) => (stop = resolve));
  let server: GdbServer;
  try {
    server = await serveGdb({
      travel,
      crew: crewOf(opened, turn),
      symbols: guest,
      host,
      port,
      turn,
      onClient: ({ kind, client, reason }) => {
        if (!isQuiet) err.write(`chronovisor: ${client} ${kind}${reason === '' ? '' : `: ${reason}`}\n`);
        if (kind === 'left' && parsed.has('once')) stop();
      },
    });
  } catch (error) {
    throw new UsageError(`--gdb ${parsed.text('gdb') ?? ''}: ${whyNot(error)}`, 'debug');
  }
  const at = `${server.host.includes(':') ? `[${server.host}]` : server.host}:${server.port}`;
  if (!isLoopback(server.host) && !isQuiet) {
    err.write(`chronovisor: whoever can reach ${at} can read the guest's memory: the protocol has no password. For one person elsewhere, wait at 127.0.0.1 and let them come by \`ssh -L ${server.port}:localhost:${server.port}\`\n`);
  }
  const kernel = travel.reader.header.images.find(({ name }) => name === 'kernel');
  const symbols = kernel === undefined ? undefined : labSymbols(kernel.sha256, travel.reader.image(kernel.sha256))?.path;
  if (isJson) out.write(`${toJson({ verb: 'debug', file: path, host: server.host, port: server.port, position: travel.position, last: travel.last, symbols })}\n`);
  else {
    out.write(`waiting for gdb at ${at}, @${grouped(travel.position)} of @${grouped(travel.last)}; Ctrl-C ends it\n`);
    if (!isQuiet) out.write(`  gdb -ex 'target remote ${at}'${symbols === undefined ? '' : ` ${symbols}`}\n`);
  }
  signals.onSignal = stop;
  if (signals.received === undefined) await stopped;
  signals.onSignal = undefined;
  await server.close();
  return signals.received === undefined ? exitCode('ok') : signalStatus(signals.received);
}

/** Only programs of this host can reach it. */
function isLoopback(address: string): boolean {
  return /^(?:::ffff:)?127\./.test(address) || address === '::1';
}

interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** `1234`, `:1234`, `localhost:1234`, `[::1]:1234`. */
function endpoint(parsed: Arguments): Endpoint {
  const text = parsed.text('gdb') ?? '';
  const match = /^(?:(?:\[([0-9a-f:.]+)\]|([^:[\]\s]*)):)?(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3] ?? NaN);
  if (match === null || !(port <= 65535)) throw parsed.wrong('gdb', text, 'a port from 0 to 65535, or HOST:PORT, such as 1234 or localhost:1234');
  return { host: (match[1] ?? match[2] ?? '') || '127.0.0.1', port };
}

function whyNot(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const known: Readonly<Record<string, string>> = {
    EADDRINUSE: 'another program listens there; give another port, or 0 for any that is free',
    EACCES: 'this port needs more rights; give one from 1024 up',
    EADDRNOTAVAIL: 'this host is not an address of this machine',
    ENOTFOUND: 'there is no host of this name',
    EAI_AGAIN: 'the name of the host cannot be looked up now',
  };
  return known[code] ?? (error instanceof Error ? error.message : String(error));
}

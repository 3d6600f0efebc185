/** `debug`: a recording for a debugger to walk in, through gdb's remote protocol. */
import { DivergedError, SeekError, TimeTravel } from '../../engine/debug/time-travel.ts';
import { describeDivergence } from '../../engine/log/verify.ts';
import { PLACE_FORMS, parsePlace } from '../gdb/places.ts';
import { type GdbServer, serveGdb } from '../gdb/server.ts';
import { findIndex, indexPath } from '../store/checkpoints.ts';
import { loadCore } from '../store/core-module.ts';
import { FileSource } from '../store/files.ts';
import { openImages } from '../store/guest-images.ts';
import { labImages } from '../store/lab-guests.ts';
import { openLog } from '../store/logs.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { IMAGE_OPTIONS, JSON_OPTION, QUIET_OPTION, imagePlaces } from './common-options.ts';
import type { Context, Verb } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { grouped } from './format.ts';
import { turn } from './host.ts';
import { toJson } from './output.ts';
import { signalStatus } from './signals.ts';
import { UsageError } from './usage-error.ts';

const SPEC: VerbSpec = {
  name: 'debug',
  synopsis: 'FILE --gdb [HOST:]PORT [options]',
  summary: 'Lets gdb walk through a recording in both directions. The recording is not changed.',
  operands: { min: 1, max: 1 },
  options: [
    { name: 'gdb', value: '[HOST:]PORT', help: 'where to wait for gdb; 127.0.0.1 unless a host is named, port 0 is any that is free' },
    { name: 'at', value: 'WHERE', help: `where to begin: ${PLACE_FORMS} (default: @0)` },
    { name: 'once', help: 'ends when the first debugger leaves; without it, it waits for the next until Ctrl-C' },
    ...IMAGE_OPTIONS,
    QUIET_OPTION,
    JSON_OPTION,
  ],
  notes: [
    'In gdb: `target remote HOST:PORT`. Then continue, stepi, reverse-continue, reverse-stepi, reverse-finish, break, hbreak, watch, rwatch, awatch; `print $icount` is the position, `monitor help` the rest.',
    'With an index (`chronovisor index FILE`) any moment is near; without one checkpoints are made on the way.',
    'Whoever can reach the port can read the guest\'s memory: the protocol has no password.',
  ],
};

export const debug: Verb = { spec: SPEC, run: start };

async function start(parsed: Arguments, context: Context): Promise<number> {
  const { out, err, signals } = context;
  const isJson = parsed.has('json');
  const isQuiet = parsed.has('quiet');
  const { host, port } = endpoint(parsed);
  const where = parsed.text('at') ?? '@0';
  const go = parsePlace(where);
  if (go === undefined) throw parsed.wrong('at', where, PLACE_FORMS);
  const source = new FileSource(parsed.operands[0], 'FILE');
  const { reader, torn } = openLog(source);
  if (torn !== undefined && !isQuiet) err.write(`chronovisor: ${torn.message}\n`);
  const found = findIndex(source.path, reader);
  const travel = new TimeTravel({ reader, images: openImages(reader, imagePlaces(parsed)), module: loadCore(), index: found.index });
  try {
    go(travel);
  } catch (error) {
    if (error instanceof SeekError) throw new UsageError(`--at: ${error.message}`, 'debug');
    if (!(error instanceof DivergedError)) throw error;
    const lines = describeDivergence(error.divergence);
    if (isJson) out.write(`${toJson({ verb: 'debug', file: source.path, result: 'diverged', divergence: lines, exitCode: exitCode('different') })}\n`);
    else err.write(`chronovisor: the recording does not replay up to there; \`chronovisor replay\` says more\n${lines.map((line) => `  ${line}\n`).join('')}`);
    return exitCode('different');
  }
  const problem = found.problem ?? travel.problem;
  if (problem !== undefined && !isQuiet) err.write(`chronovisor: ${indexPath(source.path)}: ${problem.message}. It was not used; \`chronovisor index\` makes it anew\n`);

  let stop = (): void => {};
  const stopped = new Promise<void>((resolve) => (stop = resolve));
  let server: GdbServer;
  try {
    server = await serveGdb({
      travel,
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
  const kernel = reader.header.images.find(({ name }) => name === 'kernel');
  const symbols = labImages().find(({ sha256 }) => sha256 === kernel?.sha256)?.path;
  if (isJson) out.write(`${toJson({ verb: 'debug', file: source.path, host: server.host, port: server.port, position: travel.position, last: travel.last, symbols })}\n`);
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

/** `1234`, `:1234`, `localhost:1234`, `[::1]:1234`. */
function endpoint(parsed: Arguments): { readonly host: string; readonly port: number } {
  const text = parsed.text('gdb');
  if (text === undefined) throw new UsageError('debug needs --gdb [HOST:]PORT: there is no other way in yet', 'debug');
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

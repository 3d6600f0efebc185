/** `state`: registers and memory of any moment of a recording. */
import { PLACE_FORMS } from '../../engine/debug/places.ts';
import { GENERAL_REGISTERS, readLinear, readPhysical, readRegister, readRegisters } from '../../engine/debug/inspect.ts';
import type { GuestSymbols } from '../../engine/debug/guest-symbols.ts';
import { currentTask } from '../../engine/debug/linux.ts';
import { DivergedError, SeekError, TimeTravel } from '../../engine/debug/time-travel.ts';
import { describeDivergence } from '../../engine/log/verify.ts';
import { findIndex, indexPath } from '../store/checkpoints.ts';
import { loadCore } from '../store/core-module.ts';
import { FileSource } from '../store/files.ts';
import { openImages } from '../store/guest-images.ts';
import { openRecording } from '../store/chains.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { SYMBOLS_OPTION, codeAt, guestSymbolsOf, inlinedLines, placeOf, ringOf, taskLines } from './bisect-common.ts';
import { IMAGE_OPTIONS, JSON_OPTION, QUIET_OPTION, imagePlaces } from './common-options.ts';
import type { Context, Verb } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { grouped, table, virtualTime } from './format.ts';
import { monotonicMs } from './host.ts';
import { toJson } from './output.ts';
import { UsageError } from './usage-error.ts';

const MEMORY_BYTES_MAX = 1 << 20;

const SPEC: VerbSpec = {
  name: 'state',
  synopsis: 'FILE --at WHERE [options]',
  summary: 'Shows registers and memory of any moment of a recording.',
  operands: { min: 1, max: 1 },
  options: [
    { name: 'at', value: 'WHERE', help: '@POSITION, N%, event:N, mark:NAME or end (default: end)' },
    { name: 'memory', value: 'ADDRESS[,BYTES]', help: 'linear memory as the running code sees it (64 bytes unless told)', multiple: true },
    { name: 'physical', value: 'ADDRESS[,BYTES]', help: 'guest-physical memory', multiple: true },
    { name: 'all', help: 'all registers, not only the common ones' },
    SYMBOLS_OPTION,
    ...IMAGE_OPTIONS,
    QUIET_OPTION,
    JSON_OPTION,
  ],
  notes: ['With an index (`chronovisor index FILE`) any moment is near; without one the recording is replayed from power-on.'],
};

export const state: Verb = { spec: SPEC, run: start };

const COMMON = ['rip', 'rflags', ...GENERAL_REGISTERS, 'cs', 'ss', 'cpl', 'cr0', 'cr2', 'cr3', 'cr4', 'efer', 'fs.base', 'gs.base', 'kernel_gs_base', 'halted'];

interface Asked {
  readonly kind: 'linear' | 'physical';
  readonly address: bigint;
  readonly length: number;
}

async function start(parsed: Arguments, context: Context): Promise<number> {
  const { out, err } = context;
  const isJson = parsed.has('json');
  const isQuiet = parsed.has('quiet');
  const asked = [...ranges(parsed, 'memory', 'linear'), ...ranges(parsed, 'physical', 'physical')];
  const where = whereOf(parsed);
  const source = new FileSource(parsed.operands[0], 'FILE');
  const { reader, torn, chain, paths } = openRecording(source, parsed.all('parent'));
  if (torn !== undefined && !isQuiet) err.write(`chronovisor: ${torn.message}\n`);
  const found = findIndex(source.path, reader, { chain, paths });
  const startMs = monotonicMs();
  const images = openImages(reader, imagePlaces(parsed));
  const travel = new TimeTravel({ reader, images, module: loadCore(), index: found.index });
  let guest: GuestSymbols;
  try {
    where(travel);
    guest = guestSymbolsOf('state', parsed, travel, images.kernel, (text) => isQuiet || err.write(`chronovisor: ${text}\n`));
  } catch (error) {
    if (error instanceof SeekError) throw new UsageError(`--at: ${error.message}`, 'state');
    if (!(error instanceof DivergedError)) throw error;
    const lines = describeDivergence(error.divergence);
    if (isJson) out.write(`${toJson({ verb: 'state', file: source.path, result: 'diverged', divergence: lines, exitCode: exitCode('different') })}\n`);
    else err.write(`chronovisor: the recording does not replay up to there; \`chronovisor replay\` says more\n${lines.map((line) => `  ${line}\n`).join('')}`);
    return exitCode('different');
  }
  const problem = found.problem ?? travel.problem;
  if (problem !== undefined && !isQuiet) err.write(`chronovisor: ${indexPath(source.path)}: ${problem.message}. It was not used; \`chronovisor index\` makes it anew\n`);
  const { machine } = travel;
  const seconds = (monotonicMs() - startMs) / 1000;
  const registers = readRegisters(machine);
  const rip = readRegister(machine, 'rip') ?? 0n;
  const task = currentTask(machine, guest);
  const memory = asked.map((one) => ({ ...one, bytes: read(travel, one) }));
  if (isJson) {
    out.write(
      `${toJson({
        verb: 'state', file: source.path, position: travel.position, event: travel.records, virtualNs: machine.nowNs(), isEnd: travel.isAtEnd, digest: machine.digest().digest,
        symbol: guest.tell(rip), source: guest.lineOf(rip), inlined: guest.framesOf?.(rip), task,
        registers: Object.fromEntries(registers), memory: memory.map(({ kind, address, length, bytes }) => ({ kind, address, length, bytes })), seconds, exitCode: 0,
      })}\n`,
    ); // prettier-ignore
    return exitCode('ok');
  }
  out.write(`@${grouped(travel.position)} of @${grouped(travel.last)}, event ${grouped(travel.records)}, ${virtualTime(machine.nowNs())}${travel.isAtEnd ? ', the end' : ''}\n`);
  for (const line of [`at                ${codeAt(guest, rip)}, ring ${ringOf(travel)}`, ...inlinedLines(guest, rip), ...taskLines(task)]) out.write(`  ${line}\n`);
  const names = parsed.has('all') ? [...registers.keys()] : COMMON;
  const cells = names.map((name) => [name.padEnd(6), `0x${(registers.get(name) ?? 0n).toString(16)}`]);
  const rows: string[][] = [];
  for (let i = 0; i < cells.length; i += 3) rows.push(cells.slice(i, i + 3).flat());
  for (const line of table(rows)) out.write(`${line.trimEnd()}\n`);
  for (const { kind, address, length, bytes } of memory) {
    out.write(`${kind} 0x${address.toString(16)}, ${length} bytes${bytes.length < length ? `; only ${bytes.length} are mapped` : ''}\n`);
    for (let at = 0; at < bytes.length; at += 16) {
      const line = bytes.subarray(at, at + 16);
      const hex = Array.from(line, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
      const text = String.fromCharCode(...Array.from(line, (byte) => (byte >= 0x20 && byte < 0x7f ? byte : 0x2e)));
      out.write(`  ${(address + BigInt(at)).toString(16).padStart(16, '0')}  ${hex.padEnd(47)}  ${text}\n`);
    }
  }
  return exitCode('ok');
}

function read(travel: TimeTravel, { kind, address, length }: Asked): Uint8Array {
  if (kind === 'linear') return readLinear(travel.machine, address, length);
  const { ramBytes } = travel.machine.core;
  if (address >= BigInt(ramBytes)) throw new UsageError(`--physical 0x${address.toString(16)}: memory ends at 0x${ramBytes.toString(16)}`, 'state');
  return readPhysical(travel.machine, Number(address), Math.min(length, ramBytes - Number(address)));
}

function whereOf(parsed: Arguments): (travel: TimeTravel) => void {
  const text = parsed.text('at') ?? 'end';
  const go = placeOf(parsed.operands[0], text);
  if (go === undefined) throw parsed.wrong('at', text, PLACE_FORMS);
  return go;
}

function ranges(parsed: Arguments, name: string, kind: Asked['kind']): Asked[] {
  return parsed.all(name).map((text) => {
    const match = /^(0x[0-9a-f]{1,16}|\d{1,15})(?:,(\d+|0x[0-9a-f]+))?$/i.exec(text);
    const length = match === null ? NaN : Number(match[2] ?? 64);
    if (match === null || !(length >= 1 && length <= MEMORY_BYTES_MAX)) throw parsed.wrong(name, text, `an address and a number of bytes up to ${MEMORY_BYTES_MAX}, such as 0x1000,256`);
    return { kind, address: BigInt(match[1]), length };
  });
}

/** What `bisect` and `last-write` share: a recording opened for walking, with symbols; places, ranges and stores as text. */
import { basename } from 'node:path';
import { type AskedRange, AskedRangeError, askedRange } from '../../engine/debug/asked-range.ts';
import { type Before, valueText } from '../../engine/debug/beginning.ts';
import { ExpressionError } from '../../engine/debug/expression.ts';
import { type GuestSymbols, type SourceLine, guestSymbols } from '../../engine/debug/guest-symbols.ts';
import { readRegister } from '../../engine/debug/inspect.ts';
import { type LinuxTask, currentTask } from '../../engine/debug/linux.ts';
import { PLACE_FORMS, parsePlace } from '../../engine/debug/places.ts';
import type { Write } from '../../engine/debug/queries.ts';
import { SymbolError, type SymbolTable } from '../../engine/debug/symbols.ts';
import { DivergedError, SeekError, TimeTravel } from '../../engine/debug/time-travel.ts';
import type { LogEvent } from '../../engine/log/events.ts';
import { describeDivergence } from '../../engine/log/verify.ts';
import { Bookmarks } from '../debugger/bookmarks.ts';
import { findIndex, indexPath } from '../store/checkpoints.ts';
import { loadCore } from '../store/core-module.ts';
import { FileSource, readImage } from '../store/files.ts';
import { openImages } from '../store/guest-images.ts';
import { openRecording } from '../store/chains.ts';
import type { Arguments, OptionSpec } from './arguments.ts';
import { IMAGE_OPTIONS, JSON_OPTION, QUIET_OPTION, imagePlaces } from './common-options.ts';
import type { Context } from './context.ts';
import { lineOf } from './event-text.ts';
import { exitCode } from './exit-codes.ts';
import { grouped } from './format.ts';
import { toJson } from './output.ts';
import { UsageError } from './usage-error.ts';

export const SYMBOLS_OPTION: OptionSpec = {
  name: 'symbols',
  value: 'FILE',
  help: "names besides the kernel's: an ELF program of the guest's user space, or a kernel with symbols (ELF, System.map) instead of the recorded one",
  multiple: true,
};

export const COMMON_FIND_OPTIONS: readonly OptionSpec[] = [
  SYMBOLS_OPTION,
  ...IMAGE_OPTIONS,
  QUIET_OPTION,
  JSON_OPTION,
];

export const EXPRESSION_NOTES: readonly string[] = [
  'Expressions: u8 u16 u32 u64 s8 .. s64(ADDRESS) and [ADDRESS]:1|2|4|8 read memory, p8 .. p64(ADDRESS) guest-physical memory; length(POINTER[, OFFSET])',
  'counts a linked list; events("exit cpuid"), events("interrupt 0x20"), events("console TEXT") count those before, in the words of `debug`\'s catch;',
  'registers as `state --all` names them; position; symbols are their addresses (FILE:NAME if there are several);',
  '|| && == != < <= > >= & | ^ << >> + - * ! ( ).',
];

export interface Opened {
  readonly travel: TimeTravel;
  readonly symbols: SymbolTable;
}

export interface OpenedGuest extends Opened {
  readonly guest: GuestSymbols;
}

/** Runs a question about a recording; what is wrong with the question or the replay becomes a message and an exit code. Ctrl-C ends it at once: it changes nothing. */
export async function withRecording(verb: string, parsed: Arguments, context: Context, ask: (opened: OpenedGuest) => number | Promise<number>): Promise<number> {
  return context.signals.letThrough(async () => questioned(verb, parsed, context, ask));
}

async function questioned(verb: string, parsed: Arguments, context: Context, ask: (opened: OpenedGuest) => number | Promise<number>): Promise<number> {
  const { out, err } = context;
  const isQuiet = parsed.has('quiet');
  const source = new FileSource(parsed.operands[0], 'FILE');
  const { reader, torn, chain, paths } = openRecording(source, parsed.all('parent'));
  if (torn !== undefined && !isQuiet) err.write(`chronovisor: ${torn.message}\n`);
  const found = findIndex(source.path, reader, { chain, paths });
  const images = openImages(reader, imagePlaces(parsed));
  const travel = new TimeTravel({ reader, images, module: loadCore(), index: found.index });
  try {
    const guest = guestSymbolsOf(verb, parsed, travel, images.kernel, (text) => isQuiet || err.write(`chronovisor: ${text}\n`));
    const status = await ask({ travel, symbols: guest.table, guest });
    const problem = found.problem ?? travel.problem;
    if (problem !== undefined && !isQuiet) err.write(`chronovisor: ${indexPath(source.path)}: ${problem.message}. It was not used; \`chronovisor index\` makes it anew\n`);
    return status;
  } catch (error) {
    if (error instanceof SeekError || error instanceof ExpressionError) throw new UsageError(error.message, verb);
    if (!(error instanceof DivergedError)) throw error;
    const lines = describeDivergence(error.divergence);
    if (parsed.has('json')) out.write(`${toJson({ verb, file: source.path, result: 'diverged', divergence: lines, exitCode: exitCode('different') })}\n`);
    else err.write(`chronovisor: the recording does not replay up to there; \`chronovisor replay\` says more\n${lines.map((line) => `  ${line}\n`).join('')}`);
    return exitCode('different');
  }
}

/** Of the guest, and of the files of --symbols. Throws UsageError, DivergedError. */
export function guestSymbolsOf(verb: string, parsed: Arguments, travel: TimeTravel, kernel: Uint8Array, warn: (text: string) => void): GuestSymbols {
  const files = parsed.all('symbols').map((file) => ({ name: basename(file), bytes: readImage(file, '--symbols') }));
  try {
    const guest = guestSymbols(travel, kernel, files);
    if (guest.origin === 'none') warn(`addresses have no names: the kernel: ${guest.problem ?? 'it has no symbols'} (--symbols FILE)`);
    return guest;
  } catch (error) {
    if (!(error instanceof SymbolError)) throw error;
    throw new UsageError(`--symbols ${parsed.all('symbols').join(', ')}: ${error.message}`, verb);
  }
}

/** A place as parsePlace() has it; `mark:NAME` may be one of the person's own, too (FILE.marks). Undefined if it is none. */
export function placeOf(file: string, text: string): ((travel: TimeTravel) => void) | undefined {
  const go = parsePlace(text);
  if (go === undefined || !text.startsWith('mark:')) return go;
  return (travel) => {
    const mark = new Bookmarks(file, travel.reader.header.id).find(text.slice(5));
    if (mark === undefined) go(travel);
    else travel.seek(mark.position);
  };
}

/** Goes there. Throws SeekError, UsageError. */
export function goTo(travel: TimeTravel, parsed: Arguments, name: string, otherwise: string): number {
  const text = parsed.text(name) ?? otherwise;
  const go = placeOf(parsed.operands[0], text);
  if (go === undefined) throw parsed.wrong(name, text, PLACE_FORMS);
  go(travel);
  return travel.position;
}

/** `ADDRESS[,BYTES]` or a symbol, worked out at the cursor. Throws UsageError, ExpressionError. */
export function rangeOf({ travel, symbols }: Opened, text: string, isPhysical: boolean, verb: string): AskedRange {
  try {
    return askedRange(travel, symbols, text, isPhysical);
  } catch (error) {
    if (!(error instanceof AskedRangeError)) throw error;
    throw new UsageError(`${error.kind === 'beyond' ? '--physical ' : ''}${error.message}${error.kind === 'unmapped' ? ': say when it is (--before, --to), or give --physical' : ''}`, verb);
  }
}

/** What tells names, and lines of the source if it knows them. */
export interface Names {
  tell(address: bigint): string;
  lineOf?(address: bigint): SourceLine | undefined;
}

/** `tty_write+0x33 (0xffffffff80104b03)`, and ` at kernel/tty.c:40` where that is known. */
export function codeAt(names: Names, address: bigint): string {
  const name = names.tell(address);
  const source = names.lineOf?.(address);
  return `${name.startsWith('0x') ? name : `${name} (0x${address.toString(16)})`}${source === undefined ? '' : ` at ${source.file}:${source.line}`}`;
}

/** Functions that were inlined around the code at an address, as a line; none if there are none. */
export function inlinedLines(guest: GuestSymbols, address: bigint): readonly string[] {
  const frames = guest.framesOf?.(address) ?? [];
  if (frames.length < 2) return [];
  return [`inlined           ${frames.map(({ function: name, source }) => `${name ?? '?'}${source === undefined ? '' : ` ${source.file}:${source.line}`}`).join(', into ')}`];
}

/** `task              grep, pid 86`, or nothing if the guest is no Linux. */
export function taskLines(task: LinuxTask | undefined): readonly string[] {
  return task === undefined ? [] : [`task              ${taskText(task)}`];
}

export function taskText({ comm, pid, tgid }: LinuxTask): string {
  return `${comm}, pid ${tgid}${pid === tgid ? '' : `, thread ${pid}`}`;
}

export function taskAt({ travel, guest }: OpenedGuest): LinuxTask | undefined {
  return currentTask(travel.machine, guest);
}

export function writeText(names: Names, write: Write): string {
  const by = write.by === 'instruction' ? codeAt(names, write.rip) : `a ${write.by}, before ${codeAt(names, write.rip)}`;
  return `@${grouped(write.position)}  ${by}, ring ${write.cpl}, ${write.size} byte${write.size === 1 ? '' : 's'} at physical 0x${write.paddr.toString(16)}: ${valueText(write.before)} -> ${valueText(write.after)}`;
}

export function writeJson(names: Names, write: Write): object {
  return { ...write, symbol: names.tell(write.rip), source: names.lineOf?.(write.rip) };
}

export interface Surroundings {
  readonly mark: string | undefined;
  readonly interrupt: string | undefined;
  readonly event: string | undefined;
  readonly console: string | undefined;
}

/** What the log tells of the time before, as text. */
export function surroundings({ event, interrupt, mark, console }: Before): Surroundings {
  const text = (one: LogEvent | undefined): string | undefined => (one === undefined ? undefined : lineOf(one).replace(/\s+/g, ' '));
  return { mark: text(mark), interrupt: text(interrupt), event: text(event), console: console === undefined ? undefined : `@${console.position} ${JSON.stringify(console.text)}` };
}

export function surroundingLines(around: Surroundings): string[] {
  return [
    ...(around.event === undefined ? [] : [`event before      ${around.event}`]),
    ...(around.interrupt === undefined ? [] : [`interrupt before  ${around.interrupt}`]),
    ...(around.console === undefined ? [] : [`console before    ${around.console}`]),
    ...(around.mark === undefined ? [] : [`mark before       ${around.mark}`]),
  ];
}

export function ringOf(travel: TimeTravel): number {
  return Number(readRegister(travel.machine, 'cpl') ?? 0n);
}

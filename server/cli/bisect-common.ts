/** What `bisect` and `last-write` share: a recording opened for walking, with symbols; places, ranges and stores as text. */
import { basename } from 'node:path';
import { type Before, valueText } from '../../engine/debug/beginning.ts';
import { ExpressionError, parseExpression } from '../../engine/debug/expression.ts';
import { ExpressionView } from '../../engine/debug/expression-view.ts';
import { type GuestSymbols, type SourceLine, guestSymbols } from '../../engine/debug/guest-symbols.ts';
import { type PhysicalRange, physicalRanges, readRegister } from '../../engine/debug/inspect.ts';
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

export const RANGE_BYTES_MAX = 65_536;

export interface AskedRange {
  readonly address: bigint;
  readonly length: number;
  readonly ranges: readonly PhysicalRange[];
}

/** `ADDRESS[,BYTES]` or a symbol, worked out at the cursor. Throws UsageError, ExpressionError. */
export function rangeOf({ travel, symbols }: Opened, text: string, isPhysical: boolean, verb: string): AskedRange {
  const comma = lastComma(text);
  const place = (comma < 0 ? text : text.slice(0, comma)).trim();
  const address = parseExpression(place, symbols).value(new ExpressionView(travel.machine));
  if (address === undefined) throw new UsageError(`"${place}" reads memory that is not mapped at @${travel.position}`, verb);
  let length = 8;
  if (comma >= 0) {
    const bytes = text.slice(comma + 1).trim();
    length = /^(0x[0-9a-f]{1,8}|\d{1,9})$/i.test(bytes) ? Number(bytes) : NaN;
    if (!(length >= 1 && length <= RANGE_BYTES_MAX)) throw new UsageError(`"${text}": after the comma comes a number of bytes from 1 to ${RANGE_BYTES_MAX}`, verb);
  } else if (/^[A-Za-z_.$][\w.$]*(:[A-Za-z_.$][\w.$]*)?$/.test(place) && (symbols.has(place) || place.includes(':'))) {
    const { size } = symbols.find(place);
    if (size > 0) length = Math.min(size, RANGE_BYTES_MAX);
  }
  if (address < 0n || address >= 1n << 64n) throw new UsageError(`"${place}" is ${address}, which is no address`, verb);
  const { ramBytes } = travel.machine.core;
  if (isPhysical && address + BigInt(length) > BigInt(ramBytes)) throw new UsageError(`--physical 0x${address.toString(16)}: memory ends at 0x${ramBytes.toString(16)}`, verb);
  const ranges = isPhysical ? [{ paddr: Number(address), length }] : physicalRanges(travel.machine, address, length);
  if (ranges.length === 0) throw new UsageError(`0x${address.toString(16)} is not mapped to memory at @${travel.position}: say when it is (--before, --to), or give --physical`, verb);
  return { address, length, ranges };
}

/** Not one inside of brackets. */
function lastComma(text: string): number {
  let depth = 0;
  let last = -1;
  for (let i = 0; i < text.length; i++) {
    if ('(['.includes(text[i])) depth++;
    if (')]'.includes(text[i])) depth--;
    if (text[i] === ',' && depth === 0) last = i;
  }
  return last;
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

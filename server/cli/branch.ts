/** `branch`: a what-if. Goes on from a moment of a recording with something changed, and records that run as a child. */
import { type BranchPoint, BranchError, branchPoint } from '../../engine/debug/branch-point.ts';
import { ExpressionError, parseExpression } from '../../engine/debug/expression.ts';
import { ExpressionView } from '../../engine/debug/expression-view.ts';
import { physicalRanges } from '../../engine/debug/inspect.ts';
import { PLACE_FORMS } from '../../engine/debug/places.ts';
import type { SymbolTable } from '../../engine/debug/symbols.ts';
import { DivergedError, SeekError, TimeTravel } from '../../engine/debug/time-travel.ts';
import { describeDivergence } from '../../engine/log/verify.ts';
import { Branch } from '../../engine/recording/branch.ts';
import { type Change, SETTABLE_REGISTERS, changeProblem } from '../../engine/recording/change.ts';
import { InputScript } from '../../engine/recording/input-script.ts';
import { type RunImages, decodeRecipe } from '../../engine/recording/recipe.ts';
import { type OpenedRecording, openRecording } from '../store/chains.ts';
import { findIndex, indexPath } from '../store/checkpoints.ts';
import { loadCore } from '../store/core-module.ts';
import { FileSink, FileSource, readImage } from '../store/files.ts';
import { openImages } from '../store/guest-images.ts';
import { ownPackage } from '../store/package-root.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { guestSymbolsOf, placeOf } from './bisect-common.ts';
import { IMAGE_OPTIONS, JSON_OPTION, QUIET_OPTION, imagePlaces } from './common-options.ts';
import type { Context, Verb } from './context.ts';
import { lineOf } from './event-text.ts';
import { exitCode, exitNameOfEnd } from './exit-codes.ts';
import { grouped, megabytes } from './format.ts';
import { monotonicMs, newLogId, turn } from './host.ts';
import { toJson } from './output.ts';
import { Progress } from './progress.ts';
import { signalStatus } from './signals.ts';
import { UsageError } from './usage-error.ts';

const SLICE_INSTRUCTIONS = 1_000_000;
/** How far past the end of its parent a branch runs at most, unless told. */
const PAST_THE_END = 1_000_000_000;
/** How long an interrupt line stays raised, instructions, unless told. */
const LINE_INSTRUCTIONS = 10_000;

const SPEC: VerbSpec = {
  name: 'branch',
  synopsis: 'FILE --at WHERE -o CHILD [options]',
  summary: 'Goes on from a moment of a recording with something changed, and records that run. FILE is not changed; CHILD holds what happens after that moment, and is replayed with FILE.',
  operands: { min: 1, max: 1 },
  options: [
    { name: 'at', value: 'WHERE', help: PLACE_FORMS },
    { name: 'output', short: 'o', value: 'CHILD', help: 'the log of the branch; never written over' },
    { name: 'set', value: 'REG=VALUE', help: `sets a register (${SETTABLE_REGISTERS.slice(-7).join(', ')} and the general ones); VALUE is an expression, as for \`bisect\``, multiple: true },
    { name: 'write', value: 'ADDRESS=HEX', help: 'writes bytes, in the order of memory, to an address or a symbol', multiple: true },
    { name: 'physical', help: 'with --write: the addresses are guest-physical' },
    { name: 'input', value: 'TEXT', help: 'types this, with \\n for the return key; @FILE types a file' },
    { name: 'interrupt', value: 'TIMING', help: 'TIMER+NS or TIMER-NS: the timer fires later or earlier; irqN[,INSTRUCTIONS]: raises a line for so long; @POSITION after it: there rather than at the branch', multiple: true },
    { name: 'inputs', value: 'keep|none', help: "keep offers the parent's later inputs again, at the same positions as far as the guest takes them (default: keep)" },
    { name: 'until', value: 'WHERE', help: 'ends the run at @POSITION, +INSTRUCTIONS, or when the console shows this text' },
    { name: 'symbols', value: 'FILE', help: 'an ELF file with the symbols of the guest (default: the kernel of the recording)' },
    ...IMAGE_OPTIONS,
    QUIET_OPTION,
    JSON_OPTION,
  ],
  notes: [
    'Without a change, and with the inputs kept, the child is the rest of its parent, record by record. The console of the branch goes to stdout (with --json, nowhere).',
    `A branch ends where its guest ends, where it waits for input that will not come, or ${PAST_THE_END / 1e9} x 10^9 instructions after the end of its parent. Exit codes: those of \`record\`.`,
    'A child needs its parent: it is looked for in the same folder by its identity, or given by --parent FILE.',
  ],
};

export const branch: Verb = { spec: SPEC, run: start };

/** A recording opened to branch from it, the cursor at --at. */
export interface BranchOpened {
  readonly recording: OpenedRecording;
  readonly travel: TimeTravel;
  readonly images: RunImages;
  readonly symbols: SymbolTable;
}

/** Returns an exit code if the recording does not replay up to there. Throws UsageError. */
export function openForBranch(verb: string, parsed: Arguments, { out, err }: Context): BranchOpened | number {
  const isQuiet = parsed.has('quiet');
  const at = parsed.text('at');
  if (at === undefined) throw new UsageError(`${verb} needs a moment to start from: --at WHERE (${PLACE_FORMS})`, verb);
  const go = placeOf(parsed.operands[0], at);
  if (go === undefined) throw parsed.wrong('at', at, PLACE_FORMS);
  const source = new FileSource(parsed.operands[0], 'FILE');
  const recording = openRecording(source, parsed.all('parent'));
  if (recording.torn !== undefined && !isQuiet) err.write(`chronovisor: ${recording.torn.message}\n`);
  const images = openImages(recording.reader, imagePlaces(parsed));
  const found = findIndex(source.path, recording.reader, recording);
  const travel = new TimeTravel({ reader: recording.reader, images, module: loadCore(), index: found.index });
  let symbols: SymbolTable;
  try {
    go(travel);
    symbols = guestSymbolsOf(verb, parsed, travel, images.kernel, (text) => isQuiet || err.write(`chronovisor: ${text}\n`)).table;
  } catch (error) {
    if (error instanceof SeekError) throw new UsageError(`--at: ${error.message}`, verb);
    if (!(error instanceof DivergedError)) throw error;
    const lines = describeDivergence(error.divergence);
    if (parsed.has('json')) out.write(`${toJson({ verb, file: source.path, result: 'diverged', divergence: lines, exitCode: exitCode('different') })}\n`);
    else err.write(`chronovisor: the recording does not replay up to there; \`chronovisor replay\` says more\n${lines.map((line) => `  ${line}\n`).join('')}`);
    return exitCode('different');
  }
  const problem = found.problem ?? travel.problem;
  if (problem !== undefined && !isQuiet) err.write(`chronovisor: ${indexPath(source.path)}: ${problem.message}. It was not used; \`chronovisor index\` makes it anew\n`);
  return { recording, travel, images, symbols };
}

export function pointOf(verb: string, { travel, recording, images }: BranchOpened): BranchPoint {
  try {
    return branchPoint(travel, recording.chain, images, loadCore());
  } catch (error) {
    if (error instanceof BranchError) throw new UsageError(`--at: ${error.message}`, verb);
    throw error;
  }
}

interface AskedChange {
  readonly position: number;
  readonly change: Change;
}

async function start(parsed: Arguments, context: Context): Promise<number> {
  const { out, err, signals } = context;
  const isJson = parsed.has('json');
  const isQuiet = parsed.has('quiet');
  const output = parsed.text('output');
  if (output === undefined) throw new UsageError('branch needs a name for the child: -o CHILD', 'branch');
  const inputs = parsed.text('inputs') ?? 'keep';
  if (inputs !== 'keep' && inputs !== 'none') throw parsed.wrong('inputs', inputs, 'keep or none');
  const until = untilOf(parsed);
  const typed = typedOf(parsed);
  if (typed !== undefined && typed.length > TYPED_BYTES_MAX) throw new UsageError(`--input: ${typed.length} bytes are more than the ${TYPED_BYTES_MAX} that may wait for the guest`, 'branch');
  const opened = openForBranch('branch', parsed, context);
  if (typeof opened === 'number') return opened;
  const { travel, recording, images } = opened;
  // Expressions are about the moment of the branch.
  const changes = [...registersOf(parsed, opened), ...memoryOf(parsed, opened), ...timingOf(parsed, travel.position)];
  for (const { change } of changes) {
    const problem = changeProblem(travel.machine, change);
    if (problem !== undefined) throw new UsageError(problem, 'branch');
  }
  for (const { position } of changes) if (position < travel.position) throw new UsageError(`--interrupt: @${position} is before the branch at @${travel.position}`, 'branch');
  if (until.position !== undefined && until.position(travel.position) <= travel.position) throw new UsageError(`--until: @${until.position(travel.position)} is not after the branch at @${travel.position}`, 'branch');
  const point = pointOf('branch', opened);
  const at = point.checkpoint.state.position;

  const sink = new FileSink(output, '-o');
  const shown: number[] = [];
  const script = until.text === undefined ? undefined : new InputScript([{ kind: 'until', text: until.text }]);
  const run = new Branch({
    recipe: decodeRecipe(recording.reader.header),
    images,
    module: loadCore(),
    outputs: {
      console: (byte) => {
        shown.push(byte);
        script?.output(byte);
      },
    },
    parent: recording.reader,
    records: point.checkpoint.state.records,
    start: point.start,
    changes,
    typed,
    inputs,
    log: { sink, id: newLogId(), product: `chronovisor ${ownPackage().version}` },
  });
  const limit = until.position?.(at) ?? recording.reader.lastPosition + PAST_THE_END;
  const progress = new Progress(err, !isQuiet);
  const startMs = monotonicMs();
  let end: { readonly reason: string; readonly detail: string; readonly digest: string } | undefined;
  let name = exitCode('ok');
  try {
    while (end === undefined) {
      const status = run.step(Math.min(SLICE_INSTRUCTIONS, limit - run.position));
      if (!isJson && !isQuiet && shown.length > 0) {
        progress.clear();
        out.write(Uint8Array.from(shown));
      }
      shown.length = 0;
      if (status.kind === 'ended') {
        end = status;
        name = exitCode(exitNameOfEnd(status.reason, status.detail));
      } else if (signals.received !== undefined) {
        end = run.stop('user', `stopped by ${signals.received}`);
        name = signalStatus(signals.received);
      } else if (script?.poll().end !== undefined) end = run.stop('limit', `the console showed ${JSON.stringify(until.text)}`);
      else if (status.kind === 'waiting') {
        end = run.stop('limit', 'the guest waits for input that will not come');
        name = exitCode('waiting');
      } else if (run.position >= limit) end = run.stop('limit', `@${limit} was reached`);
      progress.update({ position: run.position, virtualNs: run.machine.nowNs(), fraction: undefined });
      await turn();
    }
  } finally {
    progress.clear();
    sink.close();
  }
  const { recorder } = run;
  const seconds = (monotonicMs() - startMs) / 1000;
  const parting = run.parting;
  if (isJson) {
    out.write(
      `${toJson({
        verb: 'branch', file: parsed.operands[0], child: output, id: recorder.header?.id, parent: recorder.header?.parent, changes, inputs, end, position: run.position, records: recorder.records,
        bytes: recorder.logBytes, parting: parting && { position: parting.position, parent: parting.expected && lineOf(parting.expected), child: parting.actual && lineOf(parting.actual) }, seconds, exitCode: name,
      })}\n`,
    ); // prettier-ignore
    return name;
  }
  if (isQuiet) return name;
  err.write(`\nchronovisor: ${end.reason}${end.detail === '' ? '' : `: ${end.detail}`}\n`);
  err.write(`  ${output}: from @${grouped(at)} to @${grouped(run.position)}, ${grouped(recorder.records)} events, ${megabytes(recorder.logBytes)}, digest ${end.digest}\n`);
  for (const { position, change } of changes) err.write(`  change   ${oneLine(lineOf({ kind: 'input', position: position as never, input: change }))}\n`);
  if (parting === undefined) err.write('  it made the events of its parent\n');
  else {
    err.write(`  parent   ${parting.expected === undefined ? 'nothing' : oneLine(lineOf(parting.expected))}\n`);
    err.write(`  child    ${parting.actual === undefined ? 'nothing' : oneLine(lineOf(parting.actual))}\n`);
  }
  return name;
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ');

/** `@N`, `+N`, or a text. */
export function untilOf(parsed: Arguments): { readonly position?: (at: number) => number; readonly text?: string } {
  const text = parsed.text('until');
  if (text === undefined) return {};
  const match = /^([@+])(\d+(?:_\d+)*)$/.exec(text);
  if (match === null) {
    if (text === '') throw parsed.wrong('until', text, '@1234567, +1000000 or a text');
    return { text };
  }
  const number = Number(match[2].replaceAll('_', ''));
  if (!Number.isSafeInteger(number)) throw parsed.wrong('until', text, '@1234567, +1000000 or a text');
  return { position: (at) => (match[1] === '@' ? number : at + number) };
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', e: '\x1b', '\\': '\\' };

function typedOf(parsed: Arguments): Uint8Array | undefined {
  const text = parsed.text('input');
  if (text === undefined) return undefined;
  if (text.startsWith('@')) return readImage(text.slice(1), '--input');
  const plain = text.replace(/\\(x[0-9a-fA-F]{2}|.)/g, (whole, code: string) => (code.length === 3 ? String.fromCharCode(parseInt(code.slice(1), 16)) : (ESCAPES[code] ?? whole)));
  return new TextEncoder().encode(plain);
}

/** What waits for a guest at most: Recorder.input(). */
const TYPED_BYTES_MAX = 1 << 20;

function valueOf(text: string, option: string, { travel, symbols }: BranchOpened): bigint {
  try {
    const value = parseExpression(text, symbols).value(new ExpressionView(travel.machine));
    if (value === undefined) throw new UsageError(`--${option}: "${text}" reads memory that is not mapped at @${travel.position}`, 'branch');
    return value;
  } catch (error) {
    if (error instanceof ExpressionError) throw new UsageError(`--${option}: ${error.message}`, 'branch');
    throw error;
  }
}

function registersOf(parsed: Arguments, opened: BranchOpened): AskedChange[] {
  return parsed.all('set').map((text) => {
    const match = /^\s*([\w.]+)\s*=(?!=)(.+)$/s.exec(text);
    if (match === null) throw parsed.wrong('set', text, 'REG=VALUE, such as rax=5 or rip=panic');
    const register = match[1].toLowerCase();
    return { position: opened.travel.position, change: { kind: 'register', register, value: BigInt.asUintN(64, valueOf(match[2], 'set', opened)) } };
  });
}

function memoryOf(parsed: Arguments, opened: BranchOpened): AskedChange[] {
  if (parsed.has('physical') && !parsed.has('write')) throw new UsageError('--physical is for --write', 'branch');
  return parsed.all('write').flatMap((text) => {
    const match = /^(.+?)=((?:0x)?[0-9a-fA-F\s]+)$/.exec(text);
    const hex = match?.[2].replace(/^0x|\s+/g, '') ?? '';
    if (match === null || hex.length === 0 || hex.length % 2 !== 0) throw parsed.wrong('write', text, 'ADDRESS=HEX with two digits a byte, such as jobs_done=05000000');
    const bytes = Uint8Array.from({ length: hex.length / 2 }, (_, i) => parseInt(hex.slice(i * 2, i * 2 + 2), 16));
    const address = valueOf(match[1], 'write', opened);
    const { travel } = opened;
    const { position } = travel;
    if (parsed.has('physical')) return [{ position, change: { kind: 'memory', address: Number(address), bytes } as const }];
    const ranges = physicalRanges(travel.machine, BigInt.asUintN(64, address), bytes.length);
    if (ranges.reduce((sum, { length }) => sum + length, 0) !== bytes.length) throw new UsageError(`--write: 0x${address.toString(16)} is not mapped to memory at @${position}, or not all of it; give --physical for a guest-physical address`, 'branch');
    let from = 0;
    return ranges.map(({ paddr, length }): AskedChange => ({ position, change: { kind: 'memory', address: paddr, bytes: bytes.subarray(from, (from += length)) } }));
  });
}

function timingOf(parsed: Arguments, at: number): AskedChange[] {
  return parsed.all('interrupt').flatMap((text): AskedChange[] => {
    const wrong = (): UsageError => parsed.wrong('interrupt', text, 'TIMER+NS, TIMER-NS or irqN[,INSTRUCTIONS], and @POSITION after it if it is not to be at the branch: pit+250000, irq4@1234567');
    const match = /^(?:irq(\d{1,2})(?:,(\d+(?:_\d+)*))?|([\w.-]+?)([+-]\d+(?:_\d+)*))(?:@(\d+(?:_\d+)*))?$/.exec(text);
    if (match === null) throw wrong();
    const number = (digits: string): number => Number(digits.replaceAll('_', ''));
    const position = match[5] === undefined ? at : number(match[5]);
    if (match[1] === undefined) return [{ position, change: { kind: 'timer-shift', timer: match[3], ns: number(match[4]) } }];
    const line = Number(match[1]);
    const length = match[2] === undefined ? LINE_INSTRUCTIONS : number(match[2]);
    if (!(length >= 1)) throw wrong();
    const change = (asserted: boolean): Change => ({ kind: 'line', line, asserted });
    return [{ position, change: change(true) }, { position: position + length, change: change(false) }];
  });
}

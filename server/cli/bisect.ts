/** `bisect`: the position of a recording at which something begins, and the instruction that did it. */
import { type BeginningAsked, findBeginningInParallel, sceneOf, stackNames } from '../../engine/debug/beginning.ts';
import { methodOf } from '../../engine/debug/bisect.ts';
import { type Expression, parseExpression } from '../../engine/debug/expression.ts';
import { GENERAL_REGISTERS } from '../../engine/debug/inspect.ts';
import { Bookmarks } from '../debugger/bookmarks.ts';
import { DebuggerError } from '../debugger/error.ts';
import { StoreError } from '../store/errors.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { COMMON_FIND_OPTIONS, EXPRESSION_NOTES, type OpenedGuest, codeAt, goTo, inlinedLines, rangeOf, surroundingLines, surroundings, taskLines, withRecording, writeJson, writeText } from './bisect-common.ts';
import { framesJson, madeText } from './backtrace.ts';
import type { Context, Verb } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { grouped, table } from './format.ts';
import { monotonicMs, turn } from './host.ts';
import { JOBS_OPTION, withCrew } from './jobs.ts';
import { toJson } from './output.ts';
import { UsageError } from './usage-error.ts';
import type { Crew } from '../workers/crew.ts';

const QUESTIONS = ['when', 'panic', 'console', 'corrupt'] as const;
/** Stores to the same memory before the one that did it. */
const STORES_BEFORE = 3;
const CALLERS_SHOWN = 12;

const SPEC: VerbSpec = {
  name: 'bisect',
  synopsis: 'FILE --when EXPR [options]',
  summary: 'Finds where something begins in a recording, exact to the instruction.',
  operands: { min: 1, max: 1 },
  options: [
    { name: 'when', value: 'EXPR', help: 'the first position at which this is true, such as \'u32(jobs_done) > 5\'' },
    { name: 'stays', help: 'with --when: the position from which on it is true to the end of the search' },
    { name: 'panic', help: 'where the kernel begins to panic: its panic function, or what it prints' },
    { name: 'console', value: 'TEXT', help: 'where the serial console has printed this for the first time' },
    { name: 'corrupt', value: 'RANGE', help: 'the first store to ADDRESS[,BYTES] or a symbol; what the address means, it means at --to' },
    { name: 'physical', help: 'with --corrupt: the address is guest-physical' },
    { name: 'from', value: 'WHERE', help: 'where to begin: @POSITION, N%, mark:NAME (default: power-on)' },
    { name: 'to', value: 'WHERE', help: 'where to stop (default: end)' },
    { name: 'mark', value: 'NAME', help: 'of the mark that is made at the place, in FILE.marks (default: bisect-when, bisect-panic, ...)' },
    { name: 'no-mark', help: 'makes none' },
    JOBS_OPTION,
    ...COMMON_FIND_OPTIONS,
  ],
  notes: [
    ...EXPRESSION_NOTES,
    'What is about memory and events is found at the speed of a replay, less what the dirty sets rule out, and so is `rip == FUNCTION && ...`; else each instruction is looked at,',
    'about a million a second.',
  ],
};

export const bisectVerb: Verb = { spec: SPEC, run: async (parsed, context) => withRecording('bisect', parsed, context, (opened) => withCrew(parsed, context, (crew) => start(opened, parsed, context, crew))) };

async function start(opened: OpenedGuest, parsed: Arguments, context: Context, crew: Crew): Promise<number> {
  const { out } = context;
  const { travel, symbols, guest } = opened;
  const isJson = parsed.has('json');
  const asked = QUESTIONS.filter((name) => parsed.has(name));
  if (asked.length !== 1) throw new UsageError(`bisect needs one of --${QUESTIONS.join(', --')}${asked.length > 1 ? `, not ${asked.length}` : ''}`, 'bisect');
  if (parsed.has('stays') && asked[0] !== 'when') throw new UsageError('--stays goes with --when', 'bisect');
  const startMs = monotonicMs();
  const expression = parsed.has('when') ? parseExpression(parsed.text('when') ?? '', symbols, travel.reader) : undefined;
  const to = goTo(travel, parsed, 'to', 'end');
  const from = goTo(travel, parsed, 'from', '@0');
  if (from > to) throw new UsageError(`--from @${from} is after --to @${to}`, 'bisect');
  // What is corrupt is seen at the end, where its memory is mapped for certain.
  if (parsed.has('corrupt')) travel.seek(to);
  const question = questionOf(opened, parsed, expression);
  if (expression !== undefined && methodOf(expression, parsed.has('stays')) === 'every instruction' && !parsed.has('quiet')) {
    context.err.write(`chronovisor: the expression looks at registers, so every one of up to ${grouped(to - from)} instructions is looked at: about a second a million\n`);
  }
  const answer = await findBeginningInParallel(travel, crew.stretches(travel, turn), symbols, question, { from, to, span: `from @${grouped(from)} to @${grouped(to)}` });
  const seconds = (monotonicMs() - startMs) / 1000;
  if (typeof answer === 'string') {
    if (isJson) out.write(`${toJson({ verb: 'bisect', file: parsed.operands[0], result: 'not-found', message: answer, seconds, exitCode: exitCode('not-found') })}\n`);
    else out.write(`${answer} (${seconds.toFixed(1)} s)\n`);
    return exitCode('not-found');
  }
  const { position, isEffect } = answer;
  const { at, rip, ring, stores, stack, task, registers, before } = sceneOf(travel, guest, answer, { from, storesMax: STORES_BEFORE + 1 });
  const around = surroundings(before);
  const calls = stackNames(guest, stack);
  const mark = parsed.has('no-mark') ? undefined : makeMark(parsed, context, travel.reader.header.id, asked[0], position);
  if (isJson) {
    out.write(
      `${toJson({
        verb: 'bisect', file: parsed.operands[0], result: 'found', what: answer.title, position, method: answer.method, instruction: { position: at, rip, symbol: guest.tell(rip), source: guest.lineOf(rip), inlined: guest.framesOf?.(rip), ring }, task, calls, stack: framesJson(guest, stack), mark,
        stores: stores.map((write) => writeJson(guest, write)), before: around, registers: Object.fromEntries(registers), seconds, exitCode: 0,
      })}\n`,
    ); // prettier-ignore
    return exitCode('ok');
  }
  out.write(`@${grouped(position)}  ${answer.title}\n`);
  const lines = [`${isEffect ? 'by' : 'at'}                @${grouped(at)}  ${codeAt(guest, rip)}, ring ${ring}`, ...inlinedLines(guest, rip), ...taskLines(task)];
  calls.slice(1, CALLERS_SHOWN + 1).forEach((name, i) => lines.push(`${i === 0 ? 'called from       ' : '                  '}${name}${madeText(stack[i])}`));
  if (calls.length > CALLERS_SHOWN + 1) lines.push(`                  ... ${calls.length - CALLERS_SHOWN - 1} more: chronovisor backtrace ${parsed.operands[0]} --at @${at}`);
  stores.forEach((write, i) => lines.push(`${i === 0 ? (write.position === at ? 'store            ' : 'last store       ') : i === 1 ? 'stores before    ' : '                 '} ${writeText(guest, write)}`));
  lines.push(...surroundingLines(around));
  if (mark !== undefined) lines.push(`mark              ${mark}, at @${grouped(position)}: --at mark:${mark}`);
  for (const line of lines) out.write(`  ${line}\n`);
  const cells = ['rip', 'rflags', ...GENERAL_REGISTERS, 'cr2', 'cr3'].map((name) => [name.padEnd(6), `0x${(registers.get(name) ?? 0n).toString(16)}`]);
  out.write(`registers before it ran, @${grouped(at)}\n`);
  const rows: string[][] = [];
  for (let i = 0; i < cells.length; i += 4) rows.push(cells.slice(i, i + 4).flat());
  for (const line of table(rows)) out.write(`${line.trimEnd()}\n`);
  if (!parsed.has('quiet')) context.err.write(`chronovisor: ${answer.method}; ${seconds.toFixed(1)} s\n`);
  return exitCode('ok');
}

function questionOf(opened: OpenedGuest, parsed: Arguments, expression: Expression | undefined): BeginningAsked {
  if (expression !== undefined) return { kind: 'when', expression, stays: parsed.has('stays') };
  if (parsed.has('panic')) return { kind: 'panic' };
  const text = parsed.text('console');
  if (text === '') throw new UsageError('--console needs a text that is not empty', 'bisect');
  if (text !== undefined) return { kind: 'console', text };
  return { kind: 'store', ...rangeOf(opened, parsed.text('corrupt') ?? '', parsed.has('physical'), 'bisect') };
}

/** Its name. Where no file can be written beside the recording, there is none. */
function makeMark(parsed: Arguments, { err }: Context, id: string, question: string, position: number): string | undefined {
  try {
    const bookmarks = new Bookmarks(parsed.operands[0], id);
    const name = parsed.text('mark') ?? freeName(bookmarks, `bisect-${question}`, position);
    bookmarks.set(name, position);
    return name;
  } catch (error) {
    if (error instanceof DebuggerError) throw new UsageError(`--mark: ${error.message}`, 'bisect');
    if (!(error instanceof StoreError)) throw error;
    if (!parsed.has('quiet')) err.write(`chronovisor: no mark was made: ${error.message}\n`);
    return undefined;
  }
}

/** The name, or with the first number that no mark of another place has. */
function freeName(bookmarks: Bookmarks, name: string, position: number): string {
  for (let i = 1; ; i++) {
    const numbered = i === 1 ? name : `${name}-${i}`;
    const known = bookmarks.find(numbered);
    if (known === undefined || known.position === position) return numbered;
  }
}

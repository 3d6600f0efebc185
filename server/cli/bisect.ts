/** `bisect`: the position of a recording at which something begins, and the instruction that did it. */
import { bisect, findPanic, methodOf } from '../../engine/debug/bisect.ts';
import { rangesOf } from '../../engine/debug/bisect-scan.ts';
import { type Expression, parseExpression } from '../../engine/debug/expression.ts';
import { GENERAL_REGISTERS, type PhysicalRange, readRegister, readRegisters } from '../../engine/debug/inspect.ts';
import { type Write, writesBackward, writesForward } from '../../engine/debug/queries.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { COMMON_FIND_OPTIONS, EXPRESSION_NOTES, type OpenedGuest, chainText, codeAt, goTo, inlinedLines, rangeOf, ringOf, surroundingLines, surroundings, taskAt, taskLines, withRecording, writeJson, writeText } from './bisect-common.ts';
import type { Context, Verb } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { grouped, table } from './format.ts';
import { monotonicMs } from './host.ts';
import { toJson } from './output.ts';
import { UsageError } from './usage-error.ts';

const QUESTIONS = ['when', 'panic', 'console', 'corrupt'] as const;
/** Stores to the same memory before the one that did it. */
const STORES_BEFORE = 3;

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
    { name: 'corrupt', value: 'RANGE', help: 'the first store to ADDRESS[,BYTES] or a symbol' },
    { name: 'physical', help: 'with --corrupt: the address is guest-physical' },
    { name: 'from', value: 'WHERE', help: 'where to begin: @POSITION, N%, mark:NAME (default: power-on)' },
    { name: 'to', value: 'WHERE', help: 'where to stop (default: end)' },
    ...COMMON_FIND_OPTIONS,
  ],
  notes: [
    ...EXPRESSION_NOTES,
    'What is about memory alone is found at the speed of a replay, and so is `rip == FUNCTION && ...`; else each instruction is looked at, about a million a second.',
  ],
};

export const bisectVerb: Verb = { spec: SPEC, run: async (parsed, context) => withRecording('bisect', parsed, context, (opened) => start(opened, parsed, context)) };

interface Answer {
  readonly title: string;
  /** The first position where it is so. */
  readonly position: number;
  /** The instruction at the position before did it, rather than that it is about to run there. */
  readonly isEffect: boolean;
  readonly method: string;
  /** Memory that it is about. */
  readonly ranges: readonly PhysicalRange[];
}

function start(opened: OpenedGuest, parsed: Arguments, context: Context): number {
  const { out } = context;
  const { travel, symbols, guest } = opened;
  const isJson = parsed.has('json');
  const asked = QUESTIONS.filter((name) => parsed.has(name));
  if (asked.length !== 1) throw new UsageError(`bisect needs one of --${QUESTIONS.join(', --')}${asked.length > 1 ? `, not ${asked.length}` : ''}`, 'bisect');
  if (parsed.has('stays') && asked[0] !== 'when') throw new UsageError('--stays goes with --when', 'bisect');
  const startMs = monotonicMs();
  const expression = parsed.has('when') ? parseExpression(parsed.text('when') ?? '', symbols) : undefined;
  const to = goTo(travel, parsed, 'to', 'end');
  const from = goTo(travel, parsed, 'from', '@0');
  if (from > to) throw new UsageError(`--from @${from} is after --to @${to}`, 'bisect');
  const answer = answerOf(opened, parsed, context, expression, from, to);
  const seconds = (monotonicMs() - startMs) / 1000;
  if (typeof answer === 'string') {
    if (isJson) out.write(`${toJson({ verb: 'bisect', file: parsed.operands[0], result: 'not-found', message: answer, seconds, exitCode: exitCode('not-found') })}\n`);
    else out.write(`${answer} (${seconds.toFixed(1)} s)\n`);
    return exitCode('not-found');
  }
  const { position, isEffect } = answer;
  const stores: Write[] = [];
  if (isEffect && answer.ranges.length > 0) {
    for (const write of writesBackward(travel, answer.ranges, position, from)) if (stores.push(write) > STORES_BEFORE) break;
  }
  const at = isEffect ? position - 1 : position;
  travel.seek(at);
  // A delivery may come before the instruction that begins there: who stored knows.
  const rip = stores.at(0)?.position === at ? stores[0].rip : (readRegister(travel.machine, 'rip') ?? 0n);
  const ring = stores.at(0)?.position === at ? stores[0].cpl : ringOf(travel);
  const around = surroundings(opened, at);
  const calls = chainText(opened);
  const task = taskAt(opened);
  const registers = readRegisters(travel.machine);
  if (isJson) {
    out.write(
      `${toJson({
        verb: 'bisect', file: parsed.operands[0], result: 'found', what: answer.title, position, method: answer.method, instruction: { position: at, rip, symbol: guest.tell(rip), source: guest.lineOf(rip), inlined: guest.framesOf?.(rip), ring }, task, calls,
        stores: stores.map((write) => writeJson(guest, write)), before: around, registers: Object.fromEntries(registers), seconds, exitCode: 0,
      })}\n`,
    ); // prettier-ignore
    return exitCode('ok');
  }
  out.write(`@${grouped(position)}  ${answer.title}\n`);
  const lines = [`${isEffect ? 'by' : 'at'}                @${grouped(at)}  ${codeAt(guest, rip)}, ring ${ring}`, ...inlinedLines(guest, rip), ...taskLines(task)];
  if (calls.length > 1) lines.push(`called from       ${calls.slice(1).join(', ')}`);
  stores.forEach((write, i) => lines.push(`${i === 0 ? (write.position === at ? 'store            ' : 'last store       ') : i === 1 ? 'stores before    ' : '                 '} ${writeText(guest, write)}`));
  for (const line of [...lines, ...surroundingLines(around)]) out.write(`  ${line}\n`);
  const cells = ['rip', 'rflags', ...GENERAL_REGISTERS, 'cr2', 'cr3'].map((name) => [name.padEnd(6), `0x${(registers.get(name) ?? 0n).toString(16)}`]);
  out.write(`registers before it ran, @${grouped(at)}\n`);
  const rows: string[][] = [];
  for (let i = 0; i < cells.length; i += 4) rows.push(cells.slice(i, i + 4).flat());
  for (const line of table(rows)) out.write(`${line.trimEnd()}\n`);
  if (!parsed.has('quiet')) context.err.write(`chronovisor: ${answer.method}; ${seconds.toFixed(1)} s\n`);
  return exitCode('ok');
}

/** A text says why there is none. */
function answerOf(opened: OpenedGuest, parsed: Arguments, context: Context, expression: Expression | undefined, from: number, to: number): Answer | string {
  const { travel, symbols } = opened;
  const span = `from @${grouped(from)} to @${grouped(to)}`;
  if (expression !== undefined) {
    const stays = parsed.has('stays');
    const method = methodOf(expression, stays);
    if (method === 'every instruction' && !parsed.has('quiet')) context.err.write(`chronovisor: the expression looks at registers, so every one of up to ${grouped(to - from)} instructions is looked at: about a second a million\n`);
    const found = bisect(travel, expression, { from, to, stays });
    if (found.kind === 'none') return stays ? `${expression.text} is not true at @${grouped(to)}, so it does not stay true` : `${expression.text} is never true ${span}`;
    const how = found.method === 'memory' ? 'computed anew at each store to what it reads' : found.method;
    if (found.kind === 'from-start') return `${expression.text} is ${stays ? 'true all the time' : 'true already where the search begins'}, ${span}: it does not begin there`;
    travel.seek(found.position);
    return { title: `${expression.text} ${stays ? 'is true from here on' : 'is true for the first time'}`, position: found.position, isEffect: found.method !== 'breakpoint', method: how, ranges: found.method === 'memory' ? rangesOf(travel, expression) : [] };
  }
  if (parsed.has('panic')) {
    const panic = findPanic(travel, symbols);
    if (panic === undefined || panic.position < from || panic.position > to) return `the guest's kernel does not panic ${span}: it neither prints "PANIC: " or "Kernel panic" nor enters panic()`;
    return { title: `the kernel panics: ${panic.how}`, position: panic.position, isEffect: false, method: 'console text and breakpoints', ranges: [] };
  }
  const text = parsed.text('console');
  if (text !== undefined) {
    if (text === '') throw new UsageError('--console needs a text that is not empty', 'bisect');
    travel.seek(from);
    const stop = travel.continue([{ kind: 'console', text }]);
    if (stop.kind !== 'stop-point' || stop.position > to) return `the serial console does not print ${JSON.stringify(text)} ${span}`;
    return { title: `the console prints the last byte of ${JSON.stringify(text)}`, position: stop.position, isEffect: false, method: 'the log alone', ranges: [] };
  }
  const range = rangeOf(opened, parsed.text('corrupt') ?? '', parsed.has('physical'), 'bisect');
  for (const write of writesForward(travel, range.ranges, from, to)) {
    return { title: `first store to 0x${range.address.toString(16)}, ${range.length} bytes, since @${grouped(from)}`, position: write.position + 1, isEffect: true, method: 'a watchpoint', ranges: range.ranges };
  }
  return `nothing stores to 0x${range.address.toString(16)}, ${range.length} bytes, ${span}`;
}

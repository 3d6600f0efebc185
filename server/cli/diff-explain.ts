/** `diff --explain`: from two recordings to the first instruction that makes them differ, and why. */
import { textOf } from '../../engine/debug/disassembler.ts';
import { type Cause, type ExplainedSide, explaining } from '../../engine/debug/explain.ts';
import { elfSymbolsOf } from '../../engine/debug/symbols.ts';
import { DivergedError, TimeTravel } from '../../engine/debug/time-travel.ts';
import type { LogEvent } from '../../engine/log/events.ts';
import { describeDivergence } from '../../engine/log/verify.ts';
import type { OpenedRecording } from '../store/chains.ts';
import { findIndex } from '../store/checkpoints.ts';
import { loadCore } from '../store/core-module.ts';
import { openImages } from '../store/guest-images.ts';
import type { Arguments } from './arguments.ts';
import { codeAt } from './bisect-common.ts';
import { imagePlaces } from './common-options.ts';
import type { Context } from './context.ts';
import { lineOf } from './event-text.ts';
import { exitCode } from './exit-codes.ts';
import { grouped, table } from './format.ts';
import { monotonicMs, turn } from './host.ts';
import { compareMachines } from './machine-state.ts';
import { toJson } from './output.ts';
import { signalStatus } from './signals.ts';

const TURN_MS = 50;

interface Side extends OpenedRecording {
  readonly file: string;
}

export async function explainDiff(a: Side, b: Side, parsed: Arguments, { out, err, signals }: Context): Promise<number> {
  const isJson = parsed.has('json');
  const rows = parsed.count('rows', 1) ?? 16;
  const [sideA, sideB] = [a, b].map((side) => {
    const images = openImages(side.reader, imagePlaces(parsed));
    const travel = new TimeTravel({ reader: side.reader, images, module: loadCore(), index: findIndex(side.file, side.reader, side).index });
    return { travel, symbols: elfSymbolsOf(images.kernel) };
  });
  const steps = explaining(sideA.travel, sideB.travel);
  let result: IteratorResult<unknown, ReturnType<typeof steps.next> extends IteratorResult<unknown, infer R> ? R : never>;
  let turned = monotonicMs();
  try {
    for (;;) {
      result = steps.next();
      if (result.done === true) break;
      if (monotonicMs() - turned < TURN_MS) continue;
      await turn();
      turned = monotonicMs();
      if (signals.received !== undefined) return signalStatus(signals.received);
    }
  } catch (error) {
    if (!(error instanceof DivergedError)) throw error;
    const lines = describeDivergence(error.divergence);
    if (isJson) out.write(`${toJson({ verb: 'diff', a: a.file, b: b.file, result: 'diverged', divergence: lines, exitCode: exitCode('different') })}\n`);
    else err.write(`chronovisor: one of the recordings does not replay, so nothing can be explained; \`chronovisor replay\` says more\n${lines.map((line) => `  ${line}\n`).join('')}`);
    return exitCode('different');
  }
  const explanation = result.value;
  const { divergence } = explanation;
  if (explanation.kind === 'same') {
    const status = divergence === undefined ? exitCode('ok') : exitCode('different');
    if (isJson) out.write(`${toJson({ verb: 'diff', a: a.file, b: b.file, isSame: divergence === undefined, explanation, exitCode: status })}\n`);
    else {
      out.write(`the guest sees the same up to @${grouped(explanation.position)}: ${explanation.level === 'guest' ? 'registers and memory' : 'registers'} at every moment that was looked at\n`);
      if (divergence !== undefined) for (const line of describeDivergence(divergence)) out.write(`  ${line.replace('expected:', 'A:').replace('actual:  ', 'B:')}\n`);
    }
    return status;
  }
  const { level, from, position, cause, fields, registers } = explanation;
  const state = compareMachines(sideA.travel.machine, sideB.travel.machine);
  const status = exitCode('different');
  if (isJson) {
    out.write(`${toJson({ verb: 'diff', a: a.file, b: b.file, isSame: false, explanation, pages: level === 'guest' ? state.pages : undefined, devices: state.devices, exitCode: status })}\n`);
    return status;
  }
  const lines = [`the first difference that the guest can see is at @${grouped(position)}; at @${grouped(from)} ${level === 'guest' ? 'registers and memory' : 'the registers'} are the same`];
  lines.push(`  cause             ${causeText(cause)}`);
  if (fields.length > 0) lines.push(`  the recordings    differ in ${fields.join(', ')}`);
  for (const [name, side, symbols] of [['A', explanation.a, sideA.symbols], ['B', explanation.b, sideB.symbols]] as const) {
    lines.push(`  ${name} executes        ${codeAt(symbols, side.rip)}: ${bytesOf(side)}  ${textOf(side.instruction)}`);
    lines.push(`    last event      ${eventText(side.before)}`);
    for (const event of side.events.slice(0, rows)) lines.push(`    then            ${eventText(event)}`);
  }
  lines.push(`  registers that differ at @${grouped(position)}: ${registers.length}`);
  lines.push(...table(registers.slice(0, rows).map(({ name, a: ofA, b: ofB }) => [`  ${name}`, `0x${ofA.toString(16)}`, `0x${ofB.toString(16)}`])).map((line) => `  ${line}`));
  if (level === 'guest') {
    lines.push(`  pages that differ: ${state.pages.length}`);
    for (const { page, address, a: ofA, b: ofB, count } of state.pages.slice(0, rows)) lines.push(`    0x${page.toString(16)}  ${count} bytes, the first at 0x${address.toString(16)}: 0x${ofA.toString(16)} 0x${ofB.toString(16)}`);
  }
  if (divergence !== undefined) lines.push('  the first event that differs:', `    A               ${eventText(divergence.expected)}`, `    B               ${eventText(divergence.actual)}`);
  out.write(`${lines.join('\n')}\n`);
  return status;
}

const bytesOf = ({ bytes }: ExplainedSide): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
const eventText = (event: LogEvent | undefined): string => (event === undefined ? 'none' : lineOf(event).replace(/\s+/g, ' '));

function causeText(cause: Cause): string {
  switch (cause.kind) {
    case 'input':
      return `what came from outside. A: ${eventText(cause.a)}; B: ${eventText(cause.b)}`;
    case 'code':
      return 'other code is executed';
    case 'read':
      return `the instruction reads ${cause.what}${cause.a === undefined && cause.b === undefined ? '' : `. A: ${eventText(cause.a)}; B: ${eventText(cause.b)}`}`;
    case 'event':
      return `a device or an interrupt. A: ${eventText(cause.a)}; B: ${eventText(cause.b)}`;
    case 'memory':
      return 'the instruction reads memory that differed before';
  }
}

/** `calls`: who called a function, with what, and what came back. */
import { ARGUMENT_REGISTERS, type FunctionCall, callsInParallel, nesting } from '../../engine/debug/calls.ts';
import type { VerbSpec } from './arguments.ts';
import { COMMON_FIND_OPTIONS, codeAt, withRecording } from './bisect-common.ts';
import type { Verb } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { grouped } from './format.ts';
import { turn } from './host.ts';
import { JOBS_OPTION, withCrew } from './jobs.ts';
import { toJson } from './output.ts';
import { SPAN_OPTIONS, addressOf, hexText, spanOf, takeAll } from './query-common.ts';

const SPEC: VerbSpec = {
  name: 'calls',
  synopsis: 'FILE FUNCTION... [options]',
  summary: 'Lists the calls of functions: arguments, caller, return value, how long; calls within others are indented.',
  operands: { min: 2, max: 32 },
  options: [
    { name: 'arguments', value: 'N', help: 'arguments that are shown, 0 to 6 (default: 3): the machine does not know how many there are' },
    ...SPAN_OPTIONS,
    JOBS_OPTION,
    ...COMMON_FIND_OPTIONS,
  ],
  notes: ['FUNCTION is a symbol or an address. Arguments are the registers of the System V ABI: rdi, rsi, rdx, rcx, r8, r9; the return value is rax.'],
};

export const calls: Verb = {
  spec: SPEC,
  run: async (parsed, context) => withRecording('calls', parsed, context, (opened) => withCrew(parsed, context, async (crew) => {
    const { travel, guest } = opened;
    const shown = parsed.count('arguments', 0) ?? 3;
    if (shown > ARGUMENT_REGISTERS.length) throw parsed.wrong('arguments', String(shown), `0 to ${ARGUMENT_REGISTERS.length}`);
    const span = spanOf(opened, parsed);
    const addresses = parsed.operands.slice(1).map((text) => addressOf(opened, text, 'calls'));
    const { rows, isCut } = await takeAll(callsInParallel(travel, crew.stretches(travel, turn), addresses, span), span.count);
    const status = exitCode(rows.length === 0 ? 'not-found' : 'ok');
    const depths = nesting(span.backward ? [...rows].reverse() : rows);
    const depth = (i: number): number => depths[span.backward ? rows.length - 1 - i : i];
    if (parsed.has('json')) {
      const told = rows.map((row, i) => ({ ...row, function: guest.tell(row.address), caller: guest.tell(row.returnsTo), depth: depth(i) }));
      context.out.write(`${toJson({ verb: 'calls', file: parsed.operands[0], calls: told, more: isCut, exitCode: status })}\n`);
      return status;
    }
    rows.forEach((row, i) => context.out.write(`${lineOf(row, depth(i))}\n`));
    if (rows.length === 0) context.out.write(`no call of ${parsed.operands.slice(1).join(', ')} from @${grouped(span.from)} to @${grouped(span.to)}\n`);
    if (isCut && !parsed.has('quiet')) context.err.write(`chronovisor: there are more: --count\n`);
    return status;

    function lineOf(row: FunctionCall, deep: number): string {
      const given = row.arguments.slice(0, shown).map(hexText).join(', ');
      const back = row.returned === undefined ? 'has not returned' : `= ${hexText(row.returned.value)} after ${grouped(row.returned.position - row.position)}`;
      return `@${grouped(row.position)}  ${'  '.repeat(deep)}${guest.tell(row.address)}(${given}) ${back}, from ${codeAt(guest, row.returnsTo)}`;
    }
  })),
}; // prettier-ignore

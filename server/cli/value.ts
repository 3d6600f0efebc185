/** `value`: what an expression is over a run: each change of it. */
import { parseExpression } from '../../engine/debug/expression.ts';
import { valuesInParallel } from '../../engine/debug/values.ts';
import type { VerbSpec } from './arguments.ts';
import { COMMON_FIND_OPTIONS, EXPRESSION_NOTES, codeAt, withRecording } from './bisect-common.ts';
import type { Verb } from './context.ts';
import { readRegister } from '../../engine/debug/inspect.ts';
import { exitCode } from './exit-codes.ts';
import { grouped } from './format.ts';
import { turn } from './host.ts';
import { JOBS_OPTION, withCrew } from './jobs.ts';
import { toJson } from './output.ts';
import { SPAN_OPTIONS, hexText, spanOf, takeAll } from './query-common.ts';

const SPEC: VerbSpec = {
  name: 'value',
  synopsis: 'FILE EXPR [options]',
  summary: 'Shows the value of an expression over a run: where it changes, to what, and after which instruction.',
  operands: { min: 2, max: 2 },
  options: [...SPAN_OPTIONS, JOBS_OPTION, ...COMMON_FIND_OPTIONS],
  notes: ['Memory alone is found at the speed of a replay; with registers each instruction is looked at, about a million a second.', ...EXPRESSION_NOTES],
};

export const value: Verb = {
  spec: SPEC,
  run: async (parsed, context) => withRecording('value', parsed, context, (opened) => withCrew(parsed, context, async (crew) => {
    const { travel, symbols, guest } = opened;
    const expression = parseExpression(parsed.operands[1], symbols, travel.reader);
    const span = spanOf(opened, parsed);
    const { rows, isCut } = await takeAll(valuesInParallel(travel, crew.stretches(travel, turn), expression, { ...span, to: Math.min(span.to, travel.last) }), span.count);
    // The instruction before made the change.
    const changes = rows.map((row) => {
      if (row.position === span.from) return { ...row, by: undefined };
      travel.seek(row.position - 1);
      return { ...row, by: readRegister(travel.machine, 'rip') };
    });
    if (parsed.has('json')) {
      const told = changes.map(({ position, value: is, by }) => ({
        position, value: is === undefined ? null : is < 0n ? String(is) : hexText(is), by, symbol: by === undefined ? undefined : guest.tell(by),
      })); // prettier-ignore
      context.out.write(`${toJson({ verb: 'value', file: parsed.operands[0], expression: expression.text, values: told, more: isCut, exitCode: 0 })}\n`);
      return exitCode('ok');
    }
    for (const { position, value: is, by } of changes) {
      const text = is === undefined ? 'no value' : is > -10n && is < 10n ? String(is) : `${is} (${is < 0n ? '-' : ''}${hexText(is < 0n ? -is : is)})`;
      context.out.write(`@${grouped(position)}  ${text}${by === undefined ? '' : `, after ${codeAt(guest, by)}`}\n`);
    }
    if (isCut && !parsed.has('quiet')) context.err.write(`chronovisor: there are more: --count\n`);
    return exitCode('ok');
  })),
}; // prettier-ignore

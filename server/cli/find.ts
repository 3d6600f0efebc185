/** `find`: every place of a run where something happens: stores, loads, instructions, exits, or when an expression is true first. */
import { valueText } from '../../engine/debug/beginning.ts';
import { bisectInParallel } from '../../engine/debug/bisect.ts';
import { parseExpression } from '../../engine/debug/expression.ts';
import { type Execution, type Read, type Write, exits, parallel } from '../../engine/debug/queries.ts';
import type { ExitEvent } from '../../engine/log/events.ts';
import { REASON_WORDS, reasonsOf } from '../../engine/log/reason-words.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { COMMON_FIND_OPTIONS, EXPRESSION_NOTES, type OpenedGuest, codeAt, rangeOf, withRecording, writeText } from './bisect-common.ts';
import type { Verb } from './context.ts';
import { lineOf, reasonName } from './event-text.ts';
import { exitCode } from './exit-codes.ts';
import { grouped } from './format.ts';
import { turn } from './host.ts';
import { JOBS_OPTION, withCrew } from './jobs.ts';
import { toJson } from './output.ts';
import { type Asked, SPAN_OPTIONS, addressOf, spanOf, takeAll } from './query-common.ts';
import { UsageError } from './usage-error.ts';
import type { Crew } from '../workers/crew.ts';

const WHAT = ['writes', 'reads', 'execs', 'exits', 'first'] as const;

const SPEC: VerbSpec = {
  name: 'find',
  synopsis: `FILE ${WHAT.map((name) => `--${name}`).join('|')} WHAT [options]`,
  summary: 'Lists where something happens in a run: who wrote or read memory, when code ran, which exits there were.',
  operands: { min: 1, max: 1 },
  options: [
    { name: 'writes', value: 'ADDRESS[,BYTES]|SYMBOL', help: 'stores there, also by devices' },
    { name: 'reads', value: 'ADDRESS[,BYTES]|SYMBOL', help: 'loads from there' },
    { name: 'execs', value: 'ADDRESS|SYMBOL', help: 'the instruction there begins to run', multiple: true },
    { name: 'exits', value: 'REASONS', help: 'io, mmio, cpuid, msr, cr, exception, hlt, ..., or all' },
    { name: 'first', value: 'EXPR', help: 'the first position at which it is true; `bisect` says more' },
    { name: 'physical', help: 'the address is guest-physical' },
    ...SPAN_OPTIONS,
    JOBS_OPTION,
    ...COMMON_FIND_OPTIONS,
  ],
  notes: EXPRESSION_NOTES,
};

export const find: Verb = {
  spec: SPEC,
  run: async (parsed, context) => withRecording('find', parsed, context, (opened) => withCrew(parsed, context, async (crew) => {
    const asked = WHAT.filter((name) => parsed.has(name));
    if (asked.length !== 1) throw new UsageError(`find needs one of ${WHAT.map((name) => `--${name}`).join(', ')}`, 'find');
    const span = spanOf(opened, parsed);
    const { rows, isCut } = await takeAll(found(opened, parsed, asked[0], span, crew), span.count);
    const status = exitCode(rows.length === 0 ? 'not-found' : 'ok');
    if (parsed.has('json')) {
      context.out.write(`${toJson({ verb: 'find', file: parsed.operands[0], what: asked[0], rows: rows.map(({ row }) => row), more: isCut, exitCode: status })}\n`);
      return status;
    }
    for (const { text } of rows) context.out.write(`${text}\n`);
    if (rows.length === 0) context.out.write(`nothing from @${grouped(span.from)} to @${grouped(span.to)}\n`);
    if (isCut && !parsed.has('quiet')) context.err.write('chronovisor: there are more: --count\n');
    return status;
  })),
}; // prettier-ignore

interface Found {
  readonly row: object;
  readonly text: string;
}

async function* found(opened: OpenedGuest, parsed: Arguments, what: (typeof WHAT)[number], span: Asked, crew: Crew): AsyncGenerator<Found> {
  const { travel, guest, symbols } = opened;
  const at = ({ position, rip, cpl }: Execution): string => `@${grouped(position)}  ${codeAt(guest, rip)}, ring ${cpl}`;
  switch (what) {
    case 'writes': {
      const { ranges } = rangeOf(opened, parsed.text('writes')!, parsed.has('physical'), 'find');
      const row = (write: Write): Found => ({ row: { ...write, symbol: guest.tell(write.rip) }, text: writeText(symbols, write) });
      for await (const write of parallel.writes(travel, crew.stretches(travel, turn), ranges, span)) yield row(write);
      return;
    }
    case 'reads': {
      const { ranges } = rangeOf(opened, parsed.text('reads')!, parsed.has('physical'), 'find');
      const text = (row: Read): string => `${at(row)}, ${row.size} byte${row.size === 1 ? '' : 's'} at physical 0x${row.paddr.toString(16)}: ${valueText(row.value)}`;
      for await (const row of parallel.reads(travel, crew.stretches(travel, turn), ranges, span)) yield { row: { ...row, symbol: guest.tell(row.rip) }, text: text(row) };
      return;
    }
    case 'execs': {
      const addresses = parsed.all('execs').map((text) => addressOf(opened, text, 'find'));
      for await (const row of parallel.execs(travel, crew.stretches(travel, turn), addresses, span)) yield { row: { ...row, symbol: guest.tell(row.rip) }, text: at(row) };
      return;
    }
    case 'exits': {
      const words = parsed.text('exits')!.split(',').filter((word) => word !== '');
      const reasons = words.includes('all') ? undefined : new Set(words.flatMap((word) => reasonsOf(word) ?? unknownReason(parsed, word)));
      const row = (event: ExitEvent): Found => ({ row: { ...event, reasonName: reasonName(event.reason), symbol: guest.tell(event.rip) }, text: `${lineOf(event)}  ${guest.tell(event.rip)}` });
      for (const event of exits(travel.reader, reasons === undefined ? {} : { reasons }, span)) yield row(event);
      return;
    }
    case 'first': {
      const expression = parseExpression(parsed.text('first')!, symbols, travel.reader);
      const answer = await bisectInParallel(travel, crew.stretches(travel, turn), expression, { from: span.from, to: Math.min(span.to, travel.last), stays: false });
      if (answer.kind === 'none') return;
      yield { row: answer, text: `@${grouped(answer.position)}${answer.kind === 'from-start' ? ', where the search starts' : ''}` };
      return;
    }
  }
}

function unknownReason(parsed: Arguments, word: string): never {
  throw parsed.wrong('exits', word, `reasons such as ${REASON_WORDS.join(', ')}, or all`);
}

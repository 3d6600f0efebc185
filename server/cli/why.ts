/** `why`: where a value comes from, back over each copy to what made it. */
import type { GuestSymbols } from '../../engine/debug/guest-symbols.ts';
import { readRegister } from '../../engine/debug/inspect.ts';
import { type WhyLink, type WhyStart, registerText, why as whyOf } from '../../engine/debug/why.ts';
import type { VerbSpec } from './arguments.ts';
import { COMMON_FIND_OPTIONS, type Opened, codeAt, goTo, rangeOf, withRecording } from './bisect-common.ts';
import type { Verb } from './context.ts';
import { lineOf } from './event-text.ts';
import { exitCode } from './exit-codes.ts';
import { grouped } from './format.ts';
import { register } from '../../engine/debug/def-use.ts';
import { toJson } from './output.ts';
import { hexText, take } from './query-common.ts';
import { UsageError } from './usage-error.ts';

const BYTES_MAX = 8;

const SPEC: VerbSpec = {
  name: 'why',
  synopsis: 'FILE --at WHERE REGISTER|ADDRESS[,BYTES]|SYMBOL [options]',
  summary: 'Shows where a value comes from: each store, load and move back to arithmetic, a constant, a device or an input.',
  operands: { min: 2, max: 2 },
  options: [
    { name: 'at', value: 'WHERE', help: '@POSITION, N%, event:N, mark:NAME or end (default: end)' },
    { name: 'count', value: 'N', help: 'links of the chain at most (default: 32)' },
    { name: 'look-back', value: 'N', help: 'instructions that are looked at for each register (default: 1_048_576)' },
    ...COMMON_FIND_OPTIONS,
  ],
  notes: [`REGISTER as assembly has it: rax, eax, al, xmm0. Memory: at most ${BYTES_MAX} bytes; where they were written apart, the last write is followed.`],
};

export const why: Verb = {
  spec: SPEC,
  run: async (parsed, context) => withRecording('why', parsed, context, (opened) => {
    const { travel, guest } = opened;
    const position = goTo(travel, parsed, 'at', 'end');
    const what = parsed.operands[1];
    const linksMax = parsed.count('count', 1);
    const instructionsMax = parsed.count('look-back', 1);
    const start = startOf(opened, what, 'why');
    const { rows } = take(whyOf(travel, start, { ...(linksMax === undefined ? {} : { linksMax }), ...(instructionsMax === undefined ? {} : { instructionsMax }) }), Infinity);
    if (parsed.has('json')) {
      context.out.write(`${toJson({ verb: 'why', file: parsed.operands[0], position, links: rows.map((row) => ({ ...row, symbol: row.rip === undefined ? undefined : guest.tell(row.rip) })), exitCode: 0 })}\n`);
      return exitCode('ok');
    }
    for (const row of rows) for (const line of linkLines(guest, row)) context.out.write(`${line}\n`);
    return exitCode('ok');
  }),
}; // prettier-ignore

/** REGISTER|ADDRESS[,BYTES]|SYMBOL, worked out at the cursor. Throws UsageError, ExpressionError. */
export function startOf(opened: Opened, what: string, verb: string): WhyStart {
  if (register(what) !== undefined || readRegister(opened.travel.machine, what) !== undefined) return { register: what };
  const { address, length } = rangeOf(opened, what, false, verb);
  if (length > BYTES_MAX) throw new UsageError(`"${what}" is ${length} bytes: say which ${BYTES_MAX} at most, such as ${hexText(address)},8`, verb);
  return { address, bytes: length };
}

export function linkLines(guest: GuestSymbols, link: WhyLink): readonly string[] {
  const { subject } = link;
  const where = subject.kind === 'register' || subject.linear !== undefined ? '' : `physical ${hexText(BigInt(subject.paddr))}`;
  const place = subject.kind === 'register' ? registerText(subject) : `${subject.bytes} byte${subject.bytes === 1 ? '' : 's'} at ${where || guest.tell(subject.linear!)}`;
  const is = link.value === undefined ? '' : ` = ${hexText(link.value)}`;
  const inputs = link.inputs.map(({ text, value }) => `${text}${value === undefined || text === hexText(value) ? '' : ` = ${hexText(BigInt.asUintN(64, value))}`}`).join(', ');
  const at = link.rip === undefined ? '' : ` ${link.instruction ?? ''}  ${codeAt(guest, link.rip)}`;
  const lines = [`@${grouped(link.position)}  ${place}${is} ◄ ${KIND_TEXT[link.kind]}${at}${inputs === '' ? '' : `: ${inputs}`}`];
  for (const event of link.events) lines.push(`    ${lineOf(event).replace(/\s+/g, ' ')}`);
  return lines;
}

const KIND_TEXT: Readonly<Record<WhyLink['kind'], string>> = {
  copy: 'copied by', computed: 'computed by', constant: 'a constant:', device: 'from a device:', machine: 'told by the CPU:', delivery: 'pushed by a delivery before', 'page walk': 'a page walk before',
  'power-on': 'as at power-on: nothing wrote it', unknown: 'an instruction that is not known:', lost: 'no instruction before wrote it as far as was looked (--look-back)',
}; // prettier-ignore

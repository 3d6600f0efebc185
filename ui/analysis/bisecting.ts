/** Where something begins: questions of the bisect page, and what there is to say about the place that was found. */
import { type AskedRange, AskedRangeError, askedRange } from '../../engine/debug/asked-range.ts';
import { type Before, type Beginning, type BeginningAsked, findBeginning, sceneOf, stackNames, valueText } from '../../engine/debug/beginning.ts';
import { textOf } from '../../engine/debug/disassembler.ts';
import { ExpressionError, parseExpression } from '../../engine/debug/expression.ts';
import type { GuestSymbols } from '../../engine/debug/guest-symbols.ts';
import { GENERAL_REGISTERS } from '../../engine/debug/inspect.ts';
import { instructionAt } from '../../engine/debug/listing.ts';
import { PLACE_FORMS, parsePlace } from '../../engine/debug/places.ts';
import type { Write } from '../../engine/debug/queries.ts';
import { SeekError, type TimeTravel } from '../../engine/debug/time-travel.ts';
import { type LogEvent, kindCode } from '../../engine/log/events.ts';
import type { BisectAnswer, BisectAsked } from '../../engine/protocol/analysis.ts';
import { eventText } from '../event-text.ts';
import { formatCount } from '../format.ts';
import { kindName } from '../kinds.ts';
import { Refusal } from '../refusal.ts';

/** Stores to the same memory that are shown. */
const STORES_MAX = 4;
const EXAMPLES = 'such as u64(ticks) > 100, rip == panic && cpl == 0 or length(u64(FILE.c:LIST)) > 3';

/** Moves the cursor. Throws Refusal, DivergedError. */
export function answerBisect(travel: TimeTravel, guest: GuestSymbols, asked: BisectAsked): BisectAnswer {
  try {
    const to = goTo(travel, asked.to, 'the end of the search');
    const from = goTo(travel, asked.from, 'the begin of the search');
    if (from > to) throw new Refusal(`the search would begin at @${formatCount(from)}, after its end at @${formatCount(to)}`, 'swap the two');
    const place = findBeginning(travel, guest.table, questionOf(travel, guest, asked), { from, to, span: `from @${formatCount(from)} to @${formatCount(to)}` });
    return typeof place === 'string' ? { kind: 'none', message: `${place.replace(/^(?:the|nothing) /, (word) => word.charAt(0).toUpperCase() + word.slice(1))}.` } : answerAt(travel, guest, place, from);
  } catch (error) {
    if (error instanceof ExpressionError) throw new Refusal(error.message, `write it anew, ${EXAMPLES}`);
    if (error instanceof SeekError) throw new Refusal(error.message, `a place is ${PLACE_FORMS}`);
    throw error;
  }
}

function goTo(travel: TimeTravel, text: string, what: string): number {
  const go = parsePlace(text.trim());
  if (go === undefined) throw new Refusal(`"${text}" is no place for ${what}`, `write ${PLACE_FORMS}`);
  go(travel);
  return travel.position;
}

function questionOf(travel: TimeTravel, { table }: GuestSymbols, { question, text }: BisectAsked): BeginningAsked {
  switch (question) {
    case 'when':
    case 'stays':
      return { kind: 'when', expression: parseExpression(text, table, travel.reader), stays: question === 'stays' };
    case 'panic':
      return { kind: 'panic' };
    case 'console':
      if (text === '') throw new Refusal('There is no text to look for', 'write what the serial console prints');
      return { kind: 'console', text };
    case 'store':
      return { kind: 'store', ...rangeOf(travel, table, text) };
    default:
      return question satisfies never;
  }
}

const RANGE_ADVICE: Readonly<Record<AskedRangeError['kind'], string>> = {
  empty: 'write a symbol or an address, and how many bytes: ticks,8',
  unreadable: 'begin the search later',
  length: 'write how many bytes after the comma: ticks,8',
  'no-address': 'write a symbol or an address',
  beyond: 'write an address of memory',
  unmapped: 'begin the search later, where the guest has mapped it',
};

function rangeOf(travel: TimeTravel, symbols: GuestSymbols['table'], text: string): AskedRange {
  try {
    return askedRange(travel, symbols, text, false);
  } catch (error) {
    if (!(error instanceof AskedRangeError)) throw error;
    throw new Refusal(error.message, RANGE_ADVICE[error.kind]);
  }
}

function answerAt(travel: TimeTravel, guest: GuestSymbols, place: Beginning, from: number): BisectAnswer {
  const { title, position, isEffect, method } = place;
  const { at, rip, ring, stores, stack, task, registers, before } = sceneOf(travel, guest, place, { from, storesMax: STORES_MAX });
  const source = guest.lineOf(rip);
  return {
    kind: 'found', title, position, method, calls: stackNames(guest, stack).slice(1),
    instruction: {
      position: at, isEffect, code: codeText(guest, rip), assembly: textOf(instructionAt(travel.machine, rip)), source: source === undefined ? undefined : `${source.file}:${source.line}`, ring,
    },
    task: task === undefined ? undefined : `${task.comm}, pid ${task.tgid}${task.pid === task.tgid ? '' : `, thread ${task.pid}`}`,
    stores: stores.map((write) => ({ position: write.position, text: storeText(guest, write) })),
    before: surroundings(before),
    registers: ['rip', 'rflags', ...GENERAL_REGISTERS, 'cr2', 'cr3'].map((name) => [name, `0x${(registers.get(name) ?? 0n).toString(16)}`] as const),
  };
}

export function codeText(guest: Pick<GuestSymbols, 'tell'>, address: bigint): string {
  const name = guest.tell(address);
  return name.startsWith('0x') ? name : `${name} (0x${address.toString(16)})`;
}

function storeText(guest: GuestSymbols, { by, rip, size, paddr, before, after }: Write): string {
  const who = by === 'instruction' ? codeText(guest, rip) : `a ${by}, before ${codeText(guest, rip)}`;
  return `${who}: ${valueText(before, 16)} → ${valueText(after, 16)}, ${size} byte${size === 1 ? '' : 's'} at physical 0x${paddr.toString(16)}`;
}

function surroundings({ event, interrupt, console, mark }: Before): { name: string; position: number; text: string }[] {
  const row = (name: string, one: LogEvent | undefined): { name: string; position: number; text: string }[] =>
    one === undefined ? [] : [{ name, position: one.position, text: `${kindName(kindCode(one.kind))}: ${eventText(one)}` }];
  return [
    ...row('event before', event),
    ...row('interrupt before', interrupt),
    ...(console === undefined ? [] : [{ name: 'console before', position: console.position, text: JSON.stringify(console.text) }]),
    ...row('mark before', mark),
  ];
}

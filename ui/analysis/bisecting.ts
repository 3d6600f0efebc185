/** Where something begins: questions of the bisect page, and what there is to say about the place that was found. */
import { bisect, findPanic } from '../../engine/debug/bisect.ts';
import { rangesOf } from '../../engine/debug/bisect-scan.ts';
import { textOf } from '../../engine/debug/disassembler.ts';
import { ExpressionError, parseExpression } from '../../engine/debug/expression.ts';
import { ExpressionView } from '../../engine/debug/expression-view.ts';
import type { GuestSymbols } from '../../engine/debug/guest-symbols.ts';
import { GENERAL_REGISTERS, type PhysicalRange, physicalRanges, readRegister, readRegisters } from '../../engine/debug/inspect.ts';
import { currentTask } from '../../engine/debug/linux.ts';
import { instructionAt } from '../../engine/debug/listing.ts';
import { PLACE_FORMS, parsePlace } from '../../engine/debug/places.ts';
import { type Write, callChain, consoleLineBefore, eventBefore, writesBackward, writesForward } from '../../engine/debug/queries.ts';
import { SeekError, type TimeTravel } from '../../engine/debug/time-travel.ts';
import { type LogEvent, kindCode } from '../../engine/log/events.ts';
import type { BisectAnswer, BisectAsked } from '../../engine/protocol/analysis.ts';
import { eventText } from '../event-text.ts';
import { formatCount } from '../format.ts';
import { kindName } from '../kinds.ts';
import { Refusal } from './refusal.ts';

/** Stores to the same memory that are shown. */
const STORES_MAX = 4;
const RANGE_BYTES_MAX = 65_536;
const EXAMPLES = 'such as u64(ticks) > 100, rip == panic && cpl == 0 or length(u64(FILE.c:LIST)) > 3';

interface Place {
  readonly title: string;
  readonly position: number;
  /** The instruction at the position before did it. */
  readonly isEffect: boolean;
  readonly method: string;
  readonly ranges: readonly PhysicalRange[];
}

/** Moves the cursor. Throws Refusal, DivergedError. */
export function answerBisect(travel: TimeTravel, guest: GuestSymbols, asked: BisectAsked): BisectAnswer {
  try {
    const to = goTo(travel, asked.to, 'the end of the search');
    const from = goTo(travel, asked.from, 'the begin of the search');
    if (from > to) throw new Refusal(`the search would begin at @${formatCount(from)}, after its end at @${formatCount(to)}`, 'swap the two');
    const place = placeOf(travel, guest, asked, from, to);
    return typeof place === 'string' ? { kind: 'none', message: place } : answerAt(travel, guest, place, from);
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

/** A text says why there is none. */
function placeOf(travel: TimeTravel, { table }: GuestSymbols, { question, text }: BisectAsked, from: number, to: number): Place | string {
  const span = `from @${formatCount(from)} to @${formatCount(to)}`;
  switch (question) {
    case 'when':
    case 'stays': {
      const stays = question === 'stays';
      const expression = parseExpression(text, table);
      const found = bisect(travel, expression, { from, to, stays });
      if (found.kind === 'none') return stays ? `${text} is not true at @${formatCount(to)}, so it does not stay true.` : `${text} is never true ${span}.`;
      if (found.kind === 'from-start') return `${text} is ${stays ? 'true all the time' : 'true already where the search begins'}, ${span}: it does not begin there.`;
      travel.seek(found.position);
      const isMemory = found.method === 'memory';
      return {
        title: `${text} ${stays ? 'is true from here on' : 'is true for the first time'}`, position: found.position, isEffect: found.method !== 'breakpoint',
        method: isMemory ? 'computed anew at each store to what it reads' : found.method, ranges: isMemory ? rangesOf(travel, expression) : [],
      };
    }
    case 'panic': {
      const panic = findPanic(travel, table);
      if (panic === undefined || panic.position < from || panic.position > to) return `The guest's kernel does not panic ${span}: it neither prints "PANIC: " or "Kernel panic" nor enters panic().`;
      return { title: `the kernel panics: ${panic.how}`, position: panic.position, isEffect: false, method: 'console text and breakpoints', ranges: [] };
    }
    case 'console': {
      if (text === '') throw new Refusal('There is no text to look for', 'write what the serial console prints');
      travel.seek(from);
      const stop = travel.continue([{ kind: 'console', text }]);
      if (stop.kind !== 'stop-point' || stop.position > to) return `The serial console does not print ${JSON.stringify(text)} ${span}.`;
      return { title: `the console prints the last byte of ${JSON.stringify(text)}`, position: stop.position, isEffect: false, method: 'the log alone', ranges: [] };
    }
    case 'store': {
      const { address, length, ranges } = rangeOf(travel, table, text);
      for (const write of writesForward(travel, ranges, from, to)) {
        return { title: `first store to 0x${address.toString(16)}, ${length} bytes`, position: write.position + 1, isEffect: true, method: 'a watchpoint', ranges };
      }
      return `Nothing stores to 0x${address.toString(16)}, ${length} bytes, ${span}.`;
    }
    default:
      return question satisfies never;
  }
}

/** `ADDRESS[,BYTES]` or a symbol, worked out at the cursor. */
function rangeOf(travel: TimeTravel, symbols: GuestSymbols['table'], text: string): { readonly address: bigint; readonly length: number; readonly ranges: readonly PhysicalRange[] } {
  const match = /^(.*?)(?:,\s*(0x[0-9a-f]{1,8}|\d{1,9}))?$/is.exec(text.trim());
  const place = (match?.[1] ?? '').trim();
  if (place === '') throw new Refusal('There is no address', 'write a symbol or an address, and how many bytes: ticks,8');
  const address = parseExpression(place, symbols).value(new ExpressionView(travel.machine));
  if (address === undefined) throw new Refusal(`"${place}" reads memory that is not mapped at @${formatCount(travel.position)}`, 'begin the search later');
  const length = match?.[2] === undefined ? (symbols.has(place) ? symbols.find(place).size || 8 : 8) : Number(match[2]);
  if (!(length >= 1 && length <= RANGE_BYTES_MAX)) throw new Refusal(`${length} bytes cannot be watched`, `give 1 to ${RANGE_BYTES_MAX}`);
  if (address < 0n || address >= 1n << 64n) throw new Refusal(`"${place}" is ${address}, which is no address`, 'write a symbol or an address');
  const ranges = physicalRanges(travel.machine, address, length);
  if (ranges.length === 0) throw new Refusal(`0x${address.toString(16)} is not mapped to memory at @${formatCount(travel.position)}`, 'begin the search later, where the guest has mapped it');
  return { address, length, ranges };
}

function answerAt(travel: TimeTravel, guest: GuestSymbols, { title, position, isEffect, method, ranges }: Place, from: number): BisectAnswer {
  const stores: Write[] = [];
  if (isEffect && ranges.length > 0) {
    for (const write of writesBackward(travel, ranges, position, from)) if (stores.push(write) === STORES_MAX) break;
  }
  const at = isEffect ? position - 1 : position;
  travel.seek(at);
  // A delivery may come before the instruction that begins there: who stored knows.
  const storer = stores[0]?.position === at ? stores[0] : undefined;
  const rip = storer?.rip ?? readRegister(travel.machine, 'rip') ?? 0n;
  const source = guest.lineOf(rip);
  const task = currentTask(travel.machine, guest);
  const calls = callChain(travel, guest.table).slice(1).map((address) => {
    // What a call returns to may be the next function already, when nothing comes after the call.
    const symbol = guest.table.at(address - 1n);
    return symbol === undefined ? guest.tell(address) : `${symbol.name}+0x${(address - symbol.address).toString(16)}`;
  });
  const registers = readRegisters(travel.machine);
  return {
    kind: 'found', title, position, method, calls,
    instruction: {
      position: at, isEffect, code: codeText(guest, rip), assembly: textOf(instructionAt(travel.machine, rip)), source: source === undefined ? undefined : `${source.file}:${source.line}`,
      ring: storer?.cpl ?? Number(registers.get('cpl') ?? 0n),
    },
    task: task === undefined ? undefined : `${task.comm}, pid ${task.tgid}${task.pid === task.tgid ? '' : `, thread ${task.pid}`}`,
    stores: stores.map((write) => ({ position: write.position, text: storeText(guest, write) })),
    before: surroundings(travel, at),
    registers: ['rip', 'rflags', ...GENERAL_REGISTERS, 'cr2', 'cr3'].map((name) => [name, `0x${(registers.get(name) ?? 0n).toString(16)}`] as const),
  };
}

export function codeText(guest: Pick<GuestSymbols, 'tell'>, address: bigint): string {
  const name = guest.tell(address);
  return name.startsWith('0x') ? name : `${name} (0x${address.toString(16)})`;
}

function storeText(guest: GuestSymbols, { by, rip, size, paddr, before, after }: Write): string {
  const who = by === 'instruction' ? codeText(guest, rip) : `a ${by}, before ${codeText(guest, rip)}`;
  return `${who}: ${valueText(before)} → ${valueText(after)}, ${size} byte${size === 1 ? '' : 's'} at physical 0x${paddr.toString(16)}`;
}

/** A number where it can be one, else bytes. */
function valueText(bytes: Uint8Array): string {
  const hex = (each: Iterable<number>, between: string): string => Array.from(each, (byte) => byte.toString(16).padStart(2, '0')).join(between);
  return bytes.length > 8 ? `${hex(bytes.subarray(0, 16), ' ')}${bytes.length > 16 ? ' …' : ''}` : `0x${hex([...bytes].reverse(), '').replace(/^0+(?=.)/, '')}`;
}

function surroundings({ reader }: TimeTravel, before: number): { name: string; position: number; text: string }[] {
  const row = (name: string, event: LogEvent | undefined): { name: string; position: number; text: string }[] =>
    event === undefined ? [] : [{ name, position: event.position, text: `${kindName(kindCode(event.kind))}: ${eventText(event)}` }];
  const line = consoleLineBefore(reader, before);
  return [
    ...row('event before', eventBefore(reader, ['exit', 'input', 'interrupt', 'device', 'idle'], before)),
    ...row('interrupt before', eventBefore(reader, ['interrupt'], before, (event) => event.kind === 'interrupt' && (event.phase === 'injected' || event.phase === 'acknowledged'))),
    ...(line === undefined ? [] : [{ name: 'console before', position: line.position, text: JSON.stringify(line.text) }]),
    ...row('mark before', eventBefore(reader, ['mark'], before)),
  ];
}

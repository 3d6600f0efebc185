/** Where a value comes from, as text for the page: the last writer, and what that was made from. Runs in the worker. */
import type { GuestSymbols } from '../../engine/debug/guest-symbols.ts';
import { physicalRanges } from '../../engine/debug/inspect.ts';
import { instructionAt } from '../../engine/debug/listing.ts';
import { textOf } from '../../engine/debug/disassembler.ts';
import { type Write, writesBackward } from '../../engine/debug/queries.ts';
import type { TimeTravel } from '../../engine/debug/time-travel.ts';
import { type WhyLink, type WhySubject, registerText, why } from '../../engine/debug/why.ts';
import type { Position } from '../../engine/log/position.ts';
import { CONTROL_REGISTERS, lastControlWrite } from './control-writes.ts';
import type { OriginAsked, OriginLink } from '../../engine/protocol/moment.ts';
import { eventText } from '../event-text.ts';

const SPAN_INSTRUCTIONS = 4_000_000;
/** Bytes of a value whose chain is followed. */
const VALUE_BYTES_MAX = 8;

const value = (number: bigint | undefined): string | undefined => (number === undefined ? undefined : `0x${number.toString(16)}`);

/** Links as they are found, and between them positions back to which nothing was. Moves the cursor from `position`. Throws DivergedError. */
export function* originOf(travel: TimeTravel, symbols: GuestSymbols, position: number, asked: OriginAsked): Generator<OriginLink | Position, void, void> {
  travel.seek(position);
  if (asked.kind === 'register') {
    if (CONTROL_REGISTERS.includes(asked.name)) {
      const write = yield* lastControlWrite(travel.reader, asked.name, position);
      if (write === undefined) return yield powerOn(asked.name);
      // From right after it the chain goes on to what was moved there.
      travel.seek(write.position + (write.by === 'mov' ? 1 : 0));
      if (write.by !== 'mov') return yield { kind: write.by, position: write.position, symbol: symbols.tell(write.rip), instruction: textOf(instructionAt(travel.machine, write.rip)), subject: asked.name, value: value(write.value), inputs: [] };
    }
    for (const link of why(travel, { register: asked.name })) yield linkOf(link, symbols);
    return;
  }
  const { machine } = travel;
  const ranges = asked.kind === 'physical' ? [{ paddr: asked.paddr, length: asked.bytes }] : physicalRanges(machine, asked.address, asked.bytes);
  if (ranges.length === 0) return;
  // In spans, so that a search over the whole run can be ended; the chain goes on from where it finds something.
  for (let end = position; end > 0; end -= SPAN_INSTRUCTIONS) {
    const [write] = writesBackward(travel, ranges, end, Math.max(0, end - SPAN_INSTRUCTIONS));
    if (write === undefined) {
      yield Math.max(0, end - SPAN_INSTRUCTIONS) as Position;
      continue;
    }
    travel.seek(write.position + 1);
    const isSame = asked.kind === 'memory' && asked.bytes <= VALUE_BYTES_MAX && physicalRanges(machine, asked.address, asked.bytes)[0]?.paddr === ranges[0].paddr;
    if (!isSame) return yield writerOf(travel, symbols, write);
    for (const link of why(travel, { address: asked.address, bytes: asked.bytes })) yield linkOf(link, symbols);
    return;
  }
  yield powerOn(memoryText(ranges[0].paddr, ranges[0].length));
}

function powerOn(subject: string): OriginLink {
  return { kind: 'power-on', position: 0, symbol: undefined, instruction: undefined, subject, value: undefined, inputs: [] };
}

function writerOf(travel: TimeTravel, symbols: GuestSymbols, { position, rip, by, paddr, size, after }: Write): OriginLink {
  travel.seek(position);
  const bytes = [...after].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  const instruction = by === 'device' ? undefined : textOf(instructionAt(travel.machine, rip));
  return { kind: by === 'instruction' ? 'store' : by, position, symbol: symbols.tell(rip), instruction, subject: memoryText(paddr, size), value: bytes, inputs: [] };
}

function memoryText(paddr: number, bytes: number): string {
  return `${bytes} ${bytes === 1 ? 'byte' : 'bytes'} at physical 0x${paddr.toString(16)}`;
}

function subjectText(subject: WhySubject, symbols: GuestSymbols): string {
  if (subject.kind === 'register') return registerText(subject);
  return subject.linear === undefined ? memoryText(subject.paddr, subject.bytes) : `${symbols.tell(subject.linear)} (${subject.bytes} ${subject.bytes === 1 ? 'byte' : 'bytes'})`;
}

function linkOf(link: WhyLink, symbols: GuestSymbols): OriginLink {
  return {
    kind: link.kind,
    position: link.position,
    symbol: link.rip === undefined ? undefined : symbols.tell(link.rip),
    instruction: link.instruction,
    subject: subjectText(link.subject, symbols),
    value: value(link.value),
    inputs: [...link.inputs.map((input) => (input.value === undefined || input.text === value(input.value) ? input.text : `${input.text} = ${value(input.value)}`)), ...link.events.map(eventText)],
  };
}

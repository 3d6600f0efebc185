/**
 * Where a value comes from: the why-chain. From a register or memory at a position back over each instruction that copied it, to what made it:
 *
 *     u8(line_buffer+3) at @900  ◄─ store @880: mov [rdx],al  ◄─ pop @871 ◄─ push @840 ◄─ in al,dx @812  ◄─ console input @810 "x"
 *
 * It follows copies, in registers (one instruction at a time, backward in growing windows) and in memory (the last store, by watched frames and dirty sets). It ends
 * at arithmetic, whose operands it lists, at a constant, at a device, at a delivery, at the image that was loaded, and where it knows no more, and says which.
 */
import * as L from '../cpu/layout.ts';
import type { LogEvent } from '../log/events.ts';
import type { Position } from '../log/position.ts';
import type { Machine } from '../machine/machine.ts';
import { type Effect, type MemoryPlace, type Place, type RegisterPlace, effectsOf, holds, register } from './def-use.ts';
import { textOf } from './disassembler.ts';
import { type PhysicalRange, physicalRanges, readPhysical, readRegister } from './inspect.ts';
import { type ListedInstruction, codeBits, instructionAt } from './listing.ts';
import { type Write, eventsBackward, writesBackward } from './queries.ts';
import { delivered, deliveriesHere } from './shadow-stack.ts';
import type { TimeTravel } from './time-travel.ts';

/** What a chain begins with, at the cursor. */
export type WhyStart =
  /** A register as readRegister() knows it, or part of one as assembly calls it: `al`. */
  | { readonly register: string }
  /** Linear, at most 8 bytes. */
  | { readonly address: bigint; readonly bytes: number };

/** Where a value is. */
export type WhySubject =
  | { readonly kind: 'register'; readonly name: string; readonly at: number; readonly bytes: number }
  /** Guest-physical. `linear` where the instruction said so. */
  | { readonly kind: 'memory'; readonly paddr: number; readonly bytes: number; readonly linear: bigint | undefined };

export interface WhyInput {
  /** `rax`, `[rbp-0x8]`, `0x10`. */
  readonly text: string;
  /** Undefined: it is not to be had, such as a device's register. */
  readonly value: bigint | undefined;
}

export type WhyKind =
  /** The value was moved; the next link says from where. */
  | 'copy'
  | 'computed'
  | 'constant'
  /** A port, device memory, or a device that wrote to memory. */
  | 'device'
  /** CPUID, RDTSC, an MSR: the CPU tells of itself. */
  | 'machine'
  /** The CPU pushed it when it delivered an interrupt or an exception. */
  | 'delivery'
  /** A and D bits. */
  | 'page walk'
  /** Nobody wrote it since power-on: it comes with the image, or was zero. */
  | 'power-on'
  /** This instruction is not known. */
  | 'unknown'
  /** No instruction wrote the register as far as was looked. */
  | 'lost';

export interface WhyLink {
  readonly kind: WhyKind;
  /** Of the instruction: the value is there from the next position on. */
  readonly position: number;
  readonly rip: bigint | undefined;
  readonly instruction: string | undefined;
  readonly subject: WhySubject;
  readonly value: bigint | undefined;
  /** What it was made from; of a copy, the one source. */
  readonly inputs: readonly WhyInput[];
  /** What the log has of a device's answer, and the input that it came from. */
  readonly events: readonly LogEvent[];
}

export interface WhyOptions {
  readonly linksMax?: number;
  /** Instructions that are looked at one by one for each register, at most. */
  readonly instructionsMax?: number;
}

export const LINKS_MAX = 32;
/** About two seconds. */
export const REGISTER_INSTRUCTIONS_MAX = 1 << 20;
const FIRST_WINDOW = 256;
/** Events before a read of the UART that are looked at for what it took. */
const UART_EVENTS_MAX = 4096;
/** Of a 16550: the line status register, from the data register; its bit 0 says that data is there. */
const UART_LINE_STATUS = 5;
/** Of one position. */
const EVENTS_MAX = 8;

/** The chain of the value that is there at the cursor, link by link. The cursor is put back when it ends or is given up. Throws DivergedError. */
export function* why(travel: TimeTravel, start: WhyStart, options: WhyOptions = {}): Generator<WhyLink, void, void> {
  const chain = new WhyChain(travel, options);
  const home = travel.position;
  try {
    yield* chain.run(start);
  } finally {
    travel.seek(home);
  }
}

interface Step {
  readonly link: WhyLink;
  /** The cursor is where it is to be asked for. */
  readonly next: WhySubject | undefined;
}

class WhyChain {
  private readonly travel: TimeTravel;
  private readonly machine: Machine;
  private readonly linksMax: number;
  private readonly instructionsMax: number;
  private readonly decoded = new Map<string, { readonly instruction: ListedInstruction; readonly effects: readonly Effect[] }>();

  constructor(travel: TimeTravel, options: WhyOptions) {
    this.travel = travel;
    this.machine = travel.machine;
    this.linksMax = options.linksMax ?? LINKS_MAX;
    this.instructionsMax = options.instructionsMax ?? REGISTER_INSTRUCTIONS_MAX;
  }

  *run(start: WhyStart): Generator<WhyLink, void, void> {
    let subject: WhySubject | undefined = this.subjectOf(start);
    for (let links = 0; subject !== undefined && links < this.linksMax; links++) {
      const { link, next }: Step = subject.kind === 'register' ? this.registerLink(subject) : this.memoryLink(subject);
      yield link;
      subject = next;
    }
  }

  private subjectOf(start: WhyStart): WhySubject {
    if ('address' in start) {
      const [range] = physicalRanges(this.machine, start.address, start.bytes);
      if (range === undefined) throw new RangeError(`0x${start.address.toString(16)} is not mapped to memory at @${this.travel.position}`);
      return { kind: 'memory', paddr: range.paddr, bytes: range.length, linear: start.address };
    }
    const place = register(start.register);
    if (place !== undefined) return { kind: 'register', name: place.name, at: place.at, bytes: place.bytes };
    if (readRegister(this.machine, start.register) === undefined) throw new RangeError(`there is no register "${start.register}"`);
    return { kind: 'register', name: start.register, at: 0, bytes: 8 };
  }

  // ---- registers ----

  /** The cursor is where the value is there. */
  private registerLink(subject: WhySubject & { kind: 'register' }): Step {
    const value = this.valueOf(subject);
    const found = this.lastDefinition(subject);
    if (found === undefined) {
      const isStart = this.travel.position === 0;
      return { link: { kind: isStart ? 'power-on' : 'lost', position: this.travel.position, rip: undefined, instruction: undefined, subject, value, inputs: [], events: [] }, next: undefined };
    }
    const { to } = found.effect;
    if (to.kind !== 'register') throw new Error('the definition of a register is none');
    // Of several parts that were written one by one, the one that was written last.
    const at = Math.max(subject.at, to.at);
    const bytes = Math.min(subject.at + subject.bytes, to.at + reachOf(to)) - at;
    const written = value === undefined ? undefined : (value >> BigInt((at - subject.at) * 8)) & mask(bytes);
    return this.follow({ ...subject, at, bytes }, written, found.instruction, found.effect, at - to.at);
  }

  /** The last instruction before the cursor that wrote the register; the cursor is before it then. */
  private lastDefinition(subject: WhySubject & { kind: 'register' }): { readonly instruction: ListedInstruction; readonly effect: Effect } | undefined {
    const { travel } = this;
    const to = travel.position as number;
    let looked = 0;
    let window = FIRST_WINDOW;
    for (let end = to; end > 0 && looked < this.instructionsMax; window *= 4) {
      const begin = Math.max(0, end - window);
      const deliveries = new Set<number>();
      for (const { position } of delivered(travel.reader, begin, end)) deliveries.add(position);
      travel.seek(begin);
      let last: number | undefined;
      for (let position = begin; position < end; position++) {
        const { effects } = this.running(deliveries.has(position));
        if (effects.some(({ to: place }) => touches(place, subject))) last = position;
        travel.replayOn(position + 1);
      }
      if (last !== undefined) {
        travel.seek(last);
        const { instruction, effects } = this.running(deliveries.has(last));
        const effect = effects.find(({ to: place }) => touches(place, subject));
        if (effect !== undefined) return { instruction, effect };
      }
      looked += end - begin;
      end = begin;
    }
    travel.seek(Math.max(0, to - looked));
    return undefined;
  }

  /** The instruction that retires at the cursor: where something is delivered, the first one of its handler. */
  private running(isDelivered: boolean): { readonly instruction: ListedInstruction; readonly effects: readonly Effect[] } {
    const { machine, travel } = this;
    let rip = readRegister(machine, 'rip') ?? 0n;
    if (isDelivered) rip = deliveriesHere(machine, [...delivered(travel.reader, travel.position, travel.position + 1)]).at(-1)?.handler ?? rip;
    // HLT and what is halted write nothing.
    const space = rip < 1n << 63n ? readRegister(machine, 'cr3') : 0n;
    const key = `${rip} ${space}`;
    let known = this.decoded.get(key);
    if (known === undefined || !isSameCode(machine, known.instruction)) {
      const bits = codeBits(machine);
      const instruction = instructionAt(machine, rip, bits);
      known = { instruction, effects: effectsOf(instruction, bits) };
      this.decoded.set(key, known);
    }
    return known;
  }

  // ---- memory ----

  private memoryLink(subject: WhySubject & { kind: 'memory' }): Step {
    const { travel, machine } = this;
    const value = this.valueOf(subject);
    const range: PhysicalRange = { paddr: subject.paddr, length: subject.bytes };
    const before = travel.position + (travel.isAtEnd ? 1 : 0);
    let write: Write | undefined;
    for (const found of writesBackward(travel, [range], before)) {
      write = found;
      break;
    }
    if (write === undefined) return { link: { kind: 'power-on', position: 0, rip: undefined, instruction: undefined, subject, value, inputs: [], events: [] }, next: undefined };
    travel.seek(write.position);
    const plain = { position: write.position, rip: write.rip, subject, value, inputs: [] };
    if (write.by !== 'instruction') {
      const events = write.by === 'device' ? this.eventsAt(write.position) : [];
      return { link: { ...plain, kind: write.by, instruction: undefined, events }, next: undefined };
    }
    const bits = codeBits(machine);
    const instruction = instructionAt(machine, write.rip, bits);
    for (const effect of effectsOf(instruction, bits)) {
      if (effect.to.kind !== 'memory') continue;
      const linear = this.addressOf(effect.to, instruction);
      const target = physicalRanges(machine, linear, effect.to.bytes).find(({ paddr, length }) => paddr < write.paddr + write.size && write.paddr < paddr + length);
      if (target === undefined) continue;
      // Of several bytes that were written one by one, those that were written last.
      const paddr = Math.max(subject.paddr, target.paddr);
      const bytes = Math.min(subject.paddr + subject.bytes, target.paddr + target.length) - paddr;
      const part = { kind: 'memory', paddr, bytes, linear: linear + BigInt(paddr - target.paddr) } as const;
      const written = bytes === subject.bytes ? value : value === undefined ? undefined : (value >> BigInt((paddr - subject.paddr) * 8)) & mask(bytes);
      return this.follow(part, written, instruction, effect, Number(part.linear! - linear));
    }
    const isDelivery = [...delivered(travel.reader, write.position, write.position + 1)].length > 0;
    return { link: { ...plain, kind: isDelivery ? 'delivery' : 'unknown', instruction: isDelivery ? undefined : textOf(instruction), events: isDelivery ? this.eventsAt(write.position) : [] }, next: undefined };
  }

  // ---- one instruction ----

  /** The cursor is before it. `offset`: of the subject in what the instruction writes. */
  private follow(subject: WhySubject, value: bigint | undefined, instruction: ListedInstruction, effect: Effect, offset: number): Step {
    const { position } = this.travel;
    const link = (kind: WhyKind, events: readonly LogEvent[] = [], inputs = this.inputsOf(effect.from, instruction)): WhyLink => ({
      kind, position, rip: instruction.address, instruction: textOf(instruction), subject, value, inputs, events,
    }); // prettier-ignore
    switch (effect.how) {
      case 'compute':
        return { link: link('computed'), next: undefined };
      case 'unknown':
        return { link: link('unknown'), next: undefined };
      case 'machine':
        return { link: link('machine', this.eventsAt(position)), next: undefined };
      case 'device':
        return { link: link('device', [...this.eventsAt(position), ...this.receivedAt(position)]), next: undefined };
      case 'copy':
        break;
    }
    if (effect.condition !== undefined && holds(effect.condition, readRegister(this.machine, 'rflags') ?? 0n) === false) return { link: link('copy', [], []), next: subject };
    const [source] = effect.from;
    if (source === undefined) return { link: link('unknown'), next: undefined };
    if (source.kind === 'constant') return { link: link('constant'), next: undefined };
    const bytes = Math.min(subject.bytes, source.bytes - offset);
    // The bytes above those that were copied: zeros, or the sign.
    if (bytes <= 0) return { link: link(effect.isSigned === true ? 'computed' : 'constant'), next: undefined };
    if (source.kind === 'register') return { link: link('copy'), next: { kind: 'register', name: source.name, at: source.at + offset, bytes } };
    const linear = BigInt.asUintN(64, this.addressOf(source, instruction) + BigInt(offset));
    const [range] = physicalRanges(this.machine, linear, bytes);
    if (range === undefined) return { link: link('device', this.eventsAt(position)), next: undefined };
    return { link: link('copy'), next: { kind: 'memory', paddr: range.paddr, bytes: range.length, linear } };
  }

  private inputsOf(places: readonly Place[], instruction: ListedInstruction): readonly WhyInput[] {
    return places.map((place) => {
      if (place.kind === 'constant') return { text: `0x${BigInt.asUintN(64, place.value).toString(16)}`, value: place.value };
      if (place.kind === 'register') return { text: registerText(place), value: ((readRegister(this.machine, place.name) ?? 0n) >> BigInt(place.at * 8)) & mask(place.bytes) };
      const linear = this.addressOf(place, instruction);
      const [range] = physicalRanges(this.machine, linear, place.bytes);
      return { text: `[0x${linear.toString(16)}]`, value: range?.length === place.bytes ? number(readPhysical(this.machine, range.paddr, range.length)) : undefined };
    });
  }

  // ---- the log ----

  private eventsAt(position: number): readonly LogEvent[] {
    const events: LogEvent[] = [];
    for (const event of this.travel.reader.events({ kinds: ['exit', 'device', 'interrupt', 'input'], from: position as Position, to: (position + 1) as Position })) if (events.length < EVENTS_MAX) events.push(event);
    // What a device has from outside came as an input before.
    const names = new Set(events.flatMap((event) => (event.kind === 'device' && 'device' in event.report ? [event.report.device] : [])));
    for (const name of names) {
      for (const event of eventsBackward(this.travel.reader, ['input'], position + 1)) {
        if (event.kind !== 'input' || !('port' in event.input) || event.input.port !== name) continue;
        events.push(event);
        break;
      }
    }
    return events;
  }

  /** The byte that a read of the UART's data register took, as it came in, and the input it was part of: its queue is first in, first out. */
  private receivedAt(position: number): readonly LogEvent[] {
    const { reader } = this.travel;
    let data: number | undefined;
    for (const event of reader.events({ kinds: ['exit'], from: position as Position, to: (position + 1) as Position })) {
      if (event.kind === 'exit' && event.detail.kind === 'io' && !event.detail.write) data = event.detail.port;
    }
    if (data === undefined) return [];
    // Back to where the line status says that nothing is there.
    const history: LogEvent[] = [];
    for (const event of eventsBackward(reader, ['exit', 'device'], position)) {
      if (event.kind === 'exit' && event.detail.kind === 'io' && !event.detail.write) {
        if (event.detail.port === data + UART_LINE_STATUS && (event.detail.value & 1) === 0) break;
        if (event.detail.port === data) history.push(event);
      } else if (event.kind === 'device' && event.report.kind === 'uart-rx' && event.report.port === data) history.push(event);
      if (history.length > UART_EVENTS_MAX) break;
    }
    const queue: LogEvent[] = [];
    for (const event of history.reverse()) {
      if (event.kind === 'device') queue.push(event);
      else queue.shift();
    }
    const [received] = queue;
    if (received === undefined) return [];
    const events: LogEvent[] = [received];
    for (const event of eventsBackward(reader, ['input'], received.position + 1)) {
      if (event.kind !== 'input' || event.input.kind !== 'console') continue;
      events.push(event);
      break;
    }
    return events;
  }

  // ---- values and addresses at the cursor ----

  private addressOf({ terms, displacement, segment, addressBits }: MemoryPlace, instruction: ListedInstruction): bigint {
    let address = displacement;
    for (const { register: name, scale } of terms) address += scale * (name === 'rip' ? instruction.address + BigInt(instruction.length) : (readRegister(this.machine, name) ?? 0n));
    address = BigInt.asUintN(addressBits, address);
    if (segment !== undefined) address += this.machine.core.big(L.SEGS + (segment === 'fs' ? L.FS : L.GS) * L.SEG_SIZE + L.SEG_BASE);
    return BigInt.asUintN(64, address);
  }

  private valueOf(subject: WhySubject): bigint | undefined {
    if (subject.kind === 'register') return ((readRegister(this.machine, subject.name) ?? 0n) >> BigInt(subject.at * 8)) & mask(subject.bytes);
    if (subject.paddr + subject.bytes > this.machine.core.ramBytes) return undefined;
    return number(readPhysical(this.machine, subject.paddr, subject.bytes));
  }
}

function number(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
  return value;
}

function mask(bytes: number): bigint {
  return (1n << BigInt(bytes * 8)) - 1n;
}

/** `rax`, or a part of it: `rax[0..3]`. */
export function registerText({ name, at, bytes }: Pick<RegisterPlace, 'name' | 'at' | 'bytes'>): string {
  return at === 0 && (bytes >= 8 || name.length > 3) ? name : `${name}[${at}${bytes === 1 ? '' : `..${at + bytes - 1}`}]`;
}

/** Bytes that a write to a register changes: 32 bits clear what is above (SDM vol. 1, 3.4.1.1). */
function reachOf({ name, at, bytes }: RegisterPlace): number {
  return bytes === 4 && at === 0 && !name.startsWith('xmm') ? 8 : bytes;
}

function touches(place: Effect['to'], { name, at, bytes }: { readonly name: string; readonly at: number; readonly bytes: number }): boolean {
  return place.kind === 'register' && place.name === name && place.at < at + bytes && at < place.at + reachOf(place);
}

function isSameCode(machine: Machine, { address, bytes }: ListedInstruction): boolean {
  const [range] = physicalRanges(machine, address, bytes.length);
  if (range === undefined || range.length < bytes.length) return false;
  const { u8 } = machine.core;
  for (let i = 0; i < bytes.length; i++) if (u8[L.RAM + range.paddr + i] !== bytes[i]) return false;
  return true;
}

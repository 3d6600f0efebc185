/**
 * Why two runs differ: the first instruction after which the two machines are not the same, and what made them so.
 *
 *     both at @N ── same? ──► on, in steps that get smaller ──► one instruction: before it the same, after it not ──► its bytes, registers, events ──► cause
 *
 * The first EXACT_STEPS instructions after the first record that differs are looked at one by one; after those, a difference that comes and goes again inside a step (an interrupt taken an instruction later, a time that was
 * read and overwritten) is not seen, and the first one that is still there at the end of a step is what is said.
 *
 * Compared is what the guest sees: registers and memory. Runs of one machine with the same images cannot differ before the first record of their logs that does, so the search begins there. Runs of other images, or with another
 * command line, have other memory from the beginning: there it is registers and the bytes of what is executed, one by one for the first CODE_STEPS instructions.
 */
import type { LogEvent } from '../log/events.ts';
import type { Position } from '../log/position.ts';
import type { LogReader } from '../log/reader.ts';
import { type Divergence, compareLogs } from '../log/verify.ts';
import type { Machine } from '../machine/machine.ts';
import type { Instruction } from './disassembler.ts';
import { GENERAL_REGISTERS, readRegister, readRegisters } from './inspect.ts';
import { instructionAt, linearRip } from './listing.ts';
import type { TimeTravel } from './time-travel.ts';

/** What is compared: registers and memory, or registers and the code that is executed. */
export type Level = 'guest' | 'cpu';

export interface ExplainedSide {
  /** Of the instruction that makes the difference, or of what comes next where something else does. */
  readonly rip: bigint;
  readonly bytes: Uint8Array;
  readonly instruction: Instruction;
  /** The last event before that instruction. */
  readonly before: LogEvent | undefined;
  /** Events of that instruction, and of what happens until the next. */
  readonly events: readonly LogEvent[];
}

export interface RegisterPair {
  readonly name: string;
  readonly a: bigint;
  readonly b: bigint;
}

export type Cause =
  /** One run got an input, idled, was marked or stopped where the other was not, or otherwise. */
  | { readonly kind: 'input'; readonly a: LogEvent | undefined; readonly b: LogEvent | undefined }
  /** Other code was executed. */
  | { readonly kind: 'code' }
  /** The same instruction gave something else: what it read is not memory. */
  | { readonly kind: 'read'; readonly what: string; readonly a: LogEvent | undefined; readonly b: LogEvent | undefined }
  /** A device or an interrupt did something in one run that it did not do in the other. */
  | { readonly kind: 'event'; readonly a: LogEvent | undefined; readonly b: LogEvent | undefined }
  /** It read memory that differed from the beginning, or that is not looked at on this level. */
  | { readonly kind: 'memory' };

export type Explanation =
  /** The same as far as the shorter one goes. */
  | { readonly kind: 'same'; readonly level: Level; readonly position: number; readonly divergence: Divergence | undefined }
  | {
      readonly kind: 'different';
      readonly level: Level;
      /** Up to here they are the same ... */
      readonly from: number;
      /** ... and here they are not. Both cursors are here. */
      readonly position: number;
      readonly a: ExplainedSide;
      readonly b: ExplainedSide;
      /** Registers that differ here. */
      readonly registers: readonly RegisterPair[];
      readonly cause: Cause;
      /** Fields of the headers that differ and can be the reason. */
      readonly fields: readonly string[];
      /** The first record of the logs that differs. */
      readonly divergence: Divergence | undefined;
    };

/** Parts that one step is divided into. */
const PARTS = 32;
/** Below this, one instruction at a time. */
const SINGLE_STEPS = 256;
/** Most differences begin near the first record that differs, and some are gone again soon: so many instructions are looked at one by one there. */
const EXACT_STEPS = 16_384;
/** Other code: so many instructions are looked at one by one from the beginning. */
const CODE_STEPS = 100_000;

/** Moves both cursors; yields where they are. Throws DivergedError. */
export function* explaining(a: TimeTravel, b: TimeTravel): Generator<Position, Explanation, void> {
  const divergence = compareLogs(a.reader, b.reader);
  const fields = differingFields(a.reader, b.reader);
  const end = Math.min(a.reader.lastPosition, b.reader.lastPosition);
  const isOneMachine = fields.length === 0;
  if (isOneMachine && divergence === undefined) return { kind: 'same', level: 'guest', position: end, divergence };
  const both = (position: number): void => {
    a.seek(position);
    b.seek(position);
  };
  both(0);
  // What the state of the generator of random numbers says is not seen by the guest until it asks.
  const level: Level = isOneMachine || isSame('guest', a.machine, b.machine) ? 'guest' : 'cpu';
  let low = isOneMachine ? Math.max(0, Math.min(divergence!.position, end) - 1) : 0;
  let high = end;
  both(low);
  if (!isSame(level, a.machine, b.machine)) {
    // Before the first instruction.
    return report(a, b, level, low, low, divergence, fields);
  }
  let isFound = false;
  if (isOneMachine) {
    const near = Math.min(end, low + EXACT_STEPS);
    const found = yield* singleSteps(a, b, level, low, near);
    if (found !== undefined) return report(a, b, level, found - 1, found, divergence, fields);
    low = near;
    for (let step = SINGLE_STEPS; low < end; step *= 2) {
      const next = Math.min(end, low + step);
      both(next);
      yield a.position;
      if (!isSame(level, a.machine, b.machine)) {
        high = next;
        isFound = true;
        break;
      }
      low = next;
    }
  } else if (level === 'cpu') {
    const to = Math.min(end, CODE_STEPS);
    const found = yield* singleSteps(a, b, level, low, to);
    if (found !== undefined) return report(a, b, level, found - 1, found, divergence, fields);
    low = to;
  }
  while (high - low > SINGLE_STEPS) {
    const step = Math.ceil((high - low) / PARTS);
    let next = low;
    let differs = false;
    while (next < high && !differs) {
      next = Math.min(high, next + step);
      // The upper end is known to differ, once it was seen.
      if (isFound && next === high) break;
      both(next);
      yield a.position;
      differs = !isSame(level, a.machine, b.machine);
      if (!differs) low = next;
    }
    if (!differs && !isFound) return { kind: 'same', level, position: end, divergence };
    high = next;
    isFound = true;
  }
  const found = yield* singleSteps(a, b, level, low, high);
  if (found === undefined) return { kind: 'same', level, position: end, divergence };
  return report(a, b, level, found - 1, found, divergence, fields);
}

/** The first position after `low`, at most `high`, at which they differ. */
function* singleSteps(a: TimeTravel, b: TimeTravel, level: Level, low: number, high: number): Generator<Position, number | undefined, void> {
  a.seek(low);
  b.seek(low);
  for (let at = low; at < high; at++) {
    if (level === 'cpu' && !sameBytes(codeAt(a.machine).bytes, codeAt(b.machine).bytes)) return at + 1;
    a.replayOn(at + 1);
    b.replayOn(at + 1);
    if (!isSame(level, a.machine, b.machine)) return at + 1;
    if (at % 1024 === 0) yield a.position;
  }
  return undefined;
}

function isSame(level: Level, a: Machine, b: Machine): boolean {
  if (level === 'cpu') return ['rip', 'rflags', ...GENERAL_REGISTERS].every((name) => readRegister(a, name) === readRegister(b, name));
  if (a.ramSum() !== b.ramSum()) return false;
  // Not the digests of the CPUs: the time is in their state, and no guest sees it without asking.
  const registers = readRegisters(b);
  return [...readRegisters(a)].every(([name, value]) => registers.get(name) === value);
}

function report(a: TimeTravel, b: TimeTravel, level: Level, from: number, position: number, divergence: Divergence | undefined, fields: readonly string[]): Explanation {
  a.seek(from);
  b.seek(from);
  const sides = [sideOf(a, from, position), sideOf(b, from, position)];
  a.seek(position);
  b.seek(position);
  const registersB = readRegisters(b.machine);
  const registers = [...readRegisters(a.machine)].filter(([name, value]) => registersB.get(name) !== value).map(([name, value]) => ({ name, a: value, b: registersB.get(name)! }));
  return { kind: 'different', level, from, position, a: sides[0], b: sides[1], registers, cause: causeOf(sides[0], sides[1], fields, divergence), fields, divergence };
}

function sideOf(travel: TimeTravel, from: number, position: number): ExplainedSide {
  const { rip, bytes, instruction } = codeAt(travel.machine);
  let before: LogEvent | undefined;
  const { reader, records } = travel;
  // Those that made the state `from` come before; the rest belongs to the step.
  const events: LogEvent[] = [];
  for (const { event, index } of reader.entries({ from: Math.max(0, from - 1) as Position, to: (position + 1) as Position })) {
    if (index < records) before = event;
    else if (event.kind !== 'dirty' && event.kind !== 'digest' && event.kind !== 'counts') events.push(event);
  }
  before ??= lastBefore(reader, records);
  return { rip, bytes, instruction, before, events };
}

function lastBefore(reader: LogReader, records: number): LogEvent | undefined {
  let before: LogEvent | undefined;
  const block = reader.eventBlocks.findLastIndex(({ firstRecord }) => firstRecord < records);
  if (block < 0) return undefined;
  for (const { event, index } of reader.entries({ from: reader.eventBlocks[block].firstPosition as Position })) {
    if (index >= records) break;
    if (event.kind !== 'dirty' && event.kind !== 'digest' && event.kind !== 'counts') before = event;
  }
  return before;
}

function codeAt(machine: Machine): { readonly rip: bigint; readonly bytes: Uint8Array; readonly instruction: Instruction } {
  const instruction = instructionAt(machine, linearRip(machine));
  return { rip: instruction.address, bytes: instruction.bytes.slice(), instruction };
}

/** Instructions that read what is neither register nor memory. */
const READS: readonly (readonly [RegExp, string])[] = [
  [/^rdrand|^rdseed/, 'a random number'],
  [/^rdtscp?$/, 'the time stamp counter'],
  [/^rdmsr$/, 'a model-specific register'],
  [/^cpuid$/, 'the identity of the CPU'],
  [/^(rep )?ins|^in$/, 'a port'],
];

function causeOf(a: ExplainedSide, b: ExplainedSide, fields: readonly string[], divergence: Divergence | undefined): Cause {
  const differing = firstDifference(a.events, b.events);
  const isFromOutside = (event: LogEvent | undefined): boolean => event?.kind === 'input' || event?.kind === 'idle' || event?.kind === 'end' || (event?.kind === 'mark' && event.source !== 'guest');
  if (differing !== undefined && (isFromOutside(differing.a) || isFromOutside(differing.b))) return { kind: 'input', ...differing };
  // One machine, the same images: nothing but the first record that differs can be the reason.
  if (fields.length === 0 && divergence !== undefined && (isFromOutside(divergence.expected) || isFromOutside(divergence.actual))) return { kind: 'input', a: divergence.expected, b: divergence.actual };
  if (!sameBytes(a.bytes, b.bytes) || a.rip !== b.rip) return { kind: 'code' };
  const what = READS.find(([pattern]) => pattern.test(a.instruction.mnemonic))?.[1];
  const isAccess = (event: LogEvent | undefined): boolean => event?.kind === 'exit' && (event.detail.kind === 'io' || event.detail.kind === 'mmio' || event.detail.kind === 'msr');
  if (what !== undefined) return { kind: 'read', what, a: a.events.find(isAccess), b: b.events.find(isAccess) };
  if (differing !== undefined && isAccess(differing.a) && isAccess(differing.b)) return { kind: 'read', what: 'a register of a device', ...differing };
  if (differing !== undefined) return { kind: 'event', ...differing };
  // The logs say the same: a device that wrote other bytes to memory.
  const wrote = [a, b].map(({ events }) => events.find((event) => event.kind === 'device' && (event.report.kind === 'virtio-complete' || event.report.kind === 'net-rx')));
  return wrote[0] === undefined && wrote[1] === undefined ? { kind: 'memory' } : { kind: 'event', a: wrote[0], b: wrote[1] };
}

function firstDifference(a: readonly LogEvent[], b: readonly LogEvent[]): { readonly a: LogEvent | undefined; readonly b: LogEvent | undefined } | undefined {
  for (let i = 0; i < Math.max(a.length, b.length); i++) if (textOf(a.at(i)) !== textOf(b.at(i))) return { a: a.at(i), b: b.at(i) };
  return undefined;
}

function textOf(event: LogEvent | undefined): string {
  return JSON.stringify(event, (_, value: unknown) => (typeof value === 'bigint' ? `0x${value.toString(16)}` : value instanceof Uint8Array ? [...value] : value)) ?? '';
}

/** Of what a run is made from. */
function differingFields(a: LogReader, b: LogReader): readonly string[] {
  const text = (value: unknown): string => JSON.stringify(value) ?? '';
  const fields: string[] = [];
  for (const [prefix, ofA, ofB] of [['config.', a.header.config, b.header.config], ['config.options.', a.header.config.options, b.header.config.options]] as const) {
    for (const name of new Set([...Object.keys(ofA), ...Object.keys(ofB)])) {
      if (name === 'options' || name === 'epochInstructions' || name === 'digestInstructions' || name === 'guest') continue;
      if (text((ofA as Record<string, unknown>)[name]) !== text((ofB as Record<string, unknown>)[name])) fields.push(`${prefix}${name}`);
    }
  }
  if (a.header.wallClockNs !== b.header.wallClockNs) fields.push('wallClockNs');
  if (text(a.header.quirks) !== text(b.header.quirks)) fields.push('quirks');
  const hashes = ({ header }: LogReader): Map<string, string> => new Map(header.images.map(({ name, sha256 }) => [name, sha256]));
  const ofA = hashes(a);
  const ofB = hashes(b);
  for (const name of new Set([...ofA.keys(), ...ofB.keys()])) if (ofA.get(name) !== ofB.get(name)) fields.push(`images.${name}`);
  return fields;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

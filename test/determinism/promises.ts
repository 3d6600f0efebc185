/** What must hold of every case. Each function throws with what does not. */
import fc from 'fast-check';
import { recover } from '../../engine/log/recover.ts';
import { LogError } from '../../engine/log/errors.ts';
import { MemorySink, MemorySource } from '../../engine/log/storage.ts';
import type { Case } from './cases.ts';
import { type PlacedInput, type Recording, Walker, expectLocated, firstDifference, identical, open, record, replay } from './runs.ts';

/** What is drawn beside a case: how it is looked at. */
export interface Checks {
  readonly slices: readonly number[];
  /** Places to cut the log, 0 to 1. */
  readonly cuts: readonly number[];
  /** Places to flip a bit: 0 to 1, and the bit. */
  readonly flips: readonly (readonly [number, number])[];
}

/** 0 to 1, evenly: fast-check's own doubles are nearly all next to 0. */
const fraction = fc.noBias(fc.nat(999_999)).map((n) => n / 1_000_000);
export const checks: fc.Arbitrary<Checks> = fc.record({
  slices: fc.array(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 500, max: 60_000 })), { minLength: 1, maxLength: 5 }),
  cuts: fc.array(fraction, { minLength: 2, maxLength: 2 }),
  flips: fc.array(fc.tuple(fraction, fc.nat(7)), { minLength: 3, maxLength: 3 }),
});

export function isRecordedTheSameTwice(one: Case, first: Recording): void {
  const second = record(one);
  const at = firstDifference(first.bytes, second.bytes);
  if (at !== undefined) throw new Error(`two recordings differ at byte ${at} of ${first.bytes.length} and ${second.bytes.length}, at @${open(first.bytes).lastPosition} and @${open(second.bytes).lastPosition}`);
}

/** Without inputs, marks and flushes nothing but the guest makes the log. */
export function isRecordedTheSameInOtherSteps(one: Case, first: Recording, slices: readonly number[]): void {
  const { drive } = one;
  if (drive.inputs.length > 0 || drive.markEvery > 0 || drive.flushEvery > 0 || first.end.reason === 'user') return;
  const second = record(one, { ...drive, slices: [...slices, 50_000] });
  // A very small step may have used up the steps.
  if (second.end.reason === 'limit' && second.position < drive.instructionsMax) return;
  const at = firstDifference(first.bytes, second.bytes);
  if (at !== undefined) throw new Error(`two recordings in other steps differ at byte ${at} of ${first.bytes.length}`);
}

export function replaysIdentically(one: Case, recording: Recording, slices: readonly number[]): void {
  for (const each of [[], slices]) {
    const status = identical(replay(recording.bytes, one.images, each), each.length === 0 ? 'replay' : `replay in slices of ${each.join()}`);
    if (!status.complete || status.digest !== recording.end.digest || status.position !== recording.position) {
      throw new Error(`the replay ended at @${status.position} with ${status.digest}${status.complete ? '' : ', incomplete'}; the recording at @${recording.position} with ${recording.end.digest}`);
    }
  }
}

/** The log is cut at a byte; what recover() makes of it replays, up to the last event that was kept. */
export function replaysItsPrefix(one: Case, recording: Recording, cut: number, slices: readonly number[]): void {
  const whole = recording.bytes;
  const length = Math.floor(cut * whole.length);
  const torn = new MemorySource(whole.slice(0, length));
  const sink = new MemorySink();
  let report: ReturnType<typeof recover>;
  try {
    report = recover(torn, sink);
  } catch (error) {
    // Without its header a log is nothing.
    const headerEnd = open(whole).blocks[0].offset;
    if (error instanceof LogError && error.code === 'LOG_HEADER_DAMAGED' && length < headerEnd) return;
    throw error;
  }
  const status = identical(replay(sink.toBytes(), one.images, slices), `replay of ${length} of ${whole.length} bytes, kept up to @${report.lastPosition}`);
  if (status.complete !== !report.isTruncated) throw new Error(`complete is ${status.complete} for a log that was ${report.isTruncated ? '' : 'not '}truncated`);
  // The last event may be that of the instruction at its position, which is then retired.
  if (status.position > report.lastPosition + 1) throw new Error(`the replay went on to @${status.position}; the last event that was kept is at @${report.lastPosition}`);
  // A cut between two blocks leaves a log that the strict reader takes for one that is being written.
  let asItIs: ReturnType<typeof open>;
  try {
    asItIs = open(whole.slice(0, length));
  } catch (error) {
    if (error instanceof LogError) return;
    throw error;
  }
  const unclosed = identical(replay(whole.slice(0, length), one.images, slices), `replay of the first ${length} of ${whole.length} bytes as they are`);
  if (unclosed.position > asItIs.lastPosition + 1) throw new Error(`the replay of an unclosed log went on to @${unclosed.position}; its last event is at @${asItIs.lastPosition}`);
}

export function isFlipLocated(recording: Recording, place: number, bit: number): void {
  const damaged = recording.bytes.slice();
  const offset = Math.floor(place * damaged.length);
  damaged[offset] ^= 1 << bit;
  expectLocated(damaged, offset);
}

/** All of these, cheapest first. */
export function holds(one: Case, { slices, cuts, flips }: Checks): void {
  const recording = record(one);
  for (const [place, bit] of flips) isFlipLocated(recording, place, bit);
  isRecordedTheSameTwice(one, recording);
  replaysIdentically(one, recording, slices);
  isRecordedTheSameInOtherSteps(one, recording, slices);
  for (const cut of cuts) replaysItsPrefix(one, recording, cut, slices);
}

// ---- stopping anywhere ----

/** A stop that is drawn: near an event of the run, alone or with all positions after it. */
export interface Stop {
  /** 0 to 1, of the events of the run. */
  readonly event: number;
  readonly delta: number;
  /** So many stops, one instruction apart. */
  readonly count: number;
}

export const stops: fc.Arbitrary<readonly Stop[]> = fc.array(
  fc.record({ event: fraction, delta: fc.integer({ min: -30, max: 5 }), count: fc.oneof(fc.constant(1), fc.constantFrom(2, 40, 300)) }),
  { minLength: 1, maxLength: 40 },
);

function placedInputs(one: Case): PlacedInput[] {
  let position = 0;
  return one.drive.inputs.map(({ after, text }) => ({ position: (position += after), bytes: Uint8Array.from(text, (c) => c.charCodeAt(0)) }));
}

/** Positions of what may be disturbed by a stop: interrupts, exceptions, accesses; REP strings are where accesses repeat and faults come. */
function eventPositions(recording: Recording): number[] {
  const positions: number[] = [];
  for (const { position } of open(recording.bytes).events({ kinds: ['interrupt', 'exit', 'device', 'idle'] })) if (position !== positions.at(-1)) positions.push(position);
  return positions;
}

export function stopPositions(recording: Recording, list: readonly Stop[]): number[] {
  const events = eventPositions(recording);
  if (events.length === 0) return [];
  const positions = new Set<number>();
  for (const { event, delta, count } of list) {
    const first = events[Math.floor(event * events.length)] + delta;
    for (let i = 0; i < count; i++) if (first + i > 0 && first + i <= recording.position) positions.add(first + i);
  }
  return [...positions].sort((a, b) => a - b);
}

/** Inputs stop a machine too, so they are at the same positions in all runs. */
export function isTheSameWhereverItStops(one: Case, list: readonly Stop[]): void {
  const recording = record({ ...one, drive: { ...one.drive, inputs: [], flushEvery: 0, markEvery: 0 } });
  const positions = stopPositions(recording, list);
  if (positions.length === 0) return;
  const inputs = placedInputs(one);
  const end = recording.position + 1000;
  const straight = new Walker(one, inputs);
  straight.to(end);
  const stopped = new Walker(one, inputs);
  for (const position of positions) if (!stopped.to(position)) break;
  stopped.to(end);
  if (same(straight, stopped)) return;

  // Which stop was it? Those before it do no harm.
  let low = 0;
  let high = positions.length;
  const at = (count: number): { readonly walker: Walker; readonly reference: Walker } => {
    const walker = new Walker(one, inputs);
    for (const position of positions.slice(0, count)) walker.to(position);
    const to = count < positions.length ? positions[count] : end;
    walker.to(to);
    const reference = new Walker(one, inputs);
    reference.to(to);
    return { walker, reference };
  };
  while (low < high) {
    const middle = (low + high) >>> 1;
    const { walker, reference } = at(middle);
    if (same(walker, reference)) low = middle + 1;
    else high = middle;
  }
  const { walker, reference } = at(low);
  throw new Error(
    `a machine that stopped at ${positions.slice(Math.max(0, low - 4), low).map((each) => `@${each}`).join()} (stop ${low} of ${positions.length}) is another at @${reference.machine.position()} than one that did not:\n` +
      `${tellState(reference)}\n${tellState(walker)}`,
  );
}

function same(a: Walker, b: Walker): boolean {
  return a.machine.digest().digest === b.machine.digest().digest && a.machine.position() === b.machine.position();
}

const REGISTERS = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'];

function tellState({ machine, ended }: Walker): string {
  const { cpu, ram, devices } = machine.digest();
  const { core } = machine;
  const registers = REGISTERS.map((name, i) => `${name}=${core.big(0x1000 + i * 8).toString(16)}`).join(' ');
  return `@${machine.position()} +${machine.timeOffsetNs} ns rip=${core.big(0x1100).toString(16)} flags=${core.exports.getFlags().toString(16)} ${registers}${ended ? ' ended' : ''} cpu ${cpu.slice(0, 8)} ram ${ram.slice(0, 8)} devices ${devices.slice(0, 8)}`;
}

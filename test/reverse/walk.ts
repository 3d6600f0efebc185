/** What must hold of every walk through a recording. Each function throws with what does not. */
import fc from 'fast-check';
import type { LogEvent } from '../../engine/log/events.ts';
import { MemorySink, MemorySource } from '../../engine/log/storage.ts';
import { readLinear, readPhysical, readRegister, readRegisters, translate } from '../../engine/debug/inspect.ts';
import { conditionOf } from '../../engine/debug/conditions.ts';
import { parseExpression } from '../../engine/debug/expression.ts';
import { delivered, deliveriesHere } from '../../engine/debug/shadow-stack.ts';
import type { StopPoint } from '../../engine/debug/stop-points.ts';
import { SymbolTable } from '../../engine/debug/symbols.ts';
import { type Stop, TimeTravel } from '../../engine/debug/time-travel.ts';
import type { Machine } from '../../engine/machine/machine.ts';
import { CheckpointError } from '../../engine/recording/checkpoint-errors.ts';
import { copyCheckpoint } from '../../engine/recording/checkpoint.ts';
import { IndexFile, writeIndex } from '../../engine/recording/index-file.ts';
import { Indexer, indexStep } from '../../engine/recording/indexer.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import type { Case } from '../determinism/cases.ts';
import { type Recording, core, open, record } from '../determinism/runs.ts';

const part = fc.noBias(fc.nat(999_999)).map((n) => n / 1_000_000);

export interface WalkDraw {
  /** Places of the run, 0 to 1. */
  readonly places: readonly number[];
  readonly steps: readonly number[];
  readonly spacing: number;
  readonly hasIndex: boolean;
}
export const walkDraws: fc.Arbitrary<WalkDraw> = fc.record({
  places: fc.array(part, { minLength: 2, maxLength: 8 }),
  steps: fc.array(fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5000 })), { minLength: 1, maxLength: 5 }),
  spacing: fc.constantFrom(1_000, 20_000, 8_000_000),
  hasIndex: fc.boolean(),
});

function indexOf(one: Case, recording: Recording, spacing: number): Uint8Array {
  const reader = open(recording.bytes);
  const replayer = new Replayer({ reader, images: one.images, module: core() });
  const indexer = new Indexer({ powerOn: copyCheckpoint(replayer.machine, replayer.save()), spacing });
  while (indexStep(replayer, indexer, 1_000_000).kind === 'running');
  const sink = new MemorySink();
  writeIndex(sink, reader, indexer.store);
  return sink.toBytes();
}

function travelOf(one: Case, recording: Recording, { spacing, hasIndex }: Pick<WalkDraw, 'spacing' | 'hasIndex'>): TimeTravel {
  const reader = open(recording.bytes);
  if (!hasIndex) return new TimeTravel({ reader, images: one.images, module: core(), spacing });
  const index = IndexFile.open(new MemorySource(indexOf(one, recording, spacing)), reader);
  const images = { ...one.images, get kernel(): Uint8Array { throw new Error('with an index nobody needs the kernel'); } }; // prettier-ignore
  return new TimeTravel({ reader, images, module: core(), spacing, index });
}

/** A damaged index is given up where that shows, and until then and afterwards each moment is that of a straight replay. */
export function aDamagedIndexIsGivenUp(one: Case, { places, spacing }: Pick<WalkDraw, 'places' | 'spacing'>, flips: readonly (readonly [number, number])[]): void {
  const recording = record(one);
  const reader = open(recording.bytes);
  const sound = indexOf(one, recording, spacing);
  for (const [place, bit] of flips) {
    const bytes = sound.slice();
    bytes[Math.floor(place * bytes.length)] ^= 1 << bit;
    let index: IndexFile;
    try {
      index = IndexFile.open(new MemorySource(bytes), reader);
    } catch (error) {
      if (error instanceof CheckpointError) continue;
      throw error;
    }
    const travel = new TimeTravel({ reader, images: one.images, module: core(), spacing, index });
    const straight = new Replayer({ reader, images: one.images, module: core() });
    for (const target of places.map((each) => Math.floor(each * recording.position)).sort((a, b) => b - a)) travel.seek(target);
    for (const target of places.map((each) => Math.floor(each * recording.position)).sort((a, b) => a - b)) {
      travel.seek(target);
      straight.step(target - straight.position);
      const { digest } = straight.machine.digest();
      if (!stateOf(travel).endsWith(digest)) throw new Error(`with bit ${bit} of byte ${Math.floor(place * bytes.length)} flipped, seek(${target}) led to ${stateOf(travel)}; a straight replay has ${digest}`);
    }
  }
}

/** All of the state at the cursor. */
function stateOf(travel: TimeTravel): string {
  return `@${travel.position}, record ${travel.records}, ${travel.machine.digest().digest}`;
}

function lookAround(machine: Machine): void {
  readRegisters(machine);
  const rip = readRegister(machine, 'rip') ?? 0n;
  translate(machine, rip);
  readLinear(machine, rip, 100);
  readLinear(machine, readRegister(machine, 'rsp') ?? 0n, 5000);
  readPhysical(machine, 0, 8192);
}

/** A step back and a step forward is no step; looking changes nothing; every way to a position leads to the same state. */
export function stepsAreTheirOwnInverse(one: Case, draw: WalkDraw): void {
  const recording = record(one);
  const travel = travelOf(one, recording, draw);
  const straight = new Map<number, string>();
  const reference = new Replayer({ reader: open(recording.bytes), images: one.images, module: core() });
  const targets = draw.places.map((place) => Math.floor(place * recording.position));
  for (const target of [...targets].sort((a, b) => a - b)) {
    reference.step(target - reference.position);
    straight.set(target, reference.machine.digest().digest);
  }
  for (const target of targets) {
    travel.seek(target);
    const here = stateOf(travel);
    const expected = straight.get(target);
    if (travel.position !== target || !here.endsWith(expected ?? '')) throw new Error(`seek(${target}) led to ${here}; a straight replay has ${expected}`);
    lookAround(travel.machine);
    if (stateOf(travel) !== here) throw new Error(`looking changed ${here} to ${stateOf(travel)}`);
    for (const n of draw.steps) {
      const back = Math.min(n, target);
      travel.reverseStep(n);
      if (travel.position !== target - back) throw new Error(`${n} steps back from @${target} led to @${travel.position}`);
      travel.step(back);
      if (stateOf(travel) !== here) throw new Error(`${n} steps back and forward led from ${here} to ${stateOf(travel)}`);
      for (let i = 0; i < Math.min(n, 7); i++) travel.reverseStep();
      for (let i = 0; i < Math.min(n, 7, target); i++) travel.step();
      if (stateOf(travel) !== here) throw new Error(`single steps back and forward led from ${here} to ${stateOf(travel)}`);
    }
  }
  travel.seek(Number.MAX_SAFE_INTEGER);
  if (travel.machine.digest().digest !== recording.end.digest) throw new Error(`the end of history is ${stateOf(travel)}, recorded was ${recording.end.digest}`);
}

export interface StopDraw extends WalkDraw {
  /** Where breakpoints and watchpoints come from: parts of what the run did. */
  readonly breaks: readonly number[];
  readonly watches: readonly number[];
  readonly watchBytes: number;
  readonly access: 'write' | 'read' | 'access';
  readonly event: LogEvent['kind'] | undefined;
  readonly condition: boolean;
  /** A handler of an interrupt or a fault, and what it came before: a part of the deliveries. */
  readonly handler: number | undefined;
}
export const stopDraws: fc.Arbitrary<StopDraw> = fc.tuple(
  walkDraws,
  fc.record({
    breaks: fc.array(part, { maxLength: 3 }),
    watches: fc.array(part, { maxLength: 2 }),
    watchBytes: fc.constantFrom(1, 8, 64, 4096),
    access: fc.constantFrom<StopDraw['access']>('write', 'write', 'read', 'access'),
    event: fc.constantFrom<LogEvent['kind'] | undefined>(undefined, undefined, 'interrupt', 'exit', 'idle', 'digest'),
    condition: fc.constantFrom(false, false, false, true),
    handler: fc.oneof(fc.constant(undefined), part),
  }),
).map(([walk, stops]) => ({ ...walk, ...stops })); // prettier-ignore

/** So much of a run is looked at one instruction at a time. */
const SCANNED_MAX = 20_000;

/** Each continue and reverse-continue stops where a scan of every single position says. */
export function bothDirectionsStopWhereAScanStops(one: Case, draw: StopDraw): void {
  const recording = record(one);
  const travel = travelOf(one, recording, draw);
  const last = Math.min(recording.position, SCANNED_MAX);

  // What the run did, one instruction at a time: rip and changes of a watched range.
  const rips: bigint[] = [];
  const halted: boolean[] = [];
  const scanner = travelOf(one, recording, { spacing: 8_000_000, hasIndex: false });
  const dirty = [...scanner.reader.events({ kinds: ['dirty'] })].flatMap((event) => (event.kind === 'dirty' ? [...event.pages] : []));
  const ranges = draw.watches.map((place) => (dirty.length === 0 ? { paddr: 0x300000, length: draw.watchBytes } : { paddr: dirty[Math.floor(place * dirty.length)] * 4096 + (4096 - draw.watchBytes) * (draw.watchBytes === 4096 ? 0 : Math.round(place)), length: draw.watchBytes }));
  const changes = new Set<number>();
  let before: string | undefined;
  for (let position = 0; position <= last; position++) {
    if (scanner.seek(position) !== position) break;
    rips.push(readRegister(scanner.machine, 'rip') ?? 0n);
    halted.push(readRegister(scanner.machine, 'halted') !== 0n);
    const now = ranges.map(({ paddr, length }) => Buffer.from(readPhysical(scanner.machine, paddr, length)).toString('latin1')).join('|');
    if (before !== undefined && now !== before) changes.add(position);
    before = now;
  }
  const addresses = draw.breaks.map((place) => rips[Math.floor(place * rips.length)]);
  const watch: StopPoint[] = ranges.length === 0 ? [] : [{ kind: 'watchpoint', ranges, access: draw.access }];
  const changed: StopPoint[] = ranges.length === 0 ? [] : [{ kind: 'watchpoint', ranges, access: 'write', changed: true }];
  const breakpoints: StopPoint[] = addresses.map((address) => ({ kind: 'breakpoint', address }));
  const event: StopPoint[] = draw.event === undefined ? [] : [{ kind: 'event', kinds: [draw.event] }];
  const anywhere = addresses.map((address) => `rip == ${address}`).join(' || ');
  const condition: StopPoint[] = draw.condition ? [{ kind: 'condition', condition: conditionOf(parseExpression(anywhere === '' ? '0' : anywhere, SymbolTable.EMPTY)) }] : [];

  const start = Math.floor(draw.places[0] * last);
  for (const stops of [breakpoints, watch, event, condition, [...breakpoints, ...watch, ...event, ...condition]]) bothWays(travel, stops, start, last);

  if (draw.handler !== undefined) handlersAreMet(travel, draw.handler, [...watch, ...event], start, last);

  // Breakpoints, one by one: rip is there, unless something else came first.
  for (const address of new Set(addresses)) {
    const { met, to } = bothWays(travel, [{ kind: 'breakpoint', address }], start, last);
    for (let at = start + 1; at < Math.min(rips.length, to); at++) {
      if (rips[at] !== address || met.has(at) || halted[at]) continue;
      // The instruction did not begin there: an interrupt or a trap was delivered, or it is a string instruction that goes on.
      if (rips[at - 1] !== address && !isInterrupted(travel, at)) throw new Error(`a breakpoint at ${address.toString(16)} did not stop at @${at}`);
    }
  }
  // Bytes do not change but at a hit. A delivery may show one position before it counts.
  if (changed.length > 0) {
    const { met, to } = bothWays(travel, changed, start, last);
    for (const at of changes) if (at > start && at < to && !met.has(at) && !met.has(at + 1)) throw new Error(`the bytes changed at @${at}, and no watchpoint stopped`);
    for (const at of met) if (at < to && !changes.has(at) && !changes.has(at - 1)) throw new Error(`a watchpoint stopped at @${at}, and no byte changed`);
  }
  if (draw.event !== undefined) {
    const { met, to } = bothWays(travel, event, start, last);
    for (const { position } of travel.reader.events({ kinds: [draw.event] })) if (position > start && position < to && !met.has(position)) throw new Error(`the event at @${position} was not stopped at`);
  }
}

/**
 * At one position an event can be met, the instruction that is interrupted or faults, and the first instruction of the handler: places that follow one another, each of them met in
 * both directions. What the CPU's tables say of each delivery is the oracle.
 */
function handlersAreMet(travel: TimeTravel, place: number, others: readonly StopPoint[], start: number, last: number): void {
  const events = [...delivered(travel.reader, start + 1, last)];
  if (events.length === 0) return;
  const chosen = events[Math.floor(place * events.length)];
  const here = (position: number): ReturnType<typeof deliveriesHere> => {
    travel.seek(position);
    return deliveriesHere(travel.machine, events.filter((event) => event.position === position));
  };
  const delivery = here(chosen.position).findLast(({ isPast }) => !isPast);
  if (delivery === undefined) return;
  const { handler, rip } = delivery;
  const log: StopPoint = { kind: 'event', kinds: ['exit', 'interrupt'] };
  const stops: StopPoint[] = [{ kind: 'breakpoint', address: handler }, { kind: 'breakpoint', address: rip }];
  const { met, to } = bothWays(travel, stops, start, last);
  for (const { position } of events) {
    if (position <= start || position >= to) continue;
    const at = here(position).findLast(({ isPast }) => !isPast);
    if (at?.handler === handler && !met.has(position)) throw new Error(`the handler at 0x${handler.toString(16)} begins at @${position}, and its breakpoint did not stop`);
  }
  bothWays(travel, [log, ...stops], start, last);
  bothWays(travel, [...stops, ...others], start, last);
  // From within the position, both ways: what comes later there, and what came before.
  travel.seek(chosen.position);
  const forward = checked(travel, travel.continue([stops[0]]));
  if (forward.kind !== 'stop-point' || forward.position !== chosen.position) return;
  if (!travel.isBetween) throw new Error(`@${chosen.position}: the handler's first instruction is no stop of its own`);
  const back = checked(travel, travel.reverseContinue([log, ...stops]));
  if (back.position !== chosen.position || back.kind === 'history') throw new Error(`@${chosen.position}: back from the handler's first instruction to ${back.kind} @${back.position}, not to what came before it at this position`);
}

function tell(stops: readonly StopPoint[]): string {
  return JSON.stringify(stops, (_, value: unknown) => (typeof value === 'bigint' ? `0x${value.toString(16)}` : value));
}

/** At most so many stops of a walk. */
const STOPS_MAX = 15;

/** Where a walk from `start` stops, and up to where that is known. Throws unless the way back stops at the same places, for the same reasons. */
function bothWays(travel: TimeTravel, stops: readonly StopPoint[], start: number, last: number): { readonly met: ReadonlySet<number>; readonly to: number } {
  const told = (stop: Extract<Stop, { kind: 'stop-point' }>): string => `@${stop.position}${travel.isBetween ? ` before 0x${readRegister(travel.machine, 'rip')?.toString(16)}` : ''}, points ${stop.indices.join(' ')}`;
  const places: string[] = [];
  const met: number[] = [];
  let to = last;
  travel.seek(start);
  for (;;) {
    const stop = checked(travel, travel.continue(stops));
    if (stop.kind === 'history' || stop.position >= last) break;
    met.push(stop.position);
    places.push(told(stop));
    if (met.length < STOPS_MAX) continue;
    to = stop.position;
    break;
  }
  const back: string[] = [];
  if (met.length < STOPS_MAX) travel.seek(last);
  else back.push(places[places.length - 1]);
  for (;;) {
    const stop = checked(travel, travel.reverseContinue(stops));
    if (stop.kind === 'history' || stop.position < start || (stop.position === start && !travel.isBetween)) break;
    back.unshift(told(stop));
  }
  for (let i = 0; i < Math.max(places.length, back.length); i++) {
    if (places[i] !== back[i]) throw new Error(`from @${start} to ${tell(stops)}: stop ${i} of ${places.length} forward is ${places[i]}, of ${back.length} backward ${back[i]}`);
  }
  return { met: new Set(met), to };
}

function checked(travel: TimeTravel, stop: Stop): Stop {
  if (stop.position !== travel.position) throw new Error(`said to stop at @${stop.position}, stopped at @${travel.position}`);
  const rip = readRegister(travel.machine, 'rip');
  if (stop.kind === 'stop-point' && stop.point.kind === 'breakpoint' && rip !== stop.point.address) throw new Error(`a breakpoint at ${stop.point.address.toString(16)} stopped at @${stop.position}, where rip is ${rip?.toString(16)}`);
  return stop;
}

function isInterrupted(travel: TimeTravel, at: number): boolean {
  for (const event of travel.reader.events({ kinds: ['interrupt', 'exit'] })) {
    if (event.position !== at) continue;
    if (event.kind === 'interrupt' || (event.kind === 'exit' && event.reason === 0)) return true;
  }
  return false;
}

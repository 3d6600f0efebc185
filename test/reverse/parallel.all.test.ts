/** Several workers tell what one tells. Drawn guests; workers that answer in any order, late, or not at all. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Bisection, bisect, bisectInParallel } from '../../engine/debug/bisect.ts';
import { calls, callsInParallel } from '../../engine/debug/calls.ts';
import { conditionOf, holderOf } from '../../engine/debug/conditions.ts';
import { parseExpression } from '../../engine/debug/expression.ts';
import { ExpressionView } from '../../engine/debug/expression-view.ts';
import type { Met } from '../../engine/debug/hits.ts';
import { readRegister } from '../../engine/debug/inspect.ts';
import { execs, parallel, reads, writesBackward, writesForward } from '../../engine/debug/queries.ts';
import { type ReplayedStop, type StretchAnswer, type StretchCrew, type StretchWorker, answerStretch, rowsOf } from '../../engine/debug/stretches.ts';
import type { StopPoint } from '../../engine/debug/stop-points.ts';
import { SymbolTable } from '../../engine/debug/symbols.ts';
import { type Stop, TimeTravel } from '../../engine/debug/time-travel.ts';
import { values, valuesInParallel } from '../../engine/debug/values.ts';
import { type Case, tinyCases } from '../determinism/cases.ts';
import { core, open, record } from '../determinism/runs.ts';

const RUN_MAX = 6000;
const part = fc.noBias(fc.nat(999_999)).map((n) => n / 1_000_000);
const draws = fc.record({
  places: fc.array(part, { minLength: 3, maxLength: 3 }),
  from: fc.oneof(fc.constant(0), part),
  spacing: fc.constantFrom(200, 700),
  /** Of each worker: turns that pass until an answer, one after the other; -1: it fails there. */
  workers: fc.array(fc.array(fc.constantFrom(0, 0, 1, 3, 9, -1), { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 3 }),
  taken: fc.nat(40),
});

/** Turns of the event loop. */
async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

function travelOf(one: Case, bytes: Uint8Array, spacing: number): TimeTravel {
  const travel = new TimeTravel({ reader: open(bytes), images: one.images, module: core(), spacing });
  travel.seek(Number.MAX_SAFE_INTEGER);
  return travel;
}

interface FakeCrew extends StretchCrew {
  readonly counts: { readonly stretches: number[]; unwanted: number; busy: number };
}

function fakeCrew(travel: TimeTravel, others: readonly { readonly travel: TimeTravel; readonly delays: readonly number[] }[]): FakeCrew {
  const counts = { stretches: [0, ...others.map(() => 0)], unwanted: 0, busy: 0 };
  const worker = (of: TimeTravel, which: number, delays: readonly number[], capacity: number): StretchWorker => ({
    capacity,
    ask: async (task, isWanted): Promise<StretchAnswer> => {
      const delay = delays[counts.stretches[which]++ % delays.length];
      counts.busy++;
      try {
        await turns(Math.max(0, delay));
        if (delay < 0) throw new Error('the worker is gone');
        if (!isWanted()) {
          counts.unwanted++;
          return { rows: [] };
        }
        return answerStretch(of, task);
      } finally {
        counts.busy--;
      }
    },
  });
  return { counts, local: worker(travel, 0, [1], 1), start: (join) => others.forEach((other, i) => void turns(i).then(() => join(worker(other.travel, i + 1, other.delays, 2)))) };
}

async function collected<T>(rows: AsyncIterable<T>, most = Infinity): Promise<T[]> {
  const all: T[] = [];
  if (most === 0) return all;
  for await (const row of rows) if (all.push(row) >= most) break;
  return all;
}

test('answers of several workers are those of one, in the same order, and a question that is given up leaves the cursor alone', async () => {
  let helped = 0;
  await fc.assert(fc.asyncProperty(tinyCases(RUN_MAX), draws, async (one, { places, from: begin, spacing, workers, taken }) => {
    const { bytes } = record(one);
    const travel = travelOf(one, bytes, spacing);
    const last = Math.min(travel.last, RUN_MAX);
    const rips = places.map((place) => (travel.seek(Math.floor(place * last)), readRegister(travel.machine, 'rip') ?? 0n));
    const stack = Number((readRegister(travel.machine, 'rsp') ?? 0n) & 0xffff_fff8n);
    const ranges = [{ paddr: Math.min(Math.max(64, stack - 16), travel.machine.core.ramBytes - 64), length: 16 }];
    const from = Math.floor(begin * last);
    const to = travel.last + 1;
    const crew = (): FakeCrew => fakeCrew(travel, workers.map((delays, i) => ({ travel: travelOf(one, bytes, spacing + i * 111), delays })));
    for (const backward of [false, true]) {
      const span = { from, to, backward };
      const expected = backward ? [...writesBackward(travel, ranges, to, from)] : [...writesForward(travel, ranges, from, to)];
      const writers = crew();
      expect(await collected(parallel.writes(travel, writers, ranges, span))).toEqual(expected);
      helped += writers.counts.stretches.slice(1).reduce((sum, n) => sum + n, 0);
      expect(await collected(parallel.reads(travel, crew(), ranges, span))).toEqual([...reads(travel, ranges, span)]);
      expect(await collected(parallel.execs(travel, crew(), rips, span))).toEqual([...execs(travel, rips, span)]);

      const early = crew();
      expect(await collected(parallel.writes(travel, early, ranges, span), taken)).toEqual(expected.slice(0, taken));
      travel.seek(from);
      const { digest } = travel.machine.digest();
      await turns(12);
      expect(travel.position).toBe(from);
      expect(travel.machine.digest().digest).toBe(digest);
      expect(early.counts.busy).toBe(0);
    }
  }), { numRuns: 3, seed: 11 });
  // Or the others never had anything to do, and nothing was tested. (The draws are always the same ones: change the seed for others.)
  expect(helped).toBeGreaterThan(0);
}, 600_000);

const ACCESSES = ['write', 'read', 'access'] as const;
const walkDraws = fc.record({
  places: fc.array(part, { maxLength: 3 }),
  access: fc.constantFrom(undefined, ...ACCESSES),
  changed: fc.boolean(),
  /** Of breakpoints and the watchpoint: the low bits of a register or of what is on the stack. */
  condition: fc.constantFrom(undefined, 'register', 'memory', 'events'),
  /** On any instruction: it holds at one address. */
  anywhere: fc.oneof(fc.constant(undefined), fc.constant(undefined), part),
  event: fc.constantFrom(undefined, undefined, 'interrupt' as const, 'exit' as const),
  length: fc.constantFrom(4, 16, 4096),
  start: fc.oneof(fc.constant(1), part),
  spacing: fc.constantFrom(200, 700),
  workers: fc.array(fc.array(fc.constantFrom(0, 0, 1, 3, 9, -1), { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 3 }),
  givesUp: fc.nat(12),
});

test('a walk by several workers stops where one stops, in the same state, and one that is given up leaves the cursor alone', async () => {
  let helped = 0;
  let stopped = 0;
  let stoppedForward = 0;
  await fc.assert(fc.asyncProperty(tinyCases(RUN_MAX), walkDraws, async (one, { places, access, changed, condition, anywhere, event, length, start, spacing, workers, givesUp }) => {
    const { bytes } = record(one);
    const travel = travelOf(one, bytes, spacing);
    const { last } = travel;
    const rips = places.map((place) => (travel.seek(Math.floor(place * last)), readRegister(travel.machine, 'rip') ?? 0n));
    const stack = Number((readRegister(travel.machine, 'rsp') ?? 0n) & 0xffff_fff8n);
    const paddr = Math.min(Math.max(8192, stack - length / 2), travel.machine.core.ramBytes - 8192);
    const texts = { register: '(rsp >> 3) & 1', memory: `p8(${paddr}) & 1`, events: 'events("exit") & 1' };
    const held = condition === undefined ? undefined : conditionOf(parseExpression(texts[condition], SymbolTable.EMPTY, travel.reader));
    const stops: StopPoint[] = rips.map((address) => ({ kind: 'breakpoint', address, condition: held }));
    if (access !== undefined) stops.unshift({ kind: 'watchpoint', ranges: [{ paddr, length }], access, changed: changed && access === 'write', condition: held });
    if (anywhere !== undefined) {
      travel.seek(Math.floor(anywhere * last));
      stops.push({ kind: 'condition', condition: conditionOf(parseExpression(`rip == ${readRegister(travel.machine, 'rip')}`, SymbolTable.EMPTY)) });
    }
    if (event !== undefined) stops.push({ kind: 'event', kinds: [event] });
    const crew = fakeCrew(travel, workers.map((delays, i) => ({ travel: travelOf(one, bytes, spacing + i * 111), delays })));
    const sequential = travelOf(one, bytes, spacing);
    const from = Math.floor(start * last);
    travel.seek(from);
    sequential.seek(from);
    const met: { readonly position: number; readonly stops: readonly number[]; readonly isBetween: boolean }[] = [];
    for (let i = 0; i < 12; i++) {
      const expected: Stop = sequential.reverseContinue(stops);
      const walk = travel.reverseContinuingWith(crew, stops);
      let slice = await walk.next();
      for (let before: number = from + 1; slice.done !== true; slice = await walk.next()) {
        // Nothing was met from there on.
        expect(slice.value).toBeLessThan(before);
        expect(slice.value).toBeGreaterThanOrEqual(expected.position);
        before = slice.value;
      }
      expect(slice.value).toEqual(expected);
      expect(travel.position).toBe(expected.position);
      expect(travel.isBetween).toBe(sequential.isBetween);
      expect(travel.machine.digest()).toEqual(sequential.machine.digest());
      if (expected.kind === 'history') break;
      met.push({ position: expected.position, stops: expected.indices, isBetween: travel.isBetween });
      // Without its conditions it would stop there, too, and they hold.
      for (const index of expected.indices) if (stops[index].kind !== 'event' && held !== undefined && stops[index].kind !== 'condition') expect(holderOf(held, travel.reader)(travel.machine)).toBe(true);
      stopped++;
    }
    helped += crew.counts.stretches.slice(1).reduce((sum, n) => sum + n, 0);

    // Forward, too, from wherever.
    for (const of of [travel, sequential]) of.seek(last - from);
    for (let i = 0; i < 12; i++) {
      const expected = sequential.continue(stops);
      const walk = travel.continuingWith(crew, stops);
      let slice = await walk.next();
      for (; slice.done !== true; slice = await walk.next()) expect(slice.value).toBeLessThanOrEqual(expected.position + 1);
      expect(slice.value).toEqual(expected);
      expect(travel.isBetween).toBe(sequential.isBetween);
      expect(travel.machine.digest()).toEqual(sequential.machine.digest());
      if (expected.kind === 'history') break;
      stoppedForward++;
    }

    // The same stretch by stretch, cut where it matters: at each hit, and between two of them.
    const replayed = stops.filter((stop): stop is ReplayedStop => stop.kind !== 'event');
    const lastMet = (begin: number, end: number): Met[] => (replayed.length === 0 ? [] : [...rowsOf<Met>(sequential, { kind: 'last-hit', stops: replayed }, { from: begin, to: end, backward: true })]);
    for (const [i, place] of met.entries()) {
      const { position } = place;
      const numbers = place.stops.filter((stop) => stop < replayed.length);
      if (numbers.length > 0 && met[i - 1]?.position !== position) expect(lastMet(position, position + 1).slice(0, 1)).toEqual([{ position, stops: numbers }]);
      expect(lastMet(position + 1, met[i - 1]?.position ?? from)).toEqual([]);
    }

    // Brute force: every instruction is looked at.
    if (held !== undefined && rips.length > 0) {
      const slow: StopPoint[] = [{ kind: 'condition', condition: conditionOf(parseExpression('0', SymbolTable.EMPTY)) }];
      sequential.seek(from);
      const starts = [...execs(sequential, rips, { from: 0, to: from, backward: true })];
      const holds = starts.filter(({ position, rip }) => (sequential.seek(position), readRegister(sequential.machine, 'rip') !== rip || holderOf(held, sequential.reader)(sequential.machine)));
      const only: StopPoint[] = [...rips.map((address): StopPoint => ({ kind: 'breakpoint', address, condition: held })), ...slow];
      sequential.seek(from);
      const stop = sequential.reverseContinue(only);
      // What begins inside a position may hold only there.
      if (stop.kind === 'stop-point' && !sequential.isBetween) expect(holds.map(({ position }) => position)).toContain(stop.position);
      if (stop.kind === 'history') expect(holds.filter(({ position, rip }) => (sequential.seek(position), readRegister(sequential.machine, 'rip') === rip))).toEqual([]);
    }

    travel.seek(from);
    const walk = travel.reverseContinuingWith(crew, stops);
    for (let i = 0; i < givesUp && (await walk.next()).done !== true; i++);
    await walk.return(undefined as never);
    travel.seek(from);
    const { digest } = travel.machine.digest();
    await turns(12);
    expect(travel.position).toBe(from);
    expect(travel.machine.digest().digest).toBe(digest);
    expect(crew.counts.busy).toBe(0);
  }), { numRuns: 6, seed: 11 });
  expect(helped).toBeGreaterThan(0);
  expect(stopped).toBeGreaterThan(0);
  expect(stoppedForward).toBeGreaterThan(0);
}, 600_000);

const changeDraws = fc.record({
  places: fc.array(part, { minLength: 2, maxLength: 2 }),
  from: fc.oneof(fc.constant(0), part),
  text: fc.constantFrom('p64(P)', 'p8(P) + p32(Q)', 'p8(P) & 1', 'p64(P) + events("exit")', 'rsp + p8(P)', '(rsp >> 4) & 1', 'rax == rcx'),
  spacing: fc.constantFrom(200, 700),
  stretch: fc.constantFrom(150, 400, 4_000_000),
  workers: fc.array(fc.array(fc.constantFrom(0, 0, 1, 3, 9, -1), { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 3 }),
  taken: fc.nat(40),
});

test('values, beginnings and calls told by several workers are those of one, and what a look at every position says', async () => {
  let helped = 0;
  let rows = 0;
  await fc.assert(fc.asyncProperty(tinyCases(RUN_MAX), changeDraws, async (one, { places, from: begin, text, spacing, stretch, workers, taken }) => {
    const { bytes } = record(one);
    const travel = travelOf(one, bytes, spacing);
    const to = Math.min(travel.last, RUN_MAX / 4);
    const from = Math.floor(begin * to);
    const stack = places.map((place) => (travel.seek(Math.floor(place * to)), Math.min(Math.max(64, Number((readRegister(travel.machine, 'rsp') ?? 0n) & 0xffff_fff8n) - 8), travel.machine.core.ramBytes - 64)));
    const rips = places.map((place) => (travel.seek(Math.floor(place * to)), readRegister(travel.machine, 'rip') ?? 0n));
    const expression = parseExpression(text.replaceAll('P', String(stack[0])).replaceAll('Q', String(stack[1])), SymbolTable.EMPTY, travel.reader);
    const others = workers.map((delays, i) => ({ travel: travelOf(one, bytes, spacing + i * 111), delays }));
    const crew = (): FakeCrew => fakeCrew(travel, others);
    const seen: { position: number; value: bigint | undefined }[] = [];
    const view = new ExpressionView(travel.machine);
    for (let position = from; position <= to; position++) {
      travel.seek(position);
      view.forget();
      const value = expression.value(view);
      if (seen.length === 0 || seen[seen.length - 1].value !== value) seen.push({ position, value });
    }
    rows += seen.length;
    for (const backward of [false, true]) {
      const expected = backward ? [...seen].reverse() : seen;
      const span = { from, to, backward };
      expect([...values(travel, expression, span, stretch)]).toEqual(expected);
      const asked = crew();
      expect(await collected(valuesInParallel(travel, asked, expression, span, stretch))).toEqual(expected);
      helped += asked.counts.stretches.slice(1).reduce((sum, n) => sum + n, 0);

      const early = crew();
      expect(await collected(valuesInParallel(travel, early, expression, span, stretch), taken)).toEqual(expected.slice(0, taken));
      travel.seek(from);
      const { digest } = travel.machine.digest();
      await turns(12);
      expect(travel.machine.digest().digest).toBe(digest);
      expect(early.counts.busy).toBe(0);

      const called = [...calls(travel, rips, { from, to, backward })];
      expect(await collected(callsInParallel(travel, crew(), rips, { from, to, backward }))).toEqual(called);
      // Nor does it matter where stretches begin and end.
      if (!backward) expect([...calls(travelOf(one, bytes, 4_000_000), rips, { from, to, backward })]).toEqual(called);
    }
    const isTrue = (value: bigint | undefined): boolean => value !== undefined && value !== 0n;
    const truths = seen.map(({ position, value }) => ({ position, holds: isTrue(value) })).filter(({ holds }, i, all) => i === 0 || holds !== all[i - 1].holds);
    for (const stays of [false, true]) {
      const found = bisect(travel, expression, { from, to, stays, stretch });
      const place = stays ? (truths[truths.length - 1].holds ? truths[truths.length - 1].position : undefined) : truths.find(({ holds }) => holds)?.position;
      const kind: Bisection['kind'] = place === undefined ? 'none' : place === from ? 'from-start' : 'found';
      expect(found).toEqual({ kind, ...(place !== undefined && { position: place }), method: found.method });
      expect(await bisectInParallel(travel, crew(), expression, { from, to, stays, stretch })).toEqual(found);
    }
  }), { numRuns: 8, seed: 12 });
  expect(helped).toBeGreaterThan(0);
  expect(rows).toBeGreaterThan(20);
}, 600_000);

/** Queries over a run: what a look at every instruction of drawn guests says, in both directions. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { calls } from '../../engine/debug/calls.ts';
import { parseExpression } from '../../engine/debug/expression.ts';
import { ExpressionView } from '../../engine/debug/expression-view.ts';
import { readPhysical, readRegister } from '../../engine/debug/inspect.ts';
import { execs, exits, reads } from '../../engine/debug/queries.ts';
import type { StopPoint } from '../../engine/debug/stop-points.ts';
import { SymbolTable, parseElfSymbols } from '../../engine/debug/symbols.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { values } from '../../engine/debug/values.ts';
import { type Case, labImage, tinyCases } from '../determinism/cases.ts';
import { assertProperty, core, open, record } from '../determinism/runs.ts';
import { labRecording } from './lab.ts';
import { Tracker } from './tracker.ts';

const FILE = 'test/stack/queries.all.test.ts';
const part = fc.noBias(fc.nat(999_999)).map((n) => n / 1_000_000);
const draws = fc.record({ places: fc.array(part, { minLength: 3, maxLength: 3 }), from: fc.oneof(fc.constant(0), part), spacing: fc.constantFrom(500, 8_000_000), stretch: fc.constantFrom(60, 400, 4_000_000) });

/** So much of a run is looked at one position at a time. */
const SCANNED_MAX = 3000;

function queriesEqualAScan(drawn: Case, { places, from: begin, spacing, stretch }: { places: number[]; from: number; spacing: number; stretch: number }): void {
  const recording = record(drawn);
  const travel = new TimeTravel({ reader: open(recording.bytes), images: drawn.images, module: core(), spacing });
  const to = Math.min(recording.position, SCANNED_MAX);
  const from = Math.floor(begin * to);
  const scanner = new TimeTravel({ reader: open(recording.bytes), images: drawn.images, module: core() });
  const rips: bigint[] = [];
  const stack = (): number => Number((readRegister(scanner.machine, 'rsp') ?? 0n) & 0xffff_fff8n);
  scanner.seek(Math.floor(places[0] * to));
  const paddr = Math.min(Math.max(64, stack() - 8), scanner.machine.core.ramBytes - 64);
  const expression = parseExpression(`p64(0x${paddr.toString(16)}) + u8(0x${paddr.toString(16)})`, SymbolTable.EMPTY);
  const registers = parseExpression(`rsp + (p8(0x${paddr.toString(16)}) & 1)`, SymbolTable.EMPTY);
  const events = parseExpression(`events("exit") - events("interrupt")`, SymbolTable.EMPTY, travel.reader);
  const both = parseExpression(`p64(0x${paddr.toString(16)}) + events("exit")`, SymbolTable.EMPTY, travel.reader);
  const asked = [expression, registers, events, both];
  const seen: (bigint | undefined)[][] = asked.map(() => []);
  const view = new ExpressionView(scanner.machine);
  for (let position = 0; position <= to && scanner.seek(position) === position; position++) {
    rips.push(readRegister(scanner.machine, 'rip') ?? 0n);
    view.forget();
    asked.forEach((one, i) => seen[i].push(one.value(view)));
  }
  const last = rips.length - 1;
  const span = { from, to: last };
  const tell = (rows: Iterable<object>): string[] => [...rows].map((row) => JSON.stringify(row, (_, value: unknown) => (typeof value === 'bigint' ? `0x${value.toString(16)}` : value)));

  // Values: those of each position.
  for (const [i, one] of asked.entries()) {
    const expected: { position: number; value: bigint | undefined }[] = [];
    for (let position = from; position <= last; position++) if (position === from || seen[i][position] !== seen[i][position - 1]) expected.push({ position, value: seen[i][position] });
    expect(tell(values(travel, one, span, stretch))).toEqual(tell(expected));
    expect(tell(values(travel, one, { ...span, backward: true }, stretch))).toEqual(tell(expected.reverse()));
  }

  // What runs: where breakpoints stop.
  const addresses = [...new Set(places.map((place) => rips[Math.floor(place * last)]))];
  const run = [...execs(travel, addresses, span)];
  expect(tell(execs(travel, addresses, { ...span, backward: true }))).toEqual(tell([...run].reverse()));
  const stops = addresses.map((address): StopPoint => ({ kind: 'breakpoint', address }));
  const met = new Set<number>();
  travel.seek(from);
  for (let stop = travel.continue(stops); stop.kind === 'stop-point' && stop.position < last; stop = travel.continue(stops)) met.add(stop.position);
  expect([...new Set(run.map(({ position }) => position))].filter((position) => position > from)).toEqual([...met]);

  // Loads: where watchpoints for reads stop, one later.
  const ranges = [{ paddr, length: 8 }];
  const loads = [...reads(travel, ranges, span)];
  expect(tell(reads(travel, ranges, { ...span, backward: true }))).toEqual(tell([...loads].reverse()));
  const readStops: number[] = [];
  travel.seek(from);
  const watch: StopPoint = { kind: 'watchpoint', ranges, access: 'read' };
  for (let stop = travel.continue([watch]); stop.kind === 'stop-point' && stop.position <= last; stop = travel.continue([watch])) readStops.push(stop.position);
  expect(loads.map(({ position }) => position + 1).filter((position) => position > from)).toEqual(readStops);
  for (const { position, value } of loads) {
    travel.seek(position);
    // A delivery at that position may have written there before the load.
    if (readRegister(travel.machine, 'rip') === rips[position] && rips[position + 1] !== undefined) expect(value.length).toBe(readPhysical(travel.machine, paddr, 8).length);
  }

  const all = [...exits(travel.reader, {}, span)].map(({ position, reason }) => `${position} ${reason}`);
  expect([...exits(travel.reader, {}, { ...span, backward: true })].map(({ position, reason }) => `${position} ${reason}`).reverse()).toEqual(all);
}

test('values, execs, reads and exits equal a scan of every position', () => {
  assertProperty(FILE, fc.property(tinyCases(SCANNED_MAX), draws, queriesEqualAScan), 10, 8_000);
});

test('calls of the lab kernel, with arguments and return values, are those of a model that single-steps', () => {
  const { travel } = labRecording();
  const symbols = parseElfSymbols(labImage('lab-kernel'));
  travel.seek(Number.MAX_SAFE_INTEGER);
  const from = Math.floor(travel.last * 0.5);
  const to = from + 40_000;
  const tracker = new Tracker(travel, symbols, from, to);
  const names = ['drop_tables', 'space_clear', 'memset', 'syscall_dispatch'];
  const addresses = names.map((name) => symbols.find(name).address);
  const expected: string[] = [];
  for (let position = from + 1; position < to; position++) {
    const { rip, node, rsp, delivers } = tracker.at(position);
    // Also where a jump leads to the function: its return address lies at rsp.
    if (!addresses.includes(rip) || delivers || node.kind !== 'call' || node.slot !== rsp) continue;
    const back = tracker.out(position);
    travel.seek(position);
    const given = readRegister(travel.machine, 'rdi');
    const value = back === undefined ? undefined : (travel.seek(back), readRegister(travel.machine, 'rax'));
    expected.push(`@${position} ${symbols.tell(rip)}(${given}) ${value} @${back}`);
  }
  expect(expected.length).toBeGreaterThan(5);
  const text = (backward: boolean): string[] => [...calls(travel, addresses, { from: from + 1, to, backward })].map(({ position, address, arguments: [given], returned }) => {
    const isSeen = returned !== undefined && returned.position <= to;
    return `@${position} ${symbols.tell(address)}(${given}) ${isSeen ? returned.value : undefined} @${isSeen ? returned.position : undefined}`;
  }); // prettier-ignore
  expect(text(false)).toEqual(expected);
  expect(text(true)).toEqual(expected.reverse());
}, 60_000);

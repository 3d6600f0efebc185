/** What the questions must answer, found out by looking at every single position. Each function throws with what does not hold. */
import fc from 'fast-check';
import { bisect } from '../../engine/debug/bisect.ts';
import { type Expression, parseExpression } from '../../engine/debug/expression.ts';
import { ExpressionView } from '../../engine/debug/expression-view.ts';
import { readPhysical, readRegister } from '../../engine/debug/inspect.ts';
import { writesBackward, writesForward } from '../../engine/debug/queries.ts';
import type { StopPoint } from '../../engine/debug/stop-points.ts';
import { SymbolTable } from '../../engine/debug/symbols.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import type { Case } from '../determinism/cases.ts';
import { core, open, record } from '../determinism/runs.ts';

const part = fc.noBias(fc.nat(999_999)).map((n) => n / 1_000_000);

export interface QuestionDraw {
  /** Of the frames that the run writes, and of one of them. */
  readonly frames: readonly number[];
  readonly offsets: readonly number[];
  /** Of the run: where the values come from that are compared with. */
  readonly places: readonly number[];
  readonly from: number;
  readonly spacing: number;
  /** Instructions that are replayed at once. */
  readonly stretch: number;
}
export const questionDraws: fc.Arbitrary<QuestionDraw> = fc.record({
  frames: fc.array(part, { minLength: 2, maxLength: 4 }),
  offsets: fc.array(part, { minLength: 2, maxLength: 4 }),
  places: fc.array(part, { minLength: 2, maxLength: 3 }),
  from: fc.oneof(fc.constant(0), part),
  spacing: fc.constantFrom(500, 8_000_000),
  stretch: fc.constantFrom(60, 400, 4_000_000),
});

/** So much of a run is looked at one position at a time. */
const SCANNED_MAX = 3000;

/** The first position, the last from which on, and every store: the same as a look at every position says. */
export function questionsEqualAScan(one: Case, draw: QuestionDraw): void {
  const recording = record(one);
  const travel = new TimeTravel({ reader: open(recording.bytes), images: one.images, module: core(), spacing: draw.spacing });
  const scanner = new TimeTravel({ reader: open(recording.bytes), images: one.images, module: core() });
  const last = Math.min(recording.position, SCANNED_MAX);
  const from = Math.floor(draw.from * last);

  const addresses = interesting(one, recording.bytes, draw, last);
  const values: bigint[][] = [];
  const rips: bigint[] = [];
  for (let position = 0; position <= last && scanner.seek(position) === position; position++) {
    values.push(addresses.map((address) => new DataView(Uint8Array.from(readPhysical(scanner.machine, address, 8)).buffer).getBigUint64(0, true)));
    rips.push(readRegister(scanner.machine, 'rip') ?? 0n);
  }
  const to = values.length - 1;
  const texts: string[] = [];
  addresses.forEach((address, i) => {
    const hex = `0x${address.toString(16)}`;
    for (const place of draw.places) {
      const value = values[Math.floor(place * to)][i];
      texts.push(`p64(${hex}) == ${value}`, `p64(${hex}) != ${value}`, `u64(${hex}) == ${value}`, `p8(${hex}) >= ${(value & 0xffn) || 1n}`);
    }
    const other = addresses[(i + 1) % addresses.length];
    // What is read depends on what was read.
    texts.push(`p16(0x${other.toString(16)} - 32 + (p8(${hex}) & 63)) > ${values[Math.floor(draw.places[0] * to)][i] & 0xffffn}`, `length(u64(${hex})) > 1`, `u64(u64(${hex})) != 0`);
  });
  const rip = rips[Math.floor(draw.places[0] * to)];
  texts.push(`rax > ${rip} && position > ${Math.floor(draw.places[1] * to)}`, `[rsp]:4 == ${values[0][0] & 0xffffn} || cpl == 3`);

  // Events, alone and with memory and registers.
  const [first] = addresses;
  const many = Math.floor(draw.places[0] * 12);
  texts.push(`events("exit") > ${many}`, `events("interrupt") + events("exit io") == ${many}`, `events("event device input") > 2 && p8(0x${first.toString(16)}) != ${values[Math.floor(draw.places[1] * to)][0] & 0xffn}`, `events("exit") > ${many} && cpl == 3`);
  const parsed = texts.map((text) => parseExpression(text, SymbolTable.EMPTY, travel.reader));
  const truths = parsed.map(() => [] as boolean[]);
  const view = new ExpressionView(scanner.machine);
  for (let position = 0; position <= to; position++) {
    scanner.seek(position);
    view.forget();
    const digest = position % 500 === 0 ? scanner.machine.digest().digest : undefined;
    parsed.forEach((expression, i) => truths[i].push(expression.isTrue(view)));
    if (digest !== undefined && scanner.machine.digest().digest !== digest) throw new Error(`looking changed the state at @${position}`);
  }
  parsed.forEach((expression, i) => answersAre(travel, expression, truths[i], from, to, draw.stretch));

  for (const address of addresses) storesAre(travel, address, from, to);
}

function answersAre(travel: TimeTravel, expression: Expression, truth: readonly boolean[], from: number, to: number, stretch: number): void {
  const first = truth.findIndex((is, at) => at >= from && is);
  const found = bisect(travel, expression, { from, to, stays: false, stretch });
  const said = found.kind === 'none' ? -1 : found.position;
  if (said !== first) throw new Error(`${expression.text}, @${from} to @${to}: first true at @${first}, said @${said} (${found.method})`);
  const lastFalse = truth.slice(0, to + 1).lastIndexOf(false);
  const stays = lastFalse < from ? from : lastFalse === to ? -1 : lastFalse + 1;
  const saidStays = bisect(travel, expression, { from, to, stays: true, stretch });
  const staysAt = saidStays.kind === 'none' ? -1 : saidStays.position;
  if (staysAt !== stays) throw new Error(`${expression.text}, @${from} to @${to}: stays true from @${stays}, said @${staysAt} (${saidStays.method})`);
}

/** Backward and forward tell of the same stores; those are what watchpoints stop at; and no byte changes without one. */
function storesAre(travel: TimeTravel, paddr: number, from: number, to: number): void {
  const ranges = [{ paddr, length: 8 }];
  const forward = [...writesForward(travel, ranges, from, to)];
  const backward = [...writesBackward(travel, ranges, to, from)].reverse();
  const tell = (writes: typeof forward): string => JSON.stringify(writes.map((write) => [write.position, write.rip.toString(16), write.by, Buffer.from(write.before).toString('hex'), Buffer.from(write.after).toString('hex')]));
  if (tell(forward) !== tell(backward)) throw new Error(`stores to 0x${paddr.toString(16)}: forward ${tell(forward)}, backward ${tell(backward)}`);
  const stop: StopPoint = { kind: 'watchpoint', ranges, access: 'write' };
  const stops: number[] = [];
  travel.seek(from);
  for (let met = travel.continue([stop]); met.kind === 'stop-point' && met.position <= to && stops.length < 200; met = travel.continue([stop])) stops.push(met.position);
  const expected = forward.map(({ position }) => position + 1).filter((position) => position > from).slice(0, 200);
  if (expected.join() !== stops.join()) throw new Error(`stores to 0x${paddr.toString(16)} count at @${expected.join()}, a watchpoint stops at @${stops.join()}`);
  for (let i = 1; i < forward.length; i++) {
    if (Buffer.compare(forward[i - 1].after, forward[i].before) !== 0) throw new Error(`between the stores at @${forward[i - 1].position} and @${forward[i].position} to 0x${paddr.toString(16)} something else wrote`);
  }
}

/** Addresses that the run writes: what its dirty sets name, and where it was seen to. */
function interesting(one: Case, bytes: Uint8Array, draw: QuestionDraw, last: number): readonly number[] {
  const travel = new TimeTravel({ reader: open(bytes), images: one.images, module: core() });
  const stacks = new Set<number>();
  for (const place of draw.places) {
    travel.seek(Math.floor(place * last));
    const rsp = Number((readRegister(travel.machine, 'rsp') ?? 0n) & 0xffff_ffffn);
    if (rsp >= 4096 && rsp + 64 < travel.machine.core.ramBytes) stacks.add((rsp - 8) & ~7);
  }
  const dirty = [...travel.reader.events({ kinds: ['dirty'] })].flatMap((event) => (event.kind === 'dirty' ? [...event.pages] : []));
  const frames = dirty.length === 0 ? [0x300] : dirty;
  const drawn = draw.frames.map((at, i) => frames[Math.floor(at * frames.length)] * 4096 + Math.floor((draw.offsets[i % draw.offsets.length] * 4088) / 4) * 4);
  return [...new Set([...stacks, ...drawn])].filter((address) => address >= 32).slice(0, 5);
}

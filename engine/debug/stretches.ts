/**
 * Stretches of a run that are replayed to see what happens there: which there are (skipping what the dirty sets rule out), what one of them has, and how answers of
 * several that are replayed at a time become one list in order.
 *
 *     ··|── ruled out ──|──────|──────|── ruled out ──|──────|      checkpoints, and stretches between them
 *                          3      2                      1          the latest first: handed to whoever is free, told in this order
 *
 * What a stretch has depends on the recording alone, not on where it begins, who replays it or when.
 */
import * as L from '../cpu/layout.ts';
import { callsIn } from './calls.ts';
import { type ChangesQuestion, type Learnt, changesOf } from './changes.ts';
import { HitCollector, type Met, type Moment, placeMet } from './hits.ts';
import { type PhysicalRange, readRegister } from './inspect.ts';
import { observed } from './observed.ts';
import type { StopPoint } from './stop-points.ts';
import type { TimeTravel } from './time-travel.ts';

/** One instruction's store (or a device's) to the ranges asked for. Several accesses at one position are one write, and the first says where. */
export interface Write {
  /** Of the instruction; what it wrote is there from the next position on. */
  readonly position: number;
  /** Of the instruction; for a device or a delivery, of the one that had not begun. */
  readonly rip: bigint;
  readonly cpl: number;
  readonly by: 'instruction' | 'page walk' | 'device';
  /** Guest-physical. */
  readonly paddr: number;
  readonly size: number;
  /** The bytes of those ranges that the first access met, one range after the other. */
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

/** An instruction's load (or a device's) from the ranges asked for; several at one position are one, and the first says where. */
export interface Read {
  readonly position: number;
  readonly rip: bigint;
  readonly cpl: number;
  readonly paddr: number;
  readonly size: number;
  /** The bytes of the ranges that it met. */
  readonly value: Uint8Array;
}

export interface Execution {
  readonly position: number;
  readonly rip: bigint;
  readonly cpl: number;
}

/** An execution, and whether it is of a string instruction under REP: an iteration may go on from another. */
export interface Start extends Execution {
  readonly isString: boolean;
}

/** A stop point that is met in a replay rather than in the log. */
export type ReplayedStop = Exclude<StopPoint, { kind: 'event' | 'console' }>;

/** Plain data: it goes to a worker as it is. */
export type StretchQuestion =
  | { readonly kind: 'writes' | 'reads'; readonly ranges: readonly PhysicalRange[] }
  /** Linear addresses. */
  | { readonly kind: 'starts'; readonly addresses: readonly bigint[] }
  | CallsQuestion
  | ChangesQuestion
  /** The last place where one of these is met, and all that are met there; for walks backward. `before`: what comes later at its position is no more looked for. */
  | { readonly kind: 'last-hit'; readonly stops: readonly ReplayedStop[]; readonly before?: Moment | undefined }
  /** The first place, for walks forward. `after`: what comes earlier at its position was met before. */
  | { readonly kind: 'first-hit'; readonly stops: readonly ReplayedStop[]; readonly after: Moment };

type HitQuestion = Extract<StretchQuestion, { kind: 'last-hit' | 'first-hit' }>;

export interface CallsQuestion {
  readonly kind: 'calls';
  readonly addresses: readonly bigint[];
  readonly returnInstructionsMax: number;
}

/** Positions from `begin` (inclusive) to `end` (exclusive). */
export interface Stretch {
  readonly begin: number;
  readonly end: number;
}

export interface StretchTask extends Stretch {
  readonly question: StretchQuestion;
  /** Of too many rows the last are kept, else the first. */
  readonly backward: boolean;
}

export interface StretchRow {
  readonly position: number;
}

export interface StretchAnswer<Row extends StretchRow = StretchRow> {
  /** In order of position. */
  readonly rows: readonly Row[];
  /** What is left of the stretch, as it had more rows than one answer takes. */
  readonly rest?: Stretch;
  /** Of changes. */
  readonly learnt?: Learnt;
}

/** A range of positions, `from` inclusive and `to` exclusive, and the direction. */
export interface Span {
  readonly from: number;
  readonly to: number;
  readonly backward?: boolean;
}

/** Where checkpoints are farther apart, nobody knows yet what lies there. */
const STRETCH_INSTRUCTIONS = 4_000_000;
/** Where each instruction is looked at. */
const SLOW_STRETCH_INSTRUCTIONS = 500_000;
/** Rows of an answer; backward up to twice as many. */
const ROWS_MAX = 4096;
const BY: Readonly<Record<number, Write['by']>> = { [L.ACCESS_STORE]: 'instruction', [L.ACCESS_WALK]: 'page walk', [L.ACCESS_DEVICE]: 'device' };

/** The stretches of a span that are to be replayed, in its direction, from checkpoint to checkpoint. */
export function* stretchesOf(travel: TimeTravel, question: StretchQuestion, { from, to, backward = false }: Span): Generator<Stretch> {
  const frames = framesAsked(question);
  // A hit is one position after the write.
  const later = question.kind === 'last-hit' ? 1 : 0;
  const most = question.kind === 'changes' ? question.most : isSlow(question) ? SLOW_STRETCH_INSTRUCTIONS : Infinity;
  for (let begin = from, end = to; begin < end; ) {
    if (backward) {
      const low = frames === undefined ? end : travel.unwrittenSince(frames, from, end) + later;
      if (low < end) {
        end = low;
        continue;
      }
      // What happens at a checkpoint between two instructions may be part of its state: the stretch before it has that.
      const checkpoint = travel.checkpointBefore(end - 2);
      const start = Math.max(from, checkpoint === 0 ? 0 : checkpoint + 2, end - most);
      yield { begin: start, end };
      end = start;
    } else {
      const high = frames === undefined ? begin : Math.min(end, travel.unwrittenUntil(frames, begin - 1, end));
      if (high > begin) {
        begin = high;
        continue;
      }
      const checkpoint = travel.checkpointAfter(begin);
      const stop = Math.min(end, checkpoint === undefined ? begin + STRETCH_INSTRUCTIONS : checkpoint + 2, begin + most);
      yield { begin, end: stop };
      begin = stop;
    }
  }
}

/** The frames without a write to which a stretch has nothing; undefined if that rules nothing out. */
function framesAsked(question: StretchQuestion): ReadonlySet<number> | undefined {
  if (question.kind === 'writes') return framesOf(question.ranges);
  if (!isOfHits(question)) return undefined;
  return question.stops.every((stop) => stop.kind === 'watchpoint' && stop.access === 'write') ? framesOf(question.stops.flatMap((stop) => (stop.kind === 'watchpoint' ? stop.ranges : []))) : undefined;
}

function isOfHits(question: StretchQuestion): question is HitQuestion {
  return question.kind === 'last-hit' || question.kind === 'first-hit';
}
function isSlow(question: StretchQuestion): boolean {
  return isOfHits(question) && question.stops.some(({ kind }) => kind === 'condition');
}

/** Replays a stretch. Moves the cursor. Throws DivergedError. */
export function answerStretch(travel: TimeTravel, { question, begin, end, backward }: StretchTask): StretchAnswer {
  switch (question.kind) {
    case 'writes':
      return writesIn(travel, question.ranges, begin, end, backward);
    case 'reads':
      return readsIn(travel, question.ranges, begin, end, backward);
    case 'starts':
      return startsIn(travel, question.addresses, begin, end, backward);
    case 'calls': {
      const { rows, isFull } = callsIn(travel, question, { begin, end }, backward);
      return answerOf(rows, isFull, begin, end, backward);
    }
    case 'changes':
      return changesOf(travel, question, { begin, end });
    case 'last-hit':
    case 'first-hit':
      return hitIn(travel, question, begin, end);
  }
}

/** The rows of a span, lazily, one stretch after the other. Moves the cursor. Throws DivergedError. */
export function* rowsOf<Row extends StretchRow>(travel: TimeTravel, question: StretchQuestion, span: Span): Generator<Row> {
  const backward = span.backward ?? false;
  for (const stretch of stretchesOf(travel, question, span)) {
    for (let left: Stretch | undefined = stretch; left !== undefined; ) {
      const { rows, rest } = answerStretch(travel, { ...left, question, backward }) as StretchAnswer<Row>;
      yield* backward ? [...rows].reverse() : rows;
      left = rest;
    }
  }
}

// ---- several at a time ----

/** Who replays stretches, one after the other. */
export interface StretchWorker {
  /** Tasks it may have at a time: who is far away has the next one there before it is asked for. */
  readonly capacity: number;
  /** `isWanted`: asked when the work begins; if not, any answer will do. Rejects when it cannot. */
  ask(task: StretchTask, isWanted: () => boolean): Promise<StretchAnswer>;
}

export interface StretchCrew {
  /** Replays with `travel` in this thread: what the others cannot do comes to it, and its errors are those that are told. */
  readonly local: StretchWorker;
  /** Called once, when the first stretches had to be replayed: most questions are answered by then. `join` is called for each that is ready. */
  readonly start: (join: (worker: StretchWorker) => void) => void;
}

/** Stretches that are replayed before anyone else is called. */
const ALONE = 3;

interface Waiting {
  readonly task: StretchTask;
  readonly resolve: (answer: StretchAnswer) => void;
  readonly reject: (error: unknown) => void;
}

/** The rows of rowsOf(), in the same order, whoever replays. What is not asked for any more is not begun. `travel`: of the local worker, whose cursor moves until this is over. */
export async function* rowsInParallel<Row extends StretchRow>(travel: TimeTravel, crew: StretchCrew, question: StretchQuestion, span: Span): AsyncGenerator<Row> {
  for await (const { rows } of answersInParallel<Row>(travel, crew, question, span)) yield* span.backward === true ? [...rows].reverse() : rows;
}

interface ParallelOptions {
  /** Those of the span unless told. */
  readonly stretches?: Iterator<Stretch>;
  /** Stretches that are replayed before anyone else is called. */
  readonly alone?: number;
}

/** The same stretch by stretch, in the direction of the span; also those that have no row. */
export async function* answersInParallel<Row extends StretchRow>(travel: TimeTravel, crew: StretchCrew, question: StretchQuestion, span: Span, { stretches = stretchesOf(travel, question, span), alone = ALONE }: ParallelOptions = {}): AsyncGenerator<StretchAnswer<Row> & { readonly stretch: Stretch }> {
  const backward = span.backward ?? false;
  const waiting: Waiting[] = [];
  const workers = new Map<StretchWorker, number>([[crew.local, 0]]);
  let isWanted = true;
  let localWork: Promise<unknown> = Promise.resolve();
  const free = (): StretchWorker | undefined => {
    // Those far away first, as nothing can be handed out while the one here is at work.
    const all = [...workers].filter(([{ capacity }, load]) => load < capacity).sort(([a, x], [b, y]) => Number(a === crew.local) - Number(b === crew.local) || x - y);
    return all.at(0)?.[0];
  };
  const handOut = (): void => {
    for (let worker = free(); worker !== undefined && waiting.length > 0; worker = free()) {
      const one = waiting.shift()!;
      const by = worker;
      workers.set(by, workers.get(by)! + 1);
      const work = by.ask(one.task, () => isWanted).then(
        (answer) => {
          if (workers.has(by)) workers.set(by, workers.get(by)! - 1);
          one.resolve(answer);
        },
        (error: unknown) => {
          if (by === crew.local) return one.reject(error);
          workers.delete(by);
          waiting.unshift(one);
        },
      ).then(() => isWanted && handOut());
      if (by === crew.local) localWork = work;
    }
  };
  const ask = (stretch: Stretch, isNext = false): Promise<StretchAnswer> => {
    const promise = new Promise<StretchAnswer>((resolve, reject) => waiting[isNext ? 'unshift' : 'push']({ task: { ...stretch, question, backward }, resolve, reject }));
    // Whoever takes it later hears of an error; nobody may.
    promise.catch(() => undefined);
    handOut();
    return promise;
  };

  const call = (): void => crew.start((worker) => {
    workers.set(worker, 0);
    if (isWanted) handOut();
  }); // prettier-ignore
  const asked: { readonly stretch: Stretch; readonly answer: Promise<StretchAnswer> }[] = [];
  let done = 0;
  if (alone === 0) call();
  try {
    for (;;) {
      const ahead = [...workers.keys()].reduce((sum, { capacity }) => sum + capacity, 0);
      for (let most = workers.size === 1 ? 1 : ahead * 2; asked.length < most; ) {
        const next = stretches.next();
        if (next.done === true) break;
        asked.push({ stretch: next.value, answer: ask(next.value) });
      }
      const first = asked.shift();
      if (first === undefined) return;
      let { stretch } = first;
      let answer = (await first.answer) as StretchAnswer<Row>;
      for (;;) {
        yield { ...answer, stretch };
        if (answer.rest === undefined) break;
        stretch = answer.rest;
        answer = (await ask(stretch, true)) as StretchAnswer<Row>;
      }
      if (++done === alone) call();
    }
  } finally {
    isWanted = false;
    waiting.length = 0;
    // The cursor belongs to whoever asked, from now on.
    await localWork;
  }
}

// ---- what one stretch has ----

/** Makes room for one more row of a stretch: of too many, the first half goes where the last ones are wanted. True: some are left out. */
function makeRoom(rows: unknown[], keepsLast: boolean): boolean {
  if (rows.length < ROWS_MAX * (keepsLast ? 2 : 1)) return false;
  if (keepsLast) rows.splice(0, ROWS_MAX);
  return true;
}

function answerOf<Row extends StretchRow>(rows: readonly Row[], isFull: boolean, begin: number, end: number, backward: boolean): StretchAnswer<Row> {
  if (!isFull) return { rows };
  return { rows, rest: backward ? { begin, end: rows[0].position } : { begin: rows[rows.length - 1].position + 1, end } };
}

function writesIn(travel: TimeTravel, ranges: readonly PhysicalRange[], begin: number, end: number, backward: boolean): StretchAnswer<Write> {
  travel.seek(Math.max(0, begin - 1));
  const { machine } = travel;
  const { core } = machine;
  const frames = framesOf(ranges);
  const writes: (Omit<Write, 'after'> & { after: Uint8Array })[] = [];
  let met: readonly PhysicalRange[] = [];
  let isFull = false;
  const bytes = (): Uint8Array => bytesOf(core.u8, met);
  observed(machine, { frames, access: L.WATCH_WRITE }, {
    access: (kind, paddr, size) => {
      if (!ranges.some((range) => paddr < range.paddr + range.length && range.paddr < paddr + size)) return false;
      const position = machine.position();
      const last = writes.at(-1);
      // Nothing has written since the last one, so what is there is what it left.
      if (last !== undefined && last.after.length === 0 && last.position !== position) last.after = bytes();
      if (position < begin || position >= end || last?.position === position) return false;
      met = ranges.filter((range) => paddr < range.paddr + range.length && range.paddr < paddr + size);
      if (makeRoom(writes, backward)) {
        isFull = true;
        if (!backward) {
          met = [];
          return false;
        }
      }
      writes.push({ position, rip: readRegister(machine, 'rip') ?? 0n, cpl: core.u32[L.CPL >>> 2], by: BY[kind] ?? 'instruction', paddr, size, before: bytes(), after: new Uint8Array(0) });
      return false;
    },
  }, () => travel.replayOn(end)); // prettier-ignore
  const last = writes.at(-1);
  if (last !== undefined && last.after.length === 0) last.after = bytes();
  return answerOf(writes, isFull, begin, end, backward);
}

function readsIn(travel: TimeTravel, ranges: readonly PhysicalRange[], begin: number, end: number, backward: boolean): StretchAnswer<Read> {
  travel.seek(Math.max(0, begin - 1));
  const { machine } = travel;
  const { core } = machine;
  const frames = framesOf(ranges);
  const rows: Read[] = [];
  let isFull = false;
  observed(machine, { frames, access: L.WATCH_READ }, {
    access: (kind, paddr, size) => {
      if (kind !== L.ACCESS_LOAD) return false;
      const met = ranges.filter((range) => paddr < range.paddr + range.length && range.paddr < paddr + size);
      const position = machine.position();
      if (met.length === 0 || position < begin || position >= end || rows.at(-1)?.position === position) return false;
      isFull = makeRoom(rows, backward) || isFull;
      if (isFull && !backward) return false;
      rows.push({ position, rip: readRegister(machine, 'rip') ?? 0n, cpl: core.u32[L.CPL >>> 2], paddr, size, value: bytesOf(core.u8, met) });
      return false;
    },
  }, () => travel.replayOn(end)); // prettier-ignore
  return answerOf(rows, isFull, begin, end, backward);
}

function startsIn(travel: TimeTravel, addresses: readonly bigint[], begin: number, end: number, backward: boolean): StretchAnswer<Start> {
  travel.seek(Math.max(0, begin - 1));
  const { machine } = travel;
  const { core } = machine;
  const wanted = new Set(addresses);
  const found: Start[] = [];
  let isFull = false;
  observed(machine, { addresses: wanted }, {
    start: (kinds) => {
      const rip = readRegister(machine, 'rip') ?? 0n;
      const position = machine.position();
      if ((kinds & L.OBSERVE_START) === 0 || !wanted.has(rip) || position < begin || position >= end) return false;
      isFull = makeRoom(found, backward) || isFull;
      if (isFull && !backward) return false;
      found.push({ position, rip, cpl: core.u32[L.CPL >>> 2], isString: travel.isRepString(rip) });
      return false;
    },
  }, () => travel.replayOn(end)); // prettier-ignore
  return answerOf(found, isFull, begin, end, backward);
}

function hitIn(travel: TimeTravel, question: HitQuestion, begin: number, end: number): StretchAnswer<Met> {
  const { stops } = question;
  const isLast = question.kind === 'last-hit';
  // What happens between two instructions may be part of the state already, and shows one position later.
  travel.seek(Math.max(0, begin - 2));
  const collector = new HitCollector(travel, stops, isLast, isLast ? { before: question.before } : { after: question.after });
  collector.attach();
  try {
    collector.collect(begin, end);
    collector.replay(end);
  } finally {
    collector.detach();
  }
  const hits = collector.taken();
  const met = placeMet(travel, stops, collector.holding(hits), isLast ? 'last' : 'first');
  if (met !== undefined) return { rows: [met] };
  if (!collector.isFull) return { rows: [] };
  return { rows: [], rest: isLast ? { begin, end: hits[0].position } : { begin: hits[hits.length - 1].position, end } };
}

export function framesOf(ranges: readonly PhysicalRange[]): ReadonlySet<number> {
  const frames = new Set<number>();
  for (const { paddr, length } of ranges) for (let frame = Math.floor(paddr / 4096); frame <= Math.floor((paddr + length - 1) / 4096); frame++) frames.add(frame);
  return frames;
}

function bytesOf(memory: Uint8Array, ranges: readonly PhysicalRange[]): Uint8Array {
  const out = new Uint8Array(ranges.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const { paddr, length } of ranges) {
    out.set(memory.subarray(L.RAM + paddr, L.RAM + paddr + length), at);
    at += length;
  }
  return out;
}

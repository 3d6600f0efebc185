/**
 * A recording as a place to walk in: seek, step and continue, forward and backward, with looks into the machine anywhere.
 *
 *     power-on ··· checkpoint ·· checkpoint ·· checkpoint ·near·near·● cursor ··· end      seek = nearest one before, then replay
 *
 * The state at a position is that of a replay which arrives there: before the instruction with that number runs, and before an interrupt that
 * a timer raises there is delivered. Whatever way leads to a position, its state is the same; nothing done here changes the log or a digest.
 */
import * as L from '../cpu/layout.ts';
import type { LogReader } from '../log/reader.ts';
import type { Position } from '../log/position.ts';
import { type Divergence, describeDivergence } from '../log/verify.ts';
import type { Machine } from '../machine/machine.ts';
import { PAGE_BYTES, RestoreError, changedFrames, pageHashes, pageView, placePages } from '../machine/snapshot.ts';
import { CheckpointError } from '../recording/checkpoint-errors.ts';
import { type Checkpoint, type CheckpointState, copyCheckpoint } from '../recording/checkpoint.ts';
import type { IndexFile } from '../recording/index-file.ts';
import { Indexer } from '../recording/indexer.ts';
import type { RunImages } from '../recording/recipe.ts';
import { Replayer } from '../recording/replayer.ts';
import { warmUp } from '../recording/warm-up.ts';
import { DirtySets } from './dirty-sets.ts';
import { HitCollector, type Met, type Moment, placeMet } from './hits.ts';
import { readRegister } from './inspect.ts';
import { nextLogStop, previousLogStop } from './log-stops.ts';
import { observed } from './observed.ts';
import type { StopPoint } from './stop-points.ts';
import { type ReplayedStop, type Span, type StretchAnswer, type StretchCrew, type StretchQuestion, answerStretch, answersInParallel, stretchesOf } from './stretches.ts';

export interface TimeTravelOptions {
  readonly reader: LogReader;
  readonly images: RunImages;
  readonly module: WebAssembly.Module;
  /** With an index: a replay of this recording that nobody needs any more. Its machine is used, and no second one is made. */
  readonly replayed?: Replayer | undefined;
  /**
   * Checkpoints of the recording, and where it begins: kernel and initrd are not looked at as long as it is used. Without them, or after their end, checkpoints are taken
   * on the way and kept in memory.
   */
  readonly index?: IndexFile | undefined;
  /** Instructions between checkpoints that are taken on the way. */
  readonly spacing?: number;
  /** Bytes of checkpoints in memory: those taken on the way, and as much again for those near the cursor. */
  readonly bytesMax?: number;
}

export type Stop =
  /** `indices`: of all stop points that are met there, ascending; the first of them is `index`, and `point`. */
  | { readonly kind: 'stop-point'; readonly index: number; readonly point: StopPoint; readonly indices: readonly number[]; readonly position: Position }
  /** The end of history in the direction of the walk. */
  | { readonly kind: 'history'; readonly position: Position };

/** The replay of the recording is not what was recorded. */
export class DivergedError extends Error {
  override readonly name = 'DivergedError';
  readonly divergence: Divergence;

  constructor(divergence: Divergence) {
    super(`the recording does not replay: ${describeDivergence(divergence).join('; ')}`);
    this.divergence = divergence;
  }
}

/** A seek to what the recording does not have. */
export class SeekError extends Error {
  override readonly name = 'SeekError';
}

const DEFAULT_BYTES_MAX = 256 << 20;
/** Distances before the cursor at which checkpoints are laid when it moves backward. */
const NEAR_DISTANCES = [1 << 20, 1 << 17, 1 << 14, 1 << 11];
/** Near checkpoints at most. */
const NEAR_MAX = 32;
/** Below this many instructions a replay is as fast as going back. */
const NEAR_MIN = 256;
/** See NearCheckpoint.root. */
const ROOT_DISTANCE_MAX = 20_000_000;
/** Instructions between two looks of a forward walk at what was met. */
const STRETCH_INSTRUCTIONS = 2_000_000;
/** Where each instruction is looked at. */
const SLOW_STRETCH_INSTRUCTIONS = 65_536;

const POWER_ON = { position: 0, records: 0 } as const;

interface NearCheckpoint extends Checkpoint {
  readonly bytes: number;
  /** Has the pages that this one does not. */
  readonly root: Checkpoint;
}

export class TimeTravel {
  readonly reader: LogReader;
  /** Why the index that was handed in is not used, or no more. */
  problem: CheckpointError | undefined;
  private readonly replayer: Replayer;
  /** Makes the power-on state of the images, for whoever has no index (any more). */
  private readonly bootUp: () => Checkpoint;
  private start: Checkpoint;
  private index: IndexFile | undefined;
  private indexer: Indexer;
  private readonly newIndexer: () => Indexer;
  private readonly dirtySets: DirtySets;
  private readonly bytesMax: number;
  /** In order of position. */
  private near: NearCheckpoint[] = [];
  /** The checkpoint that the machine's RAM is mostly that of. */
  private root: Checkpoint;
  /** The replay is over: the state is that of the last position. */
  private isOver = false;
  /** The machine is no state of the recording yet; the cursor is at power-on. */
  private isBlank: boolean;
  /** The state is later than that of the position: see enter(). */
  private isInside = false;
  /** The address that was entered, while `isInside`. */
  private entered = 0n;
  /** Where the replay ended; not before it was there. */
  private overAt: number | undefined;

  /** Throws RecipeError, BootError, LogError. */
  constructor(options: TimeTravelOptions) {
    const { reader, images, module, replayed } = options;
    this.reader = reader;
    this.dirtySets = new DirtySets(reader);
    this.bytesMax = options.bytesMax ?? DEFAULT_BYTES_MAX;
    this.bootUp = () => powerOnOf(new Replayer({ reader, images, module }));
    const start = this.takeIndex(options.index);
    this.isBlank = start !== undefined;
    this.replayer = start === undefined ? new Replayer({ reader, images, module }) : (replayed ?? new Replayer({ reader, images, module, from: 'blank' }));
    if (start !== undefined && replayed === undefined) warmUp(this.replayer);
    this.start = start ?? powerOnOf(this.replayer);
    this.root = this.start;
    this.newIndexer = () => new Indexer({ powerOn: this.start, bytesMax: this.bytesMax, ...(options.spacing !== undefined && { spacing: options.spacing }) });
    this.indexer = this.newIndexer();
    this.indexer.goOnFrom(this.index?.checkpoints.at(-1) ?? POWER_ON);
  }

  private takeIndex(index: IndexFile | undefined): Checkpoint | undefined {
    if (index === undefined) return undefined;
    try {
      const start = index.powerOn;
      this.index = index;
      return start;
    } catch (error) {
      this.problem = problemOf(error);
      return undefined;
    }
  }

  /** The machine at the cursor, for looking at. Whoever runs or changes it is lost. */
  get machine(): Machine {
    if (this.isBlank) this.goTo(0, false);
    return this.replayer.machine;
  }
  get position(): Position {
    return this.isBlank ? this.start.state.position : this.replayer.position;
  }
  /** Records of the log made before the cursor. */
  get records(): number {
    return this.isBlank ? this.start.state.records : this.replayer.records;
  }
  /** The last position of the recording. */
  get last(): Position {
    return (this.overAt ?? this.reader.lastPosition) as Position;
  }
  get isAtEnd(): boolean {
    return this.isOver;
  }
  /** Where the replay stands; its RAM is that of `machine`. Changes nothing. */
  save(): CheckpointState {
    return this.isBlank ? this.start.state : this.replayer.save();
  }
  /** Checkpoints in memory and in the index, and the bytes of those in memory. */
  get checkpoints(): { readonly count: number; readonly bytes: number } {
    const { store } = this.indexer;
    return { count: (this.index?.checkpoints.length ?? 0) + store.checkpoints.length + this.near.length, bytes: store.bytes + this.nearBytes };
  }

  /** Throws SeekError, DivergedError. */
  seek(target: number): Position {
    if (!Number.isSafeInteger(target) || target < 0) throw new SeekError(`${target} is no position: give a number of instructions from 0 to ${this.last}`);
    this.goTo(target, target < this.position);
    return this.position;
  }

  /** To the position of a record of the log. Throws SeekError. */
  seekRecord(index: number): Position {
    if (!(index >= 0 && index < this.reader.records)) throw new SeekError(`there is no event ${index}: the recording has ${this.reader.records}, numbered from 0`);
    const block = this.reader.eventBlocks.findLastIndex(({ firstRecord }) => firstRecord <= index);
    const batch = this.reader.batch(block);
    return this.seek(batch.position[index - batch.firstRecord]);
  }

  /** To the first mark of this name (or the one after `nth` others). Throws SeekError. */
  seekMark(name: string, nth = 0): Position {
    let left = nth;
    const names = new Set<string>();
    for (const event of this.reader.events({ kinds: ['mark'] })) {
      if (event.kind !== 'mark') continue;
      names.add(event.name);
      if (event.name === name && left-- === 0) return this.seek(event.position);
    }
    const known = names.size === 0 ? 'it has none' : `its marks are ${[...names].slice(0, 20).join(', ')}`;
    throw new SeekError(names.has(name) ? `the recording has only ${nth - left} marks "${name}"` : `the recording has no mark "${name}": ${known}`);
  }

  /** 0 to 100 of the recording. Throws SeekError. */
  seekPercent(percent: number): Position {
    if (!(percent >= 0 && percent <= 100)) throw new SeekError(`${percent} % is outside the recording: give 0 to 100`);
    return this.seek(Math.round((this.last * percent) / 100));
  }

  /** n instructions on. Stops at the end of history. */
  step(n = 1): Position {
    return this.seek(Math.min(this.position + n, Number.MAX_SAFE_INTEGER));
  }
  /** n instructions back. Stops at power-on. */
  reverseStep(n = 1): Position {
    this.goTo(Math.max(0, this.position - n + (this.isInside ? 1 : 0)), true);
    return this.position;
  }

  /** On to the next place where a stop point is met, or to the end of history. */
  continue(stops: readonly StopPoint[]): Stop {
    return finish(this.continuing(stops));
  }

  /** Back to the last place before here where a stop point is met, or to power-on. */
  reverseContinue(stops: readonly StopPoint[]): Stop {
    return finish(this.reverseContinuing(stops));
  }

  /**
   * continue() in slices: yields, every few ms of work, a position up to which nothing was met. Whoever gives it up (`return()`) then seeks where it wants
   * to be, such as that position; nothing else may be done with the cursor meanwhile.
   */
  *continuing(stops: readonly StopPoint[]): Generator<Position, Stop, void> {
    const from = this.moment;
    const inLog = nextLogStop(this.reader, stops, from.position);
    const replayed = yield* this.scanForward(stops, from, inLog === undefined ? Infinity : inLog.position + 1);
    return yield* this.goingTo(stops, this.firstOf(stops, inLog, replayed));
  }

  /** continuing() with the stretches replayed by several workers at a time (`stretches.ts`); it stops at the same places. Whoever gives it up awaits `return()`. */
  async *continuingWith(crew: StretchCrew, stops: readonly StopPoint[]): AsyncGenerator<Position, Stop, void> {
    const after = this.moment;
    const inLog = nextLogStop(this.reader, stops, after.position);
    const numbers = replayedOf(stops);
    const question: StretchQuestion = { kind: 'first-hit', stops: numbers.map((stop) => stops[stop] as ReplayedStop), after };
    const to = Math.min(inLog?.position ?? Infinity, this.last) + 1;
    let met: Met | undefined;
    for await (const { rows, rest, stretch } of answersInParallel<Met>(this, crew, question, { from: after.position, to: numbers.length === 0 ? after.position : to })) {
      if (rows.length > 0) {
        met = { position: rows[0].position, stops: rows[0].stops.map((stop) => numbers[stop]) };
        break;
      }
      if (rest === undefined) yield stretch.end as Position;
    }
    return yield* this.goingTo(stops, this.firstOf(stops, inLog, met));
  }

  private *goingTo(stops: readonly StopPoint[], met: Met | undefined): Generator<Position, Stop, void> {
    const target = met?.position ?? this.reader.lastPosition + 1;
    for (let at = Math.max(this.position, this.checkpointBefore(target)); !this.isOver && at + STRETCH_INSTRUCTIONS < target - NEAR_DISTANCES[0]; at = this.position) {
      this.goTo(at + STRETCH_INSTRUCTIONS, false);
      yield this.position;
    }
    return this.arrive(stops, met, target);
  }
  /** reverseContinue() in slices, as continuing(). */
  *reverseContinuing(stops: readonly StopPoint[]): Generator<Position, Stop, void> {
    const walk = this.lookBack(stops);
    for (const stretch of stretchesOf(this, walk.question, walk.span)) {
      for (let left: StretchAnswer['rest'] = stretch; left !== undefined; ) {
        const answer = answerStretch(this, { ...left, question: walk.question, backward: true }) as StretchAnswer<Met>;
        if (walk.hears(answer)) return this.arrive(stops, walk.met, 0);
        left = answer.rest;
      }
      yield stretch.begin as Position;
    }
    return this.arrive(stops, walk.met, 0);
  }

  /** reverseContinuing() with the stretches replayed by several workers at a time (`stretches.ts`); it stops at the same places. Whoever gives it up awaits `return()`. */
  async *reverseContinuingWith(crew: StretchCrew, stops: readonly StopPoint[]): AsyncGenerator<Position, Stop, void> {
    const walk = this.lookBack(stops);
    for await (const answer of answersInParallel<Met>(this, crew, walk.question, walk.span)) {
      if (walk.hears(answer)) break;
      if (answer.rest === undefined) yield answer.stretch.begin as Position;
    }
    return this.arrive(stops, walk.met, 0);
  }

  /** What is looked for on the way back, and where; `met`: what is known so far to be the last place. */
  private lookBack(stops: readonly StopPoint[]): { readonly question: StretchQuestion; readonly span: Span; met: Met | undefined; hears(answer: StretchAnswer<Met>): boolean } {
    const here = this.moment;
    // Inside a position its state is behind, too.
    const to = here.position + (here.isInside ? 1 : 0);
    const inLog = previousLogStop(this.reader, stops, to);
    const numbers = replayedOf(stops);
    const question: StretchQuestion = { kind: 'last-hit', stops: numbers.map((stop) => stops[stop] as ReplayedStop), before: here.isInside ? here : undefined };
    const isLater = (met: Met): boolean => inLog === undefined || met.position > inLog.position || this.isEntered(stops, met);
    return {
      question,
      span: { from: numbers.length === 0 ? to : (inLog?.position ?? 0), to, backward: true },
      met: inLog,
      hears({ rows }) {
        const row = rows.at(-1);
        if (row === undefined) return false;
        const met = { position: row.position, stops: row.stops.map((stop) => numbers[stop]) };
        this.met = isLater(met) ? met : { position: met.position, stops: [...inLog!.stops, ...met.stops].sort((a, b) => a - b) };
        return true;
      },
    };
  }

  /** The earlier one of a place in the log and one that was met in a replay, or both in one. Moves the cursor. */
  private firstOf(stops: readonly StopPoint[], inLog: Met | undefined, replayed: Met | undefined): Met | undefined {
    if (inLog === undefined || replayed === undefined || replayed.position < inLog.position) return replayed ?? inLog;
    if (this.isEntered(stops, replayed)) return inLog;
    return { position: inLog.position, stops: [...inLog.stops, ...replayed.stops].sort((a, b) => a - b) };
  }

  /** It is met before the first instruction of a handler that is entered at its position, not in the state of it. Moves the cursor. */
  private isEntered(stops: readonly StopPoint[], { position, stops: met }: Met): boolean {
    const point = stops[met[0]];
    if (point.kind !== 'breakpoint') return false;
    this.goTo(position, true);
    return readRegister(this.machine, 'rip') !== point.address;
  }

  /** Where the cursor is. */
  private get moment(): Moment {
    return { position: this.position, address: this.isInside ? this.entered : (readRegister(this.machine, 'rip') ?? 0n), isInside: this.isInside };
  }

  private arrive(stops: readonly StopPoint[], met: Met | undefined, otherwise: number): Stop {
    this.goTo(met?.position ?? otherwise, true);
    if (met === undefined) return { kind: 'history', position: this.position };
    const [index] = met.stops;
    const rip = readRegister(this.machine, 'rip');
    const isState = met.stops.some((stop) => !(stops[stop].kind === 'breakpoint' && stops[stop].address !== rip));
    const point = stops[index];
    if (!isState && point.kind === 'breakpoint') this.enter(point.address);
    return { kind: 'stop-point', index, point, indices: met.stops, position: this.position };
  }

  /**
   * Deliveries retire nothing: where a fault or an interrupt is delivered, the first instruction of its handler has the same position as what it
   * came before. A breakpoint there stops between the two: later than the state of the position, earlier than that of the next.
   */
  private enter(address: bigint): void {
    const { machine, position } = this;
    let isThere = false;
    observed(machine, { addresses: [address] }, { start: () => readRegister(machine, 'rip') === address }, () => {
      isThere = machine.run(position + 1).kind === 'observed';
    });
    this.isInside = true;
    this.entered = address;
    if (!isThere) throw new Error(`the instruction at 0x${address.toString(16)} began at @${position}, and now it does not`);
  }

  /** The cursor stands between a delivery and its handler's first instruction: later than the state of its position. */
  get isBetween(): boolean {
    return this.isInside;
  }

  /** Does what moves the cursor and puts it back, also when that fails or is given up. `home` goes back in between. */
  *excursion<T>(work: (home: () => void) => Generator<Position, T, void>): Generator<Position, T, void> {
    const { position, isInside, entered, isBlank } = this;
    if (!isInside && position > 0 && !this.isOver) this.layNear();
    const home = (): void => {
      if (isBlank) {
        // Whoever looks at power-on restores it.
        this.isBlank = true;
        this.isOver = false;
        this.isInside = false;
        return;
      }
      this.seek(position);
      if (isInside && !this.isInside) this.enter(entered);
    };
    try {
      return yield* work(home);
    } finally {
      home();
    }
  }

  // ---- getting there ----

  /** `lays`: the next move may be backward, so checkpoints are laid on the way. */
  private goTo(target: number, lays: boolean): void {
    for (;;) {
      try {
        this.approach(target);
        this.replayTo(target, lays);
        return;
      } catch (error) {
        // A checkpoint of the index that is damaged is none; the machine is in no state now.
        if (!(error instanceof CheckpointError || error instanceof RestoreError || error instanceof TypeError) || this.index === undefined) throw error;
        this.giveUpIndex(error);
        this.restore(this.start, this.start);
      }
    }
  }

  private giveUpIndex(error: unknown): void {
    this.problem = problemOf(error);
    this.index = undefined;
    this.near = [];
    this.start = this.bootUp();
    this.indexer = this.newIndexer();
  }

  /** Puts the machine at the best place not after `target` to replay from: where it is, or a checkpoint. */
  private approach(target: number): void {
    const here = this.isBlank ? -1 : this.position < target || (this.position === target && !this.isInside) ? this.position : -1;
    if (this.isOver && target >= this.position) return;
    const best = { position: here, take: (): void => {} };
    const offer = (position: number, take: () => void): void => {
      // Going back to a checkpoint costs as much as replaying a little.
      if (position > target || position <= best.position + (best.position === here && here >= 0 ? NEAR_MIN : 0)) return;
      best.position = position;
      best.take = take;
    };
    offer(0, () => this.restore(this.start, this.start));
    if (this.index !== undefined) {
      const { index } = this;
      const n = lastAt(index.checkpoints, target);
      if (n >= 0) offer(index.checkpoints[n].position, () => this.restoreFrom(index.open(n)));
    }
    const { store } = this.indexer;
    const n = lastAt(store.checkpoints, target);
    if (n >= 0) offer(store.checkpoints[n].position, () => this.restoreFrom(store.open(n)));
    const near = this.near.findLast(({ state }) => state.position <= target);
    if (near !== undefined) offer(near.state.position, () => this.restore(near, near.root));
    best.take();
  }

  /** The last checkpoint before a position, near ones apart. */
  private openBefore(position: number): Checkpoint {
    const inIndex = this.index === undefined ? -1 : lastAt(this.index.checkpoints, position);
    const { store } = this.indexer;
    const inStore = lastAt(store.checkpoints, position);
    if (inStore >= 0 && (inIndex < 0 || store.checkpoints[inStore].position > this.index!.checkpoints[inIndex].position)) return store.open(inStore);
    return inIndex < 0 ? this.start : this.index!.open(inIndex);
  }

  private restoreFrom(checkpoint: Checkpoint): void {
    this.restore(checkpoint, checkpoint);
  }

  private restore(checkpoint: Checkpoint, root: Checkpoint): void {
    this.replayer.restore(checkpoint);
    this.root = root;
    this.isBlank = false;
    this.isOver = false;
    this.isInside = false;
  }

  private replayTo(target: number, lays: boolean): void {
    const from = this.position;
    if (lays) {
      for (const distance of NEAR_DISTANCES) {
        const at = target - distance;
        if (at <= from || this.near.some(({ state }) => state.position <= target && state.position >= at)) continue;
        this.replayOn(at);
        if (this.isOver) return;
        this.layNear();
      }
    }
    this.replayOn(target);
  }

  /** On from where the cursor is, over every instruction: no checkpoint is jumped to, so an observer sees all of it. Throws DivergedError. */
  replayOn(target: number): void {
    if (this.isBlank) this.goTo(0, false);
    const { replayer, indexer } = this;
    // At the last position the recording is over, whatever still happens there.
    const isEnd = target >= this.last;
    while (!this.isOver && (replayer.position < target || isEnd)) {
      const charted = Math.max(this.index?.checkpoints.at(-1)?.position ?? 0, indexer.store.checkpoints.at(-1)?.position ?? 0);
      const isUncharted = replayer.position > charted;
      const until = Math.min(isEnd ? Infinity : target, isUncharted ? Math.floor(indexer.next(replayer)) : Math.max(charted + 1, replayer.position + 1));
      const status = replayer.step(until - replayer.position);
      if (status.kind === 'diverged') throw new DivergedError(status.divergence);
      if (status.kind === 'identical') {
        this.isOver = true;
        this.overAt = replayer.position;
        return;
      }
      this.isInside = false;
      if (isUncharted) indexer.visit(replayer, () => replayer.save(), replayer.machine);
    }
  }

  private get nearBytes(): number {
    return this.near.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  private layNear(): void {
    const { replayer } = this;
    const { core } = replayer.machine;
    // A root far back shares few pages with what is here.
    if (replayer.position - this.root.state.position > ROOT_DISTANCE_MAX) this.root = this.openBefore(replayer.position);
    const { root } = this;
    const frames = changedFrames(core, root.pages.hashes);
    const copies = new Map<number, Uint8Array>();
    for (const frame of frames) copies.set(frame, pageView(core, frame).slice());
    const checkpoint: NearCheckpoint = {
      state: replayer.save(),
      pages: {
        hashes: pageHashes(core),
        read: (frame) => copies.get(frame) ?? root.pages.read(frame),
        place: (wanted, into) => {
          for (const frame of wanted) {
            const copy = copies.get(frame);
            if (copy !== undefined) into.u8.set(copy, L.RAM + frame * PAGE_BYTES);
          }
          placePages(root.pages, wanted.filter((frame) => !copies.has(frame)), into); // prettier-ignore
        },
      },
      bytes: frames.length * PAGE_BYTES + core.ramBytes / 512,
      root,
    };
    const { position } = checkpoint.state;
    this.near = [...this.near.filter(({ state }) => state.position !== position), checkpoint].sort((a, b) => a.state.position - b.state.position);
    // Those farthest from here go first.
    while (this.near.length > NEAR_MAX || (this.near.length > 1 && this.nearBytes > this.bytesMax)) {
      const isFirst = position - this.near[0].state.position > this.near[this.near.length - 1].state.position - position;
      this.near.splice(isFirst ? 0 : this.near.length - 1, 1);
    }
  }

  // ---- looking for stop points ----

  /** The first place after `from` and before the position `to`. */
  private *scanForward(stops: readonly StopPoint[], after: Moment, to: number): Generator<Position, Met | undefined, void> {
    const collector = new HitCollector(this, stops, false, { after });
    if (collector.isIdle) return undefined;
    const { isSlow } = collector;
    const from = after.position;
    // A condition may hold in the last state of all.
    const end = Math.min(to, this.last + (isSlow ? 1 : 0));
    collector.attach();
    try {
      for (let at = from; at < end; ) {
        // Where nothing writes there, checkpoints are passed over.
        const skip = collector.writtenFrames === undefined ? at : this.unwrittenUntil(collector.writtenFrames, at - 1, end);
        if (skip - at > STRETCH_INSTRUCTIONS) {
          at = skip;
          continue;
        }
        // What happens between two instructions may be part of the state already: it shows one position later.
        if (this.position !== at || at === from) this.goTo(Math.max(0, at - 1), false);
        collector.collect(from, to);
        const until = Math.min(at + (isSlow ? SLOW_STRETCH_INSTRUCTIONS : STRETCH_INSTRUCTIONS), end);
        collector.replay(until);
        const hits = collector.taken();
        if (hits.length > 0) {
          collector.detach();
          const met = placeMet(this, stops, collector.holding(hits), 'first');
          if (met !== undefined) return met;
          collector.attach();
        }
        at = collector.isFull ? hits[hits.length - 1].position : until;
        yield at as Position;
      }
      return undefined;
    } finally {
      collector.detach();
    }
  }

  /** Where to begin to look at what is before `end`: a checkpoint before it, or power-on. */
  checkpointBefore(end: number): number {
    const of = (list: readonly { readonly position: number }[]): number => {
      const n = lastAt(list, end - 1);
      return n < 0 ? 0 : list[n].position;
    };
    return Math.max(0, of(this.index?.checkpoints ?? []), of(this.indexer.store.checkpoints));
  }

  /** The next checkpoint after a position, near ones apart; undefined if there is none yet. */
  checkpointAfter(position: number): number | undefined {
    const of = (list: readonly { readonly position: number }[]): number => list[lastAt(list, position) + 1]?.position ?? Infinity;
    const next = Math.min(of(this.index?.checkpoints ?? []), of(this.indexer.store.checkpoints));
    return next === Infinity ? undefined : next;
  }

  /** There are checkpoints that every walk of this recording has, wherever it was. */
  get hasIndex(): boolean {
    return this.index !== undefined;
  }

  /**
   * The position up to which none of the frames is written, by the dirty sets of the log; at most `to`. What is written at a position shows at the next. What a device did
   * at `from` itself is not looked for: give the position before.
   */
  unwrittenUntil(frames: ReadonlySet<number>, from: number, to: number): number {
    return this.dirtySets.unwrittenUntil(frames, from, to);
  }
  /** The position from which on none of the frames is written before `to`, by the dirty sets of the log; at least `from`, and `to` if nothing is known. */
  unwrittenSince(frames: ReadonlySet<number>, from: number, to: number): number {
    return this.dirtySets.unwrittenSince(frames, from, to);
  }

  /** A breakpoint on a string instruction under REP that is told again because the replay was stopped there: its iterations are positions, but it began before. Moves the cursor. */
  goesOn(point: StopPoint, position: number): boolean {
    return point.kind === 'breakpoint' && this.isContinuation(position, point.address);
  }

  /** Is the instruction at `address` that begins at `position` a further iteration of a string instruction? Moves the cursor. */
  isContinuation(position: number, address: bigint): boolean {
    if (position === 0) return false;
    this.goTo(position - 1, true);
    return readRegister(this.machine, 'rip') === address && this.isRepString(address) && this.executesNext();
  }

  /** The code at a linear address is a string instruction under REP. */
  isRepString(address: bigint): boolean {
    const { machine } = this;
    for (let i = 0n, isRep = false; i < 15n; i++) {
      const physical = machine.core.exports.inspectAddress(BigInt.asIntN(64, address + i));
      if (physical < 0n || Number(physical) >= machine.core.ramBytes) return false;
      const byte = machine.core.readPhysical(Number(physical), 1)[0];
      if (byte === 0xf2 || byte === 0xf3) isRep = true;
      else if ((byte >= 0xa4 && byte <= 0xa7) || (byte >= 0xaa && byte <= 0xaf) || (byte >= 0x6c && byte <= 0x6f)) return isRep;
      else if (!([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67].includes(byte) || (byte >= 0x40 && byte <= 0x4f))) return false;
    }
    return false;
  }

  /** The instruction at rip is what the next position comes from: the CPU is not halted. */
  private executesNext(): boolean {
    return readRegister(this.machine, 'halted') === 0n;
  }
}

/** Numbers of the stop points that are looked for in a replay. */
function replayedOf(stops: readonly StopPoint[]): readonly number[] {
  return stops.flatMap((point, stop) => (point.kind === 'event' || point.kind === 'console' ? [] : [stop]));
}

function powerOnOf(replayer: Replayer): Checkpoint {
  return copyCheckpoint(replayer.machine, replayer.save());
}

/** Why an index cannot be used; throws what is no matter of an index. */
function problemOf(error: unknown): CheckpointError {
  if (error instanceof CheckpointError) return error;
  if (error instanceof RestoreError || error instanceof TypeError) return new CheckpointError('damaged', error.message, { cause: error });
  throw error;
}

function finish<T>(steps: Generator<unknown, T, void>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value as T;
  }
}

/** Number of the last entry not after `position`; -1 if there is none. */
function lastAt(list: readonly { readonly position: number }[], position: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (list[middle].position <= position) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/**
 * The recording as the page walks in it, in the worker: one TimeTravel, jobs one after the other, each in slices between which messages are read.
 *
 *     seek, walk          in front: what is asked later ends what is older
 *     stack, origin, hits behind: given up when something in front comes (stack, origin), or put off (hits)
 *
 * Every job says where it begins, so none of them puts the cursor back. For a long recording all checkpoints are made at the first far seek, by a replay, and kept
 * in IndexedDB for the next opening.
 */
import { type GuestSymbols, guestSymbols } from '../../engine/debug/guest-symbols.ts';
import { stackNames } from '../../engine/debug/beginning.ts';
import { callStacking, codeAddress } from '../../engine/debug/call-stack.ts';
import {
  type StepStop, reverseSteppingLine, reverseSteppingOut, reverseSteppingOver, reverseSteppingOverLine, steppingLine, steppingOut, steppingOver, steppingOverLine,
} from '../../engine/debug/steps.ts'; // prettier-ignore
import { readRegister } from '../../engine/debug/inspect.ts';
import { writesForward } from '../../engine/debug/queries.ts';
import { SymbolTable } from '../../engine/debug/symbols.ts';
import { DivergedError, TimeTravel, type TimeTravelOptions } from '../../engine/debug/time-travel.ts';
import type { LogReader } from '../../engine/log/reader.ts';
import type { Position } from '../../engine/log/position.ts';
import type { ByteSink, ByteSource } from '../../engine/log/storage.ts';
import type { Look, Moment, OriginAsked, OriginLink, PagePoint, PointAsked, StackFrame, SymbolsView, TaskSpans, WalkDirection, WalkEnd, WalkUnit } from '../../engine/protocol/moment.ts';
import { copyCheckpoint } from '../../engine/recording/checkpoint.ts';
import { IndexFile, writeIndex } from '../../engine/recording/index-file.ts';
import { Indexer, indexStep } from '../../engine/recording/indexer.ts';
import type { RunImages } from '../../engine/recording/recipe.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import { hex, lineText, momentOf } from './moment-view.ts';
import { originOf } from './origin.ts';
import { hitsOf, makePoint, stopsOf } from './points.ts';
import { SWITCHES_MAX, type Switch, naming, spansOf, taskPlace, taskText } from './tasks.ts';

/** Instructions of a long seek that are replayed between two looks at the messages; the last ones, a little more than from one checkpoint to the next, are not cut. */
const SLICE_INSTRUCTIONS = 2_000_000;
const UNCUT_INSTRUCTIONS = 6_000_000;
/** Shorter ways are replayed without an index. */
const NEAR_INSTRUCTIONS = 20_000_000;
/** A run that is longer is indexed by and by only, as the cursor goes. */
const INDEX_LAST_MAX = 4_000_000_000;
const INDEX_BYTES_MAX = 256 << 20;
/** Instructions of a search for task switches between two looks at the messages. */
const TASK_SPAN = 4_000_000;

const NO_SYMBOLS: GuestSymbols = { table: SymbolTable.EMPTY, origin: 'none', lineOf: () => undefined, addressesOf: () => [], tell: (address) => `0x${address.toString(16)}` };

/** One thing that was asked for. */
export interface Job {
  /** Nobody waits for it any more. */
  isOver(): boolean;
  progress(position: number, of: number): void;
}

export interface SessionOptions {
  readonly newReader: () => LogReader;
  /** Throws what a person can mend. */
  readonly images: () => Promise<RunImages>;
  readonly module: () => Promise<WebAssembly.Module>;
  readonly turns: { readonly isOver: boolean; next(): Promise<void> };
  /** Where checkpoints are kept between two openings. */
  readonly cache: { read(): Promise<ByteSource | undefined>; keep(write: (sink: ByteSink) => void): () => Promise<ByteSource> };
  /** Names are known now. */
  readonly onSymbols: (symbols: SymbolsView) => void;
}

export class TravelSession {
  private readonly options: SessionOptions;
  private readonly reader: LogReader;
  private travel: TimeTravel | undefined;
  private symbols: GuestSymbols | undefined;
  private index: IndexFile | undefined;
  private isIndexed = false;
  private powerOn: SymbolsView['powerOn'];
  private tail: Promise<void> = Promise.resolve();
  /** Jobs in front that wait or run. */
  private inFront = 0;

  constructor(options: SessionOptions) {
    this.options = options;
    this.reader = options.newReader();
  }

  /** Checkpoints that can be gone on from, and the bytes of those in memory. */
  get checkpoints(): { readonly count: number; readonly bytes: number } {
    return this.travel?.checkpoints ?? { count: 0, bytes: 0 };
  }

  // ---- in front ----

  /** Undefined: it was ended. Throws DivergedError, and what building the machine throws. */
  seek(target: number, look: Look, job: Job): Promise<Moment | undefined> {
    return this.front(async () => {
      if (job.isOver()) return undefined;
      const travel = await this.at(target, job);
      return travel === undefined ? undefined : this.look(travel, look);
    });
  }

  /** Undefined: it was ended before it began. One that is ended on its way stops there. */
  walk(from: number, unit: WalkUnit, direction: WalkDirection, points: readonly PagePoint[], look: Look, job: Job): Promise<{ readonly end: WalkEnd; readonly moment: Moment } | undefined> {
    return this.front(async () => {
      if (job.isOver()) return undefined;
      const travel = await this.at(from, job);
      if (travel === undefined) return undefined;
      await this.findSymbols(travel);
      return { end: await this.walked(travel, unit, direction, points, job), moment: this.look(travel, look) };
    });
  }

  makePoint(position: number, asked: PointAsked, job: Job): Promise<PagePoint | undefined> {
    return this.front(async () => {
      const travel = await this.at(position, job);
      if (travel === undefined) return undefined;
      await this.findSymbols(travel);
      return makePoint(travel, this.known, asked);
    });
  }

  // ---- behind ----

  stack(position: number, job: Job): Promise<readonly StackFrame[] | undefined> {
    return this.behind(async (isGivenUp) => {
      const travel = await this.at(position, { ...job, isOver: isGivenUp });
      if (travel === undefined) return undefined;
      await this.findSymbols(travel);
      const { known } = this;
      const frames = await this.sliced(callStacking(travel, known), () => undefined, isGivenUp);
      const told = frames === undefined ? [] : stackNames(known, frames);
      return frames?.map(({ rip, stackPointer, calledAt, kind }, i) => ({ rip, symbol: told[i], source: lineText(known.lineOf(codeAddress(frames, i))), stackPointer, calledAt, kind }));
    }, job);
  }

  /** False: it was given up. */
  origin(position: number, asked: OriginAsked, onLink: (link: OriginLink) => void, job: Job): Promise<boolean | undefined> {
    return this.behind(async (isGivenUp) => {
      const travel = await this.at(position, { ...job, isOver: isGivenUp });
      if (travel === undefined) return undefined;
      await this.findSymbols(travel);
      const links = originOf(travel, this.known, position, asked);
      return this.sliced(
        (function* () {
          for (const each of links) {
            if (typeof each === 'object') onLink(each);
            else job.progress(position - each, position);
            yield;
          }
          return true;
        })(),
        () => undefined,
        isGivenUp,
      );
    }, job);
  }

  /** All hits of a point, batch by batch; goes on when nothing is in front. Undefined: it was ended. */
  async hits(point: PagePoint, onFound: (found: readonly number[], scanned: number) => void, job: Job): Promise<{ readonly isFull: boolean } | undefined> {
    let search: ReturnType<typeof hitsOf> | undefined;
    for (;;) {
      const part = await this.aside(job, (travel) => (search ??= hitsOf(travel, point, this.known)).next());
      if (part === undefined || job.isOver()) {
        search?.return(undefined as never);
        return undefined;
      }
      if (part.done === true) return part.value;
      onFound(part.value.found, part.value.scanned);
    }
  }

  /** Which task runs when, from a replay with a look at the pointer to the running one; goes on when nothing is in front. Undefined: it was ended, or nothing tells. */
  async tasks(job: Job): Promise<TaskSpans | undefined> {
    const { lastPosition: last } = this.reader;
    await this.behind(async () => this.findSymbols(await this.opened(last, job)), job);
    // Where it is at the end, and was since the kernel had set up its variables.
    const place = await this.aside(job, (travel) => (travel.seek(last), { paddr: taskPlace(travel.machine, this.known) }));
    if (place?.paddr === undefined) return undefined;
    const ranges = [{ paddr: place.paddr, length: 8 }];
    const switches: Switch[] = [];
    for (let from = 0; from <= last && switches.length < SWITCHES_MAX; from += TASK_SPAN) {
      const done = await this.aside(job, (travel) => {
        for (const { position, after } of writesForward(travel, ranges, from, Math.min(last + 1, from + TASK_SPAN))) switches.push({ position: position + 1, task: hex(after) });
        return true;
      });
      if (done === undefined) return undefined;
      job.progress(Math.min(last, from + TASK_SPAN), last);
    }
    const names = naming(switches, last);
    for (let step = names.next(); ; ) {
      if (step.done === true) return spansOf(switches, step.value, last);
      const at = step.value;
      const read = await this.aside(job, (travel) => (travel.seek(at), { name: taskText(travel.machine, this.known) }));
      if (read === undefined) return undefined;
      step = names.next(read.name);
    }
  }

  /** Names of the guest, for those who have not walked yet. */
  async nameGuest(): Promise<void> {
    await this.behind(async () => this.travel && this.findSymbols(this.travel), { isOver: () => false, progress: () => undefined });
  }

  // ---- one after the other ----

  private front<T>(work: () => Promise<T>): Promise<T> {
    this.inFront++;
    return this.queue(work).finally(() => this.inFront--);
  }
  private behind<T>(work: (isGivenUp: () => boolean) => Promise<T>, job: Job): Promise<T | undefined> {
    return this.queue(async () => {
      await this.options.turns.next();
      return job.isOver() ? undefined : work(() => job.isOver() || this.inFront > 0);
    });
  }
  private queue<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.tail.then(async () => {
      try {
        return await work();
      } catch (error) {
        // The machine is where the replay went wrong. The last place that is known to be right is power-on.
        if (error instanceof DivergedError) this.travel?.seek(0);
        throw error;
      }
    });
    this.tail = turn.then(() => undefined, () => undefined); // prettier-ignore
    return turn;
  }

  /** A piece of a long search, behind; a cursor that stands between a delivery and its handler is put back there. Undefined: it was ended. */
  private aside<T>(job: Job, work: (travel: TimeTravel) => T): Promise<T | undefined> {
    return this.behind(async () => {
      // A search over all of it is what checkpoints are for.
      const travel = await this.opened(this.reader.lastPosition, job);
      if (!travel.isBetween) return work(travel);
      const excursion = travel.excursion(function* () {
        yield travel.position;
        return work(travel);
      });
      return this.sliced(excursion, () => undefined, () => false); // prettier-ignore
    }, job);
  }

  /** Runs a generator to its end; undefined if it is given up. */
  private async sliced<T>(steps: Generator<unknown, T, void>, onSlice: (value: unknown) => void, isOver: () => boolean): Promise<T | undefined> {
    const { turns } = this.options;
    for (;;) {
      const { done, value } = steps.next();
      if (done === true) return value as T;
      onSlice(value);
      await turns.next();
      if (!isOver()) continue;
      steps.return(undefined as never);
      return undefined;
    }
  }

  // ---- getting there ----

  /** The cursor at a position; undefined if the job ended meanwhile. */
  private async at(target: number, job: Job): Promise<TimeTravel | undefined> {
    const travel = await this.opened(target, job);
    // A stop between a delivery and its handler is left only for another position.
    if (travel.position === target) return travel;
    const arrived = await this.sliced(seeking(travel, target), (at) => job.progress(at as number, target), () => job.isOver());
    return arrived === undefined ? undefined : travel;
  }

  /** `reach`: how far it will be looked. */
  private async opened(reach: number, job: Job): Promise<TimeTravel> {
    const isFar = reach > NEAR_INSTRUCTIONS && reach - (this.travel?.checkpointBefore(reach) ?? 0) > NEAR_INSTRUCTIONS;
    let replayed: TimeTravelOptions['replayed'];
    if (!this.isIndexed && isFar) {
      // Two machines at once may be too much for a page.
      this.travel = undefined;
      replayed = await this.makeIndex(job);
    }
    if (this.travel === undefined) {
      const [images, module] = [await this.options.images(), await this.options.module()];
      this.travel = new TimeTravel({ reader: this.reader, images, module, index: this.index, replayed });
      if (this.travel.position === 0) {
        const low = (name: string): number => Number(BigInt.asUintN(32, readRegister(this.travel!.machine, name) ?? 0n));
        this.powerOn = { cr0: low('cr0'), efer: low('efer') };
      }
    }
    return this.travel;
  }

  /** Not given up when the job ends: the next one needs it, too. Returns the replay that it took. */
  private async makeIndex(job: Job): Promise<TimeTravelOptions['replayed']> {
    const { reader, options } = this;
    const kept = await options.cache.read();
    if (kept !== undefined) {
      try {
        this.index = IndexFile.open(kept, reader);
        this.isIndexed = true;
        return undefined;
      } catch {
        // Of another version, of another log, damaged: made anew.
      }
    }
    if (reader.lastPosition > INDEX_LAST_MAX) {
      this.isIndexed = true;
      return undefined;
    }
    // Checkpoints in memory are over before those that were kept are read.
    const { opening, replayed } = await this.makeCheckpoints(job);
    this.index = IndexFile.open(await opening(), reader);
    this.isIndexed = true;
    return replayed;
  }

  private async makeCheckpoints(job: Job): Promise<{ readonly opening: () => Promise<ByteSource>; readonly replayed: Replayer }> {
    const { reader, options } = this;
    const [images, module] = [await options.images(), await options.module()];
    const replayer = new Replayer({ reader: options.newReader(), images, module });
    const indexer = new Indexer({ powerOn: copyCheckpoint(replayer.machine, replayer.save()), bytesMax: INDEX_BYTES_MAX });
    for (;;) {
      const status = indexStep(replayer, indexer, SLICE_INSTRUCTIONS / 2);
      // Where it diverges the walk will say so.
      if (status.kind !== 'running') break;
      job.progress(replayer.position, reader.lastPosition);
      await options.turns.next();
    }
    return { opening: options.cache.keep((sink) => void writeIndex(sink, reader, indexer.store)), replayed: replayer };
  }

  // ---- looking ----

  private get known(): GuestSymbols {
    return this.symbols ?? NO_SYMBOLS;
  }

  private look(travel: TimeTravel, look: Look): Moment {
    return momentOf(travel, this.known, look);
  }

  private async findSymbols(travel: TimeTravel): Promise<void> {
    if (this.symbols !== undefined) return;
    const images = await this.options.images();
    const { position, isBetween } = travel;
    try {
      this.symbols = guestSymbols(travel, images.kernel);
    } catch (error) {
      if (error instanceof DivergedError) throw error;
      this.symbols = { ...NO_SYMBOLS, problem: error instanceof Error ? error.message : String(error) };
    }
    if (!isBetween && travel.position !== position) travel.seek(position);
    const { table, origin, linux, problem } = this.symbols;
    this.options.onSymbols({ origin, count: table.symbols.length, isLinux: linux !== undefined, powerOn: this.powerOn, problem });
  }

  private async walked(travel: TimeTravel, unit: WalkUnit, direction: WalkDirection, points: readonly PagePoint[], job: Job): Promise<WalkEnd> {
    const isForward = direction === 'forward';
    if (unit === 'instruction') {
      const { position, isBetween } = travel;
      if (isForward) travel.step();
      else travel.reverseStep();
      return { kind: travel.position === position && !isBetween ? 'history' : 'step' };
    }
    const symbols = this.known;
    const { stops, owners } = stopsOf(travel, points, symbols);
    const options = { stops };
    const steps: Generator<Position, StepStop, void> =
      unit === 'continue' ? (isForward ? travel.continuing(stops) : travel.reverseContinuing(stops))
      : unit === 'over' ? (isForward ? steppingOver(travel, options) : reverseSteppingOver(travel, options))
      : unit === 'line' ? (isForward ? steppingLine(travel, symbols, options) : reverseSteppingLine(travel, symbols, options))
      : unit === 'over-line' ? (isForward ? steppingOverLine(travel, symbols, options) : reverseSteppingOverLine(travel, symbols, options))
      : isForward ? steppingOut(travel, symbols, options) : reverseSteppingOut(travel, symbols, options); // prettier-ignore
    let reached = travel.position;
    const stop = await this.sliced(
      steps,
      (at) => {
        reached = at as Position;
        job.progress(reached, travel.last);
      },
      () => job.isOver(),
    );
    if (stop === undefined) {
      travel.seek(reached);
      return { kind: 'interrupted' };
    }
    return stop.kind === 'stop-point' ? { kind: 'point', index: owners[stop.index] } : { kind: stop.kind };
  }
}

/** A seek in slices: yields where it is. */
function* seeking(travel: TimeTravel, target: number): Generator<Position, true, void> {
  const end = Math.min(target, travel.last);
  for (;;) {
    const from = Math.max(travel.position <= end ? travel.position : 0, travel.checkpointBefore(end));
    if (end - from <= UNCUT_INSTRUCTIONS) break;
    yield travel.seek(from + SLICE_INSTRUCTIONS);
  }
  travel.seek(target);
  return true;
}

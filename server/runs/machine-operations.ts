/** What needs the machine: state anywhere, questions about all of the run, and jobs over it. */
import { parseExpression } from '../../engine/debug/expression.ts';
import { type BeginningAsked, findBeginning, sceneOf, stackNames, whatCameBefore } from '../../engine/debug/beginning.ts';
import { readLinear, readPhysical, readRegisters, translate } from '../../engine/debug/inspect.ts';
import { PLACE_FORMS, parsePlace } from '../../engine/debug/places.ts';
import { type Write, writesBackward } from '../../engine/debug/queries.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { copyCheckpoint } from '../../engine/recording/checkpoint.ts';
import { DEFAULT_SPACING, Indexer, indexStep } from '../../engine/recording/indexer.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import { describeDivergence } from '../../engine/log/verify.ts';
import type { BisectQuestion, MemoryRange } from '../../engine/protocol/lab.ts';
import { rangeOf, surroundings, writeJson } from '../cli/bisect-common.ts';
import { monotonicMs } from '../cli/host.ts';
import { toJson } from '../cli/output.ts';
import { saveIndex } from '../store/checkpoints.ts';
import { loadCore } from '../store/core-module.ts';
import { type BranchArgs, branchOff } from './branch-operation.ts';
import { ProblemError } from './problem.ts';
import type { Recording } from './recording.ts';
import type { Asked, Operation } from './thread.ts';

export const MEMORY_BYTES_MAX = 1 << 20;
const WRITES_MAX = 1000;
/** Stores to the memory that a bisection is about. */
const STORES_MAX = 4;
const SLICE_INSTRUCTIONS = 2_000_000;
const PROGRESS_MS = 100;

export interface StateArgs {
  readonly at: string;
  readonly memory?: readonly MemoryRange[] | undefined;
  readonly translate?: readonly string[] | undefined;
  readonly hasDigest?: boolean | undefined;
}
export interface WritesArgs {
  readonly address: string;
  readonly isPhysical?: boolean | undefined;
  /** What was written before it counts, and the address means what it means there. */
  readonly before: string;
  readonly from: string;
  readonly count: number;
}
export interface BisectArgs extends BisectQuestion {
  readonly from: string;
  readonly to: string;
}

export class MachineOperations {
  private readonly recording: Recording;
  private asked: Asked | undefined;

  constructor(recording: Recording) {
    this.recording = recording;
  }

  get operations(): Readonly<Record<string, Operation>> {
    return {
      state: (args: StateArgs) => this.state(args),
      writes: (args: WritesArgs) => this.writes(args),
      bisect: (args: BisectArgs, asked: Asked) => this.bisect(args, asked),
      index: (args: { readonly spacing?: number }, asked: Asked) => this.index(args, asked),
      replay: (_: unknown, asked: Asked) => this.replay(asked),
      branch: (args: BranchArgs, asked: Asked) => branchOff(this.recording, args, asked),
    };
  }

  private travel(): TimeTravel {
    return this.recording.travel((options) => new ToldTravel(options, (position, of) => this.asked?.progress({ position, of })));
  }

  private state({ at, memory = [], translate: addresses = [], hasDigest }: StateArgs): string {
    const travel = this.travel();
    goTo(travel, at);
    return stateJson(travel, memory, addresses, hasDigest === true);
  }

  private writes({ address, isPhysical, before, from, count }: WritesArgs): string {
    const travel = this.travel();
    const symbols = this.recording.symbols.table;
    const opened = { travel, symbols };
    const begin = goTo(travel, from);
    // At the end all that happened there is seen, too.
    const end = goTo(travel, before) + (travel.isAtEnd ? 1 : 0);
    const range = rangeOf(opened, address, isPhysical === true, 'last-write');
    const writes: Write[] = [];
    for (const write of writesBackward(travel, range.ranges, end, begin)) {
      writes.push(write);
      if (writes.length >= Math.min(count, WRITES_MAX)) break;
    }
    return toJson({ address: range.address, length: range.length, ranges: range.ranges, writes: writes.map((write) => ({ ...writeJson(symbols, write), eventsBefore: surroundings(whatCameBefore(travel.reader, write.position)) })) });
  }

  private bisect(args: BisectArgs, asked: Asked): string {
    this.asked = asked;
    const startMs = monotonicMs();
    const travel = this.travel();
    const { symbols } = this.recording;
    const opened = { travel, symbols: symbols.table };
    // Texts are looked at before anything is replayed.
    const expression = args.when === undefined ? undefined : parseExpression(args.when, symbols.table, travel.reader);
    const from = goTo(travel, args.from);
    const to = goTo(travel, args.to);
    if (to < from) throw new ProblemError({ code: 'usage', message: `the search ends at @${to}, before it begins at @${from}` });
    if (args.corrupt !== undefined) travel.seek(to);
    const question: BeginningAsked =
      expression !== undefined ? { kind: 'when', expression, stays: args.stays === true }
      : args.panic === true ? { kind: 'panic' }
      : args.console !== undefined ? { kind: 'console', text: args.console }
      : { kind: 'store', ...rangeOf(opened, args.corrupt ?? '', args.isPhysical === true, 'bisect') }; // prettier-ignore
    const answer = findBeginning(travel, symbols.table, question, { from, to, span: `from @${from} to @${to}` });
    if (typeof answer === 'string') return toJson({ kind: 'none', title: answer, seconds: (monotonicMs() - startMs) / 1000 });
    const { title, method, position } = answer;
    const scene = sceneOf(travel, symbols, answer, { from, storesMax: STORES_MAX });
    return toJson({
      kind: 'found', title, method, position, at: scene.at, ring: scene.ring, task: scene.task, rip: scene.rip, symbol: symbols.tell(scene.rip), calls: stackNames(symbols, scene.stack), stores: scene.stores.map((write) => writeJson(symbols, write)),
      before: surroundings(scene.before), registers: Object.fromEntries(scene.registers), seconds: (monotonicMs() - startMs) / 1000,
    }); // prettier-ignore
  }

  private index({ spacing }: { readonly spacing?: number }, asked: Asked): string {
    const { reader } = this.recording.opened();
    const replayer = new Replayer({ reader, images: this.recording.images, module: loadCore() });
    const indexer = new Indexer({ powerOn: copyCheckpoint(replayer.machine, replayer.save()), spacing: spacing ?? DEFAULT_SPACING });
    const tell = throttled(asked, reader.lastPosition);
    const startMs = monotonicMs();
    for (;;) {
      const status = indexStep(replayer, indexer, SLICE_INSTRUCTIONS);
      if (status.kind === 'diverged') throw new ProblemError({ code: 'diverged', message: describeDivergence(status.divergence).join('; '), advice: '`chronovisor replay` says more' });
      if (status.kind !== 'running') break;
      tell(replayer.position);
    }
    const bytes = saveIndex(this.recording.path, reader, indexer.store);
    return toJson({ checkpoints: indexer.store.checkpoints.length, bytes, seconds: (monotonicMs() - startMs) / 1000 });
  }

  private replay(asked: Asked): string {
    const { reader } = this.recording.opened();
    const replayer = new Replayer({ reader, images: this.recording.images, module: loadCore() });
    const tell = throttled(asked, reader.lastPosition);
    const startMs = monotonicMs();
    for (;;) {
      const status = replayer.step(SLICE_INSTRUCTIONS);
      const seconds = (monotonicMs() - startMs) / 1000;
      if (status.kind === 'diverged') return toJson({ result: 'diverged', divergence: describeDivergence(status.divergence), position: replayer.position, seconds });
      if (status.kind === 'identical') return toJson({ result: 'identical', position: status.position, digest: status.digest, isComplete: status.complete, records: replayer.records, seconds });
      tell(replayer.position);
    }
  }
}

/** Says how far it has replayed. */
class ToldTravel extends TimeTravel {
  private readonly tell: (position: number, of: number) => void;
  private toldMs = 0;

  constructor(options: ConstructorParameters<typeof TimeTravel>[0], tell: (position: number, of: number) => void) {
    super(options);
    this.tell = tell;
  }

  override replayOn(target: number): void {
    super.replayOn(target);
    const now = monotonicMs();
    if (now - this.toldMs < PROGRESS_MS) return;
    this.toldMs = now;
    this.tell(this.position, this.last);
  }
}

/** Says it ten times a second at most. */
export function throttled(asked: Asked, of: number): (position: number) => void {
  let toldMs = 0;
  return (position) => {
    const now = monotonicMs();
    if (now - toldMs < PROGRESS_MS) return;
    toldMs = now;
    asked.progress({ position, of });
  };
}

/** Goes to a place as people write it. Throws ProblemError, SeekError, DivergedError. */
export function goTo(travel: TimeTravel, where: string): number {
  const go = parsePlace(where);
  if (go === undefined) throw new ProblemError({ code: 'seek', message: `"${where}" is no place`, advice: `give ${PLACE_FORMS}` });
  go(travel);
  return travel.position;
}

export function addressOf(text: string): bigint {
  if (!/^(0x[0-9a-fA-F]{1,16}|\d{1,20})$/.test(text) || BigInt(text) >= 1n << 64n) throw new ProblemError({ code: 'usage', message: `"${text}" is no address`, advice: 'give it as 0x...' });
  return BigInt(text);
}

/** The state at the cursor; memory as far as it is mapped. */
export function stateJson(travel: TimeTravel, memory: readonly MemoryRange[], addresses: readonly string[], hasDigest: boolean): string {
  const { machine } = travel;
  const read = ({ address, length, isPhysical }: MemoryRange): Uint8Array => {
    const at = addressOf(address);
    if (isPhysical !== true) return readLinear(machine, at, length);
    const { ramBytes } = machine.core;
    if (at >= BigInt(ramBytes)) throw new ProblemError({ code: 'range', message: `physical 0x${at.toString(16)} is behind the memory, which ends at 0x${ramBytes.toString(16)}` });
    return readPhysical(machine, Number(at), Math.min(length, ramBytes - Number(at)));
  };
  if (memory.reduce((sum, { length }) => sum + length, 0) > MEMORY_BYTES_MAX) throw new ProblemError({ code: 'range', message: `more than ${MEMORY_BYTES_MAX} bytes of memory`, advice: 'ask for less at a time' });
  return toJson({
    position: travel.position, last: travel.last, record: travel.records, virtualNs: machine.nowNs(), isEnd: travel.isAtEnd, isBetween: travel.isBetween,
    registers: Object.fromEntries(readRegisters(machine)),
    memory: memory.map((range) => ({ ...range, bytes: read(range) })),
    translations: addresses.map((address) => ({ address, physical: translate(machine, addressOf(address)) ?? null })),
    ...(hasDigest && { digest: machine.digest() }),
  }); // prettier-ignore
}

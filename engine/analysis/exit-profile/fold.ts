/**
 * The exit profile as a fold: batches of events in, an ExitProfile out at any moment. Without a regime it counts architectural events; with one it is the sink of the
 * regime's projection and profiles what the technique makes of them.
 *
 *     batch ──► rows up to a mark ──► (projection ──►) cells of the phase ──► mark: a new phase ──► rows up to the next mark ──► ...
 *
 * Call stacks and tasks are not in a log: who has them (server/cli/profile-replay.ts, from a replay) gives columns of ids beside the batch.
 */
import type { EventBatch } from '../../log/event-batch.ts';
import { EXIT_REASONS, KIND_END, KIND_IDLE, KIND_MARK, HYPERCALL_REASON } from '../../log/events.ts';
import { SVM, XEN, XEN_HYPERCALL_BASE, reasonName } from '../../regimes/reasons.ts';
import { DIRECT_HALT_POLL, DIRECT_KINDS, HANDLER_SLEEP, type Projection, type ProjectionState } from '../../regimes/regime.ts';
import { ContextTable, type ContextTableState } from './context-table.ts';
import type { ContextColumns, ContextNames } from './contexts.ts';
import { DIRECT_COLUMNS, ExitSink } from './exit-sink.ts';
import { ExitTable, type ExitTableState, HANDLER_UNKNOWN } from './exit-table.ts';
import type { Window } from './places.ts';
import type { DirectCost, ExitProfile } from './profile.ts';
import { summarize } from './summary.ts';

export interface ExitProfileOptions {
  /** What is profiled, for people: the name of the recording. */
  readonly name: string;
  /** Fresh, or restored to where this fold is restored to. Undefined: architectural events, without costs. */
  readonly projection?: Projection | undefined;
  /** The regime with its options and CPU, for people. */
  readonly under?: string | undefined;
  readonly windows?: readonly Window[] | undefined;
  readonly functionAt?: ((ripLo: number, ripHi: number) => string | undefined) | undefined;
  /** What the ids of the columns that fold() is given mean: the profile is then by task and by stack, too. */
  readonly contexts?: ContextNames | undefined;
}

/** Structured-cloneable. */
export interface ExitProfileState {
  readonly version: typeof STATE_VERSION;
  readonly table: ExitTableState;
  readonly position: number;
  readonly timeNs: number;
  readonly idleNs: number;
  readonly phaseFrom: PhaseFrom;
  readonly isEnded: boolean;
  readonly direct: Float64Array;
  readonly projection: ProjectionState | undefined;
  /** Its ids are those of the names that this fold was given: it goes on with the same. */
  readonly contexts?: ContextTableState | undefined;
}

const STATE_VERSION = 2;

interface PhaseFrom {
  readonly position: number;
  readonly idleNs: number;
}

const isHalt = (reason: number, handler: number): boolean =>
  handler === HANDLER_SLEEP || (handler === HANDLER_UNKNOWN && (reason === EXIT_REASONS.hlt || reason === SVM.hlt || reason === XEN_HYPERCALL_BASE + XEN.schedOp || reason === HYPERCALL_REASON + XEN.schedOp));

/** Names of architectural events, in the words of the log (engine/log/events.ts): `io`, `page-table-write`. */
const EVENT_NAMES: ReadonlyMap<number, string> = new Map(Object.entries(EXIT_REASONS).map(([name, code]) => [code, name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)]));

export class ExitProfileFold {
  private readonly options: ExitProfileOptions;
  private readonly projection: Projection | undefined;
  private readonly table: ExitTable;
  private readonly sink: ExitSink;
  private readonly contextTable: ContextTable | undefined;
  private position = 0;
  private timeNs = 0;
  private idleNs = 0;
  private phaseFrom: PhaseFrom = { position: 0, idleNs: 0 };
  private isEnded = false;

  constructor(options: ExitProfileOptions) {
    this.options = options;
    this.projection = options.projection;
    this.table = new ExitTable(isHalt);
    // Slices begin at power-on: idle time and exits may be told in another order, depending on where batches are cut.
    this.table.sliceBaseNs = 0;
    if (this.projection !== undefined) this.table.withCosts();
    this.contextTable = options.contexts === undefined ? undefined : new ContextTable();
    this.sink = new ExitSink(this.table, this.contextTable);
  }

  /** Rows `start` to `end` - 1 of a batch, which go on where the last call stopped. `columns`: stacks and tasks of these records. */
  fold(batch: EventBatch, start = 0, end = batch.count, columns?: ContextColumns): void {
    this.sink.begin(batch, columns);
    let from = start;
    // Idle time has no bearing on cells, so it does not wait for run().
    for (let i = nextPause(batch.kind, start, end); i < end; i = nextPause(batch.kind, i + 1, end)) {
      if (batch.kind[i] === KIND_IDLE) this.takeIdle(batch, i);
      else {
        this.run(batch, from, i);
        from = i;
        this.border(batch, i);
      }
    }
    this.run(batch, from, end);
    if (end > start) {
      this.position = batch.position[end - 1];
      this.timeNs = this.position + (end === batch.count ? batch.endTimeOffsetNs : batch.timeOffsetNs[end]);
    }
    this.sink.end();
  }

  /** What is known so far. */
  report(): ExitProfile {
    const { projection, options, sink } = this;
    const notes: string[] = [];
    if (projection !== undefined && !this.isEnded) notes.push('the recording goes on, or was cut off: costs that belong to no single event are counted up to the last mark');
    for (const missing of projection?.needs ?? []) notes.push(`this recording does not hold ${MISSING[missing]}, so their cost is not in`);
    const sums = sink.sumsOfDirect();
    const direct = DIRECT_KINDS.map((label, kind): DirectCost => {
      const [count, low, typical, high] = sums.subarray(kind * DIRECT_COLUMNS, (kind + 1) * DIRECT_COLUMNS);
      return { label, count, low, typical, high };
    }).filter(({ count, typical }) => count > 0 || typical > 0);
    if (sums[DIRECT_HALT_POLL * DIRECT_COLUMNS + 2] > 0) notes.push('halt polling burns cycles of the host while the guest sleeps; it is not part of the guest\'s time');
    return summarize(this.table, {
      source: { kind: 'recording', name: options.name, under: options.under ?? (projection === undefined ? 'architectural events: what leaves the guest is the regime\'s decision' : projection.regime) },
      unit: projection === undefined ? undefined : 'cycles',
      costIs: 'cycles from the instruction that leaves the guest to the next one, by the cost tables of the regime; without sleep',
      reasonName: projection === undefined ? (reason) => EVENT_NAMES.get(reason) ?? reasonName(reason) : reasonName,
      windows: options.windows,
      functionAt: options.functionAt,
      endNs: this.timeNs,
      endPosition: this.position,
      idleNs: this.idleNs,
      direct: projection === undefined ? undefined : direct,
      ...(this.contextTable !== undefined && options.contexts !== undefined && { contexts: { table: this.contextTable, names: options.contexts } }),
      notes,
    });
  }

  save(): ExitProfileState {
    return {
      version: STATE_VERSION, table: this.table.save(), position: this.position, timeNs: this.timeNs, idleNs: this.idleNs, phaseFrom: this.phaseFrom, isEnded: this.isEnded,
      direct: this.sink.sumsOfDirect().slice(),
      projection: this.projection?.save(),
      ...(this.contextTable !== undefined && { contexts: this.contextTable.save() }),
    };
  }

  /** Throws RegimeError if the state is of another regime. */
  restore(state: ExitProfileState): void {
    if (state.version !== STATE_VERSION) throw new Error(`the saved profile is of version ${String(state.version)}, not ${STATE_VERSION}; fold again from the beginning`);
    if ((state.projection === undefined) !== (this.projection === undefined)) throw new Error('the saved profile and this one are not under the same regime');
    if ((state.contexts === undefined) !== (this.contextTable === undefined)) throw new Error('one of the saved profile and this one has call stacks, the other has not');
    if (state.projection !== undefined) this.projection?.restore(state.projection);
    if (state.contexts !== undefined) this.contextTable?.restore(state.contexts);
    this.table.restore(state.table);
    if (this.projection !== undefined) this.table.withCosts();
    this.position = state.position;
    this.timeNs = state.timeNs;
    this.idleNs = state.idleNs;
    this.phaseFrom = state.phaseFrom;
    this.isEnded = state.isEnded;
    this.sink.sumsOfDirect().set(state.direct);
  }

  /** Rows without a mark among them. */
  private run(batch: EventBatch, start: number, end: number): void {
    if (start >= end) return;
    if (this.projection === undefined) this.sink.events(batch, start, end);
    else this.projection.fold(batch, start, end, this.sink);
  }

  /** A mark or the end: a phase is over. */
  private border(batch: EventBatch, row: number): void {
    const position = batch.position[row];
    const ns = position + batch.timeOffsetNs[row];
    this.closePhase(position, ns);
    if (batch.kind[row] === KIND_MARK) {
      this.table.startPhase(batch.strings[batch.sites.f0[batch.site[row]]], ns, position);
      this.sink.forget();
    } else {
      this.isEnded = true;
    }
  }

  private takeIdle(batch: EventBatch, row: number): void {
    const ns = batch.valueHi[row] * 0x1_0000_0000 + batch.valueLo[row];
    this.idleNs += ns;
    this.table.addIdle(batch.position[row] + batch.timeOffsetNs[row], ns);
  }

  /** Costs of a phase that no single event has. */
  private closePhase(position: number, ns: number): void {
    this.sink.closedNs = ns;
    if (this.projection !== undefined && !this.isEnded) {
      this.projection.finish({ instructions: position - this.phaseFrom.position, idleNs: this.idleNs - this.phaseFrom.idleNs }, this.sink);
    }
    this.phaseFrom = { position, idleNs: this.idleNs };
  }
}

const MISSING = { systemCalls: 'system calls', pageWalks: 'page walks (TLB misses)', kernelInstructions: 'instructions of the guest kernel', pauses: 'PAUSEs (pause-loop exits)' } as const;

/** Rows that are looked at one by one rather than four at a time. */
const FEW = 64;

/** The first row from `from` on that is idle time, a mark or the end; `end` if none is. Most rows are none of these. */
function nextPause(kind: Uint8Array, from: number, end: number): number {
  let i = from;
  if (end - from >= FEW && kind.byteOffset % 4 === 0) {
    while ((i & 3) !== 0) {
      if (isPause(kind[i])) return i;
      i++;
    }
    // Four kinds in one word: the addition carries into bit 7 of each that is KIND_IDLE or more.
    const words = new Uint32Array(kind.buffer, kind.byteOffset, end >>> 2);
    for (let word = i >>> 2; word < words.length; word++) {
      if (((words[word] + 0x0101_0101 * (0x80 - KIND_IDLE)) & 0x8080_8080) === 0) continue;
      for (i = word * 4; i < word * 4 + 4; i++) if (isPause(kind[i])) return i;
    }
    i = Math.max(i, words.length * 4);
  }
  while (i < end && !isPause(kind[i])) i++;
  return i;
}

function isPause(kind: number): boolean {
  return kind === KIND_IDLE || kind === KIND_MARK || kind === KIND_END;
}

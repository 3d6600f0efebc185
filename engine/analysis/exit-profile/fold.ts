/**
 * The exit profile as a fold: batches of events in, an ExitProfile out at any moment. Without a regime it counts architectural events; with one it is the sink of the
 * regime's projection and profiles what the technique makes of them.
 *
 *     batch ──► rows up to a mark ──► (projection ──►) cells of the phase ──► mark: a new phase ──► rows up to the next mark ──► ...
 *
 * A row costs a look at its site, whose cell is known after the first time in a batch, and the sums of that cell. Nothing is allocated for a row.
 *
 * Call stacks and tasks are not in a log: who has them (server/cli/profile-replay.ts, from a replay) gives columns of ids beside the batch.
 */
import type { EventBatch } from '../../log/event-batch.ts';
import { EXIT_REASONS, KIND_END, KIND_EXIT, KIND_IDLE, KIND_MARK, HYPERCALL_REASON } from '../../log/events.ts';
import {
  SHAPE_EXIT_CPUID, SHAPE_EXIT_CR, SHAPE_EXIT_DR, SHAPE_EXIT_EXCEPTION, SHAPE_EXIT_IO, SHAPE_EXIT_MMIO, SHAPE_EXIT_MSR, SHAPE_EXIT_PAGE_TABLE, SHAPE_EXIT_PLAIN, SHAPE_KIND,
} from '../../log/shapes.ts';
import { SVM, XEN, XEN_HYPERCALL_BASE, reasonName } from '../../regimes/reasons.ts';
import { DIRECT_HALT_POLL, DIRECT_KINDS, HANDLER_SLEEP, type Cycles, type Projection, type ProjectionState, type RegimeSink } from '../../regimes/regime.ts';
import {
  ExitTable, type ExitTableState, HANDLER_UNKNOWN, TARGET_CR, TARGET_DR, TARGET_GPA, TARGET_LEVEL, TARGET_MSR, TARGET_NONE, TARGET_PORT, TARGET_VECTOR,
} from './exit-table.ts';
import { ContextTable, type ContextTableState } from './context-table.ts';
import { CONTEXT_NONE, type ContextColumns, type ContextNames } from './contexts.ts';
import type { Window } from './places.ts';
import type { DirectCost, ExitProfile } from './profile.ts';
import { summarize } from './summary.ts';

/** Sites of one batch: FORMAT.md, section 2. */
const SITES_MAX = 8193;
/** A regime makes up to a few different exits of a site; cells of this many are remembered for each. A power of two. */
const WAYS = 4;

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
  readonly version: 1;
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

const DIRECT_COLUMNS = 4;
const NO_CYCLES: Cycles = { low: 0, typical: 0, high: 0 };

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
  private readonly siteCells = new Int32Array(SITES_MAX * WAYS);
  private readonly sink: RegimeSink;
  /** Count, low, typical and high of each kind. */
  private readonly direct = new Float64Array(DIRECT_KINDS.length * DIRECT_COLUMNS);
  private batch: EventBatch | undefined;
  private readonly contextTable: ContextTable | undefined;
  private columns: ContextColumns | undefined;
  private position = 0;
  private timeNs = 0;
  private idleNs = 0;
  private phaseFrom: PhaseFrom = { position: 0, idleNs: 0 };
  private isEnded = false;
  /** When the last phase ended: the time of what finish() reports. */
  private closedNs = 0;

  constructor(options: ExitProfileOptions) {
    this.options = options;
    this.projection = options.projection;
    this.table = new ExitTable(isHalt);
    // Slices begin at power-on: idle time and exits may be told in another order, depending on where batches are cut.
    this.table.sliceBaseNs = 0;
    if (this.projection !== undefined) this.table.withCosts();
    this.contextTable = options.contexts === undefined ? undefined : new ContextTable();
    this.sink = {
      exit: (row, reason, _qualification, handler, cycles) => this.takeExit(row, reason, handler, cycles),
      exitTimes: (row, reason, _qualification, handler, cycles, count) => this.takeExits(row, reason, handler, cycles, count),
      direct: (_row, kind, count, { low, typical, high }) => {
        const at = kind * DIRECT_COLUMNS;
        this.direct[at] += count;
        this.direct[at + 1] += low * count;
        this.direct[at + 2] += typical * count;
        this.direct[at + 3] += high * count;
      },
    };
  }

  /** Rows `start` to `end` - 1 of a batch, which go on where the last call stopped. `columns`: stacks and tasks of these records. */
  fold(batch: EventBatch, start = 0, end = batch.count, columns?: ContextColumns): void {
    this.batch = batch;
    this.columns = columns;
    this.siteCells.fill(-1, 0, batch.sites.count * WAYS);
    let from = start;
    const { kind } = batch;
    for (let i = start; i < end; i++) {
      const what = kind[i];
      // Most rows are none of these: one comparison. Idle time has no bearing on cells, so it does not wait for run().
      if (what < KIND_IDLE || (what > KIND_IDLE && what < KIND_MARK) || what > KIND_END) continue;
      if (what === KIND_IDLE) this.takeIdle(batch, i);
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
    this.batch = undefined;
    this.columns = undefined;
  }

  /** What is known so far. */
  report(): ExitProfile {
    const { projection, options } = this;
    const notes: string[] = [];
    if (projection !== undefined && !this.isEnded) notes.push('the recording goes on, or was cut off: costs that belong to no single event are counted up to the last mark');
    for (const missing of projection?.needs ?? []) notes.push(`this recording does not hold ${MISSING[missing]}, so their cost is not in`);
    const direct = DIRECT_KINDS.map((label, kind): DirectCost => {
      const [count, low, typical, high] = this.direct.subarray(kind * DIRECT_COLUMNS, (kind + 1) * DIRECT_COLUMNS);
      return { label, count, low, typical, high };
    }).filter(({ count, typical }) => count > 0 || typical > 0);
    if (this.direct[DIRECT_HALT_POLL * DIRECT_COLUMNS + 2] > 0) notes.push('halt polling burns cycles of the host while the guest sleeps; it is not part of the guest\'s time');
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
      version: 1, table: this.table.save(), position: this.position, timeNs: this.timeNs, idleNs: this.idleNs, phaseFrom: this.phaseFrom, isEnded: this.isEnded,
      direct: this.direct.slice(),
      projection: this.projection?.save(),
      ...(this.contextTable !== undefined && { contexts: this.contextTable.save() }),
    };
  }

  /** Throws RegimeError if the state is of another regime. */
  restore(state: ExitProfileState): void {
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
    this.direct.set(state.direct);
  }

  /** Rows without a mark among them. */
  private run(batch: EventBatch, start: number, end: number): void {
    if (start >= end) return;
    const { projection } = this;
    if (projection !== undefined) {
      projection.fold(batch, start, end, this.sink);
      return;
    }
    const { kind, site, position, timeOffsetNs } = batch;
    const { siteCells, table, contextTable } = this;
    for (let i = start; i < end; i++) {
      if (kind[i] !== KIND_EXIT) continue;
      const at = site[i];
      let cell = siteCells[at * WAYS];
      if (cell < 0) siteCells[at * WAYS] = cell = this.cellOfSite(batch, at, eventReason(batch, at), HANDLER_UNKNOWN);
      table.arriveAt(cell, position[i] + timeOffsetNs[i]);
      if (contextTable !== undefined) this.addContext(contextTable, i, cell, position[i] + timeOffsetNs[i], false, NO_CYCLES);
    }
  }

  /** A mark or the end: a phase is over. */
  private border(batch: EventBatch, row: number): void {
    const position = batch.position[row];
    const ns = position + batch.timeOffsetNs[row];
    this.closePhase(position, ns);
    if (batch.kind[row] === KIND_MARK) {
      this.table.startPhase(batch.strings[batch.sites.f0[batch.site[row]]], ns, position);
      this.siteCells.fill(-1, 0, batch.sites.count * WAYS);
    } else {
      this.isEnded = true;
    }
  }

  private takeIdle(batch: EventBatch, row: number): void {
    const ns = batch.valueHi[row] * 0x1_0000_0000 + batch.valueLo[row];
    this.idleNs += ns;
    this.table.addIdle(batch.position[row] + batch.timeOffsetNs[row], ns);
  }

  private takeExit(row: number, reason: number, handler: number, cycles: Cycles): void {
    const { batch, table } = this;
    if (batch === undefined || row < 0) {
      const cell = table.asynchronousCell(reason, handler);
      table.arriveCost(cell, this.closedNs, cycles);
      if (this.contextTable !== undefined) this.addContext(this.contextTable, -1, cell, this.closedNs, true, cycles);
      return;
    }
    const cell = this.cellOfExit(batch, batch.site[row], reason, handler);
    const ns = batch.position[row] + batch.timeOffsetNs[row];
    table.arriveCost(cell, ns, cycles);
    if (this.contextTable !== undefined) this.addContext(this.contextTable, row, cell, ns, true, cycles);
  }

  private takeExits(row: number, reason: number, handler: number, cycles: Cycles, count: number): void {
    this.takeExit(row, reason, handler, cycles);
    if (count === 1) return;
    const { batch, table } = this;
    if (this.contextTable !== undefined || batch === undefined || row < 0) {
      for (let n = 1; n < count; n++) this.takeExit(row, reason, handler, cycles);
      return;
    }
    table.arriveAgain(this.cellOfExit(batch, batch.site[row], reason, handler), cycles, count - 1);
  }

  private cellOfExit(batch: EventBatch, site: number, reason: number, handler: number): number {
    const way = site * WAYS + ((reason ^ (handler << 1)) & (WAYS - 1));
    let cell = this.siteCells[way];
    if (cell < 0 || !this.table.isOf(cell, reason, handler)) this.siteCells[way] = cell = this.cellOfSite(batch, site, reason, handler);
    return cell;
  }

  /** `row` -1: of no record. */
  private addContext(contexts: ContextTable, row: number, cell: number, ns: number, isCosted: boolean, { low, typical, high }: Cycles): void {
    const { columns, batch, table } = this;
    const record = batch === undefined || row < 0 ? -1 : batch.firstRecord + row;
    const stack = columns === undefined || record < 0 ? CONTEXT_NONE : columns.stackAt(record);
    const task = columns === undefined || record < 0 ? CONTEXT_NONE : columns.taskAt(record);
    contexts.add(stack, task, table.leafOf(cell), table.isIdleCell(cell), ns, isCosted, low, typical, high);
  }

  private cellOfSite(batch: EventBatch, site: number, reason: number, handler: number): number {
    const { sites } = batch;
    if (SHAPE_KIND[sites.shape[site]] !== KIND_EXIT) return this.table.asynchronousCell(reason, handler);
    const f0 = sites.f0[site];
    let kind = TARGET_NONE;
    let lo = f0;
    let hi = 0;
    switch (sites.shape[site]) {
      case SHAPE_EXIT_IO:
        kind = TARGET_PORT;
        break;
      case SHAPE_EXIT_MSR:
        kind = TARGET_MSR;
        break;
      case SHAPE_EXIT_MMIO:
        kind = TARGET_GPA;
        lo = sites.addressLo[site];
        hi = sites.addressHi[site];
        break;
      case SHAPE_EXIT_CR:
        kind = TARGET_CR;
        break;
      case SHAPE_EXIT_DR:
        kind = TARGET_DR;
        break;
      case SHAPE_EXIT_EXCEPTION:
        kind = TARGET_VECTOR;
        break;
      case SHAPE_EXIT_PAGE_TABLE:
        kind = TARGET_LEVEL;
        break;
      case SHAPE_EXIT_CPUID:
      case SHAPE_EXIT_PLAIN:
      default:
        lo = 0;
    }
    return this.table.cellOf(reason, handler, kind, lo, hi, sites.ripLo[site], sites.ripHi[site]);
  }

  /** Costs of a phase that no single event has. */
  private closePhase(position: number, ns: number): void {
    this.closedNs = ns;
    if (this.projection !== undefined && !this.isEnded) {
      this.projection.finish({ instructions: position - this.phaseFrom.position, idleNs: this.idleNs - this.phaseFrom.idleNs }, this.sink);
    }
    this.phaseFrom = { position, idleNs: this.idleNs };
  }
}

const MISSING = { systemCalls: 'system calls', pageWalks: 'page walks (TLB misses)', kernelInstructions: 'instructions of the guest kernel', pauses: 'PAUSEs (pause-loop exits)' } as const;

/** Intel's basic exit reason of an exit site, as in events.ts. */
export function eventReason(batch: EventBatch, site: number): number {
  const { shape, f0, f1 } = batch.sites;
  switch (shape[site]) {
    case SHAPE_EXIT_IO:
      return EXIT_REASONS.io;
    case SHAPE_EXIT_MMIO:
      return EXIT_REASONS.mmio;
    case SHAPE_EXIT_MSR:
      return f1[site] !== 0 ? EXIT_REASONS.wrmsr : EXIT_REASONS.rdmsr;
    case SHAPE_EXIT_CPUID:
      return EXIT_REASONS.cpuid;
    case SHAPE_EXIT_CR:
      return EXIT_REASONS.cr;
    case SHAPE_EXIT_DR:
      return EXIT_REASONS.dr;
    case SHAPE_EXIT_EXCEPTION:
      return EXIT_REASONS.exception;
    case SHAPE_EXIT_PAGE_TABLE:
      return EXIT_REASONS.pageTableWrite;
    default:
      return f0[site];
  }
}

/**
 * Where exits of the rows of a batch go, whether a regime makes them or they are the rows themselves: to the run of their cell (exit-table.ts), and to the sums by stack and task.
 *
 * A site's run is known after the first time in a batch, so that nearly every exit is a look at its site and a few sums. Nothing is allocated for a row.
 */
import type { EventBatch } from '../../log/event-batch.ts';
import { EXIT_REASONS, KIND_EXIT } from '../../log/events.ts';
import {
  SHAPE_EXIT_CPUID, SHAPE_EXIT_CR, SHAPE_EXIT_DR, SHAPE_EXIT_EXCEPTION, SHAPE_EXIT_IO, SHAPE_EXIT_MMIO, SHAPE_EXIT_MSR, SHAPE_EXIT_PAGE_TABLE, SHAPE_EXIT_PLAIN, SHAPE_KIND,
} from '../../log/shapes.ts';
import { DIRECT_KINDS, type Cycles, type RegimeSink } from '../../regimes/regime.ts';
import type { ContextTable } from './context-table.ts';
import { CONTEXT_NONE, type ContextColumns } from './contexts.ts';
import { type ExitTable, HANDLER_UNKNOWN, TARGET_CR, TARGET_DR, TARGET_GPA, TARGET_LEVEL, TARGET_MSR, TARGET_NONE, TARGET_PORT, TARGET_VECTOR } from './exit-table.ts';

/** Sites of one batch: FORMAT.md, section 2. */
const SITES_MAX = 8193;
/** A regime makes up to a few different exits of a site; runs of this many are remembered for each. A power of two. */
const WAYS = 4;

/** Columns of `direct`. */
export const DIRECT_COLUMNS = 4;
const NO_CYCLES: Cycles = { low: 0, typical: 0, high: 0 };

export class ExitSink implements RegimeSink {
  /** Of each kind of direct cost: how many of the last cost are not in `directSums` yet, and that cost. */
  private readonly directCounts = new Float64Array(DIRECT_KINDS.length);
  private readonly directCycles: Cycles[] = DIRECT_KINDS.map(() => NO_CYCLES);
  private readonly directSums = new Float64Array(DIRECT_KINDS.length * DIRECT_COLUMNS);
  /** When the last phase ended: the time of what finish() reports. */
  closedNs = 0;
  private readonly table: ExitTable;
  private readonly contexts: ContextTable | undefined;
  private readonly siteRuns = new Int32Array(SITES_MAX * WAYS);
  private batch: EventBatch | undefined;
  private columns: ContextColumns | undefined;
  // Of the batch.
  private site = new Uint16Array(0);
  private position = new Float64Array(0);
  private timeOffsetNs = new Float64Array(0);

  constructor(table: ExitTable, contexts: ContextTable | undefined) {
    this.table = table;
    this.contexts = contexts;
  }

  /** Exits are of rows of this batch from now on. */
  begin(batch: EventBatch, columns: ContextColumns | undefined): void {
    this.batch = batch;
    this.columns = columns;
    this.site = batch.site as Uint16Array<ArrayBuffer>;
    this.position = batch.position as Float64Array<ArrayBuffer>;
    this.timeOffsetNs = batch.timeOffsetNs as Float64Array<ArrayBuffer>;
    this.forget();
  }

  end(): void {
    this.batch = undefined;
    this.columns = undefined;
  }

  /** Another phase begins: exits are of other cells. */
  forget(): void {
    if (this.batch !== undefined) this.siteRuns.fill(-1, 0, this.batch.sites.count * WAYS);
  }

  exit(row: number, reason: number, _qualification: number, handler: number, cycles: Cycles): void {
    this.take(row, reason, handler, cycles);
  }

  exitTimes(row: number, reason: number, _qualification: number, handler: number, cycles: Cycles, count: number): void {
    const run = this.take(row, reason, handler, cycles);
    if (count === 1) return;
    if (this.contexts !== undefined || row < 0) for (let n = 1; n < count; n++) this.take(row, reason, handler, cycles);
    else this.table.arriveAgain(run, cycles.typical, count - 1);
  }

  direct(_row: number, kind: number, count: number, cycles: Cycles): void {
    if (cycles === this.directCycles[kind]) this.directCounts[kind] += count;
    else this.startDirect(kind, count, cycles);
  }

  /** Only what is of whole numbers waits: its sum is the same whenever it is made. */
  private startDirect(kind: number, count: number, cycles: Cycles): void {
    this.endDirect(kind);
    const isWhole = Number.isInteger(cycles.low) && Number.isInteger(cycles.typical) && Number.isInteger(cycles.high);
    this.directCounts[kind] = count;
    this.directCycles[kind] = cycles;
    if (isWhole) return;
    this.endDirect(kind);
    this.directCycles[kind] = NO_CYCLES;
  }

  /** Count, low, typical and high of each kind of direct cost. */
  sumsOfDirect(): Float64Array {
    for (let kind = 0; kind < DIRECT_KINDS.length; kind++) this.endDirect(kind);
    return this.directSums;
  }

  private endDirect(kind: number): void {
    const { low, typical, high } = this.directCycles[kind];
    const count = this.directCounts[kind];
    const at = kind * DIRECT_COLUMNS;
    this.directCounts[kind] = 0;
    this.directSums[at] += count;
    this.directSums[at + 1] += low * count;
    this.directSums[at + 2] += typical * count;
    this.directSums[at + 3] += high * count;
  }

  /** Rows themselves, without a regime and without costs. */
  events(batch: EventBatch, start: number, end: number): void {
    const { kind, site, position, timeOffsetNs } = batch;
    const { siteRuns, table, contexts } = this;
    for (let i = start; i < end; i++) {
      if (kind[i] !== KIND_EXIT) continue;
      const at = site[i];
      const ns = position[i] + timeOffsetNs[i];
      let run = siteRuns[at * WAYS];
      if (run < 0) siteRuns[at * WAYS] = run = this.runOfSite(batch, at, eventReason(batch, at), HANDLER_UNKNOWN, undefined, ns);
      table.arriveRun(run, ns, 0);
      if (contexts !== undefined) this.addContext(contexts, i, run, ns, NO_CYCLES, false);
    }
  }

  /** Returns the run of the exit. */
  private take(row: number, reason: number, handler: number, cycles: Cycles): number {
    const { table, siteRuns } = this;
    let run: number;
    let ns: number;
    if (row < 0) {
      ns = this.closedNs;
      run = table.runOf(table.asynchronousCell(reason, handler), reason, handler, cycles, ns);
    } else {
      const site = this.site[row];
      ns = this.position[row] + this.timeOffsetNs[row];
      const way = site * WAYS + ((reason ^ (handler << 1)) & (WAYS - 1));
      run = siteRuns[way];
      if (run < 0 || !table.isRun(run, reason, handler, cycles)) siteRuns[way] = run = this.findRun(site, run, reason, handler, cycles, ns);
    }
    table.arriveRun(run, ns, cycles.typical);
    if (this.contexts !== undefined) this.addContext(this.contexts, row, run, ns, cycles, true);
    return run;
  }

  /** `before`: the run of the last exit like it, -1 for none. */
  private findRun(site: number, before: number, reason: number, handler: number, cycles: Cycles, ns: number): number {
    const { batch, table } = this;
    if (before >= 0 && table.isRunOf(before, reason, handler)) return table.runOf(table.cellOfRun(before), reason, handler, cycles, ns);
    if (batch === undefined) throw new Error('a row of no batch');
    return this.runOfSite(batch, site, reason, handler, cycles, ns);
  }

  private runOfSite(batch: EventBatch, site: number, reason: number, handler: number, cycles: Cycles | undefined, ns: number): number {
    return this.table.runOf(this.cellOfSite(batch, site, reason, handler), reason, handler, cycles, ns);
  }

  /** `row` -1: of no record. */
  private addContext(contexts: ContextTable, row: number, run: number, ns: number, { low, typical, high }: Cycles, isCosted: boolean): void {
    const { columns, batch, table } = this;
    const cell = table.cellOfRun(run);
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
}

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

/** What all projections share: charging recipes, and saving and restoring. */
import { Meter } from './meter.ts';
import { ROWS_MAX, SITES_MAX, selectRows } from './site-rows.ts';
import { RegimeError, type CostBook, type MissingTotal, type Projection, type ProjectionState, type RegimeSink, type RunTotals } from './regime.ts';
import type { EventBatch, SiteTable } from '../log/event-batch.ts';

/** What a row of a site asks of a projection: a number of its own from PLAN_NOTHING + 1 on. */
export const PLAN_UNKNOWN = 0;
export const PLAN_NOTHING = 1;
/** Which rows are looked at: all, or in a tally those of these sites. All projections share them. */
const EVERY_ROW = Uint16Array.from({ length: ROWS_MAX }, (_, row) => row);
const visitedRows = new Uint16Array(ROWS_MAX);
const isVisited = new Uint8Array(SITES_MAX);
/** Raised when saved states change their meaning. */
const STATE_VERSION = 4;

export abstract class BaseProjection implements Projection {
  readonly regime: string;
  protected readonly meter: Meter;
  /** PLAN_* of each site of the batch: what can be known of a row by its site is found out once. */
  protected readonly plans = new Uint8Array(SITES_MAX);
  /** What tell() charges has no fraction, so that its sum is exact in any order. */
  protected isWhole = false;
  /** Of most rows nothing comes: it pays to leave them out of the loop. */
  protected isMostlyQuiet = false;
  private readonly wants: readonly MissingTotal[];
  /** Events of kind `counts` were seen; of these the last. */
  private hasCounts = false;
  private kernelInstructions = 0;
  private systemCalls = 0;

  constructor(regime: string, costs: CostBook, needs: readonly MissingTotal[]) {
    this.regime = regime;
    this.wants = needs;
    this.meter = new Meter(costs);
  }

  /** PLAN_* of a site. */
  protected abstract planOf(sites: SiteTable, site: number): number;

  /** For the rows of a batch that come now. */
  protected plan(batch: EventBatch): Uint8Array {
    this.plans.fill(PLAN_UNKNOWN, 0, batch.sites.count);
    return this.plans;
  }

  fold(batch: EventBatch, start: number, end: number, out: RegimeSink): void {
    const { sites } = batch;
    const plans = this.plan(batch);
    if (!this.isMostlyQuiet || end - start < sites.count) return this.foldRows(batch, start, end, EVERY_ROW, start, end, out);
    for (let s = 0; s < sites.count; s++) {
      const plan = this.planOf(sites, s);
      plans[s] = plan;
      isVisited[s] = this.isQuiet(plan) ? 0 : 1;
    }
    this.foldRows(batch, start, end, visitedRows, 0, selectRows(batch, start, end, isVisited, visitedRows), out);
  }

  tally(batch: EventBatch, start: number, end: number, rowsOf: Uint32Array, out: RegimeSink): void {
    const { sites } = batch;
    if (!this.isWhole || end - start < sites.count) return this.fold(batch, start, end, out);
    const plans = this.plan(batch);
    let visited = 0;
    for (let s = 0; s < sites.count; s++) {
      const rows = rowsOf[s];
      if (rows === 0) continue;
      const plan = this.planOf(sites, s);
      plans[s] = plan;
      const isTold = this.isQuiet(plan) || this.tell(out, -1, sites, s, plan, rows);
      isVisited[s] = isTold ? 0 : 1;
      if (!isTold) visited += rows;
    }
    this.foldRows(batch, start, end, visitedRows, 0, visited === 0 ? 0 : selectRows(batch, start, end, isVisited, visitedRows), out);
  }

  /**
   * Of the rows start to end - 1 those at `from` to `to` - 1 of a list, in order. Nothing comes of the others, or they have been told, but for what they leave behind.
   * `plans` has what was found out of their sites.
   */
  protected abstract foldRows(batch: EventBatch, start: number, end: number, list: Uint16Array, from: number, to: number, out: RegimeSink): void;
  /** Nothing comes of a row but what foldRows() knows of rows that are not in its list. */
  protected isQuiet(plan: number): boolean {
    return plan === PLAN_NOTHING;
  }

  /** Tells of so many rows of a site if each makes the same, whatever comes before it; else false. row: one of them; -1 if no sink asks. */
  protected abstract tell(out: RegimeSink, row: number, sites: SiteTable, site: number, plan: number, rows: number): boolean;

  /** What costs by number, wherever it happened. */
  protected abstract charge(totals: RunTotals, row: number, out: RegimeSink): void;
  /** The state of the technique, as plain data. */
  protected abstract data(): unknown;
  protected abstract setData(data: unknown): void;

  get needs(): readonly MissingTotal[] {
    return this.hasCounts ? this.wants.filter((name) => name === 'pageWalks' || name === 'pauses') : this.wants;
  }

  /** Totals that the log itself has told are not taken twice. */
  finish(totals: RunTotals, out: RegimeSink): void {
    this.charge(this.hasCounts ? { ...totals, systemCalls: 0, kernelInstructions: 0 } : totals, -1, out);
  }

  /** A row of shape `counts`. */
  protected counted(batch: EventBatch, row: number, out: RegimeSink): void {
    const kernelInstructions = batch.valueHi[row] * 2 ** 32 + batch.valueLo[row];
    const systemCalls = batch.aux[row];
    this.hasCounts = true;
    this.charge({ instructions: 0, idleNs: 0, kernelInstructions: Math.max(0, kernelInstructions - this.kernelInstructions), systemCalls: (systemCalls - this.systemCalls) >>> 0 }, row, out);
    this.kernelInstructions = kernelInstructions;
    this.systemCalls = systemCalls;
  }

  counters(): Readonly<Record<string, number>> {
    return {};
  }

  parameterUses(): ReadonlyMap<string, number> {
    return this.meter.parameterUses();
  }

  save(): ProjectionState {
    return { regime: this.regime, version: STATE_VERSION, uses: [...this.meter.uses], counts: this.hasCounts ? [this.kernelInstructions, this.systemCalls] : [], data: this.data() };
  }

  restore(state: ProjectionState): void {
    if (state.regime !== this.regime || state.version !== STATE_VERSION || state.uses.length !== this.meter.uses.length) {
      throw new RegimeError(`the saved state is of ${state.regime} (version ${state.version}, ${state.uses.length} recipes), not of ${this.regime} with these options; fold again from the beginning`);
    }
    state.uses.forEach((count, i) => (this.meter.uses[i] = count));
    this.hasCounts = state.counts.length === 2;
    [this.kernelInstructions = 0, this.systemCalls = 0] = state.counts;
    this.setData(state.data);
  }

  protected exit(out: RegimeSink, row: number, reason: number, qualification: number, handler: number, recipe: number): void {
    const { meter } = this;
    meter.uses[recipe]++;
    out.exit(row, reason, qualification, handler, meter.cycles[recipe]);
  }

  /** count: at least 1. */
  protected exitTimes(out: RegimeSink, row: number, reason: number, qualification: number, handler: number, recipe: number, count: number): void {
    const { meter } = this;
    meter.uses[recipe] += count;
    out.exitTimes(row, reason, qualification, handler, meter.cycles[recipe], count);
  }

  protected direct(out: RegimeSink, row: number, kind: number, recipe: number, count = 1): void {
    if (count === 0) return;
    const { meter } = this;
    meter.uses[recipe] += count;
    out.direct(row, kind, count, meter.cycles[recipe]);
  }
}

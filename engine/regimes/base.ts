/** What all projections share: charging recipes, and saving and restoring. */
import { Meter } from './meter.ts';
import { RegimeError, type CostBook, type MissingTotal, type Projection, type ProjectionState, type RegimeSink, type RunTotals } from './regime.ts';
import type { EventBatch } from '../log/event-batch.ts';

/** Ticks of the host that are made up between two events: more than an hour of them. Only a damaged position asks for more. */
export const HOST_TICKS_MAX = 1_000_000;
/** Raised when saved states change their meaning. */
const STATE_VERSION = 1;

export abstract class BaseProjection implements Projection {
  readonly regime: string;
  readonly needs: readonly MissingTotal[];
  protected readonly meter: Meter;

  constructor(regime: string, costs: CostBook, needs: readonly MissingTotal[]) {
    this.regime = regime;
    this.needs = needs;
    this.meter = new Meter(costs);
  }

  abstract fold(batch: EventBatch, start: number, end: number, out: RegimeSink): void;
  abstract finish(totals: RunTotals, out: RegimeSink): void;
  /** The state of the technique, as plain data. */
  protected abstract data(): unknown;
  protected abstract setData(data: unknown): void;

  counters(): Readonly<Record<string, number>> {
    return {};
  }

  parameterUses(): ReadonlyMap<string, number> {
    return this.meter.parameterUses();
  }

  save(): ProjectionState {
    return { regime: this.regime, version: STATE_VERSION, uses: [...this.meter.uses], data: this.data() };
  }

  restore(state: ProjectionState): void {
    if (state.regime !== this.regime || state.version !== STATE_VERSION || state.uses.length !== this.meter.uses.length) {
      throw new RegimeError(`the saved state is of ${state.regime} (version ${state.version}, ${state.uses.length} recipes), not of ${this.regime} with these options; fold again from the beginning`);
    }
    state.uses.forEach((count, i) => (this.meter.uses[i] = count));
    this.setData(state.data);
  }

  protected exit(out: RegimeSink, row: number, position: number, reason: number, qualification: number, handler: number, recipe: number): void {
    const { meter } = this;
    meter.uses[recipe]++;
    out.exit(row, position, reason, qualification, handler, meter.low[recipe], meter.typical[recipe], meter.high[recipe]);
  }

  protected direct(out: RegimeSink, row: number, position: number, kind: number, recipe: number, count = 1): void {
    if (count === 0) return;
    const { meter } = this;
    meter.uses[recipe] += count;
    out.direct(row, position, kind, count, meter.low[recipe] * count, meter.typical[recipe] * count, meter.high[recipe] * count);
  }
}

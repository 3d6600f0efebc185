/** What a regime costs where: cycles by bucket of positions, those that belong to an event. Costs of a whole phase (`Projection.finish`) have no place and are not in it. */
import type { EventBatch } from '../engine/log/event-batch.ts';
import type { LogReader } from '../engine/log/reader.ts';
import type { RegimeCosts } from '../engine/protocol/events.ts';
import { candidate, projectionOf } from '../engine/regimes/catalogue.ts';
import { DIRECT_HALT_POLL, HANDLER_SLEEP, type Projection, type RegimeSink } from '../engine/regimes/regime.ts';

const BUCKETS_MAX = 1 << 14;

export class CostFold {
  /** A bucket is 2^shift instructions. */
  readonly shift: number;
  readonly cycles: Float64Array;
  private readonly projection: Projection;
  private batch: EventBatch | undefined;
  private readonly sink: RegimeSink;

  /** Throws RegimeError for a regime or platform that nobody has. */
  constructor(regime: string, lastPosition: number) {
    this.projection = projectionOf(candidate(regime));
    this.shift = Math.max(0, Math.ceil(Math.log2((lastPosition + 1) / BUCKETS_MAX)));
    this.cycles = new Float64Array(Math.floor(lastPosition / 2 ** this.shift) + 1);
    const add = (row: number, cycles: number): void => {
      if (row < 0 || this.batch === undefined) return;
      this.cycles[Math.floor(this.batch.position[row] / 2 ** this.shift)] += cycles;
    };
    this.sink = {
      // Sleep is no cost.
      exit: (row, _reason, _qualification, handler, { typical }) => {
        if (handler !== HANDLER_SLEEP) add(row, typical);
      },
      exitTimes: (row, _reason, _qualification, handler, { typical }, count) => {
        if (handler !== HANDLER_SLEEP) add(row, count * typical);
      },
      direct: (row, kind, count, { typical }) => {
        if (kind !== DIRECT_HALT_POLL) add(row, count * typical);
      },
    };
  }

  add(batch: EventBatch): void {
    this.batch = batch;
    this.projection.fold(batch, 0, batch.count, this.sink);
  }
}

/** Of a whole log. Throws RegimeError. Yields the number of records so far. */
export function* costsOf(reader: LogReader, regime: string): Generator<number, RegimeCosts, void> {
  const fold = new CostFold(regime, reader.lastPosition);
  for (let i = 0; i < reader.eventBlocks.length; i++) {
    const batch = reader.batch(i);
    fold.add(batch);
    yield batch.firstRecord + batch.count;
  }
  return { regime, shift: fold.shift, cycles: fold.cycles };
}

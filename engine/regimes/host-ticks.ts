/** Timer interrupts of the host's own while the guest runs: one each period of the time in which the guest does not sleep. */
import type { EventBatch } from '../log/event-batch.ts';

/** Ticks that are made up between two events: more than an hour of them. Only a damaged position asks for more. */
const TICKS_MAX = 1_000_000;

export interface SavedHostTicks {
  readonly idleNs: number;
  readonly nextHostTickNs: number;
}

export class HostTicks {
  /** The guest has slept so long. */
  idleNs = 0;
  private readonly periodNs: number;
  private nextNs: number;

  /** hz: 0 for none. */
  constructor(hz: number) {
    this.periodNs = hz === 0 ? Infinity : 1e9 / hz;
    this.nextNs = this.periodNs;
  }

  /** The first row from `from` on at which one is due; `end` if none is. Rows of a batch do not go back in time, and idle time among them is not in idleNs yet. */
  dueRow(batch: EventBatch, from: number, end: number): number {
    const { position, timeOffsetNs } = batch;
    const { idleNs, nextNs } = this;
    // By strides that double, then by halves: it is near, or not in this batch.
    let low = from;
    let high = from;
    for (let stride = 1; high < end && position[high] + timeOffsetNs[high] - idleNs < nextNs; stride *= 2) {
      low = high + 1;
      high += stride;
    }
    if (high > end) high = end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (position[middle] + timeOffsetNs[middle] - idleNs < nextNs) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** How many are due at a virtual time; they are over then. */
  take(ns: number): number {
    const overdueNs = ns - this.idleNs - this.nextNs;
    if (!(overdueNs >= 0)) return 0;
    const ticks = Math.min(Math.floor(overdueNs / this.periodNs) + 1, TICKS_MAX);
    this.nextNs += this.periodNs * ticks;
    return ticks;
  }

  save(): SavedHostTicks {
    return { idleNs: this.idleNs, nextHostTickNs: Number.isFinite(this.nextNs) ? this.nextNs : 0 };
  }

  restore({ idleNs, nextHostTickNs }: SavedHostTicks): void {
    this.idleNs = idleNs;
    this.nextNs = Number.isFinite(this.periodNs) ? nextHostTickNs : Infinity;
  }
}

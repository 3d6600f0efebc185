/** Where in memory the guest writes over time, from the dirty sets in a log: pages by stretch of positions and range of addresses, in a bounded number of both. */
import type { EventBatch } from '../engine/log/event-batch.ts';
import { eventAt } from '../engine/log/event-batch.ts';
import { KIND_DIRTY } from '../engine/log/events.ts';
import type { DirtyHeat } from '../engine/protocol/events.ts';

const STRETCHES_MAX = 1024;
/** Ranges of addresses that are told. */
export const RANGES = 32;
/** Ranges that are counted: what the guest never writes is left out of those that are told. */
const FINE = 2048;
const PAGE_BYTES = 4096;

export class DirtyHeatFold {
  private readonly stretchesMax: number;
  private readonly pagesOfFine: number;
  private ends: number[] = [];
  private epochs: number[] = [];
  /** FINE numbers a stretch. */
  private pages: Float32Array<ArrayBuffer>;
  /** Epochs of a stretch, when it is full. */
  private perStretch = 1;
  private open = new Float64Array(FINE);
  private openEpochs = 0;

  constructor(memoryBytes: number, stretchesMax = STRETCHES_MAX) {
    this.stretchesMax = stretchesMax;
    this.pages = new Float32Array((stretchesMax + 1) * FINE);
    this.pagesOfFine = Math.max(1, Math.ceil(memoryBytes / PAGE_BYTES / FINE));
  }

  add(batch: EventBatch): void {
    for (let row = 0; row < batch.count; row++) {
      if (batch.kind[row] !== KIND_DIRTY) continue;
      const event = eventAt(batch, row);
      if (event.kind !== 'dirty') continue;
      for (const page of event.pages) this.open[Math.min(FINE - 1, Math.floor(page / this.pagesOfFine))]++;
      if (event.more) continue;
      this.openEpochs++;
      if (this.openEpochs >= this.perStretch) this.close(event.position);
    }
  }

  heat(): DirtyHeat {
    const { ends, epochs, pages } = this;
    let highest = 0;
    for (let i = 0; i < ends.length * FINE; i++) if (pages[i] > 0) highest = Math.max(highest, i % FINE);
    const fineOfRange = Math.ceil((highest + 1) / RANGES);
    const values = new Float64Array(ends.length * RANGES);
    for (let stretch = 0; stretch < ends.length; stretch++) {
      for (let fine = 0; fine <= highest; fine++) values[stretch * RANGES + Math.floor(fine / fineOfRange)] += pages[stretch * FINE + fine] / epochs[stretch];
    }
    return { positions: Float64Array.from([0, ...ends]), pagesOfRange: fineOfRange * this.pagesOfFine, ranges: RANGES, values };
  }

  private close(position: number): void {
    // Two sets at one place are of one stretch.
    const isSame = this.ends.at(-1) === position;
    const at = this.ends.length - (isSame ? 1 : 0);
    for (let fine = 0; fine < FINE; fine++) this.pages[at * FINE + fine] += this.open[fine];
    this.epochs[at] = (this.epochs[at] ?? 0) + this.openEpochs;
    this.ends[at] = position;
    this.open.fill(0);
    this.openEpochs = 0;
    if (this.ends.length > this.stretchesMax) this.halve();
  }

  /** Two stretches become one. */
  private halve(): void {
    const { ends, epochs, pages } = this;
    const half = new Float32Array(pages.length);
    this.ends = [];
    this.epochs = [];
    for (let i = 0; i < ends.length; i++) {
      const to = i >>> 1;
      for (let fine = 0; fine < FINE; fine++) half[to * FINE + fine] += pages[i * FINE + fine];
      this.ends[to] = ends[i];
      this.epochs[to] = (this.epochs[to] ?? 0) + epochs[i];
    }
    this.pages = half;
    this.perStretch *= 2;
  }
}

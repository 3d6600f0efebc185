/**
 * Interrupts as arrows, from the log alone: raised at a line, delivered to the CPU, which leaves what it did for the handler, and over at the end of interrupt that the handler sends.
 * The IRET a few instructions later is no event.
 */
import type { EventBatch } from '../engine/log/event-batch.ts';
import { KIND_INTERRUPT, PHASE_ACKNOWLEDGED, PHASE_EOI, PHASE_INJECTED, PHASE_RAISED } from '../engine/log/events.ts';
import type { InterruptArrow } from '../engine/protocol/events.ts';

export const ARROWS_MAX = 1000;

export class InterruptFold {
  readonly arrows: InterruptArrow[] = [];
  /** By line + 1; 0 for those without. */
  private readonly raised = new Map<number, number>();
  private acknowledged: { readonly line: number; readonly at: number } | undefined;
  /** Handlers that have not ended; the innermost last. */
  private readonly open: { readonly line: number; readonly index: number }[] = [];

  /** There are more. */
  get isFull(): boolean {
    return this.arrows.length >= ARROWS_MAX;
  }

  add(batch: EventBatch, start: number, end: number): void {
    const { sites } = batch;
    for (let i = start; i < end && !this.isFull; i++) {
      if (batch.kind[i] !== KIND_INTERRUPT) continue;
      const site = batch.site[i];
      const position = batch.position[i];
      const vector = sites.f1[site] - 1;
      const line = sites.f2[site];
      switch (sites.f0[site]) {
        case PHASE_RAISED:
          if (!this.raised.has(line)) this.raised.set(line, position);
          break;
        case PHASE_ACKNOWLEDGED:
          this.acknowledged = { line, at: this.raised.get(line) ?? position };
          this.raised.delete(line);
          break;
        case PHASE_INJECTED: {
          const from = this.acknowledged?.at ?? this.raised.get(line) ?? position;
          const by = this.acknowledged?.line ?? line;
          this.raised.delete(line);
          this.acknowledged = undefined;
          this.open.push({ line: by, index: this.arrows.length });
          this.arrows.push({ from, to: position, until: undefined, vector, line: by === 0 ? undefined : by - 1 });
          break;
        }
        case PHASE_EOI: {
          // Of its line; a controller that does not say which ends the innermost.
          const found = line === 0 ? this.open.length - 1 : this.open.findLastIndex((each) => each.line === line);
          const [ended] = found < 0 ? [] : this.open.splice(found, 1);
          if (ended !== undefined) this.arrows[ended.index] = { ...this.arrows[ended.index], until: position };
        }
      }
    }
  }
}

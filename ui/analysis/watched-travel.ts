/** A walk through a recording that tells where it is, however deep in the engine the walking is done. */
import { type Stop, TimeTravel, type TimeTravelOptions } from '../../engine/debug/time-travel.ts';
import type { StopPoint } from '../../engine/debug/stop-points.ts';
import type { Position } from '../../engine/log/position.ts';

/** Instructions between two reports. */
const SLICE_INSTRUCTIONS = 2_000_000;

export class WatchedTravel extends TimeTravel {
  private readonly report: (position: number) => void;

  constructor(options: TimeTravelOptions, report: (position: number) => void) {
    super(options);
    this.report = report;
  }

  override replayOn(target: number): void {
    if (target - this.position < SLICE_INSTRUCTIONS) return super.replayOn(target);
    const last = Math.min(target, this.last);
    for (let at = this.position + SLICE_INSTRUCTIONS; at < last && !this.isAtEnd; at += SLICE_INSTRUCTIONS) {
      super.replayOn(at);
      this.report(at);
    }
    super.replayOn(target);
  }

  override *continuing(stops: readonly StopPoint[]): Generator<Position, Stop, void> {
    const steps = super.continuing(stops);
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
      this.report(step.value);
      yield step.value;
    }
  }

  override *reverseContinuing(stops: readonly StopPoint[]): Generator<Position, Stop, void> {
    const steps = super.reverseContinuing(stops);
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
      this.report(step.value);
      yield step.value;
    }
  }
}

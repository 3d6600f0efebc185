/** The share of kernel instructions and the rate of system calls, from the counts in a log, in a bounded number of stretches. */
import type { LogEvent } from '../engine/log/events.ts';
import type { RingShares } from '../engine/protocol/events.ts';

export const STRETCHES_MAX = 1 << 15;

export class RingFold {
  private ends: number[] = [];
  private kernel: number[] = [];
  private calls: number[] = [];
  /** No stretch is shorter. */
  private least = 1;
  private lastKernel = 0;
  private lastCalls = 0;
  /** Of the stretch that is not long enough yet. */
  private openKernel = 0;
  private openCalls = 0;
  private lastPosition = 0;

  add(event: LogEvent): void {
    if (event.kind !== 'counts') return;
    const { position, kernelInstructions, systemCalls } = event;
    // They count since reset.
    if (kernelInstructions < this.lastKernel) this.lastKernel = 0;
    this.openKernel += kernelInstructions - this.lastKernel;
    // Counted modulo 2^32.
    this.openCalls += (systemCalls - this.lastCalls) >>> 0;
    this.lastKernel = kernelInstructions;
    this.lastCalls = systemCalls;
    this.lastPosition = position;
    if (position - (this.ends.at(-1) ?? 0) < this.least) return;
    this.close(position);
    if (this.ends.length > STRETCHES_MAX) this.halve();
  }

  shares(): RingShares {
    if (this.lastPosition > (this.ends.at(-1) ?? 0)) this.close(this.lastPosition);
    const positions = Float64Array.from([0, ...this.ends]);
    const length = (i: number): number => positions[i + 1] - positions[i];
    return {
      positions,
      shares: Float64Array.from(this.kernel, (kernel, i) => Math.min(1, kernel / length(i))),
      calls: Float64Array.from(this.calls, (calls, i) => (1000 * calls) / length(i)),
    };
  }

  private close(position: number): void {
    this.ends.push(position);
    this.kernel.push(this.openKernel);
    this.calls.push(this.openCalls);
    this.openKernel = 0;
    this.openCalls = 0;
  }

  /** Two stretches become one. */
  private halve(): void {
    const { ends, kernel, calls } = this;
    this.ends = [];
    this.kernel = [];
    this.calls = [];
    for (let i = 0; i < ends.length; i += 2) {
      const last = Math.min(i + 1, ends.length - 1);
      this.ends.push(ends[last]);
      this.kernel.push(kernel[i] + (last > i ? kernel[last] : 0));
      this.calls.push(calls[i] + (last > i ? calls[last] : 0));
    }
    this.least = Math.max(this.least * 2, Math.floor(ends[ends.length - 1] / STRETCHES_MAX));
  }
}

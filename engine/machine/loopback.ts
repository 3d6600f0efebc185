/** The network backend of a machine without a network: frames come back to their sender after a fixed delay. */
import type { Device, SavedState, Timer, TimerSource } from '../devices/device.ts';

export const LOOPBACK_DELAY_NS = 10_000;
/** Frames under way at most; more are lost. */
const FRAMES_MAX = 256;

export class Loopback implements Device {
  readonly name = 'net-loopback';
  deliver: (frame: Uint8Array) => void = () => {};
  private frames: Uint8Array[] = [];
  private readonly timer: Timer;
  private readonly timers: TimerSource;

  constructor(timers: TimerSource) {
    this.timers = timers;
    this.timer = timers.create('net-loopback', () => {
      for (const frame of this.frames.splice(0)) this.deliver(frame);
    });
  }

  transmit(frame: Uint8Array): void {
    if (this.frames.length < FRAMES_MAX) this.frames.push(frame.slice());
    this.timer.arm(this.timers.now() + LOOPBACK_DELAY_NS);
  }

  reset(): void {
    this.frames = [];
    this.timer.cancel();
  }
  save(): SavedState {
    return { frames: this.frames.map((frame) => frame.slice()) };
  }
  restore(state: SavedState): void {
    this.frames = (state.frames as readonly Uint8Array[]).map((frame) => frame.slice());
  }
}

/** A network of one: every frame comes back to its sender, in order, after a fixed virtual latency. */

import type { Device, SavedState, Timer, TimerSource } from '../device.ts';
import { savedBytes, savedNumber, savedStates } from '../virtio/saved.ts';
import type { NetworkBackend } from './virtio-net.ts';

export interface LoopbackNetworkOptions {
  readonly name?: string;
  readonly timers: TimerSource;
  /** Virtual ns from transmission to arrival; 50 us unless told. */
  readonly latencyNs?: number;
}

/** Frames on the wire at most; more are lost. */
export const WIRE_FRAMES_MAX = 1024;

export class LoopbackNetwork implements NetworkBackend, Device {
  readonly name: string;
  private readonly timers: TimerSource;
  private readonly timer: Timer;
  private readonly latencyNs: number;
  private receiver: (frame: Uint8Array) => void = () => {};

  // ---- saved ----
  private wire: { readonly frame: Uint8Array; readonly arrivesAtNs: number }[] = [];
  private framesLost = 0;

  constructor(options: LoopbackNetworkOptions) {
    this.name = options.name ?? 'loopback-network';
    this.timers = options.timers;
    this.latencyNs = options.latencyNs ?? 50_000;
    this.timer = options.timers.create(`${this.name}.arrival`, (nowNs) => this.arrive(nowNs));
  }

  /** Says where frames arrive: `network.connect((frame) => card.receive(frame))`. */
  connect(receiver: (frame: Uint8Array) => void): void {
    this.receiver = receiver;
  }

  transmit(frame: Uint8Array): void {
    if (this.wire.length >= WIRE_FRAMES_MAX) {
      this.framesLost++;
      return;
    }
    this.wire.push({ frame, arrivesAtNs: this.timers.now() + this.latencyNs });
    if (this.wire.length === 1) this.timer.arm(this.wire[0].arrivesAtNs);
  }

  private arrive(nowNs: number): void {
    const due = this.wire.filter(({ arrivesAtNs }) => arrivesAtNs <= nowNs);
    this.wire = this.wire.slice(due.length);
    if (this.wire.length > 0) this.timer.arm(this.wire[0].arrivesAtNs);
    for (const { frame } of due) this.receiver(frame);
  }

  reset(): void {
    this.wire = [];
    this.framesLost = 0;
    this.timer.cancel();
  }

  save(): SavedState {
    return { wire: this.wire.map(({ frame, arrivesAtNs }) => ({ frame, arrivesAtNs })), framesLost: this.framesLost };
  }

  restore(state: SavedState): void {
    this.wire = savedStates(state, 'wire').map((entry) => ({
      frame: savedBytes(entry, 'frame'),
      arrivesAtNs: savedNumber(entry, 'arrivesAtNs'),
    }));
    this.framesLost = savedNumber(state, 'framesLost');
  }
}

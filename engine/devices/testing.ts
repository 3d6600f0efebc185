/**
 * What tests of devices share: a manual clock with a timer scheduler, a recording interrupt line, and the driver of
 * the save/restore property. Nothing here is used outside tests.
 */
import type { Device, InterruptLine, PortDevice, SavedState, Timer, TimerSource } from './device.ts';

/** Virtual time that moves only when told. Timers fire in time order, ties in creation order. */
export class ManualTime implements TimerSource {
  private nowNs = 0;
  private readonly timers: ManualTimer[] = [];
  /** Bound on the timers that one advance() may fire: a device that re-arms itself in the past must not hang a test. */
  firesMax = 10_000_000;

  now(): number {
    return this.nowNs;
  }

  create(name: string, onFire: (nowNs: number) => void): Timer {
    const timer = new ManualTimer(name, onFire);
    this.timers.push(timer);
    return timer;
  }

  /** Goes to `toNs`; each timer fires at its own time, a past one at the present time. */
  advance(toNs: number): void {
    if (toNs < this.nowNs) throw new RangeError(`time runs backwards: ${this.nowNs} to ${toNs}`);
    for (let fires = 0; ; fires++) {
      if (fires > this.firesMax) throw new Error('timers fire without end');
      let next: ManualTimer | undefined;
      for (const timer of this.timers) {
        if (timer.atNs <= toNs && (next === undefined || timer.atNs < next.atNs)) next = timer;
      }
      if (next === undefined) break;
      this.nowNs = Math.max(this.nowNs, next.atNs);
      next.atNs = Infinity;
      next.onFire(this.nowNs);
    }
    this.nowNs = toNs;
  }

  /** Moves the clock and leaves due timers for the next advance(), as inside one long instruction. */
  skip(ns: number): void {
    this.nowNs += ns;
  }

  /** When the named timer fires; Infinity while it is not armed. */
  armedAt(name: string): number {
    const timer = this.timers.find((candidate) => candidate.name === name);
    if (timer === undefined) throw new Error(`no timer named ${name}`);
    return timer.atNs;
  }

  save(): readonly number[] {
    return [this.nowNs, ...this.timers.map((timer) => timer.atNs)];
  }

  restore(saved: readonly number[]): void {
    this.nowNs = saved[0];
    this.timers.forEach((timer, index) => (timer.atNs = saved[index + 1]));
  }
}

class ManualTimer implements Timer {
  readonly name: string;
  readonly onFire: (nowNs: number) => void;
  atNs = Infinity;

  constructor(name: string, onFire: (nowNs: number) => void) {
    this.name = name;
    this.onFire = onFire;
  }

  arm(atNs: number): void {
    if (!Number.isSafeInteger(atNs)) throw new RangeError(`${this.name}: armed at ${atNs} ns`);
    this.atNs = atNs;
  }

  cancel(): void {
    this.atNs = Infinity;
  }
}

/** Remembers its level and counts its rising edges; `time` gives the moment of each. */
export class RecordingLine implements InterruptLine {
  asserted = false;
  /** Virtual ns of each rising edge. */
  readonly risesNs: number[] = [];
  private readonly time: { now(): number };

  constructor(time: { now(): number } = { now: () => 0 }) {
    this.time = time;
  }

  set(asserted: boolean): void {
    if (asserted && !this.asserted) this.risesNs.push(this.time.now());
    this.asserted = asserted;
  }
}

/** A device with everything that is wired to it, as the save/restore property drives it. */
export interface Rig<Operation> {
  readonly device: Device;
  readonly time: ManualTime;
  /** Does one operation and gives what the guest would see of it. */
  perform(operation: Operation): unknown;
  /** All that left the device so far: lines, callbacks, bytes. Emptied by the driver. */
  readonly outputs: unknown[];
}

export interface Continuation {
  readonly saved: SavedState;
  readonly savedTimers: readonly number[];
  readonly seen: readonly unknown[];
  readonly outputs: readonly unknown[];
}

/**
 * Runs `before` on one rig, saves, restores into a second, runs `after` on both. The test expects the two
 * continuations and the two states at the cut to be equal.
 */
export function cutAndContinue<Operation>(
  build: () => Rig<Operation>,
  before: readonly Operation[],
  after: readonly Operation[],
): { readonly atCut: readonly [SavedState, SavedState]; readonly original: Continuation; readonly restored: Continuation } {
  const original = build();
  for (const operation of before) original.perform(operation);
  const saved = original.device.save();
  const restored = build();
  restored.time.restore(original.time.save());
  original.outputs.length = 0;
  restored.outputs.length = 0;
  restored.device.restore(saved);
  if (restored.outputs.length > 0) throw new Error('restore() must not call out');
  const atCut = [saved, restored.device.save()] as const;
  return { atCut, original: continueWith(original, after), restored: continueWith(restored, after) };
}

function continueWith<Operation>(rig: Rig<Operation>, operations: readonly Operation[]): Continuation {
  const seen = operations.map((operation) => rig.perform(operation));
  return { saved: rig.device.save(), savedTimers: rig.time.save(), seen, outputs: rig.outputs };
}

/** One access to a port device, after a wait. */
export interface PortAccess {
  readonly port: number;
  readonly write: boolean;
  readonly size: number;
  readonly value: number;
  readonly waitNs: number;
}

/** Gives what a read reads. */
export function performPortAccess(device: PortDevice, time: ManualTime, access: PortAccess): number | undefined {
  time.advance(time.now() + access.waitNs);
  if (!access.write) return device.readPort(access.port, access.size);
  device.writePort(access.port, access.size, access.value);
  return undefined;
}

/** A line that writes what is set to it into `outputs`. */
export function loggedLine(name: string, outputs: unknown[]): InterruptLine {
  return { set: (asserted) => outputs.push([name, asserted]) };
}

/**
 * The clock of a migration, and how the guest's clock goes with it. Three of them:
 *
 *     RealPace      wall time; the guest runs in slices between sends, as fast as it goes or at `speed` virtual ns a wall ns
 *     CoupledPace   wall time, but one clock for the guest and for a link of known bandwidth: where the host is too slow for them both fall behind, and what is sent and when stays what it was
 *     VirtualPace   time passes only as the link carries bytes; the guest's clock goes with it exactly. Deterministic: for tests and checks of predictions
 */
import type { Recorder, RecorderStatus } from '../../engine/recording/recorder.ts';

const CHUNK_INSTRUCTIONS = 50_000;

/** A guest that runs by the clock of somebody else. Keys wait here until the guest has room, so that none is lost when it moves. */
export class Guest {
  readonly recorder: Recorder;
  ended: Extract<RecorderStatus, { kind: 'ended' }> | undefined;
  private typed: number[] = [];

  constructor(recorder: Recorder, typed: Uint8Array = new Uint8Array(0)) {
    this.recorder = recorder;
    this.typed.push(...typed);
  }

  /** Virtual time, ns. */
  get nowNs(): number {
    return this.recorder.machine.nowNs();
  }
  /** What comes after its state was taken would be lost: it is refused. */
  isSealed = false;
  /** Throws RangeError when it is sealed. */
  type(bytes: Uint8Array): void {
    if (this.isSealed) throw new RangeError('the guest is being handed over, and takes no input');
    this.typed.push(...bytes);
  }
  /** What was typed and not yet taken. */
  get waiting(): Uint8Array {
    return Uint8Array.from(this.typed);
  }

  /** Hands over what was typed, as far as there is room. */
  feed(): void {
    const room = Math.min(this.typed.length, this.recorder.inputSpace);
    if (room > 0) this.recorder.input(Uint8Array.from(this.typed.splice(0, room)));
  }

  /** Runs until virtual time is `ns`, or a register access later; at most so many instructions. */
  runTo(ns: number, instructionsMax = Infinity): void {
    const { recorder } = this;
    const last = recorder.position + instructionsMax;
    while (this.ended === undefined && recorder.position < last) {
      const left = Math.ceil(ns - this.nowNs);
      if (left <= 0) return;
      this.feed();
      const status = recorder.step(Math.min(left, CHUNK_INSTRUCTIONS, last - recorder.position), false);
      if (status.kind === 'ended') this.ended = status;
      else if (status.kind === 'idle') {
        const stillLeft = Math.ceil(ns - this.nowNs);
        if (stillLeft <= 0) return;
        recorder.passIdle(Math.min(status.ns, stillLeft));
      }
    }
  }

  /** To a position and no further; if it idles there, on to its next timer. */
  advance(position: number): void {
    const { recorder } = this;
    while (this.ended === undefined) {
      const status = recorder.step(Math.max(0, position - recorder.position), false);
      if (status.kind === 'ended') this.ended = status;
      if (status.kind === 'idle') {
        if (status.ns !== Infinity) recorder.passIdle(status.ns);
        return;
      }
      if (recorder.position >= position) return;
    }
  }

  /** As fast as it goes: idle time is skipped to the next timer, but a guest without one stays. Returns false if it waits for input for ever. */
  slice(instructions: number): boolean {
    const { recorder } = this;
    const until = recorder.position + instructions;
    for (let idles = 0; this.ended === undefined && recorder.position < until && idles < 1000; ) {
      this.feed();
      const status = recorder.step(until - recorder.position, false);
      if (status.kind === 'ended') this.ended = status;
      else if (status.kind === 'idle') {
        if (status.ns === Infinity) return false;
        recorder.passIdle(status.ns);
        idles++;
      }
    }
    return true;
  }
}

export interface Pace {
  /** ns since the migration began, by the clock that guest and link go by. */
  nowNs(): number;
  /** The same by the wall's clock. */
  wallNs(): number;
  /** Lets time come to `ns`, with the guest running unless it is undefined. */
  until(ns: number, guest: Guest | undefined): Promise<void>;
  /** Waits for something from outside, with the guest running. */
  wait<T>(promise: Promise<T>, guest: Guest | undefined): Promise<T>;
  /** Between sends the clock may be this far ahead of the guest's, ns. */
  readonly grainNs: number;
  /** What a sender that was woken late may catch up on, ns of the link. */
  readonly burstNs: number;
}

export class VirtualPace implements Pace {
  readonly grainNs = 0;
  readonly burstNs = 0;
  private now = 0;
  private readonly speed: number;
  private ranAtNs = 0;
  private virtualNs: number | undefined;

  /** `speed`: virtual ns of the guest a ns of the link. */
  constructor(speed: number) {
    this.speed = speed;
  }

  nowNs(): number {
    return this.now;
  }
  wallNs(): number {
    return this.now;
  }
  until(ns: number, guest: Guest | undefined): Promise<void> {
    if (ns > this.now) this.now = ns;
    if (guest !== undefined) {
      this.virtualNs = (this.virtualNs ?? guest.nowNs) + (this.now - this.ranAtNs) * this.speed;
      guest.runTo(this.virtualNs);
    }
    this.ranAtNs = this.now;
    return Promise.resolve();
  }
  wait<T>(promise: Promise<T>): Promise<T> {
    return promise;
  }
}

/** What the host gives: server/cli/host.ts. */
export interface HostClock {
  monotonicMs(): number;
  /** Lets signals, sockets and timers in. */
  turn(): Promise<void>;
}

const SLICE_INSTRUCTIONS = 100_000;
const SLEEP_MS_MAX = 20;
/** Longest time of sending without the guest. */
const SHARE_MS = 2;
/** In which a write that has room settles. */
const MICROTASKS = 8;

export class RealPace implements Pace {
  readonly grainNs = 1e6;
  readonly burstNs = 20e6;
  private readonly clock: HostClock;
  private readonly speed: number | undefined;
  private readonly onTurn: () => void;
  private readonly startMs: number;
  private turnedMs = 0;
  private anchor: { readonly wallNs: number; readonly virtualNs: number } | undefined;

  /** `speed` undefined: as fast as it goes. `onTurn` is called between slices. */
  constructor(clock: HostClock, speed: number | undefined, onTurn: () => void = () => {}) {
    this.clock = clock;
    this.speed = speed;
    this.onTurn = onTurn;
    this.startMs = clock.monotonicMs();
  }

  nowNs(): number {
    return (this.clock.monotonicMs() - this.startMs) * 1e6;
  }
  wallNs(): number {
    return this.nowNs();
  }

  async until(ns: number, guest: Guest | undefined): Promise<void> {
    while (this.nowNs() < ns) await this.turn(guest, ns);
  }
  async wait<T>(promise: Promise<T>, guest: Guest | undefined): Promise<T> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    if (guest === undefined) return promise;
    // Room on the link is known at once. Then the guest gets its share of the thread all the same.
    for (let i = 0; i < MICROTASKS && !isSettled; i++) await Promise.resolve();
    if (isSettled && this.clock.monotonicMs() - this.turnedMs < SHARE_MS) return promise;
    do await this.turn(guest, this.nowNs() + (isSettled ? 0 : this.grainNs));
    while (!isSettled);
    return promise;
  }

  private async turn(guest: Guest | undefined, untilNs: number): Promise<void> {
    let isIdle = guest === undefined || guest.ended !== undefined;
    if (guest !== undefined && !isIdle) {
      if (this.speed === undefined) isIdle = !guest.slice(SLICE_INSTRUCTIONS);
      else {
        const now = this.nowNs();
        // A host that is too slow lets the guest's clock fall behind; it is not made up for.
        if (this.anchor === undefined || this.anchor.virtualNs + (now - this.anchor.wallNs) * this.speed - guest.nowNs > 50e6) this.anchor = { wallNs: now, virtualNs: guest.nowNs };
        const target = this.anchor.virtualNs + (now - this.anchor.wallNs) * this.speed;
        isIdle = target <= guest.nowNs;
        guest.runTo(target, SLICE_INSTRUCTIONS);
      }
    }
    this.onTurn();
    this.turnedMs = this.clock.monotonicMs();
    const leftMs = (untilNs - this.nowNs()) / 1e6;
    if (isIdle && leftMs >= 1) await new Promise((resolve) => setTimeout(resolve, Math.min(leftMs, SLEEP_MS_MAX)));
    else await this.clock.turn();
  }
}

/** The clock's step, ns: so long the guest runs before anybody else is heard. */
const STEP_NS = 2e6;
/** What may be caught up on after the host was late, ns. What is more is lost time, to the guest and to the link. */
const LATE_NS_MAX = 20e6;

export class CoupledPace implements Pace {
  readonly grainNs = 0;
  readonly burstNs = 0;
  private readonly clock: HostClock;
  private readonly speed: number;
  private readonly onTurn: () => void;
  private readonly startMs: number;
  private turnedMs = 0;
  private now = 0;
  private heldNs = 0;
  private virtualNs: number | undefined;

  /** `speed`: virtual ns of the guest a ns of the clock; less than the host can do, or time is lost. */
  constructor(clock: HostClock, speed: number, onTurn: () => void = () => {}) {
    this.clock = clock;
    this.speed = speed;
    this.onTurn = onTurn;
    this.startMs = clock.monotonicMs();
  }

  nowNs(): number {
    return this.now;
  }
  wallNs(): number {
    return (this.clock.monotonicMs() - this.startMs) * 1e6;
  }
  /** How far the wall is ahead, ns; negative if it is behind. */
  private get lateNs(): number {
    return this.wallNs() - this.heldNs - this.now;
  }

  async until(ns: number, guest: Guest | undefined): Promise<void> {
    while (this.now < ns) {
      this.advance(Math.min(ns, this.now + STEP_NS), guest);
      await this.turn();
    }
  }
  async wait<T>(promise: Promise<T>, guest: Guest | undefined): Promise<T> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    const settled = promise.then(settle, settle);
    for (let i = 0; i < MICROTASKS && !isSettled; i++) await Promise.resolve();
    while (!isSettled) {
      // Somebody else takes his time: the clock goes with the wall's.
      const lateNs = this.holdTo();
      if (lateNs > 0) this.advance(this.now + Math.min(lateNs, STEP_NS), guest);
      if (this.lateNs > STEP_NS) await this.turn();
      else await Promise.race([settled, new Promise((resolve) => setTimeout(resolve, 1))]);
      this.onTurn();
    }
    return promise;
  }

  private advance(to: number, guest: Guest | undefined): void {
    if (guest !== undefined) {
      this.virtualNs = (this.virtualNs ?? guest.nowNs) + (to - this.now) * this.speed;
      guest.runTo(this.virtualNs);
    }
    this.now = to;
  }

  /** What is more than may be caught up on is lost. */
  private holdTo(): number {
    const { lateNs } = this;
    if (lateNs > LATE_NS_MAX) this.heldNs += lateNs - LATE_NS_MAX;
    return Math.min(lateNs, LATE_NS_MAX);
  }

  private async turn(): Promise<void> {
    this.onTurn();
    const lateNs = this.holdTo();
    if (lateNs <= -1e6) await new Promise((resolve) => setTimeout(resolve, Math.min(-lateNs / 1e6, SLEEP_MS_MAX)));
    else if (this.clock.monotonicMs() - this.turnedMs < SHARE_MS) return;
    else await this.clock.turn();
    this.turnedMs = this.clock.monotonicMs();
  }
}

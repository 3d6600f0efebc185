/**
 * Timers of all devices in one list, in virtual time. There are a few dozen, so the next one is found by looking.
 */
import type { SavedState, Timer, TimerSource } from '../devices/device.ts';

class ScheduledTimer implements Timer {
  readonly name: string;
  readonly onFire: (nowNs: number) => void;
  atNs = Infinity;
  private readonly scheduler: Scheduler;

  constructor(scheduler: Scheduler, name: string, onFire: (nowNs: number) => void) {
    this.scheduler = scheduler;
    this.name = name;
    this.onFire = onFire;
  }

  arm(atNs: number): void {
    if (Number.isNaN(atNs)) throw new RangeError(`timer ${this.name} armed at ${atNs}`);
    // An infinite or unreachable time is a timer that never fires.
    this.atNs = atNs <= Number.MAX_SAFE_INTEGER ? Math.max(0, Math.ceil(atNs)) : Infinity;
    this.scheduler.changed(this.name, this.atNs);
  }

  cancel(): void {
    this.atNs = Infinity;
    this.scheduler.changed(this.name, Infinity);
  }
}

export interface SchedulerOptions {
  /** Virtual time of the running instruction, ns. */
  readonly now: () => number;
  /** A timer was armed (or cancelled: Infinity). */
  readonly onChange: (timer: string, atNs: number) => void;
  readonly onFire: (timer: string) => void;
}

export class Scheduler implements TimerSource {
  private readonly timers: ScheduledTimer[] = [];
  private readonly options: SchedulerOptions;

  constructor(options: SchedulerOptions) {
    this.options = options;
  }

  now(): number {
    return this.options.now();
  }

  create(name: string, onFire: (nowNs: number) => void): Timer {
    if (this.timers.some((timer) => timer.name === name)) throw new Error(`two timers are named ${name}`);
    const timer = new ScheduledTimer(this, name, onFire);
    this.timers.push(timer);
    return timer;
  }

  changed(name: string, atNs: number): void {
    this.options.onChange(name, atNs);
  }

  get names(): readonly string[] {
    return this.timers.map(({ name }) => name);
  }

  /** The armed timers and when they fire, ns. */
  armed(): readonly { readonly name: string; readonly atNs: number }[] {
    return this.timers.filter(({ atNs }) => atNs !== Infinity).map(({ name, atNs }) => ({ name, atNs }));
  }

  /** From outside: an armed timer fires `ns` later, or earlier, but not before now. False if it is not armed. */
  shift(name: string, ns: number): boolean {
    const timer = this.timers.find((each) => each.name === name);
    if (timer === undefined) throw new Error(`there is no timer ${name}`);
    if (timer.atNs === Infinity) return false;
    timer.arm(Math.max(this.options.now(), timer.atNs + ns));
    return true;
  }

  /** When the next timer fires, ns; Infinity if none is armed. */
  nextNs(): number {
    let next = Infinity;
    for (const timer of this.timers) if (timer.atNs < next) next = timer.atNs;
    return next;
  }

  /** Fires what is due at `nowNs`, in order of time, ties in order of creation. */
  fireDue(nowNs: number): void {
    for (;;) {
      let due: ScheduledTimer | undefined;
      for (const timer of this.timers) if (timer.atNs <= nowNs && (due === undefined || timer.atNs < due.atNs)) due = timer;
      if (due === undefined) return;
      due.atNs = Infinity;
      this.options.onFire(due.name);
      due.onFire(nowNs);
    }
  }

  save(): SavedState {
    const state: Record<string, number> = {};
    for (const timer of this.timers) if (timer.atNs !== Infinity) state[timer.name] = timer.atNs;
    return state;
  }

  restore(state: SavedState): void {
    for (const timer of this.timers) timer.atNs = typeof state[timer.name] === 'number' ? (state[timer.name] as number) : Infinity;
  }
}

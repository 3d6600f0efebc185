/**
 * Which PAUSE of a loop leaves the guest: told of each one by a replay on the counting core, because a log has no PAUSE.
 *
 * VT-x, PAUSE-loop exiting (SDM vol. 3C 25.1.3, 24.6.13; at privilege 0 only, KVM leaves "PAUSE exiting" off):
 *
 *     PAUSE ─► the first since VM entry, or later than PLE_Gap after the one before? ─ yes ─► a loop begins
 *                 └─ no ─► later than PLE_Window after its loop began? ─ yes ─► VM exit
 *
 * SVM, pause filter with a threshold (APM vol. 2 15.14.4; at any privilege): a count is loaded at VM entry and after a gap longer than the threshold, and each other PAUSE takes one away; below 0 is an exit.
 *
 * KVM (Linux 6.1 arch/x86/kvm/x86.h, vmx/vmx.c, svm/svm.c) doubles the window, or the count, at each such exit, and takes the first one again when the host schedules the virtual CPU in (kvm_sched_in).
 *
 * Time is the guest's virtual time at the CPU's nominal frequency: the manual measures with a counter at the rate of the TSC, and loops that wait for a time (udelay, a device) last as long here as there. What PAUSE itself takes (some
 * 10 cycles until Broadwell, 140 since Skylake) is no part of virtual time: a loop that waits for a number of iterations is shorter here than there.
 */
import { RegimeError } from './regime.ts';

/** TSC cycles between two PAUSEs of one loop at most: ple_gap, pause_filter_thresh. */
const GAP = 128;
/** ple_window: TSC cycles. */
const WINDOW = 4096;
const WINDOW_MAX = 2 ** 32 - 1;
/** pause_filter_count: PAUSEs. */
const COUNT = 3000;
const COUNT_MAX = 65_535;
/** ple_window_grow, pause_filter_count_grow. */
const GROW = 2;
/** Of a CPU whose source names no machine. */
export const GIGAHERTZ_ASSUMED = 2.5;
const NEVER = Number.MIN_SAFE_INTEGER;

export type PauseRule = 'vmx' | 'svm';

export interface SavedPauseLoops {
  readonly limit: number;
  readonly last: number;
  readonly first: number;
  readonly left: number;
  readonly hasEntered: boolean;
}

export class PauseLoops {
  private readonly rule: PauseRule;
  private readonly gigahertz: number;
  private readonly limitMin: number;
  private readonly limitMax: number;
  /** The window in cycles, or the count. */
  private limit: number;
  /** In cycles: the last PAUSE, and the first of its loop. */
  private last = NEVER;
  private first = NEVER;
  /** SVM: what the count has come down to. */
  private left = 0;
  /** No PAUSE since VM entry. */
  private hasEntered = true;

  /** Throws RegimeError if there is no frequency. */
  constructor(rule: PauseRule, gigahertz: number) {
    if (!(gigahertz > 0 && Number.isFinite(gigahertz))) throw new RegimeError(`a CPU of ${gigahertz} GHz: its frequency must be above 0`);
    this.rule = rule;
    this.gigahertz = gigahertz;
    [this.limitMin, this.limitMax] = rule === 'vmx' ? [WINDOW, WINDOW_MAX] : [COUNT, COUNT_MAX];
    this.limit = this.limitMin;
  }

  /** A PAUSE at a virtual time, and the privilege at which it runs (0 to 3). True if it leaves the guest, which is entered again. */
  pause(virtualNs: number, cpl: number): boolean {
    if (this.rule === 'vmx' && cpl !== 0) return false;
    const now = virtualNs * this.gigahertz;
    const isLoop = now - this.last <= GAP;
    this.last = now;
    if (!(this.rule === 'vmx' ? this.isOutsideWindow(now, isLoop) : this.isCountedDown(isLoop))) return false;
    this.limit = Math.min(this.limit * GROW, this.limitMax);
    this.hasEntered = true;
    return true;
  }

  private isOutsideWindow(now: number, isLoop: boolean): boolean {
    if (isLoop && !this.hasEntered) return now - this.first > this.limit;
    this.hasEntered = false;
    this.first = now;
    return false;
  }

  private isCountedDown(isLoop: boolean): boolean {
    if (this.hasEntered || !isLoop) this.left = this.limit;
    this.hasEntered = false;
    if (isLoop) this.left--;
    return this.left < 0;
  }

  /** The guest has left for another reason, and is entered again. */
  entered(): void {
    this.hasEntered = true;
  }

  /** The virtual CPU has slept, and the host has scheduled it in. */
  scheduledIn(): void {
    this.limit = this.limitMin;
  }

  save(): SavedPauseLoops {
    const { limit, last, first, left, hasEntered } = this;
    return { limit, last, first, left, hasEntered };
  }

  restore({ limit, last, first, left, hasEntered }: SavedPauseLoops): void {
    this.limit = limit;
    this.last = last;
    this.first = first;
    this.left = left;
    this.hasEntered = hasEntered;
  }
}

/**
 * A guest that reacts: a branch of the recording from the migration's begin on. Whatever holds it up is an input of the branch (`stall`), so the branch is a recording that replays.
 *
 *     throttle    │ run 10 ms │ sleep p/(1-p) x 10 ms │ run ...      migration/../softmmu/cpu-throttle.c; times of the wall
 *     logging     first write to a page after a sync ──► loggingCostNs
 *     post-copy   first access to a page that is not there ──► until it has come
 *
 * It is held up right after the instruction (or the iteration of a string instruction) that made the access, not in the midst of it.
 */
import { PAGE_ATTR, PAGE_CODE } from '../../cpu/layout.ts';
import { isZeroPage, pageView } from '../../machine/snapshot.ts';
import type { Branch } from '../../recording/branch.ts';
import { packPage } from '../../recording/checkpoint-pages.ts';
import { xbzrleBytes } from '../dirty/content.ts';
import { PageWatch, WATCH_ALL, WATCH_WRITES } from '../dirty/page-watch.ts';
import { PAGE_BYTES } from '../dirty/truth.ts';
import type { Arrived, MigratingGuest, PageMemento } from './guest.ts';

/** CPU_THROTTLE_TIMESLICE_NS */
const TIMESLICE_NS = 10e6;
/** Between looks at what was fetched, virtual ns: fetches of instructions are not told one by one. */
const FETCH_LOOK_NS = 20_000;

export interface BranchedGuestOptions {
  /** Stands at the migration's begin, and outlives its parent; nobody else drives or observes it. */
  readonly branch: Branch;
  /** Virtual ns a wall ns. Default 1. */
  readonly virtualPerWall?: number;
  /** What the first write to a page after each sync costs the guest, virtual ns: the exit in which a hypervisor notes it. Default 0. */
  readonly loggingCostNs?: number;
}

export class BranchedGuest implements MigratingGuest {
  readonly isClosedLoop = true;
  readonly speed: number;
  isOver = false;
  /** As far as the transfer has let it come. The machine may be ahead where it idles or sleeps. */
  nowNs: number;
  /** Virtual ns in which it was held up. */
  stalledNs = 0;
  private readonly branch: Branch;
  private readonly watch: PageWatch;
  private readonly loggingCostNs: number;
  private percent = 0;
  private throttledSinceNs = 0;
  private page: number[] = [];
  private atNs: number[] = [];
  /** 1: written since the dirty log was cleared. */
  private readonly isWritten: Uint8Array;
  private owedNs = 0;
  /** Pages that are not there, while it runs at the destination; each until its first access. */
  private absent: Uint8Array | undefined;
  private readonly touched: { readonly page: number; readonly atNs: number }[] = [];

  constructor({ branch, virtualPerWall = 1, loggingCostNs = 0 }: BranchedGuestOptions) {
    if (!(virtualPerWall > 0)) throw new RangeError('the guest must run while it is migrated: virtualPerWall above 0');
    this.branch = branch;
    this.speed = virtualPerWall;
    this.loggingCostNs = Math.round(loggingCostNs);
    this.nowNs = branch.machine.nowNs();
    this.isWritten = new Uint8Array(branch.machine.core.ramBytes / PAGE_BYTES);
    this.watch = new PageWatch(branch.machine);
    this.watch.attach((frame, isWrite) => this.access(frame, isWrite));
    this.watch.all(WATCH_WRITES);
  }

  /** The branch is somebody else's again. */
  release(): void {
    this.watch.detach();
  }

  private access(frame: number, isWrite: boolean): boolean {
    if (this.absent !== undefined) {
      this.touch(frame);
      return true;
    }
    if (!isWrite) return false;
    this.page.push(frame);
    this.atNs.push(this.branch.machine.nowNs());
    if (this.isWritten[frame] !== 0) return false;
    this.isWritten[frame] = 1;
    this.owedNs += this.loggingCostNs;
    return this.owedNs > 0;
  }
  private touch(frame: number): void {
    if (this.absent![frame] === 0) return;
    this.absent![frame] = 0;
    this.touched.push({ page: frame, atNs: this.branch.machine.nowNs() });
  }

  private stall(ns: number): void {
    this.stalledNs += ns;
    this.branch.change({ kind: 'stall', ns });
  }

  pass(wallNs: number): void {
    this.nowNs += wallNs * this.speed;
    this.runTo(this.nowNs);
  }
  throttle(percent: number): void {
    this.throttledSinceNs = this.branch.machine.nowNs();
    this.percent = percent;
  }

  private runTo(ns: number): void {
    const { machine } = this.branch;
    while (!this.isOver && machine.nowNs() < ns && this.touched.length === 0) {
      let until = ns;
      if (this.percent > 0) {
        // Whole ns, as the machine's clock: so each turn of this loop is a step.
        const runNs = Math.ceil(TIMESLICE_NS * this.speed);
        const periodNs = Math.ceil(runNs / (1 - this.percent / 100));
        const phaseNs = (machine.nowNs() - this.throttledSinceNs) % periodNs;
        if (phaseNs >= runNs) {
          this.stall(periodNs - phaseNs);
          continue;
        }
        until = Math.min(ns, machine.nowNs() + runNs - phaseNs);
      }
      const { kind } = this.branch.runTo(until, () => {
        const { owedNs } = this;
        this.owedNs = 0;
        if (owedNs > 0) this.stall(owedNs);
        return this.touched.length > 0;
      });
      this.isOver = kind !== 'running';
    }
  }

  writes(tell: (page: number, atNs: number) => void): void {
    for (let i = 0; i < this.page.length; i++) tell(this.page[i], this.atNs[i]);
    this.page = [];
    this.atNs = [];
  }
  cleared(): void {
    this.isWritten.fill(0);
    this.watch.all(WATCH_WRITES);
  }
  sent(page: number): void {
    if (this.isWritten[page] !== 0 && this.absent === undefined) this.watch.one(page, WATCH_WRITES);
  }

  private view(page: number): Uint8Array {
    return pageView(this.branch.machine.core, page);
  }
  isZero(page: number): boolean {
    return isZeroPage(this.view(page));
  }
  compressedBytes(page: number): number {
    return packPage(this.view(page)).length;
  }
  keep(page: number): PageMemento {
    return this.view(page).slice();
  }
  deltaBytes(page: number, since: PageMemento): number {
    return typeof since === 'number' ? PAGE_BYTES + 1 : xbzrleBytes(since, this.view(page));
  }

  /** What a page walk reads is not told. */
  arrive(absent: Uint8Array): Arrived {
    const { core } = this.branch.machine;
    this.throttle(0);
    this.absent = absent.slice();
    this.watch.some(this.absent, WATCH_ALL);
    // So that code is fetched anew.
    core.exports.codeFlush();
    return {
      next: (untilNs) => {
        while (this.touched.length === 0 && !this.isOver && this.branch.machine.nowNs() < untilNs) {
          this.runTo(Math.min(untilNs, this.branch.machine.nowNs() + FETCH_LOOK_NS));
          for (let page = this.absent!.indexOf(1); page >= 0; page = this.absent!.indexOf(1, page + 1)) if ((core.u8[PAGE_ATTR + page] & PAGE_CODE) !== 0) this.touch(page);
        }
        return this.touched.shift();
      },
      waited: (ns) => {
        const whole = Math.ceil(ns);
        this.stall(whole);
        return whole;
      },
    };
  }
}

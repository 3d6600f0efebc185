/** Tells first accesses to pages: a watched frame takes the core's slow path (cpu/README.md, decision 9) and is let go with its first access. Neither guest nor log can see it. */
import { ACCESS_LOAD, PAGE_WATCH, WATCHING, WATCH_DIRTY, WATCH_READ, WATCH_WRITE } from '../../cpu/layout.ts';
import type { Machine } from '../../machine/machine.ts';
import { PAGE_BYTES } from './truth.ts';

/** Whether a page's next access is told; 0 for not at all. */
export const WATCH_WRITES = WATCH_WRITE;
export const WATCH_ALL = WATCH_READ | WATCH_WRITE;
/** The write that makes a page dirty, by the core's own rule: what a log with first writes has. */
export const WATCH_FIRST_WRITES = WATCH_DIRTY;
export const WATCH_FIRST_WRITES_AND_READS = WATCH_READ | WATCH_DIRTY;

/** True stops the machine after the instruction, or the iteration, that makes the access. */
export type OnAccess = (frame: number, isWrite: boolean, kind: number) => boolean;

export class PageWatch {
  private readonly machine: Machine;
  private readonly frames: number;

  constructor(machine: Machine) {
    this.machine = machine;
    this.frames = machine.core.ramBytes / PAGE_BYTES;
  }

  /** Between runs. No other observer may be on the machine. */
  attach(onAccess: OnAccess): void {
    const { core } = this.machine;
    this.machine.observe({
      access: (kind, paddr) => {
        const frame = paddr >>> 12;
        const isWrite = kind !== ACCESS_LOAD;
        // A watched frame is in no TLB, so nothing needs a flush: from now on it may be.
        core.u8[PAGE_WATCH + frame] &= ~(isWrite ? WATCH_WRITE | WATCH_DIRTY : WATCH_READ);
        if (core.u8[PAGE_WATCH + frame] === 0) core.u32[WATCHING >>> 2]--;
        return onAccess(frame, isWrite, kind);
      },
    });
  }
  detach(): void {
    this.all(0);
    this.machine.observe(undefined);
  }

  /** core.watchFrame() for every frame at once: one flush of the TLB instead of one a frame. */
  all(watch: number): void {
    const { core } = this.machine;
    core.u8.fill(watch, PAGE_WATCH, PAGE_WATCH + this.frames);
    core.u32[WATCHING >>> 2] = watch === 0 ? 0 : this.frames;
    core.exports.tlbFlushAll();
  }
  /** Those marked with 1, and no others. */
  some(marked: Uint8Array, watch: number): void {
    this.all(0);
    const { core } = this.machine;
    let count = 0;
    for (let frame = marked.indexOf(1); frame >= 0; frame = marked.indexOf(1, frame + 1), count++) core.u8[PAGE_WATCH + frame] = watch;
    core.u32[WATCHING >>> 2] = count;
  }
  one(frame: number, watch: number): void {
    this.machine.core.watchFrame(frame, watch);
  }
}

/**
 * The call stack of now, kept while a whole run is replayed: shadow-stack.ts folds a stretch and looks back; this follows from power-on and is asked at each event.
 *
 *     CALL         a frame at its slot, inside the innermost one of the stack that rsp is on
 *     RET          takes the frame at its slot; what lies below was left behind
 *     delivery     a frame at the slot of the RIP that the CPU pushes; from user mode, an entrance
 *     SYSCALL      an entrance: the kernel's stack begins inside the user's
 *
 * Each frame knows the frame outside it, across stacks. Which stack rsp is on is found by slot: the innermost frame at rsp or above it in its page, then in the pages above.
 * A frame that is not on the way out from the last one (a switch of tasks, or an old frame where a stack is used again) counts only if its return address is still there.
 *
 * A forked process has its parent's stack in other memory: where an address space knows nothing of a stack, another one's frames count if all their return addresses are there.
 */
import * as L from '../cpu/layout.ts';
import type { Machine } from '../machine/machine.ts';
import { translate } from './inspect.ts';
import { type Linear, cr3Of, deliveriesHere, fromLinear, toLinear } from './shadow-stack.ts';

export class LiveFrame {
  readonly kind: 'call' | 'interrupt' | 'syscall';
  /** Of the return address or of the RIP that was pushed; rsp of a system call. */
  readonly slot: Linear;
  /** What was running in the frame outside: the CALL or SYSCALL, or what was interrupted. */
  readonly site: Linear;
  /** Of an interrupt. */
  readonly vector: number;
  readonly outer: LiveFrame | undefined;
  /** From user mode into the kernel. */
  readonly isEntrance: boolean;
  readonly depth: number;
  /** For who names frames: -1 until it has. */
  node = -1;

  constructor(kind: LiveFrame['kind'], slot: Linear, site: Linear, vector: number, outer: LiveFrame | undefined, isEntrance: boolean) {
    const isLost = outer !== undefined && outer.depth >= FRAME_DEPTH_MAX;
    this.kind = kind;
    this.slot = slot;
    this.site = site;
    this.vector = vector;
    this.outer = isLost ? undefined : outer;
    this.isEntrance = isEntrance;
    this.depth = outer === undefined || isLost ? 1 : outer.depth + 1;
  }
}

type Pages = Map<number, LiveFrame[]>;

const TWO_32 = 4294967296;
const RSP = L.REGS + 4 * 8;
const SEGMENT_LONG = 0x2000;
const EFER_LMA = 0x400;
const MODE_USER = 3;
/** Pages above rsp's in which the innermost frame is looked for. */
const KERNEL_PAGES_MAX = 4;
const USER_PAGES_MAX = 16;
/** A frame this near above rsp, with nothing known between, is of the same stack. */
const SAME_STACK_BYTES = 16_384;
/** Frames between the last one and the one that rsp leads to, if there was no switch. */
const OUTWARD_MAX = 64;
/** More than this is a chain that nobody returned from. */
const FRAME_DEPTH_MAX = 1024;
/** Bytes of a CALL: at least, at most (Intel SDM, volume 2, CALL). */
const CALL_BYTES = [2, 15] as const;

export class LiveStacks {
  private readonly machine: Machine;
  private readonly kernel: Pages = new Map();
  /** By CR3 (page frame number). */
  private readonly spaces = new Map<number, Pages>();
  /** The innermost frame of user code when it was last looked at, by address space. */
  private readonly userTops = new Map<number, LiveFrame | undefined>();
  /** Pages of stack of which no address space knows anything. */
  private readonly barren = new Set<string>();
  private current: LiveFrame | undefined;
  /** In user mode, as far as anything was seen. */
  private isUser = false;
  private readonly entries: ReadonlySet<number>;

  /** `entries`: low words of the addresses that SYSCALL leads to, all that the run ever sets. */
  constructor(machine: Machine, entries: ReadonlySet<number>) {
    this.machine = machine;
    this.entries = entries;
  }

  /** The observer of Machine.observe(); with core.observeCode(entries, true). */
  start(kinds: number): boolean {
    const { core } = this.machine;
    const { u32 } = core;
    const rsp = this.rsp();
    if ((kinds & L.OBSERVE_START) !== 0 && u32[L.CPL >>> 2] === 0 && this.entries.has(core.ripLow())) {
      // SYSCALL leaves the address after it in RCX (SDM volume 2).
      const outer = this.top(rsp, true);
      this.enter(new LiveFrame('syscall', rsp, this.word(L.REGS + 8) - 2, 0, outer, true));
    }
    if ((kinds & L.OBSERVE_CALL) !== 0) {
      const isLong = (u32[(L.SEGS + L.SEG_SIZE + L.SEG_ATTR) >>> 2] & SEGMENT_LONG) !== 0;
      const slot = rsp - (isLong ? 8 : 4);
      const outer = this.top(rsp, this.inUser());
      this.push(this.enter(new LiveFrame('call', slot, this.rip(), 0, outer, false)));
    } else if ((kinds & L.OBSERVE_RETURN) !== 0) this.leave(rsp);
    return false;
  }

  /** The CPU delivers an interrupt or an exception: its event was made, nothing is pushed yet. */
  deliver(vector: number, hasError: boolean): void {
    const { machine } = this;
    if ((machine.core.u32[L.EFER >>> 2] & EFER_LMA) === 0) return;
    const isUser = this.inUser();
    const outer = this.top(this.rsp(), isUser);
    const [delivery] = deliveriesHere(machine, [{ position: 0, vector, hasError, isInterrupt: false }]);
    const slot = toLinear(delivery.frame);
    this.push(this.enter(new LiveFrame('interrupt', slot, this.rip(), vector, outer, isUser)));
  }

  /** The innermost frame; undefined where nothing was called. */
  innermost(): LiveFrame | undefined {
    return this.top(this.rsp(), this.inUser());
  }

  private inUser(): boolean {
    return this.machine.core.u32[L.CPL >>> 2] === MODE_USER;
  }
  private rsp(): Linear {
    return this.word(RSP);
  }
  private word(address: number): Linear {
    const { core } = this.machine;
    return core.i32[(address + 4) >>> 2] * TWO_32 + core.u32[address >>> 2];
  }
  private rip(): Linear {
    const { core } = this.machine;
    return (core.ripHigh() | 0) * TWO_32 + core.ripLow();
  }

  private enter(frame: LiveFrame): LiveFrame {
    this.current = frame;
    this.isUser = this.inUser() && !frame.isEntrance;
    if (this.isUser) this.userTops.set(cr3Of(this.machine), frame);
    return frame;
  }

  private push(frame: LiveFrame): void {
    const pages = this.pagesOf(frame.slot);
    const page = Math.floor(frame.slot / 4096);
    const frames = pages.get(page);
    if (frames === undefined) {
      pages.set(page, [frame]);
      return;
    }
    while (frames.length > 0 && frames[frames.length - 1].slot <= frame.slot) frames.pop();
    frames.push(frame);
  }

  private leave(rsp: Linear): void {
    const frames = this.pagesOf(rsp).get(Math.floor(rsp / 4096));
    const isUser = this.inUser();
    while (frames !== undefined && frames.length > 0 && frames[frames.length - 1].slot < rsp) frames.pop();
    const last = frames?.[frames.length - 1];
    if (last?.slot === rsp) {
      frames!.pop();
      this.current = last.outer;
    } else if (this.current?.kind === 'call' && this.returnsTo(rsp, this.current)) {
      // The return address was moved: Linux's error_entry pushes the registers above it.
      const moved = this.current;
      const others = this.pagesOf(moved.slot).get(Math.floor(moved.slot / 4096));
      if (others?.[others.length - 1] === moved) others.pop();
      this.current = moved.outer;
    } else if (this.current !== undefined) {
      // Of no CALL that was seen: a first run on a stack that was prepared, unless it is the stack of before.
      const { slot } = this.current;
      const isSame = slot > rsp && slot - rsp < SAME_STACK_BYTES;
      if (last !== undefined && this.isOutward(last)) this.current = last;
      else if (!isSame && !(this.current.isEntrance && !isUser)) this.current = undefined;
    }
    this.isUser = isUser;
    if (isUser) this.userTops.set(cr3Of(this.machine), this.current);
  }

  private top(rsp: Linear, isUser: boolean): LiveFrame | undefined {
    if (isUser !== this.isUser) {
      if (isUser) this.current = this.userTops.get(cr3Of(this.machine));
      // Nothing told of the way into the kernel: INT n, SYSENTER.
      else this.enter(new LiveFrame('syscall', rsp, this.current?.site ?? this.rip(), 0, this.current, true));
      this.isUser = isUser;
    }
    // The kernel's entry code has no frame of its own.
    if (!isUser && this.current?.isEntrance === true) return this.current;
    return (this.current = this.find(rsp, isUser));
  }

  private find(rsp: Linear, isUser: boolean): LiveFrame | undefined {
    const pages = this.pagesOf(rsp);
    const first = Math.floor(rsp / 4096);
    const { current } = this;
    const isNear = current !== undefined && current.slot >= rsp && current.slot - rsp < SAME_STACK_BYTES;
    const pagesMax = isUser ? USER_PAGES_MAX : KERNEL_PAGES_MAX;
    for (let page = first; page < first + pagesMax; page++) {
      const frames = pages.get(page);
      if (page > first && !isNear && translate(this.machine, fromLinear(page * 4096)) === undefined) break;
      for (let i = (frames?.length ?? 0) - 1; i >= 0; i--) {
        const frame = frames![i];
        if (frame.slot < rsp) continue;
        if (this.isOutward(frame) || this.isIntact(frame)) return frame;
        frames!.splice(i, 1);
      }
    }
    if (isUser) return this.inherit(rsp, first);
    // The first frames of a stack that was switched to, such as Linux's for interrupts.
    return current;
  }

  /** The last frame, or one that it is inside of. */
  private isOutward(frame: LiveFrame): boolean {
    let at = this.current;
    for (let i = 0; i < OUTWARD_MAX && at !== undefined; i++, at = at.outer) if (at === frame) return true;
    return false;
  }

  /** What was pushed lies there still. */
  private isIntact(frame: LiveFrame): boolean {
    return this.returnsTo(frame.slot, frame);
  }

  /** The word at `slot` is where the code outside of the frame goes on. */
  private returnsTo(slot: Linear, { kind, site }: LiveFrame): boolean {
    const { core } = this.machine;
    const paddr = translate(this.machine, fromLinear(slot));
    if (paddr === undefined || paddr + 4 > core.ramBytes || paddr % 4 !== 0) return false;
    const bytes = (core.u32[(L.RAM + paddr) >>> 2] - site) >>> 0;
    return kind === 'call' ? bytes >= CALL_BYTES[0] && bytes <= CALL_BYTES[1] : bytes === 0;
  }

  /** Of the address space that this one is a copy of. */
  private inherit(rsp: Linear, first: number): LiveFrame | undefined {
    const cr3 = cr3Of(this.machine);
    const key = `${cr3} ${first}`;
    if (this.barren.has(key)) return undefined;
    for (const [other, pages] of [...this.spaces].reverse()) {
      if (other === cr3) continue;
      for (let page = first; page < first + USER_PAGES_MAX; page++) {
        const frame = pages.get(page)?.findLast(({ slot }) => slot >= rsp);
        if (frame === undefined) continue;
        if (!this.isChainIntact(frame)) break;
        this.spaces.set(cr3, new Map([...pages].map(([at, frames]) => [at, [...frames]])));
        return frame;
      }
    }
    this.barren.add(key);
    return undefined;
  }

  private isChainIntact(frame: LiveFrame): boolean {
    for (let at: LiveFrame | undefined = frame; at !== undefined && at.kind === 'call'; at = at.outer) if (!this.isIntact(at)) return false;
    return true;
  }

  /** Kernel stacks are in all address spaces. */
  private pagesOf(address: Linear): Pages {
    if (address < 0) return this.kernel;
    const cr3 = cr3Of(this.machine);
    let pages = this.spaces.get(cr3);
    if (pages === undefined) {
      this.spaces.set(cr3, (pages = new Map()));
      for (const key of this.barren) if (key.startsWith(`${cr3} `)) this.barren.delete(key);
    }
    return pages;
  }
}

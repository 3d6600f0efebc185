/**
 * Who called: the frames of the code at the cursor, without frame pointers and without unwind tables.
 *
 * The calls, returns and deliveries before the cursor are folded into what has not returned (shadow-stack.ts), stretch by stretch, backward, until the stack
 * is explained: from rsp up, each slot that a CALL wrote and no RET has taken is a frame.
 *
 *     rsp ─► │ locals   │
 *            │ slot     │ CALL at @p3, still there               ─► frame 1
 *            │ ...      │
 *            │ RIP..SS  │ a delivery at @p2                      ─► frame 2: what it interrupted, maybe on another stack
 *            │ slot     │ CALL at @p1                            ─► frame 3
 *            │ RIP..SS  │ of user mode: SYSCALL or a delivery    ─► and on with the user's stack
 *
 * It is explained when no word above the last slot looks like the address after a CALL. What looks so and was written longer ago than `instructionsMax` is taken
 * for a frame (without `calledAt`) if the function it calls is the one that the frame below is in, by the symbols.
 */
import type { Position } from '../log/position.ts';
import * as L from '../cpu/layout.ts';
import type { GuestSymbols } from './guest-symbols.ts';
import { readLinear, readRegister, translate } from './inspect.ts';
import { observed } from './observed.ts';
import { type Delivery, type Entrance, type Linear, type Slot, type StackSummary, cr3Of, delivered, deliveriesHere, entranceKey, fromLinear, pageOf, reachedOfPage, slotsOfPage, summarize, toLinear } from './shadow-stack.ts';
import type { GuestSymbol } from './symbols.ts';
import type { TimeTravel } from './time-travel.ts';

export interface Frame {
  /** Where this frame goes on: rip of the innermost, the address returned to of the others. */
  readonly rip: bigint;
  readonly function: GuestSymbol | undefined;
  /** What rsp will be when the frame has returned (DWARF's canonical frame address); of `top`, what it is there now. */
  readonly stackPointer: bigint;
  /** The last position in the caller: of the CALL, of the SYSCALL, of what the delivery interrupted; where it is known. */
  readonly calledAt: number | undefined;
  /** What made it; `top`: nothing is known before it. */
  readonly kind: 'call' | 'interrupt' | 'syscall' | 'top';
}

export interface CallStackOptions {
  readonly framesMax?: number;
  /** Instructions before the cursor that are replayed at most. Stretches in which the stack was not written are not counted. */
  readonly instructionsMax?: number;
}

/** An address in the code that a frame is in. What a call returns to may be the next line, or the next function if nothing comes after the call; what was interrupted goes on where it was. */
export function codeAddress(frames: readonly Pick<Frame, 'rip' | 'kind'>[], i: number): bigint {
  const { rip } = frames[i];
  return i > 0 && frames[i - 1].kind === 'call' ? rip - 1n : rip;
}

/** Frames of a call stack at most, unless told. */
export const FRAMES_MAX = 64;
/** About a second. */
export const INSTRUCTIONS_MAX = 32 << 20;

/** The last stretches before the cursor begin at multiples of these; the others at checkpoints. */
const GRAINS = [1 << 15, 1 << 20];
/** Summaries that are kept for each recording. */
const SUMMARIES_MAX = 64;
/** Of a stack, from rsp up. */
const STACK_PAGES_MAX = 2048;
/** Of a kernel stack. Linux has 16 KiB, and guard pages. */
const KERNEL_STACK_PAGES_MAX = 8;
/** Of a frame that was interrupted, so long a search for its end. */
const RETURN_SEARCH_MAX = 8 << 20;
const MODE_USER = 3;
const SEGMENT_LONG = 0x2000;
/** A user's stack is followed so far beyond its last known slot. */
const USER_QUIET_PAGES = 16;

/** Innermost first. Leaves the cursor where it was. Throws DivergedError. */
export function callStack(travel: TimeTravel, symbols: GuestSymbols, framesMax = FRAMES_MAX): readonly Frame[] {
  const steps = callStacking(travel, symbols, { framesMax });
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value as readonly Frame[];
  }
}

/** callStack() in slices, which yield a position up to which it has looked; given up (`return()`) it puts the cursor back. */
export function* callStacking(travel: TimeTravel, symbols: GuestSymbols, options: CallStackOptions = {}): Generator<Position, readonly Frame[], void> {
  return yield* travel.excursion((home) => new Unwinder(travel, symbols, options, home).run());
}

/** Where the instruction after a CALL may be: by the CALL's own bytes, its length and what it calls. */
export interface CallSite {
  readonly bytes: number;
  /** Undefined: the address is in a register or in memory. */
  readonly target: bigint | undefined;
}

/** The CALL that ends at an address, if the bytes before it are one (Intel SDM, volume 2, CALL). `code`: those that end there, 8 or so. */
export function callBefore(code: Uint8Array, address: bigint): CallSite | undefined {
  const n = code.length;
  const at = (i: number): number => code[n - i];
  if (n >= 5 && at(5) === 0xe8) {
    const displacement = new DataView(code.buffer, code.byteOffset + n - 4, 4).getInt32(0, true);
    return { bytes: 5, target: BigInt.asUintN(64, address + BigInt(displacement)) };
  }
  for (let bytes = 2; bytes <= Math.min(7, n); bytes++) {
    if (at(bytes) !== 0xff || ((at(bytes - 1) >> 3) & 7) !== 2) continue;
    const modrm = at(bytes - 1);
    const mod = modrm >> 6;
    const rm = modrm & 7;
    const hasSib = mod !== 3 && rm === 4;
    if (hasSib && bytes < 3) continue;
    const base = hasSib ? at(bytes - 2) & 7 : rm;
    const displacement = mod === 1 ? 1 : mod === 2 || (mod === 0 && base === 5) ? 4 : 0;
    if (2 + (hasSib ? 1 : 0) + displacement !== bytes) continue;
    const hasRex = n > bytes && (at(bytes + 1) & 0xf0) === 0x40;
    return { bytes: bytes + (hasRex ? 1 : 0), target: undefined };
  }
  return undefined;
}

interface ReturnAddress {
  readonly address: bigint;
  readonly site: CallSite;
}

interface Context {
  readonly rsp: Linear;
  readonly cpl: number;
  readonly cr3: number;
  /** Only slots that were written before this position count. */
  readonly before: number;
}

/** What made a frame, as it lies on the stack. */
interface Link {
  readonly kind: 'call' | 'interrupt' | 'syscall';
  /** Of the return address; of the RIP that a delivery pushed. */
  readonly slot: Linear;
  readonly position: number | undefined;
  /** Where it goes on, if that lies in registers. */
  readonly resumes?: { readonly rip: bigint; readonly rsp: bigint };
}

interface Nested {
  readonly slot: Linear;
  readonly position: number;
  /** It has returned if the interrupted instruction runs before this position. */
  readonly until: number;
}

interface Chain {
  readonly links: readonly Link[];
  /** So many of them, from the innermost, with nothing open between. */
  readonly solid: number;
  /** Physical page frames where slots may be that no stretch has told of; empty: everything is explained. */
  readonly open: ReadonlySet<number>;
  /** Deliveries that interrupted code of the same privilege. */
  readonly nested: readonly Nested[];
}

const summariesOf = new WeakMap<TimeTravel, Map<string, StackSummary>>();

class Unwinder {
  private readonly travel: TimeTravel;
  private readonly symbols: GuestSymbols;
  private readonly framesMax: number;
  private readonly instructionsMax: number;
  private readonly home: () => void;
  /** From the latest. */
  private readonly summaries: StackSummary[] = [];
  /** Deliveries that were looked at, and whether they have returned. */
  private readonly returned = new Map<string, boolean>();
  /** What was found out of the place, which does not change: page number to its place in RAM, or -1; slots that hold return addresses. */
  private readonly pages = new Map<number, number>();
  private readonly returnAddresses = new Map<Linear, ReturnAddress | undefined>();
  private readonly position: number;
  private readonly rip: bigint;
  private readonly start: Context;
  private readonly here: Delivery | undefined;
  private readonly wordBytes: 4 | 8;

  constructor(travel: TimeTravel, symbols: GuestSymbols, options: CallStackOptions, home: () => void) {
    this.travel = travel;
    this.symbols = symbols;
    this.framesMax = Math.max(1, options.framesMax ?? FRAMES_MAX);
    this.instructionsMax = options.instructionsMax ?? INSTRUCTIONS_MAX;
    this.home = home;
    const { machine } = travel;
    this.position = travel.position;
    this.rip = readRegister(machine, 'rip') ?? 0n;
    this.start = { rsp: toLinear(readRegister(machine, 'rsp') ?? 0n), cpl: machine.core.u32[L.CPL >>> 2], cr3: cr3Of(machine), before: this.position };
    this.wordBytes = (machine.core.u32[(L.SEGS + L.CS * L.SEG_SIZE + L.SEG_ATTR) >>> 2] & SEGMENT_LONG) === 0 ? 4 : 8;
    const events = [...delivered(travel.reader, travel.position, travel.position + 1)];
    this.here = travel.isBetween ? this.deliveryHere(events) : deliveriesHere(machine, events).find(({ isPast }) => isPast);
  }

  *run(): Generator<Position, readonly Frame[], void> {
    const { travel } = this;
    let spent = 0;
    let stretches = 0;
    for (let end = this.position; ; ) {
      const chain = this.chain(false);
      // The first instructions of a system call show on no stack.
      const isUnknown = end === this.position && this.start.cpl !== MODE_USER && end > 0;
      const isOver = (chain.open.size === 0 && !isUnknown) || (chain.solid >= this.framesMax && !isUnknown) || end === 0 || spent >= this.instructionsMax;
      if (isOver) {
        const nested = chain.nested.find(({ slot, position }) => !this.returned.has(`${slot} ${position}`));
        if (nested === undefined) return this.frames(chain.open.size === 0 ? chain : this.chain(true));
        this.returned.set(`${nested.slot} ${nested.position}`, this.hasReturned(nested));
        this.home();
        yield end as Position;
        continue;
      }
      const grain = GRAINS[stretches++];
      const begin = grain === undefined ? travel.checkpointBefore(end) : end - 1 - ((end - 1) % grain);
      const isUnwritten = !isUnknown && travel.unwrittenUntil(chain.open, begin - 1, end) >= end;
      if (!isUnwritten) {
        this.summaries.push(this.summary(begin, end));
        spent += end - begin;
        this.home();
      }
      end = begin;
      yield end as Position;
    }
  }

  private summary(begin: number, end: number): StackSummary {
    let known = summariesOf.get(this.travel);
    if (known === undefined) summariesOf.set(this.travel, (known = new Map<string, StackSummary>()));
    const key = `${begin} ${end}`;
    const found = known.get(key) ?? summarize(this.travel, begin, end);
    if (end === this.position) return found;
    known.delete(key);
    known.set(key, found);
    if (known.size > SUMMARIES_MAX) known.delete(known.keys().next().value!);
    return found;
  }

  // ---- the cursor is at its place ----

  private word(address: Linear, bytes = 8): bigint | undefined {
    const inPage = address - pageOf(address) * 4096;
    if (inPage % bytes === 0) {
      const { core } = this.travel.machine;
      const page = this.pageBase(pageOf(address));
      if (page === undefined) return undefined;
      const at = (L.RAM + page + inPage) >>> 2;
      return bytes === 8 ? (BigInt(core.u32[at + 1]) << 32n) | BigInt(core.u32[at]) : BigInt(core.u32[at]);
    }
    const found = readLinear(this.travel.machine, fromLinear(address), bytes);
    if (found.length < bytes) return undefined;
    const view = new DataView(found.buffer, found.byteOffset);
    return bytes === 8 ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true));
  }

  /** Where a linear page lies in RAM. */
  private pageBase(page: number): number | undefined {
    let base = this.pages.get(page);
    if (base === undefined) {
      const { machine } = this.travel;
      const paddr = translate(machine, fromLinear(page * 4096));
      base = paddr === undefined || paddr + 4096 > machine.core.ramBytes ? -1 : paddr;
      this.pages.set(page, base);
    }
    return base < 0 ? undefined : base;
  }

  /** The machine stands between a delivery and its handler: the log has it at this position. */
  private deliveryHere(events: Iterable<{ readonly hasError: boolean; readonly vector: number }>): Delivery | undefined {
    const { position } = this;
    const { rsp } = this.start;
    for (const { hasError, vector } of [...events].reverse()) {
      const frame = rsp + (hasError ? 8 : 0);
      const rip = this.word(frame);
      const cs = this.word(frame + 8);
      const saved = this.word(frame + 24);
      if (rip === undefined || cs === undefined || saved === undefined || cs > 0xffffn) continue;
      return { position, isPast: false, vector, rip, rsp: saved, cpl: Number(cs & 3n), frame: fromLinear(frame), handler: this.rip };
    }
    return undefined;
  }

  /** Does what was interrupted run again before `until`? */
  private hasReturned({ slot, position, until }: Nested): boolean {
    const { travel } = this;
    const { machine } = travel;
    const rip = this.word(slot) ?? 0n;
    const rsp = this.word(slot + 24) ?? 0n;
    if (until - position > RETURN_SEARCH_MAX) return false;
    let isBack = false;
    travel.seek(position);
    const start = (): boolean => {
      if (!isBack && machine.position() > position && readRegister(machine, 'rip') === rip && readRegister(machine, 'rsp') === rsp) isBack = true;
      return false;
    };
    observed(machine, { addresses: [rip] }, { start }, () => travel.replayOn(until));
    return isBack;
  }

  /** `guesses`: what no stretch tells of is taken from the stack as it is, as far as the symbols say that it fits. */
  private chain(guesses: boolean): Chain {
    const links: Link[] = [];
    const open = new Set<number>();
    const nested: Nested[] = [];
    const walked = new Set<Linear>();
    let solid: number | undefined;
    let context: Context | undefined = this.start;
    let until = this.position + 1;
    if (this.here !== undefined) {
      const { frame, rsp, cpl, position } = this.here;
      links.push({ kind: 'interrupt', slot: toLinear(frame), position });
      context = { rsp: toLinear(rsp), cpl, cr3: this.start.cr3, before: position + 1 };
      until = position;
    }
    const border = this.here === undefined ? this.border() : undefined;
    if (border !== undefined) {
      const { rip, rsp } = border;
      const entrance = this.summaries.find(({ entrances }) => entrances.has(entranceKey(rip, rsp)))?.entrances.get(entranceKey(rip, rsp));
      links.push({ kind: 'syscall', slot: toLinear(rsp), position: entrance?.position, resumes: border });
      context = { rsp: toLinear(rsp), cpl: MODE_USER, cr3: entrance?.cr3 ?? this.start.cr3, before: entrance === undefined ? this.position : entrance.position + 1 };
      const paddr = translate(this.travel.machine, rsp);
      if (entrance === undefined && paddr !== undefined) {
        open.add(paddr >>> 12);
        solid = 0;
      }
    }
    while (context !== undefined && links.length < this.framesMax && !walked.has(context.rsp)) {
      walked.add(context.rsp);
      const region = this.walk(context, links.length === 0 ? this.rip : this.resumes(links[links.length - 1]), guesses);
      if (region.open.length > 0) solid ??= links.length + region.known;
      for (const frame of region.open) open.add(frame);
      for (const link of region.links) {
        links.push(link);
        if (link.position !== undefined && link.kind === 'call') until = link.position;
      }
      const last = region.links.at(-1);
      if (last?.kind === 'interrupt' && last.position !== undefined && region.next?.cpl === context.cpl) nested.push({ slot: last.slot, position: last.position, until });
      if (last?.kind === 'interrupt' && last.position !== undefined) until = last.position;
      context = region.next;
    }
    return { links, solid: solid ?? links.length, open, nested };
  }

  /** The first and last instructions of a system call: the kernel has the user's stack pointer, and RCX the address to return to (SDM vol. 2, SYSCALL, SYSRET). */
  private border(): { readonly rip: bigint; readonly rsp: bigint } | undefined {
    const [latest] = this.summaries;
    if (latest?.end === this.position && latest.entering !== undefined && this.start.cpl !== MODE_USER) return latest.entering;
    if (this.start.cpl === MODE_USER || this.start.rsp < 0 || this.rip < 1n << 63n) return undefined;
    const rip = readRegister(this.travel.machine, 'rcx') ?? 0n;
    return rip < 1n << 47n ? { rip, rsp: fromLinear(this.start.rsp) } : undefined;
  }

  /** Where it goes on after a link. */
  private resumes({ kind, slot, resumes }: Link): bigint {
    if (resumes !== undefined) return resumes.rip;
    return this.word(slot, kind === 'call' ? this.wordBytes : 8) ?? 0n;
  }

  /** One stack, from rsp up. */
  private walk(context: Context, rip: bigint, guesses: boolean): { readonly links: readonly Link[]; readonly known: number; readonly open: readonly number[]; readonly next: Context | undefined } {
    const { rsp, cpl, cr3 } = context;
    const { machine } = this.travel;
    const { ramBytes } = machine.core;
    const accepted: (Link & { readonly link: Linear | undefined })[] = [];
    const isKernel = cpl !== MODE_USER;
    const taskTop = isKernel ? this.taskTop(rsp) : undefined;
    const pages: { readonly page: number; readonly frame: number }[] = [];
    let isGuarded = false;
    let next: Context | undefined;
    let userSlot: Slot | undefined;
    let isEnd = false;
    for (let page = pageOf(rsp); ; page++) {
      const paddr = translate(machine, fromLinear(page * 4096));
      if (paddr === undefined || paddr + 4096 > ramBytes) {
        isGuarded = true;
        break;
      }
      pages.push({ page, frame: paddr >>> 12 });
      if (pages.length >= (isKernel ? KERNEL_STACK_PAGES_MAX : STACK_PAGES_MAX) || (taskTop !== undefined && (page + 1) * 4096 >= taskTop)) break;
    }
    const quietPages = isKernel ? KERNEL_STACK_PAGES_MAX : USER_QUIET_PAGES;
    let walkedTo = rsp;
    for (const { page } of pages) {
      if (isEnd || page > pageOf(walkedTo) + quietPages) break;
      for (const slot of slotsOfPage(this.summaries, page, cr3)) {
        if (slot.address < rsp || slot.position >= context.before || isEnd || (taskTop !== undefined && slot.address >= taskTop)) continue;
        const isUser = slot.kind === 'delivery' && isKernel && this.isUserFrame(slot.address);
        if (slot.kind === 'call' ? !this.isIntact(slot) : !isUser && (!this.isFrame(slot.address, cpl) || this.returned.get(`${slot.address} ${slot.position}`) === true)) continue;
        // What is farther out was there before. Where it was not: the stack was left and used again, or this is another one.
        const isNewer = (): boolean => accepted.length > 0 && accepted[accepted.length - 1].position! < slot.position;
        if (isNewer() && !isGuarded) {
          isEnd = true;
          break;
        }
        while (isNewer()) accepted.pop();
        walkedTo = slot.address;
        if (slot.kind === 'call') accepted.push({ kind: 'call', slot: slot.address, position: slot.position, link: slot.link });
        else if (isUser) {
          // The place of user code's frame: whatever entered last has left it there, maybe a system call.
          userSlot = slot;
          isEnd = true;
          break;
        } else {
          accepted.push({ kind: 'interrupt', slot: slot.address, position: slot.position, link: undefined });
          next = this.interrupted(slot.address, slot.position + 1, cr3);
          isEnd = true;
          break;
        }
      }
    }
    const known = accepted.length;
    if (next !== undefined) return { links: accepted, known, open: [], next };

    const last = accepted.at(-1);
    const from = last === undefined ? rsp : last.slot + this.wordBytes;
    const entered = isKernel ? (userSlot?.address ?? this.userFrame(from, pages, taskTop)) : undefined;
    const stop = entered ?? Math.min(taskTop ?? Infinity, (pages.at(-1)?.page ?? 0) * 4096 + 4096, from + quietPages * 4096);
    const open = new Set<number>();
    const links: Link[] = [...accepted];
    if (last?.link === undefined) {
      let inner = last === undefined ? rip : this.resumes(last);
      for (const { page, frame } of pages) {
        if (page * 4096 + 4096 <= from || page * 4096 >= stop) continue;
        const reached = reachedOfPage(this.summaries, page, cr3);
        for (let offset = Math.max(0, from - page * 4096); offset < 4096 && page * 4096 + offset < stop; offset += this.wordBytes) {
          if (offset <= reached) continue;
          const returns = this.returnAddress(page * 4096 + offset, isKernel);
          if (returns === undefined) continue;
          open.add(frame);
          if (!guesses || !this.fits(returns, inner)) continue;
          links.push({ kind: 'call', slot: page * 4096 + offset, position: undefined });
          inner = returns.address;
        }
      }
    }
    if (entered !== undefined) {
      const user = this.interrupted(entered, context.before, cr3);
      const { entrance, key } = this.entranceOf(entered, userSlot);
      if (entrance === undefined) {
        const page = pages.find((one) => one.page === pageOf(entered));
        if (page !== undefined) open.add(page.frame);
      }
      const isSyscall = entrance === undefined ? this.isAfterSyscall(key.rip) : entrance.kind === 'syscall';
      links.push({ kind: isSyscall ? 'syscall' : 'interrupt', slot: entered, position: entrance?.position });
      return { links, known, open: [...open], next: user === undefined ? undefined : { ...user, cr3: entrance?.cr3 ?? cr3, before: entrance === undefined ? context.before : entrance.position + 1 } };
    }
    // The first call on a stack that was switched to without a trace, such as Linux's for interrupts: on with the stack before.
    if (last?.link !== undefined && (last.link < rsp || last.link >= stop)) return { links, known, open: [...open], next: { rsp: last.link, cpl, cr3, before: last.position! } };
    return { links, known, open: [...open], next: undefined };
  }

  /** The top of the stack that the CPU takes when it comes from user mode, if rsp is on it. */
  private taskTop(rsp: Linear): Linear | undefined {
    const top = this.word(toLinear(this.travel.machine.core.big(L.SEGS + L.TR * L.SEG_SIZE + L.SEG_BASE)) + 4);
    if (top === undefined) return undefined;
    const linear = toLinear(top);
    return rsp < linear && linear - rsp <= KERNEL_STACK_PAGES_MAX * 4096 ? linear : undefined;
  }

  /** What a CALL wrote is there still. */
  private isIntact({ address, siteLow }: Slot): boolean {
    const value = this.word(address, 4);
    if (value === undefined) return false;
    const bytes = (Number(value) - siteLow) >>> 0;
    return bytes >= 2 && bytes <= 15;
  }

  /** RIP, CS, RFLAGS, RSP and SS lie at `frame`. */
  private interrupted(frame: Linear, before: number, cr3: number): Context | undefined {
    const cs = this.word(frame + 8);
    const rsp = this.word(frame + 24);
    return cs === undefined || rsp === undefined ? undefined : { rsp: toLinear(rsp), cpl: Number(cs & 3n), cr3, before };
  }

  /** The frame of user code at the top of a kernel stack, which a delivery or the kernel's entry for system calls left there. */
  private userFrame(from: Linear, pages: readonly { readonly page: number }[], taskTop: Linear | undefined): Linear | undefined {
    const first = Math.ceil(from / 8) * 8;
    const stop = Math.min(taskTop ?? Infinity, (pages.at(-1)?.page ?? 0) * 4096 + 4096) - 40;
    let found: Linear | undefined;
    for (let at = first; at <= stop; at += 8) {
      if (!this.isUserFrame(at)) continue;
      found = at;
      if (taskTop !== undefined) continue;
      // Without a known top: the first, because what lies beyond may be another stack.
      break;
    }
    return found;
  }

  /** RIP, CS, RFLAGS, RSP and SS of code at this privilege may lie there. */
  private isFrame(at: Linear, cpl: number): boolean {
    const cs = this.word(at + 8);
    if (cs === undefined || cs === 0n || cs > 0xffffn || Number(cs & 3n) !== cpl) return false;
    const ss = this.word(at + 32);
    const flags = this.word(at + 16) ?? 0n;
    return ss !== undefined && ss <= 0xffffn && (cpl === 0 || Number(ss & 3n) === cpl) && (flags & 2n) !== 0n && flags < 1n << 22n;
  }

  private isUserFrame(at: Linear): boolean {
    const isLow = (value: bigint | undefined): boolean => value !== undefined && value >= 4096n && value < 1n << 47n;
    return this.isFrame(at, MODE_USER) && isLow(this.word(at)) && isLow(this.word(at + 24));
  }

  /** `slot`: the last delivery that left a frame there. */
  private entranceOf(frame: Linear, slot: Slot | undefined): { readonly entrance: Entrance | undefined; readonly key: { readonly rip: bigint } } {
    const rip = this.word(frame) ?? 0n;
    const key = entranceKey(rip, this.word(frame + 24) ?? 0n);
    const found = this.summaries.find(({ entrances }) => entrances.has(key))?.entrances.get(key);
    // A handler that lets the program go on elsewhere has changed the frame; only a system call may have built another one there since.
    const isItsFrame = slot !== undefined && !this.summaries.some(({ entrances }) => [...entrances.values()].some(({ kind, position }) => kind === 'syscall' && position > slot.position));
    return { entrance: found ?? (isItsFrame ? { kind: 'interrupt', position: slot.position, cr3: this.start.cr3 } : undefined), key: { rip } };
  }

  private isAfterSyscall(rip: bigint): boolean {
    const code = readLinear(this.travel.machine, rip - 2n, 2);
    return code.length === 2 && code[0] === 0x0f && (code[1] === 0x05 || code[1] === 0x34);
  }

  /** The word at an address, if it looks like one that a CALL pushed. */
  private returnAddress(slot: Linear, isKernel: boolean): ReturnAddress | undefined {
    // A slot is of a kernel's stack or of a program's.
    const key = isKernel ? slot + 0.5 : slot;
    if (!this.returnAddresses.has(key)) this.returnAddresses.set(key, this.findReturnAddress(slot, isKernel));
    return this.returnAddresses.get(key);
  }
  private findReturnAddress(slot: Linear, isKernel: boolean): ReturnAddress | undefined {
    const address = this.word(slot, this.wordBytes);
    if (address === undefined || address < 4096n) return undefined;
    const linear = toLinear(address);
    // Kernels have their code within 2 GiB, by the code model.
    if (isKernel ? Math.abs(linear - toLinear(this.rip)) > 2 ** 31 && linear < 0 === toLinear(this.rip) < 0 : linear < 0) return undefined;
    if (isKernel && linear >= 0 && this.start.rsp < 0) return undefined;
    const code = readLinear(this.travel.machine, BigInt.asUintN(64, address - 8n), 8);
    const site = code.length === 8 ? callBefore(code, address) : undefined;
    if (site === undefined) return undefined;
    const { table } = this.symbols;
    // What is no function of the symbols is no code of theirs.
    if (isKernel && table.symbols.length > 0 && table.at(address - 1n) === undefined) return undefined;
    if (isKernel && site.target !== undefined && table.symbols.length > 0 && table.at(site.target) === undefined) return undefined;
    return { address, site };
  }

  private fits({ site }: { readonly site: CallSite }, inner: bigint): boolean {
    const { table } = this.symbols;
    if (table.symbols.length === 0) return false;
    if (site.target === undefined) return true;
    const callee = table.at(site.target);
    return callee !== undefined && (callee === table.at(inner - 1n) || callee.name.startsWith('__x86_indirect_thunk'));
  }

  private frames({ links }: Chain): readonly Frame[] {
    const { table } = this.symbols;
    const frames: Frame[] = [];
    let { rip } = this;
    let isExact = true;
    let stackPointer = this.start.rsp;
    for (const link of links) {
      const { kind, slot, position } = link;
      stackPointer = link.resumes !== undefined ? toLinear(link.resumes.rsp) : kind === 'call' ? slot + this.wordBytes : toLinear(this.word(slot + 24) ?? 0n);
      frames.push({ rip, function: table.at(isExact ? rip : rip - 1n), stackPointer: fromLinear(stackPointer), calledAt: position, kind });
      rip = this.resumes(link);
      isExact = kind !== 'call';
    }
    frames.push({ rip, function: table.at(isExact ? rip : rip - 1n), stackPointer: fromLinear(stackPointer), calledAt: undefined, kind: 'top' });
    return frames.slice(0, this.framesMax);
  }
}

/**
 * What was called and has not returned, from the calls, returns and deliveries of a stretch that is replayed at full speed.
 *
 * Each page of stack has a list of its own, of the slots that hold return addresses. An event at a slot ends all that lies at it or below it in its page:
 *
 *     CALL      a new slot; what is below it was left behind (longjmp, a stack that is used again)
 *     RET       its slot is gone, whoever wrote it
 *     delivery  the frame that the CPU pushes is a slot, too; its handler's first CALL or RET in the interrupted code ends it
 *
 * Lists of two stacks do not mix, so a switch from one to the other need not be recognised. A stretch begins with empty lists; what a slot means that was
 * written before it is what an earlier stretch says, unless an event of a later one ended it (`reached`).
 */
import * as L from '../cpu/layout.ts';
import type { Position } from '../log/position.ts';
import type { LogReader } from '../log/reader.ts';
import type { Machine } from '../machine/machine.ts';
import { readLinear, readRegister } from './inspect.ts';
import { observed } from './observed.ts';
import type { TimeTravel } from './time-travel.ts';

/** A canonical linear address as a signed number: -2^47 to 2^47. */
export type Linear = number;

const TWO_32 = 4294967296;
const CR3_FRAME = 0x000f_ffff_ffff_f000n;
const SEGMENT_LONG = 0x2000;
const KIND_MASK_DELIVERY = -1;

/** The slots of one page, outermost (highest) first. */
interface PageSlots {
  readonly offsets: number[];
  readonly positions: number[];
  /** Low 32 bits of the CALL's address; KIND_MASK_DELIVERY for a delivery. */
  readonly sites: number[];
  /** The highest offset that an event of the stretch was at. */
  reached: number;
  /**
   * Of a slot that was the only one of its page when it was made: the stack pointer before, where that was in another page. Of kernel stacks only. What is called next
   * from there has it, too: Linux calls three functions, one after the other, on its stack for interrupts.
   */
  readonly links: Map<number, Linear>;
}

export interface Slot {
  readonly address: Linear;
  readonly position: number;
  readonly kind: 'call' | 'delivery';
  readonly siteLow: number;
  readonly link: Linear | undefined;
}

/** An entry into the kernel from user mode. */
export interface Entrance {
  readonly kind: 'interrupt' | 'syscall';
  readonly position: number;
  readonly cr3: number;
}

export interface StackSummary {
  readonly begin: number;
  readonly end: number;
  readonly kernel: ReadonlyMap<number, PageSlots>;
  /** By CR3 (page frame number). */
  readonly user: ReadonlyMap<number, ReadonlyMap<number, PageSlots>>;
  /** Last entrance by `rip:rsp` of the user code. */
  readonly entrances: ReadonlyMap<string, Entrance>;
  /** The system call that the stretch ends in the first instructions of, before any call: its frame is not built yet. */
  readonly entering: { readonly rip: bigint; readonly rsp: bigint } | undefined;
}

export function toLinear(value: bigint): Linear {
  return Number(BigInt.asIntN(64, value));
}
export function fromLinear(value: Linear): bigint {
  return BigInt.asUintN(64, BigInt(value));
}
/** Number of its page. */
export function pageOf(address: Linear): number {
  return Math.floor(address / 4096);
}
/** The number of the page frame that CR3 points to. */
export function cr3Of(machine: Machine): number {
  return Number((machine.core.big(L.CR3) & CR3_FRAME) >> 12n);
}
export function entranceKey(rip: bigint, rsp: bigint): string {
  return `${rip}:${rsp}`;
}

/**
 * A frame that a delivery pushed, in long mode; as the log and the machine tell. The state of a position is mostly that before its deliveries; but an interrupt
 * that waited (for STI, for IRET) is part of it, because nothing comes between the instruction that let it in and its delivery.
 */
export interface Delivery {
  /** The last position whose state is that of the code that is interrupted. */
  readonly position: number;
  /** It is part of the state of the position after. */
  readonly isPast: boolean;
  readonly vector: number;
  /** Of what was interrupted. */
  readonly rip: bigint;
  readonly rsp: bigint;
  readonly cpl: number;
  /** Where RIP lies; after it CS, RFLAGS, RSP and SS. */
  readonly frame: bigint;
  /** Where the handler begins. */
  readonly handler: bigint;
}

interface Delivered {
  readonly position: number;
  readonly vector: number;
  readonly hasError: boolean;
  readonly isInterrupt: boolean;
}

/** Exceptions and interrupts that the log says were delivered, from `from` (inclusive) to `to` (exclusive). */
export function* delivered(reader: LogReader, from: number, to: number): Generator<Delivered> {
  for (const event of reader.events({ kinds: ['exit', 'interrupt'], from: from as Position, to: to as Position })) {
    if (event.kind === 'interrupt' && event.phase === 'injected' && event.vector !== undefined) yield { position: event.position, vector: event.vector, hasError: false, isInterrupt: true };
    if (event.kind === 'exit' && event.detail.kind === 'exception') yield { position: event.position, vector: event.detail.vector, hasError: event.detail.errorCode !== undefined, isInterrupt: false };
  }
}

/** What the CPU does with the deliveries of a position, one after the other (SDM vol. 3A, 6.14). The machine stands there. Empty outside of long mode. */
export function deliveriesHere(machine: Machine, events: readonly Delivered[]): readonly Delivery[] {
  const { core } = machine;
  if ((core.u32[L.EFER >>> 2] & 0x400) === 0) return [];
  const out: Delivery[] = [];
  const word = (address: bigint): bigint => {
    const bytes = readLinear(machine, address, 8);
    return bytes.length < 8 ? 0n : new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  };
  let rip = readRegister(machine, 'rip') ?? 0n;
  let rsp = readRegister(machine, 'rsp') ?? 0n;
  let cpl = core.u32[L.CPL >>> 2];
  const idt = core.big(L.IDTR_BASE);
  const tss = core.big(L.SEGS + 7 * L.SEG_SIZE + L.SEG_BASE);
  const gate = (vector: number): { readonly handler: bigint; readonly ist: bigint } => {
    const low = word(idt + BigInt(vector * 16));
    const high = word(idt + BigInt(vector * 16 + 8));
    return { handler: (low & 0xffffn) | ((low >> 32n) & 0xffff0000n) | ((high & 0xffff_ffffn) << 32n), ist: (low >> 32n) & 7n };
  };
  // The machine is in a handler's first instruction already; its frame lies at rsp.
  const past = events.findLastIndex(({ vector, isInterrupt }) => isInterrupt && gate(vector).handler === rip);
  if (past >= 0) {
    const { position, vector } = events[past];
    out.push({ position: position - 1, isPast: true, vector, rip: word(rsp), rsp: word(rsp + 24n), cpl: Number(word(rsp + 8n) & 3n), frame: rsp, handler: rip });
  }
  for (const { position, vector, hasError } of events.slice(past + 1)) {
    const { handler, ist } = gate(vector);
    const top = ist !== 0n ? word(tss + 36n + (ist - 1n) * 8n) : cpl === 0 ? rsp : word(tss + 4n);
    const frame = BigInt.asUintN(64, (top & ~15n) - 40n);
    out.push({ position, isPast: false, vector, rip, rsp, cpl, frame, handler });
    rsp = hasError ? frame - 8n : frame;
    rip = handler;
    cpl = 0;
  }
  return out;
}

/** Folds the stretch from `begin` to `end` (exclusive), whose instructions are replayed. Moves the cursor to `end`. Throws DivergedError. */
export function summarize(travel: TimeTravel, begin: number, end: number): StackSummary {
  const { machine } = travel;
  const { core } = machine;
  const { u32, i32 } = core;
  const kernel = new Map<number, PageSlots>();
  const user = new Map<number, Map<number, PageSlots>>();
  const entrances = new Map<string, Entrance>();
  const RSP = L.REGS + 4 * 8;
  let lastRsp: Linear | undefined;
  /** The link of the slot that the last RET took; lastRsp is above it. */
  let lastLink: Linear | undefined;
  let entering: StackSummary['entering'];
  // The pages used last.
  let cached: PageSlots | undefined;
  let cachedPage = NaN;
  let cachedCr3 = -1;

  const slotsOf = (page: number): PageSlots => {
    const cr3 = page < 0 ? 0 : cr3Of(machine);
    if (cached !== undefined && page === cachedPage && cr3 === cachedCr3) return cached;
    let pages = kernel;
    if (page >= 0) {
      pages = user.get(cr3) ?? new Map<number, PageSlots>();
      user.set(cr3, pages);
    }
    cached = pages.get(page);
    if (cached === undefined) pages.set(page, (cached = { offsets: [], positions: [], sites: [], reached: -1, links: new Map() }));
    cachedPage = page;
    cachedCr3 = cr3;
    return cached;
  };
  const leave = (slots: PageSlots, offset: number): void => {
    const { offsets } = slots;
    entering = undefined;
    while (offsets.length > 0 && offsets[offsets.length - 1] <= offset) {
      slots.links.delete(offsets.pop()!);
      slots.positions.pop();
      slots.sites.pop();
    }
    if (offset > slots.reached) slots.reached = offset;
  };
  const enter = (slot: Linear, position: number, site: number): void => {
    const page = Math.floor(slot / 4096);
    const offset = slot - page * 4096;
    const slots = slotsOf(page);
    leave(slots, offset);
    if (slots.offsets.length === 0 && lastRsp !== undefined && page < 0 && lastRsp < 0) {
      if (Math.floor(lastRsp / 4096) !== page) slots.links.set(offset, lastRsp);
      else if (lastLink !== undefined && lastRsp === slot + 8) slots.links.set(offset, lastLink);
    }
    lastLink = undefined;
    slots.offsets.push(offset);
    slots.positions.push(position);
    slots.sites.push(site);
    lastRsp = slot;
  };

  travel.seek(begin);
  const entry = core.big(L.MSR_LSTAR);
  const entryLow = Number(entry & 0xffff_ffffn);
  const byPosition = new Map<number, Delivered[]>();
  for (const event of delivered(travel.reader, begin, end)) {
    const same = byPosition.get(event.position);
    if (same === undefined) byPosition.set(event.position, [event]);
    else same.push(event);
  }
  observed(machine, { addresses: entry === 0n ? [] : [entry], calls: true }, {
    start: (kinds) => {
      if ((kinds & L.OBSERVE_START) !== 0 && core.ripLow() === entryLow && u32[L.CPL >>> 2] === 0) {
        const rcx = core.big(L.REGS + 8);
        const position = core.position();
        // SYSCALL leaves the address after it in RCX.
        if (position > 0) {
          entering = { rip: rcx, rsp: core.big(RSP) };
          entrances.set(entranceKey(entering.rip, entering.rsp), { kind: 'syscall', position: position - 1, cr3: cr3Of(machine) });
        }
      }
      if ((kinds & (L.OBSERVE_CALL | L.OBSERVE_RETURN)) === 0) return false;
      const rsp = i32[(RSP + 4) >>> 2] * TWO_32 + u32[RSP >>> 2];
      if ((kinds & L.OBSERVE_CALL) !== 0) {
        const isLong = (u32[(L.SEGS + L.SEG_SIZE + L.SEG_ATTR) >>> 2] & SEGMENT_LONG) !== 0;
        enter(rsp - (isLong ? 8 : 4), core.position(), core.ripLow());
      } else {
        const page = Math.floor(rsp / 4096);
        const slots = slotsOf(page);
        lastLink = slots.links.get(rsp - page * 4096);
        leave(slots, rsp - page * 4096);
        lastRsp = rsp + 8;
      }
      return false;
    },
  }, () => {
    for (const [position, events] of byPosition) {
      travel.replayOn(position);
      for (const { position: at, rip, rsp, cpl, frame } of deliveriesHere(machine, events)) {
        if (cpl === 3) entrances.set(entranceKey(rip, rsp), { kind: 'interrupt', position: at, cr3: cr3Of(machine) });
        enter(toLinear(frame), at, KIND_MASK_DELIVERY);
      }
    }
    travel.replayOn(end);
  }); // prettier-ignore
  return { begin, end, kernel, user, entrances, entering };
}

/**
 * The slots of a page that stand at the end of the first of the summaries, ascending; they follow one another from the latest to the earliest. `user`: CR3 of the
 * address space; kernel pages are in all of them.
 */
export function slotsOfPage(summaries: readonly StackSummary[], page: number, user: number): readonly Slot[] {
  const found: Slot[] = [];
  let reached = -1;
  for (const summary of summaries) {
    const slots = (page < 0 ? summary.kernel : summary.user.get(user))?.get(page);
    if (slots === undefined) continue;
    for (let i = slots.offsets.length - 1; i >= 0; i--) {
      const offset = slots.offsets[i];
      if (offset <= reached) continue;
      found.push({ address: page * 4096 + offset, position: slots.positions[i], kind: slots.sites[i] === KIND_MASK_DELIVERY ? 'delivery' : 'call', siteLow: slots.sites[i], link: slots.links.get(offset) });
    }
    reached = Math.max(reached, slots.reached);
  }
  return found;
}

export function reachedOfPage(summaries: readonly StackSummary[], page: number, user: number): number {
  let reached = -1;
  for (const summary of summaries) reached = Math.max(reached, (page < 0 ? summary.kernel : summary.user.get(user))?.get(page)?.reached ?? -1);
  return reached;
}

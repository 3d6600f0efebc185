/**
 * Exceptions and interrupts: raising, and delivery through the IDT (SDM vol. 3A chapter 6).
 *
 *   helper ── raise() ──► host throws (WebAssembly frames unwind) ──► host calls fault() ──► deliver() ──► run() again
 *
 * A helper raises before it has changed any guest state. fault() finds the position and rip of the instruction from CURSOR
 * and BLOCK. Delivery may itself fault: it too changes registers only after its last memory access.
 */
import {
  REGS, REG_PAGE, RIP, FLAGS, ICOUNT, CURSOR, BLOCK, CPL, CR0, CR2, CR4, EFER, ISOLATE, EXC_VECTOR, EXC_ERROR, EXC_HAS_ERROR, EXC_ADDRESS,
  IDTR_BASE, IDTR_LIMIT, SEGS, SEG_SIZE, SEG_ATTR, SEG_BASE, SEG_LIMIT, SEG_SELECTOR, CS, SS, TR, MAILBOX, DR6, DR7, HALTED, INTR_SHADOW,
  REASON_EXCEPTION, EXIT_SHUTDOWN, EXIT_OBSERVED, DEBUG_PENDING, INTR, ES, DS, FS, GS
} from "../layout";
import { hostUnwind, hostExitEvent } from "./host";
import { systemLoad, stackStore } from "./memory";
import { setAlone } from "./blocks";
import { getFlags, IF, TF, NT, RF, VM, AC } from "./flags";
import { readDescriptor, descriptorLow, descriptorHigh, setSegment, setNullSegment, setCodeSegment, descriptorAttr, updateMode, countSystemCall, is64, longMode, markAccessed } from "./segments";

/** Not a vector: the instruction is to run again, alone. */
const RETRY: u32 = 0x100;
/** Nor this. */
const STOP: u32 = 0x101;
const NOTHING: i32 = -1;
const BENIGN: i32 = -2;

/** How an instruction that may be single-stepped ended: it loaded RF or is to go on (REP); no TF trap follows it (INT n, SYSCALL). */
export const END_KEEPS_RF: u32 = 1;
export const END_NO_TRAP: u32 = 2;
let ended: u32 = 0;
export function noteEnd(how: u32): void {
  ended = how;
}
export function takeEnd(): u32 {
  const how = ended;
  ended = 0;
  return how;
}

/** The vector that is being delivered, BENIGN for interrupts, NOTHING otherwise. */
let delivering: i32 = NOTHING;

export function raise(vector: u32): void {
  store<u32>(EXC_VECTOR, vector);
  store<u32>(EXC_HAS_ERROR, 0);
  store<u32>(EXC_ERROR, 0);
  hostUnwind();
}
export function raiseError(vector: u32, error: u32): void {
  store<u32>(EXC_VECTOR, vector);
  store<u32>(EXC_HAS_ERROR, 1);
  store<u32>(EXC_ERROR, error);
  hostUnwind();
}
/** Runs the current instruction again in a block of its own. */
export function retry(): void {
  store<u32>(EXC_VECTOR, RETRY);
  hostUnwind();
}

/** Leaves the run loop before the current instruction. */
export function stopHere(): void {
  store<u32>(EXC_VECTOR, STOP);
  hostUnwind();
}

/** Address of the instruction whose helper is running. */
export function currentRip(): u64 {
  return load<u64>(REGS + (REG_PAGE << 3)) + <u64>load<u16>(load<u32>(CURSOR), 16);
}

function contributory(vector: i32): bool {
  return vector == 0 || (vector >= 10 && vector <= 13);
}

/** Called by the host after an unwind. Returns 0, or the reason to leave the run loop. */
export function fault(): u32 {
  const block = load<u32>(BLOCK);
  const retrying = load<u32>(EXC_VECTOR) == RETRY;
  if (block) {
    const p = load<u32>(CURSOR);
    if (retrying) setAlone((load<u32>(block, 4) & 0xfffff000) + load<u16>(p, 16));
    store<u64>(RIP, currentRip());
    store<u64>(ICOUNT, load<u64>(ICOUNT) - <u64>load<u16>(block, 10) + <u64>load<u8>(p, 19));
    store<u32>(BLOCK, 0);
  }
  let vector = load<u32>(EXC_VECTOR);
  if (retrying) {
    store<u32>(ISOLATE, 1);
    return 0;
  }
  if (vector == STOP) return EXIT_OBSERVED;
  store<u32>(ISOLATE, 0);
  store<u32>(INTR_SHADOW, 0);
  if (vector != 1) store<u32>(DEBUG_PENDING, 0);
  let hasError = load<u32>(EXC_HAS_ERROR) != 0;
  let error = load<u32>(EXC_ERROR);
  if (vector == 14) store<u64>(CR2, load<u64>(EXC_ADDRESS));
  if (delivering != NOTHING) {
    const first = delivering;
    if (first == 8) {
      delivering = NOTHING;
      return EXIT_SHUTDOWN;
    }
    if ((contributory(first) && contributory(vector)) || (first == 14 && (vector == 14 || contributory(vector)))) {
      vector = 8;
      hasError = true;
      error = 0;
    } else if (hasError && vector != 14 && vector != 17) error |= 1;
  }
  store<u64>(MAILBOX, vector == 14 ? load<u64>(EXC_ADDRESS) : 0);
  store<u64>(MAILBOX + 8, <u64>error);
  hostExitEvent(REASON_EXCEPTION, vector | (hasError ? 0x100 : 0));
  delivering = vector;
  // Traps do not come this way: #DB here is general detect.
  deliver(vector, hasError, error, false, load<u64>(RIP), true);
  delivering = NOTHING;
  return 0;
}

/** Delivers an external interrupt at an instruction boundary. */
export function deliverInterrupt(vector: u32): void {
  delivering = BENIGN;
  store<u32>(HALTED, 0);
  deliver(vector, false, 0, false, load<u64>(RIP), false);
  delivering = NOTHING;
}

/** A trap (#DB after an instruction): RIP is already the next instruction. */
export function deliverTrap(vector: u32): void {
  store<u64>(MAILBOX, 0);
  store<u64>(MAILBOX + 8, 0);
  hostExitEvent(REASON_EXCEPTION, vector);
  store<u32>(HALTED, 0);
  store<u32>(INTR_SHADOW, 0);
  delivering = vector;
  deliver(vector, false, 0, false, load<u64>(RIP), false);
  delivering = NOTHING;
}

/** INT n, INT3, INTO, INT1: delivery faults are those of the instruction, whose state is still in CURSOR. */
export function softwareInterrupt(vector: u32, next: u64, checkDpl: bool): void {
  // INT1 is no software interrupt as far as EXT goes (SDM vol. 3A 6.13).
  if (!checkDpl) delivering = vector;
  deliver(vector, false, 0, checkDpl, next, false);
  delivering = NOTHING;
  // TF is clear now; the trap comes after the IRET.
  noteEnd(END_NO_TRAP);
}

/** True between the start and the end of a delivery; a reset clears it. */
export function resetDelivery(): void {
  delivering = NOTHING;
}

function external(): u32 {
  return delivering == NOTHING ? 0 : 1;
}

// @ts-ignore: decorator
@inline
function seg(s: u32): usize {
  return SEGS + s * SEG_SIZE;
}

function deliver(vector: u32, hasError: bool, error: u32, software: bool, returnRip: u64, setRf: bool): void {
  let image = getFlags();
  if (setRf) image |= RF;
  if (longMode()) deliverLong(vector, hasError, error, software, returnRip, image);
  else deliverProtected(vector, hasError, error, software, returnRip, image);
  // General detect ends with the entry into the handler (SDM vol. 3B 17.2.4).
  if (vector == 1) store<u64>(DR7, load<u64>(DR7) & ~<u64>0x2000);
}

function deliverLong(vector: u32, hasError: bool, error: u32, software: bool, returnRip: u64, image: u64): void {
  const code = vector * 8 + 2;
  if (vector * 16 + 15 > load<u32>(IDTR_LIMIT)) raiseError(13, code | external());
  const gate = load<u64>(IDTR_BASE) + <u64>(vector * 16);
  const low = systemLoad(gate, 8);
  const high = systemLoad(gate + 8, 8);
  const type = <u32>(low >> 40) & 0x1f;
  if (type != 14 && type != 15) raiseError(13, code | external());
  const cpl = load<u32>(CPL);
  if (software && (<u32>(low >> 45) & 3) < cpl) raiseError(13, code);
  if ((low >> 47 & 1) == 0) raiseError(11, code | external());
  const target = (low & 0xffff) | (low >> 32 & 0xffff0000) | (high << 32);
  const selector = <u32>(low >> 16) & 0xffff;
  if ((selector & 0xfffc) == 0) raiseError(13, external());
  readDescriptor(selector, 13, external());
  const dLow = descriptorLow, dHigh = descriptorHigh;
  const attr = descriptorAttr(dHigh);
  const dpl = attr >> 5 & 3;
  if ((attr & 0x18) != 0x18 || dpl > cpl) raiseError(13, (selector & 0xfffc) | external());
  if ((attr & 0x80) == 0) raiseError(11, (selector & 0xfffc) | external());
  if ((attr & 0x6000) != 0x2000) raiseError(13, (selector & 0xfffc) | external());
  const newCpl: u32 = attr & 4 ? cpl : dpl;
  const ist = <u32>(low >> 32) & 7;
  let rsp: u64;
  if (ist != 0) rsp = taskStack(36 + (ist - 1) * 8);
  else if (newCpl != cpl) rsp = taskStack(4 + newCpl * 8);
  else rsp = load<u64>(REGS + 32);
  if (<u64>((<i64>rsp << 16) >> 16) != rsp) raiseError(12, external());
  rsp &= ~<u64>15;
  const ssOld = <u64>load<u16>(seg(SS));
  const words: u32 = hasError ? 6 : 5;
  // From the top down, as the hardware writes; a fault here leaves every register as it was.
  stackStore(rsp - 8, 8, ssOld, newCpl);
  stackStore(rsp - 16, 8, load<u64>(REGS + 32), newCpl);
  stackStore(rsp - 24, 8, image, newCpl);
  stackStore(rsp - 32, 8, <u64>load<u16>(seg(CS)), newCpl);
  stackStore(rsp - 40, 8, returnRip, newCpl);
  if (hasError) stackStore(rsp - 48, 8, <u64>error, newCpl);
  if (<u64>((<i64>target << 16) >> 16) != target) raiseError(13, external());
  markAccessed(selector, dHigh);
  store<u64>(REGS + 32, rsp - (words << 3));
  if (newCpl != cpl) setNullSegment(SS, newCpl);
  if (software && vector >= 32) countSystemCall();
  store<u32>(CPL, newCpl);
  setCodeSegment((selector & 0xfffc) | newCpl, dLow, dHigh);
  let flags = load<u64>(FLAGS) & ~(TF | NT | RF | VM);
  if (type == 14) flags &= ~IF;
  store<u64>(FLAGS, flags);
  store<u64>(RIP, target);
  updateMode();
}

function taskStack(offset: u32): u64 {
  if (offset + 7 > load<u32>(seg(TR), SEG_LIMIT)) raiseError(10, (<u32>load<u16>(seg(TR)) & 0xfffc) | external());
  return systemLoad(load<u64>(seg(TR), SEG_BASE) + <u64>offset, 8);
}

/** 32-bit protected mode: interrupt and trap gates of 32 and 16 bits. Task gates are refused as #GP. */
function deliverProtected(vector: u32, hasError: bool, error: u32, software: bool, returnRip: u64, image: u64): void {
  const code = vector * 8 + 2;
  if (vector * 8 + 7 > load<u32>(IDTR_LIMIT)) raiseError(13, code | external());
  const gate = systemLoad(load<u64>(IDTR_BASE) + <u64>(vector * 8), 8);
  const type = <u32>(gate >> 40) & 0x1f;
  if (type != 14 && type != 15 && type != 6 && type != 7) raiseError(13, code | external());
  const cpl = load<u32>(CPL);
  if (software && (<u32>(gate >> 45) & 3) < cpl) raiseError(13, code);
  if ((gate >> 47 & 1) == 0) raiseError(11, code | external());
  const wide = type >= 14;
  let target = (gate & 0xffff) | (gate >> 32 & 0xffff0000);
  if (!wide) target &= 0xffff;
  const selector = <u32>(gate >> 16) & 0xffff;
  if ((selector & 0xfffc) == 0) raiseError(13, external());
  readDescriptor(selector, 13, external());
  const dLow = descriptorLow, dHigh = descriptorHigh;
  const attr = descriptorAttr(dHigh);
  const dpl = attr >> 5 & 3;
  if ((attr & 0x18) != 0x18 || dpl > cpl) raiseError(13, (selector & 0xfffc) | external());
  if ((attr & 0x80) == 0) raiseError(11, (selector & 0xfffc) | external());
  const newCpl: u32 = attr & 4 ? cpl : dpl;
  const step: u32 = wide ? 4 : 2;
  let esp = <u32>load<u64>(REGS + 32);
  let base = load<u64>(seg(SS), SEG_BASE);
  let big = (load<u32>(seg(SS), SEG_ATTR) & 0x4000) != 0;
  let ssNew: u32 = 0, ssLow: u32 = 0, ssHigh: u32 = 0;
  const inner = newCpl != cpl;
  if (inner) {
    const tss = load<u64>(seg(TR), SEG_BASE);
    const wideTss = (load<u32>(seg(TR), SEG_ATTR) & 8) != 0;
    const offset: u32 = wideTss ? 4 + newCpl * 8 : 2 + newCpl * 4;
    if (offset + (wideTss ? 5 : 3) > load<u32>(seg(TR), SEG_LIMIT)) raiseError(10, (<u32>load<u16>(seg(TR)) & 0xfffc) | external());
    if (wideTss) {
      esp = <u32>systemLoad(tss + offset, 4);
      ssNew = <u32>systemLoad(tss + offset + 4, 2);
    } else {
      esp = <u32>systemLoad(tss + offset, 2);
      ssNew = <u32>systemLoad(tss + offset + 2, 2);
    }
    if ((ssNew & 0xfffc) == 0) raiseError(10, external());
    readDescriptor(ssNew, 10, external());
    ssLow = descriptorLow;
    ssHigh = descriptorHigh;
    const ssAttr = descriptorAttr(ssHigh);
    if ((ssNew & 3) != newCpl || (ssAttr >> 5 & 3) != newCpl || (ssAttr & 0x1a) != 0x12) raiseError(10, (ssNew & 0xfffc) | external());
    if ((ssAttr & 0x80) == 0) raiseError(12, (ssNew & 0xfffc) | external());
    base = <u64>((ssLow >> 16) | (ssHigh << 16 & 0xff0000) | (ssHigh & 0xff000000));
    big = (ssAttr & 0x4000) != 0;
  }
  const mask: u32 = big ? 0xffffffff : 0xffff;
  let at = esp;
  if (inner) {
    at = (at - step) & mask; stackStore(base + at & 0xffffffff, step, <u64>load<u16>(seg(SS)), newCpl);
    at = (at - step) & mask; stackStore(base + at & 0xffffffff, step, load<u64>(REGS + 32), newCpl);
  }
  at = (at - step) & mask; stackStore(base + at & 0xffffffff, step, image, newCpl);
  at = (at - step) & mask; stackStore(base + at & 0xffffffff, step, <u64>load<u16>(seg(CS)), newCpl);
  at = (at - step) & mask; stackStore(base + at & 0xffffffff, step, returnRip, newCpl);
  if (hasError) { at = (at - step) & mask; stackStore(base + at & 0xffffffff, step, <u64>error, newCpl); }
  markAccessed(selector, dHigh);
  if (inner) {
    markAccessed(ssNew, ssHigh);
    setSegment(SS, ssNew, ssLow, ssHigh);
  }
  const full = load<u64>(REGS + 32);
  store<u64>(REGS + 32, big ? <u64>at : (full & ~<u64>0xffff) | <u64>at);
  if (software && vector >= 32) countSystemCall();
  store<u32>(CPL, newCpl);
  setCodeSegment((selector & 0xfffc) | newCpl, dLow, dHigh);
  let flags = load<u64>(FLAGS) & ~(TF | NT | RF | VM);
  if (type == 14 || type == 6) flags &= ~IF;
  store<u64>(FLAGS, flags);
  store<u64>(RIP, target);
  updateMode();
}

/**
 * Segment registers, descriptors and far transfers (SDM vol. 3A chapters 3, 5 and 7; vol. 2 for the instructions).
 */
import {
  REGS, RIP, FLAGS, ICOUNT, CURSOR, BLOCK, CPL, CR0, EFER, MODE, KERNEL_INSTRUCTIONS, KERNEL_SINCE, SYSTEM_CALLS, SEGS, SEG_SIZE, SEG_SELECTOR, SEG_ATTR, SEG_LIMIT, SEG_BASE, SEG_EFFECTIVE, ES, CS, SS, DS, FS, GS,
  LDTR, TR, DEBUG_PENDING, GDTR_BASE, GDTR_LIMIT, MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_FMASK, MSR_SYSENTER_CS, MSR_SYSENTER_EIP, MSR_SYSENTER_ESP
} from "../layout";
import { systemLoad, systemStore, stackStore, tlbSelect, ld16, ld32, ld64, st16, st32, st64, probeWrite } from "./memory";
import { raise, raiseError, noteEnd, END_NO_TRAP } from "./exceptions";
import { getFlags, setFlags, IF, TF, RF, VM, IOPL, AC, NT, VIF, VIP, ID, setArithmetic } from "./flags";

/** Decode mode bits, kept in MODE and in every block. */
export const MODE_64: u32 = 1;
export const MODE_32: u32 = 2;
export const MODE_USER: u32 = 4;
export const MODE_STACK32: u32 = 8;

/** The descriptor that readDescriptor() found. */
export let descriptorLow: u32 = 0;
export let descriptorHigh: u32 = 0;
let descriptorAddress: u64 = 0;

// @ts-ignore: decorator
@inline
function seg(s: u32): usize {
  return SEGS + s * SEG_SIZE;
}

// @ts-ignore: decorator
@inline
export function longMode(): bool {
  return (load<u64>(EFER) & 0x400) != 0;
}
/** 64-bit mode, as opposed to compatibility mode. */
// @ts-ignore: decorator
@inline
export function is64(): bool {
  return (load<u32>(MODE) & MODE_64) != 0;
}

/** Access rights in the VMX layout from a descriptor's second word. */
// @ts-ignore: decorator
@inline
export function descriptorAttr(high: u32): u32 {
  return (high >> 8) & 0xf0ff;
}
function descriptorBase(low: u32, high: u32): u64 {
  return <u64>((low >> 16) | (high << 16 & 0xff0000) | (high & 0xff000000));
}
function descriptorLimit(low: u32, high: u32): u32 {
  const raw = (low & 0xffff) | (high & 0xf0000);
  return high & 0x800000 ? (raw << 12) | 0xfff : raw;
}

/** Reads the descriptor of a selector from the GDT or LDT; outside the table it raises `vector` with the selector. */
export function readDescriptor(selector: u32, vector: u32, ext: u32): void {
  if (!tryDescriptor(selector)) raiseError(vector, (selector & 0xfffc) | ext);
}

function tryDescriptor(selector: u32): bool {
  let base: u64, limit: u32;
  if (selector & 4) {
    if (load<u32>(seg(LDTR), SEG_ATTR) & 0x10000) return false;
    base = load<u64>(seg(LDTR), SEG_BASE);
    limit = load<u32>(seg(LDTR), SEG_LIMIT);
  } else {
    base = load<u64>(GDTR_BASE);
    limit = load<u32>(GDTR_LIMIT);
  }
  const offset = selector & 0xfff8;
  if (offset + 7 > limit) return false;
  descriptorAddress = base + <u64>offset;
  const d = systemLoad(descriptorAddress, 8);
  descriptorLow = <u32>d;
  descriptorHigh = <u32>(d >> 32);
  return true;
}

/** Sets the accessed bit of a code or data descriptor. */
export function markAccessed(selector: u32, high: u32): void {
  if (high & 0x100) return;
  const base = selector & 4 ? load<u64>(seg(LDTR), SEG_BASE) : load<u64>(GDTR_BASE);
  systemStore(base + <u64>(selector & 0xfff8) + 5, 1, <u64>((high >> 8 & 0xff) | 1));
}

export function setSegment(s: u32, selector: u32, low: u32, high: u32): void {
  store<u16>(seg(s), selector);
  store<u32>(seg(s), descriptorAttr(high) | 1, SEG_ATTR);
  store<u32>(seg(s), descriptorLimit(low, high), SEG_LIMIT);
  store<u64>(seg(s), descriptorBase(low, high), SEG_BASE);
  updateBases();
}
export function setNullSegment(s: u32, selector: u32): void {
  store<u16>(seg(s), selector);
  store<u32>(seg(s), s == SS ? 0x10000 | (load<u32>(seg(s), SEG_ATTR) & 0x4000) | ((selector & 3) << 5) : 0x10000, SEG_ATTR);
  store<u32>(seg(s), 0, SEG_LIMIT);
  // A null selector in 64-bit mode leaves the base alone on AMD and clears it on Intel; Intel's rule is taken.
  store<u64>(seg(s), 0, SEG_BASE);
  updateBases();
}
export function setCodeSegment(selector: u32, low: u32, high: u32): void {
  setSegment(CS, selector, low, high);
}

export function updateBases(): void {
  const flat = longMode() && (load<u32>(seg(CS), SEG_ATTR) & 0x2000) != 0;
  for (let s: u32 = ES; s <= <u32>GS; s++) store<u64>(SEG_EFFECTIVE + (s << 3), flat && s < <u32>FS ? 0 : load<u64>(seg(s), SEG_BASE));
}

/** The instruction that changes the privilege counts to the one that it leads to. */
function countPrivilege(mode: u32): void {
  let retired = load<u64>(ICOUNT);
  const block = load<u32>(BLOCK);
  if (block != 0) retired += <u64>load<u8>(load<u32>(CURSOR), 19) - <u64>load<u16>(block, 10);
  if (mode & MODE_USER) store<u64>(KERNEL_INSTRUCTIONS, load<u64>(KERNEL_INSTRUCTIONS) + retired - load<u64>(KERNEL_SINCE));
  else store<u64>(KERNEL_SINCE, retired);
}

export function countSystemCall(): void {
  if (load<u32>(CPL) == 3) store<u64>(SYSTEM_CALLS, load<u64>(SYSTEM_CALLS) + 1);
}

/** Recomputes what follows from CS, SS, CPL and EFER. */
export function updateMode(): void {
  const attr = load<u32>(seg(CS), SEG_ATTR);
  let mode: u32 = 0;
  if (longMode() && (attr & 0x2000) != 0) mode = MODE_64;
  // rip is a linear address here: 32-bit code must have base 0, or run() says that it is not supported.
  else if ((attr & 0x4000) != 0 && load<u64>(seg(CS), SEG_BASE) == 0) mode = MODE_32;
  if (load<u32>(CPL) == 3) mode |= MODE_USER;
  if (load<u32>(seg(SS), SEG_ATTR) & 0x4000) mode |= MODE_STACK32;
  if ((load<u32>(MODE) ^ mode) & MODE_USER) countPrivilege(mode);
  store<u32>(MODE, mode);
  updateBases();
  tlbSelect();
}

/** MOV Sreg, POP Sreg, LDS etc. for all but CS. */
export function loadSegment(s: u32, selector: u32): void {
  const cpl = load<u32>(CPL);
  if ((selector & 0xfffc) == 0) {
    if (s == SS && (!is64() || cpl == 3 || (selector & 3) != cpl)) raiseError(13, 0);
    setNullSegment(s, selector);
    return;
  }
  readDescriptor(selector, 13, 0);
  const high = descriptorHigh, low = descriptorLow;
  const attr = descriptorAttr(high);
  const dpl = attr >> 5 & 3;
  const rpl = selector & 3;
  if (s == SS) {
    if (rpl != cpl || dpl != cpl || (attr & 0x1a) != 0x12) raiseError(13, selector & 0xfffc);
    if ((attr & 0x80) == 0) raiseError(12, selector & 0xfffc);
  } else {
    if ((attr & 0x10) == 0 || (attr & 0x0a) == 0x08) raiseError(13, selector & 0xfffc);
    const conforming = (attr & 0x0c) == 0x0c;
    if (!conforming && (rpl > dpl || cpl > dpl)) raiseError(13, selector & 0xfffc);
    if ((attr & 0x80) == 0) raiseError(11, selector & 0xfffc);
  }
  markAccessed(selector, high);
  setSegment(s, selector, low, high);
  if (s == SS) updateMode();
}

export function lldt(selector: u32): void {
  if ((selector & 0xfffc) == 0) {
    store<u16>(seg(LDTR), selector);
    store<u32>(seg(LDTR), 0x10000, SEG_ATTR);
    return;
  }
  if (selector & 4) raiseError(13, selector & 0xfffc);
  readDescriptor(selector, 13, 0);
  const high = descriptorHigh, low = descriptorLow;
  const attr = descriptorAttr(high);
  if ((attr & 0x1f) != 2) raiseError(13, selector & 0xfffc);
  if ((attr & 0x80) == 0) raiseError(11, selector & 0xfffc);
  checkSystemSegment(selector, low, high);
  setSystemSegment(LDTR, selector, low, high);
}
export function ltr(selector: u32): void {
  if ((selector & 0xfffc) == 0) raiseError(13, 0);
  if (selector & 4) raiseError(13, selector & 0xfffc);
  readDescriptor(selector, 13, 0);
  const high = descriptorHigh, low = descriptorLow;
  const attr = descriptorAttr(high);
  if ((attr & 0x1f) != 9 && ((attr & 0x1f) != 1 || longMode())) raiseError(13, selector & 0xfffc);
  if ((attr & 0x80) == 0) raiseError(11, selector & 0xfffc);
  checkSystemSegment(selector, low, high);
  setSystemSegment(TR, selector, low, high);
  const busy = (high >> 8 & 0xff) | 2;
  systemStore(load<u64>(GDTR_BASE) + <u64>(selector & 0xfff8) + 5, 1, <u64>busy);
  store<u32>(seg(TR), load<u32>(seg(TR), SEG_ATTR) | 2, SEG_ATTR);
}
/** The second half of a 16-byte system descriptor: inside the table, type 0, and the base canonical (SDM vol. 3A 7.2.3). */
function checkSystemSegment(selector: u32, low: u32, high: u32): void {
  if (!longMode()) return;
  if ((selector & 0xfff8) + 15 > load<u32>(GDTR_LIMIT)) raiseError(13, selector & 0xfffc);
  const second = systemLoad(load<u64>(GDTR_BASE) + <u64>(selector & 0xfff8) + 8, 8);
  const base = descriptorBase(low, high) | second << 32;
  if ((second >> 32 & 0x1f00) != 0 || <u64>((<i64>base << 16) >> 16) != base) raiseError(13, selector & 0xfffc);
}
function setSystemSegment(s: u32, selector: u32, low: u32, high: u32): void {
  let base = descriptorBase(low, high);
  if (longMode()) base |= systemLoad(load<u64>(GDTR_BASE) + <u64>(selector & 0xfff8) + 8, 4) << 32;
  store<u16>(seg(s), selector);
  store<u32>(seg(s), descriptorAttr(high), SEG_ATTR);
  store<u32>(seg(s), descriptorLimit(low, high), SEG_LIMIT);
  store<u64>(seg(s), base, SEG_BASE);
}

/** LAR (kind 0), LSL (1), VERR (2), VERW (3): returns true and the value in `inspected` when the selector is visible. */
export let inspected: u32 = 0;
export function inspectSelector(selector: u32, kind: u32): bool {
  if ((selector & 0xfffc) == 0 || !tryDescriptor(selector)) return false;
  const attr = descriptorAttr(descriptorHigh);
  const dpl = attr >> 5 & 3;
  const code = (attr & 0x18) == 0x18;
  const visible = (code && (attr & 4) != 0) || (dpl >= load<u32>(CPL) && dpl >= (selector & 3));
  if (!visible) return false;
  if (kind >= 2) {
    if ((attr & 0x10) == 0) return false;
    return kind == 2 ? (attr & 0x0a) != 8 : (attr & 0x0a) == 2;
  }
  if ((attr & 0x10) == 0) {
    const type = attr & 15;
    let valid = type == 2 || type == 9 || type == 11;
    if (!longMode()) valid = valid || type == 1 || type == 3;
    if (kind == 0) {
      valid = valid || type == 12;
      if (!longMode()) valid = valid || type == 4 || type == 5;
    }
    if (!valid) return false;
  }
  inspected = kind == 0 ? descriptorHigh & 0x00ffff00 : descriptorLimit(descriptorLow, descriptorHigh);
  return true;
}

// ---- stack access with the width of the current stack ----

// @ts-ignore: decorator
@inline
function rsp(): u64 {
  return load<u64>(REGS + 32);
}
/** Linear address of stack offset `at`. */
export function stackLinear(at: u64): u64 {
  if (is64()) return at;
  const attr = load<u32>(seg(SS), SEG_ATTR);
  return (load<u64>(seg(SS), SEG_BASE) + (attr & 0x4000 ? at & 0xffffffff : at & 0xffff)) & 0xffffffff;
}
export function setStackPointer(at: u64): void {
  if (is64()) store<u64>(REGS + 32, at);
  else if (load<u32>(seg(SS), SEG_ATTR) & 0x4000) store<u64>(REGS + 32, at & 0xffffffff);
  else store<u16>(REGS + 32, <u16>at);
}
/** #SS(0) for what lies outside the stack segment, or is not canonical. */
function checkStack(at: u64, size: u32): void {
  if (is64()) {
    const end = at + size - 1;
    if (<u64>((<i64>at << 16) >> 16) != at || <u64>((<i64>end << 16) >> 16) != end) raiseError(12, 0);
    return;
  }
  const attr = load<u32>(seg(SS), SEG_ATTR);
  const limit = load<u32>(seg(SS), SEG_LIMIT);
  if (limit == 0xffffffff && (attr & 4) == 0) return;
  const top: u32 = attr & 0x4000 ? 0xffffffff : 0xffff;
  const first = <u32>at & top;
  const last = <u64>first + size - 1;
  if (attr & 4 ? first <= limit || last > <u64>top : last > <u64>limit) raiseError(12, 0);
}
export function stackRead(at: u64, size: u32): u64 {
  checkStack(at, size);
  const linear = stackLinear(at);
  if (size == 8) return ld64(linear);
  if (size == 4) return <u64>ld32(linear);
  return <u64>ld16(linear);
}
export function stackWrite(at: u64, size: u32, value: u64): void {
  checkStack(at, size);
  const linear = stackLinear(at);
  if (size == 8) st64(linear, value);
  else if (size == 4) st32(linear, <u32>value);
  else st16(linear, <u32>value);
}

// ---- far control transfers ----

/** Non-canonical or beyond the limit: #GP(0). */
function checkTarget(rip: u64, high: u32, low: u32): void {
  if (longMode() && (high & 0x200000) != 0) {
    if (<u64>((<i64>rip << 16) >> 16) != rip) raiseError(13, 0);
  } else if (<u64>descriptorLimit(low, high) < (rip & 0xffffffff)) raiseError(13, 0);
}

/** JMP and CALL to selector:offset; size is the operand size in bytes. `next` is where a CALL returns. Sets RIP. */
export function farTransfer(selector: u32, offset: u64, size: u32, call: bool, next: u64): void {
  if ((selector & 0xfffc) == 0) raiseError(13, 0);
  readDescriptor(selector, 13, 0);
  let high = descriptorHigh, low = descriptorLow;
  let attr = descriptorAttr(high);
  const cpl = load<u32>(CPL);
  let dpl = attr >> 5 & 3;
  if ((attr & 0x10) == 0) {
    const type = attr & 15;
    if (type != 12 && (type != 4 || longMode())) raiseError(13, selector & 0xfffc);
    callGate(selector, low, high, call, next);
    return;
  }
  if ((attr & 8) == 0) raiseError(13, selector & 0xfffc);
  if (longMode() && (attr & 0x6000) == 0x6000) raiseError(13, selector & 0xfffc);
  if (attr & 4) { if (dpl > cpl) raiseError(13, selector & 0xfffc); }
  else if ((selector & 3) > cpl || dpl != cpl) raiseError(13, selector & 0xfffc);
  if ((attr & 0x80) == 0) raiseError(11, selector & 0xfffc);
  let target = offset;
  if (size == 4) target &= 0xffffffff;
  else if (size == 2) target &= 0xffff;
  checkTarget(target, high, low);
  if (call) {
    const at = rsp();
    // Both words are probed by the first being the lower one.
    stackWrite(at - 2 * size, size, next);
    stackWrite(at - size, size, <u64>load<u16>(seg(CS)));
    markAccessed(selector, high);
    setStackPointer(at - 2 * size);
  } else markAccessed(selector, high);
  setCodeSegment((selector & 0xfffc) | cpl, low, high);
  store<u64>(RIP, target);
  updateMode();
}

/** Call gates: 64-bit in long mode, 32- and 16-bit otherwise (SDM vol. 3A 5.8.3, 5.8.3.1). */
function callGate(gateSelector: u32, gateLow: u32, gateHigh: u32, call: bool, next: u64): void {
  const gateAttr = descriptorAttr(gateHigh);
  const gateDpl = gateAttr >> 5 & 3;
  const cpl = load<u32>(CPL);
  if (gateDpl < cpl || gateDpl < (gateSelector & 3)) raiseError(13, gateSelector & 0xfffc);
  if ((gateAttr & 0x80) == 0) raiseError(11, gateSelector & 0xfffc);
  const long = longMode();
  const wide = (gateAttr & 15) == 12;
  let target = <u64>((gateLow & 0xffff) | (wide ? gateHigh & 0xffff0000 : 0));
  if (long) {
    const tableLimit = gateSelector & 4 ? load<u32>(seg(LDTR), SEG_LIMIT) : load<u32>(GDTR_LIMIT);
    if ((gateSelector & 0xfff8) + 15 > tableLimit) raiseError(13, gateSelector & 0xfffc);
    const second = systemLoad(descriptorAddress + 8, 8);
    if ((second >> 32 & 0x1f00) != 0) raiseError(13, gateSelector & 0xfffc);
    target |= second << 32;
  }
  const selector = gateLow >> 16;
  if ((selector & 0xfffc) == 0) raiseError(13, 0);
  readDescriptor(selector, 13, 0);
  const high = descriptorHigh, low = descriptorLow;
  const attr = descriptorAttr(high);
  const dpl = attr >> 5 & 3;
  if ((attr & 0x18) != 0x18 || dpl > cpl) raiseError(13, selector & 0xfffc);
  if (long && (attr & 0x6000) != 0x2000) raiseError(13, selector & 0xfffc);
  if ((attr & 0x80) == 0) raiseError(11, selector & 0xfffc);
  const conforming = (attr & 4) != 0;
  const size: u32 = long ? 8 : wide ? 4 : 2;
  checkTarget(target, high, low);
  if (!call) {
    if (!conforming && dpl != cpl) raiseError(13, selector & 0xfffc);
    markAccessed(selector, high);
    setCodeSegment((selector & 0xfffc) | cpl, low, high);
  } else if (conforming || dpl == cpl) {
    const at = rsp();
    stackWrite(at - 2 * size, size, next);
    stackWrite(at - size, size, <u64>load<u16>(seg(CS)));
    markAccessed(selector, high);
    setStackPointer(at - 2 * size);
    setCodeSegment((selector & 0xfffc) | cpl, low, high);
  } else {
    const tss = load<u64>(seg(TR), SEG_BASE);
    const oldSp = rsp();
    const oldSs = <u64>load<u16>(seg(SS));
    const last: u32 = 4 + dpl * 8 + (long ? 7 : 5);
    if (last > load<u32>(seg(TR), SEG_LIMIT)) raiseError(10, <u32>load<u16>(seg(TR)) & 0xfffc);
    if (long) {
      const at = systemLoad(tss + 4 + dpl * 8, 8);
      stackStore(at - 8, 8, oldSs, dpl);
      stackStore(at - 16, 8, oldSp, dpl);
      stackStore(at - 24, 8, <u64>load<u16>(seg(CS)), dpl);
      stackStore(at - 32, 8, next, dpl);
      markAccessed(selector, high);
      setNullSegment(SS, dpl);
      store<u32>(CPL, dpl);
      store<u64>(REGS + 32, at - 32);
    } else {
      let at = systemLoad(tss + 4 + dpl * 8, 4);
      const ssNew = <u32>systemLoad(tss + 8 + dpl * 8, 2);
      if ((ssNew & 0xfffc) == 0) raiseError(10, 0);
      readDescriptor(ssNew, 10, 0);
      const ssLow = descriptorLow, ssHigh = descriptorHigh;
      const ssAttr = descriptorAttr(ssHigh);
      if ((ssNew & 3) != dpl || (ssAttr >> 5 & 3) != dpl || (ssAttr & 0x1a) != 0x12) raiseError(10, ssNew & 0xfffc);
      if ((ssAttr & 0x80) == 0) raiseError(12, ssNew & 0xfffc);
      const base = descriptorBase(ssLow, ssHigh);
      at -= size; systemStore((base + at) & 0xffffffff, size, oldSs);
      at -= size; systemStore((base + at) & 0xffffffff, size, oldSp);
      const parameters = gateHigh & 31;
      for (let i = parameters; i > 0; i--) {
        const value = systemLoad(stackLinear(oldSp + (i - 1) * size), size);
        at -= size; systemStore((base + at) & 0xffffffff, size, value);
      }
      at -= size; systemStore((base + at) & 0xffffffff, size, <u64>load<u16>(seg(CS)));
      at -= size; systemStore((base + at) & 0xffffffff, size, next);
      markAccessed(selector, high);
      markAccessed(ssNew, ssHigh);
      setSegment(SS, ssNew, ssLow, ssHigh);
      store<u32>(CPL, dpl);
      store<u64>(REGS + 32, at & 0xffffffff);
    }
    setCodeSegment((selector & 0xfffc) | dpl, low, high);
  }
  store<u64>(RIP, target);
  updateMode();
}

/** Data segments that an outer level may not see are emptied on the way out (SDM vol. 2 RET, IRET). */
function hideSegments(cpl: u32): void {
  for (let s: u32 = ES; s <= <u32>GS; s++) {
    if (s == CS || s == SS) continue;
    const attr = load<u32>(seg(s), SEG_ATTR);
    const conforming = (attr & 0x1c) == 0x1c;
    if ((attr & 0x10000) == 0 && !conforming && (attr >> 5 & 3) < cpl) setNullSegment(s, 0);
  }
}

/** The part that far RET and IRET share: checks CS and, for an outer level or 64-bit IRET, SS; then commits. */
function returnTo(selector: u32, target: u64, withStack: bool, ssSelector: u32, newSp: u64, sameSp: u64): void {
  if ((selector & 0xfffc) == 0) raiseError(13, 0);
  readDescriptor(selector, 13, 0);
  const high = descriptorHigh, low = descriptorLow;
  const attr = descriptorAttr(high);
  const dpl = attr >> 5 & 3;
  const rpl = selector & 3;
  const cpl = load<u32>(CPL);
  if ((attr & 0x18) != 0x18 || rpl < cpl) raiseError(13, selector & 0xfffc);
  if (attr & 4 ? dpl > rpl : dpl != rpl) raiseError(13, selector & 0xfffc);
  if (longMode() && (attr & 0x6000) == 0x6000) raiseError(13, selector & 0xfffc);
  if ((attr & 0x80) == 0) raiseError(11, selector & 0xfffc);
  checkTarget(target, high, low);
  const to64 = longMode() && (attr & 0x2000) != 0;
  if (withStack) {
    if ((ssSelector & 0xfffc) == 0) {
      if (!to64 || rpl == 3 || (ssSelector & 3) != rpl) raiseError(13, 0);
      markAccessed(selector, high);
      setNullSegment(SS, ssSelector);
    } else {
      readDescriptor(ssSelector, 13, 0);
      const ssHigh = descriptorHigh, ssLow = descriptorLow;
      const ssAttr = descriptorAttr(ssHigh);
      if ((ssSelector & 3) != rpl || (ssAttr >> 5 & 3) != rpl || (ssAttr & 0x1a) != 0x12) raiseError(13, ssSelector & 0xfffc);
      if ((ssAttr & 0x80) == 0) raiseError(12, ssSelector & 0xfffc);
      markAccessed(selector, high);
      markAccessed(ssSelector, ssHigh);
      setSegment(SS, ssSelector, ssLow, ssHigh);
    }
  } else markAccessed(selector, high);
  setCodeSegment(selector, low, high);
  store<u32>(CPL, rpl);
  updateMode();
  if (withStack) setStackPointer(newSp);
  else setStackPointer(sameSp);
  if (rpl > cpl) hideSegments(rpl);
  store<u64>(RIP, to64 ? target : target & 0xffffffff);
}

/** RETF and RETF imm16. */
export function farReturn(size: u32, extra: u32): void {
  const at = rsp();
  const mask: u64 = size == 8 ? 0xffffffffffffffff : size == 4 ? 0xffffffff : 0xffff;
  const target = stackRead(at, size) & mask;
  const selector = <u32>stackRead(at + size, size) & 0xffff;
  if ((selector & 3) > load<u32>(CPL)) {
    const outer = at + 2 * size + extra;
    const newSp = stackRead(outer, size);
    const ss = <u32>stackRead(outer + size, size) & 0xffff;
    returnTo(selector, target, true, ss, newSp + extra, 0);
  } else returnTo(selector, target, false, 0, 0, at + 2 * size + extra);
}

/** Flags that IRET may change at the privilege it started from (SDM vol. 2 IRET). */
function flagsAfterReturn(image: u64, cpl: u32, size: u32): void {
  let keep: u64 = VM | VIF | VIP;
  if (cpl != 0) keep |= IOPL;
  if (cpl > (<u32>(load<u64>(FLAGS) >> 12) & 3)) keep |= IF;
  if (size == 2) keep |= 0xffff0000;
  if (cpl == 0) keep &= ~(VIF | VIP);
  setFlags((image & ~keep) | (load<u64>(FLAGS) & keep));
}

/** IRET, IRETD, IRETQ. Sets RIP. */
export function interruptReturn(size: u32): void {
  const cpl = load<u32>(CPL);
  const at = rsp();
  if ((load<u64>(FLAGS) & NT) != 0) raiseError(longMode() ? 13 : 10, 0);
  const mask: u64 = size == 8 ? 0xffffffffffffffff : size == 4 ? 0xffffffff : 0xffff;
  const target = stackRead(at, size) & mask;
  const selector = <u32>stackRead(at + size, size) & 0xffff;
  const image = stackRead(at + 2 * size, size);
  if (!longMode() && size == 4 && (image & VM) != 0 && cpl == 0) raiseError(13, 0);
  if (is64() || (selector & 3) > cpl) {
    const newSp = stackRead(at + 3 * size, size);
    const ss = <u32>stackRead(at + 4 * size, size) & 0xffff;
    returnTo(selector, target, true, ss, newSp, 0);
  } else returnTo(selector, target, false, 0, 0, at + 3 * size);
  flagsAfterReturn(image, cpl, size);
  tlbSelect();
}

// ---- fast system calls ----

function fixedSegment(s: u32, selector: u32, attr: u32): void {
  store<u16>(seg(s), selector);
  store<u32>(seg(s), attr, SEG_ATTR);
  store<u32>(seg(s), 0xffffffff, SEG_LIMIT);
  store<u64>(seg(s), 0, SEG_BASE);
}

/** After SYSCALL and SYSRET the TF that they loaded decides about the trap: a kernel that masks TF is not stepped into. */
function trapByNewFlags(): void {
  noteEnd(END_NO_TRAP);
  if (load<u64>(FLAGS) & TF) store<u32>(DEBUG_PENDING, load<u32>(DEBUG_PENDING) | 0x4000);
}

/** SYSCALL (SDM vol. 2; in compatibility mode the AMD rule with CSTAR). */
export function syscall(next: u64): void {
  if ((load<u64>(EFER) & 1) == 0 || !longMode()) raise(6);
  const star = load<u64>(MSR_STAR);
  store<u64>(REGS + 8, next);
  store<u64>(REGS + 88, getFlags() & ~RF);
  const target = is64() ? load<u64>(MSR_LSTAR) : load<u64>(MSR_CSTAR);
  const selector = <u32>(star >> 32) & 0xfffc;
  fixedSegment(CS, selector, 0xa09b);
  fixedSegment(SS, selector + 8, 0xc093);
  countSystemCall();
  store<u32>(CPL, 0);
  setFlags(load<u64>(REGS + 88) & ~load<u64>(MSR_FMASK) & ~RF);
  store<u64>(RIP, target);
  updateMode();
  trapByNewFlags();
}

/** SYSRET; size 8 returns to 64-bit code, 4 to compatibility mode. */
export function sysret(size: u32): void {
  if ((load<u64>(EFER) & 1) == 0 || !longMode()) raise(6);
  if (load<u32>(CPL) != 0) raiseError(13, 0);
  const star = load<u64>(MSR_STAR);
  const target = load<u64>(REGS + 8);
  if (size == 8) {
    if (<u64>((<i64>target << 16) >> 16) != target) raiseError(13, 0);
    fixedSegment(CS, (<u32>(star >> 48) + 16) | 3, 0xa0fb);
  } else fixedSegment(CS, <u32>(star >> 48) | 3, 0xc0fb);
  fixedSegment(SS, (<u32>(star >> 48) + 8) | 3, 0xc0f3);
  store<u32>(CPL, 3);
  setFlags((load<u64>(REGS + 88) & 0x3c7fd7) | 2);
  store<u64>(RIP, size == 8 ? target : target & 0xffffffff);
  updateMode();
  trapByNewFlags();
}

export function sysenter(): void {
  const cs = <u32>load<u64>(MSR_SYSENTER_CS) & 0xfffc;
  if (cs == 0) raiseError(13, 0);
  store<u64>(FLAGS, load<u64>(FLAGS) & ~(VM | IF));
  const long = longMode();
  store<u64>(REGS + 32, long ? load<u64>(MSR_SYSENTER_ESP) : load<u64>(MSR_SYSENTER_ESP) & 0xffffffff);
  fixedSegment(CS, cs, long ? 0xa09b : 0xc09b);
  fixedSegment(SS, cs + 8, 0xc093);
  countSystemCall();
  store<u32>(CPL, 0);
  store<u64>(RIP, long ? load<u64>(MSR_SYSENTER_EIP) : load<u64>(MSR_SYSENTER_EIP) & 0xffffffff);
  updateMode();
}

export function sysexit(size: u32): void {
  const cs = <u32>load<u64>(MSR_SYSENTER_CS) & 0xfffc;
  if (cs == 0 || load<u32>(CPL) != 0) raiseError(13, 0);
  const target = load<u64>(REGS + 16);
  const stack = load<u64>(REGS + 8);
  if (size == 8) {
    if (<u64>((<i64>target << 16) >> 16) != target || <u64>((<i64>stack << 16) >> 16) != stack) raiseError(13, 0);
    fixedSegment(CS, (cs + 32) | 3, 0xa0fb);
    fixedSegment(SS, (cs + 40) | 3, 0xc0f3);
  } else {
    fixedSegment(CS, (cs + 16) | 3, 0xc0fb);
    fixedSegment(SS, (cs + 24) | 3, 0xc0f3);
  }
  store<u64>(REGS + 32, size == 8 ? stack : stack & 0xffffffff);
  store<u32>(CPL, 3);
  store<u64>(RIP, size == 8 ? target : target & 0xffffffff);
  updateMode();
}

/**
 * String instructions, alone and under REP. One rule for counting in every tier: each iteration retires one instruction (a REP
 * with a count of zero retires one as well), and between iterations the machine may stop or take an interrupt.
 */
import {
  REGS, RIP, ICOUNT, LIMIT, STOP_AT, FLAGS, FLAG_RESULT, FLAG_AUX, SEG_EFFECTIVE, ES, REG_PAGE, INTR, RAM
} from "../layout";
import { ld8, st8, bulkRead, bulkWrite, probeWrite } from "./memory";
import { readMem, writeMem, readReg, writeReg } from "./alu";
import { flagsSub, DF, IF, TF, ccZ } from "./flags";
import { inPort, outPort, checkPort } from "./system";
import { flatSegment, checkSegment } from "./helpers";
import { is64 } from "./segments";

function addressMask(width: u32): u64 {
  return width == 8 ? 0xffffffffffffffff : width == 4 ? 0xffffffff : 0xffff;
}
/** Writes an index or count register with the address size (32-bit clears the upper half). */
function writeIndex(at: usize, width: u32, value: u64): void {
  if (width == 8) store<u64>(at, value);
  else if (width == 4) store<u64>(at, value & 0xffffffff);
  else store<u16>(at, <u16>value);
}

const RAX: usize = REGS;
const RCX: usize = REGS + 8;
const RDX: usize = REGS + 16;
const RSI: usize = REGS + 48;
const RDI: usize = REGS + 56;

function compare(a: u64, b: u64, size: u32): void {
  if (size == 3) flagsSub<u64>(a, b, a - b);
  else if (size == 2) flagsSub<u32>(<u32>a, <u32>b, <u32>(a - b));
  else if (size == 1) flagsSub<u16>(<u16>a, <u16>b, <u16>(a - b));
  else flagsSub<u8>(<u8>a, <u8>b, <u8>(a - b));
}

/** Outside 64-bit mode: both operands lie in segments without a limit. `slot`: SEG_EFFECTIVE offset of the source's. */
function flatOperands(slot: u32): bool {
  return is64() || (flatSegment(slot >> 3) && flatSegment(ES));
}
function checkOperands(opcode: u32, size: u32, width: u32, slot: u32): void {
  const mask = addressMask(width);
  const bytes: u32 = 1 << size;
  if (opcode == 0xa4 || opcode == 0xa6 || opcode == 0xac || opcode == 0x6e) checkSegment(slot >> 3, <u32>(load<u64>(RSI) & mask), bytes, false);
  if (opcode != 0xac && opcode != 0x6e) checkSegment(ES, <u32>(load<u64>(RDI) & mask), bytes, opcode == 0xa4 || opcode == 0xaa || opcode == 0x6c);
}

/** One iteration. */
function once(opcode: u32, size: u32, width: u32, segBase: u64): void {
  const mask = addressMask(width);
  const bytes = 1 << size;
  const step = <u64>(load<u64>(FLAGS) & DF ? -<i64>bytes : <i64>bytes);
  const si = load<u64>(RSI) & mask;
  const di = load<u64>(RDI) & mask;
  const from = segBase + si;
  const to = load<u64>(SEG_EFFECTIVE + (ES << 3)) + di;
  switch (opcode) {
    case 0xa4:
      writeMem(to, size, readMem(from, size));
      writeIndex(RSI, width, si + step);
      writeIndex(RDI, width, di + step);
      return;
    case 0xa6: {
      // The second operand comes first, as on Intel CPUs: it shows when both fault.
      const b = readMem(to, size);
      const a = readMem(from, size);
      compare(a, b, size);
      writeIndex(RSI, width, si + step);
      writeIndex(RDI, width, di + step);
      return;
    }
    case 0xaa:
      writeMem(to, size, readReg(RAX, size));
      writeIndex(RDI, width, di + step);
      return;
    case 0xac:
      writeReg(RAX, size, readMem(from, size));
      writeIndex(RSI, width, si + step);
      return;
    case 0xae: {
      compare(readReg(RAX, size), readMem(to, size), size);
      writeIndex(RDI, width, di + step);
      return;
    }
    case 0x6c: {
      const port = <u32>load<u16>(RDX);
      checkPort(port, bytes);
      // The destination is tried first: the port must not be read twice.
      probeWrite(to, bytes);
      writeMem(to, size, <u64>inPort(port, bytes));
      writeIndex(RDI, width, di + step);
      return;
    }
    default: {
      const port = <u32>load<u16>(RDX);
      checkPort(port, bytes);
      outPort(port, bytes, <u32>readMem(from, size));
      writeIndex(RSI, width, si + step);
      return;
    }
  }
}

/** Without REP. */
export function stringOnce(p: usize): void {
  const imm = load<u32>(p, 12);
  if (!flatOperands(load<u8>(p, 7))) checkOperands(load<u8>(p, 2), load<u8>(p, 3), imm >> 8, load<u8>(p, 7));
  once(load<u8>(p, 2), load<u8>(p, 3), imm >> 8, load<u64>(SEG_EFFECTIVE + <usize>load<u8>(p, 7)));
}

/** With REP, REPE or REPNE. Sets RIP: the next instruction when done, this one when the budget ran out. */
export function stringRepeat(p: usize): void {
  const imm = load<u32>(p, 12);
  const opcode: u32 = load<u8>(p, 2);
  const size: u32 = load<u8>(p, 3);
  const width = imm >> 8;
  const mask = addressMask(width);
  const prefix = imm & 0xff;
  const segBase = load<u64>(SEG_EFFECTIVE + <usize>load<u8>(p, 7));
  const here = load<u64>(REGS + (REG_PAGE << 3)) + <u64>load<u16>(p, 16);
  const next = here + <u64>load<u8>(p, 18);
  // Permission comes before the count.
  if (opcode == 0x6c || opcode == 0x6e) checkPort(<u32>load<u16>(RDX), 1 << size);
  if (width == 4) {
    // Intel CPUs clear these upper halves first, even when the count is zero or the first iteration faults.
    writeIndex(RCX, 4, load<u64>(RCX));
    if (opcode == 0xa4) writeIndex(RSI, 4, load<u64>(RSI));
    if (opcode == 0xa4 || opcode == 0xaa) writeIndex(RDI, 4, load<u64>(RDI));
  }
  if ((load<u64>(RCX) & mask) == 0) {
    store<u64>(RIP, next);
    return;
  }
  // The block has already counted one; each iteration that ends adds one, and the surplus one is taken back at the end.
  const last = load<u64>(LIMIT) + 1;
  const compares = opcode == 0xa6 || opcode == 0xae;
  const io = opcode == 0x6c || opcode == 0x6e;
  // A fault leaves the flags as they were before the instruction (SDM vol. 2 REP). They change with its last iteration only, so that
  // it makes no difference whether the machine stops in between.
  const oldResult = load<u64>(FLAG_RESULT);
  const oldAux = load<u64>(FLAG_AUX);
  const flat = flatOperands(load<u8>(p, 7));
  let finished = false;
  while (true) {
    const count = load<u64>(RCX) & mask;
    if (count == 0) { finished = true; break; }
    const budget = last - load<u64>(ICOUNT);
    if (<i64>budget <= 0) break;
    if (compares) {
      store<u64>(FLAG_RESULT, oldResult);
      store<u64>(FLAG_AUX, oldAux);
    }
    // An instruction that runs alone (interrupt shadow, breakpoints) does one iteration: a run that stops in between does no more.
    if (flat && !io && (load<u64>(FLAGS) & (DF | TF)) == 0 && width != 2 && load<u64>(STOP_AT) != 0) {
      const n = bulk(opcode, size, width, segBase, count < budget ? count : budget, prefix);
      if (n != 0) {
        store<u64>(ICOUNT, load<u64>(ICOUNT) + n);
        writeIndex(RCX, width, count - n);
        if (compares && ccZ() != (prefix == 0xf3)) { finished = true; break; }
        continue;
      }
    }
    if (!flat) checkOperands(opcode, size, width, load<u8>(p, 7));
    once(opcode, size, width, segBase);
    store<u64>(ICOUNT, load<u64>(ICOUNT) + 1);
    writeIndex(RCX, width, count - 1);
    if (compares && ccZ() != (prefix == 0xf3)) { finished = true; break; }
    // A device may want attention, or may have moved the time of the next event.
    if (io) break;
    if (load<u64>(STOP_AT) == 0) break;
  }
  if (!finished && (load<u64>(RCX) & mask) == 0) finished = true;
  if (compares && !finished) {
    store<u64>(FLAG_RESULT, oldResult);
    store<u64>(FLAG_AUX, oldAux);
  }
  store<u64>(ICOUNT, load<u64>(ICOUNT) - 1);
  store<u64>(RIP, finished ? next : here);
}

/** As many iterations as fit into the current pages of plain RAM, at most `most`; 0 when the slow way must be taken. */
function bulk(opcode: u32, size: u32, width: u32, segBase: u64, most: u64, prefix: u32): u64 {
  const mask = addressMask(width);
  const si = load<u64>(RSI) & mask;
  const di = load<u64>(RDI) & mask;
  const from = segBase + si;
  const to = load<u64>(SEG_EFFECTIVE + (ES << 3)) + di;
  if (opcode == 0xaa) {
    const room = <u64>(4096 - (<u32>to & 4095)) >> size;
    const n = most < room ? most : room;
    if (n < 2) return 0;
    const host = bulkWrite(to, <u32>(n << size));
    if (host == 0) return 0;
    fillBytes(host, readReg(RAX, size), size, <u32>n);
    writeIndex(RDI, width, di + (n << size));
    return n;
  }
  if (opcode == 0xa4) {
    let n = <u64>(4096 - (<u32>to & 4095)) >> size;
    const room = <u64>(4096 - (<u32>from & 4095)) >> size;
    if (room < n) n = room;
    if (most < n) n = most;
    if (n < 2) return 0;
    const source = bulkRead(from);
    if (source == 0) return 0;
    const target = bulkWrite(to, <u32>(n << size));
    if (target == 0) return 0;
    const bytes = <usize>(n << size);
    // A target just ahead of its source repeats the pattern, element by element.
    if (target > source && target < source + bytes) copyForward(target, source, size, <u32>n);
    else memory.copy(target, source, bytes);
    writeIndex(RSI, width, si + (n << size));
    writeIndex(RDI, width, di + (n << size));
    return n;
  }
  if (opcode == 0xae) {
    const room = <u64>(4096 - (<u32>to & 4095)) >> size;
    const n = most < room ? most : room;
    if (n < 2) return 0;
    const host = bulkRead(to);
    if (host == 0) return 0;
    const want = readReg(RAX, size);
    let i: u64 = 0;
    let v: u64 = 0;
    while (i < n) {
      v = readReg(host + (<usize>i << size), size);
      i++;
      if ((v == want) != (prefix == 0xf3)) break;
    }
    compare(want, v, size);
    writeIndex(RDI, width, di + (i << size));
    return i;
  }
  if (opcode == 0xa6) {
    let n = <u64>(4096 - (<u32>to & 4095)) >> size;
    const room = <u64>(4096 - (<u32>from & 4095)) >> size;
    if (room < n) n = room;
    if (most < n) n = most;
    if (n < 2) return 0;
    // In the order of once(): it shows when both fault.
    const b = bulkRead(to);
    if (b == 0) return 0;
    const a = bulkRead(from);
    if (a == 0) return 0;
    let i: u64 = 0;
    let x: u64 = 0, y: u64 = 0;
    while (i < n) {
      x = readReg(a + (<usize>i << size), size);
      y = readReg(b + (<usize>i << size), size);
      i++;
      if ((x == y) != (prefix == 0xf3)) break;
    }
    compare(x, y, size);
    writeIndex(RSI, width, si + (i << size));
    writeIndex(RDI, width, di + (i << size));
    return i;
  }
  return 0;
}

function fillBytes(host: usize, value: u64, size: u32, n: u32): void {
  if (size == 0 || value == 0) {
    memory.fill(host, <u8>value, <usize>n << size);
    return;
  }
  for (let i: u32 = 0; i < n; i++) writeReg2(host + (<usize>i << size), value, size);
}
function copyForward(target: usize, source: usize, size: u32, n: u32): void {
  for (let i: u32 = 0; i < n; i++) writeReg2(target + (<usize>i << size), readReg(source + (<usize>i << size), size), size);
}
// @ts-ignore: decorator
@inline
function writeReg2(at: usize, value: u64, size: u32): void {
  if (size == 3) store<u64>(at, value);
  else if (size == 2) store<u32>(at, <u32>value);
  else if (size == 1) store<u16>(at, <u16>value);
  else store<u8>(at, <u8>value);
}

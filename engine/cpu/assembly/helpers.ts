/**
 * The rare instructions: OP_HELP dispatches here by helper number. CURSOR is the micro-op, so helpers may raise.
 */
import {
  REGS, REG_PAGE, RIP, FLAGS, ICOUNT, CPL, CR0, CR4, SEGS, SEG_SIZE, SEG_SELECTOR, SEG_ATTR, SEG_BASE, SEG_LIMIT, SEG_EFFECTIVE, ES, CS, SS, DS, FS, GS, LDTR, TR,
  GDTR_BASE, GDTR_LIMIT, IDTR_BASE, IDTR_LIMIT, MSR_KERNEL_GS_BASE, MSR_TSC_AUX, MAILBOX, HALTED, INTR, INTR_SHADOW, LIMIT, STOP_AT, FCW, FSW, FTW, FOP, FIP, FDP,
  MXCSR, FPR, XMM, BLOCK, DR6, REASON_HLT, REASON_INVLPG, REASON_VMCALL, REASON_WBINVD, REASON_GDTR_IDTR, REASON_LDTR_TR, TLB_FLUSH_PAGE
} from "../layout";
import { hostExitEvent, hostPause } from "./host";
import { ld8, ld16, ld32, ld64, st8, st16, st32, st64, probeWrite, probeRead, tlbSelect, countFlush } from "./memory";
import { raise, raiseError, softwareInterrupt, currentRip, noteEnd, END_KEEPS_RF } from "./exceptions";
import * as A from "./alu";
import { ea, dst, src, readReg, writeReg, readMem, writeMem } from "./alu";
import * as F from "./flags";
import { getFlags, setFlags, setArithmetic, condition, IF, TF, DF, NT, RF, VM, AC, IOPL, VIF, VIP, ID, CF } from "./flags";
import * as G from "./segments";
import { is64, longMode, loadSegment, stackRead, stackWrite, setStackPointer, updateMode, updateBases } from "./segments";
import * as S from "./system";
import { stringOnce, stringRepeat } from "./strings";
import { x87Wait } from "./x87";
import { ldmxcsr } from "./sse";
import * as O from "../ops";

/** INTR_SHADOW after STI; after MOV SS and POP SS, which hold off debug exceptions as well. */
const SHADOW_INTERRUPT: u32 = 1;
export const SHADOW_STACK: u32 = 2;

function seg(s: u32): usize {
  return SEGS + s * SEG_SIZE;
}
// @ts-ignore: decorator
@inline
function imm(p: usize): u32 {
  return load<u32>(p, 12);
}
function rsp(): u64 {
  return load<u64>(REGS + 32);
}
function nextRip(p: usize): u64 {
  return load<u64>(REGS + (REG_PAGE << 3)) + <u64>load<u16>(p, 16) + <u64>load<u8>(p, 18);
}
/** rip after a near branch: truncated to the operand size outside 64-bit mode. */
function branchTo(target: u64, size: u32): void {
  let to = target;
  if (!is64()) {
    to = size == 1 ? to & 0xffff : to & 0xffffffff;
    if (<u32>to > load<u32>(seg(CS), SEG_LIMIT)) raiseError(13, 0);
  } else if (<u64>((<i64>to << 16) >> 16) != to) raiseError(13, 0);
  store<u64>(RIP, to);
}
function pushValue(value: u64, size: u32): void {
  const at = rsp() - (1 << size);
  stackWrite(at, 1 << size, value);
  setStackPointer(at);
}

/** CLI and STI by privilege (no VME/PVI). */
function checkIopl(): void {
  if (load<u32>(CPL) > (<u32>(load<u64>(FLAGS) >> 12) & 3)) raiseError(13, 0);
}
/** Every instruction that needs the x87 or MMX unit: #UD with CR0.EM for MMX and SSE is checked by the caller. */
export function checkFpu(): void {
  if (load<u64>(CR0) & 0xc) raise(7);
}
export function checkMmx(): void {
  if (load<u64>(CR0) & 4) raise(6);
  if (load<u64>(CR0) & 8) raise(7);
}
export function checkSse(): void {
  if ((load<u64>(CR0) & 4) != 0 || (load<u64>(CR4) & 0x200) == 0) raise(6);
  if (load<u64>(CR0) & 8) raise(7);
}

function popFlags(size: u32): void {
  const cpl = load<u32>(CPL);
  const image = stackRead(rsp(), 1 << size);
  setStackPointer(rsp() + (1 << size));
  let keep: u64 = VM | VIF | VIP | RF;
  if (cpl != 0) keep |= IOPL;
  if (cpl > (<u32>(load<u64>(FLAGS) >> 12) & 3)) keep |= IF;
  if (size == 1) keep |= 0xffff0000;
  setFlags((image & ~keep) | (load<u64>(FLAGS) & keep & ~RF));
  tlbSelect();
}

function fxsave(p: usize): void {
  if (load<u64>(CR0) & 0xc) raise(7);
  const at = ea(p);
  if (at & 15) raiseError(13, 0);
  probeWrite(at, 512);
  const wide = (imm(p) & 1) != 0;
  st16(at, load<u16>(FCW));
  st16(at + 2, load<u16>(FSW));
  st16(at + 4, load<u8>(FTW));
  st16(at + 6, load<u16>(FOP));
  if (wide) {
    st64(at + 8, load<u64>(FIP));
    st64(at + 16, load<u64>(FDP));
  } else {
    st64(at + 8, load<u64>(FIP) & 0xffffffff);
    st64(at + 16, load<u64>(FDP) & 0xffffffff);
  }
  st32(at + 24, load<u32>(MXCSR));
  st32(at + 28, 0xffff);
  // ST0 first, whatever TOP is (SDM vol. 1 10.5.1).
  const top = <u32>load<u16>(FSW) >> 11 & 7;
  for (let i: u32 = 0; i < 8; i++) {
    const r = FPR + ((top + i & 7) << 4);
    st64(at + 32 + (i << 4), load<u64>(r));
    st64(at + 40 + (i << 4), <u64>load<u16>(r, 8));
  }
  const count: u32 = is64() ? 16 : 8;
  for (let i: u32 = 0; i < count; i++) {
    st64(at + 160 + (i << 4), load<u64>(XMM + (i << 4)));
    st64(at + 168 + (i << 4), load<u64>(XMM + (i << 4) + 8));
  }
}
function fxrstor(p: usize): void {
  if (load<u64>(CR0) & 0xc) raise(7);
  const at = ea(p);
  if (at & 15) raiseError(13, 0);
  probeRead(at, 512);
  const csr = ld32(at + 24);
  if (csr & ~0xffff) raiseError(13, 0);
  const wide = (imm(p) & 1) != 0;
  store<u16>(FCW, (ld16(at) & 0x1f3f) | 0x40);
  const fsw = ld16(at + 2);
  store<u16>(FSW, fsw);
  store<u8>(FTW, ld8(at + 4));
  store<u16>(FOP, ld16(at + 6) & 0x7ff);
  store<u64>(FIP, wide ? ld64(at + 8) : <u64>ld32(at + 8));
  store<u64>(FDP, wide ? ld64(at + 16) : <u64>ld32(at + 16));
  store<u32>(MXCSR, csr);
  const top = fsw >> 11 & 7;
  for (let i: u32 = 0; i < 8; i++) {
    const r = FPR + ((top + i & 7) << 4);
    store<u64>(r, ld64(at + 32 + (i << 4)));
    store<u16>(r, ld16(at + 40 + (i << 4)), 8);
  }
  const count: u32 = is64() ? 16 : 8;
  for (let i: u32 = 0; i < count; i++) {
    store<u64>(XMM + (i << 4), ld64(at + 160 + (i << 4)));
    store<u64>(XMM + (i << 4) + 8, ld64(at + 168 + (i << 4)));
  }
  // The error summary follows from the restored words.
  const pending = (load<u16>(FSW) & ~load<u16>(FCW) & 0x3f) != 0;
  store<u16>(FSW, pending ? load<u16>(FSW) | 0x8080 : load<u16>(FSW) & 0x7f7f);
}

/** Writable data without a limit: nothing to check. */
export function flatSegment(s: u32): bool {
  return load<u32>(seg(s), SEG_LIMIT) == 0xffffffff && (load<u32>(seg(s), SEG_ATTR) & 0x1001e) == 0x12;
}
/** Presence, type and limit of an access outside 64-bit mode (SDM vol. 3A 5.3, 5.5). */
export function checkSegment(s: u32, offset: u32, size: u32, write: bool): void {
  const attr = load<u32>(seg(s), SEG_ATTR);
  const vector: u32 = s == SS ? 12 : 13;
  if (attr & 0x10000) raiseError(vector, 0);
  // Code is never writable, and readable with bit 1; data always readable, and writable with bit 1.
  if (write ? (attr & 0x0a) != 2 : (attr & 0x0a) == 8) raiseError(vector, 0);
  const limit = load<u32>(seg(s), SEG_LIMIT);
  const last = <u64>offset + size - 1;
  if ((attr & 0x0c) == 4) {
    const top: u64 = attr & 0x4000 ? 0xffffffff : 0xffff;
    if (offset <= limit || last > top) raiseError(vector, 0);
  } else if (last > <u64>limit) raiseError(vector, 0);
}
/** Bytes (low half) and direction (bit 16: a write) of the memory operand of a micro-op; 1 for those that are not listed. */
function operandOf(p: usize): u32 {
  const write: u32 = 0x10000;
  const op = <u32>load<u16>(p);
  if (op >= <u32>O.ADD_RR8 && op <= <u32>O.TEST_MI64) {
    const form = (op - <u32>O.ADD_RR8) % 20 >> 2;
    const tests = op >= <u32>O.TEST_RR8 || (op >= <u32>O.CMP_RR8 && op <= <u32>O.CMP_MI64);
    return (1 << (op & 3)) | (form >= 3 && !tests ? write : 0);
  }
  if ((op >= <u32>O.MOVZX_M8_16 && op <= <u32>O.MOVZX_M32_64) || (op >= <u32>O.MOVSX_M8_16 && op <= <u32>O.MOVSX_M32_64)) {
    return 1 << ((op - (op >= <u32>O.MOVSX_M8_16 ? <u32>O.MOVSX_M8_16 : <u32>O.MOVZX_M8_16)) / 3);
  }
  if (op >= <u32>O.INC_R8 && op <= <u32>O.NOT_M64) return (1 << (op & 3)) | write;
  if (op == O.CMPXCHG_MR32 || op == O.XADD_MR32) return 4 | write;
  if (op == O.IMUL_RM32 || op == O.IMUL_RMI32 || op == O.CMOV_RM32) return 4;
  if (op == O.SSE_MOVAPS_RM || op == O.SSE_MOVUPS_RM) return 16;
  if (op == O.SSE_MOVAPS_MR || op == O.SSE_MOVUPS_MR) return 16 | write;
  if (op < <u32>O.OP_HELP || op > <u32>O.OP_HELP_JUMP) return 1;
  const size: u32 = 1 << (imm(p) & 3);
  switch (load<u32>(p, 20)) {
    case O.H_SHIFT_M: return (1 << <u32>load<u8>(p, 3)) | write;
    case O.H_SHLD_M: case O.H_XCHG_M: case O.H_XADD_M: case O.H_CMPXCHG_M: case O.H_POP_GENERIC: return size | write;
    case O.H_MULDIV_M: case O.H_PUSH_GENERIC: case O.H_IMUL16_M: return size;
    case O.H_SETCC_M: return 1 | write;
    case O.H_CMPXCHG8B: return 8 | write;
    case O.H_FXSAVE: return 512 | write;
    case O.H_FXRSTOR: return 512;
    case O.H_STMXCSR: return 4 | write;
    case O.H_LDMXCSR: return 4;
    case O.H_SGDT: return 6 | write;
    case O.H_LGDT: return 6;
    case O.H_MOV_FROM_SEG_M: case O.H_SLDT_M: case O.H_SMSW_M: return 2 | write;
    case O.H_MOV_TO_SEG: return 2;
    default: return 1;
  }
}

/** Linear address and limit check for the 32-bit modes (and 67h in 64-bit mode): REG_EA. */
export function computeAddress(p: usize): void {
  const width = load<u8>(p, 2);
  let offset = load<u64>(REGS + <usize>load<u8>(p, 4)) + (load<u64>(REGS + <usize>load<u8>(p, 5)) << <u64>load<u8>(p, 6)) + <u64>(<i64>load<i32>(p, 8));
  offset = width == 2 ? offset & 0xffff : offset & 0xffffffff;
  // src: 1 for LEA, which takes the offset alone.
  if (load<u8>(p, 3)) {
    store<u64>(REGS + 144, offset);
    return;
  }
  const slot = load<u8>(p, 7);
  if (is64()) {
    store<u64>(REGS + 144, offset + load<u64>(SEG_EFFECTIVE + <usize>slot));
    return;
  }
  const s = <u32>slot >> 3;
  if (!flatSegment(s)) {
    const access = operandOf(p + O.OP_BYTES);
    checkSegment(s, <u32>offset, access & 0xffff, (access >> 16) != 0);
  }
  store<u64>(REGS + 144, (offset + load<u64>(seg(s), SEG_BASE)) & 0xffffffff);
}

/** Operand of SGDT-like stores. */
function storeTable(p: usize): void {
  const at = ea(p);
  const idt = imm(p) & 1;
  if ((load<u64>(CR4) & 0x800) != 0 && load<u32>(CPL) != 0) raiseError(13, 0);
  probeWrite(at, is64() ? 10 : 6);
  st16(at, load<u32>(idt ? IDTR_LIMIT : GDTR_LIMIT) & 0xffff);
  if (is64()) st64(at + 2, load<u64>(idt ? IDTR_BASE : GDTR_BASE));
  else st32(at + 2, <u32>load<u64>(idt ? IDTR_BASE : GDTR_BASE));
}
function loadTable(p: usize): void {
  S.requireKernel();
  const at = ea(p);
  const limit = ld16(at);
  let base = is64() ? ld64(at + 2) : <u64>ld32(at + 2);
  if (is64() && <u64>((<i64>base << 16) >> 16) != base) raiseError(13, 0);
  if (imm(p) & 0x100) base &= 0xffffff;
  const idt = imm(p) & 1;
  store<u64>(MAILBOX, base);
  hostExitEvent(REASON_GDTR_IDTR, idt);
  store<u32>(idt ? IDTR_LIMIT : GDTR_LIMIT, limit);
  store<u64>(idt ? IDTR_BASE : GDTR_BASE, base);
}

function farPointer(p: usize, size: u32, jump: bool): void {
  const at = ea(p);
  const bytes: u32 = size == 3 ? 8 : size == 2 ? 4 : 2;
  const offset = readMem(at, size);
  const selector = ld16(at + bytes);
  G.farTransfer(selector, offset, bytes, !jump, nextRip(p));
}

export function helper(code: u32, p: usize): void {
  switch (code) {
    case O.H_SHIFT_R: A.shiftHelper(p, false); return;
    case O.H_SHIFT_M: A.shiftHelper(p, true); return;
    case O.H_SHLD_R: A.doubleShift(p, false); return;
    case O.H_SHLD_M: A.doubleShift(p, true); return;
    case O.H_MULDIV_R: A.multiplyDivide(p, false); return;
    case O.H_MULDIV_M: A.multiplyDivide(p, true); return;
    case O.H_IMUL16_R: A.multiply16(p, false); return;
    case O.H_IMUL16_M: A.multiply16(p, true); return;
    case O.H_XCHG_R: A.exchange(p, false); return;
    case O.H_XCHG_M: A.exchange(p, true); return;
    case O.H_XADD_R: A.exchangeAdd(p, false); return;
    case O.H_XADD_M: A.exchangeAdd(p, true); return;
    case O.H_CMPXCHG_R: A.compareExchange(p, false, -1); return;
    case O.H_CMPXCHG_M: A.compareExchange(p, true, -1); return;
    case O.H_CMPXCHG8B: A.compareExchange8(p); return;
    case O.H_CMPXCHG16B: A.compareExchange16(p); return;
    case O.H_BT_R: A.bitTest(p, false); return;
    case O.H_BT_M: A.bitTest(p, true); return;
    case O.H_BSF_R: A.bitScan(p, false, false); return;
    case O.H_BSF_M: A.bitScan(p, true, false); return;
    case O.H_BSR_R: A.bitScan(p, false, true); return;
    case O.H_BSR_M: A.bitScan(p, true, true); return;
    case O.H_POPCNT_R: A.populationCount(p, false); return;
    case O.H_POPCNT_M: A.populationCount(p, true); return;
    case O.H_CRC32_R: A.crc32(p, false); return;
    case O.H_CRC32_M: A.crc32(p, true); return;
    case O.H_BSWAP16: store<u16>(dst(p), 0); return;
    case O.H_CBW: store<u16>(REGS, <u16>(<i16>load<i8>(REGS))); return;
    case O.H_CWD: store<u16>(REGS + 16, <u16>(load<i16>(REGS) >> 15)); return;
    case O.H_LAHF: store<u8>(REGS + 1, <u8>((getFlags() & 0xd5) | 2)); return;
    case O.H_SAHF: setArithmetic((getFlags() & 0x800) | (<u64>load<u8>(REGS + 1) & 0xd5)); return;
    case O.H_CMC: F.setCarry(F.carry() ^ 1); return;
    case O.H_CLC: F.setCarry(0); return;
    case O.H_STC: F.setCarry(1); return;
    case O.H_CLD: store<u64>(FLAGS, load<u64>(FLAGS) & ~DF); return;
    case O.H_STD: store<u64>(FLAGS, load<u64>(FLAGS) | DF); return;
    case O.H_SETCC_M: st8(ea(p), condition(imm(p) >> 8 & 15) ? 1 : 0); return;
    case O.H_CMOV16_R: A.conditionalMove16(p, false); return;
    case O.H_CMOV16_M: A.conditionalMove16(p, true); return;
    case O.H_PUSH_GENERIC: {
      const size = imm(p);
      const kind = load<u8>(p, 2);
      const v = kind == 0 ? load<u64>(src(p)) : kind == 1 ? <u64>(<i64>load<i32>(p, 8)) : readMem(ea(p), size);
      pushValue(v, size);
      return;
    }
    case O.H_POP_GENERIC: {
      const size = imm(p);
      const v = stackRead(rsp(), 1 << size);
      if (load<u8>(p, 2) == 0) {
        setStackPointer(rsp() + (1 << size));
        writeReg(src(p), size, v);
      } else {
        // The decoder has added the operand size to an address that uses rsp.
        writeMem(ea(p), size, v);
        setStackPointer(rsp() + (1 << size));
      }
      return;
    }
    case O.H_PUSH_SEG: {
      const size = imm(p);
      const selector = <u64>load<u16>(seg(load<u8>(p, 2)));
      if (size != 2) pushValue(selector, size);
      else {
        // A 16-bit move into a slot of 32 bits, as all recent Intel CPUs do (SDM vol. 2 PUSH).
        stackWrite(rsp() - 4, 2, selector);
        setStackPointer(rsp() - 4);
      }
      return;
    }
    case O.H_POP_SEG: {
      const size = imm(p);
      const s: u32 = load<u8>(p, 2);
      const v = <u32>stackRead(rsp(), 1 << size) & 0xffff;
      const sp = rsp();
      loadSegment(s, v);
      setStackPointer(sp + (1 << size));
      if (s == SS) store<u32>(INTR_SHADOW, SHADOW_STACK);
      return;
    }
    case O.H_PUSHF: {
      const size = imm(p);
      pushValue(getFlags() & 0xfcffff, size);
      return;
    }
    case O.H_POPF: popFlags(imm(p)); return;
    case O.H_ENTER: {
      const size = <u32>load<u8>(p, 3);
      const bytes = <u64>(1 << size);
      const level = load<u32>(p, 8);
      let at = rsp() - bytes;
      stackWrite(at, 1 << size, load<u64>(REGS + 40));
      const frame = at;
      if (level > 0) {
        let bp = load<u64>(REGS + 40);
        for (let i: u32 = 1; i < level; i++) {
          bp -= bytes;
          at -= bytes;
          stackWrite(at, 1 << size, stackRead(bp, 1 << size));
        }
        at -= bytes;
        stackWrite(at, 1 << size, frame);
      }
      at -= <u64>imm(p);
      probeWrite(G.stackLinear(at), 1);
      writeReg(REGS + 40, is64() ? (size == 1 ? 1 : 3) : size, frame);
      setStackPointer(at);
      return;
    }
    case O.H_LEAVE_GENERIC: {
      const size = imm(p);
      const bp = load<u64>(REGS + 40);
      const v = stackRead(bp, 1 << size);
      setStackPointer(bp + (1 << size));
      writeReg(REGS + 40, size, v);
      return;
    }
    case O.H_PUSHA: {
      const size = imm(p);
      const bytes = <u64>(1 << size);
      const sp = rsp();
      for (let i: u32 = 0; i < 8; i++) stackWrite(sp - bytes * (i + 1), 1 << size, i == 4 ? sp : load<u64>(REGS + (i << 3)));
      setStackPointer(sp - bytes * 8);
      return;
    }
    case O.H_POPA: {
      const size = imm(p);
      const bytes = <u64>(1 << size);
      const sp = rsp();
      // From EDI on; what was read before a fault stays, as on Intel CPUs. ESP does not change until the end.
      for (let i: i32 = 7; i >= 0; i--) {
        const v = stackRead(sp + bytes * (7 - i), 1 << size);
        if (i != 4) writeReg(REGS + (i << 3), size, v);
      }
      setStackPointer(sp + bytes * 8);
      return;
    }
    case O.H_MOV_FROM_SEG_R: writeReg(dst(p), imm(p) & 3, <u64>load<u16>(seg(load<u8>(p, 3)))); return;
    case O.H_MOV_FROM_SEG_M: st16(ea(p), load<u16>(seg(load<u8>(p, 3)))); return;
    case O.H_LOAD_FAR: {
      const size = imm(p);
      const at = ea(p);
      const offset = readMem(at, size);
      const selector = ld16(at + (1 << size));
      const s: u32 = load<u8>(p, 2);
      loadSegment(s, selector);
      writeReg(src(p), size, offset);
      return;
    }
    case O.H_XLAT: {
      const width = imm(p);
      const mask: u64 = width == 8 ? 0xffffffffffffffff : width == 4 ? 0xffffffff : 0xffff;
      if (!is64()) checkSegment(<u32>load<u8>(p, 7) >> 3, <u32>((load<u64>(REGS + 24) + <u64>load<u8>(REGS)) & mask), 1, false);
      const at = ((load<u64>(REGS + 24) + <u64>load<u8>(REGS)) & mask) + load<u64>(SEG_EFFECTIVE + <usize>load<u8>(p, 7));
      store<u8>(REGS, <u8>ld8(at));
      return;
    }
    case O.H_MOV_MOFFS: {
      const at = <u64>imm(p) + (<u64>load<u32>(p, 8) << 32) + load<u64>(SEG_EFFECTIVE + <usize>load<u8>(p, 7));
      const size: u32 = load<u8>(p, 3);
      if (!is64()) checkSegment(<u32>load<u8>(p, 7) >> 3, imm(p), 1 << size, load<u8>(p, 2) != 0);
      if (load<u8>(p, 2)) writeMem(at, size, readReg(REGS, size));
      else writeReg(REGS, size, readMem(at, size));
      return;
    }
    case O.H_DAA: A.decimal(0); return;
    case O.H_DAS: A.decimal(1); return;
    case O.H_AAA: A.decimal(2); return;
    case O.H_AAS: A.decimal(3); return;
    case O.H_AAM: A.aam(imm(p)); return;
    case O.H_AAD: A.aad(imm(p)); return;
    case O.H_SALC: store<u8>(REGS, F.carry() ? 0xff : 0); return;
    case O.H_BOUND: {
      const size = imm(p) & 3;
      const at = ea(p);
      if (size == 1) {
        const i = <i32>load<i16>(src(p));
        if (i < <i32>(<i16>ld16(at)) || i > <i32>(<i16>ld16(at + 2))) raise(5);
      } else {
        const i = load<i32>(src(p));
        if (i < <i32>ld32(at) || i > <i32>ld32(at + 4)) raise(5);
      }
      return;
    }
    case O.H_ARPL: {
      const inReg = (imm(p) >> 8) & 1;
      const at = inReg ? 0 : ea(p);
      const a = inReg ? <u32>load<u16>(dst(p)) : ld16(at);
      const b = <u32>load<u16>(src(p));
      const lower = (a & 3) < (b & 3);
      if (lower) {
        const v = (a & 0xfffc) | (b & 3);
        if (inReg) store<u16>(dst(p), v);
        else st16(at, v);
      }
      setArithmetic((getFlags() & ~<u64>0x40) | (lower ? 0x40 : 0));
      return;
    }
    case O.H_LAR: case O.H_LSL: {
      const selector = imm(p) & 0x100 ? <u32>load<u16>(dst(p)) : ld16(ea(p));
      const ok = G.inspectSelector(selector, code == O.H_LAR ? 0 : 1);
      if (ok) writeReg(src(p), imm(p) & 3, <u64>G.inspected);
      setArithmetic((getFlags() & ~<u64>0x40) | (ok ? 0x40 : 0));
      return;
    }
    case O.H_VERR: {
      const selector = imm(p) & 1 ? <u32>load<u16>(dst(p)) : ld16(ea(p));
      const ok = G.inspectSelector(selector, imm(p) & 0x100 ? 3 : 2);
      setArithmetic((getFlags() & ~<u64>0x40) | (ok ? 0x40 : 0));
      return;
    }
    case O.H_SLDT_R: case O.H_SLDT_M: {
      if ((load<u64>(CR4) & 0x800) != 0 && load<u32>(CPL) != 0) raiseError(13, 0);
      const v = <u64>load<u16>(seg(imm(p) & 1 ? TR : LDTR));
      if (code == O.H_SLDT_R) writeReg(dst(p), imm(p) >> 8 & 3, v);
      else st16(ea(p), <u32>v);
      return;
    }
    case O.H_SGDT: storeTable(p); return;
    case O.H_SMSW_R:
      if ((load<u64>(CR4) & 0x800) != 0 && load<u32>(CPL) != 0) raiseError(13, 0);
      writeReg(dst(p), imm(p) & 3, load<u64>(CR0)); return;
    case O.H_SMSW_M:
      if ((load<u64>(CR4) & 0x800) != 0 && load<u32>(CPL) != 0) raiseError(13, 0);
      st16(ea(p), <u32>load<u64>(CR0) & 0xffff); return;
    case O.H_FXSAVE: fxsave(p); return;
    case O.H_FXRSTOR: fxrstor(p); return;
    case O.H_FENCE: return;
    case O.H_CLFLUSH: probeRead(ea(p), 1); return;
    case O.H_PAUSE:
      if (isDefined(COUNT_TLB)) hostPause(load<u32>(CPL));
      return;
    case O.H_RDRAND: {
      const size = imm(p) & 3;
      writeReg(dst(p), size, S.random());
      setArithmetic(CF);
      return;
    }
    case O.H_LDMXCSR: checkSse(); ldmxcsr(ld32(ea(p))); return;
    case O.H_STMXCSR: checkSse(); st32(ea(p), load<u32>(MXCSR)); return;
    case O.H_FWAIT:
      if ((load<u64>(CR0) & 0xa) == 0xa) raise(7);
      x87Wait();
      return;
    case O.H_CLAC: case O.H_STAC:

      if (load<u32>(CPL) != 0) raise(6);
      if (code == O.H_STAC) store<u64>(FLAGS, load<u64>(FLAGS) | AC);
      else store<u64>(FLAGS, load<u64>(FLAGS) & ~AC);
      tlbSelect();
      return;
    case O.H_MOV_TO_SEG: {
      const s: u32 = load<u8>(p, 2);
      const selector = imm(p) & 1 ? <u32>load<u16>(src(p)) : ld16(ea(p));
      loadSegment(s, selector);
      if (s == SS) store<u32>(INTR_SHADOW, SHADOW_STACK);
      return;
    }
    case O.H_LGDT: loadTable(p); return;
    case O.H_LLDT: case O.H_LTR: {
      S.requireKernel();
      const selector = imm(p) & 1 ? <u32>load<u16>(dst(p)) : ld16(ea(p));
      if (code == O.H_LLDT) G.lldt(selector);
      else G.ltr(selector);
      store<u64>(MAILBOX, <u64>selector);
      hostExitEvent(REASON_LDTR_TR, code == O.H_LTR ? 1 : 0);
      return;
    }
    case O.H_LMSW: {
      S.requireKernel();
      const v = imm(p) & 1 ? <u64>load<u16>(dst(p)) : <u64>ld16(ea(p));
      // PE can be set, not cleared.
      const cr0 = load<u64>(CR0);
      S.writeCr0((cr0 & ~<u64>0xe) | (v & 0xf) | (cr0 & 1), 0, S.CR_LMSW);
      return;
    }
    case O.H_CLTS: S.clts(); return;
    case O.H_MOV_FROM_CR: {
      const value = S.readCr(imm(p), <u32>load<u8>(p, 2) >> 3);
      store<u64>(dst(p), is64() ? value : value & 0xffffffff);
      return;
    }
    case O.H_MOV_TO_CR: S.writeCr(imm(p), is64() ? load<u64>(dst(p)) : load<u64>(dst(p)) & 0xffffffff, <u32>load<u8>(p, 2) >> 3); return;
    case O.H_MOV_FROM_DR: store<u64>(dst(p), S.readDr(imm(p))); return;
    case O.H_MOV_TO_DR: S.writeDr(imm(p), is64() ? load<u64>(dst(p)) : load<u64>(dst(p)) & 0xffffffff); return;
    case O.H_RDMSR: S.rdmsr(); return;
    case O.H_WRMSR: S.wrmsr(); return;
    case O.H_RDTSC: S.rdtsc(); return;
    case O.H_RDTSCP: S.rdtsc(); store<u64>(REGS + 8, load<u64>(MSR_TSC_AUX) & 0xffffffff); return;
    case O.H_RDPMC:
      if (load<u32>(CPL) != 0 && (load<u64>(CR4) & 0x100) == 0) raiseError(13, 0);
      // No performance counters are implemented.
      raiseError(13, 0);
      return;
    case O.H_CPUID: S.cpuid(); return;
    case O.H_HLT:
      S.requireKernel();
      hostExitEvent(REASON_HLT, 0);
      store<u32>(HALTED, 1);
      return;
    case O.H_INVD:
      S.requireKernel();
      hostExitEvent(REASON_WBINVD, imm(p));
      return;
    case O.H_INVLPG:
      S.requireKernel();
      store<u64>(MAILBOX, ea(p));
      hostExitEvent(REASON_INVLPG, 0);
      if (isDefined(COUNT_TLB)) countFlush(TLB_FLUSH_PAGE, ea(p));
      return;
    case O.H_SWAPGS: {
      S.requireKernel();
      const g = load<u64>(seg(GS), SEG_BASE);
      store<u64>(seg(GS), load<u64>(MSR_KERNEL_GS_BASE), SEG_BASE);
      store<u64>(SEG_EFFECTIVE + (GS << 3), load<u64>(MSR_KERNEL_GS_BASE));
      store<u64>(MSR_KERNEL_GS_BASE, g);
      return;
    }
    case O.H_VMCALL:
      // The machine says in MAILBOX whether it took the call; without a hypervisor interface the instruction does not exist.
      store<u64>(MAILBOX, 0);
      hostExitEvent(REASON_VMCALL, 0);
      if (load<u64>(MAILBOX) == 0) raise(6);
      return;
    case O.H_CLI_CHECK:
      checkIopl();
      store<u64>(FLAGS, load<u64>(FLAGS) & ~IF);
      return;
    case O.H_STI: {
      checkIopl();
      const f = load<u64>(FLAGS);
      if ((f & IF) == 0) {
        store<u64>(FLAGS, f | IF);
        store<u32>(INTR_SHADOW, SHADOW_INTERRUPT);
      }
      return;
    }
    case O.H_IN: {
      const port = <i32>imm(p) >= 0 ? imm(p) : <u32>load<u16>(REGS + 16);
      const size: u32 = load<u8>(p, 3);
      S.checkPort(port, size);
      const v = S.inPort(port, size);
      writeReg(REGS, size == 4 ? 2 : size - 1, <u64>v);
      return;
    }
    case O.H_OUT: {
      const port = <i32>imm(p) >= 0 ? imm(p) : <u32>load<u16>(REGS + 16);
      const size: u32 = load<u8>(p, 3);
      S.checkPort(port, size);
      S.outPort(port, size, load<u32>(REGS));
      return;
    }
    case O.H_STRING: stringOnce(p); return;
    case O.H_REP_STRING: {
      const here = currentRip();
      stringRepeat(p);
      // Between iterations RF is set, so an instruction breakpoint is met once (SDM vol. 3B 17.3.1.1).
      if (load<u64>(RIP) == here) {
        store<u64>(FLAGS, load<u64>(FLAGS) | RF);
        noteEnd(END_KEEPS_RF);
      }
      return;
    }
    case O.H_UD: raise(6); return;
    case O.H_GP: raiseError(13, 0); return;
    case O.H_INT: softwareInterrupt(imm(p), nextRip(p), true); return;
    case O.H_INT3: softwareInterrupt(3, nextRip(p), true); return;
    case O.H_INTO:
      if (F.ccO()) softwareInterrupt(4, nextRip(p), true);
      else store<u64>(RIP, nextRip(p));
      return;
    case O.H_INT1: softwareInterrupt(1, nextRip(p), false); return;
    case O.H_FAR_JUMP: case O.H_FAR_CALL: {
      const size: u32 = load<u8>(p, 2);
      G.farTransfer(load<u32>(p, 8), <u64>imm(p), 1 << size, code == O.H_FAR_CALL, nextRip(p));
      return;
    }
    case O.H_FAR_JUMP_M: farPointer(p, imm(p), true); return;
    case O.H_FAR_CALL_M: farPointer(p, imm(p), false); return;
    case O.H_FAR_RET: G.farReturn(1 << <u32>load<u8>(p, 3), imm(p)); return;
    case O.H_IRET: G.interruptReturn(1 << <u32>load<u8>(p, 3)); noteEnd(END_KEEPS_RF); return;
    case O.H_SYSCALL: G.syscall(nextRip(p)); return;
    case O.H_SYSRET: G.sysret(load<u8>(p, 3)); return;
    case O.H_SYSENTER: G.sysenter(); return;
    case O.H_SYSEXIT: G.sysexit(load<u8>(p, 3)); return;
    case O.H_LOOP: {
      const width: u32 = load<u8>(p, 3);
      const kind: u32 = load<u8>(p, 2);
      let c = load<u64>(REGS + 8) - 1;
      if (width == 4) c &= 0xffffffff;
      else if (width == 2) c = (load<u64>(REGS + 8) & ~<u64>0xffff) | (c & 0xffff);
      const left = width == 2 ? c & 0xffff : c;
      const taken = left != 0 && (kind == 2 || (kind == 1) == F.ccZ());
      if (taken) branchTo(nextRip(p) + <u64>(<i64>(<i32>imm(p))), load<u8>(p, 6));
      else store<u64>(RIP, nextRip(p));
      store<u64>(REGS + 8, c);
      return;
    }
    case O.H_JCXZ: {
      const width: u32 = load<u8>(p, 3);
      const c = load<u64>(REGS + 8) & (width == 8 ? 0xffffffffffffffff : width == 4 ? 0xffffffff : 0xffff);
      if (c == 0) branchTo(nextRip(p) + <u64>(<i64>(<i32>imm(p))), load<u8>(p, 6));
      else store<u64>(RIP, nextRip(p));
      return;
    }
    case O.H_JCC_GENERIC:
      if (condition(load<u8>(p, 2))) branchTo(nextRip(p) + <u64>(<i64>(<i32>imm(p))), load<u8>(p, 3));
      else store<u64>(RIP, nextRip(p) & 0xffffffff);
      return;
    case O.H_JMP_GENERIC: branchTo(nextRip(p) + <u64>(<i64>(<i32>imm(p))), load<u8>(p, 3)); return;
    case O.H_CALL_GENERIC: {
      const size: u32 = load<u8>(p, 3);
      const sp = rsp();
      stackWrite(sp - (1 << size), 1 << size, nextRip(p));
      branchTo(nextRip(p) + <u64>(<i64>(<i32>imm(p))), size);
      setStackPointer(sp - (1 << size));
      return;
    }
    case O.H_RET_GENERIC: {
      const size: u32 = load<u8>(p, 3);
      const sp = rsp();
      branchTo(stackRead(sp, 1 << size), size);
      setStackPointer(sp + (1 << size) + <u64>imm(p));
      return;
    }
    case O.H_JMP_IND: {
      const size = imm(p);
      branchTo(load<u8>(p, 2) ? readReg(src(p), size) : readMem(ea(p), size), size);
      return;
    }
    case O.H_CALL_IND: {
      const size = imm(p);
      const target = load<u8>(p, 2) ? readReg(src(p), size) : readMem(ea(p), size);
      const sp = rsp();
      stackWrite(sp - (1 << size), 1 << size, nextRip(p));
      branchTo(target, size);
      setStackPointer(sp - (1 << size));
      return;
    }
    default: raise(6); return;
  }
}

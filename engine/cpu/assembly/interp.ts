/**
 * The interpreter: runs micro-ops block by block. Semantics of the common instructions live here; the rare ones are in helpers.ts.
 *
 * At a block boundary rip is implied (REG_PAGE and the block's offset); it is written to RIP only when the loop leaves the page
 * or the block's chain. ICOUNT is raised by the whole block at its start; fault() takes back what did not retire.
 */
import {
  REGS, REG_PAGE, RIP, FLAGS, FLAG_RESULT, FLAG_AUX, ICOUNT, LIMIT, STOP_AT, INTR, INTR_SHADOW, HALTED, CURSOR, BLOCK, EXIT, ISOLATE, MODE, DR6, DR7, DR0,
  DEBUG_PENDING, SEG_EFFECTIVE, XMM, CR0, CR4, EXIT_LIMIT, EXIT_HLT, EXIT_REQUEST, EXIT_UNSUPPORTED, CPL, BLOCK_COMPILED, BLOCK_HEAT, JIT_THRESHOLD, JIT_RETIRED, JIT_VISITS, JIT_FLAGS, JIT_CELL, SITE_FLAGS,
  SITE_KIND, SITE_GO_ON, SITE_RESUME, SITE_BEFORE, SITE_VERIFY, SITE_RELATIVE, SITE_OP, SITE_BLOCK, SITE_OFFSET
} from "../layout";
import { hostAcknowledge, hostObserve, hostHotBlock } from "./host";
import { mload, mstore, hostWrite, loadForStoreSlow, storeSlow, ld128, st128 } from "./memory";
import { deliverInterrupt, deliverTrap, raiseError, stopHere, takeEnd, END_KEEPS_RF, END_NO_TRAP } from "./exceptions";
import { lookUp, lookUpKnown, verified, findInPage, decodeScratch, HEADER, DEAD } from "./blocks";
import {
  flagsAdd, flagsSub, flagsLogic, flagsInc, flagsDec, flagsResultCarry, setCarryOverflow, setCarry, carry, ccO, ccB, ccZ, ccBE, ccS, ccP, ccL, ccLE, condition,
  IF, TF, RF
} from "./flags";
import { ea, dst, src, shiftByCl, multiplyHighSigned, notZero, compareExchange } from "./alu";
import { helper, computeAddress, checkFpu, checkMmx, checkSse, SHADOW_STACK } from "./helpers";
import { x87Reg, x87Mem } from "./x87";
import { mmxOp } from "./mmx";
import { sseOp } from "./sse";
import { MODE_64, MODE_32 } from "./segments";
import * as O from "../ops";

const NEXT: u32 = O.OP_BYTES;

// @ts-ignore: decorator
@inline
function immediate<T>(p: usize): T {
  if (sizeof<T>() == 8) return <T>(<i64>load<i32>(p, 12));
  if (sizeof<T>() == 4) return <T>load<u32>(p, 12);
  if (sizeof<T>() == 2) return <T>load<u16>(p, 12);
  return <T>load<u8>(p, 12);
}
// Registers by the operand fields of a micro-op. The constant address is an immediate of the access itself.
// @ts-ignore: decorator
@inline
function getD<T>(p: usize): T {
  return load<T>(<usize>load<u8>(p, 2), REGS);
}
// @ts-ignore: decorator
@inline
function getS<T>(p: usize): T {
  return load<T>(<usize>load<u8>(p, 3), REGS);
}
// @ts-ignore: decorator
@inline
function storeD<T>(p: usize, v: T): void {
  store<T>(<usize>load<u8>(p, 2), v, REGS);
}
/** Register write: 32-bit results clear the upper half. */
// @ts-ignore: decorator
@inline
function putD<T>(p: usize, v: T): void {
  if (sizeof<T>() == 4) store<u64>(<usize>load<u8>(p, 2), <u64>v, REGS);
  else store<T>(<usize>load<u8>(p, 2), v, REGS);
}
// @ts-ignore: decorator
@inline
function putS<T>(p: usize, v: T): void {
  if (sizeof<T>() == 4) store<u64>(<usize>load<u8>(p, 3), <u64>v, REGS);
  else store<T>(<usize>load<u8>(p, 3), v, REGS);
}
// @ts-ignore: decorator
@inline
function addRegister<T>(p: usize, b: T): void {
  const a = getD<T>(p);
  const r: T = <T>(a + b);
  flagsAdd<T>(a, b, r);
  putD<T>(p, r);
}
// @ts-ignore: decorator
@inline
function addMemory<T>(p: usize, b: T): void {
  const at = ea(p);
  const host = hostWrite<T>(at);
  const a = host ? load<T>(host) : <T>loadForStoreSlow(at, sizeof<T>(), p);
  const r: T = <T>(a + b);
  if (host) store<T>(host, r);
  else storeSlow(at, sizeof<T>(), <u64>r, p);
  flagsAdd<T>(a, b, r);
}

// @ts-ignore: decorator
@inline
function orRegister<T>(p: usize, b: T): void {
  const a = getD<T>(p);
  const r: T = <T>(a | b);
  flagsLogic<T>(r);
  putD<T>(p, r);
}
// @ts-ignore: decorator
@inline
function orMemory<T>(p: usize, b: T): void {
  const at = ea(p);
  const host = hostWrite<T>(at);
  const a = host ? load<T>(host) : <T>loadForStoreSlow(at, sizeof<T>(), p);
  const r: T = <T>(a | b);
  if (host) store<T>(host, r);
  else storeSlow(at, sizeof<T>(), <u64>r, p);
  flagsLogic<T>(r);
}

// @ts-ignore: decorator
@inline
function adcRegister<T>(p: usize, b: T): void {
  const a = getD<T>(p);
  const r: T = <T>(a + b + <T>carry());
  flagsAdd<T>(a, b, r);
  putD<T>(p, r);
}
// @ts-ignore: decorator
@inline
function adcMemory<T>(p: usize, b: T): void {
  const at = ea(p);
  const host = hostWrite<T>(at);
  const a = host ? load<T>(host) : <T>loadForStoreSlow(at, sizeof<T>(), p);
  const r: T = <T>(a + b + <T>carry());
  if (host) store<T>(host, r);
  else storeSlow(at, sizeof<T>(), <u64>r, p);
  flagsAdd<T>(a, b, r);
}

// @ts-ignore: decorator
@inline
function sbbRegister<T>(p: usize, b: T): void {
  const a = getD<T>(p);
  const r: T = <T>(a - b - <T>carry());
  flagsSub<T>(a, b, r);
  putD<T>(p, r);
}
// @ts-ignore: decorator
@inline
function sbbMemory<T>(p: usize, b: T): void {
  const at = ea(p);
  const host = hostWrite<T>(at);
  const a = host ? load<T>(host) : <T>loadForStoreSlow(at, sizeof<T>(), p);
  const r: T = <T>(a - b - <T>carry());
  if (host) store<T>(host, r);
  else storeSlow(at, sizeof<T>(), <u64>r, p);
  flagsSub<T>(a, b, r);
}

// @ts-ignore: decorator
@inline
function andRegister<T>(p: usize, b: T): void {
  const a = getD<T>(p);
  const r: T = <T>(a & b);
  flagsLogic<T>(r);
  putD<T>(p, r);
}
// @ts-ignore: decorator
@inline
function andMemory<T>(p: usize, b: T): void {
  const at = ea(p);
  const host = hostWrite<T>(at);
  const a = host ? load<T>(host) : <T>loadForStoreSlow(at, sizeof<T>(), p);
  const r: T = <T>(a & b);
  if (host) store<T>(host, r);
  else storeSlow(at, sizeof<T>(), <u64>r, p);
  flagsLogic<T>(r);
}

// @ts-ignore: decorator
@inline
function subRegister<T>(p: usize, b: T): void {
  const a = getD<T>(p);
  const r: T = <T>(a - b);
  flagsSub<T>(a, b, r);
  putD<T>(p, r);
}
// @ts-ignore: decorator
@inline
function subMemory<T>(p: usize, b: T): void {
  const at = ea(p);
  const host = hostWrite<T>(at);
  const a = host ? load<T>(host) : <T>loadForStoreSlow(at, sizeof<T>(), p);
  const r: T = <T>(a - b);
  if (host) store<T>(host, r);
  else storeSlow(at, sizeof<T>(), <u64>r, p);
  flagsSub<T>(a, b, r);
}

// @ts-ignore: decorator
@inline
function xorRegister<T>(p: usize, b: T): void {
  const a = getD<T>(p);
  const r: T = <T>(a ^ b);
  flagsLogic<T>(r);
  putD<T>(p, r);
}
// @ts-ignore: decorator
@inline
function xorMemory<T>(p: usize, b: T): void {
  const at = ea(p);
  const host = hostWrite<T>(at);
  const a = host ? load<T>(host) : <T>loadForStoreSlow(at, sizeof<T>(), p);
  const r: T = <T>(a ^ b);
  if (host) store<T>(host, r);
  else storeSlow(at, sizeof<T>(), <u64>r, p);
  flagsLogic<T>(r);
}

// @ts-ignore: decorator
@inline
function incRegister<T>(p: usize): void {
  const a = getD<T>(p);
  const r: T = <T>(a + 1);
  flagsInc<T>(r);
  putD<T>(p, r);
}
// @ts-ignore: decorator
@inline
function incMemory<T>(p: usize): void {
  const at = ea(p);
  const host = hostWrite<T>(at);
  const a = host ? load<T>(host) : <T>loadForStoreSlow(at, sizeof<T>(), p);
  const r: T = <T>(a + 1);
  if (host) store<T>(host, r);
  else storeSlow(at, sizeof<T>(), <u64>r, p);
  flagsInc<T>(r);
}

// @ts-ignore: decorator
@inline
function decRegister<T>(p: usize): void {
  const a = getD<T>(p);
  const r: T = <T>(a - 1);
  flagsDec<T>(r);
  putD<T>(p, r);
}
// @ts-ignore: decorator
@inline
function decMemory<T>(p: usize): void {
  const at = ea(p);
  const host = hostWrite<T>(at);
  const a = host ? load<T>(host) : <T>loadForStoreSlow(at, sizeof<T>(), p);
  const r: T = <T>(a - 1);
  if (host) store<T>(host, r);
  else storeSlow(at, sizeof<T>(), <u64>r, p);
  flagsDec<T>(r);
}

// @ts-ignore: decorator
@inline
function negRegister<T>(p: usize): void {
  const a = getD<T>(p);
  const r: T = <T>(0 - a);
  flagsSub<T>(0, a, r);
  putD<T>(p, r);
}
// @ts-ignore: decorator
@inline
function negMemory<T>(p: usize): void {
  const at = ea(p);
  const host = hostWrite<T>(at);
  const a = host ? load<T>(host) : <T>loadForStoreSlow(at, sizeof<T>(), p);
  const r: T = <T>(0 - a);
  if (host) store<T>(host, r);
  else storeSlow(at, sizeof<T>(), <u64>r, p);
  flagsSub<T>(0, a, r);
}

// @ts-ignore: decorator
@inline
function notRegister<T>(p: usize): void {
  const a = getD<T>(p);
  const r: T = <T>(~a);
  
  putD<T>(p, r);
}
// @ts-ignore: decorator
@inline
function notMemory<T>(p: usize): void {
  const at = ea(p);
  const host = hostWrite<T>(at);
  const a = host ? load<T>(host) : <T>loadForStoreSlow(at, sizeof<T>(), p);
  const r: T = <T>(~a);
  if (host) store<T>(host, r);
  else storeSlow(at, sizeof<T>(), <u64>r, p);
  
}

// @ts-ignore: decorator
@inline
function compare<T>(a: T, b: T): void {
  flagsSub<T>(a, b, <T>(a - b));
}
// @ts-ignore: decorator
@inline
function multiply<T>(p: usize, a: T, b: T): void {
  if (sizeof<T>() == 4) {
    const r = <i64>(<i32>a) * <i64>(<i32>b);
    const c: u64 = <i64>(<i32>r) != r ? 1 : 0;
    flagsResultCarry(notZero(<i64>(<i32>r)), c, c);
    storeD<u64>(p, <u64>r & 0xffffffff);
  } else {
    const high = multiplyHighSigned(<i64>a, <i64>b);
    const r = <i64>a * <i64>b;
    const c: u64 = high != r >> 63 ? 1 : 0;
    flagsResultCarry(notZero(r), c, c);
    storeD<i64>(p, r);
  }
}
// @ts-ignore: decorator
@inline
function shiftLeft<T>(p: usize): void {
  const a = getD<T>(p);
  const n = <T>load<u8>(p, 12);
  const r: T = <T>(a << n);
  const top = <T>(sizeof<T>() * 8 - 1);
  const cf = <u64>((a >> (top - n + 1)) & 1);
  putD<T>(p, r);
  flagsResultCarry(sizeof<T>() == 4 ? <i64>(<i32>r) : <i64>r, cf, <u64>((a >> top) ^ (a >> (top - 1)) & 1));
}
// @ts-ignore: decorator
@inline
function shiftRight<T>(p: usize): void {
  const a = getD<T>(p);
  const n = <T>load<u8>(p, 12);
  const r: T = <T>(a >> n);
  const top = <T>(sizeof<T>() * 8 - 1);
  const cf = <u64>((a >> (n - 1)) & 1);
  putD<T>(p, r);
  flagsResultCarry(sizeof<T>() == 4 ? <i64>(<i32>r) : <i64>r, cf, <u64>(a >> top));
}
// @ts-ignore: decorator
@inline
function shiftArithmetic<T>(p: usize): void {
  const a = sizeof<T>() == 4 ? <i64>getD<i32>(p) : getD<i64>(p);
  const n = <i64>load<u8>(p, 12);
  const r = a >> n;
  putD<T>(p, <T>r);
  flagsResultCarry(r, <u64>(a >> (n - 1)) & 1, 0);
}
// @ts-ignore: decorator
@inline
function rotate<T>(p: usize, left: bool): void {
  const a = getD<T>(p);
  const n = <T>load<u8>(p, 12);
  const top = <T>(sizeof<T>() * 8 - 1);
  const r: T = left ? rotl<T>(a, n) : rotr<T>(a, n);
  putD<T>(p, r);
  const high = <u64>(r >> top) & 1;
  // By an immediate other than 1 OF is undefined by the manual; Intel CPUs leave it alone.
  if (<u64>n != 1) setCarry(left ? <u64>r & 1 : high);
  else if (left) setCarryOverflow(<u64>r & 1, high ^ (<u64>r & 1));
  else setCarryOverflow(high, high ^ (<u64>(r >> (top - 1)) & 1));
}

// ---- micro-ops that compiled code leaves to the interpreter: guest registers and flags are in memory, CURSOR is set ----

/** OP_SSE, OP_X87, OP_MMX and OP_EA. */
export function runVector(p: usize): void {
  const imm = load<u32>(p, 12);
  const inMemory: u32 = imm & 0x10000 ? 0 : 1;
  switch (<u32>load<u16>(p)) {
    case O.OP_SSE:
      checkSse();
      sseOp(load<u32>(p, 20), load<u8>(p, 2), load<u8>(p, 3), inMemory, ea(p), imm & 0xff, imm >> 8 & 3);
      return;
    case O.OP_X87:
      checkFpu();
      if (inMemory) x87Mem(imm & 7, imm >> 8 & 0xff, ea(p), imm >> 20);
      else x87Reg(imm & 7, imm >> 8 & 0xff);
      return;
    case O.OP_MMX:
      checkMmx();
      mmxOp(load<u32>(p, 20), load<u8>(p, 2), load<u8>(p, 3), inMemory, ea(p), imm & 0xff, imm >> 8 & 3);
      return;
    default: computeAddress(p);
  }
}
/** CF and OF of a signed product of 64 bits. */
export function multiplyOverflows(a: i64, b: i64): u32 {
  return multiplyHighSigned(a, b) != (a * b) >> 63 ? 1 : 0;
}

/**
 * The flags of compiled code, from their form (SITE_FLAGS in bits), operands and result (upper parts zero), carry, or FLAG_RESULT and FLAG_AUX as they were.
 * Forms: 0 as they were, 1 add, 2 sub (their result follows from a and b), 3 logic, 4 inc, 5 dec (a: CF), 6 shl, 7 shr, 8 sar, 9 imul of 32 bits (a: product), 10 of 64 bits, 11 adc, 12 sbb.
 */
export function settleFlags(bits: u64, a: u64, b: u64, r: u64, oc: u64, result: u64, aux: u64): void {
  const form = <u32>(bits >> SITE_FLAGS) & 15;
  if (form != 0) {
    const width: u64 = <u64>8 << (bits >> (SITE_FLAGS + 4) & 3);
    const count = bits >> (SITE_FLAGS + 6) & 63;
    const top = width - 1;
    if (form < 3) r = (form == 1 ? a + b : a - b) & ~<u64>0 >> (64 - width);
    result = <u64>(<i64>(r << (64 - width)) >> (64 - width));
    let cf: u64 = 0;
    let overflow: u64 = 0;
    aux = 0;
    switch (form) {
      case 1: case 11: aux = (a & b) | ((a | b) & ~r); break;
      case 2: case 12: aux = (b & r) | ((b | r) & ~a); break;
      case 3: break;
      case 4: cf = a; overflow = <u64>(r == <u64>1 << top); aux = <u64>((r & 15) == 0) << 3; break;
      case 5: cf = a; overflow = <u64>(r == (<u64>1 << top) - 1); aux = <u64>((r & 15) == 15) << 3; break;
      case 6: cf = a >> (width - count) & 1; overflow = (a >> top ^ a >> (top - 1)) & 1; break;
      case 7: cf = a >> (count - 1) & 1; overflow = a >> top; break;
      case 8: cf = a >> (count - 1) & 1; break;
      case 9: aux = <u64>(a != <u64>(<i64>(a << 32) >> 32)) << 63; break;
      default: aux = <u64>multiplyOverflows(<i64>a, <i64>b) << 63;
    }
    if (form < 3 || form > 10) aux = ((aux & <u64>3 << (width - 2)) << (64 - width)) | (aux & 8);
    else if (form < 9) aux |= cf << 63 | (cf ^ overflow) << 62;
    else if (r == 0) result = 0x100;
  }
  // OF stays.
  if (bits >> (SITE_FLAGS + 12) & 1) aux = (aux & 0x3fffffffffffffff) | oc << 63 | ((aux >> 63 ^ aux >> 62) & 1 ^ oc) << 62;
  store<u64>(FLAG_RESULT, result);
  store<u64>(FLAG_AUX, aux);
}
/** CF of compiled code, 0 or 1, from the same (FLAG_AUX is needed, FLAG_RESULT is not). */
export function carryOf(bits: u64, a: u64, b: u64, r: u64, oc: u64, aux: u64): u64 {
  if (bits >> (SITE_FLAGS + 12) & 1) return oc;
  const top: u64 = (<u64>8 << (bits >> (SITE_FLAGS + 4) & 3)) - 1;
  const count = bits >> (SITE_FLAGS + 6) & 63;
  switch (<u32>(bits >> SITE_FLAGS) & 15) {
    case 0: return aux >> 63;
    case 1: return <u64>((a + b & ~<u64>0 >> (63 - top)) < a);
    case 2: return <u64>(a < b);
    case 11: return ((a & b) | ((a | b) & ~r)) >> top & 1;
    case 12: return ((b & r) | ((b | r) & ~a)) >> top & 1;
    case 3: return 0;
    case 4: case 5: return a;
    case 6: return a >> (top + 1 - count) & 1;
    case 7: case 8: return a >> (count - 1) & 1;
    case 9: return <u64>(a != <u64>(<i64>(a << 32) >> 32));
    default: return <u64>multiplyOverflows(<i64>a, <i64>b);
  }
}
/** What the flags follow from after compiled code was left, as SITE_FLAGS; 0: they are in FLAG_RESULT and FLAG_AUX. */
function pendingFlags(site: u64): u64 {
  return (site & SETTLED) != 0 ? site & FLAGS_BITS : 0;
}
/** Computes them: whoever but compiled code reads flags finds them in FLAG_RESULT and FLAG_AUX. */
function settlePending(bits: u64): void {
  settleFlags(bits, load<u64>(JIT_FLAGS), load<u64>(JIT_FLAGS, 8), load<u64>(JIT_FLAGS, 16), load<u64>(JIT_FLAGS, 24), load<u64>(FLAG_RESULT), load<u64>(FLAG_AUX));
}
/** The form of the flags, and whether CF is apart. */
const SETTLED: u64 = <u64>0x100f << SITE_FLAGS;
const FLAGS_BITS: u64 = <u64>0x1fff << SITE_FLAGS;

/**
 * Micro-ops that take less than a thousandth of what runs in any phase of the benchmark (test/performance). They are out of run(), because V8 gives a function of more than 8192 virtual registers to an
 * allocator that keeps what lives across basic blocks on the stack: with all of them in run(), every micro-op stored and loaded `p`.
 */
function runRare(p: usize): void {
  switch (<u32>load<u16>(p)) {
    case O.ADD_RR8: addRegister<u8>(p, getS<u8>(p)); return;
    case O.ADD_RR16: addRegister<u16>(p, getS<u16>(p)); return;
    case O.ADD_RI8: addRegister<u8>(p, immediate<u8>(p)); return;
    case O.ADD_RM8: addRegister<u8>(p, mload<u8>(ea(p), p)); return;
    case O.ADD_RM16: addRegister<u16>(p, mload<u16>(ea(p), p)); return;
    case O.ADD_MR8: addMemory<u8>(p, getS<u8>(p)); return;
    case O.ADD_MR16: addMemory<u16>(p, getS<u16>(p)); return;
    case O.ADD_MR32: addMemory<u32>(p, getS<u32>(p)); return;
    case O.ADD_MI8: addMemory<u8>(p, immediate<u8>(p)); return;
    case O.ADD_MI16: addMemory<u16>(p, immediate<u16>(p)); return;
    case O.OR_RR8: orRegister<u8>(p, getS<u8>(p)); return;
    case O.OR_RR16: orRegister<u16>(p, getS<u16>(p)); return;
    case O.OR_RI8: orRegister<u8>(p, immediate<u8>(p)); return;
    case O.OR_RI16: orRegister<u16>(p, immediate<u16>(p)); return;
    case O.OR_RI64: orRegister<u64>(p, immediate<u64>(p)); return;
    case O.OR_RM8: orRegister<u8>(p, mload<u8>(ea(p), p)); return;
    case O.OR_RM16: orRegister<u16>(p, mload<u16>(ea(p), p)); return;
    case O.OR_RM64: orRegister<u64>(p, mload<u64>(ea(p), p)); return;
    case O.OR_MR8: orMemory<u8>(p, getS<u8>(p)); return;
    case O.OR_MR16: orMemory<u16>(p, getS<u16>(p)); return;
    case O.OR_MR32: orMemory<u32>(p, getS<u32>(p)); return;
    case O.OR_MR64: orMemory<u64>(p, getS<u64>(p)); return;
    case O.OR_MI8: orMemory<u8>(p, immediate<u8>(p)); return;
    case O.OR_MI16: orMemory<u16>(p, immediate<u16>(p)); return;
    case O.OR_MI32: orMemory<u32>(p, immediate<u32>(p)); return;
    case O.OR_MI64: orMemory<u64>(p, immediate<u64>(p)); return;
    case O.ADC_RR8: adcRegister<u8>(p, getS<u8>(p)); return;
    case O.ADC_RR16: adcRegister<u16>(p, getS<u16>(p)); return;
    case O.ADC_RR32: adcRegister<u32>(p, getS<u32>(p)); return;
    case O.ADC_RR64: adcRegister<u64>(p, getS<u64>(p)); return;
    case O.ADC_RI8: adcRegister<u8>(p, immediate<u8>(p)); return;
    case O.ADC_RI16: adcRegister<u16>(p, immediate<u16>(p)); return;
    case O.ADC_RI32: adcRegister<u32>(p, immediate<u32>(p)); return;
    case O.ADC_RI64: adcRegister<u64>(p, immediate<u64>(p)); return;
    case O.ADC_RM8: adcRegister<u8>(p, mload<u8>(ea(p), p)); return;
    case O.ADC_RM16: adcRegister<u16>(p, mload<u16>(ea(p), p)); return;
    case O.ADC_RM32: adcRegister<u32>(p, mload<u32>(ea(p), p)); return;
    case O.ADC_RM64: adcRegister<u64>(p, mload<u64>(ea(p), p)); return;
    case O.ADC_MR8: adcMemory<u8>(p, getS<u8>(p)); return;
    case O.ADC_MR16: adcMemory<u16>(p, getS<u16>(p)); return;
    case O.ADC_MR32: adcMemory<u32>(p, getS<u32>(p)); return;
    case O.ADC_MR64: adcMemory<u64>(p, getS<u64>(p)); return;
    case O.ADC_MI8: adcMemory<u8>(p, immediate<u8>(p)); return;
    case O.ADC_MI16: adcMemory<u16>(p, immediate<u16>(p)); return;
    case O.ADC_MI32: adcMemory<u32>(p, immediate<u32>(p)); return;
    case O.ADC_MI64: adcMemory<u64>(p, immediate<u64>(p)); return;
    case O.SBB_RR8: sbbRegister<u8>(p, getS<u8>(p)); return;
    case O.SBB_RR16: sbbRegister<u16>(p, getS<u16>(p)); return;
    case O.SBB_RI8: sbbRegister<u8>(p, immediate<u8>(p)); return;
    case O.SBB_RI16: sbbRegister<u16>(p, immediate<u16>(p)); return;
    case O.SBB_RI32: sbbRegister<u32>(p, immediate<u32>(p)); return;
    case O.SBB_RI64: sbbRegister<u64>(p, immediate<u64>(p)); return;
    case O.SBB_RM8: sbbRegister<u8>(p, mload<u8>(ea(p), p)); return;
    case O.SBB_RM16: sbbRegister<u16>(p, mload<u16>(ea(p), p)); return;
    case O.SBB_RM32: sbbRegister<u32>(p, mload<u32>(ea(p), p)); return;
    case O.SBB_RM64: sbbRegister<u64>(p, mload<u64>(ea(p), p)); return;
    case O.SBB_MR8: sbbMemory<u8>(p, getS<u8>(p)); return;
    case O.SBB_MR16: sbbMemory<u16>(p, getS<u16>(p)); return;
    case O.SBB_MR32: sbbMemory<u32>(p, getS<u32>(p)); return;
    case O.SBB_MR64: sbbMemory<u64>(p, getS<u64>(p)); return;
    case O.SBB_MI8: sbbMemory<u8>(p, immediate<u8>(p)); return;
    case O.SBB_MI16: sbbMemory<u16>(p, immediate<u16>(p)); return;
    case O.SBB_MI32: sbbMemory<u32>(p, immediate<u32>(p)); return;
    case O.SBB_MI64: sbbMemory<u64>(p, immediate<u64>(p)); return;
    case O.AND_RR8: andRegister<u8>(p, getS<u8>(p)); return;
    case O.AND_RR16: andRegister<u16>(p, getS<u16>(p)); return;
    case O.AND_RM8: andRegister<u8>(p, mload<u8>(ea(p), p)); return;
    case O.AND_RM16: andRegister<u16>(p, mload<u16>(ea(p), p)); return;
    case O.AND_MR8: andMemory<u8>(p, getS<u8>(p)); return;
    case O.AND_MR16: andMemory<u16>(p, getS<u16>(p)); return;
    case O.AND_MR32: andMemory<u32>(p, getS<u32>(p)); return;
    case O.AND_MR64: andMemory<u64>(p, getS<u64>(p)); return;
    case O.AND_MI8: andMemory<u8>(p, immediate<u8>(p)); return;
    case O.AND_MI16: andMemory<u16>(p, immediate<u16>(p)); return;
    case O.AND_MI64: andMemory<u64>(p, immediate<u64>(p)); return;
    case O.SUB_RR8: subRegister<u8>(p, getS<u8>(p)); return;
    case O.SUB_RR16: subRegister<u16>(p, getS<u16>(p)); return;
    case O.SUB_RI8: subRegister<u8>(p, immediate<u8>(p)); return;
    case O.SUB_RI16: subRegister<u16>(p, immediate<u16>(p)); return;
    case O.SUB_RM8: subRegister<u8>(p, mload<u8>(ea(p), p)); return;
    case O.SUB_RM16: subRegister<u16>(p, mload<u16>(ea(p), p)); return;
    case O.SUB_RM32: subRegister<u32>(p, mload<u32>(ea(p), p)); return;
    case O.SUB_MR8: subMemory<u8>(p, getS<u8>(p)); return;
    case O.SUB_MR16: subMemory<u16>(p, getS<u16>(p)); return;
    case O.SUB_MR32: subMemory<u32>(p, getS<u32>(p)); return;
    case O.SUB_MI8: subMemory<u8>(p, immediate<u8>(p)); return;
    case O.SUB_MI16: subMemory<u16>(p, immediate<u16>(p)); return;
    case O.SUB_MI64: subMemory<u64>(p, immediate<u64>(p)); return;
    case O.XOR_RR16: xorRegister<u16>(p, getS<u16>(p)); return;
    case O.XOR_RI8: xorRegister<u8>(p, immediate<u8>(p)); return;
    case O.XOR_RI16: xorRegister<u16>(p, immediate<u16>(p)); return;
    case O.XOR_RI32: xorRegister<u32>(p, immediate<u32>(p)); return;
    case O.XOR_RI64: xorRegister<u64>(p, immediate<u64>(p)); return;
    case O.XOR_RM8: xorRegister<u8>(p, mload<u8>(ea(p), p)); return;
    case O.XOR_RM16: xorRegister<u16>(p, mload<u16>(ea(p), p)); return;
    case O.XOR_MR8: xorMemory<u8>(p, getS<u8>(p)); return;
    case O.XOR_MR16: xorMemory<u16>(p, getS<u16>(p)); return;
    case O.XOR_MR32: xorMemory<u32>(p, getS<u32>(p)); return;
    case O.XOR_MR64: xorMemory<u64>(p, getS<u64>(p)); return;
    case O.XOR_MI8: xorMemory<u8>(p, immediate<u8>(p)); return;
    case O.XOR_MI16: xorMemory<u16>(p, immediate<u16>(p)); return;
    case O.XOR_MI32: xorMemory<u32>(p, immediate<u32>(p)); return;
    case O.XOR_MI64: xorMemory<u64>(p, immediate<u64>(p)); return;
    case O.TEST_MR8: flagsLogic<u8>(mload<u8>(ea(p), p) & getS<u8>(p)); return;
    case O.MOV_RR8: putD<u8>(p, getS<u8>(p)); return;
    case O.MOV_RI8: putD<u8>(p, immediate<u8>(p)); return;
    case O.CMP_RM16: compare<u16>(getD<u16>(p), mload<u16>(ea(p), p)); return;
    case O.CMP_MR16: compare<u16>(mload<u16>(ea(p), p), getS<u16>(p)); return;
    case O.CMP_MI16: compare<u16>(mload<u16>(ea(p), p), immediate<u16>(p)); return;
    case O.TEST_RR16: flagsLogic<u16>(getD<u16>(p) & getS<u16>(p)); return;
    case O.TEST_RI16: flagsLogic<u16>(getD<u16>(p) & immediate<u16>(p)); return;
    case O.TEST_MR16: flagsLogic<u16>(mload<u16>(ea(p), p) & getS<u16>(p)); return;
    case O.TEST_MI16: flagsLogic<u16>(mload<u16>(ea(p), p) & immediate<u16>(p)); return;
    case O.MOV_RR16: putD<u16>(p, getS<u16>(p)); return;
    case O.MOV_RI16: putD<u16>(p, immediate<u16>(p)); return;
    case O.MOV_MI16: mstore<u16>(ea(p), immediate<u16>(p), p); return;
    case O.TEST_MR32: flagsLogic<u32>(mload<u32>(ea(p), p) & getS<u32>(p)); return;
    case O.TEST_MR64: flagsLogic<u64>(mload<u64>(ea(p), p) & getS<u64>(p)); return;
    case O.MOVZX_R8_16: storeD<u16>(p, <u16>getS<u8>(p)); return;
    case O.MOVZX_M8_16: storeD<u16>(p, <u16>mload<u8>(ea(p), p)); return;
    case O.MOVSX_R8_16: storeD<u16>(p, <u16>(<i16>getS<i8>(p))); return;
    case O.MOVSX_M8_16: storeD<u16>(p, <u16>(<i16>(<i8>mload<u8>(ea(p), p)))); return;
    case O.MOVSX_M8_32: storeD<u64>(p, <u64>(<u32>(<i32>(<i8>mload<u8>(ea(p), p))))); return;
    case O.MOVZX_R8_64: storeD<u64>(p, <u64>getS<u8>(p)); return;
    case O.MOVZX_M8_64: storeD<u64>(p, <u64>mload<u8>(ea(p), p)); return;
    case O.MOVSX_R8_64: storeD<u64>(p, <u64>(<i64>getS<i8>(p))); return;
    case O.MOVSX_M8_64: storeD<u64>(p, <u64>(<i64>(<i8>mload<u8>(ea(p), p)))); return;
    case O.MOVZX_R16_16: storeD<u16>(p, <u16>getS<u16>(p)); return;
    case O.MOVZX_M16_16: storeD<u16>(p, <u16>mload<u16>(ea(p), p)); return;
    case O.MOVSX_R16_16: storeD<u16>(p, <u16>(<i16>getS<i16>(p))); return;
    case O.MOVSX_M16_16: storeD<u16>(p, <u16>(<i16>(<i16>mload<u16>(ea(p), p)))); return;
    case O.MOVZX_R16_32: storeD<u64>(p, <u64>getS<u16>(p)); return;
    case O.MOVSX_R16_32: storeD<u64>(p, <u64>(<u32>(<i32>getS<i16>(p)))); return;
    case O.MOVSX_M16_32: storeD<u64>(p, <u64>(<u32>(<i32>(<i16>mload<u16>(ea(p), p))))); return;
    case O.MOVZX_R16_64: storeD<u64>(p, <u64>getS<u16>(p)); return;
    case O.MOVZX_M16_64: storeD<u64>(p, <u64>mload<u16>(ea(p), p)); return;
    case O.MOVSX_R16_64: storeD<u64>(p, <u64>(<i64>getS<i16>(p))); return;
    case O.MOVSX_M16_64: storeD<u64>(p, <u64>(<i64>(<i16>mload<u16>(ea(p), p)))); return;
    case O.MOVZX_R32_16: storeD<u16>(p, <u16>getS<u32>(p)); return;
    case O.MOVZX_M32_16: storeD<u16>(p, <u16>mload<u32>(ea(p), p)); return;
    case O.MOVSX_R32_16: storeD<u16>(p, <u16>(<i16>getS<i32>(p))); return;
    case O.MOVSX_M32_16: storeD<u16>(p, <u16>(<i16>(<i32>mload<u32>(ea(p), p)))); return;
    case O.MOVZX_R32_32: storeD<u64>(p, <u64>getS<u32>(p)); return;
    case O.MOVZX_M32_32: storeD<u64>(p, <u64>mload<u32>(ea(p), p)); return;
    case O.MOVSX_R32_32: storeD<u64>(p, <u64>(<u32>(<i32>getS<i32>(p)))); return;
    case O.MOVSX_M32_32: storeD<u64>(p, <u64>(<u32>(<i32>(<i32>mload<u32>(ea(p), p))))); return;
    case O.MOVZX_R32_64: storeD<u64>(p, <u64>getS<u32>(p)); return;
    case O.MOVZX_M32_64: storeD<u64>(p, <u64>mload<u32>(ea(p), p)); return;
    case O.LEA_16: storeD<u16>(p, <u16>ea(p)); return;
    case O.INC_R8: incRegister<u8>(p); return;
    case O.INC_R16: incRegister<u16>(p); return;
    case O.INC_M8: incMemory<u8>(p); return;
    case O.DEC_R8: decRegister<u8>(p); return;
    case O.DEC_R16: decRegister<u16>(p); return;
    case O.DEC_M8: decMemory<u8>(p); return;
    case O.DEC_M16: decMemory<u16>(p); return;
    case O.DEC_M64: decMemory<u64>(p); return;
    case O.NEG_R8: negRegister<u8>(p); return;
    case O.NEG_R16: negRegister<u16>(p); return;
    case O.NEG_R64: negRegister<u64>(p); return;
    case O.NEG_M8: negMemory<u8>(p); return;
    case O.NEG_M16: negMemory<u16>(p); return;
    case O.NEG_M32: negMemory<u32>(p); return;
    case O.NEG_M64: negMemory<u64>(p); return;
    case O.NOT_R8: notRegister<u8>(p); return;
    case O.NOT_R16: notRegister<u16>(p); return;
    case O.NOT_M8: notMemory<u8>(p); return;
    case O.NOT_M16: notMemory<u16>(p); return;
    case O.NOT_M32: notMemory<u32>(p); return;
    case O.NOT_M64: notMemory<u64>(p); return;
    case O.SHR_RC32: shiftByCl(5, p, 2); return;
    case O.IMUL_RR32: multiply<u32>(p, getD<u32>(p), getS<u32>(p)); return;
    case O.IMUL_RM32: multiply<u32>(p, getD<u32>(p), mload<u32>(ea(p), p)); return;
    case O.IMUL_RRI32: multiply<u32>(p, getS<u32>(p), immediate<u32>(p)); return;
    case O.IMUL_RMI32: multiply<u32>(p, mload<u32>(ea(p), p), immediate<u32>(p)); return;
    case O.XCHG_RR32: {
      const a = getD<u32>(p);
      const b = getS<u32>(p);
      putD<u32>(p, b);
      putS<u32>(p, a);
      return;
    }
    case O.XADD_MR32: {
      const at = ea(p);
      const host = hostWrite<u32>(at);
      const a = host ? load<u32>(host) : <u32>loadForStoreSlow(at, sizeof<u32>(), p);
      const b = getS<u32>(p);
      const r: u32 = a + b;
      if (host) store<u32>(host, r);
      else storeSlow(at, sizeof<u32>(), <u64>r, p);
      putS<u32>(p, a);
      flagsAdd<u32>(a, b, r);
      return;
    }
    case O.BT_RR32: setCarry(<u64>(getD<u32>(p) >> (getS<u32>(p) & (sizeof<u32>() * 8 - 1))) & 1); return;
    case O.ROR_RI64: rotate<u64>(p, false); return;
    case O.SHL_RC64: shiftByCl(4, p, 3); return;
    case O.SAR_RC64: shiftByCl(7, p, 3); return;
    case O.IMUL_RM64: multiply<u64>(p, getD<u64>(p), mload<u64>(ea(p), p)); return;
    case O.IMUL_RRI64: multiply<u64>(p, getS<u64>(p), immediate<u64>(p)); return;
    case O.IMUL_RMI64: multiply<u64>(p, mload<u64>(ea(p), p), immediate<u64>(p)); return;
    case O.CMOV_RM64: {
      const v = mload<u64>(ea(p), p);
      if (condition(load<u8>(p, 20))) putD<u64>(p, v);
      return;
    }
    case O.BSWAP64: putD<u64>(p, bswap<u64>(getD<u64>(p))); return;
    case O.CMPXCHG_MR64: store<u32>(CURSOR, <u32>p); compareExchange(p, true, 3); return;
    case O.XADD_MR64: {
      const at = ea(p);
      const host = hostWrite<u64>(at);
      const a = host ? load<u64>(host) : <u64>loadForStoreSlow(at, sizeof<u64>(), p);
      const b = getS<u64>(p);
      const r: u64 = a + b;
      if (host) store<u64>(host, r);
      else storeSlow(at, sizeof<u64>(), <u64>r, p);
      putS<u64>(p, a);
      flagsAdd<u64>(a, b, r);
      return;
    }
    case O.BT_RI64: setCarry(<u64>(getD<u64>(p) >> immediate<u64>(p)) & 1); return;
    case O.BT_RR64: setCarry(<u64>(getD<u64>(p) >> (getS<u64>(p) & (sizeof<u64>() * 8 - 1))) & 1); return;
    case O.SET_R_O: storeD<u8>(p, ccO() ? 1 : 0); return;
    case O.SET_R_NO: storeD<u8>(p, !ccO() ? 1 : 0); return;
    case O.SET_R_B: storeD<u8>(p, ccB() ? 1 : 0); return;
    case O.SET_R_AE: storeD<u8>(p, !ccB() ? 1 : 0); return;
    case O.SET_R_BE: storeD<u8>(p, ccBE() ? 1 : 0); return;
    case O.SET_R_A: storeD<u8>(p, !ccBE() ? 1 : 0); return;
    case O.SET_R_S: storeD<u8>(p, ccS() ? 1 : 0); return;
    case O.SET_R_NS: storeD<u8>(p, !ccS() ? 1 : 0); return;
    case O.SET_R_P: storeD<u8>(p, ccP() ? 1 : 0); return;
    case O.SET_R_NP: storeD<u8>(p, !ccP() ? 1 : 0); return;
    case O.SET_R_L: storeD<u8>(p, ccL() ? 1 : 0); return;
    case O.SET_R_GE: storeD<u8>(p, !ccL() ? 1 : 0); return;
    case O.SET_R_LE: storeD<u8>(p, ccLE() ? 1 : 0); return;
    case O.SET_R_G: storeD<u8>(p, !ccLE() ? 1 : 0); return;
    case O.CWDE: store<u64>(REGS, <u64>(<u32>(<i32>load<i16>(REGS)))); return;
    case O.CQO: store<i64>(REGS + 16, load<i64>(REGS) >> 63); return;
    case O.CDQ: store<u64>(REGS + 16, <u64>(<u32>(load<i32>(REGS) >> 31))); return;
    default: unreachable();
  }
}

/** Executes until LIMIT, HLT, shutdown or a request. Returns EXIT_*. */
export function run(): u32 {
  while (true) {
    // ---- full check, at an instruction boundary: BLOCK is 0, RIP and ICOUNT are exact ----
    if (load<u32>(EXIT)) {
      const why = load<u32>(EXIT);
      store<u32>(EXIT, 0);
      return why;
    }
    if (load<u32>(DEBUG_PENDING) != 0 && load<u32>(INTR_SHADOW) != SHADOW_STACK) debugTrap();
    const shadow = load<u32>(INTR_SHADOW);
    if (load<u32>(INTR) != 0 && shadow == 0 && (load<u64>(FLAGS) & IF) != 0) {
      const vector = hostAcknowledge();
      if (vector >= 0) deliverInterrupt(<u32>vector);
      continue;
    }
    if (load<u32>(HALTED)) return EXIT_HLT;
    const limit = load<u64>(LIMIT);
    const icount = load<u64>(ICOUNT);
    if (icount >= limit) return EXIT_LIMIT;
    if ((load<u32>(MODE) & (MODE_64 | MODE_32)) == 0) return EXIT_UNSUPPORTED;
    let stopAt = limit;
    let block: u32;
    const rip = load<u64>(RIP);
    const single = shadow != 0 || (load<u64>(FLAGS) & TF) != 0 || (load<u64>(DR7) & 0xff) != 0;
    const alone = single || load<u32>(ISOLATE) != 0;
    // RF matters to instruction breakpoints only, and there are none: it goes with the instruction that starts here.
    if (!single && (load<u64>(FLAGS) & RF) != 0) store<u64>(FLAGS, load<u64>(FLAGS) & ~RF);
    if (alone) {
      if (single && shadow != SHADOW_STACK && instructionBreakpoint(rip)) continue;
      takeEnd();
      block = decodeScratch(rip, 1);
      // No other block fits. But the next instruction is fetched, so that a fault of that comes before or after what happens at the limit as it does where this one is not isolated: an observer leaves no trace.
      stopAt = single ? 0 : 1;
    } else {
      block = lookUp(rip);
      const left = limit - icount;
      if (<u64>load<u16>(block, 10) > left) block = decodeScratch(rip, <u32>left);
    }
    store<u64>(STOP_AT, stopAt);
    store<u64>(REGS + (REG_PAGE << 3), rip & 0xfffffffffffff000);
    const trap = (load<u64>(FLAGS) & TF) != 0;

    // ---- chained blocks ----
    let pending: u64 = 0;
    while (true) {
      const compiled = load<u32>(block, BLOCK_COMPILED);
      let p: usize = 0;
      if (compiled > 1) {
        const retired = load<u64>(ICOUNT);
        store<u64>(JIT_FLAGS, pending, 32);
        const site = call_indirect<u64>(compiled >>> 16, compiled & 0xffff);
        pending = pendingFlags(site);
        const kind = <u32>site & SITE_KIND;
        if (kind == SITE_BEFORE) {
          const before = <u32>(site >> SITE_BLOCK);
          store<u64>(ICOUNT, load<u64>(ICOUNT) - <u64>load<u16>(before, 10));
          store<u64>(RIP, load<u64>(REGS + (REG_PAGE << 3)) + <u64>(load<u32>(before, 4) & 4095));
        } else if (site & SITE_RELATIVE) store<u64>(RIP, load<u64>(REGS + (REG_PAGE << 3)) + (site >> SITE_OFFSET) - 0x80000000);
        store<u64>(JIT_RETIRED, load<u64>(JIT_RETIRED) + load<u64>(ICOUNT) - retired);
        store<u64>(JIT_VISITS, load<u64>(JIT_VISITS) + 1);
        if (kind == SITE_RESUME) {
          if (pending != 0) settlePending(pending);
          pending = 0;
          block = <u32>(site >> SITE_BLOCK);
          p = block + HEADER + (<u32>(site >> SITE_OP) & 1023) * NEXT;
        } else {
          if (kind == SITE_GO_ON && load<u64>(STOP_AT) != 0) {
            const rip = load<u64>(RIP);
            let next = lookUpKnown(rip);
            if (next == 0) {
              // This may raise a fault, which shows the flags.
              if (pending != 0) settlePending(pending);
              pending = 0;
              next = lookUp(rip);
            }
            if (site & SITE_VERIFY) verified(load<u32>(JIT_CELL), rip, next);
            if (load<u64>(ICOUNT) + <u64>load<u16>(next, 10) <= load<u64>(STOP_AT)) {
              store<u64>(REGS + (REG_PAGE << 3), rip & 0xfffffffffffff000);
              block = next;
              continue;
            }
          }
          if (pending != 0) settlePending(pending);
          break;
        }
      } else {
        if (pending != 0) settlePending(pending);
        pending = 0;
        const heat = load<u32>(block, BLOCK_HEAT) + 1;
        store<u32>(block, heat, BLOCK_HEAT);
        if (heat == load<u32>(JIT_THRESHOLD)) {
          hostHotBlock(block);
          if (load<u32>(block, BLOCK_COMPILED) > 1) continue;
        }
        store<u64>(ICOUNT, load<u64>(ICOUNT) + <u64>load<u16>(block, 10));
        p = block + HEADER;
      }
      store<u32>(BLOCK, block);
      let target: u64 = 0;
      // 0 fall through to `offset`, 1 branch to `target`, 2 RIP is set, 3 next instruction, full check
      let leave: u32 = 0;
      let offset: u32 = 0;
      let linkAt: u32 = 16;
      while (true) {
        switch (<u32>load<u16>(p)) {
          case O.OP_END: offset = load<u32>(p, 20); leave = 0; linkAt = 16; break;
          case O.OP_HELP: store<u32>(CURSOR, <u32>p); helper(load<u32>(p, 20), p); p += NEXT; continue;
          case O.OP_HELP_END: store<u32>(CURSOR, <u32>p); helper(load<u32>(p, 20), p); leave = 3; break;
          case O.OP_HELP_JUMP: store<u32>(CURSOR, <u32>p); helper(load<u32>(p, 20), p); leave = 2; break;
          case O.OP_EA: store<u32>(CURSOR, <u32>p); computeAddress(p); p += NEXT; continue;
          case O.OP_NOP: p += NEXT; continue;
          case O.OP_OBSERVE:
            store<u32>(CURSOR, <u32>p);
            if (hostObserve(load<u32>(p, 12))) stopHere();
            p += NEXT;
            continue;
          case O.OP_SSE: {
            store<u32>(CURSOR, <u32>p);
            checkSse();
            const imm = load<u32>(p, 12);
            const inMemory: u32 = imm & 0x10000 ? 0 : 1;
            sseOp(load<u32>(p, 20), load<u8>(p, 2), load<u8>(p, 3), inMemory, ea(p), imm & 0xff, imm >> 8 & 3);
            p += NEXT;
            continue;
          }
          case O.OP_X87: {
            store<u32>(CURSOR, <u32>p);
            checkFpu();
            const imm = load<u32>(p, 12);
            if (imm & 0x10000) x87Reg(imm & 7, imm >> 8 & 0xff);
            else x87Mem(imm & 7, imm >> 8 & 0xff, ea(p), imm >> 20);
            p += NEXT;
            continue;
          }
          case O.OP_MMX: {
            store<u32>(CURSOR, <u32>p);
            checkMmx();
            const imm = load<u32>(p, 12);
            const inMemory: u32 = imm & 0x10000 ? 0 : 1;
            mmxOp(load<u32>(p, 20), load<u8>(p, 2), load<u8>(p, 3), inMemory, ea(p), imm & 0xff, imm >> 8 & 3);
            p += NEXT;
            continue;
          }


          case O.ADD_RR32: addRegister<u32>(p, getS<u32>(p)); p += NEXT; continue;
          case O.ADD_RR64: addRegister<u64>(p, getS<u64>(p)); p += NEXT; continue;
          case O.ADD_RI16: addRegister<u16>(p, immediate<u16>(p)); p += NEXT; continue;
          case O.ADD_RI32: addRegister<u32>(p, immediate<u32>(p)); p += NEXT; continue;
          case O.ADD_RI64: addRegister<u64>(p, immediate<u64>(p)); p += NEXT; continue;
          case O.ADD_RM32: addRegister<u32>(p, mload<u32>(ea(p), p)); p += NEXT; continue;
          case O.ADD_RM64: addRegister<u64>(p, mload<u64>(ea(p), p)); p += NEXT; continue;
          case O.ADD_MR64: addMemory<u64>(p, getS<u64>(p)); p += NEXT; continue;
          case O.ADD_MI32: addMemory<u32>(p, immediate<u32>(p)); p += NEXT; continue;
          case O.ADD_MI64: addMemory<u64>(p, immediate<u64>(p)); p += NEXT; continue;

          case O.OR_RR32: orRegister<u32>(p, getS<u32>(p)); p += NEXT; continue;
          case O.OR_RR64: orRegister<u64>(p, getS<u64>(p)); p += NEXT; continue;
          case O.OR_RI32: orRegister<u32>(p, immediate<u32>(p)); p += NEXT; continue;
          case O.OR_RM32: orRegister<u32>(p, mload<u32>(ea(p), p)); p += NEXT; continue;

          case O.SBB_RR32: sbbRegister<u32>(p, getS<u32>(p)); p += NEXT; continue;
          case O.SBB_RR64: sbbRegister<u64>(p, getS<u64>(p)); p += NEXT; continue;

          case O.AND_RR32: andRegister<u32>(p, getS<u32>(p)); p += NEXT; continue;
          case O.AND_RR64: andRegister<u64>(p, getS<u64>(p)); p += NEXT; continue;
          case O.AND_RI8: andRegister<u8>(p, immediate<u8>(p)); p += NEXT; continue;
          case O.AND_RI16: andRegister<u16>(p, immediate<u16>(p)); p += NEXT; continue;
          case O.AND_RI32: andRegister<u32>(p, immediate<u32>(p)); p += NEXT; continue;
          case O.AND_RI64: andRegister<u64>(p, immediate<u64>(p)); p += NEXT; continue;
          case O.AND_RM32: andRegister<u32>(p, mload<u32>(ea(p), p)); p += NEXT; continue;
          case O.AND_RM64: andRegister<u64>(p, mload<u64>(ea(p), p)); p += NEXT; continue;
          case O.AND_MI32: andMemory<u32>(p, immediate<u32>(p)); p += NEXT; continue;

          case O.SUB_RR32: subRegister<u32>(p, getS<u32>(p)); p += NEXT; continue;
          case O.SUB_RR64: subRegister<u64>(p, getS<u64>(p)); p += NEXT; continue;
          case O.SUB_RI32: subRegister<u32>(p, immediate<u32>(p)); p += NEXT; continue;
          case O.SUB_RI64: subRegister<u64>(p, immediate<u64>(p)); p += NEXT; continue;
          case O.SUB_RM64: subRegister<u64>(p, mload<u64>(ea(p), p)); p += NEXT; continue;
          case O.SUB_MR64: subMemory<u64>(p, getS<u64>(p)); p += NEXT; continue;
          case O.SUB_MI32: subMemory<u32>(p, immediate<u32>(p)); p += NEXT; continue;

          case O.XOR_RR8: xorRegister<u8>(p, getS<u8>(p)); p += NEXT; continue;
          case O.XOR_RR32: xorRegister<u32>(p, getS<u32>(p)); p += NEXT; continue;
          case O.XOR_RR64: xorRegister<u64>(p, getS<u64>(p)); p += NEXT; continue;
          case O.XOR_RM32: xorRegister<u32>(p, mload<u32>(ea(p), p)); p += NEXT; continue;
          case O.XOR_RM64: xorRegister<u64>(p, mload<u64>(ea(p), p)); p += NEXT; continue;

          case O.CMP_RR8: compare<u8>(getD<u8>(p), getS<u8>(p)); p += NEXT; continue;
          case O.CMP_RI8: compare<u8>(getD<u8>(p), immediate<u8>(p)); p += NEXT; continue;
          case O.CMP_RM8: compare<u8>(getD<u8>(p), mload<u8>(ea(p), p)); p += NEXT; continue;
          case O.CMP_MR8: compare<u8>(mload<u8>(ea(p), p), getS<u8>(p)); p += NEXT; continue;
          case O.CMP_MI8: compare<u8>(mload<u8>(ea(p), p), immediate<u8>(p)); p += NEXT; continue;
          case O.TEST_RR8: flagsLogic<u8>(getD<u8>(p) & getS<u8>(p)); p += NEXT; continue;
          case O.TEST_RI8: flagsLogic<u8>(getD<u8>(p) & immediate<u8>(p)); p += NEXT; continue;
          case O.TEST_MI8: flagsLogic<u8>(mload<u8>(ea(p), p) & immediate<u8>(p)); p += NEXT; continue;
          case O.MOV_RM8: putD<u8>(p, mload<u8>(ea(p), p)); p += NEXT; continue;
          case O.MOV_MR8: mstore<u8>(ea(p), getS<u8>(p), p); p += NEXT; continue;
          case O.MOV_MI8: mstore<u8>(ea(p), immediate<u8>(p), p); p += NEXT; continue;
          case O.CMP_RR16: compare<u16>(getD<u16>(p), getS<u16>(p)); p += NEXT; continue;
          case O.CMP_RI16: compare<u16>(getD<u16>(p), immediate<u16>(p)); p += NEXT; continue;
          case O.MOV_RM16: putD<u16>(p, mload<u16>(ea(p), p)); p += NEXT; continue;
          case O.MOV_MR16: mstore<u16>(ea(p), getS<u16>(p), p); p += NEXT; continue;
          case O.CMP_RR32: compare<u32>(getD<u32>(p), getS<u32>(p)); p += NEXT; continue;
          case O.CMP_RI32: compare<u32>(getD<u32>(p), immediate<u32>(p)); p += NEXT; continue;
          case O.CMP_RM32: compare<u32>(getD<u32>(p), mload<u32>(ea(p), p)); p += NEXT; continue;
          case O.CMP_MR32: compare<u32>(mload<u32>(ea(p), p), getS<u32>(p)); p += NEXT; continue;
          case O.CMP_MI32: compare<u32>(mload<u32>(ea(p), p), immediate<u32>(p)); p += NEXT; continue;
          case O.TEST_RR32: flagsLogic<u32>(getD<u32>(p) & getS<u32>(p)); p += NEXT; continue;
          case O.TEST_RI32: flagsLogic<u32>(getD<u32>(p) & immediate<u32>(p)); p += NEXT; continue;
          case O.TEST_MI32: flagsLogic<u32>(mload<u32>(ea(p), p) & immediate<u32>(p)); p += NEXT; continue;
          case O.MOV_RR32: putD<u32>(p, getS<u32>(p)); p += NEXT; continue;
          case O.MOV_RI32: putD<u32>(p, immediate<u32>(p)); p += NEXT; continue;
          case O.MOV_RM32: putD<u32>(p, mload<u32>(ea(p), p)); p += NEXT; continue;
          case O.MOV_MR32: mstore<u32>(ea(p), getS<u32>(p), p); p += NEXT; continue;
          case O.MOV_MI32: mstore<u32>(ea(p), immediate<u32>(p), p); p += NEXT; continue;
          case O.CMP_RR64: compare<u64>(getD<u64>(p), getS<u64>(p)); p += NEXT; continue;
          case O.CMP_RI64: compare<u64>(getD<u64>(p), immediate<u64>(p)); p += NEXT; continue;
          case O.CMP_RM64: compare<u64>(getD<u64>(p), mload<u64>(ea(p), p)); p += NEXT; continue;
          case O.CMP_MR64: compare<u64>(mload<u64>(ea(p), p), getS<u64>(p)); p += NEXT; continue;
          case O.CMP_MI64: compare<u64>(mload<u64>(ea(p), p), immediate<u64>(p)); p += NEXT; continue;
          case O.TEST_RR64: flagsLogic<u64>(getD<u64>(p) & getS<u64>(p)); p += NEXT; continue;
          case O.TEST_RI64: flagsLogic<u64>(getD<u64>(p) & immediate<u64>(p)); p += NEXT; continue;
          case O.TEST_MI64: flagsLogic<u64>(mload<u64>(ea(p), p) & immediate<u64>(p)); p += NEXT; continue;
          case O.MOV_RR64: putD<u64>(p, getS<u64>(p)); p += NEXT; continue;
          case O.MOV_RI64: putD<u64>(p, immediate<u64>(p)); p += NEXT; continue;
          case O.MOV_RM64: putD<u64>(p, mload<u64>(ea(p), p)); p += NEXT; continue;
          case O.MOV_MR64: mstore<u64>(ea(p), getS<u64>(p), p); p += NEXT; continue;
          case O.MOV_MI64: mstore<u64>(ea(p), immediate<u64>(p), p); p += NEXT; continue;

          case O.MOVZX_R8_32: storeD<u64>(p, <u64>getS<u8>(p)); p += NEXT; continue;
          case O.MOVZX_M8_32: storeD<u64>(p, <u64>mload<u8>(ea(p), p)); p += NEXT; continue;
          case O.MOVSX_R8_32: storeD<u64>(p, <u64>(<u32>(<i32>getS<i8>(p)))); p += NEXT; continue;
          case O.MOVZX_M16_32: storeD<u64>(p, <u64>mload<u16>(ea(p), p)); p += NEXT; continue;
          case O.MOVSX_R32_64: storeD<u64>(p, <u64>(<i64>getS<i32>(p))); p += NEXT; continue;
          case O.MOVSX_M32_64: storeD<u64>(p, <u64>(<i64>(<i32>mload<u32>(ea(p), p)))); p += NEXT; continue;

          case O.MOV_RI64_WIDE: storeD<u64>(p, <u64>load<u32>(p, 12) | <u64>load<u32>(p, 20) << 32); p += NEXT; continue;
          case O.LEA_32: storeD<u64>(p, ea(p) & 0xffffffff); p += NEXT; continue;
          case O.LEA_64: storeD<u64>(p, ea(p)); p += NEXT; continue;
          case O.PUSH_R64: {
            const at = load<u64>(REGS + 32) - 8;
            mstore<u64>(at, getS<u64>(p), p);
            store<u64>(REGS + 32, at);
            p += NEXT; continue;
          }
          case O.PUSH_I64: {
            const at = load<u64>(REGS + 32) - 8;
            mstore<u64>(at, immediate<u64>(p), p);
            store<u64>(REGS + 32, at);
            p += NEXT; continue;
          }
          case O.PUSH_M64: {
            const at = load<u64>(REGS + 32) - 8;
            mstore<u64>(at, mload<u64>(ea(p), p), p);
            store<u64>(REGS + 32, at);
            p += NEXT; continue;
          }
          case O.POP_R64: {
            const at = load<u64>(REGS + 32);
            const v = mload<u64>(at, p);
            store<u64>(REGS + 32, at + 8);
            storeD<u64>(p, v);
            p += NEXT; continue;
          }
          case O.INC_R32: incRegister<u32>(p); p += NEXT; continue;
          case O.INC_R64: incRegister<u64>(p); p += NEXT; continue;
          case O.INC_M16: incMemory<u16>(p); p += NEXT; continue;
          case O.INC_M32: incMemory<u32>(p); p += NEXT; continue;
          case O.INC_M64: incMemory<u64>(p); p += NEXT; continue;
          case O.DEC_R32: decRegister<u32>(p); p += NEXT; continue;
          case O.DEC_R64: decRegister<u64>(p); p += NEXT; continue;
          case O.DEC_M32: decMemory<u32>(p); p += NEXT; continue;
          case O.NEG_R32: negRegister<u32>(p); p += NEXT; continue;
          case O.NOT_R32: notRegister<u32>(p); p += NEXT; continue;
          case O.NOT_R64: notRegister<u64>(p); p += NEXT; continue;
          case O.SHL_RI32: shiftLeft<u32>(p); p += NEXT; continue;
          case O.SHR_RI32: shiftRight<u32>(p); p += NEXT; continue;
          case O.SAR_RI32: shiftArithmetic<u32>(p); p += NEXT; continue;
          case O.ROL_RI32: rotate<u32>(p, true); p += NEXT; continue;
          case O.ROR_RI32: rotate<u32>(p, false); p += NEXT; continue;
          case O.SHL_RC32: shiftByCl(4, p, 2); p += NEXT; continue;
          case O.SAR_RC32: shiftByCl(7, p, 2); p += NEXT; continue;
          case O.CMOV_RR32: if (condition(load<u8>(p, 20))) putD<u32>(p, getS<u32>(p)); else putD<u32>(p, getD<u32>(p)); p += NEXT; continue;
          case O.CMOV_RM32: {
            const v = mload<u32>(ea(p), p);
            if (condition(load<u8>(p, 20))) putD<u32>(p, v);
            else putD<u32>(p, getD<u32>(p));
            p += NEXT; continue;
          }
          case O.BSWAP32: putD<u32>(p, bswap<u32>(getD<u32>(p))); p += NEXT; continue;
          case O.CMPXCHG_MR32: store<u32>(CURSOR, <u32>p); compareExchange(p, true, 2); p += NEXT; continue;
          case O.BT_RI32: setCarry(<u64>(getD<u32>(p) >> immediate<u32>(p)) & 1); p += NEXT; continue;
          case O.SHL_RI64: shiftLeft<u64>(p); p += NEXT; continue;
          case O.SHR_RI64: shiftRight<u64>(p); p += NEXT; continue;
          case O.SAR_RI64: shiftArithmetic<u64>(p); p += NEXT; continue;
          case O.ROL_RI64: rotate<u64>(p, true); p += NEXT; continue;
          case O.SHR_RC64: shiftByCl(5, p, 3); p += NEXT; continue;
          case O.IMUL_RR64: multiply<u64>(p, getD<u64>(p), getS<u64>(p)); p += NEXT; continue;
          case O.CMOV_RR64: if (condition(load<u8>(p, 20))) putD<u64>(p, getS<u64>(p)); p += NEXT; continue;
          case O.XCHG_RR64: {
            const a = getD<u64>(p);
            const b = getS<u64>(p);
            putD<u64>(p, b);
            putS<u64>(p, a);
            p += NEXT; continue;
          }
          case O.SET_R_Z: storeD<u8>(p, ccZ() ? 1 : 0); p += NEXT; continue;
          case O.SET_R_NZ: storeD<u8>(p, !ccZ() ? 1 : 0); p += NEXT; continue;
          case O.JO: offset = load<u32>(p, 20); if (ccO()) { offset += load<u32>(p, 12); linkAt = 20; } leave = 0; break;
          case O.JNO: offset = load<u32>(p, 20); if (!ccO()) { offset += load<u32>(p, 12); linkAt = 20; } leave = 0; break;
          case O.JB: offset = load<u32>(p, 20); if (ccB()) { offset += load<u32>(p, 12); linkAt = 20; } leave = 0; break;
          case O.JAE: offset = load<u32>(p, 20); if (!ccB()) { offset += load<u32>(p, 12); linkAt = 20; } leave = 0; break;
          case O.JZ: offset = load<u32>(p, 20); if (ccZ()) { offset += load<u32>(p, 12); linkAt = 20; } leave = 0; break;
          case O.JNZ: offset = load<u32>(p, 20); if (!ccZ()) { offset += load<u32>(p, 12); linkAt = 20; } leave = 0; break;
          case O.JBE: offset = load<u32>(p, 20); if (ccBE()) { offset += load<u32>(p, 12); linkAt = 20; } leave = 0; break;
          case O.JA: offset = load<u32>(p, 20); if (!ccBE()) { offset += load<u32>(p, 12); linkAt = 20; } leave = 0; break;
          case O.JS: offset = load<u32>(p, 20); if (ccS()) { offset += load<u32>(p, 12); linkAt = 20; } leave = 0; break;
          case O.JNS: offset = load<u32>(p, 20); if (!ccS()) { offset += load<u32>(p, 12); linkAt = 20; } leave = 0; break;
          case O.JP: offset = load<u32>(p, 20); if (ccP()) { offset += load<u32>(p, 12); linkAt = 20; } leave = 0; break;
          case O.JNP: offset = load<u32>(p, 20); if (!ccP()) { offset += load<u32>(p, 12); linkAt = 20; } leave = 0; break;
          case O.JL: offset = load<u32>(p, 20); if (ccL()) { offset += load<u32>(p, 12); linkAt = 20; } leave = 0; break;
          case O.JGE: offset = load<u32>(p, 20); if (!ccL()) { offset += load<u32>(p, 12); linkAt = 20; } leave = 0; break;
          case O.JLE: offset = load<u32>(p, 20); if (ccLE()) { offset += load<u32>(p, 12); linkAt = 20; } leave = 0; break;
          case O.JG: offset = load<u32>(p, 20); if (!ccLE()) { offset += load<u32>(p, 12); linkAt = 20; } leave = 0; break;
          case O.JMP: offset = load<u32>(p, 20) + load<u32>(p, 12); linkAt = 20; leave = 0; break;
          case O.CALL64: {
            const page = load<u64>(REGS + (REG_PAGE << 3));
            const at = load<u64>(REGS + 32) - 8;
            mstore<u64>(at, page + <u64>load<u32>(p, 20), p);
            offset = load<u32>(p, 20) + load<u32>(p, 12);
            store<u64>(REGS + 32, at);
            linkAt = 20;
            leave = 0;
            break;
          }
          case O.RET64: {
            const at = load<u64>(REGS + 32);
            target = mload<u64>(at, p);
            store<u32>(CURSOR, <u32>p);
            canonical(target);
            store<u64>(REGS + 32, at + 8);
            leave = 1;
            break;
          }
          case O.RET64_I: {
            const at = load<u64>(REGS + 32);
            target = mload<u64>(at, p);
            store<u32>(CURSOR, <u32>p);
            canonical(target);
            store<u64>(REGS + 32, at + 8 + <u64>load<u32>(p, 12));
            leave = 1;
            break;
          }
          case O.JMP_R64: target = getS<u64>(p); store<u32>(CURSOR, <u32>p); canonical(target); leave = 1; break;
          case O.JMP_M64: target = mload<u64>(ea(p), p); store<u32>(CURSOR, <u32>p); canonical(target); leave = 1; break;
          case O.CALL_R64: case O.CALL_M64: {
            target = <u32>load<u16>(p) == O.CALL_R64 ? getS<u64>(p) : mload<u64>(ea(p), p);
            // The push comes before the check of the target, as on Intel CPUs: its bytes stay when the check faults.
            const at = load<u64>(REGS + 32) - 8;
            mstore<u64>(at, load<u64>(REGS + (REG_PAGE << 3)) + <u64>(<u32>load<u16>(p, 16) + <u32>load<u8>(p, 18)), p);
            store<u32>(CURSOR, <u32>p);
            canonical(target);
            store<u64>(REGS + 32, at);
            leave = 1;
            break;
          }
          case O.CDQE: store<i64>(REGS, <i64>load<i32>(REGS)); p += NEXT; continue;
          case O.LEAVE64: {
            const at = load<u64>(REGS + 40);
            const v = mload<u64>(at, p);
            store<u64>(REGS + 32, at + 8);
            store<u64>(REGS + 40, v);
            p += NEXT; continue;
          }
          case O.SSE_MOVAPS_RM: {
            store<u32>(CURSOR, <u32>p);
            checkSse();
            const at = ea(p);
            if (at & 15) raiseError(13, 0);
            const v = ld128(at);
            v128.store((<usize>load<u8>(p, 2) << 1) + XMM, v);
            p += NEXT; continue;
          }
          case O.SSE_MOVAPS_MR: {
            store<u32>(CURSOR, <u32>p);
            checkSse();
            const at = ea(p);
            if (at & 15) raiseError(13, 0);
            st128(at, v128.load((<usize>load<u8>(p, 2) << 1) + XMM));
            p += NEXT; continue;
          }
          case O.SSE_MOVUPS_RM: {
            store<u32>(CURSOR, <u32>p);
            checkSse();
            const v = ld128(ea(p));
            v128.store((<usize>load<u8>(p, 2) << 1) + XMM, v);
            p += NEXT; continue;
          }
          case O.SSE_MOVUPS_MR:
            store<u32>(CURSOR, <u32>p);
            checkSse();
            st128(ea(p), v128.load((<usize>load<u8>(p, 2) << 1) + XMM));
            p += NEXT; continue;
          default: runRare(p); p += NEXT; continue;
        }
        break;
      }

      // ---- leaving the block ----
      if (leave == 0) {
        if (offset < 4096 && load<u64>(STOP_AT) != 0) {
          let next = load<u32>(block + linkAt);
          if (next == 0 || load<u32>(next, 12) != load<u32>(MODE)) {
            next = findInPage(offset, block);
            if (next != 0 && load<u16>(block, 8) + (load<u32>(block, 4) & 4095) <= 4096) store<u32>(block + linkAt, next);
          }
          if (next != 0 && load<u64>(ICOUNT) + <u64>load<u16>(next, 10) <= load<u64>(STOP_AT)) {
            block = next;
            continue;
          }
        }
        target = load<u64>(REGS + (REG_PAGE << 3)) + <u64>(<i64>(<i32>offset));
        leave = 1;
      }
      if (leave == 1) {
        store<u64>(RIP, target);
        store<u32>(BLOCK, 0);
        if (load<u64>(STOP_AT) != 0) {
          const next = lookUp(target);
          if (load<u64>(ICOUNT) + <u64>load<u16>(next, 10) <= load<u64>(STOP_AT)) {
            store<u64>(REGS + (REG_PAGE << 3), target & 0xfffffffffffff000);
            block = next;
            continue;
          }
        }
      } else {
        if (leave == 3) store<u64>(RIP, load<u64>(REGS + (REG_PAGE << 3)) + <u64>(<u32>load<u16>(p, 16) + <u32>load<u8>(p, 18)));
        store<u32>(BLOCK, 0);
      }
      break;
    }
    if (alone) afterSingle(trap, shadow);
  }
}

// @ts-ignore: decorator
@inline
function canonical(va: u64): void {
  if (<u64>((<i64>va << 16) >> 16) != va) raiseError(13, 0);
}

/** Instruction breakpoints come before the instruction, unless RF holds them off (SDM vol. 3B 17.2.4). True when one was delivered. */
function instructionBreakpoint(rip: u64): bool {
  const dr7 = load<u64>(DR7);
  if ((dr7 & 0xff) == 0 || (load<u64>(FLAGS) & RF) != 0) return false;
  let hit: u64 = 0;
  for (let i: u32 = 0; i < 4; i++) {
    if ((dr7 >> (i << 1) & 3) == 0 || (dr7 >> (16 + (i << 2)) & 3) != 0) continue;
    if (load<u64>(DR0 + (i << 3)) == rip) hit |= 1 << i;
  }
  if (hit == 0) return false;
  store<u64>(DR6, (load<u64>(DR6) & ~<u64>15) | hit);
  store<u32>(ISOLATE, 0);
  deliverTrap(1);
  return true;
}

/** What the end of a single instruction owes: the interrupt shadow goes, TF and data breakpoints trap. */
function afterSingle(trap: bool, shadow: u32): void {
  store<u32>(ISOLATE, 0);
  if (shadow) store<u32>(INTR_SHADOW, 0);
  const how = takeEnd();
  if ((how & END_KEEPS_RF) == 0) store<u64>(FLAGS, load<u64>(FLAGS) & ~RF);
  // MOV SS and POP SS hold off the trap, and it does not come later (SDM vol. 3A 6.8.3).
  if (trap && (how & END_NO_TRAP) == 0 && load<u32>(INTR_SHADOW) != SHADOW_STACK) store<u32>(DEBUG_PENDING, load<u32>(DEBUG_PENDING) | 0x4000);
}

/** #DB after an instruction. */
function debugTrap(): void {
  const pending = <u64>load<u32>(DEBUG_PENDING);
  store<u32>(DEBUG_PENDING, 0);
  store<u64>(DR6, (load<u64>(DR6) & ~<u64>15) | pending);
  deliverTrap(1);
}

/**
 * What every SSE instruction needs: its operands, MXCSR and #XM, and the lazy flags.
 *
 * Everything here that can fault (loads, stores, #GP for misalignment, #XM) is called before an instruction changes a register.
 */
import { CR4, FLAG_AUX, FLAG_RESULT, MXCSR, REGS, XMM } from "../layout";
import { raise, raiseError } from "./exceptions";
import { ld128, ld32, ld64, st128 } from "./memory";
import { BEFORE, control, raised } from "./softfloat64";

/** CR4.OSXMMEXCPT */
const OSXMMEXCPT: u64 = 0x400;

/** Room for lanes with a variable index; holds nothing between instructions. */
export const SCRATCH: usize = memory.data(64, 16);

// @ts-ignore: decorator
@inline
export function getXmm(n: u32): v128 { return v128.load(XMM + (n << 4)); }
// @ts-ignore: decorator
@inline
export function setXmm(n: u32, value: v128): void { v128.store(XMM + (n << 4), value); }
// @ts-ignore: decorator
@inline
export function getXmm32(n: u32): u32 { return load<u32>(XMM + (n << 4)); }
// @ts-ignore: decorator
@inline
export function setXmm32(n: u32, value: u32): void { store<u32>(XMM + (n << 4), value); }
// @ts-ignore: decorator
@inline
export function getXmm64(n: u32): u64 { return load<u64>(XMM + (n << 4)); }
// @ts-ignore: decorator
@inline
export function setXmm64(n: u32, value: u64): void { store<u64>(XMM + (n << 4), value); }
// @ts-ignore: decorator
@inline
export function getXmmHigh(n: u32): u64 { return load<u64>(XMM + (n << 4), 8); }
// @ts-ignore: decorator
@inline
export function setXmmHigh(n: u32, value: u64): void { store<u64>(XMM + (n << 4), value, 8); }
/** A value of 64 bits above zeros, as the moves that clear the upper half leave it. */
// @ts-ignore: decorator
@inline
export function setXmmZero(n: u32, value: u64): void {
  store<u64>(XMM + (n << 4), value);
  store<u64>(XMM + (n << 4), 0, 8);
}
// @ts-ignore: decorator
@inline
export function getGpr(n: u32): u64 { return load<u64>(REGS + (n << 3)); }
/** A result of 32 bits clears the upper half: pass it as u64. */
// @ts-ignore: decorator
@inline
export function setGpr(n: u32, value: u64): void { store<u64>(REGS + (n << 3), value); }

/** A memory operand of 16 bytes must be aligned (SDM vol. 2 2.4, exception type 2 and 4 of legacy SSE). */
export function loadAligned(ea: u64): v128 {
  if ((<u32>ea & 15) != 0) raiseError(13, 0);
  return ld128(ea);
}
export function storeAligned(ea: u64, value: v128): void {
  if ((<u32>ea & 15) != 0) raiseError(13, 0);
  st128(ea, value);
}
/** xmm/m128 */
// @ts-ignore: decorator
@inline
export function operand128(rm: u32, isMem: u32, ea: u64): v128 { return isMem ? loadAligned(ea) : getXmm(rm); }
/** xmm/m64 */
// @ts-ignore: decorator
@inline
export function operand64(rm: u32, isMem: u32, ea: u64): u64 { return isMem ? ld64(ea) : getXmm64(rm); }
/** xmm/m32 */
// @ts-ignore: decorator
@inline
export function operand32(rm: u32, isMem: u32, ea: u64): u32 { return isMem ? ld32(ea) : getXmm32(rm); }

/** Gives the exceptions of the finished computation to MXCSR, or raises #XM before anything else has changed. */
export function finish(): void {
  if (raised != 0) report();
}
function report(): void {
  const unmasked = ~(control >> 7);
  if ((raised & BEFORE & unmasked) != 0) {
    store<u32>(MXCSR, control | (raised & BEFORE));
    raiseSimd();
  }
  store<u32>(MXCSR, control | raised);
  if ((raised & unmasked) != 0) raiseSimd();
}
/** #XM, or #UD when the system has not said that it knows #XM. */
function raiseSimd(): void {
  raise((load<u64>(CR4) & OSXMMEXCPT) != 0 ? 19 : 6);
}

/** Any set of arithmetic flags in the form of the lazy ones; AF is always cleared by SSE. */
export function setFlags(zf: bool, pf: bool, cf: bool, sf: bool = false, overflow: bool = false): void {
  // Result 0 means ZF, SF clear and PF set; result 1 means all three clear. The corrections do the rest.
  store<u64>(FLAG_RESULT, zf ? 0 : 1);
  store<u64>(FLAG_AUX, (<u64>cf << 63) | (<u64>(cf != overflow) << 62) | (<u64>(pf != zf) << 1) | <u64>sf);
}

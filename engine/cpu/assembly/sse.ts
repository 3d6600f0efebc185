/**
 * SSE, SSE2, SSE3, SSSE3, SSE4.1 and SSE4.2 on XMM registers (SDM vol. 2; vol. 1 chapters 10 to 12).
 *
 *   decoder ── sseExists, sseHasImm8 ──► interpreter ── sseOp ──► one function for each map and prefix ──► one case
 *
 * Every case follows one order: read the operands (may fault), compute, finish() (may raise #XM), write. So an instruction that
 * faults has changed nothing but what hardware changes too: with #XM the sticky flags of MXCSR, and MMX state for the conversions to mm.
 *
 * Edit here for which instruction does what; sse-integer.ts, sse-float.ts, sse-string.ts and softfloat64.ts for how; sse-decode.ts
 * for which encodings exist.
 */
import { FPR, MXCSR, XMM } from "../layout";
import { raise, raiseError } from "./exceptions";
import { ld128, ld16, ld32, ld64, ld8, probeWrite, st128, st16, st32, st64, st8 } from "./memory";
import { mmxEnter } from "./mmx";
import {
  EQUAL, LESS, UNORDERED, ZERO, arithmetic32, arithmetic64, begin, compare32, compare64, f32ToF64, f32ToI32, f32ToI64, f64ToF32,
  f64ToI32, f64ToI64, i32ToF32, i64ToF32, i64ToF64, predicate32, predicate64, reciprocal32, reciprocalRoot32, round32, round64,
  roundingControl, SQRT, sqrt32, sqrt64
} from "./softfloat64";
import * as F from "./sse-float";
import * as I from "./sse-integer";
import { pcmpstr } from "./sse-string";
import {
  finish, getGpr, getXmm, getXmm32, getXmm64, getXmmHigh, operand128, operand32, operand64, setFlags, setGpr, setXmm, setXmm32, setXmm64,
  setXmmHigh, setXmmZero, storeAligned
} from "./sse-operands";

export { sseExists, sseHasImm8 } from "./sse-decode";
export { setFlags } from "./sse-operands";

const REX_W: u32 = 1;

/** LDMXCSR, after its load: bits 31:16 are reserved (SDM vol. 1 10.2.3). */
export function ldmxcsr(value: u32): void {
  if ((value & 0xffff0000) != 0) raiseError(13, 0);
  store<u32>(MXCSR, value);
}

/**
 * Inlined: a WebAssembly call with seven arguments costs as much as a simple case does.
 *
 * Executes one instruction that sseExists knows. id is (map << 10) | (prefix << 8) | opcode; reg and rm are register numbers 0 to 15,
 * ea the linear address of a memory operand; flags bit 0 = REX.W, bit 1 = 64-bit mode.
 */
// @ts-ignore: decorator
@inline
export function sseOp(id: u32, reg: u32, rm: u32, isMem: u32, ea: u64, imm: u32, flags: u32): void {
  const opcode = id & 0xff;
  switch (id >> 8) {
    case 0: plain(opcode, reg, rm, isMem, ea, imm, flags); return;
    case 1:
      if (opcode < 0x60) double(opcode, reg, rm, isMem, ea);
      else integer(opcode, reg, rm, isMem, ea, imm, flags);
      return;
    case 2: prefixF3(opcode, reg, rm, isMem, ea, imm, flags); return;
    case 3: prefixF2(opcode, reg, rm, isMem, ea, imm, flags); return;
    case 5: map38(opcode, reg, rm, isMem, ea); return;
    case 9: map3a(opcode, reg, rm, isMem, ea, imm, flags); return;
    default: raise(6);
  }
}

// @ts-ignore: decorator
@inline
function zeroExtended(value: u64): v128 { return i64x2.replace_lane(i64x2.splat(0), 0, <i64>value); }
// @ts-ignore: decorator
@inline
function low64(a: v128): u64 { return <u64>i64x2.extract_lane(a, 0); }
// @ts-ignore: decorator
@inline
function high64(a: v128): u64 { return <u64>i64x2.extract_lane(a, 1); }

/** 0F with 66, opcodes 60 to FE: the integer instructions. */
function integer(opcode: u32, reg: u32, rm: u32, isMem: u32, ea: u64, imm: u32, flags: u32): void {
  let r: v128;
  // A case that breaks leaves the new value of xmm[reg] in r.
  switch (opcode) {
    case 0x60: r = operand128(rm, isMem, ea); r = v128.shuffle<u8>(getXmm(reg), r, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23); break;
    case 0x61: r = operand128(rm, isMem, ea); r = v128.shuffle<u16>(getXmm(reg), r, 0, 8, 1, 9, 2, 10, 3, 11); break;
    case 0x62: r = operand128(rm, isMem, ea); r = v128.shuffle<u32>(getXmm(reg), r, 0, 4, 1, 5); break;
    case 0x63: r = operand128(rm, isMem, ea); r = i8x16.narrow_i16x8_s(getXmm(reg), r); break;
    case 0x64: r = operand128(rm, isMem, ea); r = i8x16.gt_s(getXmm(reg), r); break;
    case 0x65: r = operand128(rm, isMem, ea); r = i16x8.gt_s(getXmm(reg), r); break;
    case 0x66: r = operand128(rm, isMem, ea); r = i32x4.gt_s(getXmm(reg), r); break;
    case 0x67: r = operand128(rm, isMem, ea); r = i8x16.narrow_i16x8_u(getXmm(reg), r); break;
    case 0x68: r = operand128(rm, isMem, ea); r = v128.shuffle<u8>(getXmm(reg), r, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31); break;
    case 0x69: r = operand128(rm, isMem, ea); r = v128.shuffle<u16>(getXmm(reg), r, 4, 12, 5, 13, 6, 14, 7, 15); break;
    case 0x6a: r = operand128(rm, isMem, ea); r = v128.shuffle<u32>(getXmm(reg), r, 2, 6, 3, 7); break;
    case 0x6b: r = operand128(rm, isMem, ea); r = i16x8.narrow_i32x4_s(getXmm(reg), r); break;
    case 0x6c: r = operand128(rm, isMem, ea); r = v128.shuffle<u64>(getXmm(reg), r, 0, 2); break;
    case 0x6d: r = operand128(rm, isMem, ea); r = v128.shuffle<u64>(getXmm(reg), r, 1, 3); break;
    case 0x6e: // MOVD, MOVQ
      if ((flags & REX_W) != 0) setXmmZero(reg, isMem ? ld64(ea) : getGpr(rm));
      else setXmmZero(reg, <u64>(isMem ? ld32(ea) : <u32>getGpr(rm)));
      return;
    case 0x6f: r = operand128(rm, isMem, ea); break; // MOVDQA
    case 0x70: r = I.pshufd(operand128(rm, isMem, ea), imm); break;
    case 0x71: case 0x72: case 0x73: // the register is rm; reg says which shift
      setXmm(rm, I.shiftImmediate(opcode, reg, getXmm(rm), imm));
      return;
    case 0x74: r = operand128(rm, isMem, ea); r = i8x16.eq(getXmm(reg), r); break;
    case 0x75: r = operand128(rm, isMem, ea); r = i16x8.eq(getXmm(reg), r); break;
    case 0x76: r = operand128(rm, isMem, ea); r = i32x4.eq(getXmm(reg), r); break;
    case 0x7c: case 0x7d: // HADDPD HSUBPD
      r = operand128(rm, isMem, ea);
      begin();
      r = F.horizontal64(getXmm(reg), r, opcode == 0x7d);
      finish();
      break;
    case 0x7e: // MOVD, MOVQ
      if ((flags & REX_W) != 0) {
        if (isMem) st64(ea, getXmm64(reg));
        else setGpr(rm, getXmm64(reg));
      } else if (isMem) st32(ea, getXmm32(reg));
      else setGpr(rm, <u64>getXmm32(reg));
      return;
    case 0x7f: // MOVDQA
      if (isMem) storeAligned(ea, getXmm(reg));
      else setXmm(rm, getXmm(reg));
      return;
    case 0xc2: // CMPPD
      r = operand128(rm, isMem, ea);
      begin();
      r = F.compare64Packed(getXmm(reg), r, imm & 7);
      finish();
      break;
    case 0xc4: { // PINSRW
      const value = isMem ? ld16(ea) : <u32>getGpr(rm);
      store<u16>(XMM + (reg << 4) + ((imm & 7) << 1), <u16>value);
      return;
    }
    case 0xc5: // PEXTRW
      setGpr(reg, <u64>load<u16>(XMM + (rm << 4) + ((imm & 7) << 1)));
      return;
    case 0xc6: r = operand128(rm, isMem, ea); r = I.shufpd(getXmm(reg), r, imm); break;
    case 0xd0: // ADDSUBPD
      r = operand128(rm, isMem, ea);
      begin();
      r = F.alternate64(getXmm(reg), r);
      finish();
      break;
    case 0xd1: r = operand128(rm, isMem, ea); r = I.psrlw(getXmm(reg), low64(r)); break;
    case 0xd2: r = operand128(rm, isMem, ea); r = I.psrld(getXmm(reg), low64(r)); break;
    case 0xd3: r = operand128(rm, isMem, ea); r = I.psrlq(getXmm(reg), low64(r)); break;
    case 0xd4: r = operand128(rm, isMem, ea); r = i64x2.add(getXmm(reg), r); break;
    case 0xd5: r = operand128(rm, isMem, ea); r = i16x8.mul(getXmm(reg), r); break;
    case 0xd6: // MOVQ
      if (isMem) st64(ea, getXmm64(reg));
      else setXmmZero(rm, getXmm64(reg));
      return;
    case 0xd7: setGpr(reg, <u64><u32>i8x16.bitmask(getXmm(rm))); return; // PMOVMSKB
    case 0xd8: r = operand128(rm, isMem, ea); r = i8x16.sub_sat_u(getXmm(reg), r); break;
    case 0xd9: r = operand128(rm, isMem, ea); r = i16x8.sub_sat_u(getXmm(reg), r); break;
    case 0xda: r = operand128(rm, isMem, ea); r = i8x16.min_u(getXmm(reg), r); break;
    case 0xdb: r = operand128(rm, isMem, ea); r = v128.and(getXmm(reg), r); break;
    case 0xdc: r = operand128(rm, isMem, ea); r = i8x16.add_sat_u(getXmm(reg), r); break;
    case 0xdd: r = operand128(rm, isMem, ea); r = i16x8.add_sat_u(getXmm(reg), r); break;
    case 0xde: r = operand128(rm, isMem, ea); r = i8x16.max_u(getXmm(reg), r); break;
    case 0xdf: r = operand128(rm, isMem, ea); r = v128.andnot(r, getXmm(reg)); break;
    case 0xe0: r = operand128(rm, isMem, ea); r = i8x16.avgr_u(getXmm(reg), r); break;
    case 0xe1: r = operand128(rm, isMem, ea); r = I.psraw(getXmm(reg), low64(r)); break;
    case 0xe2: r = operand128(rm, isMem, ea); r = I.psrad(getXmm(reg), low64(r)); break;
    case 0xe3: r = operand128(rm, isMem, ea); r = i16x8.avgr_u(getXmm(reg), r); break;
    case 0xe4: r = operand128(rm, isMem, ea); r = I.pmulhuw(getXmm(reg), r); break;
    case 0xe5: r = operand128(rm, isMem, ea); r = I.pmulhw(getXmm(reg), r); break;
    case 0xe6: // CVTTPD2DQ
      r = operand128(rm, isMem, ea);
      begin();
      r = F.toIntegers64(r, ZERO);
      finish();
      break;
    case 0xe7: storeAligned(ea, getXmm(reg)); return; // MOVNTDQ
    case 0xe8: r = operand128(rm, isMem, ea); r = i8x16.sub_sat_s(getXmm(reg), r); break;
    case 0xe9: r = operand128(rm, isMem, ea); r = i16x8.sub_sat_s(getXmm(reg), r); break;
    case 0xea: r = operand128(rm, isMem, ea); r = i16x8.min_s(getXmm(reg), r); break;
    case 0xeb: r = operand128(rm, isMem, ea); r = v128.or(getXmm(reg), r); break;
    case 0xec: r = operand128(rm, isMem, ea); r = i8x16.add_sat_s(getXmm(reg), r); break;
    case 0xed: r = operand128(rm, isMem, ea); r = i16x8.add_sat_s(getXmm(reg), r); break;
    case 0xee: r = operand128(rm, isMem, ea); r = i16x8.max_s(getXmm(reg), r); break;
    case 0xef: r = operand128(rm, isMem, ea); r = v128.xor(getXmm(reg), r); break;
    case 0xf1: r = operand128(rm, isMem, ea); r = I.psllw(getXmm(reg), low64(r)); break;
    case 0xf2: r = operand128(rm, isMem, ea); r = I.pslld(getXmm(reg), low64(r)); break;
    case 0xf3: r = operand128(rm, isMem, ea); r = I.psllq(getXmm(reg), low64(r)); break;
    case 0xf4: r = operand128(rm, isMem, ea); r = I.pmuludq(getXmm(reg), r); break;
    case 0xf5: r = operand128(rm, isMem, ea); r = i32x4.dot_i16x8_s(getXmm(reg), r); break;
    case 0xf6: r = operand128(rm, isMem, ea); r = I.psadbw(getXmm(reg), r); break;
    case 0xf7: maskedStore(getXmm(reg), getXmm(rm), ea); return;
    case 0xf8: r = operand128(rm, isMem, ea); r = i8x16.sub(getXmm(reg), r); break;
    case 0xf9: r = operand128(rm, isMem, ea); r = i16x8.sub(getXmm(reg), r); break;
    case 0xfa: r = operand128(rm, isMem, ea); r = i32x4.sub(getXmm(reg), r); break;
    case 0xfb: r = operand128(rm, isMem, ea); r = i64x2.sub(getXmm(reg), r); break;
    case 0xfc: r = operand128(rm, isMem, ea); r = i8x16.add(getXmm(reg), r); break;
    case 0xfd: r = operand128(rm, isMem, ea); r = i16x8.add(getXmm(reg), r); break;
    case 0xfe: r = operand128(rm, isMem, ea); r = i32x4.add(getXmm(reg), r); break;
    default: raise(6); return;
  }
  setXmm(reg, r);
}

/** MASKMOVDQU: only the chosen bytes are touched; both ends are probed first, so that a fault leaves memory as it was. */
function maskedStore(value: v128, mask: v128, ea: u64): void {
  const bits = <u32>i8x16.bitmask(mask);
  if (bits == 0) return;
  const first: u32 = ctz<u32>(bits), last: u32 = 31 - clz<u32>(bits);
  probeWrite(ea + first, last - first + 1);
  if (bits == 0xffff) {
    st128(ea, value);
    return;
  }
  let low = low64(value), high = high64(value);
  for (let i: u32 = 0; i <= last; i++) {
    if ((bits >> i & 1) != 0) st8(ea + i, <u32>low & 0xff);
    low = low >> 8 | high << 56;
    high = high >> 8;
  }
}

/** 58 ADD, 59 MUL, 5C SUB, 5D MIN, 5E DIV, 5F MAX: asked for first, since the switches of these maps are too sparse for a jump table. */
// @ts-ignore: decorator
@inline
function isArithmetic(opcode: u32): bool {
  const i = opcode - 0x58;
  return i < 8 && (0xf3 >> i & 1) != 0;
}

/** 0F with 66, opcodes 10 to 5F: double precision. */
function double(opcode: u32, reg: u32, rm: u32, isMem: u32, ea: u64): void {
  if (isArithmetic(opcode)) {
    const b = operand128(rm, isMem, ea);
    begin();
    const x = F.packed64(opcode, getXmm(reg), b);
    finish();
    setXmm(reg, x);
    return;
  }
  let r: v128;
  switch (opcode) {
    case 0x10: r = isMem ? ld128(ea) : getXmm(rm); break; // MOVUPD
    case 0x11:
      if (isMem) st128(ea, getXmm(reg));
      else setXmm(rm, getXmm(reg));
      return;
    case 0x12: setXmm64(reg, ld64(ea)); return; // MOVLPD
    case 0x13: st64(ea, getXmm64(reg)); return;
    case 0x14: r = operand128(rm, isMem, ea); r = v128.shuffle<u64>(getXmm(reg), r, 0, 2); break;
    case 0x15: r = operand128(rm, isMem, ea); r = v128.shuffle<u64>(getXmm(reg), r, 1, 3); break;
    case 0x16: setXmmHigh(reg, ld64(ea)); return; // MOVHPD
    case 0x17: st64(ea, getXmmHigh(reg)); return;
    case 0x28: r = operand128(rm, isMem, ea); break; // MOVAPD
    case 0x29:
      if (isMem) storeAligned(ea, getXmm(reg));
      else setXmm(rm, getXmm(reg));
      return;
    case 0x2a: // CVTPI2PD
      if (isMem) r = F.fromIntegers64(ld64(ea));
      else {
        mmxEnter();
        r = F.fromIntegers64(load<u64>(FPR + ((rm & 7) << 4)));
      }
      break;
    case 0x2b: storeAligned(ea, getXmm(reg)); return; // MOVNTPD
    case 0x2c: case 0x2d: { // CVTTPD2PI CVTPD2PI
      r = operand128(rm, isMem, ea);
      mmxEnter();
      begin();
      const pair = low64(F.toIntegers64(r, opcode == 0x2c ? ZERO : roundingControl()));
      finish();
      setMm(reg, pair);
      return;
    }
    case 0x2e: case 0x2f: { // UCOMISD COMISD
      const b = operand64(rm, isMem, ea);
      begin();
      const relation = compare64(getXmm64(reg), b, opcode == 0x2f);
      finish();
      setRelation(relation);
      return;
    }
    case 0x50: setGpr(reg, <u64><u32>i64x2.bitmask(getXmm(rm))); return; // MOVMSKPD
    case 0x54: r = operand128(rm, isMem, ea); r = v128.and(getXmm(reg), r); break;
    case 0x55: r = operand128(rm, isMem, ea); r = v128.andnot(r, getXmm(reg)); break;
    case 0x56: r = operand128(rm, isMem, ea); r = v128.or(getXmm(reg), r); break;
    case 0x57: r = operand128(rm, isMem, ea); r = v128.xor(getXmm(reg), r); break;
    case 0x5a: // CVTPD2PS
      r = operand128(rm, isMem, ea);
      begin();
      r = F.narrow(r);
      finish();
      break;
    case 0x5b: // CVTPS2DQ
      r = operand128(rm, isMem, ea);
      begin();
      r = F.toIntegers32(r, roundingControl());
      finish();
      break;
    case 0x51: // SQRTPD
      r = operand128(rm, isMem, ea);
      begin();
      // SQRT has one operand: given twice, no bystander is looked at.
      r = F.packed64(SQRT, r, r);
      finish();
      break;
    default: raise(6); return;
  }
  setXmm(reg, r);
}

/** 0F without a prefix: single precision, and the conversions from and to mm. */
function plain(opcode: u32, reg: u32, rm: u32, isMem: u32, ea: u64, imm: u32, flags: u32): void {
  if (isArithmetic(opcode)) {
    const b = operand128(rm, isMem, ea);
    begin();
    const x = F.packed32(opcode, getXmm(reg), b);
    finish();
    setXmm(reg, x);
    return;
  }
  let r: v128;
  switch (opcode) {
    case 0x10: r = isMem ? ld128(ea) : getXmm(rm); break; // MOVUPS
    case 0x11:
      if (isMem) st128(ea, getXmm(reg));
      else setXmm(rm, getXmm(reg));
      return;
    case 0x12: setXmm64(reg, isMem ? ld64(ea) : getXmmHigh(rm)); return; // MOVLPS, MOVHLPS
    case 0x13: st64(ea, getXmm64(reg)); return;
    case 0x14: r = operand128(rm, isMem, ea); r = v128.shuffle<u32>(getXmm(reg), r, 0, 4, 1, 5); break;
    case 0x15: r = operand128(rm, isMem, ea); r = v128.shuffle<u32>(getXmm(reg), r, 2, 6, 3, 7); break;
    case 0x16: setXmmHigh(reg, isMem ? ld64(ea) : getXmm64(rm)); return; // MOVHPS, MOVLHPS
    case 0x17: st64(ea, getXmmHigh(reg)); return;
    case 0x28: r = operand128(rm, isMem, ea); break; // MOVAPS
    case 0x29:
      if (isMem) storeAligned(ea, getXmm(reg));
      else setXmm(rm, getXmm(reg));
      return;
    case 0x2a: { // CVTPI2PS
      let pair: u64;
      if (isMem) pair = ld64(ea);
      else {
        mmxEnter();
        pair = load<u64>(FPR + ((rm & 7) << 4));
      }
      begin();
      const low = i32ToF32(<i32>pair), high = i32ToF32(<i32>(pair >> 32));
      finish();
      setXmm64(reg, <u64>low | <u64>high << 32);
      return;
    }
    case 0x2b: storeAligned(ea, getXmm(reg)); return; // MOVNTPS
    case 0x2c: case 0x2d: { // CVTTPS2PI CVTPS2PI
      const b = operand64(rm, isMem, ea);
      mmxEnter();
      begin();
      const rounding = opcode == 0x2c ? ZERO : roundingControl();
      const low = f32ToI32(<u32>b, rounding), high = f32ToI32(<u32>(b >> 32), rounding);
      finish();
      setMm(reg, <u64>low | <u64>high << 32);
      return;
    }
    case 0x2e: case 0x2f: { // UCOMISS COMISS
      const b = operand32(rm, isMem, ea);
      begin();
      const relation = compare32(getXmm32(reg), b, opcode == 0x2f);
      finish();
      setRelation(relation);
      return;
    }
    case 0x50: setGpr(reg, <u64><u32>i32x4.bitmask(getXmm(rm))); return; // MOVMSKPS
    case 0x52: r = F.approximate32(operand128(rm, isMem, ea), true); break; // RSQRTPS
    case 0x53: r = F.approximate32(operand128(rm, isMem, ea), false); break; // RCPPS
    case 0x54: r = operand128(rm, isMem, ea); r = v128.and(getXmm(reg), r); break;
    case 0x55: r = operand128(rm, isMem, ea); r = v128.andnot(r, getXmm(reg)); break;
    case 0x56: r = operand128(rm, isMem, ea); r = v128.or(getXmm(reg), r); break;
    case 0x57: r = operand128(rm, isMem, ea); r = v128.xor(getXmm(reg), r); break;
    case 0x5a: { // CVTPS2PD
      const b = operand64(rm, isMem, ea);
      begin();
      r = F.widen(b);
      finish();
      break;
    }
    case 0x5b: // CVTDQ2PS
      r = operand128(rm, isMem, ea);
      begin();
      r = F.fromIntegers32(r);
      finish();
      break;
    case 0xc2: // CMPPS
      r = operand128(rm, isMem, ea);
      begin();
      r = F.compare32Packed(getXmm(reg), r, imm & 7);
      finish();
      break;
    case 0xc3: // MOVNTI
      if ((flags & REX_W) != 0) st64(ea, getGpr(reg));
      else st32(ea, <u32>getGpr(reg));
      return;
    case 0xc6: r = operand128(rm, isMem, ea); r = I.shufps(getXmm(reg), r, imm); break;
    case 0x51: // SQRTPS
      r = operand128(rm, isMem, ea);
      begin();
      // SQRT has one operand: given twice, no bystander is looked at.
      r = F.packed32(SQRT, r, r);
      finish();
      break;
    default: raise(6); return;
  }
  setXmm(reg, r);
}

/** COMISS and its kin: unordered 111, greater 000, less 001, equal 100 in ZF PF CF. */
function setRelation(relation: u32): void {
  setFlags(relation == EQUAL || relation == UNORDERED, relation == UNORDERED, relation == LESS || relation == UNORDERED);
}

/**
 * Conversions with an mm operand enter MMX state, or raise a pending #MF, after their load and before their arithmetic: a conversion
 * that then raises #XM has left the x87 registers valid. With a memory source in place of mm they do neither. So does the host
 * (Cascade Lake), also for CVTPI2PS xmm, m64, where SDM vol. 2 has a transition.
 */
function setMm(n: u32, value: u64): void {
  store<u64>(FPR + ((n & 7) << 4), value);
  store<u16>(FPR + ((n & 7) << 4), 0xffff, 8);
}

/** 0F with F3: scalar single precision and odd moves. */
function prefixF3(opcode: u32, reg: u32, rm: u32, isMem: u32, ea: u64, imm: u32, flags: u32): void {
  if (isArithmetic(opcode)) {
    const b = operand32(rm, isMem, ea);
    begin();
    const r = arithmetic32(opcode, getXmm32(reg), b);
    finish();
    setXmm32(reg, r);
    return;
  }
  switch (opcode) {
    case 0x10: // MOVSS
      if (isMem) setXmmZero(reg, <u64>ld32(ea));
      else setXmm32(reg, getXmm32(rm));
      return;
    case 0x11:
      if (isMem) st32(ea, getXmm32(reg));
      else setXmm32(rm, getXmm32(reg));
      return;
    case 0x12: { // MOVSLDUP
      const b = operand128(rm, isMem, ea);
      setXmm(reg, v128.shuffle<u32>(b, b, 0, 0, 2, 2));
      return;
    }
    case 0x16: { // MOVSHDUP
      const b = operand128(rm, isMem, ea);
      setXmm(reg, v128.shuffle<u32>(b, b, 1, 1, 3, 3));
      return;
    }
    case 0x2a: { // CVTSI2SS
      let r: u32;
      if ((flags & REX_W) != 0) {
        const b = isMem ? ld64(ea) : getGpr(rm);
        begin();
        r = i64ToF32(<i64>b);
      } else {
        const b = isMem ? ld32(ea) : <u32>getGpr(rm);
        begin();
        r = i32ToF32(<i32>b);
      }
      finish();
      setXmm32(reg, r);
      return;
    }
    case 0x2c: case 0x2d: { // CVTTSS2SI CVTSS2SI
      const b = operand32(rm, isMem, ea);
      begin();
      const rounding = opcode == 0x2c ? ZERO : roundingControl();
      const r = (flags & REX_W) != 0 ? f32ToI64(b, rounding) : <u64>f32ToI32(b, rounding);
      finish();
      setGpr(reg, r);
      return;
    }
    case 0x52: setXmm32(reg, reciprocalRoot32(operand32(rm, isMem, ea))); return; // RSQRTSS
    case 0x53: setXmm32(reg, reciprocal32(operand32(rm, isMem, ea))); return; // RCPSS
    case 0x5a: { // CVTSS2SD
      const b = operand32(rm, isMem, ea);
      begin();
      const r = f32ToF64(b);
      finish();
      setXmm64(reg, r);
      return;
    }
    case 0x5b: { // CVTTPS2DQ
      const b = operand128(rm, isMem, ea);
      begin();
      const r = F.toIntegers32(b, ZERO);
      finish();
      setXmm(reg, r);
      return;
    }
    case 0x6f: setXmm(reg, isMem ? ld128(ea) : getXmm(rm)); return; // MOVDQU
    case 0x70: setXmm(reg, I.pshufhw(operand128(rm, isMem, ea), imm)); return;
    case 0x7e: setXmmZero(reg, operand64(rm, isMem, ea)); return; // MOVQ
    case 0x7f:
      if (isMem) st128(ea, getXmm(reg));
      else setXmm(rm, getXmm(reg));
      return;
    case 0xc2: { // CMPSS
      const b = operand32(rm, isMem, ea);
      begin();
      const r = predicate32(getXmm32(reg), b, imm & 7);
      finish();
      setXmm32(reg, r);
      return;
    }
    case 0xd6: // MOVQ2DQ
      mmxEnter();
      setXmmZero(reg, load<u64>(FPR + ((rm & 7) << 4)));
      return;
    case 0xe6: setXmm(reg, F.fromIntegers64(operand64(rm, isMem, ea))); return; // CVTDQ2PD
    case 0x51: { // SQRTSS
      const b = operand32(rm, isMem, ea);
      begin();
      const r = sqrt32(b);
      finish();
      setXmm32(reg, r);
      return;
    }
    default: raise(6);
  }
}

/** 0F with F2: scalar double precision and odd moves. */
function prefixF2(opcode: u32, reg: u32, rm: u32, isMem: u32, ea: u64, imm: u32, flags: u32): void {
  if (isArithmetic(opcode)) {
    const b = operand64(rm, isMem, ea);
    begin();
    const r = arithmetic64(opcode, getXmm64(reg), b);
    finish();
    setXmm64(reg, r);
    return;
  }
  switch (opcode) {
    case 0x10: // MOVSD
      if (isMem) setXmmZero(reg, ld64(ea));
      else setXmm64(reg, getXmm64(rm));
      return;
    case 0x11:
      if (isMem) st64(ea, getXmm64(reg));
      else setXmm64(rm, getXmm64(reg));
      return;
    case 0x12: setXmm(reg, i64x2.splat(<i64>operand64(rm, isMem, ea))); return; // MOVDDUP
    case 0x2a: { // CVTSI2SD
      let r: u64;
      if ((flags & REX_W) != 0) {
        const b = isMem ? ld64(ea) : getGpr(rm);
        begin();
        r = i64ToF64(<i64>b);
        finish();
      } else r = reinterpret<u64>(<f64><i32>(isMem ? ld32(ea) : <u32>getGpr(rm)));
      setXmm64(reg, r);
      return;
    }
    case 0x2c: case 0x2d: { // CVTTSD2SI CVTSD2SI
      const b = operand64(rm, isMem, ea);
      begin();
      const rounding = opcode == 0x2c ? ZERO : roundingControl();
      const r = (flags & REX_W) != 0 ? f64ToI64(b, rounding) : <u64>f64ToI32(b, rounding);
      finish();
      setGpr(reg, r);
      return;
    }
    case 0x5a: { // CVTSD2SS
      const b = operand64(rm, isMem, ea);
      begin();
      const r = f64ToF32(b);
      finish();
      setXmm32(reg, r);
      return;
    }
    case 0x70: setXmm(reg, I.pshuflw(operand128(rm, isMem, ea), imm)); return;
    case 0x7c: case 0x7d: { // HADDPS HSUBPS
      const b = operand128(rm, isMem, ea);
      begin();
      const r = F.horizontal32(getXmm(reg), b, opcode == 0x7d);
      finish();
      setXmm(reg, r);
      return;
    }
    case 0xc2: { // CMPSD
      const b = operand64(rm, isMem, ea);
      begin();
      const r = predicate64(getXmm64(reg), b, imm & 7);
      finish();
      setXmm64(reg, r);
      return;
    }
    case 0xd0: { // ADDSUBPS
      const b = operand128(rm, isMem, ea);
      begin();
      const r = F.alternate32(getXmm(reg), b);
      finish();
      setXmm(reg, r);
      return;
    }
    case 0xd6: // MOVDQ2Q
      mmxEnter();
      setMm(reg, getXmm64(rm));
      return;
    case 0xe6: { // CVTPD2DQ
      const b = operand128(rm, isMem, ea);
      begin();
      const r = F.toIntegers64(b, roundingControl());
      finish();
      setXmm(reg, r);
      return;
    }
    case 0xf0: setXmm(reg, ld128(ea)); return; // LDDQU
    case 0x51: { // SQRTSD
      const b = operand64(rm, isMem, ea);
      begin();
      const r = sqrt64(b);
      finish();
      setXmm64(reg, r);
      return;
    }
    default: raise(6);
  }
}

/** Bytes that PMOVSX and PMOVZX read, log2, by the low opcode bits. */
// @ts-ignore: decorator
@inline
function extendOperand(kind: u32, rm: u32, isMem: u32, ea: u64): v128 {
  if (!isMem) return getXmm(rm);
  if (kind == 2) return zeroExtended(<u64>ld16(ea));
  if (kind == 1 || kind == 4) return zeroExtended(<u64>ld32(ea));
  return zeroExtended(ld64(ea));
}

/** 0F 38 with 66 */
function map38(opcode: u32, reg: u32, rm: u32, isMem: u32, ea: u64): void {
  if (opcode >= 0x20 && opcode <= 0x25) {
    setXmm(reg, I.extendSigned(opcode & 7, extendOperand(opcode & 7, rm, isMem, ea)));
    return;
  }
  if (opcode >= 0x30 && opcode <= 0x35) {
    setXmm(reg, I.extendUnsigned(opcode & 7, extendOperand(opcode & 7, rm, isMem, ea)));
    return;
  }
  const b = operand128(rm, isMem, ea), a = getXmm(reg);
  let r: v128;
  switch (opcode) {
    case 0x00: r = I.pshufb(a, b); break;
    case 0x01: case 0x02: case 0x03: case 0x05: case 0x06: case 0x07: r = I.horizontal(opcode, a, b); break;
    case 0x04: r = I.pmaddubsw(a, b); break;
    case 0x08: r = I.psignb(a, b); break;
    case 0x09: r = I.psignw(a, b); break;
    case 0x0a: r = I.psignd(a, b); break;
    case 0x0b: r = I.pmulhrsw(a, b); break;
    case 0x10: r = v128.bitselect(b, a, i8x16.shr_s(getXmm(0), 7)); break; // PBLENDVB
    case 0x14: r = v128.bitselect(b, a, i32x4.shr_s(getXmm(0), 31)); break; // BLENDVPS
    case 0x15: r = v128.bitselect(b, a, i64x2.shr_s(getXmm(0), 63)); break; // BLENDVPD
    case 0x17: // PTEST
      setFlags(!v128.any_true(v128.and(a, b)), false, !v128.any_true(v128.andnot(b, a)));
      return;
    case 0x1c: r = i8x16.abs(b); break;
    case 0x1d: r = i16x8.abs(b); break;
    case 0x1e: r = i32x4.abs(b); break;
    case 0x28: r = I.pmuldq(a, b); break;
    case 0x29: r = i64x2.eq(a, b); break;
    case 0x2a: r = b; break; // MOVNTDQA
    case 0x2b: r = i16x8.narrow_i32x4_u(a, b); break;
    case 0x37: r = i64x2.gt_s(a, b); break;
    case 0x38: r = i8x16.min_s(a, b); break;
    case 0x39: r = i32x4.min_s(a, b); break;
    case 0x3a: r = i16x8.min_u(a, b); break;
    case 0x3b: r = i32x4.min_u(a, b); break;
    case 0x3c: r = i8x16.max_s(a, b); break;
    case 0x3d: r = i32x4.max_s(a, b); break;
    case 0x3e: r = i16x8.max_u(a, b); break;
    case 0x3f: r = i32x4.max_u(a, b); break;
    case 0x40: r = i32x4.mul(a, b); break;
    case 0x41: r = I.phminposuw(b); break;
    default: raise(6); return;
  }
  setXmm(reg, r);
}

/** 0F 3A with 66 */
function map3a(opcode: u32, reg: u32, rm: u32, isMem: u32, ea: u64, imm: u32, flags: u32): void {
  let r: v128;
  switch (opcode) {
    case 0x08: // ROUNDPS
      r = operand128(rm, isMem, ea);
      begin();
      r = F.round32Packed(r, imm);
      finish();
      break;
    case 0x09: // ROUNDPD
      r = operand128(rm, isMem, ea);
      begin();
      r = F.round64Packed(r, imm);
      finish();
      break;
    case 0x0a: { // ROUNDSS
      const b = operand32(rm, isMem, ea);
      begin();
      const x = round32(b, imm);
      finish();
      setXmm32(reg, x);
      return;
    }
    case 0x0b: { // ROUNDSD
      const b = operand64(rm, isMem, ea);
      begin();
      const x = round64(b, imm);
      finish();
      setXmm64(reg, x);
      return;
    }
    case 0x0c: r = operand128(rm, isMem, ea); r = I.blendps(getXmm(reg), r, imm); break;
    case 0x0d: r = operand128(rm, isMem, ea); r = I.blendpd(getXmm(reg), r, imm); break;
    case 0x0e: r = operand128(rm, isMem, ea); r = I.pblendw(getXmm(reg), r, imm); break;
    case 0x0f: r = operand128(rm, isMem, ea); r = I.palignr(getXmm(reg), r, imm); break;
    case 0x14: { // PEXTRB
      const x = <u32>load<u8>(XMM + (reg << 4) + (imm & 15));
      if (isMem) st8(ea, x);
      else setGpr(rm, <u64>x);
      return;
    }
    case 0x15: { // PEXTRW
      const x = <u32>load<u16>(XMM + (reg << 4) + ((imm & 7) << 1));
      if (isMem) st16(ea, x);
      else setGpr(rm, <u64>x);
      return;
    }
    case 0x16: // PEXTRD, PEXTRQ
      if ((flags & REX_W) != 0) {
        const x = load<u64>(XMM + (reg << 4) + ((imm & 1) << 3));
        if (isMem) st64(ea, x);
        else setGpr(rm, x);
        return;
      }
    case 0x17: { // EXTRACTPS
      const x = load<u32>(XMM + (reg << 4) + ((imm & 3) << 2));
      if (isMem) st32(ea, x);
      else setGpr(rm, <u64>x);
      return;
    }
    case 0x20: { // PINSRB
      const x = isMem ? ld8(ea) : <u32>getGpr(rm);
      store<u8>(XMM + (reg << 4) + (imm & 15), <u8>x);
      return;
    }
    case 0x21: { // INSERTPS
      const x = isMem ? ld32(ea) : load<u32>(XMM + (rm << 4) + ((imm >> 6) << 2));
      r = I.insertps(getXmm(reg), x, imm);
      break;
    }
    case 0x22: // PINSRD, PINSRQ
      if ((flags & REX_W) != 0) {
        const x = isMem ? ld64(ea) : getGpr(rm);
        store<u64>(XMM + (reg << 4) + ((imm & 1) << 3), x);
      } else {
        const x = isMem ? ld32(ea) : <u32>getGpr(rm);
        store<u32>(XMM + (reg << 4) + ((imm & 3) << 2), x);
      }
      return;
    case 0x40: // DPPS
      r = operand128(rm, isMem, ea);
      begin();
      r = F.dot32(getXmm(reg), r, imm);
      break;
    case 0x41: // DPPD
      r = operand128(rm, isMem, ea);
      begin();
      r = F.dot64(getXmm(reg), r, imm);
      break;
    case 0x42: r = operand128(rm, isMem, ea); r = I.mpsadbw(getXmm(reg), r, imm); break;
    case 0x60: case 0x61: case 0x62: case 0x63:
      r = isMem ? ld128(ea) : getXmm(rm);
      pcmpstr(opcode, getXmm(reg), r, imm, (flags & REX_W) != 0);
      return;
    default: raise(6); return;
  }
  setXmm(reg, r);
}

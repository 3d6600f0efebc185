/**
 * Packed integer operations that are more than one WebAssembly instruction, as functions of vectors. None has exceptions or flags.
 */
import { SCRATCH } from "./sse-operands";

const A: usize = SCRATCH;
const B: usize = SCRATCH + 16;

// ---- shuffles by an imm8: an index vector is computed and i8x16.swizzle does the rest ----

// @ts-ignore: decorator
@inline
function indices(low: u64, high: u64): v128 {
  return i64x2.replace_lane(i64x2.splat(low), 1, high);
}
/** Byte indices of the two dwords that four bits of imm select. */
// @ts-ignore: decorator
@inline
function dwordPair(imm: u32): u64 {
  return 0x0302010003020100 + (<u64>(imm & 3) | <u64>(imm >> 2 & 3) << 32) * 0x04040404;
}
/** Byte indices of the four words that imm selects. */
// @ts-ignore: decorator
@inline
function wordQuad(imm: u32): u64 {
  return 0x0100010001000100 + (<u64>(imm & 3) | <u64>(imm >> 2 & 3) << 16 | <u64>(imm >> 4 & 3) << 32 | <u64>(imm >> 6 & 3) << 48) * 0x0202;
}
export function pshufd(b: v128, imm: u32): v128 {
  return i8x16.swizzle(b, indices(dwordPair(imm), dwordPair(imm >> 4)));
}
export function pshuflw(b: v128, imm: u32): v128 {
  return i8x16.swizzle(b, indices(wordQuad(imm), 0x0f0e0d0c0b0a0908));
}
export function pshufhw(b: v128, imm: u32): v128 {
  return i8x16.swizzle(b, indices(0x0706050403020100, wordQuad(imm) + 0x0808080808080808));
}
export function shufps(a: v128, b: v128, imm: u32): v128 {
  const x = i8x16.swizzle(a, i64x2.splat(dwordPair(imm)));
  const y = i8x16.swizzle(b, i64x2.splat(dwordPair(imm >> 4)));
  return v128.shuffle<u64>(x, y, 0, 3);
}
export function shufpd(a: v128, b: v128, imm: u32): v128 {
  const x = (imm & 1) != 0 ? v128.shuffle<u64>(a, a, 1, 1) : a;
  const y = (imm & 2) != 0 ? b : v128.shuffle<u64>(b, b, 0, 0);
  return v128.shuffle<u64>(x, y, 0, 3);
}
/** Bytes imm to imm + 15 of b with a above it. A swizzle index out of range, also one that wrapped below zero, gives zero. */
export function palignr(a: v128, b: v128, imm: u32): v128 {
  if (imm > 32) imm = 32;
  const base = indices(0x0706050403020100, 0x0f0e0d0c0b0a0908);
  return v128.or(
    i8x16.swizzle(b, i8x16.add(base, i8x16.splat(<i8>imm))),
    i8x16.swizzle(a, i8x16.add(base, i8x16.splat(<i8>(imm - 16))))
  );
}
export function psrldq(a: v128, imm: u32): v128 {
  return palignr(i64x2.splat(0), a, imm);
}
export function pslldq(a: v128, imm: u32): v128 {
  return palignr(a, i64x2.splat(0), imm > 16 ? 0 : 16 - imm);
}

// ---- shifts: a count above the width clears, or fills with the sign ----

export function psllw(a: v128, n: u64): v128 { return n > 15 ? i64x2.splat(0) : i16x8.shl(a, <i32>n); }
export function pslld(a: v128, n: u64): v128 { return n > 31 ? i64x2.splat(0) : i32x4.shl(a, <i32>n); }
export function psllq(a: v128, n: u64): v128 { return n > 63 ? i64x2.splat(0) : i64x2.shl(a, <i32>n); }
export function psrlw(a: v128, n: u64): v128 { return n > 15 ? i64x2.splat(0) : i16x8.shr_u(a, <i32>n); }
export function psrld(a: v128, n: u64): v128 { return n > 31 ? i64x2.splat(0) : i32x4.shr_u(a, <i32>n); }
export function psrlq(a: v128, n: u64): v128 { return n > 63 ? i64x2.splat(0) : i64x2.shr_u(a, <i32>n); }
export function psraw(a: v128, n: u64): v128 { return i16x8.shr_s(a, n > 15 ? 15 : <i32>n); }
export function psrad(a: v128, n: u64): v128 { return i32x4.shr_s(a, n > 31 ? 31 : <i32>n); }

/** 0F 71, 72, 73: reg is the operation. */
export function shiftImmediate(opcode: u32, reg: u32, a: v128, imm: u32): v128 {
  const n = <u64>imm;
  switch ((opcode & 3) << 3 | (reg & 7)) {
    case 0x0a: return psrlw(a, n);
    case 0x0c: return psraw(a, n);
    case 0x0e: return psllw(a, n);
    case 0x12: return psrld(a, n);
    case 0x14: return psrad(a, n);
    case 0x16: return pslld(a, n);
    case 0x1a: return psrlq(a, n);
    case 0x1b: return psrldq(a, imm);
    case 0x1e: return psllq(a, n);
    default: return pslldq(a, imm);
  }
}

// ---- multiplication ----

export function pmulhuw(a: v128, b: v128): v128 {
  return v128.shuffle<u16>(i32x4.extmul_low_i16x8_u(a, b), i32x4.extmul_high_i16x8_u(a, b), 1, 3, 5, 7, 9, 11, 13, 15);
}
export function pmulhw(a: v128, b: v128): v128 {
  return v128.shuffle<u16>(i32x4.extmul_low_i16x8_s(a, b), i32x4.extmul_high_i16x8_s(a, b), 1, 3, 5, 7, 9, 11, 13, 15);
}
export function pmuludq(a: v128, b: v128): v128 {
  return i64x2.extmul_low_i32x4_u(v128.shuffle<u32>(a, a, 0, 2, 0, 2), v128.shuffle<u32>(b, b, 0, 2, 0, 2));
}
export function pmuldq(a: v128, b: v128): v128 {
  return i64x2.extmul_low_i32x4_s(v128.shuffle<u32>(a, a, 0, 2, 0, 2), v128.shuffle<u32>(b, b, 0, 2, 0, 2));
}
/** Unsigned bytes of a times signed bytes of b; neighbours are added with saturation. One product always fits. */
export function pmaddubsw(a: v128, b: v128): v128 {
  const even = i16x8.mul(v128.and(a, i16x8.splat(0xff)), i16x8.shr_s(i16x8.shl(b, 8), 8));
  const odd = i16x8.mul(i16x8.shr_u(a, 8), i16x8.shr_s(b, 8));
  return i16x8.add_sat_s(even, odd);
}
/** WebAssembly saturates -1 * -1 in Q15 to 7fff; x86 gives 8000. All else agrees. */
export function pmulhrsw(a: v128, b: v128): v128 {
  const least = i16x8.splat(-0x8000);
  return v128.xor(i16x8.q15mulr_sat_s(a, b), v128.and(i16x8.eq(a, least), i16x8.eq(b, least)));
}
export function psadbw(a: v128, b: v128): v128 {
  const distance = v128.or(i8x16.sub_sat_u(a, b), i8x16.sub_sat_u(b, a));
  const sums = i32x4.extadd_pairwise_i16x8_u(i16x8.extadd_pairwise_i8x16_u(distance));
  return i64x2.add(v128.and(sums, i64x2.splat(0xffffffff)), i64x2.shr_u(sums, 32));
}

// ---- SSSE3 ----

/** Opcodes 01 PHADDW, 02 PHADDD, 03 PHADDSW, 05 PHSUBW, 06 PHSUBD, 07 PHSUBSW. */
export function horizontal(opcode: u32, a: v128, b: v128): v128 {
  if ((opcode & 3) == 2) {
    const even = v128.shuffle<u32>(a, b, 0, 2, 4, 6), odd = v128.shuffle<u32>(a, b, 1, 3, 5, 7);
    return opcode == 2 ? i32x4.add(even, odd) : i32x4.sub(even, odd);
  }
  const even = v128.shuffle<u16>(a, b, 0, 2, 4, 6, 8, 10, 12, 14), odd = v128.shuffle<u16>(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
  switch (opcode) {
    case 1: return i16x8.add(even, odd);
    case 3: return i16x8.add_sat_s(even, odd);
    case 5: return i16x8.sub(even, odd);
    default: return i16x8.sub_sat_s(even, odd);
  }
}
export function pshufb(a: v128, b: v128): v128 {
  return i8x16.swizzle(a, v128.and(b, i8x16.splat(<i8>0x8f)));
}
/** PSIGN: a, negated where b is negative, zero where b is zero. */
export function psignb(a: v128, b: v128): v128 {
  const m = i8x16.shr_s(b, 7);
  return v128.and(i8x16.sub(v128.xor(a, m), m), i8x16.ne(b, i8x16.splat(0)));
}
export function psignw(a: v128, b: v128): v128 {
  const m = i16x8.shr_s(b, 15);
  return v128.and(i16x8.sub(v128.xor(a, m), m), i16x8.ne(b, i16x8.splat(0)));
}
export function psignd(a: v128, b: v128): v128 {
  const m = i32x4.shr_s(b, 31);
  return v128.and(i32x4.sub(v128.xor(a, m), m), i32x4.ne(b, i32x4.splat(0)));
}

// ---- SSE4.1 ----

export function blendps(a: v128, b: v128, imm: u32): v128 {
  const bits = i32x4(1, 2, 4, 8);
  return v128.bitselect(b, a, i32x4.eq(v128.and(i32x4.splat(imm), bits), bits));
}
export function blendpd(a: v128, b: v128, imm: u32): v128 {
  const bits = i64x2(1, 2);
  return v128.bitselect(b, a, i64x2.eq(v128.and(i64x2.splat(imm), bits), bits));
}
export function pblendw(a: v128, b: v128, imm: u32): v128 {
  const bits = i16x8(1, 2, 4, 8, 16, 32, 64, 128);
  return v128.bitselect(b, a, i16x8.eq(v128.and(i16x8.splat(<i16>imm), bits), bits));
}
/** imm bits 1:0 choose four bytes of b, bit 2 the start in a; eight sums of absolute differences of four bytes. */
export function mpsadbw(a: v128, b: v128, imm: u32): v128 {
  v128.store(A, a);
  v128.store(B, b);
  const block = B + ((imm & 3) << 2), window = A + (imm & 4);
  let r = i64x2.splat(0);
  for (let k: usize = 0; k < 4; k++) {
    // Eleven bytes of the window are in use: at most window + 3 + 7, which stays inside a.
    const x = i16x8.extend_low_i8x16_u(v128.load64_zero(window + k));
    const y = i16x8.splat(load<u8>(block + k));
    r = i16x8.add(r, i16x8.abs(i16x8.sub(x, y)));
  }
  return r;
}
export function phminposuw(b: v128): v128 {
  v128.store(A, b);
  let least: u32 = load<u16>(A), index: u32 = 0;
  for (let i: u32 = 1; i < 8; i++) {
    const x = <u32>load<u16>(A + (i << 1));
    if (x < least) {
      least = x;
      index = i;
    }
  }
  return indices(<u64>(least | index << 16), 0);
}
/** imm bits 7:6 source lane (of a register), 5:4 destination lane, 3:0 lanes to clear. */
export function insertps(a: v128, lane: u32, imm: u32): v128 {
  v128.store(A, a);
  store<u32>(A + ((imm >> 4 & 3) << 2), lane);
  const bits = i32x4(1, 2, 4, 8);
  return v128.andnot(v128.load(A), i32x4.eq(v128.and(i32x4.splat(imm), bits), bits));
}
/** PMOVSX and PMOVZX: the low bits of opcode say from and to what: 0 BW 1 BD 2 BQ 3 WD 4 WQ 5 DQ. */
export function extendSigned(kind: u32, b: v128): v128 {
  switch (kind) {
    case 0: return i16x8.extend_low_i8x16_s(b);
    case 1: return i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(b));
    case 2: return i64x2.extend_low_i32x4_s(i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(b)));
    case 3: return i32x4.extend_low_i16x8_s(b);
    case 4: return i64x2.extend_low_i32x4_s(i32x4.extend_low_i16x8_s(b));
    default: return i64x2.extend_low_i32x4_s(b);
  }
}
export function extendUnsigned(kind: u32, b: v128): v128 {
  switch (kind) {
    case 0: return i16x8.extend_low_i8x16_u(b);
    case 1: return i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(b));
    case 2: return i64x2.extend_low_i32x4_u(i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(b)));
    case 3: return i32x4.extend_low_i16x8_u(b);
    case 4: return i64x2.extend_low_i32x4_u(i32x4.extend_low_i16x8_u(b));
    default: return i64x2.extend_low_i32x4_u(b);
  }
}

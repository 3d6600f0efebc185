/**
 * PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SDM vol. 1 4.1 "PCMPxSTRx", vol. 2 4.1).
 *
 *   a = xmm1 (set, ranges, or needle), b = xmm2/m128 (the text)
 *   IntRes1: the aggregation, a bit for each element of b; IntRes2: with the polarity applied
 *
 * imm8: bits 1:0 element (u8 u16 s8 s16), 3:2 aggregation (equal any, ranges, equal each, equal ordered), 5:4 polarity,
 * 6 index of the last or mask of whole elements.
 */
import { REGS } from "../layout";
import { SCRATCH, setFlags, setGpr, setXmm } from "./sse-operands";

const A: usize = SCRATCH;

// @ts-ignore: decorator
@inline
function element(p: usize, i: u32, format: u32): i32 {
  switch (format) {
    case 0: return load<u8>(p + i);
    case 1: return load<u16>(p + (i << 1));
    case 2: return load<i8>(p + i);
    default: return load<i16>(p + (i << 1));
  }
}

/** A bit for each element that has this value. */
function equalTo(text: v128, value: i32, format: u32): u32 {
  return (format & 1) != 0 ? i16x8.bitmask(i16x8.eq(text, i16x8.splat(<i16>value))) : i8x16.bitmask(i8x16.eq(text, i8x16.splat(<i8>value)));
}
/** A bit for each element from low to high. */
function between(text: v128, low: i32, high: i32, format: u32): u32 {
  switch (format) {
    case 0: return i8x16.bitmask(v128.and(i8x16.ge_u(text, i8x16.splat(<i8>low)), i8x16.le_u(text, i8x16.splat(<i8>high))));
    case 1: return i16x8.bitmask(v128.and(i16x8.ge_u(text, i16x8.splat(<i16>low)), i16x8.le_u(text, i16x8.splat(<i16>high))));
    case 2: return i8x16.bitmask(v128.and(i8x16.ge_s(text, i8x16.splat(<i8>low)), i8x16.le_s(text, i8x16.splat(<i8>high))));
    default: return i16x8.bitmask(v128.and(i16x8.ge_s(text, i16x8.splat(<i16>low)), i16x8.le_s(text, i16x8.splat(<i16>high))));
  }
}

/** Elements before the first zero. */
function implicitLength(text: v128, format: u32, count: u32): u32 {
  const zeros = equalTo(text, 0, format);
  return zeros == 0 ? count : ctz<u32>(zeros);
}
/** |value|, at most count. */
function explicitLength(value: u64, wide: bool, count: u32): u32 {
  const n: i64 = wide ? <i64>value : <i64>(<i32>value);
  const magnitude: u64 = n < 0 ? 0 - <u64>n : <u64>n;
  return magnitude > count ? count : <u32>magnitude;
}

/** opcode 60 ESTRM, 61 ESTRI, 62 ISTRM, 63 ISTRI */
export function pcmpstr(opcode: u32, a: v128, b: v128, imm: u32, wide: bool): void {
  v128.store(A, a);
  const format = imm & 3;
  const count: u32 = (format & 1) != 0 ? 8 : 16;
  const all = (<u32>1 << count) - 1;
  let aLength: u32, bLength: u32;
  if ((opcode & 2) != 0) {
    aLength = implicitLength(a, format, count);
    bLength = implicitLength(b, format, count);
  } else {
    aLength = explicitLength(load<u64>(REGS), wide, count);
    bLength = explicitLength(load<u64>(REGS + 16), wide, count);
  }

  // Elements before the ends.
  const inA = (<u32>1 << aLength) - 1;
  const inB = (<u32>1 << bLength) - 1;
  let bits: u32 = 0;
  switch (imm >> 2 & 3) {
    case 0: // equal any: is this element of b in the set a?
      for (let i: u32 = 0; i < aLength; i++) bits |= equalTo(b, element(A, i, format), format);
      bits &= inB;
      break;
    case 1: // ranges: does a hold a pair (low, high) around this element of b? A pair without its high bound holds nothing.
      for (let i: u32 = 0; i + 1 < aLength; i += 2) bits |= between(b, element(A, i, format), element(A, i + 1, format), format);
      bits &= inB;
      break;
    case 2: { // equal each: past both ends counts as equal, past one as different
      const equal: u32 = (format & 1) != 0 ? i16x8.bitmask(i16x8.eq(a, b)) : i8x16.bitmask(i8x16.eq(a, b));
      bits = (equal & inA & inB) | (all & ~inA & ~inB);
      break;
    }
    default: // equal ordered: does a, as far as the register goes, start at this element of b?
      bits = all;
      for (let i: u32 = 0; i < aLength; i++) bits &= (equalTo(b, element(A, i, format), format) & inB) >> i | ~(all >> i);
  }
  switch (imm >> 4 & 3) {
    case 1: bits ^= all; break;
    case 3: bits ^= (1 << bLength) - 1; break;
  }

  if ((opcode & 1) != 0) {
    let index = count;
    if (bits != 0) index = (imm & 0x40) != 0 ? 31 - clz<u32>(bits) : ctz<u32>(bits);
    setGpr(1, <u64>index);
  } else if ((imm & 0x40) != 0) {
    if (count == 8) {
      const each = i16x8(1, 2, 4, 8, 16, 32, 64, 128);
      setXmm(0, i16x8.eq(v128.and(i16x8.splat(<i16>bits), each), each));
    } else {
      const each = i8x16(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128);
      const spread = v128.shuffle<u8>(i16x8.splat(<i16>bits), i64x2.splat(0), 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
      setXmm(0, i8x16.eq(v128.and(spread, each), each));
    }
  } else setXmm(0, i64x2.replace_lane(i64x2.splat(0), 0, <i64>bits));
  // ZF: b ended; SF: a ended; CF: some bit; OF: bit 0; AF and PF clear.
  setFlags(bLength < count, false, bits != 0, aLength < count, (bits & 1) != 0);
}

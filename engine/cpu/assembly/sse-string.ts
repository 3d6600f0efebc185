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
const B: usize = SCRATCH + 16;

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

/** Elements before the first zero. */
function implicitLength(p: usize, format: u32, count: u32): u32 {
  for (let i: u32 = 0; i < count; i++) if (element(p, i, format) == 0) return i;
  return count;
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
  v128.store(B, b);
  const format = imm & 3;
  const count: u32 = (format & 1) != 0 ? 8 : 16;
  const all = (<u32>1 << count) - 1;
  let aLength: u32, bLength: u32;
  if ((opcode & 2) != 0) {
    aLength = implicitLength(A, format, count);
    bLength = implicitLength(B, format, count);
  } else {
    aLength = explicitLength(load<u64>(REGS), wide, count);
    bLength = explicitLength(load<u64>(REGS + 16), wide, count);
  }

  let bits: u32 = 0;
  switch (imm >> 2 & 3) {
    case 0: // equal any: is this element of b in the set a?
      for (let j: u32 = 0; j < bLength; j++) {
        const x = element(B, j, format);
        for (let i: u32 = 0; i < aLength; i++) {
          if (element(A, i, format) == x) {
            bits |= 1 << j;
            break;
          }
        }
      }
      break;
    case 1: // ranges: does a hold a pair (low, high) around this element of b? A pair without its high bound holds nothing.
      for (let j: u32 = 0; j < bLength; j++) {
        const x = element(B, j, format);
        for (let i: u32 = 0; i + 1 < aLength; i += 2) {
          if (x >= element(A, i, format) && x <= element(A, i + 1, format)) {
            bits |= 1 << j;
            break;
          }
        }
      }
      break;
    case 2: // equal each: past both ends counts as equal, past one as different
      for (let j: u32 = 0; j < count; j++) {
        const inA = j < aLength, inB = j < bLength;
        if (inA && inB ? element(A, j, format) == element(B, j, format) : !inA && !inB) bits |= 1 << j;
      }
      break;
    default: // equal ordered: does a, as far as the register goes, start at this element of b?
      for (let j: u32 = 0; j < count; j++) {
        let match = true;
        for (let i: u32 = 0; i < aLength && i + j < count; i++) {
          if (i + j >= bLength || element(A, i, format) != element(B, i + j, format)) {
            match = false;
            break;
          }
        }
        if (match) bits |= 1 << j;
      }
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

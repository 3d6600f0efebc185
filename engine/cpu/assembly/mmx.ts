/**
 * MMX, with the forms that SSE, SSE2 and SSSE3 added on mm registers: SDM volume 1 chapter 9, volume 2 for each.
 *
 * MMi is the significand of physical x87 register i. Every instruction but EMMS sets TOP to 0 and all tags to valid; a write
 * to MMi also sets the sign and exponent of the register to ones. Lanes are computed in the low half of a v128.
 */
import { FPR, FSW, FTW, REGS } from "../layout";
import { raise } from "./exceptions";
import { ld16, ld32, ld64, probeWrite, st32, st64, st8 } from "./memory";
import { x87Wait } from "./x87";

const UD: u32 = 6;

// @ts-ignore: decorator
@inline
function mm(i: u32): u64 {
  return load<u64>(FPR + ((i & 7) << 4));
}

function enterMmx(): void {
  store<u16>(FSW, <u16>(<u32>load<u16>(FSW) & ~0x3800));
  store<u8>(FTW, 0xff);
}

function writeMm(i: u32, value: u64): void {
  enterMmx();
  store<u64>(FPR + ((i & 7) << 4), value);
  store<u16>(FPR + ((i & 7) << 4), 0xffff, 8);
}

/** For the SSE instructions with an mm operand (CVTPI2PS, MOVDQ2Q, ...): #MF if one is pending, then the change to MMX state. */
export function mmxEnter(): void {
  x87Wait();
  enterMmx();
}

// ---- encodings ----

/** Rows 0F 60..7F, D0..FF: a bit for each opcode that takes mm, mm/m64 (or m32) and needs no rule of its own. */
const PLAIN_60: u32 = 0x00710fff; // 60..6B 70 74..76
const PLAIN_D0: u32 = 0xff3e; // D1..D5 D8..DF
const PLAIN_E0: u32 = 0xff3f; // E0..E5 E8..EF
const PLAIN_F0: u32 = 0x7f7e; // F1..F6 F8..FE

/** 1 when the encoding is one of ours, 0 for #UD. opcode as for mmxOp, `reg` is ModRM.reg: the shifts by imm8 are told apart by it. */
export function mmxExists(opcode: u32, reg: u32, isMem: u32): u32 {
  if (opcode >= 0x3800) return <u32>(opcode <= 0x380b || (opcode >= 0x381c && opcode <= 0x381e) || opcode == 0x3a0f);
  switch (opcode) {
    case 0x6e: case 0x6f: case 0x7e: case 0x7f: case 0x77: case 0xc4: return 1;
    case 0xe7: return isMem;
    case 0xc5: case 0xd7: case 0xf7: return isMem ^ 1;
    case 0x71: case 0x72: return <u32>(isMem == 0 && (reg == 2 || reg == 4 || reg == 6));
    case 0x73: return <u32>(isMem == 0 && (reg == 2 || reg == 6));
  }
  switch (opcode >> 4) {
    case 6: case 7: return (PLAIN_60 >> (opcode - 0x60)) & 1;
    case 0xd: return (PLAIN_D0 >> (opcode & 15)) & 1;
    case 0xe: return (PLAIN_E0 >> (opcode & 15)) & 1;
    case 0xf: return (PLAIN_F0 >> (opcode & 15)) & 1;
  }
  return 0;
}

/** 1 when an imm8 follows. */
export function mmxHasImm8(opcode: u32): u32 {
  return <u32>((opcode >= 0x70 && opcode <= 0x73) || opcode == 0xc4 || opcode == 0xc5 || opcode == 0x3a0f);
}

// ---- lanes ----

// @ts-ignore: decorator
@inline
function vector(a: u64): v128 {
  return i64x2.splat(<i64>a);
}
// @ts-ignore: decorator
@inline
function scalar(v: v128): u64 {
  return <u64>i64x2.extract_lane(v, 0);
}
/** a in the low, b in the high half. */
// @ts-ignore: decorator
@inline
function pair(a: u64, b: u64): v128 {
  return i64x2.replace_lane(i64x2.splat(<i64>a), 1, <i64>b);
}
// @ts-ignore: decorator
@inline
function evenWords(v: v128): v128 {
  return v128.shuffle<i16>(v, v, 0, 2, 4, 6, 0, 2, 4, 6);
}
// @ts-ignore: decorator
@inline
function oddWords(v: v128): v128 {
  return v128.shuffle<i16>(v, v, 1, 3, 5, 7, 1, 3, 5, 7);
}
// @ts-ignore: decorator
@inline
function evenDwords(v: v128): v128 {
  return v128.shuffle<i32>(v, v, 0, 2, 0, 2);
}
// @ts-ignore: decorator
@inline
function oddDwords(v: v128): v128 {
  return v128.shuffle<i32>(v, v, 1, 3, 1, 3);
}

/** Shifts, for immediate and register counts: the low byte of the opcode of the register form. */
function shift(opcode: u32, a: u64, count: u64): u64 {
  const n = <i32>min(count, 64);
  const v = vector(a);
  switch (opcode) {
    case 0xd1: return n > 15 ? 0 : scalar(i16x8.shr_u(v, n));
    case 0xd2: return n > 31 ? 0 : scalar(i32x4.shr_u(v, n));
    case 0xd3: return n > 63 ? 0 : a >> n;
    case 0xe1: return scalar(i16x8.shr_s(v, min(n, 15)));
    case 0xe2: return scalar(i32x4.shr_s(v, min(n, 31)));
    case 0xf1: return n > 15 ? 0 : scalar(i16x8.shl(v, n));
    case 0xf2: return n > 31 ? 0 : scalar(i32x4.shl(v, n));
    default: return n > 63 ? 0 : a << n;
  }
}

function sumOfDifferences(a: u64, b: u64): u64 {
  const v = i8x16.sub(i8x16.max_u(vector(a), vector(b)), i8x16.min_u(vector(a), vector(b)));
  const words = i16x8.extadd_pairwise_i8x16_u(v);
  const dwords = i32x4.extadd_pairwise_i16x8_u(words);
  return <u64>(<u32>i32x4.extract_lane(dwords, 0) + <u32>i32x4.extract_lane(dwords, 1));
}

/** a OP b for the instructions of the form OP mm, mm/m64. `imm` is for PSHUFW and PALIGNR. */
function combine(opcode: u32, a: u64, b: u64, imm: u32): u64 {
  const x = vector(a), y = vector(b);
  switch (opcode) {
    case 0x60: return scalar(v128.shuffle<i8>(x, y, 0, 16, 1, 17, 2, 18, 3, 19, 0, 16, 1, 17, 2, 18, 3, 19)); // PUNPCKLBW
    case 0x61: return scalar(v128.shuffle<i16>(x, y, 0, 8, 1, 9, 0, 8, 1, 9)); // PUNPCKLWD
    case 0x62: return (a & 0xffffffff) | (b << 32); // PUNPCKLDQ
    case 0x63: return scalar(i8x16.narrow_i16x8_s(pair(a, b), x)); // PACKSSWB
    case 0x64: return scalar(i8x16.gt_s(x, y)); // PCMPGTB
    case 0x65: return scalar(i16x8.gt_s(x, y));
    case 0x66: return scalar(i32x4.gt_s(x, y));
    case 0x67: return scalar(i8x16.narrow_i16x8_u(pair(a, b), x)); // PACKUSWB
    case 0x68: return scalar(v128.shuffle<i8>(x, y, 4, 20, 5, 21, 6, 22, 7, 23, 4, 20, 5, 21, 6, 22, 7, 23)); // PUNPCKHBW
    case 0x69: return scalar(v128.shuffle<i16>(x, y, 2, 10, 3, 11, 2, 10, 3, 11)); // PUNPCKHWD
    case 0x6a: return (a >> 32) | (b & 0xffffffff00000000); // PUNPCKHDQ
    case 0x6b: return scalar(i16x8.narrow_i32x4_s(pair(a, b), x)); // PACKSSDW
    case 0x70: // PSHUFW
      return ((b >> ((imm & 3) << 4)) & 0xffff) | (((b >> (((imm >> 2) & 3) << 4)) & 0xffff) << 16)
        | (((b >> (((imm >> 4) & 3) << 4)) & 0xffff) << 32) | ((b >> (((imm >> 6) & 3) << 4)) << 48);
    case 0x74: return scalar(i8x16.eq(x, y)); // PCMPEQB
    case 0x75: return scalar(i16x8.eq(x, y));
    case 0x76: return scalar(i32x4.eq(x, y));
    case 0xd1: case 0xd2: case 0xd3: case 0xe1: case 0xe2: case 0xf1: case 0xf2: case 0xf3: return shift(opcode, a, b);
    case 0xd4: return a + b; // PADDQ
    case 0xd5: return scalar(i16x8.mul(x, y)); // PMULLW
    case 0xd8: return scalar(i8x16.sub_sat_u(x, y)); // PSUBUSB
    case 0xd9: return scalar(i16x8.sub_sat_u(x, y));
    case 0xda: return scalar(i8x16.min_u(x, y)); // PMINUB
    case 0xdb: return a & b; // PAND
    case 0xdc: return scalar(i8x16.add_sat_u(x, y)); // PADDUSB
    case 0xdd: return scalar(i16x8.add_sat_u(x, y));
    case 0xde: return scalar(i8x16.max_u(x, y)); // PMAXUB
    case 0xdf: return ~a & b; // PANDN
    case 0xe0: return scalar(i8x16.avgr_u(x, y)); // PAVGB
    case 0xe3: return scalar(i16x8.avgr_u(x, y)); // PAVGW
    case 0xe4: return scalar(evenWords(i32x4.shr_u(i32x4.extmul_low_i16x8_u(x, y), 16))); // PMULHUW
    case 0xe5: return scalar(evenWords(i32x4.shr_u(i32x4.extmul_low_i16x8_s(x, y), 16))); // PMULHW
    case 0xe8: return scalar(i8x16.sub_sat_s(x, y)); // PSUBSB
    case 0xe9: return scalar(i16x8.sub_sat_s(x, y));
    case 0xea: return scalar(i16x8.min_s(x, y)); // PMINSW
    case 0xeb: return a | b; // POR
    case 0xec: return scalar(i8x16.add_sat_s(x, y)); // PADDSB
    case 0xed: return scalar(i16x8.add_sat_s(x, y));
    case 0xee: return scalar(i16x8.max_s(x, y)); // PMAXSW
    case 0xef: return a ^ b; // PXOR
    case 0xf4: return (a & 0xffffffff) * (b & 0xffffffff); // PMULUDQ
    case 0xf5: return scalar(i32x4.dot_i16x8_s(x, y)); // PMADDWD
    case 0xf6: return sumOfDifferences(a, b); // PSADBW
    case 0xf8: return scalar(i8x16.sub(x, y)); // PSUBB
    case 0xf9: return scalar(i16x8.sub(x, y));
    case 0xfa: return scalar(i32x4.sub(x, y));
    case 0xfb: return a - b; // PSUBQ
    case 0xfc: return scalar(i8x16.add(x, y)); // PADDB
    case 0xfd: return scalar(i16x8.add(x, y));
    case 0xfe: return scalar(i32x4.add(x, y));
    case 0x3800: return scalar(i8x16.swizzle(x, v128.and(y, i8x16.splat(<i8>0x87)))); // PSHUFB
    case 0x3801: return scalar(i16x8.add(evenWords(pair(a, b)), oddWords(pair(a, b)))); // PHADDW
    case 0x3802: return scalar(i32x4.add(evenDwords(pair(a, b)), oddDwords(pair(a, b)))); // PHADDD
    case 0x3803: return scalar(i16x8.add_sat_s(evenWords(pair(a, b)), oddWords(pair(a, b)))); // PHADDSW
    case 0x3804: { // PMADDUBSW: unsigned bytes of a by signed bytes of b
      const p = i16x8.mul(i16x8.extend_low_i8x16_u(x), i16x8.extend_low_i8x16_s(y));
      return scalar(i16x8.add_sat_s(evenWords(p), oddWords(p)));
    }
    case 0x3805: return scalar(i16x8.sub(evenWords(pair(a, b)), oddWords(pair(a, b)))); // PHSUBW
    case 0x3806: return scalar(i32x4.sub(evenDwords(pair(a, b)), oddDwords(pair(a, b)))); // PHSUBD
    case 0x3807: return scalar(i16x8.sub_sat_s(evenWords(pair(a, b)), oddWords(pair(a, b)))); // PHSUBSW
    case 0x3808: { // PSIGNB
      const negative = i8x16.shr_s(y, 7);
      return scalar(v128.and(i8x16.sub(v128.xor(x, negative), negative), i8x16.ne(y, i8x16.splat(0))));
    }
    case 0x3809: {
      const negative = i16x8.shr_s(y, 15);
      return scalar(v128.and(i16x8.sub(v128.xor(x, negative), negative), i16x8.ne(y, i16x8.splat(0))));
    }
    case 0x380a: {
      const negative = i32x4.shr_s(y, 31);
      return scalar(v128.and(i32x4.sub(v128.xor(x, negative), negative), i32x4.ne(y, i32x4.splat(0))));
    }
    case 0x380b: { // PMULHRSW: only -1 * -1 leaves the range, and wraps
      const p = i32x4.shr_s(i32x4.extmul_low_i16x8_s(x, y), 14);
      return scalar(evenWords(i32x4.shr_s(i32x4.add(p, i32x4.splat(1)), 1)));
    }
    case 0x381c: return scalar(i8x16.abs(y)); // PABSB
    case 0x381d: return scalar(i16x8.abs(y));
    case 0x381e: return scalar(i32x4.abs(y));
    case 0x3a0f: { // PALIGNR
      const n = u64(imm << 3);
      if (n == 0) return b;
      if (n < 64) return (b >> n) | (a << (64 - n));
      return n < 128 ? a >> (n - 64) : 0;
    }
  }
  raise(UD);
  return 0;
}

/** MASKMOVQ: the bytes of MM(reg) whose byte in MM(rm) has its top bit set go to ea. */
function storeMasked(ea: u64, value: u64, mask: u64): void {
  mask &= 0x8080808080808080;
  if (mask == 0) return;
  const first = ctz(mask) >> 3, last = (63 - clz(mask)) >> 3;
  probeWrite(ea + first, <u32>(last - first + 1));
  for (let i = first; i <= last; i++) if ((mask >> (i << 3)) & 0x80) st8(ea + i, <u32>(value >> (i << 3)) & 0xff);
}

/**
 * One MMX instruction.
 * opcode: the byte after 0F, or 0x3800 | byte after 0F 38, or 0x3a00 | byte after 0F 3A
 * reg:    ModRM.reg with REX.R (0..15: PEXTRW and PMOVMSKB name a general register); for 71 72 73 the opcode extension
 * rm:     ModRM.rm with REX.B, when isMem is 0; mm registers use the low three bits
 * ea:     linear address of the memory operand, for MASKMOVQ that of DS:rDI
 * flags:  bit 0 REX.W, for MOVQ between mm and a 64-bit general register; the other bits are ignored
 */
export function mmxOp(opcode: u32, reg: u32, rm: u32, isMem: u32, ea: u64, imm: u32, flags: u32): void {
  x87Wait();
  const rexW = (flags & 1) != 0;
  switch (opcode) {
    case 0x77: // EMMS
      store<u16>(FSW, <u16>(<u32>load<u16>(FSW) & ~0x3800));
      store<u8>(FTW, 0);
      return;
    case 0x6e: { // MOVD, MOVQ mm, r/m
      const value: u64 = isMem ? (rexW ? ld64(ea) : u64(ld32(ea))) : rexW ? load<u64>(REGS + (rm << 3)) : u64(load<u32>(REGS + (rm << 3)));
      writeMm(reg, value);
      return;
    }
    case 0x7e: { // MOVD, MOVQ r/m, mm
      const value = mm(reg);
      if (isMem) {
        if (rexW) st64(ea, value);
        else st32(ea, <u32>value);
      } else store<u64>(REGS + (rm << 3), rexW ? value : value & 0xffffffff);
      enterMmx();
      return;
    }
    case 0x6f:
      writeMm(reg, isMem ? ld64(ea) : mm(rm));
      return;
    case 0x7f:
    case 0xe7:
      if (isMem) {
        st64(ea, mm(reg));
        enterMmx();
      } else {
        if (opcode == 0xe7) raise(UD);
        writeMm(rm, mm(reg));
      }
      return;
    case 0xf7:
      if (isMem) raise(UD);
      storeMasked(ea, mm(reg), mm(rm));
      enterMmx();
      return;
    case 0x71:
    case 0x72:
    case 0x73: {
      // /2 logical right, /4 arithmetic right (not of 64 bits), /6 left
      if (isMem || (reg & 1) != 0 || reg == 0 || reg > 6 || (opcode == 0x73 && reg == 4)) raise(UD);
      const register = (reg == 2 ? 0xd0 : reg == 4 ? 0xe0 : 0xf0) | (opcode & 3);
      writeMm(rm, shift(register, mm(rm), imm));
      return;
    }
    case 0xc4: { // PINSRW
      const value = isMem ? u64(ld16(ea)) : load<u64>(REGS + (rm << 3)) & 0xffff;
      const n = u64((imm & 3) << 4);
      writeMm(reg, (mm(reg) & ~(u64(0xffff) << n)) | (value << n));
      return;
    }
    case 0xc5: // PEXTRW
      if (isMem) raise(UD);
      store<u64>(REGS + (reg << 3), (mm(rm) >> ((imm & 3) << 4)) & 0xffff);
      enterMmx();
      return;
    case 0xd7: // PMOVMSKB
      if (isMem) raise(UD);
      store<u64>(REGS + (reg << 3), u64(i8x16.bitmask(vector(mm(rm))) & 0xff));
      enterMmx();
      return;
  }
  let b: u64;
  if (!isMem) b = mm(rm);
  else if (opcode >= 0x60 && opcode <= 0x62) b = u64(ld32(ea));
  else b = ld64(ea);
  writeMm(reg, combine(opcode, mm(reg), b, imm));
}

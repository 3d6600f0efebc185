/**
 * x86 single and double precision, as SSE computes it (SDM vol. 1 4.8, 11.5; vol. 1 appendix D.4.2 for NaNs).
 *
 *   begin() ── arithmetic on bit patterns, any number of lanes ──► `raised` ── the caller gives it to MXCSR or #XM
 *
 * Values are bit patterns (u32, u64), never the host's floats: WebAssembly leaves the sign and payload of NaNs open and has
 * one rounding mode and no flags. The slow path (`slow`) takes operands apart into sign, exponent and a significand whose
 * leading bit is bit 62, computes the exact result with a sticky bit 0, and rounds once in `pack`.
 *
 * Fast paths use the WebAssembly operation, which IEEE 754 defines bit for bit when rounding is to nearest even and no NaN
 * arises. They apply only when
 *   - the rounding control is nearest,
 *   - the operands are zeros or normal: no NaN, no infinity, nothing for DE, DAZ, IE or ZE to notice,
 *   - the result is zero because an exact rule says so, or at least twice the smallest normal: neither tiny before nor after
 *     rounding, so that UE and FTZ stay out; and at most the largest finite number, so that OE stays out.
 * What is left is PE: either it is sticky already and masked, so raising it again changes nothing, or the operation's own
 * rounding error is computed exactly (each place says how).
 *
 * Edit `slow`, `pack` and the conversions for what is computed, the functions with `fast` in them for speed.
 */
import { MXCSR } from "../layout";
import { mulHigh, shiftRightJam64 } from "./softfloat-core";

export const IE: u32 = 1;
export const DE: u32 = 2;
export const ZE: u32 = 4;
export const OE: u32 = 8;
export const UE: u32 = 0x10;
export const PE: u32 = 0x20;
/** Exceptions found before the operation is computed; an unmasked one hides the others (SDM vol. 1 11.5.2). */
export const BEFORE: u32 = 7;
const DAZ: u32 = 0x40;
const UNDERFLOW_MASK: u32 = 0x800;
const OVERFLOW_MASK: u32 = 0x400;
const ROUNDING: u32 = 0x6000;
const FTZ: u32 = 0x8000;
/** PE is set and masked. */
const PRECISION_SETTLED: u32 = 0x1020;

export const NEAREST: u32 = 0;
export const DOWN: u32 = 1;
export const UP: u32 = 2;
export const ZERO: u32 = 3;

export const NAN64: u64 = 0xfff8000000000000;
export const NAN32: u32 = 0xffc00000;
const SIGN64: u64 = 0x8000000000000000;
const INF64: u64 = 0x7ff0000000000000;
const SIGN32: u32 = 0x80000000;
const INF32: u32 = 0x7f800000;

/** MXCSR of the running instruction. */
export let control: u32 = 0x1f80;
/** Exceptions of the running instruction. */
export let raised: u32 = 0;

export function begin(): void {
  control = load<u32>(MXCSR);
  raised = 0;
}
/** Ends one step of an instruction of several: what it raised is sticky for those that follow. */
export function settle(): void {
  control |= raised;
  raised = 0;
}
/** True when packed operations may use the WebAssembly operation if their lanes allow it. */
// @ts-ignore: decorator
@inline
export function settled(): bool {
  return (control & (ROUNDING | PRECISION_SETTLED)) == PRECISION_SETTLED;
}

// ---- classes ----

// @ts-ignore: decorator
@inline
export function isNan64(a: u64): bool { return (a & ~SIGN64) > INF64; }
// @ts-ignore: decorator
@inline
export function isNan32(a: u32): bool { return (a & ~SIGN32) > INF32; }
// @ts-ignore: decorator
@inline
function isSignaling64(a: u64): bool { return isNan64(a) && (a & 0x0008000000000000) == 0; }
// @ts-ignore: decorator
@inline
function isSignaling32(a: u32): bool { return isNan32(a) && (a & 0x00400000) == 0; }
// @ts-ignore: decorator
@inline
function isDenormal64(a: u64): bool { return (a & INF64) == 0 && (a & ~SIGN64) != 0; }
// @ts-ignore: decorator
@inline
function isDenormal32(a: u32): bool { return (a & INF32) == 0 && (a & ~SIGN32) != 0; }

/** The operand as DAZ shows it. */
// @ts-ignore: decorator
@inline
export function daz64(a: u64): u64 {
  return (control & DAZ) != 0 && (a & INF64) == 0 ? a & SIGN64 : a;
}
// @ts-ignore: decorator
@inline
export function daz32(a: u32): u32 {
  return (control & DAZ) != 0 && (a & INF32) == 0 ? a & SIGN32 : a;
}

const MIN64: f64 = 2.2250738585072014e-308;
const MAX64: f64 = 1.7976931348623157e308;
const MIN32: f32 = 1.1754943508222875e-38;
const MAX32: f32 = 3.4028234663852886e38;

/** Zero or normal. */
// @ts-ignore: decorator
@inline
function ordinary64(x: f64): bool {
  const m = abs<f64>(x);
  return (m >= MIN64 && m <= MAX64) || m == 0;
}
// @ts-ignore: decorator
@inline
function ordinary32(x: f32): bool {
  const m = abs<f32>(x);
  return (m >= MIN32 && m <= MAX32) || m == 0;
}
// @ts-ignore: decorator
@inline
function safe64(x: f64): bool {
  const m = abs<f64>(x);
  return m >= 2.0 * MIN64 && m <= MAX64;
}
// @ts-ignore: decorator
@inline
function safe32(x: f32): bool {
  const m = abs<f32>(x);
  return m >= <f32>2.0 * MIN32 && m <= MAX32;
}

// ---- arithmetic ----

/** Operations are named by the second opcode byte (0F 51 SQRT, 58 ADD, 59 MUL, 5C SUB, 5D MIN, 5E DIV, 5F MAX). */
export const SQRT: u32 = 0x51;
export const ADD: u32 = 0x58;
export const MUL: u32 = 0x59;
export const SUB: u32 = 0x5c;
export const MIN: u32 = 0x5d;
export const DIV: u32 = 0x5e;
export const MAX: u32 = 0x5f;

/** ADD MUL SUB MIN DIV MAX */
// @ts-ignore: decorator
@inline
export function arithmetic64(operation: u32, a: u64, b: u64): u64 {
  switch (operation) {
    case ADD: return add64(a, b);
    case MUL: return mul64(a, b);
    case SUB: return sub64(a, b);
    case DIV: return div64(a, b);
    case MIN: return min64(a, b);
    default: return max64(a, b);
  }
}
// @ts-ignore: decorator
@inline
export function arithmetic32(operation: u32, a: u32, b: u32): u32 {
  switch (operation) {
    case ADD: return add32(a, b);
    case MUL: return mul32(a, b);
    case SUB: return sub32(a, b);
    case DIV: return div32(a, b);
    case MIN: return min32(a, b);
    default: return max32(a, b);
  }
}

/**
 * fast: a zero sum of ordinary numbers is exact, since gradual underflow never rounds a sum to zero. When PE matters, the error
 * of the sum is a floating-point number (Knuth's TwoSum, exact to nearest barring overflow), and PE is (error != 0).
 */
// @ts-ignore: decorator
@inline
function fastSum64(x: f64, y: f64, r: f64): bool {
  if ((control & ROUNDING) != 0 || !ordinary64(x) || !ordinary64(y) || !(safe64(r) || r == 0)) return false;
  if ((control & PRECISION_SETTLED) == PRECISION_SETTLED) return true;
  if (abs<f64>(x) > 1e300 || abs<f64>(y) > 1e300) return false;
  const z = r - x;
  if ((x - (r - z)) + (y - z) != 0) raised |= PE;
  return true;
}
// @ts-ignore: decorator
@inline
function fastSum32(x: f32, y: f32, r: f32): bool {
  if ((control & ROUNDING) != 0 || !ordinary32(x) || !ordinary32(y) || !(safe32(r) || r == 0)) return false;
  if ((control & PRECISION_SETTLED) == PRECISION_SETTLED) return true;
  if (abs<f32>(x) > 1e35 || abs<f32>(y) > 1e35) return false;
  const z = r - x;
  if ((x - (r - z)) + (y - z) != 0) raised |= PE;
  return true;
}

export function add64(a: u64, b: u64): u64 {
  const x = reinterpret<f64>(a), y = reinterpret<f64>(b), r = x + y;
  if (fastSum64(x, y, r)) return reinterpret<u64>(r);
  return slow(ADD, a, b, true);
}
export function sub64(a: u64, b: u64): u64 {
  const x = reinterpret<f64>(a), y = reinterpret<f64>(b), r = x - y;
  if (fastSum64(x, -y, r)) return reinterpret<u64>(r);
  return slow(SUB, a, b, true);
}
export function add32(a: u32, b: u32): u32 {
  const x = reinterpret<f32>(a), y = reinterpret<f32>(b), r = x + y;
  if (fastSum32(x, y, r)) return reinterpret<u32>(r);
  return <u32>slow(ADD, a, b, false);
}
export function sub32(a: u32, b: u32): u32 {
  const x = reinterpret<f32>(a), y = reinterpret<f32>(b), r = x - y;
  if (fastSum32(x, -y, r)) return reinterpret<u32>(r);
  return <u32>slow(SUB, a, b, false);
}

/**
 * fast: when PE matters, the product is exact if the significands without their trailing zeros have at most 53 bits together, or
 * one of them is a power of two.
 */
export function mul64(a: u64, b: u64): u64 {
  if ((control & ROUNDING) == 0) {
    const x = reinterpret<f64>(a), y = reinterpret<f64>(b), r = x * y;
    if (ordinary64(x) && ordinary64(y) && (safe64(r) || x == 0 || y == 0)) {
      if ((control & PRECISION_SETTLED) == PRECISION_SETTLED || x == 0 || y == 0) return reinterpret<u64>(r);
      const p = ctz<u64>(a | 0x0010000000000000), q = ctz<u64>(b | 0x0010000000000000);
      if (p + q >= 53 || p == 52 || q == 52) return reinterpret<u64>(r);
    }
  }
  return slow(MUL, a, b, true);
}
/** fast: the product of two f32 is exact in f64, so PE is (rounded != exact). */
export function mul32(a: u32, b: u32): u32 {
  if ((control & ROUNDING) == 0) {
    const x = reinterpret<f32>(a), y = reinterpret<f32>(b), r = x * y;
    if (ordinary32(x) && ordinary32(y) && (safe32(r) || x == 0 || y == 0)) {
      if (<f64>x * <f64>y != <f64>r) raised |= PE;
      return reinterpret<u32>(r);
    }
  }
  return <u32>slow(MUL, a, b, false);
}
export function div64(a: u64, b: u64): u64 {
  if ((control & (ROUNDING | PRECISION_SETTLED)) == PRECISION_SETTLED) {
    const x = reinterpret<f64>(a), y = reinterpret<f64>(b), r = x / y;
    if (ordinary64(x) && ordinary64(y) && y != 0 && (safe64(r) || x == 0)) return reinterpret<u64>(r);
  }
  return slow(DIV, a, b, true);
}
/** fast: quotient times divisor is exact in f64, so PE is (product != dividend). */
export function div32(a: u32, b: u32): u32 {
  if ((control & ROUNDING) == 0) {
    const x = reinterpret<f32>(a), y = reinterpret<f32>(b), r = x / y;
    if (ordinary32(x) && ordinary32(y) && y != 0 && (safe32(r) || x == 0)) {
      if (<f64>r * <f64>y != <f64>x) raised |= PE;
      return reinterpret<u32>(r);
    }
  }
  return <u32>slow(DIV, a, b, false);
}
/** fast: the square root of a normal number is normal; -0 gives -0. */
export function sqrt64(a: u64): u64 {
  if ((control & (ROUNDING | PRECISION_SETTLED)) == PRECISION_SETTLED) {
    const x = reinterpret<f64>(a);
    if (ordinary64(x) && x >= 0) return reinterpret<u64>(sqrt<f64>(x));
  }
  return slow(SQRT, a, a, true);
}
/** fast: the square of the root is exact in f64, so PE is (square != operand). */
export function sqrt32(a: u32): u32 {
  if ((control & ROUNDING) == 0) {
    const x = reinterpret<f32>(a);
    if (ordinary32(x) && x >= 0) {
      const r = sqrt<f32>(x);
      if (<f64>r * <f64>r != <f64>x) raised |= PE;
      return reinterpret<u32>(r);
    }
  }
  return <u32>slow(SQRT, a, a, false);
}

/** Takes operands of either format apart, deals with the special ones and computes the rest exactly. */
function slow(operation: u32, a: u64, b: u64, double: bool): u64 {
  const fraction: u32 = double ? 52 : 23;
  const top: i32 = double ? 0x7ff : 0xff;
  const bias: i32 = double ? 1023 : 127;
  const signBit: u32 = double ? 63 : 31;
  const quiet = <u64>1 << (fraction - 1);
  const infinity = <u64>top << fraction;
  const magnitude = ((<u64>1 << signBit) - 1);
  const aMagnitude = a & magnitude, bMagnitude = b & magnitude;
  if (aMagnitude > infinity || bMagnitude > infinity) {
    const aNan = aMagnitude > infinity;
    if ((aNan && (a & quiet) == 0) || (bMagnitude > infinity && (b & quiet) == 0)) raised |= IE;
    return (aNan ? a : b) | quiet;
  }
  let aSign = <u32>(a >> signBit), bSign = <u32>(b >> signBit);
  if (operation == SUB) bSign ^= 1;
  let aExponent = <i32>(aMagnitude >> fraction), bExponent = <i32>(bMagnitude >> fraction);
  let aSig = a & ((<u64>1 << fraction) - 1), bSig = b & ((<u64>1 << fraction) - 1);
  const aInfinite = aExponent == top, bInfinite = bExponent == top;
  let denormal: u32 = 0;
  if (aExponent == 0) {
    if (aSig != 0) {
      if ((control & DAZ) != 0) aSig = 0;
      else denormal = DE;
    }
  } else aSig |= <u64>1 << fraction;
  if (bExponent == 0) {
    if (bSig != 0) {
      if ((control & DAZ) != 0) bSig = 0;
      else denormal = DE;
    }
  } else bSig |= <u64>1 << fraction;
  const aZero = aSig == 0, bZero = bSig == 0;
  const productSign = aSign ^ bSign;
  const invalid: u64 = (<u64>1 << signBit) | infinity | quiet;

  // Special operands. A lower-priority DE is not raised beside IE or ZE (SDM vol. 1 4.9.2).
  if (operation == ADD || operation == SUB) {
    if (aInfinite || bInfinite) {
      if (aInfinite && bInfinite && productSign != 0) {
        raised |= IE;
        return invalid;
      }
      raised |= denormal;
      return (<u64>(aInfinite ? aSign : bSign) << signBit) | infinity;
    }
    raised |= denormal;
    if (aZero && bZero) {
      const sign: u32 = aSign == bSign ? aSign : <u32>((control & ROUNDING) == 0x2000);
      return <u64>sign << signBit;
    }
  } else if (operation == MUL) {
    if (aInfinite || bInfinite) {
      if (aZero || bZero) {
        raised |= IE;
        return invalid;
      }
      raised |= denormal;
      return (<u64>productSign << signBit) | infinity;
    }
    raised |= denormal;
    if (aZero || bZero) return <u64>productSign << signBit;
  } else if (operation == DIV) {
    if ((aInfinite && bInfinite) || (aZero && bZero)) {
      raised |= IE;
      return invalid;
    }
    if (aInfinite) {
      raised |= denormal;
      return (<u64>productSign << signBit) | infinity;
    }
    if (bZero) {
      raised |= ZE;
      return (<u64>productSign << signBit) | infinity;
    }
    raised |= denormal;
    if (aZero || bInfinite) return <u64>productSign << signBit;
  } else {
    if (bZero) return <u64>bSign << signBit;
    if (bSign) {
      raised |= IE;
      return invalid;
    }
    raised |= denormal;
    if (bInfinite) return infinity;
  }

  // Normalise: the leading bit to 62; a zero (of an addition) stays zero.
  if (aExponent == 0) aExponent = 1;
  if (bExponent == 0) bExponent = 1;
  aExponent -= bias;
  bExponent -= bias;
  let shift = <i32>clz<u64>(aSig) - 1;
  aSig = aSig << shift;
  aExponent -= shift - (62 - <i32>fraction);
  shift = <i32>clz<u64>(bSig) - 1;
  bSig = bSig << shift;
  bExponent -= shift - (62 - <i32>fraction);

  if (operation == ADD || operation == SUB) {
    if (aZero) return pack(bSign, bExponent, bSig, double);
    if (bZero) return pack(aSign, aExponent, aSig, double);
    if (aExponent < bExponent || (aExponent == bExponent && aSig < bSig)) {
      const e = aExponent; aExponent = bExponent; bExponent = e;
      const s = aSig; aSig = bSig; bSig = s;
      const n = aSign; aSign = bSign; bSign = n;
    }
    // Ten or more zero bits below the last place keep the jammed sticky bit away from the rounding decision.
    bSig = shiftRightJam64(bSig, <u32>(aExponent - bExponent));
    if (aSign == bSign) {
      aSig += bSig;
      if (<i64>aSig < 0) {
        aSig = (aSig >> 1) | (aSig & 1);
        aExponent++;
      }
      return pack(aSign, aExponent, aSig, double);
    }
    aSig -= bSig;
    if (aSig == 0) return <u64>((control & ROUNDING) == 0x2000) << signBit;
    shift = <i32>clz<u64>(aSig) - 1;
    return pack(aSign, aExponent - shift, aSig << shift, double);
  }
  if (operation == MUL) {
    // 2^62.. times 2^63..: the high word has its leading bit at 61 or 62.
    const high = mulHigh(aSig, bSig << 1);
    const lowWord = aSig * (bSig << 1);
    let sig = high | <u64>(lowWord != 0);
    let exponent = aExponent + bExponent + 1;
    if ((high >> 62) == 0) {
      sig = (high << 1) | (lowWord >> 63) | <u64>((lowWord << 1) != 0);
      exponent--;
    }
    return pack(productSign, exponent, sig, double);
  }
  if (operation == DIV) {
    // Both significands have 53 bits at most; long division by digits of 10 bits, 63 bits of quotient in all.
    aSig = aSig >> 10;
    bSig = bSig >> 10;
    let exponent = aExponent - bExponent;
    if (aSig < bSig) {
      aSig = aSig << 1;
      exponent--;
    }
    let quotient = aSig / bSig;
    let remainder = aSig - quotient * bSig;
    for (let i = 0; i < 6; i++) {
      remainder = remainder << 10;
      const digit = remainder / bSig;
      remainder -= digit * bSig;
      quotient = (quotient << 10) | digit;
    }
    return pack(productSign, exponent, (quotient << 2) | <u64>(remainder != 0), double);
  }
  // Square root, one bit at a time: root has 56 bits, its square is below the radicand.
  let radicand = bSig >> 10;
  let exponent = bExponent;
  if ((exponent & 1) != 0) {
    radicand = radicand << 1;
    exponent--;
  }
  // radicand is in [2^52, 2^54); pairs of its bits enter the remainder from the top.
  let root: u64 = 0, remainder: u64 = 0;
  for (let i = 0; i < 56; i++) {
    remainder = (remainder << 2) | (i < 27 ? (radicand >> <u64>(52 - 2 * i)) & 3 : 0);
    root = root << 1;
    const trial = (root << 1) | 1;
    if (remainder >= trial) {
      remainder -= trial;
      root |= 1;
    }
  }
  return pack(0, exponent >> 1, (root << 7) | <u64>(remainder != 0), double);
}

/** Rounds sign * sig * 2^(exponent - 62), the leading bit of sig at 62 and bit 0 sticky, by MXCSR. */
function pack(sign: u32, exponent: i32, sig: u64, double: bool): u64 {
  const fraction: u32 = double ? 52 : 23;
  const top: u64 = double ? 0x7ff : 0xff;
  const bias: i32 = double ? 1023 : 127;
  const signBit = <u64>sign << (double ? 63 : 31);
  const drop: u32 = 62 - fraction;
  const mask = (<u64>1 << drop) - 1;
  const half = <u64>1 << (drop - 1);
  const rounding = (control & ROUNDING) >> 13;
  const increment: u64 = rounding == NEAREST ? half : rounding == ZERO ? 0 : (rounding == UP) == (sign == 0) ? mask : 0;
  let biased = exponent + bias;
  if (biased <= 0) {
    // Tiny if the result, rounded as if the exponent had no lower bound, is below the smallest normal (SDM vol. 1 4.9.1.5).
    const tiny = !(biased == 0 && ((sig + increment) >> 63) != 0);
    if (tiny) {
      if ((control & UNDERFLOW_MASK) == 0) {
        raised |= UE;
        if ((sig & mask) != 0) raised |= PE;
        return 0;
      }
      if ((control & FTZ) != 0) {
        raised |= UE | PE;
        return signBit;
      }
    }
    sig = shiftRightJam64(sig, <u32>(1 - biased));
    const rest = sig & mask;
    if (rest != 0) raised |= tiny ? UE | PE : PE;
    sig = (sig + increment) >> drop;
    if (rounding == NEAREST && rest == half) sig &= ~1;
    // A carry into the leading bit's place is the exponent 1 of the smallest normal.
    return signBit | sig;
  }
  const rest = sig & mask;
  sig = (sig + increment) >> drop;
  if (rounding == NEAREST && rest == half) sig &= ~1;
  // A carry leaves a zero fraction and raises the exponent by itself.
  const result = (<u64>(biased - 1) << fraction) + sig;
  if (biased >= <i32>top || result >= top << fraction) {
    raised |= OE;
    if ((control & OVERFLOW_MASK) != 0 || rest != 0) raised |= PE;
    return signBit | (rounding == NEAREST || increment != 0 ? top << fraction : (top << fraction) - 1);
  }
  if (rest != 0) raised |= PE;
  return signBit | result;
}

// ---- comparison ----

/** MIN and MAX return the second operand (as DAZ shows it) for NaNs, which raise IE even when quiet, and for two zeros (SDM vol. 2 MINSD). */
export function min64(a: u64, b: u64): u64 {
  if (isNan64(a) || isNan64(b)) {
    raised |= IE;
    return daz64(b);
  }
  a = comparable64(a);
  b = comparable64(b);
  return reinterpret<f64>(a) < reinterpret<f64>(b) ? a : b;
}
export function max64(a: u64, b: u64): u64 {
  if (isNan64(a) || isNan64(b)) {
    raised |= IE;
    return daz64(b);
  }
  a = comparable64(a);
  b = comparable64(b);
  return reinterpret<f64>(a) > reinterpret<f64>(b) ? a : b;
}
export function min32(a: u32, b: u32): u32 {
  if (isNan32(a) || isNan32(b)) {
    raised |= IE;
    return daz32(b);
  }
  a = comparable32(a);
  b = comparable32(b);
  return reinterpret<f32>(a) < reinterpret<f32>(b) ? a : b;
}
export function max32(a: u32, b: u32): u32 {
  if (isNan32(a) || isNan32(b)) {
    raised |= IE;
    return daz32(b);
  }
  a = comparable32(a);
  b = comparable32(b);
  return reinterpret<f32>(a) > reinterpret<f32>(b) ? a : b;
}
// @ts-ignore: decorator
@inline
function comparable64(a: u64): u64 {
  if (isDenormal64(a)) {
    if ((control & DAZ) != 0) return a & SIGN64;
    raised |= DE;
  }
  return a;
}
// @ts-ignore: decorator
@inline
function comparable32(a: u32): u32 {
  if (isDenormal32(a)) {
    if ((control & DAZ) != 0) return a & SIGN32;
    raised |= DE;
  }
  return a;
}

export const EQUAL: u32 = 0;
export const LESS: u32 = 1;
export const GREATER: u32 = 2;
export const UNORDERED: u32 = 3;

/** `signaling` comparisons raise IE for quiet NaNs too. */
export function compare64(a: u64, b: u64, signaling: bool): u32 {
  if (isNan64(a) || isNan64(b)) {
    if (signaling || isSignaling64(a) || isSignaling64(b)) raised |= IE;
    return UNORDERED;
  }
  const x = reinterpret<f64>(comparable64(a)), y = reinterpret<f64>(comparable64(b));
  return x < y ? LESS : x > y ? GREATER : EQUAL;
}
export function compare32(a: u32, b: u32, signaling: bool): u32 {
  if (isNan32(a) || isNan32(b)) {
    if (signaling || isSignaling32(a) || isSignaling32(b)) raised |= IE;
    return UNORDERED;
  }
  const x = reinterpret<f32>(comparable32(a)), y = reinterpret<f32>(comparable32(b));
  return x < y ? LESS : x > y ? GREATER : EQUAL;
}

/** CMPPS and its kin: predicate 0 to 7 is EQ LT LE UNORD NEQ NLT NLE ORD (SDM vol. 2 table 3-1). */
// @ts-ignore: decorator
@inline
function holds(predicate: u32, relation: u32): bool {
  let truth: bool;
  switch (predicate & 3) {
    case 0: truth = relation == EQUAL; break;
    case 1: truth = relation == LESS; break;
    case 2: truth = relation == LESS || relation == EQUAL; break;
    default: truth = relation == UNORDERED; break;
  }
  return truth != ((predicate & 4) != 0);
}
export function predicate64(a: u64, b: u64, predicate: u32): u64 {
  const signaling = (predicate & 3) == 1 || (predicate & 3) == 2;
  return holds(predicate, compare64(a, b, signaling)) ? <u64>-1 : 0;
}
export function predicate32(a: u32, b: u32, predicate: u32): u32 {
  const signaling = (predicate & 3) == 1 || (predicate & 3) == 2;
  return holds(predicate, compare32(a, b, signaling)) ? <u32>-1 : 0;
}

// ---- conversions ----

export function f32ToF64(a: u32): u64 {
  const sign = <u64>(a & SIGN32) << 32;
  if (isNan32(a)) {
    if (isSignaling32(a)) raised |= IE;
    return sign | 0x7ff8000000000000 | (<u64>(a & 0x007fffff) << 29);
  }
  // Every f32 is an f64, so the WebAssembly promotion of a number is exact.
  return reinterpret<u64>(<f64>reinterpret<f32>(comparable32(a)));
}

export function f64ToF32(a: u64): u32 {
  if ((control & ROUNDING) == 0) {
    const x = reinterpret<f64>(a), r = <f32>x;
    if (safe32(r)) {
      if (<f64>r != x) raised |= PE;
      return reinterpret<u32>(r);
    }
  }
  const sign = <u32>(a >> 63);
  if (isNan64(a)) {
    if (isSignaling64(a)) raised |= IE;
    return (sign << 31) | 0x7fc00000 | (<u32>(a >> 29) & 0x007fffff);
  }
  const exponent = <i32>(a >> 52) & 0x7ff;
  if (exponent == 0x7ff) return (sign << 31) | INF32;
  const fraction = a & 0x000fffffffffffff;
  if (exponent == 0) {
    if (fraction == 0 || (control & DAZ) != 0) return sign << 31;
    raised |= DE;
    const shift = <i32>clz<u64>(fraction) - 1;
    return <u32>pack(sign, -1022 - (shift - 10), fraction << shift, false);
  }
  return <u32>pack(sign, exponent - 1023, (fraction | 0x0010000000000000) << 10, false);
}

function fromInteger(a: i64, double: bool): u64 {
  if (a == 0) return 0;
  const sign = <u32>(a < 0);
  const magnitude: u64 = a < 0 ? 0 - <u64>a : <u64>a;
  const shift = clz<u64>(magnitude);
  // With the leading bit at 63, then one place down, what falls out kept as sticky.
  const sig = magnitude << shift;
  return pack(sign, 63 - <i32>shift, (sig >> 1) | (sig & 1), double);
}
export function i32ToF32(a: i32): u32 {
  if (a >= -0x1000000 && a <= 0x1000000) return reinterpret<u32>(<f32>a);
  return <u32>fromInteger(a, false);
}
export function i64ToF32(a: i64): u32 {
  if (a >= -0x1000000 && a <= 0x1000000) return reinterpret<u32>(<f32>a);
  return <u32>fromInteger(a, false);
}
export function i64ToF64(a: i64): u64 {
  if (a >= -0x20000000000000 && a <= 0x20000000000000) return reinterpret<u64>(<f64>a);
  return fromInteger(a, true);
}

/** The rounding control of MXCSR. */
// @ts-ignore: decorator
@inline
export function roundingControl(): u32 {
  return (control & ROUNDING) >> 13;
}

// @ts-ignore: decorator
@inline
function integral64(x: f64, rounding: u32): f64 {
  return rounding == NEAREST ? nearest<f64>(x) : rounding == ZERO ? trunc<f64>(x) : rounding == DOWN ? floor<f64>(x) : ceil<f64>(x);
}

/** To an integer: NaN, infinity and what does not fit give the integer indefinite and IE. No DE (SDM vol. 2 CVTSD2SI). */
export function f64ToI32(a: u64, rounding: u32): u32 {
  const x = reinterpret<f64>(daz64(a));
  const r = integral64(x, rounding);
  if (!(r >= -2147483648.0 && r <= 2147483647.0)) {
    raised |= IE;
    return 0x80000000;
  }
  if (r != x) raised |= PE;
  return <u32><i32>r;
}
export function f64ToI64(a: u64, rounding: u32): u64 {
  const x = reinterpret<f64>(daz64(a));
  const r = integral64(x, rounding);
  if (!(r >= -9223372036854775808.0 && r < 9223372036854775808.0)) {
    raised |= IE;
    return 0x8000000000000000;
  }
  if (r != x) raised |= PE;
  return <u64><i64>r;
}
/** An f32 operand goes through f64, which holds it exactly; a NaN is out of range in both. */
export function f32ToI32(a: u32, rounding: u32): u32 {
  return f64ToI32(reinterpret<u64>(<f64>reinterpret<f32>(daz32(a))), rounding);
}
export function f32ToI64(a: u32, rounding: u32): u64 {
  return f64ToI64(reinterpret<u64>(<f64>reinterpret<f32>(daz32(a))), rounding);
}

/** ROUNDSD and its kin: imm8 bits 1:0 rounding, bit 2 take it from MXCSR, bit 3 no PE (SDM vol. 2 figure 4-24). */
export function round64(a: u64, imm: u32): u64 {
  if (isNan64(a)) {
    if (isSignaling64(a)) raised |= IE;
    return a | 0x0008000000000000;
  }
  const x = reinterpret<f64>(daz64(a));
  // The WebAssembly roundings of a number are exact by definition and keep the sign of zero.
  const r = integral64(x, (imm & 4) != 0 ? roundingControl() : imm & 3);
  if (r != x && (imm & 8) == 0) raised |= PE;
  return reinterpret<u64>(r);
}
export function round32(a: u32, imm: u32): u32 {
  if (isNan32(a)) {
    if (isSignaling32(a)) raised |= IE;
    return a | 0x00400000;
  }
  const x = reinterpret<f32>(daz32(a));
  const r = <f32>integral64(<f64>x, (imm & 4) != 0 ? roundingControl() : imm & 3);
  if (r != x && (imm & 8) == 0) raised |= PE;
  return reinterpret<u32>(r);
}

// ---- approximations ----

/**
 * RCPSS and RSQRTSS. Intel bounds the relative error by 1.5 * 2^-12 and leaves the bits open; they differ between processors. Here
 * the result is the exact value rounded to nearest even at 12 significant bits (relative error at most 2^-12), without
 * tables. MXCSR is neither read nor written: denormal operands count as zeros, tiny results become zeros (SDM vol. 2 RCPPS).
 */
export function reciprocal32(a: u32): u32 {
  const sign = a & SIGN32;
  const magnitude = a & ~SIGN32;
  if (magnitude > INF32) return a | 0x00400000;
  if (magnitude < 0x00800000) return sign | INF32;
  if (magnitude == INF32) return sign;
  // 1 / m for m in [1, 2) is 1 or in (1/2, 1): 13 bits and a sticky bit decide.
  const m: u64 = (magnitude & 0x007fffff) | 0x00800000;
  let exponent = 254 - <i32>(magnitude >> 23);
  let sig: u32;
  if (m == 0x00800000) sig = 0x800;
  else {
    // q = floor(2^(23+14) / m) in [2^13, 2^14): 14 bits, two below the last place.
    const q = <u32>((<u64>1 << 37) / m);
    sig = roundTwo(q, ((<u64>1 << 37) % m) != 0);
    exponent--;
    if (sig == 0x1000) {
      sig = 0x800;
      exponent++;
    }
  }
  if (exponent <= 0) return sign;
  return sign | (<u32>exponent << 23) | ((sig & 0x7ff) << 12);
}
export function reciprocalRoot32(a: u32): u32 {
  const sign = a & SIGN32;
  const magnitude = a & ~SIGN32;
  if (magnitude > INF32) return a | 0x00400000;
  if (magnitude < 0x00800000) return sign | INF32;
  if (sign != 0) return NAN32;
  if (magnitude == INF32) return 0;
  let exponent = <i32>(magnitude >> 23) - 127;
  let m: u64 = (magnitude & 0x007fffff) | 0x00800000;
  // a = m * 2^(exponent - 23) with an even exponent and m in [2^23, 2^25); the root is 1 / sqrt(m / 2^23) in (1/2, 1].
  if ((exponent & 1) != 0) {
    m = m << 1;
    exponent--;
  }
  let out = 127 - (exponent >> 1);
  let sig: u32;
  if (m == 0x00800000) sig = 0x800;
  else {
    // The largest q with q^2 * m <= 2^(28 + 23), that is q = floor(2^14 / sqrt(m / 2^23)).
    let q: u64 = 0;
    for (let bit: u64 = 1 << 13; bit != 0; bit = bit >> 1) {
      const t = q | bit;
      if (t * t * m <= (<u64>1 << 51)) q = t;
    }
    sig = roundTwo(<u32>q, q * q * m != (<u64>1 << 51));
    out--;
    if (sig == 0x1000) {
      sig = 0x800;
      out++;
    }
  }
  return (<u32>out << 23) | ((sig & 0x7ff) << 12);
}
/** Drops two bits, to nearest even. */
// @ts-ignore: decorator
@inline
function roundTwo(q: u32, sticky: bool): u32 {
  const rest = (q & 3) << 1 | <u32>sticky;
  const kept = q >> 2;
  return rest > 4 || (rest == 4 && (kept & 1) != 0) ? kept + 1 : kept;
}

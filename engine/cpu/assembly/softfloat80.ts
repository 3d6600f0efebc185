/**
 * 80-bit extended precision in integer arithmetic, with the rules of the x87: SDM volume 1, sections 4.8, 4.9, 8.1.5 and 8.5.
 *
 * A number is two words: `se` (bit 15 sign, bits 14..0 exponent) and `sig` (significand with its explicit integer bit).
 * An operation reads the control word from the CPU state in begin(), leaves its result in (zSe, zSig) and adds what it
 * found to `flags`: bits 0..5 are the exception flags as in FSW, bit 6 the stack fault, bit 9 is C1 (rounded up).
 * Whether an exception is masked matters to the result of overflow and underflow only; see x87.ts for the rest.
 */
import { FCW } from "../layout";
import { div128by64, low, mul64To128, rest, shiftRightJam128, shiftRightJam64 } from "./softfloat-core";

export const IE: u32 = 1;
export const DE: u32 = 2;
export const ZE: u32 = 4;
export const OE: u32 = 8;
export const UE: u32 = 16;
export const PE: u32 = 32;
export const SF: u32 = 64;
export const C0: u32 = 0x100;
export const C1: u32 = 0x200;
export const C2: u32 = 0x400;
export const C3: u32 = 0x4000;

export const RC_NEAREST: u32 = 0;
export const RC_DOWN: u32 = 1;
export const RC_UP: u32 = 2;
export const RC_ZERO: u32 = 3;

/** Precision of operations that do not follow the precision control. */
export const EXTENDED: u32 = 3;

/** Set in the condition codes of a remainder when there is a quotient in them. */
export const QUOTIENT: u32 = 0x10000;

export const MSB: u64 = 0x8000000000000000;
const QUIET: u64 = 0x4000000000000000;
export const BIAS: i32 = 0x3fff;

export let control: u32 = 0;
export let flags: u32 = 0;
export let zSe: u32 = 0;
export let zSig: u64 = 0;

export function begin(): void {
  control = load<u16>(FCW);
  flags = 0;
}

// @ts-ignore: decorator
@inline
export function signal(bits: u32): void {
  flags |= bits;
}

/** After an unmasked exception that precedes the computation, nothing the computation found counts. */
export function keepFlags(mask: u32): void {
  flags &= mask;
}

// @ts-ignore: decorator
@inline
export function rounding(): u32 {
  return (control >> 10) & 3;
}

// @ts-ignore: decorator
@inline
export function precision(): u32 {
  return (control >> 8) & 3;
}

// @ts-ignore: decorator
@inline
export function setResult(se: u32, sig: u64): void {
  zSe = se;
  zSig = sig;
}

/** The default NaN, called real indefinite. */
// @ts-ignore: decorator
@inline
export function setIndefinite(): void {
  zSe = 0xffff;
  zSig = 0xc000000000000000;
}

export function setInvalid(): void {
  flags |= IE;
  setIndefinite();
}

// ---- classes ----

/** Unnormals, pseudo-infinities and pseudo-NaNs: SDM volume 1, table 8-3. */
// @ts-ignore: decorator
@inline
export function isUnsupported(se: u32, sig: u64): bool {
  return (se & 0x7fff) != 0 && (sig & MSB) == 0;
}

// @ts-ignore: decorator
@inline
export function isNaN80(se: u32, sig: u64): bool {
  return (se & 0x7fff) == 0x7fff && sig << 1 != 0;
}

// @ts-ignore: decorator
@inline
export function isSignaling(se: u32, sig: u64): bool {
  return (se & 0x7fff) == 0x7fff && (sig & QUIET) == 0 && sig << 1 != 0;
}

// @ts-ignore: decorator
@inline
export function isInfinity(se: u32, sig: u64): bool {
  return (se & 0x7fff) == 0x7fff && sig == MSB;
}

// @ts-ignore: decorator
@inline
export function isZero(se: u32, sig: u64): bool {
  return (se & 0x7fff) == 0 && sig == 0;
}

/** Denormals and pseudo-denormals. */
// @ts-ignore: decorator
@inline
export function isDenormal(se: u32, sig: u64): bool {
  return (se & 0x7fff) == 0 && sig != 0;
}

/** Exponent that goes with the significand shifted to have its top bit set. */
// @ts-ignore: decorator
@inline
export function normalExponent(se: u32, sig: u64): i32 {
  const e = i32(se & 0x7fff);
  return e != 0 ? e : 1 - i32(clz(sig));
}

/** Deals with an unsupported or NaN operand; true when there was one and (zSe, zSig) is the result. */
export function special1(se: u32, sig: u64): bool {
  if (isUnsupported(se, sig)) {
    setInvalid();
    return true;
  }
  if (!isNaN80(se, sig)) return false;
  if ((sig & QUIET) == 0) flags |= IE;
  setResult(se, sig | QUIET);
  return true;
}

/** The same for two operands: SDM volume 1, table 4-7, the x87 rules. */
export function special2(aSe: u32, aSig: u64, bSe: u32, bSig: u64): bool {
  if (isUnsupported(aSe, aSig) || isUnsupported(bSe, bSig)) {
    setInvalid();
    return true;
  }
  const aNaN = isNaN80(aSe, aSig), bNaN = isNaN80(bSe, bSig);
  if (!aNaN && !bNaN) return false;
  const aSignaling = aNaN && (aSig & QUIET) == 0, bSignaling = bNaN && (bSig & QUIET) == 0;
  if (aSignaling || bSignaling) flags |= IE;
  let takeA: bool;
  if (aNaN && bNaN && aSignaling == bSignaling) takeA = aSig != bSig ? aSig > bSig : (aSe & 0x8000) <= (bSe & 0x8000);
  else if (aNaN && bNaN) takeA = bSignaling;
  else takeA = aNaN;
  if (takeA) setResult(aSe, aSig | QUIET);
  else setResult(bSe, bSig | QUIET);
  return true;
}

// ---- rounding ----

let roundInexact: bool = false;
let roundUp: bool = false;

/** Rounds sig:ext to the bits outside `mask`; returns the significand, 0 for a carry out of the top. */
function roundSignificand(sign: u32, sig: u64, ext: u64, mask: u64): u64 {
  let half: bool, sticky: bool;
  const unit: u64 = mask + 1;
  if (mask == 0) {
    half = (ext & MSB) != 0;
    sticky = ext << 1 != 0;
  } else {
    half = (sig & (unit >> 1)) != 0;
    sticky = (sig & (mask >> 1)) != 0 || ext != 0;
  }
  const inexact = half || sticky;
  roundInexact = inexact;
  roundUp = false;
  if (!inexact) return sig;
  const rc = rounding();
  if (rc == RC_NEAREST) roundUp = half && (sticky || (sig & unit) != 0);
  else if (rc == RC_DOWN) roundUp = sign != 0;
  else if (rc == RC_UP) roundUp = sign == 0;
  sig &= ~mask;
  return roundUp ? sig + unit : sig;
}

// @ts-ignore: decorator
@inline
function precisionMask(prec: u32): u64 {
  return prec == 2 ? 0x7ff : prec == 0 ? 0xff_ffffffff : 0;
}

/** Rounds and packs sign * sig:ext * 2^(exp - BIAS - 63). sig has its top bit set; sign is 0 or 0x8000. */
export function roundPack80(sign: u32, exp: i32, sig: u64, ext: u64, prec: u32): void {
  const mask = precisionMask(prec);
  if (exp <= 0) {
    if (control & UE) {
      const unbounded = roundSignificand(sign, sig, ext, mask);
      const tiny = exp < 0 || unbounded != 0;
      const high = shiftRightJam128(sig, ext, u32(1 - exp));
      const z = roundSignificand(sign, high, low, mask);
      if (roundInexact) {
        flags |= tiny ? UE | PE : PE;
        if (roundUp) flags |= C1;
      }
      setResult(sign | u32(z >> 63), z);
      return;
    }
    const z = roundSignificand(sign, sig, ext, mask);
    if (roundInexact) {
      flags |= PE;
      if (roundUp) flags |= C1;
    }
    let e = z == 0 ? exp + 1 : exp;
    if (e <= 0) {
      flags |= UE;
      e += 0x6000;
      if (e <= 0) { // out of reach of the wrapped exponent too, by FSCALE only
        flags = (flags & ~C1) | PE;
        setResult(sign, 0);
        return;
      }
    }
    setResult(sign | u32(e), z == 0 ? MSB : z);
    return;
  }
  let z = roundSignificand(sign, sig, ext, mask);
  if (z == 0) {
    z = MSB;
    exp++;
  }
  if (exp >= 0x7fff) {
    if (control & OE) {
      flags |= OE | PE;
      const rc = rounding();
      if (rc == RC_NEAREST || (rc == RC_UP && sign == 0) || (rc == RC_DOWN && sign != 0)) {
        flags |= C1;
        setResult(sign | 0x7fff, MSB);
      } else setResult(sign | 0x7ffe, ~mask);
      return;
    }
    flags |= OE;
    exp -= 0x6000;
    if (exp >= 0x7fff) {
      flags |= PE | C1;
      setResult(sign | 0x7fff, MSB);
      return;
    }
  }
  if (roundInexact) {
    flags |= PE;
    if (roundUp) flags |= C1;
  }
  setResult(sign | u32(exp), z);
}

/** Zero with the sign that an exact difference of equal numbers has. */
// @ts-ignore: decorator
@inline
function setZeroDifference(): void {
  setResult(rounding() == RC_DOWN ? 0x8000 : 0, 0);
}

// ---- arithmetic, under the precision control ----

export function add80(aSe: u32, aSig: u64, bSe: u32, bSig: u64, subtract: bool): void {
  if (special2(aSe, aSig, bSe, bSig)) return;
  if (subtract) bSe ^= 0x8000;
  const aSign = aSe & 0x8000, bSign = bSe & 0x8000;
  const aInfinite = (aSe & 0x7fff) == 0x7fff, bInfinite = (bSe & 0x7fff) == 0x7fff;
  if (aInfinite && bInfinite && aSign != bSign) {
    setInvalid();
    return;
  }
  if (isDenormal(aSe, aSig) || isDenormal(bSe, bSig)) flags |= DE;
  if (aInfinite) {
    setResult(aSe, aSig);
    return;
  }
  if (bInfinite) {
    setResult(bSe, bSig);
    return;
  }
  if (aSig == 0 && bSig == 0) {
    if (aSign == bSign) setResult(aSign, 0);
    else setZeroDifference();
    return;
  }
  let aExp = normalExponent(aSe, aSig), bExp = normalExponent(bSe, bSig);
  if (aSig == 0) {
    roundPack80(bSign, bExp, bSig << clz(bSig), 0, precision());
    return;
  }
  if (bSig == 0) {
    roundPack80(aSign, aExp, aSig << clz(aSig), 0, precision());
    return;
  }
  aSig <<= clz(aSig);
  bSig <<= clz(bSig);
  let sign = aSign;
  if (aExp < bExp || (aExp == bExp && aSig < bSig)) {
    const t = aSig;
    aSig = bSig;
    bSig = t;
    const e = aExp;
    aExp = bExp;
    bExp = e;
    sign = bSign;
  }
  const high = shiftRightJam128(bSig, 0, u32(aExp - bExp));
  let ext = low;
  if (aSign == bSign) {
    let sum = aSig + high;
    if (sum < high) {
      ext = (sum << 63) | (ext >> 1) | (ext & 1);
      sum = (sum >> 1) | MSB;
      aExp++;
    }
    roundPack80(sign, aExp, sum, ext, precision());
    return;
  }
  let difference = aSig - high - u64(ext != 0);
  ext = 0 - ext;
  if (difference == 0) {
    if (ext == 0) {
      setZeroDifference();
      return;
    }
    difference = ext;
    ext = 0;
    aExp -= 64;
  }
  const n = clz(difference);
  if (n != 0) {
    difference = (difference << n) | (ext >> (64 - n));
    ext <<= n;
  }
  roundPack80(sign, aExp - i32(n), difference, ext, precision());
}

export function mul80(aSe: u32, aSig: u64, bSe: u32, bSig: u64): void {
  if (special2(aSe, aSig, bSe, bSig)) return;
  const sign = (aSe ^ bSe) & 0x8000;
  const aInfinite = (aSe & 0x7fff) == 0x7fff, bInfinite = (bSe & 0x7fff) == 0x7fff;
  if ((aInfinite && isZero(bSe, bSig)) || (bInfinite && isZero(aSe, aSig))) {
    setInvalid();
    return;
  }
  if (isDenormal(aSe, aSig) || isDenormal(bSe, bSig)) flags |= DE;
  if (aInfinite || bInfinite) {
    setResult(sign | 0x7fff, MSB);
    return;
  }
  if (aSig == 0 || bSig == 0) {
    setResult(sign, 0);
    return;
  }
  let exp = normalExponent(aSe, aSig) + normalExponent(bSe, bSig) - (BIAS - 1);
  let high = mul64To128(aSig << clz(aSig), bSig << clz(bSig));
  let ext = low;
  if ((high & MSB) == 0) {
    high = (high << 1) | (ext >> 63);
    ext <<= 1;
    exp--;
  }
  roundPack80(sign, exp, high, ext, precision());
}

export function div80(aSe: u32, aSig: u64, bSe: u32, bSig: u64): void {
  if (special2(aSe, aSig, bSe, bSig)) return;
  const sign = (aSe ^ bSe) & 0x8000;
  const aInfinite = (aSe & 0x7fff) == 0x7fff, bInfinite = (bSe & 0x7fff) == 0x7fff;
  const aZero = isZero(aSe, aSig), bZero = isZero(bSe, bSig);
  if ((aInfinite && bInfinite) || (aZero && bZero)) {
    setInvalid();
    return;
  }
  if (bZero && !aInfinite) {
    flags |= ZE;
    setResult(sign | 0x7fff, MSB);
    return;
  }
  if (isDenormal(aSe, aSig) || isDenormal(bSe, bSig)) flags |= DE;
  if (aInfinite) {
    setResult(sign | 0x7fff, MSB);
    return;
  }
  if (bInfinite || aZero) {
    setResult(sign, 0);
    return;
  }
  let exp = normalExponent(aSe, aSig) - normalExponent(bSe, bSig) + BIAS;
  aSig <<= clz(aSig);
  bSig <<= clz(bSig);
  let q: u64;
  if (aSig < bSig) {
    q = div128by64(aSig, 0, bSig);
    exp--;
  } else q = div128by64(aSig >> 1, aSig << 63, bSig);
  const r = rest;
  const ext: u64 = r == 0 ? 0 : r > bSig - r ? MSB | 1 : r == bSig - r ? MSB : 1;
  roundPack80(sign, exp, q, ext, precision());
}

export function sqrt80(se: u32, sig: u64): void {
  if (special1(se, sig)) return;
  if (isZero(se, sig)) {
    setResult(se, sig);
    return;
  }
  if (se & 0x8000) {
    setInvalid();
    return;
  }
  if ((se & 0x7fff) == 0x7fff) {
    setResult(se, sig);
    return;
  }
  if (isDenormal(se, sig)) flags |= DE;
  const e = normalExponent(se, sig) - BIAS;
  sig <<= clz(sig);
  // The integer root of sig * 2^63 or 2^64 has 64 bits. The estimate is good to about 50 of them, a step of Heron to all but one.
  const odd = (e & 1) != 0;
  const high: u64 = odd ? sig : sig >> 1;
  const lowWord: u64 = odd ? 0 : sig << 63;
  const estimate: f64 = Math.sqrt(<f64>high) * 4294967296.0;
  let root: u64 = estimate >= 18446744073709551615.0 ? u64.MAX_VALUE : u64(estimate);
  const q: u64 = high >= root ? u64.MAX_VALUE : div128by64(high, lowWord, root);
  root = (root >> 1) + (q >> 1) + (root & q & 1);
  if ((root & MSB) == 0) root = q > MSB ? u64.MAX_VALUE : MSB;
  let remHigh: u64, remLow: u64;
  for (;;) {
    const squareHigh = mul64To128(root, root);
    const squareLow = low;
    remLow = lowWord - squareLow;
    remHigh = high - squareHigh - u64(lowWord < squareLow);
    if (i64(remHigh) < 0) root--;
    else if (remHigh > 1 || (remHigh == 1 && remLow > root << 1) || (remHigh == 0 && (root & MSB) == 0 && remLow > root << 1)) root++;
    else if (remHigh == 1 && (root & MSB) == 0) root++;
    else break;
  }
  const ext: u64 = (remHigh | remLow) == 0 ? 0 : remHigh != 0 || remLow > root ? MSB | 1 : 1;
  roundPack80(0, (e >> 1) + BIAS, root, ext, precision());
}

// ---- remainders ----

/**
 * FPREM (truncate) and FPREM1 (nearest). Returns the condition codes. The step of an incomplete reduction is the one Intel's
 * processors take: the exponent difference shrinks by 32 plus its low five bits.
 */
export function remainder80(aSe: u32, aSig: u64, bSe: u32, bSig: u64, nearest: bool): u32 {
  if (special2(aSe, aSig, bSe, bSig)) return 0;
  if ((aSe & 0x7fff) == 0x7fff || isZero(bSe, bSig)) {
    setInvalid();
    return 0;
  }
  if (isDenormal(aSe, aSig) || isDenormal(bSe, bSig)) flags |= DE;
  if (aSig == 0) {
    setResult(aSe, aSig);
    return QUOTIENT;
  }
  if ((bSe & 0x7fff) == 0x7fff) {
    // The dividend as it is, but for a pseudo-denormal, and never an underflow.
    setResult(aSe | u32((aSe & 0x7fff) == 0 && (aSig & MSB) != 0), aSig);
    return QUOTIENT;
  }
  let sign = aSe & 0x8000;
  const aExp = normalExponent(aSe, aSig);
  aSig <<= clz(aSig);
  const bExp = normalExponent(bSe, bSig);
  bSig <<= clz(bSig);
  const d = aExp - bExp;
  if (d < -1 || (d < 0 && !nearest)) {
    roundPack80(sign, aExp, aSig, 0, EXTENDED);
    return QUOTIENT;
  }
  let q: u64 = 0;
  let r = aSig;
  let exp = bExp;
  let partial = false;
  if (d < 0) {
    if (aSig > bSig) {
      r = (bSig << 1) - aSig;
      sign ^= 0x8000;
      q = 1;
    }
    exp = bExp - 1;
  } else {
    let n = d;
    if (d >= 64) {
      n = (d & 31) | 32;
      exp = aExp - n;
      partial = true;
    }
    if (r >= bSig) {
      r -= bSig;
      q = 1;
    }
    if (n > 0) {
      q = (q << n) | div128by64(r >> (64 - n), r << n, bSig);
      r = rest;
    }
    if (nearest && !partial) {
      const complement = bSig - r;
      if (r > complement || (r == complement && (q & 1) != 0)) {
        r = complement;
        sign ^= 0x8000;
        q++;
      }
    }
  }
  if (r == 0) setResult(aSe & 0x8000, 0);
  else {
    const n = clz(r);
    roundPack80(sign, exp - i32(n), r << n, 0, EXTENDED);
  }
  if (partial) return C2 | QUOTIENT;
  return QUOTIENT | (q & 4 ? C0 : 0) | (q & 2 ? C3 : 0) | (q & 1 ? C1 : 0);
}

// ---- other operations ----

export function roundToInteger80(se: u32, sig: u64): void {
  if (special1(se, sig)) return;
  if (isDenormal(se, sig)) flags |= DE;
  setResult(se, sig);
  if (sig == 0) return;
  const sign = se & 0x8000;
  const e = i32(se & 0x7fff) - BIAS;
  if (e >= 63) return;
  if (e < 0) {
    const z = roundSignificand(sign, 0, e == -1 ? sig : 1, 0);
    flags |= roundUp ? PE | C1 : PE;
    setResult(z != 0 ? sign | u32(BIAS) : sign, z != 0 ? MSB : 0);
    return;
  }
  // e == 0 leaves one bit: the mask is all but the top bit.
  const mask: u64 = u64.MAX_VALUE >> (e + 1);
  const z = roundSignificand(sign, sig, 0, mask);
  if (roundInexact) flags |= roundUp ? PE | C1 : PE;
  if (z == 0) setResult(se + 1, MSB);
  else setResult(se, z);
}

/** Converts to a signed integer of the given size; out of range is invalid and gives the most negative one. */
export function toInteger80(se: u32, sig: u64, bits: u32, truncate: bool): i64 {
  const sign = se & 0x8000;
  const e = i32(se & 0x7fff) - BIAS;
  const indefinite: i64 = i64(-1) << (bits - 1);
  if (isUnsupported(se, sig) || e >= 64) {
    flags |= IE;
    return indefinite;
  }
  if (sig == 0) return 0;
  const high = shiftRightJam128(sig, 0, u32(63 - e));
  let z: u64;
  if (truncate) {
    roundInexact = low != 0;
    roundUp = false;
    z = high;
  } else z = roundSignificand(sign, high, low, 0);
  const limit: u64 = u64(1) << (bits - 1);
  if ((z == 0 && high != 0) || (sign != 0 ? z > limit : z >= limit)) {
    flags |= IE;
    return indefinite;
  }
  if (roundInexact) flags |= roundUp ? PE | C1 : PE;
  return sign != 0 ? 0 - i64(z) : i64(z);
}

export function fromInteger80(value: i64): void {
  if (value == 0) {
    setResult(0, 0);
    return;
  }
  const sign: u32 = value < 0 ? 0x8000 : 0;
  const magnitude: u64 = value < 0 ? 0 - u64(value) : u64(value);
  const n = clz(magnitude);
  setResult(sign | u32(BIAS + 63 - i32(n)), magnitude << n);
}

/** Widens a float as it is. A denormal becomes a normal number: widenedDenormal remembers it, for DE. */
export let widenedDenormal: bool = false;

export function fromFloat32(bits: u32): void {
  const sign = (bits >> 16) & 0x8000;
  const e = (bits >> 23) & 0xff;
  const fraction = u64(bits & 0x7fffff) << 40;
  widen(sign, e, fraction, 0xff, BIAS - 0x7f);
}

export function fromFloat64(bits: u64): void {
  const sign = u32(bits >> 48) & 0x8000;
  const e = u32(bits >> 52) & 0x7ff;
  const fraction = (bits & 0xfffffffffffff) << 11;
  widen(sign, e, fraction, 0x7ff, BIAS - 0x3ff);
}

// @ts-ignore: decorator
@inline
function widen(sign: u32, e: u32, fraction: u64, eMax: u32, rebias: i32): void {
  widenedDenormal = false;
  if (e == eMax) {
    setResult(sign | 0x7fff, fraction | MSB);
  } else if (e == 0) {
    if (fraction == 0) setResult(sign, 0);
    else {
      widenedDenormal = true;
      const n = clz(fraction);
      setResult(sign | u32(1 + rebias - i32(n)), fraction << n);
    }
  } else setResult(sign | (e + u32(rebias)), fraction | MSB);
}

/** Rounds to a 32-bit float. The caller checks flags for unmasked IE, OE and UE before it stores. */
export function toFloat32(se: u32, sig: u64): u32 {
  return u32(narrow(se, sig, 0xff_ffffffff, 0xff, BIAS - 0x7f, 40, 23));
}

export function toFloat64(se: u32, sig: u64): u64 {
  return narrow(se, sig, 0x7ff, 0x7ff, BIAS - 0x3ff, 11, 52);
}

function narrow(se: u32, sig: u64, mask: u64, eMax: i32, rebias: i32, shift: u64, fractionBits: u64): u64 {
  const sign: u32 = se & 0x8000;
  const signBit: u64 = sign != 0 ? u64(eMax + 1) << fractionBits : 0;
  const infinity: u64 = u64(eMax) << fractionBits;
  const fractionMask: u64 = (u64(1) << fractionBits) - 1;
  if (isUnsupported(se, sig)) {
    flags |= IE;
    return u64(eMax + 1) << fractionBits | infinity | u64(1) << (fractionBits - 1);
  }
  if ((se & 0x7fff) == 0x7fff) {
    if (sig == MSB) return signBit | infinity;
    if ((sig & QUIET) == 0) flags |= IE;
    return signBit | infinity | (((sig | QUIET) >> shift) & fractionMask);
  }
  if (sig == 0) return signBit;
  let exp = normalExponent(se, sig) - rebias;
  sig <<= clz(sig);
  if (exp <= 0) {
    const unbounded = roundSignificand(sign, sig, 0, mask);
    const tiny = exp < 0 || unbounded != 0;
    const z = roundSignificand(sign, shiftRightJam64(sig, u32(1 - exp)), 0, mask);
    if (roundInexact) flags |= roundUp ? PE | C1 : PE;
    if (tiny && (roundInexact || (control & UE) == 0)) flags |= UE;
    // A significand that was rounded up to its top bit is the smallest normal number: the bit lands in the exponent.
    return signBit | (z >> shift);
  }
  let z = roundSignificand(sign, sig, 0, mask);
  if (z == 0) {
    z = MSB;
    exp++;
  }
  if (exp >= eMax) {
    flags |= OE | PE;
    const rc = rounding();
    if (rc == RC_NEAREST || (rc == RC_UP && sign == 0) || (rc == RC_DOWN && sign != 0)) {
      flags |= C1;
      return signBit | infinity;
    }
    return signBit | (infinity - 1);
  }
  if (roundInexact) flags |= roundUp ? PE | C1 : PE;
  return signBit | (u64(exp) << fractionBits) | ((z >> shift) & fractionMask);
}

/** Condition codes C3 C2 C0 of a against b. `quiet`: only signaling NaNs are invalid (FUCOM). */
export function compare80(aSe: u32, aSig: u64, bSe: u32, bSig: u64, quiet: bool): u32 {
  if (isUnsupported(aSe, aSig) || isUnsupported(bSe, bSig)) {
    flags |= IE;
    return C3 | C2 | C0;
  }
  if (isNaN80(aSe, aSig) || isNaN80(bSe, bSig)) {
    if (!quiet || isSignaling(aSe, aSig) || isSignaling(bSe, bSig)) flags |= IE;
    return C3 | C2 | C0;
  }
  if (isDenormal(aSe, aSig) || isDenormal(bSe, bSig)) flags |= DE;
  if (isZero(aSe, aSig) && isZero(bSe, bSig)) return C3;
  const aSign = aSe & 0x8000;
  if (aSign != (bSe & 0x8000)) return aSign != 0 ? C0 : 0;
  // A pseudo-denormal has the value of exponent 1.
  const aExp = (aSe & 0x7fff) | u32((aSe & 0x7fff) == 0 && (aSig & MSB) != 0);
  const bExp = (bSe & 0x7fff) | u32((bSe & 0x7fff) == 0 && (bSig & MSB) != 0);
  if (aExp == bExp && aSig == bSig) return C3;
  const less = aExp != bExp ? aExp < bExp : aSig < bSig;
  return less != (aSign != 0) ? C0 : 0;
}

/** FSCALE: a * 2^trunc(b). */
export function scale80(aSe: u32, aSig: u64, bSe: u32, bSig: u64): void {
  if (special2(aSe, aSig, bSe, bSig)) return;
  const aSign = aSe & 0x8000;
  const aInfinite = (aSe & 0x7fff) == 0x7fff;
  if ((bSe & 0x7fff) == 0x7fff) {
    if ((bSe & 0x8000) != 0 ? aInfinite : isZero(aSe, aSig)) {
      setInvalid();
      return;
    }
    if (isDenormal(aSe, aSig)) flags |= DE;
    if (aInfinite || isZero(aSe, aSig)) setResult(aSe, aSig);
    else if ((bSe & 0x8000) != 0) setResult(aSign, 0);
    else setResult(aSign | 0x7fff, MSB);
    return;
  }
  if (isDenormal(aSe, aSig) || isDenormal(bSe, bSig)) flags |= DE;
  setResult(aSe, aSig);
  if (aInfinite || aSig == 0) return;
  const e = i32(bSe & 0x7fff) - BIAS;
  let n: i32 = e < 0 ? 0 : e > 16 ? 0x1ffff : i32(bSig >> (63 - e));
  if (bSe & 0x8000) n = -n;
  roundPack80(aSign, normalExponent(aSe, aSig) + n, aSig << clz(aSig), 0, EXTENDED);
}

/**
 * The x87 transcendentals, in 128-bit integer arithmetic: about 120 correct bits before the one rounding to 64.
 *
 * Numbers between steps are an exponent and two words with the top bit set: value = high:low / 2^128 * 2^exp. They go in as
 * arguments and come out in (xExp, xHigh, xLow); signs are kept apart. Polynomials run in 1.127 fixed point.
 * What the results are for zeros, infinities and NaNs: SDM volume 2, the tables of each instruction.
 */
import { div128by64, low, mulHigh, rest, shiftRightJam128 } from "./softfloat-core";
import {
  BIAS, C1, C2, DE, EXTENDED, flags, isDenormal, isZero, keepFlags, MSB, normalExponent, PE, roundPack80, setInvalid, setResult, signal, special1, special2, UE, ZE, zSe, zSig,
} from "./softfloat80";
import { ATAN, EXP2, HALF_PI, INVERSE_FACTORIAL, INVERSE_ODD, LN_2, LOG2, LOG2_MULTIPLIER, THREE_QUARTERS_PI, TWO_OVER_LN_2 } from "./softfloat80-tables";

let xExp: i32 = 0;
let xHigh: u64 = 0;
let xLow: u64 = 0;

// ---- 128-bit numbers ----

/** High 128 bits of a product, up to three units too small; the low word goes to `xLow`. */
function mul128(aHigh: u64, aLow: u64, bHigh: u64, bLow: u64): u64 {
  let high = mulHigh(aHigh, bHigh);
  let sum = aHigh * bHigh;
  const first = mulHigh(aHigh, bLow);
  sum += first;
  high += u64(sum < first);
  const second = mulHigh(aLow, bHigh);
  sum += second;
  high += u64(sum < second);
  xLow = sum;
  return high;
}

function normalize(exp: i32, high: u64, lowWord: u64): void {
  if (high == 0) {
    high = lowWord;
    lowWord = 0;
    exp -= 64;
  }
  const n = clz(high);
  if (n != 0 && n < 64) {
    high = (high << n) | (lowWord >> (64 - n));
    lowWord <<= n;
  }
  xExp = exp - i32(n);
  xHigh = high;
  xLow = lowWord;
}

function multiply(aExp: i32, aHigh: u64, aLow: u64, bExp: i32, bHigh: u64, bLow: u64): void {
  const high = mul128(aHigh, aLow, bHigh, bLow);
  normalize(aExp + bExp, high, xLow);
}

function divide(aExp: i32, aHigh: u64, aLow: u64, bExp: i32, bHigh: u64, bLow: u64): void {
  let exp = aExp - bExp;
  if (aHigh > bHigh || (aHigh == bHigh && aLow >= bLow)) {
    aLow = (aHigh << 63) | (aLow >> 1);
    aHigh >>= 1;
    exp++;
  }
  // First digit: estimate by the divisor's high word, then take away digit * divisor and put right what was too much.
  let q1: u64, r2: u64, r1: u64;
  if (aHigh >= bHigh) {
    q1 = u64.MAX_VALUE;
    // remainder of aHigh:aLow - q1 * bHigh = aHigh * 2^64 + aLow - bHigh * 2^64 + bHigh
    r1 = aLow + bHigh;
    r2 = aHigh - bHigh + u64(r1 < bHigh);
  } else {
    q1 = div128by64(aHigh, aLow, bHigh);
    r1 = rest;
    r2 = 0;
  }
  const p0 = q1 * bLow;
  const p1 = mulHigh(q1, bLow);
  let r0: u64 = 0 - p0;
  const borrow = u64(p0 != 0);
  const t = r1 - p1;
  r2 -= u64(r1 < p1);
  r1 = t - borrow;
  r2 -= u64(t < borrow);
  while (i64(r2) < 0) {
    q1--;
    const s0 = r0 + bLow;
    const carry = u64(s0 < r0);
    r0 = s0;
    const s1 = r1 + bHigh;
    let over = u64(s1 < r1);
    r1 = s1 + carry;
    over += u64(r1 < carry);
    r2 += over;
  }
  const q0: u64 = r1 >= bHigh ? u64.MAX_VALUE : div128by64(r1, r0, bHigh);
  // The second digit may be a few units too large by bLow; the error is below 2^-120 of the value.
  const excess = mulHigh(q0, bLow) / bHigh;
  normalize(exp, q1, q0 - (excess < q0 ? excess : 0));
}

/** a + b for numbers of one sign. */
function addSame(aExp: i32, aHigh: u64, aLow: u64, bExp: i32, bHigh: u64, bLow: u64): void {
  if (aExp < bExp) {
    addSame(bExp, bHigh, bLow, aExp, aHigh, aLow);
    return;
  }
  const high = shiftRightJam128(bHigh, bLow, u32(min(aExp - bExp, 200)));
  const sumLow = aLow + low;
  const carry = u64(sumLow < aLow);
  let sum = aHigh + high;
  let over = u64(sum < aHigh);
  sum += carry;
  over += u64(sum < carry);
  if (over != 0) {
    xExp = aExp + 1;
    xHigh = MSB | (sum >> 1);
    xLow = (sum << 63) | (sumLow >> 1);
  } else {
    xExp = aExp;
    xHigh = sum;
    xLow = sumLow;
  }
}

/** a - b for a > b >= 0. */
function subtract(aExp: i32, aHigh: u64, aLow: u64, bExp: i32, bHigh: u64, bLow: u64): void {
  const high = shiftRightJam128(bHigh, bLow, u32(min(aExp - bExp, 200)));
  const lowWord = aLow - low;
  normalize(aExp, aHigh - high - u64(aLow < low), lowWord);
}

/** Loads a 1.127 constant. */
function constant(p: usize): void {
  normalize(1, load<u64>(p), load<u64>(p, 8));
}

/** The fraction high:low / 2^128 * 2^exp, exp <= 0, as a fixed-point 0.128 number. */
function toFraction(exp: i32, high: u64, lowWord: u64): u64 {
  const h = shiftRightJam128(high, lowWord, u32(min(-exp, 200)));
  xLow = low & ~u64(1);
  return h;
}

/** Rounds an inexact result; the true value is no 80-bit number, so the last bit below is always set. */
function finish(sign: u32): void {
  roundPack80(sign, xExp + (BIAS - 1), xHigh, xLow | 1, EXTENDED);
}

/**
 * c[0] - c[1] z + c[2] z^2 - ..., (or all with plus) over `count` 1.127 constants `stride` bytes apart, for z a 0.128 fraction.
 * The sum goes to (return, xLow), 1.127.
 */
function polynomial(table: usize, stride: u32, count: u32, zHigh: u64, zLow: u64, alternate: bool): u64 {
  let p = table + (count - 1) * stride;
  let high = load<u64>(p), lowWord = load<u64>(p, 8);
  while (p != table) {
    p -= stride;
    const h = mul128(zHigh, zLow, high, lowWord);
    const l = xLow;
    const c = load<u64>(p), d = load<u64>(p, 8);
    if (alternate) {
      lowWord = d - l;
      high = c - h - u64(d < l);
    } else {
      lowWord = d + l;
      high = c + h + u64(lowWord < l);
    }
  }
  xLow = lowWord;
  return high;
}

/** Number of terms that reach 2^-128 when each is at least `bits` smaller than the one before. */
// @ts-ignore: decorator
@inline
function terms(bits: i32, most: u32): u32 {
  return min(128 / u32(bits) + 2, most);
}

// ---- FSIN, FCOS, FSINCOS, FPTAN ----

let quadrant: u32 = 0;
let reducedSign: u32 = 0;

let sineExp: i32 = 0;
let sineHigh: u64 = 0;
let sineLow: u64 = 0;
let cosineExp: i32 = 0;
let cosineHigh: u64 = 0;
let cosineLow: u64 = 0;

/**
 * Sine and cosine of the rest of |x| by pi / 2, with the 66-bit pi that Intel documents (SDM volume 1, 8.3.8: 0.C90FDAA22168C234C * 4).
 * The reduction by it is exact. False when |x| >= 2^63.
 */
function sineAndCosine(se: u32, sig: u64): bool {
  const exponent = normalExponent(se, sig) - BIAS;
  sig <<= clz(sig);
  if (exponent >= 63) return false;
  quadrant = 0;
  reducedSign = 0;
  let rExp: i32, rHigh: u64, rLow: u64;
  if (exponent < -1 || (exponent == -1 && sig <= 0xc90fdaa22168c234)) {
    rExp = exponent + 1;
    rHigh = sig;
    rLow = 0;
  } else {
    // Units of 2^-65: x is below 2^128, pi / 2 is the 66-bit odd number pHigh:pLow.
    const pHigh: u64 = 3, pLow: u64 = 0x243f6a8885a308d3;
    const shift = u32(exponent + 2);
    let high: u64, lowWord: u64;
    if (shift == 64) {
      high = sig;
      lowWord = 0;
    } else {
      high = shift == 0 ? 0 : sig >> (64 - shift);
      lowWord = sig << shift;
    }
    let q: u32 = 0;
    for (let k = exponent; k >= 0; k--) {
      const h = k == 0 ? pHigh : (pHigh << k) | (pLow >> (64 - k));
      const l = pLow << k;
      q <<= 1;
      if (high > h || (high == h && lowWord >= l)) {
        high = high - h - u64(lowWord < l);
        lowWord -= l;
        q |= 1;
      }
    }
    // 2 r > p: go down from the next multiple.
    const twiceHigh = (high << 1) | (lowWord >> 63), twiceLow = lowWord << 1;
    if (twiceHigh > pHigh || (twiceHigh == pHigh && twiceLow > pLow)) {
      high = pHigh - high - u64(pLow < lowWord);
      lowWord = pLow - lowWord;
      q++;
      reducedSign = 0x8000;
    }
    quadrant = q & 3;
    normalize(63, high, lowWord);
    rExp = xExp;
    rHigh = xHigh;
    rLow = xLow;
  }
  // z = r^2 as a fraction
  multiply(rExp, rHigh, rLow, rExp, rHigh, rLow);
  const zExp = xExp;
  const zHigh = toFraction(zExp, xHigh, xLow), zLow = xLow;
  const count = zExp <= -4 ? terms(-zExp + 2, 17) : 17;
  // sin r = r (1 - z/3! + z^2/5! ...), and below r however small z is
  let high = polynomial(INVERSE_FACTORIAL + 16, 32, count, zHigh, zLow, true);
  let lowWord = xLow;
  if (lowWord == 0) high--;
  lowWord--;
  multiply(rExp, rHigh, rLow, 1, high, lowWord);
  normalize(xExp, xHigh, xLow);
  sineExp = xExp;
  sineHigh = xHigh;
  sineLow = xLow;
  high = polynomial(INVERSE_FACTORIAL, 32, count, zHigh, zLow, true);
  lowWord = xLow;
  if (lowWord == 0) high--;
  lowWord--;
  normalize(1, high, lowWord);
  cosineExp = xExp;
  cosineHigh = xHigh;
  cosineLow = xLow;
  return true;
}

/** The sine of quadrant q of the reduced angle: the sine, the cosine, or one of them negated. */
function roundSine(sign: u32, q: u32): void {
  if (q & 1) {
    xExp = cosineExp;
    xHigh = cosineHigh;
    xLow = cosineLow;
  } else {
    xExp = sineExp;
    xHigh = sineHigh;
    xLow = sineLow;
    sign ^= reducedSign;
  }
  finish(sign ^ (q & 2 ? 0x8000 : 0));
}

/** Below 2^-68 the processor takes the angle itself for its sine and tangent and 1 for its cosine, inexact but not rounded. */
const TINY: i32 = -69;

function finishTiny(se: u32, sig: u64): void {
  roundPack80(se & 0x8000, normalExponent(se, sig), sig << clz(sig), 0, EXTENDED);
  signal((zSe & 0x7fff) == 0 ? PE | UE : PE);
}

function isTiny(se: u32, sig: u64): bool {
  return normalExponent(se, sig) - BIAS <= TINY;
}

/** Common start of the four; true when the result is in z. */
function trigSpecial(se: u32, sig: u64): bool {
  if (special1(se, sig)) return true;
  if ((se & 0x7fff) == 0x7fff) {
    setInvalid();
    return true;
  }
  return false;
}

/** FSIN; returns C2 when the operand is out of range (and there is no result). */
export function sin80(se: u32, sig: u64): u32 {
  if (trigSpecial(se, sig)) return 0;
  if (sig == 0) {
    setResult(se, 0);
    return 0;
  }
  if (isDenormal(se, sig)) signal(DE);
  if (isTiny(se, sig)) {
    finishTiny(se, sig);
    return 0;
  }
  if (!sineAndCosine(se, sig)) return C2;
  roundSine(se & 0x8000, quadrant);
  return 0;
}

export function cos80(se: u32, sig: u64): u32 {
  if (trigSpecial(se, sig)) return 0;
  if (sig == 0) {
    setResult(u32(BIAS), MSB);
    return 0;
  }
  if (isDenormal(se, sig)) signal(DE);
  if (isTiny(se, sig)) {
    setResult(u32(BIAS), MSB);
    signal(PE);
    return 0;
  }
  if (!sineAndCosine(se, sig)) return C2;
  roundSine(0, (quadrant + 1) & 3);
  return 0;
}

export let cosineSe: u32 = 0;
export let cosineSig: u64 = 0;

/** FSINCOS: the sine in z, the cosine in (cosineSe, cosineSig). */
export function sincos80(se: u32, sig: u64): u32 {
  if (trigSpecial(se, sig)) {
    cosineSe = zSe;
    cosineSig = zSig;
    return 0;
  }
  if (sig == 0) {
    setResult(se, 0);
    cosineSe = u32(BIAS);
    cosineSig = MSB;
    return 0;
  }
  if (isDenormal(se, sig)) signal(DE);
  if (isTiny(se, sig)) {
    finishTiny(se, sig);
    cosineSe = u32(BIAS);
    cosineSig = MSB;
    return 0;
  }
  if (!sineAndCosine(se, sig)) return C2;
  roundSine(se & 0x8000, quadrant);
  const sinSe = zSe, sinSig = zSig;
  keepFlags(~C1); // C1 tells of the cosine
  roundSine(0, (quadrant + 1) & 3);
  cosineSe = zSe;
  cosineSig = zSig;
  setResult(sinSe, sinSig);
  return 0;
}

/** FPTAN: the tangent in z; the caller pushes 1, or the NaN again. */
export function tan80(se: u32, sig: u64): u32 {
  if (trigSpecial(se, sig)) return 0;
  if (sig == 0) {
    setResult(se, 0);
    return 0;
  }
  if (isDenormal(se, sig)) signal(DE);
  if (isTiny(se, sig)) {
    finishTiny(se, sig);
    return 0;
  }
  const exponent = normalExponent(se, sig) - BIAS;
  if (exponent < -60) {
    // The tangent of a tiny angle is a little larger than the angle.
    xExp = exponent + 1;
    xHigh = sig << clz(sig);
    xLow = 0;
    finish(se & 0x8000);
    return 0;
  }
  if (!sineAndCosine(se, sig)) return C2;
  const sign = (se & 0x8000) ^ reducedSign;
  if (quadrant & 1) {
    divide(cosineExp, cosineHigh, cosineLow, sineExp, sineHigh, sineLow);
    finish(sign ^ 0x8000);
  } else {
    divide(sineExp, sineHigh, sineLow, cosineExp, cosineHigh, cosineLow);
    finish(sign);
  }
  return 0;
}

// ---- FPATAN ----

function setConstant(sign: u32, exp: i32, p: usize): void {
  constant(p);
  xExp += exp;
  finish(sign);
}

/** FPATAN: the angle of the point (x, y) = (ST0, ST1). */
export function atan80(ySe: u32, ySig: u64, xSe: u32, xSig: u64): void {
  if (special2(ySe, ySig, xSe, xSig)) return;
  if (isDenormal(ySe, ySig) || isDenormal(xSe, xSig)) signal(DE);
  const sign = ySe & 0x8000;
  const xNegative = (xSe & 0x8000) != 0;
  const yInfinite = (ySe & 0x7fff) == 0x7fff, xInfinite = (xSe & 0x7fff) == 0x7fff;
  if (yInfinite) {
    if (!xInfinite) setConstant(sign, 0, HALF_PI);
    else if (xNegative) setConstant(sign, 1, THREE_QUARTERS_PI);
    else setConstant(sign, -1, HALF_PI);
    return;
  }
  if (xInfinite || ySig == 0) {
    if (xNegative) setConstant(sign, 1, HALF_PI);
    else setResult(sign, 0);
    return;
  }
  if (xSig == 0) {
    setConstant(sign, 0, HALF_PI);
    return;
  }
  let yExp = normalExponent(ySe, ySig), aExp = normalExponent(xSe, xSig);
  let y = ySig << clz(ySig), x = xSig << clz(xSig);
  const swap = yExp > aExp || (yExp == aExp && y > x);
  if (swap) {
    const t = y;
    y = x;
    x = t;
    const e = yExp;
    yExp = aExp;
    aExp = e;
  }
  // y / x <= 1 now. With c = i / 32 near it, atan(y / x) = atan(c) + atan((y - c x) / (x + c y)), both exact in 128 bits.
  const d = aExp - yExp;
  let i: u32 = 0;
  let negative = false;
  if (d < 7) {
    // 32 y / x, rounded, from 32 leading bits
    const numerator = (y >> 32 << 6) >> d;
    i = u32((numerator / (x >> 32) + 1) >> 1);
  }
  let aHigh: u64, aLow: u64, bHigh: u64, bLow: u64;
  if (i == 0) {
    divide(yExp, y, 0, aExp, x, 0);
  } else {
    // Units of the lowest bit of y / 32: Y = 32 y, X = 32 x 2^d; (Y - i X / 32, X + i Y / 32) all integers.
    const s = u32(d);
    const X1 = s == 0 ? 0 : x >> (64 - s), X0 = x << s;
    // 32 y - i (x 2^d)
    const y1 = y >> 59, y0 = y << 5;
    const ix0 = X0 * i, ix1 = X1 * i + mulHigh(X0, i);
    if (y1 > ix1 || (y1 == ix1 && y0 >= ix0)) {
      aHigh = y1 - ix1 - u64(y0 < ix0);
      aLow = y0 - ix0;
    } else {
      aHigh = ix1 - y1 - u64(ix0 < y0);
      aLow = ix0 - y0;
      negative = true;
    }
    // 32 x 2^d + i y
    const x1 = (X1 << 5) | (X0 >> 59), x0 = X0 << 5;
    const iy0 = y * i;
    bLow = x0 + iy0;
    bHigh = x1 + mulHigh(y, i) + u64(bLow < iy0);
    if ((aHigh | aLow) != 0) {
      normalize(0, aHigh, aLow);
      const nExp = xExp, nHigh = xHigh, nLow = xLow;
      normalize(0, bHigh, bLow);
      divide(nExp, nHigh, nLow, xExp, xHigh, xLow);
    } else xHigh = 0;
  }
  if (xHigh != 0) {
    const tExp = xExp, tHigh = xHigh, tLow = xLow;
    multiply(tExp, tHigh, tLow, tExp, tHigh, tLow);
    const zExp = xExp;
    const zHigh = toFraction(zExp, xHigh, xLow), zLow = xLow;
    let high = polynomial(INVERSE_ODD, 16, terms(max(-zExp, 8), 16), zHigh, zLow, true);
    let lowWord = xLow;
    if (lowWord == 0) high--;
    lowWord--;
    multiply(tExp, tHigh, tLow, 1, high, lowWord);
  }
  if (i != 0) {
    const tExp = xExp, tHigh = xHigh, tLow = xLow;
    constant(ATAN + (i << 4));
    if (tHigh != 0) {
      if (negative) subtract(xExp, xHigh, xLow, tExp, tHigh, tLow);
      else addSame(xExp, xHigh, xLow, tExp, tHigh, tLow);
    }
  }
  const tExp = xExp, tHigh = xHigh, tLow = xLow;
  if (swap) {
    constant(HALF_PI);
    if (xNegative) addSame(xExp, xHigh, xLow, tExp, tHigh, tLow);
    else subtract(xExp, xHigh, xLow, tExp, tHigh, tLow);
  } else if (xNegative) {
    constant(HALF_PI);
    subtract(xExp + 1, xHigh, xLow, tExp, tHigh, tLow);
  }
  finish(sign);
}

// ---- F2XM1 ----

/** F2XM1: 2^x - 1 for -1 <= x <= 1. */
export function exp2m1(se: u32, sig: u64): void {
  if (special1(se, sig)) return;
  const sign = se & 0x8000;
  if ((se & 0x7fff) == 0x7fff) {
    if (sign != 0) setResult(0x8000 | u32(BIAS), MSB);
    else setResult(se, sig);
    return;
  }
  if (sig == 0) {
    setResult(se, sig);
    return;
  }
  if (isDenormal(se, sig)) signal(DE);
  const exponent = normalExponent(se, sig) - BIAS;
  sig <<= clz(sig);
  if (exponent >= 0) {
    if (exponent == 0 && sig == MSB) setResult(sign != 0 ? 0x8000 | u32(BIAS - 1) : u32(BIAS), MSB);
    else setResult(se, sig); // outside the range the processor leaves the operand alone
    signal(PE);
    return;
  }
  // |x| = i / 32 + f
  let i: u32 = 0;
  let fExp = exponent + 1, f = sig;
  if (exponent >= -5) {
    const n = u32(exponent + 5); // i has n + 1 bits
    i = u32(sig >> (63 - n));
    f = sig << (n + 1);
    fExp = -5;
    if (f != 0) {
      const z = clz(f);
      f <<= z;
      fExp -= i32(z);
    }
  }
  let pExp: i32 = 0, pHigh: u64 = 0, pLow: u64 = 0;
  if (f != 0) {
    // z = f ln 2; e^z - 1 = z (1 + z/2! + z^2/3! ...), and 1 - e^-z = z (1 - z/2! + z^2/3! ...)
    multiply(fExp, f, 0, 0, load<u64>(LN_2), load<u64>(LN_2, 8));
    const zExp = xExp, zHigh = xHigh, zLow = xLow;
    const high = toFraction(zExp, zHigh, zLow);
    const p = polynomial(INVERSE_FACTORIAL + 16, 16, terms(max(-zExp, 5), 22), high, xLow, sign != 0);
    multiply(zExp, zHigh, zLow, 1, p, xLow);
    pExp = xExp;
    pHigh = xHigh;
    pLow = xLow;
  }
  if (i != 0) {
    // T (1 + p) - 1 = (T - 1) + T p with T = 2^(i/32); for negative x, 1 - T (1 - p) = (1 - T) + T p
    const entry = EXP2 + ((sign != 0 ? 31 - i : 31 + i) << 4);
    const tHigh = load<u64>(entry), tLow = load<u64>(entry, 8); // T / 2 in 1.127 is T in 2.126
    let dHigh: u64, dLow: u64;
    if (sign != 0) {
      dLow = 0 - tLow;
      dHigh = (u64(1) << 62) - tHigh - u64(tLow != 0);
    } else {
      dHigh = tHigh - (u64(1) << 62);
      dLow = tLow;
    }
    dHigh &= 0x7fffffffffffffff;
    if (pHigh != 0) {
      normalize(2, tHigh, tLow);
      multiply(xExp, xHigh, xLow, pExp, pHigh, pLow);
      pExp = xExp;
      pHigh = xHigh;
      pLow = xLow;
    }
    normalize(2, dHigh, dLow);
    if (pHigh != 0) addSame(xExp, xHigh, xLow, pExp, pHigh, pLow);
  } else {
    xExp = pExp;
    xHigh = pHigh;
    xLow = pLow;
  }
  finish(sign);
}

// ---- FYL2X, FYL2XP1 ----

let logSign: u32 = 0;

/** |log2(1 + t)| by the series in s = t / (2 + t), for |t| < 1/32 or so; `negative` is the sign of t, and of the logarithm. */
function logSeries(tExp: i32, tHigh: u64, tLow: u64, negative: bool): void {
  // 2 + t, or 2 - |t|
  if (negative) subtract(2, MSB, 0, tExp, tHigh, tLow);
  else addSame(2, MSB, 0, tExp, tHigh, tLow);
  divide(tExp, tHigh, tLow, xExp, xHigh, xLow);
  const sExp = xExp, sHigh = xHigh, sLow = xLow;
  multiply(sExp, sHigh, sLow, sExp, sHigh, sLow);
  const zExp = xExp;
  const zHigh = toFraction(zExp, xHigh, xLow);
  const high = polynomial(INVERSE_ODD, 16, terms(max(-zExp, 9), 16), zHigh, xLow, false);
  multiply(sExp, sHigh, sLow, 1, high, xLow);
  multiply(xExp, xHigh, xLow, 2, load<u64>(TWO_OVER_LN_2), load<u64>(TWO_OVER_LN_2, 8));
}

/** log2 of (high:low / 2^127) * 2^n, high:low normal with at most 73 significant bits; sign to logSign, zero as xHigh = 0. */
function log2Of(n: i32, high: u64, lowWord: u64): void {
  const i = u32(high >> 57) & 63;
  const c = u64(load<u8>(LOG2_MULTIPLIER + i));
  const wrap = c < 91;
  if (wrap) n++;
  // m c / 128 (or / 64 when m / 2 is meant), with 8 bits to the left of 1.120: exact
  const product1 = (high >> 8) * c;
  const tail = (high << 56) | (lowWord >> 8); // low word of high:low >> 8
  const one = product1 + mulHigh(tail, c);
  const rest0 = tail * c;
  // high:low >> 8 has its unit at bit 119; times c, the unit of m c / 128 is at 126. c = 64 stands for 1: m / 2 * c / 64, at 126 as well.
  const unit: u64 = u64(1) << 62;
  let negative = false;
  let tHigh: u64, tLow: u64;
  if (one >= unit) {
    tHigh = one - unit;
    tLow = rest0;
  } else {
    tLow = 0 - rest0;
    tHigh = unit - one - u64(rest0 != 0);
    negative = true;
  }
  let sExp: i32 = 0, sHigh: u64 = 0, sLow: u64 = 0;
  const sSign = negative;
  if ((tHigh | tLow) != 0) {
    normalize(2, tHigh, tLow);
    logSeries(xExp, xHigh, xLow, negative);
    sExp = xExp;
    sHigh = xHigh;
    sLow = xLow;
  }
  // n + log2(128 / c), of one or the other sign
  const entry = LOG2 + (i << 4);
  const eHigh = load<u64>(entry), eLow = load<u64>(entry, 8);
  let bSign = false;
  let bExp: i32 = 0, bHigh: u64 = 0, bLow: u64 = 0;
  if ((eHigh | eLow) != 0) {
    normalize(1, eHigh, eLow);
    bExp = xExp;
    bHigh = xHigh;
    bLow = xLow;
    bSign = wrap;
  }
  if (n != 0) {
    const k = u64(n < 0 ? -n : n);
    const z = clz(k);
    const kExp = 64 - i32(z), kHigh = k << z;
    if (bHigh == 0 || bSign == n < 0) {
      if (bHigh == 0) {
        bExp = kExp;
        bHigh = kHigh;
        bLow = 0;
      } else {
        addSame(kExp, kHigh, 0, bExp, bHigh, bLow);
        bExp = xExp;
        bHigh = xHigh;
        bLow = xLow;
      }
    } else {
      subtract(kExp, kHigh, 0, bExp, bHigh, bLow);
      bExp = xExp;
      bHigh = xHigh;
      bLow = xLow;
    }
    bSign = n < 0;
  }
  if (bHigh == 0) {
    xExp = sExp;
    xHigh = sHigh;
    xLow = sLow;
    logSign = sSign ? 0x8000 : 0;
    return;
  }
  logSign = bSign ? 0x8000 : 0;
  if (sHigh == 0) {
    xExp = bExp;
    xHigh = bHigh;
    xLow = bLow;
  } else if (bSign == sSign) addSame(bExp, bHigh, bLow, sExp, sHigh, sLow);
  else if (bExp > sExp || (bExp == sExp && bHigh > sHigh)) subtract(bExp, bHigh, bLow, sExp, sHigh, sLow);
  else {
    subtract(sExp, sHigh, sLow, bExp, bHigh, bLow);
    logSign ^= 0x8000;
  }
}

/** y * log, for the log in (logSign, x). */
function timesLog(ySe: u32, ySig: u64, exact: bool): void {
  const yExp = normalExponent(ySe, ySig) - (BIAS - 1);
  multiply(xExp, xHigh, xLow, yExp, ySig << clz(ySig), 0);
  const sign = (ySe & 0x8000) ^ logSign;
  if (exact) {
    // x is a power of two. The processor says inexact all the same, with C1 for a negative logarithm.
    roundPack80(sign, xExp + (BIAS - 1), xHigh, xLow, EXTENDED);
    if ((flags & PE) == 0) signal((logSign != 0 ? PE | C1 : PE) | ((zSe & 0x7fff) == 0 ? UE : 0));
  } else finish(sign);
}

/** FYL2X: y log2(x). */
export function yl2x(ySe: u32, ySig: u64, xSe: u32, xSig: u64): void {
  if (special2(ySe, ySig, xSe, xSig)) return;
  const ySign = ySe & 0x8000;
  const yInfinite = (ySe & 0x7fff) == 0x7fff, yZero = isZero(ySe, ySig);
  if (isZero(xSe, xSig)) {
    if (yZero) setInvalid();
    else {
      if (!yInfinite) signal(ZE);
      setResult((ySign ^ 0x8000) | 0x7fff, MSB);
    }
    return;
  }
  if (xSe & 0x8000) {
    setInvalid();
    return;
  }
  const isOne = xSe == u32(BIAS) && xSig == MSB;
  if ((xSe & 0x7fff) == 0x7fff) {
    if (yZero) {
      setInvalid();
      return;
    }
    if (isDenormal(ySe, ySig)) signal(DE);
    setResult(ySign | 0x7fff, MSB);
    return;
  }
  if (yInfinite) {
    if (isOne) {
      setInvalid();
      return;
    }
    if (isDenormal(xSe, xSig)) signal(DE);
    setResult(xSe < u32(BIAS) ? ySe ^ 0x8000 : ySe, MSB);
    return;
  }
  if (isDenormal(ySe, ySig) || isDenormal(xSe, xSig)) signal(DE);
  if (isOne) {
    setResult(ySign, 0);
    return;
  }
  if (yZero) {
    setResult(xSe < u32(BIAS) ? ySign ^ 0x8000 : ySign, 0);
    return;
  }
  const sig = xSig << clz(xSig);
  log2Of(normalExponent(xSe, xSig) - BIAS, sig, 0);
  timesLog(ySe, ySig, sig == MSB);
}

/** FYL2XP1: y log2(1 + x), documented for |x| < 1 - sqrt(1/2). */
export function yl2xp1(ySe: u32, ySig: u64, xSe: u32, xSig: u64): void {
  if (special2(ySe, ySig, xSe, xSig)) return;
  const ySign = ySe & 0x8000, xSign = xSe & 0x8000;
  const yInfinite = (ySe & 0x7fff) == 0x7fff, yZero = isZero(ySe, ySig);
  if (isZero(xSe, xSig)) {
    if (yInfinite) {
      setInvalid();
      return;
    }
    if (isDenormal(ySe, ySig)) signal(DE);
    setResult(ySign ^ xSign, 0);
    return;
  }
  if ((xSe & 0x7fff) == 0x7fff) {
    if (xSign != 0 || yZero) {
      setInvalid();
      return;
    }
    if (isDenormal(ySe, ySig)) signal(DE);
    setResult(ySign | 0x7fff, MSB);
    return;
  }
  const exponent = normalExponent(xSe, xSig) - BIAS;
  const sig = xSig << clz(xSig);
  if (xSign != 0 && exponent >= 0) {
    // x <= -1 is outside the range: the processor returns y
    if (isDenormal(ySe, ySig)) signal(DE);
    if (yZero || yInfinite) setResult(ySe ^ 0x8000, ySig);
    else {
      setResult(ySe, ySig);
      signal(PE);
    }
    return;
  }
  if (isDenormal(ySe, ySig) || isDenormal(xSe, xSig)) signal(DE);
  if (yInfinite) {
    setResult(ySe ^ xSign, MSB);
    return;
  }
  if (yZero) {
    setResult(ySign ^ xSign, 0);
    return;
  }
  if (exponent < -7) {
    logSeries(exponent + 1, sig, 0, xSign != 0);
    logSign = xSign;
  } else {
    // 1 + x is exact in 128 bits as long as x is below 2^64; far above, the one does not matter.
    if (xSign != 0) subtract(1, MSB, 0, exponent + 1, sig, 0);
    else addSame(1, MSB, 0, exponent + 1, sig, 0);
    log2Of(xExp - 1, xHigh, xLow);
  }
  timesLog(ySe, ySig, false);
}

/**
 * Packed and scalar floating point on XMM registers: lanes in, lanes out, exceptions left in softfloat64's `raised`.
 *
 * Packed operations try the WebAssembly vector operation under the conditions that softfloat64.ts explains, for all lanes at
 * once, and only while PE is sticky and masked; otherwise they go lane by lane.
 */
import { SCRATCH, finish } from "./sse-operands";
import {
  ADD, DIV, MAX, MIN, MUL, SQRT, SUB, add32, add64, arithmetic32, arithmetic64, f32ToF64, f32ToI32, f64ToF32, f64ToI32,
  i32ToF32, mul32, mul64, predicate32, predicate64, reciprocal32, reciprocalRoot32, round32, round64, settle, settled, sqrt32, sqrt64, sub32, sub64
} from "./softfloat64";

const A: usize = SCRATCH;
const B: usize = SCRATCH + 16;

// @ts-ignore: decorator
@inline
function spill(a: v128, b: v128): void {
  v128.store(A, a);
  v128.store(B, b);
}
// @ts-ignore: decorator
@inline
function result(): v128 { return v128.load(A); }

// @ts-ignore: decorator
@inline
function normal32(a: v128, least: f32): v128 {
  const m = f32x4.abs(a);
  return v128.and(f32x4.ge(m, f32x4.splat(least)), f32x4.le(m, f32x4.splat(3.4028234663852886e38)));
}
// @ts-ignore: decorator
@inline
function normal64(a: v128, least: f64): v128 {
  const m = f64x2.abs(a);
  return v128.and(f64x2.ge(m, f64x2.splat(least)), f64x2.le(m, f64x2.splat(1.7976931348623157e308)));
}
// @ts-ignore: decorator
@inline
function zero32(a: v128): v128 { return f32x4.eq(a, f32x4.splat(0)); }
// @ts-ignore: decorator
@inline
function zero64(a: v128): v128 { return f64x2.eq(a, f64x2.splat(0)); }

const LEAST32: f32 = 1.1754943508222875e-38;
const LEAST64: f64 = 2.2250738585072014e-308;

/** ADDPS MULPS SUBPS MINPS DIVPS MAXPS SQRTPS, named by their opcode. */
export function packed32(operation: u32, a: v128, b: v128): v128 {
  if (settled()) {
    const az = zero32(a), bz = zero32(b);
    if (i32x4.all_true(v128.or(az, normal32(a, LEAST32))) && i32x4.all_true(v128.or(bz, normal32(b, LEAST32)))) {
      let r: v128, zeros: v128 = v128.or(az, bz);
      switch (operation) {
        case ADD: r = f32x4.add(a, b); zeros = zero32(r); break;
        case SUB: r = f32x4.sub(a, b); zeros = zero32(r); break;
        case MUL: r = f32x4.mul(a, b); break;
        case DIV: r = f32x4.div(a, b); break;
        // pmin(y, x) is x < y ? x : y, bit for bit what MINPS does without NaNs.
        case MIN: return f32x4.pmin(b, a);
        case MAX: return f32x4.pmax(b, a);
        default: r = f32x4.sqrt(b); zeros = bz; break;
      }
      if (i32x4.all_true(v128.or(normal32(r, <f32>2.0 * LEAST32), v128.and(zeros, zero32(r))))) return r;
    }
  }
  return slow32(operation, a, b);
}
function slow32(operation: u32, a: v128, b: v128): v128 {
  spill(a, b);
  if (operation == SQRT) {
    for (let i: usize = 0; i < 16; i += 4) store<u32>(A + i, sqrt32(load<u32>(B + i)));
    return result();
  }
  for (let i: usize = 0; i < 16; i += 4) store<u32>(A + i, arithmetic32(operation, load<u32>(A + i), load<u32>(B + i)));
  return result();
}
export function packed64(operation: u32, a: v128, b: v128): v128 {
  if (settled()) {
    const az = zero64(a), bz = zero64(b);
    if (i64x2.all_true(v128.or(az, normal64(a, LEAST64))) && i64x2.all_true(v128.or(bz, normal64(b, LEAST64)))) {
      let r: v128, zeros: v128 = v128.or(az, bz);
      switch (operation) {
        case ADD: r = f64x2.add(a, b); zeros = zero64(r); break;
        case SUB: r = f64x2.sub(a, b); zeros = zero64(r); break;
        case MUL: r = f64x2.mul(a, b); break;
        case DIV: r = f64x2.div(a, b); break;
        case MIN: return f64x2.pmin(b, a);
        case MAX: return f64x2.pmax(b, a);
        default: r = f64x2.sqrt(b); zeros = bz; break;
      }
      if (i64x2.all_true(v128.or(normal64(r, 2.0 * LEAST64), v128.and(zeros, zero64(r))))) return r;
    }
  }
  return slow64(operation, a, b);
}
function slow64(operation: u32, a: v128, b: v128): v128 {
  spill(a, b);
  if (operation == SQRT) {
    store<u64>(A, sqrt64(load<u64>(B)));
    store<u64>(A + 8, sqrt64(load<u64>(B + 8)));
    return result();
  }
  store<u64>(A, arithmetic64(operation, load<u64>(A), load<u64>(B)));
  store<u64>(A + 8, arithmetic64(operation, load<u64>(A + 8), load<u64>(B + 8)));
  return result();
}

export function compare32Packed(a: v128, b: v128, predicate: u32): v128 {
  spill(a, b);
  for (let i: usize = 0; i < 16; i += 4) store<u32>(A + i, predicate32(load<u32>(A + i), load<u32>(B + i), predicate));
  return result();
}
export function compare64Packed(a: v128, b: v128, predicate: u32): v128 {
  spill(a, b);
  store<u64>(A, predicate64(load<u64>(A), load<u64>(B), predicate));
  store<u64>(A + 8, predicate64(load<u64>(A + 8), load<u64>(B + 8), predicate));
  return result();
}

/** HADDPS and HSUBPS: neighbours of a, then neighbours of b. */
export function horizontal32(a: v128, b: v128, subtract: bool): v128 {
  spill(a, b);
  for (let i: usize = 0; i < 16; i += 4) {
    const x = load<u32>(A + i * 2), y = load<u32>(A + i * 2 + 4);
    // The store runs behind the loads: pair i ends at 8 i + 7, lane i at 4 i + 3.
    store<u32>(A + i, subtract ? sub32(x, y) : add32(x, y));
  }
  return result();
}
export function horizontal64(a: v128, b: v128, subtract: bool): v128 {
  spill(a, b);
  for (let i: usize = 0; i < 16; i += 8) {
    const x = load<u64>(A + i * 2), y = load<u64>(A + i * 2 + 8);
    store<u64>(A + i, subtract ? sub64(x, y) : add64(x, y));
  }
  return result();
}
/** ADDSUBPS: subtracts in even lanes, adds in odd ones. */
export function alternate32(a: v128, b: v128): v128 {
  spill(a, b);
  for (let i: usize = 0; i < 16; i += 8) {
    store<u32>(A + i, sub32(load<u32>(A + i), load<u32>(B + i)));
    store<u32>(A + i + 4, add32(load<u32>(A + i + 4), load<u32>(B + i + 4)));
  }
  return result();
}
export function alternate64(a: v128, b: v128): v128 {
  spill(a, b);
  store<u64>(A, sub64(load<u64>(A), load<u64>(B)));
  store<u64>(A + 8, add64(load<u64>(A + 8), load<u64>(B + 8)));
  return result();
}

/** Between the steps of a dot product: an unmasked exception of this one raises #XM here and hides the next step. */
function step(): void {
  finish();
  settle();
}

/**
 * DPPS: products, then (p0 + p1) + (p2 + p3), each step rounded and reporting like an instruction of its own
 * (SDM vol. 2 DPPS). Every lane adds for itself, the operands in its own order, which shows
 * when several of them are NaNs: lane i is (p[i^1] + p[i]) + (p[i^3] + p[i^2]) on the Cascade Lake host this was compared with;
 * the manual leaves it open.
 */
export function dot32(a: v128, b: v128, imm: u32): v128 {
  spill(a, b);
  for (let i: u32 = 0; i < 4; i++) {
    const p = A + (i << 2);
    store<u32>(p, (imm >> (4 + i) & 1) != 0 ? mul32(load<u32>(p), load<u32>(p + 16)) : 0);
  }
  step();
  for (let i: u32 = 0; i < 4; i++) store<u32>(B + (i << 2), add32(load<u32>(A + ((i ^ 1) << 2)), load<u32>(A + (i << 2))));
  step();
  for (let i: u32 = 0; i < 4; i++) store<u32>(A + (i << 2), add32(load<u32>(B + (i << 2)), load<u32>(B + ((i ^ 2) << 2))));
  finish();
  for (let i: u32 = 0; i < 4; i++) if ((imm >> i & 1) == 0) store<u32>(A + (i << 2), 0);
  return result();
}
/** DPPD: lane i is p[i] + p[i^1]. */
export function dot64(a: v128, b: v128, imm: u32): v128 {
  spill(a, b);
  const p0 = (imm & 0x10) != 0 ? mul64(load<u64>(A), load<u64>(B)) : 0;
  const p1 = (imm & 0x20) != 0 ? mul64(load<u64>(A + 8), load<u64>(B + 8)) : 0;
  step();
  const low = add64(p0, p1), high = add64(p1, p0);
  finish();
  store<u64>(A, (imm & 1) != 0 ? low : 0);
  store<u64>(A + 8, (imm & 2) != 0 ? high : 0);
  return result();
}

export function round32Packed(b: v128, imm: u32): v128 {
  v128.store(A, b);
  for (let i: usize = 0; i < 16; i += 4) store<u32>(A + i, round32(load<u32>(A + i), imm));
  return result();
}
export function round64Packed(b: v128, imm: u32): v128 {
  v128.store(A, b);
  store<u64>(A, round64(load<u64>(A), imm));
  store<u64>(A + 8, round64(load<u64>(A + 8), imm));
  return result();
}

// ---- conversions ----

/** CVTPS2PD of the low two lanes. */
export function widen(b: u64): v128 {
  store<u64>(A, f32ToF64(<u32>b));
  store<u64>(A + 8, f32ToF64(<u32>(b >> 32)));
  return result();
}
/** CVTPD2PS; the upper half of the result is zero. */
export function narrow(b: v128): v128 {
  v128.store(A, b);
  store<u32>(A, f64ToF32(load<u64>(A)));
  store<u32>(A + 4, f64ToF32(load<u64>(A + 8)));
  store<u64>(A + 8, 0);
  return result();
}
export function toIntegers32(b: v128, rounding: u32): v128 {
  v128.store(A, b);
  for (let i: usize = 0; i < 16; i += 4) store<u32>(A + i, f32ToI32(load<u32>(A + i), rounding));
  return result();
}
export function toIntegers64(b: v128, rounding: u32): v128 {
  v128.store(A, b);
  store<u32>(A, f64ToI32(load<u64>(A), rounding));
  store<u32>(A + 4, f64ToI32(load<u64>(A + 8), rounding));
  store<u64>(A + 8, 0);
  return result();
}
export function fromIntegers32(b: v128): v128 {
  // The vector conversion rounds to nearest: right when PE needs no computing.
  if (settled()) return f32x4.convert_i32x4_s(b);
  v128.store(A, b);
  for (let i: usize = 0; i < 16; i += 4) store<u32>(A + i, i32ToF32(load<i32>(A + i)));
  return result();
}
/** Two i32 are always exact in f64. */
// @ts-ignore: decorator
@inline
export function fromIntegers64(b: u64): v128 {
  return f64x2.convert_low_i32x4_s(i64x2.splat(b));
}

/** RCPPS and RSQRTPS. */
export function approximate32(b: v128, root: bool): v128 {
  v128.store(A, b);
  for (let i: usize = 0; i < 16; i += 4) {
    const x = load<u32>(A + i);
    store<u32>(A + i, root ? reciprocalRoot32(x) : reciprocal32(x));
  }
  return result();
}

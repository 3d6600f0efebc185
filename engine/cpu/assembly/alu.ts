/**
 * Integer operations that are too rare or too large for the interpreter's main switch. Each takes the micro-op and does
 * all memory accesses before it changes flags or registers.
 */
import { REGS, REG_EA, REG_ZERO, SEG_EFFECTIVE, FLAGS, FLAG_RESULT, FLAG_AUX } from "../layout";
import { ld8, ld16, ld32, ld64, st8, st16, st32, st64, loadForStoreSlow, hostWrite, storeSlow } from "./memory";
import { raise, raiseError } from "./exceptions";
import { OP_BYTES } from "../ops";
import {
  flagsAdd, flagsSub, flagsLogic, flagsResultCarry, setCarryOverflow, setCarry, carry, ccO, ccZ, signExtend, setArithmetic, getFlags, condition, ARITHMETIC
} from "./flags";

/** The last three address bytes of an operand without index and segment base: SEG_FLAT or SEG_FLAT_STACK, which differ in one bit. */
const PLAIN: u32 = (REG_ZERO << 3) | (6 << 3) << 16;
const PLAIN_MASK: u32 = ~(8 << 16);

/** Linear address of the memory operand. */
// @ts-ignore: decorator
@inline
export function ea(p: usize): u64 {
  const fields = load<u32>(p, 4);
  const near = load<u64>(<usize>(fields & 0xff), REGS) + <u64>(<i64>load<i32>(p, 8));
  if ((fields >> 8 & PLAIN_MASK) == PLAIN) return near;
  return near + (load<u64>(<usize>(fields >> 8 & 0xff), REGS) << <u64>(fields >> 16)) + load<u64>(<usize>(fields >> 24), SEG_EFFECTIVE);
}

// @ts-ignore: decorator
@inline
export function dst(p: usize): usize {
  return REGS + <usize>load<u8>(p, 2);
}
// @ts-ignore: decorator
@inline
export function src(p: usize): usize {
  return REGS + <usize>load<u8>(p, 3);
}

/** Register read of 1 << size bytes at a register address. */
export function readReg(at: usize, size: u32): u64 {
  if (size == 3) return load<u64>(at);
  if (size == 2) return <u64>load<u32>(at);
  if (size == 1) return <u64>load<u16>(at);
  return <u64>load<u8>(at);
}
/** Register write: 32-bit results clear the upper half. */
export function writeReg(at: usize, size: u32, value: u64): void {
  if (size == 3) store<u64>(at, value);
  else if (size == 2) store<u64>(at, value & 0xffffffff);
  else if (size == 1) store<u16>(at, <u16>value);
  else store<u8>(at, <u8>value);
}
export function readMem(va: u64, size: u32): u64 {
  if (size == 3) return ld64(va);
  if (size == 2) return <u64>ld32(va);
  if (size == 1) return <u64>ld16(va);
  return <u64>ld8(va);
}
export function writeMem(va: u64, size: u32, value: u64): void {
  if (size == 3) st64(va, value);
  else if (size == 2) st32(va, <u32>value);
  else if (size == 1) st16(va, <u32>value & 0xffff);
  else st8(va, <u32>value & 0xff);
}
/** Load of a read-modify-write: faults as a write. */
export function readForWrite(va: u64, size: u32, p: usize): u64 {
  if (size == 3) { const h = hostWrite<u64>(va); if (h) return load<u64>(h); }
  else if (size == 2) { const h = hostWrite<u32>(va); if (h) return <u64>load<u32>(h); }
  else if (size == 1) { const h = hostWrite<u16>(va); if (h) return <u64>load<u16>(h); }
  else { const h = hostWrite<u8>(va); if (h) return <u64>load<u8>(h); }
  return loadForStoreSlow(va, 1 << size, p);
}

// @ts-ignore: decorator
@inline
function bitsOf(size: u32): u32 {
  return 8 << size;
}
function maskOf(size: u32): u64 {
  return size == 3 ? 0xffffffffffffffff : ((<u64>1 << (8 << size)) - 1);
}
function extend(value: u64, size: u32): i64 {
  const s = <u64>(64 - (8 << size));
  return <i64>(value << s) >> s;
}

// ---- shifts and rotates (SDM vol. 2 SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR) ----

/** Result of the last shift; its flags, to be committed after the store. */
let flagKind: u32 = 0;
let newCf: u64 = 0;
let newOf: u64 = 0;
let shifted: u64 = 0;

/** OF of a left shift by one: the two top bits differ. */
// @ts-ignore: decorator
@inline
function leftOverflow(value: u64, top: u32): u64 {
  return (value >> top ^ value >> (top - 1)) & 1;
}
/**
 * kind 0..7: ROL ROR RCL RCR SHL SHR SAL SAR. flagKind: 0 none, 1 CF OF only, 2 all.
 * For counts above one the manual leaves OF undefined; Intel CPUs give what a shift of the operand by one gives, and ROL and ROR of
 * a register by an immediate leave it alone (shiftHelper).
 */
function shift(kind: u32, value: u64, count: u32, size: u32): void {
  const bits = bitsOf(size);
  const mask = maskOf(size);
  const n = count & (size == 3 ? 63 : 31);
  shifted = value;
  flagKind = 0;
  if (n == 0) return;
  const top = bits - 1;
  switch (kind) {
    case 0: {
      const k = n & top;
      const r = k == 0 ? value : ((value << k) | (value >> (bits - k))) & mask;
      shifted = r;
      flagKind = 1;
      newCf = r & 1;
      newOf = leftOverflow(value, top);
      return;
    }
    case 1: {
      const k = n & top;
      const r = k == 0 ? value : ((value >> k) | (value << (bits - k))) & mask;
      shifted = r;
      flagKind = 1;
      newCf = r >> top & 1;
      newOf = (value >> top & 1) ^ (value & 1);
      return;
    }
    case 2: {
      const k = size == 0 ? n % 9 : size == 1 ? n % 17 : n;
      if (k == 0) return;
      let r = value;
      let c = carry();
      if (k == 1) { r = (value << 1) | c; c = value >> top & 1; }
      else { r = (value << k) | (c << (k - 1)) | (value >> (bits + 1 - k)); c = value >> (bits - k) & 1; }
      shifted = r & mask;
      flagKind = 1;
      newCf = c;
      newOf = leftOverflow(value, top);
      return;
    }
    case 3: {
      const k = size == 0 ? n % 9 : size == 1 ? n % 17 : n;
      if (k == 0) return;
      let r = value;
      let c = carry();
      newOf = (value >> top & 1) ^ c;
      if (k == 1) { r = (value >> 1) | (c << top); c = value & 1; }
      else { r = (value >> k) | (c << (bits - k)) | (value << (bits + 1 - k)); c = value >> (k - 1) & 1; }
      shifted = r & mask;
      flagKind = 1;
      newCf = c;
      return;
    }
    case 5: {
      shifted = n >= bits ? 0 : value >> n;
      newCf = n > bits ? 0 : value >> (n - 1) & 1;
      newOf = value >> top & 1;
      flagKind = 2;
      return;
    }
    case 7: {
      const s = extend(value, size);
      const k: u32 = n >= bits ? top : n;
      shifted = <u64>(s >> k) & mask;
      newCf = n >= bits ? <u64>(s >> 63) & 1 : <u64>(s >> (n - 1)) & 1;
      newOf = 0;
      flagKind = 2;
      return;
    }
    default: {
      shifted = n >= bits ? 0 : (value << n) & mask;
      newCf = n > bits ? 0 : value >> (bits - n) & 1;
      newOf = leftOverflow(value, top);
      flagKind = 2;
      return;
    }
  }
}
function commitShift(size: u32): void {
  if (flagKind == 2) flagsResultCarry(extend(shifted, size), newCf, newOf);
  else if (flagKind == 1) setCarryOverflow(newCf, newOf);
}
export function shiftHelper(p: usize, toMemory: bool): void {
  const imm = load<u32>(p, 12);
  const size: u32 = load<u8>(p, 3);
  const count = imm & 0x10000 ? <u32>load<u8>(REGS + 8) : imm >> 8 & 0xff;
  const keepOf = !toMemory && (imm & 0x10000) == 0 && (imm & 7) < 2 && (count & (size == 3 ? 63 : 31)) != 1;
  if (toMemory) {
    const at = ea(p);
    shift(imm & 7, readForWrite(at, size, p), count, size);
    writeMem(at, size, shifted);
  } else {
    shift(imm & 7, readReg(dst(p), size), count, size);
    writeReg(dst(p), size, shifted);
  }
  if (keepOf) newOf = ccO() ? 1 : 0;
  commitShift(size);
}
/** Quick forms from the main switch: value of 32 or 64 bits, count already masked and not zero. */
export function shiftByCl(kind: u32, p: usize, size: u32): void {
  shift(kind, readReg(dst(p), size), <u32>load<u8>(REGS + 8), size);
  writeReg(dst(p), size, shifted);
  commitShift(size);
}

/** SHLD and SHRD. imm: size | flags << 8, flags bit 0 right, bit 1 count in CL, else the count is in bits 16..23. */
export function doubleShift(p: usize, toMemory: bool): void {
  const imm = load<u32>(p, 12);
  const size = imm & 3;
  const bits = bitsOf(size);
  const mask = maskOf(size);
  const count = imm & 0x200 ? <u32>load<u8>(REGS + 8) : imm >> 16 & 0xff;
  const n = count & (size == 3 ? 63 : 31);
  const at = toMemory ? ea(p) : 0;
  const value = toMemory ? readForWrite(at, size, p) : readReg(dst(p), size);
  const other = readReg(src(p), size);
  let r = value;
  let cf: u64 = 0;
  if (n != 0) {
    const top = bits - 1;
    if (n <= bits) {
      if (imm & 0x100) {
        r = n == bits ? other : ((value >> n) | (other << (bits - n))) & mask;
        cf = value >> (n - 1) & 1;
      } else {
        r = n == bits ? other : ((value << n) | (other >> (bits - n))) & mask;
        cf = value >> (bits - n) & 1;
      }
    } else {
      // 16-bit operands with counts above 16: undefined; as if the source were followed by the destination again.
      const k = n - bits;
      if (imm & 0x100) { r = ((other >> k) | (value << (bits - k))) & mask; cf = other >> (k - 1) & 1; }
      else { r = ((other << k) | (value >> (bits - k))) & mask; cf = other >> (bits - k) & 1; }
    }
    if (toMemory) writeMem(at, size, r);
    else writeReg(dst(p), size, r);
    // OF as for a shift by one, whatever the count.
    flagsResultCarry(extend(r, size), cf, imm & 0x100 ? (value >> top & 1) ^ (other & 1) : leftOverflow(value, top));
  } else if (toMemory) writeMem(at, size, r);
  else writeReg(dst(p), size, r);
}

// ---- multiplication and division ----

export let productHigh: u64 = 0;
/** Unsigned 64x64 to 128: returns the low half, the high half is in productHigh. */
export function multiply128(a: u64, b: u64): u64 {
  const al = a & 0xffffffff, ah = a >> 32, bl = b & 0xffffffff, bh = b >> 32;
  const ll = al * bl, lh = al * bh, hl = ah * bl, hh = ah * bh;
  const mid = (ll >> 32) + (lh & 0xffffffff) + (hl & 0xffffffff);
  productHigh = hh + (lh >> 32) + (hl >> 32) + (mid >> 32);
  return a * b;
}
/** High half of the signed product. */
// @ts-ignore: decorator
@inline
export function multiplyHighSigned(a: i64, b: i64): i64 {
  multiply128(<u64>a, <u64>b);
  return <i64>productHigh - (a < 0 ? b : 0) - (b < 0 ? a : 0);
}

/** Flags of a product: ZF is undefined by the manual and clear on Intel CPUs, SF and PF are those of the low half. */
function productFlags(low: i64, c: u64): void {
  flagsResultCarry(notZero(low), c, c);
}
/** The same sign and parity, not zero. */
// @ts-ignore: decorator
@inline
export function notZero(result: i64): i64 {
  return result == 0 ? 0x100 : result;
}

let quotient: u64 = 0;
let remainder: u64 = 0;
/** 128 by 64 bits, high < divisor. */
function divide128(high: u64, low: u64, divisor: u64): void {
  if (high == 0) {
    quotient = low / divisor;
    remainder = low % divisor;
    return;
  }
  // Knuth's algorithm D with 32-bit digits.
  const s = clz<u64>(divisor);
  const d = divisor << s;
  const dh = d >> 32, dl = d & 0xffffffff;
  const n32 = s == 0 ? high : (high << s) | (low >> (64 - s));
  const n10 = low << s;
  const n1 = n10 >> 32, n0 = n10 & 0xffffffff;
  let q1 = n32 / dh;
  let r = n32 - q1 * dh;
  while (q1 >= 0x100000000 || q1 * dl > (r << 32 | n1)) {
    q1--;
    r += dh;
    if (r >= 0x100000000) break;
  }
  const n21 = (n32 << 32 | n1) - q1 * d;
  let q0 = n21 / dh;
  r = n21 - q0 * dh;
  while (q0 >= 0x100000000 || q0 * dl > (r << 32 | n0)) {
    q0--;
    r += dh;
    if (r >= 0x100000000) break;
  }
  quotient = (q1 << 32) + q0;
  remainder = ((n21 << 32 | n0) - q0 * d) >> s;
}

/** F6/F7 group: kind 4 MUL, 5 IMUL, 6 DIV, 7 IDIV. */
export function multiplyDivide(p: usize, fromMemory: bool): void {
  const imm = load<u32>(p, 12);
  const size = imm & 3;
  const kind = imm >> 8 & 7;
  const v = fromMemory ? readMem(ea(p), size) : readReg(src(p), size);
  const rax = load<u64>(REGS), rdx = load<u64>(REGS + 16);
  if (kind == 4) {
    if (size == 3) {
      const low = multiply128(rax, v);
      store<u64>(REGS, low);
      store<u64>(REGS + 16, productHigh);
      productFlags(<i64>low, productHigh != 0 ? 1 : 0);
    } else {
      const r = readReg(REGS, size) * v;
      const high = r >> bitsOf(size);
      if (size == 0) store<u16>(REGS, <u16>r);
      else { writeReg(REGS, size, r & maskOf(size)); writeReg(REGS + 16, size, high); }
      productFlags(extend(r, size), high != 0 ? 1 : 0);
    }
    return;
  }
  if (kind == 5) {
    if (size == 3) {
      const high = multiplyHighSigned(<i64>rax, <i64>v);
      const low = rax * v;
      store<u64>(REGS, low);
      store<u64>(REGS + 16, high);
      productFlags(<i64>low, high != (<i64>low >> 63) ? 1 : 0);
    } else {
      const r = extend(readReg(REGS, size), size) * extend(v, size);
      if (size == 0) store<u16>(REGS, <u16>r);
      else { writeReg(REGS, size, <u64>r & maskOf(size)); writeReg(REGS + 16, size, <u64>(r >> bitsOf(size)) & maskOf(size)); }
      productFlags(extend(<u64>r, size), extend(<u64>r, size) != r ? 1 : 0);
    }
    return;
  }
  if (v == 0) raise(0);
  if (kind == 6) {
    if (size == 3) {
      if (rdx >= v) raise(0);
      divide128(rdx, rax, v);
      store<u64>(REGS, quotient);
      store<u64>(REGS + 16, remainder);
      return;
    }
    const n = size == 0 ? <u64>load<u16>(REGS) : size == 1 ? <u64>load<u16>(REGS) | <u64>load<u16>(REGS + 16) << 16 : <u64>load<u32>(REGS) | <u64>load<u32>(REGS + 16) << 32;
    const q = n / v, r = n % v;
    if (q > maskOf(size)) raise(0);
    if (size == 0) store<u16>(REGS, <u16>(q | r << 8));
    else { writeReg(REGS, size, q); writeReg(REGS + 16, size, r); }
    return;
  }
  if (size == 3) {
    const negative = <i64>rdx < 0;
    let high = rdx, low = rax;
    if (negative) {
      low = 0 - low;
      high = ~high + (low == 0 ? 1 : 0);
    }
    const dn = <i64>v < 0;
    const d = dn ? 0 - v : v;
    if (high >= d) raise(0);
    divide128(high, low, d);
    const qn = negative != dn;
    if (qn ? quotient > 0x8000000000000000 : quotient > 0x7fffffffffffffff) raise(0);
    store<u64>(REGS, qn ? 0 - quotient : quotient);
    store<u64>(REGS + 16, negative ? 0 - remainder : remainder);
    return;
  }
  const n = size == 0 ? <i64>load<i16>(REGS) : size == 1 ? <i64>(<i32>(<u32>load<u16>(REGS) | <u32>load<u16>(REGS + 16) << 16)) : <i64>(<u64>load<u32>(REGS) | <u64>load<u32>(REGS + 16) << 32);
  const d = extend(v, size);
  if (n == i64.MIN_VALUE && d == -1) raise(0);
  const q = n / d, r = n % d;
  if (extend(<u64>q, size) != q) raise(0);
  if (size == 0) store<u16>(REGS, <u16>((q & 0xff) | (r & 0xff) << 8));
  else { writeReg(REGS, size, <u64>q & maskOf(size)); writeReg(REGS + 16, size, <u64>r & maskOf(size)); }
}

/** 16-bit IMUL with two or three operands. imm: form | immediate << 8, form 1 = with immediate. */
export function multiply16(p: usize, fromMemory: bool): void {
  const imm = load<u32>(p, 12);
  const v = <i32>(<i16>(fromMemory ? <u32>readMem(ea(p), 1) : <u32>load<u16>(src(p))));
  const other = imm & 1 ? <i32>(<i16>(imm >> 8)) : <i32>load<i16>(dst(p));
  const r = v * other;
  store<u16>(dst(p), <u16>r);
  productFlags(<i64>(<i16>r), <i32>(<i16>r) != r ? 1 : 0);
}

// ---- exchanges ----

export function exchange(p: usize, withMemory: bool): void {
  const size = load<u32>(p, 12) & 3;
  const b = readReg(src(p), size);
  if (withMemory) {
    const at = ea(p);
    const a = readForWrite(at, size, p);
    writeMem(at, size, b);
    writeReg(src(p), size, a);
  } else {
    const a = readReg(dst(p), size);
    writeReg(dst(p), size, b);
    writeReg(src(p), size, a);
  }
}
function addFlags(a: u64, b: u64, r: u64, size: u32): void {
  if (size == 3) flagsAdd<u64>(a, b, r);
  else if (size == 2) flagsAdd<u32>(<u32>a, <u32>b, <u32>r);
  else if (size == 1) flagsAdd<u16>(<u16>a, <u16>b, <u16>r);
  else flagsAdd<u8>(<u8>a, <u8>b, <u8>r);
}
function subFlags(a: u64, b: u64, r: u64, size: u32): void {
  if (size == 3) flagsSub<u64>(a, b, r);
  else if (size == 2) flagsSub<u32>(<u32>a, <u32>b, <u32>r);
  else if (size == 1) flagsSub<u16>(<u16>a, <u16>b, <u16>r);
  else flagsSub<u8>(<u8>a, <u8>b, <u8>r);
}
export function exchangeAdd(p: usize, withMemory: bool): void {
  const size = load<u32>(p, 12) & 3;
  const b = readReg(src(p), size);
  let a: u64;
  if (withMemory) {
    const at = ea(p);
    a = readForWrite(at, size, p);
    writeMem(at, size, a + b);
    writeReg(src(p), size, a);
  } else {
    a = readReg(dst(p), size);
    writeReg(src(p), size, a);
    writeReg(dst(p), size, (a + b) & maskOf(size));
  }
  addFlags(a, b, a + b, size);
}
export function compareExchange(p: usize, withMemory: bool, fixed: i32): void {
  const size: u32 = fixed >= 0 ? <u32>fixed : load<u32>(p, 12) & 3;
  const acc = readReg(REGS, size);
  const b = readReg(src(p), size);
  let a: u64;
  if (withMemory) {
    const at = ea(p);
    a = readForWrite(at, size, p);
    // The destination is written either way (SDM vol. 2 CMPXCHG).
    writeMem(at, size, a == acc ? b : a);
    if (a != acc) writeReg(REGS, size, a);
  } else {
    a = readReg(dst(p), size);
    if (a == acc) writeReg(dst(p), size, b);
    else writeReg(REGS, size, a);
  }
  subFlags(acc, a, acc - a, size);
}
function setZero(zero: bool): void {
  setArithmetic((getFlags() & ~<u64>0x40) | (zero ? 0x40 : 0));
}
export function compareExchange8(p: usize): void {
  const at = ea(p);
  const a = readForWrite(at, 3, p);
  const expected = (load<u64>(REGS + 16) << 32) | <u64>load<u32>(REGS);
  const same = a == expected;
  st64(at, same ? (load<u64>(REGS + 8) << 32) | <u64>load<u32>(REGS + 24) : a);
  if (!same) {
    store<u64>(REGS, a & 0xffffffff);
    store<u64>(REGS + 16, a >> 32);
  }
  setZero(same);
}
export function compareExchange16(p: usize): void {
  const at = ea(p);
  if (at & 15) raiseError(13, 0);
  const low = readForWrite(at, 3, p);
  const high = ld64(at + 8);
  const same = low == load<u64>(REGS) && high == load<u64>(REGS + 16);
  st64(at, same ? load<u64>(REGS + 24) : low);
  st64(at + 8, same ? load<u64>(REGS + 8) : high);
  if (!same) {
    store<u64>(REGS, low);
    store<u64>(REGS + 16, high);
  }
  setZero(same);
}

// ---- bits ----

/** The operand's address moved by some bytes; it wraps as an address of its size does. */
function moveAddress(p: usize, by: u64): u64 {
  const at = ea(p);
  if (load<u8>(p, 4) != REG_EA << 3) return at + by;
  const address = p - OP_BYTES;
  const base = load<u64>(SEG_EFFECTIVE + <usize>load<u8>(address, 7));
  return base + (at - base + by & (load<u8>(address, 2) == 2 ? 0xffff : 0xffffffff));
}
/** BT BTS BTR BTC. imm: size | kind << 8 | immediate form << 16 | bit << 24. */
export function bitTest(p: usize, inMemory: bool): void {
  const imm = load<u32>(p, 12);
  const size = imm & 3;
  const kind = imm >> 8 & 3;
  const bits = bitsOf(size);
  const offset = imm & 0x10000 ? <i64>(imm >> 24 & (bits - 1)) : extend(readReg(src(p), size), size);
  const bit = <u64>offset & <u64>(bits - 1);
  const mask = <u64>1 << bit;
  let value: u64;
  if (inMemory) {
    // A register offset may reach outside the operand.
    const at = moveAddress(p, <u64>((offset >> (3 + size)) << size));
    value = kind == 0 ? readMem(at, size) : readForWrite(at, size, p);
    if (kind) writeMem(at, size, kind == 1 ? value | mask : kind == 2 ? value & ~mask : value ^ mask);
  } else {
    value = readReg(dst(p), size);
    if (kind) writeReg(dst(p), size, kind == 1 ? value | mask : kind == 2 ? value & ~mask : value ^ mask);
  }
  setCarry(value >> bit & 1);
}
/** BSF, BSR: with a zero source ZF is set and the destination stays (as Intel and AMD CPUs do; 32-bit forms leave the upper half too). Other flags: CF OF SF AF clear, PF of the bit number. */
export function bitScan(p: usize, fromMemory: bool, reverse: bool): void {
  const size = load<u32>(p, 12) & 3;
  const v = fromMemory ? readMem(ea(p), size) : readReg(src(p), size);
  if (v == 0) {
    flagsLogic<u64>(0);
    return;
  }
  const bit = reverse ? 63 - clz<u64>(v) : ctz<u64>(v);
  writeReg(dst(p), size, bit);
  flagsLogic<u64>(<u64>notZero(<i64>bit));
}
export function populationCount(p: usize, fromMemory: bool): void {
  const size = load<u32>(p, 12) & 3;
  const v = fromMemory ? readMem(ea(p), size) : readReg(src(p), size);
  writeReg(dst(p), size, popcnt<u64>(v));
  setArithmetic(v == 0 ? 0x40 : 0);
}
/** CRC32 with the Castagnoli polynomial, reflected. */
export function crc32(p: usize, fromMemory: bool): void {
  const imm = load<u32>(p, 12);
  const size = imm & 3;
  let v = fromMemory ? readMem(ea(p), size) : readReg(src(p), size);
  let crc = load<u32>(dst(p));
  for (let i: u32 = 0; i < (1 << size); i++) {
    crc ^= <u32>v & 0xff;
    for (let k = 0; k < 8; k++) crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
    v >>= 8;
  }
  store<u64>(dst(p), <u64>crc);
}

export function conditionalMove16(p: usize, fromMemory: bool): void {
  const v = fromMemory ? ld16(ea(p)) : <u32>load<u16>(src(p));
  if (condition(load<u32>(p, 12) >> 8 & 15)) store<u16>(dst(p), v);
}

// ---- decimal adjustment (not in 64-bit mode) ----

export function decimal(kind: u32): void {
  const flags = getFlags();
  let al = <u32>load<u8>(REGS);
  const af = (flags >> 4 & 1) != 0;
  const cf = (flags & 1) != 0;
  let newAf: u64 = 0, newCf2: u64 = 0;
  if (kind < 2) {
    const old = al;
    if ((al & 15) > 9 || af) {
      al = kind == 0 ? al + 6 : al - 6;
      newAf = 1;
      if (kind == 1 && (old < 6 || cf)) newCf2 = 1;
    }
    if (old > 0x99 || cf) {
      al = kind == 0 ? al + 0x60 : al - 0x60;
      newCf2 = 1;
    }
    if (kind == 0 && cf) newCf2 = 1;
    store<u8>(REGS, <u8>al);
    flagsLogic<u8>(<u8>al);
    setArithmetic((getFlags() & ~<u64>0x11) | newAf << 4 | newCf2);
  } else {
    const adjust = (al & 15) > 9 || af;
    let ax = <u32>load<u16>(REGS);
    if (adjust) ax = kind == 2 ? ax + 0x106 : (ax - 6) - 0x100;
    store<u16>(REGS, <u16>((ax & 0xff00) | (ax & 15)));
    flagsLogic<u8>(<u8>(ax & 15));
    setArithmetic((getFlags() & ~<u64>0x11) | (adjust ? 0x11 : 0));
  }
}
export function aam(base: u32): void {
  if (base == 0) raise(0);
  const al = <u32>load<u8>(REGS);
  store<u16>(REGS, <u16>((al / base) << 8 | (al % base)));
  flagsLogic<u8>(load<u8>(REGS));
}
export function aad(base: u32): void {
  const low = load<u8>(REGS);
  const tens = <u8>(<u32>load<u8>(REGS + 1) * base);
  const al = <u8>(low + tens);
  store<u16>(REGS, <u16>al);
  // OF AF CF are undefined by the manual; Intel CPUs set them as the addition does.
  flagsAdd<u8>(low, tens, al);
}

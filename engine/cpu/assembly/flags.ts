/**
 * Lazy arithmetic flags in two words (the form Bochs uses, SDM vol. 1 3.4.3 for what they mean):
 * the sign-extended result, and a word with the carries out of and into the top bit (63, 62), AF (3) and
 * corrections for SF (0) and PF (1), so that every flag is a few bit operations whatever set it.
 */
import { FLAGS, FLAG_RESULT, FLAG_AUX } from "../layout";

export const CF: u64 = 1;
export const PF: u64 = 4;
export const AF: u64 = 0x10;
export const ZF: u64 = 0x40;
export const SF: u64 = 0x80;
export const TF: u64 = 0x100;
export const IF: u64 = 0x200;
export const DF: u64 = 0x400;
export const OF: u64 = 0x800;
export const IOPL: u64 = 0x3000;
export const NT: u64 = 0x4000;
export const RF: u64 = 0x10000;
export const VM: u64 = 0x20000;
export const AC: u64 = 0x40000;
export const VIF: u64 = 0x80000;
export const VIP: u64 = 0x100000;
export const ID: u64 = 0x200000;
export const ARITHMETIC: u64 = 0x8d5;

// @ts-ignore: decorator
@inline
export function signExtend<T>(value: T): i64 {
  if (sizeof<T>() == 8) return <i64>value;
  if (sizeof<T>() == 4) return <i64>(<i32>value);
  if (sizeof<T>() == 2) return <i64>(<i16>value);
  return <i64>(<i8>value);
}

/** Puts the carries of an operation of width T where the flags are read from. */
// @ts-ignore: decorator
@inline
function auxOf<T>(carries: T): u64 {
  if (sizeof<T>() == 8) return <u64>carries & 0xc000000000000008;
  if (sizeof<T>() == 4) return (<u64>(<u32>carries & 0xc0000000) << 32) | (<u64>carries & 8);
  if (sizeof<T>() == 2) return (<u64>(<u32>carries & 0xc000) << 48) | (<u64>carries & 8);
  return (<u64>(<u32>carries & 0xc0) << 56) | (<u64>carries & 8);
}

// @ts-ignore: decorator
@inline
export function flagsAdd<T>(a: T, b: T, r: T): void {
  store<i64>(FLAG_RESULT, signExtend<T>(r));
  store<u64>(FLAG_AUX, auxOf<T>((a & b) | ((a | b) & ~r)));
}
// @ts-ignore: decorator
@inline
export function flagsSub<T>(a: T, b: T, r: T): void {
  store<i64>(FLAG_RESULT, signExtend<T>(r));
  store<u64>(FLAG_AUX, auxOf<T>((~a & b) | ((~a | b) & r)));
}
// @ts-ignore: decorator
@inline
export function flagsLogic<T>(r: T): void {
  store<i64>(FLAG_RESULT, signExtend<T>(r));
  store<u64>(FLAG_AUX, 0);
}
/** INC and DEC leave CF alone. */
// @ts-ignore: decorator
@inline
export function flagsInc<T>(r: T): void {
  const cf = load<u64>(FLAG_AUX) >> 63;
  const top = signExtend<T>(r);
  const ovf = <u64>(top == -(<i64>1 << (sizeof<T>() * 8 - 1)));
  store<i64>(FLAG_RESULT, top);
  store<u64>(FLAG_AUX, (cf << 63) | ((cf ^ ovf) << 62) | (<u64>((top & 15) == 0) << 3));
}
// @ts-ignore: decorator
@inline
export function flagsDec<T>(r: T): void {
  const cf = load<u64>(FLAG_AUX) >> 63;
  const top = signExtend<T>(r);
  const ovf = <u64>(top == (<i64>1 << (sizeof<T>() * 8 - 1)) - 1);
  store<i64>(FLAG_RESULT, top);
  store<u64>(FLAG_AUX, (cf << 63) | ((cf ^ ovf) << 62) | (<u64>((top & 15) == 15) << 3));
}

// @ts-ignore: decorator
@inline
export function carry(): u64 {
  return load<u64>(FLAG_AUX) >> 63;
}
// @ts-ignore: decorator
@inline
export function ccO(): bool {
  const aux = load<u64>(FLAG_AUX);
  return <bool>(((aux >> 63) ^ (aux >> 62)) & 1);
}
// @ts-ignore: decorator
@inline
export function ccB(): bool {
  return load<i64>(FLAG_AUX) < 0;
}
// @ts-ignore: decorator
@inline
export function ccZ(): bool {
  return load<i64>(FLAG_RESULT) == 0;
}
// @ts-ignore: decorator
@inline
export function ccBE(): bool {
  return load<i64>(FLAG_AUX) < 0 || load<i64>(FLAG_RESULT) == 0;
}
// @ts-ignore: decorator
@inline
export function ccS(): bool {
  return <bool>((load<u64>(FLAG_RESULT) >> 63) ^ (load<u64>(FLAG_AUX) & 1));
}
// @ts-ignore: decorator
@inline
export function ccP(): bool {
  return <bool>((popcnt<u32>(load<u8>(FLAG_RESULT)) & 1 ^ 1) ^ (<u32>load<u8>(FLAG_AUX) >> 1 & 1));
}
// @ts-ignore: decorator
@inline
export function ccL(): bool {
  const aux = load<u64>(FLAG_AUX);
  return <bool>(((load<u64>(FLAG_RESULT) >> 63) ^ aux ^ (aux >> 63) ^ (aux >> 62)) & 1);
}
// @ts-ignore: decorator
@inline
export function ccLE(): bool {
  return ccL() || ccZ();
}

/** Condition code 0..15 as in the low four bits of Jcc. */
export function condition(cc: u32): bool {
  let r = false;
  switch (cc >> 1) {
    case 0: r = ccO(); break;
    case 1: r = ccB(); break;
    case 2: r = ccZ(); break;
    case 3: r = ccBE(); break;
    case 4: r = ccS(); break;
    case 5: r = ccP(); break;
    case 6: r = ccL(); break;
    default: r = ccLE(); break;
  }
  return cc & 1 ? !r : r;
}

/** Sets CF and OF, and SF ZF PF from a result; AF is cleared (shifts, multiplications: undefined in the manual). */
// @ts-ignore: decorator
@inline
export function flagsResultCarry(result: i64, cf: u64, ovf: u64): void {
  store<i64>(FLAG_RESULT, result);
  store<u64>(FLAG_AUX, (cf << 63) | ((cf ^ ovf) << 62));
}

/** Changes CF and OF only. */
// @ts-ignore: decorator
@inline
export function setCarryOverflow(cf: u64, ovf: u64): void {
  store<u64>(FLAG_AUX, (load<u64>(FLAG_AUX) & 0x3fffffffffffffff) | (cf << 63) | ((cf ^ ovf) << 62));
}
/** Changes CF only. */
// @ts-ignore: decorator
@inline
export function setCarry(cf: u64): void {
  setCarryOverflow(cf, <u64>ccO());
}

/** RFLAGS as PUSHF sees it (RF and VM as stored). */
export function getFlags(): u64 {
  let v = load<u64>(FLAGS);
  if (ccB()) v |= CF;
  if (ccP()) v |= PF;
  if (<bool>(load<u8>(FLAG_AUX) >> 3 & 1)) v |= AF;
  if (ccZ()) v |= ZF;
  if (ccS()) v |= SF;
  if (ccO()) v |= OF;
  return v;
}

/** Sets the six arithmetic flags from their places in RFLAGS. */
export function setArithmetic(v: u64): void {
  const zf = v >> 6 & 1;
  const sf = v >> 7 & 1;
  const cf = v & 1;
  const ovf = v >> 11 & 1;
  const pf = v >> 2 & 1;
  // A result of 0 reads as PF = 1, a result of 1 as PF = 0.
  store<u64>(FLAG_RESULT, zf ^ 1);
  store<u64>(FLAG_AUX, (cf << 63) | ((cf ^ ovf) << 62) | ((v >> 4 & 1) << 3) | ((pf ^ zf) << 1) | sf);
}

/** Sets all of RFLAGS; reserved bits are forced. */
export function setFlags(v: u64): void {
  store<u64>(FLAGS, (v & 0x3f7700) | 2);
  setArithmetic(v);
}

/**
 * The x87 instructions D8..DF: SDM volume 1 chapter 8, volume 2 for each. The arithmetic is in softfloat80*.ts; here are the
 * register stack, the status word and what masked and unmasked exceptions do.
 *
 * 1. Every instruction but the no-wait ones first raises #MF when the status word has an unmasked exception pending (ES).
 *    With CR0.NE clear the processor would signal FERR# to the interrupt controller; here it is #MF as well.
 * 2. Operands are loaded, the result computed with its exception flags, stores to memory done: until here nothing changed,
 *    so a page fault leaves no trace.
 * 3. An unmasked IE, DE or ZE stops the instruction: flags are set, nothing else. Unmasked OE, UE and PE come after the result,
 *    except that OE and UE keep a store to memory from happening.
 *
 * FOP, FIP and FDP are written by every non-control instruction (as on processors without the fopcode compatibility mode and
 * FDP_EXCPTN_ONLY). FCS and FDS are zero, as on processors that deprecate them. FDP stays when there is no memory operand.
 */
import { FCS, FCW, FDP, FDS, FIP, FLAG_AUX, FLAG_RESULT, FOP, FPR, FSW, FTW, REGS } from "../layout";
import { currentRip, raise } from "./exceptions";
import { ld16, ld32, ld64, probeWrite, st16, st32, st64 } from "./memory";
import {
  add80, begin, BIAS, C0, C1, C2, C3, compare80, control, DE, div80, flags, fromFloat32, fromFloat64, fromInteger80, IE, isDenormal,
  isNaN80, isUnsupported, keepFlags, MSB, mul80, normalExponent, OE, QUOTIENT, remainder80, roundToInteger80, scale80, setIndefinite, setResult, SF, signal, special1, sqrt80, toFloat32, toFloat64, toInteger80, UE, widenedDenormal, ZE, zSe, zSig,
} from "./softfloat80";
import { atan80, cos80, cosineSe, cosineSig, exp2m1, sin80, sincos80, tan80, yl2x, yl2xp1 } from "./softfloat80-transcendental";

const UD: u32 = 6;
const MF: u32 = 16;
/** Flags that stop an instruction when unmasked. */
const BEFORE: u32 = IE | DE | ZE;
const CONDITION: u32 = C0 | C2 | C3;
const CW_WRITABLE: u32 = 0x1f3f;
const CW_ALWAYS: u32 = 0x40;

// ---- registers ----

// @ts-ignore: decorator
@inline
function physical(i: u32): u32 {
  return ((<u32>load<u16>(FSW) >> 11) + i) & 7;
}
// @ts-ignore: decorator
@inline
function seOf(i: u32): u32 {
  return load<u16>(FPR + (physical(i) << 4), 8);
}
// @ts-ignore: decorator
@inline
function sigOf(i: u32): u64 {
  return load<u64>(FPR + (physical(i) << 4));
}
// @ts-ignore: decorator
@inline
function isEmpty(i: u32): bool {
  return ((<u32>load<u8>(FTW) >> physical(i)) & 1) == 0;
}
function write(i: u32, se: u32, sig: u64): void {
  const r = physical(i);
  store<u64>(FPR + (r << 4), sig);
  store<u16>(FPR + (r << 4), <u16>se, 8);
  store<u8>(FTW, <u8>(<u32>load<u8>(FTW) | (1 << r)));
}
// @ts-ignore: decorator
@inline
function writeResult(i: u32): void {
  write(i, zSe, zSig);
}
// @ts-ignore: decorator
@inline
function moveTop(by: u32): void {
  const fsw = <u32>load<u16>(FSW);
  store<u16>(FSW, <u16>((fsw & ~0x3800) | ((fsw + (by << 11)) & 0x3800)));
}
function free(i: u32): void {
  store<u8>(FTW, <u8>(<u32>load<u8>(FTW) & ~(1 << physical(i))));
}
function pop(): void {
  free(0);
  moveTop(1);
}
function push(se: u32, sig: u64): void {
  moveTop(7);
  write(0, se, sig);
}

/** The 16-bit tag word, from the abridged one and the registers: 0 valid, 1 zero, 2 special, 3 empty. */
export function fpuTagFull(): u16 {
  const ftw = <u32>load<u8>(FTW);
  let tags: u32 = 0;
  for (let r: u32 = 0; r < 8; r++) {
    let tag: u32 = 3;
    if ((ftw >> r) & 1) {
      const e = <u32>load<u16>(FPR + (r << 4), 8) & 0x7fff;
      const sig = load<u64>(FPR + (r << 4));
      if (e == 0 && sig == 0) tag = 1;
      else tag = e == 0 || e == 0x7fff || (sig & MSB) == 0 ? 2 : 0;
    }
    tags |= tag << (r << 1);
  }
  return <u16>tags;
}

export function fpuSetTagFull(tags: u16): void {
  let ftw: u32 = 0;
  for (let r: u32 = 0; r < 8; r++) if (((<u32>tags >> (r << 1)) & 3) != 3) ftw |= 1 << r;
  store<u8>(FTW, <u8>ftw);
}

// ---- the status word ----

/** Adds the flags of the instruction to the status word, with C1 from them and the condition codes in `clear` replaced by `set`. */
function commit(clear: u32, set: u32): void {
  let fsw = ((<u32>load<u16>(FSW) & ~(C1 | clear)) | flags | set) & 0xffff;
  if (fsw & ~control & 0x3f) fsw |= 0x8080;
  store<u16>(FSW, <u16>fsw);
}

/** The same for the P6 instructions FCMOVcc and F(U)COMI(P), which leave C1 alone but for a stack fault. */
function commitKeepingC1(): void {
  const c1 = flags & SF ? 0 : <u32>load<u16>(FSW) & C1;
  commit(0, c1);
}

/** ES and B from the flags and masks, after either changed. */
function summarize(): void {
  const fsw = <u32>load<u16>(FSW);
  const pending = fsw & ~<u32>load<u16>(FCW) & 0x3f;
  store<u16>(FSW, <u16>(pending != 0 ? fsw | 0x8080 : fsw & 0x7f7f));
}

/** True when an unmasked exception keeps the result from being written; leaves only the flags that count then. */
function stopped(): bool {
  if ((flags & ~control & BEFORE) == 0) return false;
  keepFlags(BEFORE | SF | (flags & SF ? C1 : 0));
  return true;
}

function stackUnderflow(): void {
  signal(IE | SF);
  setIndefinite();
}
function stackOverflow(): void {
  signal(IE | SF | C1);
  setIndefinite();
}

export function x87Wait(): void {
  if (load<u16>(FSW) & 0x80) raise(MF);
}

// ---- parts of instructions ----

/** The eight operations of D8, on ST0 = a and the other operand b; the same for DC and DE, whose E0/E8/F0/F8 are swapped in name only. */
function compute(operation: u32, aSe: u32, aSig: u64, bSe: u32, bSig: u64): void {
  switch (operation) {
    case 0: add80(aSe, aSig, bSe, bSig, false); break;
    case 1: mul80(aSe, aSig, bSe, bSig); break;
    case 4: add80(aSe, aSig, bSe, bSig, true); break;
    case 5: add80(bSe, bSig, aSe, aSig, true); break;
    case 6: div80(aSe, aSig, bSe, bSig); break;
    default: div80(bSe, bSig, aSe, aSig); break;
  }
}

function arithmeticRegister(operation: u32, i: u32, destination: u32, pops: bool): void {
  if (isEmpty(0) || isEmpty(i)) stackUnderflow();
  else compute(operation, seOf(0), sigOf(0), seOf(i), sigOf(i));
  if (!stopped()) {
    writeResult(destination);
    if (pops) pop();
  }
  commit(0, 0);
}

/** DE for an operand that was a denormal before it was widened, unless an exception or NaN of higher priority was found. */
function widenedFlags(denormal: bool): void {
  if (denormal && (flags & (IE | ZE)) == 0 && !isNaN80(seOf(0), sigOf(0))) signal(DE);
}

/** D8, DA, DC, DE with a memory operand, which is in z. */
function arithmeticMemory(operation: u32, denormal: bool): void {
  if (operation == 2 || operation == 3) {
    let codes: u32 = CONDITION;
    if (isEmpty(0)) stackUnderflow();
    else {
      codes = compare80(seOf(0), sigOf(0), zSe, zSig, false);
      widenedFlags(denormal);
    }
    finishCompare(codes, operation - 2);
    return;
  }
  if (isEmpty(0)) stackUnderflow();
  else {
    compute(operation, seOf(0), sigOf(0), zSe, zSig);
    widenedFlags(denormal);
  }
  if (!stopped()) writeResult(0);
  commit(0, 0);
}

function finishCompare(codes: u32, pops: u32): void {
  if (!stopped()) {
    if (pops > 0) pop();
    if (pops > 1) pop();
  }
  commit(CONDITION, codes);
}

function compareRegister(i: u32, pops: u32, quiet: bool): void {
  let codes: u32 = CONDITION;
  if (isEmpty(0) || isEmpty(i)) stackUnderflow();
  else codes = compare80(seOf(0), sigOf(0), seOf(i), sigOf(i), quiet);
  finishCompare(codes, pops);
}

/** FCOMI and family: ZF PF CF, also when an unmasked exception keeps the pop from happening (as the host does); OF SF AF become zero. */
function compareFlags(i: u32, pops: bool, quiet: bool): void {
  let codes: u32 = CONDITION;
  if (isEmpty(0) || isEmpty(i)) stackUnderflow();
  else codes = compare80(seOf(0), sigOf(0), seOf(i), sigOf(i), quiet);
  const zf = (codes & C3) != 0, pf = (codes & C2) != 0, cf = (codes & C0) != 0;
  // A result of 0 has even parity, 1 odd; bit 1 of the other word turns PF over.
  store<u64>(FLAG_RESULT, zf ? 0 : 1);
  store<u64>(FLAG_AUX, (cf ? 0xc000000000000000 : 0) | (zf != pf ? 2 : 0));
  if (!stopped() && pops) pop();
  commitKeepingC1();
}

function conditionalMove(condition: u32, i: u32): void {
  let holds: bool;
  const result = load<u64>(FLAG_RESULT), aux = load<u64>(FLAG_AUX);
  switch (condition & 3) {
    case 0: holds = aux >> 63 != 0; break;
    case 1: holds = result == 0; break;
    case 2: holds = aux >> 63 != 0 || result == 0; break;
    default: holds = ((popcnt(result & 0xff) ^ (aux >> 1)) & 1) == 0; break;
  }
  if (condition & 4) holds = !holds;
  if (isEmpty(0) || isEmpty(i)) {
    stackUnderflow();
    if (!stopped()) writeResult(0);
  } else if (holds) write(0, seOf(i), sigOf(i));
  commitKeepingC1();
}

/** Pushes z, when there is room and no unmasked exception. */
function loadResult(): void {
  if (!isEmpty(7)) {
    keepFlags(0);
    stackOverflow();
  }
  if (!stopped()) push(zSe, zSig);
  commit(0, 0);
}

function loadConstant(se: u32, sig: u64): void {
  setResult(se, sig);
  loadResult();
}

/** FLDPI and the like are rounded from 67 or more bits by the rounding control: SDM volume 1, 8.3.4. */
function loadRoundedConstant(se: u32, sig: u64, below: bool): void {
  const rc = (control >> 10) & 3;
  // `below`: the nearest value lies below the true one.
  if (below && rc == 2) sig++;
  if (!below && (rc == 1 || rc == 3)) sig--;
  loadConstant(se, sig);
}

function storeRegister(i: u32, pops: bool): void {
  if (isEmpty(0)) stackUnderflow();
  else setResult(seOf(0), sigOf(0));
  if (!stopped()) {
    writeResult(i);
    if (pops) pop();
  }
  commit(0, 0);
}

/** Unmasked OE or UE keeps a value from being stored. */
// @ts-ignore: decorator
@inline
function storeStopped(): bool {
  if (stopped()) return true;
  if ((flags & ~control & (OE | UE)) == 0) return false;
  keepFlags(OE | UE);
  return true;
}

function storeFloat32(ea: u64, pops: bool): void {
  let value: u32 = 0xffc00000;
  if (isEmpty(0)) stackUnderflow();
  else value = toFloat32(seOf(0), sigOf(0));
  if (!storeStopped()) {
    st32(ea, value);
    if (pops) pop();
  }
  commit(0, 0);
}

function storeFloat64(ea: u64, pops: bool): void {
  let value: u64 = 0xfff8000000000000;
  if (isEmpty(0)) stackUnderflow();
  else value = toFloat64(seOf(0), sigOf(0));
  if (!storeStopped()) {
    st64(ea, value);
    if (pops) pop();
  }
  commit(0, 0);
}

function storeFloat80(ea: u64): void {
  if (isEmpty(0)) stackUnderflow();
  else setResult(seOf(0), sigOf(0));
  if (!stopped()) {
    probeWrite(ea, 10);
    st64(ea, zSig);
    st16(ea + 8, zSe);
    pop();
  }
  commit(0, 0);
}

function storeInteger(ea: u64, bits: u32, pops: bool, truncate: bool): void {
  let value: i64 = i64(-1) << (bits - 1);
  if (isEmpty(0)) stackUnderflow();
  else value = toInteger80(seOf(0), sigOf(0), bits, truncate);
  if (!stopped()) {
    if (bits == 16) st16(ea, <u32>value & 0xffff);
    else if (bits == 32) st32(ea, <u32>value);
    else st64(ea, <u64>value);
    if (pops) pop();
  }
  commit(0, 0);
}

function loadDecimal(ea: u64): void {
  const lowDigits = ld64(ea), highDigits = ld16(ea + 8);
  let value: u64 = u64((highDigits >> 4) & 15) * 10 + (highDigits & 15);
  for (let shift: i32 = 60; shift >= 0; shift -= 4) value = value * 10 + ((lowDigits >> shift) & 15);
  fromInteger80(<i64>value);
  setResult(zSe | (highDigits & 0x8000), zSig);
  loadResult();
}

function storeDecimal(ea: u64): void {
  let lowDigits: u64 = 0xc000000000000000;
  let highDigits: u32 = 0xffff;
  if (isEmpty(0)) stackUnderflow();
  else {
    const value = toInteger80(seOf(0), sigOf(0), 64, false);
    let magnitude: u64 = value < 0 ? 0 - <u64>value : <u64>value;
    if ((flags & IE) != 0 || magnitude > 999999999999999999) {
      keepFlags(0);
      signal(IE);
    } else {
      lowDigits = 0;
      for (let shift: u64 = 0; shift < 64; shift += 4) {
        lowDigits |= (magnitude % 10) << shift;
        magnitude /= 10;
      }
      highDigits = (seOf(0) & 0x8000) | <u32>(magnitude % 10) | (<u32>(magnitude / 10) << 4);
    }
  }
  if (!stopped()) {
    probeWrite(ea, 10);
    st64(ea, lowDigits);
    st16(ea + 8, highDigits);
    pop();
  }
  commit(0, 0);
}

// ---- environment ----

function environmentSize(opsize: u32): u64 {
  return opsize == 2 ? 14 : 28;
}

function storeEnvironment(ea: u64, opsize: u32): void {
  const fcw = <u32>load<u16>(FCW), fsw = <u32>load<u16>(FSW), tags = <u32>fpuTagFull();
  const fip = load<u64>(FIP), fdp = load<u64>(FDP);
  if (opsize == 2) {
    st16(ea, fcw);
    st16(ea + 2, fsw);
    st16(ea + 4, tags);
    st16(ea + 6, <u32>fip & 0xffff);
    st16(ea + 8, load<u16>(FCS));
    st16(ea + 10, <u32>fdp & 0xffff);
    st16(ea + 12, load<u16>(FDS));
    return;
  }
  st32(ea, 0xffff0000 | fcw);
  st32(ea + 4, 0xffff0000 | fsw);
  st32(ea + 8, 0xffff0000 | tags);
  st32(ea + 12, <u32>fip);
  st32(ea + 16, (<u32>load<u16>(FOP) << 16) | load<u16>(FCS));
  st32(ea + 20, <u32>fdp);
  st32(ea + 24, 0xffff0000 | load<u16>(FDS));
}

let environmentCw: u32 = 0;
let environmentSw: u32 = 0;
let environmentTags: u32 = 0;
let environmentIp: u32 = 0;
let environmentOp: u32 = 0;
let environmentDp: u32 = 0;

function loadEnvironment(ea: u64, opsize: u32): void {
  if (opsize == 2) {
    environmentCw = ld16(ea);
    environmentSw = ld16(ea + 2);
    environmentTags = ld16(ea + 4);
    environmentIp = ld16(ea + 6);
    environmentDp = ld16(ea + 10);
    environmentOp = 0;
    ld16(ea + 12);
    return;
  }
  environmentCw = ld32(ea);
  environmentSw = ld32(ea + 4);
  environmentTags = ld32(ea + 8);
  environmentIp = ld32(ea + 12);
  environmentOp = ld32(ea + 16) >> 16;
  environmentDp = ld32(ea + 20);
  ld32(ea + 24);
}

function applyEnvironment(): void {
  setControl(environmentCw);
  store<u16>(FSW, <u16>environmentSw);
  fpuSetTagFull(<u16>environmentTags);
  store<u64>(FIP, environmentIp);
  store<u64>(FDP, environmentDp);
  store<u16>(FOP, <u16>(environmentOp & 0x7ff));
  store<u16>(FCS, 0);
  store<u16>(FDS, 0);
  summarize();
}

function setControl(word: u32): void {
  store<u16>(FCW, <u16>((word & CW_WRITABLE) | CW_ALWAYS));
}

/** FNINIT; the contents of the registers stay. */
export function x87Init(): void {
  store<u16>(FCW, 0x37f);
  store<u16>(FSW, 0);
  store<u8>(FTW, 0);
  store<u16>(FOP, 0);
  store<u64>(FIP, 0);
  store<u64>(FDP, 0);
  store<u16>(FCS, 0);
  store<u16>(FDS, 0);
}

function save(ea: u64, opsize: u32): void {
  const size = environmentSize(opsize);
  probeWrite(ea, <u32>size + 80);
  storeEnvironment(ea, opsize);
  for (let i: u32 = 0; i < 8; i++) {
    st64(ea + size + i * 10, sigOf(i));
    st16(ea + size + i * 10 + 8, seOf(i));
  }
  x87Init();
}

function restore(ea: u64, opsize: u32): void {
  const size = environmentSize(opsize);
  // All loads come before the first change: the last byte's page first, then the rest.
  ld16(ea + size + 78);
  loadEnvironment(ea, opsize);
  applyEnvironment();
  for (let i: u32 = 0; i < 8; i++) {
    const r = FPR + (physical(i) << 4);
    store<u64>(r, ld64(ea + size + i * 10));
    store<u16>(r, <u16>ld16(ea + size + i * 10 + 8), 8);
  }
}

// ---- D9 E0..FF ----

/** Writes z to ST0 if nothing stops it. */
function unary(): void {
  if (!stopped()) writeResult(0);
  commit(0, 0);
}

function examine(): void {
  const se = seOf(0), sig = sigOf(0);
  const e = se & 0x7fff;
  let codes: u32;
  if (isEmpty(0)) codes = C3 | C0;
  else if (isUnsupported(se, sig)) codes = 0;
  else if (e == 0x7fff) codes = sig << 1 == 0 ? C2 | C0 : C0;
  else if (e == 0) codes = sig == 0 ? C3 : C3 | C2;
  else codes = C2;
  if (se & 0x8000) codes |= C1;
  commit(CONDITION, codes);
}

function extract(): void {
  if (isEmpty(0) || !isEmpty(7)) {
    if (isEmpty(0)) stackUnderflow();
    else stackOverflow();
    pushPair(zSe, zSig, 0);
    return;
  }
  const se = seOf(0), sig = sigOf(0);
  let exponentSe: u32, exponentSig: u64;
  if (special1(se, sig)) {
    exponentSe = zSe;
    exponentSig = zSig;
  } else if ((se & 0x7fff) == 0x7fff) {
    exponentSe = 0x7fff;
    exponentSig = MSB;
    setResult(se, sig);
  } else if (sig == 0) {
    signal(ZE);
    exponentSe = 0xffff;
    exponentSig = MSB;
    setResult(se, sig);
  } else {
    if (isDenormal(se, sig)) signal(DE);
    fromInteger80(normalExponent(se, sig) - BIAS);
    exponentSe = zSe;
    exponentSig = zSig;
    setResult((se & 0x8000) | <u32>BIAS, sig << clz(sig));
  }
  const topSe = zSe, topSig = zSig;
  setResult(exponentSe, exponentSig);
  pushPair(topSe, topSig, 0);
}

/** Writes z to ST0 and pushes the other value. */
function pushPair(se: u32, sig: u64, clear: u32): void {
  if (!stopped()) {
    writeResult(0);
    push(se, sig);
  }
  commit(clear, 0);
}

function tangent(): void {
  if (isEmpty(0) || !isEmpty(7)) {
    if (isEmpty(0)) stackUnderflow();
    else stackOverflow();
    pushPair(zSe, zSig, C2);
    return;
  }
  if (tan80(seOf(0), sigOf(0))) {
    stopped();
    commit(C2, C2);
    return;
  }
  if (isNaN80(zSe, zSig)) pushPair(zSe, zSig, C2);
  else pushPair(<u32>BIAS, MSB, C2);
}

function sineCosine(): void {
  if (isEmpty(0) || !isEmpty(7)) {
    if (isEmpty(0)) stackUnderflow();
    else stackOverflow();
    pushPair(zSe, zSig, C2);
    return;
  }
  if (sincos80(seOf(0), sigOf(0))) {
    stopped();
    commit(C2, C2);
    return;
  }
  pushPair(cosineSe, cosineSig, C2);
}

function sineOrCosine(cosine: bool): void {
  let codes: u32 = 0;
  if (isEmpty(0)) stackUnderflow();
  else codes = cosine ? cos80(seOf(0), sigOf(0)) : sin80(seOf(0), sigOf(0));
  if (!stopped() && codes == 0) writeResult(0);
  commit(C2, codes);
}

/** FYL2X, FYL2XP1, FPATAN: ST1 = f(ST1, ST0), then pop. */
function twoToOne(function_: u32): void {
  if (isEmpty(0) || isEmpty(1)) stackUnderflow();
  else {
    const ySe = seOf(1), ySig = sigOf(1), xSe = seOf(0), xSig = sigOf(0);
    if (function_ == 0xf1) yl2x(ySe, ySig, xSe, xSig);
    else if (function_ == 0xf3) atan80(ySe, ySig, xSe, xSig);
    else yl2xp1(ySe, ySig, xSe, xSig);
  }
  if (!stopped()) {
    writeResult(1);
    pop();
  }
  commit(0, 0);
}

function partialRemainder(nearest: bool): void {
  // Without a quotient C2 is cleared, and C0 and C3 stay.
  let codes: u32 = 0;
  if (isEmpty(0) || isEmpty(1)) stackUnderflow();
  else codes = remainder80(seOf(0), sigOf(0), seOf(1), sigOf(1), nearest);
  if (stopped()) codes = 0;
  else writeResult(0);
  if (codes & QUOTIENT) commit(CONDITION, codes & ~QUOTIENT);
  else commit(C2, 0);
}

function test(): void {
  let codes: u32 = CONDITION;
  if (isEmpty(0)) stackUnderflow();
  else codes = compare80(seOf(0), sigOf(0), 0, 0, false);
  finishCompare(codes, 0);
}

function d9(modrm: u32): void {
  switch (modrm) {
    case 0xd0: // FNOP
      return;
    case 0xe0: // FCHS
    case 0xe1: // FABS
      if (isEmpty(0)) stackUnderflow();
      else setResult(modrm == 0xe0 ? seOf(0) ^ 0x8000 : seOf(0) & 0x7fff, sigOf(0));
      unary();
      return;
    case 0xe4: test(); return;
    case 0xe5: examine(); return;
    case 0xe8: loadConstant(<u32>BIAS, MSB); return; // 1
    case 0xe9: loadRoundedConstant(0x4000, 0xd49a784bcd1b8afe, true); return; // log2 10
    case 0xea: loadRoundedConstant(0x3fff, 0xb8aa3b295c17f0bc, false); return; // log2 e
    case 0xeb: loadRoundedConstant(0x4000, 0xc90fdaa22168c235, false); return; // pi
    case 0xec: loadRoundedConstant(0x3ffd, 0x9a209a84fbcff799, false); return; // log10 2
    case 0xed: loadRoundedConstant(0x3ffe, 0xb17217f7d1cf79ac, false); return; // ln 2
    case 0xee: loadConstant(0, 0); return;
    case 0xf0: // F2XM1
      if (isEmpty(0)) stackUnderflow();
      else exp2m1(seOf(0), sigOf(0));
      unary();
      return;
    case 0xf1: // FYL2X
    case 0xf3: // FPATAN
    case 0xf9: // FYL2XP1
      twoToOne(modrm);
      return;
    case 0xf2: tangent(); return;
    case 0xf4: extract(); return;
    case 0xf5: partialRemainder(true); return;
    case 0xf6: // FDECSTP
      moveTop(7);
      commit(0, 0);
      return;
    case 0xf7: // FINCSTP
      moveTop(1);
      commit(0, 0);
      return;
    case 0xf8: partialRemainder(false); return;
    case 0xfa: // FSQRT
      if (isEmpty(0)) stackUnderflow();
      else sqrt80(seOf(0), sigOf(0));
      unary();
      return;
    case 0xfb: sineCosine(); return;
    case 0xfc: // FRNDINT
      if (isEmpty(0)) stackUnderflow();
      else roundToInteger80(seOf(0), sigOf(0));
      unary();
      return;
    case 0xfd: // FSCALE
      if (isEmpty(0) || isEmpty(1)) stackUnderflow();
      else scale80(seOf(0), sigOf(0), seOf(1), sigOf(1));
      unary();
      return;
    case 0xfe: sineOrCosine(false); return;
    case 0xff: sineOrCosine(true); return;
  }
}

function exchange(i: u32): void {
  const topEmpty = isEmpty(0), otherEmpty = isEmpty(i);
  let aSe = seOf(0), bSe = seOf(i);
  let aSig = sigOf(0), bSig = sigOf(i);
  if (topEmpty || otherEmpty) {
    stackUnderflow();
    if (topEmpty) {
      aSe = zSe;
      aSig = zSig;
    }
    if (otherEmpty) {
      bSe = zSe;
      bSig = zSig;
    }
  }
  if (!stopped()) {
    write(0, bSe, bSig);
    write(i, aSe, aSig);
  }
  commit(0, 0);
}

// ---- entries ----

/** D9 E0..FF that exist, by the low five bits. */
const D9_DEFINED: u32 = 0b11111111_11111111_01111111_00110011;

function isDefined(opcode: u32, modrm: u32): bool {
  const reg = (modrm >> 3) & 7;
  switch (opcode) {
    case 1: return reg < 2 || reg == 3 || modrm == 0xd0 || (reg >= 4 && ((D9_DEFINED >> (modrm & 31)) & 1) != 0);
    case 2: return reg < 4 || modrm == 0xe9;
    case 3: return reg < 4 || (modrm >= 0xe0 && modrm <= 0xe4) || reg == 5 || reg == 6;
    case 5: return reg < 6;
    case 6: return reg != 3 || modrm == 0xd9;
    case 7: return reg < 4 || modrm == 0xe0 || reg == 5 || reg == 6;
  }
  return true;
}

/** D8..DF (opcode 0..7) with a register operand. */
export function x87Reg(opcode: u32, modrm: u32): void {
  const reg = (modrm >> 3) & 7, i = modrm & 7;
  if (!isDefined(opcode, modrm)) raise(UD);
  if (opcode == 3 && reg == 4) {
    if (modrm == 0xe2) { // FNCLEX
      store<u16>(FSW, <u16>(<u32>load<u16>(FSW) & 0x7f00));
      return;
    }
    if (modrm == 0xe3) { // FNINIT
      x87Init();
      return;
    }
    return; // FENI, FDISI, FSETPM of the 8087 and 80287 do nothing
  }
  if (opcode == 7 && modrm == 0xe0) { // FNSTSW AX
    store<u16>(REGS, load<u16>(FSW));
    return;
  }
  x87Wait();
  begin();
  switch (opcode) {
    case 0:
      if (reg == 2 || reg == 3) compareRegister(i, reg - 2, false);
      else arithmeticRegister(reg, i, 0, false);
      break;
    case 1:
      if (reg == 0) {
        if (isEmpty(i)) stackUnderflow();
        else if (!isEmpty(7)) stackOverflow();
        else setResult(seOf(i), sigOf(i));
        if (!stopped()) push(zSe, zSig);
        commit(0, 0);
      } else if (reg == 1) exchange(i);
      else if (reg == 3) {
        // FSTPNCE: a store and pop that does not mind an empty register
        if (!isEmpty(0)) write(i, seOf(0), sigOf(0));
        pop();
        commit(0, 0);
      } else d9(modrm);
      break;
    case 2:
      if (reg < 4) conditionalMove(reg, i);
      else compareRegister(1, 2, true); // FUCOMPP
      break;
    case 3:
      if (reg < 4) conditionalMove(reg | 4, i);
      else compareFlags(i, false, reg == 5);
      break;
    case 4:
      if (reg == 2 || reg == 3) compareRegister(i, reg - 2, false);
      else arithmeticRegister(reg, i, i, false);
      break;
    case 5:
      switch (reg) {
        case 0: // FFREE
          free(i);
          commit(0, 0);
          break;
        case 1: exchange(i); break;
        case 2: storeRegister(i, false); break;
        case 3: storeRegister(i, true); break;
        default: compareRegister(i, reg - 4, true); break;
      }
      break;
    case 6:
      if (reg == 2) compareRegister(i, 1, false);
      else if (reg == 3) compareRegister(1, 2, false); // FCOMPP
      else arithmeticRegister(reg, i, i, true);
      break;
    case 7:
      switch (reg) {
        case 0: // FFREEP
          free(i);
          pop();
          commit(0, 0);
          break;
        case 1: exchange(i); break;
        case 2:
        case 3: storeRegister(i, true); break;
        default: compareFlags(i, true, reg == 5); break;
      }
      break;
  }
  store<u16>(FOP, <u16>((opcode << 8) | modrm));
  store<u64>(FIP, currentRip());
}

/** D8..DF (opcode 0..7) with a memory operand at linear address ea; opsize (2 or 4) chooses the environment layout. */
export function x87Mem(opcode: u32, modrm: u32, ea: u64, opsize: u32): void {
  const reg = (modrm >> 3) & 7;
  const which = (opcode << 3) | reg;
  // Control instructions, which do not touch FOP, FIP and FDP. Those of D9 and DD with reg 6 and 7 do not wait.
  switch (which) {
    case 0x09: // D9 /1
    case 0x1c: // DB /4
    case 0x1e: // DB /6
    case 0x2d: // DD /5
      raise(UD);
      return;
    case 0x0c: { // FLDENV
      x87Wait();
      loadEnvironment(ea, opsize);
      applyEnvironment();
      return;
    }
    case 0x0d: { // FLDCW
      x87Wait();
      setControl(ld16(ea));
      summarize();
      return;
    }
    case 0x0e: // FNSTENV
      probeWrite(ea, <u32>environmentSize(opsize));
      storeEnvironment(ea, opsize);
      store<u16>(FCW, <u16>(<u32>load<u16>(FCW) | 0x3f));
      summarize();
      return;
    case 0x0f: // FNSTCW
      st16(ea, load<u16>(FCW));
      return;
    case 0x2c: // FRSTOR
      x87Wait();
      restore(ea, opsize);
      return;
    case 0x2e: // FNSAVE
      save(ea, opsize);
      return;
    case 0x2f: // FNSTSW
      st16(ea, load<u16>(FSW));
      return;
  }
  x87Wait();
  begin();
  switch (opcode) {
    case 0: // float operand
      fromFloat32(ld32(ea));
      arithmeticMemory(reg, widenedDenormal);
      break;
    case 2: // 32-bit integer operand
      fromInteger80(<i64>(<i32>ld32(ea)));
      arithmeticMemory(reg, false);
      break;
    case 4: // double operand
      fromFloat64(ld64(ea));
      arithmeticMemory(reg, widenedDenormal);
      break;
    case 6: // 16-bit integer operand
      fromInteger80(<i64>(<i16>ld16(ea)));
      arithmeticMemory(reg, false);
      break;
    default:
      switch (which) {
        case 0x08: // FLD m32
          fromFloat32(ld32(ea));
          loadWidened();
          break;
        case 0x0a: storeFloat32(ea, false); break;
        case 0x0b: storeFloat32(ea, true); break;
        case 0x18: // FILD m32
          fromInteger80(<i64>(<i32>ld32(ea)));
          loadResult();
          break;
        case 0x19: storeInteger(ea, 32, true, true); break;
        case 0x1a: storeInteger(ea, 32, false, false); break;
        case 0x1b: storeInteger(ea, 32, true, false); break;
        case 0x1d: { // FLD m80
          const sig = ld64(ea), se = ld16(ea + 8);
          setResult(se, sig);
          loadResult();
          break;
        }
        case 0x1f: storeFloat80(ea); break;
        case 0x28: // FLD m64
          fromFloat64(ld64(ea));
          loadWidened();
          break;
        case 0x29: storeInteger(ea, 64, true, true); break;
        case 0x2a: storeFloat64(ea, false); break;
        case 0x2b: storeFloat64(ea, true); break;
        case 0x38: // FILD m16
          fromInteger80(<i64>(<i16>ld16(ea)));
          loadResult();
          break;
        case 0x39: storeInteger(ea, 16, true, true); break;
        case 0x3a: storeInteger(ea, 16, false, false); break;
        case 0x3b: storeInteger(ea, 16, true, false); break;
        case 0x3c: loadDecimal(ea); break;
        case 0x3d: // FILD m64
          fromInteger80(<i64>ld64(ea));
          loadResult();
          break;
        case 0x3e: storeDecimal(ea); break;
        case 0x3f: storeInteger(ea, 64, true, false); break;
      }
  }
  store<u16>(FOP, <u16>((opcode << 8) | modrm));
  store<u64>(FIP, currentRip());
  store<u64>(FDP, ea);
}

/** FLD of a float or double: a signaling NaN is invalid and becomes quiet, a denormal sets DE. */
function loadWidened(): void {
  special1(zSe, zSig);
  const denormal = widenedDenormal && isEmpty(7);
  if (!isEmpty(7)) {
    keepFlags(0);
    stackOverflow();
  }
  if (!stopped()) push(zSe, zSig);
  // Unlike elsewhere, an unmasked DE comes after the load.
  if (denormal) signal(DE);
  commit(0, 0);
}

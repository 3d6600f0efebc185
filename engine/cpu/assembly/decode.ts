/**
 * The decoder: x86 instruction bytes to micro-ops (SDM vol. 2, chapter 2 and appendix A). Both tiers use it.
 *
 * In 64-bit mode without an address-size prefix an operand's address is in the micro-op itself. Everywhere else (32-bit code,
 * 67h) an OP_EA goes before it, which computes and checks the address, so the operation itself has one form only.
 */
import { SEG_FLAT, SEG_FLAT_STACK, RAM, RAM_SIZE, REG_ZERO, REG_PAGE, REG_EA, ES, CS, SS, DS, FS, GS, BLOCKS, OBSERVED_OFFSETS, OBSERVE_CALLS, OBSERVE_START, OBSERVE_CALL, OBSERVE_RETURN } from "../layout";
import { MODE_64, MODE_32, MODE_STACK32 } from "./segments";
import { translateFetch } from "./memory";
import { HEADER, runsAlone } from "./blocks";
import { sseExists, sseHasImm8 } from "./sse";
import { mmxExists, mmxHasImm8 } from "./mmx";
import * as O from "../ops";

const BYTES: u32 = O.OP_BYTES;
/** Instructions a block holds at most. */
export const MAX_INSTRUCTIONS: u32 = 48;
/** Room that a block may need: each instruction makes at most three micro-ops and the observer's, and the end one. */
export const MAX_BLOCK_BYTES: u32 = (MAX_INSTRUCTIONS * 4 + 2) * BYTES;
/** 32 bytes for an instruction that reaches into the next page. */
const WINDOW: usize = BLOCKS + 0x1c0000;

/** True when the last block is one instruction that reaches into the next page. */
export let crossedPage: bool = false;

/** The micro-op being made. */
let o: usize = 0;
/** Next byte, first byte. */
let cp: usize = 0;
let start: usize = 0;
let mode64: bool = false;
let rex: u32 = 0;
let prefix66: bool = false;
let prefix67: bool = false;
let rep: u32 = 0;
let lock: bool = false;
let segment: i32 = -1;
/** Operand size as log2 of bytes: 1, 2 or 3. */
let osz: u32 = 2;
let modrm: u32 = 0;
let reg: u32 = 0;
let rm: u32 = 0;
let isReg: bool = false;
/** The micro-op whose displacement is relative to the end of the instruction, or 0. */
let ripRelative: usize = 0;
/** The OP_EA of this instruction, or 0. */
let eaOp: usize = 0;
/** What ends a block: 0 goes on, 1 ends, needs no OP_END, 2 ends with OP_END. */
let ending: u32 = 0;
let invalid: bool = false;
let lockable: bool = false;

// @ts-ignore: decorator
@inline
function next8(): u32 {
  const b = load<u8>(cp);
  cp++;
  return b;
}
function next16(): u32 {
  const v = load<u16>(cp);
  cp += 2;
  return v;
}
function next32(): u32 {
  const v = load<u32>(cp);
  cp += 4;
  return v;
}
// @ts-ignore: decorator
@inline
function nextS8(): i32 {
  return <i32>(<i8>next8());
}
/** Immediate of the operand size, at most 32 bits, sign-extended. */
function nextImm(size: u32): i32 {
  if (size == 0) return nextS8();
  if (size == 1) return <i32>(<i16>next16());
  return <i32>next32();
}

function begin(op: u32): void {
  store<u64>(o, 0);
  store<u64>(o, 0, 8);
  store<u64>(o, 0, 16);
  store<u16>(o, op);
  store<u8>(o, REG_ZERO << 3, 4);
  store<u8>(o, REG_ZERO << 3, 5);
  store<u8>(o, 6 << 3, 7);
}
function push(): void {
  o += BYTES;
}

/** Byte offset of an 8-bit register: without REX, 4..7 are AH CH DH BH. */
function reg8(n: u32): u32 {
  if (rex == 0 && n >= 4 && n < 8) return ((n - 4) << 3) | 1;
  return n << 3;
}
function regOf(n: u32, size: u32): u32 {
  return size == 0 ? reg8(n) : n << 3;
}

/** Reads ModRM, SIB and displacement. Memory operands fill the address fields of the micro-op at o (after an OP_EA if one is needed). */
function operand(op: u32): void {
  modrm = next8();
  reg = (modrm >> 3 & 7) | (rex & 4) << 1;
  rm = modrm & 7;
  isReg = modrm >= 0xc0;
  if (isReg) {
    rm |= (rex & 1) << 3;
    begin(op);
    return;
  }
  const mod = modrm >> 6;
  let base: u32 = REG_ZERO;
  let index: u32 = REG_ZERO;
  let scale: u32 = 0;
  let disp: i32 = 0;
  let seg: u32 = DS;
  let relative = false;
  const address16 = !mode64 && (bits32 == prefix67);
  if (address16) {
    switch (rm) {
      case 0: base = 3; index = 6; break;
      case 1: base = 3; index = 7; break;
      case 2: base = 5; index = 6; seg = SS; break;
      case 3: base = 5; index = 7; seg = SS; break;
      case 4: base = 6; break;
      case 5: base = 7; break;
      case 6: if (mod == 0) disp = <i32>(<i16>next16()); else { base = 5; seg = SS; } break;
      default: base = 3; break;
    }
    if (mod == 1) disp = nextS8();
    else if (mod == 2) disp = <i32>(<i16>next16());
  } else {
    if (rm == 4) {
      const sib = next8();
      scale = sib >> 6;
      index = (sib >> 3 & 7) | (rex & 2) << 2;
      if (index == 4) index = REG_ZERO;
      base = sib & 7;
      if (base == 5 && mod == 0) {
        base = REG_ZERO;
        disp = <i32>next32();
      } else {
        if (base == 4 || base == 5) seg = SS;
        base |= (rex & 1) << 3;
        if (rex & 1) seg = DS;
      }
    } else if (rm == 5 && mod == 0) {
      disp = <i32>next32();
      if (mode64) { base = REG_PAGE; relative = true; }
    } else {
      base = rm | (rex & 1) << 3;
      if (base == 5) seg = SS;
    }
    if (mod == 1) disp = nextS8();
    else if (mod == 2) disp = <i32>next32();
  }
  if (segment >= 0) seg = <u32>segment;
  if (popOperand && base == 4) disp += 1 << stackSize();
  if (mode64 && !prefix67) {
    // Without a base of its own a segment only decides between #GP and #SS.
    if (seg < <u32>FS) seg = seg == SS ? SEG_FLAT_STACK : SEG_FLAT;
    begin(op);
    address(base, index, scale, disp, seg);
    if (relative) ripRelative = o;
    return;
  }
  begin(O.OP_EA);
  address(base, index, scale, disp, seg);
  // dst: address width; aux: checks are for the 32-bit modes
  store<u8>(o, address16 ? 2 : 4, 2);
  if (relative) ripRelative = o;
  eaOp = o;
  push();
  begin(op);
  store<u8>(o, REG_EA << 3, 4);
}
function address(base: u32, index: u32, scale: u32, disp: i32, seg: u32): void {
  store<u8>(o, base << 3, 4);
  store<u8>(o, index << 3, 5);
  store<u8>(o, scale, 6);
  store<u8>(o, seg << 3, 7);
  store<i32>(o, disp, 8);
}
let bits32: bool = false;

// @ts-ignore: decorator
@inline
function setOp(op: u32): void { store<u16>(o, op); }
// @ts-ignore: decorator
@inline
function setDst(v: u32): void { store<u8>(o, v, 2); }
// @ts-ignore: decorator
@inline
function setSrc(v: u32): void { store<u8>(o, v, 3); }
// @ts-ignore: decorator
@inline
function setImm(v: i32): void { store<i32>(o, v, 12); }
// @ts-ignore: decorator
@inline
function setAux(v: u32): void { store<u32>(o, v, 20); }

/** A helper without operands; `op` says what follows it. */
function simple(op: u32, helper: u32): void {
  begin(op);
  setAux(helper);
  if (op != O.OP_HELP) ending = 1;
}
function bad(): void {
  invalid = true;
}

/** reg/mem pair of an ALU-like family; direction true: the register is the destination. */
function binary(family: u32, size: u32, toRegister: bool): void {
  operand(0);
  if (isReg) {
    setOp(family + O.FORM_RR + size);
    setDst(regOf(toRegister ? reg : rm, size));
    setSrc(regOf(toRegister ? rm : reg, size));
  } else if (toRegister) {
    setOp(family + O.FORM_RM + size);
    setDst(regOf(reg, size));
  } else {
    setOp(family + O.FORM_MR + size);
    setSrc(regOf(reg, size));
    lockable = family < <u32>O.CMP_RR8;
  }
  push();
}
/** After operand(): reg/mem with an immediate. */
function withImmediate(family: u32, size: u32, imm: i32): void {
  if (isReg) {
    setOp(family + O.FORM_RI + size);
    setDst(regOf(rm, size));
  } else {
    setOp(family + O.FORM_MI + size);
    lockable = family < <u32>O.CMP_RR8;
  }
  setImm(imm);
  push();
}
function jump(op: u32, rel: i32): void {
  begin(op);
  setImm(rel);
  if (!mode64) {
    setOp(O.OP_HELP_JUMP);
    setAux(op == O.JMP ? O.H_JMP_GENERIC : op == O.CALL64 ? O.H_CALL_GENERIC : O.H_JCC_GENERIC);
    if (op >= <u32>O.JO && op <= <u32>O.JG) setDst(op - O.JO);
    setSrc(osz);
  } else if (op == O.JMP || op == O.CALL64 || (op >= <u32>O.JO && op <= <u32>O.JG)) branch = true;
  push();
  ending = 1;
}
let branch: bool = false;

function stringOp(opcode: u32): void {
  const wide = (opcode & 1) != 0;
  const size = wide ? osz : 0;
  begin(O.OP_HELP);
  setAux(O.H_STRING);
  // dst: opcode, src: log2 size, imm: rep prefix | address size << 8
  setDst(opcode & 0xfe);
  setSrc(size);
  const asz: u32 = mode64 ? (prefix67 ? 4 : 8) : bits32 == prefix67 ? 2 : 4;
  setImm(<i32>(rep | asz << 8));
  store<u8>(o, (segment >= 0 ? <u32>segment : DS) << 3, 7);
  if (rep) {
    setOp(O.OP_HELP_JUMP);
    setAux(O.H_REP_STRING);
    ending = 1;
  } else if ((opcode & 0xfc) == 0x6c) {
    setOp(O.OP_HELP_END);
    ending = 1;
  }
  push();
}

function group1(size: u32, imm8: bool): void {
  operand(0);
  const family = O.ALU + (modrm >> 3 & 7) * O.ALU_STRIDE;
  const imm = imm8 ? nextS8() : nextImm(size);
  withImmediate(family, size, imm);
}

function shiftGroup(size: u32, source: u32): void {
  operand(0);
  const kind = modrm >> 3 & 7;
  let count: u32 = 1;
  if (source == 0) count = next8();
  // Quick forms: 32- and 64-bit registers.
  if (isReg && size >= 2 && source != 2 && (kind == 4 || kind == 5 || kind == 7 || kind == 6 || kind < 2)) {
    const masked = count & (size == 3 ? 63 : 31);
    if (masked != 0) {
      const family = kind == 0 ? O.ROL_RI32 : kind == 1 ? O.ROR_RI32 : kind == 5 ? O.SHR_RI32 : kind == 7 ? O.SAR_RI32 : O.SHL_RI32;
      setOp(family + size - 2);
      setDst(rm << 3);
      setImm(<i32>masked);
      push();
      return;
    }
  }
  if (isReg && size >= 2 && source == 2 && kind >= 4) {
    setOp((kind == 5 ? O.SHR_RC32 : kind == 7 ? O.SAR_RC32 : O.SHL_RC32) + size - 2);
    setDst(rm << 3);
    push();
    return;
  }
  setOp(O.OP_HELP);
  setAux(isReg ? O.H_SHIFT_R : O.H_SHIFT_M);
  if (isReg) setDst(regOf(rm, size));
  setSrc(size);
  // imm: kind | count << 8 | by CL << 16
  setImm(<i32>(kind | (count << 8) | (source == 2 ? 0x10000 : 0)));
  push();
}

/** A helper whose operand is a register or memory: dst register, src = reg | 0, size in imm's low bits. */
function help(helper: u32, size: u32, extra: u32): void {
  setOp(O.OP_HELP);
  setAux(helper);
  setImm(<i32>(size | extra << 8));
}
function helpRm(helperR: u32, helperM: u32, size: u32, extra: u32): void {
  help(isReg ? helperR : helperM, size, extra);
  if (isReg) setDst(regOf(rm, size));
  setSrc(regOf(reg, size));
  push();
}

function oneByte(opcode: u32): void {
  if (opcode < 0x40) {
    const low = opcode & 7;
    const family = O.ALU + (opcode >> 3) * O.ALU_STRIDE;
    if (low < 4) { binary(family, low & 1 ? osz : 0, (low & 2) != 0); return; }
    if (low < 6) {
      begin(0);
      const size = low & 1 ? osz : 0;
      setOp(family + O.FORM_RI + size);
      setImm(nextImm(size));
      push();
      return;
    }
    if (mode64) { bad(); return; }
    switch (opcode) {
      case 0x06: case 0x0e: case 0x16: case 0x1e:
        begin(O.OP_HELP); setAux(O.H_PUSH_SEG); setDst(opcode >> 3); setImm(<i32>osz); push(); return;
      case 0x07: case 0x17: case 0x1f:
        begin(O.OP_HELP_END); setAux(O.H_POP_SEG); setDst(opcode >> 3); setImm(<i32>osz); push(); ending = 1; return;
      case 0x27: simple(O.OP_HELP, O.H_DAA); push(); return;
      case 0x2f: simple(O.OP_HELP, O.H_DAS); push(); return;
      case 0x37: simple(O.OP_HELP, O.H_AAA); push(); return;
      case 0x3f: simple(O.OP_HELP, O.H_AAS); push(); return;
      default: bad(); return;
    }
  }
  switch (opcode) {
    case 0x40: case 0x41: case 0x42: case 0x43: case 0x44: case 0x45: case 0x46: case 0x47:
      begin(O.INC_R8 + osz); setDst((opcode & 7) << 3); push(); return;
    case 0x48: case 0x49: case 0x4a: case 0x4b: case 0x4c: case 0x4d: case 0x4e: case 0x4f:
      begin(O.DEC_R8 + osz); setDst((opcode & 7) << 3); push(); return;
    case 0x50: case 0x51: case 0x52: case 0x53: case 0x54: case 0x55: case 0x56: case 0x57: {
      const r = ((opcode & 7) | (rex & 1) << 3) << 3;
      if (mode64 && !prefix66) { begin(O.PUSH_R64); setSrc(r); store<u8>(o, SS << 3, 7); }
      else { begin(O.OP_HELP); setAux(O.H_PUSH_GENERIC); setSrc(r); setDst(0); setImm(<i32>stackSize()); store<u8>(o, SS << 3, 7); }
      push();
      return;
    }
    case 0x58: case 0x59: case 0x5a: case 0x5b: case 0x5c: case 0x5d: case 0x5e: case 0x5f: {
      const r = ((opcode & 7) | (rex & 1) << 3) << 3;
      if (mode64 && !prefix66) { begin(O.POP_R64); setDst(r); store<u8>(o, SS << 3, 7); }
      else { begin(O.OP_HELP); setAux(O.H_POP_GENERIC); setSrc(r); setDst(0); setImm(<i32>stackSize()); store<u8>(o, SS << 3, 7); }
      push();
      return;
    }
    case 0x60: if (mode64) { bad(); return; } begin(O.OP_HELP); setAux(O.H_PUSHA); setImm(<i32>osz); push(); return;
    case 0x61: if (mode64) { bad(); return; } begin(O.OP_HELP); setAux(O.H_POPA); setImm(<i32>osz); push(); return;
    case 0x62: {
      if (mode64) { bad(); return; }
      operand(0);
      if (isReg) { bad(); return; }
      help(O.H_BOUND, osz, 0); setSrc(reg << 3); push(); return;
    }
    case 0x63:
      if (mode64) {
        operand(0);
        if (isReg) { setOp(osz == 3 ? O.MOVSX_R32_64 : osz == 2 ? O.MOV_RR32 : O.MOV_RR16); setSrc(rm << 3); }
        else setOp(osz == 3 ? O.MOVSX_M32_64 : osz == 2 ? O.MOV_RM32 : O.MOV_RM16);
        setDst(reg << 3);
        push();
      } else {
        operand(0);
        help(O.H_ARPL, 1, isReg ? 1 : 0); setDst(rm << 3); setSrc(reg << 3); push();
      }
      return;
    case 0x68: case 0x6a: {
      const imm = opcode == 0x6a ? nextS8() : nextImm(osz == 3 ? 2 : osz);
      if (mode64 && !prefix66) { begin(O.PUSH_I64); setImm(imm); store<u8>(o, SS << 3, 7); }
      else { begin(O.OP_HELP); setAux(O.H_PUSH_GENERIC); setDst(1); setImm(<i32>stackSize()); store<i32>(o, imm, 8); store<u8>(o, SS << 3, 7); }
      push();
      return;
    }
    case 0x69: case 0x6b: {
      operand(0);
      const imm = opcode == 0x6b ? nextS8() : nextImm(osz);
      if (osz >= 2) {
        setOp((isReg ? O.IMUL_RRI32 : O.IMUL_RMI32) + osz - 2);
        setImm(imm);
        setDst(reg << 3);
        setSrc(rm << 3);
        push();
      } else {
        // 16 bits: aux is the helper, disp of the register form the immediate
        help(isReg ? O.H_IMUL16_R : O.H_IMUL16_M, 1, 1);
        setImm(<i32>((imm & 0xffff) << 8 | 1));
        setDst(reg << 3);
        setSrc(rm << 3);
        push();
      }
      return;
    }
    case 0x6c: case 0x6d: case 0x6e: case 0x6f:
      if (osz == 3) osz = 2;
      stringOp(opcode);
      return;
    case 0x80: group1(0, true); return;
    case 0x81: group1(osz, false); return;
    case 0x82: if (mode64) { bad(); return; } group1(0, true); return;
    case 0x83: group1(osz, true); return;
    case 0x84: binary(O.TEST_RR8, 0, false); return;
    case 0x85: binary(O.TEST_RR8, osz, false); return;
    case 0x86: case 0x87: {
      const size = opcode & 1 ? osz : 0;
      operand(0);
      if (isReg && size >= 2) { setOp(O.XCHG_RR32 + size - 2); setDst(rm << 3); setSrc(reg << 3); push(); }
      else { lockable = !isReg; helpRm(O.H_XCHG_R, O.H_XCHG_M, size, 0); }
      return;
    }
    case 0x88: binary(O.MOV_RR8, 0, false); return;
    case 0x89: binary(O.MOV_RR8, osz, false); return;
    case 0x8a: binary(O.MOV_RR8, 0, true); return;
    case 0x8b: binary(O.MOV_RR8, osz, true); return;
    case 0x8c: {
      operand(0);
      if ((modrm >> 3 & 7) > 5) { bad(); return; }
      help(isReg ? O.H_MOV_FROM_SEG_R : O.H_MOV_FROM_SEG_M, osz, 0);
      setDst(rm << 3); setSrc(modrm >> 3 & 7); push();
      return;
    }
    case 0x8d:
      operand(0);
      if (isReg) { bad(); return; }
      // The address itself, without the segment's base.
      if (eaOp) store<u8>(eaOp, 1, 3);
      store<u8>(o, 6 << 3, 7);
      setOp(O.LEA_16 + osz - 1); setDst(reg << 3); push();
      return;
    case 0x8e: {
      operand(0);
      const s = modrm >> 3 & 7;
      if (s == CS || s > 5) { bad(); return; }
      setOp(O.OP_HELP_END); setAux(O.H_MOV_TO_SEG); setDst(s); setSrc(rm << 3); setImm(isReg ? 1 : 0); push(); ending = 1;
      return;
    }
    case 0x8f: {
      // POP r/m: the address is computed with rsp already raised.
      popOperand = true;
      operand(0);
      popOperand = false;
      if (modrm >> 3 & 7) { bad(); return; }
      if (isReg) { setOp(O.OP_HELP); setAux(O.H_POP_GENERIC); setSrc(rm << 3); setDst(0); setImm(<i32>stackSize()); store<u8>(o, SS << 3, 7); }
      else { setOp(O.OP_HELP); setAux(O.H_POP_GENERIC); setDst(1); setImm(<i32>stackSize()); }
      push();
      return;
    }
    case 0x90:
      if (rep == 0xf3) { begin(O.OP_HELP); setAux(O.H_PAUSE); push(); return; }
      if ((rex & 1) == 0) { begin(O.OP_NOP); push(); return; }
    case 0x91: case 0x92: case 0x93: case 0x94: case 0x95: case 0x96: case 0x97: {
      const r = ((opcode & 7) | (rex & 1) << 3) << 3;
      if (osz >= 2) { begin(O.XCHG_RR32 + osz - 2); setDst(0); setSrc(r); }
      else { begin(O.OP_HELP); setAux(O.H_XCHG_R); setImm(1); setDst(0); setSrc(r); }
      push();
      return;
    }
    case 0x98:
      if (osz == 3) begin(O.CDQE); else if (osz == 2) begin(O.CWDE); else { begin(O.OP_HELP); setAux(O.H_CBW); }
      push(); return;
    case 0x99:
      if (osz == 3) begin(O.CQO); else if (osz == 2) begin(O.CDQ); else { begin(O.OP_HELP); setAux(O.H_CWD); }
      push(); return;
    case 0x9a: case 0xea: {
      if (mode64) { bad(); return; }
      const offset = osz == 1 ? next16() : next32();
      const selector = next16();
      begin(O.OP_HELP_JUMP); setAux(opcode == 0x9a ? O.H_FAR_CALL : O.H_FAR_JUMP);
      setImm(<i32>offset); store<i32>(o, <i32>selector, 8); setDst(osz); push(); ending = 1;
      return;
    }
    case 0x9b: begin(O.OP_HELP); setAux(O.H_FWAIT); push(); return;
    case 0x9c: begin(O.OP_HELP); setAux(O.H_PUSHF); setImm(<i32>stackSize()); store<u8>(o, SS << 3, 7); push(); return;
    case 0x9d: begin(O.OP_HELP_END); setAux(O.H_POPF); setImm(<i32>stackSize()); store<u8>(o, SS << 3, 7); push(); ending = 1; return;
    case 0x9e: begin(O.OP_HELP); setAux(O.H_SAHF); push(); return;
    case 0x9f: begin(O.OP_HELP); setAux(O.H_LAHF); push(); return;
    case 0xa0: case 0xa1: case 0xa2: case 0xa3: {
      // Absolute address of the address size.
      const size = opcode & 1 ? osz : 0;
      let low: u32, high: u32 = 0;
      if (mode64 && !prefix67) { low = next32(); high = next32(); }
      else if (!mode64 && bits32 == prefix67) low = next16();
      else low = next32();
      begin(O.OP_HELP); setAux(O.H_MOV_MOFFS);
      setDst(opcode & 2); setSrc(size); setImm(<i32>low); store<i32>(o, <i32>high, 8);
      store<u8>(o, (segment >= 0 ? <u32>segment : DS) << 3, 7);
      push();
      return;
    }
    case 0xa4: case 0xa5: case 0xa6: case 0xa7: case 0xaa: case 0xab: case 0xac: case 0xad: case 0xae: case 0xaf:
      stringOp(opcode); return;
    case 0xa8: begin(O.TEST_RI8); setImm(nextS8()); push(); return;
    case 0xa9: begin(O.TEST_RI8 + osz); setImm(nextImm(osz)); push(); return;
    case 0xb0: case 0xb1: case 0xb2: case 0xb3: case 0xb4: case 0xb5: case 0xb6: case 0xb7:
      begin(O.MOV_RI8); setDst(reg8((opcode & 7) | (rex & 1) << 3)); setImm(nextS8()); push(); return;
    case 0xb8: case 0xb9: case 0xba: case 0xbb: case 0xbc: case 0xbd: case 0xbe: case 0xbf: {
      const r = ((opcode & 7) | (rex & 1) << 3) << 3;
      if (osz == 3) { begin(O.MOV_RI64_WIDE); setImm(<i32>next32()); setAux(next32()); }
      else { begin(O.MOV_RI8 + osz); setImm(nextImm(osz)); }
      setDst(r);
      push();
      return;
    }
    case 0xc0: shiftGroup(0, 0); return;
    case 0xc1: shiftGroup(osz, 0); return;
    case 0xd0: shiftGroup(0, 1); return;
    case 0xd1: shiftGroup(osz, 1); return;
    case 0xd2: shiftGroup(0, 2); return;
    case 0xd3: shiftGroup(osz, 2); return;
    case 0xc2: case 0xc3: {
      const extra = opcode == 0xc2 ? next16() : 0;
      if (mode64) { begin(opcode == 0xc2 ? O.RET64_I : O.RET64); setImm(<i32>extra); store<u8>(o, SS << 3, 7); }
      else { begin(O.OP_HELP_JUMP); setAux(O.H_RET_GENERIC); setImm(<i32>extra); setSrc(osz); store<u8>(o, SS << 3, 7); }
      push(); ending = 1;
      return;
    }
    case 0xc4: case 0xc5: {
      if (mode64) { bad(); return; }
      operand(0);
      if (isReg) { bad(); return; }
      setOp(O.OP_HELP_END); setAux(O.H_LOAD_FAR); setDst(opcode == 0xc4 ? ES : DS); setSrc(reg << 3); setImm(<i32>osz); push(); ending = 1;
      return;
    }
    case 0xc6: case 0xc7: {
      const size = opcode & 1 ? osz : 0;
      operand(0);
      if (modrm >> 3 & 7) { bad(); return; }
      withImmediate(O.MOV_RR8, size, nextImm(size));
      return;
    }
    case 0xc8: {
      const frame = next16();
      const level = next8();
      begin(O.OP_HELP); setAux(O.H_ENTER); setImm(<i32>frame); store<i32>(o, <i32>(level & 31), 8); setSrc(stackSize()); store<u8>(o, SS << 3, 7); push();
      return;
    }
    case 0xc9:
      if (mode64 && !prefix66) { begin(O.LEAVE64); store<u8>(o, SS << 3, 7); }
      else { begin(O.OP_HELP); setAux(O.H_LEAVE_GENERIC); setImm(<i32>stackSize()); store<u8>(o, SS << 3, 7); }
      push();
      return;
    case 0xca: case 0xcb: {
      const extra = opcode == 0xca ? next16() : 0;
      begin(O.OP_HELP_JUMP); setAux(O.H_FAR_RET); setImm(<i32>extra); setSrc(osz); store<u8>(o, SS << 3, 7); push(); ending = 1;
      return;
    }
    case 0xcc: simple(O.OP_HELP_JUMP, O.H_INT3); push(); return;
    case 0xcd: simple(O.OP_HELP_JUMP, O.H_INT); setImm(<i32>next8()); push(); return;
    case 0xce: if (mode64) { bad(); return; } simple(O.OP_HELP_JUMP, O.H_INTO); push(); return;
    case 0xcf: simple(O.OP_HELP_JUMP, O.H_IRET); setSrc(osz); store<u8>(o, SS << 3, 7); push(); return;
    case 0xd4: case 0xd5: {
      if (mode64) { bad(); return; }
      begin(O.OP_HELP); setAux(opcode == 0xd4 ? O.H_AAM : O.H_AAD); setImm(<i32>next8()); push();
      return;
    }
    case 0xd6: if (mode64) { bad(); return; } simple(O.OP_HELP, O.H_SALC); push(); return;
    case 0xd7:
      begin(O.OP_HELP); setAux(O.H_XLAT); setImm(<i32>(mode64 ? (prefix67 ? 4 : 8) : bits32 == prefix67 ? 2 : 4));
      store<u8>(o, (segment >= 0 ? <u32>segment : DS) << 3, 7); push();
      return;
    case 0xd8: case 0xd9: case 0xda: case 0xdb: case 0xdc: case 0xdd: case 0xde: case 0xdf:
      operand(0);
      setOp(O.OP_X87);
      // imm: opcode | modrm << 8 | is register << 16 | operand size << 20
      setImm(<i32>((opcode & 7) | modrm << 8 | (isReg ? 0x10000 : 0) | (prefix66 == bits32or64() ? 2 : 4) << 20));
      push();
      return;
    case 0xe0: case 0xe1: case 0xe2: {
      const rel = nextS8();
      begin(O.OP_HELP_JUMP); setAux(O.H_LOOP); setImm(rel); setDst(opcode & 3);
      setSrc(addressSize()); store<u8>(o, osz, 6); push(); ending = 1;
      return;
    }
    case 0xe3: {
      const rel = nextS8();
      begin(O.OP_HELP_JUMP); setAux(O.H_JCXZ); setImm(rel); setSrc(addressSize()); store<u8>(o, osz, 6); push(); ending = 1;
      return;
    }
    case 0xe4: case 0xe5: case 0xec: case 0xed: {
      const size: u32 = opcode & 1 ? (osz == 1 ? 2 : 4) : 1;
      const fixed = opcode < 0xe8;
      begin(O.OP_HELP_END); setAux(O.H_IN); setSrc(size); setImm(fixed ? <i32>next8() : -1); push(); ending = 1;
      return;
    }
    case 0xe6: case 0xe7: case 0xee: case 0xef: {
      const size: u32 = opcode & 1 ? (osz == 1 ? 2 : 4) : 1;
      const fixed = opcode < 0xe8;
      begin(O.OP_HELP_END); setAux(O.H_OUT); setSrc(size); setImm(fixed ? <i32>next8() : -1); push(); ending = 1;
      return;
    }
    case 0xe8: jump(O.CALL64, mode64 || osz != 1 ? <i32>next32() : <i32>(<i16>next16())); return;
    case 0xe9: jump(O.JMP, mode64 || osz != 1 ? <i32>next32() : <i32>(<i16>next16())); return;
    case 0xeb: jump(O.JMP, nextS8()); return;
    case 0x70: case 0x71: case 0x72: case 0x73: case 0x74: case 0x75: case 0x76: case 0x77:
    case 0x78: case 0x79: case 0x7a: case 0x7b: case 0x7c: case 0x7d: case 0x7e: case 0x7f:
      jump(O.JO + (opcode & 15), nextS8()); return;
    case 0xf1: simple(O.OP_HELP_JUMP, O.H_INT1); push(); return;
    case 0xf4: simple(O.OP_HELP_END, O.H_HLT); push(); return;
    case 0xf5: simple(O.OP_HELP, O.H_CMC); push(); return;
    case 0xf6: case 0xf7: {
      const size = opcode & 1 ? osz : 0;
      operand(0);
      const kind = modrm >> 3 & 7;
      if (kind < 2) { withImmediate(O.TEST_RR8, size, nextImm(size)); lockable = false; return; }
      if (kind == 2) { setOp((isReg ? O.NOT_R8 : O.NOT_M8) + size); setDst(regOf(rm, size)); lockable = !isReg; push(); return; }
      if (kind == 3) { setOp((isReg ? O.NEG_R8 : O.NEG_M8) + size); setDst(regOf(rm, size)); lockable = !isReg; push(); return; }
      help(isReg ? O.H_MULDIV_R : O.H_MULDIV_M, size, kind);
      setSrc(regOf(rm, size));
      push();
      return;
    }
    case 0xf8: simple(O.OP_HELP, O.H_CLC); push(); return;
    case 0xf9: simple(O.OP_HELP, O.H_STC); push(); return;
    case 0xfa: simple(O.OP_HELP, O.H_CLI_CHECK); push(); return;
    case 0xfb: simple(O.OP_HELP_END, O.H_STI); push(); return;
    case 0xfc: simple(O.OP_HELP, O.H_CLD); push(); return;
    case 0xfd: simple(O.OP_HELP, O.H_STD); push(); return;
    case 0xfe: case 0xff: {
      const size = opcode & 1 ? osz : 0;
      operand(0);
      const kind = modrm >> 3 & 7;
      if (kind < 2) {
        setOp((kind == 0 ? (isReg ? O.INC_R8 : O.INC_M8) : (isReg ? O.DEC_R8 : O.DEC_M8)) + size);
        setDst(regOf(rm, size));
        lockable = !isReg;
        push();
        return;
      }
      if (opcode == 0xfe) { bad(); return; }
      switch (kind) {
        case 2: case 4:
          if (mode64) {
            setOp(kind == 2 ? (isReg ? O.CALL_R64 : O.CALL_M64) : isReg ? O.JMP_R64 : O.JMP_M64);
            setSrc(rm << 3);
          } else {
            setOp(O.OP_HELP_JUMP); setAux(kind == 2 ? O.H_CALL_IND : O.H_JMP_IND); setSrc(rm << 3); setImm(<i32>osz); setDst(isReg ? 1 : 0);
          }
          push(); ending = 1;
          return;
        case 3: case 5:
          if (isReg) { bad(); return; }
          setOp(O.OP_HELP_JUMP); setAux(kind == 3 ? O.H_FAR_CALL_M : O.H_FAR_JUMP_M); setImm(<i32>osz); push(); ending = 1;
          return;
        case 6:
          if (mode64 && !prefix66) {
            if (isReg) { setOp(O.PUSH_R64); setSrc(rm << 3); store<u8>(o, SS << 3, 7); }
            else setOp(O.PUSH_M64);
          } else {
            setOp(O.OP_HELP); setAux(O.H_PUSH_GENERIC); setDst(isReg ? 0 : 2); setSrc(rm << 3); setImm(<i32>stackSize());
          }
          push();
          return;
        default: bad(); return;
      }
    }
    default: bad(); return;
  }
}

/** The default operand size flag of the code: true when 66h means 16 bits. */
function bits32or64(): bool {
  return mode64 || bits32;
}
/** Operand size of stack operations, log2. */
function stackSize(): u32 {
  // REX.W takes precedence over 66h (SDM vol. 2, 2.2.1.2).
  if (mode64) return prefix66 && (rex & 8) == 0 ? 1 : 3;
  return osz;
}
function addressSize(): u32 {
  return mode64 ? (prefix67 ? 4 : 8) : bits32 == prefix67 ? 2 : 4;
}

let popOperand: bool = false;

function sse(map: u32, opcode: u32): void {
  const prefix: u32 = rep == 0xf3 ? 2 : rep == 0xf2 ? 3 : prefix66 ? 1 : 0;
  const id = (map << 10) | (prefix << 8) | opcode;
  operand(O.OP_SSE);
  if (!sseExists(id, reg, isReg ? 0 : 1)) { bad(); return; }
  setOp(O.OP_SSE);
  setAux(id);
  if (id == 0x1f7) maskedStore();
  setDst(reg);
  setSrc(rm);
  const imm = sseHasImm8(id) ? next8() : 0;
  setImm(<i32>(imm | (rex >> 3 & 1) << 8 | (mode64 ? 0x200 : 0) | (isReg ? 0x10000 : 0)));
  // The commonest moves have micro-ops of their own.
  if (!isReg) {
    if (id == 0x28 || id == 0x128 || id == 0x16f) { setOp(O.SSE_MOVAPS_RM); setDst(reg << 3); }
    else if (id == 0x29 || id == 0x129 || id == 0x17f) { setOp(O.SSE_MOVAPS_MR); setDst(reg << 3); }
    else if (id == 0x10 || id == 0x110 || id == 0x26f) { setOp(O.SSE_MOVUPS_RM); setDst(reg << 3); }
    else if (id == 0x11 || id == 0x111 || id == 0x27f) { setOp(O.SSE_MOVUPS_MR); setDst(reg << 3); }
  }
  push();
}

/** MASKMOVQ and MASKMOVDQU: register operands, and a store at DS:rDI. */
function maskedStore(): void {
  if (!isReg) return;
  store<u8>(o, 7 << 3, 4);
  store<u8>(o, (segment >= 0 ? <u32>segment : DS) << 3, 7);
}

function mmx(map: u32, opcode: u32): void {
  const id = (map == 1 ? 0x3800 : map == 2 ? 0x3a00 : 0) | opcode;
  operand(O.OP_MMX);
  if (!mmxExists(id, modrm >> 3 & 7, isReg ? 0 : 1)) { bad(); return; }
  setOp(O.OP_MMX);
  setAux(id);
  // Bits above 7 count only where the field names a general register (PEXTRW, PMOVMSKB).
  setDst(reg);
  if (opcode == 0xf7) maskedStore();
  setSrc(rm);
  const imm = mmxHasImm8(id) ? next8() : 0;
  setImm(<i32>(imm | (rex >> 3 & 1) << 8 | (mode64 ? 0x200 : 0) | (isReg ? 0x10000 : 0)));
  push();
}

function system(op: u32, helper: u32): void {
  setOp(op);
  setAux(helper);
  setDst(rm << 3);
  setSrc(reg << 3);
  push();
  if (op != O.OP_HELP) ending = 1;
}

function twoByte(opcode: u32): void {
  switch (opcode) {
    case 0x00: {
      operand(0);
      setImm(isReg ? 1 : 0);
      switch (modrm >> 3 & 7) {
        case 0: case 1: store<i32>(o, <i32>((modrm >> 3 & 7) | osz << 8), 12); system(O.OP_HELP, isReg ? O.H_SLDT_R : O.H_SLDT_M); return;
        case 2: system(O.OP_HELP_END, O.H_LLDT); return;
        case 3: system(O.OP_HELP_END, O.H_LTR); return;
        case 4: case 5: setImm(<i32>((isReg ? 1 : 0) | (modrm >> 3 & 1) << 8)); system(O.OP_HELP, O.H_VERR); return;
        default: bad(); return;
      }
    }
    case 0x01: {
      operand(0);
      const kind = modrm >> 3 & 7;
      if (isReg) {
        switch (modrm) {
          case 0xc1: case 0xd9: setImm(<i32>modrm); system(O.OP_HELP_END, O.H_VMCALL); return;
          case 0xca: system(O.OP_HELP_END, O.H_CLAC); return;
          case 0xcb: system(O.OP_HELP_END, O.H_STAC); return;
          case 0xf8: if (!mode64) { bad(); return; } system(O.OP_HELP, O.H_SWAPGS); return;
          case 0xf9: system(O.OP_HELP, O.H_RDTSCP); return;
          default: break;
        }
        if (kind == 4) { setImm(<i32>osz); system(O.OP_HELP, O.H_SMSW_R); return; }
        if (kind == 6) { setImm(1); system(O.OP_HELP_END, O.H_LMSW); return; }
        bad();
        return;
      }
      switch (kind) {
        case 0: case 1: setImm(<i32>kind); system(O.OP_HELP, O.H_SGDT); return;
        case 2: case 3: setImm(<i32>(kind | (osz == 1 ? 0x100 : 0))); system(O.OP_HELP_END, O.H_LGDT); return;
        case 4: system(O.OP_HELP, O.H_SMSW_M); return;
        case 6: setImm(0); system(O.OP_HELP_END, O.H_LMSW); return;
        case 7: system(O.OP_HELP, O.H_INVLPG); return;
        default: bad(); return;
      }
    }
    case 0x02: case 0x03: {
      operand(0);
      setImm(<i32>(osz | (isReg ? 0x100 : 0)));
      const helper = opcode == 2 ? O.H_LAR : O.H_LSL;
      system(O.OP_HELP, helper);
      return;
    }
    case 0x05: simple(O.OP_HELP_JUMP, O.H_SYSCALL); push(); return;
    case 0x06: simple(O.OP_HELP_END, O.H_CLTS); push(); return;
    case 0x07: simple(O.OP_HELP_JUMP, O.H_SYSRET); setSrc(rex & 8 ? 8 : 4); push(); return;
    case 0x08: simple(O.OP_HELP, O.H_INVD); push(); return;
    case 0x09: simple(O.OP_HELP, O.H_INVD); setImm(1); push(); return;
    case 0x0b: case 0xb9: case 0xff: if (opcode != 0x0b) operand(0); bad(); return;
    case 0x0d: case 0x18: case 0x19: case 0x1a: case 0x1b: case 0x1c: case 0x1d: case 0x1e: case 0x1f:
      // Prefetches and hints: no access, no fault.
      operand(0);
      if (opcode == 0x0d && isReg) { bad(); return; }
      eaOp = 0;
      setOp(O.OP_NOP);
      push();
      return;
    case 0x20: case 0x21: case 0x22: case 0x23: {
      modrm = next8();
      const n = (modrm >> 3 & 7) | (rex & 4) << 1;
      if (opcode & 1 ? n > 7 : n == 1 || n > 8 || (n > 4 && n < 8)) { bad(); return; }
      begin(0);
      rm = (modrm & 7) | (rex & 1) << 3;
      setImm(<i32>n);
      reg = n;
      const helper = opcode == 0x20 ? O.H_MOV_FROM_CR : opcode == 0x21 ? O.H_MOV_FROM_DR : opcode == 0x22 ? O.H_MOV_TO_CR : O.H_MOV_TO_DR;
      system(opcode < 0x22 ? O.OP_HELP : O.OP_HELP_END, helper);
      return;
    }
    case 0x30: simple(O.OP_HELP_END, O.H_WRMSR); push(); return;
    case 0x31: simple(O.OP_HELP, O.H_RDTSC); push(); return;
    case 0x32: simple(O.OP_HELP_END, O.H_RDMSR); push(); return;
    case 0x33: simple(O.OP_HELP, O.H_RDPMC); push(); return;
    case 0x34: simple(O.OP_HELP_JUMP, O.H_SYSENTER); push(); return;
    case 0x35: simple(O.OP_HELP_JUMP, O.H_SYSEXIT); setSrc(rex & 8 ? 8 : 4); push(); return;
    case 0x40: case 0x41: case 0x42: case 0x43: case 0x44: case 0x45: case 0x46: case 0x47:
    case 0x48: case 0x49: case 0x4a: case 0x4b: case 0x4c: case 0x4d: case 0x4e: case 0x4f:
      operand(0);
      if (osz >= 2) {
        setOp((isReg ? O.CMOV_RR32 : O.CMOV_RM32) + osz - 2);
        setDst(reg << 3);
        setSrc(rm << 3);
        setAux(opcode & 15);
        push();
      } else {
        help(isReg ? O.H_CMOV16_R : O.H_CMOV16_M, 1, opcode & 15);
        setDst(reg << 3);
        setSrc(rm << 3);
        push();
      }
      return;
    case 0x80: case 0x81: case 0x82: case 0x83: case 0x84: case 0x85: case 0x86: case 0x87:
    case 0x88: case 0x89: case 0x8a: case 0x8b: case 0x8c: case 0x8d: case 0x8e: case 0x8f:
      jump(O.JO + (opcode & 15), mode64 || osz != 1 ? <i32>next32() : <i32>(<i16>next16()));
      return;
    case 0x90: case 0x91: case 0x92: case 0x93: case 0x94: case 0x95: case 0x96: case 0x97:
    case 0x98: case 0x99: case 0x9a: case 0x9b: case 0x9c: case 0x9d: case 0x9e: case 0x9f:
      operand(0);
      if (isReg) { setOp(O.SET_R_O + (opcode & 15)); setDst(reg8(rm)); push(); }
      else { help(O.H_SETCC_M, 0, opcode & 15); push(); }
      return;
    case 0xa0: case 0xa8: begin(O.OP_HELP); setAux(O.H_PUSH_SEG); setDst(opcode == 0xa0 ? FS : GS); setImm(<i32>stackSize()); push(); return;
    case 0xa1: case 0xa9: begin(O.OP_HELP_END); setAux(O.H_POP_SEG); setDst(opcode == 0xa1 ? FS : GS); setImm(<i32>stackSize()); push(); ending = 1; return;
    case 0xa2: simple(O.OP_HELP, O.H_CPUID); push(); return;
    case 0xa3: bitTest(0, -1); return;
    case 0xab: bitTest(1, -1); return;
    case 0xb3: bitTest(2, -1); return;
    case 0xbb: bitTest(3, -1); return;
    case 0xba: {
      operand(0);
      const kind = modrm >> 3 & 7;
      if (kind < 4) { bad(); return; }
      bitTestDecoded(kind - 4, <i32>next8());
      return;
    }
    case 0xa4: case 0xac: {
      operand(0);
      const count = next8();
      help(isReg ? O.H_SHLD_R : O.H_SHLD_M, osz, (opcode == 0xac ? 1 : 0) | count << 8);
      setDst(rm << 3); setSrc(reg << 3); push();
      return;
    }
    case 0xa5: case 0xad:
      operand(0);
      help(isReg ? O.H_SHLD_R : O.H_SHLD_M, osz, (opcode == 0xad ? 1 : 0) | 2);
      setDst(rm << 3); setSrc(reg << 3); push();
      return;
    case 0xae: {
      operand(0);
      const kind = modrm >> 3 & 7;
      if (isReg) {
        if (kind < 5 || rep != 0 || prefix66) { bad(); return; }
        help(O.H_FENCE, 0, 0); push();
        return;
      }
      if (rep != 0) { bad(); return; }
      switch (kind) {
        case 0: help(O.H_FXSAVE, rex >> 3 & 1, mode64 ? 1 : 0); push(); return;
        case 1: setImm(<i32>((rex >> 3 & 1) | (mode64 ? 0x100 : 0))); system(O.OP_HELP_END, O.H_FXRSTOR); return;
        case 2: help(O.H_LDMXCSR, 0, 0); push(); return;
        case 3: help(O.H_STMXCSR, 0, 0); push(); return;
        case 7: help(O.H_CLFLUSH, 0, 0); push(); return;
        default: bad(); return;
      }
    }
    case 0xaf:
      operand(0);
      if (osz >= 2) { setOp((isReg ? O.IMUL_RR32 : O.IMUL_RM32) + osz - 2); setDst(reg << 3); setSrc(rm << 3); push(); }
      else { help(isReg ? O.H_IMUL16_R : O.H_IMUL16_M, 0, 0); setDst(reg << 3); setSrc(rm << 3); push(); }
      return;
    case 0xb0: case 0xb1: {
      const size = opcode & 1 ? osz : 0;
      operand(0);
      lockable = !isReg;
      if (!isReg && size >= 2) { setOp(O.CMPXCHG_MR32 + size - 2); setSrc(reg << 3); push(); return; }
      helpRm(O.H_CMPXCHG_R, O.H_CMPXCHG_M, size, 0);
      return;
    }
    case 0xb2: case 0xb4: case 0xb5: {
      operand(0);
      if (isReg) { bad(); return; }
      setOp(O.OP_HELP_END); setAux(O.H_LOAD_FAR); setDst(opcode == 0xb2 ? SS : opcode == 0xb4 ? FS : GS); setSrc(reg << 3); setImm(<i32>osz); push(); ending = 1;
      return;
    }
    case 0xb6: case 0xb7: case 0xbe: case 0xbf: {
      operand(0);
      const word: u32 = opcode & 1;
      const base = opcode < 0xb8 ? (isReg ? O.MOVZX_R8_16 : O.MOVZX_M8_16) : isReg ? O.MOVSX_R8_16 : O.MOVSX_M8_16;
      setOp(base + word * 3 + osz - 1);
      setDst(reg << 3);
      if (isReg) setSrc(word ? rm << 3 : reg8(rm));
      push();
      return;
    }
    case 0xb8:
      if (rep != 0xf3) { bad(); return; }
      operand(0);
      helpTo(O.H_POPCNT_R, osz);
      return;
    case 0xbc: operand(0); helpTo(O.H_BSF_R, osz); return;
    case 0xbd: operand(0); helpTo(O.H_BSR_R, osz); return;
    case 0xc0: case 0xc1: {
      const size = opcode & 1 ? osz : 0;
      operand(0);
      lockable = !isReg;
      if (!isReg && size >= 2) { setOp(O.XADD_MR32 + size - 2); setSrc(reg << 3); push(); return; }
      helpRm(O.H_XADD_R, O.H_XADD_M, size, 0);
      return;
    }
    case 0xc3: if (rep == 0 && !prefix66) {
      // MOVNTI
      operand(0);
      if (isReg) { bad(); return; }
      setOp(O.MOV_MR8 + osz);
      setSrc(reg << 3);
      push();
      return;
    } bad(); return;
    case 0xc7: {
      operand(0);
      const kind = modrm >> 3 & 7;
      if (kind == 1 && !isReg) { lockable = true; help(rex & 8 ? O.H_CMPXCHG16B : O.H_CMPXCHG8B, 0, 0); push(); return; }
      if ((kind == 6 || kind == 7) && isReg && rep == 0) { help(O.H_RDRAND, osz, kind); setDst(rm << 3); push(); return; }
      bad();
      return;
    }
    case 0xc8: case 0xc9: case 0xca: case 0xcb: case 0xcc: case 0xcd: case 0xce: case 0xcf: {
      const r = ((opcode & 7) | (rex & 1) << 3) << 3;
      if (osz >= 2) begin(O.BSWAP32 + osz - 2);
      else { begin(O.OP_HELP); setAux(O.H_BSWAP16); }
      setDst(r);
      push();
      return;
    }
    case 0x38: {
      const third = next8();
      if (rep == 0xf2 && (third == 0xf0 || third == 0xf1)) {
        operand(0);
        const size: u32 = third == 0xf0 ? 0 : osz;
        help(isReg ? O.H_CRC32_R : O.H_CRC32_M, size, rex >> 3 & 1);
        setDst(reg << 3); setSrc(regOf(rm, size)); push();
        return;
      }
      if (rep == 0 && !prefix66 && third != 0xf0 && third != 0xf1) { mmx(1, third); return; }
      sse(1, third);
      return;
    }
    case 0x3a: {
      const third = next8();
      if (rep == 0 && !prefix66) { mmx(2, third); return; }
      sse(2, third);
      return;
    }
    case 0x77: if (rep == 0 && !prefix66) { begin(O.OP_MMX); setAux(0x77); setImm(0x10000); push(); return; } bad(); return;
    default: break;
  }
  // What is left of the map is MMX and SSE.
  const plain = rep == 0 && !prefix66;
  const mmxRange = (opcode >= 0x60 && opcode <= 0x7f) || (opcode >= 0xd1 && opcode <= 0xfe) || opcode == 0xc4 || opcode == 0xc5;
  if (plain && mmxRange && opcode != 0xd6 && opcode != 0xe6 && opcode != 0xf0) { mmx(0, opcode); return; }
  if (plain && opcode == 0x70) { mmx(0, opcode); return; }
  if (opcode >= 0x10 && opcode != 0x24 && opcode != 0x26) { sse(0, opcode); return; }
  bad();
}

function helpTo(helper: u32, size: u32): void {
  help(isReg ? helper : helper + 1, size, 0);
  setDst(reg << 3);
  setSrc(rm << 3);
  push();
}

function bitTest(kind: u32, imm: i32): void {
  operand(0);
  bitTestDecoded(kind, imm);
}
/** imm: size | kind << 8 | has immediate << 16 | immediate << 24 */
function bitTestDecoded(kind: u32, imm: i32): void {
  if (isReg && kind == 0 && osz >= 2) {
    if (imm >= 0) { setOp(osz == 3 ? O.BT_RI64 : O.BT_RI32); setImm(imm & (osz == 3 ? 63 : 31)); }
    else { setOp(osz == 3 ? O.BT_RR64 : O.BT_RR32); setSrc(reg << 3); }
    setDst(rm << 3);
    push();
    return;
  }
  lockable = !isReg && kind != 0;
  help(isReg ? O.H_BT_R : O.H_BT_M, osz, kind);
  if (imm >= 0) setImm(<i32>(osz | kind << 8 | 0x10000 | (<u32>imm & 0xff) << 24));
  setDst(rm << 3);
  setSrc(reg << 3);
  push();
}

/** Replaces what the instruction has made so far by one micro-op that raises. */
function refuse(first: usize, helper: u32): void {
  o = first;
  begin(O.OP_HELP_JUMP);
  setAux(helper);
  push();
  ending = 1;
  branch = false;
  ripRelative = 0;
}

/** Decodes one instruction at cp; returns its length, micro-ops up to o. */
function decodeOne(mode: u32): u32 {
  start = cp;
  const first = o;
  mode64 = (mode & MODE_64) != 0;
  bits32 = (mode & MODE_32) != 0;
  rex = 0;
  prefix66 = false;
  prefix67 = false;
  rep = 0;
  lock = false;
  segment = -1;
  ripRelative = 0;
  eaOp = 0;
  ending = 0;
  invalid = false;
  lockable = false;
  branch = false;
  let opcode: u32;
  while (true) {
    opcode = next8();
    if (cp - start > 15) break;
    if (opcode == 0x66) prefix66 = true;
    else if (opcode == 0x67) prefix67 = true;
    else if (opcode == 0xf2 || opcode == 0xf3) rep = opcode;
    else if (opcode == 0xf0) lock = true;
    else if (opcode == 0x26) segment = mode64 ? segment : ES;
    else if (opcode == 0x2e) segment = mode64 ? segment : CS;
    else if (opcode == 0x36) segment = mode64 ? segment : SS;
    else if (opcode == 0x3e) segment = mode64 ? segment : DS;
    else if (opcode == 0x64) segment = FS;
    else if (opcode == 0x65) segment = GS;
    else {
      if (mode64 && opcode >= 0x40 && opcode < 0x50) {
        // REX counts only right before the opcode.
        const follow = load<u8>(cp);
        rex = opcode;
        if (follow == 0x66 || follow == 0x67 || follow == 0xf2 || follow == 0xf3 || follow == 0xf0 || follow == 0x26 || follow == 0x2e
          || follow == 0x36 || follow == 0x3e || follow == 0x64 || follow == 0x65 || (follow >= 0x40 && follow < 0x50)) {
          rex = 0;
          continue;
        }
        opcode = next8();
      }
      break;
    }
  }
  if (mode64) osz = rex & 8 ? 3 : prefix66 ? 1 : 2;
  else osz = bits32 == prefix66 ? 1 : 2;
  if (cp - start <= 15) {
    if (opcode == 0x0f) twoByte(next8());
    else oneByte(opcode);
  }
  const length = <u32>(cp - start);
  if (length > 15) {
    refuse(first, O.H_GP);
    return 15;
  }
  if (invalid || (lock && !lockable)) refuse(first, O.H_UD);
  return length;
}

/**
 * Decodes a block at `block` from guest-physical paddr (virtual rip); at most `limit` instructions if that is not 0.
 * Returns the first free address behind it. Raises #PF when an instruction reaches into a page that cannot be fetched.
 */
/** Puts the micro-op that tells the observer in front of the instruction that is decoded next. */
function beginObserved(kinds: u32): void {
  begin(O.OP_OBSERVE);
  setImm(<i32>kinds);
  push();
}
/** The same for an instruction that is decoded already. */
function insertObserved(first: usize, kinds: u32): void {
  memory.copy(first + BYTES, first, o - first);
  const end = o;
  o = first;
  begin(O.OP_OBSERVE);
  setImm(<i32>kinds);
  o = end + BYTES;
  if (ripRelative) ripRelative += BYTES;
}
/** OBSERVE_CALL or OBSERVE_RETURN if the instruction whose micro-ops begin at `first` calls or returns; 0 for all else. */
function transferKind(first: usize): u32 {
  for (let p = first; p < o; p += BYTES) {
    const op: u32 = load<u16>(p);
    if (op == O.CALL64 || op == O.CALL_R64 || op == O.CALL_M64) return OBSERVE_CALL;
    if (op == O.RET64 || op == O.RET64_I) return OBSERVE_RETURN;
    if (op == O.OP_HELP || op == O.OP_HELP_END || op == O.OP_HELP_JUMP) {
      const helper = load<u32>(p, 20);
      if (helper == O.H_CALL_GENERIC || helper == O.H_CALL_IND) return OBSERVE_CALL;
      if (helper == O.H_RET_GENERIC || helper == O.H_FAR_RET) return OBSERVE_RETURN;
    }
  }
  return 0;
}

export function decodeBlock(block: u32, rip: u64, paddr: u32, mode: u32, limit: u32): u32 {
  const most = limit == 0 || limit > MAX_INSTRUCTIONS ? MAX_INSTRUCTIONS : limit;
  const pageHost = RAM + (paddr & 0xfffff000);
  let offset = paddr & 4095;
  const startOffset = offset;
  let count: u32 = 0;
  o = block + HEADER;
  crossedPage = false;
  let done = false;
  while (!done) {
    const instruction = paddr - startOffset + offset;
    const alone = runsAlone(instruction);
    if (alone && count != 0) {
      ending = 0;
      break;
    }
    const first = o;
    let length: u32;
    const room: u32 = 4096 - offset;
    const observed: u32 = load<u8>(OBSERVED_OFFSETS + offset) != 0 ? OBSERVE_START : 0;
    if (observed) beginObserved(observed);
    if (paddr >= load<u32>(RAM_SIZE)) {
      // Nothing answers there: the bus reads as all ones.
      memory.fill(WINDOW, 0xff, 32);
      cp = WINDOW;
      length = decodeOne(mode);
    } else if (room >= 15) {
      cp = pageHost + offset;
      length = decodeOne(mode);
    } else {
      memory.copy(WINDOW, pageHost + offset, room);
      memory.fill(WINDOW + room, 0, 32 - room);
      cp = WINDOW;
      length = decodeOne(mode);
      if (length > room) {
        o = first;
        if (count != 0) {
          ending = 0;
          break;
        }
        const second = translateFetch((rip & 0xfffffffffffff000) + 4096);
        if (second + 4096 <= <u64>load<u32>(RAM_SIZE)) memory.copy(WINDOW + room, RAM + <u32>second, 32 - room);
        else memory.fill(WINDOW + room, 0xff, 32 - room);
        if (observed) beginObserved(observed);
        cp = WINDOW;
        length = decodeOne(mode);
        crossedPage = true;
        done = true;
      }
    }
    if (load<u32>(OBSERVE_CALLS) != 0) {
      const transfer = transferKind(first);
      if (transfer != 0) {
        if (observed) store<u32>(first, load<u32>(first, 12) | transfer, 12);
        else insertObserved(first, transfer);
      }
    }
    const nextOffset = offset + length;
    if (ripRelative) store<i32>(ripRelative, load<i32>(ripRelative, 8) + <i32>nextOffset, 8);
    for (let p: usize = first; p < o; p += BYTES) {
      store<u16>(p, offset, 16);
      store<u8>(p, length, 18);
      store<u8>(p, count, 19);
    }
    if (branch) store<u32>(o - BYTES, nextOffset, 20);
    offset = nextOffset;
    count++;
    if (ending) break;
    if (alone || offset >= 4096 || count == most) break;
  }
  if (ending != 1) {
    begin(O.OP_END);
    setAux(offset);
    store<u16>(o, offset, 16);
    store<u8>(o, count, 19);
    push();
  }
  store<u32>(block, paddr, 4);
  store<u16>(block, offset - startOffset, 8);
  store<u16>(block, count, 10);
  store<u32>(block, mode, 12);
  store<u64>(block, 0, 16);
  store<u64>(block, 0, 24);
  return <u32>o;
}

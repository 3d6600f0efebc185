/**
 * What a micro-op does to registers, flags and memory, as far as the compiler has to know it before it writes anything.
 */
import type { Core } from '../cpu/core.ts';
import * as L from '../cpu/layout.ts';
import * as O from '../cpu/ops.ts';
import { vectorOf } from './vector.ts';

export const RCX = 1;
export const RSP = 4;
export const RBP = 5;
/** An operand that is REGS[REG_ZERO], [REG_PAGE], [REG_EA], as byte offsets. */
export const BASE_ZERO = L.REG_ZERO * 8;
export const BASE_PAGE = L.REG_PAGE * 8;
export const BASE_EA = L.REG_EA * 8;

/** Registers that a micro-op reads (bits 0 to 15) and writes (16 to 31). */
const touches = (reads: number, writes: number): number => (reads & 0xffff) | (writes << 16);
export const FLAGS_USE = 1;
export const FLAGS_KILL = 2;

/** What an access does: the bytes of it, and ACCESS_STORES if it stores (and perhaps loads before). 0: there is none. */
export const ACCESS_STORES = 0x100;
export const ACCESS_BYTES = 0xff;

export class Effects {
  private readonly core: Core;

  constructor(core: Core) {
    this.core = core;
  }

  /**
   * Whether registers may be looked at in memory before this micro-op changes any: it may leave, or calls what reads them.
   * isSure: its accesses do not leave.
   */
  isOpaque(p: number, isSure: boolean): boolean {
    const op = this.core.u16[p >>> 1];
    if (op >= O.ADD_RR8 && op <= O.TEST_MI64) return ((op - O.ADD_RR8) % 20 & ~3) >= O.FORM_RM && !isSure;
    if (op >= O.MOVZX_R8_16 && op <= O.MOVSX_M32_64) return isMemoryExtension(op) && !isSure;
    if (op >= O.INC_R8 && op <= O.NOT_M64) return (op & 4) !== (O.INC_R8 & 4) && !isSure;
    if ((op >= O.SHL_RI32 && op <= O.ROR_RI64) || (op >= O.SET_R_O && op <= O.SET_R_G)) return false;
    switch (op) {
      case O.OP_NOP: case O.MOV_RI64_WIDE: case O.LEA_16: case O.LEA_32: case O.LEA_64: case O.CDQE: case O.CWDE: case O.CQO: case O.CDQ: case O.BSWAP32: case O.BSWAP64: case O.XCHG_RR32:
      case O.XCHG_RR64: case O.IMUL_RR32: case O.IMUL_RR64: case O.IMUL_RRI32: case O.IMUL_RRI64: case O.CMOV_RR32: case O.CMOV_RR64: case O.BT_RI32: case O.BT_RI64: case O.BT_RR32: case O.BT_RR64:
        return false;
      case O.PUSH_R64: case O.PUSH_I64: case O.PUSH_M64: case O.POP_R64: case O.LEAVE64: case O.CALL64: case O.IMUL_RM32: case O.IMUL_RM64: case O.IMUL_RMI32: case O.IMUL_RMI64:
      case O.CMOV_RM32: case O.CMOV_RM64: case O.CMPXCHG_MR32: case O.CMPXCHG_MR64: case O.XADD_MR32: case O.XADD_MR64:
        return !isSure;
      default: return true;
    }
  }

  /** Registers of native micro-ops. Helpers work in memory: what they change is read back if it is used, and written back by nobody. */
  registers(p: number): number {
    const { u8, u16 } = this.core;
    const op = u16[p >>> 1];
    const dst = 1 << (u8[p + 2] >>> 3);
    const src = 1 << (u8[p + 3] >>> 3);
    const base = u8[p + 4] >>> 3;
    const index = u8[p + 5] >>> 3;
    const memory = (base < 16 ? 1 << base : 0) | (index < 16 ? 1 << index : 0);
    const both = (registers: number): number => touches(registers, registers);
    if (op >= O.ADD_RR8 && op <= O.TEST_MI64) {
      const form = ((op - O.ADD_RR8) % 20) & ~3;
      const onlyReads = (op >= O.CMP_RR8 && op <= O.CMP_MI64) || op >= O.TEST_RR8;
      if (form === O.FORM_RR) return touches(dst | src, onlyReads ? 0 : dst);
      if (form === O.FORM_RI) return touches(dst, onlyReads ? 0 : dst);
      if (form === O.FORM_RM) return touches(dst | memory, onlyReads ? 0 : dst);
      if (form === O.FORM_MR) return touches(src | memory, 0);
      return touches(memory, 0);
    }
    if (op >= O.MOVZX_R8_16 && op <= O.MOVSX_M32_64) return touches(dst | (isMemoryExtension(op) ? memory : src), dst);
    if (op >= O.INC_R8 && op <= O.NOT_M64) return (op & 4) === (O.INC_R8 & 4) ? both(dst) : touches(memory, 0);
    if (op >= O.SHL_RI32 && op <= O.ROR_RI64) return both(dst);
    if (op >= O.SHL_RC32 && op <= O.SAR_RC64) return touches(dst | (1 << RCX), dst);
    if (op >= O.SET_R_O && op <= O.SET_R_G) return both(dst);
    if (op >= O.JO && op <= O.JG) return touches(0, 0);
    const rsp = 1 << RSP;
    switch (op) {
      case O.IMUL_RR32: case O.IMUL_RR64: case O.CMOV_RR32: case O.CMOV_RR64: return touches(dst | src, dst);
      case O.IMUL_RM32: case O.IMUL_RM64: case O.CMOV_RM32: case O.CMOV_RM64: return touches(dst | memory, dst);
      case O.IMUL_RRI32: case O.IMUL_RRI64: return touches(src | dst, dst);
      case O.IMUL_RMI32: case O.IMUL_RMI64: return touches(memory | dst, dst);
      case O.MOV_RI64_WIDE: return both(dst);
      case O.LEA_16: case O.LEA_32: case O.LEA_64: return touches(memory | dst, dst);
      case O.PUSH_R64: return touches(src | rsp, rsp);
      case O.PUSH_I64: case O.CALL64: case O.RET64: case O.RET64_I: return both(rsp);
      case O.PUSH_M64: case O.CALL_M64: return touches(memory | rsp, rsp);
      case O.POP_R64: return touches(rsp | dst, rsp | dst);
      case O.CALL_R64: return touches(src | rsp, rsp);
      case O.JMP_R64: return touches(src, 0);
      case O.JMP_M64: return touches(memory, 0);
      case O.CDQE: case O.CWDE: return both(1);
      case O.CQO: case O.CDQ: return touches(1 | 4, 4);
      case O.LEAVE64: return touches(rsp | (1 << RBP), rsp | (1 << RBP));
      case O.BSWAP32: case O.BSWAP64: return both(dst);
      case O.XCHG_RR32: case O.XCHG_RR64: return both(dst | src);
      case O.CMPXCHG_MR32: case O.CMPXCHG_MR64: return touches(src | memory | 1, 1);
      case O.XADD_MR32: case O.XADD_MR64: return touches(src | memory, src);
      case O.BT_RI32: case O.BT_RI64: return touches(dst, 0);
      case O.BT_RR32: case O.BT_RR64: return touches(dst | src, 0);
      case O.SSE_MOVAPS_RM: case O.SSE_MOVAPS_MR: case O.SSE_MOVUPS_RM: case O.SSE_MOVUPS_MR: return touches(memory, 0);
      case O.OP_SSE: {
        const vector = vectorOf(this.core.u8, this.core.i32, p, 0);
        if (vector === undefined) return touches(0, 0);
        const bit = (n: number): number => (n < 0 ? 0 : 1 << n);
        return touches((vector.memory === 'none' ? 0 : memory) | bit(vector.readsGpr) | bit(vector.writesGpr), bit(vector.writesGpr));
      }
      default: return touches(0, 0);
    }
  }

  /** Whether a micro-op needs the flags (or shows them to somebody), or sets them all. isSure: its accesses do not leave. */
  flags(p: number, isSure: boolean): number {
    const { u16, u32 } = this.core;
    const op = u16[p >>> 1];
    if (op >= O.ADD_RR8 && op <= O.TEST_MI64) {
      const family = Math.floor((op - O.ADD_RR8) / 20);
      const form = ((op - O.ADD_RR8) % 20) & ~3;
      if (form >= O.FORM_RM && !isSure) return FLAGS_USE;
      if (op >= O.MOV_RR8 && op <= O.MOV_MI64) return 0;
      return family === 2 || family === 3 ? FLAGS_USE : FLAGS_KILL;
    }
    if (op >= O.MOVZX_R8_16 && op <= O.MOVSX_M32_64) return isMemoryExtension(op) && !isSure ? FLAGS_USE : 0;
    if (op >= O.INC_R8 && op <= O.NOT_M64) {
      if ((op & 4) !== (O.INC_R8 & 4) && !isSure) return FLAGS_USE;
      // INC and DEC leave CF: they need the flags before them if theirs are needed.
      return (op >= O.NEG_R8 && op <= O.NEG_R64) || (op >= O.NEG_M8 && op <= O.NEG_M64) ? FLAGS_KILL : 0;
    }
    if (op >= O.SHL_RI32 && op <= O.SAR_RI64) return FLAGS_KILL;
    if (op >= O.ROL_RI32 && op <= O.ROR_RI64) return 0;
    switch (op) {
      case O.OP_NOP: case O.MOV_RI64_WIDE: case O.LEA_16: case O.LEA_32: case O.LEA_64: case O.CDQE: case O.CWDE: case O.CQO: case O.CDQ: case O.BSWAP32: case O.BSWAP64: case O.XCHG_RR32:
      case O.XCHG_RR64: case O.BT_RI32: case O.BT_RI64: case O.BT_RR32: case O.BT_RR64:
        return 0;
      case O.PUSH_R64: case O.PUSH_I64: case O.PUSH_M64: case O.POP_R64: case O.LEAVE64: return isSure ? 0 : FLAGS_USE;
      case O.IMUL_RR32: case O.IMUL_RR64: case O.IMUL_RRI32: case O.IMUL_RRI64: return FLAGS_KILL;
      case O.OP_HELP: return isIdle(u32[(p + 20) >>> 2]) ? 0 : FLAGS_USE;
      default: return FLAGS_USE;
    }
  }

  /** Whether it runs in the core, which may change anything. */
  isCall(p: number): boolean {
    const { u8, u16, u32, i32 } = this.core;
    switch (u16[p >>> 1]) {
      case O.OP_HELP: return !isIdle(u32[(p + 20) >>> 2]);
      case O.OP_HELP_END: case O.OP_HELP_JUMP: case O.OP_EA: case O.OP_X87: case O.OP_MMX: return true;
      case O.OP_SSE: return vectorOf(u8, i32, p, 0) === undefined;
      default: return false;
    }
  }

  /** The access to its operand in memory: bytes, ACCESS_STORES; 0: none, or one that has to be looked up by itself. */
  operandAccess(p: number): number {
    const op = this.core.u16[p >>> 1];
    if (op >= O.ADD_RR8 && op <= O.TEST_MI64) {
      const family = Math.floor((op - O.ADD_RR8) / 20);
      const form = ((op - O.ADD_RR8) % 20) & ~3;
      if (form < O.FORM_RM) return 0;
      const bytes = 1 << (op & 3);
      // CMP and TEST do not store.
      return form === O.FORM_RM || family === 7 || family === 9 ? bytes : bytes | ACCESS_STORES;
    }
    if (op >= O.MOVZX_R8_16 && op <= O.MOVSX_M32_64) return isMemoryExtension(op) ? 1 << extendedFrom(op) : 0;
    if (op >= O.INC_R8 && op <= O.NOT_M64) return (op & 4) === (O.INC_R8 & 4) ? 0 : (1 << (op & 3)) | ACCESS_STORES;
    switch (op) {
      case O.IMUL_RM32: case O.IMUL_RMI32: case O.CMOV_RM32: return 4;
      case O.PUSH_M64: case O.CALL_M64: case O.JMP_M64: case O.IMUL_RM64: case O.IMUL_RMI64: case O.CMOV_RM64: return 8;
      case O.CMPXCHG_MR32: case O.XADD_MR32: return 4 | ACCESS_STORES;
      case O.CMPXCHG_MR64: case O.XADD_MR64: return 8 | ACCESS_STORES;
      case O.SSE_MOVUPS_RM: return 16;
      case O.SSE_MOVUPS_MR: return 16 | ACCESS_STORES;
      default: return 0;
    }
  }
  /** The access to the stack, always 8 bytes: the register that has the address (RSP or RBP) and whether it stores, below that. */
  stackAccess(p: number): { readonly register: number; readonly stores: boolean } | undefined {
    switch (this.core.u16[p >>> 1]) {
      case O.PUSH_R64: case O.PUSH_I64: case O.PUSH_M64: case O.CALL64: case O.CALL_R64: case O.CALL_M64: return PUSHES;
      case O.POP_R64: case O.RET64: case O.RET64_I: return POPS;
      case O.LEAVE64: return LEAVES;
      default: return undefined;
    }
  }
}
const PUSHES = { register: RSP, stores: true };
const POPS = { register: RSP, stores: false };
const LEAVES = { register: RBP, stores: false };

/** Helpers that do nothing at all. */
export function isIdle(helper: number): boolean {
  return helper === O.H_FENCE || helper === O.H_PAUSE;
}

export function isMemoryExtension(op: number): boolean {
  return (op >= O.MOVZX_M8_16 && op <= O.MOVZX_M32_64) || (op >= O.MOVSX_M8_16 && op <= O.MOVSX_M32_64);
}
/** Logarithm of the bytes that MOVZX or MOVSX extends. */
export function extendedFrom(op: number): number {
  return Math.floor(((op - (op >= O.MOVSX_R8_16 ? O.MOVSX_R8_16 : O.MOVZX_R8_16)) % 9) / 3);
}

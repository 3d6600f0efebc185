/**
 * SSE as WebAssembly SIMD, where both give the same bits: moves, logic, integers, shuffles. XMM registers stay in the core's memory.
 *
 * Floating-point arithmetic is not here: WebAssembly has neither MXCSR nor a fixed NaN (core specification 2.0, 4.3.3), so the core's own arithmetic is called. Nor are
 * instructions that set flags (PTEST, COMISS, PCMPxSTRx), and rare ones. An operand in memory is read before anything is written, as the interpreter does.
 */
import * as L from '../cpu/layout.ts';
import { type Code, OP } from './wasm.ts';

/** How an instruction is done without a call. */
export interface Vector {
  /** Its operand in memory, which the translator makes sure of. */
  readonly memory: 'none' | 'load' | 'store';
  readonly bytes: number;
  /** #GP for an address that is no multiple of 16. */
  readonly isAligned: boolean;
  /** Numbers of general registers, or -1. */
  readonly readsGpr: number;
  readonly writesGpr: number;
  /** `at` pushes the operand's host address. General register n is local `registers` + n. */
  readonly emit: (code: Code, at: () => void, registers: number) => void;
}

const V = {
  load: 0, load32Zero: 92, load64Zero: 93, store: 11, constant: 12, shuffle: 13, swizzle: 14, splat8: 15,
  extract16u: 25, replace16: 26, extract64: 29, replace64: 30,
  eq8: 35, gt8s: 39, eq16: 45, gt16s: 49, eq32: 55, gt32s: 59, and: 78, andnot: 79, or: 80, xor: 81,
  abs8: 96, bitmask8: 100, narrow16s: 101, narrow16u: 102, add8: 110, addSat8s: 111, addSat8u: 112, sub8: 113, subSat8s: 114, subSat8u: 115, min8s: 118, min8u: 119, max8s: 120, max8u: 121, avg8: 123,
  abs16: 128, narrow32s: 133, narrow32u: 134, extend8s: 135, extend8u: 137, shl16: 139, shr16s: 140, shr16u: 141, add16: 142, addSat16s: 143, addSat16u: 144, sub16: 145, subSat16s: 146, subSat16u: 147, mul16: 149,
  min16s: 150, min16u: 151, max16s: 152, max16u: 153, avg16: 155,
  abs32: 160, bitmask32: 164, extend16s: 167, extend16u: 169, shl32: 171, shr32s: 172, shr32u: 173, add32: 174, sub32: 177, mul32: 181, min32s: 182, min32u: 183, max32s: 184, max32u: 185, dot16: 186,
  bitmask64: 196, extend32s: 199, extend32u: 201, shl64: 203, shr64u: 205, add64: 206, sub64: 209, eq64: 214, gt64s: 217, mulLow32u: 222,
} as const;

const xmm = (n: number): number => L.XMM + n * 16;
/** Lanes of `width` bytes; numbers from 16 / width on are of the second operand. */
const lanes = (width: number, ...from: readonly number[]): readonly number[] => from.flatMap((lane) => Array.from({ length: width }, (_, i) => lane * width + i));
const shuffle = (bytes: readonly number[]) => (code: Code): void => {
  code.simd(V.shuffle).immediates(...bytes);
};
const constant = (code: Code, bytes: readonly number[]): void => {
  code.simd(V.constant).immediates(...bytes);
};
const zero = (code: Code): void => constant(code, new Array<number>(16).fill(0));

type Emit = (code: Code) => void;

/** Result from two on the stack, the destination's below the operand. */
const TWO: Readonly<Record<number, number | Emit>> = {
  0x014: shuffle(lanes(4, 0, 4, 1, 5)), 0x015: shuffle(lanes(4, 2, 6, 3, 7)), 0x114: shuffle(lanes(8, 0, 2)), 0x115: shuffle(lanes(8, 1, 3)),
  0x054: V.and, 0x154: V.and, 0x1db: V.and, 0x056: V.or, 0x156: V.or, 0x1eb: V.or, 0x057: V.xor, 0x157: V.xor, 0x1ef: V.xor,
  0x160: shuffle([0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23]), 0x161: shuffle(lanes(2, 0, 8, 1, 9, 2, 10, 3, 11)), 0x162: shuffle(lanes(4, 0, 4, 1, 5)), 0x16c: shuffle(lanes(8, 0, 2)),
  0x168: shuffle([8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31]), 0x169: shuffle(lanes(2, 4, 12, 5, 13, 6, 14, 7, 15)), 0x16a: shuffle(lanes(4, 2, 6, 3, 7)), 0x16d: shuffle(lanes(8, 1, 3)),
  0x163: V.narrow16s, 0x167: V.narrow16u, 0x16b: V.narrow32s, 0x52b: V.narrow32u,
  0x164: V.gt8s, 0x165: V.gt16s, 0x166: V.gt32s, 0x537: V.gt64s, 0x174: V.eq8, 0x175: V.eq16, 0x176: V.eq32, 0x529: V.eq64,
  0x1fc: V.add8, 0x1fd: V.add16, 0x1fe: V.add32, 0x1d4: V.add64, 0x1f8: V.sub8, 0x1f9: V.sub16, 0x1fa: V.sub32, 0x1fb: V.sub64,
  0x1ec: V.addSat8s, 0x1ed: V.addSat16s, 0x1dc: V.addSat8u, 0x1dd: V.addSat16u, 0x1e8: V.subSat8s, 0x1e9: V.subSat16s, 0x1d8: V.subSat8u, 0x1d9: V.subSat16u,
  0x1da: V.min8u, 0x1de: V.max8u, 0x1ea: V.min16s, 0x1ee: V.max16s, 0x538: V.min8s, 0x539: V.min32s, 0x53a: V.min16u, 0x53b: V.min32u, 0x53c: V.max8s, 0x53d: V.max32s, 0x53e: V.max16u, 0x53f: V.max32u,
  0x1e0: V.avg8, 0x1e3: V.avg16, 0x1d5: V.mul16, 0x540: V.mul32, 0x1f5: V.dot16,
  // Bit 7 of an index clears the byte; other high bits do not count.
  0x500: (code) => {
    constant(code, new Array<number>(16).fill(0x8f));
    code.simd(V.and).simd(V.swizzle);
  },
};
/** Result from the operand alone, which is on the stack. */
const ONE: Readonly<Record<number, number>> = { 0x51c: V.abs8, 0x51d: V.abs16, 0x51e: V.abs32 };
/** PMOVSX and PMOVZX between registers: one widening after another. */
const EXTEND: Readonly<Record<number, readonly number[]>> = {
  0x520: [V.extend8s], 0x521: [V.extend8s, V.extend16s], 0x522: [V.extend8s, V.extend16s, V.extend32s], 0x523: [V.extend16s], 0x524: [V.extend16s, V.extend32s], 0x525: [V.extend32s],
  0x530: [V.extend8u], 0x531: [V.extend8u, V.extend16u], 0x532: [V.extend8u, V.extend16u, V.extend32u], 0x533: [V.extend16u], 0x534: [V.extend16u, V.extend32u], 0x535: [V.extend32u],
};
const four = (imm: number): number[] => [imm & 3, (imm >> 2) & 3, (imm >> 4) & 3, (imm >> 6) & 3];
/** As TWO, by an immediate byte. */
const TWO_BY_IMMEDIATE: Readonly<Record<number, (imm: number) => Emit>> = {
  0x0c6: (imm) => shuffle(lanes(4, ...four(imm).map((lane, i) => lane + (i < 2 ? 0 : 4)))),
  0x1c6: (imm) => shuffle(lanes(8, imm & 1, 2 + ((imm >> 1) & 1))),
  // The destination is above the operand, what is past both is zero.
  0x90f: (imm) => (code) => {
    if (imm >= 32) {
      code.op(OP.drop).op(OP.drop);
      zero(code);
    } else if (imm >= 16) {
      code.op(OP.drop);
      zero(code);
      shuffle(Array.from({ length: 16 }, (_, i) => imm - 16 + i))(code);
    } else shuffle(Array.from({ length: 16 }, (_, i) => (imm + i < 16 ? 16 + imm + i : imm + i - 16)))(code);
  },
};
/** As ONE, by an immediate byte: both operands of the shuffle are the one. */
const SHUFFLES: Readonly<Record<number, (imm: number) => readonly number[]>> = {
  0x170: (imm) => lanes(4, ...four(imm)),
  0x370: (imm) => lanes(2, ...four(imm), 4, 5, 6, 7),
  0x270: (imm) => lanes(2, 0, 1, 2, 3, ...four(imm).map((lane) => 4 + lane)),
};
/** Shifts by the low 64 bits of the operand: the operation, bits of a lane, whether a large count leaves the sign. */
const SHIFTS: Readonly<Record<number, readonly [number, number, boolean]>> = {
  0x1d1: [V.shr16u, 16, false], 0x1d2: [V.shr32u, 32, false], 0x1d3: [V.shr64u, 64, false], 0x1e1: [V.shr16s, 16, true], 0x1e2: [V.shr32s, 32, true],
  0x1f1: [V.shl16, 16, false], 0x1f2: [V.shl32, 32, false], 0x1f3: [V.shl64, 64, false],
};
/** Shifts by an immediate: opcode << 3 | ModRM.reg. */
const SHIFTS_BY_IMMEDIATE: Readonly<Record<number, readonly [number, number, boolean]>> = {
  [(0x71 << 3) | 2]: [V.shr16u, 16, false], [(0x71 << 3) | 4]: [V.shr16s, 16, true], [(0x71 << 3) | 6]: [V.shl16, 16, false],
  [(0x72 << 3) | 2]: [V.shr32u, 32, false], [(0x72 << 3) | 4]: [V.shr32s, 32, true], [(0x72 << 3) | 6]: [V.shl32, 32, false],
  [(0x73 << 3) | 2]: [V.shr64u, 64, false], [(0x73 << 3) | 6]: [V.shl64, 64, false],
};

const NO_GPR = { readsGpr: -1, writesGpr: -1 } as const;

/** The SSE micro-op at p, or undefined where the core is called. scratch: a local of 64 bits. */
export function vectorOf(u8: Uint8Array, i32: Int32Array, p: number, scratch: number): Vector | undefined {
  const id = i32[(p + 20) >>> 2];
  const reg = u8[p + 2];
  const rm = u8[p + 3];
  const control = i32[(p + 12) >>> 2];
  const imm = control & 0xff;
  const isWide = (control & 0x100) !== 0;
  const isMem = (control & 0x10000) === 0;
  /** xmm[reg] from an operand of 16 bytes, aligned in memory. */
  const full = (emit: (code: Code, operand: () => void) => void, isAligned = true): Vector => ({
    memory: isMem ? 'load' : 'none', bytes: 16, isAligned, ...NO_GPR,
    emit: (code, at) => {
      code.i32(0);
      emit(code, () => {
        if (isMem) at();
        else code.i32(0);
        code.simdMemory(V.load, isMem ? 0 : xmm(rm));
      });
      code.simdMemory(V.store, xmm(reg));
    },
  });
  /** A register or part of it to where `write` puts it, without memory. */
  const inside = (emit: Vector['emit'], gpr: Partial<Pick<Vector, 'readsGpr' | 'writesGpr'>> = {}): Vector => ({ memory: 'none', bytes: 0, isAligned: false, ...NO_GPR, ...gpr, emit });
  const load = (bytes: number, emit: (code: Code, at: () => void) => void): Vector => ({ memory: 'load', bytes, isAligned: false, ...NO_GPR, emit });
  const store = (bytes: number, isAligned: boolean, emit: (code: Code) => void): Vector => ({
    memory: 'store', bytes, isAligned, ...NO_GPR,
    emit: (code, at) => {
      at();
      emit(code);
    },
  });
  const push = (code: Code, n: number): Code => code.i32(0).simdMemory(V.load, xmm(n));
  const copy = (to: number, from: number): Vector => inside((code) => code.i32(0).i32(0).simdMemory(V.load, xmm(from)).simdMemory(V.store, xmm(to)));
  const merge = (to: number, from: number, bytes: readonly number[]): Vector =>
    inside((code) => {
      code.i32(0);
      push(push(code, to), from);
      shuffle(bytes)(code);
      code.simdMemory(V.store, xmm(to));
    });
  const mask = (operation: number): Vector => inside((code, _, registers) => push(code, rm).simd(operation).op(OP.i64ExtendI32U).set(registers + reg), { writesGpr: reg });

  const two = TWO[id];
  if (two !== undefined) {
    return full((code, operand) => {
      push(code, reg);
      operand();
      if (typeof two === 'number') code.simd(two);
      else two(code);
    });
  }
  const one = ONE[id];
  if (one !== undefined) {
    return full((code, operand) => {
      operand();
      code.simd(one);
    });
  }
  const shuffled = SHUFFLES[id];
  if (shuffled !== undefined) {
    return full((code, operand) => {
      operand();
      zero(code);
      shuffle(shuffled(imm))(code);
    });
  }
  const byImmediate = TWO_BY_IMMEDIATE[id];
  if (byImmediate !== undefined) {
    return full((code, operand) => {
      push(code, reg);
      operand();
      byImmediate(imm)(code);
    });
  }
  const shift = SHIFTS[id];
  if (shift !== undefined) {
    const [operation, bits, isSigned] = shift;
    return full((code, operand) => {
      push(code, reg);
      operand();
      code.simd(V.extract64).immediates(0).set(scratch);
      if (isSigned) code.get(scratch).i64(bits - 1).get(scratch).i64(bits).op(OP.i64LtU).op(OP.select).op(OP.i32WrapI64).simd(operation);
      else {
        code.get(scratch).op(OP.i32WrapI64).simd(operation);
        zero(code);
        code.get(scratch).i64(bits).op(OP.i64LtU).op(OP.select);
      }
    });
  }
  const extend = EXTEND[id];
  if (extend !== undefined) {
    return isMem ? undefined : inside((code) => {
      push(code.i32(0), rm);
      for (const each of extend) code.simd(each);
      code.simdMemory(V.store, xmm(reg));
    });
  }
  switch (id) {
    // ANDNPS, ANDNPD, PANDN: not the destination, and the operand.
    case 0x055: case 0x155: case 0x1df:
      return full((code, operand) => {
        operand();
        push(code, reg).simd(V.andnot);
      });
    // PMULUDQ
    case 0x1f4:
      return full((code, operand) => {
        const even = shuffle(lanes(4, 0, 2, 0, 2));
        push(push(code, reg), reg);
        even(code);
        operand();
        operand();
        even(code);
        code.simd(V.mulLow32u);
      });
    case 0x028: case 0x128: case 0x16f: case 0x52a: return full((_, operand) => operand());
    case 0x010: case 0x110: case 0x26f: case 0x3f0: return full((_, operand) => operand(), false);
    case 0x029: case 0x129: case 0x17f: case 0x02b: case 0x12b: case 0x1e7:
      return isMem ? store(16, true, (code) => push(code, reg).simdMemory(V.store, 0)) : copy(rm, reg);
    case 0x011: case 0x111: case 0x27f: return isMem ? store(16, false, (code) => push(code, reg).simdMemory(V.store, 0)) : copy(rm, reg);
    // MOVSS, MOVSD
    case 0x210: case 0x310: {
      const bytes = id === 0x210 ? 4 : 8;
      if (!isMem) return merge(reg, rm, id === 0x210 ? lanes(4, 4, 1, 2, 3) : lanes(8, 2, 1));
      return load(bytes, (code, at) => {
        code.i32(0);
        at();
        code.simdMemory(bytes === 4 ? V.load32Zero : V.load64Zero, 0).simdMemory(V.store, xmm(reg));
      });
    }
    case 0x211: case 0x311:
      if (!isMem) return merge(rm, reg, id === 0x211 ? lanes(4, 4, 1, 2, 3) : lanes(8, 2, 1));
      return store(id === 0x211 ? 4 : 8, false, (code) => code.i32(0).memory(OP.i64Load, xmm(reg)).memory(id === 0x211 ? OP.i64Store32 : OP.i64Store, 0));
    // MOVLPS, MOVHLPS, MOVLPD; MOVHPS, MOVLHPS, MOVHPD
    case 0x012: case 0x112: case 0x016: case 0x116: {
      const lane = id === 0x012 || id === 0x112 ? 0 : 1;
      if (!isMem) return merge(reg, rm, lane === 0 ? lanes(8, 3, 1) : lanes(8, 0, 2));
      return load(8, (code, at) => {
        push(code.i32(0), reg);
        at();
        code.memory(OP.i64Load, 0).simd(V.replace64).immediates(lane).simdMemory(V.store, xmm(reg));
      });
    }
    case 0x013: case 0x113: return store(8, false, (code) => code.i32(0).memory(OP.i64Load, xmm(reg)).memory(OP.i64Store, 0));
    case 0x017: case 0x117: return store(8, false, (code) => code.i32(0).memory(OP.i64Load, xmm(reg) + 8).memory(OP.i64Store, 0));
    // MOVD, MOVQ
    case 0x16e: {
      const rest = (code: Code, value: () => void): void => {
        code.i32(0);
        zero(code);
        value();
        code.simd(V.replace64).immediates(0).simdMemory(V.store, xmm(reg));
      };
      if (!isMem) {
        return inside((code, _, registers) => rest(code, () => {
          code.get(registers + rm);
          if (!isWide) code.op(OP.i32WrapI64).op(OP.i64ExtendI32U);
        }), { readsGpr: rm });
      }
      return load(isWide ? 8 : 4, (code, at) => rest(code, () => {
        at();
        code.memory(isWide ? OP.i64Load : OP.i64Load32U, 0);
      }));
    }
    case 0x17e: {
      const value = (code: Code): Code => code.i32(0).memory(isWide ? OP.i64Load : OP.i64Load32U, xmm(reg));
      if (!isMem) return inside((code, _, registers) => value(code).set(registers + rm), { writesGpr: rm });
      return store(isWide ? 8 : 4, false, (code) => value(code).memory(isWide ? OP.i64Store : OP.i64Store32, 0));
    }
    case 0x27e: case 0x1d6: {
      if (id === 0x1d6 && isMem) return store(8, false, (code) => code.i32(0).memory(OP.i64Load, xmm(reg)).memory(OP.i64Store, 0));
      if (isMem) {
        return load(8, (code, at) => {
          code.i32(0);
          at();
          code.simdMemory(V.load64Zero, 0).simdMemory(V.store, xmm(reg));
        });
      }
      const [to, from] = id === 0x1d6 ? [rm, reg] : [reg, rm];
      return inside((code) => code.i32(0).i32(0).simdMemory(V.load64Zero, xmm(from)).simdMemory(V.store, xmm(to)));
    }
    case 0x1d7: return mask(V.bitmask8);
    case 0x050: return mask(V.bitmask32);
    case 0x150: return mask(V.bitmask64);
    // PINSRW, PEXTRW
    case 0x1c4: {
      const rest = (code: Code, value: () => void): void => {
        push(code.i32(0), reg);
        value();
        code.simd(V.replace16).immediates(imm & 7).simdMemory(V.store, xmm(reg));
      };
      if (!isMem) return inside((code, _, registers) => rest(code, () => code.get(registers + rm).op(OP.i32WrapI64)), { readsGpr: rm });
      return load(2, (code, at) => rest(code, () => {
        at();
        code.memory(OP.i32Load16U, 0);
      }));
    }
    case 0x1c5:
      return inside((code, _, registers) => {
        push(code, rm).simd(V.extract16u).immediates(imm & 7).op(OP.i64ExtendI32U).set(registers + reg);
      }, { writesGpr: reg });
    // Shifts by an immediate; the register is rm.
    case 0x171: case 0x172: case 0x173: {
      const kind = ((id & 0xff) << 3) | (reg & 7);
      const known = SHIFTS_BY_IMMEDIATE[kind];
      return inside((code) => {
        code.i32(0);
        if (known !== undefined) {
          const [operation, bits, isSigned] = known;
          if (imm >= bits && !isSigned) zero(code);
          else push(code, rm).i32(Math.min(imm, bits - 1)).simd(operation);
        } else {
          // PSRLDQ, PSLLDQ: whole bytes.
          const n = Math.min(imm, 16);
          push(code, rm);
          zero(code);
          shuffle(Array.from({ length: 16 }, (_, i) => (kind === ((0x73 << 3) | 3) ? (i + n < 16 ? i + n : 16) : i >= n ? i - n : 16)))(code);
        }
        code.simdMemory(V.store, xmm(rm));
      });
    }
    default: return undefined;
  }
}

/**
 * Runs the x87 and MMX code of the interpreter by itself: compiled with a flat memory in place of engine/cpu/assembly/memory.ts,
 * one instruction a case, in the line format of generate.c.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import * as layout from "../../../engine/cpu/layout.js";

export const root = (() => {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package-lock.json"))) folder = dirname(folder);
  return folder;
})();
export const folder = join(root, "test/conformance/x87");

const ASSEMBLY = "engine/cpu/assembly/";
const ENTRY = `${ASSEMBLY}x87-conformance.ts`;
const replaced = new Map<string, string>([
  [ENTRY, `
    export { x87Reg, x87Mem, x87Wait, x87Init, fpuTagFull, fpuSetTagFull } from "./x87";
    export { mmxOp, mmxExists, mmxHasImm8 } from "./mmx";
    export { setLimit } from "./memory";
  `],
  [`${ASSEMBLY}memory.ts`, `
    // @ts-ignore: decorator
    @external("env", "fault") declare function fault(): void;
    let limit: u64 = u64.MAX_VALUE;
    export function setLimit(address: u64): void { limit = address; }
    // @ts-ignore: decorator
    @inline function check(ea: u64, n: u64): void { if (ea + n > limit) fault(); }
    export function ld8(ea: u64): u32 { check(ea, 1); return load<u8>(<usize>ea); }
    export function ld16(ea: u64): u32 { check(ea, 2); return load<u16>(<usize>ea); }
    export function ld32(ea: u64): u32 { check(ea, 4); return load<u32>(<usize>ea); }
    export function ld64(ea: u64): u64 { check(ea, 8); return load<u64>(<usize>ea); }
    export function st8(ea: u64, value: u32): void { check(ea, 1); store<u8>(<usize>ea, <u8>value); }
    export function st16(ea: u64, value: u32): void { check(ea, 2); store<u16>(<usize>ea, <u16>value); }
    export function st32(ea: u64, value: u32): void { check(ea, 4); store<u32>(<usize>ea, value); }
    export function st64(ea: u64, value: u64): void { check(ea, 8); store<u64>(<usize>ea, value); }
    export function probeWrite(ea: u64, length: u32): void { check(ea, length); }
  `],
  [`${ASSEMBLY}exceptions.ts`, `
    import { RIP } from "../layout";
    // @ts-ignore: decorator
    @external("env", "raise") export declare function raise(vector: u32): void;
    export function currentRip(): u64 { return load<u64>(RIP); }
  `],
]);

interface Exports {
  x87Reg(opcode: number, modrm: number): void;
  x87Mem(opcode: number, modrm: number, ea: bigint, opsize: number): void;
  x87Wait(): void;
  mmxOp(opcode: number, reg: number, rm: number, isMem: number, ea: bigint, imm: number, flags: number): void;
  mmxExists(opcode: number, reg: number, isMem: number): number;
  mmxHasImm8(opcode: number): number;
  fpuTagFull(): number;
  fpuSetTagFull(tags: number): void;
  setLimit(address: bigint): void;
}

/** Thrown through the WebAssembly frames, as the machine does for a fault. */
export class Unwound extends Error {
  readonly vector: number;
  constructor(vector: number) {
    super(`vector ${vector}`);
    this.vector = vector;
  }
}

export const OPERAND = 0x8000_0;
export const OPERAND_SIZE = 112;
export const PAGE_FAULT = 14;

export class Fpu {
  readonly exports: Exports;
  readonly memory: WebAssembly.Memory;
  readonly view: DataView;
  readonly bytes: Uint8Array;

  constructor(module: WebAssembly.Module) {
    this.memory = new WebAssembly.Memory({ initial: 16 });
    const instance = new WebAssembly.Instance(module, {
      env: {
        memory: this.memory,
        raise: (vector: number) => { throw new Unwound(vector); },
        fault: () => { throw new Unwound(PAGE_FAULT); },
        abort: () => { throw new Error("abort"); },
      },
    });
    this.exports = instance.exports as unknown as Exports;
    this.view = new DataView(this.memory.buffer);
    this.bytes = new Uint8Array(this.memory.buffer);
  }

  static async build(): Promise<Fpu> {
    const { default: asc } = await import("assemblyscript/asc");
    let binary: Uint8Array | undefined;
    const { error, stderr } = await asc.main(
      [ENTRY, "--outFile", "x87.wasm", "-O3", "--runtime", "stub", "--importMemory", "--noExportMemory", "--memoryBase", "16384",
        "--enable", "simd", "--noAssert", "--bindings", "none", "--baseDir", root],
      {
        readFile: (name: string, base: string) => {
          const path = resolve(base, name);
          const own = replaced.get(path.slice(root.length + 1));
          if (own !== undefined) return own;
          return existsSync(path) ? readFileSync(path, "utf8") : null;
        },
        writeFile: (_name: string, contents: Uint8Array | string) => {
          if (typeof contents !== "string") binary = contents;
        },
        listFiles: () => [],
      },
    );
    if (error || !binary) throw new Error(`the x87 does not compile: ${error?.message}\n${stderr.toString()}`);
    return new Fpu(new WebAssembly.Module(binary as Uint8Array<ArrayBuffer>));
  }
}

// ---- cases ----

const toHex = (n: number | bigint): string => n.toString(16);
const usualSe = (i: number): number => 0x4000 + i;
const usualSig = (i: number): bigint => 0x8000000000000000n | BigInt(i);
const SIGNAL_OF_VECTOR: ReadonlyMap<number, number> = new Map([[6, 4], [16, 8]]);

/** OF SF ZF AF PF CF from the lazy flags of layout.ts. */
function readFlags(view: DataView): number {
  const result = view.getBigUint64(layout.FLAG_RESULT, true), aux = view.getBigUint64(layout.FLAG_AUX, true);
  let ones = 0;
  for (let b = Number(result & 0xffn); b !== 0; b >>= 1) ones += b & 1;
  const cf = Number(aux >> 63n), of = cf ^ Number(aux >> 62n & 1n);
  const sf = Number(result >> 63n) ^ Number(aux & 1n), pf = (ones & 1) ^ 1 ^ Number(aux >> 1n & 1n);
  return of << 11 | sf << 7 | (result === 0n ? 0x40 : 0) | Number(aux >> 3n & 1n) << 4 | pf << 2 | cf;
}

function writeFlags(view: DataView, flags: number): void {
  const result = flags & 0x40 ? 0n : 1n;
  const pf = flags >> 2 & 1, naturalPf = result === 0n ? 1 : 0;
  const cf = flags & 1, of = flags >> 11 & 1;
  view.setBigUint64(layout.FLAG_RESULT, result, true);
  view.setBigUint64(layout.FLAG_AUX,
    BigInt(cf) << 63n | BigInt(cf ^ of) << 62n | BigInt(flags >> 4 & 1) << 3n | BigInt(flags >> 7 & 1) | BigInt(pf ^ naturalPf) << 1n, true);
}

/** Runs the left side of a line and returns its right side as the host printed it and as we have it. */
export function runLine(fpu: Fpu, line: string): { readonly expected: string; readonly actual: string } {
  const { view, bytes } = fpu;
  const [left, expected] = line.split(" > ") as [string, string];
  const [code, fcw, fsw, ftw, regs, mem, rax, rflags] = left.split(" ") as [string, string, string, string, string, string, string, string];

  view.setUint16(layout.FCW, parseInt(fcw, 16), true);
  view.setUint16(layout.FSW, parseInt(fsw, 16), true);
  view.setUint8(layout.FTW, parseInt(ftw, 16));
  view.setUint16(layout.FOP, 0x123, true);
  view.setBigUint64(layout.FIP, 0x11223344n, true);
  view.setBigUint64(layout.FDP, 0x55667788n, true);
  for (let i = 0; i < 8; i++) {
    view.setBigUint64(layout.FPR + 16 * i, usualSig(i), true);
    view.setUint16(layout.FPR + 16 * i + 8, usualSe(i), true);
  }
  if (regs !== "-") {
    for (const entry of regs.split(",")) {
      const i = Number(entry[0]);
      view.setUint16(layout.FPR + 16 * i + 8, parseInt(entry.slice(2, 6), 16), true);
      view.setBigUint64(layout.FPR + 16 * i, BigInt(`0x${entry.slice(6)}`), true);
    }
  }
  bytes.fill(0x5a, OPERAND, OPERAND + OPERAND_SIZE);
  if (mem !== "-") for (let i = 0; i < mem.length; i += 2) bytes[OPERAND + i / 2] = parseInt(mem.slice(i, i + 2), 16);
  view.setBigUint64(layout.REGS, BigInt(`0x${rax}`), true);
  const flags = parseInt(rflags, 16);
  writeFlags(view, flags);

  const regsBefore = bytes.slice(layout.FPR, layout.FPR + 128);
  const memBefore = bytes.slice(OPERAND, OPERAND + OPERAND_SIZE);
  let signal = 0;
  try {
    execute(fpu, code);
  } catch (error) {
    if (!(error instanceof Unwound)) throw error;
    signal = SIGNAL_OF_VECTOR.get(error.vector) ?? -error.vector;
  }

  const changed: string[] = [];
  for (let i = 0; i < 8; i++) {
    let same = true;
    for (let k = 0; k < 10; k++) same &&= bytes[layout.FPR + 16 * i + k] === regsBefore[16 * i + k];
    if (same) continue;
    const se = view.getUint16(layout.FPR + 16 * i + 8, true), sig = view.getBigUint64(layout.FPR + 16 * i, true);
    changed.push(`${i}=${se.toString(16).padStart(4, "0")}${sig.toString(16).padStart(16, "0")}`);
  }
  let length = OPERAND_SIZE;
  while (length > 0 && bytes[OPERAND + length - 1] === memBefore[length - 1]) length--;
  let memAfter = "";
  for (let i = 0; i < length; i++) memAfter += bytes[OPERAND + i].toString(16).padStart(2, "0");
  const raxAfter = toHex(view.getBigUint64(layout.REGS, true));
  const flagsAfter = readFlags(view);
  const actual = [
    signal, toHex(view.getUint16(layout.FCW, true)), toHex(view.getUint16(layout.FSW, true)), toHex(view.getUint8(layout.FTW)),
    changed.length ? changed.join(",") : "-", memAfter || "-", raxAfter === rax ? "-" : raxAfter, flagsAfter === flags ? "-" : toHex(flagsAfter),
  ].join(" ");
  return { expected, actual };
}

function execute(fpu: Fpu, code: string): void {
  const { exports } = fpu;
  const ea = BigInt(OPERAND);
  let at = 0, opsize = 4, rexW = 0;
  const next = (): number => parseInt(code.slice(at, at += 2), 16);
  let byte = next();
  if (byte === 0x66) {
    opsize = 2;
    byte = next();
  }
  if (byte === 0x48) {
    rexW = 1;
    byte = next();
  }
  if (byte !== 0x0f) {
    const modrm = next();
    if (modrm >= 0xc0) exports.x87Reg(byte - 0xd8, modrm);
    else exports.x87Mem(byte - 0xd8, modrm, ea, opsize);
    return;
  }
  let opcode = next();
  if (opcode === 0x38 || opcode === 0x3a) opcode = opcode << 8 | next();
  if (opcode === 0x77) {
    exports.mmxOp(opcode, 0, 0, 0, 0n, 0, 0);
    return;
  }
  const modrm = next();
  const hasImm = at < code.length;
  if (exports.mmxHasImm8(opcode) !== Number(hasImm)) throw new Error(`mmxHasImm8(${opcode.toString(16)})`);
  if (!exports.mmxExists(opcode, modrm >> 3 & 7, modrm < 0xc0 ? 1 : 0)) throw new Unwound(6);
  const imm = hasImm ? next() : 0;
  exports.mmxOp(opcode, modrm >> 3 & 7, modrm & 7, modrm < 0xc0 ? 1 : 0, ea, imm, rexW);
}

// ---- names, for reports ----

const MEMORY_NAMES = `
  FADD m32|FMUL m32|FCOM m32|FCOMP m32|FSUB m32|FSUBR m32|FDIV m32|FDIVR m32
  FLD m32|-|FST m32|FSTP m32|FLDENV|FLDCW|FNSTENV|FNSTCW
  FIADD m32|FIMUL m32|FICOM m32|FICOMP m32|FISUB m32|FISUBR m32|FIDIV m32|FIDIVR m32
  FILD m32|FISTTP m32|FIST m32|FISTP m32|-|FLD m80|-|FSTP m80
  FADD m64|FMUL m64|FCOM m64|FCOMP m64|FSUB m64|FSUBR m64|FDIV m64|FDIVR m64
  FLD m64|FISTTP m64|FST m64|FSTP m64|FRSTOR|-|FNSAVE|FNSTSW m16
  FIADD m16|FIMUL m16|FICOM m16|FICOMP m16|FISUB m16|FISUBR m16|FIDIV m16|FIDIVR m16
  FILD m16|FISTTP m16|FIST m16|FISTP m16|FBLD|FILD m64|FBSTP|FISTP m64
`.trim().split(/\n/).flatMap((row) => row.trim().split("|"));
const REGISTER_NAMES = `
  FADD ST0,STi|FMUL ST0,STi|FCOM STi|FCOMP STi|FSUB ST0,STi|FSUBR ST0,STi|FDIV ST0,STi|FDIVR ST0,STi
  FLD STi|FXCH STi|FNOP|FSTPNCE|-|-|-|-
  FCMOVB|FCMOVE|FCMOVBE|FCMOVU|-|FUCOMPP|-|-
  FCMOVNB|FCMOVNE|FCMOVNBE|FCMOVNU|FNCLEX FNINIT FENI FDISI FSETPM|FUCOMI|FCOMI|-
  FADD STi,ST0|FMUL STi,ST0|FCOM2|FCOMP3|FSUBR STi,ST0|FSUB STi,ST0|FDIVR STi,ST0|FDIV STi,ST0
  FFREE|FXCH4|FST STi|FSTP STi|FUCOM STi|FUCOMP STi|-|-
  FADDP|FMULP|FCOMP5|FCOMPP|FSUBRP|FSUBP|FDIVRP|FDIVP
  FFREEP|FXCH7|FSTP8|FSTP9|FNSTSW AX|FUCOMIP|FCOMIP|-
`.trim().split(/\n/).flatMap((row) => row.trim().split("|"));
const D9_NAMES = `FCHS FABS - - FTST FXAM - - FLD1 FLDL2T FLDL2E FLDPI FLDLG2 FLDLN2 FLDZ -
  F2XM1 FYL2X FPTAN FPATAN FXTRACT FPREM1 FDECSTP FINCSTP FPREM FYL2XP1 FSQRT FSINCOS FRNDINT FSCALE FSIN FCOS`.split(/\s+/);

export const TRANSCENDENTALS: ReadonlySet<string> = new Set(["F2XM1", "FYL2X", "FYL2XP1", "FPTAN", "FPATAN", "FSIN", "FCOS", "FSINCOS"]);

export function nameOf(line: string): string {
  const code = line.slice(0, line.indexOf(" ")).replace(/^(66|48)/, "");
  if (code.startsWith("0f")) return code.slice(0, /^0f3[8a]/.test(code) ? 6 : 4);
  const opcode = parseInt(code.slice(0, 2), 16) - 0xd8, modrm = parseInt(code.slice(2, 4), 16), reg = modrm >> 3 & 7;
  let name = (modrm < 0xc0 ? MEMORY_NAMES : REGISTER_NAMES)[opcode * 8 + reg];
  if (modrm >= 0xe0 && opcode === 1) name = D9_NAMES[modrm - 0xe0];
  return name === "-" ? "undefined" : name;
}

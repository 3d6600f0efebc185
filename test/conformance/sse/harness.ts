/**
 * Builds the SSE code alone and runs cases of generate.c through it.
 *
 * The sources are copied to a folder of their own with flat-memory stand-ins for ./memory, ./exceptions and ./mmx, since a case needs
 * neither paging nor a decoder; `raise` unwinds by a host exception as in the real core.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CR4, FPR, MXCSR, REGS, XMM } from "../../../engine/cpu/layout.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const here = join(root, "test/conformance/sse");

const MEMORY_STAND_IN = `
export function ld8(a: u64): u32 { return load<u8>(<usize>a); }
export function ld16(a: u64): u32 { return load<u16>(<usize>a); }
export function ld32(a: u64): u32 { return load<u32>(<usize>a); }
export function ld64(a: u64): u64 { return load<u64>(<usize>a); }
export function ld128(a: u64): v128 { return v128.load(<usize>a); }
export function st8(a: u64, v: u32): void { store<u8>(<usize>a, <u8>v); }
export function st16(a: u64, v: u32): void { store<u16>(<usize>a, <u16>v); }
export function st32(a: u64, v: u32): void { store<u32>(<usize>a, v); }
export function st64(a: u64, v: u64): void { store<u64>(<usize>a, v); }
export function st128(a: u64, v: v128): void { v128.store(<usize>a, v); }
export function probeWrite(a: u64, length: u32): void { load<u8>(<usize>a); load<u8>(<usize>a + length - 1); }
`;
const EXCEPTIONS_STAND_IN = `
@external("env", "raise")
declare function hostRaise(vector: u32): void;
export function raise(vector: u32): void { hostRaise(vector); }
export function raiseError(vector: u32, error: u32): void { hostRaise(vector); }
`;
const MMX_STAND_IN = `
import { FSW, FTW } from "../layout";
import { raise } from "./exceptions";
export function mmxEnter(): void {
  if ((load<u16>(FSW) & 0x80) != 0) raise(16);
  store<u16>(FSW, load<u16>(FSW) & 0xc7ff);
  store<u8>(FTW, 0xff);
}
`;

/** struct record of generate.c */
export const RECORD_SIZE = 272;
export const IN = 16;
export const OUT = 144;
export const X0 = 0, GPR = 48, MM = 72, MX = 88, FL = 92, MEM = 96;
/** Where a case's 32 bytes of memory are in the core's linear memory. */
const MEMORY = 0x10000;

interface SseExports {
  op(id: number, reg: number, rm: number, isMem: number, ea: number, imm: number, flags: number): void;
  loadMxcsr(value: number): void;
  putFlags(flags: number): void;
  takeFlags(): number;
  sseExists(id: number, reg: number, isMem: number): number;
  sseHasImm8(id: number): number;
}

class Trap extends Error {
  readonly vector: number;
  constructor(vector: number) {
    super(`vector ${vector}`);
    this.vector = vector;
  }
}

export interface Core {
  readonly exports: SseExports;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Runs the case at `offset` of `records`; writes the core's outcome to `outcome` (state of 128 bytes) and returns the trap. */
  run(records: Uint8Array, offset: number, outcome: Uint8Array): number;
  /** Calls `body` and returns the vector it raised, 0 for none. */
  trapOf(body: () => void): number;
}

const FLAGS = [
  "-O3", "--noAssert", "--runtime", "stub", "--importMemory", "--noExportMemory", "--memoryBase", "16384", "--bindings", "none", "--disableWarning", "112",
  ...["simd", "bulk-memory", "sign-extension", "nontrapping-f2i", "mutable-globals"].flatMap((x) => ["--enable", x])
];

/** The SSE code as a module. Compiling takes some ten seconds, so what the same sources, flags and compiler made is kept in build/sse. */
function builtCode(): Uint8Array<ArrayBuffer> {
  const source = join(root, "engine/cpu/assembly");
  const sources = new Map([["layout.ts", readFileSync(join(root, "engine/cpu/layout.ts"), "utf8")], ["assembly/entry.ts", readFileSync(join(here, "entry.ts"), "utf8")]]);
  for (const name of readdirSync(source).sort()) {
    if (/^(sse.*|softfloat64.*|softfloat-core)\.ts$/.test(name)) sources.set(`assembly/${name}`, readFileSync(join(source, name), "utf8"));
  }
  sources.set("assembly/memory.ts", MEMORY_STAND_IN).set("assembly/exceptions.ts", EXCEPTIONS_STAND_IN).set("assembly/mmx.ts", MMX_STAND_IN);
  const compiler = join(root, "node_modules/assemblyscript");
  const { version } = JSON.parse(readFileSync(join(compiler, "package.json"), "utf8")) as { version: string };
  const key = createHash("sha256").update(JSON.stringify([version, FLAGS, ...sources])).digest("hex").slice(0, 16);
  const kept = join(root, "build/sse", `${key}.wasm`);
  if (existsSync(kept)) return readFileSync(kept);
  const folder = join(root, "build/sse", `${key}-${process.pid}`);
  mkdirSync(join(folder, "cpu/assembly"), { recursive: true });
  try {
    for (const [name, text] of sources) writeFileSync(join(folder, "cpu", name), text);
    execFileSync(process.execPath, [join(compiler, "bin/asc.js"), join(folder, "cpu/assembly/entry.ts"), "--outFile", join(folder, "sse.wasm"), ...FLAGS], { stdio: ["ignore", "inherit", "inherit"] });
    renameSync(join(folder, "sse.wasm"), kept);
    return readFileSync(kept);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function buildCore(): Core {
  const memory = new WebAssembly.Memory({ initial: 2 });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(builtCode()), {
    env: {
      memory,
      raise: (vector: number) => { throw new Trap(vector); },
      abort: () => { throw new Error("abort"); }
    }
  });
  const exports = instance.exports as unknown as SseExports;
  const bytes = new Uint8Array(memory.buffer), view = new DataView(memory.buffer);
  view.setUint32(CR4, 0x400, true);

  const trapOf = (body: () => void): number => {
    try {
      body();
      return 0;
    } catch (error) {
      if (error instanceof Trap) return error.vector;
      throw error;
    }
  };
  const run = (records: Uint8Array, offset: number, outcome: Uint8Array): number => {
    const view2 = new DataView(records.buffer, records.byteOffset + offset, RECORD_SIZE);
    const from = offset + IN;
    bytes.set(records.subarray(from + X0, from + X0 + 48), XMM);
    bytes.set(records.subarray(from + GPR, from + GPR + 24), REGS);
    for (let i = 0; i < 2; i++) bytes.set(records.subarray(from + MM + 8 * i, from + MM + 8 * i + 8), FPR + 16 * (i + 1));
    bytes.set(records.subarray(from + MX, from + MX + 4), MXCSR);
    bytes.set(records.subarray(from + MEM, from + MEM + 32), MEMORY);
    exports.putFlags(view2.getUint32(IN + FL, true));
    const [rexw, isMem, imm, reg, rm, shift] = records.subarray(offset + 4, offset + 10) as unknown as number[];
    const id = view2.getUint32(0, true);
    const trap = trapOf(() => exports.op(id, reg!, rm!, isMem!, MEMORY + shift!, imm!, rexw! | 2));
    outcome.set(bytes.subarray(XMM, XMM + 48), X0);
    outcome.set(bytes.subarray(REGS, REGS + 24), GPR);
    for (let i = 0; i < 2; i++) outcome.set(bytes.subarray(FPR + 16 * (i + 1), FPR + 16 * (i + 1) + 8), MM + 8 * i);
    outcome.set(bytes.subarray(MXCSR, MXCSR + 4), MX);
    new DataView(outcome.buffer, outcome.byteOffset).setUint32(FL, exports.takeFlags(), true);
    outcome.set(bytes.subarray(MEMORY, MEMORY + 32), MEM);
    return trap;
  };
  return { exports, bytes, view, run, trapOf };
}

export function isApproximation(id: number): boolean {
  return id < 0x400 && ((id & 0xff) === 0x52 || (id & 0xff) === 0x53);
}

function hex(bytes: Uint8Array): string {
  return [...bytes].reverse().map((b) => b.toString(16).padStart(2, "0")).join("");
}
/** One line for a person: everything that went in, and what differs. */
export function describe(name: string, record: Uint8Array, outcome: Uint8Array, trap: number): string {
  const view = new DataView(record.buffer, record.byteOffset, RECORD_SIZE);
  const fields: [string, number, number][] = [
    ["xmm0", 0, 16], ["xmm1", 16, 16], ["xmm2", 32, 16], ["rax", 48, 8], ["rcx", 56, 8], ["rdx", 64, 8], ["mm1", 72, 8], ["mm2", 80, 8],
    ["mxcsr", 88, 4], ["flags", 92, 4], ["mem", 96, 32]
  ];
  const shown = fields.map(([n, at, size]) => `${n}=${hex(record.subarray(IN + at, IN + at + size))}`).join(" ");
  const differs = fields
    .filter(([, at, size]) => hex(record.subarray(OUT + at, OUT + at + size)) !== hex(outcome.subarray(at, at + size)))
    .map(([n, at, size]) => `${n}: cpu ${hex(record.subarray(OUT + at, OUT + at + size))} ours ${hex(outcome.subarray(at, at + size))}`);
  if (record[10] !== trap) differs.push(`trap: cpu ${record[10]} ours ${trap}`);
  const [w, m, imm, reg, rm, offset] = record.subarray(4, 10);
  return `${name} id=${view.getUint32(0, true).toString(16)} w=${w} mem=${m} imm=${imm!.toString(16)} reg=${reg} rm=${rm} off=${offset} ${shown}\n    ${differs.join("\n    ")}`;
}

// ---- text lines ----

const FIXED = (() => {
  const state = new Uint8Array(128), view = new DataView(state.buffer);
  for (let i = 0; i < 3; i++) {
    state.fill(0x10 + i, i * 16, i * 16 + 16);
    view.setBigUint64(GPR + 8 * i, 0x1111111111111111n * BigInt(2 + i), true);
  }
  for (let i = 0; i < 2; i++) view.setBigUint64(MM + 8 * i, 0x1111111111111111n * BigInt(5 + i), true);
  view.setUint32(MX, 0x1f80, true);
  state.fill(0x17, MEM, MEM + 32);
  return state;
})();
const PLACES: Readonly<Record<string, number>> = { x0: 0, x1: 16, x2: 32, ax: 48, cx: 56, dx: 64, m1: 72, m2: 80, mx: 88, fl: 92 };

/** A fixture line as a record of generate.c: what a side does not mention is the fixed value (in) or the input (out). */
export function parseLine(line: string): { readonly name: string; readonly record: Uint8Array } {
  const record = new Uint8Array(RECORD_SIZE), view = new DataView(record.buffer);
  const [left, right] = line.split(" >") as [string, string];
  const [name, id, ...given] = left.split(" ") as [string, string, ...string[]];
  view.setUint32(0, parseInt(id, 16), true);
  record[7] = 1;
  record[8] = 2;
  record.set(FIXED, IN);
  const assign = (base: number, field: string): void => {
    const [key, value] = field.split("=") as [string, string];
    const header = { w: 4, mem: 5, imm: 6, reg: 7, rm: 8, off: 9 }[key];
    if (header !== undefined) record[header] = parseInt(value, 16);
    else if (key === "trap") record[10] = parseInt(value, 10);
    else if (key === "me") {
      const [from, text] = value.split(":") as [string, string];
      record.set(Buffer.from(text, "hex"), base + MEM + parseInt(from, 16));
    } else {
      const place = PLACES[key];
      if (place === undefined) throw new Error(`unknown field ${key} in: ${line}`);
      const size = key === "mx" || key === "fl" ? 4 : place < 48 ? 16 : 8;
      record.set(Buffer.from(value.padStart(size * 2, "0"), "hex").reverse(), base + place);
    }
  };
  for (const field of given) assign(IN, field);
  record.copyWithin(OUT, IN, IN + 128);
  for (const field of right.split(" ").filter(Boolean)) assign(OUT, field);
  return { name, record };
}

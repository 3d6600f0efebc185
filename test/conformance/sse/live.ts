/** Compares the SSE code with the CPU this runs on. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Core, IN, MEM, MX, OUT, RECORD_SIZE, describe, isApproximation } from "./harness.ts";
import { differsByChoiceOfNan, hostIsIntel } from "./vendor.ts";

export interface LiveReport {
  readonly cases: number;
  readonly approximations: number;
  /** Cases that differ by what vendor.ts allows a host that is not Intel's. */
  readonly allowed: number;
  readonly mismatches: ReadonlyMap<string, number>;
  readonly samples: readonly string[];
  readonly counts: ReadonlyMap<string, number>;
}

/** True on a Linux x86-64 host with SSE4.2 and gcc. */
export function hostCanCompare(): boolean {
  if (process.platform !== "linux" || process.arch !== "x64") return false;
  try {
    execFileSync("gcc", ["--version"], { stdio: "ignore" });
    return /\bsse4_2\b/.test(readFileSync("/proc/cpuinfo", "utf8"));
  } catch {
    return false;
  }
}
export function buildGenerator(folder: string): string {
  const program = join(folder, "generate");
  execFileSync("gcc", ["-O2", "-o", program, new URL("generate.c", import.meta.url).pathname], { stdio: ["ignore", "inherit", "inherit"] });
  return program;
}

export function compareLive(core: Core, program: string, seed: number, casesPerForm: number): LiveReport {
  const names = execFileSync(program, ["--forms"], { encoding: "utf8" }).trim().split("\n");
  const records = execFileSync(program, ["--binary", String(seed), String(casesPerForm)], { maxBuffer: 2 ** 31 - 1 });
  const outcome = new Uint8Array(128);
  const mismatches = new Map<string, number>(), counts = new Map<string, number>();
  const samples: string[] = [];
  const intel = hostIsIntel();
  let cases = 0, approximations = 0, allowed = 0;
  for (let at = 0; at + RECORD_SIZE <= records.length; at += RECORD_SIZE) {
    const name = names[records.readUInt32LE(at + 12)]!;
    if (isApproximation(records[at]! | records[at + 1]! << 8)) {
      approximations++;
      continue;
    }
    cases++;
    counts.set(name, (counts.get(name) ?? 0) + 1);
    const trap = core.run(records, at, outcome);
    if (trap === records[at + 10] && Buffer.compare(outcome, records.subarray(at + OUT, at + OUT + 128)) === 0) continue;
    if (!intel && differsByChoiceOfNan(records.subarray(at, at + RECORD_SIZE), outcome, trap)) {
      allowed++;
      continue;
    }
    const n = (mismatches.get(name) ?? 0) + 1;
    mismatches.set(name, n);
    if (n <= 3) samples.push(describe(name, records.subarray(at, at + RECORD_SIZE), outcome, trap));
  }
  return { cases, approximations, allowed, mismatches, samples, counts };
}

/** Encodings about which sseExists and the CPU disagree, as "map prefix opcode/reg r|m cpu". */
export function compareEncodings(core: Core, program: string): { readonly tried: number; readonly missing: readonly string[]; readonly extra: readonly string[] } {
  const answers = execFileSync(program, ["--exists"]);
  const missing: string[] = [], extra: string[] = [];
  let i = 0, tried = 0;
  for (let id = 0; id < 0xc00; id++) {
    for (let reg = 0; reg < 8; reg++) {
      for (let memory = 0; memory < 2; memory++, i++) {
        if (answers[i] === 2) continue;
        tried++;
        const ours = core.exports.sseExists(id, reg, memory);
        if (ours === answers[i]) continue;
        (ours ? extra : missing).push(`${id >> 10} ${(id >> 8) & 3} ${(id & 255).toString(16)}/${reg}${memory ? "m" : "r"}`);
      }
    }
  }
  return { tried, missing, extra };
}

/** The approximations: special operands as the CPU, everything else within Intel's bound of the exact value on both sides. */
export function compareApproximations(core: Core, program: string, seed: number, casesPerForm: number): { readonly lanes: number; readonly worst: number; readonly failures: readonly string[] } {
  const names = execFileSync(program, ["--forms"], { encoding: "utf8" }).trim().split("\n");
  const records = execFileSync(program, ["--binary", String(seed), String(casesPerForm)], { maxBuffer: 2 ** 31 - 1 });
  const outcome = new Uint8Array(128);
  const failures: string[] = [];
  let lanes = 0, worst = 0;
  for (let at = 0; at + RECORD_SIZE <= records.length; at += RECORD_SIZE) {
    const id = records[at]! | (records[at + 1]! << 8);
    if (!isApproximation(id)) continue;
    const record = records.subarray(at, at + RECORD_SIZE), name = names[record.readUInt32LE(12)]!;
    const fail = (trap: number): void => { failures.push(describe(name, record, outcome, trap)); };
    const trap = core.run(records, at, outcome);
    if (trap !== record[10]) {
      fail(trap);
      continue;
    }
    const view = new DataView(record.buffer, record.byteOffset, RECORD_SIZE), ours = new DataView(outcome.buffer);
    const source = record[5] ? IN + MEM + record[9]! : IN + record[8]! * 16;
    if (view.getUint32(OUT + MX, true) !== ours.getUint32(MX, true)) fail(trap);
    for (let lane = 0; lane < 4; lane++) {
      const cpu = view.getUint32(OUT + 16 + lane * 4, true), got = ours.getUint32(16 + lane * 4, true);
      if (trap || (lane > 0 && id >> 8 === 2)) {
        if (cpu !== got) fail(trap);
        continue;
      }
      lanes++;
      const x = view.getUint32(source + lane * 4, true), exponent = (x >>> 23) & 0xff;
      const root = (id & 0xff) === 0x52;
      // For results near the smallest normal the manual allows zero or the value (SDM vol. 2 RCPPS).
      const special = exponent === 0 || exponent === 255 || (root && x >>> 31 !== 0);
      if (special ? cpu !== got : false) fail(trap);
      if (special || (!root && exponent >= 252)) continue;
      const value = view.getFloat32(source + lane * 4, true), exact = root ? 1 / Math.sqrt(value) : 1 / value;
      const error = Math.abs(ours.getFloat32(16 + lane * 4, true) / exact - 1);
      worst = Math.max(worst, error);
      if (!(error <= 1.5 * 2 ** -12) || !(Math.abs(view.getFloat32(OUT + 16 + lane * 4, true) / exact - 1) <= 1.5 * 2 ** -12)) fail(trap);
    }
  }
  return { lanes, worst, failures };
}

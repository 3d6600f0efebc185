/** The SSE code against the CPU this runs on: SSE_SEED and SSE_CASES (cases a form) repeat or lengthen a run. */
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { type Core, buildCore } from "./harness.ts";
import { buildGenerator, compareApproximations, compareEncodings, compareLive, hostCanCompare } from "./live.ts";
import { isOtherMake } from "./vendor.ts";

const folder = fileURLToPath(new URL("../../../build/sse-live", import.meta.url));
const seed = Number(process.env["SSE_SEED"] ?? 20240601);
const casesPerForm = Number(process.env["SSE_CASES"] ?? 300);

describe.skipIf(!hostCanCompare())("SSE on this host", () => {
  let core: Core, program: string;
  beforeAll(() => {
    mkdirSync(folder, { recursive: true });
    core = buildCore();
    program = buildGenerator(folder);
  }, 120_000);

  it("agrees with the CPU on random and corner operands, exceptions and flags included", () => {
    const report = compareLive(core, program, seed, casesPerForm);
    console.log(`${report.cases} cases of ${report.counts.size} forms, seed ${seed}: ${[...report.mismatches.values()].reduce((a, b) => a + b, 0)} mismatches`);
    for (const sample of report.samples) console.log(sample);
    if (report.mismatches.size) console.log([...report.mismatches].map(([n, k]) => `${n} ${k}/${report.counts.get(n)}`).join(", "));
    expect(Object.fromEntries(report.mismatches)).toEqual({});
    expect(report.allowed).toBeLessThan(report.cases / 1000);
    expect(report.counts.size).toBe(274);
    expect(report.cases).toBeGreaterThan(casesPerForm * 300);
  }, 600_000);

  it("knows exactly the encodings the CPU knows", () => {
    const { tried, missing, extra } = compareEncodings(core, program);
    expect(tried).toBeGreaterThan(10_000);
    expect(extra).toEqual([]);
    // What the CPU has and this code leaves to others: MMX (no prefix), and PCLMULQDQ, which x86-64-v2 does not have.
    const others = missing.filter((x) => !/^0 0 ([67ef][0-9a-f]|c[45]|d[1-9a-f])\/|^1 0 (\d|[ab]|1[cde])\/|^2 0 f\/|^2 1 44\//.test(x) && !isOtherMake(x));
    expect(others).toEqual([]);
  }, 120_000);

  it("approximates reciprocals within Intel's bound, special operands and MXCSR as the CPU", () => {
    const { lanes, worst, failures } = compareApproximations(core, program, seed, 1000);
    console.log(`${lanes} lanes, worst relative error ${(worst * 4096).toFixed(3)} * 2^-12, ${failures.length} failures`);
    expect(failures.slice(0, 5)).toEqual([]);
    expect(lanes).toBeGreaterThan(8000);
  }, 120_000);
});

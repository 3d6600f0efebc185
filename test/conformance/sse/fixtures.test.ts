/** The SSE code against stored results of a real CPU, for hosts that are not x86-64. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { OUT, buildCore, describe as story, parseLine } from "./harness.ts";

const lines = readFileSync(new URL("cases.txt", import.meta.url), "utf8").trim().split("\n");

describe("SSE fixtures", () => {
  it("agree, registers, memory, flags, MXCSR and traps", () => {
    const core = buildCore();
    const outcome = new Uint8Array(128);
    const forms = new Set<string>(), failures: string[] = [];
    for (const line of lines) {
      const { name, record } = parseLine(line);
      forms.add(name);
      const trap = core.run(record, 0, outcome);
      if (trap !== record[10] || Buffer.compare(outcome, record.subarray(OUT, OUT + 128)) !== 0) failures.push(`${line}\n  ${story(name, record, outcome, trap)}`);
    }
    expect(failures).toEqual([]);
    expect(lines.length).toBeGreaterThan(3000);
    expect(forms.size).toBe(274);
  }, 120_000);
});

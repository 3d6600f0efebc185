/** Generated cases, run on this CPU and in the engine. */
import { difference, formatCase, formatOutcome, type Case, type Outcome } from './case.ts';
import { EngineRunner, loadCore } from './engine-runner.ts';
import { generate } from './generate.ts';
import { deviations } from './fixtures.ts';
import { hostCpu, NativeRunner } from './native-runner.ts';
import { undefinedFlags } from './undefined-flags.ts';
import { vendorDifference } from './vendor.ts';

const CHUNK = 20_000;
/** Every so many cases runs a second time, one instruction at a time. */
const SINGLE_EVERY = 8;
const FAILURES_MAX = 5000;

export interface Failure {
  readonly seed: number;
  readonly index: number;
  readonly case: Case;
  readonly expected: Outcome;
  readonly text: string;
}
export interface Report {
  readonly count: number;
  readonly failures: readonly Failure[];
  /** Cases of which not all was compared because this CPU is not Intel's: how many, by the name in vendor.ts. */
  readonly leftOut: ReadonlyMap<string, number>;
}

/** One line that repeats it. */
export function failureLine(f: Failure): string {
  return `${f.text}\n    seed ${f.seed} index ${f.index}: node dist/test/conformance/cli.js case '${formatCase(f.case)} => ${formatOutcome(f.case, f.expected)}'`;
}

export function summarize(report: Report, show: number): string {
  const names = new Map<string, number>();
  for (const f of report.failures) names.set(f.case.name, (names.get(f.case.name) ?? 0) + 1);
  const lines = report.failures.slice(0, show).map(failureLine);
  if (names.size > 0) lines.push([...names].map(([name, n]) => `${name} ${n}`).join(', '));
  for (const [name, n] of report.leftOut) lines.push(`left out, this CPU is not Intel's: ${name} ${n}`);
  lines.push(`${report.count} cases, ${report.failures.length} failures`);
  return lines.join('\n');
}

/** Runs a case on the engine and compares with `expected`; returns what differs. `single`: a second time, one instruction at a time. */
export function check(engine: EngineRunner, c: Case, expected: Outcome, mask: number, single: boolean): string | undefined {
  const found = difference(c, expected, engine.run(c), mask);
  if (found !== undefined || !single) return found;
  const { retired } = engine;
  const stepped = difference(c, expected, engine.run(c, true), mask);
  if (stepped !== undefined) return `one instruction at a time: ${stepped}`;
  return engine.retired === retired ? undefined : `${retired} instructions retired, one at a time ${engine.retired}`;
}

export function compare(options: { readonly seed: number; readonly count: number; readonly from?: number }): Report {
  const native = new NativeRunner();
  const engine = new EngineRunner(loadCore());
  const masked = deviations(native);
  const { seed, count, from = 0 } = options;
  const failures: Failure[] = [];
  const leftOut = new Map<string, number>();
  const otherVendor = hostCpu().vendor !== 'GenuineIntel';
  for (let at = from; at < from + count; at += CHUNK) {
    const indices = Array.from({ length: Math.min(CHUNK, from + count - at) }, (_, i) => at + i);
    const cases = indices.map((index) => generate(seed, index));
    const outcomes = native.run(cases);
    cases.forEach((c, i) => {
      if (c.name === 'seq' && masked.size > 0) return;
      const index = at + i;
      const vendor = otherVendor ? vendorDifference(c, outcomes[i]!) : undefined;
      if (vendor !== undefined) leftOut.set(vendor.name, (leftOut.get(vendor.name) ?? 0) + 1);
      if (vendor !== undefined && vendor.flags === undefined) return;
      const mask = (masked.has(c.name) ? undefinedFlags(c.name) : 0) | (vendor?.flags ?? 0);
      let text: string | undefined;
      try {
        text = check(engine, c, outcomes[i]!, mask, index % SINGLE_EVERY === 0);
      } catch (error) {
        throw new Error(`the engine stopped at seed ${seed} index ${index}: ${formatCase(c)}`, { cause: error });
      }
      if (text !== undefined && failures.length < FAILURES_MAX) failures.push({ seed, index, case: c, expected: outcomes[i]!, text });
    });
  }
  return { count, failures, leftOut };
}

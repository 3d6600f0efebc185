/**
 * The stored subset: cases with what an Intel CPU made of them, one line each in the form of case.ts, for hosts that cannot ask a CPU. The first
 * line names the CPU.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { difference, formatCase, formatOutcome, parseLine, type Case, type Outcome } from './case.ts';
import { FORMS } from './forms.ts';
import { generate } from './generate.ts';
import { hostCpu, type NativeRunner } from './native-runner.ts';
import { repositoryPath } from './paths.ts';
import { undefinedFlags } from './undefined-flags.ts';

const PATH = 'test/conformance/fixtures/integer.txt';
const SEED = 20;
/** Cases for each form. */
const ROUNDS = 6;
/** Bytes of a line at most: long REPs are left to the live test. */
const LINE_MAX = 400;

export interface Fixture {
  readonly case: Case;
  readonly outcome: Outcome;
}
export interface Fixtures {
  readonly cpu: string;
  readonly all: readonly Fixture[];
}

export function readFixtures(): Fixtures {
  const [head = '', ...lines] = readFileSync(repositoryPath(PATH), 'utf8').trimEnd().split('\n');
  const all = lines.map((line) => {
    const { case: c, outcome } = parseLine(line);
    if (outcome === undefined) throw new Error(`a fixture without an outcome: ${line}`);
    return { case: c, outcome };
  });
  return { cpu: head.replace(/^# /, ''), all };
}

/** Takes the expectations from this CPU. */
export function writeFixtures(native: NativeRunner): string {
  const cpu = hostCpu();
  if (cpu.vendor !== 'GenuineIntel') throw new Error(`expectations are taken on an Intel CPU, this is ${cpu.vendor}`);
  const cases = Array.from({ length: FORMS.length * ROUNDS }, (_, index) => generate(SEED, index));
  const outcomes = native.run(cases);
  const lines = cases.map((c, i) => `${formatCase(c)} => ${formatOutcome(c, outcomes[i]!)}`).filter((line) => line.length <= LINE_MAX);
  const text = [`# ${cpu.name}`, ...lines, ''].join('\n');
  writeFileSync(repositoryPath(PATH), text);
  return `${lines.length} cases from ${cpu.name}, ${text.length} bytes`;
}

/** Names of which this CPU sees the undefined flags otherwise than the fixtures. */
export function deviations(native: NativeRunner): ReadonlySet<string> {
  const { all } = readFixtures();
  const outcomes = native.run(all.map((f) => f.case));
  const names = new Set<string>();
  all.forEach((f, i) => {
    if (undefinedFlags(f.case.name) !== 0 && difference(f.case, f.outcome, outcomes[i]!, 0) !== undefined) names.add(f.case.name);
  });
  return names;
}

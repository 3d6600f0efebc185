/** The interpreter alone and with compiled code, on the same drawn guest: their logs are the same bytes, so every event, every dirty set and every digest at its position. */
import { afterAll } from 'vitest';
import fc from 'fast-check';
import { JIT_MODES, type JitMode, setJitMode } from '../../engine/jit/jit.ts';
import { type Case, labCases, tinyCases } from '../determinism/cases.ts';
import { assertProperty, core, firstDifference, record } from '../determinism/runs.ts';

/** Recorded so far: guest instructions that ran in both, and of them those in compiled code. */
export interface Tally {
  instructions: number;
  compiled: number;
}

export const compiledModes: fc.Arbitrary<JitMode> = fc.constantFrom<JitMode>('eager', 'eager', 'always');
/** Guests that run long enough for their code to be compiled, changed and compiled again. */
export const hotCases = (instructionsMax: number): fc.Arbitrary<Case> => fc.oneof({ weight: 5, arbitrary: tinyCases(instructionsMax, 400) }, { weight: 1, arbitrary: labCases(2 * instructionsMax) });

/** Throws unless both make the same log. */
export function isTheSameCompiled(one: Case, mode: JitMode, tally: Tally): void {
  // Loading the core chooses what the environment asks for.
  core();
  setJitMode('off');
  const plain = record(one);
  setJitMode(mode);
  let compiled = 0;
  const other = record(one, one.drive, ({ machine }) => (compiled = machine.jit!.statistics().instructions));
  const at = firstDifference(plain.bytes, other.bytes);
  if (at !== undefined) {
    throw new Error(`${mode}: the logs differ at byte ${at} of ${plain.bytes.length}; ends @${plain.position} ${plain.end.digest} and @${other.position} ${other.end.digest}`);
  }
  tally.instructions += plain.position;
  tally.compiled += compiled;
}

/** Draws until so many guest instructions were compared. */
export function assertSameCompiled(file: string, instructions: number, instructionsMax: number, timeLimitMs: number): Tally {
  const tally: Tally = { instructions: 0, compiled: 0 };
  const end = performance.now() + timeLimitMs;
  while (tally.instructions < instructions && performance.now() < end) {
    assertProperty(file, fc.property(hotCases(instructionsMax), compiledModes, (one, mode) => isTheSameCompiled(one, mode, tally)), 20, end - performance.now());
    if (process.env['CHRONOVISOR_SEED'] !== undefined) break;
  }
  console.log(`${tally.instructions} guest instructions without a difference, ${tally.compiled} of them in compiled code`);
  return tally;
}

/** What the environment asked for holds again. */
export function keepsTheMode(): void {
  afterAll(() => setJitMode(JIT_MODES.find((each) => each === process.env['CHRONOVISOR_JIT']) ?? 'on'));
}

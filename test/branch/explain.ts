/** What must hold of an explanation: it names the position that looking at every one of them gives. */
import type { Explanation } from '../../engine/debug/explain.ts';
import { explaining } from '../../engine/debug/explain.ts';
import { readRegisters } from '../../engine/debug/inspect.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import type { LogReader } from '../../engine/log/reader.ts';
import type { RunImages } from '../../engine/recording/recipe.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import type { Case } from '../determinism/cases.ts';
import { core } from '../determinism/runs.ts';
import { type BranchDraw, branch, rootOf } from './laws.ts';

export function explained(a: LogReader, b: LogReader, images: RunImages, imagesB = images): Explanation {
  const steps = explaining(new TimeTravel({ reader: a, images, module: core() }), new TimeTravel({ reader: b, images: imagesB, module: core() }));
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** Positions that are looked at one by one. */
const SCAN_MAX = 3000;

/** The first position from `from` on at which registers or memory differ. */
function scan(a: LogReader, b: LogReader, images: RunImages, from: number): number | undefined {
  const [one, other] = [a, b].map((reader) => new Replayer({ reader, images, module: core() }));
  // At @0 a walk has not taken what comes from outside there: it is power-on.
  if (from > 0) for (const replayer of [one, other]) replayer.step(from);
  for (let at = from; at < from + SCAN_MAX; at++) {
    if (at > from && (one.step(at - one.position).kind !== 'running' || other.step(at - other.position).kind !== 'running')) return undefined;
    const registers = readRegisters(other.machine);
    if (one.machine.digest().ram !== other.machine.digest().ram || [...readRegisters(one.machine)].some(([name, value]) => registers.get(name) !== value)) return at;
  }
  return undefined;
}

/** Branches of one moment with and without a change: the first difference is where a scan says, and comes from the change. */
export function anExplanationIsWhatAScanFinds(one: Case, draw: BranchDraw): void {
  const root = rootOf(one)!;
  const child = branch(one, root, { ...draw, typed: '', inputs: 'keep' });
  if (child === undefined) return;
  const a = root.chain.reader;
  const b = child.chain.reader;
  const explanation = explained(a, b, one.images);
  const { divergence } = explanation;
  if (divergence === undefined) throw new Error('a change is an event of its own');
  const found = scan(a, b, one.images, Math.max(0, divergence.position - 1));
  if (explanation.kind === 'same') {
    if (found !== undefined && found < explanation.position) throw new Error(`the same up to @${explanation.position} was said, and @${found} differs`);
    return;
  }
  if (found !== undefined && explanation.position !== found) throw new Error(`the first difference is at @${found}; @${explanation.position} was said`);
  if (explanation.cause.kind !== 'input') throw new Error(`it comes from a change; ${explanation.cause.kind} was said`);
}


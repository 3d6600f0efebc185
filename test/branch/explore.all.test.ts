/** The race of the lost update to its panic, 46 million instructions later: from a moment at which a recording of that kernel is sound, most runs lose a record; with the right kernel none does. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { branchPoint } from '../../engine/debug/branch-point.ts';
import { Explorer, type Failure } from '../../engine/debug/explore.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { openChain } from '../../engine/recording/chain.ts';
import { core, open } from '../determinism/runs.ts';

function failures(name: string, runs: number): number {
  const reader = open(new Uint8Array(readFileSync(fileURLToPath(new URL(`../../traces/${name}.cvlog`, import.meta.url)))));
  const images = { kernel: reader.image(reader.header.images[0].sha256)! };
  const travel = new TimeTravel({ reader, images, module: core() });
  travel.seekMark('work syscall');
  const failure: Failure = { kind: 'panic' };
  const point = branchPoint(travel, openChain(reader, () => undefined), images, core());
  const explorer = new Explorer({ parent: reader, images, module: core(), point, failure, seed: 1n, delayNsMax: 200_000, shiftsMax: 6, shiftsTo: reader.lastPosition, runTo: reader.lastPosition + 100_000_000, inputs: 'keep' });
  let found = 0;
  for (let run = 0; run < runs; run++) {
    for (const steps = explorer.drawn(run); ; ) {
      const { done, value } = steps.next();
      if (done !== true) continue;
      if ((value as { fails: boolean }).fails) found++;
      break;
    }
  }
  return found;
}

test('the kernel with the race panics in most runs', () => expect(failures('bug-lost-update', 20)).toBeGreaterThan(10), 400_000);
test('the kernel without it in none', () => expect(failures('lab-kernel', 20)).toBe(0), 400_000);

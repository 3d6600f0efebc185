/** The recording of the lab kernel in traces/, opened for walking. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { labImage } from '../determinism/cases.ts';
import { core, open } from '../determinism/runs.ts';

export function labRecording(): { readonly travel: TimeTravel; readonly kernel: Uint8Array } {
  const bytes = new Uint8Array(readFileSync(fileURLToPath(new URL('../../traces/lab-kernel.cvlog', import.meta.url))));
  const kernel = labImage('lab-kernel');
  return { travel: new TimeTravel({ reader: open(bytes), images: { kernel }, module: core() }), kernel };
}

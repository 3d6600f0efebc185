/** The thread program: one recording, opened when it is first asked for, and a machine of its own. */
import { parentPort, workerData } from 'node:worker_threads';
import { branchPoint } from '../../engine/debug/branch-point.ts';
import { Explorer } from '../../engine/debug/explore.ts';
import { parseExpression } from '../../engine/debug/expression.ts';
import { parsePlace } from '../../engine/debug/places.ts';
import { type StretchAnswer, answerStretch } from '../../engine/debug/stretches.ts';
import { SymbolTable } from '../../engine/debug/symbols.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { serve } from '../runs/thread.ts';
import { type OpenedRecording, openRecording } from '../store/chains.ts';
import { findIndex } from '../store/checkpoints.ts';
import { keptProfile } from '../store/code-profile.ts';
import { loadCore, rememberCode } from '../store/core-module.ts';
import { FileSource } from '../store/files.ts';
import { openImages } from '../store/guest-images.ts';
import type { RunImages } from '../../engine/recording/recipe.ts';
import type { ExploreCall, StretchCall, WorkerData } from './calls.ts';

if (parentPort === null) throw new Error('this program is a worker thread');
const { path, parents, places, asked } = workerData as WorkerData;
// It is ended without notice, so it only reads what others learnt.
rememberCode(keptProfile());

interface Opened {
  readonly recording: OpenedRecording;
  readonly images: RunImages;
  readonly travel: TimeTravel;
}
let opened: Opened | undefined;
function open(): Opened {
  if (opened !== undefined) return opened;
  const source = new FileSource(path, 'FILE');
  const recording = openRecording(source, parents);
  const images = openImages(recording.reader, places);
  const { index } = findIndex(source.path, recording.reader, recording);
  opened = { recording, images, travel: new TimeTravel({ reader: recording.reader, images, module: loadCore(), index }) };
  return opened;
}

let explorer: Explorer | undefined;

serve(parentPort, {
  open: () => open().travel.hasIndex,
  goTo: ({ place }: { readonly place: string }) => parsePlace(place)?.(open().travel),
  stretch: ({ task, number }: StretchCall): StretchAnswer => (Atomics.load(asked, 0) === number ? answerStretch(open().travel, task) : { rows: [] }),
  explore: ({ failure, symbols, position, ...options }: ExploreCall) => {
    const { recording, images, travel } = open();
    const point = branchPoint(travel, recording.chain, images, loadCore());
    if (point.checkpoint.state.position !== position) throw new Error(`the thread is at @${point.checkpoint.state.position}, not at @${position}`);
    const what = failure.kind === 'expression' ? { kind: failure.kind, expression: parseExpression(failure.text, new SymbolTable(symbols)) } : failure;
    explorer = new Explorer({ ...options, parent: recording.reader, images, module: loadCore(), point, failure: what });
  },
  drawn: ({ number }: { readonly number: number }) => {
    if (explorer === undefined) throw new Error('`drawn` before `explore`');
    const steps = explorer.drawn(number);
    for (;;) {
      const { done, value } = steps.next();
      if (done === true) return value;
    }
  },
});

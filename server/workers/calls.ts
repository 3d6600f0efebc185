/** What goes to a worker thread, as plain data. */
import type { ExploreOptions, Failure } from '../../engine/debug/explore.ts';
import type { StretchTask } from '../../engine/debug/stretches.ts';
import type { GuestSymbol } from '../../engine/debug/symbols.ts';
import type { ImagePlaces } from '../store/guest-images.ts';

/** A recording as the command line names it. */
export interface RecordingPlace {
  readonly path: string;
  readonly parents: readonly string[];
  readonly places: ImagePlaces;
}

export interface WorkerData extends RecordingPlace {
  /** Shared: the number of the question that is asked now. Stretches of others are not replayed any more. */
  readonly asked: Int32Array<SharedArrayBuffer>;
}

export interface StretchCall {
  readonly task: StretchTask;
  readonly number: number;
}

/** `goTo` comes before it. */
export interface ExploreCall extends Omit<ExploreOptions, 'parent' | 'images' | 'module' | 'point' | 'failure'> {
  /** Of the point that is branched from: a thread that stands elsewhere refuses. */
  readonly position: number;
  readonly failure: Exclude<Failure, { kind: 'expression' }> | { readonly kind: 'expression'; readonly text: string };
  /** What names in the text stand for. */
  readonly symbols: readonly GuestSymbol[];
}

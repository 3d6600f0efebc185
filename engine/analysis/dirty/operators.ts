/**
 * The folds around streams. They work on a log, on a replay and on a run that goes on, with batches of any size.
 *
 *     from(batches).pipe(dirtyEpochs(), dirtyCurve(10e6))          a point as soon as its slice is over
 *     from(batches).pipe(dirtyEpochs(), dirtyTruth({ ... }))       one truth at the end
 *     live.pipe(dirtyEpochs(), dirtyTruthLive({ ... }, 10))        one after every ten epochs
 */
import { Observable, type OperatorFunction } from 'rxjs';
import type { EventBatch } from '../../log/event-batch.ts';
import { type DirtyEpoch, EpochSplitter, type EpochSplitterState } from './epoch.ts';
import {
  CurveFold, type CurvePoint, type CurveState, type EpochFold, HeatFold, type HeatMap, type HeatState, TruthFold, type TruthOptions, type TruthState, WorkingSetFold, type WorkingSetPoint,
  type WorkingSetState,
} from './folds.ts';
import type { DirtyTruth } from './truth.ts';
import { type Writers, WritersFold, type WritersOptions, type WritersState } from './writers.ts';

/** Where an earlier stream stopped, and what a later one needs to go on (told when the source completes). */
export interface Continuation<State> {
  readonly from?: State | undefined;
  readonly onState?: ((state: State) => void) | undefined;
}

/** Epochs as they end. What follows the last one is in none. */
export function dirtyEpochs(options: Continuation<EpochSplitterState> & { readonly splitter?: EpochSplitter } = {}): OperatorFunction<EventBatch, DirtyEpoch> {
  return (source) =>
    new Observable<DirtyEpoch>((subscriber) => {
      const splitter = options.splitter ?? new EpochSplitter();
      if (options.from !== undefined) splitter.restore(options.from);
      return source.subscribe({
        next: (batch) => {
          try {
            for (const epoch of splitter.split(batch)) subscriber.next(epoch);
          } catch (error) {
            subscriber.error(error);
          }
        },
        error: (error: unknown) => subscriber.error(error),
        complete: () => {
          options.onState?.(splitter.save());
          subscriber.complete();
        },
      });
    });
}

/** A fold as an operator: its answers as they come; with `every`, an answer of `ask` after so many epochs as well. */
function folding<Answer, State, Fold extends EpochFold<Answer, State>>(
  make: () => Fold,
  options: Continuation<State>,
  live?: { readonly every: number; readonly ask: (fold: Fold) => Answer },
): OperatorFunction<DirtyEpoch, Answer> {
  return (source) =>
    new Observable<Answer>((subscriber) => {
      let fold: Fold;
      let sinceAnswer = 0;
      const guarded = (work: () => void): void => {
        try {
          work();
        } catch (error) {
          subscriber.error(error);
        }
      };
      guarded(() => {
        fold = make();
        if (options.from !== undefined) fold.restore(options.from);
      });
      if (subscriber.closed) return undefined;
      return source.subscribe({
        next: (epoch) =>
          guarded(() => {
            for (const answer of fold.fold(epoch)) subscriber.next(answer);
            if (live === undefined || ++sinceAnswer < live.every) return;
            sinceAnswer = 0;
            subscriber.next(live.ask(fold));
          }),
        error: (error: unknown) => subscriber.error(error),
        complete: () =>
          guarded(() => {
            const state = fold.save();
            if (live === undefined || sinceAnswer > 0) for (const answer of fold.finish()) subscriber.next(answer);
            options.onState?.(state);
            subscriber.complete();
          }),
      });
    });
}

export function dirtyTruth(options: TruthOptions & Continuation<TruthState>): OperatorFunction<DirtyEpoch, DirtyTruth> {
  return folding<DirtyTruth, TruthState, TruthFold>(() => new TruthFold(options), options);
}
export function dirtyTruthLive(options: TruthOptions & Continuation<TruthState>, every: number): OperatorFunction<DirtyEpoch, DirtyTruth> {
  return folding<DirtyTruth, TruthState, TruthFold>(() => new TruthFold(options), options, { every, ask: (fold) => fold.truth() });
}
/** sliceNs: virtual ns. */
export function dirtyCurve(sliceNs: number, options: Continuation<CurveState> = {}): OperatorFunction<DirtyEpoch, CurvePoint> {
  return folding<CurvePoint, CurveState, CurveFold>(() => new CurveFold(sliceNs), options);
}
/** windowNs: virtual ns. A point at the end of each epoch. */
export function workingSet(windowNs: number, options: Continuation<WorkingSetState> = {}): OperatorFunction<DirtyEpoch, WorkingSetPoint> {
  return folding<WorkingSetPoint, WorkingSetState, WorkingSetFold>(() => new WorkingSetFold(windowNs), options);
}
export function heatMap(options: ConstructorParameters<typeof HeatFold>[0] & Continuation<HeatState>): OperatorFunction<DirtyEpoch, HeatMap> {
  return folding<HeatMap, HeatState, HeatFold>(() => new HeatFold(options), options);
}
export function heatMapLive(options: ConstructorParameters<typeof HeatFold>[0] & Continuation<HeatState>, every: number): OperatorFunction<DirtyEpoch, HeatMap> {
  return folding<HeatMap, HeatState, HeatFold>(() => new HeatFold(options), options, { every, ask: (fold) => fold.map() });
}
/** Of epochs of a replay. */
export function whoDirties(options: WritersOptions & Continuation<WritersState> = {}): OperatorFunction<DirtyEpoch, Writers> {
  return folding<Writers, WritersState, WritersFold>(() => new WritersFold(options), options);
}

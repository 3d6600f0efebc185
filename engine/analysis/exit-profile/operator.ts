/** The fold around a stream: a profile after each batch (a running total), or one at the end. Works on a log, on a replay and on a run that goes on. */
import { Observable, type OperatorFunction } from 'rxjs';
import type { EventBatch } from '../../log/event-batch.ts';
import { ExitProfileFold, type ExitProfileOptions, type ExitProfileState } from './fold.ts';
import type { ExitProfile } from './profile.ts';

export interface ExitProfileStreamOptions extends ExitProfileOptions {
  /** Where an earlier stream stopped. */
  readonly from?: ExitProfileState | undefined;
  /** Called at the end of the source with what a later stream needs to go on. */
  readonly onState?: ((state: ExitProfileState) => void) | undefined;
}

/** One profile, when the source is complete. */
export function exitProfile(options: ExitProfileStreamOptions): OperatorFunction<EventBatch, ExitProfile> {
  return profiles(options, Infinity);
}

/** A profile after every `batches` batches, and one at the end if there was something after the last of them. */
export function exitProfileLive(options: ExitProfileStreamOptions, batches = 1): OperatorFunction<EventBatch, ExitProfile> {
  return profiles(options, batches);
}

function profiles(options: ExitProfileStreamOptions, every: number): OperatorFunction<EventBatch, ExitProfile> {
  return (source) =>
    new Observable<ExitProfile>((subscriber) => {
      const fold = new ExitProfileFold(options);
      if (options.from !== undefined) fold.restore(options.from);
      let sinceReport = 0;
      return source.subscribe({
        next: (batch) => {
          try {
            fold.fold(batch);
          } catch (error) {
            subscriber.error(error);
            return;
          }
          if (++sinceReport < every) return;
          sinceReport = 0;
          subscriber.next(fold.report());
        },
        error: (error: unknown) => subscriber.error(error),
        complete: () => {
          if (every === Infinity || sinceReport > 0) subscriber.next(fold.report());
          options.onState?.(fold.save());
          subscriber.complete();
        },
      });
    });
}

/** The comparison as an RxJS operator: event batches in, reports out. */
import { EMPTY, concat, defer, mergeMap, of, type OperatorFunction } from 'rxjs';
import type { EventBatch } from '../../log/event-batch.ts';
import { Comparison, type ComparisonSetup } from './comparison.ts';
import type { ComparisonReport } from './report.ts';

/**
 * One report when the source completes; with `everyBatches`, one after so many batches as well, for a view of a run that goes on. Each subscription folds for
 * itself. An error of the source or of the fold is passed on, and the source is left.
 */
export function compareRegimes(setup: ComparisonSetup, everyBatches = Infinity): OperatorFunction<EventBatch, ComparisonReport> {
  return (source) =>
    defer(() => {
      const comparison = new Comparison(setup);
      let batches = 0;
      const running = source.pipe(
        mergeMap((batch) => {
          comparison.add(batch);
          batches++;
          return batches % everyBatches === 0 ? of(comparison.report()) : EMPTY;
        }),
      );
      return concat(running, defer(() => of(comparison.report())));
    });
}

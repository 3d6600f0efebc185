/** Which events are wanted: a filter as it comes in a request, ready for rows. The words are those of `chronovisor events`. */
import { type EventBatch, eventAt } from '../../engine/log/event-batch.ts';
import { kindCode } from '../../engine/log/events.ts';
import { REASON_WORDS } from '../../engine/log/reason-words.ts';
import type { EventFilter } from '../../engine/protocol/lab.ts';
import { wantedEvents } from '../cli/event-filter.ts';
import { ProblemError } from './problem.ts';

export interface RowFilter {
  /** Bit KIND_* of each kind that may be wanted. */
  readonly kindMask: number;
  accepts(batch: EventBatch, row: number): boolean;
}

/** Throws ProblemError for a reason that there is not. */
export function rowFilter(filter: EventFilter): RowFilter {
  const { kinds, isKindOnly, accepts } = wantedEvents(filter, unknownReason);
  const kindMask = kinds.reduce((mask, kind) => mask | (1 << kindCode(kind)), 0);
  return {
    kindMask,
    accepts: (batch, row) => ((kindMask >> batch.kind[row]) & 1) === 1 && (isKindOnly || accepts(eventAt(batch, row))),
  };
}

function unknownReason(word: string, near: string | undefined): never {
  throw new ProblemError({ code: 'usage', message: `there is no exit reason "${word}"${near === undefined ? '' : `; did you mean ${near}?`}`, advice: `there are ${REASON_WORDS.join(', ')}, and Intel's numbers` });
}

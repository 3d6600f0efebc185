/** Which events are wanted: a filter as it comes in a request, ready for rows. The words are those of `chronovisor events`. */
import { type EventBatch, eventAt } from '../../engine/log/event-batch.ts';
import { LOG_KINDS, type LogEvent, type LogKind, kindCode } from '../../engine/log/events.ts';
import type { EventFilter } from '../../engine/protocol/lab.ts';
import { REASON_WORDS, lineOf, reasonsOf } from '../cli/event-text.ts';
import { nearest } from '../store/suggest.ts';
import { ProblemError } from './problem.ts';

export interface RowFilter {
  /** Bit KIND_* of each kind that may be wanted. */
  readonly kindMask: number;
  accepts(batch: EventBatch, row: number): boolean;
}

/** Throws ProblemError for a reason that there is not. */
export function rowFilter({ kinds: asked, reasons: words, port, vector, match }: EventFilter): RowFilter {
  let kinds: readonly LogKind[] = asked ?? LOG_KINDS;
  const narrow = (possible: readonly LogKind[]): void => {
    kinds = kinds.filter((kind) => possible.includes(kind));
  };
  const reasons = words === undefined ? undefined : new Set(words.flatMap((word) => reasonsOf(word) ?? unknownReason(word)));
  if (reasons !== undefined) narrow(['exit']);
  if (port !== undefined) narrow(['exit', 'device']);
  if (vector !== undefined) narrow(['exit', 'interrupt']);
  const kindMask = kinds.reduce((mask, kind) => mask | (1 << kindCode(kind)), 0);
  const isKindOnly = reasons === undefined && port === undefined && vector === undefined && match === undefined;
  return {
    kindMask,
    accepts: (batch, row) => {
      if (((kindMask >> batch.kind[row]) & 1) === 0) return false;
      if (isKindOnly) return true;
      const event = eventAt(batch, row);
      if (reasons !== undefined && !(event.kind === 'exit' && reasons.has(event.reason))) return false;
      if (port !== undefined && portOf(event) !== port) return false;
      if (vector !== undefined && vectorOf(event) !== vector) return false;
      return match === undefined || lineOf(event).includes(match);
    },
  };
}

function portOf(event: LogEvent): number | undefined {
  if (event.kind === 'exit') return event.detail.kind === 'io' ? event.detail.port : undefined;
  return event.kind === 'device' && 'port' in event.report ? event.report.port : undefined;
}

function vectorOf(event: LogEvent): number | undefined {
  if (event.kind === 'exit') return event.detail.kind === 'exception' ? event.detail.vector : undefined;
  return event.kind === 'interrupt' ? event.vector : undefined;
}

function unknownReason(word: string): never {
  const near = nearest(word, REASON_WORDS);
  throw new ProblemError({ code: 'usage', message: `there is no exit reason "${word}"${near === undefined ? '' : `; did you mean ${near}?`}`, advice: `there are ${REASON_WORDS.join(', ')}, and Intel's numbers` });
}

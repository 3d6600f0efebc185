/** Which events are wanted, of the command line and of a request alike. */
import { LOG_KINDS, type LogEvent, type LogKind } from '../../engine/log/events.ts';
import { REASON_WORDS, reasonsOf } from '../../engine/log/reason-words.ts';
import type { EventFilter } from '../../engine/protocol/lab.ts';
import { nearest } from '../store/suggest.ts';
import { lineOf } from './event-text.ts';

export interface WantedEvents {
  /** No others are. */
  readonly kinds: readonly LogKind[];
  /** All of these kinds are. */
  readonly isKindOnly: boolean;
  accepts(event: LogEvent): boolean;
}

/** `unknownReason` throws what its caller's errors are. */
export function wantedEvents({ kinds: asked, reasons: words, port, vector, match }: EventFilter, unknownReason: (word: string, near: string | undefined) => never): WantedEvents {
  let kinds: readonly LogKind[] = asked ?? LOG_KINDS;
  const narrow = (possible: readonly LogKind[]): void => {
    kinds = kinds.filter((kind) => possible.includes(kind));
  };
  const reasons = words === undefined ? undefined : new Set(words.flatMap((word) => reasonsOf(word) ?? unknownReason(word, nearest(word, REASON_WORDS))));
  if (reasons !== undefined) narrow(['exit']);
  if (port !== undefined) narrow(['exit', 'device']);
  if (vector !== undefined) narrow(['exit', 'interrupt']);
  return {
    kinds,
    isKindOnly: reasons === undefined && port === undefined && vector === undefined && match === undefined,
    accepts: (event) => {
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

/** Events of the log as people ask for them: `exit cpuid`, `interrupt 0x20`, `mark serving`, `console PANIC`. */
import { EXIT_REASONS, LOG_KINDS, type LogKind } from '../log/events.ts';
import { REASON_WORDS, reasonsOf } from '../log/reason-words.ts';
import type { StopPoint } from './stop-points.ts';

export type LogStop = Extract<StopPoint, { kind: 'event' | 'console' }>;

/** Words that name no events: which there are. */
export class EventWordsError extends Error {
  override readonly name = 'EventWordsError';
}

export const EVENT_FORMS = `exit [${REASON_WORDS.slice(0, 6).join('|')}|...], interrupt [VECTOR], exception [VECTOR], mark [NAME], console TEXT, event ${LOG_KINDS.join('|')}`;

/** Undefined: the first word is none that events are asked for by. Throws EventWordsError. */
export function eventsOfWords(text: string): LogStop | undefined {
  const [, kind, rest] = /^\s*(\S*)\s*(.*?)\s*$/s.exec(text) ?? ['', '', ''];
  switch (kind) {
    case 'exit': {
      if (rest === '') return { kind: 'event', kinds: ['exit'] };
      const reasons = reasonsOf(rest);
      if (reasons === undefined) throw new EventWordsError(`there is no exit "${rest}"; there are ${REASON_WORDS.join(', ')}`);
      return { kind: 'event', kinds: ['exit'], matches: (event) => event.kind === 'exit' && reasons.includes(event.reason) };
    }
    case 'interrupt': {
      const vector = optionalNumber(rest, 'interrupt', 255);
      return { kind: 'event', kinds: ['interrupt'], matches: (event) => event.kind === 'interrupt' && (event.phase === 'injected' || event.phase === 'acknowledged') && (vector === undefined || event.vector === vector) };
    }
    case 'exception': {
      const vector = optionalNumber(rest, 'exception', 31);
      return { kind: 'event', kinds: ['exit'], matches: (event) => event.kind === 'exit' && event.reason === EXIT_REASONS.exception && (vector === undefined || (event.detail.kind === 'exception' && event.detail.vector === vector)) };
    }
    case 'mark':
      return { kind: 'event', kinds: ['mark'], matches: (event) => event.kind === 'mark' && (rest === '' || event.name === rest) };
    case 'console': {
      const wanted = rest.replace(/^"(.*)"$/s, '$1');
      if (wanted === '') throw new EventWordsError('console needs a text');
      return { kind: 'console', text: wanted };
    }
    case 'event': {
      const kinds = rest.split(/[\s,]+/).filter((word) => word !== '');
      if (kinds.length === 0 || !kinds.every((word): word is LogKind => LOG_KINDS.includes(word as LogKind))) throw new EventWordsError(`event "${rest}": give ${LOG_KINDS.join(', ')}`);
      return { kind: 'event', kinds: kinds as readonly LogKind[] };
    }
    default:
      return undefined;
  }
}

function optionalNumber(text: string, what: string, max: number): number | undefined {
  if (text === '') return undefined;
  const number = /^(0x[0-9a-f]{1,4}|\d{1,4})$/i.test(text) ? Number(text) : NaN;
  if (!(number <= max)) throw new EventWordsError(`${what} "${text}": give a number from 0 to ${max}`);
  return number;
}

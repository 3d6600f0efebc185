/** The kinds of events as the pages show them. A colour never stands alone: each kind has its name beside it. */
import { KIND_COUNTS, KIND_DEVICE, KIND_DIGEST, KIND_DIRTY, KIND_END, KIND_EXIT, KIND_IDLE, KIND_INPUT, KIND_INTERRUPT, KIND_MARK, KIND_NAMES, type LogKind } from '../engine/log/events.ts';

/** From top to bottom of the timeline. */
export const KIND_ORDER: readonly number[] = [KIND_MARK, KIND_INPUT, KIND_EXIT, KIND_INTERRUPT, KIND_DEVICE, KIND_IDLE, KIND_DIRTY, KIND_COUNTS, KIND_DIGEST, KIND_END];
export const KIND_SLOTS = KIND_NAMES.length;
export const ALL_KINDS = KIND_ORDER.reduce((mask, kind) => mask | (1 << kind), 0);

export function kindName(kind: number): LogKind {
  return KIND_NAMES[kind] ?? 'end';
}

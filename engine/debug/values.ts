/** The value of an expression over a run: where it changes, and to what. */
import { eventValues } from './bisect.ts';
import { changes, changesInParallel } from './changes.ts';
import type { Expression } from './expression.ts';
import { countChanges } from './expression-events.ts';
import type { Span, StretchCrew } from './stretches.ts';
import type { TimeTravel } from './time-travel.ts';

export interface Value {
  /** The first position that has it. */
  readonly position: number;
  /** Undefined: it has none, such as memory that is not mapped. */
  readonly value: bigint | undefined;
}

/**
 * The value at `from`, and each change up to `to` (inclusive); with `backward` the last change comes first. Of memory alone at the speed of a replay, else
 * about a million instructions a second. `stretch`: instructions that are replayed at once, at most. Moves the cursor. Throws DivergedError.
 */
export function* values(travel: TimeTravel, expression: Expression, span: Span, stretch?: number): Generator<Value> {
  if (isInLog(expression)) yield* valuesInLog(travel, expression, span);
  else yield* changes(travel, expression, 'value', span, stretch) as Generator<Value>;
}

/** The same of several workers at a time; the same rows in the same order. */
export async function* valuesInParallel(travel: TimeTravel, crew: StretchCrew, expression: Expression, span: Span, stretch?: number): AsyncGenerator<Value> {
  if (isInLog(expression)) yield* valuesInLog(travel, expression, span);
  else yield* changesInParallel(travel, crew, expression, 'value', span, stretch) as AsyncGenerator<Value>;
}

function isInLog({ registers, readsMemory }: Expression): boolean {
  return registers.size === 0 && !readsMemory;
}

function valuesInLog(travel: TimeTravel, expression: Expression, { from, to, backward = false }: Span): readonly Value[] {
  const valueAt = eventValues(travel, expression, (at) => expression.value(at));
  const found: Value[] = [];
  for (const position of [from, ...countChanges(expression, from, to)]) {
    const value = valueAt(position);
    if (found.length === 0 || value !== found[found.length - 1].value) found.push({ position, value });
  }
  return backward ? found.reverse() : found;
}

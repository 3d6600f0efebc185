/** The value of an expression over a run: where it changes, and to what. */
import type { Position } from '../log/position.ts';
import { eventValues } from './bisect.ts';
import { MemoryScan } from './bisect-scan.ts';
import type { Expression } from './expression.ts';
import { countChanges } from './expression-events.ts';
import { ExpressionView } from './expression-view.ts';
import type { Span } from './queries.ts';
import type { TimeTravel } from './time-travel.ts';

export interface Value {
  /** The first position that has it. */
  readonly position: number;
  /** Undefined: it has none, such as memory that is not mapped. */
  readonly value: bigint | undefined;
}

/** Instructions between two looks of whoever waits. */
const CHUNK_INSTRUCTIONS = 65_536;

/**
 * The value at `from`, and each change up to `to` (inclusive); with `backward` the last change comes first. Of memory alone at the speed of a replay, else
 * about a million instructions a second. `stretch`: instructions that are replayed at once. Moves the cursor. Throws DivergedError.
 */
export function* values(travel: TimeTravel, expression: Expression, { from, to, backward = false }: Span, stretch?: number): Generator<Value> {
  if (expression.registers.size === 0 && expression.readsMemory) return yield* new MemoryScan(travel, expression, 'value', stretch).changes(from, to, backward);
  const view = new ExpressionView(travel.machine);
  const valueNow = (): bigint | undefined => {
    view.forget();
    return expression.value(view);
  };
  if (expression.registers.size === 0) {
    const valueAt = eventValues(travel, expression, (at) => expression.value(at));
    const changes: Value[] = [];
    for (const position of [from, ...countChanges(expression, from, to)]) {
      const value = valueAt(position);
      if (changes.length === 0 || value !== changes[changes.length - 1].value) changes.push({ position, value });
    }
    return yield* backward ? changes.reverse() : changes;
  }
  const count = Math.max(1, Math.ceil((to - from) / CHUNK_INSTRUCTIONS));
  for (let i = 0; i < count; i++) {
    const begin = from + (backward ? count - 1 - i : i) * CHUNK_INSTRUCTIONS;
    const end = Math.min(to, begin + CHUNK_INSTRUCTIONS);
    travel.seek(begin);
    let before = valueNow();
    const found: Value[] = begin === from ? [{ position: from, value: before }] : [];
    for (let position = begin + 1; position <= end; position++) {
      travel.replayOn(position);
      if ((travel.position as Position) < position) break;
      const value = valueNow();
      if (value === before) continue;
      found.push({ position, value });
      before = value;
    }
    yield* backward ? found.reverse() : found;
  }
}

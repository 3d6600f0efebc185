/** Events that an expression counts: where its counts change. */
import type { Expression } from './expression.ts';

/** How many of an ascending list are less. */
export function countBelow(list: readonly number[], limit: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (list[middle] < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Where counts are others than at the position before: after `from` and up to `to`, ascending. */
export function countChanges({ events }: Pick<Expression, 'events'>, from: number, to: number): readonly number[] {
  const found = new Set<number>();
  for (const positions of events) {
    const list = positions();
    for (let i = countBelow(list, from); i < list.length && list[i] < to; i++) found.add(list[i] + 1);
  }
  return [...found].sort((a, b) => a - b);
}

/** The first event that counts at `from` or later; Infinity if there is none. */
export function eventFrom({ events }: Pick<Expression, 'events'>, from: number): number {
  return events.reduce((first, positions) => Math.min(first, positions()[countBelow(positions(), from)] ?? Infinity), Infinity);
}

/** The last event that counts before `before`; -1 if there is none. */
export function eventBefore({ events }: Pick<Expression, 'events'>, before: number): number {
  return events.reduce((last, positions) => Math.max(last, positions()[countBelow(positions(), before) - 1] ?? -1), -1);
}

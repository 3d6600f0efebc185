/**
 * A position: the number of instructions retired since reset, a safe integer. Written `@1234567`. The only clock of the engine.
 */

declare const brand: unique symbol;
export type Position = number & { readonly [brand]: 'position' };

/** The position of power-on. */
export const POSITION_ZERO = 0 as Position;
/** Not smaller than any position. */
export const POSITION_MAX = Number.MAX_SAFE_INTEGER as Position;

/** Narrows a number that must be a position; anything else is a bug of the caller. */
export function position(instructions: number): Position {
  if (!Number.isSafeInteger(instructions) || instructions < 0) throw new RangeError(`not a position: ${instructions}`);
  return instructions as Position;
}

export function formatPosition(at: Position): string {
  return `@${at}`;
}

/** The inverse of formatPosition; digits may be grouped with `_`. Undefined for anything else, as the text may come from a person. */
export function parsePosition(text: string): Position | undefined {
  if (!/^@\d+(?:_\d+)*$/.test(text)) return undefined;
  const instructions = Number(text.slice(1).replaceAll('_', ''));
  return Number.isSafeInteger(instructions) ? (instructions as Position) : undefined;
}

/** What `backtrace`, `calls`, `value`, `why` and `find` share: the span of a question, and addresses of code. */
import { parseExpression } from '../../engine/debug/expression.ts';
import { ExpressionView } from '../../engine/debug/expression-view.ts';
import type { Span } from '../../engine/debug/queries.ts';
import type { Arguments, OptionSpec } from './arguments.ts';
import { type Opened, goTo } from './bisect-common.ts';
import { UsageError } from './usage-error.ts';

export const COUNT_MAX = 1_000_000;

export const SPAN_OPTIONS: readonly OptionSpec[] = [
  { name: 'from', value: 'WHERE', help: '@POSITION, N%, event:N, mark:NAME or end (default: power-on)' },
  { name: 'to', value: 'WHERE', help: 'up to there, exclusive (default: end); what an address means, it means there' },
  { name: 'newest', help: 'the latest first' },
  { name: 'count', value: 'N', help: `so many at most (default: 20; at most ${COUNT_MAX})` },
];

export interface Asked extends Span {
  readonly from: number;
  readonly to: number;
  readonly backward: boolean;
  readonly count: number;
}

/** The cursor is at the end of the span then. Throws SeekError, UsageError. */
export function spanOf({ travel }: Opened, parsed: Arguments): Asked {
  const count = parsed.count('count', 1) ?? 20;
  if (count > COUNT_MAX) throw parsed.wrong('count', String(count), `at most ${COUNT_MAX}`);
  const from = goTo(travel, parsed, 'from', '@0');
  // At the end all that happened there is seen, too.
  const to = goTo(travel, parsed, 'to', 'end') + (travel.isAtEnd ? 1 : 0);
  if (from > to) throw new UsageError(`--from @${from} is after --to @${to}`, parsed.verb);
  return { from, to, backward: parsed.has('newest'), count };
}

/** Of code: a symbol or an expression, worked out at the cursor. Throws UsageError, ExpressionError. */
export function addressOf({ travel, symbols }: Opened, text: string, verb: string): bigint {
  const address = parseExpression(text, symbols).value(new ExpressionView(travel.machine));
  if (address === undefined) throw new UsageError(`"${text}" reads memory that is not mapped at @${travel.position}`, verb);
  if (address < 0n || address >= 1n << 64n) throw new UsageError(`"${text}" is ${address}, which is no address`, verb);
  return address;
}

/** take() of rows that come from several threads. */
export async function takeAll<T>(rows: AsyncIterable<T>, count: number): Promise<{ readonly rows: readonly T[]; readonly isCut: boolean }> {
  const taken: T[] = [];
  for await (const row of rows) {
    if (taken.length >= count) return { rows: taken, isCut: true };
    taken.push(row);
  }
  return { rows: taken, isCut: false };
}

/** The first `count`, and whether there may be more. */
export function take<T>(rows: Iterable<T>, count: number): { readonly rows: readonly T[]; readonly isCut: boolean } {
  const taken: T[] = [];
  for (const row of rows) {
    if (taken.length >= count) return { rows: taken, isCut: true };
    taken.push(row);
  }
  return { rows: taken, isCut: false };
}

export function hexText(value: bigint): string {
  return `0x${value.toString(16)}`;
}

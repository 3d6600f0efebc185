/**
 * Where what an expression says changes over a run: its value, or whether it is true. What is about memory is found by MemoryScan (`bisect-scan.ts`), which passes over
 * what the dirty sets rule out; with registers each instruction is looked at. In one thread or several, forward or backward, the rows are the same.
 *
 *     ··|──────|── the same ──|──────|──────|──────|──────|······      after a few stretches in a row that had to be replayed, the next ones are handed out
 *        alone    no replay     alone   alone  a batch for all          at once; then it is asked again whether anything can be passed over
 */
import { type Measured, MemoryScan } from './bisect-scan.ts';
import { type Expression, type PlainExpression, expressionOf } from './expression.ts';
import { ExpressionView } from './expression-view.ts';
import { type Span, type Stretch, type StretchAnswer, type StretchCrew, answersInParallel, rowsInParallel, rowsOf, stretchesOf } from './stretches.ts';
import type { TimeTravel } from './time-travel.ts';

export type { Learnt } from './bisect-scan.ts';

/** The first position that has this value, or this truth. */
export interface Change {
  readonly position: number;
  readonly value: Measured;
}

/** Rows are positions at which it is not what it was one position before. */
export interface ChangesQuestion {
  readonly kind: 'changes';
  readonly expression: PlainExpression;
  readonly measures: 'truth' | 'value';
  /** Instructions of a stretch at most. */
  readonly most: number;
}

/** Each instruction is looked at: rows may be as many, and there may be one row in a long search. */
const SLOW_INSTRUCTIONS = { value: 65_536, truth: 500_000 } as const;
const FAST_INSTRUCTIONS = 4_000_000;
/** Stretches in a row without anything to pass over, from which on others are called. */
const ALONE = 3;
/** Stretches that are handed out before it is looked again. */
const BATCH_MIN = 8;
const BATCH_MAX = 64;

/** From `from` to `to` (inclusive), the first one at `from`; with `backward` the last change comes first. Moves the cursor. Throws DivergedError. */
export function* changes(travel: TimeTravel, expression: Expression, measures: 'truth' | 'value', span: Span, most?: number): Generator<Change> {
  const question = questionOf(expression, measures, most);
  const { from, to, backward = false } = span;
  const first = { position: from, value: measured(travel, expression, measures, from) };
  if (!backward) yield first;
  const inner = { from: from + 1, to: to + 1, backward };
  if (isSlow(expression)) yield* rowsOf<Change>(travel, question, inner);
  else {
    const scan = new MemoryScan(travel, expression, measures);
    for (const stretch of stretchesOf(travel, question, inner)) if (!scan.isSame(stretch, backward)) yield* directed(scan.changesIn(stretch), backward);
  }
  if (backward) yield first;
}

/** The same of several workers at a time. */
export async function* changesInParallel(travel: TimeTravel, crew: StretchCrew, expression: Expression, measures: 'truth' | 'value', span: Span, most?: number): AsyncGenerator<Change> {
  const question = questionOf(expression, measures, most);
  const { from, to, backward = false } = span;
  const first = { position: from, value: measured(travel, expression, measures, from) };
  if (!backward) yield first;
  const inner = { from: from + 1, to: to + 1, backward };
  if (isSlow(expression)) yield* rowsInParallel<Change>(travel, crew, question, inner);
  else yield* scanned(travel, crew, expression, question, inner);
  if (backward) yield first;
}

async function* scanned(travel: TimeTravel, crew: StretchCrew, expression: Expression, question: ChangesQuestion, span: Span): AsyncGenerator<Change> {
  const backward = span.backward ?? false;
  const scan = new MemoryScan(travel, expression, question.measures);
  const stretches = stretchesOf(travel, question, span);
  let dense = 0;
  let size = BATCH_MIN;
  for (const stretch of stretches) {
    if (scan.isSame(stretch, backward)) {
      dense = 0;
      size = BATCH_MIN;
      continue;
    }
    if (dense++ < ALONE) {
      yield* directed(scan.changesIn(stretch), backward);
      continue;
    }
    const batch = [stretch];
    for (let next = batch.length < size ? stretches.next() : undefined; next !== undefined && next.done !== true; next = batch.length < size ? stretches.next() : undefined) batch.push(next.value);
    size = Math.min(BATCH_MAX, size * 2);
    for await (const { rows, learnt } of answersInParallel<Change>(travel, crew, question, span, { stretches: batch.values(), alone: 0 })) {
      if (learnt !== undefined) scan.learn(learnt);
      yield* directed(rows, backward);
    }
  }
}

/** The scan of the last question that was asked of it: which bytes a value comes from is known the next time. */
const scans = new WeakMap<TimeTravel, { readonly key: string; readonly expression: Expression; readonly scan: MemoryScan | undefined }>();

/** What one stretch has. Moves the cursor. Throws DivergedError. */
export function changesOf(travel: TimeTravel, { expression: plain, measures }: ChangesQuestion, stretch: Stretch): StretchAnswer<Change> {
  const key = `${measures} ${plain.text} ${plain.names.join()}`;
  let kept = scans.get(travel);
  if (kept?.key !== key) {
    const expression = expressionOf(plain, travel.reader);
    kept = { key, expression, scan: isSlow(expression) ? undefined : new MemoryScan(travel, expression, measures) };
    scans.set(travel, kept);
  }
  const { expression, scan } = kept;
  if (scan !== undefined) return { rows: scan.changesIn(stretch), learnt: scan.learnt };
  const view = new ExpressionView(travel.machine);
  const rows: Change[] = [];
  let before = measured(travel, expression, measures, stretch.begin - 1, view);
  for (let position = stretch.begin; position < stretch.end; position++) {
    travel.replayOn(position);
    if (travel.position < position) break;
    const value = measureOf(expression, measures, view);
    if (value !== before) rows.push({ position, value });
    before = value;
  }
  return { rows };
}

function questionOf(expression: Expression, measures: 'truth' | 'value', most = Infinity): ChangesQuestion {
  return { kind: 'changes', expression: expression.plain, measures, most: Math.min(most, isSlow(expression) ? SLOW_INSTRUCTIONS[measures] : FAST_INSTRUCTIONS) };
}

function isSlow({ registers }: Expression): boolean {
  return registers.size > 0;
}

function measured(travel: TimeTravel, expression: Expression, measures: 'truth' | 'value', position: number, view = new ExpressionView(travel.machine)): Measured {
  travel.seek(position);
  return measureOf(expression, measures, view);
}
function measureOf(expression: Expression, measures: 'truth' | 'value', view: ExpressionView): Measured {
  view.forget();
  return measures === 'truth' ? expression.isTrue(view) : expression.value(view);
}

function directed<T>(rows: readonly T[], backward: boolean): readonly T[] {
  return backward ? [...rows].reverse() : rows;
}

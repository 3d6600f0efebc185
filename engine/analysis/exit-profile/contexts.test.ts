import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CONTEXT_OTHER, CONTEXT_ROWS_MAX, ContextTable, SUM_COUNT, SUM_TYPICAL, TASKS_MAX } from './context-table.ts';
import { CONTEXT_NONE, ContextColumns, DEPTH_MAX, StackTree } from './contexts.ts';
import { ExitProfileFold, type ExitProfileState } from './fold.ts';
import { foldedStacks } from './profile.ts';
import { TestProjection, batchesOf, exitLog } from './testing.ts';

test('a stack tree gives each stack one number, and cuts what is too deep or too many', () => {
  const tree = new StackTree(DEPTH_MAX + 3);
  const a = tree.add(CONTEXT_NONE, 'a');
  const b = tree.add(a, 'b');
  expect([tree.add(a, 'b'), tree.framesOf(b), tree.framesOf(CONTEXT_NONE), tree.labelOf(b)]).toEqual([b, ['a', 'b'], [], 'b']);
  let deep = b;
  for (let i = 2; i < DEPTH_MAX + 5; i++) deep = tree.add(deep, `f${i}`);
  expect([tree.framesOf(deep).length, tree.cut]).toEqual([DEPTH_MAX, 5]);
  expect([tree.add(CONTEXT_NONE, 'c'), tree.add(CONTEXT_NONE, 'd'), tree.add(CONTEXT_NONE, 'e'), tree.size]).toEqual([DEPTH_MAX + 1, DEPTH_MAX + 2, CONTEXT_NONE, DEPTH_MAX + 3]);
});

test('columns hold what was set, and nothing elsewhere', () => {
  const columns = new ContextColumns();
  columns.startAt(100);
  columns.set(103, 7, 8);
  columns.set(5000, 9, 10);
  expect([99, 100, 103, 104, 5000, 5001].map((record) => [columns.stackAt(record), columns.taskAt(record)])).toEqual([[0, 0], [0, 0], [7, 8], [0, 0], [9, 10], [0, 0]]);
  columns.startAt(5000);
  columns.set(5001, 1, 2);
  expect([columns.stackAt(5000), columns.stackAt(5001), columns.stackAt(103)]).toEqual([0, 1, 0]);
});

test('what comes when the table is full shares rows; no exit is lost', () => {
  const table = new ContextTable(100);
  const total = 100 + TASKS_MAX + 50;
  for (let i = 0; i < total; i++) table.add(i, i, i % 3, false, i, true, 1, 2, 3);
  let count = 0;
  let shared = 0;
  for (let row = 0; row < table.rows; row++) {
    count += table.sum(row, SUM_COUNT);
    if (table.stackOf(row) === CONTEXT_OTHER) shared += table.sum(row, SUM_COUNT);
  }
  let cost = 0;
  for (let row = 0; row < table.tasks; row++) cost += table.taskSum(row, SUM_TYPICAL);
  expect([count, shared, cost, table.rows, table.tasks]).toEqual([total, total - 100, total * 2, 103, TASKS_MAX + 1]);
  expect(CONTEXT_ROWS_MAX).toBeGreaterThan(10_000);
});

/** Stacks and tasks that depend on the record alone. */
function contextsOf(records: number): { readonly names: { readonly stacks: StackTree; readonly tasks: readonly string[] }; readonly columns: ContextColumns } {
  const stacks = new StackTree();
  const columns = new ContextColumns();
  for (let i = 0; i < records; i++) {
    let stack = CONTEXT_NONE;
    for (let depth = 0; depth <= i % 4; depth++) stack = stacks.add(stack, `f${(i * 7 + depth) % 9}`);
    columns.set(i, stack, 1 + (i % 3));
  }
  return { names: { stacks, tasks: ['', 'init-1', 'sh-2', 'sh;odd-3'] }, columns };
}

test('folding in any batch sizes, and going on from a saved state, gives the same profile', () => {
  const reader = exitLog(2000, { blockBytes: 4096 });
  const { names, columns } = contextsOf(reader.records);
  const fold = (cuts: readonly number[], withCosts: boolean): unknown => {
    const options = { name: 'test', contexts: names, projection: withCosts ? new TestProjection() : undefined };
    let profile = new ExitProfileFold(options);
    let n = 0;
    for (const batch of batchesOf(reader)) {
      for (let from = 0; from < batch.count; ) {
        const to = Math.min(batch.count, from + (cuts[n++ % cuts.length] ?? batch.count));
        profile.fold(batch, from, to, columns);
        from = to;
        if (n % 5 !== 0) continue;
        const state = structuredClone(profile.save()) as ExitProfileState;
        profile = new ExitProfileFold({ ...options, projection: withCosts ? new TestProjection() : undefined });
        profile.restore(state);
      }
    }
    return profile.report();
  };
  for (const withCosts of [false, true]) {
    const whole = fold([1 << 20], withCosts);
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 5 }), (cuts) => {
      expect(fold(cuts, withCosts)).toEqual(whole);
    }), { numRuns: 8, seed: 3 }); // prettier-ignore
  }
});

test('rows and folded stacks are what a count by hand gives', () => {
  const reader = exitLog(500, { phases: 0 });
  const { names, columns } = contextsOf(reader.records);
  const fold = new ExitProfileFold({ name: 'test', contexts: names });
  for (const batch of batchesOf(reader)) fold.fold(batch, 0, batch.count, columns);
  const profile = fold.report();
  const expected = new Map<string, number>();
  for (const { event, index } of reader.entries({ kinds: ['exit'] })) {
    const key = `${event.kind === 'exit' && event.reason === 12 ? 'idle' : 'work'} ${names.tasks[columns.taskAt(index)]}`;
    expected.set(key, (expected.get(key) ?? 0) + 1);
  }
  expect(new Map(profile.by.task?.map(({ label, isIdle, count }) => [`${isIdle ? 'idle' : 'work'} ${label}`, count]))).toEqual(expected);
  const lines = foldedStacks(profile);
  expect(lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)).toBe(profile.exits - profile.idleExits);
  // A semicolon in a name would be another frame.
  expect(lines.some((line) => line.startsWith('sh,odd-3;f'))).toBe(true);
});

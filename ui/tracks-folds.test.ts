import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { LogReader } from '../engine/log/reader.ts';
import { MemorySource } from '../engine/log/storage.ts';
import { candidate, projectionOf } from '../engine/regimes/catalogue.ts';
import { CostFold } from './cost-fold.ts';
import { InterruptFold } from './interrupt-arrows.ts';

const reader = LogReader.open(new MemorySource(readFileSync(new URL('../traces/lab-kernel.cvlog', import.meta.url))));
const batches = reader.eventBlocks.map((_, i) => reader.batch(i));

it('makes an arrow of each interrupt that was delivered, from its line to its end', () => {
  const fold = new InterruptFold();
  for (const batch of batches) fold.add(batch, 0, batch.count);
  const events = [...reader.events({ kinds: ['interrupt'] })].flatMap((event) => (event.kind === 'interrupt' ? [event] : []));
  const delivered = events.filter(({ phase }) => phase === 'injected');
  expect(fold.arrows.map(({ to, vector }) => [to, vector])).toEqual(delivered.map(({ position, vector }) => [position, vector]));
  const ends = events.filter(({ phase }) => phase === 'eoi').map(({ position }) => position as number);
  for (const { from, to, until } of fold.arrows) {
    expect(from).toBeLessThanOrEqual(to);
    if (until !== undefined) expect(ends).toContain(until);
  }
  // Handlers of the lab kernel do not nest: each ends before the next begins.
  fold.arrows.forEach(({ until }, i) => expect(until ?? Infinity).toBeLessThanOrEqual(fold.arrows[i + 1]?.to ?? Infinity));
});

it('adds up what a technique costs, and puts it where its events are', () => {
  const fold = new CostFold('hw', reader.lastPosition);
  for (const batch of batches) fold.add(batch);
  let total = 0;
  const projection = projectionOf(candidate('hw'));
  for (const batch of batches) {
    projection.fold(batch, 0, batch.count, {
      exit: (_row, _reason, _qualification, handler, { typical }) => (total += handler === 6 ? 0 : typical),
      exitTimes: (_row, _reason, _qualification, handler, { typical }, count) => (total += handler === 6 ? 0 : count * typical),
      direct: (_row, kind, count, { typical }) => (total += kind === 8 ? 0 : count * typical),
    });
  }
  expect(fold.cycles.reduce((sum, each) => sum + each, 0)).toBeCloseTo(total, 3);
  expect(total).toBeGreaterThan(0);
  // Before the first event nothing costs anything.
  const firstExit = [...reader.events({ kinds: ['exit'] })][0].position;
  expect(fold.cycles.findIndex((cycles) => cycles > 0)).toBeGreaterThanOrEqual(Math.floor(firstExit / 2 ** fold.shift));
  expect(() => new CostFold('no such technique', 1)).toThrow(/no regime/);
});

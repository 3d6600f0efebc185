/** `explore` finds a race that a recording does not show, and says what is least needed for it. The kernel with the lost update, of which a part is run again. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { bisect } from '../../engine/debug/bisect.ts';
import { branchPoint } from '../../engine/debug/branch-point.ts';
import { type Attempt, Explorer, type Failure, shareInterval } from '../../engine/debug/explore.ts';
import { parseExpression } from '../../engine/debug/expression.ts';
import { readRegister } from '../../engine/debug/inspect.ts';
import { parseElfSymbols } from '../../engine/debug/symbols.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { MemorySink } from '../../engine/log/storage.ts';
import { openChain } from '../../engine/recording/chain.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import { core, identical, open } from '../determinism/runs.ts';

const reader = open(new Uint8Array(readFileSync(fileURLToPath(new URL('../../traces/bug-lost-update.cvlog', import.meta.url)))));
const images = { kernel: reader.image(reader.header.images[0].sha256)! };
const symbols = parseElfSymbols(images.kernel);
const chain = openChain(reader, () => undefined);
/** A record is lost. */
const lost: Failure = { kind: 'expression', expression: parseExpression('length(u64(accounting.c:free_list)) + length(u64(accounting.c:pending_list)) != 64', symbols) };

/** What a run does without anything else to do in between. */
function all<T>(steps: Generator<number, T, void>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value as T;
  }
}

test('the race of the lost update', () => {
  const work = [...reader.events({ kinds: ['mark'] })].find((event) => event.kind === 'mark' && event.name === 'work syscall')!.position;
  const ticks = [...reader.events({ kinds: ['device'], from: work })].filter((event) => event.kind === 'device' && event.report.kind === 'timer-fire').map((event) => event.position);
  const travel = new TimeTravel({ reader, images, module: core() });
  // A tick at which it does not strike.
  const explorerAt = (tick: number, seed: bigint): Explorer => {
    travel.seek(tick - 20_000);
    const point = branchPoint(travel, chain, images, core());
    return new Explorer({ parent: reader, images, module: core(), point, failure: lost, seed, delayNsMax: 2000, shiftsMax: 4, shiftsTo: tick, runTo: tick + 60_000, inputs: 'keep' });
  };
  const tick = ticks.find((at) => !all(explorerAt(at, 1n).attempt([])).fails)!;
  const explorer = explorerAt(tick, 1n);
  const attempts = Array.from({ length: 40 }, (_, run) => all(explorer.drawn(run)));
  const failing = attempts.filter(({ fails }) => fails);
  expect(failing.length).toBeGreaterThan(0);
  expect(failing.length).toBeLessThan(40);

  // Only the seed and the number decide.
  const again = explorerAt(tick, 1n);
  expect([39, 3, 17].map((run) => all(again.drawn(run)))).toEqual([39, 3, 17].map((run) => attempts[run]));
  const other = explorerAt(tick, 2n);
  expect(all(other.drawn(0)).shifts).not.toEqual(attempts[0].shifts);

  const most = failing.reduce((best, each) => (each.shifts.length > best.shifts.length ? each : best));
  const shortest: Attempt = all(explorer.shortest(most));
  expect(shortest.fails).toBe(true);
  expect(shortest.shifts.length).toBeGreaterThan(0);
  // Nothing of it can be left out.
  for (const left of shortest.shifts) expect(all(again.attempt(shortest.shifts.filter((shift) => shift !== left))).fails).toBe(false);

  const sink = new MemorySink();
  const branch = all(explorer.record(shortest.shifts, { sink, id: 'race', product: 'test' }));
  const child = openChain(open(sink.toBytes()), ({ logId }) => (logId === reader.header.id ? reader : undefined));
  const status = identical(new Replayer({ reader: child.reader, images, module: core() }).run(), 'the branch that reproduces it');
  expect(status.position).toBe(branch.position);
  const walk = new TimeTravel({ reader: child.reader, images, module: core() });
  if (lost.kind !== 'expression') return;
  // Lists are changed in two steps: now and then a record is on neither.
  const found = bisect(walk, lost.expression, { from: tick - 20_000, to: walk.last, stays: true });
  expect(found.kind).toBe('found');
  if (found.kind !== 'found') return;
  walk.seek(found.position - 1);
  expect(symbols.tell(readRegister(walk.machine, 'rip')!)).toMatch(/^accounting_call/);
});

test('the interval of a share', () => {
  // Wilson's own: at no hit of n the upper end is z^2 / (n + z^2).
  expect(shareInterval(0, 10).low).toBe(0);
  expect(shareInterval(0, 10).high).toBeCloseTo(3.8415 / 13.8415, 3);
  expect(shareInterval(5, 10)).toMatchObject({ low: expect.closeTo(0.2366, 3), high: expect.closeTo(0.7634, 3) });
  expect(shareInterval(0, 0)).toEqual({ low: 0, high: 1 });
});

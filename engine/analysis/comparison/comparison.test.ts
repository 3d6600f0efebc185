import fc from 'fast-check';
import { firstValueFrom, from, lastValueFrom, Subject, throwError, toArray } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { describe, expect, it } from 'vitest';
import { anyEvents, openLog, QUICK_BOOT, syntheticBoot, testHeader, writeLog } from '../../log/testing.ts';
import { MemorySink } from '../../log/storage.ts';
import { createLog } from '../../log/writer.ts';
import { eventAt, type EventBatch } from '../../log/event-batch.ts';
import type { EventSink } from '../../log/event-sink.ts';
import { CR_MOV_TO, MARK_SOURCES } from '../../log/events.ts';
import { position } from '../../log/position.ts';
import { candidate, costsOf, projectionOf, REGIMES } from '../../regimes/catalogue.ts';
import { Costs } from '../../regimes/costs/cost-table.ts';
import { Comparison, type ComparisonSetup } from './comparison.ts';
import { Ledger } from './ledger.ts';
import { compareRegimes } from './operator.ts';

const SIX = REGIMES.map(({ id }) => candidate(id));
const GUEST = MARK_SOURCES[0];

function batchesOf(fill: (sink: EventSink) => void): EventBatch[] {
  const reader = openLog(writeLog(fill));
  return reader.eventBlocks.map((_, i) => reader.batch(i));
}
const BOOT = batchesOf((sink) => syntheticBoot(sink, QUICK_BOOT));

function reportOf(setup: ComparisonSetup, batches: readonly EventBatch[]): ReturnType<Comparison['report']> {
  const comparison = new Comparison(setup);
  for (const batch of batches) comparison.add(batch);
  return comparison.report();
}

describe('Comparison', () => {
  it('folds what comes to the same projection once: baselines, platforms, changes of an option', () => {
    const columns = (ids: readonly string[], hasAdvice = false): number => new Comparison({ candidates: ids.map((id) => candidate(id)), hasAdvice }).save().columns.length;
    expect(columns(['native', 'hw'])).toBe(2);
    expect(columns(['hw', 'native', 'hw'])).toBe(2);
    expect(columns(['para', 'xen-pv'])).toBe(2);
    // Costs of another CPU, with a baseline of its own.
    expect(columns(['full', 'vmware-esx-bt'])).toBe(4);
    expect(columns(['hw', 'kvm-qemu'], true)).toBeLessThan(columns(['hw'], true) + columns(['kvm-qemu'], true) - 2);
  });

  it('reports the same in any batch sizes, across save and restore, and whether or not it was asked before', () => {
    const rates = { systemCallsPerMillion: 100, pageWalksPerMillion: 1000, kernelShare: 0.5 };
    fc.assert(
      fc.property(anyEvents, fc.array(fc.nat(), { maxLength: 4 }), fc.array(fc.nat(200), { maxLength: 4 }), (events, cuts, flushes) => {
        const setup: ComparisonSetup = { candidates: SIX.map((each) => ({ ...each })), rates };
        const expected = reportOf(setup, batchesOf((writer) => events.forEach((event) => writer.append(event))));
        const parts = batchesOf((writer) => events.forEach((event, i) => { writer.append(event); if (flushes.includes(i)) writer.flush(); }));
        let comparison = new Comparison(setup);
        for (const batch of parts) {
          const ends = [0, ...cuts.map((each) => each % (batch.count + 1)).sort((a, b) => a - b), batch.count];
          for (let i = 0; i + 1 < ends.length; i++) {
            comparison.add(batch, ends[i], ends[i + 1]);
            comparison.report();
            const state: unknown = JSON.parse(JSON.stringify(comparison.save()));
            comparison = new Comparison(setup);
            comparison.restore(state as ReturnType<Comparison['save']>);
          }
        }
        expect(comparison.report()).toEqual(expected);
      }),
      { numRuns: 25 },
    );
  });

  it('reports the same of a log that is still being written, block by block', () => {
    const whole = BOOT[0];
    const sink = new MemorySink();
    const writer = createLog(sink, testHeader());
    const comparison = new Comparison({ candidates: SIX });
    let taken = 0;
    const takeNew = (): void => {
      const reader = openLog(sink.toBytes());
      for (; taken < reader.eventBlocks.length; taken++) comparison.add(reader.batch(taken));
      comparison.report();
    };
    for (let i = 0; i < whole.count; i++) {
      writer.append(eventAt(whole, i));
      if (i % 700 === 0) {
        writer.flush();
        takeNew();
      }
    }
    writer.close();
    takeNew();
    expect(taken).toBeGreaterThan(3);
    expect(comparison.report()).toEqual(reportOf({ candidates: SIX }, BOOT));
  });

  it('makes native the measure: a slowdown of exactly 1', () => {
    const { regimes } = reportOf({ candidates: SIX }, BOOT);
    expect(regimes[0].run.slowdown).toEqual({ low: 1, typical: 1, high: 1 });
    for (const { run } of regimes) expect(run.slowdown.low <= run.slowdown.typical && run.slowdown.typical <= run.slowdown.high).toBe(true);
  });

  it('computes slowdown and rate as its README says', () => {
    const [batch] = batchesOf((sink) => { sink.exitCpuid(position(500_000), 0, 0xffff_ffff, 0, 0); sink.end(position(1_000_000), 'shutdown', ''); });
    const [{ run }] = reportOf({ candidates: [candidate('hw', { options: { hostHz: 0 } })], cyclesPerInstruction: 2 }, [batch]).regimes;
    expect(run.slowdown.typical).toBeCloseTo((2_000_000 + 1350) / 2_000_000, 12);
    expect(run.exitsPerMillion).toBe(1);
    expect(run.dominant).toEqual({ name: 'CPUID (light)', share: 1 });
  });

  it('cuts phases at marks; they add up to the run', () => {
    const batches = batchesOf((sink) => {
      sink.exitCpuid(position(10), 0, 0xffff_ffff, 0, 0);
      sink.mark(position(20), 'one', GUEST);
      sink.exitCpuid(position(30), 0, 0xffff_ffff, 0, 0);
      sink.exitCpuid(position(40), 0, 0xffff_ffff, 0, 0);
      sink.idle(position(40), 5000);
      sink.mark(position(50), 'two', GUEST);
      sink.end(position(90), 'shutdown', '');
    });
    const { phases, regimes, idleNs } = reportOf({ candidates: [candidate('hw')] }, batches);
    expect(phases).toEqual([
      { name: '(start)', from: 0, to: 20, instructions: 20, idleNs: 0 },
      { name: 'one', from: 20, to: 50, instructions: 30, idleNs: 5000 },
      { name: 'two', from: 50, to: 90, instructions: 40, idleNs: 0 },
    ]);
    expect(idleNs).toBe(5000);
    expect(regimes[0].phases.map(({ exits }) => exits)).toEqual([1, 2, 0]);
    expect(regimes[0].run.exits).toBe(3);
  });

  it('keeps a bound on phases', () => {
    const { phases, regimes } = reportOf({ candidates: [candidate('hw')] }, batchesOf((sink) => { for (let i = 1; i <= 1000; i++) { sink.mark(position(i * 10), `m${i}`, GUEST); sink.exitCpuid(position(i * 10 + 1), 0, 0xffff_ffff, 0, 0); } }));
    expect(phases).toHaveLength(256);
    expect(phases.at(-1)?.name).toBe('(rest)');
    expect(regimes[0].run.exits).toBe(1000);
  });

  it('what would remove it: the difference to a comparison with that option', () => {
    const chosen = candidate('hw-shadow');
    const [report] = reportOf({ candidates: [chosen], hasAdvice: true }, BOOT).regimes;
    const ept = report.removals.find(({ option }) => option === 'ept');
    const [other] = reportOf({ candidates: [candidate('hw-shadow', { options: { ept: true } })] }, BOOT).regimes;
    expect(ept?.exitsSaved).toBe(report.run.exits - other.run.exits);
    expect(ept?.exitsSaved).toBeGreaterThan(500);
    expect(ept?.cyclesSaved.typical).toBeCloseTo(report.run.cycles.typical - other.run.cycles.typical, 6);
    expect(ept?.slowdown).toBeCloseTo(other.run.slowdown.typical, 12);
  });

  it('sensitivity: the slowdown that a projection with the changed cost gives', () => {
    const chosen = candidate('hw-shadow', { options: { guestKpti: true } });
    const rates = { systemCallsPerMillion: 50, pageWalksPerMillion: 100 };
    const report = reportOf({ candidates: [chosen], rates }, BOOT);
    const [{ sensitivity, run }] = report.regimes;
    expect(sensitivity.length).toBeGreaterThan(8);
    const instructions = report.instructions;
    const cycles = (id: string, changes: ReadonlyMap<string, { low: number; typical: number; high: number }>): number => {
      const each = candidate(id, { options: { guestKpti: true } });
      const projection = projectionOf(each, new Costs(each.cpu, [], changes));
      const ledger = new Ledger();
      for (const batch of BOOT) projection.fold(batch, 0, batch.count, ledger);
      projection.finish({ instructions, idleNs: 0, systemCalls: (50 * instructions) / 1e6, pageWalks: (100 * instructions) / 1e6 }, ledger);
      return ledger.cycles().typical;
    };
    for (const row of sensitivity) {
      const changes = new Map([[row.parameter, { low: row.high, typical: row.high, high: row.high }]]);
      expect(row.slowdownHigh, row.parameter).toBeCloseTo((instructions + cycles('hw-shadow', changes)) / (instructions + cycles('native', changes)), 9);
      expect(costsOf(chosen).row(row.parameter).trust).toBe(row.trust);
    }
    expect(run.slowdown.typical).toBeCloseTo((instructions + cycles('hw-shadow', new Map())) / (instructions + cycles('native', new Map())), 9);
  });

  it('says what it was not told, and charges it once it is', () => {
    const without = reportOf({ candidates: [candidate('full')] }, BOOT).regimes[0];
    expect(without.missing).toEqual(['systemCalls', 'kernelInstructions', 'pageWalks']);
    const given = reportOf({ candidates: [candidate('full')], rates: { systemCallsPerMillion: 10, pageWalksPerMillion: 10, kernelShare: 1 } }, BOOT).regimes[0];
    expect(given.missing).toEqual([]);
    expect(given.run.cycles.typical).toBeGreaterThan(without.run.cycles.typical);
  });

  it('charges what the log counts, in the phase where it was, and no rate on top', () => {
    const counted = batchesOf((sink) => {
      sink.counts(position(1000), 600, 4);
      sink.mark(position(1000), 'work', GUEST);
      sink.counts(position(1500), 900, 4);
      sink.counts(position(3000), 1600, 14);
      sink.end(position(3000), 'shutdown', '');
    });
    const phasesOf = (setup: ComparisonSetup): unknown => {
      const [full] = reportOf(setup, counted).regimes;
      expect(full.missing).toEqual(['pageWalks']);
      return full.phases.map(({ direct }) => direct.filter(({ kind }) => kind === 'system call' || kind === 'translated code').map(({ kind, count }) => `${kind} ${count}`).toSorted());
    };
    const expected = [['system call 4', 'translated code 600'], ['system call 10', 'translated code 1000']];
    expect(phasesOf({ candidates: [candidate('full')] })).toEqual(expected);
    expect(phasesOf({ candidates: [candidate('full')], rates: { systemCallsPerMillion: 100_000, kernelShare: 1 } })).toEqual(expected);
  });

  it('KPTI costs shadow paging most', () => {
    const rates = { systemCallsPerMillion: 1000 };
    const slowdown = (id: string): number => reportOf({ candidates: [candidate(id, { options: { guestKpti: true } })], rates }, BOOT).regimes[0].run.slowdown.typical;
    expect(slowdown('hw-shadow') - slowdown('hw')).toBeGreaterThan(1);
  });

  it('refuses a CPI of nothing and the state of another comparison', () => {
    expect(() => new Comparison({ candidates: SIX, cyclesPerInstruction: 0 })).toThrow(/cycles per instruction must be above 0/);
    expect(() => new Comparison({ candidates: SIX }).restore(new Comparison({ candidates: SIX.slice(0, 1) }).save())).toThrow(/another comparison/);
  });
});

describe('compareRegimes', () => {
  const setup: ComparisonSetup = { candidates: [candidate('hw-shadow')] };
  const BATCHES = batchesOf((sink) => { for (let i = 1; i <= 4; i++) { sink.exitCr(position(i), 0, 0xffff_ffff, 3, CR_MOV_TO, 0, i * 4096, 0); sink.flush(); } });

  it('gives the report of the fold, and one on the way every so many batches', async () => {
    expect(BATCHES).toHaveLength(4);
    expect(await lastValueFrom(from(BATCHES).pipe(compareRegimes(setup)))).toEqual(reportOf(setup, BATCHES));
    const reports = await firstValueFrom(from(BATCHES).pipe(compareRegimes(setup, 2), toArray()));
    expect(reports).toEqual([reportOf(setup, BATCHES.slice(0, 2)), reportOf(setup, BATCHES), reportOf(setup, BATCHES)]);
  });

  it('marbles: one value at the end; live values; errors; subscriptions', () => {
    const run = (marbles: string, every: number, expected: string, subscriptions: string): void => {
      new TestScheduler((actual, wanted) => expect(actual).toEqual(wanted)).run(({ cold, expectObservable, expectSubscriptions }) => {
        const [a, b, c, d] = BATCHES;
        const source = cold(marbles, { a, b, c, d });
        const values = { '0': reportOf(setup, []), '1': reportOf(setup, [a]), '2': reportOf(setup, [a, b]), '4': reportOf(setup, BATCHES) };
        expectObservable(source.pipe(compareRegimes(setup, every))).toBe(expected, values);
        expectSubscriptions(source.subscriptions).toBe(subscriptions);
      });
    };
    run('a-b-c-d-|', Infinity, '--------(4|)', '^-------!');
    run('a-b-c-d-|', 2, '--2---4-(4|)', '^-------!');
    run('|', Infinity, '(0|)', '(^!)');
    run('a-#', Infinity, '--#', '^-!');
  });

  it('folds anew for each subscription, and leaves the source when it is left', async () => {
    const shared = from(BATCHES).pipe(compareRegimes(setup));
    expect(await lastValueFrom(shared)).toEqual(await lastValueFrom(shared));
    const source = new Subject<EventBatch>();
    const subscription = source.pipe(compareRegimes(setup)).subscribe();
    expect(source.observed).toBe(true);
    subscription.unsubscribe();
    expect(source.observed).toBe(false);
    await expect(lastValueFrom(throwError(() => new Error('torn')).pipe(compareRegimes(setup)))).rejects.toThrow('torn');
  });
});

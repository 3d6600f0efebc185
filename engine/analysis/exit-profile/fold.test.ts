import * as fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { EventBatch } from '../../log/event-batch.ts';
import { LogReader } from '../../log/reader.ts';
import { MemorySource } from '../../log/storage.ts';
import { REGIMES, candidate, projectionOf } from '../../regimes/catalogue.ts';
import type { Projection, RegimeSink } from '../../regimes/regime.ts';
import { BUCKETS } from './histogram.ts';
import { CELLS_MAX, CELL_COUNT, ExitTable, HANDLER_UNKNOWN, PHASES_MAX, TARGET_CELLS_MAX } from './exit-table.ts';
import { ExitProfileFold, type ExitProfileOptions } from './fold.ts';
import { type ExitProfile, type ProfileDimension, type ProfileRow, foldedStacks } from './profile.ts';
import { TestProjection, batchesOf, exitLog, testCycles } from './testing.ts';

const lab = LogReader.open(new MemorySource(new Uint8Array(readFileSync(fileURLToPath(new URL('../../../traces/lab-kernel.cvlog', import.meta.url))))));
const WINDOWS = [{ first: 0xd000_0000, last: 0xd000_0fff, device: 'virtio-block' }, { first: 0xd000_1000, last: 0xd000_1fff, device: 'virtio-net' }];
const options = (withRegime: boolean): ExitProfileOptions => ({ name: 'test', windows: WINDOWS, functionAt: (lo) => (lo >= 0x8100_0000 ? (lo < 0x8100_0080 ? 'first_function' : 'second_function') : undefined), ...(withRegime && { projection: new TestProjection() }) });

function profileOf(batches: readonly EventBatch[], withRegime = false): ExitProfile {
  const fold = new ExitProfileFold(options(withRegime));
  for (const batch of batches) fold.fold(batch);
  return fold.report();
}

const rowOf = (profile: ExitProfile, by: ProfileDimension, label: string): ProfileRow | undefined => profile.by[by]?.find((row) => row.label === label);

/** Counts by hand, over events as objects. */
function countsOf(reader: LogReader, key: (event: { readonly reason: number; readonly detail: { readonly kind: string }; readonly rip: bigint; readonly phase: string }) => string | undefined): Map<string, number> {
  const counts = new Map<string, number>();
  let phase = 'start';
  const seen = new Map<string, number>();
  for (const event of reader.events()) {
    if (event.kind === 'mark') {
      const times = (seen.get(event.name) ?? 0) + 1;
      seen.set(event.name, times);
      phase = times === 1 ? event.name : `${event.name} #${times}`;
    }
    if (event.kind !== 'exit') continue;
    const name = key({ ...event, phase });
    if (name !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

const countsOfRows = (rows: readonly ProfileRow[] | undefined): Map<string, number> => {
  const counts = new Map<string, number>();
  for (const row of rows ?? []) counts.set(row.label, (counts.get(row.label) ?? 0) + row.count);
  return counts;
};

describe('exit profile of architectural events', () => {
  const reader = exitLog(5000, { phases: 4 });
  const profile = profileOf(batchesOf(reader));

  it('counts what a loop over event objects counts, in every view', () => {
    const hex = (value: number): string => `0x${value.toString(16)}`;
    expect(profile.exits).toBe(5000);
    const names: Readonly<Record<number, string>> = { 12: 'hlt', 30: 'io', 49: 'mmio', 31: 'rdmsr', 32: 'wrmsr', 0: 'exception', 28: 'cr', 10: 'cpuid', 0x100: 'page-table-write' };
    expect(countsOfRows(profile.by.reason)).toEqual(countsOf(reader, ({ reason }) => names[reason]));
    expect(countsOfRows(profile.by.port)).toEqual(countsOf(reader, ({ detail }) => ('port' in detail ? hex(detail.port as number) : undefined)));
    expect(countsOfRows(profile.by.msr)).toEqual(countsOf(reader, ({ detail }) => (detail.kind === 'msr' ? hex((detail as unknown as { index: number }).index) : undefined)));
    expect(countsOfRows(profile.by.gpa)).toEqual(countsOf(reader, ({ detail }) => (detail.kind === 'mmio' ? hex((detail as unknown as { address: number }).address) : undefined)));
    expect(countsOfRows(profile.by.rip)).toEqual(countsOf(reader, ({ rip }) => `0x${rip.toString(16)}`));
    expect(countsOfRows(profile.by.phase)).toEqual(countsOf(reader, ({ phase }) => phase));
    expect(countsOfRows(profile.by.device)).toEqual(countsOf(reader, ({ detail }) => {
      if ('port' in detail) return { 0x3f8: 'uart', 0x40: 'pit', 0x70: 'rtc' }[detail.port as number];
      return detail.kind === 'mmio' ? ((detail as unknown as { address: number }).address < 0xd000_1000 ? 'virtio-block' : 'virtio-net') : undefined;
    }));
    expect(countsOfRows(profile.by.function)).toEqual(countsOf(reader, ({ rip }) => (rip < 0xffff_ffffn ? '[user]' : Number(rip & 0xffff_ffffn) < 0x8100_0080 ? 'first_function' : 'second_function')));
    expect(profile.by.time?.reduce((sum, { count }) => sum + count, 0)).toBe(5000);
  });

  it('keeps HLT apart, and knows time, idle time and times between exits', () => {
    expect(profile.idleExits).toBe(rowOf(profile, 'reason', 'hlt')?.count);
    expect(profile.by.reason?.map(({ isIdle }) => isIdle).indexOf(true)).toBe((profile.by.reason?.length ?? 0) - 1);
    const end = [...reader.entries()].at(-1);
    expect(profile.durationNs).toBe((end?.event.position ?? 0) + (end?.timeOffsetNs ?? 0));
    expect(profile.instructions).toBe(end?.event.position);
    const times = [...reader.entries({ kinds: ['exit'] })].filter(({ event }) => event.kind === 'exit' && event.reason === 30).map(({ event, timeOffsetNs }) => event.position + timeOffsetNs);
    const gaps = times.slice(1).map((ns, i) => ns - times[i]).sort((a, b) => a - b);
    const between = rowOf(profile, 'reason', 'io')?.betweenNs;
    expect(between).toMatchObject({ min: gaps[0], max: gaps.at(-1), mean: gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length });
    const p99 = gaps[Math.ceil(gaps.length * 0.99) - 1];
    expect(Math.abs((between?.p99 ?? 0) - p99)).toBeLessThanOrEqual(p99 / 16 + 1);
    expect(profile.idleNs).toBe([...reader.events({ kinds: ['idle'] })].reduce((sum, event) => sum + (event.kind === 'idle' ? event.ns : 0), 0));
    expect(rowOf(profile, 'reason', 'io')?.cost).toBeUndefined();
    expect(rowOf(profile, 'reason', 'io')?.perSecond).toBeCloseTo((rowOf(profile, 'reason', 'io')?.count ?? 0) / ((profile.durationNs ?? 1) / 1e9), 6);
  });
});

describe('exit profile under a regime', () => {
  const reader = exitLog(5000, { phases: 4 });
  const profile = profileOf(batchesOf(reader), true);

  it('adds up the costs the projection reports, with its range', () => {
    const costs = [...reader.events({ kinds: ['exit'] })].flatMap((event) => (event.kind === 'exit' && event.detail.kind === 'io' ? [testCycles(30, event.detail.value)] : [])).sort((a, b) => a - b);
    const total = costs.reduce((sum, cost) => sum + cost, 0);
    const row = rowOf(profile, 'reason', 'IO_INSTRUCTION');
    expect(row?.cost).toMatchObject({ exits: costs.length, total, totalLow: total / 2, totalHigh: total * 2, min: costs[0], max: costs.at(-1), mean: total / costs.length });
    const p99 = costs[Math.ceil(costs.length * 0.99) - 1];
    expect(Math.abs((row?.cost?.p99 ?? 0) - p99)).toBeLessThanOrEqual(p99 / 16 + 1);
    const work = (profile.by.reason ?? []).filter((each) => !each.isIdle);
    expect(work.reduce((sum, each) => sum + (each.cost?.share ?? 0), 0)).toBeCloseTo(1, 9);
    expect(work.reduce((sum, each) => sum + (each.cost?.total ?? 0), 0)).toBe(profile.work?.typical);
    expect((profile.by.handler ?? []).map(({ label }) => label).sort()).toEqual(['device model', 'light', 'sleep']);
    expect(rowOf(profile, 'reason', 'CPUID')).toBeUndefined();
    const cpuids = [...reader.events({ kinds: ['exit'] })].filter((event) => event.kind === 'exit' && event.reason === 10).length;
    expect(profile.direct).toEqual([{ label: 'exception', count: cpuids, low: cpuids * 10, typical: cpuids * 20, high: cpuids * 30 }]);
    expect(profile.notes.join()).toContain('page walks');
  });

  it('tells the projection of every phase, once', () => {
    const row = rowOf(profile, 'reason', 'EXTERNAL_INTERRUPT');
    // 'start', four marks: a finish at each mark and one at the end.
    expect(row?.count).toBe(5);
    expect(row?.cost?.total).toBe(profile.instructions);
    expect(profileOf(batchesOf(exitLog(700, { phases: 0, isOpen: true })), true).notes.join()).toContain('goes on');
  });

  it('gives folded stacks with cycles as weights, without sleep', () => {
    const lines = foldedStacks(profile);
    for (const line of lines) expect(line).toMatch(/^[^;]+(;[^;]+)* \d+$/);
    const weight = lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
    expect(weight).toBe(profile.work?.typical);
    expect(lines.some((line) => line.startsWith('phase 0;first_function;IO_INSTRUCTION;port 0x3f8 uart '))).toBe(true);
    expect(lines.some((line) => line.includes(';HLT'))).toBe(false);
    expect(foldedStacks(profile, true).some((line) => line.includes(';HLT'))).toBe(true);
  });
});

describe('the same answer, however it is asked', () => {
  it.each([false, true])('in blocks of any size, cut anywhere, saved and restored anywhere (regime: %s)', (withRegime) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 0, max: 9 }), fc.constantFrom(2048, 4096, 65_536), fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 8 }), fc.boolean(), (seed, phases, blockBytes, cuts, isSaved) => {
        const whole = profileOf(batchesOf(exitLog(600, { seed, phases })), withRegime);
        let fold = new ExitProfileFold(options(withRegime));
        let turn = 0;
        for (const batch of batchesOf(exitLog(600, { seed, phases, blockBytes }))) {
          for (let at = 0; at < batch.count; ) {
            const end = Math.min(batch.count, at + cuts[turn++ % cuts.length]);
            fold.fold(batch, at, end);
            at = end;
            if (!isSaved) continue;
            const state = structuredClone(fold.save());
            fold = new ExitProfileFold(options(withRegime));
            fold.restore(state);
          }
        }
        expect(fold.report()).toEqual(whole);
      }),
      { numRuns: 20 },
    );
  });
});

describe('real regimes', () => {
  it.each(REGIMES.map(({ id }) => id))('%s: the same in one piece and in many, saved and restored in between', (id) => {
    const make = (): ExitProfileFold => new ExitProfileFold({ name: 'lab', projection: projectionOf(candidate(id)) });
    const whole = make();
    let parts = make();
    let turn = 0;
    for (const batch of batchesOf(lab)) {
      whole.fold(batch);
      for (let at = 0; at < batch.count; ) {
        const end = Math.min(batch.count, at + 1 + (turn++ * 997) % 5000);
        parts.fold(batch, at, end);
        at = end;
        const state = structuredClone(parts.save());
        parts = make();
        parts.restore(state);
      }
    }
    const profile = whole.report();
    expect(parts.report()).toEqual(profile);
    expect(turn).toBeGreaterThan(5);
    expect((profile.work?.low ?? 0) <= (profile.work?.typical ?? 0) && (profile.work?.typical ?? 0) <= (profile.work?.high ?? 0)).toBe(true);
    expect(profile.exits > 0 || (profile.direct ?? []).length > 0).toBe(true);
  });
});

describe('bounds', () => {
  it('keeps sums by reason exact when there are more addresses, ports and phases than it remembers', () => {
    const table = new ExitTable((reason) => reason === 12).withCosts();
    const exits = 3 * CELLS_MAX;
    const cycles = { low: 1, typical: 2, high: 3 };
    for (let i = 0; i < exits; i++) {
      if (i % 50 === 0) table.startPhase(`p${i}`, i, i);
      table.arriveRun(table.runOf(table.cellOf(i % 3, HANDLER_UNKNOWN, 1, i & 0xffff, 0, i, 0), i % 3, HANDLER_UNKNOWN, cycles, i), i, cycles.typical);
    }
    expect(table.cells).toBeLessThanOrEqual(CELLS_MAX + TARGET_CELLS_MAX + 3 * (PHASES_MAX + 1));
    expect(table.save().histogram.length).toBeLessThanOrEqual(32_768 * BUCKETS);
    expect(table.phases.length).toBe(PHASES_MAX + 1);
    const counts = [0, 0, 0];
    for (let cell = 0; cell < table.cells; cell++) counts[table.reason[cell]] += table.sum(cell, CELL_COUNT);
    expect(counts).toEqual([exits / 3, exits / 3, exits / 3]);
  });

  it('says what shares a row', () => {
    const profile = profileOf(batchesOf(exitLog(40_000, { rips: 30_000, phases: 0 })));
    expect(rowOf(profile, 'rip', '(other addresses)')?.isOther).toBe(true);
    expect(profile.notes.join()).toContain('(other addresses)');
    expect(profile.by.reason?.reduce((sum, { count }) => sum + count, 0)).toBe(40_000);
    expect(profile.by.port?.reduce((sum, { count }) => sum + count, 0)).toBe([...exitLog(40_000, { rips: 30_000, phases: 0 }).events({ kinds: ['exit'] })].filter((event) => event.kind === 'exit' && event.reason === 30).length);
  });

  it('makes slices wider as time goes on, and loses nothing', () => {
    const table = new ExitTable(() => false);
    const cell = table.cellOf(1, HANDLER_UNKNOWN, 0, 0, 0, 0, 0);
    for (let i = 0; i < 1000; i++) table.arriveAt(cell, i * 1e9 + 17);
    table.addIdle(10e9, 900e9);
    let exits = 0;
    let idle = 0;
    for (let slice = 0; slice < 512; slice++) {
      exits += table.sliceValue(slice, 0);
      idle += table.sliceValue(slice, 3);
    }
    expect(exits).toBe(1000);
    expect(idle).toBe(900e9);
    expect(table.sliceWidthNs * 512).toBeLessThan(2.2e12);
  });
});

describe('many exits of one event', () => {
  /** The same projection, which tells of each by itself. */
  const oneByOne = (projection: Projection): Projection => {
    const separately = (out: RegimeSink): RegimeSink => ({
      exit: (...told) => out.exit(...told),
      exitTimes: (row, reason, qualification, handler, cycles, count) => {
        for (let n = 0; n < count; n++) out.exit(row, reason, qualification, handler, cycles);
      },
      direct: (...told) => out.direct(...told),
    });
    return {
      regime: projection.regime,
      fold: (batch, start, end, out) => projection.fold(batch, start, end, separately(out)),
      tally: (batch, start, end, rowsOf, out) => projection.tally(batch, start, end, rowsOf, separately(out)),
      finish: (totals, out) => projection.finish(totals, separately(out)),
      parameterUses: () => projection.parameterUses(),
      get needs() {
        return projection.needs;
      },
      counters: () => projection.counters(),
      save: () => projection.save(),
      restore: (state) => projection.restore(state),
    };
  };

  it.each(['para', 'hw-shadow', 'hw', 'full'])('are what they are one by one: %s', (regime) => {
    const boot = LogReader.open(new MemorySource(new Uint8Array(readFileSync(fileURLToPath(new URL('../../../traces/published/debian-init.cvlog', import.meta.url))))));
    const reportOf = (projection: Projection): ExitProfile => {
      const fold = new ExitProfileFold({ name: regime, projection });
      for (let i = 0; i < boot.eventBlocks.length; i++) fold.fold(boot.batch(i));
      return fold.report();
    };
    expect(reportOf(projectionOf(candidate(regime)))).toEqual(reportOf(oneByOne(projectionOf(candidate(regime)))));
  });
});

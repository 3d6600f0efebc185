import { readFileSync, readdirSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anyEvents, LOUD_BOOT, openLog, syntheticBoot, writeLog, QUICK_BOOT } from '../log/testing.ts';
import type { EventBatch } from '../log/event-batch.ts';
import { candidate, costsOf, projectionOf, REGIMES, variants, type Candidate } from './catalogue.ts';
import { Costs, COST_TABLE, parameterNames, parseCostTable, type CostTable } from './costs/cost-table.ts';
import { CPUS } from './costs/cpus.ts';
import { PLATFORMS } from './platforms/platforms.ts';
import { parsePlatform } from './platforms/platform.ts';
import { completeOptions } from './regime.ts';
import { TellingSink } from './testing.ts';

const ALL: readonly Candidate[] = [...REGIMES, ...PLATFORMS].map(({ id }) => candidate(id));

function fold(chosen: Candidate, batches: readonly EventBatch[], cut: (count: number) => number[]): { told: string[]; cycles: number; uses: [string, number][] } {
  const sink = new TellingSink();
  let projection = projectionOf(chosen, costsOf(chosen));
  for (const batch of batches) {
    const cuts = [0, ...cut(batch.count), batch.count];
    for (let i = 0; i + 1 < cuts.length; i++) {
      projection.fold(batch, cuts[i], cuts[i + 1], sink);
      // Each cut is also a pause: the state goes through JSON into a new projection.
      const state: unknown = JSON.parse(JSON.stringify(projection.save()));
      projection = projectionOf(chosen, costsOf(chosen));
      projection.restore(state as Parameters<typeof projection.restore>[0]);
    }
  }
  projection.finish({ instructions: 1_000_000, idleNs: 0, systemCalls: 10, pageWalks: 20, kernelInstructions: 30 }, sink);
  return { told: sink.told, cycles: sink.cycles, uses: [...projection.parameterUses()] };
}

describe('every regime and platform', () => {
  it('tells the same of any events, in whatever batches and across save and restore', () => {
    fc.assert(
      fc.property(anyEvents, fc.constantFrom(...ALL), fc.array(fc.nat(), { maxLength: 5 }), fc.array(fc.nat(200), { maxLength: 4 }), (events, chosen, cuts, flushes) => {
        const whole = openLog(writeLog((writer) => events.forEach((event) => writer.append(event))));
        const parts = openLog(writeLog((writer) => events.forEach((event, i) => { writer.append(event); if (flushes.includes(i)) writer.flush(); })));
        const batches = (reader: typeof whole): EventBatch[] => reader.eventBlocks.map((_, i) => reader.batch(i));
        const expected = fold(chosen, batches(whole), () => []);
        expect(fold(chosen, batches(parts), (count) => cuts.map((each) => each % (count + 1)).sort((a, b) => a - b))).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });

  it('charges what its parameters say: uses x typical cycles are the cycles told', () => {
    const reader = openLog(writeLog((writer) => syntheticBoot(writer, QUICK_BOOT)));
    for (const chosen of ALL) {
      const { cycles, uses } = fold(chosen, [reader.batch(0)], () => []);
      const costs = costsOf(chosen);
      expect(uses.reduce((sum, [parameter, count]) => sum + count * costs.cost(parameter).typical, 0), chosen.id).toBeCloseTo(cycles, 3);
      expect(cycles, chosen.id).toBeGreaterThan(0);
    }
  });

  it('orders the techniques on a boot that prints much: nested paging below shadow paging', () => {
    const reader = openLog(writeLog((writer) => syntheticBoot(writer, LOUD_BOOT)));
    const batches = reader.eventBlocks.map((_, i) => reader.batch(i));
    const cycles = (id: string): number => fold(candidate(id), batches, () => []).cycles;
    expect(cycles('hw')).toBeLessThan(cycles('hw-shadow'));
    expect(cycles('native')).toBeLessThan(cycles('hw'));
  });

  it('refuses the state of another', () => {
    const state = projectionOf(candidate('native')).save();
    expect(() => projectionOf(candidate('hw')).restore(state)).toThrow(/saved state is of native/);
  });

  it('has a projection on every CPU, and a variant for each value of each feature', () => {
    for (const { id } of REGIMES) {
      for (const { id: cpu } of CPUS) expect(() => projectionOf(candidate(id, { cpu }))).not.toThrow();
      for (const each of variants(candidate(id))) {
        expect(each.to).not.toEqual(each.from);
        expect(() => projectionOf(each.candidate)).not.toThrow();
      }
    }
  });

  it('has an id of its own', () => {
    const ids = [...REGIMES, ...PLATFORMS].map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(() => candidate('hv')).toThrow(/no regime or platform "hv"; there are native/);
  });
});

describe('options', () => {
  const hw = REGIMES.find(({ id }) => id === 'hw');
  if (hw === undefined) throw new Error('no hw');

  it('are completed, and refused with the name and what is expected', () => {
    expect(completeOptions(hw, {}).vendor).toBe('intel');
    expect(() => completeOptions(hw, { apicV: true })).toThrow(/regime hw: there is no option "apicV"; it has vendor, /);
    expect(() => completeOptions(hw, { apicv: 'yes' })).toThrow(/"apicv" is "yes"; expected true or false/);
    expect(() => completeOptions(hw, { vendor: 'via' })).toThrow(/expected one of intel, amd/);
    expect(() => completeOptions(hw, { hostHz: -1 })).toThrow(/expected a number from 0 to 10000/);
    expect(() => completeOptions(hw, { hostHz: NaN })).toThrow(/expected a number/);
  });
});

describe('costs', () => {
  it('are well-formed: range, CPU, source, a note where a figure was derived or assumed', () => {
    for (const row of COST_TABLE) {
      expect(row.low <= row.typical && row.typical <= row.high, row.parameter).toBe(true);
      expect(row.cpu === 'any' || CPUS.some(({ id }) => id === row.cpu), row.parameter).toBe(true);
      expect(row.source.length, row.parameter).toBeGreaterThan(3);
      if (row.trust === 'assumed') expect(('note' in row && row.note) || '', row.parameter).not.toBe('');
    }
    const keys = COST_TABLE.map(({ parameter, cpu }) => `${parameter} ${cpu}`);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('are those of the JSON files, each row in the form that is checked of a user\'s, and no file is forgotten', () => {
    const folder = new URL('./costs/', import.meta.url);
    const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
    const rows = files.flatMap((name) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as CostTable);
    const inOrder = (table: CostTable): CostTable => [...table].sort((a, b) => (`${a.parameter} ${a.cpu}` < `${b.parameter} ${b.cpu}` ? -1 : 1));
    expect(inOrder(rows)).toEqual(inOrder(COST_TABLE));
    expect(parseCostTable(rows, 'all of them')).toEqual(rows);
    expect(rows.length).toBeGreaterThan(70);
  });

  it('are all used by some regime', () => {
    const used = new Set(
      [...ALL, ...REGIMES.flatMap(({ id }) => variants(candidate(id)).map((each) => each.candidate)), candidate('hw', { options: { mitigations: 'l1d-flush', guestKpti: true } })].flatMap((chosen) => [...projectionOf(chosen).parameterUses().keys()]),
    );
    expect(parameterNames().filter((name) => !used.has(name))).toEqual([]);
  });

  it('of another CPU are marked as assumed, with the machine they are of', () => {
    expect(new Costs('cascade-lake').row('hw.cpuid')).toMatchObject({ cpu: 'cascade-lake', trust: 'derived', typical: 1350 });
    expect(new Costs('haswell').row('hw.cpuid')).toMatchObject({ borrowedFrom: 'cascade-lake', trust: 'assumed' });
    expect(new Costs('haswell').row('hw.cpuid').note).toMatch(/of cascade-lake \(2023, derived\), taken for haswell/);
    expect(() => new Costs('i486')).toThrow(/no CPU "i486" in the cost tables; there are pentium4/);
    expect(() => new Costs().row('hw.teleport')).toThrow(/no cost table has the parameter/);
  });

  it('of a user come first, and are checked', () => {
    const row = { parameter: 'hw.cpuid', cpu: 'mine', year: 2026, low: 1, typical: 2, high: 3, definition: 'guest', source: 'my bench', trust: 'primary' };
    expect(new Costs('mine', parseCostTable([row], 'f')).cost('hw.cpuid')).toMatchObject({ typical: 2 });
    expect(() => parseCostTable([{ ...row, low: 5 }], 'f')).toThrow(/f: row 1: low, typical and high must ascend/);
    expect(() => parseCostTable([{ ...row, trust: 'sure' }], 'f')).toThrow(/"trust" must be one of primary/);
    expect(() => parseCostTable([{ ...row, parameter: 'x' }], 'f')).toThrow(/no regime has the parameter "x"/);
    expect(() => parseCostTable([row, { ...row, notes: 'x' }], 'f')).toThrow(/f: row 2: unknown field "notes"; there are parameter, cpu, /);
    expect(() => parseCostTable({}, 'f')).toThrow(/expected a list/);
  });
});

describe('platforms of a user', () => {
  it('are checked field by field', () => {
    const mine = { id: 'mine', title: 'Mine', regime: 'hw', options: { apicv: false }, notes: [] };
    expect(candidate('mine', {}, [parsePlatform(mine, 'mine.json')]).options.apicv).toBe(false);
    expect(() => parsePlatform({ ...mine, regmie: 'hw' }, 'mine.json')).toThrow(/mine.json: unknown field "regmie"/);
    expect(() => parsePlatform({ ...mine, id: 'My Own' }, 'mine.json')).toThrow(/"id" must be of lower-case letters/);
    expect(() => parsePlatform({ id: 'mine' }, 'mine.json')).toThrow(/"title" must be a text; it is missing/);
    expect(() => parsePlatform({ ...mine, options: { apicv: [] } }, 'mine.json')).toThrow(/option "apicv" must be/);
    expect(() => parsePlatform([], 'mine.json')).toThrow(/expected an object/);
    expect(() => candidate('mine', {}, [parsePlatform({ ...mine, options: { apic: true } }, 'f')])).toThrow(/platform mine: there is no option "apic"/);
    expect(() => candidate('mine', {}, [parsePlatform({ ...mine, regime: 'hww' }, 'f')])).toThrow(/platform mine: there is no regime "hww"/);
  });
});

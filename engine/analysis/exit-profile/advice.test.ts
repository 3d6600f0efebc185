import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RULES, adviceOn, lacksTargets } from './advice.ts';
import type { ExitProfile, ProfileRow } from './profile.ts';

const row = (label: string, count: number, totalNs: number): ProfileRow => ({ label, count, isIdle: label === 'HLT', isOther: false, cost: { exits: count, total: totalNs, mean: totalNs / count, share: 0 } });
function profile(reason: readonly ProfileRow[], more: ExitProfile['by'] = {}): ExitProfile {
  const exits = reason.reduce((sum, { count }) => sum + count, 0);
  const idleExits = reason.reduce((sum, { count, isIdle }) => sum + (isIdle ? count : 0), 0);
  return { source: { kind: 'perf kvm stat report', name: 't' }, unit: 'ns', exits, idleExits, by: { reason, ...more }, stacks: [], notes: [] };
}
const advice = (found: ExitProfile, feature: string): ReturnType<typeof adviceOn>[number] | undefined => adviceOn(found).find((each) => each.feature.startsWith(feature));

describe('adviceOn', () => {
  it('says that a timer may be behind port I/O of a table, and is sure once the ports are known', () => {
    // The idle Windows 10 of cloud-atlas: 55,654 before, 50 after.
    const table = profile([row('IO_INSTRUCTION', 55_654, 758e6), row('MSR_READ', 7_114, 13e6), row('HLT', 2_933, 1e9)]);
    expect(advice(table, 'clocks')).toMatchObject({ exits: { low: 0, high: 55_654 }, cost: { low: 0, high: 758e6 }, from: ['IO_INSTRUCTION'] });
    expect(lacksTargets(table)).toBe(true);
    const trace = profile([row('IO_INSTRUCTION', 1000, 2e6)], { port: [row('0x70', 600, 1.2e6), row('0x3fd', 100, 0.2e6), row('0x608', 300, 0.6e6)] });
    expect(advice(trace, 'clocks')).toMatchObject({ exits: { low: 810, high: 900 }, from: ['0x70', '0x608'] });
    expect(advice(trace, 'a quiet console')).toMatchObject({ exits: { low: 90, high: 100 }, from: ['0x3fd'] });
    expect(lacksTargets(trace)).toBe(false);
  });

  it('nested paging for shadow paging only, and as much as was measured', () => {
    // The Ubuntu boot without EPT; with it 26,582 of these were left.
    const rows = [row('CR_ACCESS', 8_618_699, 1e9), row('EXCEPTION_NMI', 1_566_621, 1e9), row('INVLPG', 171_510, 1e8), row('CPUID', 132_252, 1e8)];
    const found = advice(profile(rows), 'nested paging');
    expect(found?.from).toEqual(['CR_ACCESS', 'EXCEPTION_NMI', 'INVLPG']);
    expect(found!.exits.low).toBeLessThan(8_618_699 + 1_566_621 + 171_510 - 26_582);
    expect(found!.exits.high).toBeGreaterThan(8_618_699 + 1_566_621 + 171_510 - 26_582);
    expect(advice(profile([...rows, row('EPT_VIOLATION', 1, 1)]), 'nested paging')).toBeUndefined();
    // perf that does not know PVM's codes calls vector 14 INVLPG.
    expect(advice(profile([row('INVLPG', 18_940, 1e6), row('UNKNOWN (131072)', 3_622, 1e6)]), 'nested paging')).toBeUndefined();
  });

  it('no APICv where there is one already', () => {
    const rows = [row('TPR_BELOW_THRESHOLD', 82, 1e5), row('PENDING_INTERRUPT', 413, 1e6)];
    expect(advice(profile(rows), 'APIC virtualisation')).toMatchObject({ exits: { low: 445, high: 495 } });
    expect(advice(profile([...rows, row('APIC_WRITE', 10, 1e4)]), 'APIC virtualisation')).toBeUndefined();
    expect(advice(profile([row('MSR_WRITE', 900, 1e6)], { msr: [row('0x40000070', 500, 5e5), row('0x6e0', 400, 5e5)] }), 'APICv beside')).toMatchObject({ exits: { low: 450, high: 500 } });
  });

  it('never more than there is, whatever the rows; best first; nothing of nothing', () => {
    const label = fc.oneof(fc.constantFrom('IO_INSTRUCTION', 'io', 'EPT_VIOLATION', 'npf', 'PAUSE', 'INVLPG', 'CR_ACCESS', 'EXTERNAL_INTERRUPT', 'APIC_ACCESS', 'HLT', '0x70', '0x80b', '0xfed000f0'), fc.string());
    const rows = fc.array(fc.tuple(label, fc.integer({ min: 1, max: 1e9 }), fc.integer({ min: 0, max: 1e12 })).map(([name, count, total]) => row(name, count, total)), { maxLength: 12 });
    fc.assert(
      fc.property(rows, fc.option(rows, { nil: undefined }), fc.option(rows, { nil: undefined }), (reason, port, msr) => {
        const found = adviceOn(profile(reason, { ...(port && { port }), ...(msr && { msr }) }));
        const all = [...reason, ...(port ?? []), ...(msr ?? [])].filter(({ isIdle }) => !isIdle).reduce((sum, { count }) => sum + count, 0);
        for (const { exits, cost } of found) {
          expect(exits.low).toBeLessThanOrEqual(exits.high);
          expect(exits.high).toBeLessThanOrEqual(all);
          expect(cost!.low).toBeLessThanOrEqual(cost!.high);
        }
        const weights = found.map(({ cost }) => cost!.low + cost!.high);
        expect([...weights].sort((a, b) => b - a)).toEqual(weights);
      }),
    );
    expect(adviceOn(profile([]))).toEqual([]);
  });

  it('each rule has a source, and matches something', () => {
    for (const { feature, source, reasons, ports, msrs, pages, perhaps } of RULES) {
      expect(source, feature).not.toBe('');
      expect(reasons ?? ports ?? msrs ?? pages ?? perhaps, feature).toBeDefined();
    }
  });
});

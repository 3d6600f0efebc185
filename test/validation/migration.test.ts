/**
 * Migration models beside publications, and the simulator beside measured migrations of QEMU. Each block prints a table with the error of each row; README.md says what is
 * calibrated and what is predicted.
 */
import { describe, expect, it } from 'vitest';
import { PAGE_BYTES } from '../../engine/analysis/dirty/truth.ts';
import { type BaselineInput, dirtyCurveModel } from '../../engine/analysis/migration/baselines.ts';
import { simulate } from '../../engine/analysis/migration/simulate.ts';
import { idleGuest } from '../../engine/analysis/migration/testing.ts';
import { PAGE_HEADER_BYTES, ZERO_PAGE_BYTES } from '../../engine/analysis/migration/transfer.ts';
import { type Calibration, type CheckCase, claimOf, errorPercent, forecast, score } from '../migration/qemu-check.ts';
import type { Measured } from '../migration/qemu.ts';
import { published } from './published.ts';

interface Tables {
  readonly gudkov2023: { readonly downtimeLimitMs: readonly (number | null)[]; readonly rows: readonly { readonly gigabits: number; readonly totalSeconds: readonly (number | null)[] }[] };
  readonly infoMigrate: readonly {
    readonly name: string; readonly transferredKilobytes: number; readonly duplicatePages: number; readonly skippedPages: number; readonly normalPages: number; readonly normalKilobytes: number;
    readonly remainingKilobytes?: number; readonly megabitsPerSecond?: number; readonly expectedDowntimeMs?: number; readonly neededDowntimeMs?: number;
  }[]; // prettier-ignore
  readonly bars: readonly { readonly name: string; readonly p90TotalPercent: number }[];
}
const tables = published<Tables>('migration');
const WIRE = PAGE_BYTES + PAGE_HEADER_BYTES;
const bytesPerSecond = (gigabits: number): number => gigabits * 125e6;
const seconds = (ms: number | null): string => (ms === null ? '-' : `${(ms / 1000).toFixed(1)} s`);

describe("Gudkov's table (qemu-devel, 2023)", () => {
  const { rows, downtimeLimitMs } = tables.gudkov2023;
  const unlimited = downtimeLimitMs.indexOf(null);
  /** Calibrated on one cell: 100 Mbit/s without a limit. */
  const pages = Math.round((rows[0].totalSeconds[unlimited]! * bytesPerSecond(rows[0].gigabits)) / WIRE);

  it('without a limit: one copy, for every bandwidth', () => {
    for (const { gigabits, totalSeconds } of rows) {
      const said = totalSeconds[unlimited]!;
      // A hundredth of the guest over a hundredth of the link.
      const { totalTimeMs } = simulate(idleGuest(Math.round(pages / 100)), { kind: 'stop-and-copy', name: 's' }, { bytesPerSecond: bytesPerSecond(gigabits) / 100 }, { pageCostNs: 0, switchoverNs: 0 });
      console.log(`Gudkov, ${gigabits} Gbit/s, no limit: model ${seconds(totalTimeMs)}, published ${said} s (${errorPercent(totalTimeMs / 1000, said).toFixed(1)} %)`);
      // Printed in whole seconds; the row of 1 Gbit/s is 1.5 % from that of 100 Mbit/s.
      expect(Math.abs(totalTimeMs / 1000 - said)).toBeLessThan(0.5 + 0.016 * said);
    }
  });

  it('with a limit: rounds over a saturating dirty curve, fitted on three cells, have the verdict of all others', () => {
    const cells = rows.flatMap(({ gigabits, totalSeconds }) => downtimeLimitMs.flatMap((limit, i) => (limit === null ? [] : [{ gigabits, limit, said: totalSeconds[i] }])));
    const isFitted = ({ gigabits, limit }: (typeof cells)[number]): boolean => (gigabits === 2 && limit === 5000) || (gigabits === 5 && limit === 1000) || (gigabits === 10 && limit === 125);
    /** D(t) = set (1 - e^(-t/tau)) + rate t, bytes and seconds. */
    const model = ({ gigabits, limit }: (typeof cells)[number], set: number, tau: number, rate: number): number | null => {
      const input: BaselineInput = { pages, bytesPerSecond: bytesPerSecond(gigabits), downtimeLimitMs: limit, switchoverMs: 0, timeLimitMs: 600_000 };
      const { converges, totalTimeMs } = dirtyCurveModel(input, (ms) => Math.min(pages, (set * (1 - Math.exp(-ms / 1000 / tau)) + (rate * ms) / 1000) / WIRE));
      return converges ? totalTimeMs : null;
    };
    const fitted = cells.filter(isFitted);
    let best = { error: Infinity, set: 0, tau: 0, rate: 0 };
    for (let set = 0.1e9; set <= 1.2e9; set += 0.05e9) {
      for (const tau of [0.125, 0.25, 0.5, 1, 2]) {
        for (let rate = 0.05e9; rate <= 0.2e9; rate += 0.005e9) {
          let error = 0;
          for (const cell of fitted) {
            const ms = model(cell, set, tau, rate);
            error += ms === null ? Infinity : Math.abs(Math.log(ms / 1000 / cell.said!));
          }
          if (error < best.error) best = { error, set, tau, rate };
        }
      }
    }
    console.log(`Gudkov: fitted D(t) = ${(best.set / 1e6).toFixed(0)} MB (1 - e^(-t / ${best.tau} s)) + ${(best.rate / 1e6).toFixed(0)} MB/s t`);
    const held = cells.filter((cell) => !isFitted(cell));
    let verdicts = 0;
    const errors: number[] = [];
    for (const cell of held) {
      const ms = model(cell, best.set, best.tau, best.rate);
      if ((ms === null) === (cell.said === null)) verdicts++;
      if (ms !== null && cell.said !== null) errors.push(Math.max(0, Math.abs(ms / 1000 - cell.said) - 0.5) / cell.said);
      console.log(`Gudkov, ${cell.gigabits} Gbit/s, ${cell.limit} ms: model ${seconds(ms)}, published ${cell.said === null ? '-' : `${cell.said} s`}`);
    }
    console.log(`Gudkov: ${verdicts} of ${held.length} verdicts; largest error beyond the rounding ${(100 * Math.max(...errors)).toFixed(1)} %`);
    expect(held.length).toBe(37);
    expect(verdicts).toBeGreaterThanOrEqual(36);
    expect(Math.max(...errors)).toBeLessThan(0.12);
  });
});

describe('info migrate, as printed by users', () => {
  it('bytes on the wire follow from the pages', () => {
    for (const row of tables.infoMigrate) {
      const zero = row.duplicatePages - row.skippedPages;
      const kilobytes = (row.normalPages * WIRE + zero * ZERO_PAGE_BYTES) / 1024;
      console.log(`${row.name}: model ${Math.round(kilobytes)} kB, printed ${row.transferredKilobytes} kB (${errorPercent(kilobytes, row.transferredKilobytes).toFixed(4)} %)`);
      expect((row.normalPages * PAGE_BYTES) / 1024).toBe(row.normalKilobytes);
      expect(Math.abs(errorPercent(kilobytes, row.transferredKilobytes))).toBeLessThan(0.002);
    }
  });

  it('the downtime that would have been needed is what is left over the bandwidth, not what was printed as expected', () => {
    for (const { name, remainingKilobytes, megabitsPerSecond, expectedDowntimeMs, neededDowntimeMs } of tables.infoMigrate) {
      if (remainingKilobytes === undefined || megabitsPerSecond === undefined || neededDowntimeMs === undefined) continue;
      const ms = (remainingKilobytes * 1024 * 8) / (megabitsPerSecond * 1000);
      console.log(`${name}: model ${ms.toFixed(0)} ms, found to be needed ${neededDowntimeMs} ms (${errorPercent(ms, neededDowntimeMs).toFixed(1)} %), printed as expected ${expectedDowntimeMs} ms`);
      expect(Math.abs(errorPercent(ms, neededDowntimeMs))).toBeLessThan(10);
    }
  });
});

describe('real migrations of QEMU (traces/published/qemu-migrations.json)', () => {
  const data = published<{ calibration: Calibration; cases: { case: CheckCase; measured: Measured }[] }>('qemu-migrations');

  it('total time within 12 % at the 90th percentile, every verdict right outside of the unstable band, better than the baselines', () => {
    const forecasts = data.cases.map((each) => forecast(each.case, data.calibration, 5));
    data.cases.forEach(({ measured }, i) => {
      const { outcome, totalTimeMs, isUnstable } = forecasts[i].model;
      const { constantRate, dirtyCurve } = forecasts[i];
      const text = (converges: boolean, ms: number): string => (converges ? `${ms.toFixed(0)} ms` : 'never');
      console.log(
        `QEMU case ${i}: measured ${text(measured.converges, measured.totalTimeMs)}, model ${text(outcome.converges, outcome.totalTimeMs)}${isUnstable ? ' unstable' : ` (${totalTimeMs.p5.toFixed(0)} to ${totalTimeMs.p95.toFixed(0)})`}, ` +
          `curve ${text(dirtyCurve.converges, dirtyCurve.totalTimeMs)}, constant rate ${text(constantRate.converges, constantRate.totalTimeMs)}; pages ${measured.normal} and ${outcome.ram.normal}; down ${measured.downtimeMs} and ${outcome.downtimeMs.toFixed(0)} ms`,
      );
      if (!isUnstable) expect(outcome.converges, `case ${i}`).toBe(measured.converges);
    });
    const pairs = (claim: (i: number) => Parameters<typeof score>[0][number]['claim']): ReturnType<typeof score> => score(data.cases.map(({ measured }, i) => ({ measured, claim: claim(i) })));
    const model = pairs((i) => claimOf(forecasts[i].model));
    const curve = pairs((i) => forecasts[i].dirtyCurve);
    const constant = pairs((i) => forecasts[i].constantRate);
    for (const [name, each] of [['model', model], ['dirty curve', curve], ['constant rate', constant]] as const) {
      console.log(`${name}: verdicts ${each.verdicts}/${each.cases}, total time median ${each.medianTotal.toFixed(1)} %, p90 ${each.p90Total.toFixed(1)} %, downtime median ${each.medianDowntime.toFixed(1)} %, pages median ${each.medianPages.toFixed(1)} %`);
    }
    expect(data.cases.length).toBeGreaterThanOrEqual(12);
    expect(model.p90Total).toBeLessThan(tables.bars[0].p90TotalPercent);
    expect(model.medianPages).toBeLessThan(2);
    expect(model.p90Total).toBeLessThan(curve.p90Total);
    expect(curve.p90Total).toBeLessThan(constant.p90Total);
    expect(model.medianDowntime).toBeLessThan(Math.min(curve.medianDowntime, constant.medianDowntime));
  });
});

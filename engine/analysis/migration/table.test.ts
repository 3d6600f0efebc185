import { describe, expect, it } from 'vitest';
import { simulate } from './simulate.ts';
import { type PolicyAt, compareStarts, convergenceFrontier, migrationTable, startCandidates } from './table.ts';
import { S, exactTruth, steadyWriter } from './testing.ts';

const qemu: PolicyAt = (downtimeLimitMs) => ({ kind: 'qemu', name: 'q', release: '7.2', downtimeLimitMs, maxBandwidth: 0 });
const OPTIONS = { timeLimitNs: 20 * S };
const truth = steadyWriter(2048, 2000, 1024);
const LINK = { bytesPerSecond: 1 };

describe('tables', () => {
  it('cell by cell what one simulation says; more bandwidth takes less time', () => {
    const axes = { bytesPerSecond: [4e6, 12e6, 40e6], downtimeLimitMs: [50, 400] };
    const cells = [...migrationTable(truth, qemu, LINK, axes, OPTIONS)];
    expect(cells.length).toBe(6);
    for (const cell of cells) {
      const { converges, totalTimeMs } = simulate(truth, qemu(cell.downtimeLimitMs), { bytesPerSecond: cell.bytesPerSecond }, OPTIONS);
      expect([cell.converges, cell.totalTimeMs]).toEqual([converges, totalTimeMs]);
    }
    expect(cells[0].converges).toBe(false);
    expect(cells[2].converges && cells[4].totalTimeMs < cells[2].totalTimeMs).toBe(true);
  });

  it('the frontier lies where convergence begins, and falls with the limit', () => {
    const points = [...convergenceFrontier(truth, qemu, LINK, [20, 200, 2000], { from: 1e6, to: 100e6 }, OPTIONS)];
    for (const { downtimeLimitMs, bytesPerSecond } of points) {
      expect(simulate(truth, qemu(downtimeLimitMs), { bytesPerSecond: bytesPerSecond! }, OPTIONS).converges).toBe(true);
      expect(simulate(truth, qemu(downtimeLimitMs), { bytesPerSecond: bytesPerSecond! / 1.5 }, OPTIONS).converges).toBe(false);
    }
    expect(points[0].bytesPerSecond!).toBeGreaterThanOrEqual(points[2].bytesPerSecond!);
    expect([...convergenceFrontier(truth, qemu, LINK, [20], { from: 1e5, to: 2e5 }, OPTIONS)]).toEqual([{ downtimeLimitMs: 20, bytesPerSecond: undefined }]);
  });

  it('the best start avoids the busy phase', () => {
    // Busy from 4 to 6 of 10 seconds.
    const phased = exactTruth(2048, 10 * S, (add) => {
      for (let i = 0; i < 40_000; i++) add(4 * S + i * 50_000, i % 2048);
    });
    const starts = [...startCandidates(phased, qemu(30), { bytesPerSecond: 8e6 }, 10, OPTIONS)].sort(compareStarts);
    expect(starts[0].outcome.ram.normal).toBe(2048);
    // A copy takes one second: from 3 to 6 s it meets the busy phase.
    expect(starts.slice(0, 6).map(({ startNs }) => startNs / S).some((s) => s >= 3.5 && s < 6)).toBe(false);
    expect(starts.at(-1)!.outcome.ram.normal).toBeGreaterThan(2048);
  });
});

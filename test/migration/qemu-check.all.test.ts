/** Three of the cases of qemu-check.ts, for real: qemu-system-x86_64 on this host, a relay as the network. Needs QEMU and gcc -m32. */
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { CASES, buildGuest, calibrate, errorPercent, forecast, runCase } from './qemu-check.ts';

function hasTools(): boolean {
  try {
    execFileSync('qemu-system-x86_64', ['--version'], { stdio: 'ignore' });
    return buildGuest().length > 0;
  } catch {
    return false;
  }
}

describe.runIf(hasTools())('predictions against QEMU', () => {
  // A steady guest, one with phases, one that does not converge.
  for (const i of [2, 12, 7]) {
    it(`case ${i}`, async () => {
      const image = buildGuest();
      const calibration = await calibrate(image);
      const measured = await runCase(image, CASES[i], calibration, 2);
      // Of the link that there was: a busy host may wake the relay too late for more.
      const { model } = forecast({ ...CASES[i], bytesPerSecond: measured.relayBytesPerSecond, startAfterMs: measured.startedAtMs }, calibration);
      if (!model.isUnstable) expect(measured.converges).toBe(model.outcome.converges);
      if (!measured.converges || !model.outcome.converges) return;
      // One run: the bar of 12 % is that of the check, at its 90th percentile.
      expect(Math.abs(errorPercent(model.outcome.totalTimeMs, measured.totalTimeMs))).toBeLessThan(25);
      expect(Math.abs(errorPercent(model.outcome.ram.normal, measured.normal))).toBeLessThan(15);
    });
  }
});

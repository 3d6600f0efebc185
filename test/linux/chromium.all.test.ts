/** The recording of a stock Linux kernel replays in Chromium to the state that Node has at its end, from the same engine build. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { NO_BROWSER } from '../browser/chromium.ts';
import { replayInChromium } from '../browser/lab.ts';
import { loadCore, loadLinux, recordLinux, shellScript } from './harness.ts';

const TIMEOUT_MS = 600_000;

describe.skipIf(NO_BROWSER)('Linux in Chromium', () => {
  it('boots, runs work mixed and powers off as it did in Node', async () => {
    const guest = await loadLinux('cloud');
    const recording = recordLinux(loadCore(), { guest, script: shellScript(['work mixed']) });
    expect(recording.console).toContain('work: mixed done');
    const folder = mkdtempSync(join(tmpdir(), 'chronovisor-linux-'));
    try {
      const file = (name: string, bytes: Uint8Array): string => {
        const path = join(folder, name);
        writeFileSync(path, bytes);
        return path;
      };
      const images = [file('kernel', guest.kernel), file('initrd', guest.initrd)];
      const replay = await replayInChromium({ log: file('linux.cvlog', recording.log), images, timeoutMs: TIMEOUT_MS });
      expect(replay).toEqual({ kind: 'identical', digest: recording.status.digest, position: recording.position, records: recording.records });
    } finally {
      rmSync(folder, { recursive: true });
    }
  }, TIMEOUT_MS * 2);
});

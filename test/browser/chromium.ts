/** Chromium for tests: found on the PATH, or named by CHRONOVISOR_CHROMIUM. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

const NAMES: readonly string[] = ['chromium', 'chromium-browser', 'google-chrome', 'chrome'];
const ARGUMENTS: readonly string[] = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
]; // prettier-ignore

/** Set where no browser can be: the tests of this folder are skipped. */
export const NO_BROWSER = process.env['CHRONOVISOR_NO_BROWSER'] === '1';

export function findChromium(): string {
  const named = process.env['CHRONOVISOR_CHROMIUM'];
  if (named !== undefined && named !== '') return named;
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    for (const name of NAMES) {
      const path = join(folder, name);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch {
        // Not here.
      }
    }
  }
  throw new Error('Chromium is not installed. Install it (Debian: apt-get install chromium), or name it by CHRONOVISOR_CHROMIUM, or skip the browser tests by CHRONOVISOR_NO_BROWSER=1');
}

export function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: findChromium(), headless: true, args: [...ARGUMENTS] });
}

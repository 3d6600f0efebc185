/** Promise: what holds for the lab's guest holds for Debian's kernel: recorded from the page with live typing, replayed, stepped back, searched, analysed, exported. */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exitCode } from '../../server/cli/exit-codes.ts';
import { cli } from '../../server/cli/testing.ts';
import { fetchLinux } from '../../server/guests/fetch.ts';
import { guestsFolder } from '../../server/guests/store.ts';
import { NO_BROWSER } from './chromium.ts';
import { type Lab, startLab, verifyOnPage } from './lab.ts';

const TIMEOUT_MS = 240_000;

describe.skipIf(NO_BROWSER)('Debian in Chromium', () => {
  let lab: Lab;
  let page: Page;
  let folder: string;
  let log: string;
  let id: string;
  const go = (path: string): Promise<unknown> => page.goto(`${lab.url}/#/recording/${encodeURIComponent(id)}${path}`);
  const ready = (): Promise<void> => page.locator('[data-testid=registers][data-position]').waitFor({ timeout: TIMEOUT_MS });
  const place = async (): Promise<number> => Number((await page.getByTestId('position').inputValue()).replace(/[@,]/g, ''));

  beforeAll(async () => {
    await fetchLinux({ flavour: 'cloud' });
    folder = mkdtempSync(join(tmpdir(), 'chronovisor-debian-'));
    lab = await startLab([{ name: 'recordings', path: folder }], [], 'recordings', guestsFolder());
    page = await lab.open('/');
  }, TIMEOUT_MS);
  afterAll(async () => {
    await lab?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  it('is recorded by the server, with what is typed in the page', async () => {
    await page.getByTestId('new-recording').click();
    await expect.poll(() => page.getByTestId('guest-choice').locator('option').allInnerTexts(), { timeout: TIMEOUT_MS }).toContain('linux');
    await page.getByTestId('guest-choice').selectOption('linux');
    await page.getByTestId('record').click();
    const console = page.getByTestId('live-console');
    await expect.poll(() => console.innerText(), { timeout: TIMEOUT_MS }).toContain('built-in shell');
    await expect.poll(() => console.innerText(), { timeout: TIMEOUT_MS }).toMatch(/# +$/m);
    await console.focus();
    await page.keyboard.type('uname -r; echo typed by $((40 + 2))\n');
    await expect.poll(() => console.innerText(), { timeout: TIMEOUT_MS }).toMatch(/cloud-amd64[^]*typed by 42/);
    await page.keyboard.type('poweroff -f\n');
    await page.waitForURL(/#\/recording\/recordings%3A/, { timeout: TIMEOUT_MS });
    // Its checkpoints are made, which takes a while: how far they are is seen.
    const shares = await page.evaluate(
      () =>
        new Promise<number>((resolve) => {
          const seen = new Set<number>();
          const look = (): void => {
            const panel = document.querySelector('lab-app')?.shadowRoot?.querySelector('lab-run')?.shadowRoot?.querySelector('lab-registers')?.shadowRoot;
            const bar = panel?.querySelector('progress');
            if (bar !== null && bar !== undefined) seen.add(bar.value);
            if (panel?.querySelector('[data-position]') === null || panel === undefined || panel === null) setTimeout(look, 20);
            else resolve(seen.size);
          };
          look();
        }),
    );
    expect(shares).toBeGreaterThan(5);
    await ready();
    expect(await page.getByTestId('console').innerText()).toContain('typed by 42');
    const [name] = readdirSync(folder).filter((each) => each.endsWith('.cvlog'));
    log = join(folder, name);
    id = `recordings:${name.replace(/\.cvlog$/, '')}`;
  }, 2 * TIMEOUT_MS);

  it('replays to the digest of Node', async () => {
    const { status, out } = await cli('replay', log, '--json');
    expect(status).toBe(exitCode('ok'));
    const outcome = await verifyOnPage(page, TIMEOUT_MS);
    expect(outcome).toMatchObject({ kind: 'identical' });
    expect(out).toContain(outcome.kind === 'identical' ? outcome.digest : 'identical');
  }, 2 * TIMEOUT_MS);

  it('is walked back, by instructions and to a function of the kernel', async () => {
    const from = await place();
    await page.getByTestId('reverse-step').click();
    await page.locator(`[data-testid=registers][data-position="${from - 1}"]`).waitFor({ timeout: TIMEOUT_MS });
    await page.getByTestId('tab-points').click();
    await page.getByTestId('point-text').fill('kernel_halt');
    await page.keyboard.press('Enter');
    await page.locator('[data-testid=points] li[data-done=true]').waitFor({ timeout: TIMEOUT_MS });
    expect(await page.locator('[data-testid=points] li').getAttribute('data-hits')).toBe('1');
    await page.getByTestId('reverse-continue').click();
    await expect.poll(() => page.getByTestId('walk').innerText(), { timeout: TIMEOUT_MS }).toContain('kernel_halt');
    const { out } = await cli('find', log, '--execs', 'kernel_halt', '--json');
    expect(out).toMatch(new RegExp(`"position": ?${await place()}\\b`));
  }, 2 * TIMEOUT_MS);

  it('is searched, profiled with the names of its kernel, compared, and its migration foreseen', async () => {
    await go('/bisect?question=console&text=typed+by+42');
    await page.getByTestId('bisect-found').waitFor({ timeout: TIMEOUT_MS });
    const { out } = await cli('bisect', log, '--console', 'typed by 42', '--json');
    const { position } = JSON.parse(out) as { readonly position: number };
    expect(await page.getByTestId('bisect-found').getAttribute('data-position')).toBe(String(position));
    await go('/profile?regime=hw&from=replay');
    await page.getByTestId('profile-table').waitFor({ timeout: TIMEOUT_MS });
    const flame = (await page.getByTestId('flame').getByRole('treeitem').allInnerTexts()).join(' ');
    for (const name of ['start_kernel', 'native_calibrate_cpu', 'do_syscall_64', 'swapper']) expect(flame).toContain(name);
    await go('/compare');
    await page.getByTestId('slowdown-para').waitFor({ timeout: TIMEOUT_MS });
    await go('/migration');
    await page.getByTestId('verdict').waitFor({ timeout: TIMEOUT_MS });
  }, 4 * TIMEOUT_MS);

  it('is exported with its images as one file that opens from disk and replays', async () => {
    await go('/compare');
    await page.getByTestId('export').click();
    await page.getByTestId('export-images').check({ timeout: TIMEOUT_MS });
    const saved = page.waitForEvent('download', { timeout: TIMEOUT_MS });
    await page.getByTestId('export-save').click();
    const html = join(folder, 'debian.html');
    await (await saved).saveAs(html);
    expect(statSync(html).size).toBeGreaterThan(16e6);
    const context = await lab.browser.newContext({ viewport: { width: 1280, height: 800 }, offline: true });
    const opened = await context.newPage();
    await opened.goto(pathToFileURL(html).href);
    await opened.locator('[data-testid=registers][data-position]').waitFor({ timeout: TIMEOUT_MS });
    expect(await verifyOnPage(opened, TIMEOUT_MS)).toMatchObject({ kind: 'identical' });
    await context.close();
  }, 3 * TIMEOUT_MS);

  it('reported no error', () => {
    expect(lab.errors).toEqual([]);
  });
});

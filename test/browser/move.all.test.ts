/** Promise: a run that somebody looks at moves to another process from its page, and what happened is told; what does not arrive stays. Both sides and the link are real. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cli, json } from '../../server/cli/testing.ts';
import { freePort, listening } from '../migration/live-sides.ts';
import { NO_BROWSER } from './chromium.ts';
import { type Lab, ROOT, startLab } from './lab.ts';

const TIMEOUT_MS = 120_000;
/** Not a dependency of the program. */
const AXE = `${ROOT}node_modules/axe-core/axe.min.js`;

describe.skipIf(NO_BROWSER)('moving a run in Chromium', () => {
  let lab: Lab;
  let folder: string;

  /** A run of the server whose shell waits. */
  const start = async (): Promise<Page> => {
    const page = await lab.open('/#/record');
    await expect.poll(() => page.getByTestId('place-choice').locator('option[value=server]').isEnabled()).toBe(true);
    await page.getByTestId('guest-choice').selectOption('lab');
    await page.getByTestId('command-line').fill('');
    await page.getByTestId('record').click();
    await expect.poll(() => page.getByTestId('live-console').innerText(), { timeout: TIMEOUT_MS }).toContain('$');
    return page;
  };
  const state = (page: Page): Promise<string | null> => page.getByTestId('move').getAttribute('data-state');
  const becomes = (page: Page, wanted: string): Promise<void> => expect.poll(() => state(page), { timeout: TIMEOUT_MS }).toBe(wanted);
  const fill = async (page: Page, to: string): Promise<void> => {
    await page.getByTestId('move-to').fill(to);
    await page.getByTestId('move-start').click();
  };

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'chronovisor-move-'));
    lab = await startLab([{ name: 'recordings', path: folder }], [], 'recordings');
  }, TIMEOUT_MS);
  afterAll(async () => {
    await lab?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  it('no address, nobody there, given up: says so, and the guest goes on here', async () => {
    const page = await start();
    await page.getByTestId('move-open').click();
    await becomes(page, 'settings');
    await fill(page, 'somewhere');
    await expect.poll(() => page.getByRole('alert').innerText()).toMatch(/"somewhere" is no address[^]*HOST:PORT/);
    await page.evaluate(readFileSync(AXE, 'utf8'));
    const serious = await page.evaluate(async () => {
      const { violations } = await (globalThis as unknown as { axe: { run(): Promise<{ violations: readonly { id: string; impact?: string | null; nodes: readonly { html: string }[] }[] }> } }).axe.run();
      return violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
    });
    expect(serious).toEqual([]);
    await fill(page, `127.0.0.1:${await freePort()}`);
    await becomes(page, 'kept');
    expect(await page.getByTestId('move').innerText()).toMatch(/not moved, and goes on here[^]*cannot connect/);
    // Somebody is there, and the link is slow enough to change one's mind.
    const port = await freePort();
    const arrived = cli('migrate', '--listen', String(port), '-o', join(folder, 'nothing.cvlog'));
    await listening(port);
    await page.getByTestId('move-again').click();
    await page.getByTestId('move-bandwidth').selectOption('125000');
    await fill(page, `127.0.0.1:${port}`);
    await becomes(page, 'moving');
    await expect.poll(() => page.getByTestId('move-progress').innerText(), { timeout: TIMEOUT_MS }).toMatch(/sent, [\d,]+ pages left/);
    await page.getByTestId('move-cancel').click();
    await becomes(page, 'kept');
    // That side waits for the next one.
    (process.listeners('SIGINT').at(-1) as () => void)();
    await arrived;
    await page.getByRole('button', { name: 'Close' }).click();
    await page.getByTestId('live-console').focus();
    await page.keyboard.type('echo still here\n');
    await expect.poll(() => page.getByTestId('live-console').innerText(), { timeout: TIMEOUT_MS }).toMatch(/still here[^]*still here/);
    await page.getByTestId('stop').click();
    await page.getByTestId('verify').waitFor({ timeout: TIMEOUT_MS });
    await page.close();
  }, 2 * TIMEOUT_MS);

  it('moves it: rounds while it goes on, what it took, and a chain that replays', async () => {
    const page = await start();
    const { runs } = (await (await fetch(`${lab.url}/api/v1/runs`)).json()) as { runs: { id: string; state: string; recording: string }[] };
    const { recording } = runs.find((run) => run.state === 'running')!;
    const parent = join(folder, `${recording.slice(recording.indexOf(':') + 1)}.cvlog`);
    await page.getByTestId('live-console').focus();
    await page.keyboard.type(`${'work mixed; '.repeat(12)}poweroff\n`);
    const [port, child] = [await freePort(), join(folder, 'arrived.cvlog')];
    const arrived = json('migrate', '--listen', String(port), '-o', child, '--parent', parent);
    await listening(port);
    await page.getByTestId('move-open').click();
    await becomes(page, 'settings');
    await page.getByTestId('move-policy').selectOption('precopy');
    await page.getByTestId('move-bandwidth').selectOption('125000000');
    await fill(page, `127.0.0.1:${port}`);
    await becomes(page, 'moved');
    expect(await page.getByTestId('move').innerText()).toContain(`The guest goes on at 127.0.0.1:${port}`);
    const figures = page.getByTestId('move-figures');
    expect(await figures.innerText()).toMatch(/measured\s+foreseen[^]*Downtime[^]*Rounds/);
    await page.getByRole('button', { name: 'Close' }).click();
    // It has ended here, and the page says where it is instead of leaving.
    await page.getByTestId('moved').waitFor({ timeout: TIMEOUT_MS });
    const there = (await arrived) as { end: { reason: string; digest: string } };
    expect(there).toMatchObject({ exitCode: 0, end: { reason: 'debug-exit' } });
    expect(await json('replay', child, '--parent', parent)).toMatchObject({ result: 'identical', isComplete: true, digest: there.end.digest });
    await page.getByTestId('moved').getByRole('link', { name: 'the recording up to there' }).click();
    await page.getByTestId('verify').waitFor({ timeout: TIMEOUT_MS });
    expect(lab.errors).toEqual([]);
    await page.close();
  }, 2 * TIMEOUT_MS);
});

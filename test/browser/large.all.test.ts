/**
 * Promise: a recording of 10^8 events is a page like any other: it opens, its timeline pans and zooms, its table and its console are there at both ends, and the page holds no more than it
 * shows. Frame times are printed, not judged. CHRONOVISOR_EVENTS sets another number of events.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import { EVENTS_MAX } from '../../ui/event-pages.ts';
import { NO_BROWSER } from './chromium.ts';
import { writeLargeLog } from './large-log.ts';
import { type Lab, ROOT, startLab } from './lab.ts';
import { framesDuring, memoryOfPages, panAndZoom, quantile } from './measures.ts';

const EVENTS = Number(process.env['CHRONOVISOR_EVENTS'] ?? 1e8);
const TIMEOUT_MS = 240_000;
const FRAMES = 240;

const count = (value: number): string => value.toLocaleString('en-US');

describe.skipIf(NO_BROWSER)('a recording of 10^8 events in Chromium', () => {
  let lab: Lab;
  let page: Page;
  let folder: string;
  let records = 0;
  const recording = new Uint8Array(readFileSync(`${ROOT}traces/lab-kernel.cvlog`));

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'chronovisor-large-'));
    records = writeLargeLog(join(folder, 'large.cvlog'), recording, EVENTS);
    lab = await startLab([{ name: 'large', path: folder }]);
  }, TIMEOUT_MS);
  afterAll(async () => {
    await lab?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  /** Events that the page holds. */
  const held = (): Promise<number> =>
    page.evaluate(() => {
      const run = document.querySelector('lab-app')!.shadowRoot!.querySelector('lab-run') as unknown as { model: { pages: { held: number } } };
      return run.model.pages.held;
    });

  it('opens at once, and reads all of it meanwhile', async () => {
    page = await lab.open('/#/recording/large%3Alarge?at=0');
    const from = performance.now();
    await expect.poll(() => page.getByTestId('event-count').innerText(), { timeout: TIMEOUT_MS }).toBe(count(records));
    await expect.poll(() => page.getByTestId('event-table').innerText()).toContain('wall');
    console.info(`${count(records)} events: rows are shown after ${((performance.now() - from) / 1000).toFixed(2)} s`);
    await page.getByTestId('fold').waitFor();
    const places = (): Promise<readonly string[]> => page.locator('.transport button.icon, .transport input, lab-event-table, lab-code').evaluateAll((all) => all.map((each) => JSON.stringify(each.getBoundingClientRect())));
    const before = await places();
    // The other end is there although the reading is not over.
    await page.keyboard.press('End');
    await expect.poll(() => page.getByTestId('event-table').innerText(), { timeout: TIMEOUT_MS }).toContain('as many events as were asked for');
    await expect.poll(() => page.getByTestId('console').innerText(), { timeout: TIMEOUT_MS }).toContain('lab kernel ready');
    await page.getByTestId('fold').waitFor({ state: 'detached', timeout: TIMEOUT_MS });
    // Nothing moves under a pointer because more is known.
    expect(await places()).toEqual(before);
    console.info(`all counted after ${((performance.now() - from) / 1000).toFixed(1)} s`);
    await expect.poll(() => page.getByTestId('console-bytes').innerText()).toMatch(/([\d,]+) of \1 bytes/);
  }, TIMEOUT_MS);

  it('pans and zooms', async () => {
    const { intervals, cpu, dropped } = await framesDuring(lab.browser, page, () => panAndZoom(page, FRAMES));
    expect(intervals.length).toBeGreaterThan(FRAMES);
    console.info(
      `frames: ${intervals.length}, interval median ${quantile(intervals, 0.5).toFixed(1)} ms, p95 ${quantile(intervals, 0.95).toFixed(1)} ms, most ${quantile(intervals, 1).toFixed(1)} ms; ` +
        `dropped ${dropped}; CPU of the page a frame median ${quantile(cpu, 0.5).toFixed(1)} ms, p95 ${quantile(cpu, 0.95).toFixed(1)} ms`,
    );
    expect(await held()).toBeLessThanOrEqual(EVENTS_MAX);
  }, TIMEOUT_MS);

  it('filters without a list of what it found', async () => {
    await page.keyboard.press('/');
    const chips = (): Promise<readonly string[]> => page.locator('.chip').evaluateAll((all) => all.map((each) => JSON.stringify(each.getBoundingClientRect())));
    const before = await chips();
    // A kind by itself is counted from the index. However slow the second click is, it is on the same chip.
    const mark = page.getByRole('button', { name: 'mark' });
    await mark.click();
    await expect.poll(() => page.getByTestId('event-count').innerText(), { timeout: TIMEOUT_MS }).toMatch(/ of [\d,]+$/);
    expect(await chips()).toEqual(before);
    await mark.click();
    expect(await chips()).toEqual(before);
    await mark.dblclick({ delay: 60 });
    const source = LogReader.open(new MemorySource(recording));
    const repetitions = Math.round((records - 1) / source.records);
    await expect.poll(() => page.getByTestId('event-count').innerText(), { timeout: TIMEOUT_MS }).toMatch(new RegExp(`^${count(source.counts.mark * repetitions)} of`));
    await page.keyboard.press('Escape');
    expect(await held()).toBeLessThanOrEqual(EVENTS_MAX);
  }, TIMEOUT_MS);

  it('stays small', async () => {
    const memory = await memoryOfPages(lab.browser, page);
    if (memory !== undefined) console.info(`tab: ${(memory.privateBytes / 2 ** 20).toFixed(0)} MiB private, ${(memory.peakBytes / 2 ** 20).toFixed(0)} MiB at most`);
    // All of its events, at 9 bytes each, would be three times as much. Of few events the page itself is more.
    if (EVENTS >= 1e8) expect(memory?.privateBytes ?? 0).toBeLessThan(9 * EVENTS);
    expect(lab.errors.filter((error) => !error.includes('does not hold'))).toEqual([]);
  }, TIMEOUT_MS);
});

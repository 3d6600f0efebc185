/** Promise: `npm start` shows recorded runs, and a browser replays them to the same state as Node, from the same engine build. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as L from '../../engine/cpu/layout.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySink, MemorySource } from '../../engine/log/storage.ts';
import { Recorder } from '../../engine/recording/recorder.ts';
import type { RunImages } from '../../engine/recording/recipe.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import { NO_BROWSER } from './chromium.ts';
import { type Lab, ROOT, replayInChromium, startLab, verifyOnPage } from './lab.ts';

const TIMEOUT_MS = 45_000;
const TRACE = 'bug-lost-update';

function readTrace(): LogReader {
  return LogReader.open(new MemorySource(readFileSync(`${ROOT}traces/${TRACE}.cvlog`)));
}

async function replayer(reader: LogReader, images?: RunImages): Promise<Replayer> {
  const module = await WebAssembly.compile(readFileSync(`${ROOT}dist/engine/cpu/core.wasm`));
  const kernel = reader.image(reader.header.images[0].sha256);
  return new Replayer({ reader, images: images ?? { kernel: kernel! }, module });
}

const count = (value: number): string => value.toLocaleString('en-US');

describe.skipIf(NO_BROWSER)('the lab in Chromium', () => {
  let lab: Lab;
  let page: Page;
  let folder: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'chronovisor-lab-'));
    lab = await startLab([{ name: 'traces', path: `${ROOT}traces` }]);
    page = await lab.open('/');
  }, TIMEOUT_MS);
  afterAll(async () => {
    await lab?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  it('shows the recordings and opens one', async () => {
    await page.getByTestId('recording-card').first().waitFor();
    expect(await page.getByTestId('recording-card').count()).toBeGreaterThanOrEqual(2);
    await page.getByRole('link', { name: TRACE }).click();
    await page.locator('[data-testid=registers][data-position]').waitFor({ timeout: TIMEOUT_MS });
    const reader = readTrace();
    expect(await page.getByTestId('guest').innerText()).toBe(TRACE);
    expect(await page.getByTestId('event-count').innerText()).toBe(count(reader.records));
    expect(await page.getByTestId('console').innerText()).toMatch(/lab kernel ready[^]*work cpu: a60d15f10d3789db[^]*PANIC: list corrupted/);
    expect(await page.getByTestId('event-table').innerText()).toContain('debug-exit: 3');
  }, TIMEOUT_MS);

  it('replays it to the digest of Node', async () => {
    const reader = readTrace();
    const inNode = (await replayer(reader)).run();
    const inBrowser = await verifyOnPage(page, TIMEOUT_MS);
    expect(inNode.kind).toBe('identical');
    // Keys work although the button has the focus.
    await page.keyboard.press('Home');
    await expect.poll(() => page.getByTestId('position').inputValue()).toBe('@0');
    expect(inBrowser).toMatchObject({ kind: 'identical', records: reader.records, position: reader.lastPosition, digest: inNode.kind === 'identical' ? inNode.digest : '' });
  }, TIMEOUT_MS);

  it('shows the machine at a mark as Node has it', async () => {
    await page.keyboard.press('/');
    await page.keyboard.type('syscall -exit');
    const row = page.getByTestId('event-table').getByRole('row').filter({ hasText: 'work syscall' });
    await row.click();
    const reader = readTrace();
    const mark = [...reader.events({ kinds: ['mark'] })].find((event) => event.kind === 'mark' && event.name === 'work syscall')!;
    expect(await page.getByTestId('position').inputValue()).toBe(`@${count(mark.position)}`);
    await page.locator(`[data-testid=registers][data-position="${mark.position}"]`).waitFor({ timeout: TIMEOUT_MS });
    const node = await replayer(reader);
    node.step(mark.position);
    const rip = node.machine.core.big(L.RIP).toString(16).padStart(16, '0');
    expect(await page.getByTestId('registers').innerText()).toMatch(new RegExp(`rip\\s+${rip}`));
    const shown = await page.getByTestId('console').innerText();
    expect(shown).toContain('work cpu: a60d15f10d3789db');
    expect(shown).not.toContain('PANIC');
  }, TIMEOUT_MS);

  it('goes from event to event by keys, and keeps the place in the address', async () => {
    await page.getByTestId('event-filter').press('Escape');
    await page.keyboard.press('Home');
    const position = page.getByTestId('position');
    await expect.poll(() => position.inputValue()).toBe('@0');
    const reader = readTrace();
    const positions = [...reader.events()].map((event) => event.position);
    for (let i = 0; i < 5; i++) await page.keyboard.press('ArrowRight');
    await expect.poll(() => position.inputValue()).toBe(`@${count(positions[5])}`);
    await page.keyboard.press('ArrowLeft');
    await expect.poll(() => position.inputValue()).toBe(`@${count(positions[4])}`);
    await page.locator(`[data-testid=registers][data-position="${positions[4]}"]`).waitFor({ timeout: TIMEOUT_MS });
    await expect.poll(() => page.url()).toContain(`at=${positions[4]}`);
    // A link to a moment opens it there, and does not hold the cursor.
    const { lastPosition } = reader;
    await page.evaluate((at) => (location.hash = location.hash.replace(/at=\d+/, `at=${at}`)), positions[5]);
    await expect.poll(() => position.inputValue()).toBe(`@${count(positions[5])}`);
    await page.reload();
    await expect.poll(() => position.inputValue(), { timeout: TIMEOUT_MS }).toBe(`@${count(positions[5])}`);
    await page.keyboard.press('End');
    await page.locator(`[data-testid=registers][data-position="${lastPosition}"]`).waitFor({ timeout: TIMEOUT_MS });
    expect(await position.inputValue()).toBe(`@${count(lastPosition)}`);
    await expect.poll(() => page.url()).toContain(`at=${lastPosition}`);
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keys' }).waitFor();
    await page.keyboard.press('?');
  }, TIMEOUT_MS);

  it('moves the cursor by dragging on the timeline, zooms by the wheel, and plays', async () => {
    const box = (await page.getByRole('slider', { name: 'Timeline cursor' }).boundingBox())!;
    const { lastPosition } = readTrace();
    const place = async (): Promise<number> => Number((await page.getByTestId('position').inputValue()).replace(/[@,]/g, ''));
    const gutter = box.width * 0.12;
    await page.mouse.move(box.x + gutter, box.y + 40);
    await page.mouse.down();
    await page.mouse.move(box.x + (gutter + box.width) / 2, box.y + 40, { steps: 5 });
    await page.mouse.up();
    await expect.poll(async () => Math.abs((await place()) / lastPosition - 0.5)).toBeLessThan(0.05);
    // Zoomed in around the pointer, the same distance is fewer instructions.
    const before = await place();
    for (let i = 0; i < 5; i++) await page.mouse.wheel(0, -300);
    await page.mouse.move(box.x + (gutter + box.width) / 2 + 30, box.y + 40);
    await page.mouse.down();
    await page.mouse.up();
    await expect.poll(async () => (await place()) - before).toBeGreaterThan(0);
    expect((await place()) - before).toBeLessThan(lastPosition / 200);
    const from = await place();
    await page.keyboard.press('Space');
    await expect.poll(place).toBeGreaterThan(from + 100_000);
    await page.keyboard.press('Space');
  }, TIMEOUT_MS);

  it('records the lab kernel in the page, keeps it over a reload, and replays it', async () => {
    await page.goto(`${lab.url}/#/record`);
    await page.getByTestId('command-line').fill('');
    await page.getByTestId('record').click();
    const live = page.getByTestId('live-console');
    await expect.poll(() => live.innerText(), { timeout: TIMEOUT_MS }).toContain('$');
    await live.focus();
    await page.keyboard.type('echo typed by hand\n');
    await expect.poll(() => live.innerText(), { timeout: TIMEOUT_MS }).toMatch(/typed by hand[^]*typed by hand\s/);
    await page.keyboard.type('poweroff\n');
    await page.waitForURL(/#\/local\//, { timeout: TIMEOUT_MS });
    await page.reload();
    await page.locator('[data-testid=registers][data-position]').waitFor({ timeout: TIMEOUT_MS });
    expect(await page.getByTestId('console').innerText()).toContain('typed by hand');
    expect(await verifyOnPage(page, TIMEOUT_MS)).toMatchObject({ kind: 'identical' });
  }, TIMEOUT_MS);

  it('replays a recording with images of its own, offered by the server', async () => {
    // Larger than what a log embeds.
    const lab = readFileSync(`${ROOT}engine/guests/images/lab-kernel.elf`);
    const kernel = new Uint8Array(1_200_000);
    kernel.set(lab);
    const sink = new MemorySink();
    const recorder = new Recorder({
      recipe: {
        guest: 'large-image',
        commandLine: 'run="echo large; poweroff"',
        protocol: 'auto',
        machine: { memoryBytes: 64 * 2 ** 20, seed: '0000000000000001', wallClockNs: '0', acpi: false, virtio: [], accessCostNs: 1000 },
        epochInstructions: 100_000,
        digestInstructions: 100_000,
      },
      images: { kernel },
      module: await WebAssembly.compile(readFileSync(`${ROOT}dist/engine/cpu/core.wasm`)),
      log: { sink, id: 'large-image', product: 'test' },
    });
    let status = recorder.step(10_000_000, true);
    while (status.kind === 'running') status = recorder.step(10_000_000, true);
    expect(status.kind).toBe('ended');
    const log = join(folder, 'large image.cvlog');
    const image = join(folder, 'kernel');
    writeFileSync(log, sink.toBytes());
    writeFileSync(image, kernel);
    const digest = status.kind === 'ended' ? status.digest : '';
    expect(await replayInChromium({ log, images: [image], timeoutMs: TIMEOUT_MS })).toMatchObject({ kind: 'identical', digest });
    const without = await replayInChromium({ log, images: [], timeoutMs: TIMEOUT_MS });
    expect(without).toMatchObject({ kind: 'failed', message: expect.stringContaining('does not hold its kernel') as string });
  }, TIMEOUT_MS);

  it('is light or dark as the system is, or as a person chose, and remembers it', async () => {
    const background = (): Promise<string> => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.goto(`${lab.url}/`);
    await page.getByTestId('theme').waitFor();
    const dark = await background();
    await page.getByTestId('theme').selectOption('light');
    await expect.poll(background).not.toBe(dark);
    const light = await background();
    await page.reload();
    await page.getByTestId('theme').waitFor();
    expect(await background()).toBe(light);
    await page.getByTestId('theme').selectOption('system');
    await expect.poll(background).toBe(dark);
    await page.emulateMedia({ colorScheme: 'light' });
    await expect.poll(background).toBe(light);
  }, TIMEOUT_MS);

  it('reported no error and broke no rule of its content security policy', () => {
    expect(lab.errors).toEqual([]);
  });
});

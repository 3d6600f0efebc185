/** Promise: a recording as one HTML file opens from disk, without network or server, and is the same run: replayed, stepped back, analysed, and passed on. */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readRegister } from '../../engine/debug/inspect.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import { exitCode } from '../../server/cli/exit-codes.ts';
import { cli } from '../../server/cli/testing.ts';
import { NO_BROWSER, launchChromium } from './chromium.ts';
import { type Lab, ROOT, assertBuilt, startLab, verifyOnPage } from './lab.ts';

const TIMEOUT_MS = 45_000;
const TRACE = 'bug-lost-update';
const NOTE = 'here </script> it begins';
const AT = 57_000_000;

describe.skipIf(NO_BROWSER)('a recording as one file', () => {
  let folder: string;
  let browser: Browser;
  let page: Page;
  let lab: Lab | undefined;
  const errors: string[] = [];
  const file = (name: string): string => join(folder, name);
  const reader = LogReader.open(new MemorySource(readFileSync(`${ROOT}traces/${TRACE}.cvlog`)));

  /** From disk, where nothing can be fetched. */
  async function openFile(path: string): Promise<Page> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, offline: true, acceptDownloads: true });
    const opened = await context.newPage();
    opened.on('pageerror', (error) => errors.push(String(error)));
    opened.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    opened.on('request', (request) => /^(file|blob|data):/.test(request.url()) || errors.push(`asked for ${request.url()}`));
    await opened.goto(pathToFileURL(path).href);
    return opened;
  }

  /** By the page's own button. */
  async function exportFrom(from: Page, path: string): Promise<void> {
    await from.getByTestId('export').click();
    const saved = from.waitForEvent('download', { timeout: TIMEOUT_MS });
    await from.getByTestId('export-save').click();
    await (await saved).saveAs(path);
  }

  /** Texts that the browser keeps; empty for one that is not wanted. */
  const stored = (): Promise<readonly string[]> =>
    page.evaluate(
      () =>
        new Promise<readonly string[]>((resolve, reject) => {
          const opening = indexedDB.open('chronovisor-notes');
          opening.onerror = () => reject(opening.error as Error);
          opening.onsuccess = () => {
            const all = opening.result.transaction('notes').objectStore('notes').getAll();
            all.onsuccess = () => resolve((all.result as readonly { readonly text: string }[]).map(({ text }) => text).sort());
            opening.result.close();
          };
        }),
    );

  beforeAll(async () => {
    assertBuilt();
    folder = mkdtempSync(join(tmpdir(), 'chronovisor-file-'));
    copyFileSync(`${ROOT}traces/${TRACE}.cvlog`, file('run.cvlog'));
    writeFileSync(file('run.cvlog.marks'), JSON.stringify({ format: 1, recording: reader.header.id, marks: [{ name: NOTE, position: AT }] }));
    browser = await launchChromium();
  }, TIMEOUT_MS);
  afterAll(async () => {
    await lab?.close();
    await browser?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  it('is written by the command line, with what a person marked', async () => {
    const { status, out } = await cli('export', file('run.cvlog'), '--format', 'html', '-o', file('run.html'), '--json');
    expect(status).toBe(exitCode('ok'));
    expect(JSON.parse(out)).toMatchObject({ format: 'html', bytes: statSync(file('run.html')).size });
    // The pages with their engine and the log, no more.
    expect(statSync(file('run.html')).size).toBeLessThan(1_720_000);
  }, TIMEOUT_MS);

  it('replays from disk to the digest of Node', async () => {
    page = await openFile(file('run.html'));
    await page.locator('[data-testid=registers][data-position]').waitFor({ timeout: TIMEOUT_MS });
    expect(await page.getByTestId('guest').innerText()).toBe(TRACE);
    expect(await page.getByTestId('console').innerText()).toContain('PANIC: list corrupted');
    const end = [...reader.events({ kinds: ['end'] })].find((event) => event.kind === 'end');
    expect(await verifyOnPage(page, TIMEOUT_MS)).toMatchObject({ kind: 'identical', records: reader.records, digest: end?.kind === 'end' ? end.digest : '' });
  }, TIMEOUT_MS);

  it('steps back to where Node is', async () => {
    const kernel = reader.image(reader.header.images[0].sha256)!;
    const node = new TimeTravel({ reader, images: { kernel }, module: await WebAssembly.compile(readFileSync(`${ROOT}dist/engine/cpu/core.wasm`)) });
    for (const back of [1, 2]) {
      const position = reader.lastPosition - back;
      await page.getByTestId('reverse-step').click();
      await page.locator(`[data-testid=registers][data-position="${position}"]`).waitFor({ timeout: TIMEOUT_MS });
      node.seek(position);
      expect(await page.getByTestId('registers').innerText()).toMatch(new RegExp(`rip\\s+${readRegister(node.machine, 'rip')!.toString(16).padStart(16, '0')}`));
    }
    // The file holds the sources of the lab's guests too.
    const line = page.locator('[data-testid=code] tr.source', { has: page.getByTestId('source-line') }).first();
    const [place, path, number] = /([^\s]+\.[chS]):(\d+)/.exec(await line.innerText({ timeout: TIMEOUT_MS }))!;
    expect(await line.getByTestId('source-line').innerText(), place).toBe(readFileSync(`${ROOT}engine/guests/${path}`, 'utf8').split('\n')[Number(number) - 1].trim());
  }, TIMEOUT_MS);

  it('has the notes, keeps new ones, and does not bring back one that was deleted', async () => {
    await page.getByTestId('tab-notes').click();
    const notes = page.getByTestId('notes');
    await expect.poll(() => notes.innerText()).toContain(NOTE);
    await page.getByTestId('note-text').fill('mine');
    await page.keyboard.press('Enter');
    await expect.poll(stored).toEqual(['mine']);
    await expect.poll(() => page.url()).toContain('panel=notes');
    await page.reload();
    await expect.poll(() => notes.innerText(), { timeout: TIMEOUT_MS }).toMatch(/here[^]*mine/);
    await page.getByRole('button', { name: `Delete the note at @${AT.toLocaleString('en-US')}` }).click();
    await expect.poll(stored).toEqual(['', 'mine']);
    await page.reload();
    await expect.poll(() => notes.innerText(), { timeout: TIMEOUT_MS }).toContain('mine');
    expect(await notes.innerText()).not.toContain('here');
  }, TIMEOUT_MS);

  it('is analysed without a server, and lists itself', async () => {
    await page.getByRole('link', { name: 'Compare' }).click();
    await page.getByTestId('slowdown-hw').waitFor({ timeout: TIMEOUT_MS });
    await page.getByRole('link', { name: '← Recordings' }).click();
    const card = page.getByTestId('recording-card');
    await expect.poll(() => card.count()).toBe(1);
    await card.getByRole('link', { name: TRACE, exact: true }).click();
    await page.locator('[data-testid=registers][data-position]').waitFor({ timeout: TIMEOUT_MS });
  }, TIMEOUT_MS);

  it('is written by the page of the server, at the cursor, and by the file itself', async () => {
    lab = await startLab([{ name: 'traces', path: `${ROOT}traces` }]);
    const served = await lab.open(`/#/recording/${encodeURIComponent(`traces:${TRACE}`)}?at=${AT}`);
    await served.locator(`[data-testid=registers][data-position="${AT}"]`).waitFor({ timeout: TIMEOUT_MS });
    await exportFrom(served, file('served.html'));
    const opened = await openFile(file('served.html'));
    await opened.locator(`[data-testid=registers][data-position="${AT}"]`).waitFor({ timeout: TIMEOUT_MS });
    await exportFrom(opened, file('again.html'));
    const again = await openFile(file('again.html'));
    await again.locator(`[data-testid=registers][data-position="${AT}"]`).waitFor({ timeout: TIMEOUT_MS });
    expect(lab.errors).toEqual([]);
  }, 2 * TIMEOUT_MS);

  it('says what is wrong with a file that was cut off', async () => {
    const whole = readFileSync(file('run.html'), 'utf8');
    const at = whole.indexOf('data-part="log">') + 20_001;
    mkdirSync(file('cut'));
    writeFileSync(file('cut/run.html'), whole.slice(0, at) + whole.slice(whole.indexOf('</script>', at)));
    const cut = await openFile(file('cut/run.html'));
    await expect.poll(() => cut.getByRole('alert').innerText()).toContain('get the file again');
  }, TIMEOUT_MS);

  it('asks what to do with images that the log does not hold, and writes nothing before', async () => {
    const { status, err } = await cli('export', `${ROOT}traces/published/debian-boot.cvlog`, '--format', 'html', '-o', file('debian.html'));
    expect(status).toBe(exitCode('images'));
    expect(err).toMatch(/kernel, 14186432 bytes[^]*--with-images[^]*--without-images/);
    expect(() => statSync(file('debian.html'))).toThrow();
  }, TIMEOUT_MS);

  it('reported no error, asked the network for nothing, and broke no rule of its content security policy', () => {
    expect(errors).toEqual([]);
  });
});

/** Promise: the built pages need no server. From a folder of static files a dropped recording opens, replays, is debugged and analysed; the browser keeps it, and says when it has no room. */
import { copyFileSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join, sep } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readRegister } from '../../engine/debug/inspect.ts';
import { TimeTravel } from '../../engine/debug/time-travel.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import { exitCode } from '../../server/cli/exit-codes.ts';
import { cli } from '../../server/cli/testing.ts';
import { NO_BROWSER, launchChromium } from './chromium.ts';
import { ROOT, UI, assertBuilt, verifyOnPage } from './lab.ts';
import { goToLastWriter } from './last-writer.ts';

const TIMEOUT_MS = 45_000;
const TRACE = 'bug-lost-update';
const BRANCH_AT = 57_700_000;
const TYPES: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.wasm': 'application/wasm', '.svg': 'image/svg+xml' };

/** A web server as any other: files, and 404. */
function staticServer(folder: string): Server {
  const files = new Map(readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => [`/${name.split(sep).join('/')}`, join(folder, name)]));
  return createServer(({ url = '/' }, response) => {
    const path = url === '/' ? '/index.html' : url.replace(/[?#].*$/, '');
    const file = files.get(path);
    if (file === undefined || extname(file) === '') return void response.writeHead(404).end('not found');
    response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' }).end(readFileSync(file));
  });
}

describe.skipIf(NO_BROWSER)('the pages without a server', () => {
  let server: Server;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let url: string;
  let folder: string;
  const errors: string[] = [];
  const reader = LogReader.open(new MemorySource(readFileSync(`${ROOT}traces/${TRACE}.cvlog`)));
  let node: TimeTravel;

  /** As a person does, with the mouse: files from disk, onto the page. */
  async function drop(paths: readonly string[]): Promise<void> {
    const files = paths.map((path) => ({ name: path.slice(path.lastIndexOf('/') + 1), base64: readFileSync(path).toString('base64') }));
    const transfer = await page.evaluateHandle((given) => {
      const all = new DataTransfer();
      for (const { name, base64 } of given) all.items.add(new File([Uint8Array.from(atob(base64), (each) => each.charCodeAt(0))], name));
      return all;
    }, files);
    await page.dispatchEvent('lab-app', 'dragover', { dataTransfer: transfer });
    await page.dispatchEvent('lab-app', 'drop', { dataTransfer: transfer });
  }
  const ready = (): Promise<void> => page.locator('[data-testid=registers][data-position]').waitFor({ timeout: TIMEOUT_MS });
  /** The link brings back the panel that was in front. */
  const showRegisters = (): Promise<void> => page.getByTestId('tab-registers').click({ timeout: TIMEOUT_MS });
  const place = async (): Promise<number> => Number((await page.getByTestId('position').inputValue()).replace(/[@,]/g, ''));

  beforeAll(async () => {
    assertBuilt();
    folder = mkdtempSync(join(tmpdir(), 'chronovisor-offline-'));
    const kernel = reader.image(reader.header.images[0].sha256)!;
    node = new TimeTravel({ reader, images: { kernel }, module: await WebAssembly.compile(readFileSync(`${ROOT}dist/engine/cpu/core.wasm`)) });
    server = staticServer(UI);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    browser = await launchChromium();
    context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    page = await context.newPage();
    page.on('pageerror', (error) => errors.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && !/404|ERR_INTERNET_DISCONNECTED/.test(message.text()) && errors.push(message.text()));
    await page.goto(url);
  }, TIMEOUT_MS);
  afterAll(async () => {
    await browser?.close();
    server?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  it('say that there is none, and what works all the same', async () => {
    await page.getByText('There is no server behind this page').waitFor({ timeout: TIMEOUT_MS });
  }, TIMEOUT_MS);

  it('open what is dropped on them, and replay it to the digest of Node', async () => {
    await drop([`${ROOT}traces/${TRACE}.cvlog`]);
    await ready();
    expect(page.url()).toContain('#/local/');
    const end = [...reader.events({ kinds: ['end'] })].find((event) => event.kind === 'end');
    expect(await verifyOnPage(page, TIMEOUT_MS)).toMatchObject({ kind: 'identical', records: reader.records, digest: end?.kind === 'end' ? end.digest : '' });
  }, 2 * TIMEOUT_MS);

  it('walk back and find the last writer, with the network gone', async () => {
    await context.setOffline(true);
    for (const back of [1, 2, 3]) {
      await page.getByTestId('reverse-step').click();
      await page.locator(`[data-testid=registers][data-position="${reader.lastPosition - back}"]`).waitFor({ timeout: TIMEOUT_MS });
    }
    const from = await place();
    node.seek(from);
    expect(await page.getByTestId('registers').innerText()).toMatch(new RegExp(`rip\\s+${readRegister(node.machine, 'rip')!.toString(16).padStart(16, '0')}`));
    const writer = await goToLastWriter(page, node, from, TIMEOUT_MS);
    await expect.poll(place, { timeout: TIMEOUT_MS }).toBe(writer);
    await context.setOffline(false);
  }, 2 * TIMEOUT_MS);

  it('keep it over a reload, with its place, and analyse it', async () => {
    const from = await place();
    await expect.poll(() => page.url()).toContain(`at=${from}`);
    await page.reload();
    await showRegisters();
    await ready();
    expect(await place()).toBe(from);
    await page.getByRole('link', { name: 'Compare' }).click();
    await page.getByTestId('slowdown-hw').waitFor({ timeout: TIMEOUT_MS });
    await page.getByRole('link', { name: '← Recordings' }).click();
    await expect.poll(() => page.getByTestId('storage').innerText(), { timeout: TIMEOUT_MS }).toMatch(/^[\d.,]+ \w+ of the [\d.,]+ \w+ that it allows/);
    await expect.poll(() => page.getByTestId('picture').innerText()).toContain('backtrace:');
  }, TIMEOUT_MS);

  it('open a branch with the log that it goes on from, dropped together', async () => {
    copyFileSync(`${ROOT}traces/${TRACE}.cvlog`, join(folder, 'parent.cvlog'));
    const { status } = await cli('branch', join(folder, 'parent.cvlog'), '--at', `@${BRANCH_AT}`, '--set', 'rax=7', '--until', `@${BRANCH_AT + 20_000}`, '-o', join(folder, 'child.cvlog'), '-q');
    expect(status).toBe(exitCode('ok'));
    await drop([join(folder, 'parent.cvlog'), join(folder, 'child.cvlog')]);
    await ready();
    expect(await verifyOnPage(page, TIMEOUT_MS)).toMatchObject({ kind: 'identical', position: BRANCH_AT + 20_000 });
  }, 2 * TIMEOUT_MS);

  it('say what is wrong with a file that is none', async () => {
    await drop([`${ROOT}package.json`]);
    await expect.poll(() => page.getByRole('alert').innerText(), { timeout: TIMEOUT_MS }).toMatch(/package\.json: .*\w/);
  }, TIMEOUT_MS);

  it('give up checkpoints when the browser has no room, and if that does not help say so and open the recording all the same', async () => {
    // Chromium's quota is gigabytes, and what the protocol offers to lower it does nothing in a context of its own.
    const fill = (refusals: number): Promise<void> =>
      page.evaluate((times) => {
        const { put } = IDBObjectStore.prototype;
        let left = times;
        IDBObjectStore.prototype.put = function (...given) {
          if (this.name !== 'logs' || left <= 0) return put.apply(this, given);
          left--;
          throw new DOMException('full', 'QuotaExceededError');
        };
      }, refusals);
    const checkpoints = (): Promise<number> =>
      page.evaluate(
        () =>
          new Promise<number>((resolve) => {
            const opening = indexedDB.open('chronovisor-checkpoints');
            opening.onsuccess = () => {
              const counted = opening.result.transaction('indexes').objectStore('indexes').count();
              counted.onsuccess = () => (opening.result.close(), resolve(counted.result));
            };
          }),
      );
    const alerts = (): Promise<readonly string[]> => page.getByRole('alert').allInnerTexts();
    await page.goto(`${url}/#/`);
    await page.reload();
    await page.getByTestId('recording-card').first().waitFor({ timeout: TIMEOUT_MS });
    expect(await checkpoints()).toBeGreaterThan(0);
    await fill(1);
    await drop([`${ROOT}traces/lab-kernel.cvlog`]);
    await page.waitForURL(/#\/local\//, { timeout: TIMEOUT_MS });
    expect(await alerts()).toEqual([]);
    await page.goto(`${url}/#/`);
    await page.reload();
    await page.getByTestId('recording-card').filter({ hasText: 'lab-kernel' }).waitFor({ timeout: TIMEOUT_MS });
    await fill(Infinity);
    await drop([`${ROOT}traces/lab-kernel.cvlog`]);
    await expect.poll(alerts, { timeout: TIMEOUT_MS }).toEqual([expect.stringContaining('no more room')]);
    await page.waitForURL(/#\/local\//, { timeout: TIMEOUT_MS });
    await expect.poll(() => page.getByTestId('guest').innerText(), { timeout: TIMEOUT_MS }).toBe('lab-kernel');
    await page.getByRole('button', { name: 'Close' }).click();
    expect(await alerts()).toEqual([]);
  }, 3 * TIMEOUT_MS);

  it('say what to do when a part of them cannot be had any more', async () => {
    const other = await browser.newPage();
    await other.goto(`${url}/#/`);
    await other.getByTestId('new-recording').waitFor({ timeout: TIMEOUT_MS });
    await other.context().setOffline(true);
    await other.getByTestId('new-recording').click();
    await expect.poll(() => other.getByRole('alert').allInnerTexts(), { timeout: TIMEOUT_MS }).toEqual([expect.stringContaining('could not be loaded')]);
    await other.context().setOffline(false);
    await other.getByRole('button', { name: 'Reload' }).click();
    await other.getByTestId('record').waitFor({ timeout: TIMEOUT_MS });
    await other.close();
  }, 2 * TIMEOUT_MS);

  it('reported no error', () => {
    expect(errors).toEqual([]);
  });
});

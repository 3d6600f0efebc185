/** The real server on a free port, its pages in Chromium, and a recording that is replayed there. For the tests of this folder and of others. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { FastifyInstance } from 'fastify';
import type { Browser, Page } from 'playwright-core';
import { LOG_SUFFIX, type RecordingFolder } from '../../server/http/catalogue.ts';
import { createLabServer } from '../../server/http/lab-server.ts';
import { ownPackage } from '../../server/store/package-root.ts';
import { launchChromium } from './chromium.ts';

/** The same from source and from dist. */
export const ROOT = `${ownPackage().root}/`;
/** CHRONOVISOR_UI names another build of the pages. */
export const UI = process.env['CHRONOVISOR_UI'] ?? `${ROOT}dist/ui`;
const CORE = `${ROOT}dist/engine/cpu/core.wasm`;

/** Throws if the pages are not built, or not from the core that Node uses. */
export function assertBuilt(): void {
  const assets = existsSync(`${UI}/assets`) ? readdirSync(`${UI}/assets`) : [];
  const core = assets.find((name) => /^core-[\w-]{8}\.wasm$/.test(name));
  if (core === undefined || !existsSync(CORE)) throw new Error('dist/ui is not built: run `npm run build`');
  const hash = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
  if (hash(`${UI}/assets/${core}`) !== hash(CORE)) throw new Error('dist/ui was built from another core.wasm than dist/engine/cpu: run `npm run build`');
}

export interface Lab {
  readonly url: string;
  readonly browser: Browser;
  /** Opens a page; what it reports as an error is collected in `errors`. */
  open(path: string): Promise<Page>;
  readonly errors: string[];
  close(): Promise<void>;
}

/** writable: the name of the folder that runs and uploads go to. guests: the folder of fetched ones, whose images are offered. */
export async function startLab(folders: readonly RecordingFolder[], imageFiles: readonly string[] = [], writable?: string, guests?: string): Promise<Lab> {
  assertBuilt();
  const browser = await launchChromium();
  let server: FastifyInstance | undefined;
  try {
    server = createLabServer({ version: 'test', folders, images: { guests, files: imageFiles }, uiFolder: UI, writable });
    const url = (await server.listen({ host: '127.0.0.1', port: 0 })).replace('127.0.0.1', 'localhost');
    const errors: string[] = [];
    const running = server;
    return {
      url,
      browser,
      errors,
      async open(path) {
        const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
        page.on('pageerror', (error) => errors.push(String(error)));
        page.on('console', (message) => {
          // A recording's images that the server does not have are a plain 404.
          if (message.type() === 'error' && !message.text().includes('404')) errors.push(message.text());
        });
        await page.goto(url + path);
        return page;
      },
      async close() {
        await browser.close();
        await running.close();
      },
    };
  } catch (error) {
    await browser.close();
    await server?.close();
    throw error;
  }
}

export type BrowserReplay =
  | { readonly kind: 'identical'; readonly digest: string; readonly position: number; readonly records: number }
  | { readonly kind: 'diverged'; readonly position: number; readonly expected: string; readonly actual: string }
  | { readonly kind: 'failed'; readonly message: string };

/** Presses "Replay and verify" on the page of a recording and waits for what comes of it. */
export async function verifyOnPage(page: Page, timeoutMs: number): Promise<BrowserReplay> {
  await page.locator('[data-testid=verify]:not([disabled])').click({ timeout: timeoutMs });
  const result = page.locator('[data-testid=verify-result]:is([data-outcome=identical], [data-outcome=diverged], [data-outcome=failed])');
  await result.waitFor({ timeout: timeoutMs });
  const of = async (name: string): Promise<string> => (await result.getAttribute(`data-${name}`)) ?? '';
  switch (await of('outcome')) {
    case 'identical':
      return { kind: 'identical', digest: await of('digest'), position: Number(await of('position')), records: Number(await of('records')) };
    case 'diverged':
      return { kind: 'diverged', position: Number(await of('position')), expected: await of('expected'), actual: await of('actual') };
    default:
      return { kind: 'failed', message: (await result.innerText()).trim() };
  }
}

export interface ChromiumReplay {
  /** A *.cvlog file. */
  readonly log: string;
  /** Files of images that it does not hold: kernel, initrd, disk. Recognised by their hash. */
  readonly images: readonly string[];
  readonly timeoutMs: number;
}

/** Replays any recording in Chromium, by the lab's own page: the server offers the log's folder and the images. */
export async function replayInChromium({ log, images, timeoutMs }: ChromiumReplay): Promise<BrowserReplay> {
  const lab = await startLab([{ name: 'replay', path: dirname(log) }], images);
  try {
    // At position 0 nothing but the verification is replayed.
    const page = await lab.open(`/#/recording/${encodeURIComponent(`replay:${basename(log, LOG_SUFFIX)}`)}?at=0`);
    return await verifyOnPage(page, timeoutMs);
  } finally {
    await lab.close();
  }
}

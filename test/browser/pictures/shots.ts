/** `npm run shots -- FOLDER [--only run,start] [--widths 1280,3840] [--themes light,dark]`: every page as a person sees it, as PNG to be looked at. Nothing is judged, nothing is kept in the repository. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Page } from 'playwright-core';
import { LogReader } from '../../../engine/log/reader.ts';
import { cli } from '../../../server/cli/testing.ts';
import { FileSource } from '../../../server/store/files.ts';
import { ROOT, startLab } from '../lab.ts';

const TRACE = 'bug-lost-update';
const BRANCH_AT = 57_700_000;
const WAIT_MS = 120_000;
/** In which a page that has all it asked for draws it. */
const SETTLE_MS = 1200;
const HEIGHTS: Readonly<Record<number, number>> = { 1280: 800, 1920: 1080, 3840: 2160 };

interface Shot {
  readonly name: string;
  /** Of the page, or of a file. */
  readonly address: string;
  readonly prepare: (page: Page) => Promise<unknown>;
}

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { only: { type: 'string' }, widths: { type: 'string', default: '1280,3840' }, themes: { type: 'string', default: 'light,dark' } },
});
const [target] = positionals;
if (target === undefined) throw new Error('a folder for the pictures is needed: npm run shots -- /tmp/shots');

const work = mkdtempSync(join(tmpdir(), 'chronovisor-shots-'));
const recordings = join(work, 'recordings');
mkdirSync(recordings);
mkdirSync(resolve(target), { recursive: true });
copyFileSync(`${ROOT}traces/${TRACE}.cvlog`, join(recordings, 'parent.cvlog'));
const make = async (...words: string[]): Promise<void> => {
  const { status, err } = await cli(...words);
  if (status !== 0) throw new Error(err);
};
await make('branch', join(recordings, 'parent.cvlog'), '--at', `@${BRANCH_AT}`, '--set', 'rax=7', '--until', '+20000', '-q', '-o', join(recordings, 'child.cvlog'));
await make('export', join(recordings, 'parent.cvlog'), '--format', 'html', '-o', join(work, 'run.html'));

const reader = LogReader.open(new FileSource(`${ROOT}traces/${TRACE}.cvlog`, 'the trace'));
const panic = [...reader.events({ kinds: ['mark'] })].at(-1)!.position;
const of = (page: string): string => `/#/recording/${encodeURIComponent(`recordings:parent`)}${page}`;
const moment = (page: Page): Promise<void> => page.locator('[data-testid=registers][data-position], [data-testid=code][data-rip]').first().waitFor({ timeout: WAIT_MS });
const sees = (id: string) => (page: Page): Promise<void> => page.getByTestId(id).first().waitFor({ timeout: WAIT_MS });
const panel = (name: string): Shot => ({ name: `run-${name}`, address: of(`?at=${panic}&panel=${name}`), prepare: moment });

const SHOTS: readonly Shot[] = [
  { name: 'start', address: '/#/', prepare: async (page) => (await sees('recording-card')(page), page.waitForFunction(() => !document.querySelector('lab-app')!.shadowRoot!.querySelector('lab-start')!.shadowRoot!.querySelector('lab-console-picture')!.shadowRoot!.textContent!.includes('looking'), undefined, { timeout: WAIT_MS })) },
  { name: 'record', address: '/#/record', prepare: sees('record') },
  {
    name: 'live', address: '/#/record',
    prepare: async (page) => {
      await page.getByTestId('place-choice').locator('option[value=server]:not([disabled])').waitFor({ state: 'attached', timeout: WAIT_MS });
      await page.getByTestId('place-choice').selectOption('server');
      await page.getByTestId('guest-choice').selectOption('lab');
      await page.getByTestId('command-line').fill('');
      await page.getByTestId('record').click();
      await page.getByTestId('live-console').filter({ hasText: '$' }).waitFor({ timeout: WAIT_MS });
    },
  },
  ...['registers', 'stack', 'memory', 'paging', 'devices', 'points', 'origin', 'notes', 'recording'].map(panel),
  { name: 'run-keys', address: of(`?at=${panic}`), prepare: async (page) => (await moment(page), page.keyboard.press('?')) },
  { name: 'run-palette', address: of(`?at=${panic}`), prepare: async (page) => (await moment(page), page.keyboard.press('Control+k')) },
  { name: 'profile', address: of('/profile?regime=hw'), prepare: sees('profile-table') },
  { name: 'compare', address: of('/compare'), prepare: sees('slowdown-hw') },
  { name: 'migration', address: of('/migration?mbit=100&downtime=50'), prepare: sees('verdict') },
  { name: 'bisect', address: of('/bisect?question=panic'), prepare: sees('bisect-found') },
  { name: 'diff', address: of(`/diff?${new URLSearchParams({ other: 'server recordings:child' }).toString()}`), prepare: sees('diff-divergence') },
  { name: 'branches', address: of('/branches'), prepare: sees('branch') },
  { name: 'missing', address: '/#/recording/recordings%3Anobody', prepare: (page) => page.getByRole('alert').first().waitFor({ timeout: WAIT_MS }) },
  { name: 'self-contained', address: `file://${join(work, 'run.html')}`, prepare: moment },
]; // prettier-ignore

const only = options.only?.split(',');
const chosen = SHOTS.filter(({ name }) => only === undefined || only.some((each) => name === each || name.startsWith(`${each}-`)));
if (chosen.length === 0) throw new Error(`--only: one of ${SHOTS.map(({ name }) => name).join(', ')}`);

const lab = await startLab([{ name: 'recordings', path: recordings }], [], 'recordings');
try {
  for (const colorScheme of options.themes.split(',') as ('light' | 'dark')[]) {
    for (const width of options.widths.split(',').map(Number)) {
      const context = await lab.browser.newContext({ viewport: { width, height: HEIGHTS[width] ?? Math.round((width * 9) / 16) }, colorScheme });
      for (const { name, address, prepare } of chosen) {
        const page = await context.newPage();
        await page.goto(address.startsWith('file:') ? address : lab.url + address);
        await prepare(page);
        await page.waitForTimeout(SETTLE_MS);
        writeFileSync(join(resolve(target), `${name}-${colorScheme}-${width}.png`), await page.screenshot());
        console.log(`${name}-${colorScheme}-${width}.png`);
        // A run that goes on would be on the pages of all others.
        if (name === 'live') await page.getByTestId('stop').click();
        await page.close();
      }
      await context.close();
    }
  }
  if (lab.errors.length > 0) throw new Error(lab.errors.join('\n'));
} finally {
  await lab.close();
  rmSync(work, { recursive: true });
}

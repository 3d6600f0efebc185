/** `npm run pictures`: the pictures of README.md, drawn from the real pages in Chromium. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { LogReader } from '../../../engine/log/reader.ts';
import { ROOT, type Lab, startLab } from '../lab.ts';
import { FileSource } from '../../../server/store/files.ts';
import { installCanvasRecorder } from './canvas-recorder.ts';
import { pageToSvg } from './page-to-svg.ts';

const TRACE = 'bug-lost-update';
const SIZE = { width: 1440, height: 900 };
const WAIT_MS = 60_000;

export interface Picture {
  readonly name: string;
  readonly title: string;
  readonly colours: 'light' | 'dark';
  /** Behind the recording's address. */
  readonly path: string;
  /** Until it shows what the picture is of. */
  readonly prepare: (page: Page) => Promise<void>;
}

/** Where the guest says that it is lost. */
function panicPosition(): number {
  const reader = LogReader.open(new FileSource(`${ROOT}traces/${TRACE}.cvlog`, 'the trace'));
  const marks = [...reader.events({ kinds: ['mark'] })];
  return marks[marks.length - 1].position;
}

export const PICTURES: readonly Picture[] = [
  {
    name: 'run', colours: 'light', title: `The run of ${TRACE}: timeline, events, console, code and call stack at one moment`, path: `?at=${panicPosition()}&panel=stack`,
    prepare: async (page) => {
      await page.locator('[data-testid=stack][data-position]').waitFor({ timeout: WAIT_MS });
      await page.locator('[data-testid=code][data-rip]').waitFor({ timeout: WAIT_MS });
    },
  },
  {
    name: 'compare', colours: 'dark', title: `What running ${TRACE} would cost under each virtualisation technique, with ranges`, path: '/compare',
    prepare: async (page) => page.getByTestId('slowdown-hw').waitFor({ timeout: WAIT_MS }),
  },
]; // prettier-ignore

/** Milliseconds in which a page that has all it asked for draws it. */
const SETTLE_MS = 1500;

export async function draw(lab: Lab, { path, colours, title, prepare }: Picture): Promise<string> {
  const context = await lab.browser.newContext({ viewport: SIZE, colorScheme: colours });
  try {
    const page = await context.newPage();
    await page.addInitScript(installCanvasRecorder);
    await page.goto(`${lab.url}/#/recording/${encodeURIComponent(`traces:${TRACE}`)}${path}`);
    await prepare(page);
    await page.waitForTimeout(SETTLE_MS);
    return await page.evaluate(pageToSvg, title);
  } finally {
    await context.close();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const lab = await startLab([{ name: 'traces', path: `${ROOT}traces` }]);
  try {
    for (const picture of PICTURES) {
      const svg = await draw(lab, picture);
      writeFileSync(`${ROOT}ui/pictures/${picture.name}.svg`, svg);
      console.log(`ui/pictures/${picture.name}.svg: ${svg.length} bytes`);
    }
  } finally {
    await lab.close();
  }
}

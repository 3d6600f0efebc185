/**
 * `npm run bench:pages`: what the run page takes, in Chromium, from the built pages and the real server. See README.md. Options:
 *
 *     --events N        of the log whose timeline is panned and zoomed (10^8)
 *     --log FILE        a recording to seek in (traces/lab-kernel.cvlog); its images are looked for among the fetched guests
 *     --images A,B      files of images that it does not hold
 *     --seeks N         to random positions (100)
 *     --only A,B        of: frames, paint, seek (all)
 *     --nice=N          nice value of the browser's threads while it is measured (0; below 0 as root): times are wall time, and on a host that has other work they say how busy it is
 *     --json            the result as JSON on stdout
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySource } from '../../engine/log/storage.ts';
import { guestsFolder } from '../../server/guests/store.ts';
import { LOG_SUFFIX } from '../../server/http/catalogue.ts';
import { writeLargeLog } from './large-log.ts';
import { ROOT, startLab } from './lab.ts';
import { firstPaint, framePaint, framesDuring, memoryOfPages, panAndZoom, prioritise, quantile, seekTimes, watchMemory } from './measures.ts';

const TIMEOUT_MS = 600_000;
/** Of each of the four parts of a journey over the timeline. */
const FRAMES = 240;
const PAINTS = 7;
const GOAL_FRAME_MS = 20;

const { values: options } = parseArgs({
  options: {
    events: { type: 'string', default: '1e8' }, log: { type: 'string', default: `${ROOT}traces/lab-kernel.cvlog` }, images: { type: 'string' }, seeks: { type: 'string', default: '100' },
    only: { type: 'string', default: 'frames,paint,seek' }, nice: { type: 'string', default: '0' }, json: { type: 'boolean', default: false },
  },
}); // prettier-ignore
const only = options.only.split(',');
for (const each of only) if (!['frames', 'paint', 'seek'].includes(each)) throw new Error(`--only: "${each}" is none of frames, paint, seek`);
const [events, seeks, nice] = [Number(options.events), Number(options.seeks), Number(options.nice)];
if (!(events >= 1e4) || !(seeks >= 1)) throw new Error('--events: a number from 10000; --seeks: a number from 1');
if (!(nice >= -20 && nice <= 19)) throw new Error('--nice: a number from -20 to 19');

interface Spread {
  readonly n: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly most: number;
}
const spread = (values: readonly number[]): Spread => {
  const ascending = [...values].sort((a, b) => a - b);
  const at = (share: number): number => Math.round(quantile(ascending, share) * 10) / 10;
  return { n: values.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), most: at(1) };
};
const spreadText = ({ n, p50, p95, p99, most }: Spread): string => `median ${p50} ms, p95 ${p95}, p99 ${p99}, most ${most} (${n})`;
const mib = (bytes: number): number => Math.round(bytes / 2 ** 20);

const result: Record<string, unknown> = { host: { nice, cpus: cpus().length, model: cpus()[0]?.model, loadBefore: loadavg()[0] } };
const say = (text: string): void => console.error(text);

if (only.includes('frames')) {
  const folder = mkdtempSync(join(tmpdir(), 'chronovisor-bench-'));
  try {
    const records = writeLargeLog(join(folder, 'large.cvlog'), new Uint8Array(readFileSync(`${ROOT}traces/lab-kernel.cvlog`)), events);
    const lab = await startLab([{ name: 'large', path: folder }]);
    try {
      const page = await lab.open('/#/recording/large%3Alarge?at=0');
      const paintMs = Math.round(await firstPaint(page));
      await page.getByTestId('fold').waitFor({ timeout: TIMEOUT_MS });
      await page.getByTestId('fold').waitFor({ state: 'detached', timeout: TIMEOUT_MS });
      if (nice !== 0) await prioritise(lab.browser, nice);
      const { intervals, cpu, dropped } = await framesDuring(lab.browser, page, () => panAndZoom(page, FRAMES));
      const total = intervals.reduce((sum, each) => sum + each, 0);
      const memory = await memoryOfPages(lab.browser, page);
      const within = Math.round((1000 * intervals.filter((each) => each <= GOAL_FRAME_MS).length) / intervals.length) / 10;
      result['frames'] = { records, paintMs, interval: spread(intervals), perSecond: Math.round((1000 * intervals.length) / total), withinGoalPercent: within, mainThreadCpu: spread(cpu), dropped, privateMiB: mib(memory?.privateBytes ?? 0) };
      say(`timeline of ${records} events: ${Math.round((1000 * intervals.length) / total)} frames a second; interval ${spreadText(spread(intervals))}; ${within} % within ${GOAL_FRAME_MS} ms`);
      say(`  CPU of the page's thread a frame: ${spreadText(spread(cpu))}; tab ${mib(memory?.privateBytes ?? 0)} MiB; first paint ${paintMs} ms`);
    } finally {
      await lab.close();
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (only.includes('paint') || only.includes('seek')) {
  const path = resolve(options.log);
  const reader = LogReader.open(new MemorySource(new Uint8Array(readFileSync(path))));
  const { header, lastPosition } = reader;
  const given = options.images === undefined ? header.images.flatMap(({ name }) => (name.startsWith('/') ? [name] : [])) : options.images.split(',').map((each) => resolve(each));
  const lab = await startLab([{ name: 'bench', path: dirname(path) }], given, undefined, guestsFolder());
  try {
    const address = `/#/recording/${encodeURIComponent(`bench:${basename(path, LOG_SUFFIX)}`)}`;
    if (only.includes('paint')) {
      const [paints, floors]: [number[], number[]] = [[], []];
      const measured = async (of: string, measure: typeof firstPaint): Promise<number> => {
        // A new context has nothing in its cache.
        const context = await lab.browser.newContext({ viewport: { width: 1280, height: 800 } });
        const page = await context.newPage();
        if (nice !== 0) await prioritise(lab.browser, nice);
        await page.goto(lab.url + of, { waitUntil: 'commit' });
        const ms = await measure(page);
        await context.close();
        return ms;
      };
      for (let i = 0; i < PAINTS; i++) {
        // In turns, because the host's other work changes from minute to minute.
        floors.push(await measured('/api/recordings', framePaint));
        paints.push(await measured(address, firstPaint));
      }
      result['paint'] = { paint: spread(paints), browserItself: spread(floors) };
      say(`first paint of ${basename(path)}, nothing cached: ${spreadText(spread(paints))}; of a page without scripts from the same server: ${spreadText(spread(floors))}`);
    }
    if (only.includes('seek')) {
      const stopWatching = await watchMemory(lab.browser);
      const page = await lab.open(address);
      const from = performance.now();
      await page.locator('[data-testid=registers]:is([data-position], :has(.notice.bad))').waitFor({ timeout: TIMEOUT_MS });
      const refusal = page.locator('[data-testid=registers] .notice.bad');
      if ((await refusal.count()) > 0) throw new Error(`${await refusal.innerText()}: --images`);
      const firstMs = Math.round(performance.now() - from);
      // Names of the guest are looked for once.
      await page.waitForFunction(() => (document.querySelector('lab-app')!.shadowRoot!.querySelector('lab-run') as unknown as { model: { symbols: unknown } }).model.symbols !== undefined, undefined, { timeout: TIMEOUT_MS });
      if (nice !== 0) await prioritise(lab.browser, nice);
      // The same places every time: a step that shares no factor with the length goes everywhere.
      const positions = Array.from({ length: seeks }, (_, i) => 1 + Math.floor(((0.618_033_988_75 * (i + 1)) % 1) * (lastPosition - 1)));
      const times = await seekTimes(page, positions);
      const peakMiB = mib(await stopWatching());
      const memory = await memoryOfPages(lab.browser, page);
      const guestMiB = mib(header.config.memoryBytes);
      result['seek'] = { log: basename(path), instructions: lastPosition, firstMs, drawn: spread(times), guestMiB, privateMiB: mib(memory?.privateBytes ?? 0), peakMiB, residentPeakMiB: mib(memory?.peakBytes ?? 0) };
      say(`seek in ${basename(path)} (${lastPosition} instructions), to the drawn page: ${spreadText(spread(times))}; the first moment, checkpoints made: ${firstMs} ms`);
      say(`  tab: ${mib(memory?.privateBytes ?? 0)} MiB, ${peakMiB} at most (${mib(memory?.peakBytes ?? 0)} with the browser's own files, which all its processes share); guest ${guestMiB} MiB`);
    }
    if (lab.errors.length > 0) throw new Error(lab.errors.join('\n'));
  } finally {
    await lab.close();
  }
}
(result['host'] as Record<string, unknown>)['loadAfter'] = loadavg()[0];
if (options.json) console.log(JSON.stringify(result, undefined, 2));

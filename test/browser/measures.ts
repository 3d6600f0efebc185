/** What a browser does, in numbers of its own: frames from its trace, memory of the process that a page runs in. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { setPriority } from 'node:os';
import type { Browser, Page } from 'playwright-core';

const PRESSURE_MS = 3000;
const CATEGORIES: readonly string[] = ['toplevel', 'devtools.timeline', 'disabled-by-default-devtools.timeline', 'disabled-by-default-devtools.timeline.frame'];

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  /** us */
  readonly ts: number;
  readonly dur?: number;
  /** Of the thread's own time, us. */
  readonly tdur?: number;
  readonly pid: number;
  readonly tid: number;
  readonly args?: { readonly data?: { readonly processId?: number } };
}

export interface FrameTimes {
  /** From one drawn frame to the next, ms, ascending. */
  readonly intervals: readonly number[];
  /** CPU time of the page's main thread in each of them, ms, ascending: what is left of the frame on a host that has other work. */
  readonly cpu: readonly number[];
  readonly dropped: number;
}

/** Frames that are drawn while `work` goes on. */
export async function framesDuring(browser: Browser, page: Page, work: () => Promise<void>): Promise<FrameTimes> {
  await browser.startTracing(page, { categories: [...CATEGORIES] });
  await work();
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString('utf8')) as { traceEvents: readonly TraceEvent[] };
  const drawn = traceEvents.filter(({ name }) => name === 'DrawFrame');
  // Other processes draw, too: the page's is the one that draws most.
  const counts = new Map<number, number>();
  for (const { pid } of drawn) counts.set(pid, (counts.get(pid) ?? 0) + 1);
  const [[pid] = [0]] = [...counts].sort((a, b) => b[1] - a[1]);
  const times = drawn.filter((each) => each.pid === pid).map(({ ts }) => ts / 1000).sort((a, b) => a - b);
  const ascending = (numbers: readonly number[]): readonly number[] => [...numbers].sort((a, b) => a - b);
  const isMain = new Set(traceEvents.filter((each) => each.pid === pid && each.name === 'FireAnimationFrame').map(({ tid }) => tid));
  const cpu = new Float64Array(times.length);
  for (const { name, pid: of, tid, ts, tdur = 0 } of traceEvents) {
    if (of !== pid || !isMain.has(tid) || name !== 'RunTask') continue;
    const next = times.findIndex((at) => at >= ts / 1000);
    if (next >= 0) cpu[next] += tdur / 1000;
  }
  return {
    intervals: ascending(times.slice(1).map((at, i) => at - times[i])),
    cpu: ascending(Array.from(cpu.subarray(1))),
    dropped: traceEvents.filter((each) => each.pid === pid && each.name === 'DroppedFrame').length,
  };
}

/** Turns the wheel over the timeline, once a frame, as a person does: in to some thousand instructions, along, out again, and along all of it. */
export async function panAndZoom(page: Page, frames: number): Promise<void> {
  const box = (await page.getByRole('slider', { name: 'Timeline cursor' }).boundingBox())!;
  await page.evaluate(
    async ({ x, y, frames: count }) => {
      const canvas = document.querySelector('lab-app')!.shadowRoot!.querySelector('lab-run')!.shadowRoot!.querySelector('lab-timeline')!.shadowRoot!.querySelector('canvas')!;
      const turn = (deltaY: number, shiftKey: boolean): void => void canvas.dispatchEvent(new WheelEvent('wheel', { clientX: x, clientY: y, deltaY, shiftKey, bubbles: true, cancelable: true, composed: true }));
      const frame = (): Promise<unknown> => new Promise((resolve) => requestAnimationFrame(resolve));
      for (let i = 0; i < count; i++) (turn(-36, false), await frame());
      for (let i = 0; i < count; i++) (turn(i % 80 < 40 ? 60 : -45, true), await frame());
      for (let i = 0; i < count; i++) (turn(36, false), await frame());
      for (let i = 0; i < count; i++) (turn(i % 80 < 40 ? 60 : -45, true), await frame());
    },
    { x: box.x + box.width * 0.6, y: box.y + 60, frames },
  );
}

/**
 * ms from the start of the navigation to the frame that shows what the recording itself holds, none of it a place that is still to be filled: its name, its tracks with what each of
 * them counts, the events at the cursor as text, and its console. To be called on a page that is being opened.
 */
export function firstPaint(page: Page): Promise<number> {
  return page.evaluate(
    () =>
      new Promise<number>((resolve) => {
        const look = (): void => {
          const run = document.querySelector('lab-app')?.shadowRoot?.querySelector('lab-run')?.shadowRoot;
          const name = run?.querySelector('h1')?.textContent ?? 'Opening…';
          const rows = run?.querySelector('lab-event-table')?.shadowRoot?.querySelectorAll('.row .kind').length ?? 0;
          const canvas = run?.querySelector('lab-timeline')?.shadowRoot?.querySelector('canvas');
          const text = run?.querySelector('lab-console')?.shadowRoot?.querySelector('pre')?.textContent ?? '';
          if (name === 'Opening…' || rows === 0 || canvas === null || canvas === undefined || canvas.height < 100 || text === '') requestAnimationFrame(look);
          // What was laid out in this frame is seen when the next one begins.
          else requestAnimationFrame(() => resolve(performance.now()));
        };
        look();
      }),
  );
}

/** ms from the start of the navigation to the second frame of a page without scripts: what the browser itself takes. To be called on a page that is being opened. */
export function framePaint(page: Page): Promise<number> {
  return page.evaluate(() => new Promise<number>((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now())))));
}

/** ms from a move of the cursor to the frame that shows code and registers there, by position, in the order given. */
export function seekTimes(page: Page, positions: readonly number[]): Promise<readonly number[]> {
  return page.evaluate(async (all) => {
    const run = document.querySelector('lab-app')!.shadowRoot!.querySelector('lab-run') as unknown as { model: { moveToPosition(position: number): void }; readonly shadowRoot: ShadowRoot };
    const registers = (): string | undefined => run.shadowRoot.querySelector('lab-registers')?.shadowRoot?.querySelector<HTMLElement>('[data-testid=registers]')?.dataset['position'];
    const isCodeBusy = (): boolean => run.shadowRoot.querySelector('lab-code')?.shadowRoot?.querySelector('section')?.ariaBusy !== 'false';
    const frame = (): Promise<unknown> => new Promise((resolve) => requestAnimationFrame(resolve));
    const times: number[] = [];
    for (const position of all) {
      const from = performance.now();
      run.model.moveToPosition(position);
      do await frame();
      while (registers() !== String(position) || isCodeBusy());
      await frame();
      times.push(performance.now() - from);
    }
    return times;
  }, positions);
}

export function quantile(ascending: readonly number[], share: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * share))] ?? Number.NaN;
}

/** Gives every thread of the browser this nice value, where the host lets it: Chromium sets its own when it starts. A host with other work is then nearly one without. */
export async function prioritise(browser: Browser, nice: number): Promise<void> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  for (const { id } of processInfo) {
    for (const thread of existsSync(`/proc/${id}/task`) ? readdirSync(`/proc/${id}/task`) : []) {
      try {
        setPriority(Number(thread), nice);
      } catch (error) {
        // The thread is over. Others: the host does not let it.
        if (existsSync(`/proc/${id}/task/${thread}`)) throw error;
      }
    }
  }
}

/** Kills (SIGKILL) the processes of pages that have workers. Linux. */
export async function killWorkers(browser: Browser): Promise<void> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  const hasWorker = (id: number): boolean => readdirSync(`/proc/${id}/task`).some((thread) => readFileSync(`/proc/${id}/task/${thread}/comm`, 'utf8').startsWith('DedicatedWorker'));
  const killed = processInfo.filter(({ type, id }) => type === 'renderer' && hasWorker(id));
  if (killed.length === 0) throw new Error('no page has a worker');
  for (const { id } of killed) process.kill(id, 'SIGKILL');
}

export interface ProcessMemory {
  /** Of nobody else, bytes. */
  readonly privateBytes: number;
  /** The most that was resident at any time, bytes. */
  readonly peakBytes: number;
}

/** Of the process with the page that uses most; undefined where the system does not tell. */
export async function memoryOfPages(browser: Browser, page: Page): Promise<ProcessMemory | undefined> {
  // What nobody holds any more is given back, in workers, too.
  const ofPage = await page.context().newCDPSession(page);
  await ofPage.send('Memory.simulatePressureNotification', { level: 'critical' });
  await ofPage.detach();
  await new Promise((resolve) => setTimeout(resolve, PRESSURE_MS));
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  const of = ({ id }: { readonly id: number }): ProcessMemory | undefined => {
    try {
      const number = (text: string, name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024;
      const rollup = readFileSync(`/proc/${id}/smaps_rollup`, 'utf8');
      return { privateBytes: number(rollup, 'Private_Clean') + number(rollup, 'Private_Dirty'), peakBytes: number(readFileSync(`/proc/${id}/status`, 'utf8'), 'VmHWM') };
    } catch {
      return undefined;
    }
  };
  if (!readdirSync('/').includes('proc')) return undefined;
  return processInfo
    .filter(({ type }) => type === 'renderer')
    .flatMap((process) => of(process) ?? [])
    .sort((a, b) => b.privateBytes - a.privateBytes)[0];
}

const LOOK_MS = 250;

/** Looks at the pages' processes until it is called: the most that one of them had at a look of what is not shared with the other processes of the browser, bytes. 0 where the system does not tell. */
export async function watchMemory(browser: Browser): Promise<() => Promise<number>> {
  const session = await browser.newBrowserCDPSession();
  let peak = 0;
  let isOver = false;
  const watching = (async (): Promise<void> => {
    while (!isOver) {
      const { processInfo } = await session.send('SystemInfo.getProcessInfo');
      for (const { id, type } of processInfo) {
        if (type !== 'renderer' || !existsSync(`/proc/${id}/status`)) continue;
        const status = readFileSync(`/proc/${id}/status`, 'utf8');
        const of = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
        peak = Math.max(peak, of('RssAnon') + of('RssShmem'));
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    await session.detach();
  })();
  return async () => {
    isOver = true;
    await watching;
    return peak;
  };
}

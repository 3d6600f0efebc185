/** What a browser does, in numbers of its own: frames from its trace, memory of the process that a page runs in. */
import { readFileSync, readdirSync } from 'node:fs';
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

export function quantile(ascending: readonly number[], share: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * share))] ?? Number.NaN;
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

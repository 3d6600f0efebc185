/**
 * Predictions against migrations that really happened, over TCP between two processes, by the wall's clock. All predictions are in a file before the first run; what the host adds to a
 * switch-over (synced writes, verification, three messages) was measured in runs before that, which are not counted, as a tool would.
 *
 *     npm run build && node dist/test/migration/tcp-check.js [--only 0,5] [--out FOLDER]
 */
import { fork } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Recorder } from '../../engine/recording/recorder.ts';
import { receive } from '../../server/migration/destination.ts';
import { connectTo, listenAt } from '../../server/migration/duplex.ts';
import { destinationFiles, sourceFiles } from '../../server/migration/journal.ts';
import type { Measured } from '../../engine/analysis/migration/measured.ts';
import { CoupledPace, Guest } from '../../server/migration/pace.ts';
import { migrate } from '../../server/migration/source.ts';
import { loadCore } from '../../server/store/core-module.ts';
import { FileSink } from '../../server/store/files.ts';
import { type Case, type Compared, type Load, compare, forecast, median, nameOf, summary, writer } from './live-check.ts';
import { HOST } from './live-sides.ts';

const MB = 1e6;
/** 10 million instructions a second of the wall: a host that others use, too, can do that. */
const SPEED = 0.01;
const TIME_LIMIT_NS = 12e9;
const CALIBRATIONS = 5;
/** Medians of the absolute error: "done when" 1 of the migration issue. */
const PAGES_PERCENT_MAX = 2;
const DOWNTIME_PERCENT_MAX = 5;
const NICE = -10;
/** This module as Node can start it. */
const BUILT = import.meta.url.endsWith('.ts') ? fileURLToPath(new URL('../../dist/test/migration/tcp-check.js', import.meta.url)) : fileURLToPath(import.meta.url);

const load = (name: string, shape: Parameters<typeof writer>[1]): Load => ({ ...writer(name, shape, 8), startNs: 1_000_000, instructions: 60_000_000, speed: SPEED });
/** Pages a second of the wall: 10^7 / ticks x pages. */
const LOADS: readonly Load[] = [
  load('idle set', { setPages: 16, pagesPerTick: 1, tickInstructions: 50_000, order: 'sequential' }),
  load('sequential, 400 pages/s', { setPages: 256, pagesPerTick: 1, tickInstructions: 25_000, order: 'sequential' }),
  load('scattered, 600 pages/s', { setPages: 512, pagesPerTick: 1, tickInstructions: 16_000, order: 'scattered' }),
  load('bursts of 64 pages, 5 a second', { setPages: 256, pagesPerTick: 64, tickInstructions: 2_000_000, order: 'scattered' }),
  load('phases', { setPages: 256, pagesPerTick: 1, tickInstructions: 40_000, order: 'sequential', phase: { shift: 5, pagesPerTick: 3 } }),
  load('small hot set', { setPages: 64, pagesPerTick: 2, tickInstructions: 5_000, order: 'scattered' }),
];
/** MB a second, ms. */
const CELLS: readonly (readonly [number, number])[] = [[3, 500], [3, 1000], [4, 400], [4, 800], [5, 600], [6, 500], [8, 400], [8, 800]]; // prettier-ignore
export const CASES: readonly Case[] = LOADS.flatMap((each) => CELLS.map(([mb, downtimeLimitMs]) => ({ load: each, bytesPerSecond: mb * MB, downtimeLimitMs })));

/** One migration to a process that listens at `port`; its files are in `folder`. */
async function run({ load: { guest: live, startNs, speed }, bytesPerSecond, downtimeLimitMs }: Case, port: number, folder: string, id: string): Promise<Measured> {
  const { recipe, images } = live();
  const file = join(folder, `${id}.cvlog`);
  const sink = new FileSink(file, '-o');
  const guest = new Guest(new Recorder({ recipe, images, module: loadCore(), log: { sink, id, product: 'test' } }));
  guest.runTo(startNs);
  const link = await connectTo('127.0.0.1', port, 10_000);
  const end = await migrate({ guest, link, pace: new CoupledPace(HOST, speed), files: sourceFiles(file), migration: id, to: 'there', policy: 'precopy', downtimeLimitMs, bytesPerSecond, timeLimitNs: TIME_LIMIT_NS });
  sink.close();
  return end.measured;
}

/** The other process: takes one guest after the other. */
async function serve(folder: string): Promise<never> {
  const server = await listenAt('127.0.0.1', 0);
  process.send!({ port: server.port });
  for (let i = 0; ; i++) {
    const end = await receive(await server.accept(), { files: destinationFiles(join(folder, `arrived-${i}.cvlog`)), module: loadCore(), childId: `arrived-${i}` });
    if (end.kind === 'owner') end.link.close();
  }
}

/** Before what else runs on this host, if that is allowed: a wall clock measures who gets the CPU, too. For this process and those it starts. */
function favour(): void {
  try {
    setPriority(NICE);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
  }
}

export interface TcpCheck {
  readonly switchoverMs: number;
  readonly setupMs: number;
  readonly all: readonly (Compared & { readonly heldMs: number })[];
}

/** `onRow` is told of each as it is done. */
export async function check(cases: readonly Case[], folder: string, onRow: (text: string) => void = () => {}): Promise<TcpCheck> {
  favour();
  const child = fork(BUILT, ['--serve', folder]);
  const port = await new Promise<number>((resolve, reject) => {
    child.once('message', (message) => resolve((message as { port: number }).port));
    child.once('exit', () => reject(new Error('the other process did not start')));
  });
  try {
    // What a switch-over takes beyond its bytes, on this host and now.
    const extra: number[] = [];
    const setup: number[] = [];
    for (let i = 0; i < CALIBRATIONS; i++) {
      const one: Case = { load: LOADS[0], bytesPerSecond: 8 * MB, downtimeLimitMs: 400 };
      const { downtimeMs, setupTimeMs, ram } = await run(one, port, folder, `calibration-${i}`);
      setup.push(setupTimeMs);
      extra.push(downtimeMs - (ram.downtimeBytes * 1000) / one.bytesPerSecond);
    }
    const switchoverMs = Math.max(0, median(extra));
    const setupMs = median(setup);
    onRow(`a switch-over takes ${switchoverMs.toFixed(1)} ms beside its bytes (${extra.map((ms) => ms.toFixed(0)).join(', ')}), a set-up ${setupMs.toFixed(1)} ms (${setup.map((ms) => ms.toFixed(0)).join(', ')})`);
    const forecasts = cases.map((each) => forecast(each, 8, { setupNs: setupMs * 1e6, switchoverNs: switchoverMs * 1e6, timeLimitNs: TIME_LIMIT_NS }));
    const file = join(folder, 'predictions.json');
    writeFileSync(file, JSON.stringify(cases.map((each, i) => ({ case: nameOf(each), forecast: forecasts[i] })), undefined, 1), { flag: 'wx' });
    onRow(`predictions: ${file}`);
    const all: (Compared & { heldMs: number })[] = [];
    for (const [i, each] of cases.entries()) {
      const measured = await run(each, port, folder, `run-${i}`);
      const one = { ...compare(each, forecasts[i], measured), heldMs: measured.heldMs };
      all.push(one);
      const row = ({ converges, totalTimeMs, downtimeMs, ram }: Pick<Measured, 'converges' | 'totalTimeMs' | 'downtimeMs' | 'ram'>): string =>
        `${converges ? `${totalTimeMs.toFixed(0)} ms, down ${downtimeMs.toFixed(0)} ms` : 'never'}, ${ram.normal + ram.duplicate} pages, ${ram.dirtySyncCount} syncs`;
      onRow(`${one.name}\n  measured  ${row(measured)}${one.heldMs >= 1 ? `, held ${one.heldMs.toFixed(0)} ms` : ''}\n  predicted ${row(forecasts[i].outcome as never)}${one.isUnstable ? ' (unstable)' : ''}`);
    }
    return { switchoverMs, setupMs, all };
  } finally {
    child.removeAllListeners('exit');
    child.kill();
  }
}

async function main(argv: readonly string[]): Promise<void> {
  const option = (name: string): string | undefined => (argv.includes(name) ? argv[argv.indexOf(name) + 1] : undefined);
  const serving = option('--serve');
  if (serving !== undefined) await serve(serving);
  const cases = option('--only')?.split(',').map((i) => CASES[Number(i)]) ?? CASES;
  const { all } = await check(cases, option('--out') ?? mkdtempSync(join(tmpdir(), 'cv-tcp-')), (text) => process.stdout.write(`${text}\n`));
  const result = summary(all);
  process.stdout.write(`${JSON.stringify(result)}\n`);
  const isGood = result.pages <= PAGES_PERCENT_MAX && result.downtime <= DOWNTIME_PERCENT_MAX && all.every(({ isVerdictRight, isUnstable }) => isVerdictRight || isUnstable);
  process.exitCode = isGood ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2));

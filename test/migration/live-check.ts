/**
 * Predictions against migrations that really happened, in virtual time: the link's clock and the guest's go together, so a busy host changes nothing and equal runs give equal
 * figures. Each prediction is made from a recording of the guest, and written to a file before its run.
 *
 *     npm run build && node dist/test/migration/live-check.js [--only 0,5] [--out FOLDER]
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { powerOnPages, replayEpochs } from '../../engine/analysis/dirty/first-writes.ts';
import { TruthFold } from '../../engine/analysis/dirty/folds.ts';
import type { DirtyTruth } from '../../engine/analysis/dirty/truth.ts';
import type { MigrationOutcome } from '../../engine/analysis/migration/outcome.ts';
import type { SimulationOptions } from '../../engine/analysis/migration/policy.ts';
import { type Prediction, predict } from '../../engine/analysis/migration/predict.ts';
import { encodeState } from '../../engine/machine/state-bytes.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import { loadCore } from '../../server/store/core-module.ts';
import type { Measured } from '../../engine/analysis/migration/measured.ts';
import { Guest } from '../../server/migration/pace.ts';
import { type LiveGuest, type Writer, labGuest, openBytes, startGuest, writerGuest } from './live-guests.ts';
import { type Shape, move } from './live-sides.ts';

const MB = 1e6;
const LATENCY_NS = 100_000;
const EPOCH_INSTRUCTIONS = 20_000;

export interface Load {
  readonly name: string;
  readonly guest: () => LiveGuest;
  /** Virtual ns at which migrations begin. */
  readonly startNs: number;
  /** How much of it is recorded, instructions. */
  readonly instructions: number;
  /** Virtual ns a ns of the link. */
  readonly speed: number;
  /** Of the bandwidths: a guest of zero pages needs a slower link. Default 1. */
  readonly bandwidthShare?: number;
}
export interface Case {
  readonly load: Load;
  readonly bytesPerSecond: number;
  readonly downtimeLimitMs: number;
}

export const writer = (name: string, load: Omit<Writer, 'memoryMib'>, memoryMib = 4): Load => ({ name, guest: () => writerGuest({ memoryMib, ...load }), startNs: 1_000_000, instructions: 60_000_000, speed: 0.05 });
const LOADS: readonly Load[] = [
  writer('idle set', { setPages: 16, pagesPerTick: 1, tickInstructions: 100_000, order: 'sequential' }),
  writer('sequential', { setPages: 256, pagesPerTick: 1, tickInstructions: 15_000, order: 'sequential' }),
  writer('scattered', { setPages: 256, pagesPerTick: 1, tickInstructions: 12_000, order: 'scattered' }),
  writer('bursts', { setPages: 256, pagesPerTick: 64, tickInstructions: 1_500_000, order: 'scattered' }),
  writer('phases', { setPages: 256, pagesPerTick: 1, tickInstructions: 20_000, order: 'sequential', phase: { shift: 8, pagesPerTick: 4 } }),
  writer('small hot set', { setPages: 64, pagesPerTick: 2, tickInstructions: 5_000, order: 'scattered' }),
  { name: 'lab kernel, mixed work', guest: () => labGuest('work mixed; work mixed; poweroff'), startNs: 14_000_000, instructions: 70_000_000, speed: 0.03, bandwidthShare: 0.1 },
];
const CELLS: readonly (readonly [number, number])[] = [[10, 10], [10, 40], [12, 80], [15, 20], [20, 10], [20, 30], [30, 50], [40, 5]]; // prettier-ignore
export const CASES: readonly Case[] = LOADS.flatMap((load) => CELLS.map(([mb, downtimeLimitMs]) => ({ load, bytesPerSecond: mb * MB * (load.bandwidthShare ?? 1), downtimeLimitMs })));

export function nameOf({ load, bytesPerSecond, downtimeLimitMs }: Case): string {
  return `${load.name}, ${bytesPerSecond / MB} MB/s, ${downtimeLimitMs} ms`;
}

const truths = new Map<Load, DirtyTruth>();

/** From a replay of a recording. */
export function truthOf(load: Load): DirtyTruth {
  const known = truths.get(load);
  if (known !== undefined) return known;
  const live = load.guest();
  const { recorder, sink } = startGuest(live, 'recorded');
  while (recorder.position < load.instructions) if (recorder.step(load.instructions - recorder.position, true).kind === 'ended') break;
  recorder.stop('limit', 'long enough');
  const replayer = new Replayer({ reader: openBytes(sink.toBytes()), images: live.images, module: loadCore() });
  const { machine } = replayer;
  const fold = new TruthFold({ name: load.name, memoryBytes: live.recipe.machine.memoryBytes, powerOn: powerOnPages(machine, false), deviceStateBytes: machine.cpuBytes().length + encodeState(machine.saveDevices()).length });
  for (const epoch of replayEpochs(replayer, { instructions: EPOCH_INSTRUCTIONS, content: true })) fold.fold(epoch);
  const truth = fold.truth();
  truths.set(load, truth);
  return truth;
}

const TIME_LIMIT_NS = 3e9;

/** `costs`: what a real link and host add. */
export function forecast({ load, bytesPerSecond, downtimeLimitMs }: Case, samples = 8, costs: SimulationOptions = {}): Prediction {
  return predict(
    truthOf(load),
    { kind: 'qemu', name: 'qemu-7.2', release: '7.2', downtimeLimitMs, maxBandwidth: 0 },
    { bytesPerSecond, latencyNs: LATENCY_NS },
    // What a page and a sync cost the sender's CPU is no time here; three messages are waited for after the stop.
    { startNs: load.startNs, repeatFromNs: load.startNs, virtualPerWall: load.speed, pageCostNs: 0, syncCostNsPerGiB: 0, setupNs: 0, switchoverNs: 3 * LATENCY_NS, timeLimitNs: TIME_LIMIT_NS, ...costs },
    { samples },
  );
}

export async function measure({ load, bytesPerSecond, downtimeLimitMs }: Case): Promise<Measured> {
  const guest = new Guest(startGuest(load.guest(), 'root').recorder);
  guest.runTo(load.startNs);
  const shape: Shape = { policy: 'precopy', downtimeLimitMs, bytesPerSecond, speed: load.speed, latencyNs: LATENCY_NS, timeLimitNs: TIME_LIMIT_NS };
  return (await move(guest, shape)).source.measured;
}

export interface Compared {
  readonly name: string;
  readonly isVerdictRight: boolean;
  readonly isUnstable: boolean;
  readonly converges: boolean;
  /** Percent, signed; of those that converge. */
  readonly pages: number;
  readonly downtime: number;
  readonly total: number;
  readonly syncs: number;
}

export function compare(one: Case, { outcome, isUnstable }: Prediction, measured: Measured): Compared {
  const percent = (predicted: number, real: number): number => ((predicted - real) / real) * 100;
  const pagesOf = ({ ram }: Pick<MigrationOutcome, 'ram'> | Measured): number => ram.normal + ram.duplicate;
  return {
    name: nameOf(one),
    isVerdictRight: outcome.converges === measured.converges,
    isUnstable,
    converges: measured.converges,
    pages: percent(pagesOf(outcome), pagesOf(measured)),
    downtime: percent(outcome.downtimeMs, measured.downtimeMs),
    total: percent(outcome.totalTimeMs, measured.totalTimeMs),
    syncs: outcome.ram.dirtySyncCount - measured.ram.dirtySyncCount,
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length === 0 ? NaN : (sorted[(sorted.length - 1) >>> 1] + sorted[sorted.length >>> 1]) / 2;
}

export interface Summary {
  readonly cases: number;
  readonly converging: number;
  readonly verdictsRight: number;
  /** Medians of the absolute percentage error. */
  readonly pages: number;
  readonly downtime: number;
  readonly total: number;
}
export function summary(all: readonly Compared[]): Summary {
  const both = all.filter(({ converges, isVerdictRight }) => converges && isVerdictRight);
  const of = (pick: (each: Compared) => number): number => median(both.map((each) => Math.abs(pick(each))));
  return { cases: all.length, converging: both.length, verdictsRight: all.filter(({ isVerdictRight }) => isVerdictRight).length, pages: of(({ pages }) => pages), downtime: of(({ downtime }) => downtime), total: of(({ total }) => total) };
}

async function main(argv: readonly string[]): Promise<void> {
  const option = (name: string): string | undefined => (argv.includes(name) ? argv[argv.indexOf(name) + 1] : undefined);
  const chosen = option('--only')?.split(',').map((i) => CASES[Number(i)]) ?? CASES;
  const folder = option('--out') ?? mkdtempSync(join(tmpdir(), 'cv-live-'));
  const forecasts = chosen.map((each) => forecast(each));
  writeFileSync(join(folder, 'predictions.json'), JSON.stringify(chosen.map((each, i) => ({ case: nameOf(each), forecast: forecasts[i] })), undefined, 1));
  process.stderr.write(`predictions: ${join(folder, 'predictions.json')}\n`);
  const all: Compared[] = [];
  for (const [i, each] of chosen.entries()) {
    const measured = await measure(each);
    const { outcome } = forecasts[i];
    const one = compare(each, forecasts[i], measured);
    all.push(one);
    const row = ({ converges, totalTimeMs, downtimeMs, ram }: Measured | MigrationOutcome): string => (converges ? `${totalTimeMs.toFixed(1)} ms, down ${downtimeMs.toFixed(2)} ms, ` : 'never, ') + `${ram.normal + ram.duplicate} pages, ${ram.dirtySyncCount} syncs`;
    process.stdout.write(`${one.name}\n  measured  ${row(measured)}\n  predicted ${row(outcome)}${one.isUnstable ? ' (unstable)' : ''}\n`);
  }
  process.stdout.write(`${JSON.stringify(summary(all))}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2));

/**
 * Predictions against real migrations of qemu-system-x86_64 (TCG, this host, a relay as the network). Predictions are written to a file before the first run.
 *
 *     npm run build && node dist/test/migration/qemu-check.js [--only N,N] [--capabilities] [--out FOLDER] [--json]
 *
 * Exit code 0: p90 of the error of the total time below 12 %, and every verdict right outside of the unstable band.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { PAGE_BYTES } from '../../engine/analysis/dirty/truth.ts';
import { constantRateModel, dirtyCurveModel, measuredCurve, measuredRate } from '../../engine/analysis/migration/baselines.ts';
import { type QemuPolicy } from '../../engine/analysis/migration/policy.ts';
import { type Prediction, predict } from '../../engine/analysis/migration/predict.ts';
import { type Measured, measureTicks, migrate } from './qemu.ts';
import { ANNOUNCE_MS, type Workload, configured, truthOf } from './workload.ts';

export interface CheckCase {
  readonly load: Workload;
  readonly bytesPerSecond: number;
  readonly downtimeLimitMs: number;
  readonly maxBandwidth?: number;
  readonly startAfterMs?: number;
  /** Capabilities of QEMU, as the simulator has them. */
  readonly more?: Pick<QemuPolicy, 'xbzrle' | 'autoConverge' | 'postCopyAfterSync'>;
}

export const MEMORY_BYTES = 40 << 20;
const START_AFTER_MS = 500;
const GIVE_UP_MS = 9000;
const MB = 1e6;
/** Set before the runs. The sockets hold wmem_default (212,992 bytes), the relay 64 KiB. */
const BUFFER_BYTES = 212_992 + 65_536;
const SWITCHOVER_MS = 10;
/** TSC that the guest is built for when its rate is not known yet. */
const TSC_GUESS_HZ = 2.5e9;

const steady = (setPages: number, pagesPerTick: number, order: Workload['order'] = 'scattered'): Workload => ({ setPages, pagesPerTick, tickMs: 5, order });
const phased = (low: number, high: number, ms: number): Workload => ({ setPages: 4096, pagesPerTick: low, tickMs: 5, order: 'scattered', phases: { ms, pagesPerTick: high } });

/** A tick is 5 ms, so 10 pages a tick are 2,000 a second, 8.2 MB/s on the wire. */
export const CASES: readonly CheckCase[] = [
  { load: steady(1024, 5, 'sequential'), bytesPerSecond: 20 * MB, downtimeLimitMs: 100 },
  { load: steady(4096, 10), bytesPerSecond: 20 * MB, downtimeLimitMs: 300 },
  { load: steady(4096, 10), bytesPerSecond: 20 * MB, downtimeLimitMs: 50 },
  { load: steady(2048, 10), bytesPerSecond: 12 * MB, downtimeLimitMs: 200 },
  { load: steady(2048, 20), bytesPerSecond: 20 * MB, downtimeLimitMs: 100 },
  { load: steady(512, 20), bytesPerSecond: 20 * MB, downtimeLimitMs: 150 },
  { load: steady(512, 20), bytesPerSecond: 20 * MB, downtimeLimitMs: 40 },
  { load: steady(4096, 30), bytesPerSecond: 20 * MB, downtimeLimitMs: 300 },
  { load: steady(4096, 10, 'sequential'), bytesPerSecond: 40 * MB, downtimeLimitMs: 50 },
  { load: steady(1024, 3), bytesPerSecond: 10 * MB, downtimeLimitMs: 300 },
  { load: steady(4096, 0), bytesPerSecond: 20 * MB, downtimeLimitMs: 100 },
  { load: phased(2, 15, 1000), bytesPerSecond: 20 * MB, downtimeLimitMs: 100 },
  { load: phased(2, 15, 1000), bytesPerSecond: 20 * MB, downtimeLimitMs: 100, startAfterMs: 1000 },
  { load: phased(1, 30, 700), bytesPerSecond: 20 * MB, downtimeLimitMs: 100, startAfterMs: 900 },
  { load: phased(3, 25, 1500), bytesPerSecond: 15 * MB, downtimeLimitMs: 200, startAfterMs: 700 },
  { load: steady(4096, 10), bytesPerSecond: 200 * MB, downtimeLimitMs: 100, maxBandwidth: 20 * MB },
  // From here on: drawn up after the model had been held against those above, and not changed since.
  { load: steady(4096, 22), bytesPerSecond: 20 * MB, downtimeLimitMs: 300 },
  { load: steady(4096, 24), bytesPerSecond: 20 * MB, downtimeLimitMs: 150 },
  { load: steady(4096, 27), bytesPerSecond: 20 * MB, downtimeLimitMs: 500 },
  { load: steady(4096, 40), bytesPerSecond: 20 * MB, downtimeLimitMs: 100 },
  { load: steady(2048, 30), bytesPerSecond: 20 * MB, downtimeLimitMs: 60 },
  { load: steady(1024, 45, 'sequential'), bytesPerSecond: 20 * MB, downtimeLimitMs: 40 },
  { load: steady(8192 >> 1, 5, 'sequential'), bytesPerSecond: 8 * MB, downtimeLimitMs: 200 },
  { load: steady(256, 20), bytesPerSecond: 15 * MB, downtimeLimitMs: 100 },
  { load: steady(2048, 15, 'sequential'), bytesPerSecond: 30 * MB, downtimeLimitMs: 30 },
  { load: steady(4096, 20), bytesPerSecond: 60 * MB, downtimeLimitMs: 20 },
  { load: steady(4096, 12), bytesPerSecond: 200 * MB, downtimeLimitMs: 50, maxBandwidth: 16 * MB },
  { load: phased(0, 20, 500), bytesPerSecond: 20 * MB, downtimeLimitMs: 100, startAfterMs: 600 },
  { load: phased(20, 0, 800), bytesPerSecond: 20 * MB, downtimeLimitMs: 60, startAfterMs: 500 },
  { load: phased(5, 18, 2000), bytesPerSecond: 16 * MB, downtimeLimitMs: 150, startAfterMs: 1200 },
  { load: phased(10, 2, 1200), bytesPerSecond: 12 * MB, downtimeLimitMs: 250, startAfterMs: 900 },
  { load: phased(1, 12, 300), bytesPerSecond: 10 * MB, downtimeLimitMs: 300, startAfterMs: 500 },
];

const XBZRLE = { xbzrle: { cacheBytes: 64 << 20 } } as const;
/** Capabilities, on loads that do not converge without; scored apart, as two of them are approximate (--capabilities). */
export const CAPABILITY_CASES: readonly CheckCase[] = [
  { load: steady(4096, 40), bytesPerSecond: 20 * MB, downtimeLimitMs: 100, more: XBZRLE },
  { load: steady(2048, 30), bytesPerSecond: 20 * MB, downtimeLimitMs: 60, more: XBZRLE },
  { load: steady(4096, 40), bytesPerSecond: 20 * MB, downtimeLimitMs: 100, more: { postCopyAfterSync: 2 } },
  { load: steady(2048, 30), bytesPerSecond: 20 * MB, downtimeLimitMs: 60, more: { postCopyAfterSync: 2 } },
  { load: steady(4096, 40), bytesPerSecond: 20 * MB, downtimeLimitMs: 100, more: { autoConverge: {} } },
];

/** The guest's image, built with the host's compiler. */
export function buildGuest(): Uint8Array {
  const here = dirname(fileURLToPath(import.meta.url));
  // Built, this file lies in dist/test/migration; the source is not copied.
  const source = [join(here, 'guest.S'), join(here, '..', '..', '..', 'test', 'migration', 'guest.S')].find((path) => {
    try {
      return readFileSync(path).length > 0;
    } catch {
      return false;
    }
  });
  if (source === undefined) throw new Error('guest.S is not there');
  const folder = mkdtempSync(join(tmpdir(), 'cv-guest-'));
  try {
    const out = join(folder, 'guest.elf');
    execFileSync('gcc', ['-m32', '-nostdlib', '-static', '-no-pie', '-Wl,-Ttext=0x100000,--build-id=none,-z,noexecstack,-n,--no-warnings', '-o', out, source], { stdio: ['ignore', 'ignore', 'inherit'] });
    return readFileSync(out);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export interface Calibration {
  readonly tscHz: number;
  readonly ramBytes: number;
  /** Pages of an idle guest that are not zeros. */
  readonly filledPages: number;
}

/** What is a fact of this host and this QEMU, from an idle guest: the TSC's rate, how much RAM there is, how much of it is zeros. */
export async function calibrate(image: Uint8Array): Promise<Calibration> {
  const idle = configured(image, steady(1024, 0), MEMORY_BYTES, TSC_GUESS_HZ);
  const ms = await measureTicks(idle, MEMORY_BYTES, 2500);
  const { ramBytes, normal } = await migrate({ image: idle, memoryBytes: MEMORY_BYTES, bytesPerSecond: 400 * MB, downtimeLimitMs: 300, maxBandwidth: 0, startAfterMs: 100, giveUpMs: GIVE_UP_MS });
  return { tscHz: (TSC_GUESS_HZ * ANNOUNCE_MS) / ms, ramBytes, filledPages: normal };
}

export interface Forecast {
  readonly model: Prediction;
  readonly constantRate: ReturnType<typeof constantRateModel>;
  readonly dirtyCurve: ReturnType<typeof dirtyCurveModel>;
}

export function forecast({ load, bytesPerSecond, downtimeLimitMs, maxBandwidth = 0, startAfterMs = START_AFTER_MS, more = {} }: CheckCase, { ramBytes, filledPages }: Calibration, samples = 10): Forecast {
  const startNs = startAfterMs * 1e6;
  const truth = truthOf(load, ramBytes / PAGE_BYTES, filledPages, MEMORY_BYTES, startNs + 3 * GIVE_UP_MS * 1e6);
  const policy: QemuPolicy = { kind: 'qemu', name: 'qemu-7.2', release: '7.2', downtimeLimitMs, maxBandwidth, ...more };
  const options = { startNs, switchoverNs: SWITCHOVER_MS * 1e6, timeLimitNs: GIVE_UP_MS * 1e6 };
  const model = predict(truth, policy, { bytesPerSecond, bufferBytes: BUFFER_BYTES }, options, { samples, startNs: 20e6 });
  const input = { pages: filledPages, bytesPerSecond: maxBandwidth > 0 ? Math.min(maxBandwidth, bytesPerSecond) : bytesPerSecond, downtimeLimitMs, switchoverMs: SWITCHOVER_MS, timeLimitMs: GIVE_UP_MS };
  return {
    model,
    constantRate: constantRateModel(input, measuredRate(truth, startNs)),
    dirtyCurve: dirtyCurveModel(input, measuredCurve(truth, startNs, 5000)),
  };
}

/** A run whose relay was slower than it should be by more than this says nothing about the link that was predicted: it is done again. */
const RELAY_SHARE_MIN = 0.97;

export async function runCase(image: Uint8Array, { load, bytesPerSecond, downtimeLimitMs, maxBandwidth = 0, startAfterMs = START_AFTER_MS, more = {} }: CheckCase, { tscHz }: Calibration, triesMax = 4): Promise<Measured> {
  const capabilities = [...(more.xbzrle === undefined ? [] : ['xbzrle']), ...(more.autoConverge === undefined ? [] : ['auto-converge'])];
  const setup = {
    image: configured(image, load, MEMORY_BYTES, tscHz), memoryBytes: MEMORY_BYTES, bytesPerSecond, downtimeLimitMs, maxBandwidth, startAfterMs, giveUpMs: GIVE_UP_MS, capabilities,
    ...(more.postCopyAfterSync !== undefined && { postCopyAfterSync: more.postCopyAfterSync }),
  }; // prettier-ignore
  for (let tries = 1; ; tries++) {
    const run = await migrate(setup);
    const wanted = maxBandwidth > 0 ? Math.min(maxBandwidth, bytesPerSecond) : bytesPerSecond;
    if (run.relayBytesPerSecond >= wanted * RELAY_SHARE_MIN || tries >= triesMax) return { ...run, tries };
  }
}

export const errorPercent = (predicted: number, measured: number): number => (100 * (predicted - measured)) / measured;

/** Nearest rank; NaN of nothing. */
export function percentile(values: readonly number[], share: number): number {
  if (values.length === 0) return NaN;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];
}

export interface Score {
  readonly verdicts: number;
  readonly cases: number;
  readonly medianTotal: number;
  readonly p90Total: number;
  readonly medianDowntime: number;
  readonly medianPages: number;
}

interface Claim {
  readonly converges: boolean;
  readonly totalTimeMs: number;
  readonly downtimeMs: number;
  readonly pages: number;
}

/** Errors over the cases that converge and were said to. */
export function score(pairs: readonly { readonly claim: Claim; readonly measured: Measured }[]): Score {
  const both = pairs.filter(({ claim, measured }) => claim.converges && measured.converges);
  const errors = (of: (pair: (typeof both)[number]) => number): number[] => both.map((pair) => Math.abs(of(pair)));
  return {
    verdicts: pairs.filter(({ claim, measured }) => claim.converges === measured.converges).length,
    cases: pairs.length,
    medianTotal: percentile(errors(({ claim, measured }) => errorPercent(claim.totalTimeMs, measured.totalTimeMs)), 0.5),
    p90Total: percentile(errors(({ claim, measured }) => errorPercent(claim.totalTimeMs, measured.totalTimeMs)), 0.9),
    medianDowntime: percentile(errors(({ claim, measured }) => errorPercent(claim.downtimeMs, measured.downtimeMs)), 0.5),
    medianPages: percentile(errors(({ claim, measured }) => errorPercent(claim.pages, measured.normal)), 0.5),
  };
}

export function claimOf({ outcome }: Prediction): Claim {
  return { converges: outcome.converges, totalTimeMs: outcome.totalTimeMs, downtimeMs: outcome.downtimeMs, pages: outcome.ram.normal };
}

const nameOf = ({ load, bytesPerSecond, downtimeLimitMs, maxBandwidth, startAfterMs, more }: CheckCase): string =>
  `${load.setPages} pages, ${(load.pagesPerTick * 1000) / load.tickMs}/s${load.phases === undefined ? '' : ` and ${(load.phases.pagesPerTick * 1000) / load.tickMs}/s by ${load.phases.ms} ms`} ${load.order}, ` +
  `${(maxBandwidth ?? bytesPerSecond) / MB} MB/s${maxBandwidth === undefined ? '' : ' max-bandwidth'}, ${downtimeLimitMs} ms${startAfterMs === undefined ? '' : `, from ${startAfterMs} ms`}${more === undefined ? '' : `, ${Object.keys(more).join()}`}`;

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { only: { type: 'string' }, capabilities: { type: 'boolean' }, out: { type: 'string' }, json: { type: 'boolean' } } });
  const cases = values.capabilities === true ? CAPABILITY_CASES : CASES;
  const chosen = values.only === undefined ? cases : values.only.split(',').map((n) => cases[Number(n)]);
  const folder = values.out ?? mkdtempSync(join(tmpdir(), 'cv-qemu-check-'));
  mkdirSync(folder, { recursive: true });
  const image = buildGuest();
  const calibration = await calibrate(image);
  const forecasts = chosen.map((each) => forecast(each, calibration));
  writeFileSync(join(folder, 'predictions.json'), JSON.stringify({ calibration, cases: chosen.map((each, i) => ({ case: each, forecast: forecasts[i] })) }, undefined, 1));
  process.stderr.write(`predictions: ${join(folder, 'predictions.json')}\n`);
  const measured: Measured[] = [];
  for (const [i, each] of chosen.entries()) {
    const run = await runCase(image, each, calibration);
    measured.push(run);
    const { model, constantRate, dirtyCurve } = forecasts[i];
    const { outcome } = model;
    const verdict = (converges: boolean, ms: number): string => (converges ? `${ms.toFixed(0)} ms` : 'never');
    const lines = [
      nameOf(each),
      `  measured ${verdict(run.converges, run.totalTimeMs)}, down ${run.downtimeMs} ms, ${run.normal} pages, ${run.syncs} syncs; expected-downtime ${run.expectedDowntimeMs} ms`,
      `           relay ${(run.relayBytesPerSecond / MB).toFixed(1)} MB/s, ${run.tries} tries`,
      `  model    ${verdict(outcome.converges, outcome.totalTimeMs)} (${model.totalTimeMs.p5.toFixed(0)} to ${model.totalTimeMs.p95.toFixed(0)}${model.isUnstable ? ', unstable' : ''})`,
      `           down ${outcome.downtimeMs.toFixed(0)} ms, ${outcome.ram.normal} pages, ${outcome.ram.dirtySyncCount} syncs`,
      `  constant rate ${verdict(constantRate.converges, constantRate.totalTimeMs)}, dirty curve ${verdict(dirtyCurve.converges, dirtyCurve.totalTimeMs)}`,
    ];
    process.stderr.write(`${lines.join('\n')}\n`);
  }
  const pairsOf = (claim: (forecast: Forecast) => Claim): { claim: Claim; measured: Measured }[] => forecasts.map((each, i) => ({ claim: claim(each), measured: measured[i] }));
  const scores = { model: score(pairsOf(({ model }) => claimOf(model))), dirtyCurve: score(pairsOf(({ dirtyCurve }) => dirtyCurve)), constantRate: score(pairsOf(({ constantRate }) => constantRate)) };
  const expected = measured.flatMap(({ expectedDowntimeMs, downtimeMs, converges }) => (converges && expectedDowntimeMs !== undefined ? [Math.abs(errorPercent(expectedDowntimeMs, downtimeMs))] : []));
  const wrong = chosen.filter((_, i) => forecasts[i].model.outcome.converges !== measured[i].converges && !forecasts[i].model.isUnstable);
  writeFileSync(join(folder, 'measured.json'), JSON.stringify({ measured, scores }, undefined, 1));
  if (values.json === true) process.stdout.write(`${JSON.stringify({ calibration, scores, expectedDowntimeMedian: percentile(expected, 0.5), wrong: wrong.map(nameOf) })}\n`);
  else {
    for (const [name, each] of Object.entries(scores)) {
      const times = `total time median ${each.medianTotal.toFixed(1)} %, p90 ${each.p90Total.toFixed(1)} %`;
      process.stdout.write(`${name.padEnd(13)} verdicts ${each.verdicts}/${each.cases}, ${times}; downtime median ${each.medianDowntime.toFixed(1)} %; pages median ${each.medianPages.toFixed(1)} %\n`);
    }
    process.stdout.write(`QEMU's expected-downtime: median ${percentile(expected, 0.5).toFixed(1)} % off\n`);
    for (const each of wrong) process.stdout.write(`wrong verdict: ${nameOf(each)}\n`);
  }
  return scores.model.p90Total < 12 && wrong.length === 0 ? 0 : 1;
}

if (process.argv[1] !== undefined && /qemu-check\.(js|mjs)$/.test(process.argv[1])) process.exitCode = await main();

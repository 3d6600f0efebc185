/** A prediction with its range: the same migration again and again with a jittered bandwidth and start. */
import { Random } from '../../machine/random.ts';
import type { DirtyTruth } from '../dirty/truth.ts';
import type { MigrationOutcome } from './outcome.ts';
import type { Link, MigrationPolicy, SimulationOptions } from './policy.ts';
import { simulate } from './simulate.ts';

export interface Jitter {
  /** Simulations beside the one without jitter. Default 20. */
  readonly samples?: number;
  /** 64 bits, decimal or 0x. Equal seeds give equal ranges. Default 1. */
  readonly seed?: bigint;
  /** Bandwidth is multiplied by 1 ± this, evenly. Default 0.03: what repeated runs on one link scatter by (reference, 6.2). */
  readonly bandwidthShare?: number;
  /** The start moves by ± this, evenly, wall-clock ns. Default 50e6. */
  readonly startNs?: number;
}

/** 5th percentile, median, 95th percentile. */
export interface Range {
  readonly p5: number;
  readonly p50: number;
  readonly p95: number;
}

export interface Prediction {
  /** Without jitter. */
  readonly outcome: MigrationOutcome;
  readonly samples: number;
  /** Share of the samples that converge. Neither 0 nor 1: unstable. */
  readonly convergesShare: number;
  readonly isUnstable: boolean;
  /** Over the samples with the verdict of `outcome`. */
  readonly totalTimeMs: Range;
  readonly downtimeMs: Range;
  readonly transferred: Range;
  /** Pages sent whole. */
  readonly pages: Range;
  readonly syncs: Range;
}

export function predict(truth: DirtyTruth, policy: MigrationPolicy, link: Link, options: SimulationOptions = {}, jitter: Jitter = {}): Prediction {
  const outcome = simulate(truth, policy, link, options);
  const samples = jitter.samples ?? 20;
  const random = new Random(jitter.seed ?? 1n);
  const even = (): number => (Number(random.next() >> 11n) / 2 ** 53) * 2 - 1;
  const share = jitter.bandwidthShare ?? 0.03;
  const startNs = (jitter.startNs ?? 50e6) * (options.virtualPerWall ?? 1);
  const start = options.startNs ?? truth.beginNs;
  const others: MigrationOutcome[] = [];
  for (let i = 0; i < samples; i++) {
    const factor = 1 + share * even();
    const moved = Math.min(truth.endNs, Math.max(truth.beginNs, start + startNs * even()));
    const policyBandwidth = policy.kind === 'qemu' ? { ...policy, maxBandwidth: policy.maxBandwidth * factor } : policy;
    others.push(simulate(truth, policyBandwidth, { ...link, bytesPerSecond: link.bytesPerSecond * factor }, { ...options, startNs: moved }));
  }
  const all = [outcome, ...others];
  const convergesShare = all.filter(({ converges }) => converges).length / all.length;
  const same = all.filter(({ converges }) => converges === outcome.converges);
  const range = (of: (each: MigrationOutcome) => number): Range => rangeOf(same.map(of));
  return {
    outcome,
    samples,
    convergesShare,
    isUnstable: convergesShare > 0 && convergesShare < 1,
    totalTimeMs: range(({ totalTimeMs }) => totalTimeMs),
    downtimeMs: range(({ downtimeMs }) => downtimeMs),
    transferred: range(({ ram }) => ram.transferred),
    pages: range(({ ram }) => ram.normal + ram.duplicate),
    syncs: range(({ ram }) => ram.dirtySyncCount),
  };
}

function rangeOf(values: readonly number[]): Range {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))];
  return { p5: at(0.05), p50: at(0.5), p95: at(0.95) };
}

/** What others predict from less: the geometric series on a constant dirty rate, and rounds over a dirty curve D(t). To be beaten, and to be held beside. */
import { PAGE_BYTES, type DirtyTruth } from '../dirty/truth.ts';
import { PAGE_HEADER_BYTES } from './transfer.ts';

export interface BaselineInput {
  /** Pages that are sent first: those that are not zeros. */
  readonly pages: number;
  readonly bytesPerSecond: number;
  readonly downtimeLimitMs: number;
  /** Added to the downtime: stop and device state. */
  readonly switchoverMs: number;
  readonly timeLimitMs: number;
}
export interface BaselineOutcome {
  readonly converges: boolean;
  readonly totalTimeMs: number;
  readonly downtimeMs: number;
  readonly pages: number;
  readonly rounds: number;
}

const WIRE_BYTES = PAGE_BYTES + PAGE_HEADER_BYTES;

/** Rounds as in the textbook: V0 = all, V(i+1) = D(T_i), until V/B is within the limit (Gudkov 2023; Clark 2005 without skipping). dirtied: D(t), pages after t ms. */
export function dirtyCurveModel({ pages, bytesPerSecond, downtimeLimitMs, switchoverMs, timeLimitMs }: BaselineInput, dirtied: (ms: number) => number): BaselineOutcome {
  const msOf = (count: number): number => (count * WIRE_BYTES * 1000) / bytesPerSecond;
  let set = pages;
  let total = 0;
  let sent = 0;
  for (let rounds = 0; ; rounds++) {
    const ms = msOf(set);
    sent += set;
    // The first set is never small enough: a guest is not stopped before anything was sent, unless all of it fits.
    if (ms <= downtimeLimitMs) return { converges: true, totalTimeMs: total + ms + switchoverMs, downtimeMs: ms + switchoverMs, pages: sent, rounds: rounds + 1 };
    total += ms;
    if (total > timeLimitMs) return { converges: false, totalTimeMs: total, downtimeMs: 0, pages: sent, rounds: rounds + 1 };
    set = dirtied(ms);
  }
}

/** The series of lambda = R/B: the same rounds with D(t) = R t. rate: pages a second, as measured over one second. */
export function constantRateModel(input: BaselineInput, rate: number): BaselineOutcome {
  return dirtyCurveModel(input, (ms) => (rate * ms) / 1000);
}

/** What `calc-dirty-rate` in its dirty-bitmap mode would have read, without rounding: distinct pages of one window, a second. */
export function measuredRate(truth: DirtyTruth, fromNs: number, windowNs = 1e9): number {
  return (truth.timeline.distinct(fromNs, fromNs + windowNs) * 1e9) / windowNs;
}

/** D(t) measured as Gudkov's patches do: windows of 125, 250, 500, 750, 1000, 1500 ... ms from one moment, interpolated in between, and held after the last one. */
export function measuredCurve(truth: DirtyTruth, fromNs: number, longestMs: number): (ms: number) => number {
  const points: (readonly [number, number])[] = [[0, 0]];
  for (let ms = 125; ms <= longestMs; ms += ms < 250 ? 125 : ms < 1000 ? 250 : 500) points.push([ms, truth.timeline.distinct(fromNs, fromNs + ms * 1e6)]);
  return (ms) => {
    const above = points.findIndex(([at]) => at >= ms);
    if (above <= 0) return above === 0 ? 0 : points[points.length - 1][1];
    const [fromMs, from] = points[above - 1];
    const [toMs, to] = points[above];
    return from + ((to - from) * (ms - fromMs)) / (toMs - fromMs);
  };
}

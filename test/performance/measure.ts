/** Marks to phases, runs to medians. */

/** The console showed the end of a phase; times since the process was started. */
export interface Mark {
  readonly name: string;
  readonly wallSeconds: number;
  /** Of the whole process: under load this is steadier than wall time. */
  readonly cpuSeconds: number;
  /** Retired since the start; undefined where nobody counts them. */
  readonly instructions?: number;
}

/** Of this process, from its start: starting Node and compiling are in it, as QEMU's own start is. */
export function processTimes(): { readonly wallSeconds: number; readonly cpuSeconds: number } {
  const { user, system } = process.cpuUsage();
  return { wallSeconds: performance.now() / 1000, cpuSeconds: (user + system) / 1e6 };
}

/** The most memory this process has held. */
export const peakBytes = (): number => process.resourceUsage().maxRSS * 1024;

/** A counter of 32 bits that wraps, as a total: whoever reads it sees it at least once before it comes round. */
export class CounterTotal {
  private total = 0;
  private last = 0;

  /** The total when the counter is at `value`. */
  at(value: number): number {
    this.total += (value - this.last) >>> 0;
    this.last = value;
    return this.total;
  }
}

/** Time between one mark and the next, in the order of the marks, and a last row `total`. */
export function phasesOf(marks: readonly Mark[]): Mark[] {
  const phases = marks.map(({ name, wallSeconds, cpuSeconds, instructions }, i): Mark => ({
    name,
    wallSeconds: wallSeconds - (i === 0 ? 0 : marks[i - 1].wallSeconds),
    cpuSeconds: cpuSeconds - (i === 0 ? 0 : marks[i - 1].cpuSeconds),
    ...(instructions === undefined ? {} : { instructions: instructions - (i === 0 ? 0 : marks[i - 1].instructions!) }),
  }));
  const last = marks.at(-1);
  return last === undefined ? [] : [...phases, { ...last, name: 'total' }];
}

export function median(values: readonly number[]): number {
  if (values.length === 0) return NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** NaN for no values, or if one is not there. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

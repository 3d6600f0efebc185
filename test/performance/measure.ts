/** Marks to phases, runs to medians. */

/** The console showed the end of a phase; times since the process was started. */
export interface Mark {
  readonly name: string;
  readonly wallSeconds: number;
  /** Of the whole process: under load this is steadier than wall time. */
  readonly cpuSeconds: number;
}

export interface PhaseTime {
  readonly name: string;
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
}

/** Time between one mark and the next, in the order of the marks, and a last row `total`. */
export function phasesOf(marks: readonly Mark[]): PhaseTime[] {
  const phases = marks.map(({ name, wallSeconds, cpuSeconds }, i): PhaseTime => ({
    name,
    wallSeconds: wallSeconds - (i === 0 ? 0 : marks[i - 1].wallSeconds),
    cpuSeconds: cpuSeconds - (i === 0 ? 0 : marks[i - 1].cpuSeconds),
  }));
  const last = marks.at(-1);
  if (last !== undefined) phases.push({ name: 'total', wallSeconds: last.wallSeconds, cpuSeconds: last.cpuSeconds });
  return phases;
}

export function median(values: readonly number[]): number {
  if (values.length === 0) return NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * The exit profile as an answer: plain data for tables, JSON, flame graphs and comparison. The same type for a recording under a regime, for its
 * architectural events alone, and for what other tools measured (server/import).
 */

export const PROFILE_DIMENSIONS = ['reason', 'handler', 'device', 'port', 'msr', 'gpa', 'rip', 'function', 'task', 'stack', 'phase', 'vcpu', 'time'] as const;
export type ProfileDimension = (typeof PROFILE_DIMENSIONS)[number];

/** Costs of the exits of a row whose cost is known. In the unit of the profile. */
export interface CostSummary {
  readonly exits: number;
  readonly total: number;
  /** The same as `total` where a cost is a measurement. Slices of time have the typical cost only. */
  readonly totalLow?: number | undefined;
  readonly totalHigh?: number | undefined;
  readonly mean: number;
  /** Of one exit, by typical cost; undefined where the source does not have it. p99 is off by at most a sixteenth. */
  readonly min?: number | undefined;
  readonly p99?: number | undefined;
  readonly max?: number | undefined;
  /** Of the cost of all exits of the same side (work, or idle), 0 to 1. */
  readonly share: number;
}

/** Time from one exit of a row to the next, ns. */
export interface Between {
  readonly mean: number;
  /** These only by reason. */
  readonly min?: number | undefined;
  readonly p99?: number | undefined;
  readonly max?: number | undefined;
}

export interface ProfileRow {
  /** What people read: `IO_INSTRUCTION`, `0x3f8`, `uart`. */
  readonly label: string;
  /** What more there is to say: the register's name, ... */
  readonly detail?: string | undefined;
  /** Sleep (HLT and its like), which is kept apart from work. */
  readonly isIdle: boolean;
  /** Several that share a row, because the table was full. */
  readonly isOther: boolean;
  readonly count: number;
  /** Exits a second of virtual (recordings) or real (imports) time. Undefined if the time is not known. */
  readonly perSecond?: number | undefined;
  readonly cost?: CostSummary | undefined;
  readonly betweenNs?: Between | undefined;
  /** Of a row that is a call stack: guest functions, system calls and interrupts, outermost first. */
  readonly frames?: readonly string[] | undefined;
  /** Where the row begins, if it is a stretch of time. ns since power-on (recordings) or the first exit (imports). */
  readonly fromNs?: number | undefined;
  readonly toNs?: number | undefined;
}

/** Cycles or time that are no exits. */
export interface DirectCost {
  readonly label: string;
  readonly count: number;
  readonly low: number;
  readonly typical: number;
  readonly high: number;
}

export interface StackWeight {
  /** From the root: phase, guest function, reason, target; with call stacks: task, frames of the guest, reason, target. */
  readonly frames: readonly string[];
  /** Frames at the end that are the exit, not the guest: reason and target. */
  readonly exitFrames?: number | undefined;
  readonly task?: string | undefined;
  readonly count: number;
  /** Typical; undefined if no cost is known. */
  readonly cost?: number | undefined;
  readonly isIdle: boolean;
}

export interface ProfileSource {
  /** `recording`, `perf script`, `trace-cmd report`, `perf kvm stat report`, ... */
  readonly kind: string;
  readonly name: string;
  /** What decides about reasons and costs: a regime with its options and CPU, or the layout of a text. */
  readonly under?: string | undefined;
}

export interface ExitProfile {
  readonly source: ProfileSource;
  readonly unit?: 'cycles' | 'ns' | undefined;
  /** What a cost is: one sentence. */
  readonly costIs?: string | undefined;
  /** Time that the profile covers, ns. */
  readonly durationNs?: number | undefined;
  readonly instructions?: number | undefined;
  readonly idleNs?: number | undefined;
  readonly exits: number;
  readonly idleExits: number;
  readonly work?: { readonly low: number; readonly typical: number; readonly high: number } | undefined;
  readonly idle?: { readonly low: number; readonly typical: number; readonly high: number } | undefined;
  /** Views; one that the source cannot give is missing. */
  readonly by: Readonly<Partial<Record<ProfileDimension, readonly ProfileRow[]>>>;
  readonly direct?: readonly DirectCost[] | undefined;
  readonly stacks: readonly StackWeight[];
  /** True if `stacks` are whole call stacks of tasks. */
  readonly hasCallStacks?: boolean | undefined;
  /** What a reader has to know: sentences. */
  readonly notes: readonly string[];
}

/** Folded stacks, a line each, as flame graph tools read them: `frame;frame;frame weight`. Idle exits are left out unless asked for. */
export function foldedStacks(profile: ExitProfile, withIdle = false): string[] {
  const weights = new Map<string, number>();
  for (const { frames, count, cost, isIdle } of profile.stacks) {
    if (isIdle && !withIdle) continue;
    const weight = Math.round(profile.unit === undefined ? count : (cost ?? 0));
    const key = frames.map((frame) => frame.replace(/[;\r\n]/g, ',')).join(';');
    if (weight > 0) weights.set(key, (weights.get(key) ?? 0) + weight);
  }
  return [...weights].sort(([a], [b]) => (a < b ? -1 : 1)).map(([stack, weight]) => `${stack} ${weight}`);
}

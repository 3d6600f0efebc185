/** What a comparison answers. Plain data. */
import type { ChosenCost } from '../../regimes/costs/cost-table.ts';
import type { MissingTotal, Options, OptionValue } from '../../regimes/regime.ts';
import type { CycleRange, DirectRow, ReasonRow } from './ledger.ts';

export interface PhaseSpan {
  /** Of the mark at which it begins; `(start)` before the first, `(rest)` for those beyond the bound. */
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly instructions: number;
  /** Virtual time in which the guest slept, ns. Not part of any slowdown. */
  readonly idleNs: number;
}

export interface SegmentReport {
  readonly exits: number;
  readonly exitsPerMillion: number;
  /** Of all events, on top of instructions x CPI. */
  readonly cycles: CycleRange;
  /** The same under `native`, on the same CPU. */
  readonly nativeCycles: CycleRange;
  /** (instructions x CPI + cycles) / (instructions x CPI + nativeCycles). */
  readonly slowdown: CycleRange;
  readonly reasons: readonly ReasonRow[];
  readonly direct: readonly DirectRow[];
  /** Of exits and direct costs, the dearest: name and share of all cycles. Undefined if there is none. */
  readonly dominant: { readonly name: string; readonly share: number } | undefined;
  readonly haltPollNs: number;
}

export interface SensitivityRow extends CycleRange {
  readonly parameter: string;
  readonly uses: number;
  readonly trust: string;
  /** Slowdown with this parameter at its low and at its high value, the others typical. */
  readonly slowdownLow: number;
  readonly slowdownHigh: number;
}

/** One option changed: what that removes (or, below zero, adds). */
export interface RemovalRow {
  readonly option: string;
  readonly title: string;
  readonly from: OptionValue;
  readonly to: OptionValue;
  readonly exitsSaved: number;
  readonly cyclesSaved: CycleRange;
  readonly slowdown: number;
}

export interface RegimeReport {
  readonly id: string;
  readonly title: string;
  readonly regime: string;
  readonly options: Options;
  readonly cpu: string;
  readonly notes: readonly string[];
  /** Totals that would cost something here, and are not known. */
  readonly missing: readonly MissingTotal[];
  readonly run: SegmentReport;
  readonly phases: readonly SegmentReport[];
  readonly counters: Readonly<Record<string, number>>;
  /** Widest first. */
  readonly sensitivity: readonly SensitivityRow[];
  /** What saves most first. Empty without advice. */
  readonly removals: readonly RemovalRow[];
  /** Every cost parameter that was used, with its source. */
  readonly sources: readonly ChosenCost[];
}

/** Executions of PAUSE that a replay told of: at privilege 0, and at others. */
export interface PauseCounts {
  readonly kernel: number;
  readonly user: number;
}

export interface ComparisonReport {
  readonly instructions: number;
  readonly idleNs: number;
  readonly events: number;
  readonly cyclesPerInstruction: number;
  readonly phases: readonly PhaseSpan[];
  readonly regimes: readonly RegimeReport[];
  /** If a replay told of them. */
  readonly pauses?: PauseCounts;
}

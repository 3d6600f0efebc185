/**
 * What a virtualisation technique is to the rest of the lab: a fold from architectural events to what the technique makes of them.
 *
 *     EventBatch rows ─► Projection.fold ─► RegimeSink.exit    guest -> monitor -> guest, with a reason
 *                                           RegimeSink.direct  cycles without an exit: faults, longer walks, callouts, system calls
 *
 * All cycles of an event are reported, those of the bare machine included, so that two regimes can be compared by subtraction: an I/O
 * instruction costs its bus cycles under `native`, an exit under `hw`; an exception that is not intercepted costs the same in both.
 * What an instruction costs by itself is not here: that is instructions x CPI, and the same everywhere.
 *
 * A projection sees each row once, in order, and any cut into batches gives the same calls. Nothing is allocated for a row.
 */
import type { EventBatch } from '../log/event-batch.ts';

/** What the monitor does with an exit. The place in this list is the number in RegimeSink.exit. Append only. */
export const HANDLER_CLASSES = ['light', 'emulation', 'mmu', 'in-kernel device', 'device model', 'interrupt', 'sleep', 'hypercall', 'reflection', 'trace'] as const;
export type HandlerClass = (typeof HANDLER_CLASSES)[number];
/** Answered from registers and tables: CPUID, MSR, CR. */
export const HANDLER_LIGHT = 0;
/** The instruction is decoded and emulated. */
export const HANDLER_EMULATION = 1;
/** Second-level or shadow page tables are filled, synchronised or dropped. */
export const HANDLER_MMU = 2;
/** A device inside the hypervisor: interrupt controllers, timers, ioeventfd. */
export const HANDLER_KERNEL_DEVICE = 3;
/** A device model outside it: a user process, a driver domain, the host's VMM. */
export const HANDLER_DEVICE_MODEL = 4;
/** An interrupt for the host, or on its way to the guest. */
export const HANDLER_INTERRUPT = 5;
/** The guest waits; the cycles are those of going to sleep and waking, never the sleep. */
export const HANDLER_SLEEP = 6;
export const HANDLER_HYPERCALL = 7;
/** An exception or system call that is handed back to the guest kernel. */
export const HANDLER_REFLECTION = 8;
/** A write to memory that the monitor watches: page tables under binary translation. */
export const HANDLER_TRACE = 9;

/** What `direct` reports. The place in this list is the number. Append only. */
export const DIRECT_KINDS = ['exception', 'interrupt', 'device access', 'system call', 'page walk', 'translated code', 'callout', 'page-table update', 'halt polling', 'wake-up', 'switcher'] as const;
export type DirectKind = (typeof DIRECT_KINDS)[number];
export const DIRECT_EXCEPTION = 0;
export const DIRECT_INTERRUPT = 1;
export const DIRECT_DEVICE = 2;
export const DIRECT_SYSCALL = 3;
export const DIRECT_PAGE_WALK = 4;
export const DIRECT_TRANSLATED = 5;
export const DIRECT_CALLOUT = 6;
export const DIRECT_PAGE_TABLE = 7;
/** Host time burnt while the guest sleeps: count is in ns, without cycles, because it is no time of the guest. */
export const DIRECT_HALT_POLL = 8;
/** Going to sleep and being woken, after a HLT exit that found nothing to do. */
export const DIRECT_WAKE = 9;
/** What a software monitor does on the way from user to guest kernel without a stop in the monitor proper. */
export const DIRECT_SWITCHER = 10;

/** Where a projection reports to; `row` is the row of the batch that `fold` was given (-1 from `finish`). The cycles are the same object at each use of a recipe: three numbers in one word. */
export interface RegimeSink {
  /**
   * reason: see reasons.ts (Intel's basic exit reasons as they are; other techniques above 0xffff). qualification: as the technique
   * defines it; linear addresses are rounded to 2 KiB, because a number has 53 bits (the row has them exactly). handler: HANDLER_*.
   */
  exit(row: number, reason: number, qualification: number, handler: number, cycles: Cycles): void;
  /** So many of them, at least one: as that many calls of `exit`. */
  exitTimes(row: number, reason: number, qualification: number, handler: number, cycles: Cycles, count: number): void;
  /** kind: DIRECT_*; count: how many of it, `each` at so many cycles. */
  direct(row: number, kind: number, count: number, each: Cycles): void;
}

/** What a run, or a phase of it, adds up to. What a log does not hold is undefined and costs nothing; a report says so (`Projection.needs`). */
export interface RunTotals {
  readonly instructions: number;
  /** Virtual time without instructions in which the guest slept, ns. */
  readonly idleNs: number;
  readonly systemCalls?: number | undefined;
  /** Page walks of the hardware: TLB misses. */
  readonly pageWalks?: number | undefined;
  /** Instructions of the guest kernel. */
  readonly kernelInstructions?: number | undefined;
}
/** What a log does not hold, and a regime would want to know. */
export type MissingTotal = 'systemCalls' | 'pageWalks' | 'kernelInstructions' | 'pauses';

/** Executions of PAUSE, in order, as a replay tells of them: virtual time in ns, and the privilege (0 to 3). */
export interface PauseBatch {
  readonly virtualNs: Float64Array;
  readonly cpl: Uint8Array;
}

/** State of a projection between two batches: plain data that survives JSON. */
export interface ProjectionState {
  /** Id of the regime; a state is for this one only, with the same options. */
  readonly regime: string;
  readonly version: number;
  /** Uses of each recipe of the meter. */
  readonly uses: readonly number[];
  /** Kernel instructions and system calls as the log told them last; empty if it did not. */
  readonly counts: readonly number[];
  readonly data: unknown;
}

export interface Projection {
  readonly regime: string;
  /** Rows start to end - 1 of a batch. */
  fold(batch: EventBatch, start: number, end: number, out: RegimeSink): void;
  /**
   * The same for a sink that adds up and asks for no row: rows of a site that always make the same of the technique are told at once, with any row, qualification and order.
   * rowsOf: how many of these rows each site has. A fold may go on with either.
   */
  tally(batch: EventBatch, start: number, end: number, rowsOf: Uint32Array, out: RegimeSink): void;
  /** PAUSEs start to end - 1 of a batch, which come after all rows that were folded and before those that are not: for a technique that has exits of them. */
  foldPauses?(pauses: PauseBatch, start: number, end: number, out: RegimeSink): void;
  /** At the end of the run, or of each phase with the totals of that phase: costs that no single event has. */
  finish(totals: RunTotals, out: RegimeSink): void;
  /** Uses so far of each cost parameter: parameter name -> times it was charged. For sensitivity. */
  parameterUses(): ReadonlyMap<string, number>;
  /** Totals whose absence leaves costs out. Those that the log told are not among them. */
  readonly needs: readonly MissingTotal[];
  /** Counters of the technique's own state, for people: shadow pages, resyncs, translated sites. */
  counters(): Readonly<Record<string, number>>;
  save(): ProjectionState;
  /** Throws RegimeError if the state is of another regime. */
  restore(state: ProjectionState): void;
}

export type OptionValue = boolean | number | string;
export type Options = Readonly<Record<string, OptionValue>>;

interface OptionCommon {
  readonly name: string;
  readonly title: string;
  /** Set if comparing with the other values answers "what would remove it". */
  readonly isFeature?: boolean;
}
export type OptionSpec =
  | (OptionCommon & { readonly kind: 'switch'; readonly default: boolean })
  | (OptionCommon & { readonly kind: 'choice'; readonly values: readonly string[]; readonly default: string })
  | (OptionCommon & { readonly kind: 'number'; readonly min: number; readonly max: number; readonly default: number });

/** Costs of one CPU, as a projection asks for them (costs/cost-table.ts). */
export interface CostBook {
  readonly cpu: string;
  /** Nominal; undefined where nobody names the machine. */
  readonly gigahertz: number | undefined;
  /** Throws RegimeError for a parameter that no table has. */
  cost(parameter: string): Cycles;
}
export interface Cycles {
  readonly low: number;
  readonly typical: number;
  readonly high: number;
}

/** A technique. */
export interface Regime {
  /** `hw` */
  readonly id: string;
  readonly title: string;
  /** One sentence: what is modelled. */
  readonly summary: string;
  /** What is not modelled, or only assumed. Sentences. */
  readonly limits: readonly string[];
  readonly options: readonly OptionSpec[];
  /** options: complete and valid (completeOptions). */
  project(options: Options, costs: CostBook): Projection;
}

/** Something is wrong with a regime, an option, a cost table or a platform file: what, where, what to do. */
export class RegimeError extends Error {
  override readonly name = 'RegimeError';
}

/** Options with the defaults filled in. Throws RegimeError that names the option and what it takes. */
export function completeOptions(regime: Pick<Regime, 'id' | 'options'>, given: Readonly<Record<string, unknown>>, where = `regime ${regime.id}`): Options {
  for (const name of Object.keys(given)) {
    if (!regime.options.some((spec) => spec.name === name)) {
      throw new RegimeError(`${where}: there is no option "${name}"; ${regime.options.length === 0 ? 'it has none' : `it has ${regime.options.map((spec) => spec.name).join(', ')}`}`);
    }
  }
  return Object.fromEntries(
    regime.options.map((spec): [string, OptionValue] => {
      const value = given[spec.name] ?? spec.default;
      const wrong = (expected: string): never => {
        throw new RegimeError(`${where}: option "${spec.name}" is ${JSON.stringify(value)}; expected ${expected}`);
      };
      switch (spec.kind) {
        case 'switch':
          return [spec.name, typeof value === 'boolean' ? value : wrong('true or false')];
        case 'choice':
          return [spec.name, typeof value === 'string' && spec.values.includes(value) ? value : wrong(`one of ${spec.values.join(', ')}`)];
        case 'number':
          return [spec.name, typeof value === 'number' && value >= spec.min && value <= spec.max ? value : wrong(`a number from ${spec.min} to ${spec.max}`)];
      }
    }),
  );
}

/**
 * Looks for a race: runs many branches of one moment, each with a few interrupts drawn to come later, and asks which of them fail.
 *
 *     moment ─┬─ pit +4,711 ── pit +90,233 ── ... ── fails ──► fewest shifts that still do (ddmin) ──► each as short as it goes
 *             ├─ lapic +53 ── ... ── ends well
 *             └─ ...
 *
 * A shift is: at this position, the timer fires so many ns later. Interrupts of devices come from timers, too, so these are all there are. Draws depend on the seed and the
 * number of the run alone; the same shifts give the same run.
 */
import type { LogReader } from '../log/reader.ts';
import { Random } from '../machine/random.ts';
import type { Machine } from '../machine/machine.ts';
import { Branch, type BranchOptions, type BranchStatus, type PlacedChange } from '../recording/branch.ts';
import { type RunImages, buildMachine, decodeRecipe } from '../recording/recipe.ts';
import { PANIC_TEXTS } from './bisect.ts';
import type { BranchPoint } from './branch-point.ts';
import type { Expression } from './expression.ts';
import { ExpressionView } from './expression-view.ts';

/** At `position` the timer `timer` is put off by `ns`. */
export interface Shift {
  readonly position: number;
  readonly timer: string;
  readonly ns: number;
}

/** What counts as a failure. */
export type Failure =
  /** The console shows what kernels print when they give up. */
  | { readonly kind: 'panic' }
  | { readonly kind: 'console'; readonly text: string }
  /** It is true where the run ends. */
  | { readonly kind: 'expression'; readonly expression: Expression };

export interface ExploreOptions {
  /** The run that is branched from, as one log. */
  readonly parent: LogReader;
  readonly images: RunImages;
  readonly module: WebAssembly.Module;
  readonly point: BranchPoint;
  readonly failure: Failure;
  readonly seed: bigint;
  /** Longest delay, ns. */
  readonly delayNsMax: number;
  /** Most shifts of a run; 1 to so many are drawn. */
  readonly shiftsMax: number;
  /** Shifts come before this position. */
  readonly shiftsTo: number;
  /** Where runs end at the latest. */
  readonly runTo: number;
  readonly inputs: 'keep' | 'none';
}

export interface Attempt {
  readonly shifts: readonly Shift[];
  readonly fails: boolean;
  /** Where it ended. */
  readonly position: number;
}

const SLICE_INSTRUCTIONS = 250_000;
/** Attempts to shorten one shift. */
const SHORTEN_MAX = 16;

export class Explorer {
  /** Runs so far. */
  attempts = 0;
  private readonly options: ExploreOptions;
  private readonly machine: Machine;
  private readonly texts: readonly string[];
  private tail = '';
  private isShown = false;
  private readonly known = new Map<string, Attempt>();

  constructor(options: ExploreOptions) {
    this.options = options;
    const { failure, parent, images, module } = options;
    this.texts = failure.kind === 'panic' ? PANIC_TEXTS : failure.kind === 'console' ? [failure.text] : [];
    const kept = Math.max(0, ...this.texts.map(({ length }) => length));
    const console = (byte: number): void => {
      if (kept === 0 || this.isShown) return;
      this.tail = (this.tail + String.fromCharCode(byte)).slice(-kept);
      this.isShown = this.texts.some((text) => this.tail.endsWith(text));
    };
    this.machine = buildMachine(decodeRecipe(parent.header), images, module, { console });
  }

  /** The run with these shifts and no other; those whose timer is not armed there do nothing. In slices: yields where it is. */
  *attempt(shifts: readonly Shift[]): Generator<number, Attempt, void> {
    const key = JSON.stringify(shifts);
    const known = this.known.get(key);
    if (known !== undefined) return known;
    const attempt = yield* this.run(shifts.map(({ position, timer, ns }) => ({ position, change: { kind: 'timer-shift', timer, ns } })), shifts);
    this.known.set(key, attempt);
    return attempt;
  }

  /** Run number `number` of the drawn ones. */
  *drawn(number: number): Generator<number, Attempt, void> {
    const { seed, delayNsMax, shiftsMax, shiftsTo, point } = this.options;
    const random = new Random(BigInt.asUintN(64, (seed + BigInt(number)) * 0x9e3779b97f4a7c15n));
    const below = (n: number): number => Number(random.next() % BigInt(Math.max(1, Math.floor(n))));
    const from = point.checkpoint.state.position;
    const made: Shift[] = [];
    const changes: PlacedChange[] = Array.from({ length: 1 + below(shiftsMax) }, () => ({ position: from + below(shiftsTo - from), pick: below(1 << 30), ns: 1 + below(delayNsMax) }))
      .map(({ position, pick, ns }) => ({
        position,
        change: (machine: Machine) => {
          const armed = machine.scheduler.armed();
          if (armed.length === 0) return undefined;
          const { name: timer } = armed[pick % armed.length];
          made.push({ position, timer, ns });
          return { kind: 'timer-shift' as const, timer, ns };
        },
      }));
    const attempt = yield* this.run(changes, made);
    this.known.set(JSON.stringify(attempt.shifts), attempt);
    return attempt;
  }

  /** An attempt that another explorer with the same options made; not one of this. */
  adopt(attempt: Attempt): void {
    this.attempts++;
    this.known.set(JSON.stringify(attempt.shifts), attempt);
  }

  /** The fewest and shortest shifts of an attempt with its outcome: no single one can be left out, and none be made much shorter, without another outcome. */
  *shortest(attempt: Attempt): Generator<number, Attempt, void> {
    let best = attempt;
    for (;;) {
      const fewest = yield* this.fewest(best);
      best = yield* this.shorter(fewest);
      // What is shorter may need fewer.
      const { length } = best.shifts;
      const again = yield* this.fewest(best);
      if (again.shifts.length === length) return best;
      best = again;
    }
  }

  /** ddmin (Zeller, Hildebrandt 2002), complements only: the lists are short. */
  private *fewest(attempt: Attempt): Generator<number, Attempt, void> {
    const { fails } = attempt;
    let best = attempt;
    for (let parts = 2; best.shifts.length > 0; ) {
      const size = Math.ceil(best.shifts.length / parts);
      let smaller: Attempt | undefined;
      for (let start = 0; start < best.shifts.length && smaller === undefined; start += size) {
        const without = yield* this.attempt([...best.shifts.slice(0, start), ...best.shifts.slice(start + size)]);
        if (without.fails === fails) smaller = without;
      }
      if (smaller !== undefined) {
        best = smaller;
        parts = Math.max(2, parts - 1);
      } else if (size === 1) break;
      else parts = Math.min(best.shifts.length, parts * 2);
    }
    return best;
  }

  private *shorter(attempt: Attempt): Generator<number, Attempt, void> {
    const { fails } = attempt;
    let best = attempt;
    for (let i = 0; i < best.shifts.length; i++) {
      let low = 0;
      for (let tries = 0; tries < SHORTEN_MAX && best.shifts[i].ns - low > 1; tries++) {
        const middle = Math.floor((low + best.shifts[i].ns) / 2);
        const shorter = yield* this.attempt(best.shifts.map((shift, j) => (j === i ? { ...shift, ns: middle } : shift)));
        if (shorter.fails === fails) best = shorter;
        else low = middle;
      }
    }
    return best;
  }

  /** The branch with these shifts, into a log. */
  *record(shifts: readonly Shift[], log: NonNullable<BranchOptions['log']>): Generator<number, Branch, void> {
    const branch = this.branch(shifts.map(({ position, timer, ns }) => ({ position, change: { kind: 'timer-shift', timer, ns } })), log);
    const status = yield* this.toTheEnd(branch);
    if (status.kind !== 'ended') branch.stop('limit', status.kind === 'waiting' ? 'the guest waits for input that will not come' : this.isShown ? 'the console shows the failure' : `@${branch.position} was reached`);
    return branch;
  }

  private *run(changes: readonly PlacedChange[], shifts: readonly Shift[]): Generator<number, Attempt, void> {
    const branch = this.branch(changes, undefined);
    yield* this.toTheEnd(branch);
    this.attempts++;
    return { shifts: [...shifts].sort((a, b) => a.position - b.position), fails: this.fails(), position: branch.position };
  }

  private branch(changes: readonly PlacedChange[], log: BranchOptions['log']): Branch {
    const { point, parent, images, module, inputs } = this.options;
    const { state, pages } = point.checkpoint;
    this.machine.restore(state.machine, pages);
    this.tail = '';
    this.isShown = false;
    const start = { ...point.start, at: { machine: this.machine, session: state.session } };
    return new Branch({ recipe: decodeRecipe(parent.header), images, module, parent, records: state.records, start, changes, inputs, log });
  }

  private *toTheEnd(branch: Branch): Generator<number, BranchStatus, void> {
    const { runTo } = this.options;
    for (;;) {
      const status = branch.step(Math.min(SLICE_INSTRUCTIONS, runTo - branch.position));
      if (status.kind !== 'running' || this.isShown || branch.position >= runTo) return status;
      yield branch.position;
    }
  }

  private fails(): boolean {
    const { failure } = this.options;
    return failure.kind === 'expression' ? failure.expression.isTrue(new ExpressionView(this.machine)) : this.isShown;
  }
}

/** Runs a drawn branch by its number; undefined: it is not wanted any more. */
export type Runner = (number: number) => Promise<Attempt | undefined>;

/**
 * The drawn branches 0 to `runs` - 1, by number: whoever is free takes the next, and who does it makes no difference. What `others` fail at is done by `local`, and they are
 * asked no more. Undefined if `local` says so.
 */
export async function drawAll(explorer: Explorer, runs: number, local: Runner, others: readonly Runner[], onAttempt: (attempt: Attempt) => void): Promise<readonly Attempt[] | undefined> {
  const attempts: Attempt[] = [];
  const again: number[] = [];
  let next = 0;
  let isWanted = true;
  const take = (): number | undefined => again.pop() ?? (next < runs && isWanted ? next++ : undefined);
  const help = async (runner: Runner): Promise<void> => {
    for (let number = take(); number !== undefined; number = take()) {
      let attempt: Attempt | undefined;
      try {
        attempt = await runner(number);
      } catch {
        // It is told by the local one, if it is no fault of the runner.
      }
      if (attempt === undefined) {
        again.push(number);
        return;
      }
      attempts[number] = attempt;
      explorer.adopt(attempt);
      onAttempt(attempt);
    }
  };
  const work = async (): Promise<void> => {
    for (let number = take(); number !== undefined; number = take()) {
      const attempt = await local(number);
      if (attempt === undefined) {
        isWanted = false;
        return;
      }
      attempts[number] = attempt;
      onAttempt(attempt);
    }
  };
  const helpers = others.map(help);
  await work();
  if (!isWanted) return undefined;
  await Promise.all(helpers);
  // What was given back meanwhile.
  await work();
  return isWanted ? attempts : undefined;
}

/** 95 % confidence interval of a share (Wilson 1927). */
export function shareInterval(hits: number, runs: number): { readonly low: number; readonly high: number } {
  if (runs === 0) return { low: 0, high: 1 };
  const z = 1.959964;
  const share = hits / runs;
  const middle = share + (z * z) / (2 * runs);
  const spread = z * Math.sqrt((share * (1 - share)) / runs + (z * z) / (4 * runs * runs));
  const scale = 1 + (z * z) / runs;
  return { low: Math.max(0, (middle - spread) / scale), high: Math.min(1, (middle + spread) / scale) };
}

/**
 * Regimes side by side: one pass over the events feeds a projection for each regime, and one more for each option that could be changed.
 *
 * A pure fold: the same rows give the same report, in whatever batches they come, live or from a log, and across save and restore.
 */
import { costsOf, projectionOf, variants, candidate, type Candidate } from '../../regimes/catalogue.ts';
import type { Costs } from '../../regimes/costs/cost-table.ts';
import { RegimeError, type MissingTotal, type OptionValue, type PauseBatch, type Projection, type ProjectionState, type RunTotals } from '../../regimes/regime.ts';
import { SHAPE_IDLE, SHAPE_MARK } from '../../log/shapes.ts';
import type { EventBatch } from '../../log/event-batch.ts';
import { countBySite, SITES_MAX, selectRows } from '../../regimes/site-rows.ts';
import { Ledger, type CycleRange, type SavedLedger } from './ledger.ts';
import { segmentReport } from './segments.ts';
import type { ComparisonReport, PauseCounts, PhaseSpan, RegimeReport, RemovalRow, SegmentReport, SensitivityRow } from './report.ts';

/** Of the rows that are folded: how many each site has. */
const rowsBySite = new Uint32Array(SITES_MAX);
/** Phases that are told apart; later marks fall into the last. */
const PHASES_MAX = 256;
const STATE_VERSION = 2;

/** What a log does not hold, as rates: applied to each phase by its instructions. Of no effect where it does. Undefined: not known, and not charged. */
export interface WorkloadRates {
  readonly systemCallsPerMillion?: number | undefined;
  readonly pageWalksPerMillion?: number | undefined;
  /** Of the instructions, 0 to 1. */
  readonly kernelShare?: number | undefined;
}

export interface ComparisonSetup {
  readonly candidates: readonly Candidate[];
  /** Native cycles for an instruction, whatever it is. An assumption: 1 unless given. */
  readonly cyclesPerInstruction?: number;
  readonly rates?: WorkloadRates;
  /** Also fold every feature's other value ("what would remove it"): about ten times the work. */
  readonly hasAdvice?: boolean;
  /** Every PAUSE is told of (addPauses), by a replay on the counting core. */
  readonly hasPauses?: boolean;
}

/** A projection with the ledgers of its phases. */
interface Column {
  readonly projection: Projection;
  readonly costs: Costs;
  current: Ledger;
  readonly closed: Ledger[];
}

interface Variant {
  readonly option: string;
  readonly title: string;
  readonly from: OptionValue;
  readonly to: OptionValue;
  readonly column: Column;
  readonly baseline: Column;
}

interface Entry {
  readonly candidate: Candidate;
  readonly column: Column;
  readonly baseline: Column;
  readonly variants: readonly Variant[];
}

interface SavedColumn {
  readonly projection: ProjectionState;
  readonly current: SavedLedger;
  readonly closed: readonly SavedLedger[];
}
export interface ComparisonState {
  readonly version: number;
  readonly columns: readonly SavedColumn[];
  readonly spans: readonly PhaseSpan[];
  readonly name: string;
  readonly from: number;
  readonly position: number;
  readonly idleNs: number;
  readonly events: number;
  /** Page walks counted, and how many of them in closed phases. */
  readonly walks?: number | undefined;
  readonly walksFrom?: number | undefined;
  readonly pauses?: PauseCounts;
}

export class Comparison {
  readonly hasPauses: boolean;
  private readonly cyclesPerInstruction: number;
  private readonly rates: WorkloadRates;
  private readonly entries: readonly Entry[];
  /** Each once, in the order in which they were first asked for: several platforms, the changes of an option and the baselines come to the same projection. */
  private readonly columns = new Map<string, Column>();
  private spans: PhaseSpan[] = [];
  private name = '(start)';
  private from = 0;
  private position = 0;
  private idleNs = 0;
  private events = 0;
  private walks: number | undefined;
  private walksFrom = 0;
  private pauses: PauseCounts = { kernel: 0, user: 0 };

  constructor({ candidates, cyclesPerInstruction = 1, rates = {}, hasAdvice = false, hasPauses = false }: ComparisonSetup) {
    if (!(cyclesPerInstruction > 0 && Number.isFinite(cyclesPerInstruction))) throw new RegimeError(`cycles per instruction must be above 0; they are ${cyclesPerInstruction}`);
    this.cyclesPerInstruction = cyclesPerInstruction;
    this.rates = rates;
    this.hasPauses = hasPauses;
    const baselineOf = ({ cpu, options: { guestKpti }, platform }: Candidate): Column => this.columnOf({ ...candidate('native', { cpu, options: { guestKpti: guestKpti === true } }), platform });
    this.entries = candidates.map((chosen): Entry => ({
      candidate: chosen,
      column: this.columnOf(chosen),
      baseline: baselineOf(chosen),
      variants: hasAdvice ? variants(chosen).map(({ candidate: changed, ...rest }) => ({ ...rest, column: this.columnOf(changed), baseline: baselineOf(changed) })) : [],
    }));
  }

  private columnOf(chosen: Candidate): Column {
    const { regime, options, cpu, platform } = chosen;
    const key = JSON.stringify([regime.id, regime.options.map(({ name }) => options[name]), cpu, platform?.costs === undefined ? '' : platform.id]);
    let column = this.columns.get(key);
    if (column === undefined) {
      const costs = costsOf(chosen);
      column = { projection: projectionOf(chosen, costs), costs, current: new Ledger(), closed: [] };
      this.columns.set(key, column);
    }
    return column;
  }

  private missing({ projection }: Column): readonly MissingTotal[] {
    const { systemCallsPerMillion, pageWalksPerMillion, kernelShare } = this.rates;
    const known: Readonly<Record<MissingTotal, number | undefined>> = { systemCalls: systemCallsPerMillion, pageWalks: this.walks ?? pageWalksPerMillion, kernelInstructions: kernelShare, pauses: this.hasPauses ? 0 : undefined };
    return projection.needs.filter((need) => known[need] === undefined);
  }

  /** Page walks (TLB misses) since power-on, up to the row that add() is given next: from a replay that counts them. A rate is of no effect then. Each mark closes a phase with those told before it. */
  countedWalks(walks: number): void {
    this.walks = walks;
  }

  /** Rows start to end - 1 of a batch, in order, each once. */
  add(batch: EventBatch, start = 0, end = batch.count): void {
    const { sites, site } = batch;
    let from = start;
    const marks = rowsOfShape(batch, start, end, SHAPE_MARK);
    for (const i of marks) {
      this.foldRows(batch, from, i);
      from = i;
      this.position = batch.position[i];
      this.closePhase(batch.strings[sites.f0[site[i]]]);
    }
    this.foldRows(batch, from, end);
    this.events += end - start;
    if (end > start) this.position = batch.position[end - 1];
  }

  /** PAUSEs start to end - 1 of a batch: after the rows that add() was given, before those that it will be given. */
  addPauses(pauses: PauseBatch, start: number, end: number): void {
    let kernel = 0;
    for (let i = start; i < end; i++) if (pauses.cpl[i] === 0) kernel++;
    this.pauses = { kernel: this.pauses.kernel + kernel, user: this.pauses.user + end - start - kernel };
    for (const { projection, current } of this.columns.values()) projection.foldPauses?.(pauses, start, end, current);
  }

  private foldRows(batch: EventBatch, start: number, end: number): void {
    if (start === end) return;
    for (const i of rowsOfShape(batch, start, end, SHAPE_IDLE)) this.idleNs += batch.valueLo[i] + batch.valueHi[i] * 2 ** 32;
    countBySite(batch, start, end, rowsBySite);
    for (const column of this.columns.values()) column.projection.tally(batch, start, end, rowsBySite, column.current);
  }

  private closePhase(next: string): void {
    if (this.spans.length + 1 >= PHASES_MAX) {
      this.name = '(rest)';
      return;
    }
    const span = this.span();
    const totals = this.totalsOf(span);
    for (const column of this.columns.values()) {
      column.projection.finish(totals, column.current);
      column.closed.push(column.current);
      column.current = new Ledger();
    }
    this.spans.push(span);
    this.walksFrom = this.walks ?? 0;
    this.name = next;
    this.from = this.position;
    this.idleNs = 0;
  }

  private span(): PhaseSpan {
    return { name: this.name, from: this.from, to: this.position, instructions: this.position - this.from, idleNs: this.idleNs };
  }

  private totalsOf({ instructions, idleNs }: PhaseSpan): RunTotals {
    const { systemCallsPerMillion, pageWalksPerMillion, kernelShare } = this.rates;
    return {
      instructions, idleNs,
      systemCalls: systemCallsPerMillion === undefined ? undefined : (systemCallsPerMillion * instructions) / 1e6,
      pageWalks: this.walks !== undefined ? this.walks - this.walksFrom : pageWalksPerMillion === undefined ? undefined : (pageWalksPerMillion * instructions) / 1e6,
      kernelInstructions: kernelShare === undefined ? undefined : kernelShare * instructions,
    };
  }

  /** What is known so far. Leaves the fold as it was: more rows may follow. */
  report(): ComparisonReport {
    const last = this.span();
    const spans = [...this.spans, last];
    const settled = new Map([...this.columns.values()].map((column) => [column, this.settle(column, last)]));
    const settledOf = (column: Column): Settled => settled.get(column) ?? this.settle(column, last);
    const instructions = this.position;
    const regimes = this.entries.map((entry) => this.regimeReport(entry, settledOf, spans));
    return { instructions, idleNs: spans.reduce((sum, span) => sum + span.idleNs, 0), events: this.events, cyclesPerInstruction: this.cyclesPerInstruction, phases: spans, regimes, ...(this.hasPauses && { pauses: this.pauses }) };
  }

  /** The ledgers of all phases and their sum, with what the open phase would end with. */
  private settle(column: Column, last: PhaseSpan): Settled {
    const { projection } = column;
    const before = projection.save();
    const open = new Ledger();
    open.add(column.current);
    projection.finish(this.totalsOf(last), open);
    const uses = projection.parameterUses();
    projection.restore(before);
    const phases = [...column.closed, open];
    const run = new Ledger();
    for (const phase of phases) run.add(phase);
    return { phases, run, uses };
  }

  private regimeReport({ candidate: chosen, column, baseline, variants: changed }: Entry, settledOf: (column: Column) => Settled, spans: readonly PhaseSpan[]): RegimeReport {
    const own = settledOf(column);
    const native = settledOf(baseline);
    const total = this.position;
    const run = this.segment(own.run, native.run, total);
    const sensitivity = this.sensitivity(column, own, baseline, native, total);
    const removals = changed
      .map(({ option, title, from, to, column: other, baseline: otherBaseline }): RemovalRow => {
        const segment = this.segment(settledOf(other).run, settledOf(otherBaseline).run, total);
        const saved = (name: keyof CycleRange): number => run.cycles[name] - run.nativeCycles[name] - (segment.cycles[name] - segment.nativeCycles[name]);
        const cyclesSaved = { low: saved('low'), typical: saved('typical'), high: saved('high') };
        return { option, title, from, to, exitsSaved: run.exits - segment.exits, cyclesSaved, slowdown: segment.slowdown.typical };
      })
      .filter(({ exitsSaved, cyclesSaved }) => exitsSaved !== 0 || cyclesSaved.typical !== 0)
      .sort((a, b) => b.cyclesSaved.typical - a.cyclesSaved.typical);
    return {
      id: chosen.id, title: chosen.title, regime: chosen.regime.id, options: chosen.options, cpu: chosen.cpu, notes: chosen.notes, missing: this.missing(column), run,
      phases: spans.map((span, i) => this.segment(own.phases[i], native.phases[i], span.instructions)),
      counters: column.projection.counters(), sensitivity, removals, sources: sensitivity.map(({ parameter }) => column.costs.row(parameter)),
    };
  }

  private segment(own: Ledger, native: Ledger, instructions: number): SegmentReport {
    const { exits, haltPollNs } = own;
    const sums = { exits, cycles: own.cycles(), nativeCycles: native.cycles(), reasons: own.reasons(), direct: own.directs(), haltPollNs };
    return segmentReport(sums, instructions, instructions * this.cyclesPerInstruction);
  }

  private sensitivity(column: Column, own: Settled, baseline: Column, native: Settled, instructions: number): SensitivityRow[] {
    const base = instructions * this.cyclesPerInstruction;
    const ownTypical = own.run.cycles().typical;
    const nativeTypical = native.run.cycles().typical;
    return [...own.uses]
      .filter(([, uses]) => uses > 0)
      .map(([parameter, uses]): SensitivityRow => {
        const { low, typical, high, trust } = column.costs.row(parameter);
        const nativeUses = native.uses.get(parameter) ?? 0;
        const nativeCost = nativeUses === 0 ? { typical } : baseline.costs.row(parameter);
        const at = (value: number): number => (base + ownTypical + uses * (value - typical)) / Math.max(base + nativeTypical + nativeUses * (value - nativeCost.typical), Number.MIN_VALUE);
        return { parameter, uses, low, typical, high, trust, slowdownLow: at(low), slowdownHigh: at(high) };
      })
      .sort((a, b) => Math.abs(b.slowdownHigh - b.slowdownLow) - Math.abs(a.slowdownHigh - a.slowdownLow) || b.uses - a.uses);
  }

  /** Plain data that survives JSON; for a comparison of the same setup. */
  save(): ComparisonState {
    return {
      version: STATE_VERSION, spans: [...this.spans], name: this.name, from: this.from, position: this.position, idleNs: this.idleNs, events: this.events, walks: this.walks, walksFrom: this.walksFrom, pauses: this.pauses,
      columns: [...this.columns.values()].map(({ projection, current, closed }) => ({ projection: projection.save(), current: current.save(), closed: closed.map((ledger) => ledger.save()) })),
    };
  }

  /** Throws RegimeError if the state is of another setup. */
  restore(state: ComparisonState): void {
    if (state.version !== STATE_VERSION || state.columns.length !== this.columns.size) throw new RegimeError('the saved state is of another comparison; fold again from the beginning');
    [...this.columns.values()].forEach((column, i) => {
      const saved = state.columns[i];
      column.projection.restore(saved.projection);
      column.current = Ledger.restore(saved.current);
      column.closed.splice(0, column.closed.length, ...saved.closed.map((ledger) => Ledger.restore(ledger)));
    });
    this.spans = [...state.spans];
    this.name = state.name;
    this.from = state.from;
    this.position = state.position;
    this.idleNs = state.idleNs;
    this.events = state.events;
    this.walks = state.walks;
    this.walksFrom = state.walksFrom ?? 0;
    this.pauses = state.pauses ?? { kernel: 0, user: 0 };
  }
}

/** The rows of one shape; most blocks have few or none, which their sites tell. */
function rowsOfShape(batch: EventBatch, start: number, end: number, shape: number): Uint16Array {
  const isOf = batch.sites.shape.map((each) => (each === shape ? 1 : 0));
  if (!isOf.includes(1)) return NO_ROWS;
  const rows = new Uint16Array(end - start + 1);
  return rows.subarray(0, selectRows(batch, start, end, isOf, rows));
}
const NO_ROWS = new Uint16Array(0);

interface Settled {
  readonly phases: readonly Ledger[];
  readonly run: Ledger;
  readonly uses: ReadonlyMap<string, number>;
}

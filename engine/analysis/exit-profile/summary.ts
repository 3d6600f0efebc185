/** From the cells of an ExitTable to an ExitProfile: sums over cells, names, order. */
import { HANDLER_CLASSES } from '../../regimes/regime.ts';
import {
  CONTEXT_OTHER, type ContextTable, SUM_COSTED, SUM_COUNT, SUM_FIRST_NS, SUM_HIGH, SUM_LAST_NS, SUM_LOW, SUM_MAX, SUM_MIN, SUM_TYPICAL,
} from './context-table.ts';
import { CONTEXT_NONE, type ContextNames } from './contexts.ts';
import {
  CELL_COSTED, CELL_COUNT, CELL_FIRST_NS, CELL_HIGH, CELL_IDLE, CELL_LAST_NS, CELL_LOW, CELL_MAX, CELL_MIN, CELL_TYPICAL,
  COARSE_ASYNCHRONOUS, COARSE_RIP, COARSE_TARGET, type ExitTable, HANDLER_UNKNOWN, REASON_OTHER, SLICES, SLICE_COST, SLICE_EXITS, SLICE_IDLE_EXITS,
  TARGET_CR, TARGET_DR, TARGET_GPA, TARGET_LEVEL, TARGET_MSR, TARGET_NONE, TARGET_PORT, TARGET_VECTOR,
} from './exit-table.ts';
import { BUCKETS, quantile } from './histogram.ts';
import { VECTOR_NAMES, type Window, deviceOfAddress, deviceOfPort, msrName } from './places.ts';
import type { CostSummary, DirectCost, ExitProfile, ProfileDimension, ProfileRow, ProfileSource, StackWeight } from './profile.ts';

export interface SummaryOptions {
  readonly source: ProfileSource;
  readonly unit: 'cycles' | 'ns' | undefined;
  readonly costIs?: string | undefined;
  readonly reasonName: (reason: number) => string;
  /** Register windows of the machine's devices. */
  readonly windows?: readonly Window[] | undefined;
  /** The guest function at an address; undefined if no symbol covers it. */
  readonly functionAt?: ((ripLo: number, ripHi: number) => string | undefined) | undefined;
  /** Where the profile ends, ns and instructions since power-on. */
  readonly endNs: number;
  readonly endPosition?: number | undefined;
  /** Where it begins. */
  readonly startNs?: number | undefined;
  readonly idleNs?: number | undefined;
  readonly direct?: readonly DirectCost[] | undefined;
  /** Phases are virtual CPUs: those of an imported trace. */
  readonly phasesAre?: 'phase' | 'vcpu';
  /** False if exits have no rip. */
  readonly hasRips?: boolean;
  /** Exits by task and call stack. */
  readonly contexts?: { readonly table: ContextTable; readonly names: ContextNames } | undefined;
  readonly notes?: readonly string[];
}

/** A group of cells. */
interface Sum {
  readonly label: string;
  readonly detail: string | undefined;
  readonly isIdle: boolean;
  readonly isOther: boolean;
  readonly fromNs: number | undefined;
  readonly toNs: number | undefined;
  readonly reason: number | undefined;
  count: number;
  costed: number;
  low: number;
  typical: number;
  high: number;
  min: number;
  max: number;
  firstNs: number;
  lastNs: number;
  histogram: Float64Array | undefined;
  readonly frames?: readonly string[] | undefined;
}

interface Key {
  readonly label: string;
  readonly detail?: string | undefined;
  readonly isOther?: boolean;
  readonly reason?: number;
  readonly phase?: number;
}

const ASYNCHRONOUS: Key = { label: '(no instruction)' };

/** Stacks that are listed; the rest is one stack. */
const STACKS_MAX = 10_000;

export function summarize(table: ExitTable, options: SummaryOptions): ExitProfile {
  const { unit } = options;
  const windows = options.windows ?? [];
  const startNs = options.startNs ?? 0;
  const durationNs = Math.max(0, options.endNs - startNs);
  const phasesAre = options.phasesAre ?? 'phase';
  const sides = [{ exits: 0, low: 0, typical: 0, high: 0 }, { exits: 0, low: 0, typical: 0, high: 0 }];
  let coarseRips = 0;
  let coarseTargets = 0;
  for (let cell = 0; cell < table.cells; cell++) {
    const side = sides[table.sum(cell, CELL_IDLE)];
    side.exits += table.sum(cell, CELL_COUNT);
    side.low += table.sum(cell, CELL_LOW);
    side.typical += table.sum(cell, CELL_TYPICAL);
    side.high += table.sum(cell, CELL_HIGH);
    if (table.coarse[cell] === COARSE_RIP) coarseRips += table.sum(cell, CELL_COUNT);
    if (table.coarse[cell] === COARSE_TARGET) coarseTargets += table.sum(cell, CELL_COUNT);
  }

  const reasonLabel = (reason: number): string => (reason === REASON_OTHER ? '(other reasons)' : options.reasonName(reason));
  const functionOf = (cell: number): Key => {
    if (table.coarse[cell] === COARSE_ASYNCHRONOUS) return ASYNCHRONOUS;
    if (table.coarse[cell] !== 0) return { label: '(other addresses)', isOther: true };
    const name = options.functionAt?.(table.ripLo[cell], table.ripHi[cell]);
    return { label: name ?? (table.ripHi[cell] >= 0x8000_0000 ? '[kernel]' : '[user]') };
  };
  const gpaOf = (cell: number): number => table.targetHi[cell] * 0x1_0000_0000 + table.targetLo[cell];
  const keyOf: Partial<Record<ProfileDimension, (cell: number) => Key | undefined>> = {
    reason: (cell) => ({ label: reasonLabel(table.reason[cell]), reason: table.reason[cell], isOther: table.reason[cell] === REASON_OTHER }),
    handler: (cell) => (table.handler[cell] === HANDLER_UNKNOWN ? undefined : { label: HANDLER_CLASSES[table.handler[cell]] ?? `handler ${table.handler[cell]}` }),
    device: (cell) => {
      const kind = table.targetKind[cell];
      if (kind === TARGET_PORT) return { label: deviceOfPort(table.targetLo[cell]) ?? `port ${hex(table.targetLo[cell])}` };
      if (kind === TARGET_GPA) return { label: deviceOfAddress(gpaOf(cell), windows) ?? `page ${hex(Math.floor(gpaOf(cell) / 4096) * 4096)}` };
      return undefined;
    },
    port: (cell) => (table.targetKind[cell] === TARGET_PORT ? { label: hex(table.targetLo[cell]), detail: deviceOfPort(table.targetLo[cell]) } : undefined),
    msr: (cell) => (table.targetKind[cell] === TARGET_MSR ? { label: hex(table.targetLo[cell]), detail: msrName(table.targetLo[cell]) } : undefined),
    gpa: (cell) => (table.targetKind[cell] === TARGET_GPA ? { label: hex(gpaOf(cell)), detail: deviceOfAddress(gpaOf(cell), windows) } : undefined),
    ...(options.hasRips !== false && {
      rip: (cell): Key => {
        if (table.coarse[cell] === COARSE_ASYNCHRONOUS) return ASYNCHRONOUS;
        if (table.coarse[cell] !== 0) return { label: '(other addresses)', isOther: true };
        return { label: ripText(table.ripLo[cell], table.ripHi[cell]), detail: options.functionAt?.(table.ripLo[cell], table.ripHi[cell]) };
      },
      ...(options.functionAt !== undefined && { function: functionOf }),
    }),
    [phasesAre]: (cell: number): Key => ({ label: table.phases[table.phaseOf[cell]].name, phase: table.phaseOf[cell] }),
  };

  const by: Partial<Record<ProfileDimension, readonly ProfileRow[]>> = {};
  const finish = (sum: Sum): ProfileRow => {
    const side = sides[sum.isIdle ? 1 : 0];
    const seconds = (sum.fromNs !== undefined && sum.toNs !== undefined ? sum.toNs - sum.fromNs : durationNs) / 1e9;
    const gaps = sum.reason === undefined ? undefined : table.gapsOf(sum.reason);
    const cost: CostSummary | undefined =
      unit === undefined || sum.costed === 0
        ? undefined
        : {
            exits: sum.costed, total: sum.typical, totalLow: sum.low, totalHigh: sum.high,
            min: sum.min, mean: sum.typical / sum.costed, max: sum.max, share: side.typical === 0 ? 0 : sum.typical / side.typical,
            ...(sum.histogram !== undefined && { p99: quantile(sum.histogram, 0, 0.99, sum.min, sum.max) }),
          };
    return {
      label: sum.label, ...(sum.detail !== undefined && { detail: sum.detail }), isIdle: sum.isIdle, isOther: sum.isOther, count: sum.count,
      ...(seconds > 0 && { perSecond: sum.count / seconds }),
      ...(cost !== undefined && { cost }),
      ...(sum.count > 1 && {
        betweenNs: {
          mean: Math.max(0, sum.lastNs - sum.firstNs) / (sum.count - 1),
          ...(gaps !== undefined && gaps.count > 0 && { min: gaps.min, p99: quantile(table.reasonHistogram, gaps.offset, 0.99, gaps.min, gaps.max), max: gaps.max }),
        },
      }),
      ...(sum.frames !== undefined && { frames: sum.frames }),
      ...(sum.fromNs !== undefined && { fromNs: sum.fromNs - startNs, toNs: (sum.toNs ?? 0) - startNs }),
    };
  };

  for (const [dimension, key] of Object.entries(keyOf) as [ProfileDimension, (cell: number) => Key | undefined][]) {
    const sums = new Map<string, Sum>();
    for (let cell = 0; cell < table.cells; cell++) {
      const found = key(cell);
      if (found === undefined) continue;
      const isIdle = table.sum(cell, CELL_IDLE) !== 0;
      const id = `${isIdle ? 1 : 0} ${found.phase ?? found.reason ?? ''} ${found.label}`;
      let sum = sums.get(id);
      if (sum === undefined) {
        const isPhase = dimension === 'phase';
        sum = {
          label: found.label, detail: found.detail, isIdle, isOther: found.isOther === true, reason: found.reason,
          fromNs: isPhase ? table.phases[found.phase ?? 0].fromNs : undefined,
          toNs: isPhase ? (table.phases[(found.phase ?? 0) + 1]?.fromNs ?? options.endNs) : undefined,
          count: 0, costed: 0, low: 0, typical: 0, high: 0, min: Infinity, max: -Infinity, firstNs: Infinity, lastNs: -Infinity, histogram: undefined,
        };
        sums.set(id, sum);
      }
      addCell(sum, table, cell);
    }
    const rows = [...sums.values()].map(finish);
    by[dimension] = dimension === 'phase' ? rows : rows.sort(byWeight);
  }
  if (options.contexts !== undefined) {
    by.task = taskSums(options.contexts).map(finish).sort(byWeight);
    by.stack = stackSums(table, options.contexts).map(finish).sort(byWeight);
  }
  by.time = sliceRows(table, options.endNs, startNs, unit !== undefined, sides[0].typical);

  const notes = [...(options.notes ?? [])];
  if (coarseRips > 0) notes.push(`${coarseRips} exits of addresses that came after ${table.cells} combinations were known share rows called "(other addresses)"; sums by reason, device and phase are exact`);
  if (options.contexts !== undefined) notes.push(...contextNotes(options.contexts));
  if (coarseTargets > 0) notes.push(`${coarseTargets} exits of ports, MSRs or device registers that came late are counted by reason only`);
  if (table.sliceBaseNs !== undefined && durationNs > 0 && sides[0].exits + sides[1].exits === 0) notes.push('there is no exit');

  return {
    source: options.source,
    ...(unit !== undefined && { unit, costIs: options.costIs }),
    ...(durationNs > 0 && { durationNs }),
    ...(options.endPosition !== undefined && { instructions: options.endPosition }),
    ...(options.idleNs !== undefined && { idleNs: options.idleNs }),
    exits: sides[0].exits + sides[1].exits,
    idleExits: sides[1].exits,
    ...(unit !== undefined && { work: { low: sides[0].low, typical: sides[0].typical, high: sides[0].high }, idle: { low: sides[1].low, typical: sides[1].typical, high: sides[1].high } }),
    by: Object.fromEntries(Object.entries(by).filter(([, rows]) => rows.length > 0)),
    ...(options.direct !== undefined && { direct: options.direct }),
    stacks: options.contexts === undefined ? stacksOf(table, options, functionOf, reasonLabel) : contextStacks(table, options.contexts, options, reasonLabel),
    ...(options.contexts !== undefined && { hasCallStacks: true }),
    notes,
  };
}

function byWeight(a: ProfileRow, b: ProfileRow): number {
  return Number(a.isIdle) - Number(b.isIdle) || (b.cost?.total ?? 0) - (a.cost?.total ?? 0) || b.count - a.count || (a.label < b.label ? -1 : 1);
}

type Contexts = NonNullable<SummaryOptions['contexts']>;
const NO_TASK = '(no task)';
const OTHER_TASKS = '(other tasks)';
const OTHER_STACKS = '(other stacks)';

function taskName({ names }: Contexts, task: number): string {
  return task === CONTEXT_OTHER ? OTHER_TASKS : task === CONTEXT_NONE ? NO_TASK : (names.tasks[task] ?? `task ${task}`);
}

function stackFrames({ names }: Contexts, stack: number): readonly string[] {
  return stack === CONTEXT_OTHER ? [OTHER_STACKS] : stack === CONTEXT_NONE ? [ASYNCHRONOUS.label] : names.stacks.framesOf(stack);
}

function newSum(label: string, isIdle: boolean, isOther: boolean, frames: readonly string[] | undefined): Sum {
  return {
    label, detail: undefined, isIdle, isOther, fromNs: undefined, toNs: undefined, reason: undefined,
    count: 0, costed: 0, low: 0, typical: 0, high: 0, min: Infinity, max: -Infinity, firstNs: Infinity, lastNs: -Infinity, histogram: undefined, frames,
  };
}

function addSums(sum: Sum, of: (column: number) => number): void {
  sum.count += of(SUM_COUNT);
  sum.costed += of(SUM_COSTED);
  sum.low += of(SUM_LOW);
  sum.typical += of(SUM_TYPICAL);
  sum.high += of(SUM_HIGH);
  sum.min = Math.min(sum.min, of(SUM_MIN));
  sum.max = Math.max(sum.max, of(SUM_MAX));
  sum.firstNs = Math.min(sum.firstNs, of(SUM_FIRST_NS));
  sum.lastNs = Math.max(sum.lastNs, of(SUM_LAST_NS));
}

function taskSums(contexts: Contexts): Sum[] {
  const { table } = contexts;
  const sums = new Map<string, Sum>();
  for (let row = 0; row < table.tasks; row++) {
    const { task, isIdle } = table.taskAt(row);
    const label = taskName(contexts, task);
    const key = `${isIdle ? 1 : 0}${label}`;
    const sum = sums.get(key) ?? newSum(label, isIdle, task === CONTEXT_OTHER, undefined);
    sums.set(key, sum);
    addSums(sum, (column) => table.taskSum(row, column));
    const costs = table.taskHistogramOf(row);
    if (costs === undefined) continue;
    sum.histogram ??= new Float64Array(BUCKETS);
    for (let i = 0; i < BUCKETS; i++) sum.histogram[i] += costs.counts[costs.offset + i];
  }
  return [...sums.values()];
}

/** A row for each stack, whichever task it is of. */
function stackSums(cells: ExitTable, contexts: Contexts): Sum[] {
  const { table } = contexts;
  const sums = new Map<number, Sum>();
  for (let row = 0; row < table.rows; row++) {
    const stack = table.stackOf(row);
    const isIdle = cells.isIdleCell(table.leafOf(row));
    const key = stack * 2 + (isIdle ? 1 : 0);
    let sum = sums.get(key);
    if (sum === undefined) {
      const frames = stackFrames(contexts, stack);
      sums.set(key, (sum = newSum(frames[frames.length - 1], isIdle, stack === CONTEXT_OTHER, frames)));
    }
    addSums(sum, (column) => table.sum(row, column));
  }
  return [...sums.values()];
}

function contextStacks(cells: ExitTable, contexts: Contexts, options: SummaryOptions, reasonLabel: (reason: number) => string): StackWeight[] {
  const { table } = contexts;
  const stacks: StackWeight[] = [];
  for (let row = 0; row < table.rows; row++) {
    const cell = table.leafOf(row);
    const task = taskName(contexts, table.taskOf(row));
    const target = targetText(cells, cell, options.windows ?? []);
    stacks.push({
      frames: [task, ...stackFrames(contexts, table.stackOf(row)), reasonLabel(cells.reason[cell]), ...(target === undefined ? [] : [target])],
      exitFrames: target === undefined ? 1 : 2, task, count: table.sum(row, SUM_COUNT), ...(options.unit !== undefined && { cost: table.sum(row, SUM_TYPICAL) }), isIdle: cells.isIdleCell(cell),
    });
  }
  return stacks;
}

function contextNotes(contexts: Contexts): string[] {
  const { table, names } = contexts;
  const notes: string[] = [];
  let shared = 0;
  for (let row = 0; row < table.rows; row++) if (table.stackOf(row) === CONTEXT_OTHER) shared += table.sum(row, SUM_COUNT);
  if (shared > 0) notes.push(`${shared} exits of tasks and stacks that came late share rows called "${OTHER_STACKS}"; sums by task are exact`);
  if (names.stacks.cut > 0) notes.push(`${names.stacks.cut} times a call stack was too deep, or one too many, to be told whole: it ends at an outer frame`);
  return notes;
}

function addCell(sum: Sum, table: ExitTable, cell: number): void {
  sum.count += table.sum(cell, CELL_COUNT);
  sum.costed += table.sum(cell, CELL_COSTED);
  sum.low += table.sum(cell, CELL_LOW);
  sum.typical += table.sum(cell, CELL_TYPICAL);
  sum.high += table.sum(cell, CELL_HIGH);
  sum.min = Math.min(sum.min, table.sum(cell, CELL_MIN));
  sum.max = Math.max(sum.max, table.sum(cell, CELL_MAX));
  sum.firstNs = Math.min(sum.firstNs, table.sum(cell, CELL_FIRST_NS));
  sum.lastNs = Math.max(sum.lastNs, table.sum(cell, CELL_LAST_NS));
  if (table.sum(cell, CELL_COSTED) === 0) return;
  sum.histogram ??= new Float64Array(BUCKETS);
  const counts = table.costsOf(cell);
  for (let i = 0; i < BUCKETS; i++) sum.histogram[i] += counts[i];
}

/** Slices with at least one exit. */
function sliceRows(table: ExitTable, endNs: number, startNs: number, hasCosts: boolean, workTotal: number): ProfileRow[] {
  const rows: ProfileRow[] = [];
  const base = table.sliceBaseNs ?? 0;
  for (let i = 0; i < SLICES; i++) {
    const fromNs = base + i * table.sliceWidthNs;
    const toNs = Math.min(Math.max(endNs, fromNs), fromNs + table.sliceWidthNs);
    for (const isIdle of [false, true]) {
      const count = table.sliceValue(i, isIdle ? SLICE_IDLE_EXITS : SLICE_EXITS);
      if (count === 0) continue;
      const total = table.sliceValue(i, SLICE_COST);
      rows.push({
        label: `${((fromNs - startNs) / 1e9).toFixed(6)} s`, isIdle, isOther: false, count,
        ...(toNs > fromNs && { perSecond: count / ((toNs - fromNs) / 1e9) }),
        ...(hasCosts && !isIdle && { cost: { exits: count, total, mean: total / count, share: workTotal === 0 ? 0 : total / workTotal } }),
        fromNs: fromNs - startNs, toNs: toNs - startNs,
      });
    }
  }
  return rows;
}

function stacksOf(table: ExitTable, options: SummaryOptions, functionOf: (cell: number) => Key, reasonLabel: (reason: number) => string): StackWeight[] {
  const stacks = new Map<string, { frames: string[]; count: number; cost: number; isIdle: boolean }>();
  for (let cell = 0; cell < table.cells; cell++) {
    const frames: string[] = [];
    if (table.phases.length > 1) frames.push(table.phases[table.phaseOf[cell]].name);
    if (options.hasRips !== false) frames.push(functionOf(cell).label);
    frames.push(reasonLabel(table.reason[cell]));
    const target = targetText(table, cell, options.windows ?? []);
    if (target !== undefined) frames.push(target);
    const isIdle = table.sum(cell, CELL_IDLE) !== 0;
    let id = `${isIdle ? 1 : 0}${frames.join('\n')}`;
    if (stacks.size >= STACKS_MAX && !stacks.has(id)) {
      frames.splice(0, frames.length, '(other stacks)');
      id = `${isIdle ? 1 : 0}(other stacks)`;
    }
    const stack = stacks.get(id) ?? { frames, count: 0, cost: 0, isIdle };
    stack.count += table.sum(cell, CELL_COUNT);
    stack.cost += table.sum(cell, CELL_TYPICAL);
    stacks.set(id, stack);
  }
  return [...stacks.values()].map(({ frames, count, cost, isIdle }) => ({ frames, count, ...(options.unit !== undefined && { cost }), isIdle }));
}

function targetText(table: ExitTable, cell: number, windows: readonly Window[]): string | undefined {
  const lo = table.targetLo[cell];
  switch (table.targetKind[cell]) {
    case TARGET_NONE:
      return undefined;
    case TARGET_PORT:
      return `port ${hex(lo)}${named(deviceOfPort(lo))}`;
    case TARGET_MSR:
      return `msr ${hex(lo)}${named(msrName(lo))}`;
    case TARGET_GPA: {
      const address = table.targetHi[cell] * 0x1_0000_0000 + lo;
      return `gpa ${hex(address)}${named(deviceOfAddress(address, windows))}`;
    }
    case TARGET_CR:
      return `cr${lo}`;
    case TARGET_DR:
      return `dr${lo}`;
    case TARGET_VECTOR:
      return VECTOR_NAMES[lo] ?? `vector ${lo}`;
    case TARGET_LEVEL:
      return `level ${lo}`;
    default:
      return undefined;
  }
}

const named = (name: string | undefined): string => (name === undefined ? '' : ` ${name}`);
const hex = (value: number): string => `0x${value.toString(16)}`;

export function ripText(lo: number, hi: number): string {
  return hi === 0 ? hex(lo) : `0x${hi.toString(16)}${lo.toString(16).padStart(8, '0')}`;
}

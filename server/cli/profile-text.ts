/** Exit profiles as tables: what `stat` and `profile` print. */
import { adviceOn, lacksTargets } from '../../engine/analysis/exit-profile/advice.ts';
import type { ExitProfile, ProfileDimension, ProfileRow } from '../../engine/analysis/exit-profile/profile.ts';
import { grouped, virtualTime } from './format.ts';

const LABEL_MAX = 48;
/** Characters of a line of callers. */
const FRAMES_WIDTH = 120;

export const DIMENSION_TITLES: Readonly<Record<ProfileDimension, string>> = {
  reason: 'VM-EXIT', handler: 'HANDLED BY', device: 'DEVICE', port: 'PORT', msr: 'MSR', gpa: 'ADDRESS', rip: 'RIP', function: 'FUNCTION', task: 'TASK', stack: 'CALL STACK', phase: 'PHASE', vcpu: 'VCPU', time: 'TIME',
};

/** Columns with the first at the left, numbers at the right. */
export function rightTable(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  return rows.map((row) => `  ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ')}`.trimEnd());
}

/** A view in the columns of `perf kvm stat`: count and share, share of cost, minimum, 99th percentile, maximum, mean; then rate and time between. */
export function viewLines(profile: ExitProfile, dimension: ProfileDimension, limit: number): string[] {
  const rows = profile.by[dimension] ?? [];
  const work = rows.filter(({ isIdle }) => !isIdle);
  const idle = rows.filter(({ isIdle }) => isIdle);
  const { unit } = profile;
  const hasRates = rows.some(({ perSecond }) => perSecond !== undefined);
  const hasGaps = dimension !== 'time' && rows.some(({ betweenNs }) => betweenNs !== undefined);
  const cost = (value: number | undefined): string => (value === undefined ? '-' : unit === 'ns' ? `${(value / 1e3).toFixed(2)}us` : grouped(value));
  const heading = [
    DIMENSION_TITLES[dimension], 'Samples', 'Samples%', ...(unit === undefined ? [] : [unit === 'ns' ? 'Time%' : 'Cycles%', 'Min', 'P99', 'Max', 'Mean', unit === 'ns' ? 'Total' : 'Total (low to high)']),
    ...(hasRates ? ['per second'] : []), ...(hasGaps ? ['between'] : []),
  ];
  const line = (row: ProfileRow, exits: number): string[] => [
    labelOf(row), grouped(row.count), `${((row.count / Math.max(1, exits)) * 100).toFixed(2)}%`,
    ...(unit === undefined
      ? []
      : [
          row.cost === undefined ? '-' : `${(row.cost.share * 100).toFixed(2)}%`, cost(row.cost?.min), cost(row.cost?.p99), cost(row.cost?.max), cost(row.cost?.mean),
          row.cost === undefined ? '-' : unit === 'ns' || row.cost.totalLow === undefined || row.cost.totalHigh === undefined ? cost(row.cost.total) : `${grouped(row.cost.total)} (${grouped(row.cost.totalLow)} to ${grouped(row.cost.totalHigh)})`,
        ]),
    ...(hasRates ? [row.perSecond === undefined ? '-' : grouped(row.perSecond)] : []), ...(hasGaps ? [row.betweenNs === undefined ? '-' : virtualTime(Math.round(row.betweenNs.mean))] : []),
  ];
  const workExits = profile.exits - profile.idleExits;
  const shown = work.slice(0, limit);
  const lines = withFrames(rightTable([heading, ...shown.map((row) => line(row, workExits))]), shown);
  const shownIdle = idle.slice(0, limit);
  const idleLines = shownIdle.map((row) => line(row, profile.idleExits));
  const left = work.slice(limit);
  if (left.length > 0) lines.push(`  ... ${left.length} more with ${grouped(left.reduce((sum, { count }) => sum + count, 0))} exits (--top N, --json)`);
  if (idleLines.length > 0) lines.push('', '  sleep, kept apart from work:', ...withFrames(rightTable([heading, ...idleLines]), shownIdle).slice(1));
  return lines;
}

/** Under each row that is a call stack its callers, the innermost first. `table` has a heading. */
function withFrames(table: readonly string[], rows: readonly ProfileRow[]): string[] {
  return [table[0], ...rows.flatMap((row, i) => [table[i + 1], ...framesText(row)])];
}

function framesText({ frames }: ProfileRow): string[] {
  const callers = frames?.slice(0, -1).reverse() ?? [];
  const lines: string[] = [];
  for (const each of callers) {
    const caller = `< ${each.replace(/[^\x20-\x7e]/g, '?')}`;
    const last = lines[lines.length - 1];
    if (last === undefined || last.length + 1 + caller.length > FRAMES_WIDTH) lines.push(`      ${caller}`);
    else lines[lines.length - 1] = `${last} ${caller}`;
  }
  return lines;
}

function labelOf({ label, detail }: ProfileRow): string {
  const whole = detail === undefined ? label : `${label} ${detail}`;
  const printable = whole.replace(/[^\x20-\x7e]/g, '?');
  return printable.length > LABEL_MAX ? `${printable.slice(0, LABEL_MAX - 3)}...` : printable;
}

/** What is profiled, above a table. */
export function headLines(profile: ExitProfile): string[] {
  const { source, durationNs, instructions, idleNs } = profile;
  const lines = [`Analyze events of ${source.name} (${source.kind})${source.under === undefined ? '' : `: ${source.under}`}`];
  const parts = [
    ...(durationNs === undefined ? [] : [`${virtualTime(Math.round(durationNs))}${source.kind === 'recording' ? ' of virtual time' : ''}`]),
    ...(idleNs === undefined || durationNs === undefined || durationNs === 0 ? [] : [`of it idle ${((idleNs / durationNs) * 100).toFixed(2)}%`]),
    ...(instructions === undefined ? [] : [`${grouped(instructions)} instructions`]),
  ];
  if (parts.length > 0) lines.push(parts.join(', '));
  return lines;
}

/** What would remove exits of an imported profile. */
export function adviceLines(profile: ExitProfile): string[] {
  const advice = adviceOn(profile);
  const work = profile.exits - profile.idleExits;
  if (work === 0) return [];
  if (advice.length === 0) return ['', 'What would remove it: no feature that is known here removes these exits.'];
  const range = (low: number, high: number, text: (value: number) => string): string => (text(low) === text(high) ? text(low) : `${text(low)} to ${text(high)}`);
  const time = profile.unit === 'ns' && (profile.work?.typical ?? 0) > 0;
  const share = (value: number): string => `${((value / (profile.work?.typical ?? 1)) * 100).toFixed(1)}%`;
  const rows = advice.map(({ feature, how, exits, cost, from }) => [
    feature, range(exits.low, exits.high, grouped), range(exits.low / work, exits.high / work, (part) => `${(part * 100).toFixed(1)}%`), ...(time ? [cost === undefined ? '-' : range(cost.low, cost.high, share)] : []), how, [...new Set(from)].slice(0, 4).join(', '),
  ]);
  const lines = leftTable([['What would remove it', 'exits', 'of work', ...(time ? ['of time'] : []), 'how', 'from'], ...rows], time ? 3 : 2);
  lines.push('  A range is what a text of this kind leaves open; savings do not add up. Sources: --json.');
  if (lacksTargets(profile)) lines.push('  Ports, MSRs and addresses are not in this text: with the events kvm_pio, kvm_msr and kvm_mmio recorded as well, the ranges are narrower.');
  return ['', ...lines];
}

/** As rightTable, but only the `numbers` columns after the first are at the right. */
function leftTable(rows: readonly (readonly string[])[], numbers: number): string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  return rows.map((row) => `  ${row.map((cell, i) => (i === 0 || i > numbers ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ')}`.trimEnd());
}

/** Sums and what has to be known, below a table. */
export function footLines(profile: ExitProfile): string[] {
  const { unit, work, exits, idleExits, instructions, direct } = profile;
  const amount = (value: number): string => (unit === 'ns' ? `${(value / 1e3).toFixed(2)}us` : `${grouped(value)} cycles`);
  const lines = [''];
  let total = `Total Samples:${exits}`;
  if (idleExits > 0) total += ` (${exits - idleExits} work, ${idleExits} sleep)`;
  if (work !== undefined) total += `, work:${amount(work.typical)}${work.low === work.high ? '' : ` (${amount(work.low)} to ${amount(work.high)})`}`;
  lines.push(`${total}.`);
  if (instructions !== undefined && instructions > 0) lines.push(`${(((exits - idleExits) / instructions) * 1e6).toFixed(2)} exits of work per million instructions${work === undefined ? '' : `, ${(work.typical / instructions).toFixed(4)} cycles an instruction`}.`);
  if (direct !== undefined && direct.length > 0) {
    lines.push('', 'Costs without an exit:', ...rightTable([['', 'Count', 'Cycles (low to high)'], ...direct.map((each) => [each.label, grouped(each.count), `${grouped(each.typical)} (${grouped(each.low)} to ${grouped(each.high)})`])]));
  }
  if (profile.costIs !== undefined && unit !== undefined) lines.push('', `A cost is: ${profile.costIs}.`);
  for (const note of profile.notes) lines.push(`Note: ${note}.`);
  return lines;
}

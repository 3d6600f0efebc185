/** `compare`: what recordings would cost under each virtualisation technique, why, and which feature would remove it. */
import { Comparison } from '../../engine/analysis/comparison/comparison.ts';
import type { ComparisonReport, RegimeReport, SegmentReport } from '../../engine/analysis/comparison/report.ts';
import { REGIMES, candidate, type Candidate } from '../../engine/regimes/catalogue.ts';
import { CPUS } from '../../engine/regimes/costs/cpus.ts';
import type { ChosenCost } from '../../engine/regimes/costs/cost-table.ts';
import { PLATFORMS } from '../../engine/regimes/platforms/platforms.ts';
import type { MissingTotal } from '../../engine/regimes/regime.ts';
import { FileSource } from '../store/files.ts';
import { openLog } from '../store/logs.ts';
import { nearest } from '../store/suggest.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { JSON_OPTION } from './common-options.ts';
import type { Context, Verb } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { grouped, virtualTime } from './format.ts';
import { toJson } from './output.ts';
import { REGIME_FILE_OPTION, sourceLines, userPlatforms } from './regime-options.ts';
import { turn } from './host.ts';
import { signalStatus } from './signals.ts';
import { UsageError } from './usage-error.ts';

/** Rows of each list that people see; --json has all. */
const ROWS_SHOWN = 6;

const SPEC: VerbSpec = {
  name: 'compare',
  synopsis: 'FILE... [options]',
  summary: 'Shows what recordings would cost under each virtualisation technique, what dominates, and which feature would remove it. Nothing is run: it reads the log.',
  operands: { min: 1, max: 64 },
  options: [
    { name: 'regimes', value: 'LIST', help: 'techniques and platforms, or all (default: the six techniques); `chronovisor regimes list` has them' },
    { name: 'phases', help: 'each phase as well: from mark to mark' },
    { name: 'details', help: 'for each technique: exits by reason, sensitivity to each cost, what would remove it' },
    { name: 'sources', help: 'where each cost comes from' },
    { name: 'cpu', value: 'NAME', help: `whose costs: ${CPUS.map(({ id }) => id).join(', ')}` },
    { name: 'cpi', value: 'N', help: 'native cycles for an instruction, an assumption (default: 1)' },
    { name: 'kpti', help: 'the guest kernel separates its page tables from its users\'' },
    { name: 'system-calls', value: 'N', help: 'system calls per million instructions, which logs do not hold (default: not charged)' },
    { name: 'page-walks', value: 'N', help: 'TLB misses per million instructions, which logs do not hold (default: not charged)' },
    { name: 'kernel-share', value: 'N', help: 'share of the instructions that is the kernel\'s, 0 to 1 (default: not charged)' },
    REGIME_FILE_OPTION,
    JSON_OPTION,
  ],
  notes: ['assumed: the share of the cycles that rests on costs of another CPU, or that nobody measured; --sources shows which.', 'Slowdown is time against the bare machine, (instructions x CPI + cycles of events) of each; time asleep is left out. Ranges are those of the costs.'],
};

export const compare: Verb = { spec: SPEC, run: start };

async function start(parsed: Arguments, { out, err, signals }: Context): Promise<number> {
  const isJson = parsed.has('json');
  const hasDetails = parsed.has('details');
  const candidates = candidatesOf(parsed);
  const rates = { systemCallsPerMillion: decimal(parsed, 'system-calls'), pageWalksPerMillion: decimal(parsed, 'page-walks'), kernelShare: decimal(parsed, 'kernel-share', 1) };
  const cyclesPerInstruction = decimal(parsed, 'cpi') ?? 1;
  if (cyclesPerInstruction === 0) throw parsed.wrong('cpi', '0', 'a number above 0');

  const reports: { readonly file: string; readonly report: ComparisonReport }[] = [];
  for (const file of parsed.operands) {
    const { reader, torn } = openLog(new FileSource(file, 'FILE'));
    if (torn !== undefined) err.write(`chronovisor: ${file}: ${torn.message}; comparing what comes before\n`);
    else if (!reader.hasEnd) err.write(`chronovisor: ${file}: the log has no end; comparing what there is\n`);
    const comparison = new Comparison({ candidates, cyclesPerInstruction, rates, hasAdvice: hasDetails || isJson });
    for (let i = 0; i < reader.eventBlocks.length; i++) {
      comparison.add(reader.batch(i));
      await turn();
      if (signals.received !== undefined) return signalStatus(signals.received);
    }
    reports.push({ file, report: comparison.report() });
  }

  if (isJson) {
    out.write(`${toJson({ verb: 'compare', files: reports.map(({ file, report }) => ({ file, ...report })) }, 2)}\n`);
    return exitCode('ok');
  }
  const lines: string[] = [];
  for (const { file, report } of reports) lines.push(...textOf(file, report, parsed.has('phases'), hasDetails));
  if (parsed.has('sources')) {
    const rows = new Map<string, ChosenCost>();
    for (const { report } of reports) for (const { cpu, sources } of report.regimes) for (const row of sources) rows.set(`${cpu} ${row.parameter}`, row);
    for (const cpu of new Set([...rows.keys()].map((key) => key.split(' ')[0]))) {
      lines.push(`costs on ${cpu}, cycles`, ...sourceLines([...rows].filter(([key]) => key.startsWith(`${cpu} `)).map(([, row]) => row)));
    }
  }
  out.write(`${lines.join('\n')}\n`);
  return exitCode('ok');
}

function candidatesOf(parsed: Arguments): Candidate[] {
  const own = userPlatforms(parsed);
  const text = parsed.text('regimes');
  const all = [...REGIMES, ...own, ...PLATFORMS].map(({ id }) => id);
  const ids = text === undefined ? [...REGIMES, ...own].map(({ id }) => id) : text === 'all' ? all : text.split(',').filter((id) => id !== '');
  if (ids.length === 0) throw parsed.wrong('regimes', text ?? '', 'names of techniques or platforms, or all');
  for (const id of ids) {
    if (all.includes(id)) continue;
    const near = nearest(id, all);
    throw new UsageError(`--regimes: there is no technique or platform "${id}"${near === undefined ? '' : `; did you mean ${near}?`}; \`chronovisor regimes list\` has them`, 'compare');
  }
  return [...new Set(ids)].map((id) => candidate(id, { cpu: parsed.text('cpu'), options: parsed.has('kpti') ? { guestKpti: true } : {} }, own));
}

function decimal(parsed: Arguments, name: string, max = Infinity): number | undefined {
  const text = parsed.text(name);
  if (text === undefined) return undefined;
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
  if (!(value <= max)) throw parsed.wrong(name, text, max === Infinity ? 'a number, such as 1 or 0.7' : `a number from 0 to ${max}`);
  return value;
}

const MISSING_TEXT: Readonly<Record<MissingTotal, string>> = {
  systemCalls: 'system calls (--system-calls)',
  pageWalks: 'TLB misses (--page-walks)',
  kernelInstructions: 'kernel instructions (--kernel-share)',
};
const COLUMNS = ['', 'slowdown', 'range', 'exits', 'per million', 'cycles of events', 'what costs most'];
const RUN_COLUMNS = [...COLUMNS.slice(0, -1), 'assumed', 'what costs most'];

function textOf(file: string, report: ComparisonReport, hasPhases: boolean, hasDetails: boolean): string[] {
  const size = `${grouped(report.instructions)} instructions at ${report.cyclesPerInstruction} cycles (assumed), ${grouped(report.events)} events`;
  const lines = [
    `${file}: ${size}, ${virtualTime(report.idleNs)} asleep (left out)`,
    ...numbers(RUN_COLUMNS, report.regimes.map((regime) => [regime.id, ...segmentCells(regime.run).toSpliced(-1, 0, assumedShare(regime))])),
  ];
  if (report.regimes.some(({ run }) => run.slowdown.typical < 1)) {
    lines.push('  below 1: a device register costs more on the bus of a bare machine than an exit that ends in the hypervisor');
  }
  const missing = [...new Set(report.regimes.flatMap((regime) => regime.missing))];
  if (missing.length > 0) {
    const who = (need: MissingTotal): string => report.regimes.filter((regime) => regime.missing.includes(need)).map(({ id }) => id).join(', ');
    lines.push(...missing.map((need) => `  not charged, because logs do not hold it: ${MISSING_TEXT[need]}: ${who(need)}`));
  }
  if (hasPhases) {
    report.phases.forEach((phase, i) => {
      lines.push(
        `  ${phase.name}: @${grouped(phase.from)} to @${grouped(phase.to)}`,
        ...numbers(COLUMNS, report.regimes.map((regime) => [regime.id, ...segmentCells(regime.phases[i])])).map((line) => `  ${line}`),
      );
    });
  }
  if (hasDetails) for (const regime of report.regimes) lines.push(...detailsOf(regime));
  return lines;
}

/** How much of the cycles rests on costs that were measured elsewhere or nowhere. */
function assumedShare({ sensitivity }: RegimeReport): string {
  const sum = (rows: RegimeReport['sensitivity']): number => rows.reduce((cycles, { uses, typical }) => cycles + uses * typical, 0);
  const all = sum(sensitivity);
  return all === 0 ? '-' : `${((sum(sensitivity.filter(({ trust }) => trust === 'assumed')) / all) * 100).toFixed(0)} %`;
}

function segmentCells({ slowdown, exits, exitsPerMillion, cycles, dominant }: SegmentReport): string[] {
  return [
    ratio(slowdown.typical), `${ratio(slowdown.low)} to ${ratio(slowdown.high)}`, grouped(exits), exitsPerMillion.toFixed(1), grouped(cycles.typical),
    dominant === undefined ? '-' : `${dominant.name}, ${(dominant.share * 100).toFixed(0)} %`,
  ];
}

function detailsOf({ id, title, cpu, run, counters, sensitivity, removals }: RegimeReport): string[] {
  const total = run.cycles.typical;
  const share = (part: number): string => (total === 0 ? '-' : `${((part / total) * 100).toFixed(1)} %`);
  const signed = (value: number): string => (value < 0 ? `-${grouped(-value)}` : grouped(value));
  const lines = [`${id}: ${title}, costs of ${cpu}`];
  const costs = [
    ...run.reasons.map(({ name, handler, count, typical }) => [`${name} (${handler})`, grouped(count), grouped(typical), share(typical)]),
    ...run.direct.map(({ kind, count, typical }) => [`${kind}, no exit`, grouped(count), grouped(typical), share(typical)]),
  ];
  if (costs.length > 0) lines.push(...numbers(['events', 'count', 'cycles', 'share'], costs.slice(0, ROWS_SHOWN * 2)));
  if (run.haltPollNs > 0) lines.push(`  the host polls for ${virtualTime(run.haltPollNs)} while the guest sleeps`);
  const state = Object.entries(counters).filter(([, count]) => count > 0);
  if (state.length > 0) lines.push(`  ${state.map(([name, count]) => `${name}: ${grouped(count)}`).join('; ')}`);
  const wide = sensitivity.filter(({ low, high }) => high > low).slice(0, ROWS_SHOWN);
  if (wide.length > 0) {
    const cells = wide.map((row) => [row.parameter, grouped(row.uses), `${row.low} to ${row.high}`, row.trust, `${ratio(row.slowdownLow)} to ${ratio(row.slowdownHigh)}`]);
    lines.push(...numbers(['the answer depends on', 'uses', 'cycles', 'trust', 'slowdown'], cells));
  }
  const helping = removals.filter(({ exitsSaved, cyclesSaved }) => exitsSaved > 0 || cyclesSaved.typical > 0).slice(0, ROWS_SHOWN);
  if (helping.length > 0) {
    const cells = helping.map((row) => [`${row.option} = ${String(row.to)}`, signed(row.exitsSaved), signed(row.cyclesSaved.typical), ratio(row.slowdown), row.title]);
    lines.push(...numbers(['what would remove it', 'exits saved', 'cycles saved', 'slowdown then', ''], cells));
  }
  return lines;
}

function ratio(value: number): string {
  return value < 10 ? `${value.toFixed(3)}x` : `${value.toFixed(1)}x`;
}

/** First and last column to the left, those between to the right. */
function numbers(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column].length)));
  return all.map((row) => `  ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : i === row.length - 1 ? cell : cell.padStart(widths[i]))).join('  ')}`.trimEnd());
}

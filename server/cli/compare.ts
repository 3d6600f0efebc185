/** `compare`: what recordings would cost under each virtualisation technique, why, and which feature would remove it. */
import { basename } from 'node:path';
import { Comparison, type ComparisonSetup } from '../../engine/analysis/comparison/comparison.ts';
import type { ComparisonReport, RegimeReport, SegmentReport } from '../../engine/analysis/comparison/report.ts';
import { describeDivergence } from '../../engine/log/verify.ts';
import { REGIMES, candidate, type Candidate } from '../../engine/regimes/catalogue.ts';
import { CPUS } from '../../engine/regimes/costs/cpus.ts';
import { TLBS } from '../../engine/regimes/costs/tlbs.ts';
import type { ChosenCost } from '../../engine/regimes/costs/cost-table.ts';
import { PLATFORMS } from '../../engine/regimes/platforms/platforms.ts';
import { RegimeError, type MissingTotal } from '../../engine/regimes/regime.ts';
import { countingCoreFile, loadCore } from '../store/core-module.ts';
import { FileSource } from '../store/files.ts';
import { openImages, openNamedGuest } from '../store/guest-images.ts';
import { TlbModel, type TlbCounts } from '../../engine/regimes/tlb-model.ts';
import { openRecording } from '../store/chains.ts';
import { nearest } from '../store/suggest.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { IMAGE_OPTIONS, JSON_OPTION, PARENT_OPTION, imagePlaces } from './common-options.ts';
import { foldLog, foldReplay } from './compare-fold.ts';
import { type MatchedPhases, matchPhases } from './compare-phases.ts';
import { pictureFile } from './compare-picture.ts';
import { SUITE_GUESTS, SuiteError, type SuiteRecording, WORKLOADS, type WorkloadPart, suiteFolder, suiteRecording, workloadPart } from './compare-suite.ts';
import { PICTURE_ROWS_MAX, type Picture, comparisonSvg, rangeText, ratio } from './comparison-svg.ts';
import type { Context, Verb } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { grouped, megabytes, virtualTime } from './format.ts';
import { toJson } from './output.ts';
import { DEFINITIONS_TEXT, REGIME_FILE_OPTION, REGIME_OPTION_OPTION, optionsAsked, sourceLines, userPlatforms } from './regime-options.ts';
import { signalStatus } from './signals.ts';
import { UsageError } from './usage-error.ts';

/** Rows of each list that people see; --json has all. */
const ROWS_SHOWN = 6;

const SPEC: VerbSpec = {
  name: 'compare',
  synopsis: 'FILE... | --suite [options]',
  summary: 'Shows what recordings would cost under each virtualisation technique, what dominates, and which feature would remove it. Files are only read; --suite records workloads first.',
  operands: { min: 0, max: 64 },
  options: [
    { name: 'regimes', value: 'LIST', help: 'techniques and platforms, or all (default: the six techniques); `chronovisor regimes list` has them' },
    { name: 'suite', help: `records the workloads ${WORKLOADS.join(', ')}, and compares each without its boot` },
    { name: 'guest', value: 'NAME', help: `--suite: ${SUITE_GUESTS.join(' or ')} (default: ${SUITE_GUESTS[0]})` },
    { name: 'output', short: 'o', value: 'FOLDER', help: '--suite: for its recordings; those that are there are used again (default: a new folder among the temporary files, which is kept)' },
    { name: 'svg', value: 'OUT', help: 'the table as a picture too: a file that needs nothing else' },
    { name: 'force', help: 'replace OUT if it exists' },
    { name: 'replay', help: 'from a replay of the recordings, event by event, instead of their logs' },
    { name: 'tlb', value: 'CPU', help: `--replay: counts TLB misses as the TLBs of ${TLBS.map(({ id }) => id).join(', ')} would have them, and charges page walks for them` },
    { name: 'pauses', help: '--replay: tells of each PAUSE, and charges pause-loop exits; --tlb does, too' },
    { name: 'phases', help: 'each phase as well: from mark to mark; of several recordings also side by side, matched by their marks' },
    { name: 'details', help: 'for each technique: exits by reason, sensitivity to each cost, what would remove it' },
    { name: 'sources', help: 'where each cost comes from' },
    { name: 'cpu', value: 'NAME', help: `whose costs: ${CPUS.map(({ id }) => id).join(', ')}` },
    { name: 'cpi', value: 'N', help: 'native cycles for an instruction, an assumption (default: 1)' },
    { ...REGIME_OPTION_OPTION, help: 'an option of all techniques and platforms shown that have it (`chronovisor regimes show R`), such as apicv=off; may be repeated' },
    { name: 'kpti', help: 'the guest kernel separates its page tables from its users\'' },
    { name: 'system-calls', value: 'N', help: 'system calls per million instructions, for a recording that does not count them (older than version 1.1)' },
    { name: 'page-walks', value: 'N', help: 'TLB misses per million instructions, which logs do not hold (default: not charged; --tlb counts them)' },
    { name: 'kernel-share', value: 'N', help: 'share of the instructions that is the kernel\'s, 0 to 1, for a recording that does not count them' },
    REGIME_FILE_OPTION,
    ...IMAGE_OPTIONS.map((option) => (option === PARENT_OPTION ? option : { ...option, help: `--replay: ${option.help}` })),
    JSON_OPTION,
  ],
  notes: ['assumed: the share of the cycles that rests on costs of another CPU, or that nobody measured; --sources shows which.', 'Slowdown is time against the bare machine, (instructions x CPI + cycles of events) of each; time asleep is left out. Ranges are those of the costs.'],
};

export const compare: Verb = { spec: SPEC, run: start };

interface FileReport {
  readonly file: string;
  readonly report: ComparisonReport;
  readonly guest: string;
  readonly commandLine: string;
  /** Under which it was recorded. */
  readonly recordedRegime: string;
  /** Misses of these TLBs, if they were counted. */
  readonly tlb?: TlbReport | undefined;
}
interface TlbReport extends TlbCounts {
  readonly cpu: string;
  readonly source: string;
}
/** A row of the suite. */
interface WorkloadReport extends FileReport, SuiteRecording {
  readonly part: WorkloadPart;
}

async function start(parsed: Arguments, context: Context): Promise<number> {
  const { out, err, signals } = context;
  checkOptions(parsed);
  const isJson = parsed.has('json');
  const setup = setupOf(parsed);
  const picture = pictureFile(parsed);

  let files: readonly FileReport[];
  let suite: readonly WorkloadReport[] | undefined;
  let folder = '';
  try {
    if (parsed.has('suite')) {
      const guest = await openNamedGuest((parsed.words('guest', SUITE_GUESTS) ?? SUITE_GUESTS)[0]);
      folder = suiteFolder(parsed.text('output'));
      if (!isJson) err.write(`chronovisor: recordings of the guest ${guest.name} in ${folder}\n`);
      const reports: WorkloadReport[] = [];
      for (const workload of WORKLOADS) {
        const recording = await suiteRecording(guest, workload, folder, loadCore, context);
        const report = recording === undefined ? undefined : await reportOf(recording.file, setup, parsed, context);
        if (typeof report === 'number') return report;
        if (recording === undefined || report === undefined) return signalStatus(signals.received ?? 'SIGINT');
        reports.push({ ...recording, ...report, part: workloadPart(report.report, workload) });
      }
      suite = files = reports;
    } else {
      const reports: FileReport[] = [];
      for (const file of parsed.operands) {
        const report = await reportOf(file, setup, parsed, context);
        if (typeof report === 'number') return report;
        if (report === undefined) return signalStatus(signals.received ?? 'SIGINT');
        reports.push(report);
      }
      files = reports;
    }
  } catch (error) {
    if (!(error instanceof SuiteError)) throw error;
    if (isJson) out.write(`${toJson({ error: { code: 'suite', message: error.message }, exitCode: exitCode('guest-failed') })}\n`);
    else err.write(`chronovisor: ${error.message}\n`);
    return exitCode('guest-failed');
  }

  const asked = askedLines(parsed, files[0].report.regimes);
  const svg = picture?.write(comparisonSvg(pictureOf(files, suite, parsed.has('phases'), asked)), files.map(({ file }) => file));
  // Workloads of a suite have no marks in common but those of their boot.
  const matched = parsed.has('phases') && suite === undefined ? matchPhases(files) : undefined;
  if (isJson) {
    const suiteJson = suite && {
      guest: suite[0].guest, folder,
      workloads: suite.map(({ workload, file, isReused, part: { segments, ...span }, report }) => ({
        name: workload, file, isReused, ...span, regimes: report.regimes.map(({ id, title, cpu }, i) => ({ id, title, cpu, ...segments[i] })),
      })),
    };
    out.write(`${toJson({ verb: 'compare', ...(suiteJson && { suite: suiteJson }), files: files.map(({ file, report, recordedRegime, tlb }) => ({ file, recordedRegime, ...(tlb && { tlb }), ...report })), ...(matched && { matched }), ...(svg && { svg }) }, 2)}\n`);
    return exitCode('ok');
  }
  const lines: string[] = [];
  if (suite !== undefined) lines.push(...suiteText(suite, parsed.has('phases'), parsed.has('details')));
  else for (const { file, report, recordedRegime, tlb } of files) lines.push(...textOf(file, report, parsed.has('phases') && matched === undefined, parsed.has('details')), ...tlbText(report, tlb), ...pausesText(report), ...(recordedRegime === 'para' ? [AWARE] : []));
  if (matched !== undefined) lines.push(...matchedText(matched));
  lines.push(...asked);
  if (parsed.has('sources')) {
    const rows = new Map<string, ChosenCost>();
    for (const { report } of files) for (const { cpu, sources } of report.regimes) for (const row of sources) rows.set(`${cpu} ${row.parameter}`, row);
    for (const cpu of new Set([...rows.keys()].map((key) => key.split(' ')[0]))) {
      lines.push(`costs on ${cpu}, cycles ${DEFINITIONS_TEXT}`, ...sourceLines([...rows].filter(([key]) => key.startsWith(`${cpu} `)).map(([, row]) => row)));
    }
  }
  if (svg !== undefined) lines.push(`${svg.file}: the same as a picture, ${megabytes(svg.bytes)}`);
  out.write(`${lines.join('\n')}\n`);
  return exitCode('ok');
}

function checkOptions(parsed: Arguments): void {
  const isSuite = parsed.has('suite');
  const refuse = (message: string): never => {
    throw new UsageError(message, 'compare');
  };
  if (isSuite && parsed.operands.length > 0) refuse(`--suite records what it compares: leave out ${parsed.operands[0]}, or --suite`);
  if (!isSuite && parsed.operands.length === 0) refuse('compare needs recordings, or --suite, which makes them: chronovisor compare FILE...');
  for (const name of ['guest', 'output']) if (!isSuite && parsed.has(name)) refuse(`--${name} is for --suite`);
  for (const { name } of IMAGE_OPTIONS) if (name !== PARENT_OPTION.name && parsed.has(name) && !parsed.has('replay')) refuse(`--${name} is for --replay: a log is compared without its images`);
  for (const name of ['tlb', 'pauses']) if (parsed.has(name) && !parsed.has('replay')) refuse(`--${name} counts in a replay: add --replay`);
  if (parsed.has('tlb') && parsed.has('page-walks')) refuse('--tlb counts what --page-walks would say: leave one out');
  tlbOf(parsed);
  if ((parsed.words('guest', SUITE_GUESTS) ?? []).length > 1) refuse('--guest takes one guest');
  if (parsed.has('force') && !parsed.has('svg')) refuse('--force is for --svg');
}

function setupOf(parsed: Arguments): ComparisonSetup {
  const rates = { systemCallsPerMillion: decimal(parsed, 'system-calls'), pageWalksPerMillion: decimal(parsed, 'page-walks'), kernelShare: decimal(parsed, 'kernel-share', 1) };
  const cyclesPerInstruction = decimal(parsed, 'cpi') ?? 1;
  if (cyclesPerInstruction === 0) throw parsed.wrong('cpi', '0', 'a number above 0');
  return { candidates: candidatesOf(parsed), cyclesPerInstruction, rates, hasAdvice: parsed.has('details') || (parsed.has('json') && !parsed.has('suite')), hasPauses: parsed.has('pauses') || parsed.has('tlb') };
}

/** Undefined if a signal came; an exit code if the replay is not the recording. */
async function reportOf(file: string, setup: ComparisonSetup, parsed: Arguments, context: Context): Promise<FileReport | number | undefined> {
  const { out, err } = context;
  const source = new FileSource(file, 'FILE');
  try {
    const { reader, torn } = openRecording(source, parsed.all('parent'));
    if (torn !== undefined) err.write(`chronovisor: ${file}: ${torn.message}; comparing what comes before\n`);
    else if (!reader.hasEnd) err.write(`chronovisor: ${file}: the log has no end; comparing what there is\n`);
    const comparison = new Comparison(setup);
    const geometry = tlbOf(parsed);
    const tlb = geometry && new TlbModel(geometry);
    const core = (): WebAssembly.Module => (setup.hasPauses === true ? loadCore(countingCoreFile()) : loadCore());
    const end = parsed.has('replay') ? await foldReplay(comparison, reader, openImages(reader, imagePlaces(parsed)), core(), context, tlb) : await foldLog(comparison, reader, context);
    switch (end.kind) {
      case 'stopped':
        return undefined;
      case 'diverged': {
        const status = exitCode('different');
        const lines = describeDivergence(end.divergence);
        if (parsed.has('json')) out.write(`${toJson({ verb: 'compare', file, divergence: end.divergence, exitCode: status })}\n`);
        else err.write(`chronovisor: ${file}: the replay is not the recording, so there is nothing to compare\n${lines.map((line) => `  ${line}\n`).join('')}`);
        return status;
      }
      case 'done': {
        const { guest, commandLine, regime: recordedRegime } = reader.header.config;
        return { file, report: comparison.report(), guest, commandLine, recordedRegime, ...(tlb && { tlb: { cpu: tlb.geometry.id, source: tlb.geometry.source, ...tlb.counts() } }) };
      }
    }
  } finally {
    source.close();
  }
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
    throw new RegimeError(`--regimes: there is no technique or platform "${id}"${near === undefined ? '' : ` (did you mean ${near}?)`}; \`chronovisor regimes list\` has them`);
  }
  const asked = Object.entries(optionsAsked(parsed));
  const cpu = parsed.text('cpu');
  const found = [...new Set(ids)].map((id) => candidate(id, { cpu }, own));
  for (const [name] of asked) {
    if (found.some(({ options }) => name in options)) continue;
    throw new RegimeError(`--option: none of ${found.map(({ id }) => id).join(', ')} has an option "${name}"; \`chronovisor regimes show ID\` lists those of each`);
  }
  const kpti = parsed.has('kpti') ? { guestKpti: true } : {};
  return found.map(({ id, options }) => candidate(id, { cpu, options: { ...kpti, ...Object.fromEntries(asked.filter(([name]) => name in options)) } }, own));
}

/** Which rows have which of the options that were asked for: the table names them as without. */
function askedLines(parsed: Arguments, regimes: readonly RegimeReport[]): string[] {
  return Object.entries(optionsAsked(parsed)).map(([name, value]) => `with ${name} = ${String(value)}: ${regimes.filter(({ options }) => name in options).map(({ id }) => id).join(', ')}`);
}

/** The TLBs to count with, if they are asked for. */
function tlbOf(parsed: Arguments): (typeof TLBS)[number] | undefined {
  const text = parsed.text('tlb');
  const found = TLBS.find(({ id }) => id === text);
  if (text !== undefined && found === undefined) throw parsed.wrong('tlb', text, `one of ${TLBS.map(({ id }) => id).join(', ')}`);
  return found;
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
  pageWalks: 'TLB misses (--replay --tlb counts them, --page-walks says them)',
  kernelInstructions: 'kernel instructions (--kernel-share)',
  pauses: 'pause-loop exits (--replay --pauses tells of each PAUSE)',
};
const COLUMNS = ['', 'slowdown', 'range', 'exits', 'per million', 'cycles of events', 'what costs most'];
const RUN_COLUMNS = [...COLUMNS.slice(0, -1), 'assumed', 'what costs most'];

function textOf(file: string, report: ComparisonReport, hasPhases: boolean, hasDetails: boolean): string[] {
  const size = `${grouped(report.instructions)} instructions at ${report.cyclesPerInstruction} cycles (assumed), ${grouped(report.events)} events`;
  const lines = [
    `${file}: ${size}, ${virtualTime(report.idleNs)} asleep (left out)`,
    ...numbers(RUN_COLUMNS, report.regimes.map((regime) => [regime.id, ...segmentCells(regime.run).toSpliced(-1, 0, assumedShare(regime))])),
  ];
  lines.push(...caveatsOf(report.regimes, report.regimes.map(({ run }) => run)).map((line) => `  ${line}`));
  if (hasPhases) lines.push(...phasesText(report));
  if (hasDetails) for (const regime of report.regimes) lines.push(...detailsOf(regime));
  return lines;
}

function phasesText(report: ComparisonReport): string[] {
  if (report.phases.length < 2) return ['  the recording has no marks, so all of it is one phase; `mark "name"` in an input script sets one (record --input)'];
  return report.phases.flatMap((phase, i) => [
    `  ${phase.name}: @${grouped(phase.from)} to @${grouped(phase.to)}`,
    ...numbers(COLUMNS, report.regimes.map((regime) => [regime.id, ...segmentCells(regime.phases[i])])).map((line) => `  ${line}`),
  ]);
}

function pausesText({ pauses }: ComparisonReport): string[] {
  return pauses === undefined ? [] : [`  the replay told of ${grouped(pauses.kernel)} PAUSEs at privilege 0, and ${grouped(pauses.user)} of programs`];
}

function tlbText(report: ComparisonReport, tlb: TlbReport | undefined): string[] {
  if (tlb === undefined) return [];
  const { cpu, walks, secondLevelHits, dataUser, dataKernel, fetchUser, fetchKernel } = tlb;
  const perMillion = (walks / Math.max(report.instructions, 1)) * 1e6;
  return [`  counted with the TLBs of ${cpu}: ${grouped(walks)} page walks (${perMillion.toFixed(1)} per million instructions): data ${grouped(dataUser)} user, ${grouped(dataKernel)} kernel; fetches ${grouped(fetchUser)} user, ${grouped(fetchKernel)} kernel; `
    + `the second level had ${grouped(secondLevelHits)} more, which are not charged`];
}

const AWARE = '  recorded of a guest that knows of its hypervisor: only para is about it; under the other techniques its hypercalls are not charged';

function matchedText({ base, phases }: MatchedPhases): string[] {
  const lines = [`phases side by side: time against ${base} on the bare machine`];
  for (const { name, rows } of phases) {
    const cells = rows.map(({ file, recordedRegime, regime, instructions, segment, slowdown }, i) => [
      rows[i - 1]?.file === file ? '' : `${file}${recordedRegime === 'para' ? ', for a hypervisor' : ''}`, regime, grouped(instructions), ratio(slowdown.typical), rangeText(slowdown), grouped(segment.exits),
      grouped(segment.cycles.typical), segment.dominant === undefined ? '-' : `${segment.dominant.name}, ${(segment.dominant.share * 100).toFixed(0)} %`,
    ]);
    lines.push(`  ${name}`, ...numbers(['recording', 'regime', 'instructions', 'time', 'range', 'exits', 'cycles of events', 'what costs most'], cells, 2).map((line) => `  ${line}`));
  }
  return lines;
}

/** What a reader of the numbers has to know. */
function caveatsOf(regimes: readonly RegimeReport[], segments: readonly SegmentReport[]): string[] {
  const lines: string[] = [];
  if (segments.some(({ slowdown }) => slowdown.typical < 1)) lines.push('below 1: a device register costs more on the bus of a bare machine than an exit that ends in the hypervisor');
  const who = (need: MissingTotal): string => regimes.filter(({ missing }) => missing.includes(need)).map(({ id }) => id).join(', ');
  for (const need of new Set(regimes.flatMap(({ missing }) => missing))) lines.push(`not charged, because logs do not hold it: ${MISSING_TEXT[need]}: ${who(need)}`);
  return lines;
}

function suiteText(suite: readonly WorkloadReport[], hasPhases: boolean, hasDetails: boolean): string[] {
  const { cyclesPerInstruction, regimes } = suite[0].report;
  const rows = suite.flatMap(({ workload, part, report }) =>
    report.regimes.map((regime, i) => [i === 0 ? workload : '', regime.id, ...segmentCells(part.segments[i]).toSpliced(-1, 0, assumedShare(regime))]));
  const reused = suite.filter(({ isReused }) => isReused).map(({ file }) => file);
  return [
    `workloads of the guest ${suite[0].guest} on ${[...new Set(regimes.map(({ cpu }) => cpu))].join(', ')}, each without boot and shutdown, at ${cyclesPerInstruction} native cycles for an instruction (assumed)`,
    ...numbers(['workload', 'regime', ...RUN_COLUMNS.slice(1)], rows, 2),
    ...suite.map(({ workload, part, file }) => `  ${workload}: ${grouped(part.instructions)} instructions, ${virtualTime(part.idleNs)} asleep (left out): ${file}`),
    ...(reused.length === 0 ? [] : [`  used again, because the same recipe had been recorded: ${reused.join(', ')}`]),
    ...caveatsOf(regimes, suite.flatMap(({ part }) => part.segments)).map((line) => `  ${line}`),
    ...suite.flatMap(({ workload, report, tlb }) => [...tlbText(report, tlb), ...pausesText(report)].map((line) => `  ${workload}, with boot and shutdown:${line.slice(1)}`)),
    ...suite.flatMap(({ workload, part, report }) => [
      ...(hasPhases || hasDetails ? [`work ${workload}`] : []),
      ...(hasPhases ? phasesText(report) : []),
      ...(hasDetails ? report.regimes.flatMap((regime, i) => detailsOf({ ...regime, run: part.segments[i] }, true)) : []),
    ]),
  ];
}

function pictureOf(files: readonly FileReport[], suite: readonly WorkloadReport[] | undefined, hasPhases: boolean, asked: readonly string[]): Picture {
  const [{ report: first, guest }] = files;
  const cpi = first.cyclesPerInstruction;
  const group = (name: string, report: ComparisonReport, instructions: number, segments: readonly SegmentReport[]): Picture['groups'][number] => ({
    name: `${name}: ${grouped(instructions)} instructions`, baseCycles: instructions * cpi, rows: report.regimes.map((regime, i) => ({ regime: regime.id, segment: segments[i], assumed: assumedShare(regime) })),
  });
  const groups = suite !== undefined
    ? suite.map(({ workload, part, report }) => group(`work ${workload}`, report, part.instructions, part.segments))
    : files.flatMap(({ file, report }) => [
        group(files.length > 1 || hasPhases ? `${basename(file)}, all of it` : 'all of it', report, report.instructions, report.regimes.map(({ run }) => run)),
        ...(hasPhases ? report.phases.map((phase, i) => group(`${phase.name}, @${grouped(phase.from)} to @${grouped(phase.to)}`, report, phase.instructions, report.regimes.map(({ phases }) => phases[i]))) : []),
      ]);
  const shown = groups.slice(0, Math.max(1, Math.floor(PICTURE_ROWS_MAX / first.regimes.length)));
  const all = files.flatMap(({ report }) => report.regimes);
  const what = suite !== undefined ? `the workloads of the guest ${guest}, without boot and shutdown` : files.map(({ file, guest: each }) => `${basename(file)} (guest ${each})`).join(', ');
  return {
    title: `Slowdown against the bare machine: ${what}`,
    subtitles: [
      ...(suite === undefined && files.length === 1 && files[0].commandLine !== '' ? [`command line: ${files[0].commandLine}`] : []),
      `costs of ${[...new Set(all.map(({ cpu }) => cpu))].join(', ')}; ${cpi} native cycles for an instruction (assumed); ${assumedOf(all)} of all cycles of events rest on costs of another CPU, or that nobody measured`,
      ...asked,
    ],
    groups: shown,
    notes: [
      'Bar: (instructions x CPI + cycles of events) under the regime / the same on the bare machine. Line: all costs at their low to high values. Time asleep is left out.',
      `assumed: the same share for the row's regime${suite === undefined && !hasPhases ? '' : ', over the whole recording'}.`,
      ...(shown.length < groups.length ? [`${groups.length - shown.length} more phases are not shown.`] : []),
      ...caveatsOf(first.regimes, groups.flatMap(({ rows }) => rows.map(({ segment }) => segment))).map((line) => `${line[0].toUpperCase()}${line.slice(1)}.`),
    ],
  };
}

/** How much of the cycles rests on costs that were measured elsewhere or nowhere. */
function assumedShare(regime: RegimeReport): string {
  return assumedOf([regime]);
}

function assumedOf(regimes: readonly RegimeReport[]): string {
  const rows = regimes.flatMap(({ sensitivity }) => sensitivity);
  const sum = (each: RegimeReport['sensitivity']): number => each.reduce((cycles, { uses, typical }) => cycles + uses * typical, 0);
  const all = sum(rows);
  return all === 0 ? '-' : `${((sum(rows.filter(({ trust }) => trust === 'assumed')) / all) * 100).toFixed(0)} %`;
}

function segmentCells({ slowdown, exits, exitsPerMillion, cycles, dominant }: SegmentReport): string[] {
  return [
    ratio(slowdown.typical), rangeText(slowdown), grouped(exits), exitsPerMillion.toFixed(1), grouped(cycles.typical),
    dominant === undefined ? '-' : `${dominant.name}, ${(dominant.share * 100).toFixed(0)} %`,
  ];
}

/** isPart: `run` is a workload of a recording, of which the rest is all. */
function detailsOf({ id, title, cpu, run, counters, sensitivity, removals }: RegimeReport, isPart = false): string[] {
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
  if (isPart) lines.push('  with boot and shutdown:');
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

/** The first `left` columns and the last to the left, those between to the right. */
function numbers(head: readonly string[], rows: readonly (readonly string[])[], left = 1): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column].length)));
  return all.map((row) => `  ${row.map((cell, i) => (i < left ? cell.padEnd(widths[i]) : i === row.length - 1 ? cell : cell.padStart(widths[i]))).join('  ')}`.trimEnd());
}

/** Runs of all modes to what is compared. Pure. */
import { PHASES } from './guest.ts';
import { type Mark, geometricMean, median } from './measure.ts';
import type { OursResult } from './ours.ts';

export const MODES = ['plain', 'interpreter', 'record', 'replay', 'record-warm', 'replay-warm', 'tcg', 'rr-record', 'rr-replay', 'v86'] as const;
export type Mode = (typeof MODES)[number];

export interface Run {
  readonly mode: Mode;
  /** By phase, and `total`. */
  readonly phases: readonly Mark[];
  /** The most memory its process has held. */
  readonly residentBytes: number;
  /** Without its marks. */
  readonly ours?: Omit<OursResult, 'marks'>;
  readonly qemuLogBytes?: number;
}

export interface Host {
  readonly cpu: string;
  readonly cores: number;
  readonly node: string;
  readonly qemu: string | undefined;
  readonly v86: string | undefined;
  readonly loadBefore: number;
  readonly loadAfter: number;
}

/** CPU seconds are of all threads of the process. */
export const CLOCKS = ['cpuSeconds', 'wallSeconds'] as const;
export type Clock = (typeof CLOCKS)[number];
type ByMode = Readonly<Partial<Record<Mode, number>>>;

/** How many times as fast as a peer ours is: times of the same work with QEMU, instructions a second with v86, whose kernel is another. */
export const PEERS: readonly { readonly ours: Mode; readonly peer: Mode; readonly by: 'time' | 'rate' }[] = [
  { ours: 'record', peer: 'rr-record', by: 'time' },
  { ours: 'record', peer: 'tcg', by: 'time' },
  { ours: 'replay', peer: 'rr-replay', by: 'time' },
  { ours: 'record', peer: 'v86', by: 'rate' },
  { ours: 'record-warm', peer: 'rr-record', by: 'time' },
  { ours: 'record-warm', peer: 'tcg', by: 'time' },
  { ours: 'replay-warm', peer: 'rr-replay', by: 'time' },
  { ours: 'record-warm', peer: 'v86', by: 'rate' },
];

export interface PhaseReport {
  readonly name: string;
  readonly title: string;
  /** Medians over the runs of a mode. */
  readonly instructions: ByMode;
  readonly cpuSeconds: ByMode;
  readonly wallSeconds: ByMode;
  /** In the order of PEERS; NaN where a mode was not run. */
  readonly timesAsFast: readonly Readonly<Record<Clock, number>>[];
  readonly recordAgainstPlain: number;
  readonly replayAgainstRecord: number;
}

export interface Report {
  readonly hosts: readonly Host[];
  /** Of each mode. */
  readonly runs: ByMode;
  readonly phases: readonly PhaseReport[];
  /** Over the phases, in the order of PEERS. */
  readonly geometricMeans: PhaseReport['timesAsFast'];
  readonly residentBytes: ByMode;
  readonly log?: { readonly bytes: number; readonly bytesPer1000Instructions: number; readonly inputBytesPer1000Instructions: number; readonly records: Readonly<Record<string, number>>; readonly qemuBytes?: number };
}

function byMode(runs: readonly Run[], value: (run: Run) => number | undefined): ByMode {
  const entries = MODES.map((mode) => [mode, runs.filter((run) => run.mode === mode).map(value).filter((each) => each !== undefined)] as const);
  return Object.fromEntries(entries.filter(([, values]) => values.length > 0).map(([mode, values]) => [mode, median(values)]));
}

/** Median of the ratios of two modes within the same round, so that slow drifts of the host cancel out. */
function ratio(runs: readonly Run[], of: Mode, to: Mode, value: (run: Run) => number): number {
  const [a, b] = [of, to].map((mode) => runs.filter((run) => run.mode === mode).map(value));
  return median(a.slice(0, b.length).map((each, i) => each / b[i]));
}

/** `runs`: in the order in which they were made, so that the nth of each mode are of one round. */
export function reportOf(runs: readonly Run[], hosts: readonly Host[]): Report {
  const phases = [...PHASES, { name: 'total', title: 'total' }].map(({ name, title }): PhaseReport => {
    const phase = (run: Run): Mark | undefined => run.phases.find((each) => each.name === name);
    const time = (clock: Clock) => (run: Run): number => phase(run)?.[clock] ?? NaN;
    const rate = (clock: Clock) => (run: Run): number => (phase(run)?.instructions ?? NaN) / time(clock)(run);
    const against = ({ ours, peer, by }: (typeof PEERS)[number], clock: Clock): number => (by === 'time' ? ratio(runs, peer, ours, time(clock)) : ratio(runs, ours, peer, rate(clock)));
    return {
      name, title,
      instructions: byMode(runs, (run) => phase(run)?.instructions), cpuSeconds: byMode(runs, time('cpuSeconds')), wallSeconds: byMode(runs, time('wallSeconds')),
      timesAsFast: PEERS.map((pair) => ({ cpuSeconds: against(pair, 'cpuSeconds'), wallSeconds: against(pair, 'wallSeconds') })),
      recordAgainstPlain: ratio(runs, 'record', 'plain', time('cpuSeconds')), replayAgainstRecord: ratio(runs, 'replay', 'record', time('cpuSeconds')),
    }; // prettier-ignore
  });
  const parts = phases.filter(({ name }) => name !== 'total');
  const mean = (i: number, clock: Clock): number => geometricMean(parts.map(({ timesAsFast }) => timesAsFast[i][clock]));
  const recorded = runs.find(({ mode }) => mode === 'record')?.ours;
  const qemuBytes = runs.find(({ mode }) => mode === 'rr-record')?.qemuLogBytes;
  return {
    hosts, phases,
    runs: Object.fromEntries(MODES.map((mode) => [mode, runs.filter((run) => run.mode === mode).length] as const).filter(([, count]) => count > 0)),
    geometricMeans: PEERS.map((_, i) => ({ cpuSeconds: mean(i, 'cpuSeconds'), wallSeconds: mean(i, 'wallSeconds') })),
    residentBytes: byMode(runs, ({ residentBytes }) => residentBytes),
    ...(recorded !== undefined && {
      log: {
        bytes: recorded.logBytes, bytesPer1000Instructions: (recorded.logBytes / recorded.position) * 1000, inputBytesPer1000Instructions: (recorded.inputLogBytes / recorded.position) * 1000,
        records: recorded.counts, ...(qemuBytes !== undefined && { qemuBytes }),
      },
    }),
  }; // prettier-ignore
}

const digits = (value: number | undefined, places: number): string => (value !== undefined && Number.isFinite(value) ? value.toFixed(places) : '-');

/** Markdown whose columns line up. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(4, ...rows.map((row) => row[column].length)));
  const line = (row: readonly string[]): string => `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join(' | ')} |`;
  const rule = `|${widths.map((width, column) => (column === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  return [line(rows[0]), rule, ...rows.slice(1).map(line)].join('\n');
}

/** What is printed. */
export function textOf(report: Report): string {
  const modes = MODES.filter((mode) => report.runs[mode] !== undefined);
  const mips = (phase: PhaseReport, mode: Mode): number => (phase.instructions[mode] ?? NaN) / phase.cpuSeconds[mode]! / 1e6;
  const ourInstructions = ({ instructions }: PhaseReport): number | undefined => instructions.record ?? instructions.plain ?? instructions.interpreter ?? instructions.replay ?? instructions['record-warm'] ?? instructions['replay-warm'];
  const pairs = PEERS.map((pair, i) => ({ ...pair, i })).filter(({ ours, peer }) => report.runs[ours] !== undefined && report.runs[peer] !== undefined);
  const faster = (values: PhaseReport['timesAsFast']): string[] => pairs.flatMap(({ i }) => CLOCKS.map((clock) => digits(values[i][clock], 2)));
  const parts: string[] = report.hosts.map(({ cpu, cores, node, qemu, v86, loadBefore, loadAfter }) =>
    `${cpu}, ${cores} cores, Node ${node}, QEMU ${qemu ?? 'not there'}, v86 ${v86 ?? 'not there'}, load ${loadBefore.toFixed(1)} to ${loadAfter.toFixed(1)}`);
  parts.push(`runs: ${modes.map((mode) => `${mode} ${report.runs[mode]}`).join(', ')}`);
  for (const clock of CLOCKS) {
    parts.push('', table([
      [clock === 'cpuSeconds' ? 'CPU seconds, median' : 'wall seconds, median', '10^6 instr.', ...modes, ...(clock === 'cpuSeconds' ? ['recording, %', 'replay/record'] : [])],
      ...report.phases.map((phase) => [
        phase.title, digits(ourInstructions(phase)! / 1e6, 0), ...modes.map((mode) => digits(phase[clock][mode], 2)),
        ...(clock === 'cpuSeconds' ? [digits((phase.recordAgainstPlain - 1) * 100, 1), digits(phase.replayAgainstRecord, 2)] : []),
      ]),
    ]));
  }
  const counted = modes.filter((mode) => report.phases[0].instructions[mode] !== undefined);
  parts.push('', table([['10^6 instructions a CPU second', ...counted], ...report.phases.map((phase) => [phase.title, ...counted.map((mode) => digits(mips(phase, mode), 0))])]));
  if (pairs.length > 0) {
    parts.push('', table([
      ['times as fast', ...pairs.flatMap(({ ours, peer, by }) => CLOCKS.map((clock) => `${ours} : ${peer}${by === 'rate' ? ' rate' : ''}, ${clock === 'cpuSeconds' ? 'CPU' : 'wall'}`))],
      ...report.phases.map((phase) => [phase.title, ...faster(phase.timesAsFast)]),
      ['geometric mean of the phases', ...faster(report.geometricMeans)],
    ]));
  }
  parts.push('', `peak memory, MiB: ${modes.map((mode) => `${mode} ${digits(report.residentBytes[mode]! / 2 ** 20, 0)}`).join(', ')}`);
  if (report.log !== undefined) {
    const { bytes, bytesPer1000Instructions, inputBytesPer1000Instructions, records, qemuBytes } = report.log;
    parts.push('', `log: ${bytes} bytes, ${bytesPer1000Instructions.toFixed(3)} bytes per 1000 instructions; inputs alone ${inputBytesPer1000Instructions.toFixed(5)}; QEMU's ${qemuBytes ?? '-'} bytes`);
    parts.push(`records: ${Object.entries(records).map(([kind, count]) => `${kind} ${count}`).join(', ')}`);
  }
  return `${parts.join('\n')}\n`;
}

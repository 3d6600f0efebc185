/**
 * `npm run bench`: how fast the machine is, and what recording costs, beside QEMU. See README.md. Options:
 *
 *     --runs N        runs of each mode, in turn; medians are reported (3)
 *     --modes A,B     of: plain, record, replay, tcg, rr-record, rr-replay (all; QEMU's only if it is installed)
 *     --json          the whole result as JSON on stdout instead of the table
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { loadBenchGuest, PHASES } from './guest.ts';
import { type PhaseTime, median, phasesOf } from './measure.ts';
import type { OursResult } from './ours.ts';
import { type QemuMode, qemuVersion, runQemu } from './qemu.ts';

const MODES = ['plain', 'record', 'replay', 'tcg', 'rr-record', 'rr-replay'] as const;
type Mode = (typeof MODES)[number];
const OURS: readonly Mode[] = ['plain', 'record', 'replay'];
const MEMORY_MIB = 256;
const SECONDS_MAX = 900;

interface Run {
  readonly mode: Mode;
  readonly phases: readonly PhaseTime[];
  readonly ours: OursResult | undefined;
  readonly qemuLogBytes: number;
}

const { values: options } = parseArgs({ options: { runs: { type: 'string', default: '3' }, modes: { type: 'string' }, json: { type: 'boolean', default: false } } });
const runCount = Number(options.runs);
if (!Number.isSafeInteger(runCount) || runCount < 1) throw new Error(`--runs ${options.runs}: a whole number from 1`);
const version = qemuVersion();
const asked = options.modes?.split(',') ?? MODES.filter((mode) => version !== undefined || OURS.includes(mode));
for (const mode of asked) if (!(MODES as readonly string[]).includes(mode)) throw new Error(`--modes: "${mode}" is none of ${MODES.join(', ')}`);
const modes = asked as readonly Mode[];

async function measure(mode: Mode, folder: string): Promise<Run> {
  if (!OURS.includes(mode)) {
    const { marks, logBytes } = await runQemu(mode as QemuMode, folder, MEMORY_MIB, SECONDS_MAX);
    return { mode, phases: phasesOf(marks), ours: undefined, qemuLogBytes: logBytes };
  }
  const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(new URL('ours.js', import.meta.url)), mode, folder], { timeout: SECONDS_MAX * 1000 });
  const ours = JSON.parse(stdout) as OursResult;
  return { mode, phases: phasesOf(ours.marks), ours, qemuLogBytes: 0 };
}

/** Median over the runs of a mode. */
function time(runs: readonly Run[], mode: Mode, phase: string, clock: 'wallSeconds' | 'cpuSeconds'): number {
  return median(runs.filter((run) => run.mode === mode).flatMap(({ phases }) => phases.filter(({ name }) => name === phase).map((each) => each[clock])));
}

/** Median of the ratios of two modes within the same round, so that slow drifts of the host cancel out. */
function ratio(runs: readonly Run[], of: Mode, to: Mode, phase: string, clock: 'wallSeconds' | 'cpuSeconds'): number {
  const times = (mode: Mode): number[] => runs.filter((run) => run.mode === mode).flatMap(({ phases }) => phases.filter(({ name }) => name === phase).map((each) => each[clock]));
  const [a, b] = [times(of), times(to)];
  return median(a.slice(0, b.length).map((value, i) => value / b[i]));
}

const digits = (value: number, places: number): string => (Number.isFinite(value) ? value.toFixed(places) : '-');

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join('  ')).join('\n');
}

const folder = mkdtempSync(join(tmpdir(), 'chronovisor-bench-'));
try {
  const guest = await loadBenchGuest();
  writeFileSync(join(folder, 'kernel'), guest.kernel);
  writeFileSync(join(folder, 'initrd'), guest.initrd);
  writeFileSync(join(folder, 'commandLine'), guest.commandLine);
  const loadBefore = loadavg()[0];
  const runs: Run[] = [];
  for (let round = 0; round < runCount; round++) {
    for (const mode of modes) {
      process.stderr.write(`round ${round + 1} of ${runCount}: ${mode}\n`);
      runs.push(await measure(mode, folder));
    }
  }
  const names = [...PHASES.map(({ name }): string => name), 'total'];
  const title = (name: string): string => PHASES.find((phase) => phase.name === name)?.title ?? name;
  const reference = runs.find(({ ours }) => ours !== undefined)?.ours;
  const instructions = (name: string): number => {
    if (reference === undefined) return NaN;
    if (name === 'total') return reference.marks.at(-1)!.position;
    const i = reference.marks.findIndex((mark) => mark.name === name);
    return i < 0 ? NaN : reference.marks[i].position - (i === 0 ? 0 : reference.marks[i - 1].position);
  };
  const host = { cpu: cpus()[0].model, cores: cpus().length, node: process.version, qemu: version, loadBefore, loadAfter: loadavg()[0] };
  const recorded = runs.find(({ mode }) => mode === 'record')?.ours;
  const report = {
    host,
    runs: runCount,
    phases: names.map((name) => ({
      name,
      instructions: instructions(name),
      wallSeconds: Object.fromEntries(modes.map((mode) => [mode, time(runs, mode, name, 'wallSeconds')])),
      cpuSeconds: Object.fromEntries(modes.map((mode) => [mode, time(runs, mode, name, 'cpuSeconds')])),
      recordAgainstPlain: ratio(runs, 'record', 'plain', name, 'cpuSeconds'),
      replayAgainstRecord: ratio(runs, 'replay', 'record', name, 'cpuSeconds'),
      recordAgainstTcg: ratio(runs, 'record', 'tcg', name, 'cpuSeconds'),
      recordAgainstQemuRecord: ratio(runs, 'record', 'rr-record', name, 'cpuSeconds'),
      replayAgainstQemuReplay: ratio(runs, 'replay', 'rr-replay', name, 'cpuSeconds'),
    })),
    log: recorded === undefined ? undefined : {
      bytes: recorded.logBytes,
      bytesPer1000Instructions: (recorded.logBytes / recorded.position) * 1000,
      inputBytesPer1000Instructions: (recorded.inputLogBytes / recorded.position) * 1000,
      records: recorded.counts,
      qemuBytes: runs.find(({ mode }) => mode === 'rr-record')?.qemuLogBytes,
    },
    all: runs.map(({ mode, phases }) => ({ mode, phases })),
  };
  if (options.json) process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);
  else {
    const rows = report.phases.map(({ name, instructions: n, cpuSeconds, ...ratios }) => [
      title(name), digits(n / 1e6, 0), ...modes.map((mode) => digits(cpuSeconds[mode], 2)), digits(n / cpuSeconds['plain'] / 1e6, 0), digits(n / cpuSeconds['tcg'] / 1e6, 0),
      digits((ratios.recordAgainstPlain - 1) * 100, 1), digits(ratios.replayAgainstRecord, 2), digits(ratios.recordAgainstTcg, 1), digits(ratios.recordAgainstQemuRecord, 1), digits(ratios.replayAgainstQemuReplay, 1),
    ]);
    const head = ['CPU seconds, median', '10^6 instr.', ...modes, 'MIPS', 'TCG MIPS', 'recording, %', 'replay/record', 'record/tcg', 'record/rr-record', 'replay/rr-replay'];
    process.stdout.write(`${host.cpu}, ${host.cores} cores, Node ${host.node}, QEMU ${version ?? 'not there'}, load ${loadBefore.toFixed(1)} to ${host.loadAfter.toFixed(1)}, ${runCount} runs\n\n${table([head, ...rows])}\n`);
    const walls = report.phases.map(({ name, wallSeconds }) => [title(name), ...modes.map((mode) => digits(wallSeconds[mode], 2))]);
    process.stdout.write(`\n${table([['wall seconds, median', ...modes], ...walls])}\n`);
    if (report.log !== undefined) {
      const { bytes, bytesPer1000Instructions, inputBytesPer1000Instructions, records, qemuBytes } = report.log;
      process.stdout.write(`\nlog: ${bytes} bytes, ${bytesPer1000Instructions.toFixed(3)} bytes per 1000 instructions; inputs alone ${inputBytesPer1000Instructions.toFixed(5)}; QEMU's ${qemuBytes ?? '-'} bytes\n`);
      process.stdout.write(`records: ${Object.entries(records).map(([kind, count]) => `${kind} ${count}`).join(', ')}\n`);
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/**
 * `npm run bench`: how fast the machine is, and what recording costs, beside QEMU and v86. See README.md. Options:
 *
 *     --runs N        runs of each mode, in turn; medians are reported (3)
 *     --modes A,B     of: plain, interpreter, record, replay, record-warm, replay-warm, tcg, rr-record, rr-replay, v86 (all but interpreter and those that are warm; QEMU's and v86 only if they are installed)
 *     --json          the report and all runs as JSON on stdout instead of the tables
 *     --from A,B      no runs: the report of those in the files, which --json made
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { loadBenchGuest } from './guest.ts';
import { phasesOf } from './measure.ts';
import type { OursResult } from './ours.ts';
import { QEMU, qemuVersion, runQemu } from './qemu.ts';
import { type Host, MODES, type Mode, reportOf, type Run, textOf } from './report.ts';
import { type V86Result, v86Version } from './v86.ts';
import { loadV86Images } from './v86-images.ts';

const MEMORY_MIB = 256;
const SECONDS_MAX = 900;

const { values: options } = parseArgs({ options: { runs: { type: 'string', default: '3' }, modes: { type: 'string' }, json: { type: 'boolean', default: false }, from: { type: 'string' } } });
const runCount = Number(options.runs);
if (!Number.isSafeInteger(runCount) || runCount < 1) throw new Error(`--runs ${options.runs}: a whole number from 1`);
const [qemu, v86] = [qemuVersion(), v86Version()];
const OURS: readonly Mode[] = ['plain', 'interpreter', 'record', 'replay', 'record-warm', 'replay-warm'];
const ONLY_IF_ASKED: readonly Mode[] = ['interpreter', 'record-warm', 'replay-warm'];
const isWarm = (mode: Mode): boolean => mode === 'record-warm' || mode === 'replay-warm';
const isThere = (mode: Mode): boolean => OURS.includes(mode) || (mode === 'v86' ? v86 : qemu) !== undefined;
const asked = options.modes?.split(',') ?? MODES.filter((mode) => !ONLY_IF_ASKED.includes(mode) && isThere(mode));
for (const mode of asked) if (!(MODES as readonly string[]).includes(mode)) throw new Error(`--modes: "${mode}" is none of ${MODES.join(', ')}`);
const modes = asked as readonly Mode[];
for (const mode of modes) {
  if (!isThere(mode)) throw new Error(mode === 'v86' ? 'v86 is not installed: it is a development dependency, so `npm install` without --omit=dev brings it' : `${QEMU} is not installed: apt-get install qemu-system-x86`);
}

async function runProgram<Result>(file: string, ...args: string[]): Promise<Result> {
  const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(new URL(file, import.meta.url)), ...args], { timeout: SECONDS_MAX * 1000 });
  return JSON.parse(stdout) as Result;
}

async function measure(mode: Mode, folder: string): Promise<Run> {
  switch (mode) {
    case 'tcg':
    case 'rr-record':
    case 'rr-replay': {
      const { marks, residentBytes, logBytes } = await runQemu(mode, folder, MEMORY_MIB, SECONDS_MAX);
      return { mode, phases: phasesOf(marks), residentBytes, qemuLogBytes: logBytes };
    }
    case 'v86': {
      const { marks, residentBytes } = await runProgram<V86Result>('v86.js', folder);
      return { mode, phases: phasesOf(marks), residentBytes };
    }
    default: {
      const { marks, ...ours } = await runProgram<OursResult>('ours.js', mode, folder);
      return { mode, phases: phasesOf(marks), residentBytes: ours.residentBytes, ours };
    }
  }
}

interface Measured {
  readonly hosts: readonly Host[];
  readonly all: readonly Run[];
}

async function measureAll(): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), 'chronovisor-bench-'));
  const log = (line: string): void => void process.stderr.write(`${line}\n`);
  try {
    const guest = await loadBenchGuest();
    const files = { kernel: guest.kernel, initrd: guest.initrd, commandLine: guest.commandLine };
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
    if (modes.includes('v86')) for (const [name, bytes] of Object.entries(await loadV86Images(log))) writeFileSync(join(folder, `v86-${name}`), bytes);
    if (modes.some(isWarm)) {
      log('the first run of those that are warm, not measured');
      await runProgram<OursResult>('ours.js', 'learn', folder);
    }
    const loadBefore = loadavg()[0];
    const all: Run[] = [];
    for (let round = 0; round < runCount; round++) {
      for (const mode of modes) {
        log(`round ${round + 1} of ${runCount}: ${mode}`);
        all.push(await measure(mode, folder));
      }
    }
    return { hosts: [{ cpu: cpus()[0].model, cores: cpus().length, node: process.version, qemu, v86, loadBefore, loadAfter: loadavg()[0] }], all };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function earlier(files: readonly string[]): Measured {
  const measured = files.map((file) => JSON.parse(readFileSync(file, 'utf8')) as Measured);
  return { hosts: measured.flatMap(({ hosts }) => hosts), all: measured.flatMap(({ all }) => all) };
}

const { hosts, all } = options.from === undefined ? await measureAll() : earlier(options.from.split(','));
const report = reportOf(all, hosts);
process.stdout.write(options.json ? `${JSON.stringify({ ...report, all }, undefined, 2)}\n` : textOf(report));

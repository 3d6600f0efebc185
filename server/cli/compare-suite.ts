/**
 * The suite: the workloads of a guest, one recording each, in a folder. Clock, seed and what is typed are constants, so a recording of the same images made
 * anywhere has the same events, and one that is there already is used again.
 */
import { existsSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { joinSegments } from '../../engine/analysis/comparison/segments.ts';
import type { ComparisonReport, SegmentReport } from '../../engine/analysis/comparison/report.ts';
import { canonicalJson } from '../../engine/log/canonical-json.ts';
import { LogError } from '../../engine/log/errors.ts';
import type { EndEvent } from '../../engine/log/events.ts';
import type { LogReader } from '../../engine/log/reader.ts';
import { DEFAULT_ACCESS_COST_NS } from '../../engine/machine/machine.ts';
import { InputScript, parseScript } from '../../engine/recording/input-script.ts';
import { type Recipe, DEFAULT_DIGEST_INSTRUCTIONS, DEFAULT_EPOCH_INSTRUCTIONS, encodeRecipe, referImages } from '../../engine/recording/recipe.ts';
import { Recorder } from '../../engine/recording/recorder.ts';
import { StoreError, fileError } from '../store/errors.ts';
import { FileSink, FileSource } from '../store/files.ts';
import type { NamedGuest } from '../store/guest-images.ts';
import { newHostHash } from '../store/host-hash.ts';
import { type OpenedLog, openLog } from '../../engine/log/open-log.ts';
import { ownPackage } from '../store/package-root.ts';
import type { Context } from './context.ts';
import { drive } from './drive.ts';
import { exitNameOfEnd } from './exit-codes.ts';
import { newLogId } from './host.ts';
import { Progress } from './progress.ts';

/** CPU-, memory- and I/O-intensive; then what costs kernels most; then all of it. */
export const WORKLOADS = ['cpu', 'mem', 'io', 'syscall', 'fork', 'mixed'] as const;
export type Workload = (typeof WORKLOADS)[number];
export const SUITE_GUESTS = ['lab', 'linux'] as const;
export type SuiteGuest = (typeof SUITE_GUESTS)[number];

/** 2026-01-01T00:00:00Z, ns. */
const WALL_CLOCK_NS = '1767225600000000000';
const SEED = '0000000000000001';
const IDLE_LIMIT_NS = 60e9;
const END_MARK = 'work end';

/** A workload did not run to its end. */
export class SuiteError extends Error {
  override readonly name = 'SuiteError';
}

export interface SuiteRecording {
  readonly workload: Workload;
  readonly file: string;
  /** It was there already. */
  readonly isReused: boolean;
}

/** The folder for the recordings: the one given, or a new one among the temporary files. Throws StoreError. */
export function suiteFolder(given: string | undefined): string {
  try {
    if (given === undefined) return mkdtempSync(join(tmpdir(), 'chronovisor-suite-'));
    mkdirSync(given, { recursive: true });
    return given;
  } catch (error) {
    throw fileError(error, 'write', given ?? tmpdir(), '-o FOLDER');
  }
}

/** One recording; undefined if a signal came. Throws StoreError, SuiteError. */
export async function suiteRecording(guest: NamedGuest, workload: Workload, folder: string, module: () => WebAssembly.Module, context: Context): Promise<SuiteRecording | undefined> {
  const file = join(folder, `${guest.name}-${workload}.cvlog`);
  const recipe = recipeOf(guest, workload);
  if (existsSync(file)) {
    const problem = whyNotReused(file, guest, recipe, workload);
    if (problem !== undefined) throw new StoreError('output-exists', { file: `${file} (${problem})`, option: '-o FOLDER' });
    return { workload, file, isReused: true };
  }
  return (await record(guest, workload, recipe, file, module(), context)) ? { workload, file, isReused: false } : undefined;
}

function recipeOf(guest: NamedGuest, workload: Workload): Recipe {
  return {
    guest: guest.name,
    commandLine: guest.isLab ? `run="work ${workload}; poweroff"` : guest.commandLine,
    protocol: 'auto',
    machine: { memoryBytes: guest.memoryBytes, seed: SEED, wallClockNs: WALL_CLOCK_NS, acpi: false, virtio: [], accessCostNs: DEFAULT_ACCESS_COST_NS, counts: true },
    epochInstructions: DEFAULT_EPOCH_INSTRUCTIONS,
    digestInstructions: DEFAULT_DIGEST_INSTRUCTIONS,
  };
}

/** What is typed at a guest that takes no workload from its command line, and marked, because it sets no marks itself. The prompt is that of server/guests. */
function scriptOf(guest: NamedGuest, workload: Workload): string | undefined {
  return guest.isLab ? undefined : [
    'expect "# "', `mark "work ${workload}"`, `send "work ${workload}\\n"`, `expect "work: ${workload} "`, 'expect "# "', `mark "${END_MARK}"`, 'send "poweroff -f\\n"', '',
  ].join('\n');
}

/** Returns false if a signal came; the file is gone then. */
async function record(guest: NamedGuest, workload: Workload, recipe: Recipe, file: string, module: WebAssembly.Module, { err, signals }: Context): Promise<boolean> {
  const sink = new FileSink(file, '-o FOLDER');
  const progress = new Progress(err, true);
  const source = scriptOf(guest, workload);
  let wrote = false;
  let isComplete = false;
  try {
    const recorder = new Recorder({
      recipe, images: { kernel: guest.kernel, initrd: guest.initrd }, module, newHash: newHostHash,
      outputs: {
        console: (byte) => {
          script?.output(byte);
          wrote = true;
        },
      },
      log: { sink, id: newLogId(), product: `chronovisor ${ownPackage().version}` },
    });
    const script = source === undefined ? undefined : new InputScript(parseScript(source));
    const end = await drive({
      recorder, script, untilTexts: [], untilPosition: undefined, idleLimitNs: IDLE_LIMIT_NS, flushMs: 0, signals, live: undefined, isConsoleClosed: () => false,
      afterStep: () => {
        const has = wrote;
        wrote = false;
        progress.update({ position: recorder.position, virtualNs: recorder.position + recorder.machine.timeOffsetNs, logBytes: recorder.logBytes });
        return has;
      },
    });
    if (end.cause.kind === 'signal') return false;
    if (end.cause.kind !== 'guest' || exitNameOfEnd(end.status.reason, end.status.detail) !== 'ok' || script?.waitingFor !== undefined) {
      throw new SuiteError(`the guest ${guest.name} did not run \`work ${workload}\` to its end: ${end.status.reason}: ${end.status.detail}. Nothing was kept; \`chronovisor run ${guest.name}\` shows its console`);
    }
    isComplete = true;
    return true;
  } finally {
    progress.clear();
    if (isComplete) sink.close();
    else sink.discard();
  }
}

/** Undefined if the file is what a recording made now would be. Throws StoreError. */
function whyNotReused(file: string, guest: NamedGuest, recipe: Recipe, workload: Workload): string | undefined {
  const source = new FileSource(file, '-o FOLDER');
  try {
    const opened = openedLog(source);
    if (opened === undefined) return 'not an intact recording';
    const { reader, torn } = opened;
    const { header } = reader;
    if (torn !== undefined || !reader.isClosed) return 'a recording that was cut off';
    const wanted = [encodeRecipe(recipe).options, { ...encodeRecipe(recipe), options: {} }];
    const found = [header.config.options, { ...header.config, options: {} }];
    if (wanted.some((part, i) => canonicalJson({ ...part }) !== canonicalJson({ ...found[i] })) || header.wallClockNs !== recipe.machine.wallClockNs || header.quirks.length > 0) return 'a recording of another recipe';
    const images = referImages({ kernel: guest.kernel, initrd: guest.initrd }, newHostHash);
    if (images.length !== header.images.length || images.some(({ name, sha256 }, i) => name !== header.images[i].name || sha256 !== header.images[i].sha256)) return 'a recording of other images';
    const { typed, end } = outsideOf(reader);
    const script = scriptOf(guest, workload);
    const sent = script === undefined ? '' : parseScript(script).map((step) => (step.kind === 'send' ? latin1(step.bytes) : '')).join('');
    if (typed !== sent) return 'a recording with other input';
    return end !== undefined && exitNameOfEnd(end.reason, end.detail) === 'ok' && end.reason !== 'limit' && end.reason !== 'user' ? undefined : 'a recording that did not end by itself';
  } finally {
    source.close();
  }
}

/** Undefined if it is no log, or is damaged. */
function openedLog(source: FileSource): OpenedLog | undefined {
  try {
    return openLog(source);
  } catch (error) {
    if (error instanceof LogError) return undefined;
    throw error;
  }
}

function outsideOf(reader: LogReader): { readonly typed: string; readonly end: EndEvent | undefined } {
  let typed = '';
  let end: EndEvent | undefined;
  for (const event of reader.events({ kinds: ['input', 'end'] })) {
    if (event.kind === 'end') end = event;
    else if (event.kind === 'input' && event.input.kind === 'console') typed += latin1(event.input.bytes);
  }
  return { typed, end };
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

/** The workload alone, without boot and shutdown: from its first mark to the end mark. */
export interface WorkloadPart {
  readonly from: number;
  readonly to: number;
  readonly instructions: number;
  readonly idleNs: number;
  /** In the order of the report's regimes. */
  readonly segments: readonly SegmentReport[];
}

/** Throws SuiteError if the marks are missing. */
export function workloadPart(report: ComparisonReport, workload: Workload): WorkloadPart {
  const { phases } = report;
  const first = phases.findIndex(({ name }) => name.startsWith('work ') && name !== END_MARK);
  const last = phases.findIndex(({ name }, i) => i > first && name === END_MARK);
  if (first < 0 || last < 0) throw new SuiteError(`the recording of \`work ${workload}\` has no marks around the workload`);
  const spans = phases.slice(first, last);
  const instructions = spans.reduce((sum, span) => sum + span.instructions, 0);
  return {
    from: spans[0].from,
    to: phases[last].from,
    instructions,
    idleNs: spans.reduce((sum, span) => sum + span.idleNs, 0),
    segments: report.regimes.map((regime) => joinSegments(regime.phases.slice(first, last), instructions, report.cyclesPerInstruction)),
  };
}

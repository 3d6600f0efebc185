/** `replay`: a recording again, with nothing from outside but its log. */
import { Replayer, type ReplayStatus } from '../../engine/recording/replayer.ts';
import { describeDivergence } from '../../engine/log/verify.ts';
import { loadCore } from '../store/core-module.ts';
import { FileSource } from '../store/files.ts';
import { openImages } from '../store/guest-images.ts';
import { openRecording } from '../store/chains.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { IMAGE_OPTIONS, JSON_OPTION, QUIET_OPTION, imagePlaces } from './common-options.ts';
import type { Context, Verb } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { lineOf } from './event-text.ts';
import type { JitStatistics } from '../../engine/jit/jit.ts';
import { JIT_OPTIONS, applyJit, jitLines } from './jit-options.ts';
import { monotonicMs, turn } from './host.ts';
import { toJson } from './output.ts';
import { Progress } from './progress.ts';
import { signalStatus } from './signals.ts';

/** Instructions between looks at signals. */
const SLICE_INSTRUCTIONS = 2_000_000;

const SPEC: VerbSpec = {
  name: 'replay',
  synopsis: 'FILE [options]',
  summary: 'Runs a recording again, and compares every event and every digest.',
  operands: { min: 1, max: 1 },
  options: [
    { name: 'times', value: 'N', help: 'replays N times (default: 1)' },
    { name: 'console', help: "shows the guest's console on stdout" },
    ...IMAGE_OPTIONS,
    ...JIT_OPTIONS,
    QUIET_OPTION,
    JSON_OPTION,
  ],
  notes: ['A log whose recorder was stopped by force is replayed as far as it goes: `prefix identical`, exit code 4.'],
};

type ReplayResult = Exclude<ReplayStatus, { kind: 'running' }>;

export const replay: Verb = { spec: SPEC, run: start };

async function start(parsed: Arguments, context: Context): Promise<number> {
  const { out, err, signals } = context;
  const times = parsed.count('times', 1) ?? 1;
  const isJson = parsed.has('json');
  const isQuiet = parsed.has('quiet');
  applyJit(parsed);
  const source = new FileSource(parsed.operands[0], 'FILE');
  const { reader, torn } = openRecording(source, parsed.all('parent'));
  const images = openImages(reader, imagePlaces(parsed));
  const module = loadCore();
  const consoleOut = !parsed.has('console') || isQuiet ? undefined : isJson ? err : out;

  const runs: { readonly seconds: number; readonly mips: number }[] = [];
  let result: ReplayResult | undefined;
  let jit: JitStatistics | undefined;
  for (let i = 0; i < times; i++) {
    let shown: number[] = [];
    const replayer = new Replayer({ reader, images, module, outputs: consoleOut === undefined ? {} : { console: (byte) => shown.push(byte) } });
    const progress = new Progress(err, !isQuiet);
    const startMs = monotonicMs();
    let status: ReplayStatus;
    do {
      status = replayer.step(SLICE_INSTRUCTIONS);
      if (shown.length > 0 && consoleOut !== undefined) {
        const bytes = Uint8Array.from(shown);
        shown = [];
        if (consoleOut.isTerminal) progress.beforeConsole(bytes);
        consoleOut.write(bytes);
      }
      progress.update({ position: replayer.position, virtualNs: replayer.position + replayer.machine.timeOffsetNs, fraction: replayer.position / Math.max(1, reader.lastPosition) });
      await turn();
      if (signals.received !== undefined || consoleOut?.isClosed === true) {
        progress.clear();
        err.write(`chronovisor: the replay was stopped at @${replayer.position}, identical up to there\n`);
        return signals.received === undefined ? exitCode('ok') : signalStatus(signals.received);
      }
    } while (status.kind === 'running');
    progress.clear();
    const seconds = (monotonicMs() - startMs) / 1000;
    runs.push({ seconds, mips: replayer.position / seconds / 1e6 });
    result = status;
    jit = replayer.machine.jit?.statistics();
    if (parsed.has('jit-stats') && !isJson) for (const line of jitLines(jit, replayer.position)) err.write(`  ${line}\n`);
    if (!isQuiet && !isJson) {
      const nth = times === 1 ? '' : `${i + 1} of ${times}: `;
      const speed = `  (${seconds.toFixed(1)} s, ${(replayer.position / seconds / 1e6).toFixed(1)} MIPS)`;
      if (status.kind === 'identical') {
        const what = status.complete ? 'identical' : 'prefix identical';
        out.write(`${nth}${what}: ${replayer.records} events, position @${status.position}, digest ${status.digest}${speed}\n`);
      } else for (const line of describeDivergence(status.divergence)) out.write(`${nth}${line}\n`);
    }
    if (status.kind === 'diverged') break;
  }
  if (result === undefined) throw new Error('nothing was replayed');

  const status = result.kind === 'diverged' ? exitCode('different') : result.complete ? exitCode('ok') : exitCode('cut-off');
  if (!isQuiet && torn !== undefined) err.write(`chronovisor: ${torn.message}\n`);
  if (isJson) {
    out.write(
      `${toJson({
        verb: 'replay',
        file: source.path,
        result: result.kind,
        times: runs.length,
        ...(result.kind === 'identical'
          ? { isComplete: result.complete, position: result.position, events: reader.records, digest: result.digest, end: result.end && { reason: result.end.reason, detail: result.end.detail } }
          : { divergence: { ...result.divergence, expectedText: result.divergence.expected && lineOf(result.divergence.expected), actualText: result.divergence.actual && lineOf(result.divergence.actual) } }),
        ...(torn !== undefined && { torn: { code: torn.code, offset: torn.offset, detail: torn.detail } }),
        runs,
        ...(parsed.has('jit-stats') && { jit: jit ?? null }),
        exitCode: status,
      })}\n`,
    );
  } else if (!isQuiet && result.kind === 'identical' && !result.complete) {
    err.write(`chronovisor: the log has no end: its recorder was stopped by force, or it was cut off. What is there was replayed\n`);
  }
  return status;
}

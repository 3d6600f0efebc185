/** `explore`: how often a recording fails from one moment on when interrupts come at other times, and the least that makes it fail. */
import { type Attempt, Explorer, type ExploreOptions, type Failure, type Shift, drawAll, shareInterval } from '../../engine/debug/explore.ts';
import { ExpressionError, parseExpression } from '../../engine/debug/expression.ts';
import { PLACE_FORMS } from '../../engine/debug/places.ts';
import { loadCore } from '../store/core-module.ts';
import { FileSink } from '../store/files.ts';
import { ownPackage } from '../store/package-root.ts';
import type { Arguments, VerbSpec } from './arguments.ts';
import { EXPRESSION_NOTES } from './bisect-common.ts';
import { type BranchOpened, openForBranch, pointOf, untilOf } from './branch.ts';
import { IMAGE_OPTIONS, JSON_OPTION, QUIET_OPTION } from './common-options.ts';
import type { Context, Verb } from './context.ts';
import { exitCode } from './exit-codes.ts';
import { grouped, megabytes } from './format.ts';
import { monotonicMs, newLogId, turn } from './host.ts';
import { JOBS_OPTION, withCrew } from './jobs.ts';
import { toJson } from './output.ts';
import { type Signals, signalStatus } from './signals.ts';
import { UsageError } from './usage-error.ts';
import type { Crew } from '../workers/crew.ts';

const DEFAULT_RUNS = 50;
const DEFAULT_DELAY_NS = 100_000;
const DEFAULT_SHIFTS = 4;
const PAST_THE_END = 1_000_000_000;
/** Between looks at signals. */
const TURN_MS = 50;

const SPEC: VerbSpec = {
  name: 'explore',
  synopsis: 'FILE --at WHERE --runs N --panic|--console TEXT|--when EXPR [options]',
  summary: 'Runs many branches of one moment with interrupts at other times, tells how many of them fail, and the least change of timing that does it.',
  operands: { min: 1, max: 1 },
  options: [
    { name: 'at', value: 'WHERE', help: PLACE_FORMS },
    { name: 'runs', value: 'N', help: `branches to run (default: ${DEFAULT_RUNS})` },
    { name: 'panic', help: 'a run fails when its console shows what kernels print when they give up' },
    { name: 'console', value: 'TEXT', help: 'a run fails when its console shows this' },
    { name: 'when', value: 'EXPR', help: 'a run fails when this is true where it ends' },
    { name: 'until', value: 'WHERE', help: 'where runs end: @POSITION or +INSTRUCTIONS (default: where the guest ends or waits for input)' },
    { name: 'seed', value: 'N', help: 'of the draws: the same seed gives the same runs (default: 1)' },
    { name: 'delay', value: 'NS', help: `longest delay of an interrupt; 1 ns is one instruction (default: ${DEFAULT_DELAY_NS})` },
    { name: 'shifts', value: 'N', help: `most interrupts that are delayed in a run (default: ${DEFAULT_SHIFTS})` },
    { name: 'span', value: 'N', help: 'instructions after the moment in which they are delayed (default: to the end of the recording, or to --until)' },
    { name: 'inputs', value: 'keep|none', help: "as for `branch` (default: keep)" },
    JOBS_OPTION,
    { name: 'output', short: 'o', value: 'CHILD', help: 'writes the shortest change as a branch that `replay` and `bisect` take' },
    { name: 'symbols', value: 'FILE', help: 'an ELF file with the symbols of the guest (default: the kernel of the recording)' },
    ...IMAGE_OPTIONS,
    QUIET_OPTION,
    JSON_OPTION,
  ],
  notes: [
    'A delay puts off a timer that is armed at a drawn position: interrupts of the clock and of devices come from timers. The other outcome than that of the undisturbed run is made as short as it goes: no delay',
    'can be left out, and none be halved, without losing it. If the undisturbed run fails, that is the shortest change that prevents it.',
    'Exit codes: 0 the other outcome was found; 19 all runs went as the undisturbed one.',
    ...EXPRESSION_NOTES,
  ],
};

export const explore: Verb = { spec: SPEC, run: async (parsed, context) => withCrew(parsed, context, (crew) => start(parsed, context, crew)) };

async function start(parsed: Arguments, context: Context, crew: Crew): Promise<number> {
  const { out, err, signals } = context;
  const isJson = parsed.has('json');
  const isQuiet = parsed.has('quiet');
  const runs = parsed.count('runs', 1) ?? DEFAULT_RUNS;
  const delayNsMax = parsed.count('delay', 1) ?? DEFAULT_DELAY_NS;
  const shiftsMax = parsed.count('shifts', 1) ?? DEFAULT_SHIFTS;
  const seed = parsed.count('seed') ?? 1;
  const inputs = parsed.text('inputs') ?? 'keep';
  if (inputs !== 'keep' && inputs !== 'none') throw parsed.wrong('inputs', inputs, 'keep or none');
  if ([parsed.has('panic'), parsed.has('console'), parsed.has('when')].filter(Boolean).length !== 1) throw new UsageError('explore needs to know what a failure is: one of --panic, --console TEXT and --when EXPR', 'explore');
  const until = untilOf(parsed);
  if (until.text !== undefined) throw parsed.wrong('until', until.text, '@1234567 or +1000000');
  const output = parsed.text('output');
  const sink = output === undefined ? undefined : new FileSink(output, '-o');
  crew.goTo(parsed.text('at') ?? '', runs - 1);
  const opened = openForBranch('explore', parsed, context);
  if (typeof opened === 'number') return opened;
  const failure = failureOf(parsed, opened);
  const point = pointOf('explore', opened);
  const { reader } = opened.recording;
  const at = point.checkpoint.state.position;
  const runTo = until.position?.(at) ?? reader.lastPosition + PAST_THE_END;
  if (runTo <= at) throw new UsageError(`--until: @${runTo} is not after @${at}`, 'explore');
  const span = parsed.count('span', 1);
  const shiftsTo = Math.min(runTo, span === undefined ? Math.max(reader.lastPosition, at + 1) : at + span);
  const drawing: Omit<ExploreOptions, 'parent' | 'images' | 'module' | 'point' | 'failure'> = { seed: BigInt(seed), delayNsMax, shiftsMax, shiftsTo, runTo, inputs };
  const explorer = new Explorer({ ...drawing, parent: reader, images: opened.images, module: loadCore(), point, failure });
  const isExpression = failure.kind === 'expression';
  const others = crew.runners({ ...drawing, position: at, failure: isExpression ? { kind: 'expression', text: parsed.text('when')! } : failure, symbols: isExpression ? opened.symbols.all() : [] });

  const startMs = monotonicMs();
  const base = await through(explorer.attempt([]), signals);
  const told = { runs: 0, failed: 0 };
  const tell = ({ fails }: Attempt): void => {
    told.runs++;
    if (fails) told.failed++;
    if (!isQuiet && err.isTerminal) err.write(`\r${told.runs} of ${runs} runs, ${told.failed} failed `);
  };
  const attempts = base === undefined ? undefined : await drawAll(explorer, runs, (number) => through(explorer.drawn(number), signals), others, tell);
  if (!isQuiet && err.isTerminal) err.write('\r\x1b[K');
  if (base === undefined || attempts === undefined || signals.received !== undefined) return signalStatus(signals.received ?? 'SIGINT');

  const failures = attempts.filter(({ fails }) => fails).length;
  const share = shareInterval(failures, attempts.length);
  const other = attempts.filter(({ fails }) => fails !== base.fails).sort((a, b) => a.shifts.length - b.shifts.length || total(a.shifts) - total(b.shifts)).at(0);
  const shortest = other === undefined ? undefined : await through(explorer.shortest(other), signals);
  if (signals.received !== undefined) return signalStatus(signals.received);
  let child: { readonly file: string; readonly records: number; readonly bytes: number; readonly digest: string } | undefined;
  if (shortest !== undefined && sink !== undefined && output !== undefined) {
    const branch = await through(explorer.record(shortest.shifts, { sink, id: newLogId(), product: `chronovisor ${ownPackage().version}` }), signals);
    sink.close();
    if (branch === undefined) return signalStatus(signals.received ?? 'SIGINT');
    child = { file: output, records: branch.recorder.records, bytes: branch.recorder.logBytes, digest: branch.stop('limit', '').digest };
  }
  const seconds = (monotonicMs() - startMs) / 1000;
  const status = shortest === undefined ? exitCode('not-found') : exitCode('ok');
  if (isJson) {
    out.write(
      `${toJson({
        verb: 'explore', file: parsed.operands[0], position: at, seed, undisturbed: { fails: base.fails, position: base.position }, runs: attempts.length, failures, share: { ...share, value: failures / attempts.length }, found: other?.shifts, shortest, child,
        attempts: explorer.attempts, seconds, exitCode: status,
      })}\n`,
    ); // prettier-ignore
    return status;
  }
  const percent = (value: number): string => `${(value * 100).toFixed(1)} %`;
  out.write(`${failures} of ${attempts.length} runs from @${grouped(at)} fail: ${percent(failures / attempts.length)}, 95 % interval ${percent(share.low)} to ${percent(share.high)}\n`);
  out.write(`  undisturbed       ${base.fails ? 'fails' : 'does not fail'}, up to @${grouped(base.position)}\n`);
  if (shortest === undefined) out.write(`  no run went otherwise: try more runs, another seed, --delay above ${delayNsMax}, or another moment\n`);
  else {
    out.write(`  shortest change   ${base.fails ? 'that prevents it' : 'that makes it fail'}: ${shortest.shifts.length} of ${other!.shifts.length} delays\n`);
    for (const { position, timer, ns } of shortest.shifts) out.write(`    @${grouped(position)}  ${timer} fires ${grouped(ns)} ns later\n`);
    out.write(`  that run          ${shortest.fails ? 'fails' : 'does not fail'}, up to @${grouped(shortest.position)}\n`);
  }
  if (child !== undefined) out.write(`  ${child.file}: ${grouped(child.records)} events, ${megabytes(child.bytes)}, digest ${child.digest}\n`);
  out.write(`  ${explorer.attempts} runs in ${seconds.toFixed(1)} s\n`);
  return status;
}

function total(shifts: readonly Shift[]): number {
  return shifts.reduce((sum, { ns }) => sum + ns, 0);
}

function failureOf(parsed: Arguments, { symbols }: BranchOpened): Failure {
  const text = parsed.text('console');
  if (text !== undefined) {
    if (text === '') throw parsed.wrong('console', text, 'a text');
    return { kind: 'console', text };
  }
  const when = parsed.text('when');
  if (when === undefined) return { kind: 'panic' };
  try {
    return { kind: 'expression', expression: parseExpression(when, symbols) };
  } catch (error) {
    if (error instanceof ExpressionError) throw new UsageError(`--when: ${error.message}`, 'explore');
    throw error;
  }
}

/** Undefined if a signal came. */
async function through<T>(steps: Generator<number, T, void>, signals: Signals): Promise<T | undefined> {
  let turned = monotonicMs();
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value as T;
    if (monotonicMs() - turned < TURN_MS) continue;
    await turn();
    turned = monotonicMs();
    if (signals.received !== undefined) return undefined;
  }
}

/** `migrate --live`, `--listen` and `--resolve`: a guest that really moves between two processes (server/migration). */
import { existsSync, writeFileSync } from 'node:fs';
import { BranchError, branchPoint } from '../../engine/debug/branch-point.ts';
import { PLACE_FORMS, parsePlace } from '../../engine/debug/places.ts';
import { SeekError, TimeTravel } from '../../engine/debug/time-travel.ts';
import type { Prediction } from '../../engine/analysis/migration/predict.ts';
import { wallTime } from '../../engine/analysis/migration/quantities.ts';
import { DEFAULT_ACCESS_COST_NS } from '../../engine/machine/machine.ts';
import { DEFAULT_DIGEST_INSTRUCTIONS, DEFAULT_EPOCH_INSTRUCTIONS, decodeRecipe } from '../../engine/recording/recipe.ts';
import { Recorder } from '../../engine/recording/recorder.ts';
import { Replayer } from '../../engine/recording/replayer.ts';
import { CheckpointError } from '../../engine/recording/checkpoint-errors.ts';
import { type DestinationOptions, type MovedGuest, ReceiveError, receive, recoverDestination, settle, settleWith, startOf } from '../migration/destination.ts';
import { type Duplex, LinkError, type Mailbox, connectTo, listenAt } from '../migration/duplex.ts';
import { FileJournal, type SourceRecord, destinationFiles, handoverPath, intentPath, sourceFiles } from '../migration/journal.ts';
import { Guest, RealPace } from '../migration/pace.ts';
import { type PageWaits, Scout, runPaged } from '../migration/post-copy.ts';
import { LIVE_POLICIES, type LivePolicy, Pager } from '../migration/source.ts';
import { sourceMayRun, tellVerdict } from '../migration/verdict.ts';
import { ANSWER_MS, CONNECT_MS, type Place, forecast, leave, measureSpeed, parseTarget } from '../migration/leaving.ts';
import { openRecording } from '../store/chains.ts';
import { findIndex } from '../store/checkpoints.ts';
import { loadCore } from '../store/core-module.ts';
import { StoreError } from '../store/errors.ts';
import { FileSink, FileSource } from '../store/files.ts';
import { openDisk, openImages, openNamedGuest } from '../store/guest-images.ts';
import { ownPackage } from '../store/package-root.ts';
import type { Arguments, OptionSpec } from './arguments.ts';
import { imagePlaces } from './common-options.ts';
import type { Context } from './context.ts';
import { loadDirt } from './dirty-source.ts';
import { type DriveEnd, drive } from './drive.ts';
import { exitCode, exitNameOfEnd } from './exit-codes.ts';
import { speedOf, targetOf } from './migrate-arguments.ts';
import { leaveRun, runAddress } from './migrate-run.ts';
import { progressText, resultLines } from './migrate-text.ts';
import { grouped, megabytes, virtualTime } from './format.ts';
import { monotonicMs, newLogId, turn, wallClockNs } from './host.ts';
import { toJson } from './output.ts';
import { bandwidth, duration } from './quantities.ts';
import { signalStatus } from './signals.ts';
import { UsageError } from './usage-error.ts';

export const LIVE_OPTIONS: readonly OptionSpec[] = [
  { name: 'live', help: 'really moves a guest to --to: FILE is a recording to go on from (--at), or the name of a guest to start, which is recorded to -o; or a run of the lab (`npm start`): its address, such as http://localhost:4600/runs/3, or its number with --server' },
  { name: 'server', value: 'URL', help: 'with --live NUMBER: the lab (default: http://localhost:4600); CHRONOVISOR_TOKEN is its token' },
  { name: 'to', value: 'HOST:PORT', help: 'with --live or --resolve: where a destination listens' },
  { name: 'listen', value: '[HOST:]PORT', help: 'the destination: takes a guest, goes on with it, and records it to -o, whose parent is the log of the source' },
  { name: 'resolve', help: 'FILE is the log of a source whose link broke: says again, for good, who has the guest, and sends the pages that are missing' },
  { name: 'handover', value: 'FILE', help: 'with --listen, for a migration in doubt whose source cannot be reached: its LOG.handover file decides' },
  { name: 'output', short: 'o', value: 'LOG', help: 'with --live or --listen: the log that this side writes; with --closed-loop: the branch' },
  { name: 'at', value: 'WHERE', help: `with --live FILE: where to go on from: ${PLACE_FORMS} (default: end)` },
  { name: 'after', value: 'T', help: "with --live: begins to move after so much of the guest's time (default: 0)" },
  { name: 'until', value: '@POSITION', help: 'with --live or --listen: ends the run there' },
  { name: 'prediction', value: 'FILE', help: 'with --live FILE: where the prediction is written before the guest moves (default: LOG.prediction.json)' },
];

const clock = { monotonicMs, turn };

export function isLive(parsed: Arguments): boolean {
  return parsed.has('live') || parsed.has('listen') || parsed.has('resolve');
}

export async function startLive(parsed: Arguments, context: Context): Promise<number> {
  if (['live', 'listen', 'resolve'].filter((name) => parsed.has(name)).length > 1) throw new UsageError('--live, --listen and --resolve exclude each other', 'migrate');
  for (const name of ['table', 'frontier', 'best-start', 'starts', 'series', 'max-bandwidth', 'slowdown', 'start', 'closed-loop', 'logging-cost']) if (parsed.has(name)) throw new UsageError(`--${name} is for predictions: it does not go with a guest that really moves`, 'migrate');
  try {
    if (parsed.has('listen')) return await arrive(parsed, context);
    if (parsed.has('resolve')) return await resolve(parsed, context);
    const run = runAddress(parsed);
    return run === undefined ? await depart(parsed, context) : await leaveRun(run, parsed, context);
  } catch (error) {
    if (!(error instanceof LinkError || error instanceof ReceiveError || error instanceof CheckpointError)) throw error;
    // A source that could not reach anybody still has its guest: nothing was offered.
    const status = exitCode(parsed.has('live') ? 'not-moved' : 'unconfirmed');
    context.err.write(`chronovisor: ${error.message}\n`);
    if (parsed.has('json')) context.out.write(`${toJson({ verb: 'migrate', error: { code: 'link', message: error.message }, exitCode: status })}\n`);
    return status;
  }
}

// ---- arguments ----

function listenPlace(parsed: Arguments): Place {
  const text = parsed.text('listen')!;
  const place = parseTarget(/^\d+$/.test(text) ? `127.0.0.1:${text}` : text);
  if (place === undefined) throw parsed.wrong('listen', text, '4444 or 0.0.0.0:4444');
  return place;
}
function outputOf(parsed: Arguments): string {
  const output = parsed.text('output');
  if (output === undefined) throw new UsageError(`give a name for the log: -o ${parsed.has('listen') ? 'CHILD' : 'LOG'}`, 'migrate');
  return output;
}
function untilOf(parsed: Arguments): number | undefined {
  const text = parsed.text('until');
  if (text === undefined) return undefined;
  const position = /^@[\d_]+$/.test(text) ? Number(text.slice(1).replaceAll('_', '')) : NaN;
  if (!Number.isSafeInteger(position)) throw parsed.wrong('until', text, 'a position such as @1234567');
  return position;
}
// ---- running on ----

/** The console of the guest, to stdout (with --json to stderr). */
class Console {
  private bytes: number[] = [];
  private readonly to: Context['out'] | undefined;
  constructor(parsed: Arguments, { out, err }: Context) {
    this.to = parsed.has('quiet') ? undefined : parsed.has('json') ? err : out;
  }
  readonly push = (byte: number): void => {
    this.bytes.push(byte);
  };
  show(): boolean {
    if (this.bytes.length === 0) return false;
    this.to?.write(Uint8Array.from(this.bytes));
    this.bytes = [];
    return true;
  }
}

function runOn(recorder: Recorder, console: Console, parsed: Arguments, { signals }: Context): Promise<DriveEnd> {
  return drive({
    recorder, script: undefined, untilTexts: [], untilPosition: untilOf(parsed) as never, idleLimitNs: 60e9, flushMs: 1000, signals, live: undefined,
    isConsoleClosed: () => false, afterStep: () => console.show(),
  }); // prettier-ignore
}
function statusOf({ cause, status }: DriveEnd): number {
  if (cause.kind === 'signal') return signalStatus(cause.signal);
  if (cause.kind === 'waiting') return exitCode('waiting');
  return cause.kind === 'guest' ? exitCode(exitNameOfEnd(status.reason, status.detail)) : exitCode('ok');
}

// ---- the source ----

async function depart(parsed: Arguments, context: Context): Promise<number> {
  const { out, err, signals } = context;
  const to = targetOf(parsed);
  const output = outputOf(parsed);
  const policy = (parsed.text('policy') ?? 'precopy') as LivePolicy;
  if (!LIVE_POLICIES.includes(policy)) throw parsed.wrong('policy', policy, `with --live, one of ${LIVE_POLICIES.join(', ')}`);
  const bytesPerSecond = bandwidth(parsed, 'bandwidth') ?? Infinity;
  const downtimeLimitMs = (duration(parsed, 'downtime') ?? 300e6) / 1e6;
  const afterNs = duration(parsed, 'after') ?? 0;
  const askedSpeed = speedOf(parsed);
  const giveUpNs = duration(parsed, 'give-up');
  const operand = parsed.operands.at(0);
  if (operand === undefined) throw new UsageError('--live needs a recording to go on from, or the name of a guest', 'migrate');
  const sink = new FileSink(output, '-o');
  const console = new Console(parsed, context);
  const isQuiet = parsed.has('quiet');
  const say = (text: string): void => {
    if (!isQuiet) err.write(`chronovisor: ${text}\n`);
  };
  const isRecording = existsSync(operand);
  const recorder = isRecording ? goOnFrom(parsed, operand, sink, console) : await startNew(operand, sink, console);
  const guest = new Guest(recorder);
  guest.runTo(guest.nowNs + afterNs);
  console.show();
  const speed = askedSpeed ?? (await measureSpeed(guest, clock, () => console.show()));
  const prediction = isRecording ? await foresee(parsed, context, guest, { bytesPerSecond, downtimeLimitMs, speed, policy }) : undefined;

  const migration = newLogId();
  let shownMs = 0;
  const { end, isConfirmed, virtualPerWall } = await leave({
    guest, log: output, target: to, to: to.text, migration, policy, downtimeLimitMs, bytesPerSecond, speed, clock, say, onTurn: () => console.show(), ...(giveUpNs !== undefined && { timeLimitNs: giveUpNs }),
    isStopped: () => signals.received !== undefined,
    cancelled: () => (signals.received === undefined ? undefined : `cancelled by ${signals.received}`),
    onProgress: (progress) => {
      if (monotonicMs() - shownMs < 500) return;
      shownMs = monotonicMs();
      say(progressText(progress));
    },
  }); // prettier-ignore
  const { measured } = end;
  let status: number = exitCode('ok');
  let after: DriveEnd | undefined;
  if (end.kind === 'kept') {
    say(`the guest was not moved: ${end.reason}. It goes on here`);
    status = exitCode(signals.received === undefined ? 'not-moved' : 'cancelled');
    // The signal was for the migration.
    signals.received = undefined;
    after = await runOn(recorder, console, parsed, context);
  }
  sink.close();
  if (end.kind !== 'kept' && !isConfirmed) {
    say(`the guest was handed over, and the destination has not confirmed it: it is not run here again. When the destination is back: chronovisor migrate --resolve ${output} --to ${parsed.text('to')}`);
    status = exitCode('unconfirmed');
  }
  if (parsed.has('json')) {
    out.write(`${toJson({ verb: 'migrate', mode: 'live', result: end.kind === 'kept' ? 'kept' : 'moved', ...(end.kind === 'kept' && { reason: end.reason }), isConfirmed, migration, policy, downtimeLimitMs, bytesPerSecond: bytesPerSecond === Infinity ? undefined : bytesPerSecond, virtualPerWall, measured, prediction: prediction?.outcome, ...(end.kind !== 'kept' && { digest: end.digest }), log: { file: output, id: recorder.header?.id, position: recorder.position, records: recorder.records }, ...(after !== undefined && { end: after.status }), exitCode: status })}\n`);
  } else if (!isQuiet) {
    err.write(`${resultLines(measured, prediction?.outcome).join('\n')}\n`);
    if (end.kind !== 'kept') say(`moved at @${grouped(recorder.position)}, digest ${end.digest}; the guest's clock ran at ${virtualPerWall.toFixed(3)} of the wall's. The downtime is wall time; the guest's own clock stood still`);
  }
  return status;
}

async function startNew(name: string, sink: FileSink, console: Console): Promise<Recorder> {
  const named = await openNamedGuest(name);
  if (named.regime !== undefined) throw new UsageError(`the guest ${name} runs under the regime ${named.regime}, whose VMM is not moved: a guest without it can be`, 'migrate');
  return new Recorder({
    recipe: {
      guest: name, commandLine: named.commandLine, protocol: 'auto',
      machine: { memoryBytes: named.memoryBytes, seed: '0000000000000001', wallClockNs: wallClockNs(), acpi: false, virtio: [], accessCostNs: DEFAULT_ACCESS_COST_NS, counts: true },
      epochInstructions: DEFAULT_EPOCH_INSTRUCTIONS, digestInstructions: DEFAULT_DIGEST_INSTRUCTIONS,
    },
    images: { kernel: named.kernel, initrd: named.initrd },
    module: loadCore(), outputs: { console: console.push }, log: { sink, id: newLogId(), product: `chronovisor ${ownPackage().version}` },
  }); // prettier-ignore
}

interface Wishes {
  readonly bytesPerSecond: number;
  readonly downtimeLimitMs: number;
  readonly speed: number;
  readonly policy: LivePolicy;
}

function goOnFrom(parsed: Arguments, file: string, sink: FileSink, console: Console): Recorder {
  if (!sourceMayRun(sourceFiles(file))) throw new UsageError(`${file} was handed over to another side, which has the guest now: ${handoverPath(file)} says where. It cannot go on here`, 'migrate');
  const source = new FileSource(file, 'FILE');
  const recording = openRecording(source, parsed.all('parent'));
  const images = openImages(recording.reader, imagePlaces(parsed));
  const where = parsed.text('at') ?? 'end';
  const go = parsePlace(where);
  if (go === undefined) throw parsed.wrong('at', where, PLACE_FORMS);
  const travel = new TimeTravel({ reader: recording.reader, images, module: loadCore(), index: findIndex(source.path, recording.reader, recording).index });
  try {
    go(travel);
    // The last instruction of a log that was cut off may have more events than it tells.
    if (travel.isAtEnd && !recording.reader.hasEnd) travel.seek(Math.max(0, recording.reader.lastPosition - 1));
    const point = branchPoint(travel, recording.chain, images, loadCore());
    return new Recorder({
      recipe: decodeRecipe(recording.reader.header), images, module: loadCore(), outputs: { console: console.push }, from: point.start,
      log: { sink, id: newLogId(), product: `chronovisor ${ownPackage().version}` },
    }); // prettier-ignore
  } catch (error) {
    if (error instanceof BranchError || error instanceof SeekError) throw new UsageError(`--at: ${error.message}`, 'migrate');
    throw error;
  }
}

/** From what the recording tells, before the guest moves. */
async function foresee(parsed: Arguments, context: Context, guest: Guest, { bytesPerSecond, downtimeLimitMs, speed, policy }: Wishes): Promise<Prediction | undefined> {
  const file = parsed.text('prediction') ?? `${parsed.text('output')!}.prediction.json`;
  if (existsSync(file)) throw new StoreError('output-exists', { file, option: '--prediction' });
  let loaded;
  try {
    // The log alone does not tell what is in the pages, and a guest like this is mostly zeros.
    loaded = await loadDirt(parsed, context, { needsReplay: true, content: true, reads: policy !== 'precopy' });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    context.err.write(`chronovisor: no prediction: ${error.message}\n`);
    return undefined;
  }
  if (loaded.kind !== 'loaded') return undefined;
  const { truth } = loaded.source;
  const prediction = forecast(truth, {
    log: parsed.text('output')!, policy, downtimeLimitMs, bytesPerSecond, speed, startNs: guest.nowNs, machine: guest.recorder.machine, clock,
    latencyNs: duration(parsed, 'latency'), switchoverNs: duration(parsed, 'switchover'), samples: parsed.count('samples'),
  }); // prettier-ignore
  writeFileSync(file, `${JSON.stringify(prediction, undefined, 1)}\n`, { flag: 'wx' });
  return prediction;
}

// ---- after a crash of the source ----

async function resolve(parsed: Arguments, context: Context): Promise<number> {
  const to = targetOf(parsed);
  const log = parsed.operands.at(0);
  if (log === undefined) throw new UsageError('--resolve needs the log of the source', 'migrate');
  const files = sourceFiles(log);
  const before = files.verdict.read();
  if (before === undefined) throw new UsageError(`${handoverPath(log)} is not there: ${log} was never offered to another side`, 'migrate');
  const isHere = sourceMayRun(files);
  const record = files.verdict.read()!;
  const link = await connectTo(to.host, to.port, CONNECT_MS);
  const { missing, mailbox } = await tellVerdict(link, record, ANSWER_MS);
  if (missing.length > 0) {
    const machine = replayTo(parsed, log, record);
    await new Pager(machine.core, Uint32Array.from(missing)).serve(link, mailbox, new RealPace(clock, undefined), bandwidth(parsed, 'bandwidth') ?? Infinity);
  }
  link.close();
  const text = isHere ? `the guest stayed here: chronovisor migrate --live ${log} goes on with it` : `the guest is at ${record.to}${missing.length > 0 ? `; ${grouped(missing.length)} pages were sent` : ''}`;
  if (parsed.has('json')) context.out.write(`${toJson({ verb: 'migrate', mode: 'resolve', migration: record.migration, verdict: record.verdict, pagesSent: missing.length, exitCode: exitCode('ok') })}\n`);
  else if (!parsed.has('quiet')) context.err.write(`chronovisor: ${text}\n`);
  return exitCode('ok');
}

/** The memory of a guest that was handed over, made again from its log. */
function replayTo(parsed: Arguments, log: string, { position, records, digest }: SourceRecord): Replayer['machine'] {
  const recording = openRecording(new FileSource(log, 'FILE'), parsed.all('parent'));
  const first = recording.chain.links.at(-1)!.firstRecord;
  const replayer = new Replayer({ reader: recording.reader, images: openImages(recording.reader, imagePlaces(parsed)), module: loadCore(), stop: { position: position!, records: first + records! } });
  while (!replayer.isStopped) if (replayer.step(10_000_000).kind !== 'running') throw new LinkError(`${log} does not replay to @${position}: \`chronovisor replay\` says more`);
  if (replayer.machine.digest().digest !== digest) throw new LinkError(`${log} replays to another state at @${position} than was handed over`);
  return replayer.machine;
}

// ---- the destination ----

async function arrive(parsed: Arguments, context: Context): Promise<number> {
  const { out, err, signals } = context;
  const at = listenPlace(parsed);
  const child = outputOf(parsed);
  const console = new Console(parsed, context);
  const files = destinationFiles(child);
  const diskFile = parsed.text('disk');
  const childId = newLogId();
  const options: DestinationOptions = { files, module: loadCore(), childId, outputs: { console: console.push }, disk: diskFile === undefined ? undefined : openDisk(diskFile) };
  const say = (text: string): void => {
    if (!parsed.has('quiet')) err.write(`chronovisor: ${text}\n`);
  };
  const recovered = await recoverDestination(options);
  let moved: MovedGuest | undefined;
  let link: Duplex | undefined;
  let mailbox: Mailbox | undefined;
  let isOwner = false;
  if (recovered?.moved !== undefined) {
    const held = recovered.moved;
    moved = held;
    isOwner = recovered.record.state === 'owner';
    if (isOwner && existsSync(child)) throw new UsageError(`${child} has the run of this guest already: \`chronovisor migrate --live ${child}\` or \`branch\` goes on from its end`, 'migrate');
    say(isOwner ? 'the guest was handed over to this side: it goes on' : `the migration ${held.migration} is in doubt: waiting for its source to say who has the guest`);
    const verdict = parsed.text('handover');
    if (!isOwner && verdict !== undefined) {
      const record = new FileJournal<SourceRecord>(verdict).read();
      if (record === undefined || record.migration !== held.migration) throw new UsageError(`--handover ${verdict}: it is of ${record === undefined ? 'no migration' : `the migration ${record.migration}`}, the one in doubt is ${held.migration}`, 'migrate');
      if (record.verdict === 'offered') throw new UsageError(`--handover ${verdict}: the source has not decided: \`chronovisor migrate --resolve\` there does`, 'migrate');
      isOwner = settleWith(record.verdict === 'handed-over', held, files) === 'owner';
      if (!isOwner) {
        say('the source kept the guest; what had arrived is thrown away');
        return exitCode('ok');
      }
    }
  } else new FileSink(child, '-o');

  const server = await listenAt(at.host, at.port);
  say(`listening at ${at.host}:${server.port}`);
  const next = async (): Promise<Duplex | undefined> => {
    let stop: (() => void) | undefined;
    const stopped = new Promise<undefined>((done) => (stop = () => done(undefined)));
    signals.onSignal = () => stop?.();
    const come = signals.received === undefined ? await Promise.race([server.accept(), stopped]) : undefined;
    signals.onSignal = undefined;
    return come;
  };
  try {
    while (!isOwner) {
      const come = await next();
      if (come === undefined) return signalStatus(signals.received!);
      try {
        const end = moved === undefined ? await receive(come, options) : await settle(come, moved, files);
        if (end.kind === 'owner') {
          ({ moved, link, mailbox } = end);
          isOwner = true;
        } else if (end.kind === 'in-doubt') {
          ({ moved } = end);
          say(`in doubt, as the link broke after the guest was here: ${end.reason}. It does not run before its source has said whose it is (${intentPath(child)})`);
        } else {
          moved = undefined;
          say(`no guest came: ${end.reason}`);
        }
      } catch (error) {
        come.close();
        if (!(error instanceof LinkError)) throw error;
        say(error.message);
      }
    }
    const owned = moved!;
    // The identity was drawn for the intent, which has it after a crash, too.
    const id = files.intent.read()!.childId;
    const sink = new FileSink(child, '-o');
    const recorder = new Recorder({
      recipe: decodeRecipe(owned.parent), images: { kernel: new Uint8Array(0) }, module: loadCore(),
      log: { sink, id, product: `chronovisor ${ownPackage().version}` }, from: startOf(owned),
    }); // prettier-ignore
    recorder.flush();
    const guest = new Guest(recorder, owned.state.typed);
    say(`the guest is here, at @${grouped(recorder.position)}, ${virtualTime(guest.nowNs)} of its time; digest ${owned.state.digest}`);
    const waits: PageWaits = { requests: 0, blocktimeMs: 0, blocktimeMsMax: 0 };
    // What comes after a restart is not kept again: after another one it comes from the source again.
    const arriving = recovered?.moved === undefined ? files.arriving : { append: () => undefined };
    const scout = owned.missing.size > 0 ? new Scout(owned.machine, loadCore(), owned.missing, options.disk) : undefined;
    while (owned.missing.size > 0) {
      if (link === undefined || mailbox === undefined) {
        say(`${grouped(owned.missing.size)} pages are still at the source: waiting for it`);
        recorder.flush();
        const come = await next();
        if (come === undefined) break;
        try {
          const end = await settle(come, owned, files);
          if (end.kind === 'owner') ({ link, mailbox } = end);
        } catch (error) {
          come.close();
          if (!(error instanceof LinkError)) throw error;
          say(error.message);
        }
        continue;
      }
      const paged = await runPaged({ guest, scout: scout!, missing: owned.missing, link, mailbox, arriving, clock, waits, until: untilOf(parsed), stopWanted: () => signals.received !== undefined, onTurn: () => console.show() });
      if (paged.isComplete) break;
      say(paged.problem ?? 'the link broke');
      link.close();
      link = mailbox = undefined;
    }
    if (owned.missing.size > 0) return signalStatus(signals.received!);
    // A source that did not hear STARTED asks again.
    void (async () => {
      for (;;) await settle(await server.accept(), owned, files).catch((error: unknown) => say(error instanceof Error ? error.message : String(error)));
    })();
    guest.feed();
    const end: DriveEnd = guest.ended === undefined ? await runOn(recorder, console, parsed, context) : { cause: { kind: 'guest' }, status: guest.ended };
    sink.close();
    files.arriving.remove();
    const status = statusOf(end);
    const { reason, detail, digest } = end.status;
    if (parsed.has('json')) {
      out.write(`${toJson({ verb: 'migrate', mode: 'listen', migration: owned.migration, arrivedAt: owned.state.checkpoint.position, digestAtArrival: owned.state.digest, postcopy: owned.state.isPostCopy ? waits : undefined, end: { reason, detail, digest }, log: { file: child, id, bytes: recorder.logBytes, records: recorder.records, parent: recorder.header?.parent }, position: recorder.position, exitCode: status })}\n`);
    } else {
      if (waits.requests > 0) say(`${grouped(waits.requests)} requests for pages; the guest waited ${wallTime(waits.blocktimeMs)}, at most ${wallTime(waits.blocktimeMsMax)} at once`);
      say(`${reason}${detail === '' ? '' : `: ${detail}`}\n  ${child}: @${grouped(recorder.position)}, ${grouped(recorder.records)} events, ${megabytes(recorder.logBytes)}, digest ${digest}`);
    }
    return status;
  } finally {
    server.close();
    link?.close();
  }
}

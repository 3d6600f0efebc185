/**
 * The engine's side of engine/protocol/messages.ts: one log that was opened, or one run that is recorded. Same modules and same
 * core.wasm as in Node.
 */
import { BootError } from '../engine/machine/boot/errors.ts';
import { ExpressionError } from '../engine/debug/expression.ts';
import { StepError } from '../engine/debug/steps.ts';
import { SymbolError } from '../engine/debug/symbols.ts';
import { DivergedError, SeekError } from '../engine/debug/time-travel.ts';
import { LogError } from '../engine/log/errors.ts';
import { describeEvent } from '../engine/log/events.ts';
import { type LogPlace, type Reply, type Request, isFinal } from '../engine/protocol/messages.ts';
import { type LogSummary, summarize } from '../engine/protocol/summary.ts';
import { LogReader } from '../engine/log/reader.ts';
import { MemorySource } from '../engine/log/storage.ts';
import { ScriptError } from '../engine/recording/input-script.ts';
import { RecipeError } from '../engine/recording/recipe.ts';
import { Replayer } from '../engine/recording/replayer.ts';
import { SourceError, openBlob } from './byte-sources.ts';
import { BlobSink } from './blob-sink.ts';
import { keepCheckpoints, readCheckpoints } from './debug/checkpoint-cache.ts';
import { PointError } from './debug/points.ts';
import { decodeTasks, encodeTasks } from './debug/tasks.ts';
import { type Job, TravelSession } from './debug/travel-session.ts';
import { LiveRun } from './live-run.ts';
import { loadCore } from './standalone/core-module.ts';
import { type OpenedPlace, openLogPlace } from './log-place.ts';
import { RecordingImages } from './recording-images.ts';
import { Refusal } from './refusal.ts';
import { Turns } from './turns.ts';

const VERIFY_SLICE_INSTRUCTIONS = 2_000_000;
/** Of an index that is read at once. Pages of a checkpoint lie scattered in it, so there are small pieces of a larger one. */
const INDEX_WHOLE_MAX = 64 << 20;
const INDEX_PIECE_BYTES = 1 << 17;
const INDEX_PIECES_MAX = 512;

/** What the DOM's types do not say of a worker's global object. */
const door = globalThis as unknown as {
  postMessage(message: Reply, transfer: readonly Transferable[]): void;
  onmessage: ((event: MessageEvent<Request>) => void) | undefined;
};
const turns = new Turns();
interface OpenedRun {
  readonly place: OpenedPlace;
  readonly summary: LogSummary;
  readonly images: RecordingImages;
}

let log: OpenedRun | undefined;
/** What is asked meanwhile waits for it. */
let opening: Promise<void> = Promise.resolve();
let imageUrl: string | undefined;
let session: TravelSession | undefined;
let live: LiveRun | undefined;
/** Number of the newest request that moves: it supersedes its elders. */
let newestMove = 0;
/** Requests that were ended by the page. */
const cancelled = new Set<number>();
let isNamed = false;

function send(reply: Reply, transfer: readonly Transferable[] = []): void {
  if (isFinal(reply)) cancelled.delete(reply.id);
  door.postMessage(reply, transfer);
}

async function open(id: number, place: LogPlace): Promise<void> {
  const from = await openLogPlace(place);
  const reader = from.newReader();
  const summary = summarize(reader, from.bytes);
  const opened: OpenedRun = { place: from, summary, images: new RecordingImages(summary, reader, imageUrl) };
  log = opened;
  session = new TravelSession({
    newReader: () => from.newReader(),
    images: () => opened.images.load(),
    module: loadCore,
    turns,
    cache: {
      read: async () => {
        const kept = await readCheckpoints(opened.summary.id);
        return kept === undefined ? undefined : openBlob(kept, INDEX_WHOLE_MAX, INDEX_PIECE_BYTES, INDEX_PIECES_MAX);
      },
      // Read in pieces from what the browser has: it is as large as a machine's memory.
      keep: (write) => {
        const sink = new BlobSink();
        write(sink);
        const blob = sink.toBlob();
        void keepCheckpoints(opened.summary.id, blob);
        return () => openBlob(blob, INDEX_WHOLE_MAX, INDEX_PIECE_BYTES, INDEX_PIECES_MAX);
      },
    },
    onSymbols: (symbols) => send({ kind: 'symbols', id, symbols }),
  });
  send({ kind: 'opened', id, summary: opened.summary });
}

function opened(): OpenedRun {
  if (log === undefined) throw new Error('no log is open');
  return log;
}

function takeImage(id: number, bytes: Uint8Array): void {
  send({ kind: 'image-taken', id, name: opened().images.give(bytes) });
}

/**
 * superseding: what comes later of its kind ends it. Checkpoints that are being made are made all the same, for what came later: the page hears of them as of that,
 * because it does not listen to what it gave up.
 */
function jobOf(id: number, superseding: boolean): Job {
  return { isOver: () => cancelled.has(id) || (superseding && newestMove !== id), progress: (position, of) => send({ kind: 'progress', id: superseding ? newestMove : id, position, of }) };
}

function travelling(): TravelSession {
  if (session === undefined) throw new Error('no log is open');
  return session;
}

async function seek({ id, position, look }: Extract<Request, { kind: 'seek' }>): Promise<void> {
  newestMove = id;
  const moment = await travelling().seek(position, look, jobOf(id, true));
  send(moment === undefined ? { kind: 'superseded', id } : { kind: 'moment', id, moment });
  if (isNamed || moment === undefined) return;
  isNamed = true;
  await travelling().nameGuest();
}

async function walk({ id, from, unit, direction, points, look }: Extract<Request, { kind: 'walk' }>): Promise<void> {
  newestMove = id;
  const walked = await travelling().walk(from, unit, direction, points, look, jobOf(id, true));
  send(walked === undefined ? { kind: 'superseded', id } : { kind: 'walked', id, ...walked });
}

async function point({ id, position, asked }: Extract<Request, { kind: 'point' }>): Promise<void> {
  const made = await travelling().makePoint(position, asked, jobOf(id, false));
  send(made === undefined ? { kind: 'superseded', id } : { kind: 'point', id, point: made });
}

async function stack({ id, position }: Extract<Request, { kind: 'stack' }>): Promise<void> {
  const frames = await travelling().stack(position, jobOf(id, false));
  send(frames === undefined ? { kind: 'superseded', id } : { kind: 'stack', id, frames });
}

async function hits({ id, point: of }: Extract<Request, { kind: 'hits' }>): Promise<void> {
  const done = await travelling().hits(
    of,
    (found, scanned) => {
      const positions = Float64Array.from(found);
      send({ kind: 'hits', id, positions, scanned }, [positions.buffer]);
    },
    jobOf(id, false),
  );
  send(done === undefined ? { kind: 'superseded', id } : { kind: 'all-hits', id, isFull: done.isFull });
}

async function origin({ id, position, asked }: Extract<Request, { kind: 'origin' }>): Promise<void> {
  const done = await travelling().origin(position, asked, (link) => send({ kind: 'origin-link', id, link }), jobOf(id, false));
  send(done === undefined ? { kind: 'superseded', id } : { kind: 'origin', id });
}

/** Found out once: what is kept is a few bytes a switch. */
async function tasks(id: number, isKept: boolean): Promise<void> {
  const key = `tasks ${opened().summary.id}`;
  const kept = await readCheckpoints(key);
  const known = kept === undefined ? undefined : decodeTasks(new Uint8Array(await kept.arrayBuffer()));
  if (known !== undefined || isKept) return send({ kind: 'tasks', id, spans: known });
  const spans = await travelling().tasks(jobOf(id, false));
  if (spans !== undefined) void keepCheckpoints(key, new Blob([encodeTasks(spans)]));
  send(cancelled.has(id) ? { kind: 'superseded', id } : { kind: 'tasks', id, spans });
}

async function verify(id: number): Promise<void> {
  const from = opened();
  const replayer = new Replayer({ reader: from.place.newReader(), images: await from.images.load(), module: await loadCore() });
  for (;;) {
    const status = replayer.step(VERIFY_SLICE_INSTRUCTIONS);
    switch (status.kind) {
      case 'running':
        if (turns.isOver) {
          send({ kind: 'progress', id, position: replayer.position, of: from.summary.lastPosition });
          await turns.next();
        }
        break;
      case 'identical':
        return send({ kind: 'verified', id, outcome: { kind: 'identical', position: status.position, records: replayer.records, digest: status.digest, complete: status.complete } });
      case 'diverged': {
        const { position, index, expected, actual } = status.divergence;
        const text = (event: typeof expected): string => (event === undefined ? 'nothing' : describeEvent(event));
        return send({ kind: 'verified', id, outcome: { kind: 'diverged', position, row: index, expected: text(expected), actual: text(actual) } });
      }
      default:
        status satisfies never;
    }
  }
}

async function record(request: Extract<Request, { kind: 'record' }>): Promise<void> {
  const { id } = request;
  live = new LiveRun(request.settings, { kernel: request.kernel, ...(request.initrd !== undefined && { initrd: request.initrd }) }, await loadCore());
  const { bytes, status } = await live.run((report) => send({ kind: 'live', id, ...report }, [report.console.buffer]));
  const summary = summarize(LogReader.open(new MemorySource(bytes)), bytes.length);
  send({ kind: 'recorded', id, bytes, summary, reason: status.reason, detail: status.detail }, [bytes.buffer]);
}

async function answer(request: Request): Promise<void> {
  if (request.kind !== 'cancel') await opening;
  switch (request.kind) {
    case 'open':
      imageUrl = request.imageUrl;
      // Its failure is told once.
      opening = open(request.id, request.log).catch((error: unknown) => fail(request.id, error));
      return undefined;
    case 'image':
      return takeImage(request.id, request.bytes);
    case 'seek':
      return seek(request);
    case 'walk':
      return walk(request);
    case 'point':
      return point(request);
    case 'stack':
      return stack(request);
    case 'hits':
      return hits(request);
    case 'origin':
      return origin(request);
    case 'tasks':
      return tasks(request.id, request.isKept);
    case 'cancel':
      cancelled.add(request.target);
      return undefined;
    case 'verify':
      return verify(request.id);
    case 'record':
      return record(request);
    case 'input':
      return live?.input(request.bytes);
    case 'stop':
      return live?.stop();
    default:
      request satisfies never;
  }
}

function fail(id: number, error: unknown): void {
  if (error instanceof Refusal) return send({ kind: 'failed', id, failure: error.failure });
  if (error instanceof LogError) return send({ kind: 'failed', id, failure: { message: error.what, advice: error.advice } });
  if (error instanceof SourceError) return send({ kind: 'failed', id, failure: { message: error.message, advice: error.advice } });
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof ExpressionError || error instanceof SymbolError || error instanceof PointError) {
    return send({ kind: 'failed', id, failure: { message: message.split('\n')[0], advice: 'give an address such as 0xffffffff80100000, a register, or a symbol of the guest' } });
  }
  if (error instanceof StepError || error instanceof SeekError) return send({ kind: 'failed', id, failure: { message, advice: 'the cursor stays where it was' } });
  if (error instanceof DivergedError) return send({ kind: 'failed', id, failure: { message, advice: '“Replay and verify” shows where it differs; before that place everything can be looked at' } });
  if (error instanceof ScriptError) return send({ kind: 'failed', id, failure: { message: `the input script, ${message}`, advice: 'steps are expect "text", send "text\\n", mark "name" and until "text", one a line' } });
  if (error instanceof RecipeError) return send({ kind: 'failed', id, failure: { message, advice: 'the events can still be read; replay it with the version that recorded it' } });
  if (error instanceof BootError) return send({ kind: 'failed', id, failure: { message, advice: 'check the image and the settings of the machine' } });
  if (error instanceof RangeError && /memory/i.test(message)) {
    return send({ kind: 'failed', id, failure: { message: 'the browser has no room for the memory of this machine', advice: 'close other tabs, or replay it with the command line' } });
  }
  console.error(error);
  send({ kind: 'failed', id, failure: { message, advice: 'reload the page; if it happens again, keep the recording and report it' } });
}

door.onmessage = ({ data }) => {
  answer(data).catch((error: unknown) => fail(data.id, error));
};

/** The engine's side of engine/protocol/analysis.ts: one log, and questions about all of it, one after the other. */
import { EpochDivergence } from '../engine/analysis/dirty/first-writes.ts';
import { guestSymbols } from '../engine/debug/guest-symbols.ts';
import { DivergedError } from '../engine/debug/time-travel.ts';
import { LogError } from '../engine/log/errors.ts';
import { describeDivergence } from '../engine/log/verify.ts';
import { BootError } from '../engine/machine/boot/errors.ts';
import type { AnalysisReply, AnalysisRequest } from '../engine/protocol/analysis.ts';
import type { Failure } from '../engine/protocol/messages.ts';
import { RecipeError } from '../engine/recording/recipe.ts';
import { RegimeError } from '../engine/regimes/regime.ts';
import { AnalysedLog } from './analysis/analysed-log.ts';
import { answerBisect } from './analysis/bisecting.ts';
import { compareLog } from './analysis/comparing.ts';
import { diffEvents, diffStates } from './analysis/diffing.ts';
import { type Dirt, cells, foldDirt, migrate } from './analysis/migrating.ts';
import { profileLog } from './analysis/profiling.ts';
import { SourceError } from './byte-sources.ts';
import { Refusal } from './refusal.ts';
import { WatchedTravel } from './analysis/watched-travel.ts';
import { loadCore } from './standalone/core-module.ts';
import { Turns } from './turns.ts';

/** What the DOM's types do not say of a worker's global object. */
const door = globalThis as unknown as {
  postMessage(message: AnalysisReply): void;
  onmessage: ((event: MessageEvent<AnalysisRequest>) => void) | undefined;
};
const turns = new Turns();
let log: AnalysedLog | undefined;
let dirt: Dirt | undefined;
/** Questions come one after the other. */
let queue: Promise<void> = Promise.resolve();

const send = (reply: AnalysisReply): void => door.postMessage(reply);

function opened(): AnalysedLog {
  if (log === undefined) throw new Error('no log is open');
  return log;
}

async function answer(request: AnalysisRequest): Promise<void> {
  const { id } = request;
  const progress = (what: string, share: number | undefined): void => send({ kind: 'progress', id, what, share });
  switch (request.kind) {
    case 'open': {
      log = await AnalysedLog.open(request.log, request.imageUrl);
      dirt = undefined;
      const marks = [...log.reader.events({ kinds: ['mark'] })].flatMap((event) => (event.kind === 'mark' ? [{ name: event.name, position: event.position }] : []));
      return send({ kind: 'opened', id, summary: log.summary, marks });
    }
    case 'image':
      return send({ kind: 'image-taken', id, name: opened().give(request.bytes) });
    case 'compare':
      return send({ kind: 'compared', id, answer: await compareLog(opened(), request.asked, turns, progress) });
    case 'profile':
      return send({ kind: 'profiled', id, ...(await profileLog(opened(), request, turns, progress)) });
    case 'dirt':
      dirt = await foldDirt(opened(), request.from, loadCore, turns, progress);
      return send({ kind: 'dirt', id, dirt: dirt.answer });
    case 'migrate':
      if (dirt === undefined) throw new Error('nothing is known of what the guest writes');
      progress('Simulating', undefined);
      return send({ kind: 'migrated', id, prediction: migrate(dirt.truth, request.asked) });
    case 'table': {
      if (dirt === undefined) throw new Error('nothing is known of what the guest writes');
      let done = 0;
      const { bytesPerSecond, downtimeLimitMs } = request.asked;
      for (const cell of cells(dirt.truth, request.asked)) {
        send({ kind: 'cell', id, cell });
        progress('Simulating', ++done / (bytesPerSecond.length * downtimeLimitMs.length));
        await turns.next();
      }
      return send({ kind: 'table', id });
    }
    case 'bisect': {
      const from = opened();
      const { lastPosition } = from.summary;
      const images = await from.runImages();
      const travel = new WatchedTravel({ reader: from.newReader(), images, module: await loadCore() }, (position) => progress('Searching', Math.min(1, position / Math.max(1, lastPosition))));
      progress('Looking for the names of the guest', undefined);
      const guest = guestSymbols(travel, images.kernel);
      return send({ kind: 'bisected', id, answer: answerBisect(travel, guest, request.asked) });
    }
    case 'diff': {
      const a = opened();
      const b = await AnalysedLog.open(request.other, a.imageUrl);
      progress('Comparing events', undefined);
      const events = diffEvents(a.reader, b.reader);
      let state: Awaited<ReturnType<typeof diffStates>>;
      let problem: Failure | undefined;
      try {
        if (events.divergence !== undefined) {
          const end = Math.max(1, Math.min(a.summary.lastPosition, b.summary.lastPosition));
          state = await diffStates(a, b, await loadCore(), turns, (position) => progress('Replaying both', position / end));
        }
      } catch (error) {
        // The events are compared all the same.
        problem = failureOf(error);
      }
      return send({ kind: 'diffed', id, answer: { other: b.summary, ...events, state, problem } });
    }
    default:
      request satisfies never;
  }
}

function failureOf(error: unknown): Failure {
  if (error instanceof Refusal) return error.failure;
  if (error instanceof LogError) return { message: error.what, advice: error.advice };
  if (error instanceof SourceError) return { message: error.message, advice: error.advice };
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof DivergedError || error instanceof EpochDivergence) {
    return { message: `the recording does not replay: ${describeDivergence(error.divergence).join('; ')}`, advice: 'what is asked of the log alone (comparison, profile) still works; “Replay and verify” on its page says more' };
  }
  if (error instanceof RecipeError) return { message, advice: 'the events can still be read; replay it with the version that recorded it' };
  if (error instanceof BootError) return { message, advice: 'check the images of the recording' };
  if (error instanceof RegimeError) return { message, advice: 'choose other techniques or another CPU' };
  if (error instanceof RangeError && /memory/i.test(message)) return { message: 'the browser has no room for the memory of this machine', advice: 'close other tabs, or use the command line' };
  console.error(error);
  return { message, advice: 'reload the page; if it happens again, keep the recording and report it' };
}

door.onmessage = ({ data }) => {
  queue = queue.then(() => answer(data)).catch((error: unknown) => send({ kind: 'failed', id: data.id, failure: failureOf(error) }));
};

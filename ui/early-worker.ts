/**
 * The recording that the address names is opened before the pages are there: its worker is started by the first module that is evaluated, and reads while everything else is.
 * It is handed over to the page by early-log.ts.
 */
import type { LogEnd, LogRequest } from '../engine/protocol/events.ts';
import type { Failure } from '../engine/protocol/messages.ts';
import logWorker from './log-worker.ts?worker&url';
import { parseRoute } from './router.ts';
import { serverLogUrl } from './server-urls.ts';
import { startWorker } from './standalone/held.ts';

/** Of the one request that is made here: no client gives it. */
const EARLY_ID = 0;

/** Undefined: the worker did not start. */
type EarlyReply = LogEnd | { readonly kind: 'failed'; readonly id: number; readonly failure: Failure } | undefined;

export interface EarlyWorker {
  readonly url: string;
  readonly worker: Worker;
  readonly opened: Promise<EarlyReply>;
  /** The same, if it is there already. */
  known: EarlyReply;
}

let earlyWorker = startEarly();

function startEarly(): EarlyWorker | undefined {
  const route = parseRoute(location.hash);
  if (route.kind !== 'run' || route.place !== 'server') return undefined;
  const url = serverLogUrl(route.id);
  const worker = startWorker(logWorker, 'log-worker');
  const opened = new Promise<EarlyReply>((resolve) => {
    worker.addEventListener('message', ({ data }: MessageEvent<LogEnd>) => {
      if (data.id !== EARLY_ID) return;
      early.known = data;
      resolve(data);
    });
    worker.addEventListener('error', () => resolve(undefined));
  });
  worker.postMessage({ kind: 'open', id: EARLY_ID, log: { kind: 'url', url }, at: route.at } satisfies LogRequest);
  const early: EarlyWorker = { url, worker, opened, known: undefined };
  return early;
}

/** Resolves when the recording that the address names is open; at once if it names none. */
export const earlyOpened: Promise<unknown> = earlyWorker?.opened ?? Promise.resolve();

/** Once. */
export function takeEarlyWorker(): EarlyWorker | undefined {
  const taken = earlyWorker;
  earlyWorker = undefined;
  return taken;
}

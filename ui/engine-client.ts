/** The page's side of engine/protocol/messages.ts (the machine) and events.ts (the log): one worker for each. */
import { type LogEnd, type LogReply, type LogRequest, isLogEnd } from '../engine/protocol/events.ts';
import { type FinalReply, type Reply, type Request, isFinal } from '../engine/protocol/messages.ts';
import engineWorker from './engine-worker.ts?worker&url';
import logWorker from './log-worker.ts?worker&url';
import { startWorker } from './standalone/held.ts';
import { WorkerClient } from './worker-client.ts';

export { EngineFailure, failureOf } from './worker-client.ts';

export class EngineClient extends WorkerClient<Request, Reply, FinalReply> {
  constructor() {
    super(() => startWorker(engineWorker, 'engine-worker'), isFinal);
  }
}

export class LogClient extends WorkerClient<LogRequest, LogReply, LogEnd> {
  /** started: that it goes on with. */
  constructor(started?: Worker) {
    super(() => startWorker(logWorker, 'log-worker'), isLogEnd, started);
  }
}

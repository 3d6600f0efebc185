/** What early-worker.ts has begun, as the run page uses it. */
import type { LogEnd } from '../engine/protocol/events.ts';
import { takeEarlyWorker } from './early-worker.ts';
import { EngineFailure, LogClient } from './engine-client.ts';

export interface EarlyLog {
  readonly client: LogClient;
  readonly opened: Promise<LogEnd>;
  /** What it resolves to, if that is there already. */
  readonly known: LogEnd | undefined;
}

/** Once: who takes it closes it. Undefined: it was not begun. */
export function takeEarly(url: string): EarlyLog | undefined {
  const early = takeEarlyWorker();
  if (early === undefined) return undefined;
  const client = new LogClient(early.worker);
  if (early.url !== url) {
    client.close();
    return undefined;
  }
  const opened = early.opened.then((reply) => {
    if (reply === undefined) throw new EngineFailure({ message: 'the engine stopped: its worker could not be started', advice: 'reload the page' });
    if (reply.kind === 'failed') throw new EngineFailure(reply.failure);
    return reply;
  });
  const { known } = early;
  return { client, opened, known: known?.kind === 'failed' ? undefined : known };
}

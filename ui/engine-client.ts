/** The page's side of engine/protocol/messages.ts: one worker, one log or one run. */
import { Observable } from 'rxjs';
import engineWorker from './engine-worker.ts?worker&url';
import { startWorker } from './standalone/held.ts';
import { type Failure, type FinalReply, type Reply, type Request, isFinal } from '../engine/protocol/messages.ts';

/** A request without its number. */
type Asked = Request extends infer R ? (R extends Request ? Omit<R, 'id'> : never) : never;

export class EngineFailure extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.message);
    this.failure = failure;
  }
}

export class EngineClient {
  private readonly worker: Worker;
  private readonly listeners = new Map<number, (reply: Reply) => void>();
  private nextId = 1;

  constructor() {
    this.worker = startWorker(engineWorker, 'engine-worker');
    this.worker.onmessage = ({ data }: MessageEvent<Reply>) => this.listeners.get(data.id)?.(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      const failure: Failure = { message: `the engine stopped: ${event.message || 'its worker could not be started'}`, advice: 'reload the page' };
      for (const [id, listener] of [...this.listeners]) listener({ kind: 'failed', id, failure });
    };
  }

  /** All replies to a request, the final one included. A failure is an error. Unsubscribing only stops listening; see run(). */
  ask(request: Asked, transfer: readonly Transferable[] = []): Observable<Reply> {
    return new Observable((subscriber) => {
      const id = this.post(request, transfer, (reply) => {
        if (reply.kind === 'failed') subscriber.error(new EngineFailure(reply.failure));
        else {
          subscriber.next(reply);
          if (isFinal(reply)) subscriber.complete();
        }
      });
      return () => this.listeners.delete(id);
    });
  }

  /** The same for long work: unsubscribing ends it. */
  run(request: Asked, transfer: readonly Transferable[] = []): Observable<Reply> {
    return new Observable((subscriber) => {
      let isOver = false;
      const id = this.post(request, transfer, (reply) => {
        isOver = isFinal(reply);
        if (reply.kind === 'failed') subscriber.error(new EngineFailure(reply.failure));
        else {
          subscriber.next(reply);
          if (isOver) subscriber.complete();
        }
      });
      return () => {
        this.listeners.delete(id);
        if (!isOver) this.tell({ kind: 'cancel', target: id });
      };
    });
  }

  /** The final reply to a request. */
  once(request: Asked, onReply?: (reply: Reply) => void, transfer: readonly Transferable[] = []): Promise<FinalReply> {
    return new Promise((resolve, reject) => {
      this.ask(request, transfer).subscribe({
        next: (reply) => {
          if (isFinal(reply)) resolve(reply);
          else onReply?.(reply);
        },
        error: reject,
      });
    });
  }

  /** A request that is not answered. */
  tell(request: Extract<Asked, { kind: 'input' | 'stop' | 'cancel' }>): void {
    this.worker.postMessage({ ...request, id: this.nextId++ });
  }

  close(): void {
    this.worker.terminate();
    this.listeners.clear();
  }

  private post(request: Asked, transfer: readonly Transferable[], listener: (reply: Reply) => void): number {
    const id = this.nextId++;
    this.listeners.set(id, (reply) => {
      if (isFinal(reply)) this.listeners.delete(id);
      listener(reply);
    });
    this.worker.postMessage({ ...request, id }, [...transfer]);
    return id;
  }
}

export function failureOf(error: unknown): Failure {
  if (error instanceof EngineFailure) return error.failure;
  return { message: error instanceof Error ? error.message : String(error), advice: 'reload the page' };
}

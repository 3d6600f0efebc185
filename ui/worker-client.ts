/** A page's side of a worker: requests with numbers, replies that repeat them, as Observables. */
import { Observable } from 'rxjs';
import type { Failure } from '../engine/protocol/messages.ts';

interface Numbered {
  readonly id: number;
  readonly kind: string;
}
/** A request without its number. */
export type Asked<Q> = Q extends Numbered ? Omit<Q, 'id'> : never;
type FailedReply = { readonly kind: 'failed'; readonly id: number; readonly failure: Failure };

export class EngineFailure extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.message);
    this.failure = failure;
  }
}

/** Q: requests; R: replies; E: those of them that end the answer. */
export class WorkerClient<Q extends Numbered, R extends Numbered, E extends R> {
  private readonly start: () => Worker;
  private started: Worker | undefined;
  private readonly isEnd: (reply: R) => reply is E;
  private readonly listeners = new Map<number, (reply: R | FailedReply) => void>();
  private nextId = 1;
  /** What is said while it is held back. */
  private waiting: { readonly message: unknown; readonly transfer: readonly Transferable[] }[] | undefined;

  /** The worker is started by the first request, if there is none yet. */
  constructor(start: () => Worker, isEnd: (reply: R) => reply is E, started?: Worker) {
    this.start = start;
    this.isEnd = isEnd;
    if (started !== undefined) this.adopt(started);
  }

  /** From now on nothing is sent, in order, until release(): so that the worker is not started while something else is more urgent. */
  hold(): void {
    this.waiting ??= [];
  }
  release(): void {
    const waiting = this.waiting ?? [];
    this.waiting = undefined;
    for (const { message, transfer } of waiting) this.send(message, transfer);
  }
  private send(message: unknown, transfer: readonly Transferable[] = []): void {
    if (this.waiting === undefined) this.worker.postMessage(message, [...transfer]);
    else this.waiting.push({ message, transfer });
  }

  private get worker(): Worker {
    return this.started ?? this.adopt(this.start());
  }
  private adopt(worker: Worker): Worker {
    worker.onmessage = ({ data }: MessageEvent<R>) => this.listeners.get(data.id)?.(data);
    worker.onerror = (event) => {
      event.preventDefault();
      const failure: Failure = { message: `the engine stopped: ${event.message || 'its worker could not be started'}`, advice: 'reload the page' };
      for (const [id, listener] of [...this.listeners]) listener({ kind: 'failed', id, failure });
    };
    this.started = worker;
    return worker;
  }

  /** All replies to a request, the final one included. A failure is an error. Unsubscribing only stops listening; see run(). */
  ask(request: Asked<Q>, transfer: readonly Transferable[] = []): Observable<R> {
    return this.observe(request, transfer, false);
  }

  /** The same for long work: unsubscribing ends it. */
  run(request: Asked<Q>, transfer: readonly Transferable[] = []): Observable<R> {
    return this.observe(request, transfer, true);
  }

  /** The final reply to a request. */
  once(request: Asked<Q>, onReply?: (reply: R) => void, transfer: readonly Transferable[] = []): Promise<E> {
    return new Promise((resolve, reject) => {
      this.ask(request, transfer).subscribe({
        next: (reply) => {
          if (this.isEnd(reply)) resolve(reply);
          else onReply?.(reply);
        },
        error: reject,
      });
    });
  }

  /** A request that is not answered. */
  tell(request: Asked<Extract<Q, { kind: 'input' | 'stop' | 'cancel' }>>): void {
    this.send({ ...request, id: this.nextId++ });
  }

  close(): void {
    this.waiting = [];
    this.started?.terminate();
    this.listeners.clear();
  }

  private observe(request: Asked<Q>, transfer: readonly Transferable[], isEndedByLeaving: boolean): Observable<R> {
    return new Observable((subscriber) => {
      let isOver = false;
      const id = this.post(request, transfer, (reply) => {
        if (isFailed(reply)) {
          isOver = true;
          return subscriber.error(new EngineFailure(reply.failure));
        }
        isOver = this.isEnd(reply);
        subscriber.next(reply);
        if (isOver) subscriber.complete();
      });
      return () => {
        this.listeners.delete(id);
        if (isEndedByLeaving && !isOver) this.send({ kind: 'cancel', target: id, id: this.nextId++ });
      };
    });
  }

  private post(request: Asked<Q>, transfer: readonly Transferable[], listener: (reply: R | FailedReply) => void): number {
    const id = this.nextId++;
    this.listeners.set(id, (reply) => {
      if (isFailed(reply) || this.isEnd(reply)) this.listeners.delete(id);
      listener(reply);
    });
    this.send({ ...request, id }, transfer);
    return id;
  }
}

function isFailed(reply: Numbered): reply is FailedReply {
  return reply.kind === 'failed';
}

export function failureOf(error: unknown): Failure {
  if (error instanceof EngineFailure) return error.failure;
  return { message: error instanceof Error ? error.message : String(error), advice: 'reload the page' };
}

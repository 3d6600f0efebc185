/**
 * A worker thread that is asked and answers. Whatever it does, the others go on: what it throws is an answer, its death ends what was asked of it, and one that does
 * not answer in time is ended.
 *
 *     call() ── { id, op, args } ──► thread            { id, progress } ──►  (many)
 *                                                      { id, value } or { id, problem } ──► the promise
 *     tell() ── message ──► thread                     { notice } ──► onNotice
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type MessagePort, Worker } from 'node:worker_threads';
import type { Problem } from '../../engine/protocol/lab.ts';
import { ownPackage } from '../store/package-root.ts';
import { ProblemError, problemOf } from './problem.ts';

export interface Call {
  readonly id: number;
  readonly op: string;
  readonly args: unknown;
}

type FromThread =
  | { readonly kind: 'value'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'problem'; readonly id: number; readonly problem: Problem }
  | { readonly kind: 'progress'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'notice'; readonly value: unknown };

/** The compiled program of a thread: beside this module, or, when that is run from source, in `dist` (CHRONOVISOR_DIST: a folder in its place). */
export function threadProgram(name: string, environment: Readonly<Record<string, string | undefined>> = process.env): URL {
  const beside = new URL(`./${name}.js`, import.meta.url);
  if (beside.protocol === 'file:' && existsSync(fileURLToPath(beside))) return beside;
  return pathToFileURL(join(ownPackage().root, environment['CHRONOVISOR_DIST'] ?? 'dist', 'server', 'runs', `${name}.js`));
}

export interface ThreadOptions {
  readonly program: URL;
  readonly data: unknown;
  /** Of JavaScript objects; the guest's memory is apart. */
  readonly heapMb: number;
  readonly onNotice?: (notice: unknown) => void;
  /** Told once; undefined: it was ended on purpose. */
  readonly onClosed?: (problem: Problem | undefined) => void;
}

export interface CallOptions {
  /** Longest time from call to answer; the thread is then ended. */
  readonly timeoutMs?: number;
  readonly onProgress?: (value: unknown) => void;
  readonly transfer?: readonly ArrayBuffer[];
}

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly onProgress: ((value: unknown) => void) | undefined;
  readonly timer: NodeJS.Timeout | undefined;
}

export class Thread {
  private readonly worker: Worker;
  private readonly options: ThreadOptions;
  private readonly pending = new Map<number, Pending>();
  private nextId = 1;
  /** Why it is no more. */
  private ended: Problem | undefined;
  private isOnPurpose = false;
  /** ms since the process began. */
  lastHeardMs = performance.now();
  readonly closed: Promise<void>;

  constructor(options: ThreadOptions) {
    this.options = options;
    this.worker = new Worker(options.program, { workerData: options.data, resourceLimits: { maxOldGenerationSizeMb: options.heapMb }, stdout: false, stderr: false, execArgv: [] });
    let thrown: Problem | undefined;
    this.worker.on('message', (message: FromThread) => this.hear(message));
    this.worker.on('messageerror', (error) => this.end({ code: 'thread-failed', message: `the thread sent what cannot be read: ${error.message}` }));
    this.worker.on('error', (error: NodeJS.ErrnoException) => {
      thrown = error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? { code: 'thread-memory', message: `the thread needed more than ${options.heapMb} MB of objects, and was ended` } : { ...problemOf(error), code: 'thread-failed' };
    });
    this.closed = new Promise((resolve) => {
      this.worker.once('exit', (code) => {
        this.end(this.ended ?? thrown ?? { code: 'thread-failed', message: `the thread left with exit code ${code}` });
        options.onClosed?.(this.isOnPurpose ? undefined : this.ended);
        resolve();
      });
    });
  }

  get isClosed(): boolean {
    return this.ended !== undefined;
  }
  /** Calls without an answer. */
  get load(): number {
    return this.pending.size;
  }

  /** Throws ProblemError: what the thread says, or why there is no answer. */
  call(op: string, args: unknown, { timeoutMs, onProgress, transfer }: CallOptions = {}): Promise<unknown> {
    if (this.ended !== undefined) return Promise.reject(new ProblemError(this.ended));
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      const late = (): Problem => ({ code: 'thread-timeout', message: `there was no answer within ${(timeoutMs ?? 0) / 1000} s, so the work was given up`, advice: 'ask for less, or make an index of the recording first' });
      const timer = timeoutMs === undefined ? undefined : setTimeout(() => void this.give(late()), timeoutMs);
      this.pending.set(id, { resolve, reject, onProgress, timer });
      this.worker.postMessage({ id, op, args } satisfies Call, [...(transfer ?? [])]);
    });
  }

  tell(message: unknown): void {
    if (this.ended === undefined) this.worker.postMessage(message);
  }

  /** Ends it at once, on purpose. */
  async terminate(problem: Problem = { code: 'thread-ended', message: 'the work was ended' }): Promise<void> {
    this.isOnPurpose = true;
    await this.give(problem);
  }

  /** Ends it at once, because it is broken. */
  async give(problem: Problem): Promise<void> {
    this.end(problem);
    await this.worker.terminate();
    await this.closed;
  }

  private hear(message: FromThread): void {
    this.lastHeardMs = performance.now();
    if (message.kind === 'notice') {
      this.options.onNotice?.(message.value);
      return;
    }
    const pending = this.pending.get(message.id);
    if (pending === undefined) return;
    if (message.kind === 'progress') {
      pending.onProgress?.(message.value);
      return;
    }
    this.pending.delete(message.id);
    clearTimeout(pending.timer);
    if (message.kind === 'value') pending.resolve(message.value);
    else pending.reject(new ProblemError(message.problem));
  }

  private end(problem: Problem): void {
    this.ended ??= problem;
    for (const { reject, timer } of this.pending.values()) {
      clearTimeout(timer);
      reject(new ProblemError(this.ended));
    }
    this.pending.clear();
  }
}

/** What an operation may do meanwhile. */
export interface Asked {
  progress(value: unknown): void;
}
/** A value, and what of it is moved instead of copied. */
export interface Moved {
  readonly value: unknown;
  readonly transfer: readonly ArrayBuffer[];
}
export type Operation = (args: never, asked: Asked) => unknown;

/** Bytes that are moved to who asked. */
export function moved(bytes: Uint8Array<ArrayBuffer>, value: object): Moved {
  return { value: { ...value, bytes }, transfer: [bytes.buffer] };
}

function isMoved(value: unknown): value is Moved {
  return typeof value === 'object' && value !== null && 'transfer' in value && 'value' in value;
}

/** In a thread: answers calls. Operations may be asynchronous; calls are begun in the order in which they come. */
export function serve(port: MessagePort, operations: Readonly<Record<string, Operation>>): void {
  const send = (message: FromThread, transfer: readonly ArrayBuffer[] = []): void => port.postMessage(message, [...transfer]);
  port.on('message', ({ id, op, args }: Call) => {
    void (async () => {
      try {
        const operation = operations[op];
        if (operation === undefined) throw new Error(`there is no operation ${op}`);
        const value = await operation(args as never, { progress: (progress) => send({ kind: 'progress', id, value: progress }) });
        if (isMoved(value)) send({ kind: 'value', id, value: value.value }, value.transfer);
        else send({ kind: 'value', id, value });
      } catch (error) {
        const problem = problemOf(error);
        if (problem.code === 'bug') console.error(error);
        send({ kind: 'problem', id, problem });
      }
    })();
  });
}

/** In a thread: something happened. */
export function notify(port: MessagePort, value: unknown): void {
  port.postMessage({ kind: 'notice', value } satisfies FromThread);
}

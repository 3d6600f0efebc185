/** Threads of recordings that are kept for the next question: a few, the one longest unused is ended first. */
import type { Look } from './look.ts';
import type { RecordingData } from './recording.ts';
import { ProblemError } from './problem.ts';
import { type CallOptions, Thread, threadProgram } from './thread.ts';

export interface ThreadPoolOptions {
  /** Threads at a time. */
  readonly threadsMax: number;
  readonly heapMb: number;
  readonly cacheFolder?: string | undefined;
  /** Of all recordings: parents of branches may be in any. */
  readonly folders?: readonly string[];
  readonly program?: URL | undefined;
}

/** Questions that wait for one recording at a time. */
const CALLS_MAX = 1000;
/** To read a whole file. */
const LOOK_MS = 600_000;

export class ThreadPool {
  private readonly options: ThreadPoolOptions;
  /** By purpose and file; the last used is last. */
  private readonly threads = new Map<string, Thread>();
  /** For metrics. */
  lost = 0;

  constructor(options: ThreadPoolOptions) {
    this.options = options;
  }

  get size(): number {
    return this.threads.size;
  }
  get load(): number {
    return [...this.threads.values()].reduce((sum, { load }) => sum + load, 0);
  }

  /** `version`: of the file; another one is another recording. Throws ProblemError. */
  async call(purpose: string, path: string, version: string, op: string, args: object, options: CallOptions = {}): Promise<unknown> {
    const thread = this.threadOf(purpose, path, version);
    if (thread.load >= CALLS_MAX) throw new ProblemError({ code: 'busy', message: `${CALLS_MAX} questions about this recording wait already`, advice: 'try again in a moment' });
    return thread.call(op, args, options);
  }

  private threadOf(purpose: string, path: string, version: string): Thread {
    const key = `${purpose} ${version} ${path}`;
    const known = this.threads.get(key);
    this.threads.delete(key);
    if (known !== undefined && !known.isClosed) {
      this.threads.set(key, known);
      return known;
    }
    this.makeRoom(`${purpose} `, ` ${path}`);
    const thread = this.start({ path }, (problem) => {
      if (this.threads.get(key) === thread) this.threads.delete(key);
      if (problem !== undefined) this.lost++;
    });
    this.threads.set(key, thread);
    return thread;
  }

  /** A thread for one purpose alone; who asks for it ends it. */
  start(data: RecordingData, onClosed: (problem: unknown) => void, onNotice?: (notice: unknown) => void): Thread {
    const { heapMb, cacheFolder, folders, program } = this.options;
    return new Thread({ program: program ?? threadProgram('recording-thread'), data: { cacheFolder, folders, ...data }, heapMb, onClosed, ...(onNotice !== undefined && { onNotice }) });
  }

  private makeRoom(purpose: string, path: string): void {
    for (const [key, thread] of this.threads) if (key.startsWith(purpose) && key.endsWith(path) && thread.load === 0) this.drop(key, thread);
    for (const [key, thread] of this.threads) {
      if (this.threads.size < this.options.threadsMax) return;
      if (thread.load === 0) this.drop(key, thread);
    }
    if (this.threads.size < this.options.threadsMax) return;
    throw new ProblemError({ code: 'busy', message: `${this.options.threadsMax} recordings are worked on already, which is all that this server does at a time`, advice: 'try again in a moment' });
  }

  private drop(key: string, thread: Thread): void {
    this.threads.delete(key);
    void thread.terminate();
  }

  /** Looks at every byte of a file, in a thread for that alone. Throws ProblemError. */
  async look(path: string): Promise<Look> {
    const thread = this.start({ path }, () => undefined);
    try {
      return (await thread.call('look', {}, { timeoutMs: LOOK_MS })) as Look;
    } finally {
      await thread.terminate();
    }
  }

  /** Ends those that have this file open and nothing to do: the next question opens it anew. */
  refresh(path: string): void {
    for (const [key, thread] of this.threads) if (key.endsWith(` ${path}`) && thread.load === 0) this.drop(key, thread);
  }

  /** Ends the threads that have this file open. */
  async forget(path: string): Promise<void> {
    const found = [...this.threads].filter(([key]) => key.endsWith(` ${path}`));
    for (const [key] of found) this.threads.delete(key);
    await Promise.all(found.map(([, thread]) => thread.terminate({ code: 'recording-gone', message: 'the recording was deleted' })));
  }

  async close(): Promise<void> {
    const all = [...this.threads.values()];
    this.threads.clear();
    await Promise.all(all.map((thread) => thread.terminate()));
  }
}

/** Long questions about a recording, a thread each: started, followed, cancelled; the last answers are kept. */
import type { JobSettings, JobState, JobStatus, Problem } from '../../engine/protocol/lab.ts';
import { ProblemError, problemOf } from './problem.ts';
import type { Thread } from './thread.ts';
import type { ThreadPool } from './thread-pool.ts';

export interface JobsOptions {
  readonly pool: ThreadPool;
  /** At a time; the others wait. */
  readonly runningMax: number;
  readonly waitingMax: number;
  readonly timeoutMs: number;
}

/** Jobs that are over, and are remembered. */
const OVER_MAX = 200;

export class Job {
  readonly id: string;
  readonly recording: string;
  readonly path: string;
  readonly settings: JobSettings;
  readonly output: string | undefined;
  readonly createdMs = Date.now();
  state: JobState = 'waiting';
  endedMs: number | undefined;
  progress: JobStatus['progress'];
  /** JSON. */
  result: string | undefined;
  problem: Problem | undefined;
  thread: Thread | undefined;

  constructor(id: string, recording: string, path: string, settings: JobSettings, output: string | undefined) {
    this.id = id;
    this.recording = recording;
    this.path = path;
    this.settings = settings;
    this.output = output;
  }

  get isOver(): boolean {
    return this.state === 'done' || this.state === 'failed' || this.state === 'cancelled';
  }

  get status(): JobStatus {
    const { id, recording, settings, state, createdMs, endedMs, progress, problem, result } = this;
    return { id, recording, settings, state, createdMs, endedMs, progress, problem, result: result === undefined ? undefined : (JSON.parse(result) as unknown) };
  }
}

export class Jobs {
  private readonly options: JobsOptions;
  private readonly jobs = new Map<string, Job>();
  private nextId = 1;
  private isClosing = false;

  constructor(options: JobsOptions) {
    this.options = options;
  }

  get list(): readonly Job[] {
    return [...this.jobs.values()];
  }
  get(id: string): Job | undefined {
    return this.jobs.get(id);
  }

  /** output: file of the recording that it makes. Throws ProblemError. */
  start(recording: string, path: string, settings: JobSettings, output?: string): Job {
    const waiting = this.list.filter(({ state }) => state === 'waiting').length;
    if (this.isClosing || waiting >= this.options.waitingMax) throw new ProblemError({ code: 'busy', message: `${this.options.waitingMax} jobs wait already`, advice: 'cancel some, or wait' });
    const job = new Job(String(this.nextId++), recording, path, settings, output);
    this.jobs.set(job.id, job);
    const over = this.list.filter(({ isOver }) => isOver);
    for (const old of over.slice(0, Math.max(0, over.length - OVER_MAX))) this.jobs.delete(old.id);
    this.next();
    return job;
  }

  /** What it has done is given up. */
  async cancel(job: Job): Promise<void> {
    if (job.isOver) return;
    this.over(job, 'cancelled');
    await job.thread?.terminate();
  }

  /** Cancels those about a file. */
  async forget(path: string): Promise<void> {
    await Promise.all(this.list.filter((job) => job.path === path).map((job) => this.cancel(job)));
  }

  async close(): Promise<void> {
    this.isClosing = true;
    await Promise.all(this.list.map((job) => this.cancel(job)));
  }

  private next(): void {
    const running = this.list.filter(({ state }) => state === 'running').length;
    const job = this.list.find(({ state }) => state === 'waiting');
    if (this.isClosing || job === undefined || running >= this.options.runningMax) return;
    job.state = 'running';
    void this.run(job);
    this.next();
  }

  private async run(job: Job): Promise<void> {
    const { kind, ...args } = job.settings;
    try {
      job.thread = this.options.pool.start({ path: job.path }, () => undefined);
      const defaults = kind === 'bisect' ? { from: '@0', to: 'end' } : {};
      job.result = (await job.thread.call(kind, { ...defaults, ...args, output: job.output }, { timeoutMs: this.options.timeoutMs, onProgress: (progress) => (job.progress = progress as JobStatus['progress']) })) as string;
      this.over(job, 'done');
    } catch (error) {
      job.problem = problemOf(error);
      this.over(job, 'failed');
    } finally {
      await job.thread?.terminate();
      job.thread = undefined;
      // Those that have the recording open know nothing of an index that was made since.
      if (kind === 'index' && job.state === 'done') this.options.pool.refresh(job.path);
      this.next();
    }
  }

  private over(job: Job, state: JobState): void {
    if (job.isOver) return;
    job.state = state;
    job.endedMs = Date.now();
  }
}

/**
 * The guests that are recorded now, a thread each, and those of this process that have ended.
 *
 *     start() ──► thread ──► notices ──► status, console ──► listeners
 *                   ▲
 *                   └── watch(): who says nothing for too long is ended; its log keeps what was flushed
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Problem, RunMigration, RunMigrationSettings, RunProgress, RunSettings, RunState, RunStatus } from '../../engine/protocol/lab.ts';

import { newLogId } from '../cli/host.ts';
import { ConsoleRing } from './console-ring.ts';
import { ProblemError } from './problem.ts';
import type { RunCommand, RunData, RunNotice } from './run-thread.ts';
import { Thread, threadProgram } from './thread.ts';

/** Of the files of recordings. */
export const LOG_SUFFIX = '.cvlog';

export interface RunServerLimits {
  /** At one time. */
  readonly runs: number;
  readonly memoryBytes: number;
  /** Of all guests at one time. */
  readonly memoryBytesTotal: number;
  readonly seconds: number;
  readonly logBytes: number;
  readonly instructions: number;
  /** A thread that says nothing for so long is ended. */
  readonly silenceMs: number;
}

export const RUN_LIMITS: RunServerLimits = { runs: 4, memoryBytes: 1 << 30, memoryBytesTotal: 2 * 2 ** 30, seconds: 4 * 3600, logBytes: 2 * 2 ** 30, instructions: 1e12, silenceMs: 30_000 };

export interface RunsOptions {
  /** Where logs go. */
  readonly folder: string;
  /** First part of the ids of its recordings. */
  readonly folderName: string;
  readonly product: string;
  readonly limits?: Partial<RunServerLimits>;
  /** In place of the program of the thread. */
  readonly program?: URL | undefined;
  /** Between syncs of a log. */
  readonly flushMs?: number;
}

const CONSOLE_BYTES = 1 << 20;
/** Runs that have ended, and are remembered. */
const ENDED_MAX = 100;
const HEAP_MB = 512;
/** For a thread to begin, images to be hashed. */
const START_MS = 60_000;
/** For a log to be closed when the server stops. */
const STOP_MS = 8_000;
const NOTHING: RunProgress = { position: 0, virtualNs: 0, records: 0, logBytes: 0, readableBytes: 0, consoleBytes: 0, mips: 0, isIdle: false };

export class Run {
  readonly id: string;
  readonly recording: string;
  readonly path: string;
  readonly memoryBytes: number;
  readonly console = new ConsoleRing(CONSOLE_BYTES);
  /** Told that status or console have changed. */
  readonly listeners = new Set<() => void>();
  readonly startedMs = Date.now();
  private readonly guest: string;
  private readonly thread: Thread;
  private state: RunState = 'starting';
  private progress = NOTHING;
  private end: RunStatus['end'];
  private problem: Problem | undefined;
  private migration: RunMigration | undefined;
  private endedMs: number | undefined;
  private resolveStarted: () => void = () => undefined;
  /** Settled when the log exists, or the run has failed. */
  readonly started: Promise<void>;

  constructor(id: string, recording: string, memoryBytes: number, data: RunData, program: URL) {
    this.id = id;
    this.recording = recording;
    this.path = data.path;
    this.memoryBytes = memoryBytes;
    this.guest = data.settings.guest;
    this.started = new Promise((resolve) => (this.resolveStarted = resolve));
    this.thread = new Thread({
      program, data, heapMb: HEAP_MB,
      onNotice: (notice) => this.hear(notice as RunNotice),
      onClosed: (problem) => {
        if (this.isOver) return;
        this.over('failed', problem ?? { code: 'run-ended', message: 'the run was ended at once; its log keeps what was written' });
      },
    });
  }

  get status(): RunStatus {
    const { id, state, guest, startedMs, endedMs, progress, end, problem, migration } = this;
    return { id, state, guest, recording: this.hasLog ? this.recording : undefined, startedMs, endedMs, progress, end, problem, migration };
  }
  get isOver(): boolean {
    return this.state === 'ended' || this.state === 'failed';
  }
  private get hasLog(): boolean {
    return this.progress.readableBytes > 0 || this.state === 'running' || this.state === 'ended';
  }
  /** Bytes of the log that can be read while it is written; undefined: all that there are. */
  get readableBytes(): number | undefined {
    return this.isOver ? undefined : this.progress.readableBytes;
  }
  get silenceMs(): number {
    return performance.now() - this.thread.lastHeardMs;
  }

  /** Throws ProblemError when it is over. */
  tell(command: RunCommand): void {
    if (this.isOver) throw new ProblemError({ code: 'run-over', message: 'the run is over', advice: 'open its recording' });
    this.thread.tell(command);
  }

  /** Begins to move it. Throws ProblemError. */
  migrate(settings: RunMigrationSettings): void {
    if (this.migration?.state === 'moving') throw new ProblemError({ code: 'run-moving', message: `the run moves to ${this.migration.settings.to} already`, advice: 'wait for what becomes of it, or give it up' });
    const id = newLogId();
    this.tell({ kind: 'migrate', id, settings });
    this.migration = { id, state: 'moving', settings };
    this.changed();
  }
  /** Gives its migration up. Throws ProblemError. */
  keep(): void {
    if (this.migration?.state !== 'moving') throw new ProblemError({ code: 'run-not-moving', message: 'the run is not being moved', advice: 'GET the run: its `migration` says what became of it' });
    this.tell({ kind: 'keep' });
  }

  /** Ends it because it is broken. */
  async give(problem: Problem): Promise<void> {
    await this.thread.give(problem);
  }
  /** Ends it, with or without its log. */
  async terminate(): Promise<void> {
    await this.thread.terminate();
  }
  get closed(): Promise<void> {
    return this.thread.closed;
  }

  private hear(notice: RunNotice): void {
    switch (notice.kind) {
      case 'started':
        this.state = 'running';
        this.progress = { ...NOTHING, logBytes: notice.readableBytes, readableBytes: notice.readableBytes };
        this.resolveStarted();
        break;
      case 'console':
        this.console.push(notice.bytes);
        break;
      case 'progress':
        this.progress = notice.progress;
        break;
      case 'input-refused':
        this.problem = { code: 'input-refused', message: notice.message };
        break;
      case 'migration':
        this.migration = notice.migration;
        break;
      case 'ended':
        this.progress = notice.progress;
        this.end = notice.end;
        this.over('ended', undefined);
        return;
      case 'failed':
        this.over('failed', notice.problem);
        return;
    }
    this.changed();
  }

  private over(state: RunState, problem: Problem | undefined): void {
    if (this.isOver) return;
    this.state = state;
    this.problem = problem;
    // A thread that handed its guest over says so before it ends. One that failed says nothing: its own record, beside the log, tells what was decided.
    if (this.migration?.state === 'moving') {
      this.migration = { ...this.migration, ...(state === 'ended' ? { state: 'kept', reason: 'the run ended before it was moved' } : { state: 'unconfirmed', reason: 'the run failed while it moved' }) };
    }
    this.endedMs = Date.now();
    this.resolveStarted();
    this.changed();
  }

  private changed(): void {
    for (const listener of this.listeners) listener();
  }
}

export class Runs {
  readonly limits: RunServerLimits;
  private readonly options: RunsOptions;
  private readonly runs = new Map<string, Run>();
  private nextId = 1;
  private readonly watch: NodeJS.Timeout;
  private isClosing = false;
  /** For metrics. */
  started = 0;
  failed = 0;

  constructor(options: RunsOptions) {
    this.options = options;
    this.limits = { ...RUN_LIMITS, ...options.limits };
    this.watch = setInterval(() => this.endTheSilent(), Math.min(1000, this.limits.silenceMs / 4));
    this.watch.unref();
  }

  get list(): readonly Run[] {
    return [...this.runs.values()];
  }
  get active(): readonly Run[] {
    return this.list.filter(({ isOver }) => !isOver);
  }
  get(id: string): Run | undefined {
    return this.runs.get(id);
  }
  /** The run that writes this file now. */
  writing(path: string): Run | undefined {
    return this.active.find((run) => run.path === path);
  }

  /** Resolves when the log exists. Throws ProblemError. */
  async start(settings: RunSettings, memoryBytes: number): Promise<Run> {
    const { limits, options } = this;
    if (this.isClosing) throw new ProblemError({ code: 'closing', message: 'the server is stopping', advice: 'try again when it is back' });
    if (this.active.length >= limits.runs) throw new ProblemError({ code: 'too-many-runs', message: `${limits.runs} runs are recorded already, which is all that this server does at a time`, advice: 'stop one, or wait' });
    const total = this.active.reduce((sum, run) => sum + run.memoryBytes, memoryBytes);
    if (total > limits.memoryBytesTotal) {
      const message = `with this run the guests would have ${total} bytes of memory, more than the ${limits.memoryBytesTotal} of this server`;
      throw new ProblemError({ code: 'too-much-memory', message, advice: 'give it less memory, or stop another run' });
    }
    const name = settings.name ?? this.freeName(settings.guest);
    const path = join(options.folder, `${name}${LOG_SUFFIX}`);
    if (existsSync(path) || this.active.some((run) => run.path === path)) {
      throw new ProblemError({ code: 'output-exists', message: `there is a recording "${name}" already, and nothing is ever written over`, advice: 'choose another name' });
    }
    const asked = settings.limits ?? {};
    const data: RunData = {
      settings, path, product: options.product, memoryBytesMax: limits.memoryBytes,
      limits: {
        seconds: Math.min(asked.seconds ?? Infinity, limits.seconds),
        logBytes: Math.min(asked.logBytes ?? Infinity, limits.logBytes),
        instructions: Math.min(asked.instructions ?? Infinity, limits.instructions),
      },
      flushMs: options.flushMs ?? 1000,
    };
    const run = new Run(String(this.nextId++), `${options.folderName}:${name}`, memoryBytes, data, options.program ?? threadProgram('run-thread'));
    this.runs.set(run.id, run);
    this.started++;
    let isCounted = false;
    run.listeners.add(() => {
      if (isCounted || run.status.state !== 'failed') return;
      isCounted = true;
      this.failed++;
    });
    this.forgetOld();
    await run.started;
    const { state, problem } = run.status;
    if (state === 'failed' && run.status.recording === undefined) {
      this.runs.delete(run.id);
      throw new ProblemError(problem ?? { code: 'bug', message: 'the run did not begin' });
    }
    return run;
  }

  private freeName(guest: string): string {
    const at = new Date().toISOString().replace(/[-:]/g, '').replace('T', '-').slice(0, 15);
    for (let n = 1; ; n++) {
      const name = `${guest}-${at}${n === 1 ? '' : `-${n}`}`;
      const path = join(this.options.folder, `${name}${LOG_SUFFIX}`);
      if (!existsSync(path) && !this.list.some((run) => run.path === path)) return name;
    }
  }

  private forgetOld(): void {
    const ended = this.list.filter(({ isOver, listeners }) => isOver && listeners.size <= 1);
    for (const run of ended.slice(0, Math.max(0, ended.length - ENDED_MAX))) this.runs.delete(run.id);
  }

  private endTheSilent(): void {
    for (const run of this.active) {
      const silenceMs = run.status.state === 'starting' ? Math.max(START_MS, this.limits.silenceMs) : this.limits.silenceMs;
      if (run.silenceMs <= silenceMs) continue;
      const message = `the thread of the run said nothing for ${silenceMs / 1000} s and was ended; the log keeps what was written`;
      void run.give({ code: 'run-hung', message, advice: 'please report it, with the recording' });
    }
  }

  /** Stops all and closes their logs; what does not close in time is ended. */
  async close(): Promise<void> {
    this.isClosing = true;
    clearInterval(this.watch);
    const { active } = this;
    for (const run of active) run.tell({ kind: 'stop', detail: 'the server was stopped' });
    const all = Promise.all(active.map(({ closed }) => closed));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, STOP_MS)));
    await Promise.race([all, late]);
    clearTimeout(timer);
    await Promise.all(active.map((run) => run.terminate()));
  }
}

/**
 * The thread that records one guest: the loop of the command line (server/cli/drive.ts) with a page or a script instead of a terminal.
 *
 *     RunCommand ──► here ──► started, console, progress (10 a second at most), ended
 *
 * What it cannot do it throws; the log then keeps what was flushed, a second ago at most.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { RunMigration, RunMigrationSettings, RunProgress, RunSettings, RunStatus } from '../../engine/protocol/lab.ts';
import type { ByteSink } from '../../engine/log/storage.ts';
import type { Position } from '../../engine/log/position.ts';
import { InputScript, parseScript } from '../../engine/recording/input-script.ts';
import { Recorder } from '../../engine/recording/recorder.ts';
import { LiveInput, drive } from '../cli/drive.ts';
import { monotonicMs, newLogId } from '../cli/host.ts';
import { keptProfile } from '../store/code-profile.ts';
import { keepCode, loadCore, rememberCode } from '../store/core-module.ts';
import { FileSink } from '../store/files.ts';
import { newHostHash } from '../store/host-hash.ts';
import { Leaving } from './leaving.ts';
import { problemOf } from './problem.ts';
import { runOf } from './settings.ts';
import { notify } from './thread.ts';

export interface RunData {
  readonly settings: RunSettings;
  /** Of the log. */
  readonly path: string;
  readonly product: string;
  readonly memoryBytesMax: number;
  readonly limits: { readonly seconds: number; readonly logBytes: number; readonly instructions: number };
  readonly flushMs: number;
}

export type RunCommand =
  | { readonly kind: 'input'; readonly bytes: Uint8Array }
  | { readonly kind: 'mark'; readonly name: string }
  | { readonly kind: 'stop'; readonly detail: string }
  | { readonly kind: 'migrate'; readonly id: string; readonly settings: RunMigrationSettings }
  /** Gives the migration up. */
  | { readonly kind: 'keep' };

export type RunNotice =
  | { readonly kind: 'started'; readonly logId: string; readonly readableBytes: number }
  | { readonly kind: 'console'; readonly bytes: Uint8Array }
  | { readonly kind: 'progress'; readonly progress: RunProgress }
  /** What was typed is dropped. */
  | { readonly kind: 'input-refused'; readonly message: string }
  | { readonly kind: 'migration'; readonly migration: RunMigration }
  | { readonly kind: 'ended'; readonly end: NonNullable<RunStatus['end']>; readonly progress: RunProgress }
  | { readonly kind: 'failed'; readonly problem: ReturnType<typeof problemOf> };

const PROGRESS_MS = 100;
/** Between two signs of life of a guest that idles. */
const HEARTBEAT_MS = 250;
/** A guest that is idle for so long, ns of virtual time, with nobody there to type, is given up. */
const IDLE_LIMIT_NS = 60e9;
const CONSOLE_BYTES_MAX = 1 << 16;

class CountingSink implements ByteSink {
  bytes = 0;
  private readonly sink: FileSink;

  constructor(sink: FileSink) {
    this.sink = sink;
  }
  append(bytes: Uint8Array): void {
    this.sink.append(bytes);
    this.bytes += bytes.length;
  }
  sync(): void {
    this.sink.sync();
  }
}

async function run(data: RunData): Promise<void> {
  if (parentPort === null) throw new Error('this program is a worker thread');
  const port = parentPort;
  const { settings, limits } = data;
  const script = settings.script === undefined ? undefined : new InputScript(parseScript(settings.script));
  const untilTexts = (settings.untilTexts ?? []).map((text) => new InputScript([{ kind: 'until', text }]));
  const { recipe, images } = await runOf(settings, data.memoryBytesMax);
  const watchers = script === undefined ? untilTexts : [script, ...untilTexts];
  const file = new FileSink(data.path, 'name');
  const sink = new CountingSink(file);
  rememberCode(keptProfile());

  let shown: number[] = [];
  let consoleBytes = 0;
  const recorder = new Recorder({
    recipe,
    images,
    module: loadCore(),
    newHash: newHostHash,
    outputs: {
      console: (byte) => {
        for (const watcher of watchers) watcher.output(byte);
        shown.push(byte);
        consoleBytes++;
        if (shown.length >= CONSOLE_BYTES_MAX) sendConsole();
      },
    },
    log: { sink, id: newLogId(), product: data.product },
  });
  // What is in the file from now on can be opened.
  recorder.flush();
  notify(port, { kind: 'started', logId: recorder.header?.id ?? '', readableBytes: sink.bytes } satisfies RunNotice);

  function sendConsole(): boolean {
    if (shown.length === 0) return false;
    const bytes = Uint8Array.from(shown);
    shown = [];
    notify(port, { kind: 'console', bytes } satisfies RunNotice);
    return true;
  }

  const startMs = monotonicMs();
  let toldMs = startMs;
  let toldPosition = 0;
  let isIdle = false;
  const progress = (): RunProgress => {
    const now = monotonicMs();
    const mips = (recorder.position - toldPosition) / Math.max(1, now - toldMs) / 1000;
    toldMs = now;
    toldPosition = recorder.position;
    return { position: recorder.position, virtualNs: recorder.position + recorder.machine.timeOffsetNs, records: recorder.records, logBytes: recorder.logBytes, readableBytes: sink.bytes, consoleBytes, mips, isIdle };
  };
  const tell = (): void => notify(port, { kind: 'progress', progress: progress() } satisfies RunNotice);

  const live = script === undefined && settings.isUnattended !== true ? new LiveInput() : undefined;
  let leaving: Leaving | undefined;
  let wanted: { readonly reason: 'limit' | 'user'; readonly detail: string } | undefined;
  const stopWanted = (): typeof wanted => {
    if (wanted !== undefined) return wanted;
    if ((monotonicMs() - startMs) / 1000 >= limits.seconds) return { reason: 'limit', detail: `the run had its ${limits.seconds} s` };
    if (recorder.logBytes >= limits.logBytes) return { reason: 'limit', detail: `the log has its ${limits.logBytes} bytes` };
    if (recorder.position >= limits.instructions) return { reason: 'limit', detail: `the run had its ${limits.instructions} instructions` };
    return undefined;
  };
  port.on('message', (command: RunCommand) => {
    try {
      switch (command.kind) {
        case 'stop':
          wanted = { reason: 'user', detail: command.detail };
          break;
        case 'migrate':
          leaving = new Leaving(recorder, data.path, command, (migration) => notify(port, { kind: 'migration', migration } satisfies RunNotice), () => {
            sendConsole();
            if (monotonicMs() - toldMs >= PROGRESS_MS) tell();
          });
          if (script?.waitingFor !== undefined) leaving.refuse('an input script leads the run, and does not move with it');
          break;
        case 'keep':
          leaving?.cancel('given up by a person in the lab');
          break;
        case 'mark':
          if (leaving?.isSealed === true) throw new RangeError('the guest is being handed over, and takes no mark');
          recorder.mark(command.name);
          break;
        case 'input':
          if (leaving?.isUnderWay === true) leaving.type(command.bytes);
          else recorder.input(command.bytes);
          break;
      }
    } catch (error) {
      notify(port, { kind: 'input-refused', message: error instanceof Error ? error.message : String(error) } satisfies RunNotice);
    }
    live?.notify();
  });
  let flushed = 0;
  // While the guest idles in real time, nobody else says that it lives, or syncs what it did.
  const heartbeat = setInterval(() => {
    if (monotonicMs() - toldMs < HEARTBEAT_MS) return;
    isIdle = true;
    if (recorder.records !== flushed) {
      recorder.flush();
      flushed = recorder.records;
    }
    tell();
    if (stopWanted() !== undefined) live?.notify();
  }, HEARTBEAT_MS);

  try {
    const { cause, status } = await drive({
      recorder, script, untilTexts, live, stopWanted,
      untilPosition: settings.untilPosition as Position | undefined,
      idleLimitNs: IDLE_LIMIT_NS,
      flushMs: data.flushMs,
      signals: { received: undefined },
      isConsoleClosed: () => false,
      handOver: () => leaving?.begin(() => stopWanted()?.detail),
      afterStep: () => {
        isIdle = false;
        const hasShown = sendConsole();
        if (monotonicMs() - toldMs >= PROGRESS_MS) tell();
        return hasShown;
      },
    });
    sendConsole();
    const { reason, detail, digest } = status;
    const end = { cause: wanted === undefined ? cause.kind : 'stopped', reason, detail, digest, isScriptDone: script?.waitingFor === undefined };
    notify(port, { kind: 'ended', end, progress: progress() } satisfies RunNotice);
  } finally {
    clearInterval(heartbeat);
    file.close();
    const problem = keepCode();
    if (problem !== undefined) console.error(`chronovisor: ${problem}`);
    port.close();
  }
}

try {
  await run(workerData as RunData);
} catch (error) {
  // What is expected is told; a bug is also thrown, so that it shows.
  const problem = problemOf(error);
  if (parentPort !== null) notify(parentPort, { kind: 'failed', problem } satisfies RunNotice);
  if (problem.code === 'bug') throw error;
  parentPort?.close();
}

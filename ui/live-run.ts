/** A run that is recorded in the worker, in turns, so that input and stop are heard; its log is kept in the browser as it is made. */
import { type ByteSink, MemorySink } from '../engine/log/storage.ts';
import { DEFAULT_ACCESS_COST_NS } from '../engine/machine/machine.ts';
import type { RecordSettings } from '../engine/protocol/messages.ts';
import { InputScript, parseScript } from '../engine/recording/input-script.ts';
import { DEFAULT_DIGEST_INSTRUCTIONS, DEFAULT_EPOCH_INSTRUCTIONS, type RunImages } from '../engine/recording/recipe.ts';
import { Recorder, type RecorderStatus } from '../engine/recording/recorder.ts';
import { GrowingLog } from './recording/growing-log.ts';
import { Turns } from './turns.ts';

/** Instructions between looks at the script, as in server/cli/drive.ts: part of what decides a scripted run. */
const SLICE_INSTRUCTIONS = 1_000_000;
/** The log is in memory, too, until the run ends. */
const LOG_BYTES_MAX = 256 * 2 ** 20;
/** Real time that an idle guest sleeps at most before its next timer fires. */
const NAP_MS_MAX = 20;
const REPORT_MS = 50;
/** A tab that is killed loses no more than this. */
const KEEP_MS = 1000;

export interface LiveReport {
  readonly position: number;
  readonly logBytes: number;
  readonly keptBytes: number | undefined;
  readonly idle: boolean;
  readonly console: Uint8Array;
}

/** Both the whole log, and the browser's copy of it. */
class KeptSink implements ByteSink {
  readonly memory = new MemorySink();
  readonly kept: GrowingLog;

  constructor(kept: GrowingLog) {
    this.kept = kept;
  }
  append(bytes: Uint8Array): void {
    this.memory.append(bytes);
    this.kept.append(bytes);
  }
  sync(): void {
    this.memory.sync();
    void this.kept.flush();
  }
}

type Ended = Extract<RecorderStatus, { kind: 'ended' }>;

export class LiveRun {
  private readonly sink: KeptSink;
  private readonly recorder: Recorder;
  private readonly script: InputScript | undefined;
  private output: number[] = [];
  private isStopped = false;
  /** Ends a nap early. */
  private wake: (() => void) | undefined;

  /** Throws BootError, ScriptError. */
  constructor(settings: RecordSettings, images: RunImages, module: WebAssembly.Module) {
    this.script = settings.script.trim() === '' ? undefined : new InputScript(parseScript(settings.script));
    this.sink = new KeptSink(new GrowingLog({ id: settings.logId, guest: settings.guest, startedMs: settings.startedMs }));
    this.recorder = new Recorder({
      recipe: {
        guest: settings.guest,
        commandLine: settings.commandLine,
        protocol: 'auto',
        regime: settings.regime,
        machine: { memoryBytes: settings.memoryBytes, seed: settings.seed, wallClockNs: settings.wallClockNs, acpi: false, virtio: [], accessCostNs: DEFAULT_ACCESS_COST_NS, counts: true },
        epochInstructions: DEFAULT_EPOCH_INSTRUCTIONS,
        digestInstructions: DEFAULT_DIGEST_INSTRUCTIONS,
      },
      images,
      module,
      outputs: {
        console: (byte) => {
          this.script?.output(byte);
          this.output.push(byte);
        },
      },
      log: { sink: this.sink, id: settings.logId, product: settings.product },
    });
    this.recorder.flush();
  }

  input(bytes: Uint8Array): void {
    this.recorder.input(bytes);
    this.wake?.();
  }

  stop(): void {
    this.isStopped = true;
    this.wake?.();
  }

  /** Runs until the guest or the script ends, or stop() is called. */
  async run(report: (report: LiveReport) => void): Promise<{ readonly bytes: Uint8Array; readonly status: Ended }> {
    const turns = new Turns();
    const { recorder, sink, script } = this;
    let reportedAt = performance.now();
    let keptAt = reportedAt;
    const tell = (idle: boolean): void => {
      reportedAt = performance.now();
      const { problem, keptBytes } = sink.kept;
      report({ position: recorder.position, logBytes: recorder.logBytes, keptBytes: problem === undefined ? keptBytes : undefined, idle, console: Uint8Array.from(this.output) });
      this.output = [];
    };
    for (;;) {
      const boundary = (Math.floor(recorder.position / SLICE_INSTRUCTIONS) + 1) * SLICE_INSTRUCTIONS;
      let status: RecorderStatus = recorder.step(boundary - recorder.position, false);
      const polled = status.kind === 'ended' ? undefined : script?.poll();
      for (const name of polled?.marks ?? []) recorder.mark(name);
      if (polled !== undefined && polled.send.length > 0) recorder.input(polled.send);
      if (polled?.end !== undefined) status = recorder.stop('limit', `the console showed ${JSON.stringify(polled.end)}`);
      if (status.kind === 'idle' && !this.isStopped && !(recorder.pendingBytes > 0 && recorder.inputSpace > 0)) {
        if (script !== undefined && status.ns !== Infinity) recorder.passIdle(status.ns);
        else if (script !== undefined) status = recorder.stop('limit', 'the guest waits for input that will not come');
        else {
          if (this.output.length > 0 || performance.now() - reportedAt > REPORT_MS * 4) tell(true);
          const hadInput = await this.nap(status.ns);
          // While the guest is idle its clock follows the real one; an input is taken at once. One instruction: to the next timer, no further.
          if (!hadInput && !this.isStopped && status.ns !== Infinity) status = recorder.step(1, true);
        }
      }
      if (this.isStopped && status.kind !== 'ended') status = recorder.stop('user', 'stopped in the browser');
      else if (recorder.logBytes > LOG_BYTES_MAX && status.kind !== 'ended') status = recorder.stop('limit', 'the log is as large as the browser keeps in memory');
      if (status.kind === 'ended') {
        // What is left goes to the browser's copy, in case the page dies before it has kept the whole.
        await sink.kept.flush();
        tell(false);
        sink.kept.close();
        return { bytes: sink.memory.toBytes(), status };
      }
      const now = performance.now();
      if (now - keptAt > KEEP_MS) {
        keptAt = now;
        recorder.flush();
      }
      if (now - reportedAt > REPORT_MS) tell(status.kind === 'idle');
      await turns.next();
    }
  }

  /** True if an input or stop() ended it. */
  private nap(ns: number): Promise<boolean> {
    return new Promise((resolve) => {
      const finish = (early: boolean): void => {
        this.wake = undefined;
        clearTimeout(timer);
        resolve(early);
      };
      const timer = setTimeout(() => finish(false), Math.min(NAP_MS_MAX, ns / 1e6));
      this.wake = () => finish(true);
    });
  }
}

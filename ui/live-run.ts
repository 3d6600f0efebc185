/** A run that is recorded in the worker, in turns, so that input and stop are heard. */
import { MemorySink } from '../engine/log/storage.ts';
import type { RecordSettings } from '../engine/protocol/messages.ts';
import { Recorder, type RecorderStatus } from '../engine/recording/recorder.ts';
import { DEFAULT_DIGEST_INSTRUCTIONS, DEFAULT_EPOCH_INSTRUCTIONS } from '../engine/recording/recipe.ts';
import { DEFAULT_ACCESS_COST_NS } from '../engine/machine/machine.ts';
import { Turns } from './turns.ts';

const SLICE_INSTRUCTIONS = 500_000;
/** The log is in memory until the run ends. */
const LOG_BYTES_MAX = 256 * 2 ** 20;
/** Real time that an idle guest sleeps at most before its next timer fires. */
const NAP_MS_MAX = 20;
const REPORT_MS = 50;

export interface LiveReport {
  readonly position: number;
  readonly logBytes: number;
  readonly idle: boolean;
  readonly console: Uint8Array;
}

export class LiveRun {
  private readonly sink = new MemorySink();
  private readonly recorder: Recorder;
  private output: number[] = [];
  private isStopped = false;
  /** Ends a nap early. */
  private wake: (() => void) | undefined;

  /** Throws BootError. */
  constructor(settings: RecordSettings, kernel: Uint8Array, module: WebAssembly.Module) {
    this.recorder = new Recorder({
      recipe: {
        guest: settings.guest,
        commandLine: settings.commandLine,
        protocol: 'auto',
        machine: { memoryBytes: settings.memoryBytes, seed: settings.seed, wallClockNs: settings.wallClockNs, acpi: false, virtio: [], accessCostNs: DEFAULT_ACCESS_COST_NS, counts: true },
        epochInstructions: DEFAULT_EPOCH_INSTRUCTIONS,
        digestInstructions: DEFAULT_DIGEST_INSTRUCTIONS,
      },
      images: { kernel },
      module,
      outputs: { console: (byte) => this.output.push(byte) },
      log: { sink: this.sink, id: settings.logId, product: settings.product },
    });
  }

  input(bytes: Uint8Array): void {
    this.recorder.input(bytes);
    this.wake?.();
  }

  stop(): void {
    this.isStopped = true;
    this.wake?.();
  }

  /** Runs until the guest ends or stop() is called. */
  async run(report: (report: LiveReport) => void): Promise<{ readonly bytes: Uint8Array; readonly status: Extract<RecorderStatus, { kind: 'ended' }> }> {
    const turns = new Turns();
    let reportedAt = performance.now();
    const tell = (idle: boolean): void => {
      reportedAt = performance.now();
      report({ position: this.recorder.position, logBytes: this.recorder.logBytes, idle, console: Uint8Array.from(this.output) });
      this.output = [];
    };
    for (;;) {
      let status = this.recorder.step(SLICE_INSTRUCTIONS, false);
      if (status.kind === 'idle' && !this.isStopped) {
        if (this.output.length > 0 || performance.now() - reportedAt > REPORT_MS * 4) tell(true);
        const hadInput = await this.nap(status.ns);
        // While the guest is idle its clock follows the real one; an input is taken at once. One instruction: to the next timer, no further.
        if (!hadInput && !this.isStopped && status.ns !== Infinity) status = this.recorder.step(1, true);
      }
      if (this.isStopped && status.kind !== 'ended') status = this.recorder.stop('user', 'stopped in the browser');
      else if (this.recorder.logBytes > LOG_BYTES_MAX && status.kind !== 'ended') status = this.recorder.stop('limit', 'the log is as large as the browser keeps in memory');
      if (status.kind === 'ended') {
        tell(false);
        return { bytes: this.sink.toBytes(), status };
      }
      if (performance.now() - reportedAt > REPORT_MS) tell(false);
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

/** Records and replays drawn cases, and takes machines to positions by many ways. */
import fc from 'fast-check';
import { checkLog } from '../../engine/log/survey.ts';
import { LogReader } from '../../engine/log/reader.ts';
import { MemorySink, MemorySource } from '../../engine/log/storage.ts';
import { describeDivergence } from '../../engine/log/verify.ts';
import { Machine } from '../../engine/machine/machine.ts';
import { type RunImages, buildMachine } from '../../engine/recording/recipe.ts';
import { Recorder, type RecorderStatus } from '../../engine/recording/recorder.ts';
import { type ReplayStatus, Replayer } from '../../engine/recording/replayer.ts';
import { loadCore } from '../../server/store/core-module.ts';
import type { Case, Drive } from './cases.ts';

let compiled: WebAssembly.Module | undefined;
/** The interpreter as `npm run build:cpu` left it. */
export function core(): WebAssembly.Module {
  compiled ??= loadCore();
  return compiled;
}

export interface Recording {
  readonly bytes: Uint8Array;
  readonly console: string;
  readonly end: Extract<RecorderStatus, { kind: 'ended' }>;
  readonly position: number;
}

/** A guest that never halts takes no more steps than this. */
const STEPS_MAX = 3000;
/** A guest that halts with its timer masked makes events and no instructions: it makes no more than this. */
const RECORDS_MAX = 400_000;
/** Halts at one position after which a guest whose timers wake nobody counts as waiting for ever. */
const IDLES_MAX = 2000;

/** `look` is called between the steps. */
export function record(one: Case, drive: Drive = one.drive, look?: (recorder: Recorder) => void): Recording {
  const sink = new MemorySink();
  const shown: number[] = [];
  const recorder = new Recorder({
    recipe: one.recipe,
    images: one.images,
    module: core(),
    outputs: { console: (byte) => shown.push(byte) },
    log: { sink, id: 'determinism', product: 'test', blockBytes: one.blockBytes },
  });
  const end = driveRecorder(recorder, drive, look);
  return { bytes: sink.toBytes(), console: String.fromCharCode(...shown.slice(-4000)), end, position: recorder.position };
}

/** Types what is to be typed and steps until the guest ends, waits for ever, or has run long enough. */
function driveRecorder(recorder: Recorder, drive: Drive, look: ((recorder: Recorder) => void) | undefined): Recording['end'] {
  let nextInput = 0;
  let due = drive.inputs[0]?.after ?? 0;
  const type = (): void => {
    recorder.input(Uint8Array.from(drive.inputs[nextInput].text, (c) => c.charCodeAt(0)));
    nextInput++;
    due = recorder.position + (drive.inputs[nextInput]?.after ?? 0);
  };
  for (let step = 0; ; step++) {
    look?.(recorder);
    const input = drive.inputs[nextInput];
    if (input !== undefined && recorder.position >= due && input.idle === undefined) type();
    const waits = drive.inputs[nextInput];
    const left = drive.instructionsMax - recorder.position;
    if (left <= 0 || step >= STEPS_MAX || recorder.records > RECORDS_MAX) return ended(recorder.stop('limit', 'long enough'));
    let slice = Math.min(left, step < STEPS_MAX / 2 ? drive.slices[step % drive.slices.length] : 1_000_000);
    if (waits !== undefined && due > recorder.position) slice = Math.min(slice, due - recorder.position);
    // From its position on, an input for idle time waits for the next halt.
    const catchesIdle = waits?.idle !== undefined && recorder.position >= due;
    const status = recorder.step(slice, !catchesIdle);
    if (status.kind === 'ended') return status;
    if (status.kind === 'idle') {
      if (waits === undefined) return ended(recorder.stop('user', 'the guest waits for ever'));
      if (status.ns !== Infinity) {
        const isPartial = recorder.inputSpace > 0 && recorder.pendingBytes === 0;
        recorder.passIdle(isPartial ? Math.floor(status.ns * (waits.idle ?? 1)) : status.ns);
      }
      type();
    }
    if (drive.flushEvery > 0 && step % drive.flushEvery === 0) recorder.flush();
    if (drive.markEvery > 0 && step % drive.markEvery === 0) recorder.mark(`step ${step}`);
  }
}

function ended(status: RecorderStatus): Recording['end'] {
  if (status.kind !== 'ended') throw new Error(`the recorder stopped as ${status.kind}`);
  return status;
}

export function open(bytes: Uint8Array): LogReader {
  return LogReader.open(new MemorySource(bytes));
}

export type Replay = Exclude<ReplayStatus, { kind: 'running' }>;

/** Replays in slices, in turn; in one go without. */
export function replay(bytes: Uint8Array, images: RunImages, slices: readonly number[] = []): Replay {
  const replayer = new Replayer({ reader: open(bytes), images, module: core() });
  for (let step = 0; ; step++) {
    const status = replayer.step(step < 2000 ? (slices[step % slices.length] ?? 100_000_000) : 100_000_000);
    if (status.kind !== 'running') return status;
  }
}

/** Throws unless the replay was identical. */
export function identical(status: Replay, what: string): Extract<Replay, { kind: 'identical' }> {
  if (status.kind === 'identical') return status;
  throw new Error(`${what}: ${describeDivergence(status.divergence).join('\n')}`);
}

/** The problem of a damaged log that covers the byte; throws if there is none. */
export function expectLocated(damaged: Uint8Array, offset: number): void {
  const { problems } = checkLog(new MemorySource(damaged));
  if (problems.some((problem) => problem.offset <= offset && offset < problem.offset + problem.length)) return;
  throw new Error(`a flip at byte ${offset} of ${damaged.length} was ${problems.length === 0 ? 'not detected' : `located at ${problems.map((problem) => `${problem.offset}+${problem.length}`).join()}`}`);
}

export function firstDifference(a: Uint8Array, b: Uint8Array): number | undefined {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return a.length === b.length ? undefined : length;
}

// ---- a machine without a recorder ----

/** What is typed at a position, before anything else happens there. */
export interface PlacedInput {
  readonly position: number;
  readonly bytes: Uint8Array;
}

export class Walker {
  readonly machine: Machine;
  private readonly inputs: readonly PlacedInput[];
  private nextInput = 0;
  /** Set when the guest has ended. */
  ended = false;
  /** It waits for ever. */
  private stuck = false;

  constructor(one: Case, inputs: readonly PlacedInput[]) {
    this.machine = buildMachine(one.recipe, one.images, core(), {});
    this.inputs = inputs;
  }

  /** Runs to a position at least; idle time is passed over. Returns false when the guest has ended or waits for ever. */
  to(position: number): boolean {
    let idles = 0;
    let haltedAt = -1;
    for (;;) {
      const at = this.machine.position();
      const input = this.inputs[this.nextInput];
      if (input !== undefined && at >= input.position) {
        this.nextInput++;
        const room = this.machine.consoleSpace;
        this.machine.receiveConsole(input.bytes.subarray(0, room));
        continue;
      }
      if (at >= position || this.ended || this.stuck) return !this.ended && !this.stuck;
      const stop = this.machine.run(Math.min(position, input?.position ?? Infinity));
      if (stop.kind === 'end') this.ended = true;
      if (stop.kind !== 'idle' || this.machine.position() >= position) continue;
      if (this.machine.position() !== haltedAt) idles = 0;
      haltedAt = this.machine.position();
      if (stop.ns !== Infinity && ++idles < IDLES_MAX) this.machine.skipIdle(stop.ns);
      else if (input === undefined) this.stuck = true;
      // An input for later comes now: nothing else will wake the guest.
      else this.machine.receiveConsole(this.inputs[this.nextInput++].bytes.subarray(0, this.machine.consoleSpace));
    }
  }
}

// ---- failures that repeat ----

/** Runs a property. What fails prints one line that repeats it. */
export function assertProperty<T extends [unknown, ...unknown[]]>(file: string, property: fc.IProperty<T>, numRuns: number, timeLimitMs: number): void {
  const { CHRONOVISOR_SEED, CHRONOVISOR_PATH } = process.env;
  const repeats = CHRONOVISOR_SEED !== undefined ? { seed: Number(CHRONOVISOR_SEED), ...(CHRONOVISOR_PATH === undefined ? {} : { path: CHRONOVISOR_PATH }), endOnFailure: true } : {};
  const limited = fc.check(property, { numRuns: CHRONOVISOR_PATH === undefined ? numRuns : 1, interruptAfterTimeLimit: timeLimitMs, markInterruptAsFailure: false, ...repeats });
  // No run was over in time, which is no failure: one is waited for.
  const details = limited.failed && limited.counterexample === null ? fc.check(property, { numRuns: 1, seed: limited.seed }) : limited;
  if (!details.failed) {
    console.log(`${details.numRuns} runs, seed ${details.seed}`);
    return;
  }
  const all = file.includes('.all.') ? 'CHRONOVISOR_TESTS=all ' : '';
  const error = details.errorInstance instanceof Error ? details.errorInstance : undefined;
  throw new Error(
    `repeat: CHRONOVISOR_SEED=${details.seed} CHRONOVISOR_PATH=${details.counterexamplePath} ${all}npx vitest run ${file}\n${error?.message ?? ''}\n${error?.stack ?? ''}\n` +
      `after ${details.numRuns} runs and ${details.numShrinks} shrinks: ${(details.counterexample ?? []).map(tell).join('\n')}`,
    { cause: details.errorInstance },
  );
}

function tell(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'story' in value) return String(value.story);
  return JSON.stringify(value) ?? String(value);
}

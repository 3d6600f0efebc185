/**
 * Runs a guest and writes its log. The twin of replayer.ts.
 *
 *     input() ──► pending ──► (boundary) ──► log: input ──► machine
 *
 * Inputs wait until the machine is at a boundary and the device has room; they are logged before the guest can see them.
 */
import { BLOCK_BYTES_MAX } from '../log/block.ts';
import type { EventSink } from '../log/event-sink.ts';
import { TeeSink } from '../log/tee-sink.ts';
import { type LogWriter, createLog } from '../log/writer.ts';
import type { EndReason, MarkSource } from '../log/events.ts';
import type { LogHeader } from '../log/header.ts';
import type { ByteSink } from '../log/storage.ts';
import type { Position } from '../log/position.ts';
import { inherited } from './chain.ts';
import { type Change, applyChange, logChange } from './change.ts';
import type { Checkpoint, CheckpointState } from './checkpoint.ts';
import { type Hash, type Outputs, type Recipe, type RunImages, buildMachine, encodeRecipe, referImages } from './recipe.ts';
import { Session, type SessionState } from './session.ts';
import type { Machine } from '../machine/machine.ts';

/** Images up to this size are put into the log, so that it can be replayed alone. */
export const EMBED_BYTES_MAX = 1 << 20;
/** Name of the port in input events of the serial console. */
export const SERIAL_PORT = 'serial0';
const PENDING_BYTES_MAX = 1 << 20;
/** Halts in one step at most. */
const IDLES_MAX = 10_000;

/**
 * A run that goes on: a branch, or a run that comes from elsewhere. Its log is the next of a chain (chain.ts) and holds what happens from here on.
 *
 *     the log before ends here, or goes its own way        new Recorder({ ..., from: { parent: itsHeader, records: itsRecords, at } })
 */
export interface RecorderStart {
  /** Header of the log that has what came before: the new log names it as its parent, and has its machine and images. */
  readonly parent: LogHeader;
  /** How many records of that log come before: its own, from 0, without those that close it. While it is recorded: `Recorder.records`; of a replay: placeInChain(). */
  readonly records: number;
  /**
   * The state there, between two steps: a checkpoint, which goes into a new machine; or the machine itself, which is taken over with its outputs, and where
   * its periodic work stands (`Recorder.save().session`, `Replayer.save().session`).
   */
  readonly at: Checkpoint | { readonly machine: Machine; readonly session: SessionState };
}

export interface RecorderOptions {
  readonly recipe: Recipe;
  readonly images: RunImages;
  readonly module: WebAssembly.Module;
  readonly outputs?: Outputs;
  /** The host's SHA-256 for the images; ours unless given. */
  readonly newHash?: () => Hash;
  /** Where the log goes. Without it nothing is recorded: a plain run. */
  readonly log?: {
    readonly sink: ByteSink;
    readonly id: string;
    readonly product: string;
    /** Largest block of the log, bytes, 2048 to 65536; the largest unless told. */
    readonly blockBytes?: number | undefined;
  } | undefined;
  /** Where to start instead of power-on. `recipe` is then that of the parent, and so is the size of blocks. */
  readonly from?: RecorderStart | undefined;
  /** Is told every event as well. */
  readonly also?: EventSink | undefined;
}

export type RecorderStatus =
  | { readonly kind: 'running' }
  /** The guest waits for input; the next timer fires in `ns` of virtual time (Infinity: never). */
  | { readonly kind: 'idle'; readonly ns: number }
  | { readonly kind: 'ended'; readonly reason: EndReason; readonly detail: string; readonly digest: string };

export class Recorder {
  readonly machine: Machine;
  readonly header: LogHeader | undefined;
  private readonly writer: LogWriter | undefined;
  private readonly sink: EventSink | undefined;
  private readonly session: Session;
  private readonly pending: number[] = [];
  private ended: Extract<RecorderStatus, { kind: 'ended' }> | undefined;
  /** Why the log could not be finished; there is no second try. */
  private failure: unknown;
  /** A halt was reported and nothing has happened since. */
  private halted: number | undefined;

  /** Throws BootError for images that cannot boot, before anything is written. */
  constructor(options: RecorderOptions) {
    const { recipe, images, module, log, from } = options;
    // First the machine: bad images must not leave a log behind.
    const restored = from === undefined || 'machine' in from.at ? undefined : from.at;
    this.machine = from !== undefined && 'machine' in from.at ? from.at.machine : buildMachine(recipe, images, module, options.outputs ?? {}, restored !== undefined);
    if (restored !== undefined) this.machine.restore(restored.state.machine, restored.pages);
    if (log !== undefined && from !== undefined) {
      const position = this.machine.position();
      this.header = { ...inherited(from.parent), id: log.id, product: log.product, parent: { logId: from.parent.id, position, records: from.records } };
      this.writer = createLog(log.sink, this.header, { timeOffsetNs: this.machine.timeOffsetNs, position });
    } else if (log !== undefined) {
      const header: LogHeader = {
        id: log.id,
        product: log.product,
        blockBytes: log.blockBytes ?? BLOCK_BYTES_MAX,
        quirks: [],
        wallClockNs: recipe.machine.wallClockNs,
        config: encodeRecipe(recipe),
        images: referImages(images, options.newHash),
      };
      this.header = header;
      this.writer = createLog(log.sink, header);
      for (const bytes of [images.kernel, images.initrd]) if (bytes !== undefined && bytes.length <= EMBED_BYTES_MAX) this.writer.image(bytes);
      const ns = BigInt(recipe.machine.wallClockNs);
      this.writer.inputWallClock(0 as Position, Number(ns & 0xffffffffn), Number(ns >> 32n));
    }
    this.sink = this.writer !== undefined && options.also !== undefined ? new TeeSink(this.writer, options.also) : (this.writer ?? options.also);
    this.session = new Session(this.machine, this.sink, recipe.epochInstructions, recipe.digestInstructions, from === undefined ? undefined : restored === undefined ? (from.at as { session: SessionState }).session : restored.state.session);
    if (this.sink !== undefined) this.machine.attach(this.sink);
  }

  /** Where the run stands, between two steps; its RAM is that of the machine. `records` are those of this log alone. Changes nothing. */
  save(): CheckpointState {
    return { position: this.machine.position(), records: this.records, session: this.session.save(), machine: this.machine.save() };
  }

  get position(): number {
    return this.machine.position();
  }
  /** Bytes of log so far, those not yet in a block included. */
  get logBytes(): number {
    return this.writer === undefined ? 0 : this.writer.bytesWritten + this.writer.bytesPending;
  }
  get records(): number {
    return this.writer?.records ?? 0;
  }
  /** Bytes typed that no device has taken yet. */
  get pendingBytes(): number {
    return this.pending.length;
  }

  /** Queues input for the serial console. */
  input(bytes: Uint8Array): void {
    if (this.pending.length + bytes.length > PENDING_BYTES_MAX) throw new RangeError(`more than ${PENDING_BYTES_MAX} bytes of input wait for the guest`);
    for (const byte of bytes) this.pending.push(byte);
  }

  /** Takes back the input that no device has taken yet. */
  withdrawInput(): Uint8Array {
    return Uint8Array.from(this.pending.splice(0));
  }

  /** A mark at the present position. */
  mark(name: string, source: MarkSource = 'user'): void {
    this.machine.reportCounts();
    this.sink?.mark(this.machine.position(), name, source);
  }

  /** A change at the present position; changeProblem() has nothing against it. */
  change(change: Change): void {
    if (this.sink !== undefined) logChange(this.sink, this.machine.position(), change);
    applyChange(this.machine, change);
    // The next timer may be another one, or the guest may be awake.
    this.halted = undefined;
  }

  /**
   * Goes on for at most `instructions`. When the guest is idle and `skipIdle` is false it says so and stays; the caller calls
   * again after an input came, or with `skipIdle` to let virtual time jump to the next timer.
   */
  step(instructions: number, skipIdle: boolean): RecorderStatus {
    if (this.ended !== undefined) return this.ended;
    const until = this.machine.position() + instructions;
    for (let idles = 0; ; ) {
      this.feed();
      if (this.halted !== undefined) {
        if (!skipIdle || this.halted === Infinity) return { kind: 'idle', ns: this.halted };
        this.machine.skipIdle(this.halted);
      }
      this.halted = undefined;
      const stop = this.session.advance(until);
      if (stop.kind === 'end') return this.finish(stop.reason, stop.detail);
      if (stop.kind === 'limit' || stop.kind === 'observed') return { kind: 'running' };
      this.halted = stop.ns;
      // A guest whose timers wake nobody would keep this step for ever.
      if (++idles === IDLES_MAX) return { kind: 'running' };
      if (this.pending.length === 0 && (!skipIdle || stop.ns === Infinity)) return { kind: 'idle', ns: stop.ns };
    }
  }

  /** The guest is idle, as step() said: lets `ns` of virtual time pass, at most to the next timer; less if an input came before. */
  passIdle(ns: number): void {
    const { halted } = this;
    if (halted === undefined || !(ns <= halted) || ns === Infinity) throw new RangeError(`cannot let ${ns} ns of idle time pass: ${halted === undefined ? 'the guest is not idle' : `the next timer fires in ${halted} ns`}`);
    if (ns > 0) this.machine.skipIdle(ns);
    this.halted = ns < halted ? halted - ns : undefined;
  }

  /** Bytes of input that the guest has room for now. */
  get inputSpace(): number {
    return this.machine.consoleSpace;
  }

  /** Hands the device what waits and it has room for; step() does so by itself. Returns true if there was something. */
  feed(): boolean {
    const room = Math.min(this.pending.length, this.machine.consoleSpace);
    if (room === 0) return false;
    const bytes = Uint8Array.from(this.pending.splice(0, room));
    this.sink?.inputConsole(this.machine.position(), SERIAL_PORT, bytes);
    this.machine.receiveConsole(bytes);
    // It may be awake.
    this.halted = undefined;
    return true;
  }

  /** Ends the run from outside: a limit was reached, or a person stopped it. */
  stop(reason: 'limit' | 'user', detail: string): RecorderStatus {
    return this.ended ?? this.finish(reason, detail);
  }

  private finish(reason: EndReason, detail: string): RecorderStatus {
    if (this.failure !== undefined) throw this.failure;
    try {
      const digest = this.session.finish(reason, detail);
      this.writer?.close();
      this.ended = { kind: 'ended', reason, detail, digest };
      return this.ended;
    } catch (error) {
      this.failure = error;
      throw error;
    }
  }

  /** Writes out what there is and syncs. */
  flush(): void {
    if (this.ended === undefined) this.writer?.flush();
  }
}

/**
 * The part of a run that recorder and replayer share: it takes the machine from one boundary to the next and does the periodic
 * work (dirty sets, digests) at the positions that the recipe names.
 */
import type { EventSink } from '../log/event-sink.ts';
import type { EndReason } from '../log/events.ts';
import type { Machine, RunStop } from '../machine/machine.ts';

/** Where the periodic work stands; part of a checkpoint. */
export interface SessionState {
  /** Position of the next dirty set; Infinity if there are none. */
  readonly nextEpoch: number;
  readonly nextDigest: number;
  /** Number of the next dirty set. */
  readonly epoch: number;
}

export class Session {
  readonly machine: Machine;
  private sink: EventSink | undefined;
  private readonly epochInstructions: number;
  private readonly digestInstructions: number;
  private nextEpoch: number;
  private nextDigest: number;
  private epoch = 0;

  /** `from`: where the work stands already; the machine then keeps the dirty set that it has. */
  constructor(machine: Machine, sink: EventSink | undefined, epochInstructions: number, digestInstructions: number, from?: SessionState) {
    this.machine = machine;
    this.sink = sink;
    this.epochInstructions = epochInstructions;
    this.digestInstructions = digestInstructions;
    this.nextEpoch = epochInstructions > 0 ? epochInstructions : Infinity;
    this.nextDigest = digestInstructions > 0 ? digestInstructions : Infinity;
    // What the loader wrote is the state at power-on, not something the guest dirtied.
    if (from !== undefined) this.restore(from);
    else if (sink !== undefined) machine.takeDirty();
  }

  /** From now on events go to `sink`. */
  setSink(sink: EventSink): void {
    this.sink = sink;
  }

  save(): SessionState {
    return { nextEpoch: this.nextEpoch, nextDigest: this.nextDigest, epoch: this.epoch };
  }
  /** The dirty set of the running epoch is the machine's state. */
  restore({ nextEpoch, nextDigest, epoch }: SessionState): void {
    this.nextEpoch = nextEpoch;
    this.nextDigest = nextDigest;
    this.epoch = epoch;
  }

  /** Runs to the position `until` at most. Comes back early when the guest halts or ends. */
  advance(until: number): RunStop {
    for (;;) {
      const stop = this.machine.run(Math.min(until, this.nextEpoch, this.nextDigest));
      if (stop.kind !== 'limit') return stop;
      const at = this.machine.position();
      if (at >= this.nextEpoch) {
        this.takeEpoch();
        this.nextEpoch += this.epochInstructions;
      }
      if (at >= this.nextDigest) {
        this.takeDigest();
        this.nextDigest += this.digestInstructions;
      }
      if (at >= until) return stop;
    }
  }

  private takeEpoch(): void {
    this.machine.reportCounts();
    const firstWrites = this.machine.firstWrites();
    const pages = this.machine.takeDirty();
    this.sink?.dirty(this.machine.position(), this.epoch++, pages, firstWrites);
  }

  private takeDigest(): void {
    const { digest, cpu, ram, devices } = this.machine.digest();
    this.sink?.digest(this.machine.position(), digest, { cpu, ram, devices });
  }

  /** The last events of a log. Returns the final digest. */
  finish(reason: EndReason, detail: string): string {
    if (this.epochInstructions > 0) this.takeEpoch();
    else this.machine.reportCounts();
    const { digest, cpu, ram, devices } = this.machine.digest();
    const at = this.machine.position();
    this.sink?.digest(at, digest, { cpu, ram, devices });
    this.sink?.end(at, reason, detail, digest);
    return digest;
  }
}

/**
 * A branch: a run that goes on from a moment of another, with something changed. Its log holds what happens from there on (chain.ts).
 *
 *     parent   ████████●█ input █ input █████████
 *     branch           └ change ── ██ input ██ input ██
 *
 * As long as the branch makes the events of its parent, the parent's inputs come at the same events and idle time passes in the same pieces, so a branch without a
 * change is the rest of its parent, record by record. Digests and dirty sets do not count there. Once another event was made, an input comes at its position, or
 * earlier if the guest idles at its virtual time; what the device has no room for waits.
 */
import type { DigestComponents, EndEvent, FirstWrites } from '../log/events.ts';
import type { LogReader } from '../log/reader.ts';
import type { Position } from '../log/position.ts';
import { type Divergence, VerifyingSink } from '../log/verify.ts';
import type { Machine } from '../machine/machine.ts';
import { type Change, isChange } from './change.ts';
import { Recorder, type RecorderOptions, type RecorderStart, type RecorderStatus } from './recorder.ts';
import { type PlacedInput, closingOf, inputsOf } from './replayer.ts';

/** A change at a position, or what finds it out there (undefined: none); what is due at the branch point itself is made before all else. */
export interface PlacedChange {
  readonly position: number;
  readonly change: Change | ((machine: Machine) => Change | undefined);
}

export interface BranchOptions extends Pick<RecorderOptions, 'recipe' | 'images' | 'module' | 'outputs' | 'log'> {
  /** The run that it is a branch of, as one log. */
  readonly parent: LogReader;
  /** Records of it, numbered as there, that come before. */
  readonly records: number;
  readonly start: RecorderStart;
  readonly changes: readonly PlacedChange[];
  /** Typed at the branch point. */
  readonly typed?: Uint8Array | undefined;
  /** The parent's inputs after the branch point: offered again, or not. */
  readonly inputs: 'keep' | 'none';
  /** See IDLE_LIMIT_NS. */
  readonly idleLimitNs?: number;
  /** Goes on where the parent was stopped from outside, instead of ending there. */
  readonly outlivesParent?: boolean;
  /**
   * When an input of the parent comes once the branch has gone its own way: at its position, or at its virtual time, as from somebody who does not know that the guest is slow.
   * Default: position.
   */
  readonly inputsBy?: 'position' | 'time';
}

export type BranchStatus =
  | { readonly kind: 'running' }
  /** The guest waits for an input that will not come. */
  | { readonly kind: 'waiting' }
  | Extract<RecorderStatus, { kind: 'ended' }>;

/** A guest that idles for so long, ns of virtual time, with less than a tenth of it spent on instructions, waits for an input. */
export const IDLE_LIMIT_NS = 60e9;
const IDLE_SHARE = 0.1;

export class Branch {
  readonly recorder: Recorder;
  /** The first event that the parent does not have; undefined as long as the branch follows it. */
  parting: Divergence | undefined;
  private readonly changes: readonly PlacedChange[];
  private nextChange = 0;
  private readonly inputs: readonly PlacedInput[];
  private nextInput = 0;
  private readonly parentEnd: EndEvent | undefined;
  private readonly closingRecord: number;
  private readonly follow: FollowingSink;
  private readonly idleLimitNs: number;
  private idleSince: { readonly position: number; readonly ns: number };
  private readonly inputsByTime: boolean;

  /** Throws what Recorder throws. */
  constructor(options: BranchOptions) {
    const { parent, records } = options;
    this.follow = new FollowingSink(parent, { fromRecord: records });
    this.recorder = new Recorder({ ...options, from: options.start, also: this.follow });
    this.changes = options.changes.toSorted((a, b) => a.position - b.position);
    this.inputs = options.inputs === 'none' ? [] : inputsOf(parent, options.recipe, records);
    const { end, index } = closingOf(parent);
    this.parentEnd = options.outlivesParent === true ? undefined : end;
    this.inputsByTime = options.inputsBy === 'time';
    this.closingRecord = index;
    this.idleLimitNs = options.idleLimitNs ?? IDLE_LIMIT_NS;
    this.idleSince = { position: this.recorder.position, ns: this.machine.nowNs() };
    if (options.typed !== undefined && options.typed.length > 0) {
      this.recorder.input(options.typed);
      this.muted(() => this.recorder.feed());
    }
  }

  get machine(): Machine {
    return this.recorder.machine;
  }
  get position(): Position {
    return this.machine.position();
  }
  private get isFollowing(): boolean {
    this.parting ??= this.follow.divergence;
    return this.parting === undefined;
  }

  /** Goes on for at most `instructions`. Ends where the guest ends, and where the parent was stopped as long as nothing else has happened. */
  step(instructions: number): BranchStatus {
    const until = this.position + instructions;
    for (;;) {
      const status = this.slice(until);
      if (status !== undefined) return status;
    }
  }

  /**
   * Goes on until virtual time is `ns`, or a register access or an idle time later. `between` is called each time the machine stands between two instructions on the way; it may make changes, and true
   * comes back there. Comes back early when the guest has ended or waits, too.
   */
  runTo(ns: number, between: () => boolean = () => false): BranchStatus {
    for (;;) {
      const left = Math.ceil(ns - this.machine.nowNs());
      if (left <= 0) return { kind: 'running' };
      const status = this.slice(this.position + left);
      const isEnough = between();
      if (status !== undefined && status.kind !== 'running') return status;
      if (isEnough) return { kind: 'running' };
    }
  }

  /** A change here and now. */
  change(change: Change): void {
    this.muted(() => this.recorder.change(change));
  }

  /** Ends it from outside. */
  stop(reason: 'limit' | 'user', detail: string): Extract<RecorderStatus, { kind: 'ended' }> {
    return this.recorder.stop(reason, detail) as Extract<RecorderStatus, { kind: 'ended' }>;
  }

  private slice(until: number): BranchStatus | undefined {
    const { recorder } = this;
    this.makeChanges();
    this.offerInputs();
    const at = this.position;
    if (this.isAtParentsEnd()) return this.stop(this.parentEnd!.reason as 'limit' | 'user', this.parentEnd!.detail);
    if (at >= until) return { kind: 'running' };
    const next = this.inputs.at(this.nextInput);
    let limit = until;
    let isHere = false;
    for (const position of [this.inputsByTime && !this.isFollowing ? undefined : next?.event.position, this.changes.at(this.nextChange)?.position, this.isFollowing ? this.parentEnd?.position : undefined]) {
      if (position === undefined) continue;
      if (position > at) limit = Math.min(limit, position);
      else if (position === at) isHere = true;
    }
    // At its time: not later, if the guest does not idle.
    if (next !== undefined && this.inputsByTime && !this.isFollowing && next.virtualNs > this.machine.nowNs()) limit = Math.min(limit, at + Math.ceil(next.virtualNs - this.machine.nowNs()));
    if (isHere && this.isFollowing) {
      // It comes after other events at this very position: see Replayer.
      const { records } = this.follow;
      const status = recorder.step(0, false);
      if (status.kind === 'ended') return status;
      if (status.kind === 'idle') return this.idle(status.ns);
      if (this.follow.records > records) return undefined;
    }
    const status = recorder.step(limit - at, false);
    if (status.kind === 'ended') return status;
    return status.kind === 'idle' ? this.idle(status.ns) : undefined;
  }

  /** The guest is halted, and the next timer fires in `ns`. */
  private idle(ns: number): BranchStatus | undefined {
    const { recorder, machine } = this;
    const now = machine.nowNs();
    const { idleSince } = this;
    if (machine.position() - idleSince.position > IDLE_SHARE * (now - idleSince.ns)) this.idleSince = { position: machine.position(), ns: now };
    let pass = ns;
    if (this.isFollowing) {
      if (this.isInputDue() || this.isAtParentsEnd()) return undefined;
      const { expected } = this.follow;
      if (expected?.kind === 'idle') pass = Math.min(ns, expected.ns);
    } else {
      if (recorder.pendingBytes > 0 && recorder.inputSpace > 0) return undefined;
      const next = this.inputs.at(this.nextInput);
      if (next !== undefined) {
        if (next.virtualNs <= now) return undefined;
        pass = Math.min(pass, next.virtualNs - now);
      }
    }
    if (pass === Infinity || now - idleSince.ns >= this.idleLimitNs) return { kind: 'waiting' };
    recorder.passIdle(pass);
    return undefined;
  }

  private makeChanges(): void {
    for (;;) {
      const next = this.changes.at(this.nextChange);
      if (next === undefined || next.position > this.position) return;
      this.nextChange++;
      const change = typeof next.change === 'function' ? next.change(this.machine) : next.change;
      if (change !== undefined) this.change(change);
    }
  }

  /** The parent does not have it. */
  private muted(action: () => void): void {
    this.follow.isMuted = true;
    action();
    this.follow.isMuted = false;
  }

  private isInputDue(): boolean {
    const next = this.inputs.at(this.nextInput);
    if (next === undefined) return false;
    if (this.isFollowing) return next.index === this.follow.records && next.event.position === this.position;
    if (this.inputsByTime) return next.virtualNs <= this.machine.nowNs();
    return next.event.position <= this.position || (next.virtualNs <= this.machine.nowNs() && this.machine.isHalted);
  }

  private offerInputs(): void {
    while (this.isInputDue()) {
      const { event } = this.inputs[this.nextInput++];
      if (event.kind === 'mark') {
        // In another run it would name another moment.
        if (this.isFollowing) this.recorder.mark(event.name, event.source);
        continue;
      }
      if (event.input.kind === 'console') {
        this.recorder.input(event.input.bytes);
        this.recorder.feed();
      } else if (isChange(event.input)) this.recorder.change(event.input);
      else throw new Error(`an input of the kind "${event.input.kind}" cannot be offered again`);
    }
  }

  private isAtParentsEnd(): boolean {
    const { parentEnd } = this;
    if (parentEnd === undefined || !this.isFollowing || (parentEnd.reason !== 'limit' && parentEnd.reason !== 'user')) return false;
    return this.follow.records === this.closingRecord && parentEnd.position === this.position;
  }
}

/** Compares the branch with its parent; what a digest or a dirty set says is no difference. */
class FollowingSink extends VerifyingSink {
  /** What comes now is not the parent's. */
  isMuted = false;

  override inputConsole(position: Position, port: string, bytes: Uint8Array): void {
    if (!this.isMuted) super.inputConsole(position, port, bytes);
  }
  override inputRegister(position: Position, register: string, valueLo: number, valueHi: number): void {
    if (!this.isMuted) super.inputRegister(position, register, valueLo, valueHi);
  }
  override inputMemory(position: Position, address: number, bytes: Uint8Array): void {
    if (!this.isMuted) super.inputMemory(position, address, bytes);
  }
  override inputTimerShift(position: Position, timer: string, ns: number): void {
    if (!this.isMuted) super.inputTimerShift(position, timer, ns);
  }
  override inputLine(position: Position, line: number, asserted: boolean): void {
    if (!this.isMuted) super.inputLine(position, line, asserted);
  }
  override inputStall(position: Position, ns: number): void {
    if (!this.isMuted) super.inputStall(position, ns);
  }

  override dirty(position: Position, epoch: number, pages: Uint32Array, firstWrites?: FirstWrites): void {
    let { expected } = this;
    if (expected?.kind !== 'dirty' || expected.position !== position) return super.dirty(position, epoch, pages, firstWrites);
    // One set may take several records.
    for (let more = true; more && expected?.kind === 'dirty'; { expected } = this) {
      this.append(expected);
      more = expected.more;
    }
  }

  override digest(position: Position, digest: string, components?: DigestComponents): void {
    const { expected } = this;
    const isThere = expected?.kind === 'digest' && expected.position === position;
    super.digest(position, isThere ? expected.digest : digest, isThere ? expected.components : components);
  }
}

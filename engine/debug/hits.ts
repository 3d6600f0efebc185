/** Collects the positions at which breakpoints and watchpoints are met while a stretch is replayed at full speed. */
import * as L from '../cpu/layout.ts';
import type { Machine } from '../machine/machine.ts';
import { holderOf } from './conditions.ts';
import { readRegister } from './inspect.ts';
import type { StopPoint } from './stop-points.ts';
import type { TimeTravel } from './time-travel.ts';

export interface Hit {
  /** Where the walk stops. */
  readonly position: number;
  /** Number of the stop point. */
  readonly stop: number;
  /** Of the instructions that begin at this position and are breakpoints, which one it is, from 1; 0: it is no breakpoint, and met in the state of the position. */
  readonly order: number;
}

/** Between a delivery and its handler's first instruction, which is at `address`; or the state of the position, whose rip that is. */
export interface Moment {
  readonly position: number;
  readonly address: bigint;
  readonly isInside: boolean;
}

/** Neither of them belongs to what is looked for. */
export interface Bounds {
  readonly after?: Moment | undefined;
  readonly before?: Moment | undefined;
}

/** A place where a walk stops, and all of the stop points that are met there, ascending. */
export interface Met {
  readonly position: number;
  readonly stops: readonly number[];
}

type Breakpoint = Extract<StopPoint, { kind: 'breakpoint' }>;
type Watchpoint = Extract<StopPoint, { kind: 'watchpoint' }>;
type Holds = (machine: Machine) => boolean;

/** More are forgotten, the oldest or the newest as wanted. */
export const HITS_MAX = 10_000;

export class HitCollector {
  private readonly hits: Hit[] = [];
  /** Some were forgotten. */
  isFull = false;
  private readonly travel: TimeTravel;
  private readonly machine: Machine;
  private readonly breakpoints: { readonly stop: number; readonly point: Breakpoint; readonly holds: Holds | undefined }[] = [];
  private readonly watchpoints: Watch[] = [];
  /** On any instruction. */
  private readonly conditions: { readonly stop: number; readonly holds: Holds }[] = [];
  /** Of watchpoints. */
  private readonly later = new Map<number, Holds>();
  private readonly frames = new Map<number, number>();
  private readonly keepLast: boolean;
  private readonly bounds: Bounds;
  private from = 0;
  private to = Infinity;
  /** Breakpoints that were met at this position so far. */
  private startedAt = -1;
  private started = 0;
  /** What begins at the position of a bound is beyond it. */
  private isPastAfter = false;
  private isPastBefore = false;

  /** keepLast: of more than HITS_MAX the last are kept, else the first. */
  constructor(travel: TimeTravel, stops: readonly StopPoint[], keepLast: boolean, bounds: Bounds = {}) {
    this.travel = travel;
    this.machine = travel.machine;
    this.keepLast = keepLast;
    this.bounds = bounds;
    stops.forEach((point, stop) => {
      if (point.kind === 'event' || point.kind === 'console') return;
      const holds = point.condition === undefined ? undefined : holderOf(point.condition, travel.reader);
      if (point.kind === 'breakpoint') this.breakpoints.push({ stop, point, holds });
      else if (point.kind === 'condition') this.conditions.push({ stop, holds: holds! });
      else {
        this.watchpoints.push({ stop, point, pending: undefined });
        if (holds !== undefined) this.later.set(stop, holds);
        for (const { paddr, length } of point.ranges) {
          for (let frame = paddr >>> 12; frame <= (paddr + length - 1) >>> 12; frame++) this.frames.set(frame, (this.frames.get(frame) ?? 0) | WATCH[point.access]);
        }
      }
    });
  }

  /** There is nothing to collect: all stops are found in the log. */
  get isIdle(): boolean {
    return this.breakpoints.length === 0 && this.watchpoints.length === 0 && !this.isSlow;
  }
  /** Each instruction is looked at. */
  get isSlow(): boolean {
    return this.conditions.length > 0;
  }
  /** Frames without a write to which nothing can be met; undefined if that says nothing. */
  get writtenFrames(): ReadonlySet<number> | undefined {
    if (this.isSlow || this.breakpoints.length > 0 || this.watchpoints.some(({ point }) => point.access !== 'write')) return undefined;
    return new Set(this.frames.keys());
  }

  /** From now on the machine is watched. */
  attach(): void {
    const { core } = this.machine;
    if (this.breakpoints.length > 0) {
      const bounds = [this.bounds.after, this.bounds.before].flatMap((moment) => (moment?.isInside === true ? [moment.address] : []));
      core.observeCode([...this.breakpoints.map(({ point }) => point.address), ...bounds], false);
    }
    for (const [frame, watch] of this.frames) core.watchFrame(frame, watch);
    this.machine.observe({ start: (kinds) => this.start(kinds), access: (kind, paddr, size) => this.access(kind, paddr, size) });
  }
  detach(): void {
    const { core } = this.machine;
    this.machine.observe(undefined);
    for (const frame of this.frames.keys()) core.watchFrame(frame, 0);
    if (this.breakpoints.length > 0) core.observeCode([], false);
  }

  /** Forgets what was collected, and collects what stops from `from` (inclusive) to `to` (exclusive). */
  collect(from: number, to: number): void {
    this.hits.length = 0;
    for (const watch of this.watchpoints) watch.pending = undefined;
    this.isFull = false;
    this.from = from;
    this.to = to;
    this.startedAt = -1;
    this.isPastAfter = false;
    this.isPastBefore = false;
  }

  private add(position: number, stop: number, order = 0): void {
    if (position < this.from || position >= this.to) return;
    // At the position where it begins only what begins later is met.
    if (order === 0 && position === this.bounds.after?.position) return;
    const last = this.hits.at(-1);
    if (last?.position === position && last.stop === stop) return;
    if (this.hits.length >= HITS_MAX * (this.keepLast ? 2 : 1)) {
      this.isFull = true;
      if (!this.keepLast) return;
      this.hits.splice(0, HITS_MAX);
    }
    this.hits.push({ position, stop, order });
  }

  private start(kinds: number): boolean {
    if ((kinds & L.OBSERVE_START) === 0) return false;
    const { machine } = this;
    const { core } = machine;
    const rip = (BigInt(core.ripHigh()) << 32n) | BigInt(core.ripLow());
    const position = machine.position();
    if (this.isOutside(position, rip)) return false;
    if (position !== this.startedAt) {
      this.startedAt = position;
      this.started = 0;
    }
    this.started++;
    for (const { stop, point, holds } of this.breakpoints) if (point.address === rip && (holds === undefined || holds(machine))) this.add(position, stop, this.started);
    return false;
  }

  private isOutside(position: number, rip: bigint): boolean {
    const { after, before } = this.bounds;
    if (position === after?.position) {
      const isItself = rip === after.address;
      this.isPastAfter ||= isItself;
      if (isItself || (after.isInside && !this.isPastAfter)) return true;
    }
    if (position !== before?.position) return false;
    this.isPastBefore ||= rip === before.address;
    return this.isPastBefore;
  }

  private access(kind: number, paddr: number, size: number): boolean {
    const told = this.machine.position();
    const bit = kind === L.ACCESS_LOAD ? L.WATCH_READ : L.WATCH_WRITE;
    for (const watch of this.watchpoints) {
      const { stop, point } = watch;
      if ((WATCH[point.access] & bit) === 0) continue;
      if (!point.ranges.some((range) => paddr < range.paddr + range.length && range.paddr < paddr + size)) continue;
      // At the next position it is there for certain, whether an instruction, a delivery or a device did it.
      if (point.changed !== true) this.add(told + 1, stop);
      else if (watch.pending?.told !== told) {
        this.settle(watch);
        watch.pending = { told, before: this.bytesOf(point) };
      }
    }
    return false;
  }

  /** The last write of a watchpoint that looks for changes: nothing has written since, so what is there now is what it left. */
  private settle(watch: Watch): void {
    const { pending } = watch;
    watch.pending = undefined;
    if (pending !== undefined && this.bytesOf(watch.point).some((byte, i) => byte !== pending.before[i])) this.add(pending.told + 1, watch.stop);
  }
  private bytesOf(point: Watchpoint): Uint8Array {
    const bytes = new Uint8Array(point.ranges.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const { paddr, length } of point.ranges) {
      bytes.set(this.machine.core.u8.subarray(L.RAM + paddr, L.RAM + paddr + length), at);
      at += length;
    }
    return bytes;
  }

  /** Replays from where the cursor is. Throws DivergedError. */
  replay(until: number): void {
    const { travel, machine } = this;
    if (!this.isSlow) return travel.replayOn(until);
    for (;;) {
      const { position } = travel;
      if (position >= until) return;
      if (position >= this.from && position < this.to) for (const { stop, holds } of this.conditions) if (holds(machine)) this.add(position, stop);
      if (travel.isAtEnd) return;
      travel.replayOn(position + 1);
      if (travel.position === position) return;
    }
  }

  /** What was met, in order; nothing more is collected. The machine is between two runs. */
  taken(): readonly Hit[] {
    for (const watch of this.watchpoints) this.settle(watch);
    this.to = -1;
    return [...this.hits].sort((a, b) => a.position - b.position || a.order - b.order || a.stop - b.stop);
  }

  /** Of hits in order, those at which the conditions of their watchpoints hold: a second replay, if there are any. Nothing is attached. Moves the cursor. */
  holding(hits: readonly Hit[]): readonly Hit[] {
    const { travel, machine, later } = this;
    if (!hits.some(({ stop }) => later.has(stop))) return hits;
    let isFirst = true;
    return hits.filter(({ position, stop }) => {
      const holds = later.get(stop);
      if (holds === undefined) return true;
      if (isFirst) travel.seek(position);
      else travel.replayOn(position);
      isFirst = false;
      return holds(machine);
    });
  }
}

/**
 * Of hits in order, the first or the last place where a walk stops, with all that is met there. Deliveries retire nothing, so a position has more than one place: its state,
 * where the instruction at rip is about to run, and one before the first instruction of each handler that is entered there. Moves the cursor.
 */
export function placeMet(travel: TimeTravel, stops: readonly StopPoint[], hits: readonly Hit[], which: 'first' | 'last'): Met | undefined {
  const isFirst = which === 'first';
  for (let i = isFirst ? 0 : hits.length - 1; i >= 0 && i < hits.length; ) {
    const { position } = hits[i];
    const here: Hit[] = [];
    for (; hits[i]?.position === position; i += isFirst ? 1 : -1) if (!travel.goesOn(stops[hits[i].stop], position)) here.push(hits[i]);
    if (here.length === 0) continue;
    if (here.every(({ order }) => order === 0)) return metOf(here);
    travel.seek(position);
    const rip = readRegister(travel.machine, 'rip');
    const groups = new Map<number, Hit[]>();
    // Where faults of handlers come back to the same address, it is the first time that counts.
    for (const hit of here.sort((a, b) => a.order - b.order)) {
      if ([...groups.values()].flat().some(({ stop }) => stop === hit.stop)) continue;
      const point = stops[hit.stop];
      const order = point.kind === 'breakpoint' && point.address !== rip ? hit.order : 0;
      groups.set(order, [...(groups.get(order) ?? []), hit]);
    }
    return metOf(groups.get(isFirst ? Math.min(...groups.keys()) : Math.max(...groups.keys()))!);
  }
  return undefined;
}

function metOf(hits: readonly Hit[]): Met {
  return { position: hits[0].position, stops: [...new Set(hits.map(({ stop }) => stop))].sort((a, b) => a - b) };
}

interface Watch {
  readonly stop: number;
  readonly point: Watchpoint;
  /** Position told of the last write, and the bytes before it. */
  pending: { readonly told: number; readonly before: Uint8Array } | undefined;
}

const WATCH = { write: L.WATCH_WRITE, read: L.WATCH_READ, access: L.WATCH_READ | L.WATCH_WRITE } as const;

/** Collects the positions at which breakpoints and watchpoints are met while a stretch is replayed at full speed. */
import * as L from '../cpu/layout.ts';
import type { Machine } from '../machine/machine.ts';
import type { StopPoint } from './stop-points.ts';

export interface Hit {
  /** Where the walk stops. */
  readonly position: number;
  /** Number of the stop point. */
  readonly stop: number;
}

type Breakpoint = Extract<StopPoint, { kind: 'breakpoint' }>;
type Watchpoint = Extract<StopPoint, { kind: 'watchpoint' }>;

/** More are forgotten, the oldest or the newest as wanted. */
export const HITS_MAX = 10_000;

export class HitCollector {
  private readonly hits: Hit[] = [];
  /** Some were forgotten. */
  isFull = false;
  private readonly machine: Machine;
  private readonly breakpoints: { readonly stop: number; readonly point: Breakpoint }[] = [];
  private readonly watchpoints: Watch[] = [];
  private readonly frames = new Map<number, number>();
  private readonly keepLast: boolean;
  private from = 0;
  private to = Infinity;

  /** keepLast: of more than HITS_MAX the last are kept, else the first. */
  constructor(machine: Machine, stops: readonly StopPoint[], keepLast: boolean) {
    this.machine = machine;
    this.keepLast = keepLast;
    stops.forEach((point, stop) => {
      if (point.kind === 'breakpoint') this.breakpoints.push({ stop, point });
      if (point.kind === 'watchpoint') {
        this.watchpoints.push({ stop, point, pending: undefined });
        for (const { paddr, length } of point.ranges) {
          for (let frame = paddr >>> 12; frame <= (paddr + length - 1) >>> 12; frame++) this.frames.set(frame, (this.frames.get(frame) ?? 0) | WATCH[point.access]);
        }
      }
    });
  }

  /** There is nothing to collect: all stops are found in the log. */
  get isIdle(): boolean {
    return this.breakpoints.length === 0 && this.watchpoints.length === 0;
  }
  /** Frames without a write to which nothing can be met; undefined if that says nothing. */
  get writtenFrames(): ReadonlySet<number> | undefined {
    if (this.breakpoints.length > 0 || this.watchpoints.some(({ point }) => point.access !== 'write')) return undefined;
    return new Set(this.frames.keys());
  }

  /** From now on the machine is watched. */
  attach(): void {
    const { core } = this.machine;
    if (this.breakpoints.length > 0) core.observeCode(this.breakpoints.map(({ point }) => point.address), false);
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
  }

  private add(position: number, stop: number): void {
    if (position < this.from || position >= this.to) return;
    const last = this.hits.at(-1);
    if (last?.position === position && last.stop === stop) return;
    if (this.hits.length >= HITS_MAX * (this.keepLast ? 2 : 1)) {
      this.isFull = true;
      if (!this.keepLast) return;
      this.hits.splice(0, HITS_MAX);
    }
    this.hits.push({ position, stop });
  }

  private start(kinds: number): boolean {
    if ((kinds & L.OBSERVE_START) === 0) return false;
    const { core } = this.machine;
    const rip = (BigInt(core.ripHigh()) << 32n) | BigInt(core.ripLow());
    for (const { stop, point } of this.breakpoints) {
      if (point.address === rip && (point.condition === undefined || point.condition(this.machine))) this.add(this.machine.position(), stop);
    }
    return false;
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

  /** What was met, in order; nothing more is collected. The machine is between two runs. */
  taken(): readonly Hit[] {
    for (const watch of this.watchpoints) this.settle(watch);
    this.to = -1;
    return [...this.hits].sort((a, b) => a.position - b.position || a.stop - b.stop);
  }
}

interface Watch {
  readonly stop: number;
  readonly point: Watchpoint;
  /** Position told of the last write, and the bytes before it. */
  pending: { readonly told: number; readonly before: Uint8Array } | undefined;
}

const WATCH = { write: L.WATCH_WRITE, read: L.WATCH_READ, access: L.WATCH_READ | L.WATCH_WRITE } as const;

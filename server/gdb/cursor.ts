/**
 * TimeTravel as gdb's remote protocol wants it: break- and watchpoints that come and go, and stops with a reason.
 *
 * TimeTravel stops after the instruction that wrote, from either side. gdb, going back, wants to be before it, because it looks at the value there and
 * compares it with the one it had (GDB manual, "Reverse Execution"; rr's test `reverse_watchpoint`):
 *
 *     position          W          W+1
 *     instruction       └─ writes ─┘
 *     forward stops                ●
 *     backward stops    ●                  unless a device wrote between two instructions: then one earlier, where it has not happened
 */
import { HitCollector } from '../../engine/debug/hits.ts';
import { type PhysicalRange, physicalRanges, readPhysical, readRegister } from '../../engine/debug/inspect.ts';
import type { StopPoint } from '../../engine/debug/stop-points.ts';
import type { StretchCrew } from '../../engine/debug/stretches.ts';
import type { Stop, TimeTravel } from '../../engine/debug/time-travel.ts';
import type { Position } from '../../engine/log/position.ts';

export type WatchKind = 'watch' | 'rwatch' | 'awatch';
export type PointKind = 'swbreak' | 'hwbreak' | WatchKind;

/** Why and where it stands still. */
export type Halt =
  | { readonly kind: 'step' }
  | { readonly kind: 'interrupted' }
  | { readonly kind: 'begin' | 'end' }
  | { readonly kind: 'break'; readonly point: 'swbreak' | 'hwbreak' }
  | { readonly kind: 'watch'; readonly point: WatchKind; readonly address: bigint };

interface Point {
  readonly kind: PointKind;
  readonly address: bigint;
  readonly length: number;
}
type Watchpoint = Extract<StopPoint, { kind: 'watchpoint' }>;

/** So many at most, of both kinds. */
export const POINTS_MAX = 4096;
/** Bytes of one watchpoint at most. */
export const WATCH_BYTES_MAX = 1 << 20;

const ACCESS = { watch: 'write', rwatch: 'read', awatch: 'access' } as const;

export class Cursor {
  readonly travel: TimeTravel;
  private readonly crew: (() => StretchCrew) | undefined;
  private readonly points = new Map<string, Point>();

  /** `crew`: for one walk back, who replays its stretches; without it, this machine alone. */
  constructor(travel: TimeTravel, crew?: () => StretchCrew) {
    this.travel = travel;
    this.crew = crew;
  }

  /** Inserting twice is the same as once. False: too many, or too long. */
  insert(kind: PointKind, address: bigint, length: number): boolean {
    const key = `${kind} ${address} ${length}`;
    if (!this.points.has(key) && this.points.size >= POINTS_MAX) return false;
    if (kind in ACCESS && (length < 1 || length > WATCH_BYTES_MAX)) return false;
    this.points.set(key, { kind, address, length });
    return true;
  }
  remove(kind: PointKind, address: bigint, length: number): void {
    this.points.delete(`${kind} ${address} ${length}`);
  }
  clear(): void {
    this.points.clear();
  }

  step(): Halt {
    const { travel } = this;
    const before = travel.position;
    const { points, stops } = this.watchpoints();
    const hit = this.hitOfOneStep(stops);
    if (hit !== undefined) return watchHalt(points[hit]);
    return travel.position === before ? { kind: 'end' } : { kind: 'step' };
  }

  reverseStep(): Halt {
    const { travel } = this;
    if (travel.position === 0) {
      // The first instruction of a handler may have this position too: then there is a way back.
      const rip = readRegister(travel.machine, 'rip');
      travel.reverseStep();
      return readRegister(travel.machine, 'rip') === rip ? { kind: 'begin' } : { kind: 'step' };
    }
    const rip = readRegister(travel.machine, 'rip');
    const watch = this.stepBackOverAccess();
    if (watch !== undefined) return watch;
    // Looking for an access led from a handler's first instruction to what it came before, which has the same position: that is the step.
    if (readRegister(travel.machine, 'rip') === rip) travel.reverseStep();
    return { kind: 'step' };
  }

  /** Yields between slices of work; gives up at one where `interrupt` says so. */
  async *continue(interrupt: () => boolean): AsyncGenerator<void, Halt, void> {
    const { points, stops } = this.stopPoints();
    const stop = yield* this.sliced(this.travel.continuing(stops), interrupt);
    if (stop === undefined) return { kind: 'interrupted' };
    if (stop.kind === 'history') return { kind: 'end' };
    return haltAt(points[stop.index]);
  }

  async *reverseContinue(interrupt: () => boolean): AsyncGenerator<void, Halt, void> {
    const watch = this.stepBackOverAccess();
    if (watch !== undefined) return watch;
    const { points, stops } = this.stopPoints();
    const walk = this.crew === undefined ? this.travel.reverseContinuing(stops) : this.travel.reverseContinuingWith(this.crew(), stops);
    const stop = yield* this.sliced(walk, interrupt);
    if (stop === undefined) return { kind: 'interrupted' };
    if (stop.kind === 'history') return { kind: 'begin' };
    // Where a watchpoint and a breakpoint are met, the breakpoint is the later one of a walk back: the access is stepped over next.
    const met = stop.indices[stop.indices.length - 1];
    const point = stops[met];
    if (point.kind === 'watchpoint') this.stepBefore(point);
    return haltAt(points[met]);
  }

  private async *sliced(walk: Generator<Position, Stop, void> | AsyncGenerator<Position, Stop, void>, interrupt: () => boolean): AsyncGenerator<void, Stop | undefined, void> {
    for (;;) {
      const slice = await walk.next();
      if (slice.done === true) return slice.value;
      yield;
      if (!interrupt()) continue;
      await walk.return(undefined as never);
      this.travel.seek(slice.value);
      return undefined;
    }
  }

  // ---- stop points ----

  /** Watchpoints first. */
  private stopPoints(): { readonly points: readonly Point[]; readonly stops: readonly StopPoint[] } {
    const watch = this.watchpoints();
    const breaks = [...this.points.values()].filter(({ kind }) => !(kind in ACCESS));
    return { points: [...watch.points, ...breaks], stops: [...watch.stops, ...breaks.map(({ address }): StopPoint => ({ kind: 'breakpoint', address }))] };
  }

  /** A linear range is what is mapped there now. */
  private watchpoints(): { readonly points: readonly Point[]; readonly stops: readonly Watchpoint[] } {
    const points: Point[] = [];
    const stops: Watchpoint[] = [];
    for (const point of this.points.values()) {
      if (!isWatch(point.kind)) continue;
      const ranges = physicalRanges(this.travel.machine, point.address, point.length);
      if (ranges.length === 0) continue;
      points.push(point);
      // gdb's `watch` is for changes: it would go on after any other write, at the price of a round trip.
      stops.push({ kind: 'watchpoint', ranges, access: ACCESS[point.kind], changed: point.kind === 'watch' });
    }
    return { points, stops };
  }

  /** One instruction on; the number of the watchpoint that it met. */
  private hitOfOneStep(stops: readonly Watchpoint[]): number | undefined {
    const { travel } = this;
    if (stops.length === 0) {
      travel.step();
      return undefined;
    }
    const collector = new HitCollector(travel, stops, true);
    collector.attach();
    try {
      collector.collect(travel.position + 1, travel.position + 2);
      travel.step();
      return collector.taken().at(0)?.stop;
    } finally {
      collector.detach();
    }
  }

  /** If what led here accessed something watched, back before it. */
  private stepBackOverAccess(): Halt | undefined {
    const { travel } = this;
    const { points, stops } = this.watchpoints();
    const from = travel.position;
    if (stops.length === 0 || from === 0) return undefined;
    travel.seek(from - 1);
    const hit = this.hitOfOneStep(stops);
    if (hit === undefined) return undefined;
    this.stepBefore(stops[hit]);
    return watchHalt(points[hit]);
  }

  /** From after an access to before it. */
  private stepBefore(stop: Watchpoint): void {
    const { travel } = this;
    const after = bytesOf(travel, stop.ranges);
    travel.reverseStep();
    if (stop.changed === true && travel.position > 0 && Buffer.compare(after, bytesOf(travel, stop.ranges)) === 0) travel.reverseStep();
  }
}

function bytesOf({ machine }: TimeTravel, ranges: readonly PhysicalRange[]): Uint8Array {
  return Buffer.concat(ranges.map(({ paddr, length }) => readPhysical(machine, paddr, length)));
}

function isWatch(kind: PointKind): kind is WatchKind {
  return kind in ACCESS;
}

function watchHalt({ kind, address }: Point): Halt {
  return { kind: 'watch', point: kind as WatchKind, address };
}
function haltAt(point: Point): Halt {
  return isWatch(point.kind) ? watchHalt(point) : { kind: 'break', point: point.kind };
}

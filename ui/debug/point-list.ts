/** Breakpoints and watchpoints of an opened recording, and where each is met in all of it. Knows no view. */
import type { Subscription } from 'rxjs';
import type { Failure } from '../../engine/protocol/messages.ts';
import type { PagePoint, PointAsked } from '../../engine/protocol/moment.ts';
import { type EngineClient, failureOf } from '../engine-client.ts';

export interface ListedPoint {
  readonly id: number;
  readonly point: PagePoint;
  readonly isEnabled: boolean;
  /** Positions where a walk would stop, ascending, as far as it was looked. */
  readonly hits: Float64Array;
  /** Undefined: all of it was looked at. */
  readonly scanned: number | undefined;
  /** There are more hits than are told. */
  readonly isFull: boolean;
  readonly failure: Failure | undefined;
}

const POINTS_MAX = 64;

export class PointList {
  failure: Failure | undefined;
  private list: readonly ListedPoint[] = [];
  private readonly searches = new Map<number, Subscription>();
  private readonly client: EngineClient;
  private readonly onChange: () => void;
  private nextId = 1;

  constructor(client: EngineClient, onChange: () => void) {
    this.client = client;
    this.onChange = onChange;
  }

  get all(): readonly ListedPoint[] {
    return this.list;
  }
  get enabled(): readonly ListedPoint[] {
    return this.list.filter(({ isEnabled }) => isEnabled);
  }
  breakpointAt(address: bigint): ListedPoint | undefined {
    return this.list.find(({ point }) => point.kind === 'breakpoint' && point.addresses.includes(address));
  }
  /** Of a byte of RAM. */
  watchpointAt(paddr: number): ListedPoint | undefined {
    return this.list.find(({ point }) => point.kind === 'watchpoint' && point.ranges.some((range) => paddr >= range.paddr && paddr < range.paddr + range.length));
  }

  /** As a person gives it, at a position. What is wrong with it is in `failure`. */
  async ask(position: number, asked: PointAsked): Promise<void> {
    this.failure = undefined;
    try {
      const reply = await this.client.once({ kind: 'point', position, asked });
      if (reply.kind === 'point') this.add(reply.point);
    } catch (error) {
      this.failure = failureOf(error);
      this.onChange();
    }
  }

  add(point: PagePoint): void {
    if (this.list.length >= POINTS_MAX) {
      this.failure = { message: `There are ${POINTS_MAX} points already`, advice: 'delete some' };
      return this.onChange();
    }
    const id = this.nextId++;
    this.list = [...this.list, { id, point, isEnabled: true, hits: new Float64Array(0), scanned: 0, isFull: false, failure: undefined }];
    this.search(id, point);
    this.onChange();
  }

  toggleBreakpoint(address: bigint, text: string): void {
    const known = this.breakpointAt(address);
    if (known === undefined) this.add({ kind: 'breakpoint', text, addresses: [address] });
    else this.remove(known.id);
  }

  enable(id: number, isEnabled: boolean): void {
    this.change(id, { isEnabled });
  }
  remove(id: number): void {
    this.searches.get(id)?.unsubscribe();
    this.searches.delete(id);
    this.list = this.list.filter((each) => each.id !== id);
    this.onChange();
  }
  close(): void {
    for (const search of this.searches.values()) search.unsubscribe();
    this.searches.clear();
  }

  private search(id: number, point: PagePoint): void {
    let found: number[] = [];
    this.searches.set(
      id,
      this.client.run({ kind: 'hits', point }).subscribe({
        next: (reply) => {
          if (reply.kind === 'hits') {
            found = [...found, ...reply.positions];
            this.change(id, { scanned: reply.scanned, ...(reply.positions.length === 0 ? {} : { hits: Float64Array.from(found) }) });
          } else if (reply.kind === 'all-hits') this.change(id, { scanned: undefined, isFull: reply.isFull });
        },
        error: (error: unknown) => this.change(id, { scanned: undefined, failure: failureOf(error) }),
      }),
    );
  }

  private change(id: number, change: Partial<ListedPoint>): void {
    this.list = this.list.map((each) => (each.id === id ? { ...each, ...change } : each));
    this.onChange();
  }
}

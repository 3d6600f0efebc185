/**
 * Compares events with a log as a replay makes them. VerifyingSink has the same door as LogWriter, and compares rows, not bytes:
 * so it does not matter where the writer of the log flushed, the first difference is known at once, and it costs a dozen comparisons an event.
 */
import { equalBytes } from './bytes.ts';
import { eventAt } from './event-batch.ts';
import type { EventBatch } from './event-batch.ts';
import { EventRows, storedName } from './event-rows.ts';
import { describeEvent } from './events.ts';
import type { LogEvent } from './events.ts';
import { formatPosition } from './position.ts';
import type { Position } from './position.ts';
import type { LogReader } from './reader.ts';
import { SHAPE_KIND } from './shapes.ts';

/** The first event at which a replay differs from its log. */
export interface Divergence {
  /** Number of the record in the log. */
  readonly index: number;
  /** The smaller of the positions of the two events. */
  readonly position: Position;
  /** Undefined if the log has no more events. */
  readonly expected: LogEvent | undefined;
  /** Undefined if the replay stopped before it. */
  readonly actual: LogEvent | undefined;
}

export interface VerifyOptions {
  /** Number of the record that the first event is compared with; 0 if absent. For replays from a checkpoint: reader.recordIndexAt. */
  readonly fromRecord?: number;
}

export class VerifyingSink extends EventRows {
  private readonly reader: LogReader;
  private batch: EventBatch = NO_EVENTS;
  /** Number of the next block. */
  private block: number;
  /** Row of the batch that is expected next. */
  private at = 0;
  /** Strings of the batch, and after them those that only the replay has. */
  private names: string[] = [];
  private readonly nameIndexes = new Map<string, number>();
  private found: Divergence | undefined;

  constructor(reader: LogReader, options: VerifyOptions = {}) {
    const fromRecord = options.fromRecord ?? 0;
    const block = blockOfRecord(reader, fromRecord);
    super(reader.header.blockBytes, fromRecord, 0);
    this.reader = reader;
    this.block = block;
    if (block < reader.eventBlocks.length) {
      this.nextBlock();
      this.at = fromRecord - this.batch.firstRecord;
      this.timeOffsetNs = this.batch.timeOffsetNs[this.at];
    }
  }

  /** The first divergence so far; what comes after it is not compared. */
  get divergence(): Divergence | undefined {
    return this.found;
  }

  /** The event that the log has next, for a replayer that takes its inputs from here. */
  get expected(): LogEvent | undefined {
    return this.hasExpected() ? eventAt(this.batch, this.at) : undefined;
  }

  /** Position of that event; undefined at the end of the log. */
  get expectedPosition(): Position | undefined {
    return this.hasExpected() ? (this.batch.position[this.at] as Position) : undefined;
  }

  /** The replay stops: every event of the log before `to` (all, if absent) must have been made. Returns the first divergence of all. */
  finish(to?: Position): Divergence | undefined {
    const expected = this.found === undefined ? this.expected : undefined;
    if (expected !== undefined && (to === undefined || expected.position < to)) {
      this.found = { index: this.records, position: expected.position, expected, actual: undefined };
    }
    return this.found;
  }

  override flush(): void {
    // Nothing is kept back.
  }

  protected override makeRoom(): void {
    this.hasExpected();
  }

  protected override intern(name: string): number {
    const index = this.nameIndexes.get(name);
    if (index !== undefined) return index;
    const stored = storedName(name);
    if (stored !== name) return this.intern(stored);
    this.nameIndexes.set(name, this.names.length);
    return this.names.push(name) - 1;
  }

  protected override row(
    position: Position, shape: number, f0: number, f1: number, f2: number, f3: number, ripLo: number, ripHi: number, addressLo: number, addressHi: number,
    valueLo: number, valueHi: number, aux: number, payload: Uint8Array,
  ): void {
    if (this.found !== undefined) return;
    if (this.hasExpected()) {
      const i = this.at;
      const batch = this.batch;
      const sites = batch.sites;
      const site = batch.site[i];
      if (
        batch.position[i] === position && sites.shape[site] === shape && sites.f0[site] === f0 && sites.f1[site] === f1 && sites.f2[site] === f2 && sites.f3[site] === f3 &&
        sites.ripLo[site] === ripLo && sites.ripHi[site] === ripHi && sites.addressLo[site] === addressLo && sites.addressHi[site] === addressHi &&
        batch.valueLo[i] === valueLo && batch.valueHi[i] === valueHi && batch.aux[i] === aux && batch.payloadLength[i] === payload.length &&
        (payload.length === 0 || equalBytes(payload, batch.bytes.subarray(batch.payloadStart[i], batch.payloadStart[i] + payload.length)))
      ) {
        this.at = i + 1;
        return;
      }
    }
    const actual = eventAt(
      {
        count: 1,
        firstRecord: this.records,
        fileOffset: 0,
        position: Float64Array.of(position),
        timeOffsetNs: Float64Array.of(this.timeOffsetNs),
        kind: Uint8Array.of(SHAPE_KIND[shape]),
        site: Uint16Array.of(0),
        valueLo: Uint32Array.of(valueLo),
        valueHi: Uint32Array.of(valueHi),
        aux: Uint32Array.of(aux),
        payloadStart: Uint32Array.of(0),
        payloadLength: Uint32Array.of(payload.length),
        bytes: payload,
        sites: {
          count: 1,
          shape: Uint8Array.of(shape),
          f0: Uint32Array.of(f0),
          f1: Uint32Array.of(f1),
          f2: Uint32Array.of(f2),
          f3: Uint32Array.of(f3),
          ripLo: Uint32Array.of(ripLo),
          ripHi: Uint32Array.of(ripHi),
          addressLo: Uint32Array.of(addressLo),
          addressHi: Uint32Array.of(addressHi),
        },
        strings: this.names,
        endTimeOffsetNs: this.timeOffsetNs,
      },
      0,
    );
    const expected = this.expected;
    this.found = { index: this.records, position: (expected === undefined ? position : Math.min(expected.position, position)) as Position, expected, actual };
  }

  /** True if the log has another event; goes to its block. */
  private hasExpected(): boolean {
    if (this.at < this.batch.count) return true;
    if (this.block >= this.reader.eventBlocks.length) return false;
    this.nextBlock();
    return true;
  }

  private nextBlock(): void {
    this.batch = this.reader.batch(this.block++);
    this.at = 0;
    this.names = [...this.batch.strings];
    this.nameIndexes.clear();
    this.names.forEach((name, index) => this.nameIndexes.set(name, index));
  }
}

/** The first event at which two logs differ, undefined if they have the same events. Where they flushed makes no difference. */
export function compareLogs(expected: LogReader, actual: LogReader): Divergence | undefined {
  const sink = new VerifyingSink(expected);
  for (const event of actual.events()) {
    sink.append(event);
    if (sink.divergence !== undefined) return sink.divergence;
  }
  return sink.finish();
}

/** A divergence as lines for people. */
export function describeDivergence(divergence: Divergence): string[] {
  const text = (event: LogEvent | undefined): string => (event === undefined ? 'nothing' : describeEvent(event));
  return [`divergence at ${formatPosition(divergence.position)}, event ${divergence.index}`, `expected: ${text(divergence.expected)}`, `actual:   ${text(divergence.actual)}`];
}

function blockOfRecord(reader: LogReader, record: number): number {
  const block = reader.eventBlocks.findIndex((entry) => record < entry.firstRecord + entry.counts.reduce((sum, count) => sum + count, 0));
  return block < 0 ? reader.eventBlocks.length : block;
}

const NO_EVENTS: EventBatch = {
  count: 0,
  firstRecord: 0,
  fileOffset: 0,
  position: new Float64Array(0),
  timeOffsetNs: new Float64Array(0),
  kind: new Uint8Array(0),
  site: new Uint16Array(0),
  valueLo: new Uint32Array(0),
  valueHi: new Uint32Array(0),
  aux: new Uint32Array(0),
  payloadStart: new Uint32Array(0),
  payloadLength: new Uint32Array(0),
  bytes: new Uint8Array(0),
  sites: {
    count: 0,
    shape: new Uint8Array(0),
    f0: new Uint32Array(0),
    f1: new Uint32Array(0),
    f2: new Uint32Array(0),
    f3: new Uint32Array(0),
    ripLo: new Uint32Array(0),
    ripHi: new Uint32Array(0),
    addressLo: new Uint32Array(0),
    addressHi: new Uint32Array(0),
  },
  strings: [],
  endTimeOffsetNs: 0,
};

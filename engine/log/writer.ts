/**
 * Writes a log: header, blocks as they fill, footer. The twin of reader.ts.
 */
import { assert } from './assert.ts';
import { BLOCK_EVENTS, BLOCK_HEADER_BYTES, BLOCK_IMAGE, KIND_SLOTS, encodeBlockHeader, recordsOf } from './block.ts';
import type { BlockEntry } from './block.ts';
import { BlockEncoder } from './block-encoder.ts';
import { bytesOfHex, setU64, viewOf } from './bytes.ts';
import { LogError } from './errors.ts';
import { EventRows } from './event-rows.ts';
import { encodeFooter } from './footer.ts';
import { encodeHeader } from './header.ts';
import type { LogHeader } from './header.ts';
import type { Position } from './position.ts';
import { sha256Hex } from './sha256.ts';
import { SHAPE_END } from './shapes.ts';
import type { ByteSink } from './storage.ts';

export const IMAGE_CHUNK_HEADER_BYTES = 48;

/** Appends pieces of a log and remembers the index. After a failed append it refuses everything, as the file may end anywhere. */
export class LogAppender {
  readonly entries: BlockEntry[] = [];
  /** Bytes appended so far. */
  offset = 0;
  private readonly sink: ByteSink;
  private failure: LogError | undefined;

  constructor(sink: ByteSink) {
    this.sink = sink;
  }

  raw(bytes: Uint8Array): void {
    this.attempt(() => this.sink.append(bytes));
    this.offset += bytes.length;
  }

  block(entry: Omit<BlockEntry, 'offset' | 'payloadBytes'>, payload: Uint8Array): void {
    const complete = { ...entry, offset: this.offset, payloadBytes: payload.length };
    this.raw(encodeBlockHeader(complete, this.entries.length, payload));
    this.raw(payload);
    this.entries.push(complete);
  }

  /** A block that is complete already, header included. */
  copy(entry: BlockEntry, bytes: Uint8Array): void {
    this.entries.push({ ...entry, offset: this.offset });
    this.raw(bytes);
  }

  footer(lastPosition: number): void {
    const records = this.entries.reduce((sum, entry) => sum + recordsOf(entry), 0);
    this.raw(encodeFooter(this.entries, this.offset, { records, lastPosition }));
  }

  sync(): void {
    this.attempt(() => this.sink.sync());
  }

  private attempt(action: () => void): void {
    if (this.failure !== undefined) throw this.failure;
    try {
      action();
    } catch (error) {
      this.failure = new LogError('LOG_WRITE_FAILED', this.offset, 0, error instanceof Error ? error.message : String(error), { cause: error });
      throw this.failure;
    }
  }
}

/** Where a log stands. */
export interface LogState {
  readonly records: number;
  readonly timeOffsetNs: number;
  readonly position: Position;
}

/**
 * Takes events and writes them. Blocks are appended when they are full; flush() appends what there is and syncs. close() ends the file; a log
 * that is not closed is readable all the same.
 */
export class LogWriter extends EventRows {
  readonly header: LogHeader;
  private readonly appender: LogAppender;
  private readonly encoder: BlockEncoder;
  /** Time offset before the first record of the block, ns. */
  private blockTimeOffsetNs: number;
  private lastPosition: Position;
  private hasEnded = false;
  private isClosed = false;

  /** Goes on where an appender stands; use createLog. */
  constructor(appender: LogAppender, header: LogHeader, state: LogState) {
    super(header.blockBytes, state.records, state.timeOffsetNs);
    this.header = header;
    this.appender = appender;
    this.encoder = new BlockEncoder(header.blockBytes);
    this.blockTimeOffsetNs = state.timeOffsetNs;
    this.lastPosition = state.position;
  }

  /** Bytes written so far, without the block in the making. */
  get bytesWritten(): number {
    return this.appender.offset;
  }

  /** Bytes that the block in the making would add if it were sealed now. */
  get bytesPending(): number {
    return this.encoder.count === 0 ? 0 : BLOCK_HEADER_BYTES + this.encoder.out.length;
  }

  /** Position of the last event. */
  get position(): Position {
    return this.lastPosition;
  }

  /** Embeds an image that the header names, so that the log can be replayed without its file. */
  image(bytes: Uint8Array): void {
    const sha256 = sha256Hex(bytes);
    assert(this.header.images.some((image) => image.sha256 === sha256 && image.bytes === bytes.length), `the header does not name image ${sha256}`);
    this.seal();
    const chunkMax = this.header.blockBytes - BLOCK_HEADER_BYTES - IMAGE_CHUNK_HEADER_BYTES;
    let start = 0;
    do {
      const chunk = bytes.subarray(start, start + chunkMax);
      const payload = new Uint8Array(IMAGE_CHUNK_HEADER_BYTES + chunk.length);
      payload.set(bytesOfHex(sha256));
      setU64(viewOf(payload), 32, bytes.length);
      setU64(viewOf(payload), 40, start);
      payload.set(chunk, IMAGE_CHUNK_HEADER_BYTES);
      this.block(BLOCK_IMAGE, 0, payload);
      start += chunk.length;
    } while (start < bytes.length);
  }

  /** A block of a type that this module does not know, at the place in the log that is reached now. */
  block(type: number, flags: number, payload: Uint8Array): void {
    assert(type !== BLOCK_EVENTS, 'event blocks are made of events');
    assert(!this.hasEnded && !this.isClosed, 'nothing follows the end of a log');
    this.seal();
    const position = this.lastPosition;
    this.appender.block(
      { type, flags, firstPosition: position, lastPosition: position, timeOffsetNs: this.timeOffsetNs, firstRecord: this.records, counts: new Uint16Array(KIND_SLOTS) }, payload,
    );
  }

  /** Seals the block in the making, however short, and syncs. Costs 80 bytes if there was one. */
  override flush(): void {
    this.seal();
    this.appender.sync();
  }

  /** Writes the footer and syncs. */
  close(): void {
    assert(!this.isClosed, 'the log is closed already');
    this.seal();
    this.appender.footer(this.lastPosition);
    this.appender.sync();
    this.isClosed = true;
  }

  protected override makeRoom(payloadBytes: number): void {
    if (!this.encoder.hasRoom(payloadBytes)) this.seal();
  }

  protected override intern(name: string): number {
    return this.encoder.intern(name);
  }

  protected override row(
    position: Position, shape: number, f0: number, f1: number, f2: number, f3: number, ripLo: number, ripHi: number, addressLo: number, addressHi: number,
    valueLo: number, valueHi: number, aux: number, payload: Uint8Array,
  ): void {
    // The negation also stops NaN.
    if (!(position >= this.lastPosition)) assert(false, `positions go back from @${this.lastPosition} to @${position}`);
    assert(!this.hasEnded && !this.isClosed, 'nothing follows the end of a log');
    assert(position + this.timeOffsetNs <= Number.MAX_SAFE_INTEGER, 'virtual time is not a safe integer');
    this.makeRoom(payload.length);
    this.encoder.row(position, shape, f0, f1, f2, f3, ripLo, ripHi, addressLo, addressHi, valueLo, valueHi, aux, payload);
    this.lastPosition = position;
    if (shape === SHAPE_END) this.hasEnded = true;
  }

  private seal(): void {
    const encoder = this.encoder;
    if (encoder.count > 0) {
      encoder.finish();
      this.appender.block(
        {
          type: BLOCK_EVENTS,
          flags: 0,
          firstPosition: encoder.firstPosition,
          lastPosition: encoder.lastPosition,
          timeOffsetNs: this.blockTimeOffsetNs,
          firstRecord: this.records - encoder.count,
          counts: encoder.counts.slice(),
        },
        encoder.out.bytes.subarray(0, encoder.out.length),
      );
      encoder.reset();
    }
    this.blockTimeOffsetNs = this.timeOffsetNs;
  }
}

/** Begins a new log: the header is appended at once. start: for a branch, the state of its parent there. */
export function createLog(sink: ByteSink, header: LogHeader, start?: Pick<LogState, 'timeOffsetNs' | 'position'>): LogWriter {
  const appender = new LogAppender(sink);
  appender.raw(encodeHeader(header));
  return new LogWriter(appender, header, { records: 0, timeOffsetNs: start?.timeOffsetNs ?? 0, position: start?.position ?? (0 as Position) });
}

/**
 * Reads a log, strictly: the first thing that is wrong is a LogError with its place. The twin of writer.ts.
 *
 * Opening reads the header and the index (or walks the block headers if there is no footer yet); blocks are read, checked and decoded when they are asked for.
 */
import { assert } from './assert.ts';
import {
  BLOCK_EVENTS, BLOCK_HEADER_BYTES, BLOCK_IMAGE, blockBytesOf, kindCountsOf, parseBlockHeader, recordsOf, unknownBlock,
} from './block.ts';
import type { BlockEntry, BlockHeader } from './block.ts';
import { BlockDecoder } from './block-decoder.ts';
import { getU64, hexOf, viewOf } from './bytes.ts';
import { crc32c } from './crc32c.ts';
import { LogError } from './errors.ts';
import { eventAt } from './event-batch.ts';
import type { EventBatch } from './event-batch.ts';
import { KIND_END, kindCode } from './events.ts';
import type { KindCounts, LogEvent, LogKind } from './events.ts';
import { FOOTER_MAGIC, isSameEntry, parseFooter } from './footer.ts';
import { parseHeader } from './header.ts';
import type { LogHeader, ParsedHeader } from './header.ts';
import type { Position } from './position.ts';
import { Sha256 } from './sha256.ts';
import { IMAGE_CHUNK_HEADER_BYTES } from './writer.ts';
import type { ByteSource } from './storage.ts';

/** Decoded blocks that a reader keeps unless told: two, for two readers in turn of neighbouring places. */
const BATCHES_KEPT = 2;

export interface EventQuery {
  /** First position, inclusive. */
  readonly from?: Position;
  /** Last position, exclusive. */
  readonly to?: Position;
  /** All kinds if absent. */
  readonly kinds?: readonly LogKind[];
}

export interface LogEntry {
  /** Number of the record in the log. */
  readonly index: number;
  /** Before the event takes effect, ns: virtual time = position + timeOffsetNs. */
  readonly timeOffsetNs: number;
  readonly event: LogEvent;
}

/** Rows of a batch that answer a query: those from `start` to `end` whose kind is in `kindMask` (bit KIND_*). */
export interface BatchSlice {
  readonly batch: EventBatch;
  readonly start: number;
  readonly end: number;
  readonly kindMask: number;
}

export class LogReader {
  readonly header: LogHeader;
  readonly version: { readonly major: number; readonly minor: number };
  /** True if the log has a footer: its writer closed it. */
  readonly isClosed: boolean;
  /** All blocks, of any type. */
  readonly blocks: readonly BlockEntry[];
  /** The event blocks, in order of position. */
  readonly eventBlocks: readonly BlockEntry[];
  readonly records: number;
  readonly lastPosition: Position;
  private readonly source: ByteSource;
  private readonly batchesKept: number;
  private readonly sequences: ReadonlyMap<BlockEntry, number>;
  /** Made when the first block is decoded: its tables are large, and many readers only look at the index. */
  private decoder: BlockDecoder | undefined;
  /** Most recent last. */
  private readonly kept: { entry: BlockEntry; batch: EventBatch }[] = [];

  protected constructor(source: ByteSource, parsed: ParsedHeader, isClosed: boolean, blocks: readonly BlockEntry[], batchesKept = BATCHES_KEPT) {
    this.source = source;
    this.batchesKept = batchesKept;
    this.header = parsed.header;
    this.version = { major: parsed.major, minor: parsed.minor };
    this.isClosed = isClosed;
    this.blocks = blocks;
    this.sequences = new Map(blocks.map((entry, sequence) => [entry, sequence]));
    this.eventBlocks = blocks.filter((entry) => entry.type === BLOCK_EVENTS);
    this.records = this.eventBlocks.reduce((sum, entry) => sum + recordsOf(entry), 0);
    this.lastPosition = (blocks.at(-1)?.lastPosition ?? 0) as Position;
  }

  /** batchesKept: decoded blocks, up to some 2.5 MB each. Throws LogError. */
  static open(source: ByteSource, batchesKept?: number): LogReader {
    const parsed = parseHeader(source);
    const footer = parseFooter(source, parsed.endOffset);
    if (footer.kind === 'damaged') throw footer.error;
    const blocks = footer.kind === 'intact' ? footer.entries : scanHeaders(source, parsed.endOffset);
    for (const [i, entry] of blocks.entries()) {
      const problem = unknownBlock(entry) ?? (i > 0 ? orderProblem(blocks[i - 1], entry) : undefined);
      if (problem !== undefined) throw problem;
    }
    return new LogReader(source, parsed, footer.kind === 'intact', blocks, batchesKept);
  }

  /** Records by kind, from the index. */
  get counts(): KindCounts {
    return kindCountsOf(this.eventBlocks);
  }

  /** True if the run was recorded to its end. */
  get hasEnd(): boolean {
    return (this.eventBlocks.at(-1)?.counts[KIND_END] ?? 0) > 0;
  }

  /** Event block i, read, checked and decoded. Throws LogError. */
  batch(i: number): EventBatch {
    const entry = this.eventBlocks[i];
    assert(entry !== undefined, `no event block ${i}`);
    const found = this.kept.findIndex((each) => each.entry === entry);
    if (found >= 0) {
      const [hit] = this.kept.splice(found, 1);
      this.kept.push(hit);
      return hit.batch;
    }
    const batch = this.decode(i, false);
    this.kept.push({ entry, batch });
    if (this.kept.length > this.batchesKept) this.kept.shift();
    return batch;
  }

  /** The same for a fold that goes through the log once and keeps nothing: the next call writes over the arrays of this batch. Throws LogError. */
  passingBatch(i: number): EventBatch {
    assert(this.eventBlocks[i] !== undefined, `no event block ${i}`);
    return this.decode(i, true);
  }

  private decode(i: number, isPassing: boolean): EventBatch {
    const entry = this.eventBlocks[i];
    this.decoder ??= new BlockDecoder();
    const batch = this.decoder.decode(entry, this.payload(entry), isPassing);
    const next = this.eventBlocks[i + 1];
    if (next !== undefined && next.timeOffsetNs !== batch.endTimeOffsetNs) {
      throw new LogError('LOG_BLOCK_DAMAGED', next.offset, BLOCK_HEADER_BYTES, `the time offset is ${next.timeOffsetNs}, but the block before stopped at ${batch.endTimeOffsetNs}`);
    }
    return batch;
  }

  /** Number of the first event block that has a record at `at` or later; the number of blocks if none has. */
  blockIndexAt(at: Position): number {
    let low = 0;
    let high = this.eventBlocks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.eventBlocks[middle].lastPosition < at) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Number of the event block that holds a record. */
  blockOfRecord(index: number): number {
    let low = 0;
    let high = this.eventBlocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.eventBlocks[middle].firstRecord <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Number of the first record at `at` or later; the number of records if there is none. */
  recordIndexAt(at: Position): number {
    const block = this.blockIndexAt(at);
    if (block === this.eventBlocks.length) return this.records;
    const batch = this.batch(block);
    return batch.firstRecord + firstRowAt(batch, at);
  }

  /** The rows that answer a query, block by block; blocks that cannot hold any are not read. For bulk. */
  *batches(query: EventQuery = {}): Generator<BatchSlice> {
    const from = query.from ?? (0 as Position);
    const to = query.to ?? Infinity;
    const kindMask = (query.kinds ?? undefined)?.reduce((mask, kind) => mask | (1 << kindCode(kind)), 0) ?? -1;
    for (let i = this.blockIndexAt(from); i < this.eventBlocks.length; i++) {
      const entry = this.eventBlocks[i];
      if (entry.firstPosition >= to) return;
      if (!entry.counts.some((count, kind) => count > 0 && ((kindMask >> kind) & 1) !== 0)) continue;
      const batch = this.batch(i);
      const start = entry.firstPosition >= from ? 0 : firstRowAt(batch, from);
      const end = entry.lastPosition < to ? batch.count : firstRowAt(batch, to);
      if (start < end) yield { batch, start, end, kindMask };
    }
  }

  /** The events that answer a query, as objects with their place. */
  *entries(query: EventQuery = {}): Generator<LogEntry> {
    for (const { batch, start, end, kindMask } of this.batches(query)) {
      for (let i = start; i < end; i++) {
        if (((kindMask >> batch.kind[i]) & 1) === 0) continue;
        yield { index: batch.firstRecord + i, timeOffsetNs: batch.timeOffsetNs[i], event: eventAt(batch, i) };
      }
    }
  }

  *events(query: EventQuery = {}): Generator<LogEvent> {
    for (const { event } of this.entries(query)) yield event;
  }

  /** An embedded image, checked; undefined if the log does not hold it. Throws LogError. */
  image(sha256: string): Uint8Array | undefined {
    let bytes: Uint8Array | undefined;
    let filled = 0;
    let offset = 0;
    for (const entry of this.blocks) {
      if (entry.type !== BLOCK_IMAGE) continue;
      const payload = this.payload(entry);
      const incomplete = (detail: string): LogError => new LogError('LOG_IMAGE_INCOMPLETE', entry.offset, blockBytesOf(entry), detail);
      if (payload.length < IMAGE_CHUNK_HEADER_BYTES) throw incomplete('a chunk without a header');
      if (hexOf(payload.subarray(0, 32)) !== sha256) continue;
      const total = getU64(viewOf(payload), 32);
      const chunk = payload.subarray(IMAGE_CHUNK_HEADER_BYTES);
      offset = entry.offset;
      if (bytes === undefined) {
        if (!(total <= this.source.length)) throw incomplete(`an image of ${total} bytes in a log of ${this.source.length}`);
        bytes = new Uint8Array(total);
      }
      if (total !== bytes.length || getU64(viewOf(payload), 40) !== filled || filled + chunk.length > total) throw incomplete('a chunk is missing or out of order');
      bytes.set(chunk, filled);
      filled += chunk.length;
      if (filled === total) break;
    }
    if (bytes === undefined) return undefined;
    if (filled !== bytes.length) throw new LogError('LOG_IMAGE_INCOMPLETE', offset, 0, `${filled} of ${bytes.length} bytes`);
    if (new Sha256().update(bytes).digestHex() !== sha256) throw new LogError('LOG_IMAGE_INCOMPLETE', offset, 0, 'the hash is wrong');
    return bytes;
  }

  /** The payload of any block, checked. Throws LogError. */
  payload(entry: BlockEntry): Uint8Array {
    const header = parseBlockHeader(this.source.read(entry.offset, BLOCK_HEADER_BYTES), entry.offset);
    if (header instanceof LogError) throw header;
    if (!isSameEntry(header, entry) || header.sequence !== this.sequences.get(entry)) {
      throw new LogError('LOG_BLOCK_DAMAGED', entry.offset, BLOCK_HEADER_BYTES, 'the block is not the one in the index');
    }
    return checkedPayload(this.source, header);
  }
}

/** A copy of the payload that belongs to a header. Throws LogError. */
export function checkedPayload(source: ByteSource, header: BlockHeader): Uint8Array {
  const payload = source.read(header.offset + BLOCK_HEADER_BYTES, header.payloadBytes).slice();
  if (crc32c(payload) !== header.payloadCrc) throw new LogError('LOG_BLOCK_DAMAGED', header.offset, blockBytesOf(header), 'the CRC of the payload is wrong');
  return payload;
}

/** What is wrong with two blocks being neighbours; the payload of neither is needed. */
export function orderProblem(before: BlockEntry, entry: BlockEntry): LogError | undefined {
  const isInOrder =
    entry.offset === before.offset + blockBytesOf(before) &&
    entry.firstPosition >= before.lastPosition &&
    entry.timeOffsetNs >= before.timeOffsetNs &&
    entry.firstRecord === before.firstRecord + recordsOf(before);
  return isInOrder ? undefined : new LogError('LOG_BLOCK_DAMAGED', entry.offset, blockBytesOf(entry), 'the block does not go on where the one before stopped');
}

/** First row at `at` or later; the number of rows if there is none. */
function firstRowAt(batch: EventBatch, at: number): number {
  let low = 0;
  let high = batch.count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (batch.position[middle] < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The blocks of a log without a footer. */
function scanHeaders(source: ByteSource, headerEnd: number): BlockEntry[] {
  const blocks: BlockEntry[] = [];
  let offset = headerEnd;
  while (offset < source.length) {
    const rest = source.length - offset;
    const magic = rest >= 4 ? viewOf(source.read(offset, 4)).getUint32(0, true) : undefined;
    if (magic === FOOTER_MAGIC) throw new LogError('LOG_FOOTER_DAMAGED', offset, rest, 'the end magic is not where it should be');
    if (rest < BLOCK_HEADER_BYTES) throw new LogError('LOG_TORN', offset, rest, `${rest} bytes of a block header`);
    const header = parseBlockHeader(source.read(offset, BLOCK_HEADER_BYTES), offset);
    if (header instanceof LogError) throw header;
    if (blockBytesOf(header) > rest) throw new LogError('LOG_TORN', offset, rest, `${rest} of ${blockBytesOf(header)} bytes of a block`);
    if (header.sequence !== blocks.length) throw new LogError('LOG_BLOCK_DAMAGED', offset, blockBytesOf(header), `block ${header.sequence} where block ${blocks.length} should be`);
    blocks.push(header);
    offset += blockBytesOf(header);
  }
  return blocks;
}

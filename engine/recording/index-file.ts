/**
 * Checkpoints as a file beside the log; the bytes are described in README.md. Twins: writeIndex and IndexFile.open. The log is never touched, and
 * an index is never needed: one that is damaged, foreign or of another version is refused with a CheckpointError, and made anew.
 */
import { type JsonValue, canonicalJson } from '../log/canonical-json.ts';
import { crc32c } from '../log/crc32c.ts';
import type { LogHeader } from '../log/header.ts';
import type { LogReader } from '../log/reader.ts';
import { Sha256 } from '../log/sha256.ts';
import type { ByteSink, ByteSource } from '../log/storage.ts';
import { ByteIn, ByteOut } from './checkpoint-bytes.ts';
import { CheckpointError } from './checkpoint-errors.ts';
import { unpackPage, unpackPageTo } from './checkpoint-pages.ts';
import { type CheckpointStore, type KeptCheckpoint, PAGE_POWER_ON, PAGE_ZERO, type PageSource, type PowerOnRam, openCheckpoint } from './checkpoint-store.ts';
import type { Checkpoint } from './checkpoint.ts';

const MAGIC = Uint8Array.of(0x89, 0x43, 0x56, 0x49, 0x44, 0x58, 0x0d, 0x0a);
const END_MAGIC = Uint8Array.of(0x89, 0x43, 0x56, 0x49, 0x45, 0x4e, 0x0d, 0x0a);
const MAJOR = 1;
const MINOR = 0;
const HEADER_BYTES = 20;
const TRAILER_BYTES = 24;
const JSON_BYTES_MAX = 1 << 16;
/** Raised when what a checkpoint holds changes: an index of another number is made anew. */
export const STATE_VERSION = 2;

/** The file is read in pieces of so many bytes: what changed together lies together. */
const PIECE_BYTES = 1 << 16;
/** Pieces that are kept, since walks go to and fro over the same pages: 64 MiB at most. */
const PIECES_KEPT = 1024;

/** What an index says of itself. */
export type IndexHeader = {
  /** Names the log, up to its block number `blocks`; 64 hex digits. */
  readonly log: string;
  readonly blocks: number;
  /** Records and last position of the log up to there. */
  readonly records: number;
  readonly position: number;
  /** RAM at power-on; 64 hex digits. */
  readonly powerOn: string;
  readonly stateVersion: number;
};

/** Names a log by its first `blocks` blocks: their places and counts, the header and the last payload. Throws LogError. */
export function logIdentity(reader: LogReader, blocks: number): string {
  const hash = new Sha256().update(new TextEncoder().encode(canonicalJson(plain(reader.header))));
  const words = new Float64Array(5);
  for (const { offset, lastPosition, timeOffsetNs, firstRecord, payloadBytes } of reader.blocks.slice(0, blocks)) {
    words.set([offset, lastPosition, timeOffsetNs, firstRecord, payloadBytes]);
    hash.update(new Uint8Array(words.buffer.slice(0)));
  }
  if (blocks > 0) hash.update(Uint8Array.from(new Uint8Array(Uint32Array.of(crc32c(reader.payload(reader.blocks[blocks - 1]))).buffer)));
  return hash.digestHex();
}

/** Writes all of a store. Returns the bytes written. */
export function writeIndex(sink: ByteSink, reader: LogReader, store: CheckpointStore): number {
  const header: IndexHeader = {
    log: logIdentity(reader, reader.blocks.length),
    blocks: reader.blocks.length,
    records: reader.records,
    position: reader.lastPosition,
    powerOn: store.powerOn.identity,
    stateVersion: STATE_VERSION,
  };
  const json = new TextEncoder().encode(canonicalJson(header));
  const head = new Uint8Array(HEADER_BYTES + json.length);
  const headView = new DataView(head.buffer);
  head.set(MAGIC);
  headView.setUint16(8, MAJOR, true);
  headView.setUint16(10, MINOR, true);
  headView.setUint32(12, json.length, true);
  head.set(json, HEADER_BYTES);
  headView.setUint32(16, headerCrc(head), true);
  sink.append(head);
  let written = head.length;

  // Pages are numbered by their first use.
  const numbers = new Map<number, number>();
  const order: number[] = [];
  const numberOf = (page: number): number => {
    let number = numbers.get(page);
    if (number === undefined) {
      number = order.push(page) - 1;
      numbers.set(page, number);
    }
    return number;
  };
  const body = new ByteOut();
  let before: { readonly position: number; readonly records: number } = { position: 0, records: 0 };
  body.varint(store.checkpoints.length);
  for (const kept of store.checkpoints) {
    body.varint(kept.position - before.position);
    body.varint(kept.records - before.records);
    before = kept;
    body.block(kept.state);
    body.varint(kept.statePages.length);
    for (const page of kept.statePages) body.varint(numberOf(page));
    body.ascending(kept.frames);
    kept.pages.forEach((page, i) => {
      if (page === PAGE_ZERO) body.varint(0);
      else if (page === PAGE_POWER_ON) body.varint(1);
      else {
        body.varint(numberOf(page) + 2);
        body.u32(kept.hashes[i * 2]);
        body.u32(kept.hashes[i * 2 + 1]);
      }
    });
  }
  const directory = new ByteOut();
  directory.varint(order.length);
  for (const page of order) {
    const packed = store.pool.packed(page);
    sink.append(packed);
    written += packed.length;
    directory.varint(packed.length);
    directory.u32(crc32c(packed));
  }
  directory.raw(body.taken());
  const bytes = directory.taken();
  const trailer = new Uint8Array(TRAILER_BYTES);
  const trailerView = new DataView(trailer.buffer);
  trailerView.setBigUint64(0, BigInt(written), true);
  trailerView.setUint32(8, bytes.length, true);
  trailerView.setUint32(12, crc32c(bytes), true);
  trailer.set(END_MAGIC, 16);
  sink.append(bytes);
  sink.append(trailer);
  sink.sync();
  return written + bytes.length + trailer.length;
}

function headerCrc(head: Uint8Array): number {
  return crc32c(head, HEADER_BYTES, head.length, crc32c(head, 0, 16));
}

/** An index that was opened: its directory is in memory, pages are read when they are asked for. */
export class IndexFile implements PageSource {
  readonly header: IndexHeader;
  checkpoints: readonly KeptCheckpoint[];
  /** Bytes in all. */
  readonly bytes: number;
  private readonly source: ByteSource;
  private readonly offsets: Float64Array;
  private readonly lengths: Uint16Array;
  private readonly crcs: Uint32Array;
  /** By number, oldest first. */
  private readonly pieces = new Map<number, Uint8Array>();

  private constructor(source: ByteSource, header: IndexHeader, directory: Uint8Array, firstPage: number, directoryOffset: number) {
    this.source = source;
    this.header = header;
    this.bytes = source.length;
    const from = new ByteIn(directory);
    const count = from.varint();
    if (count > directory.length) throw new CheckpointError('damaged', `${count} pages in a directory of ${directory.length} bytes`);
    this.offsets = new Float64Array(count);
    this.lengths = new Uint16Array(count);
    this.crcs = new Uint32Array(count);
    let offset = firstPage;
    for (let i = 0; i < count; i++) {
      this.offsets[i] = offset;
      const length = from.varint();
      if (length === 0 || length > 4096) throw new CheckpointError('damaged', `page ${i} has ${length} bytes`);
      this.lengths[i] = length;
      this.crcs[i] = from.u32();
      offset += length;
    }
    if (offset !== directoryOffset) throw new CheckpointError('damaged', `the pages end at byte ${offset}, the directory begins at ${directoryOffset}`);
    const checkpoints: KeptCheckpoint[] = [];
    let position = 0;
    let records = 0;
    for (let left = from.varint(); left > 0; left--) {
      position += from.varint();
      records += from.varint();
      const state = from.block();
      const stateCount = from.varint();
      if (stateCount > count) throw new CheckpointError('damaged', `a state with ${stateCount} pages of ${count}`);
      const statePages = Uint32Array.from({ length: stateCount }, () => this.known(from.varint()));
      const frames = from.ascending();
      const pages = new Uint32Array(frames.length);
      const hashes = new Uint32Array(frames.length * 2);
      for (let i = 0; i < frames.length; i++) {
        const code = from.varint();
        if (code === 0) pages[i] = PAGE_ZERO;
        else if (code === 1) pages[i] = PAGE_POWER_ON;
        else {
          pages[i] = this.known(code - 2);
          hashes[i * 2] = from.u32();
          hashes[i * 2 + 1] = from.u32();
        }
      }
      checkpoints.push({ position, records, state, statePages, frames, hashes, pages });
    }
    if (from.at !== directory.length) throw new CheckpointError('damaged', 'the directory goes on after its end');
    this.checkpoints = checkpoints;
  }

  private known(page: number): number {
    if (page >= this.offsets.length) throw new CheckpointError('damaged', `there is no page ${page}`);
    return page;
  }

  /** Throws CheckpointError for what is not an intact index of this log. */
  static open(source: ByteSource, reader: LogReader): IndexFile {
    if (source.length < HEADER_BYTES + TRAILER_BYTES) throw new CheckpointError('damaged', `${source.length} bytes are no index`);
    const start = source.read(0, HEADER_BYTES);
    const startView = new DataView(start.buffer, start.byteOffset, start.byteLength);
    if (!isSame(start.subarray(0, 8), MAGIC)) throw new CheckpointError('damaged', 'the file does not begin as an index does');
    const length = startView.getUint32(12, true);
    if (length > JSON_BYTES_MAX || HEADER_BYTES + length + TRAILER_BYTES > source.length) throw new CheckpointError('damaged', 'the header goes past the end of the file');
    const head = source.read(0, HEADER_BYTES + length);
    if (headerCrc(head) !== startView.getUint32(16, true)) throw new CheckpointError('damaged', 'the CRC of the header is wrong');
    if (startView.getUint16(8, true) !== MAJOR) throw new CheckpointError('version', `format ${startView.getUint16(8, true)}; this version knows ${MAJOR}`);
    const header = JSON.parse(new TextDecoder().decode(head.subarray(HEADER_BYTES))) as IndexHeader;
    if (header.stateVersion !== STATE_VERSION) throw new CheckpointError('version', `states of version ${header.stateVersion}; this version makes ${STATE_VERSION}`);
    if (header.blocks > reader.blocks.length || header.log !== logIdentity(reader, header.blocks)) throw new CheckpointError('foreign', 'they are of another log');

    const trailer = source.read(source.length - TRAILER_BYTES, TRAILER_BYTES);
    const trailerView = new DataView(trailer.buffer, trailer.byteOffset, trailer.byteLength);
    if (!isSame(trailer.subarray(16), END_MAGIC)) throw new CheckpointError('damaged', 'the file does not end as an index does');
    const offset = Number(trailerView.getBigUint64(0, true));
    const directoryBytes = trailerView.getUint32(8, true);
    if (offset < head.length || offset + directoryBytes + TRAILER_BYTES !== source.length) throw new CheckpointError('damaged', 'the directory is not where it should be');
    const directory = source.read(offset, directoryBytes);
    if (crc32c(directory) !== trailerView.getUint32(12, true)) throw new CheckpointError('damaged', 'the CRC of the directory is wrong');
    return new IndexFile(source, header, directory, head.length, offset);
  }

  /** Forgets the checkpoints after a moment: what a branch from there has of the index of its parent. */
  keepUpTo(position: number, records: number): void {
    this.checkpoints = this.checkpoints.filter((kept) => kept.position <= position && kept.records <= records);
  }

  /** Completes what only the images tell; throws CheckpointError if they are others. */
  bind(powerOn: PowerOnRam): void {
    if (this.header.powerOn !== powerOn.identity) throw new CheckpointError('foreign', 'memory at power-on is another: other images, or another boot loader');
    const frames = powerOn.hashes.length / 2;
    for (const { frames: changed, pages, hashes } of this.checkpoints) {
      changed.forEach((frame, i) => {
        if (frame >= frames) throw new CheckpointError('damaged', `there is no frame ${frame}`);
        if (pages[i] !== PAGE_POWER_ON) return;
        hashes[i * 2] = powerOn.hashes[frame * 2];
        hashes[i * 2 + 1] = powerOn.hashes[frame * 2 + 1];
      });
    }
  }

  read(page: number): Uint8Array {
    return unpackPage(this.packed(page));
  }
  copyTo(page: number, target: Uint8Array, at: number): void {
    unpackPageTo(this.packed(page), target, at);
  }

  private packed(page: number): Uint8Array {
    const packed = this.bytesAt(this.offsets[page], this.lengths[page]);
    if (crc32c(packed) !== this.crcs[page]) throw new CheckpointError('damaged', `the CRC of the page at byte ${this.offsets[page]} is wrong`);
    return packed;
  }

  private bytesAt(offset: number, length: number): Uint8Array {
    const number = Math.floor(offset / PIECE_BYTES);
    const from = offset - number * PIECE_BYTES;
    if (from + length <= PIECE_BYTES) return this.piece(number).subarray(from, from + length);
    const bytes = new Uint8Array(length);
    const first = this.piece(number).subarray(from);
    bytes.set(first);
    bytes.set(this.piece(number + 1).subarray(0, length - first.length), first.length);
    return bytes;
  }

  private piece(number: number): Uint8Array {
    const known = this.pieces.get(number);
    if (known !== undefined) return known;
    const bytes = this.source.read(number * PIECE_BYTES, Math.min(PIECE_BYTES, this.source.length - number * PIECE_BYTES));
    if (this.pieces.size >= PIECES_KEPT) this.forgetHalf();
    this.pieces.set(number, bytes);
    return bytes;
  }

  private forgetHalf(): void {
    for (const oldest of this.pieces.keys()) {
      if (this.pieces.size <= PIECES_KEPT / 2) return;
      this.pieces.delete(oldest);
    }
  }

  /** Checkpoint n, after bind(). Throws CheckpointError. */
  openCheckpoint(powerOn: PowerOnRam, n: number): Checkpoint {
    return openCheckpoint(powerOn, this.checkpoints, n, this);
  }

  /** Reads every page: throws CheckpointError for the first that is damaged. */
  check(): void {
    for (let page = 0; page < this.offsets.length; page++) this.read(page);
  }
}

/** As JSON has it. */
function plain(header: LogHeader): JsonValue {
  return JSON.parse(JSON.stringify(header)) as JsonValue;
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i]);
}

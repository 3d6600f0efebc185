/**
 * Checkpoints as a file beside the log; the bytes are described in README.md. Twins: writeIndex and IndexFile.open. The log is never touched, and
 * an index is never needed: one that is damaged, foreign or of another version is refused with a CheckpointError, and made anew.
 */
import type { Core } from '../cpu/core.ts';
import * as L from '../cpu/layout.ts';
import { type JsonValue, canonicalJson } from '../log/canonical-json.ts';
import { crc32c } from '../log/crc32c.ts';
import type { LogHeader } from '../log/header.ts';
import type { LogReader } from '../log/reader.ts';
import { Sha256 } from '../log/sha256.ts';
import type { ByteSink, ByteSource } from '../log/storage.ts';
import { PAGE_BYTES } from '../machine/snapshot.ts';
import { encodeCheckpoint } from './checkpoint-codec.ts';
import { CheckpointError } from './checkpoint-errors.ts';
import { packBytes, packPage, unpackPage, unpackStaged } from './checkpoint-pages.ts';
import { type CheckpointStore, PAGE_POWER_ON, PAGE_ZERO, decodeState } from './checkpoint-store.ts';
import type { Checkpoint, CheckpointState } from './checkpoint.ts';
import { type IndexDirectory, decodeDirectory, encodeDirectory } from './index-directory.ts';

const MAGIC = Uint8Array.of(0x89, 0x43, 0x56, 0x49, 0x44, 0x58, 0x0d, 0x0a);
const END_MAGIC = Uint8Array.of(0x89, 0x43, 0x56, 0x49, 0x45, 0x4e, 0x0d, 0x0a);
/** 1 had no power-on: its pages were those of the images. */
const MAJOR = 2;
const MINOR = 0;
const HEADER_BYTES = 20;
const TRAILER_BYTES = 24;
const JSON_BYTES_MAX = 1 << 16;
/** Raised when what a checkpoint holds changes: an index of another number is made anew. */
export const STATE_VERSION = 2;

/** More page frames than a machine has. */
const FRAMES_MAX = 2 ** 20;
/** What is read and not needed costs less than another read. */
const GAP_BYTES_MAX = 32 << 10;

/** What an index says of itself. */
export type IndexHeader = {
  /** Names the log, up to its block number `blocks`; 64 hex digits. */
  readonly log: string;
  readonly blocks: number;
  /** Records and last position of the log up to there. */
  readonly records: number;
  readonly position: number;
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
  const header: IndexHeader = { log: logIdentity(reader, reader.blocks.length), blocks: reader.blocks.length, records: reader.records, position: reader.lastPosition, stateVersion: STATE_VERSION };
  const json = new TextEncoder().encode(canonicalJson(header));
  const head = new Uint8Array(HEADER_BYTES + json.length);
  const headView = new DataView(head.buffer);
  head.set(MAGIC);
  headView.setUint16(8, MAJOR, true);
  headView.setUint16(10, MINOR, true);
  headView.setUint32(12, json.length, true);
  head.set(json, HEADER_BYTES);
  headView.setUint32(16, headerCrc(head), true);
  let written = 0;
  const append = (bytes: Uint8Array): void => {
    sink.append(bytes);
    written += bytes.length;
  };
  append(head);

  const pages: { readonly bytes: number; readonly crc: number }[] = [];
  const addPage = (packed: Uint8Array): number => {
    append(packed);
    return pages.push({ bytes: packed.length, crc: crc32c(packed) }) - 1;
  };
  // Pages are numbered by their first use: those of power-on, then those of the checkpoints.
  const { powerOn } = store;
  const { hashes: atPowerOn } = powerOn.pages;
  const isHeld = (frame: number): boolean => atPowerOn[frame * 2] !== 0 || atPowerOn[frame * 2 + 1] !== 0;
  const powerOnPages = new Map<number, number>();
  for (let frame = 0; frame < atPowerOn.length / 2; frame++) if (isHeld(frame)) powerOnPages.set(frame, addPage(packPage(powerOn.pages.read(frame))));
  const start = encodeCheckpoint(powerOn.state);
  const startPages = start.pages.map((page) => addPage(packPage(page)));
  const poolPages = new Map<number, number>();
  const numberOf = (page: number): number => {
    let number = poolPages.get(page);
    if (number === undefined) {
      number = addPage(store.pool.packed(page));
      poolPages.set(page, number);
    }
    return number;
  };
  const rows = [
    { position: powerOn.state.position, records: powerOn.state.records, state: packBytes(start.bytes), statePages: startPages, frames: [...powerOnPages.keys()], pages: [...powerOnPages.values()], hashes: [...powerOnPages.keys()].flatMap((frame) => [atPowerOn[frame * 2], atPowerOn[frame * 2 + 1]]) },
    ...store.checkpoints.map(({ statePages, pages: kept, frames, ...row }) => ({
      ...row,
      frames,
      statePages: Array.from(statePages, numberOf),
      pages: Array.from(kept, (page, i) => (page === PAGE_ZERO ? 0 : page === PAGE_POWER_ON ? powerOnPages.get(frames[i])! : numberOf(page))),
    })),
  ]; // prettier-ignore
  for (const { state } of rows) append(state);
  const count = (of: (row: (typeof rows)[number]) => number): number => rows.reduce((sum, row) => sum + of(row), 0);
  const directory = encodeDirectory([rows.length, count(({ frames }) => frames.length), count(({ statePages }) => statePages.length), pages.length], (columns) => {
    let changes = 0;
    let statePages = 0;
    rows.forEach((row, i) => {
      columns.positions[i] = row.position;
      columns.records[i] = row.records;
      columns.frames.set(row.frames, changes);
      columns.pages.set(row.pages, changes);
      columns.hashes.set(row.hashes, changes * 2);
      columns.statePages.set(row.statePages, statePages);
      columns.changesEnd[i] = changes += row.frames.length;
      columns.statePagesEnd[i] = statePages += row.statePages.length;
      columns.stateBytes[i] = row.state.length;
      columns.stateCrcs[i] = crc32c(row.state);
    });
    pages.forEach(({ bytes, crc }, i) => {
      columns.pageBytes[i] = bytes;
      columns.pageCrcs[i] = crc;
    });
  });
  const trailer = new Uint8Array(TRAILER_BYTES);
  const trailerView = new DataView(trailer.buffer);
  trailerView.setBigUint64(0, BigInt(written), true);
  trailerView.setUint32(8, directory.length, true);
  trailerView.setUint32(12, crc32c(directory), true);
  trailer.set(END_MAGIC, 16);
  append(directory);
  append(trailer);
  sink.sync();
  return written;
}

function headerCrc(head: Uint8Array): number {
  return crc32c(head, HEADER_BYTES, head.length, crc32c(head, 0, 16));
}

/** An index that was opened: its directory is in memory, pages and states are read when they are asked for. It needs no image of the recording. */
export class IndexFile {
  readonly header: IndexHeader;
  /** In order of place, power-on apart. */
  checkpoints: readonly { readonly position: number; readonly records: number }[];
  /** Bytes in all. */
  readonly bytes: number;
  private readonly source: ByteSource;
  private readonly directory: IndexDirectory;
  private readonly ramFrames: number;
  /** Where pages lie, and after the last of them states. */
  private readonly pageOffsets: Float64Array;
  private readonly stateOffsets: Float64Array;
  private start: Checkpoint | undefined;

  private constructor(source: ByteSource, header: IndexHeader, directory: IndexDirectory, ramFrames: number, firstPage: number, directoryOffset: number) {
    this.source = source;
    this.header = header;
    this.bytes = source.length;
    this.directory = directory;
    this.ramFrames = ramFrames;
    const { pageBytes, stateBytes, positions, records } = directory;
    this.pageOffsets = offsetsOf(pageBytes, firstPage);
    this.stateOffsets = offsetsOf(stateBytes, this.pageOffsets[pageBytes.length]);
    const end = this.stateOffsets[stateBytes.length];
    if (end !== directoryOffset) throw new CheckpointError('damaged', `the states end at byte ${end}, the directory begins at ${directoryOffset}`);
    this.checkpoints = Array.from(positions.subarray(1), (position, i) => ({ position, records: records[i + 1] }));
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
    const bytes = source.read(offset, directoryBytes);
    if (crc32c(bytes) !== trailerView.getUint32(12, true)) throw new CheckpointError('damaged', 'the CRC of the directory is wrong');
    const ramFrames = reader.header.config.memoryBytes / PAGE_BYTES;
    return new IndexFile(source, header, decodeDirectory(bytes, ramFrames), ramFrames, head.length, offset);
  }

  /** Forgets the checkpoints after a moment: what a branch from there has of the index of its parent. */
  keepUpTo(position: number, records: number): void {
    this.checkpoints = this.checkpoints.filter((kept) => kept.position <= position && kept.records <= records);
  }

  /** Where the run begins: as the images make it, without them. Throws CheckpointError. */
  get powerOn(): Checkpoint {
    this.start ??= this.openRow(0);
    return this.start;
  }
  /** Checkpoint n. Throws CheckpointError. */
  open(n: number): Checkpoint {
    return this.openRow(n + 1);
  }

  private openRow(row: number): Checkpoint {
    const { frames, pages, hashes: changed, changesEnd } = this.directory;
    const hashes = new Uint32Array(this.ramFrames * 2);
    const pageOf = new Uint32Array(this.ramFrames);
    for (let i = 0; i < changesEnd[row]; i++) {
      const frame = frames[i];
      hashes[frame * 2] = changed[i * 2];
      hashes[frame * 2 + 1] = changed[i * 2 + 1];
      pageOf[frame] = pages[i];
    }
    return { state: this.stateOf(row), pages: { hashes, read: (frame) => this.read(pageOf[frame]), place: (wanted, core) => this.place(wanted, pageOf, core) } };
  }

  private stateOf(row: number): CheckpointState {
    const { positions, statePages, statePagesEnd, stateBytes, stateCrcs } = this.directory;
    const state = this.source.read(this.stateOffsets[row], stateBytes[row]);
    if (crc32c(state) !== stateCrcs[row]) throw new CheckpointError('damaged', `the CRC of the state of @${positions[row]} is wrong`);
    return decodeState(state, statePages.subarray(row === 0 ? 0 : statePagesEnd[row - 1], statePagesEnd[row]), (page) => this.read(page));
  }

  private read(page: number): Uint8Array {
    const packed = this.source.read(this.pageOffsets[page], this.directory.pageBytes[page]);
    if (crc32c(packed) !== this.directory.pageCrcs[page]) throw new CheckpointError('damaged', `the CRC of the page at byte ${this.pageOffsets[page]} is wrong`);
    return unpackPage(packed);
  }

  /** In the order of the file, neighbours by one read. Whoever places pages checks their hashes, which find what a CRC finds. */
  private place(frames: Uint32Array, pageOf: Uint32Array, core: Core): void {
    const { source, pageOffsets, directory } = this;
    const { pageBytes } = directory;
    const order = Float64Array.from(frames, (frame) => pageOf[frame] * FRAMES_MAX + frame).sort();
    for (let i = 0; i < order.length; ) {
      const from = pageOffsets[Math.floor(order[i] / FRAMES_MAX)];
      const first = i;
      let end = from;
      for (; i < order.length; i++) {
        const page = Math.floor(order[i] / FRAMES_MAX);
        const next = pageOffsets[page] + pageBytes[page];
        if (next - from > L.STAGING_BYTES || pageOffsets[page] - end > GAP_BYTES_MAX) break;
        end = next;
      }
      const staging = core.u8.subarray(L.STAGING, L.STAGING + end - from);
      if (source.readInto === undefined) staging.set(source.read(from, end - from));
      else source.readInto(from, staging);
      for (let j = first; j < i; j++) {
        const page = Math.floor(order[j] / FRAMES_MAX);
        unpackStaged(pageOffsets[page] - from, pageBytes[page], order[j] % FRAMES_MAX, core);
      }
    }
  }

  /** Reads every page and every state: throws CheckpointError for the first that is damaged. */
  check(): void {
    for (let page = 0; page < this.directory.pageBytes.length; page++) this.read(page);
    for (let row = 0; row < this.directory.positions.length; row++) this.stateOf(row);
  }
}

/** Where pieces lie that follow one another from `first` on, and where the last ends. */
function offsetsOf(lengths: Uint16Array | Uint32Array, first: number): Float64Array {
  const offsets = new Float64Array(lengths.length + 1);
  offsets[0] = first;
  for (let i = 0; i < lengths.length; i++) offsets[i + 1] = offsets[i] + lengths[i];
  return offsets;
}

/** As JSON has it. */
function plain(header: LogHeader): JsonValue {
  return JSON.parse(JSON.stringify(header)) as JsonValue;
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i]);
}

/**
 * The header of a block: FORMAT.md, section 2. Reader and writer of it, together.
 */
import { assert } from './assert.ts';
import { getU64, setU64, viewOf } from './bytes.ts';
import { crc32c } from './crc32c.ts';
import { LogError } from './errors.ts';
import { KIND_NAMES, LOG_KINDS, kindCode } from './events.ts';
import type { KindCounts, LogKind } from './events.ts';

export const BLOCK_MAGIC = 0x4b42_5643;
export const BLOCK_HEADER_BYTES = 80;
export const BLOCK_BYTES_MAX = 65_536;
export const BLOCK_BYTES_MIN = 2048;
export const KIND_SLOTS = 12;
export const RECORDS_MAX = 65_535;

export const BLOCK_EVENTS = 1;
export const BLOCK_IMAGE = 2;
/** Reserved: FORMAT.md, section 6. */
export const BLOCK_CHECKPOINT = 3;

/** A reader that does not know the type skips the block. */
export const FLAG_OPTIONAL = 1;

/** What a block header, and the index, says of a block. */
export interface BlockEntry {
  /** In the file, bytes. */
  readonly offset: number;
  readonly type: number;
  readonly flags: number;
  readonly payloadBytes: number;
  readonly firstPosition: number;
  readonly lastPosition: number;
  /** Before the first record takes effect, ns. */
  readonly timeOffsetNs: number;
  /** Index in the log of the first record. */
  readonly firstRecord: number;
  /** Records by KIND_*. */
  readonly counts: Uint16Array;
}

/** A header as it was read. */
export interface BlockHeader extends BlockEntry {
  readonly sequence: number;
  readonly payloadCrc: number;
}

export function recordsOf(entry: BlockEntry): number {
  let records = 0;
  for (const count of entry.counts) records += count;
  return records;
}

/** Bytes of the block in the file, header included. */
export function blockBytesOf(entry: BlockEntry): number {
  return BLOCK_HEADER_BYTES + entry.payloadBytes;
}

export function encodeBlockHeader(entry: BlockEntry, sequence: number, payload: Uint8Array): Uint8Array {
  assertBlock(entry);
  assert(payload.length === entry.payloadBytes, 'payload length');
  const header = new Uint8Array(BLOCK_HEADER_BYTES);
  const view = viewOf(header);
  view.setUint32(0, BLOCK_MAGIC, true);
  header[4] = entry.type;
  header[5] = entry.flags;
  view.setUint32(8, sequence, true);
  view.setUint32(12, entry.payloadBytes, true);
  setU64(view, 16, entry.firstPosition);
  setU64(view, 24, entry.lastPosition);
  setU64(view, 32, entry.timeOffsetNs);
  setU64(view, 40, entry.firstRecord);
  entry.counts.forEach((count, kind) => view.setUint16(48 + 2 * kind, count, true));
  view.setUint32(72, crc32c(payload), true);
  view.setUint32(76, crc32c(header, 0, 76), true);
  return header;
}

/** The header at `offset` of the file, given its 80 bytes, or an error that says what is wrong with it. */
export function parseBlockHeader(bytes: Uint8Array, offset: number): BlockHeader | LogError {
  const damaged = (detail: string): LogError => new LogError('LOG_BLOCK_DAMAGED', offset, BLOCK_HEADER_BYTES, detail);
  const view = viewOf(bytes);
  if (view.getUint32(0, true) !== BLOCK_MAGIC) return damaged('no block begins here');
  if (view.getUint32(76, true) !== crc32c(bytes, 0, 76)) return damaged('the CRC of the block header is wrong');
  const header: BlockHeader = {
    offset,
    type: bytes[4],
    flags: bytes[5],
    sequence: view.getUint32(8, true),
    payloadBytes: view.getUint32(12, true),
    firstPosition: getU64(view, 16),
    lastPosition: getU64(view, 24),
    timeOffsetNs: getU64(view, 32),
    firstRecord: getU64(view, 40),
    counts: countsAt(view, 48),
    payloadCrc: view.getUint32(72, true),
  };
  if (bytes[6] !== 0 || bytes[7] !== 0 || !isBlock(header)) return damaged('the block header contradicts itself');
  return header;
}

export function countsAt(view: DataView, offset: number): Uint16Array {
  return Uint16Array.from({ length: KIND_SLOTS }, (_, kind) => view.getUint16(offset + 2 * kind, true));
}

/** Undefined if a reader of this version may read or skip the block. */
export function unknownBlock(entry: BlockEntry): LogError | undefined {
  const isKnown = entry.type === BLOCK_EVENTS || entry.type === BLOCK_IMAGE;
  const isAllowed = isKnown ? (entry.flags & ~FLAG_OPTIONAL) === 0 : (entry.flags & FLAG_OPTIONAL) !== 0;
  return isAllowed ? undefined : new LogError('LOG_UNKNOWN_BLOCK', entry.offset, blockBytesOf(entry), `block type ${entry.type}, flags ${entry.flags}`);
}

/** The constraints of FORMAT.md, section 2, as far as one block shows them. NaN fails each. */
function isBlock(entry: BlockEntry): boolean {
  const records = recordsOf(entry);
  return (
    entry.payloadBytes >= 1 &&
    entry.payloadBytes <= BLOCK_BYTES_MAX - BLOCK_HEADER_BYTES &&
    entry.firstPosition >= 0 &&
    entry.firstPosition <= entry.lastPosition &&
    entry.timeOffsetNs >= 0 &&
    entry.firstRecord >= 0 &&
    entry.counts.length === KIND_SLOTS &&
    entry.counts.every((count, kind) => count === 0 || KIND_NAMES[kind] !== undefined) &&
    records <= RECORDS_MAX &&
    (entry.type === BLOCK_EVENTS) === records > 0
  );
}

function assertBlock(entry: BlockEntry): void {
  assert(isBlock(entry), `a block contradicts itself: ${JSON.stringify(entry)}`);
}

/** Records by kind of some blocks. */
export function kindCountsOf(entries: readonly BlockEntry[]): KindCounts {
  const sums: Record<string, number> = {};
  for (const kind of LOG_KINDS) {
    const code = kindCode(kind);
    sums[kind] = entries.reduce((sum, entry) => sum + entry.counts[code], 0);
  }
  return sums as Record<LogKind, number>;
}

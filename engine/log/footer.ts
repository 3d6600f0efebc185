/**
 * The footer with the index: FORMAT.md, section 7.
 */
import { KIND_SLOTS, blockBytesOf, countsAt, recordsOf } from './block.ts';
import type { BlockEntry } from './block.ts';
import { getU64, setU64, viewOf } from './bytes.ts';
import { crc32c } from './crc32c.ts';
import { LogError } from './errors.ts';
import type { ByteSource } from './storage.ts';

export const FOOTER_MAGIC = 0x5849_5643;
export const END_MAGIC: readonly number[] = [0x89, 0x43, 0x56, 0x45, 0x4e, 0x44, 0x0d, 0x0a];
const FIXED_BYTES = 24;
const ENTRY_BYTES = 72;
export const TRAILER_BYTES = 24;

export interface FooterTotals {
  readonly records: number;
  readonly lastPosition: number;
}

export type Footer =
  /** The file does not end with the end magic. */
  | { readonly kind: 'absent' }
  /** offset: where the trailer says it begins, if that is inside the file. */
  | { readonly kind: 'damaged'; readonly offset: number | undefined; readonly error: LogError }
  | { readonly kind: 'intact'; readonly offset: number; readonly entries: readonly BlockEntry[]; readonly totals: FooterTotals };

export function encodeFooter(entries: readonly BlockEntry[], offset: number, totals: FooterTotals): Uint8Array {
  const length = FIXED_BYTES + ENTRY_BYTES * entries.length;
  const bytes = new Uint8Array(length + TRAILER_BYTES);
  const view = viewOf(bytes);
  view.setUint32(0, FOOTER_MAGIC, true);
  view.setUint32(4, entries.length, true);
  setU64(view, 8, totals.records);
  setU64(view, 16, totals.lastPosition);
  entries.forEach((entry, i) => {
    const at = FIXED_BYTES + ENTRY_BYTES * i;
    setU64(view, at, entry.offset);
    setU64(view, at + 8, entry.firstPosition);
    setU64(view, at + 16, entry.lastPosition);
    setU64(view, at + 24, entry.timeOffsetNs);
    setU64(view, at + 32, entry.firstRecord);
    view.setUint32(at + 40, entry.payloadBytes, true);
    bytes[at + 44] = entry.type;
    bytes[at + 45] = entry.flags;
    entry.counts.forEach((count, kind) => view.setUint16(at + 48 + 2 * kind, count, true));
  });
  setU64(view, length, offset);
  view.setUint32(length + 8, length, true);
  view.setUint32(length + 12, crc32c(bytes, 0, length + 12), true);
  bytes.set(END_MAGIC, length + 16);
  return bytes;
}

/** headerEnd: where the first block begins. */
export function parseFooter(source: ByteSource, headerEnd: number): Footer {
  if (source.length < headerEnd + FIXED_BYTES + TRAILER_BYTES) return { kind: 'absent' };
  const trailerOffset = source.length - TRAILER_BYTES;
  const trailer = source.read(trailerOffset, TRAILER_BYTES).slice();
  if (!END_MAGIC.every((byte, i) => trailer[16 + i] === byte)) return { kind: 'absent' };
  const offset = getU64(viewOf(trailer), 0);
  const length = viewOf(trailer).getUint32(8, true);
  if (!(offset >= headerEnd) || offset + length !== trailerOffset) {
    return { kind: 'damaged', offset: undefined, error: new LogError('LOG_FOOTER_DAMAGED', trailerOffset, TRAILER_BYTES, 'the trailer contradicts itself') };
  }
  const damaged = (detail: string): Footer => ({ kind: 'damaged', offset, error: new LogError('LOG_FOOTER_DAMAGED', offset, length + TRAILER_BYTES, detail) });
  const bytes = source.read(offset, length + TRAILER_BYTES);
  const view = viewOf(bytes);
  if (view.getUint32(length + 12, true) !== crc32c(bytes, 0, length + 12)) return damaged('the CRC is wrong');
  if (view.getUint32(0, true) !== FOOTER_MAGIC || length !== FIXED_BYTES + ENTRY_BYTES * view.getUint32(4, true)) return damaged('the footer contradicts itself');

  const entries: BlockEntry[] = [];
  let next = headerEnd;
  let records = 0;
  for (let at = FIXED_BYTES; at < length; at += ENTRY_BYTES) {
    const entry: BlockEntry = {
      offset: getU64(view, at),
      firstPosition: getU64(view, at + 8),
      lastPosition: getU64(view, at + 16),
      timeOffsetNs: getU64(view, at + 24),
      firstRecord: getU64(view, at + 32),
      payloadBytes: view.getUint32(at + 40, true),
      type: bytes[at + 44],
      flags: bytes[at + 45],
      counts: countsAt(view, at + 48),
    };
    if (entry.offset !== next || entry.firstRecord !== records) return damaged(`index entry ${entries.length} does not go on where the one before stopped`);
    next += blockBytesOf(entry);
    records += recordsOf(entry);
    entries.push(entry);
  }
  const totals = { records: getU64(view, 8), lastPosition: getU64(view, 16) };
  if (next !== offset || totals.records !== records) return damaged('the index does not cover the file');
  return { kind: 'intact', offset, entries, totals };
}

/** True if header and index say the same of a block. */
export function isSameEntry(a: BlockEntry, b: BlockEntry): boolean {
  return (
    a.offset === b.offset &&
    a.type === b.type &&
    a.flags === b.flags &&
    a.payloadBytes === b.payloadBytes &&
    a.firstPosition === b.firstPosition &&
    a.lastPosition === b.lastPosition &&
    a.timeOffsetNs === b.timeOffsetNs &&
    a.firstRecord === b.firstRecord &&
    a.counts.every((count, kind) => count === b.counts[kind]) &&
    a.counts.length === KIND_SLOTS
  );
}

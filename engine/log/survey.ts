/**
 * Reads all of a log, never stops at damage, and says of every byte of it whether it is sound. check and recover are made of it.
 */
import { BLOCK_EVENTS, BLOCK_HEADER_BYTES, BLOCK_MAGIC, blockBytesOf, parseBlockHeader, unknownBlock } from './block.ts';
import type { BlockEntry } from './block.ts';
import { BlockDecoder } from './block-decoder.ts';
import { viewOf } from './bytes.ts';
import { LogError } from './errors.ts';
import { eventAt } from './event-batch.ts';
import type { EventBatch } from './event-batch.ts';
import { KIND_END } from './events.ts';
import { FOOTER_MAGIC, isSameEntry, parseFooter } from './footer.ts';
import type { Footer } from './footer.ts';
import { parseHeader } from './header.ts';
import type { ParsedHeader } from './header.ts';
import { checkedPayload, orderProblem } from './reader.ts';
import { HAS_PAYLOAD, SHAPE_TRAITS } from './shapes.ts';
import type { ByteSource } from './storage.ts';

/** A stretch of the file between header and footer. */
export type Stretch =
  | { readonly kind: 'intact'; readonly entry: BlockEntry; readonly sequence: number; readonly endTimeOffsetNs: number; readonly hasEnd: boolean }
  /** entry: what its header or the index says was there, if either is left. */
  | { readonly kind: 'damaged'; readonly offset: number; readonly length: number; readonly entry: BlockEntry | undefined; readonly error: LogError };

export interface Survey {
  readonly parsed: ParsedHeader;
  readonly stretches: readonly Stretch[];
  readonly footer: Footer;
  /** Everything that is wrong, in order of offset. */
  readonly problems: readonly LogError[];
  /** The file ends inside a block or inside the footer. */
  readonly isTorn: boolean;
}

/** Throws LogError only if the header cannot be used. */
export function survey(source: ByteSource): Survey {
  const parsed = parseHeader(source);
  let footer = parseFooter(source, parsed.endOffset);
  const decoder = new BlockDecoder();
  const stretches: Stretch[] = [];
  const problems: LogError[] = [];
  const index = footer.kind === 'intact' ? new Map(footer.entries.map((entry) => [entry.offset, entry])) : undefined;
  const end = footer.kind === 'intact' ? footer.offset : source.length;
  let isTorn = false;
  let offset = parsed.endOffset;

  while (offset < end) {
    const rest = end - offset;
    const before = stretches.at(-1);
    // Nothing but the footer follows an end event, even if no more than a few bytes of it are left.
    const isAfterEnd = before?.kind === 'intact' && before.hasEnd;
    if (footer.kind !== 'intact' && (isAfterEnd || isFooterAt(source, footer, offset))) {
      const detail = footer.kind === 'damaged' ? footer.error.detail : 'the end magic is not where it should be';
      const error = new LogError('LOG_FOOTER_DAMAGED', offset, rest, detail);
      isTorn = footer.kind === 'absent';
      footer = { kind: 'damaged', offset, error };
      problems.push(error);
      break;
    }
    const header = rest >= BLOCK_HEADER_BYTES ? parseBlockHeader(source.read(offset, BLOCK_HEADER_BYTES), offset) : undefined;
    if (header === undefined || header instanceof LogError || blockBytesOf(header) > rest) {
      // The length of this block is not known, or not to be trusted.
      const next = nextBlock(source, offset, end, index);
      const length = next - offset;
      isTorn ||= next === source.length && (header === undefined || !(header instanceof LogError));
      const error =
        header === undefined
          ? new LogError('LOG_TORN', offset, length, `${rest} bytes of a block header`)
          : header instanceof LogError
            ? new LogError(header.code, offset, length, header.detail)
            : new LogError('LOG_TORN', offset, length, `${rest} of ${blockBytesOf(header)} bytes of a block`);
      const known = header === undefined || header instanceof LogError ? index?.get(offset) : header;
      stretches.push({ kind: 'damaged', offset, length, entry: known, error });
      problems.push(error);
      offset = next;
      continue;
    }
    const length = blockBytesOf(header);
    try {
      const problem = unknownBlock(header);
      if (problem !== undefined) throw problem;
      const payload = checkedPayload(source, header);
      let endTimeOffsetNs = header.timeOffsetNs;
      if (header.type === BLOCK_EVENTS) {
        const batch = decoder.decode(header, payload);
        checkCodes(batch);
        endTimeOffsetNs = batch.endTimeOffsetNs;
      }
      const sequence = before === undefined ? 0 : before.kind === 'intact' ? before.sequence + 1 : header.sequence;
      const order =
        header.sequence !== sequence || (before?.kind === 'intact' && header.timeOffsetNs !== before.endTimeOffsetNs)
          ? new LogError('LOG_BLOCK_DAMAGED', offset, length, 'the block does not go on where the one before stopped')
          : before?.kind === 'intact'
            ? orderProblem(before.entry, header)
            : before === undefined && header.firstRecord !== 0
              ? new LogError('LOG_BLOCK_DAMAGED', offset, length, 'the first block does not begin with record 0')
              : undefined;
      if (order !== undefined) throw order;
      stretches.push({ kind: 'intact', entry: header, sequence: header.sequence, endTimeOffsetNs, hasEnd: header.counts[KIND_END] > 0 });
      const indexed = index?.get(offset);
      if (index !== undefined && (indexed === undefined || !isSameEntry(indexed, header))) {
        problems.push(new LogError('LOG_FOOTER_DAMAGED', footer.kind === 'intact' ? footer.offset : end, 0, `the index does not agree with the block at ${offset}`));
      }
    } catch (error) {
      if (!(error instanceof LogError)) throw error;
      const located = new LogError(error.code, offset, length, error.detail);
      stretches.push({ kind: 'damaged', offset, length, entry: header, error: located });
      problems.push(located);
    }
    offset += length;
  }
  return { parsed, stretches, footer, problems, isTorn };
}

/** Codes are only looked at when a row becomes an object. One row a site is enough, and each that has a payload. */
function checkCodes(batch: EventBatch): void {
  const isSeen = new Uint8Array(batch.sites.count);
  for (let i = 0; i < batch.count; i++) {
    const site = batch.site[i];
    if (isSeen[site] === 0 || (SHAPE_TRAITS[batch.sites.shape[site]] & HAS_PAYLOAD) !== 0) eventAt(batch, i);
    isSeen[site] = 1;
  }
}

function isFooterAt(source: ByteSource, footer: Footer, offset: number): boolean {
  if (footer.kind === 'damaged' && footer.offset === offset) return true;
  return source.length - offset >= 4 && viewOf(source.read(offset, 4)).getUint32(0, true) === FOOTER_MAGIC;
}

/** Where a block or the footer begins after damage at `offset`: the next in the index, or else the next that looks like one. */
function nextBlock(source: ByteSource, offset: number, end: number, index: ReadonlyMap<number, BlockEntry> | undefined): number {
  if (index !== undefined) {
    let next = end;
    for (const at of index.keys()) if (at > offset && at < next) next = at;
    return next;
  }
  const windowBytes = 65_536;
  for (let start = offset + 1; start < end; start += windowBytes) {
    // Windows overlap by three bytes, so that a magic across their border is seen.
    const window = source.read(start, Math.min(windowBytes + 3, end - start));
    const view = viewOf(window);
    for (let i = 0; i + 4 <= window.length; i++) {
      if (window[i] !== 0x43) continue;
      const magic = view.getUint32(i, true);
      const at = start + i;
      if (magic === FOOTER_MAGIC && isFooterLike(source, at)) return at;
      if (magic === BLOCK_MAGIC && end - at >= BLOCK_HEADER_BYTES && !(parseBlockHeader(source.read(at, BLOCK_HEADER_BYTES), at) instanceof LogError)) return at;
    }
  }
  return end;
}

/** The four bytes alone may be payload; the number of entries must also fit what is left of the file. */
function isFooterLike(source: ByteSource, at: number): boolean {
  return source.length - at >= 8 && source.length - at <= 48 + 72 * viewOf(source.read(at, 8)).getUint32(4, true);
}

export interface LogCheck {
  /** Empty if every byte of the log is as its writer wrote it. In order of offset; each has the stretch of the file that is concerned. */
  readonly problems: readonly LogError[];
  /** The log has a footer. */
  readonly isClosed: boolean;
  /** The last event is an end event. */
  readonly hasEnd: boolean;
}

/** Checks every byte. Never throws for what is in the file. */
export function checkLog(source: ByteSource): LogCheck {
  try {
    const { problems, footer, stretches } = survey(source);
    const last = stretches.at(-1);
    return { problems, isClosed: footer.kind === 'intact', hasEnd: last?.kind === 'intact' && last.hasEnd };
  } catch (error) {
    if (!(error instanceof LogError)) throw error;
    return { problems: [error], isClosed: false, hasEnd: false };
  }
}

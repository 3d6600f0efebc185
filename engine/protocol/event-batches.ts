/**
 * Events in bulk: rows of a log's block as columns (columns.ts), which become an EventBatch again, so that whoever reads them has eventAt() and every fold.
 *
 *     stream:  u32 length of a batch | batch | u32 length | batch | ...
 */
import type { EventBatch } from '../log/event-batch.ts';
import { type Columns, ColumnsError, columnOf, decodeColumns, encodeColumns } from './columns.ts';

/** Rows of one block; some may have been left out. */
export interface EventRows {
  readonly batch: EventBatch;
  /** Number of each row in the log. */
  readonly records: Float64Array;
}

interface BatchMeta {
  readonly fileOffset: number;
  readonly firstRecord: number;
  readonly endTimeOffsetNs: number;
  readonly strings: readonly string[];
}

/** `rows`: which ones, ascending. */
export function encodeEventRows(batch: EventBatch, rows: Uint32Array): Uint8Array<ArrayBuffer> {
  const payloadBytes = rows.reduce((sum, row) => sum + batch.payloadLength[row], 0);
  const bytes = new Uint8Array(payloadBytes);
  const payloadStart = new Uint32Array(rows.length);
  let at = 0;
  rows.forEach((row, i) => {
    const length = batch.payloadLength[row];
    payloadStart[i] = at;
    bytes.set(batch.bytes.subarray(batch.payloadStart[row], batch.payloadStart[row] + length), at);
    at += length;
  });
  const { sites } = batch;
  const last = rows.at(-1) ?? 0;
  const meta: BatchMeta = {
    fileOffset: batch.fileOffset,
    firstRecord: batch.firstRecord + (rows.at(0) ?? 0),
    endTimeOffsetNs: last + 1 < batch.count ? batch.timeOffsetNs[last + 1] : batch.endTimeOffsetNs,
    strings: batch.strings,
  };
  return encodeColumns(meta, [
    ['record', Float64Array.from(rows, (row) => batch.firstRecord + row)],
    ['position', Float64Array.from(rows, (row) => batch.position[row])],
    ['timeOffsetNs', Float64Array.from(rows, (row) => batch.timeOffsetNs[row])],
    ['kind', Uint8Array.from(rows, (row) => batch.kind[row])],
    ['site', Uint16Array.from(rows, (row) => batch.site[row])],
    ['valueLo', rows.map((row) => batch.valueLo[row])],
    ['valueHi', rows.map((row) => batch.valueHi[row])],
    ['aux', rows.map((row) => batch.aux[row])],
    ['payloadStart', payloadStart],
    ['payloadLength', rows.map((row) => batch.payloadLength[row])],
    ['bytes', bytes],
    ['shape', sites.shape.subarray(0, sites.count)],
    ...(['f0', 'f1', 'f2', 'f3', 'ripLo', 'ripHi', 'addressLo', 'addressHi'] as const).map((name) => [name, sites[name].subarray(0, sites.count)] as const),
  ]);
}

/** Throws ColumnsError. */
export function decodeEventRows(encoded: Uint8Array): EventRows {
  const columns = decodeColumns(encoded);
  const { fileOffset, firstRecord, endTimeOffsetNs, strings } = metaOf(columns);
  const u32 = (name: string): Uint32Array => columnOf(columns, name, 'u32');
  const position = columnOf(columns, 'position', 'f64');
  const shape = columnOf(columns, 'shape', 'u8');
  return {
    records: columnOf(columns, 'record', 'f64'),
    batch: {
      count: position.length, firstRecord, fileOffset, position, timeOffsetNs: columnOf(columns, 'timeOffsetNs', 'f64'), kind: columnOf(columns, 'kind', 'u8'),
      site: columnOf(columns, 'site', 'u16'), valueLo: u32('valueLo'), valueHi: u32('valueHi'), aux: u32('aux'), payloadStart: u32('payloadStart'), payloadLength: u32('payloadLength'),
      bytes: columnOf(columns, 'bytes', 'u8'), strings, endTimeOffsetNs,
      sites: {
        count: shape.length, shape, f0: u32('f0'), f1: u32('f1'), f2: u32('f2'), f3: u32('f3'), ripLo: u32('ripLo'), ripHi: u32('ripHi'), addressLo: u32('addressLo'), addressHi: u32('addressHi'),
      },
    },
  }; // prettier-ignore
}

function metaOf({ meta }: Columns): BatchMeta {
  const { fileOffset, firstRecord, endTimeOffsetNs, strings } = (meta ?? {}) as Partial<BatchMeta>;
  if (typeof fileOffset !== 'number' || typeof firstRecord !== 'number' || typeof endTimeOffsetNs !== 'number' || !Array.isArray(strings)) throw new ColumnsError('these columns are no events');
  return { fileOffset, firstRecord, endTimeOffsetNs, strings };
}

/** A batch with its length before it, for a stream. */
export function framed(batch: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(4 + batch.length);
  new DataView(out.buffer).setUint32(0, batch.length, true);
  out.set(batch, 4);
  return out;
}

/** Takes a stream apart, in whatever pieces it comes. */
export class FrameSplitter {
  private rest = new Uint8Array(0);

  /** The batches that are whole now. */
  push(piece: Uint8Array): Uint8Array[] {
    const all = new Uint8Array(this.rest.length + piece.length);
    all.set(this.rest);
    all.set(piece, this.rest.length);
    const found: Uint8Array[] = [];
    let at = 0;
    while (all.length - at >= 4) {
      const length = new DataView(all.buffer, at).getUint32(0, true);
      if (all.length - at - 4 < length) break;
      found.push(all.slice(at + 4, at + 4 + length));
      at += 4 + length;
    }
    this.rest = all.slice(at);
    return found;
  }

  /** Bytes of a batch that is not whole; 0 at the end of an intact stream. */
  get pendingBytes(): number {
    return this.rest.length;
  }
}

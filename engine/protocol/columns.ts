/**
 * Columns of numbers as bytes, with a little JSON about them: what goes over a socket or into a file where objects would be too slow.
 *
 *     "CVC1" | u32 length of the JSON | JSON { meta, columns: [[name, type, length], ...] } | zeros up to 8 | column | zeros up to 8 | column ...
 *
 * Numbers are little-endian; each column begins at a multiple of 8, so a reader that holds the bytes at such a place looks at them without copying.
 */
const MAGIC = 0x31435643;
const HEAD_BYTES = 8;
const HEAD_JSON_BYTES_MAX = 16 << 20;

const TYPES = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, f64: Float64Array } as const;
type ColumnType = keyof typeof TYPES;
export type Column = Uint8Array | Uint16Array | Uint32Array | Float64Array;

export interface Columns {
  readonly meta: unknown;
  readonly columns: ReadonlyMap<string, Column>;
}

/** Bytes that are no columns: cut off, or something else. */
export class ColumnsError extends Error {
  override readonly name = 'ColumnsError';
}

function typeOf(column: Column): ColumnType {
  if (column instanceof Float64Array) return 'f64';
  if (column instanceof Uint32Array) return 'u32';
  return column instanceof Uint16Array ? 'u16' : 'u8';
}

const aligned = (bytes: number): number => Math.ceil(bytes / 8) * 8;

export function encodeColumns(meta: unknown, columns: Iterable<readonly [name: string, column: Column]>): Uint8Array<ArrayBuffer> {
  const all = [...columns];
  const json = new TextEncoder().encode(JSON.stringify({ meta, columns: all.map(([name, column]) => [name, typeOf(column), column.length]) }));
  let at = aligned(HEAD_BYTES + json.length);
  const out = new Uint8Array(all.reduce((sum, [, { byteLength }]) => sum + aligned(byteLength), at));
  const view = new DataView(out.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, json.length, true);
  out.set(json, HEAD_BYTES);
  for (const [, column] of all) {
    out.set(new Uint8Array(column.buffer, column.byteOffset, column.byteLength), at);
    at += aligned(column.byteLength);
  }
  return out;
}

/** Views of the bytes, or copies where they do not lie at a multiple of 8. Throws ColumnsError. */
export function decodeColumns(bytes: Uint8Array): Columns {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < HEAD_BYTES || view.getUint32(0, true) !== MAGIC) throw new ColumnsError('these bytes are no columns');
  const jsonBytes = view.getUint32(4, true);
  if (jsonBytes > HEAD_JSON_BYTES_MAX || HEAD_BYTES + jsonBytes > bytes.length) throw new ColumnsError('the columns are cut off in their head');
  const { meta, list } = headOf(bytes.subarray(HEAD_BYTES, HEAD_BYTES + jsonBytes));
  const columns = new Map<string, Column>();
  let at = aligned(HEAD_BYTES + jsonBytes);
  for (const [name, type, length] of list) {
    const Type = TYPES[type];
    const byteLength = length * Type.BYTES_PER_ELEMENT;
    if (at + byteLength > bytes.length) throw new ColumnsError(`the column ${name} is cut off`);
    const start = bytes.byteOffset + at;
    columns.set(name, start % 8 === 0 ? new Type(bytes.buffer as ArrayBuffer, start, length) : new Type(bytes.slice(at, at + byteLength).buffer, 0, length));
    at += aligned(byteLength);
  }
  return { meta, columns };
}

function headOf(json: Uint8Array): { readonly meta: unknown; readonly list: readonly (readonly [string, ColumnType, number])[] } {
  let head: unknown;
  try {
    head = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch (error) {
    throw new ColumnsError('the head of the columns is not JSON', { cause: error });
  }
  const { meta, columns } = head as { meta?: unknown; columns?: unknown };
  if (!Array.isArray(columns)) throw new ColumnsError('the head of the columns names none');
  for (const column of columns as readonly unknown[]) {
    const [name, type, length] = Array.isArray(column) ? (column as readonly unknown[]) : [];
    if (typeof name !== 'string' || typeof type !== 'string' || !(type in TYPES) || !Number.isSafeInteger(length) || (length as number) < 0) throw new ColumnsError('the head of the columns makes no sense');
  }
  return { meta, list: columns as readonly (readonly [string, ColumnType, number])[] };
}

/** A column that must be there and of its type. Throws ColumnsError. */
export function columnOf<T extends ColumnType>({ columns }: Columns, name: string, type: T): InstanceType<(typeof TYPES)[T]> {
  const column = columns.get(name);
  if (column === undefined || typeOf(column) !== type) throw new ColumnsError(`there is no column ${name} of ${type}`);
  return column as InstanceType<(typeof TYPES)[T]>;
}

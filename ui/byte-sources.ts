/**
 * Where a worker reads a log from: bytes in memory, a Blob or a File, or a server that sends ranges. The engine reads synchronously, which only a worker may.
 * What is larger than WHOLE_MAX is never in memory as a whole: pieces of it are, those used last.
 */
import { LogError } from '../engine/log/errors.ts';
import { type ByteSource, MemorySource } from '../engine/log/storage.ts';
import type { LogFile } from '../engine/protocol/messages.ts';

/** Of a log that is read at once. */
export const WHOLE_MAX = 24 << 20;
const PIECE_BYTES = 1 << 20;
const PIECES_MAX = 8;

/** Only workers have it: the DOM's types do not. */
declare class FileReaderSync {
  readAsArrayBuffer(blob: Blob): ArrayBuffer;
}

export class SourceError extends Error {
  readonly advice: string;
  constructor(message: string, advice: string) {
    super(message);
    this.advice = advice;
  }
}

/** Reads pieces of PIECE_BYTES by `load` and keeps the last of them. */
export class PieceSource implements ByteSource {
  readonly length: number;
  private readonly load: (from: number, to: number) => Uint8Array;
  private readonly pieceBytes: number;
  private readonly piecesMax: number;
  /** Used last is last. */
  private readonly pieces = new Map<number, Uint8Array>();

  constructor(length: number, load: (from: number, to: number) => Uint8Array, pieceBytes = PIECE_BYTES, piecesMax = PIECES_MAX) {
    this.length = length;
    this.load = load;
    this.pieceBytes = pieceBytes;
    this.piecesMax = piecesMax;
  }

  /** Bytes in memory. */
  get held(): number {
    return [...this.pieces.values()].reduce((sum, { length }) => sum + length, 0);
  }

  read(offset: number, length: number): Uint8Array {
    if (!(offset >= 0 && length >= 0 && offset + length <= this.length)) throw new RangeError(`read outside the source: ${offset} + ${length}`);
    const first = Math.floor(offset / this.pieceBytes);
    const last = Math.floor(Math.max(offset, offset + length - 1) / this.pieceBytes);
    if (first === last) return this.piece(first).subarray(offset - first * this.pieceBytes, offset - first * this.pieceBytes + length);
    const out = new Uint8Array(length);
    for (let number = first; number <= last; number++) {
      const start = number * this.pieceBytes;
      const from = Math.max(offset, start);
      const to = Math.min(offset + length, start + this.pieceBytes);
      out.set(this.piece(number).subarray(from - start, to - start), from - offset);
    }
    return out;
  }

  private piece(number: number): Uint8Array {
    const known = this.pieces.get(number);
    if (known !== undefined) {
      this.pieces.delete(number);
      this.pieces.set(number, known);
      return known;
    }
    const from = number * this.pieceBytes;
    const to = Math.min(this.length, from + this.pieceBytes);
    const bytes = this.load(from, to);
    if (bytes.length !== to - from) throw new LogError('LOG_TORN', from, to - from, `the place it is read from gave ${bytes.length} of ${to - from} bytes: it may have been changed`);
    this.pieces.set(number, bytes);
    for (const oldest of this.pieces.keys()) {
      if (this.pieces.size <= this.piecesMax) break;
      this.pieces.delete(oldest);
    }
    return bytes;
  }
}

/** Throws SourceError. */
export async function openPlace(place: LogFile): Promise<ByteSource> {
  switch (place.kind) {
    case 'bytes':
      return new MemorySource(place.bytes);
    case 'blob':
      return openBlob(place.blob);
    case 'url':
      return openUrl(place.url);
    default:
      return place satisfies never;
  }
}

/** Throws SourceError. */
export async function openBlob(blob: Blob, wholeMax = WHOLE_MAX, pieceBytes = PIECE_BYTES, piecesMax = PIECES_MAX): Promise<ByteSource> {
  try {
    if (blob.size <= wholeMax) return new MemorySource(new Uint8Array(await blob.arrayBuffer()));
  } catch (error) {
    throw unreadable(error);
  }
  const reader = new FileReaderSync();
  return new PieceSource(blob.size, (from, to) => {
    try {
      return new Uint8Array(reader.readAsArrayBuffer(blob.slice(from, to)));
    } catch (error) {
      throw unreadable(error);
    }
  }, pieceBytes, piecesMax); // prettier-ignore
}

function unreadable(error: unknown): SourceError {
  return new SourceError(`the file could not be read: ${error instanceof Error ? error.message : String(error)}`, 'it may have been moved or changed since: open it again');
}

/** Asks for the first bytes up to WHOLE_MAX: the answer says how many there are. */
async function openUrl(url: string): Promise<ByteSource> {
  let response: Response;
  try {
    response = await fetch(url, { headers: { range: `bytes=0-${WHOLE_MAX - 1}` } });
  } catch (error) {
    throw new SourceError(`the recording could not be loaded: ${error instanceof Error ? error.message : String(error)}`, 'check that the server still runs (npm start), then reload the page');
  }
  // An empty file has no first byte.
  if (response.status === 416) return new MemorySource(new Uint8Array(0));
  if (!response.ok) throw new SourceError(`the recording could not be loaded: the server answered ${response.status}`, 'it may have been moved or deleted: go back to the recordings');
  const total = Number(/\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1] ?? Number.NaN);
  if (response.status !== 206 || total <= WHOLE_MAX) return new MemorySource(new Uint8Array(await response.arrayBuffer()));
  await response.body?.cancel();
  const tag = response.headers.get('etag');
  return new PieceSource(total, (from, to) => loadRange(url, from, to, tag));
}

function loadRange(url: string, from: number, to: number, tag: string | null): Uint8Array {
  const request = new XMLHttpRequest();
  request.open('GET', url, false);
  request.responseType = 'arraybuffer';
  request.setRequestHeader('range', `bytes=${from}-${to - 1}`);
  try {
    request.send();
  } catch (error) {
    throw new SourceError(`the recording could not be read on: ${error instanceof Error ? error.message : String(error)}`, 'check that the server still runs (npm start), then reload the page');
  }
  if (request.status === 206 && tag !== null && request.getResponseHeader('etag') !== tag) throw new SourceError('the recording was changed while it was read', 'reload the page');
  if (request.status !== 206) throw new SourceError(`the recording could not be read on: the server answered ${request.status}`, 'it may have been changed or deleted: reload the page');
  return new Uint8Array(request.response as ArrayBuffer);
}

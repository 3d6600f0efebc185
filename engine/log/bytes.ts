/**
 * Numbers and strings as bytes: what the codec is built of. 64-bit values are two u32, lo and hi, because a bigint allocates.
 */
import { assert } from './assert.ts';
import { LogError } from './errors.ts';

const TWO_32 = 0x1_0000_0000;
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** Low 32 bits of a safe integer; of a negative one, as two's complement. */
export function lowOf(n: number): number {
  return n >>> 0;
}

/** High 32 bits of a safe integer; of a negative one, as two's complement. */
export function highOf(n: number): number {
  return Math.floor(n / TWO_32) >>> 0;
}

/** Unsigned. Exact up to 2^53 - 1; the caller checks. */
export function numberOf(lo: number, hi: number): number {
  return hi * TWO_32 + lo;
}

/** Signed, the inverse of lowOf and highOf for every safe integer. */
export function signedNumberOf(lo: number, hi: number): number {
  return (hi | 0) * TWO_32 + lo;
}

export function bigintOf(lo: number, hi: number): bigint {
  return (BigInt(hi) << 32n) | BigInt(lo);
}

export function lowOfBigint(n: bigint): number {
  return Number(n & 0xffff_ffffn);
}

export function highOfBigint(n: bigint): number {
  return Number((n >> 32n) & 0xffff_ffffn);
}

export function setU64(view: DataView, offset: number, n: number): void {
  assert(Number.isSafeInteger(n) && n >= 0, `not a safe unsigned integer: ${n}`);
  view.setUint32(offset, lowOf(n), true);
  view.setUint32(offset + 4, highOf(n), true);
}

/** A value of 2^53 or more comes back as NaN, which fails every later check. */
export function getU64(view: DataView, offset: number): number {
  const hi = view.getUint32(offset + 4, true);
  return hi >= 0x20_0000 ? Number.NaN : numberOf(view.getUint32(offset, true), hi);
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function utf8Of(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Cuts between two characters. */
export function utf8Cut(text: string, bytesMax: number): Uint8Array {
  const bytes = encoder.encode(text);
  if (bytes.length <= bytesMax) return bytes;
  let end = bytesMax;
  while (end > 0 && (bytes[end] & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}

/** Undefined if the bytes are not UTF-8. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

export function hexOf(bytes: Uint8Array): string {
  let hex = '';
  for (const byte of bytes) hex += byte.toString(16).padStart(2, '0');
  return hex;
}

export function bytesOfHex(hex: string): Uint8Array {
  assert(/^(?:[0-9a-f]{2})*$/.test(hex), `not lower-case hex: ${hex}`);
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.slice(i * 2, i * 2 + 2), 16));
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Writes into a buffer of fixed size; the caller keeps enough room, and `length` tells if it did not. */
export class ByteWriter {
  readonly bytes: Uint8Array;
  length = 0;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
  }

  u8(value: number): void {
    this.bytes[this.length++] = value;
  }

  raw(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** A safe unsigned integer. */
  varint(n: number): void {
    this.varint64(lowOf(n), highOf(n));
  }

  varint64(lo: number, hi: number): void {
    while (hi !== 0) {
      this.bytes[this.length++] = (lo & 0x7f) | 0x80;
      lo = ((lo >>> 7) | (hi << 25)) >>> 0;
      hi >>>= 7;
    }
    while (lo > 0x7f) {
      this.bytes[this.length++] = (lo & 0x7f) | 0x80;
      lo >>>= 7;
    }
    this.bytes[this.length++] = lo;
  }

  /** The difference to a base modulo 2^64, folded so that small ones of either sign are short. */
  zigzag64(lo: number, hi: number, baseLo: number, baseHi: number): void {
    const dLo = (lo - baseLo) >>> 0;
    const dHi = (hi - baseHi - (lo < baseLo ? 1 : 0)) | 0;
    const sign = dHi >> 31;
    this.varint64(((dLo << 1) ^ sign) >>> 0, (((dHi << 1) | (dLo >>> 31)) ^ sign) >>> 0);
  }
}

/** True if zigzag64 of the same arguments takes one byte. */
export function isShortZigzag(lo: number, hi: number, baseLo: number, baseHi: number): boolean {
  const dLo = (lo - baseLo) | 0;
  const dHi = (hi - baseHi - (lo < baseLo ? 1 : 0)) | 0;
  return dLo >= -64 && dLo < 64 && dHi === dLo >> 31;
}

/** Reads what ByteWriter wrote. Whatever does not fit is damage at its place in the file. */
export class ByteReader {
  readonly bytes: Uint8Array;
  at = 0;
  /** Result of the last 64-bit read. */
  lo = 0;
  hi = 0;
  readonly fileOffset: number;

  /** fileOffset: where in the file the bytes begin, for error messages. */
  constructor(bytes: Uint8Array, fileOffset: number) {
    this.bytes = bytes;
    this.fileOffset = fileOffset;
  }

  get done(): boolean {
    return this.at >= this.bytes.length;
  }

  fail(detail: string): never {
    throw new LogError('LOG_BLOCK_DAMAGED', this.fileOffset + this.at, 0, detail);
  }

  u8(): number {
    if (this.at >= this.bytes.length) this.fail('a record goes past the end of its block');
    return this.bytes[this.at++];
  }

  /** A view of the next bytes. */
  raw(length: number): Uint8Array {
    if (length > this.bytes.length - this.at) this.fail('a record goes past the end of its block');
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  varint(): number {
    this.varint64();
    if (this.hi >= 0x20_0000) this.fail('a number is not a safe integer');
    return numberOf(this.lo, this.hi);
  }

  varintU32(): number {
    this.varint64();
    if (this.hi !== 0) this.fail('a number is larger than 32 bits');
    return this.lo;
  }

  varint64(): void {
    let lo = 0;
    let hi = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.u8();
      const bits = byte & 0x7f;
      if (shift < 28) lo |= bits << shift;
      else if (shift === 28) {
        lo |= bits << 28;
        hi = bits >>> 4;
      } else if (shift < 63) hi |= bits << (shift - 32);
      else if (byte > 1) this.fail('a number is larger than 64 bits');
      else hi |= bits << 31;
      if (byte < 0x80) break;
    }
    this.lo = lo >>> 0;
    this.hi = hi >>> 0;
  }

  zigzag64(baseLo: number, baseHi: number): void {
    this.varint64();
    const sign = -(this.lo & 1);
    const dLo = (((this.lo >>> 1) | (this.hi << 31)) ^ sign) >>> 0;
    const dHi = (this.hi >>> 1) ^ sign;
    const sum = baseLo + dLo;
    this.lo = sum >>> 0;
    this.hi = (baseHi + dHi + (sum >= TWO_32 ? 1 : 0)) >>> 0;
  }
}

const VARINT_BYTES_MAX = 10;

/**
 * reader.zigzag64() at a place, base and result in signed words (`into`: low and high), because fields of numbers from 2^31 on are objects in V8. Returns the place after it. What is damaged,
 * or near the end, is left to the reader.
 */
export function zigzag64At(reader: ByteReader, cursor: number, baseLo: number, baseHi: number, into: Int32Array): number {
  const { bytes } = reader;
  let at = cursor;
  let lo = 0;
  let hi = 0;
  let isRead = at + VARINT_BYTES_MAX <= bytes.length;
  if (isRead) {
    let byte = bytes[at];
    at = (at + 1) | 0;
    lo = byte & 0x7f;
    for (let shift = 7; byte > 0x7f && shift < 28; shift = (shift + 7) | 0) {
      byte = bytes[at];
      at = (at + 1) | 0;
      lo |= (byte & 0x7f) << shift;
    }
    if (byte > 0x7f) {
      byte = bytes[at];
      at = (at + 1) | 0;
      lo |= byte << 28;
      hi = (byte & 0x7f) >>> 4;
      for (let shift = 3; byte > 0x7f && shift < 31; shift = (shift + 7) | 0) {
        byte = bytes[at];
        at = (at + 1) | 0;
        hi |= (byte & 0x7f) << shift;
      }
      if (byte > 0x7f) {
        byte = bytes[at];
        at = (at + 1) | 0;
        hi |= byte << 31;
        isRead = byte <= 1;
      }
    }
  }
  if (!isRead) {
    reader.at = cursor;
    reader.zigzag64(baseLo >>> 0, baseHi >>> 0);
    into[0] = reader.lo;
    into[1] = reader.hi;
    return reader.at | 0;
  }
  const sign = -(lo & 1);
  const dLo = ((lo >>> 1) | (hi << 31)) ^ sign;
  const dHi = (hi >>> 1) ^ sign;
  const sum = (baseLo + dLo) | 0;
  into[0] = sum;
  into[1] = (baseHi + dHi + (sum >>> 0 < dLo >>> 0 ? 1 : 0)) | 0;
  return at;
}

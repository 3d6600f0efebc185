/**
 * Pages of 4096 bytes by their content: each is kept once, compressed, for as long as something refers to it.
 *
 * Compression is the LZ4 block format (lz4 doc/lz4_Block_format.md), a page a block: it needs no host, and a page unpacks in microseconds, by what
 * unpacks kernels (boot/lz4.ts). README.md has the comparison with deflate.
 */
import type { Core } from '../cpu/core.ts';
import * as L from '../cpu/layout.ts';
import { Lz4Error, decodeLz4Block } from '../machine/boot/lz4.ts';
import { PAGE_BYTES } from '../machine/snapshot.ts';
import { ByteIn, ByteOut } from './checkpoint-bytes.ts';
import { CheckpointError } from './checkpoint-errors.ts';

/** How the bytes of a page are kept: its length is 4096, or it is compressed. */
export type PackedPage = Uint8Array;

/** 128 bits of a page's content, as text. */
export function pageKey(page: Uint8Array): string {
  const aligned = page.byteOffset % 4 === 0 ? page : page.slice();
  const words = new Uint32Array(aligned.buffer, aligned.byteOffset, PAGE_BYTES / 4);
  // Four lanes in the manner of MurmurHash3_x86_128 (Appleby, 2011), with 32-bit multiplications.
  let a = 0x239b961b, b = 0xab0e9789, c = 0x38b34ae5, d = 0xa1e38b93; // prettier-ignore
  for (let i = 0; i < PAGE_BYTES / 4; i += 4) {
    a = Math.imul(rotate(a ^ Math.imul(words[i], 0x9e3779b1), 15), 0x85ebca6b) + b;
    b = Math.imul(rotate(b ^ Math.imul(words[i + 1], 0x85ebca6b), 17), 0xc2b2ae35) + c;
    c = Math.imul(rotate(c ^ Math.imul(words[i + 2], 0xc2b2ae35), 13), 0x27d4eb2f) + d;
    d = Math.imul(rotate(d ^ Math.imul(words[i + 3], 0x27d4eb2f), 19), 0x9e3779b1) + a;
  }
  a = mix(a + Math.imul(c, 5));
  b = mix((b ^ a) + Math.imul(d, 7));
  c = mix((c ^ b) + Math.imul(a, 11));
  d = mix((d ^ c) + Math.imul(b, 13));
  return String.fromCharCode(a & 0xffff, a >>> 16, b & 0xffff, b >>> 16, c & 0xffff, c >>> 16, d & 0xffff, d >>> 16);
}
function rotate(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by));
}
function mix(value: number): number {
  let v = value;
  v = Math.imul(v ^ (v >>> 16), 0x85ebca6b);
  v = Math.imul(v ^ (v >>> 13), 0xc2b2ae35);
  return (v ^ (v >>> 16)) | 0;
}

const HASH_BITS = 11;
const seen = new Int32Array(1 << HASH_BITS);
const packed = new Uint8Array(PAGE_BYTES + 64);

/** The page compressed, or a copy of it where that is not shorter. */
export function packPage(page: Uint8Array): PackedPage {
  const length = compress(page);
  return length < PAGE_BYTES ? packed.slice(0, length) : page.slice();
}

/** Into `packed`; returns the length, PAGE_BYTES or more when it does not become shorter. */
function compress(page: Uint8Array): number {
  seen.fill(-1);
  let out = 0;
  let anchor = 0;
  // The format ends with at least 5 literals, and the last match begins 12 bytes before the end.
  const matchLimit = PAGE_BYTES - 12;
  let at = 0;
  let misses = 0;
  while (at < matchLimit) {
    const word = page[at] | (page[at + 1] << 8) | (page[at + 2] << 16) | (page[at + 3] << 24);
    const slot = Math.imul(word, 0x9e3779b1) >>> (32 - HASH_BITS);
    const from = seen[slot];
    seen[slot] = at;
    if (from < 0 || page[from] !== page[at] || page[from + 1] !== page[at + 1] || page[from + 2] !== page[at + 2] || page[from + 3] !== page[at + 3]) {
      // What does not compress is looked at in longer strides.
      at += 1 + (misses++ >>> 5);
      continue;
    }
    misses = 0;
    let length = 4;
    const most = PAGE_BYTES - 5 - at;
    while (length < most && page[from + length] === page[at + length]) length++;
    const literals = at - anchor;
    if (out + literals + (literals >>> 8) + (length >>> 8) + 8 > PAGE_BYTES) return PAGE_BYTES;
    out = putSequence(page, out, anchor, literals, length - 4);
    packed[out++] = at - from;
    packed[out++] = (at - from) >>> 8;
    if (length >= 19) out = putLength(out, length - 19);
    at += length;
    anchor = at;
  }
  const literals = PAGE_BYTES - anchor;
  if (out + literals + (literals >>> 8) + 3 > PAGE_BYTES) return PAGE_BYTES;
  return putSequence(page, out, anchor, literals, 0);
}

/** The token and the literals. */
function putSequence(page: Uint8Array, to: number, from: number, literals: number, matchCode: number): number {
  let out = to;
  packed[out++] = (Math.min(15, literals) << 4) | Math.min(15, matchCode);
  if (literals >= 15) out = putLength(out, literals - 15);
  for (let i = 0; i < literals; i++) packed[out++] = page[from + i];
  return out;
}
function putLength(to: number, length: number): number {
  let out = to;
  let rest = length;
  for (; rest >= 255; rest -= 255) packed[out++] = 255;
  packed[out++] = rest;
  return out;
}

/** The inverse of packPage. Throws CheckpointError. */
export function unpackPage(page: PackedPage): Uint8Array {
  if (page.length === PAGE_BYTES) return page;
  const out = new Uint8Array(PAGE_BYTES);
  try {
    const end = decodeLz4Block(page, 0, page.length, out, 0, PAGE_BYTES);
    if (end !== PAGE_BYTES) throw new Lz4Error(`it has ${end} bytes`);
  } catch (error) {
    if (!(error instanceof Lz4Error)) throw error;
    throw unpackError(error.message, error);
  }
  return out;
}
function unpackError(detail: string, cause?: Error): CheckpointError {
  return new CheckpointError('damaged', `a page does not unpack: ${detail}`, { cause });
}

/** The same, into the RAM of a core whose caches were told. Throws CheckpointError; then the frame holds anything. */
export function unpackToFrame(page: PackedPage, frame: number, core: Core): void {
  core.u8.set(page, L.STAGING);
  unpackStaged(0, page.length, frame, core);
}
/** The same of a page that lies in the core, at byte `offset` of STAGING. */
export function unpackStaged(offset: number, length: number, frame: number, core: Core): void {
  if (core.exports.unpackPage(offset, length, frame) === 0) throw unpackError(`that of frame ${frame}, ${length} bytes`);
}

/** Any bytes in packed pieces of a page, each with its length. */
export function packBytes(bytes: Uint8Array): Uint8Array {
  const out = new ByteOut();
  out.varint(bytes.length);
  const piece = new Uint8Array(PAGE_BYTES);
  for (let at = 0; at < bytes.length; at += PAGE_BYTES) {
    const part = bytes.subarray(at, at + PAGE_BYTES);
    piece.set(part);
    piece.fill(0, part.length);
    out.block(packPage(piece));
  }
  return out.taken().slice();
}

/** The inverse. Throws CheckpointError. */
export function unpackBytes(packedBytes: Uint8Array): Uint8Array {
  const from = new ByteIn(packedBytes);
  const length = from.varint();
  if (length > packedBytes.length * PAGE_BYTES) throw new CheckpointError('damaged', `${length} bytes out of ${packedBytes.length}`);
  const out = new Uint8Array(length);
  for (let at = 0; at < length; at += PAGE_BYTES) out.set(unpackPage(from.block()).subarray(0, length - at), at);
  return out;
}

/** Pages in memory, counted by reference. Numbers of pages that went are used again. */
export class PagePool {
  /** Of all pages, as kept. */
  bytes = 0;
  private readonly pages: (PackedPage | undefined)[] = [];
  private readonly references: number[] = [];
  private readonly keys: string[] = [];
  private readonly byKey = new Map<string, number>();
  private readonly free: number[] = [];

  get count(): number {
    return this.pages.length - this.free.length;
  }

  /** The number of a page with this content, referred to once more. */
  add(page: Uint8Array): number {
    const key = pageKey(page);
    const known = this.byKey.get(key);
    if (known !== undefined) {
      this.references[known]++;
      return known;
    }
    return this.insert(key, packPage(page));
  }

  private insert(key: string, page: PackedPage): number {
    const number = this.free.pop() ?? this.pages.length;
    this.pages[number] = page;
    this.references[number] = 1;
    this.keys[number] = key;
    this.byKey.set(key, number);
    this.bytes += page.length;
    return number;
  }

  retain(number: number): void {
    this.references[number]++;
  }

  release(number: number): void {
    const page = this.pages[number];
    if (page === undefined) throw new Error(`page ${number} was released too often`);
    if (--this.references[number] > 0) return;
    this.bytes -= page.length;
    this.pages[number] = undefined;
    this.byKey.delete(this.keys[number]);
    this.free.push(number);
  }

  packed(number: number): PackedPage {
    const page = this.pages[number];
    if (page === undefined) throw new Error(`there is no page ${number}`);
    return page;
  }

  /** 4096 bytes that nobody changes. Throws CheckpointError. */
  read(number: number): Uint8Array {
    return unpackPage(this.packed(number));
  }
}

/**
 * What the two sides say to each other. Pages go as QEMU sends them: u64 address | flags, then a fill byte or 4096 bytes; the rest are frames of JSON or bytes.
 *
 *     source                                destination
 *     HELLO {migration, header} ─────────►
 *                               ◄───────── WELCOME
 *     PAGES ... PAGES ───────────────────►                     pre-copy; the guest runs at the source
 *     STATE, [MISSING] ──────────────────►                     the guest is stopped
 *                               ◄───────── READY {digest}      verified, and on disk
 *     GO ────────────────────────────────►                     after `handed over` is on disk
 *                               ◄───────── STARTED
 *     PAGES ... ─────────────────────────► ◄── REQUEST frames  post-copy only
 *                               ◄───────── COMPLETE
 *
 * Instead of HELLO a source may say VERDICT {migration, handedOver}: what became of a migration whose link broke. KEPT says that the source goes on.
 */
import { ByteIn, ByteOut } from '../../engine/recording/checkpoint-bytes.ts';
import { decodeCheckpoint, encodeCheckpoint } from '../../engine/recording/checkpoint-codec.ts';
import type { CheckpointState } from '../../engine/recording/checkpoint.ts';
import { PAGE_BYTES } from '../../engine/machine/snapshot.ts';
import type { LogHeader } from '../../engine/log/header.ts';
import { LinkError } from './duplex.ts';

export const HELLO = 1, PAGES = 2, STATE = 3, MISSING = 4, GO = 5, KEPT = 6, VERDICT = 7; // prettier-ignore
export const WELCOME = 16, READY = 17, REFUSED = 18, STARTED = 19, REQUEST = 20, COMPLETE = 21; // prettier-ignore

export const PROTOCOL_VERSION = 1;

export interface Hello {
  readonly version: number;
  readonly migration: string;
  /** Of the log that the source writes: parent of the destination's. */
  readonly header: LogHeader;
}
export interface Verdict {
  readonly migration: string;
  readonly handedOver: boolean;
}

const text = new TextEncoder();
const fromText = new TextDecoder();

export function json(value: unknown): Uint8Array {
  return text.encode(JSON.stringify(value));
}
export function parseJson<T>(payload: Uint8Array): T {
  try {
    return JSON.parse(fromText.decode(payload)) as T;
  } catch {
    throw new LinkError('a frame that should hold JSON does not: the other side does not speak this protocol');
  }
}

// ---- pages ----

/** RAM_SAVE_FLAG_ZERO and RAM_SAVE_FLAG_PAGE of QEMU's migration/ram.c. */
const FLAG_ZERO = 0x02;
const FLAG_PAGE = 0x08;
const FLAGS = 0xfff;
export const PAGE_RECORD_BYTES = 8 + PAGE_BYTES;
export const ZERO_RECORD_BYTES = 9;

export class PageBatch {
  private readonly out: Uint8Array;
  private readonly view: DataView;
  private used = 0;

  constructor(pagesMax: number) {
    this.out = new Uint8Array(pagesMax * PAGE_RECORD_BYTES);
    this.view = new DataView(this.out.buffer);
  }

  /** `page` undefined: all zeros. Returns the bytes that it takes. */
  add(frame: number, page: Uint8Array | undefined): number {
    this.view.setBigUint64(this.used, BigInt(frame) * BigInt(PAGE_BYTES) + BigInt(page === undefined ? FLAG_ZERO : FLAG_PAGE), false);
    this.used += 8;
    if (page === undefined) this.out[this.used++] = 0;
    else {
      this.out.set(page, this.used);
      this.used += PAGE_BYTES;
    }
    return page === undefined ? ZERO_RECORD_BYTES : PAGE_RECORD_BYTES;
  }
  get bytes(): number {
    return this.used;
  }
  /** There may be no room for another page. */
  get isFull(): boolean {
    return this.used + PAGE_RECORD_BYTES > this.out.length;
  }
  take(): Uint8Array {
    const taken = this.out.slice(0, this.used);
    this.used = 0;
    return taken;
  }
}

/** Each page of a PAGES frame; undefined for zeros. Throws LinkError. */
export function* pagesOf(payload: Uint8Array, frames: number): Generator<{ readonly frame: number; readonly page: Uint8Array | undefined }> {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  for (let at = 0; at < payload.length; ) {
    if (payload.length - at < ZERO_RECORD_BYTES) throw new LinkError(`a page record is cut off at byte ${at}`);
    const word = view.getBigUint64(at, false);
    const frame = Number(word >> 12n);
    const flags = Number(word & BigInt(FLAGS));
    if (frame >= frames || (flags !== FLAG_ZERO && flags !== FLAG_PAGE)) throw new LinkError(`a page record names frame ${frame} with flags 0x${flags.toString(16)}; the guest has ${frames} frames`);
    const length = flags === FLAG_ZERO ? 1 : PAGE_BYTES;
    if (payload.length - at - 8 < length) throw new LinkError(`the page of frame ${frame} is cut off`);
    yield { frame, page: flags === FLAG_ZERO ? undefined : payload.subarray(at + 8, at + 8 + length) };
    at += 8 + length;
  }
}

// ---- state ----

export interface MovedState {
  /** `records` are those of the source's log: the parent's. */
  readonly checkpoint: CheckpointState;
  /** Of the complete state, at the source. */
  readonly digest: string;
  /** Typed, and not yet taken by the guest. */
  readonly typed: Uint8Array;
  /** Pages come later: MISSING follows. */
  readonly isPostCopy: boolean;
}

export function encodeState({ checkpoint, digest, typed, isPostCopy }: MovedState): Uint8Array {
  const { bytes, pages } = encodeCheckpoint(checkpoint);
  const out = new ByteOut();
  out.block(bytes);
  out.varint(pages.length);
  for (const page of pages) out.raw(page);
  out.block(text.encode(digest));
  out.block(typed);
  out.u8(isPostCopy ? 1 : 0);
  return out.taken().slice();
}

/** Throws CheckpointError. */
export function decodeState(payload: Uint8Array): MovedState {
  const from = new ByteIn(payload);
  const bytes = from.block();
  const pages = Array.from({ length: from.varint() }, () => from.raw(PAGE_BYTES).slice());
  const digest = fromText.decode(from.block());
  const typed = from.block().slice();
  return { checkpoint: decodeCheckpoint(bytes, (n) => pages[n]), digest, typed, isPostCopy: from.u8() === 1 };
}

/** Frames that are not at the destination yet, and the hashes of their pages as the source's core has them. */
export interface Missing {
  readonly frames: Uint32Array;
  /** Low and high word of each. */
  readonly hashes: Uint32Array;
}

export function encodeMissing({ frames, hashes }: Missing): Uint8Array {
  const out = new ByteOut();
  out.ascending(frames);
  for (const word of hashes) out.u32(word);
  return out.taken().slice();
}
export function decodeMissing(payload: Uint8Array): Missing {
  const from = new ByteIn(payload);
  const frames = from.ascending();
  return { frames, hashes: Uint32Array.from({ length: frames.length * 2 }, () => from.u32()) };
}

export function encodeFrames(frames: readonly number[]): Uint8Array {
  const out = new ByteOut();
  out.varint(frames.length);
  for (const each of frames) out.varint(each);
  return out.taken().slice();
}
export function decodeFrames(payload: Uint8Array): readonly number[] {
  const from = new ByteIn(payload);
  return Array.from({ length: from.varint() }, () => from.varint());
}

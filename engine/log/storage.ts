/**
 * Where a log's bytes come from and go to. The engine has no files: the server hands these in for files, the browser for
 * its own storage. In-memory ones are here, because tests, branches and the browser's first version need no more.
 */
import { assert } from './assert.ts';

export interface ByteSink {
  /** Appends; the bytes are only valid during the call. Throws if it cannot, for example on a full disk. */
  append(bytes: Uint8Array): void;
  /** Returns when all that was appended survives a crash of the host. */
  sync(): void;
}

export interface ByteSource {
  /** Bytes in all. */
  readonly length: number;
  /** Exactly `length` bytes from `offset`, which the caller does not change. Throws if they cannot be read. */
  read(offset: number, length: number): Uint8Array;
  /** As many bytes as `target` has, without memory of their own. */
  readInto?(offset: number, target: Uint8Array): void;
}

export class MemorySink implements ByteSink {
  private bytes = new Uint8Array(4096);
  private used = 0;
  /** Bytes that a crash would have left. */
  syncedBytes = 0;

  get length(): number {
    return this.used;
  }

  append(bytes: Uint8Array): void {
    const needed = this.used + bytes.length;
    if (needed > this.bytes.length) {
      const larger = new Uint8Array(Math.max(needed, this.bytes.length * 2));
      larger.set(this.bytes.subarray(0, this.used));
      this.bytes = larger;
    }
    this.bytes.set(bytes, this.used);
    this.used = needed;
  }

  sync(): void {
    this.syncedBytes = this.used;
  }

  /** A copy of what was appended so far. */
  toBytes(): Uint8Array {
    return this.bytes.slice(0, this.used);
  }
}

export class MemorySource implements ByteSource {
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get length(): number {
    return this.bytes.length;
  }

  read(offset: number, length: number): Uint8Array {
    assert(offset >= 0 && length >= 0 && offset + length <= this.bytes.length, `read outside the source: ${offset} + ${length}`);
    return this.bytes.subarray(offset, offset + length);
  }
}

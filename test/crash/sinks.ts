/** Files that fail as disks do. */
import type { ByteSink } from '../../engine/log/storage.ts';

export type Operation = { readonly kind: 'append'; readonly bytes: Uint8Array } | { readonly kind: 'sync' };

/** Keeps what was done to it, so that a crash can be played at any later time. */
export class JournalSink implements ByteSink {
  readonly operations: Operation[] = [];

  append(bytes: Uint8Array): void {
    this.operations.push({ kind: 'append', bytes: bytes.slice() });
  }
  sync(): void {
    this.operations.push({ kind: 'sync' });
  }

  /** Bytes that were appended before operation `count`, and how many of them had been synced. */
  after(count: number): { readonly bytes: Uint8Array; readonly syncedBytes: number } {
    const appended: Uint8Array[] = [];
    let length = 0;
    let syncedBytes = 0;
    for (const operation of this.operations.slice(0, count)) {
      if (operation.kind === 'append') {
        appended.push(operation.bytes);
        length += operation.bytes.length;
      } else syncedBytes = length;
    }
    return { bytes: join(appended), syncedBytes };
  }
}

function join(pieces: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** Fails at one operation, counted from 0, and at all after it, as a full disk does; an append may leave some of its bytes. */
export class FailingSink implements ByteSink {
  private readonly failAt: number;
  private readonly partOf: number;
  private readonly pieces: Uint8Array[] = [];
  private count = 0;
  /** Operations that were tried after the failure. */
  triedAgain = 0;

  constructor(failAt: number, partOf = 0) {
    this.failAt = failAt;
    this.partOf = partOf;
  }

  append(bytes: Uint8Array): void {
    const fails = this.fails();
    this.pieces.push(fails ? bytes.slice(0, Math.floor(bytes.length * this.partOf)) : bytes.slice());
    if (fails) throw new Error('ENOSPC: no space left on device, write');
  }
  sync(): void {
    if (this.fails()) throw new Error('EIO: i/o error, fsync');
  }

  get operations(): number {
    return this.count;
  }
  toBytes(): Uint8Array {
    return join(this.pieces);
  }

  private fails(): boolean {
    const at = this.count++;
    if (at > this.failAt) this.triedAgain++;
    return at >= this.failAt;
  }
}

/** Bytes that go to the browser as they come: this process has no more than one piece of them. */
import type { ByteSink } from '../engine/log/storage.ts';

const PIECE_BYTES = 4 << 20;

export class BlobSink implements ByteSink {
  private readonly pieces: Blob[] = [];
  private readonly piece = new Uint8Array(PIECE_BYTES);
  private used = 0;

  append(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + PIECE_BYTES - this.used);
      this.piece.set(part, this.used);
      this.used += part.length;
      at += part.length;
      if (this.used === PIECE_BYTES) this.sync();
    }
  }
  sync(): void {
    if (this.used > 0) this.pieces.push(new Blob([this.piece.subarray(0, this.used)]));
    this.used = 0;
  }
  toBlob(): Blob {
    this.sync();
    return new Blob(this.pieces);
  }
}

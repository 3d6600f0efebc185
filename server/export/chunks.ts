/** Collects what is written until it is worth a system call. */
import type { ByteSink } from '../../engine/log/storage.ts';

const CHUNK_BYTES = 1 << 18;

export class ChunkedSink {
  private readonly sink: ByteSink;
  private readonly buffer = new Uint8Array(CHUNK_BYTES);
  private used = 0;
  private text = '';

  constructor(sink: ByteSink) {
    this.sink = sink;
  }

  bytes(bytes: Uint8Array): void {
    if (this.used + bytes.length > CHUNK_BYTES) this.flush();
    if (bytes.length > CHUNK_BYTES) {
      this.sink.append(bytes);
      return;
    }
    this.buffer.set(bytes, this.used);
    this.used += bytes.length;
  }

  /** Text and bytes are not mixed. */
  write(text: string): void {
    this.text += text;
    if (this.text.length >= CHUNK_BYTES) this.flush();
  }

  flush(): void {
    if (this.text !== '') this.sink.append(ENCODER.encode(this.text));
    this.text = '';
    if (this.used > 0) this.sink.append(this.buffer.subarray(0, this.used));
    this.used = 0;
  }
}

const ENCODER = new TextEncoder();

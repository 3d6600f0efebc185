/** Writes protocol buffers: the wire format, without schemas. Protocol Buffers documentation, "Encoding". */

export class ProtobufWriter {
  private bytes = new Uint8Array(256);
  private used = 0;

  get length(): number {
    return this.used;
  }

  /** Whole numbers from 0 to 2^53, or 64-bit ones; negative ones as two's complement of 64 bits. */
  varint(field: number, value: number | bigint): this {
    this.raw(field * 8);
    this.rawBig(value);
    return this;
  }

  string(field: number, text: string): this {
    return this.delimited(field, ENCODER.encode(text));
  }

  message(field: number, message: ProtobufWriter): this {
    return this.delimited(field, message.view());
  }

  /** Repeated numbers, packed. */
  packed(field: number, values: readonly (number | bigint)[]): this {
    const inner = new ProtobufWriter();
    for (const value of values) inner.rawBig(value);
    return this.message(field, inner);
  }

  delimited(field: number, bytes: Uint8Array): this {
    this.raw(field * 8 + 2);
    this.raw(bytes.length);
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.used);
    this.used += bytes.length;
    return this;
  }

  /** What was written so far; valid until the next write. */
  view(): Uint8Array {
    return this.bytes.subarray(0, this.used);
  }

  clear(): void {
    this.used = 0;
  }

  private rawBig(value: number | bigint): void {
    if (typeof value === 'number' && value >= 0) {
      this.raw(value);
      return;
    }
    let rest = BigInt.asUintN(64, BigInt(value));
    while (rest > 0x7fn) {
      this.byte(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    this.byte(Number(rest));
  }

  private raw(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      this.byte((rest % 128) | 0x80);
      rest = Math.floor(rest / 128);
    }
    this.byte(rest);
  }

  private byte(value: number): void {
    if (this.used === this.bytes.length) this.reserve(1);
    this.bytes[this.used++] = value;
  }

  private reserve(more: number): void {
    if (this.used + more <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(this.used + more, this.bytes.length * 2));
    larger.set(this.bytes.subarray(0, this.used));
    this.bytes = larger;
  }
}

const ENCODER = new TextEncoder();

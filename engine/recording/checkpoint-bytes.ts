/** Numbers and byte strings of checkpoints: twins, ByteOut grows as needed, ByteIn throws CheckpointError for what does not fit. */
import { CheckpointError } from './checkpoint-errors.ts';

const TWO_32 = 0x1_0000_0000;

export class ByteOut {
  length = 0;
  private bytes = new Uint8Array(4096);
  private view = new DataView(this.bytes.buffer);

  private room(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.length + count));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
    this.view = new DataView(larger.buffer);
  }

  u8(value: number): void {
    this.room(1);
    this.bytes[this.length++] = value;
  }
  u32(value: number): void {
    this.room(4);
    this.view.setUint32(this.length, value, true);
    this.length += 4;
  }
  f64(value: number): void {
    this.room(8);
    this.view.setFloat64(this.length, value, true);
    this.length += 8;
  }
  /** LEB128 of a safe unsigned integer. */
  varint(value: number): void {
    this.room(8);
    while (value > 0x7f) {
      this.bytes[this.length++] = (value % 128) | 0x80;
      value = Math.floor(value / 128);
    }
    this.bytes[this.length++] = value;
  }
  raw(bytes: Uint8Array): void {
    this.room(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }
  /** With its length. */
  block(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.raw(bytes);
  }
  /** Ascending numbers: how many, then the distance of each from the one before. */
  ascending(numbers: Uint32Array): void {
    this.varint(numbers.length);
    let before = 0;
    for (const number of numbers) {
      this.varint(number - before);
      before = number;
    }
  }
  taken(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }
}

export class ByteIn {
  at = 0;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  private need(count: number): void {
    if (!(count <= this.bytes.length - this.at)) throw new CheckpointError('damaged', `a record goes past its end, at byte ${this.at} of ${this.bytes.length}`);
  }
  u8(): number {
    this.need(1);
    return this.bytes[this.at++];
  }
  u32(): number {
    this.need(4);
    this.at += 4;
    return this.view.getUint32(this.at - 4, true);
  }
  f64(): number {
    this.need(8);
    this.at += 8;
    return this.view.getFloat64(this.at - 8, true);
  }
  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (!Number.isSafeInteger(value)) throw new CheckpointError('damaged', `a number is too large, at byte ${this.at}`);
      if (byte < 0x80) return value;
    }
  }
  varintU32(): number {
    const value = this.varint();
    if (value >= TWO_32) throw new CheckpointError('damaged', `a number is larger than 32 bits, at byte ${this.at}`);
    return value;
  }
  /** A view. */
  raw(length: number): Uint8Array {
    this.need(length);
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
  block(): Uint8Array {
    return this.raw(this.varint());
  }
  ascending(): Uint32Array {
    const count = this.varint();
    this.need(count);
    const numbers = new Uint32Array(count);
    let before = 0;
    for (let i = 0; i < count; i++) {
      before += this.varintU32();
      numbers[i] = before;
    }
    return numbers;
  }
}

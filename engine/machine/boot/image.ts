/** A bounds-checked little-endian reader of an image; every read outside it is the error `image-truncated`. */
import { BootError } from './errors.ts';

export class Image {
  /** What messages call it: "the kernel", a file name. */
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(name: string, bytes: Uint8Array) {
    this.name = name;
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get size(): number {
    return this.bytes.length;
  }

  /** Throws unless `length` bytes at `offset` are in the image; `what` is the part that needs them. */
  require(offset: number, length: number, what: string): void {
    if (!(offset >= 0 && length >= 0 && offset + length <= this.bytes.length)) {
      throw new BootError('image-truncated', {
        image: this.name,
        what,
        from: offset,
        to: offset + length,
        size: this.bytes.length,
      });
    }
  }

  u8(offset: number, what: string): number {
    this.require(offset, 1, what);
    return this.#view.getUint8(offset);
  }

  u16(offset: number, what: string): number {
    this.require(offset, 2, what);
    return this.#view.getUint16(offset, true);
  }

  u32(offset: number, what: string): number {
    this.require(offset, 4, what);
    return this.#view.getUint32(offset, true);
  }

  u64(offset: number, what: string): bigint {
    this.require(offset, 8, what);
    return this.#view.getBigUint64(offset, true);
  }

  /** A view of a part, not a copy. */
  slice(offset: number, length: number, what: string): Uint8Array {
    this.require(offset, length, what);
    return this.bytes.subarray(offset, offset + length);
  }

  startsWith(magic: readonly number[], offset = 0): boolean {
    return magic.every((byte, index) => this.bytes[offset + index] === byte);
  }
}

/** Reads DWARF's encodings. Whatever is read outside the bytes is a SymbolError. DWARF 5, sections 7.4 and 7.6. */
import { SymbolError, textAt } from '../machine/boot/elf-sections.ts';

export class DwarfReader {
  readonly bytes: Uint8Array;
  at: number;
  private readonly end: number;
  private readonly view: DataView;
  private readonly what: string;

  /** From `at` to `end` of a section that messages call `what`. */
  constructor(bytes: Uint8Array, what: string, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.what = what;
    this.at = at;
    this.end = end;
    if (!(at >= 0 && at <= end && end <= bytes.length)) throw this.outside(at);
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.end - this.at;
  }

  u8(): number {
    return this.view.getUint8(this.take(1));
  }
  s8(): number {
    return this.view.getInt8(this.take(1));
  }
  u16(): number {
    return this.view.getUint16(this.take(2), true);
  }
  u24(): number {
    const at = this.take(3);
    return this.view.getUint16(at, true) | (this.view.getUint8(at + 2) << 16);
  }
  u32(): number {
    return this.view.getUint32(this.take(4), true);
  }
  u64(): bigint {
    return this.view.getBigUint64(this.take(8), true);
  }
  /** An offset or a length of 4 or 8 bytes. One beyond 2^53 is outside of every file, and stays so. */
  offset(bytes: 4 | 8): number {
    return bytes === 4 ? this.u32() : Number(this.u64());
  }
  address(bytes: number): bigint {
    switch (bytes) {
      case 1:
        return BigInt(this.u8());
      case 2:
        return BigInt(this.u16());
      case 4:
        return BigInt(this.u32());
      case 8:
        return this.u64();
      default:
        throw new SymbolError(`${this.what} is damaged: an address of ${bytes} bytes`);
    }
  }
  /** Unsigned LEB128. What does not fit a number exactly is 2^53 or more. */
  uleb(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 127) * scale;
      if (byte < 128) return Math.min(value, Number.MAX_SAFE_INTEGER + 1);
    }
  }
  sleb(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 127) * scale;
      if (byte >= 128) continue;
      if ((byte & 64) !== 0) value -= scale * 128;
      return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(value, Number.MAX_SAFE_INTEGER));
    }
  }
  text(): string {
    const from = this.at;
    const nul = this.bytes.indexOf(0, from);
    if (nul < 0 || nul >= this.end) throw this.outside(this.end);
    this.at = nul + 1;
    return textAt(this.bytes, from);
  }
  skip(bytes: number): void {
    this.take(bytes);
  }

  /** The length of a unit and the size of its offsets; the reader of the unit's rest. DWARF 5, 7.4. */
  unit(): { readonly offsetBytes: 4 | 8; readonly rest: DwarfReader } {
    let length = this.u32();
    const isLong = length === 0xffff_ffff;
    if (isLong) length = Number(this.u64());
    else if (length >= 0xffff_fff0) throw new SymbolError(`${this.what} is damaged: a unit of length 0x${length.toString(16)}`);
    const from = this.take(length);
    return { offsetBytes: isLong ? 8 : 4, rest: new DwarfReader(this.bytes, this.what, from, from + length) };
  }

  private take(bytes: number): number {
    const { at } = this;
    if (!(bytes >= 0 && bytes <= this.end - at)) throw this.outside(at);
    this.at = at + bytes;
    return at;
  }

  private outside(at: number): SymbolError {
    return new SymbolError(`${this.what} is truncated or damaged at byte ${at}`);
  }
}

/** Machine code with labels: just enough of an assembler for guests that are drawn by a test. All addresses are below 2 GiB. */

/** A place in the code, by name. */
export type Label = string;

type Fixup = { readonly at: number; readonly label: Label; readonly kind: 'rel8' | 'rel32' | 'abs32' };

export class Assembler {
  readonly base: number;
  private readonly bytes: number[] = [];
  private readonly labels = new Map<Label, number>();
  private readonly fixups: Fixup[] = [];

  constructor(base: number) {
    this.base = base;
  }

  /** Address of the next byte. */
  get here(): number {
    return this.base + this.bytes.length;
  }

  emit(...bytes: readonly number[]): this {
    for (const byte of bytes) this.bytes.push(byte & 0xff);
    return this;
  }
  word(value: number): this {
    return this.emit(value, value >>> 8, value >>> 16, value >>> 24);
  }
  quad(value: number): this {
    return this.word(value).word(Math.floor(value / 2 ** 32));
  }
  big(value: bigint): this {
    for (let i = 0n; i < 8n; i++) this.emit(Number((value >> (8n * i)) & 0xffn));
    return this;
  }

  label(name: Label): this {
    if (this.labels.has(name)) throw new Error(`two labels are named ${name}`);
    this.labels.set(name, this.here);
    return this;
  }
  /** A displacement from the end of these bytes. */
  rel8(label: Label): this {
    this.fixups.push({ at: this.bytes.length, label, kind: 'rel8' });
    return this.emit(0);
  }
  rel32(label: Label): this {
    this.fixups.push({ at: this.bytes.length, label, kind: 'rel32' });
    return this.word(0);
  }
  abs32(label: Label): this {
    this.fixups.push({ at: this.bytes.length, label, kind: 'abs32' });
    return this.word(0);
  }

  /** Zeros up to an address. */
  padTo(address: number): this {
    if (this.here > address) throw new Error(`code of ${this.bytes.length} bytes runs over 0x${address.toString(16)}`);
    while (this.here < address) this.bytes.push(0);
    return this;
  }

  addressOf(label: Label): number {
    const address = this.labels.get(label);
    if (address === undefined) throw new Error(`there is no label ${label}`);
    return address;
  }

  finish(): Uint8Array {
    const out = Uint8Array.from(this.bytes);
    const view = new DataView(out.buffer);
    for (const { at, label, kind } of this.fixups) {
      const target = this.addressOf(label);
      if (kind === 'abs32') view.setUint32(at, target, true);
      else if (kind === 'rel32') view.setInt32(at, target - (this.base + at + 4), true);
      else {
        const distance = target - (this.base + at + 1);
        if (distance < -128 || distance > 127) throw new Error(`${label} is too far for a short jump`);
        view.setInt8(at, distance);
      }
    }
    return out;
  }
}

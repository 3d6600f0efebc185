/** The last bytes of a console: who reads later, or slowly, is told which are gone. */
export class ConsoleRing {
  private readonly bytes: Uint8Array;
  /** Bytes since power-on. */
  end = 0;

  constructor(bytesMax: number) {
    this.bytes = new Uint8Array(bytesMax);
  }

  /** Number of the first byte that is kept. */
  get begin(): number {
    return Math.max(0, this.end - this.bytes.length);
  }

  push(bytes: Uint8Array): void {
    const { length } = this.bytes;
    const kept = bytes.subarray(Math.max(0, bytes.length - length));
    const at = (this.end + bytes.length - kept.length) % length;
    const head = Math.min(kept.length, length - at);
    this.bytes.set(kept.subarray(0, head), at);
    this.bytes.set(kept.subarray(head), 0);
    this.end += bytes.length;
  }

  /** A copy of those from number `from` on, at most `bytesMax`. `from` is kept. */
  read(from: number, bytesMax: number): Uint8Array {
    if (from < this.begin || from > this.end) throw new RangeError(`the console has bytes ${this.begin} to ${this.end}, not ${from}`);
    const out = new Uint8Array(Math.min(bytesMax, this.end - from));
    const { length } = this.bytes;
    const at = from % length;
    const head = Math.min(out.length, length - at);
    out.set(this.bytes.subarray(at, at + head));
    out.set(this.bytes.subarray(0, out.length - head), head);
    return out;
  }
}

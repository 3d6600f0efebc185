/**
 * The framing of the Debug Adapter Protocol ("Base Protocol"): header lines that end with CR LF, an empty line, then so many bytes of JSON in UTF-8.
 *
 *     Content-Length: 119\r\n\r\n{"seq":1, ...}
 */

/** Bytes of a message at most; longer ones are passed over. */
export const MESSAGE_BYTES_MAX = 4 << 20;
/** Bytes of the header lines at most. */
const HEADER_BYTES_MAX = 4096;

export type Frame =
  | { readonly kind: 'message'; readonly value: unknown }
  /** What is no message: passed over, and told. */
  | { readonly kind: 'bad'; readonly reason: string };

export function encodeMessage(value: object): Buffer {
  const body = Buffer.from(JSON.stringify(value), 'utf8');
  return Buffer.concat([Buffer.from(`Content-Length: ${body.length}\r\n\r\n`, 'latin1'), body]);
}

/** Takes bytes in pieces of any size. */
export class MessageDecoder {
  private header = Buffer.alloc(0);
  private body: Buffer[] = [];
  /** Of the body, bytes that are still to come; undefined: the header is. */
  private missing: number | undefined;
  private isSkipped = false;

  *push(bytes: Uint8Array): Generator<Frame> {
    let rest = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    while (rest.length > 0) {
      if (this.missing !== undefined) {
        const part = rest.subarray(0, this.missing);
        rest = rest.subarray(part.length);
        this.missing -= part.length;
        if (!this.isSkipped) this.body.push(part);
        if (this.missing === 0) yield* this.finished();
        continue;
      }
      const known = this.header.length;
      this.header = Buffer.concat([this.header, rest]);
      const end = this.header.indexOf('\r\n\r\n');
      if (end < 0) {
        rest = rest.subarray(rest.length);
        if (this.header.length <= HEADER_BYTES_MAX) continue;
        // Noise: what may be the beginning of a header is kept.
        yield { kind: 'bad', reason: `${this.header.length} bytes without the end of a header` };
        this.header = Buffer.from(this.header.subarray(this.header.length - 3));
        continue;
      }
      rest = rest.subarray(end + 4 - known);
      const text = this.header.subarray(0, end).toString('latin1');
      this.header = Buffer.alloc(0);
      const match = /(?:^|\n)Content-Length: *(\d{1,15})\r?(?:\n|$)/i.exec(text);
      if (match === null) {
        yield { kind: 'bad', reason: 'a header without Content-Length' };
        continue;
      }
      const length = Number(match[1]);
      this.isSkipped = length > MESSAGE_BYTES_MAX;
      if (this.isSkipped) yield { kind: 'bad', reason: `a message of ${length} bytes; ${MESSAGE_BYTES_MAX} are allowed` };
      this.missing = length;
      if (length === 0) yield* this.finished();
    }
  }

  private *finished(): Generator<Frame> {
    this.missing = undefined;
    const text = Buffer.concat(this.body).toString('utf8');
    this.body = [];
    if (this.isSkipped) return;
    try {
      yield { kind: 'message', value: JSON.parse(text) as unknown };
    } catch {
      yield { kind: 'bad', reason: 'a message that is no JSON' };
    }
  }
}

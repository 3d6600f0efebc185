/**
 * The framing of gdb's remote protocol: `$data#cs`, acknowledgements, and the byte 0x03 that interrupts (GDB manual, appendix E, "Overview").
 * Bytes are characters U+0000 to U+00FF of a string, as in Latin-1.
 */

/** Characters of a packet's data at most, as they are on the wire. gdb is told so (`PacketSize`). */
export const PACKET_SIZE = 0x4000;

export type Frame =
  | { readonly kind: 'packet'; readonly data: string }
  | { readonly kind: 'ack' | 'nak' | 'interrupt' }
  /** A wrong checksum, an escape with nothing after it, or more than PACKET_SIZE. */
  | { readonly kind: 'bad'; readonly reason: 'checksum' | 'escape' | 'size' };

const ESCAPE = 0x7d;
const ESCAPED = /[#$}*]/g;

/** The sum of the characters modulo 256, two hexadecimal digits. */
export function checksum(wire: string): string {
  let sum = 0;
  for (let i = 0; i < wire.length; i++) sum += wire.charCodeAt(i);
  return (sum & 0xff).toString(16).padStart(2, '0');
}

export function encodePacket(data: string): string {
  const wire = data.replace(ESCAPED, (character) => `}${String.fromCharCode(character.charCodeAt(0) ^ 0x20)}`);
  return `$${wire}#${checksum(wire)}`;
}

/** Takes bytes in pieces of any size; keeps PACKET_SIZE of them at most. */
export class PacketDecoder {
  private state: 'between' | 'data' | 'digit-1' | 'digit-2' = 'between';
  private wire: number[] = [];
  private sum = 0;
  private isOversized = false;
  private digit = '';

  *push(bytes: Uint8Array): Generator<Frame> {
    for (const byte of bytes) {
      switch (this.state) {
        case 'between':
          // What is no frame is noise on the line, and passed over.
          if (byte === 0x24) this.begin();
          else if (byte === 0x2b) yield { kind: 'ack' };
          else if (byte === 0x2d) yield { kind: 'nak' };
          else if (byte === 0x03) yield { kind: 'interrupt' };
          break;
        case 'data':
          if (byte === 0x23) this.state = 'digit-1';
          // `$` is escaped in data: this is a new packet, and the one before it was cut off.
          else if (byte === 0x24) this.begin();
          else {
            this.sum = (this.sum + byte) & 0xff;
            if (this.wire.length < PACKET_SIZE) this.wire.push(byte);
            else this.isOversized = true;
          }
          break;
        case 'digit-1':
          this.digit = String.fromCharCode(byte);
          this.state = 'digit-2';
          break;
        case 'digit-2':
          this.state = 'between';
          yield this.finished(this.digit + String.fromCharCode(byte));
      }
    }
  }

  private begin(): void {
    this.state = 'data';
    this.wire = [];
    this.sum = 0;
    this.isOversized = false;
  }

  private finished(digits: string): Frame {
    const { wire } = this;
    this.wire = [];
    if (!/^[0-9a-fA-F]{2}$/.test(digits) || parseInt(digits, 16) !== this.sum) return { kind: 'bad', reason: 'checksum' };
    if (this.isOversized) return { kind: 'bad', reason: 'size' };
    let data = '';
    for (let i = 0; i < wire.length; i++) {
      if (wire[i] !== ESCAPE) data += String.fromCharCode(wire[i]);
      else if (++i < wire.length) data += String.fromCharCode(wire[i] ^ 0x20);
      else return { kind: 'bad', reason: 'escape' };
    }
    return { kind: 'packet', data };
  }
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

export function textToHex(text: string): string {
  return Buffer.from(text, 'utf8').toString('hex');
}

/** Undefined if it is no hexadecimal text. */
export function hexToText(hex: string): string | undefined {
  return /^([0-9a-f]{2})*$/i.test(hex) ? Buffer.from(hex, 'hex').toString('utf8') : undefined;
}

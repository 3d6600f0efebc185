/**
 * Console bytes of a live run as a binary message: which they are, and they.
 *
 *     u8 1 | 7 zeros | f64 number of the first byte since power-on, little-endian | bytes
 */
const KIND_CONSOLE = 1;
export const CONSOLE_FRAME_HEAD_BYTES = 16;

export interface ConsoleFrame {
  /** Number of the first byte since power-on. */
  readonly from: number;
  readonly bytes: Uint8Array;
}

export function encodeConsoleFrame({ from, bytes }: ConsoleFrame): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(CONSOLE_FRAME_HEAD_BYTES + bytes.length);
  out[0] = KIND_CONSOLE;
  new DataView(out.buffer).setFloat64(8, from, true);
  out.set(bytes, CONSOLE_FRAME_HEAD_BYTES);
  return out;
}

/** Undefined: it is no such message. */
export function decodeConsoleFrame(message: Uint8Array): ConsoleFrame | undefined {
  if (message.length < CONSOLE_FRAME_HEAD_BYTES || message[0] !== KIND_CONSOLE) return undefined;
  const from = new DataView(message.buffer, message.byteOffset).getFloat64(8, true);
  return Number.isSafeInteger(from) && from >= 0 ? { from, bytes: message.subarray(CONSOLE_FRAME_HEAD_BYTES) } : undefined;
}

/** RFC 4648, section 4, without line breaks: bytes inside a page. */
const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
/** Of digits as ASCII. */
const CODES = Uint8Array.from(DIGITS, (digit) => digit.charCodeAt(0));
const VALUES = new Int8Array(128).fill(-1);
for (let i = 0; i < 64; i++) VALUES[CODES[i]] = i;
const PAD = 61;
/** Bytes of one piece of text; a multiple of 3, so that pieces can be put one after the other. */
const PIECE_BYTES = 3 << 18;

const decoder = new TextDecoder();

/** In pieces: a text has a greatest length. */
export function* base64Pieces(bytes: Uint8Array): Generator<string> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield base64(bytes.subarray(at, at + PIECE_BYTES));
}

function base64(bytes: Uint8Array): string {
  const text = new Uint8Array(Math.ceil(bytes.length / 3) * 4);
  let out = 0;
  for (let i = 0; i < bytes.length; i += 3) {
    const b = bytes[i + 1] ?? 0;
    const c = bytes[i + 2] ?? 0;
    text[out++] = CODES[bytes[i] >> 2];
    text[out++] = CODES[((bytes[i] & 3) << 4) | (b >> 4)];
    text[out++] = i + 1 < bytes.length ? CODES[((b & 15) << 2) | (c >> 6)] : PAD;
    text[out++] = i + 2 < bytes.length ? CODES[c & 63] : PAD;
  }
  return decoder.decode(text);
}

/** Undefined: it is not base64. Blanks around it are passed over. */
export function bytesOfBase64(given: string): Uint8Array | undefined {
  const text = given.trim();
  if (text.length % 4 !== 0) return undefined;
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  let bits = 0;
  let count = 0;
  let out = 0;
  for (let i = 0; i < text.length - padding; i++) {
    const value = VALUES[text.charCodeAt(i)] ?? -1;
    if (value < 0) return undefined;
    bits = (bits << 6) | value;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes[out++] = (bits >> count) & 255;
    bits &= (1 << count) - 1;
  }
  return bytes;
}

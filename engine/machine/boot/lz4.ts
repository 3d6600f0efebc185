/**
 * LZ4 in the "legacy" frame, which is how Linux packs its kernel with CONFIG_KERNEL_LZ4 (`lz4 -l`).
 *
 * Source: lz4 doc/lz4_Frame_format.md, "Legacy frame", and doc/lz4_Block_format.md. The frame is the magic 0x184c2102 and then
 * blocks: a 32-bit size and so many compressed bytes, which give 8 MiB each, the last one less. Blocks do not refer to
 * each other. There is no checksum.
 *
 * Block: sequences of a token (high nibble literal count, low nibble match length - 4; 15 means that bytes follow which are
 * added up until one is not 255), literals, a 16-bit distance, a match. The last sequence has literals only.
 */

export const LZ4_LEGACY_MAGIC: readonly number[] = [0x02, 0x21, 0x4c, 0x18];
/** What every block but the last unpacks to, bytes. */
export const LZ4_LEGACY_BLOCK_SIZE = 8 << 20;

/** What is wrong with compressed data. Callers turn it into an error of their own. */
export class Lz4Error extends Error {}

/**
 * Unpacks a legacy frame that gives exactly `outputSize` bytes. Input after the last block that is needed is not looked at
 * (Linux appends the unpacked size there).
 */
export function decodeLz4Legacy(input: Uint8Array, outputSize: number): Uint8Array {
  if (LZ4_LEGACY_MAGIC.some((byte, index) => input[index] !== byte)) throw new Lz4Error('no LZ4 legacy magic');
  const output = new Uint8Array(outputSize);
  let from = LZ4_LEGACY_MAGIC.length;
  let to = 0;
  while (to < outputSize) {
    if (from + 4 > input.length) throw new Lz4Error(`the input ends after ${to} of ${outputSize} bytes`);
    const size =
      (input[from] | (input[from + 1] << 8) | (input[from + 2] << 16) | (input[from + 3] << 24)) >>> 0;
    from += 4;
    if (size === 0 || from + size > input.length) throw new Lz4Error(`a block of ${size} bytes at byte ${from}`);
    const limit = Math.min(outputSize, to + LZ4_LEGACY_BLOCK_SIZE);
    const end = decodeLz4Block(input, from, from + size, output, to, limit);
    if (end !== limit) throw new Lz4Error(`the block at byte ${from} gives ${end - to} bytes, not ${limit - to}`);
    from += size;
    to = end;
  }
  return output;
}

/** Unpacks input[from, fromEnd) into output[to, toLimit), and returns where the output ends. Writes nothing outside it. Throws Lz4Error. */
export function decodeLz4Block(
  input: Uint8Array,
  from: number,
  fromEnd: number,
  output: Uint8Array,
  to: number,
  toLimit: number,
): number {
  const start = to;
  const source = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const target = new DataView(output.buffer, output.byteOffset, output.byteLength);
  // Copies of four bytes at a time may write up to three too many, which are written again.
  const roomTo = toLimit - 4;
  const roomFrom = fromEnd - 4;
  while (from < fromEnd) {
    const token = input[from++];
    let literals = token >>> 4;
    if (literals === 15) {
      let more = 255;
      while (more === 255) {
        if (from >= fromEnd) throw new Lz4Error(`a literal length ends outside the block, at byte ${from}`);
        more = input[from++];
        literals += more;
      }
    }
    if (literals > fromEnd - from) throw new Lz4Error(`literals end outside the block, at byte ${from}`);
    if (literals > toLimit - to) throw new Lz4Error(`more output than expected, at byte ${from}`);
    // Short copies are faster without a call.
    if (literals >= 256) {
      output.set(input.subarray(from, from + literals), to);
    } else if (to + literals <= roomTo && from + literals <= roomFrom) {
      for (let index = 0; index < literals; index += 4) target.setInt32(to + index, source.getInt32(from + index, true), true);
    } else {
      for (let index = 0; index < literals; index++) output[to + index] = input[from + index];
    }
    from += literals;
    to += literals;
    if (from === fromEnd) return to;

    if (from + 2 > fromEnd) throw new Lz4Error(`a distance ends outside the block, at byte ${from}`);
    const distance = input[from] | (input[from + 1] << 8);
    from += 2;
    if (distance === 0 || distance > to - start) throw new Lz4Error(`a match ${distance} bytes back, at byte ${from}`);
    let length = (token & 15) + 4;
    if (length === 19) {
      let more = 255;
      while (more === 255) {
        if (from >= fromEnd) throw new Lz4Error(`a match length ends outside the block, at byte ${from}`);
        more = input[from++];
        length += more;
      }
    }
    if (length > toLimit - to) throw new Lz4Error(`more output than expected, at byte ${from}`);
    const end = to + length;
    if (distance >= length && length >= 128) {
      output.copyWithin(to, to - distance, to - distance + length);
    } else if (distance === 1 && length >= 64) {
      output.fill(output[to - 1], to, end);
    } else if (distance >= 4 && end <= roomTo) {
      for (let at = to; at < end; at += 4) target.setInt32(at, target.getInt32(at - distance, true), true);
    } else {
      // A match may overlap what it writes: byte by byte repeats a pattern.
      for (let at = to; at < end; at++) output[at] = output[at - distance];
    }
    to = end;
  }
  throw new Lz4Error('the block does not end with literals');
}

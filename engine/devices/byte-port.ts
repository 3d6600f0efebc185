/**
 * The rule for accesses wider than a register, on devices whose registers are 8 bits wide: a write of 2 or 4 bytes
 * writes its low byte to the addressed register, a read gives the register in the low byte and ones above it. (An ISA
 * bus would split the access over the following ports; no guest relies on that.)
 */

/** The value of a read of `size` bytes (1, 2 or 4) whose low byte is `byte`; unsigned. */
export function widenByte(byte: number, size: number): number {
  if (size === 1) return byte;
  return size === 2 ? 0xff00 | byte : (0xffffff00 | byte) >>> 0;
}

/** All ones in `size` bytes (1, 2 or 4): what a port or register that nobody decodes reads as; unsigned. */
export function allOnes(size: number): number {
  return size === 1 ? 0xff : size === 2 ? 0xffff : 0xffffffff;
}

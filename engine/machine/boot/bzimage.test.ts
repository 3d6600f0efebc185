import { describe, expect, it } from 'vitest';
import { extractKernel, KERNEL_SIZE_MAX, parseBzImage } from './bzimage.ts';
import { BootError, type BootErrorCode } from './errors.ts';
import { buildBzImage, buildElf, frameLz4, packLz4 } from './testing.ts';

function codeOf(action: () => unknown): BootErrorCode | undefined {
  try {
    action();
  } catch (error) {
    if (error instanceof BootError) return error.code;
    throw error;
  }
  return undefined;
}

describe('bzImage', () => {
  it('reads the setup header and takes the ELF out of an LZ4 payload', () => {
    const elf = buildElf();
    const bzImage = parseBzImage(buildBzImage({ payload: packLz4(elf) }));
    expect(bzImage).toMatchObject({
      protocol: 0x20f,
      setupSize: 1024,
      headerEnd: 0x26c,
      relocatable: true,
      preferredAddress: 0x1000000,
      alignment: 0x200000,
      commandLineMax: 2047,
      compression: 'lz4',
    });
    expect(extractKernel(bzImage)).toEqual({ kind: 'elf', compression: 'lz4', bytes: elf });
  });

  it('takes an unpacked ELF as it is', () => {
    const elf = buildElf();
    expect(extractKernel(parseBzImage(buildBzImage({ payload: elf })))).toMatchObject({ compression: 'none', bytes: elf });
  });

  it('hands other formats to the decompressor that it is given', () => {
    const elf = buildElf();
    const packed = new Uint8Array(16);
    packed.set([0x28, 0xb5, 0x2f, 0xfd]);
    new DataView(packed.buffer).setUint32(12, elf.length, true);
    const bzImage = parseBzImage(buildBzImage({ payload: packed }));
    expect(extractKernel(bzImage)).toEqual({ kind: 'unsupported', compression: 'zstd' });
    expect(extractKernel(bzImage, () => undefined)).toEqual({ kind: 'unsupported', compression: 'zstd' });
    const extraction = extractKernel(bzImage, (kind, bytes, size) => {
      expect([kind, bytes.length, size]).toEqual(['zstd', 12, elf.length]);
      return elf;
    });
    expect(extraction).toEqual({ kind: 'elf', compression: 'zstd', bytes: elf });
    const failing = (): never => {
      throw new RangeError('bad frame');
    };
    expect(codeOf(() => extractKernel(bzImage, failing))).toBe('payload-corrupt');
  });

  it('refuses 16-bit and 32-bit kernels', () => {
    expect(codeOf(() => parseBzImage(buildBzImage({ loadFlags: 0 })))).toBe('kernel-16-bit');
    expect(codeOf(() => parseBzImage(buildBzImage({ protocol: 0x20b })))).toBe('kernel-32-bit');
    expect(codeOf(() => parseBzImage(buildBzImage({ extendedLoadFlags: 0 })))).toBe('kernel-32-bit');
  });

  it('refuses damaged payloads', () => {
    const extract = (payload: Uint8Array): unknown => extractKernel(parseBzImage(buildBzImage({ payload })));
    expect(codeOf(() => extract(packLz4(new Uint8Array(100))))).toBe('payload-corrupt');
    expect(codeOf(() => extract(frameLz4([], 100)))).toBe('payload-corrupt');
    expect(codeOf(() => extract(frameLz4([], KERNEL_SIZE_MAX + 1)))).toBe('payload-too-large');
  });

  it('gives BootError and nothing else when cut off anywhere', () => {
    const file = buildBzImage();
    const needed = 2048 + parseBzImage(file).payload.length;
    for (let length = 0; length < needed; length++) {
      expect(codeOf(() => parseBzImage(file.subarray(0, length))), `${length} bytes`).toMatch(/^(image-truncated|kernel-16-bit)$/);
    }
  });
});

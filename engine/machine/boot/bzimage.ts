/**
 * A Linux bzImage: the setup header, and the ELF kernel packed inside.
 *
 * Source: Linux Documentation/x86/boot.rst (protocol 2.15). The file is a boot sector and setup code of (setup_sects + 1) * 512
 * bytes with the setup header at 0x1f1, then the protected-mode part: the kernel's own decompressor with the packed ELF at
 * payload_offset. Taking the ELF out spares the guest 100 million instructions and more.
 */
import { BootError, hex } from './errors.ts';
import { isElf } from './elf.ts';
import { Image } from './image.ts';
import { decodeLz4Legacy, LZ4_LEGACY_MAGIC, Lz4Error } from './lz4.ts';
import { decodeXz, XZ_MAGIC, XzError } from './xz.ts';

export interface BzImage {
  readonly image: Image;
  /** Boot protocol, 0x20f for 2.15. */
  readonly protocol: number;
  /** Bytes before the protected-mode part. */
  readonly setupSize: number;
  /** First byte after the setup header (0x202 + the byte at 0x201). */
  readonly headerEnd: number;
  readonly loadFlags: number;
  readonly extendedLoadFlags: number;
  readonly relocatable: boolean;
  /** Physical address the kernel wants, and alignment if it is moved, bytes. */
  readonly preferredAddress: number;
  readonly alignment: number;
  /** Bytes of memory from the load address on that the kernel uses before it knows the memory map. */
  readonly initSize: number;
  /** The highest address an initrd may occupy. */
  readonly initrdAddressMax: number;
  /** Longest command line without its NUL, bytes. */
  readonly commandLineMax: number;
  /** The packed kernel, as it stands in the file. */
  readonly payload: Uint8Array;
  readonly compression: PayloadCompression;
}

export type PayloadCompression = 'none' | 'lz4' | 'xz' | 'gzip' | 'bzip2' | 'lzma' | 'lzo' | 'zstd' | 'unknown';

/**
 * Unpacks a format that the engine itself does not know. `size` is the expected size of the result, bytes. Gives undefined
 * for a format it does not know either; throws on damaged data. It must be a pure function.
 */
export type Decompress = (kind: PayloadCompression, packed: Uint8Array, size: number) => Uint8Array | undefined;

export type Extraction =
  | { readonly kind: 'elf'; readonly compression: PayloadCompression; readonly bytes: Uint8Array }
  | { readonly kind: 'unsupported'; readonly compression: PayloadCompression };

// Offsets in the file (boot.rst, "The Real-Mode Kernel Header").
const SETUP_SECTS = 0x1f1;
const SYSSIZE = 0x1f4;
const BOOT_FLAG = 0x1fe;
const JUMP = 0x200;
const HEADER = 0x202;
const VERSION = 0x206;
const LOADFLAGS = 0x211;
const INITRD_ADDR_MAX = 0x22c;
const KERNEL_ALIGNMENT = 0x230;
const RELOCATABLE_KERNEL = 0x234;
const XLOADFLAGS = 0x236;
const CMDLINE_SIZE = 0x238;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;
const PREF_ADDRESS = 0x258;
const INIT_SIZE = 0x260;

/** "HdrS" */
const HEADER_MAGIC: readonly number[] = [0x48, 0x64, 0x72, 0x53];
const LOADED_HIGH = 1;
const XLF_KERNEL_64 = 1;
/** Protocol 2.12 (Linux 3.8) has xloadflags, hence tells whether there is a 64-bit entry point. */
const PROTOCOL_MIN = 0x20c;

/** A kernel larger than this is a damaged image: Debian's full kernel is 66 MB. */
export const KERNEL_SIZE_MAX = 512 << 20;

const MAGICS: readonly (readonly [PayloadCompression, readonly number[]])[] = [
  ['none', [0x7f, 0x45, 0x4c, 0x46]],
  ['lz4', LZ4_LEGACY_MAGIC],
  ['xz', XZ_MAGIC],
  ['gzip', [0x1f, 0x8b]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['lzma', [0x5d, 0x00, 0x00]],
  ['lzo', [0x89, 0x4c, 0x5a, 0x4f]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
];

/** Whether the image has a Linux setup header. */
export function isBzImage(bytes: Uint8Array): boolean {
  return hasBootFlag(bytes) && HEADER_MAGIC.every((byte, index) => bytes[HEADER + index] === byte);
}

/** Whether the image begins with a boot sector of any kind, which firmware would start in 16-bit mode. */
export function hasBootFlag(bytes: Uint8Array): boolean {
  return bytes[BOOT_FLAG] === 0x55 && bytes[BOOT_FLAG + 1] === 0xaa;
}

export function parseBzImage(bytes: Uint8Array, name = 'the kernel'): BzImage {
  const image = new Image(name, bytes);
  const header = 'the setup header';
  image.require(SETUP_SECTS, HEADER + 4 - SETUP_SECTS, header);
  if (!isBzImage(bytes)) {
    throw new BootError('kernel-16-bit', { image: name, why: 'a boot sector without a Linux setup header' });
  }
  const protocol = image.u16(VERSION, header);
  const loadFlags = image.u8(LOADFLAGS, header);
  if ((loadFlags & LOADED_HIGH) === 0) {
    throw new BootError('kernel-16-bit', { image: name, why: 'a zImage, which loads below 1 MiB' });
  }
  const version = `${protocol >> 8}.${String(protocol & 0xff).padStart(2, '0')}`;
  if (protocol < PROTOCOL_MIN) throw new BootError('kernel-32-bit', { image: name, why: `boot protocol ${version}` });
  const extendedLoadFlags = image.u16(XLOADFLAGS, header);
  if ((extendedLoadFlags & XLF_KERNEL_64) === 0) {
    throw new BootError('kernel-32-bit', { image: name, why: 'XLF_KERNEL_64 is not set in its header' });
  }
  const headerEnd = HEADER + image.u8(JUMP + 1, header);
  if (headerEnd < INIT_SIZE + 4) {
    throw new BootError('payload-corrupt', { image: name, what: `its setup header ends at byte ${headerEnd}` });
  }
  image.require(SETUP_SECTS, headerEnd - SETUP_SECTS, header);

  const sectors = image.u8(SETUP_SECTS, header);
  const setupSize = ((sectors === 0 ? 4 : sectors) + 1) * 512;
  // syssize counts 16-byte paragraphs of the protected-mode part; a signature may follow it.
  const systemSize = image.u32(SYSSIZE, header) * 16;
  image.require(setupSize, systemSize, 'the protected-mode part');
  const payloadOffset = image.u32(PAYLOAD_OFFSET, header);
  const payloadLength = image.u32(PAYLOAD_LENGTH, header);
  const payload = image.slice(setupSize + payloadOffset, payloadLength, 'the packed kernel');
  const preferred = image.u64(PREF_ADDRESS, header);
  if (preferred > 0xffffffffn) {
    throw new BootError('payload-corrupt', { image: name, what: `it wants to be loaded at ${hex(preferred)}` });
  }

  return {
    image,
    protocol,
    setupSize,
    headerEnd,
    loadFlags,
    extendedLoadFlags,
    relocatable: image.u8(RELOCATABLE_KERNEL, header) !== 0,
    preferredAddress: Number(preferred),
    alignment: image.u32(KERNEL_ALIGNMENT, header),
    initSize: image.u32(INIT_SIZE, header),
    initrdAddressMax: image.u32(INITRD_ADDR_MAX, header),
    commandLineMax: image.u32(CMDLINE_SIZE, header),
    payload,
    compression: MAGICS.find(([, magic]) => magic.every((byte, index) => payload[index] === byte))?.[0] ?? 'unknown',
  };
}

/** The ELF kernel inside. LZ4 and XZ are built in; other formats go to `decompress`. */
export function extractKernel(bzImage: BzImage, decompress?: Decompress): Extraction {
  const { payload, compression, image } = bzImage;
  if (compression === 'unknown') return { kind: 'unsupported', compression };
  if (compression === 'none') return { kind: 'elf', compression, bytes: payload };
  const corrupt = (what: string): BootError => new BootError('payload-corrupt', { image: image.name, what });

  // The last four bytes are the unpacked size: gzip ends so by itself, and the kernel's build appends it to the
  // other formats (scripts/Makefile.lib, size_append).
  if (payload.length < 8) throw corrupt(`it is ${payload.length} bytes long`);
  const packed = compression === 'gzip' ? payload : payload.subarray(0, payload.length - 4);
  const size = new Image(image.name, payload).u32(payload.length - 4, 'the unpacked size');
  if (size > KERNEL_SIZE_MAX) {
    throw new BootError('payload-too-large', { image: image.name, size, limit: KERNEL_SIZE_MAX });
  }
  let bytes: Uint8Array | undefined;
  try {
    if (compression === 'lz4') bytes = decodeLz4Legacy(packed, size);
    else if (compression === 'xz') bytes = decodeXz(packed, size);
    else bytes = decompress?.(compression, packed, size);
  } catch (error) {
    // A decompressor from outside may throw anything; what our own throw is one class each.
    const foreign = compression !== 'lz4' && compression !== 'xz';
    if (error instanceof Lz4Error || error instanceof XzError || foreign) {
      throw corrupt(`${compression}: ${error instanceof Error ? error.message : String(error)}`);
    }
    throw error;
  }
  if (bytes === undefined) return { kind: 'unsupported', compression };
  if (bytes.length !== size) throw corrupt(`${compression}: it unpacks to ${bytes.length} bytes, not ${size}`);
  if (!isElf(bytes)) throw corrupt('what it unpacks to is not an ELF file');
  return { kind: 'elf', compression, bytes };
}

/**
 * Where things go in guest-physical memory, and the map of it that the guest is told.
 *
 * Low memory is a fixed table (README.md has it as a table); kernels and modules go above 1 MiB.
 */
import { BootError, hex, mebibytes } from './errors.ts';
import type { BootLoad, BootOptions } from './plan.ts';

export const PAGE_SIZE = 0x1000;
export const MEMORY_SIZE_MIN = 2 << 20;
export const MEMORY_SIZE_MAX = 2 ** 31;

export const GDT_ADDRESS = 0x500;
/** PVH: hvm_start_info, its memory map and its module list, up to ZERO_PAGE_ADDRESS. */
export const START_INFO_ADDRESS = 0x6000;
export const START_INFO_MEMORY_MAP_ADDRESS = 0x6100;
export const START_INFO_MODULES_ADDRESS = 0x6200;
/** Linux: struct boot_params. */
export const ZERO_PAGE_ADDRESS = 0x7000;
/** Linux: the first stack, growing down from here. */
export const STACK_ADDRESS = 0x8ff0;
/** Linux: PML4, PDPT and four page directories. */
export const PAGE_TABLES_ADDRESS = 0x9000;
/** Multiboot: information structure, memory map, module list and the loader's name. */
export const MULTIBOOT_INFO_ADDRESS = 0x10000;
export const COMMAND_LINE_ADDRESS = 0x20000;
/** Longest command line without its NUL where the image does not say, bytes. */
export const COMMAND_LINE_MAX = 0xfff;
/** COMMAND_LINE_SIZE of x86 Linux is 2048 with the NUL; it would cut off the rest in silence. */
export const LINUX_COMMAND_LINE_MAX = 2047;
export const MODULE_STRINGS_ADDRESS = 0x21000;
export const MODULE_STRINGS_END = 0x30000;
/** End of low RAM, where PCs have the extended BIOS data area. */
export const LOW_RAM_END = 0x9fc00;
export const HIGH_RAM_ADDRESS = 0x100000;

export type MemoryKind = 'ram' | 'reserved';
export interface MemoryRange {
  readonly address: number;
  readonly size: number;
  readonly kind: MemoryKind;
}

/** The memory map of the machine, as e820, PVH and Multiboot report it. Source: Firecracker src/vmm/src/arch/x86_64/mod.rs. */
export function memoryMap(memoryBytes: number): readonly MemoryRange[] {
  return [
    { address: 0, size: LOW_RAM_END, kind: 'ram' },
    { address: LOW_RAM_END, size: HIGH_RAM_ADDRESS - LOW_RAM_END, kind: 'reserved' },
    { address: HIGH_RAM_ADDRESS, size: memoryBytes - HIGH_RAM_ADDRESS, kind: 'ram' },
  ];
}

/** Numbers in the two maps that use them: 1 is RAM, 2 reserved, in e820, PVH and Multiboot alike. */
export function memoryKindNumber(kind: MemoryKind): number {
  return kind === 'ram' ? 1 : 2;
}

interface Placed extends BootLoad {
  readonly what: string;
  /** Bytes of memory, at least those of `bytes`; the rest is zero. */
  readonly size: number;
}

/** Guest memory while it is being filled: refuses what does not fit and what overlaps. */
export class MemoryPlan {
  readonly memoryBytes: number;
  readonly #placed: Placed[] = [];
  /** Modules grow down from here. */
  #ceiling: number;

  constructor(memoryBytes: number) {
    const valid = Number.isInteger(memoryBytes) && memoryBytes % PAGE_SIZE === 0;
    if (!valid || memoryBytes < MEMORY_SIZE_MIN || memoryBytes > MEMORY_SIZE_MAX) {
      throw new BootError('memory-size', { size: memoryBytes });
    }
    this.memoryBytes = memoryBytes;
    this.#ceiling = memoryBytes;
  }

  /** Puts `bytes` at `address`; `size` (at least their length) is kept free of all else. `what` names it in messages. */
  place(what: string, address: number, bytes: Uint8Array, size: number = bytes.length): void {
    if (size < bytes.length) throw new Error(`${what}: ${bytes.length} bytes in ${size}`);
    if (size === 0) return;
    const end = address + size;
    if (end > this.memoryBytes) {
      throw new BootError('memory-too-small', {
        what,
        to: hex(end),
        memory: mebibytes(this.memoryBytes),
        least: mebibytes(end),
      });
    }
    // 0xa0000 on is video memory and ROM on a PC, and ours has its ACPI tables there.
    const reserved = {
      what: 'the reserved range below 1 MiB',
      paddr: LOW_RAM_END,
      size: HIGH_RAM_ADDRESS - LOW_RAM_END,
    };
    const other = [reserved, ...this.#placed].find((one) => address < one.paddr + one.size && one.paddr < end);
    if (other !== undefined) {
      throw new BootError('load-overlap', {
        what,
        range: range(address, size),
        other: other.what,
        otherRange: range(other.paddr, other.size),
      });
    }
    this.#placed.push({ what, paddr: address, bytes, size });
  }

  /** First address above 1 MiB and above the kernel, page-aligned. */
  get kernelEnd(): number {
    let end = HIGH_RAM_ADDRESS;
    for (const one of this.#placed) {
      if (one.paddr < this.#ceiling) end = Math.max(end, one.paddr + one.size);
    }
    return Math.ceil(end / PAGE_SIZE) * PAGE_SIZE;
  }

  /**
   * Puts a module page-aligned as high as RAM, the modules before it and `addressMax` (the last address it may use) allow:
   * out of the way of a kernel that grows upwards. To be called after the kernel is placed. Returns its address.
   */
  placeModule(what: string, bytes: Uint8Array, addressMax: number): number {
    const top = Math.min(this.#ceiling, addressMax + 1);
    const address = Math.floor((top - bytes.length) / PAGE_SIZE) * PAGE_SIZE;
    const kernelEnd = this.kernelEnd;
    if (address < kernelEnd) {
      throw new BootError('module-does-not-fit', {
        what,
        size: bytes.length,
        kernelEnd: hex(kernelEnd),
        top: hex(top),
        least: mebibytes(kernelEnd + (this.memoryBytes - top) + bytes.length + PAGE_SIZE),
      });
    }
    this.place(what, address, bytes);
    this.#ceiling = address;
    return address;
  }

  /** What was placed, by address, without the zeros. */
  loads(): readonly BootLoad[] {
    return this.#placed
      .filter((one) => one.bytes.length > 0)
      .map(({ paddr, bytes }) => ({ paddr, bytes }))
      .sort((a, b) => a.paddr - b.paddr);
  }
}

/** Places the command line with its NUL at COMMAND_LINE_ADDRESS. `limit` in bytes, without the NUL. */
export function placeCommandLine(memory: MemoryPlan, options: BootOptions, image: string, limit: number): void {
  const text = options.commandLine ?? '';
  const most = Math.min(limit, COMMAND_LINE_MAX);
  const bytes = cString(text);
  if (bytes.length - 1 > most) {
    throw new BootError('command-line-too-long', { length: bytes.length - 1, image, limit: most });
  }
  memory.place('the command line', COMMAND_LINE_ADDRESS, bytes);
}

/** UTF-8 with a NUL at the end. */
export function cString(text: string): Uint8Array {
  const index = text.indexOf('\0');
  if (index >= 0) throw new BootError('command-line-invalid', { index });
  return new TextEncoder().encode(`${text}\0`);
}

function range(address: number, size: number): string {
  return `${hex(address)}-${hex(address + size - 1)}`;
}

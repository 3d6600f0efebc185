/**
 * Multiboot 1, for test and hobby kernels.
 *
 * Source: Multiboot Specification 0.6.96, 3.1 (header), 3.2 (machine state), 3.3 (information structure). Beyond it, an ELF64
 * kernel with a 32-bit entry point is taken as well, as GRUB does.
 */
import { type Elf, isElf, parseElf, physicalEntry } from './elf.ts';
import { BootError, hex } from './errors.ts';
import { flatSegments } from './gdt.ts';
import { Image } from './image.ts';
import { placeSegments } from './load-elf.ts';
import {
  COMMAND_LINE_ADDRESS,
  COMMAND_LINE_MAX,
  cString,
  HIGH_RAM_ADDRESS,
  LOW_RAM_END,
  memoryKindNumber,
  memoryMap,
  MemoryPlan,
  MULTIBOOT_INFO_ADDRESS,
  placeCommandLine,
} from './memory.ts';
import { placeModules } from './modules.ts';
import { type BootImages, type BootOptions, type BootPlan, CR0_PROTECTED, RFLAGS_RESET } from './plan.ts';

export interface MultibootHeader {
  /** Where the header stands in the file, bytes. */
  readonly offset: number;
  readonly flags: number;
  /** Of kernels that are not ELF files or override it (flag 16): physical addresses. */
  readonly addresses: MultibootAddresses | undefined;
}

interface MultibootAddresses {
  readonly header: number;
  readonly load: number;
  /** 0: to the end of the file. */
  readonly loadEnd: number;
  /** 0: there is no bss. */
  readonly bssEnd: number;
  readonly entry: number;
}

const HEADER_MAGIC = 0x1badb002;
const LOADER_MAGIC = 0x2badb002n;
/** The header is 4-byte aligned and complete within so many bytes. */
const SEARCH_SIZE = 8192;
/** Modules page-aligned, memory information, video mode. Of bits 0-15, which a loader must know or refuse. */
const KNOWN_FLAGS = 0x7;
const FLAG_VIDEO = 0x4;
const FLAG_ADDRESSES = 0x10000;

// Information structure: flags and offsets.
const INFO_MEMORY = 1 << 0;
const INFO_COMMAND_LINE = 1 << 2;
const INFO_MODULES = 1 << 3;
const INFO_MEMORY_MAP = 1 << 6;
const INFO_LOADER_NAME = 1 << 9;

const MAP_OFFSET = 0x100;
const LOADER_NAME_OFFSET = 0x180;
const MODULES_OFFSET = 0x200;
const INFO_SIZE = 0x1000;
const MODULE_ENTRY_SIZE = 16;
export const MULTIBOOT_MODULES_MAX = (INFO_SIZE - MODULES_OFFSET) / MODULE_ENTRY_SIZE;
const LOADER_NAME = 'chronovisor';

/** The header in the first 8 KiB whose checksum is right; undefined if there is none. */
export function findMultibootHeader(bytes: Uint8Array): MultibootHeader | undefined {
  const image = new Image('the kernel', bytes);
  const end = Math.min(bytes.length, SEARCH_SIZE);
  const field = (at: number): number => image.u32(at, 'the Multiboot header');
  for (let offset = 0; offset + 12 <= end; offset += 4) {
    if (field(offset) !== HEADER_MAGIC) continue;
    const flags = field(offset + 4);
    if ((HEADER_MAGIC + flags + field(offset + 8)) >>> 0 !== 0) continue;
    if ((flags & FLAG_ADDRESSES) === 0) return { offset, flags, addresses: undefined };
    if (offset + 32 > end) continue;
    return {
      offset,
      flags,
      addresses: {
        header: field(offset + 12),
        load: field(offset + 16),
        loadEnd: field(offset + 20),
        bssEnd: field(offset + 24),
        entry: field(offset + 28),
      },
    };
  }
  return undefined;
}

export function planMultiboot1(
  bytes: Uint8Array,
  images: BootImages,
  options: BootOptions,
  name = 'the kernel',
): BootPlan {
  const header = findMultibootHeader(bytes);
  if (header === undefined) {
    throw new BootError('protocol-unavailable', {
      image: name,
      protocol: 'Multiboot 1',
      why: 'it has no Multiboot header in its first 8192 bytes',
    });
  }
  const unknown = header.flags & 0xffff & ~KNOWN_FLAGS;
  if (unknown !== 0) {
    throw new BootError('multiboot-unsupported', { image: name, what: `the features ${hex(unknown)}` });
  }
  const memory = new MemoryPlan(options.memoryBytes);
  const segments = flatSegments(memory, 'protected32');
  placeCommandLine(memory, options, name, COMMAND_LINE_MAX);
  const information = new Uint8Array(INFO_SIZE);
  memory.place('the Multiboot information', MULTIBOOT_INFO_ADDRESS, information);
  const entry = placeKernel(memory, bytes, header, name);
  const modules = placeModules(memory, images, MULTIBOOT_MODULES_MAX);

  const view = new DataView(information.buffer);
  const put32 = (offset: number, value: number): void => view.setUint32(offset, value, true);
  const hasModules = modules.length > 0 ? INFO_MODULES : 0;
  put32(0, INFO_MEMORY | INFO_COMMAND_LINE | hasModules | INFO_MEMORY_MAP | INFO_LOADER_NAME);
  put32(4, LOW_RAM_END >>> 10); // mem_lower, KiB
  put32(8, (options.memoryBytes - HIGH_RAM_ADDRESS) / 1024); // mem_upper, KiB
  put32(16, COMMAND_LINE_ADDRESS);
  put32(20, modules.length);
  put32(24, MULTIBOOT_INFO_ADDRESS + MODULES_OFFSET);
  // Each entry begins with its size, which does not count itself.
  let at = MAP_OFFSET;
  for (const range of memoryMap(options.memoryBytes)) {
    put32(at, 20);
    view.setBigUint64(at + 4, BigInt(range.address), true);
    view.setBigUint64(at + 12, BigInt(range.size), true);
    put32(at + 20, memoryKindNumber(range.kind));
    at += 24;
  }
  put32(44, at - MAP_OFFSET);
  put32(48, MULTIBOOT_INFO_ADDRESS + MAP_OFFSET);
  put32(64, MULTIBOOT_INFO_ADDRESS + LOADER_NAME_OFFSET);
  information.set(cString(LOADER_NAME), LOADER_NAME_OFFSET);
  modules.forEach((module, index) => {
    const entryAt = MODULES_OFFSET + index * MODULE_ENTRY_SIZE;
    put32(entryAt, module.address);
    put32(entryAt + 4, module.address + module.size);
    put32(entryAt + 8, module.commandLineAddress);
  });

  const notes = [`Multiboot 1, header at byte ${header.offset}, entry at ${hex(entry)}`];
  if ((header.flags & FLAG_VIDEO) !== 0) notes.push('the kernel asks for a video mode, and the machine has none');
  return {
    protocol: 'multiboot1',
    loads: memory.loads(),
    cpu: {
      mode: 'protected32',
      rip: BigInt(entry),
      rsp: 0n,
      registers: { rax: LOADER_MAGIC, rbx: BigInt(MULTIBOOT_INFO_ADDRESS) },
      rflags: RFLAGS_RESET,
      cr0: CR0_PROTECTED,
      cr3: 0n,
      cr4: 0n,
      efer: 0n,
      ...segments,
    },
    notes,
  };
}

/** Places the kernel and returns its entry point. */
function placeKernel(memory: MemoryPlan, bytes: Uint8Array, header: MultibootHeader, name: string): number {
  const { addresses } = header;
  if (addresses === undefined) {
    if (!isElf(bytes)) {
      throw new BootError('protocol-unavailable', {
        image: name,
        protocol: 'Multiboot 1',
        why: 'it is no ELF file, and its header gives no addresses (flag 16)',
      });
    }
    const elf: Elf = parseElf(bytes, name);
    const entry = physicalEntry(elf);
    if (entry > 0xffffffff) {
      throw new BootError('elf-malformed', { image: name, what: `its entry point ${hex(entry)} is above 4 GiB` });
    }
    placeSegments(memory, elf);
    return entry;
  }
  // The "aout kludge", 3.1.3: header_addr says where the header is in memory, hence where the file is.
  const bad = (what: string): BootError => new BootError('multiboot-unsupported', { image: name, what });
  const fileOffset = header.offset - (addresses.header - addresses.load);
  if (addresses.header < addresses.load || fileOffset < 0) {
    throw bad(`a load address of ${hex(addresses.load)} with its header at ${hex(addresses.header)}`);
  }
  const fileSize = addresses.loadEnd === 0 ? bytes.length - fileOffset : addresses.loadEnd - addresses.load;
  if (fileSize < 0) throw bad(`a load end of ${hex(addresses.loadEnd)} before its load address`);
  const code = new Image(name, bytes).slice(fileOffset, fileSize, 'the part that its Multiboot header loads');
  const end = addresses.load + fileSize;
  if (addresses.bssEnd !== 0 && addresses.bssEnd < end) throw bad(`a bss end of ${hex(addresses.bssEnd)} before its end`);
  memory.place(name, addresses.load, code, Math.max(addresses.bssEnd, end) - addresses.load);
  return addresses.entry;
}

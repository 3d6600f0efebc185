/**
 * The PVH entry: an ELF kernel with the Xen note PHYS32_ENTRY is started in 32-bit protected mode without paging,
 * with EBX at an hvm_start_info. The quickest way into Linux: no decompressor, no page tables to build.
 *
 * Source: Xen docs/misc/pvh.pandoc; xen/include/public/arch-x86/hvm/start_info.h (version 1).
 */
import type { Elf } from './elf.ts';
import { BootError, hex } from './errors.ts';
import { flatSegments } from './gdt.ts';
import { placeSegments } from './load-elf.ts';
import {
  COMMAND_LINE_ADDRESS,
  LINUX_COMMAND_LINE_MAX,
  memoryKindNumber,
  memoryMap,
  MemoryPlan,
  placeCommandLine,
  START_INFO_ADDRESS,
  START_INFO_MEMORY_MAP_ADDRESS,
  START_INFO_MODULES_ADDRESS,
  ZERO_PAGE_ADDRESS,
} from './memory.ts';
import { placeModules } from './modules.ts';
import { type BootImages, type BootOptions, type BootPlan, CR0_PROTECTED, RFLAGS_RESET } from './plan.ts';

const XEN_ELFNOTE_PHYS32_ENTRY = 18;
const START_INFO_MAGIC = 0x336ec578;
const MEMORY_MAP_ENTRY_SIZE = 24;
const MODULE_ENTRY_SIZE = 32;
export const PVH_MODULES_MAX = (ZERO_PAGE_ADDRESS - START_INFO_MODULES_ADDRESS) / MODULE_ENTRY_SIZE;

/** The PVH entry point, a physical address; undefined if the kernel has none. */
export function pvhEntry(elf: Elf): number | undefined {
  const note = elf.notes.find((one) => one.name === 'Xen' && one.type === XEN_ELFNOTE_PHYS32_ENTRY);
  if (note === undefined) return undefined;
  const { description } = note;
  // The value has the word size of the kernel, 4 or 8 bytes.
  let entry = 0n;
  for (let index = 0; index < description.length; index++) entry |= BigInt(description[index]) << BigInt(8 * index);
  if ((description.length !== 4 && description.length !== 8) || entry > 0xffffffffn) {
    throw new BootError('elf-malformed', {
      image: elf.image.name,
      what: `its PVH note has ${description.length} bytes with the value ${hex(entry)}`,
    });
  }
  return Number(entry);
}

export function planPvh(elf: Elf, images: BootImages, options: BootOptions, notes: readonly string[] = []): BootPlan {
  const entry = pvhEntry(elf);
  if (entry === undefined) {
    throw new BootError('protocol-unavailable', {
      image: elf.image.name,
      protocol: 'PVH',
      why: 'it has no PVH note (Xen, type 18; CONFIG_PVH)',
    });
  }
  const memory = new MemoryPlan(options.memoryBytes);
  const segments = flatSegments(memory, 'protected32');
  placeCommandLine(memory, options, elf.image.name, LINUX_COMMAND_LINE_MAX);
  // Kept free before the kernel is placed; filled when all addresses are known.
  const information = new Uint8Array(ZERO_PAGE_ADDRESS - START_INFO_ADDRESS);
  memory.place('the PVH start information', START_INFO_ADDRESS, information);
  placeSegments(memory, elf);
  const modules = placeModules(memory, images, PVH_MODULES_MAX);

  const view = new DataView(information.buffer);
  const put32 = (address: number, value: number): void => view.setUint32(address - START_INFO_ADDRESS, value, true);
  const put64 = (address: number, value: number): void =>
    view.setBigUint64(address - START_INFO_ADDRESS, BigInt(value), true);
  const ranges = memoryMap(options.memoryBytes);
  put32(START_INFO_ADDRESS, START_INFO_MAGIC);
  put32(START_INFO_ADDRESS + 4, 1); // version
  put32(START_INFO_ADDRESS + 8, 0); // flags
  put32(START_INFO_ADDRESS + 12, modules.length);
  put64(START_INFO_ADDRESS + 16, modules.length > 0 ? START_INFO_MODULES_ADDRESS : 0);
  put64(START_INFO_ADDRESS + 24, COMMAND_LINE_ADDRESS);
  put64(START_INFO_ADDRESS + 32, options.rsdpAddress ?? 0);
  put64(START_INFO_ADDRESS + 40, START_INFO_MEMORY_MAP_ADDRESS);
  put32(START_INFO_ADDRESS + 48, ranges.length);
  ranges.forEach((range, index) => {
    const at = START_INFO_MEMORY_MAP_ADDRESS + index * MEMORY_MAP_ENTRY_SIZE;
    put64(at, range.address);
    put64(at + 8, range.size);
    put32(at + 16, memoryKindNumber(range.kind));
  });
  modules.forEach((module, index) => {
    const at = START_INFO_MODULES_ADDRESS + index * MODULE_ENTRY_SIZE;
    put64(at, module.address);
    put64(at + 8, module.size);
    put64(at + 16, module.commandLineAddress);
  });

  return {
    protocol: 'pvh',
    loads: memory.loads(),
    cpu: {
      mode: 'protected32',
      rip: BigInt(entry),
      rsp: 0n,
      registers: { rbx: BigInt(START_INFO_ADDRESS) },
      rflags: RFLAGS_RESET,
      cr0: CR0_PROTECTED,
      cr3: 0n,
      cr4: 0n,
      efer: 0n,
      ...segments,
    },
    notes: [...notes, `PVH entry at ${hex(entry)}`],
  };
}

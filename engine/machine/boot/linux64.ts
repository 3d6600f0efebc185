/**
 * The 64-bit Linux boot protocol: the kernel is entered in long mode with RSI at the zero page (struct boot_params). For a bzImage that is
 * its own decompressor, for a plain vmlinux its startup_64.
 *
 * Sources: Linux Documentation/x86/boot.rst, "64-bit Boot Protocol", and Documentation/x86/zero-page.rst; for the ELF case
 * Firecracker src/vmm/src/arch/x86_64/mod.rs, configure_64bit_boot.
 */
import type { BzImage } from './bzimage.ts';
import { type Elf, physicalEntry } from './elf.ts';
import { BootError, hex } from './errors.ts';
import { flatSegments } from './gdt.ts';
import { placeSegments } from './load-elf.ts';
import {
  COMMAND_LINE_ADDRESS,
  HIGH_RAM_ADDRESS,
  LINUX_COMMAND_LINE_MAX,
  memoryKindNumber,
  memoryMap,
  MemoryPlan,
  PAGE_SIZE,
  PAGE_TABLES_ADDRESS,
  placeCommandLine,
  STACK_ADDRESS,
  ZERO_PAGE_ADDRESS,
} from './memory.ts';
import { onlyInitrd } from './modules.ts';
import {
  type BootImages,
  type BootOptions,
  type BootPlan,
  CR0_PROTECTED,
  type InitialCpuState,
  RFLAGS_RESET,
} from './plan.ts';

// Offsets in the zero page (zero-page.rst).
const ACPI_RSDP_ADDR = 0x070;
const E820_ENTRIES = 0x1e8;
const SETUP_HEADER = 0x1f1;
const BOOT_FLAG = 0x1fe;
const HEADER = 0x202;
const TYPE_OF_LOADER = 0x210;
const RAMDISK_IMAGE = 0x218;
const RAMDISK_SIZE = 0x21c;
const CMD_LINE_PTR = 0x228;
const KERNEL_ALIGNMENT = 0x230;
const CMDLINE_SIZE = 0x238;
const E820_TABLE = 0x2d0;
const E820_ENTRY_SIZE = 20;

const LOADER_UNDEFINED = 0xff;
/** startup_64 of the decompressor, from the load address (boot.rst). */
const ENTRY_64 = 0x200;

const CR0_PAGING = 1n << 31n;
const CR4_PAE = 1n << 5n;
/** EFER.LME and EFER.LMA. */
const EFER_LONG = 0x500n;
// Page table entries: present, writable; PS for a 2 MiB page. SDM vol. 3A 4.5.
const PTE_TABLE = 0x03n;
const PTE_PAGE = 0x83n;
const LARGE_PAGE_SIZE = 0x200000;
const GIBIBYTES = 4;

/** An initrd above this is out of reach for a vmlinux without a setup header (initrd_addr_max of current kernels). */
const INITRD_ADDRESS_MAX = 0x7fffffff;

/** A bzImage through its own decompressor. */
export function planBzImage(
  bzImage: BzImage,
  images: BootImages,
  options: BootOptions,
  notes: readonly string[] = [],
): BootPlan {
  const { image } = bzImage;
  const initrd = onlyInitrd(images, image.name);
  const memory = new MemoryPlan(options.memoryBytes);
  const limit = Math.min(bzImage.commandLineMax === 0 ? 255 : bzImage.commandLineMax, LINUX_COMMAND_LINE_MAX);
  placeCommandLine(memory, options, image.name, limit);
  const cpu = placeLongMode(memory);
  const zeroPage = placeZeroPage(memory);

  const address = bzImage.preferredAddress;
  if (address < HIGH_RAM_ADDRESS || address % PAGE_SIZE !== 0) {
    throw new BootError('payload-corrupt', { image: image.name, what: `it wants to be loaded at ${hex(address)}` });
  }
  const code = image.bytes.subarray(bzImage.setupSize);
  memory.place(image.name, address, code, Math.max(bzImage.initSize, code.length));

  zeroPage.set(image.slice(SETUP_HEADER, bzImage.headerEnd - SETUP_HEADER, 'the setup header'), SETUP_HEADER);
  fillZeroPage(zeroPage, memory, options, initrd, bzImage.initrdAddressMax || 0x37ffffff);
  return {
    protocol: 'linux64',
    loads: memory.loads(),
    cpu: { ...cpu, rip: BigInt(address + ENTRY_64) },
    notes: [...notes, `64-bit Linux boot protocol, bzImage at ${hex(address)}`],
  };
}

/** A plain vmlinux at its startup_64. */
export function planVmlinux(elf: Elf, images: BootImages, options: BootOptions, notes: readonly string[] = []): BootPlan {
  if (elf.class !== 64) {
    throw new BootError('protocol-unavailable', {
      image: elf.image.name,
      protocol: 'the 64-bit Linux protocol',
      why: 'it is a 32-bit ELF file',
    });
  }
  const initrd = onlyInitrd(images, elf.image.name);
  const memory = new MemoryPlan(options.memoryBytes);
  placeCommandLine(memory, options, elf.image.name, LINUX_COMMAND_LINE_MAX);
  const cpu = placeLongMode(memory);
  const zeroPage = placeZeroPage(memory);
  placeSegments(memory, elf);
  const entry = physicalEntry(elf);

  // There is no setup header to copy: the fields that startup_64 and setup_arch read.
  const view = new DataView(zeroPage.buffer);
  view.setUint16(BOOT_FLAG, 0xaa55, true);
  view.setUint32(HEADER, 0x53726448, true); // "HdrS"
  view.setUint32(KERNEL_ALIGNMENT, 0x1000000, true);
  view.setUint32(CMDLINE_SIZE, LINUX_COMMAND_LINE_MAX, true);
  fillZeroPage(zeroPage, memory, options, initrd, INITRD_ADDRESS_MAX);
  return {
    protocol: 'linux64',
    loads: memory.loads(),
    cpu: { ...cpu, rip: BigInt(entry) },
    notes: [...notes, `64-bit Linux boot protocol, ELF entry at ${hex(entry)}`],
  };
}

/** The page is kept free now and filled by fillZeroPage. */
function placeZeroPage(memory: MemoryPlan): Uint8Array {
  const page = new Uint8Array(PAGE_SIZE);
  memory.place('the zero page', ZERO_PAGE_ADDRESS, page);
  return page;
}

/** Writes what a loader writes, and places the initrd; the kernel must have been placed. */
function fillZeroPage(
  page: Uint8Array,
  memory: MemoryPlan,
  options: BootOptions,
  initrd: Uint8Array | undefined,
  initrdAddressMax: number,
): void {
  const view = new DataView(page.buffer);
  view.setUint8(TYPE_OF_LOADER, LOADER_UNDEFINED);
  view.setUint32(CMD_LINE_PTR, COMMAND_LINE_ADDRESS, true);
  view.setBigUint64(ACPI_RSDP_ADDR, BigInt(options.rsdpAddress ?? 0), true);
  if (initrd !== undefined) {
    view.setUint32(RAMDISK_IMAGE, memory.placeModule('the initrd', initrd, initrdAddressMax), true);
    view.setUint32(RAMDISK_SIZE, initrd.length, true);
  }
  const ranges = memoryMap(options.memoryBytes);
  view.setUint8(E820_ENTRIES, ranges.length);
  ranges.forEach((range, index) => {
    const at = E820_TABLE + index * E820_ENTRY_SIZE;
    view.setBigUint64(at, BigInt(range.address), true);
    view.setBigUint64(at + 8, BigInt(range.size), true);
    view.setUint32(at + 16, memoryKindNumber(range.kind), true);
  });
}

/** Long mode with the first 4 GiB mapped one to one; all but RIP. */
function placeLongMode(memory: MemoryPlan): Omit<InitialCpuState, 'rip'> {
  const segments = flatSegments(memory, 'long64');
  const tables = new Uint8Array((2 + GIBIBYTES) * PAGE_SIZE);
  const view = new DataView(tables.buffer);
  const pdpt = PAGE_SIZE;
  const firstDirectory = 2 * PAGE_SIZE;
  view.setBigUint64(0, BigInt(PAGE_TABLES_ADDRESS + pdpt) | PTE_TABLE, true);
  for (let gibibyte = 0; gibibyte < GIBIBYTES; gibibyte++) {
    const directory = firstDirectory + gibibyte * PAGE_SIZE;
    view.setBigUint64(pdpt + gibibyte * 8, BigInt(PAGE_TABLES_ADDRESS + directory) | PTE_TABLE, true);
    for (let index = 0; index < 512; index++) {
      const page = BigInt(gibibyte * 512 + index) * BigInt(LARGE_PAGE_SIZE);
      view.setBigUint64(directory + index * 8, page | PTE_PAGE, true);
    }
  }
  memory.place('the page tables', PAGE_TABLES_ADDRESS, tables);
  return {
    mode: 'long64',
    rsp: BigInt(STACK_ADDRESS),
    registers: { rbp: BigInt(STACK_ADDRESS), rsi: BigInt(ZERO_PAGE_ADDRESS) },
    rflags: RFLAGS_RESET,
    cr0: CR0_PROTECTED | CR0_PAGING,
    cr3: BigInt(PAGE_TABLES_ADDRESS),
    cr4: CR4_PAE,
    efer: EFER_LONG,
    ...segments,
  };
}

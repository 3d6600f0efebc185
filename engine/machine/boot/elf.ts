/**
 * ELF executables: header, program headers and notes, validated before anything is believed.
 *
 * Source: System V ABI, "Object Files" and "Program Loading and Dynamic Linking"; AMD64 psABI for the machine number.
 */
import { BootError, hex } from './errors.ts';
import { Image } from './image.ts';

export interface ElfSegment {
  /** PT_*; PT_LOAD is 1. */
  readonly type: number;
  /** PF_X 1, PF_W 2, PF_R 4. */
  readonly flags: number;
  /** Position in the file, bytes. */
  readonly offset: number;
  readonly vaddr: bigint;
  readonly paddr: bigint;
  /** Bytes in the file. */
  readonly fileSize: number;
  /** Bytes in memory; those past fileSize are zero. At least fileSize. */
  readonly memorySize: number;
  readonly align: bigint;
}

export interface ElfNote {
  readonly name: string;
  readonly type: number;
  readonly description: Uint8Array;
}

export interface Elf {
  readonly class: 32 | 64;
  /** EM_*: 3 i386, 62 x86-64. */
  readonly machine: number;
  readonly entry: bigint;
  /** All program headers in file order. */
  readonly segments: readonly ElfSegment[];
  /** Those of type PT_LOAD that take memory. At least one. */
  readonly loads: readonly ElfSegment[];
  readonly notes: readonly ElfNote[];
  readonly image: Image;
}

export const ELF_MAGIC: readonly number[] = [0x7f, 0x45, 0x4c, 0x46];

const ELFCLASS32 = 1;
const ELFCLASS64 = 2;
const ELFDATA2LSB = 1;
const ET_EXEC = 2;
const ET_DYN = 3;
const EM_386 = 3;
const EM_X86_64 = 62;
const PT_LOAD = 1;
const PT_NOTE = 4;
const PN_XNUM = 0xffff;

const TYPES: Readonly<Record<number, string>> = { 0: 'file of no type', 1: 'relocatable object', 4: 'core dump' };
/** The ones people have at hand. */
const MACHINES: Readonly<Record<number, string>> = {
  2: 'SPARC',
  8: 'MIPS',
  20: 'PowerPC',
  21: 'PowerPC64',
  22: 'S390',
  40: '32-bit Arm',
  50: 'Itanium',
  183: 'AArch64',
  243: 'RISC-V',
  258: 'LoongArch',
};

export function isElf(bytes: Uint8Array): boolean {
  return ELF_MAGIC.every((byte, index) => bytes[index] === byte);
}

/** Parses and validates. `name` is what messages call the image. */
export function parseElf(bytes: Uint8Array, name = 'the kernel'): Elf {
  const image = new Image(name, bytes);
  const malformed = (what: string): BootError => new BootError('elf-malformed', { image: name, what });

  image.require(0, 16, 'the ELF identification');
  if (!isElf(bytes)) throw malformed('it does not begin with 7f 45 4c 46');
  const fileClass = image.u8(4, 'the ELF class');
  if (fileClass !== ELFCLASS32 && fileClass !== ELFCLASS64) throw malformed(`class ${fileClass} is neither 1 nor 2`);
  const wide = fileClass === ELFCLASS64;
  const data = image.u8(5, 'the ELF byte order');
  if (data !== ELFDATA2LSB) {
    if (data === 2) throw new BootError('machine-unsupported', { image: name, machine: 'a big-endian machine' });
    throw malformed(`byte order ${data} is neither 1 nor 2`);
  }
  if (image.u8(6, 'the ELF version') !== 1) throw malformed('its version is not 1');

  image.require(0, wide ? 64 : 52, 'the ELF header');
  const type = image.u16(16, 'e_type');
  const machine = image.u16(18, 'e_machine');
  if (machine !== EM_X86_64 && machine !== EM_386) {
    throw new BootError('machine-unsupported', {
      image: name,
      machine: MACHINES[machine] ?? `machine number ${machine}`,
    });
  }
  if (wide && machine === EM_386) throw malformed('a 64-bit file for the 32-bit machine i386');
  if (type !== ET_EXEC && type !== ET_DYN) {
    throw new BootError('elf-not-executable', { image: name, type: TYPES[type] ?? `file of type ${type}` });
  }
  const word = (offset: number, what: string): bigint =>
    wide ? image.u64(offset, what) : BigInt(image.u32(offset, what));
  /** A position or size inside the file. What does not fit a safe integer cannot be inside. */
  const inFile = (value: bigint, what: string): number => {
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed(`${what} is ${hex(value)}`);
    return Number(value);
  };
  const entry = word(24, 'e_entry');
  const tableOffset = inFile(word(wide ? 32 : 28, 'e_phoff'), 'the position of the program headers');
  const entrySize = image.u16(wide ? 54 : 42, 'e_phentsize');
  const count = image.u16(wide ? 56 : 44, 'e_phnum');
  if (count === 0) throw malformed('it has no program headers, so nothing to load');
  if (count === PN_XNUM) throw malformed('it has more than 65534 program headers');
  if (entrySize !== (wide ? 56 : 32)) throw malformed(`a program header of ${entrySize} bytes`);
  image.require(tableOffset, count * entrySize, `the table of ${count} program headers`);

  const segments: ElfSegment[] = [];
  for (let index = 0; index < count; index++) {
    const at = tableOffset + index * entrySize;
    const what = `program header ${index}`;
    const segmentType = image.u32(at, what);
    const raw = wide
      ? {
          flags: image.u32(at + 4, what),
          offset: image.u64(at + 8, what),
          vaddr: image.u64(at + 16, what),
          paddr: image.u64(at + 24, what),
          fileSize: image.u64(at + 32, what),
          memorySize: image.u64(at + 40, what),
          align: image.u64(at + 48, what),
        }
      : {
          flags: image.u32(at + 24, what),
          offset: word(at + 4, what),
          vaddr: word(at + 8, what),
          paddr: word(at + 12, what),
          fileSize: word(at + 16, what),
          memorySize: word(at + 20, what),
          align: word(at + 28, what),
        };
    // Only what is loaded or read is checked: other headers (GNU_STACK, ...) may hold anything.
    const used = segmentType === PT_LOAD || segmentType === PT_NOTE;
    if (!used) {
      segments.push({ ...raw, type: segmentType, offset: 0, fileSize: 0, memorySize: 0 });
      continue;
    }
    const offset = inFile(raw.offset, `the file offset of segment ${index}`);
    const fileSize = inFile(raw.fileSize, `the file size of segment ${index}`);
    const memorySize = inFile(raw.memorySize, `the memory size of segment ${index}`);
    if (segmentType === PT_LOAD) {
      if (fileSize > memorySize) {
        throw malformed(`segment ${index} has ${fileSize} bytes in the file, but only ${memorySize} in memory`);
      }
      if (raw.paddr + raw.memorySize > 1n << 52n) {
        throw malformed(`segment ${index} has the physical address ${hex(raw.paddr)}`);
      }
    }
    if (fileSize > 0) image.require(offset, fileSize, `segment ${index}`);
    segments.push({ ...raw, type: segmentType, offset, fileSize, memorySize });
  }
  const loads = segments.filter((segment) => segment.type === PT_LOAD && segment.memorySize > 0);
  if (loads.length === 0) throw malformed('it has nothing to load (no PT_LOAD segment)');

  const notes: ElfNote[] = [];
  for (const segment of segments) {
    if (segment.type === PT_NOTE && segment.fileSize > 0) notes.push(...parseNotes(image, segment));
  }
  return { class: wide ? 64 : 32, machine, entry, segments, loads, notes, image };
}

/**
 * The notes of one PT_NOTE segment: name size, description size, type, then both padded to the segment's alignment
 * (4, or 8 for the GNU property notes of x86-64).
 */
function parseNotes(image: Image, segment: ElfSegment): readonly ElfNote[] {
  const align = segment.align === 8n ? 8 : 4;
  const pad = (size: number): number => Math.ceil(size / align) * align;
  const end = segment.offset + segment.fileSize;
  const notes: ElfNote[] = [];
  let at = segment.offset;
  while (at + 12 <= end) {
    const nameSize = image.u32(at, 'a note');
    const descriptionSize = image.u32(at + 4, 'a note');
    const type = image.u32(at + 8, 'a note');
    // The description starts at an aligned distance from the note's own start.
    const descriptionAt = at + pad(12 + nameSize);
    if (at + 12 + nameSize > end || descriptionAt + descriptionSize > end) {
      throw new BootError('elf-malformed', {
        image: image.name,
        what: `the note at byte ${at} ends outside its segment`,
      });
    }
    const nameBytes = image.slice(at + 12, nameSize, 'the name of a note');
    let name = '';
    for (const byte of nameBytes) {
      if (byte === 0) break;
      name += String.fromCharCode(byte);
    }
    notes.push({ name, type, description: image.slice(descriptionAt, descriptionSize, 'a note') });
    at = descriptionAt + pad(descriptionSize);
  }
  return notes;
}

/**
 * The physical address of the entry point. Linux gives it as such (arch/x86/kernel/vmlinux.lds.S, phys_startup_64); other kernels
 * give a virtual address, which the segment around it translates.
 */
export function physicalEntry(elf: Elf): number {
  for (const segment of elf.loads) {
    if (elf.entry >= segment.paddr && elf.entry < segment.paddr + BigInt(segment.memorySize)) return Number(elf.entry);
  }
  for (const segment of elf.loads) {
    const distance = elf.entry - segment.vaddr;
    if (distance >= 0n && distance < BigInt(segment.memorySize)) return Number(segment.paddr + distance);
  }
  throw new BootError('elf-malformed', {
    image: elf.image.name,
    what: `its entry point ${hex(elf.entry)} is in no segment`,
  });
}

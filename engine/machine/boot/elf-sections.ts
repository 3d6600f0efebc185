/**
 * The sections of an ELF file, 32- or 64-bit, little-endian: what linkers and debuggers go by, not what is loaded (elf.ts).
 *
 * Source: System V ABI, "Object Files", chapter "Sections". The file is not trusted: every offset is checked.
 */
import { isElf } from './elf.ts';

/** The symbols cannot be used: why, and what to do. */
export class SymbolError extends Error {
  override readonly name = 'SymbolError';
}

export interface ElfSection {
  /** Empty if the file has no names of sections. */
  readonly name: string;
  /** SHT_*. */
  readonly type: number;
  /** SHF_*: ALLOC 2, EXECINSTR 4, COMPRESSED 0x800. */
  readonly flags: number;
  readonly address: bigint;
  /** Place in the file, bytes. */
  readonly offset: number;
  readonly size: number;
  readonly link: number;
}

export const SHF_ALLOC = 2;
export const SHF_EXECINSTR = 4;
export const SHF_COMPRESSED = 0x800;
const SHT_NOBITS = 8;
const NAME_BYTES_MAX = 1024;

const decoder = new TextDecoder('utf-8');

/** The text at an offset up to its NUL, or up to the end of the bytes. */
export function textAt(bytes: Uint8Array, offset: number): string {
  const limit = Math.min(bytes.length, offset + NAME_BYTES_MAX);
  let end = offset;
  while (end < limit && bytes[end] !== 0) end++;
  return decoder.decode(bytes.subarray(offset, end));
}

export class ElfSections {
  readonly bytes: Uint8Array;
  readonly class: 32 | 64;
  readonly sections: readonly ElfSection[];

  /** Throws SymbolError: no ELF file, damaged, or without sections. */
  constructor(bytes: Uint8Array) {
    if (!isElf(bytes)) throw new SymbolError('the image is no ELF file, so it has no symbols: give the ELF file that it was made from (vmlinux)');
    this.bytes = bytes;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.need(0, 16, 'its identification');
    if (bytes[4] !== 1 && bytes[4] !== 2) throw new SymbolError(`the ELF file is of class ${bytes[4]}: 32-bit (1) and 64-bit (2) are known`);
    if (bytes[5] !== 1) throw new SymbolError('the ELF file is not little-endian, so it is no x86 guest');
    const isWide = bytes[4] === 2;
    this.class = isWide ? 64 : 32;
    this.need(0, isWide ? 64 : 52, 'its header');
    const word = (at: number): number => (isWide ? Number(view.getBigUint64(at, true)) : view.getUint32(at, true));
    const table = word(isWide ? 40 : 32);
    const entryBytes = view.getUint16(isWide ? 58 : 46, true);
    const count = view.getUint16(isWide ? 60 : 48, true);
    const namesIn = view.getUint16(isWide ? 62 : 50, true);
    if (count === 0) throw new SymbolError('the ELF file has no sections: it was stripped; give the one before stripping');
    if (entryBytes < (isWide ? 64 : 40)) throw new SymbolError(`the ELF file is damaged: a section header of ${entryBytes} bytes`);
    this.need(table, count * entryBytes, 'the table of sections');
    const headers = Array.from({ length: count }, (_, i) => {
      const at = table + i * entryBytes;
      return {
        nameAt: view.getUint32(at, true),
        type: view.getUint32(at + 4, true),
        flags: word(at + 8),
        address: isWide ? view.getBigUint64(at + 16, true) : BigInt(view.getUint32(at + 12, true)),
        offset: word(at + (isWide ? 24 : 16)),
        size: word(at + (isWide ? 32 : 20)),
        link: view.getUint32(at + (isWide ? 40 : 24), true),
      };
    });
    const names = headers.at(namesIn);
    const isNamed = names !== undefined && namesIn !== 0 && names.offset + names.size <= bytes.length;
    const nameBytes = isNamed ? bytes.subarray(names.offset, names.offset + names.size) : new Uint8Array(0);
    this.sections = headers.map(({ nameAt, ...rest }) => ({ name: nameAt < nameBytes.length ? textAt(nameBytes, nameAt) : '', ...rest }));
  }

  /** Throws SymbolError if the file ends before. */
  contents(section: ElfSection, what: string): Uint8Array {
    if (section.type === SHT_NOBITS) return new Uint8Array(0);
    this.need(section.offset, section.size, what);
    return this.bytes.subarray(section.offset, section.offset + section.size);
  }

  /** Its bytes; undefined if there is no section of this name. Throws SymbolError. */
  named(name: string): { readonly section: ElfSection; readonly bytes: Uint8Array } | undefined {
    const section = this.sections.find((each) => each.name === name);
    return section === undefined ? undefined : { section, bytes: this.contents(section, `the section ${name}`) };
  }

  private need(offset: number, length: number, what: string): void {
    const { length: bytes } = this.bytes;
    if (Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0 && offset + length <= bytes) return;
    throw new SymbolError(`the ELF file is truncated or damaged: ${what} would be at ${offset}, ${length} bytes, in a file of ${bytes}`);
  }
}

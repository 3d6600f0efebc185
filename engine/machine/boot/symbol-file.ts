/**
 * The symbols in a file: of an ELF file (.symtab), or of a text with `ADDRESS TYPE NAME` lines, as in a System.map, /proc/kallsyms or `nm`.
 *
 * Source: System V ABI, "Object Files", chapter "Symbol Table"; nm(1) for the letters.
 */
import { isElf } from './elf.ts';
import { ElfSections, SymbolError, textAt } from './elf-sections.ts';

export interface FileSymbol {
  readonly name: string;
  /** The source file that a local symbol belongs to, as the table tells it: `accounting.c`. */
  readonly file: string | undefined;
  readonly address: bigint;
  /** Bytes; 0 if the table does not say. */
  readonly size: number;
  readonly kind: SymbolKind;
}

/** `other`: a place of no type, as labels of assembly. `absolute`: a number rather than a place, such as the offset of a per-CPU variable. */
export type SymbolKind = 'function' | 'object' | 'other' | 'absolute';

const SYMBOLS_MAX = 4_000_000;

const SHT_SYMTAB = 2;
const SHN_UNDEF = 0;
const SHN_LORESERVE = 0xff00;
const STT_OBJECT = 1;
const STT_FUNC = 2;
const STT_SECTION = 3;
const STT_FILE = 4;
const STT_TLS = 6;
const STT_GNU_IFUNC = 10;

/** Throws SymbolError: not such a file, damaged, or without symbols. */
export function readSymbolFile(bytes: Uint8Array): FileSymbol[] {
  if (isElf(bytes)) return readElfSymbols(new ElfSections(bytes));
  const symbols = readSymbolText(new TextDecoder('utf-8').decode(bytes));
  if (symbols.length === 0) throw new SymbolError('it is no ELF file, and no line of it is `ADDRESS TYPE NAME`, as in a System.map; give one of them');
  return symbols;
}

/** In the order of the file; no symbols of sections, no undefined ones, no local labels. Throws SymbolError: damaged, or stripped. */
export function readElfSymbols(elf: ElfSections): FileSymbol[] {
  const isWide = elf.class === 64;
  const symbolBytes = isWide ? 24 : 16;
  const symbols: FileSymbol[] = [];
  for (const section of elf.sections) {
    if (section.type !== SHT_SYMTAB) continue;
    const namesIn = elf.sections.at(section.link);
    if (namesIn === undefined) throw new SymbolError(`the ELF file is damaged: the names of its symbols are in section ${section.link} of ${elf.sections.length}`);
    const table = elf.contents(section, 'the symbol table');
    const names = elf.contents(namesIn, 'the names of the symbols');
    const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
    const count = Math.floor(table.length / symbolBytes);
    if (count > SYMBOLS_MAX) throw new SymbolError(`the ELF file has ${count} symbols; this version takes ${SYMBOLS_MAX}`);
    let file: string | undefined;
    for (let i = 1; i < count; i++) {
      const at = i * symbolBytes;
      const info = table[at + (isWide ? 4 : 12)];
      const index = view.getUint16(at + (isWide ? 6 : 14), true);
      const nameAt = view.getUint32(at, true);
      if (nameAt >= names.length) throw new SymbolError(`the ELF file is damaged: the name of symbol ${i} is outside the names`);
      const name = textAt(names, nameAt);
      const type = info & 15;
      if (type === STT_FILE) {
        file = name === '' ? undefined : name;
        continue;
      }
      // The value of a thread's variable is an offset.
      if (type === STT_SECTION || type === STT_TLS || index === SHN_UNDEF || index >= SHN_LORESERVE || name === '' || name.startsWith('.L')) continue;
      const address = isWide ? view.getBigUint64(at + 8, true) : BigInt(view.getUint32(at + 4, true));
      const size = isWide ? Number(view.getBigUint64(at + 16, true)) : view.getUint32(at + 8, true);
      const kind = type === STT_FUNC || type === STT_GNU_IFUNC ? 'function' : type === STT_OBJECT ? 'object' : 'other';
      symbols.push({ name, file: info >>> 4 === 0 ? file : undefined, address, size: Math.min(size, Number.MAX_SAFE_INTEGER), kind });
    }
  }
  if (symbols.length === 0) throw new SymbolError('the ELF file has no symbols: it was stripped; give the one before stripping');
  return symbols;
}

/** What a letter of nm(1) says. Weak symbols (w, W) and those decided at load time (i) are functions more often than not. */
export function kindOfLetter(letter: string): SymbolKind | undefined {
  if ('tTwWi'.includes(letter)) return 'function';
  if ('dDbBrRvVgGsSuC'.includes(letter)) return 'object';
  return letter === 'a' || letter === 'A' ? 'absolute' : undefined;
}

function readSymbolText(text: string): FileSymbol[] {
  const symbols: FileSymbol[] = [];
  // A module's name follows in brackets in /proc/kallsyms.
  for (const match of text.matchAll(/^([0-9a-f]{8,16}) ([A-Za-z]) (\S{1,512})/gm)) {
    const kind = kindOfLetter(match[2]);
    if (kind === undefined) continue;
    symbols.push({ name: match[3], file: undefined, address: BigInt(`0x${match[1]}`), size: 0, kind });
    if (symbols.length >= SYMBOLS_MAX) break;
  }
  return symbols;
}

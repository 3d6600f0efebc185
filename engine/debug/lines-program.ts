/**
 * Which line of the source an address comes from: .debug_line of an ELF file, run once as a whole.
 *
 * Source: DWARF 5, section 6.2, and the tables of versions 2, 3 and 4 as their own section 6.2 has them. Nothing is believed: a unit that is damaged, or of a
 * version that is not known, is left out, and so is a sequence whose addresses go down or which is not in the code of the file.
 */
import { type ElfSections, SHF_ALLOC, SHF_COMPRESSED, SHF_EXECINSTR, SymbolError, textAt } from '../machine/boot/elf-sections.ts';
import { DwarfReader } from './lines-reader.ts';

/** Of all sequences together: 192 MiB in memory. A distribution's vmlinux has some 10^7. */
const ROWS_MAX = 1 << 24;
const FILES_MAX = 1 << 20;
const CODE_SECTIONS_MAX = 1024;

/** Code that is contiguous: rows `first` to `first + count - 1`, the last of which is its end. */
interface Sequence {
  readonly start: bigint;
  readonly end: bigint;
  readonly first: number;
  readonly count: number;
}

const STATEMENT = 1;

/** The bytes of a debug section, or undefined; a packed one cannot be read here. Throws SymbolError. */
export function debugSection(elf: ElfSections, name: string): Uint8Array | undefined {
  const found = elf.named(name);
  if (found === undefined || found.bytes.length === 0) return undefined;
  if ((found.section.flags & SHF_COMPRESSED) !== 0) throw new SymbolError(`${name} is compressed: \`objcopy --decompress-debug-sections\` unpacks it`);
  return found.bytes;
}

/** The files of a unit by number, directories included. */
export type UnitFiles = (number: number) => string | undefined;

export class LineProgram {
  /** Units that were left out, and the first reason. */
  readonly problem: string | undefined;
  private readonly sequences: readonly Sequence[];
  private readonly files: string[] = [];
  private readonly fileIds = new Map<string, number>();
  /** Of a row: bytes after the start of its sequence, its line, its file and STATEMENT. */
  private offsets = new Uint32Array(1 << 12);
  private lines = new Uint32Array(1 << 12);
  private filesAndFlags = new Uint32Array(1 << 12);
  private rows = 0;
  /** By the unit's offset in .debug_line. */
  private readonly unitFiles = new Map<number, readonly (string | undefined)[]>();

  /** `directories`: where the compiler ran, by the offset of the unit's lines. Throws SymbolError: compressed. */
  constructor(elf: ElfSections, directories: ReadonlyMap<number, string>) {
    const bytes = debugSection(elf, '.debug_line') ?? new Uint8Array(0);
    const texts = { line: debugSection(elf, '.debug_line_str'), string: debugSection(elf, '.debug_str') };
    const code = elf.sections.filter(({ flags }) => (flags & (SHF_ALLOC | SHF_EXECINSTR)) === (SHF_ALLOC | SHF_EXECINSTR)).slice(0, CODE_SECTIONS_MAX);
    const isCode = (start: bigint, end: bigint): boolean => code.some(({ address, size }) => start >= address && end <= address + BigInt(size));
    const sequences: Sequence[] = [];
    const reader = new DwarfReader(bytes, '.debug_line');
    let problem: string | undefined;
    while (reader.left > 0) {
      const offset = reader.at;
      try {
        const { offsetBytes, rest } = reader.unit();
        this.runUnit(rest, offset, offsetBytes, directories.get(offset), texts, isCode, sequences);
      } catch (error) {
        if (!(error instanceof SymbolError)) throw error;
        problem ??= error.message;
        // Its length did not make sense, so where the next one begins is not known.
        if (reader.at <= offset + 12) break;
      }
    }
    this.problem = problem;
    this.sequences = sequences.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
  }

  get isEmpty(): boolean {
    return this.sequences.length === 0;
  }
  /** Source files that have code. */
  get fileNames(): readonly string[] {
    return this.files;
  }
  filesOf(unit: number): UnitFiles {
    return (number) => this.unitFiles.get(unit)?.[number];
  }

  lineOf(address: bigint): { readonly file: string; readonly line: number } | undefined {
    const { sequences } = this;
    let low = 0;
    let high = sequences.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sequences[middle].start <= address) low = middle + 1;
      else high = middle;
    }
    const sequence = sequences.at(low - 1);
    if (low === 0 || sequence === undefined || address >= sequence.end) return undefined;
    const offset = Number(address - sequence.start);
    let row = sequence.first;
    let end = row + sequence.count;
    // The last row at or before it: of several at one address, only the last has bytes.
    while (end - row > 1) {
      const middle = (row + end) >>> 1;
      if (this.offsets[middle] <= offset) row = middle;
      else end = middle;
    }
    const line = this.lines[row];
    // Line 0: of no line of the source.
    return line === 0 ? undefined : { file: this.files[this.filesAndFlags[row] >>> 1], line };
  }

  /** Where the code of a line begins, ascending. `file`: a path, or its last parts. */
  addressesOf(file: string, line: number): readonly bigint[] {
    const wanted = this.matching(file);
    const found = new Set<bigint>();
    if (wanted.size === 0) return [];
    for (const { start, first, count } of this.sequences) {
      for (let row = first; row < first + count - 1; row++) {
        if (this.lines[row] !== line || (this.filesAndFlags[row] & STATEMENT) === 0 || this.offsets[row + 1] === this.offsets[row] || !wanted.has(this.filesAndFlags[row] >>> 1)) continue;
        const isContinued = row > first && this.lines[row - 1] === line && this.filesAndFlags[row - 1] >>> 1 === this.filesAndFlags[row] >>> 1 && this.offsets[row - 1] < this.offsets[row];
        if (!isContinued) found.add(start + BigInt(this.offsets[row]));
      }
    }
    return [...found].sort((a, b) => (a < b ? -1 : 1));
  }

  /** The lines of a file that have code, ascending. */
  linesOf(file: string): readonly number[] {
    const wanted = this.matching(file);
    const found = new Set<number>();
    if (wanted.size === 0) return [];
    for (const { first, count } of this.sequences) {
      for (let row = first; row < first + count - 1; row++) {
        if (this.lines[row] > 0 && (this.filesAndFlags[row] & STATEMENT) !== 0 && this.offsets[row + 1] > this.offsets[row] && wanted.has(this.filesAndFlags[row] >>> 1)) found.add(this.lines[row]);
      }
    }
    return [...found].sort((a, b) => a - b);
  }

  private matching(file: string): ReadonlySet<number> {
    const wanted = file.replaceAll('\\', '/');
    return new Set(this.files.flatMap((name, id) => (wanted !== '' && (name === wanted || name.endsWith(`/${wanted}`)) ? [id] : [])));
  }

  private fileId(name: string): number {
    let id = this.fileIds.get(name);
    if (id === undefined) {
      if (this.files.length >= FILES_MAX) throw new SymbolError(`.debug_line has more than ${FILES_MAX} files`);
      id = this.files.push(name) - 1;
      this.fileIds.set(name, id);
    }
    return id;
  }

  private addRow(offset: number, line: number, fileAndFlag: number): void {
    if (this.rows === this.lines.length) {
      if (this.rows >= ROWS_MAX) throw new SymbolError(`.debug_line has more than ${ROWS_MAX} rows, which is more than this version takes`);
      const grown = (old: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> => {
        const array = new Uint32Array(old.length * 2);
        array.set(old);
        return array;
      };
      this.offsets = grown(this.offsets);
      this.lines = grown(this.lines);
      this.filesAndFlags = grown(this.filesAndFlags);
    }
    this.offsets[this.rows] = offset;
    this.lines[this.rows] = line;
    this.filesAndFlags[this.rows++] = fileAndFlag;
  }

  private runUnit(reader: DwarfReader, unit: number, offsetBytes: 4 | 8, directory: string | undefined, texts: Texts, isCode: (start: bigint, end: bigint) => boolean, sequences: Sequence[]): void {
    const version = reader.u16();
    if (version < 2 || version > 5) throw new SymbolError(`.debug_line has a unit of version ${version}; 2 to 5 are known`);
    let addressBytes = 8;
    if (version >= 5) {
      addressBytes = reader.u8();
      reader.skip(1);
    }
    const headerBytes = reader.offset(offsetBytes);
    const header = new DwarfReader(reader.bytes, '.debug_line', reader.at, reader.at + Math.min(headerBytes, reader.left));
    reader.skip(headerBytes);
    const instructionBytes = header.u8();
    if (version >= 4) header.skip(1);
    const startsStatement = header.u8() !== 0;
    const lineBase = header.s8();
    const lineRange = header.u8();
    const opcodeBase = header.u8();
    const operands = Array.from({ length: Math.max(0, opcodeBase - 1) }, () => header.u8());
    if (lineRange === 0 || opcodeBase === 0) throw new SymbolError('.debug_line is damaged: a line range or an opcode base of 0');
    const names = version >= 5 ? filesOfVersion5(header, offsetBytes, texts, directory) : filesBefore5(header, directory);
    this.unitFiles.set(unit, names);
    const ids = new Map<number, number>();
    const idOf = (number: number): number => {
      let id = ids.get(number);
      if (id === undefined) {
        id = this.fileId(names.at(number) ?? '?');
        ids.set(number, id);
      }
      return id;
    };

    const advanceOfConstAddPc = Math.floor((255 - opcodeBase) / lineRange) * instructionBytes;
    let first = this.rows;
    let start = 0n;
    /** Bytes after `start`: kept as a number, since a sequence is never 4 GiB long. */
    let offset = 0;
    let file = 1;
    let line = 1;
    let isStatement = startsStatement;
    let isSound = true;
    const emit = (): void => {
      if (!isSound) return;
      // Before the first row, an advance moves the start.
      if (this.rows === first && Number.isSafeInteger(offset)) {
        start += BigInt(offset);
        offset = 0;
      }
      if (!(offset >= 0 && offset <= 0xffff_ffff) || (this.rows > first && offset < this.offsets[this.rows - 1])) {
        isSound = false;
        return;
      }
      this.addRow(offset, line > 0 && line <= 0x7fff_ffff ? line : 0, idOf(file) * 2 + (isStatement ? STATEMENT : 0));
    };
    const reset = (): void => {
      first = this.rows;
      start = 0n;
      offset = 0;
      file = 1;
      line = 1;
      isStatement = startsStatement;
      isSound = true;
    };
    const endSequence = (): void => {
      emit();
      const end = start + BigInt(Math.max(0, Math.min(offset, 0xffff_ffff)));
      if (isSound && this.rows - first >= 2 && end > start && isCode(start, end)) sequences.push({ start, end, first, count: this.rows - first });
      else this.rows = first;
      reset();
    };
    try {
      while (reader.left > 0) {
        const opcode = reader.u8();
        if (opcode >= opcodeBase) {
          const special = opcode - opcodeBase;
          offset += Math.floor(special / lineRange) * instructionBytes;
          line += lineBase + (special % lineRange);
          emit();
          continue;
        }
        switch (opcode) {
          case 0: {
            const length = reader.uleb();
            const next = reader.at + length;
            if (length === 0) break;
            if (length > reader.left) throw new SymbolError('.debug_line is damaged: an opcode that is longer than its unit');
            const extended = reader.u8();
            if (extended === 1) endSequence();
            else if (extended === 2) {
              const bytes = length - 1;
              const address = reader.address(version >= 5 && bytes > addressBytes ? addressBytes : bytes);
              if (this.rows === first) {
                start = address;
                offset = 0;
              } else {
                const from = address - start;
                if (from < 0n || from > 0xffff_ffffn) isSound = false;
                else offset = Number(from);
              }
            }
            // A file defined on the way (3, until version 4) is written by no compiler; discriminators (4) do not matter here.
            reader.skip(next - reader.at);
            break;
          }
          case 1:
            emit();
            break;
          case 2:
            offset += reader.uleb() * instructionBytes;
            break;
          case 3:
            line += reader.sleb();
            break;
          case 4:
            file = reader.uleb();
            break;
          case 5:
            reader.uleb();
            break;
          case 6:
            isStatement = !isStatement;
            break;
          case 7:
          case 10:
          case 11:
            break;
          case 8:
            offset += advanceOfConstAddPc;
            break;
          case 9:
            offset += reader.u16();
            break;
          default:
            for (let i = 0; i < operands[opcode - 1]; i++) reader.uleb();
        }
      }
    } finally {
      // Without its end a sequence has no last address.
      this.rows = first;
    }
  }
}

interface Texts {
  readonly line: Uint8Array | undefined;
  readonly string: Uint8Array | undefined;
}

function joined(directory: string | undefined, name: string): string {
  return name.startsWith('/') || directory === undefined || directory === '' ? name : `${directory.replace(/\/$/, '')}/${name}`;
}

/** Numbered from 1; directory 0 is the one that the compiler ran in. */
function filesBefore5(header: DwarfReader, directory: string | undefined): (string | undefined)[] {
  const directories = [directory];
  for (let name = header.text(); name !== ''; name = header.text()) directories.push(joined(directory, name));
  const files: (string | undefined)[] = [undefined];
  for (let name = header.text(); name !== ''; name = header.text()) {
    files.push(joined(directories.at(header.uleb()), name));
    header.uleb();
    header.uleb();
  }
  return files;
}

const LNCT_PATH = 1;
const LNCT_DIRECTORY = 2;

/** Numbered from 0. */
function filesOfVersion5(header: DwarfReader, offsetBytes: 4 | 8, texts: Texts, directory: string | undefined): (string | undefined)[] {
  const directories = entries(header, offsetBytes, texts).map(({ name }) => name);
  const root = directories.at(0) ?? directory;
  return entries(header, offsetBytes, texts).map(({ name, index }) => joined(index === 0 ? root : joined(root, directories.at(index) ?? ''), name));
}

function entries(header: DwarfReader, offsetBytes: 4 | 8, texts: Texts): { name: string; index: number }[] {
  const formats = Array.from({ length: header.u8() }, () => [header.uleb(), header.uleb()] as const);
  const count = header.uleb();
  // Entries without fields take no bytes, so their number would be the only bound.
  if (count > header.left || (count > 0 && formats.length === 0)) throw new SymbolError(`.debug_line is damaged: ${count} files in ${header.left} bytes`);
  return Array.from({ length: count }, () => {
    let name = '';
    let index = 0;
    for (const [content, form] of formats) {
      const value = field(header, form, offsetBytes, texts);
      if (content === LNCT_PATH && typeof value === 'string') name = value;
      if (content === LNCT_DIRECTORY && typeof value === 'number') index = value;
    }
    return { name, index };
  });
}

/** The forms that tables of files may have: DWARF 5, 6.2.4.1. */
function field(header: DwarfReader, form: number, offsetBytes: 4 | 8, texts: Texts): string | number | undefined {
  const string = (bytes: Uint8Array | undefined, at: number): string => (bytes === undefined || at >= bytes.length ? '' : textAt(bytes, at));
  switch (form) {
    case 0x08:
      return header.text();
    case 0x0e:
      return string(texts.string, header.offset(offsetBytes));
    case 0x1f:
      return string(texts.line, header.offset(offsetBytes));
    case 0x0b:
      return header.u8();
    case 0x05:
      return header.u16();
    case 0x06:
      return header.u32();
    case 0x0f:
      return header.uleb();
    case 0x07:
      header.skip(8);
      return undefined;
    case 0x1e:
      header.skip(16);
      return undefined;
    case 0x09:
      header.skip(header.uleb());
      return undefined;
    default:
      throw new SymbolError(`.debug_line has a table of files with the form 0x${form.toString(16)}`);
  }
}

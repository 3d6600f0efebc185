/**
 * Names and addresses of a guest's image, both ways: the symbol table of an ELF file (.symtab), 32- or 64-bit, little-endian.
 *
 * Source: System V ABI, "Object Files", chapters "Sections" and "Symbol Table". The file is not trusted: every offset is checked.
 */

/** The symbols cannot be used: why, and what to do. */
export class SymbolError extends Error {
  override readonly name = 'SymbolError';
}

export interface GuestSymbol {
  readonly name: string;
  /** The source file that a local symbol belongs to, as the table tells it: `accounting.c`. */
  readonly file: string | undefined;
  readonly address: bigint;
  /** Bytes; 0 if the table does not say. */
  readonly size: number;
  readonly kind: 'function' | 'object' | 'other';
}

/** A symbol without a size reaches to the next one, but not farther than this. */
const REACH_BYTES_MAX = 1 << 20;
const SYMBOLS_MAX = 1_000_000;
const NAME_BYTES_MAX = 1024;

const SHT_SYMTAB = 2;
const SHN_UNDEF = 0;
const SHN_LORESERVE = 0xff00;
const STT_OBJECT = 1;
const STT_FUNC = 2;
const STT_SECTION = 3;
const STT_FILE = 4;

export class SymbolTable {
  static readonly EMPTY = new SymbolTable([]);
  /** Ascending addresses; of those at one address, the one to show comes last. */
  readonly symbols: readonly GuestSymbol[];
  private readonly byName = new Map<string, GuestSymbol[]>();

  constructor(symbols: readonly GuestSymbol[]) {
    this.symbols = [...symbols].sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : rank(a) - rank(b) || (a.name > b.name ? -1 : 1)));
    for (const symbol of this.symbols) {
      const same = this.byName.get(symbol.name);
      if (same === undefined) this.byName.set(symbol.name, [symbol]);
      else same.push(symbol);
    }
  }

  /** `NAME`, or `FILE:NAME` for a local symbol that is there more than once. Throws SymbolError. */
  find(text: string): GuestSymbol {
    const colon = text.lastIndexOf(':');
    const name = text.slice(colon + 1);
    const file = colon < 0 ? undefined : text.slice(0, colon);
    const named = this.byName.get(name) ?? [];
    const found = file === undefined ? named : named.filter((symbol) => symbol.file === file || symbol.file?.replace(/\.[^.]*$/, '') === file);
    const addresses = new Set(found.map(({ address }) => address));
    if (addresses.size === 1) return found[found.length - 1];
    if (found.length > 1) {
      const choices = found.map((symbol) => `${symbol.file ?? '?'}:${name} (0x${symbol.address.toString(16)})`).join(', ');
      throw new SymbolError(`"${text}" is ${found.length} symbols: say which, ${choices}`);
    }
    if (this.symbols.length === 0) throw new SymbolError(`"${text}" is no register, and the guest has no symbols: give an address`);
    const lower = name.toLowerCase();
    const near = [...this.byName.keys()].filter((known) => known.toLowerCase().includes(lower) || (known.length > 3 && lower.includes(known.toLowerCase()))).slice(0, 5);
    throw new SymbolError(`there is no symbol "${text}"${near.length === 0 ? '' : `; there is ${near.join(', ')}`}`);
  }

  has(name: string): boolean {
    return this.byName.has(name);
  }

  /** The symbol that an address is in; undefined if it is in none. */
  at(address: bigint): GuestSymbol | undefined {
    let low = 0;
    let high = this.symbols.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.symbols[middle].address <= address) low = middle + 1;
      else high = middle;
    }
    // A label inside a function, or the end of the one before, must not hide the one that holds the address.
    let unsized: GuestSymbol | undefined;
    for (let i = low - 1; i >= 0 && address - this.symbols[i].address < BigInt(REACH_BYTES_MAX); i--) {
      const symbol = this.symbols[i];
      if (symbol.size > 0 && address < symbol.address + BigInt(symbol.size)) return symbol;
      // What ends before the address ends the reach of those without a size, too.
      if (symbol.size > 0) return unsized;
      unsized ??= symbol;
    }
    return unsized;
  }

  /** `symbol+0x12`, or the address in hexadecimal. */
  tell(address: bigint): string {
    const symbol = this.at(address);
    if (symbol === undefined) return `0x${address.toString(16)}`;
    return address === symbol.address ? symbol.name : `${symbol.name}+0x${(address - symbol.address).toString(16)}`;
  }
}

/** What has a type and a size is what people mean. */
function rank({ kind, size }: GuestSymbol): number {
  return (kind === 'other' ? 0 : 2) + (size > 0 ? 1 : 0);
}

export function isElf(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

/** Throws SymbolError: no ELF file, damaged, or stripped. */
export function parseElfSymbols(bytes: Uint8Array): SymbolTable {
  if (!isElf(bytes)) throw new SymbolError('the image is no ELF file, so it has no symbols: give the ELF file that it was made from (vmlinux)');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const need = (offset: number, length: number, what: string): void => {
    if (!(Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0 && offset + length <= bytes.length)) {
      throw new SymbolError(`the ELF file is truncated or damaged: ${what} would be at ${offset}, ${length} bytes, in a file of ${bytes.length}`);
    }
  };
  need(0, 16, 'its identification');
  if (bytes[4] !== 1 && bytes[4] !== 2) throw new SymbolError(`the ELF file is of class ${bytes[4]}: 32-bit (1) and 64-bit (2) are known`);
  if (bytes[5] !== 1) throw new SymbolError('the ELF file is not little-endian, so it is no x86 guest');
  const isWide = bytes[4] === 2;
  need(0, isWide ? 64 : 52, 'its header');
  const word = (at: number): number => (isWide ? Number(view.getBigUint64(at, true)) : view.getUint32(at, true));
  const table = word(isWide ? 40 : 32);
  const entryBytes = view.getUint16(isWide ? 58 : 46, true);
  const count = view.getUint16(isWide ? 60 : 48, true);
  if (count === 0) throw new SymbolError('the ELF file has no sections: it was stripped; give the one before stripping');
  if (entryBytes < (isWide ? 64 : 40)) throw new SymbolError(`the ELF file is damaged: a section header of ${entryBytes} bytes`);
  need(table, count * entryBytes, 'the table of sections');
  const section = (i: number): { type: number; offset: number; size: number; link: number } => {
    const at = table + i * entryBytes;
    return { type: view.getUint32(at + 4, true), offset: word(at + (isWide ? 24 : 16)), size: word(at + (isWide ? 32 : 20)), link: view.getUint32(at + (isWide ? 40 : 24), true) };
  };
  const symbols: GuestSymbol[] = [];
  const decoder = new TextDecoder('utf-8');
  const symbolBytes = isWide ? 24 : 16;
  for (let i = 0; i < count; i++) {
    const { type, offset, size, link } = section(i);
    if (type !== SHT_SYMTAB) continue;
    if (link >= count) throw new SymbolError(`the ELF file is damaged: the names of its symbols are in section ${link} of ${count}`);
    const names = section(link);
    need(offset, size, 'the symbol table');
    need(names.offset, names.size, 'the names of the symbols');
    const many = Math.floor(size / symbolBytes);
    if (many > SYMBOLS_MAX) throw new SymbolError(`the ELF file has ${many} symbols; this version takes ${SYMBOLS_MAX}`);
    let file: string | undefined;
    for (let j = 1; j < many; j++) {
      const at = offset + j * symbolBytes;
      const info = bytes[at + (isWide ? 4 : 12)];
      const index = view.getUint16(at + (isWide ? 6 : 14), true);
      const nameAt = view.getUint32(at, true);
      if (nameAt >= names.size) throw new SymbolError(`the ELF file is damaged: the name of symbol ${j} is outside the names`);
      const start = names.offset + nameAt;
      const limit = Math.min(names.offset + names.size, start + NAME_BYTES_MAX);
      let end = start;
      while (end < limit && bytes[end] !== 0) end++;
      const name = decoder.decode(bytes.subarray(start, end));
      const symbolType = info & 15;
      if (symbolType === STT_FILE) {
        file = name === '' ? undefined : name;
        continue;
      }
      if (symbolType === STT_SECTION || index === SHN_UNDEF || index >= SHN_LORESERVE || name === '' || name.startsWith('.L')) continue;
      const address = isWide ? view.getBigUint64(at + 8, true) : BigInt(view.getUint32(at + 4, true));
      const bytesOf = isWide ? Number(view.getBigUint64(at + 16, true)) : view.getUint32(at + 8, true);
      const kind = symbolType === STT_FUNC ? 'function' : symbolType === STT_OBJECT ? 'object' : 'other';
      symbols.push({ name, file: info >>> 4 === 0 ? file : undefined, address, size: Math.min(bytesOf, Number.MAX_SAFE_INTEGER), kind });
    }
  }
  if (symbols.length === 0) throw new SymbolError('the ELF file has no symbols: it was stripped; give the one before stripping');
  return new SymbolTable(symbols);
}

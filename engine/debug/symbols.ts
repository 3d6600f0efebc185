/** Names and addresses of a guest's code and data, both ways. */
import { ElfSections, SymbolError } from '../machine/boot/elf-sections.ts';
import { type FileSymbol, readElfSymbols, readSymbolFile } from '../machine/boot/symbol-file.ts';

export { SymbolError } from '../machine/boot/elf-sections.ts';

export type GuestSymbol = FileSymbol;

/** A symbol without a size reaches to the next one, but not farther than this. */
const REACH_BYTES_MAX = 1 << 20;
/** Symbols of one name that a message lists. */
const CHOICES_MAX = 10;

export class SymbolTable {
  static readonly EMPTY = new SymbolTable([]);
  /** Those with a place, in ascending order of address; of those at one address, the one to show comes last. */
  readonly symbols: readonly GuestSymbol[];
  private readonly byName = new Map<string, GuestSymbol[]>();

  /** `isSorted`: they are in that order already. */
  constructor(symbols: readonly GuestSymbol[], isSorted = false) {
    const places = symbols.filter(({ kind }) => kind !== 'absolute');
    this.symbols = isSorted ? places : places.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : rank(a) - rank(b) || (a.name > b.name ? -1 : 1)));
    for (const symbol of symbols) {
      const same = this.byName.get(symbol.name);
      if (same === undefined) this.byName.set(symbol.name, [symbol]);
      else same.push(symbol);
    }
  }

  /** `NAME`, or `FILE:NAME` for a local symbol that is there more than once. Throws SymbolError. */
  find(text: string): GuestSymbol {
    const name = text.slice(text.lastIndexOf(':') + 1);
    const found = this.named(text);
    const addresses = new Set(found.map(({ address }) => address));
    if (addresses.size === 1) return found[found.length - 1];
    if (found.length > 1) {
      const isTold = found.every((symbol) => symbol.file !== undefined);
      const choices = found.slice(0, CHOICES_MAX).map((symbol) => `${isTold ? `${symbol.file}:${name} ` : ''}(0x${symbol.address.toString(16)})`).join(', ') + (found.length > CHOICES_MAX ? ', ...' : '');
      throw new SymbolError(`"${text}" is ${found.length} symbols: ${isTold ? 'say which' : 'give the address of one'}, ${choices}`);
    }
    if (this.byName.size === 0) throw new SymbolError(`"${text}" is no register, and the guest has no symbols: give an address`);
    const lower = name.toLowerCase();
    const near = [...this.byName.keys()].filter((known) => known.toLowerCase().includes(lower) || (known.length > 3 && lower.includes(known.toLowerCase()))).slice(0, 5);
    throw new SymbolError(`there is no symbol "${text}"${near.length === 0 ? '' : `; there is ${near.join(', ')}`}`);
  }

  /** All of this name, which may have a file in front as for find(). */
  named(text: string): readonly GuestSymbol[] {
    const colon = text.lastIndexOf(':');
    const named = this.byName.get(text.slice(colon + 1)) ?? [];
    if (colon < 0) return named;
    const file = text.slice(0, colon);
    return named.filter((symbol) => symbol.file === file || symbol.file?.replace(/\.[^.]*$/, '') === file);
  }

  /** Those without a place, too. */
  all(): readonly GuestSymbol[] {
    return [...this.byName.values()].flat();
  }

  /** Of the one symbol of this name; undefined if there is none, or several at several addresses. */
  addressOf(name: string): bigint | undefined {
    const found = this.byName.get(name);
    return found?.every(({ address }) => address === found[0].address) === true ? found[0].address : undefined;
  }

  /** Whether find() knows the bare name, be it that of several. */
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

/** Of an ELF file. Throws SymbolError: no ELF file, damaged, or stripped. */
export function parseElfSymbols(bytes: Uint8Array): SymbolTable {
  return new SymbolTable(readElfSymbols(new ElfSections(bytes)));
}

/** Of an ELF file, or none if it has none. */
export function elfSymbolsOf(bytes: Uint8Array): SymbolTable {
  try {
    return parseElfSymbols(bytes);
  } catch (error) {
    if (error instanceof SymbolError) return SymbolTable.EMPTY;
    throw error;
  }
}

/** Of an ELF file or a text such as a System.map. Throws SymbolError. */
export function parseSymbols(bytes: Uint8Array): SymbolTable {
  return new SymbolTable(readSymbolFile(bytes));
}

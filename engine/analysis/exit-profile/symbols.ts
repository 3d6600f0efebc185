/** Which guest function an address is in, for folds that ask of every exit. A symbol without a size reaches to the next one. */
import { SymbolError } from '../../machine/boot/elf-sections.ts';
import { type FileSymbol, readSymbolFile } from '../../machine/boot/symbol-file.ts';

export { SymbolError } from '../../machine/boot/elf-sections.ts';

/** A function is not larger than this: what lies farther from the last symbol belongs to none. */
const REACH_BYTES_MAX = 1 << 20;

export class Symbols {
  /** Ascending addresses. Above 2^53 not exact, so two halves. */
  private readonly hi: Uint32Array;
  private readonly lo: Uint32Array;
  private readonly size: Uint32Array;
  private readonly names: readonly string[];

  /** Objects are no functions. */
  constructor(symbols: readonly FileSymbol[]) {
    const code = symbols.filter(({ kind }) => kind === 'function' || kind === 'other');
    code.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : b.size - a.size || (a.name < b.name ? -1 : 1)));
    const kept = code.filter((symbol, i) => i === 0 || symbol.address !== code[i - 1].address);
    this.hi = Uint32Array.from(kept, ({ address }) => Number(address >> 32n));
    this.lo = Uint32Array.from(kept, ({ address }) => Number(address & 0xffff_ffffn));
    this.size = Uint32Array.from(kept, ({ size }) => Math.min(0xffff_ffff, size));
    this.names = kept.map(({ name }) => name);
  }

  get count(): number {
    return this.names.length;
  }

  /** An ELF file, or a text with `ADDRESS TYPE NAME` lines. Throws SymbolError. */
  static parse(bytes: Uint8Array): Symbols {
    const symbols = new Symbols(readSymbolFile(bytes));
    if (symbols.count === 0) throw new SymbolError('it has no symbols of functions: give the ELF file before stripping, or a System.map');
    return symbols;
  }

  at(ripLo: number, ripHi: number): string | undefined {
    let low = 0;
    let high = this.lo.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.hi[middle] < ripHi || (this.hi[middle] === ripHi && this.lo[middle] <= ripLo)) low = middle + 1;
      else high = middle;
    }
    const i = low - 1;
    if (i < 0 || this.hi[i] !== ripHi) return undefined;
    const into = ripLo - this.lo[i];
    return into < (this.size[i] === 0 ? REACH_BYTES_MAX : this.size[i]) ? this.names[i] : undefined;
  }
}

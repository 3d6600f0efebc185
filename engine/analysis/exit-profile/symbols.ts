/**
 * Which guest function an address is in: the symbols of an ELF file (.symtab), or the text of a System.map, /proc/kallsyms or `nm`.
 *
 * A symbol without a size reaches to the next one. ELF: System V ABI, gABI 4.1, chapter 4.
 */

export class SymbolError extends Error {
  override readonly name = 'SymbolError';
}

/** A function is not larger than this: what lies farther from the last symbol belongs to none. */
const REACH_BYTES_MAX = 1 << 20;
const SYMBOLS_MAX = 4_000_000;

export class Symbols {
  /** Ascending addresses. Above 2^53 not exact, so two halves. */
  private readonly hi: Uint32Array;
  private readonly lo: Uint32Array;
  private readonly size: Uint32Array;
  private readonly names: readonly string[];

  private constructor(entries: { readonly address: bigint; readonly size: number; readonly name: string }[]) {
    entries.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : b.size - a.size || (a.name < b.name ? -1 : 1)));
    const kept = entries.filter((entry, i) => i === 0 || entry.address !== entries[i - 1].address);
    this.hi = Uint32Array.from(kept, ({ address }) => Number(address >> 32n));
    this.lo = Uint32Array.from(kept, ({ address }) => Number(address & 0xffff_ffffn));
    this.size = Uint32Array.from(kept, ({ size }) => size);
    this.names = kept.map(({ name }) => name);
  }

  get count(): number {
    return this.names.length;
  }

  /** An ELF64 file or a text with `ADDRESS TYPE NAME` lines. Throws SymbolError. */
  static parse(bytes: Uint8Array): Symbols {
    const isElf = bytes.length >= 4 && bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
    const entries = isElf ? fromElf(bytes) : fromText(new TextDecoder('utf-8').decode(bytes));
    if (entries.length === 0) {
      throw new SymbolError(isElf ? 'the ELF file has no symbols of functions: it was stripped; give the one before stripping, or a System.map' : 'no line is `ADDRESS TYPE NAME`, as in a System.map; give one, or an ELF file');
    }
    return new Symbols(entries);
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

type Entry = { readonly address: bigint; readonly size: number; readonly name: string };

function fromText(text: string): Entry[] {
  const entries: Entry[] = [];
  for (const match of text.matchAll(/^([0-9a-f]{8,16}) [tTwWi] (\S{1,512})/gm)) {
    entries.push({ address: BigInt(`0x${match[1]}`), size: 0, name: match[2] });
    if (entries.length >= SYMBOLS_MAX) break;
  }
  return entries;
}

const SHT_SYMTAB = 2;
const STT_NOTYPE = 0;
const STT_FUNC = 2;
const SYMBOL_BYTES = 24;

function fromElf(bytes: Uint8Array): Entry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const need = (offset: number, length: number): void => {
    if (!(offset >= 0 && length >= 0 && offset + length <= bytes.length)) throw new SymbolError('the ELF file is truncated or damaged: get it again');
  };
  const u64 = (at: number): number => view.getUint32(at, true) + view.getUint32(at + 4, true) * 0x1_0000_0000;
  need(0, 64);
  if (bytes[4] !== 2 || bytes[5] !== 1) throw new SymbolError('the ELF file is not 64-bit little-endian; this is not an x86-64 guest');
  const sectionsAt = u64(0x28);
  const sectionBytes = view.getUint16(0x3a, true);
  const sections = view.getUint16(0x3c, true);
  if (sections > 0 && sectionBytes < 64) throw new SymbolError('the ELF file has a damaged section table');
  need(sectionsAt, sections * sectionBytes);
  const entries: Entry[] = [];
  for (let i = 0; i < sections; i++) {
    const at = sectionsAt + i * sectionBytes;
    if (view.getUint32(at + 4, true) !== SHT_SYMTAB) continue;
    const link = view.getUint32(at + 40, true);
    if (link >= sections) throw new SymbolError('the ELF file has a damaged section table');
    const namesAt = u64(sectionsAt + link * sectionBytes + 24);
    const namesBytes = u64(sectionsAt + link * sectionBytes + 32);
    need(namesAt, namesBytes);
    const from = u64(at + 24);
    const count = Math.min(SYMBOLS_MAX, Math.floor(u64(at + 32) / SYMBOL_BYTES));
    need(from, count * SYMBOL_BYTES);
    for (let j = 0; j < count; j++) {
      const symbol = from + j * SYMBOL_BYTES;
      const type = bytes[symbol + 4] & 15;
      const section = view.getUint16(symbol + 6, true);
      // Assembly functions often have no type; absolute and undefined symbols are no code.
      if ((type !== STT_FUNC && type !== STT_NOTYPE) || section === 0 || section >= 0xff00) continue;
      const nameAt = view.getUint32(symbol, true);
      if (nameAt >= namesBytes) continue;
      let end = namesAt + nameAt;
      while (end < namesAt + namesBytes && bytes[end] !== 0) end++;
      const name = new TextDecoder('utf-8').decode(bytes.subarray(namesAt + nameAt, end));
      if (name === '' || name.startsWith('.L') || name.startsWith('$')) continue;
      entries.push({ address: view.getBigUint64(symbol + 8, true), size: Math.min(0xffff_ffff, u64(symbol + 16)), name });
    }
  }
  return entries;
}

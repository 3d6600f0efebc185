/** An ELF file that has nothing but symbols, for gdb: Debian's kernels are stripped, but carry their names in memory. */
import type { SymbolTable } from '../../engine/debug/symbols.ts';

const SHT = { progbits: 1, symtab: 2, strtab: 3, nobits: 8 } as const;
const SECTION_BYTES = 64;
const SYMBOL_BYTES = 24;

/** ELF64, x86-64, EXEC; one section without bytes reaches over all functions. Source: System V ABI, chapter 4. */
export function symbolElf(table: SymbolTable): Buffer {
  const functions = table.symbols.filter(({ kind }) => kind === 'function');
  const low = functions[0].address;
  const high = functions[functions.length - 1].address + 4096n;
  const names: Buffer[] = [Buffer.from([0])];
  let nameAt = 1;
  const symbols = Buffer.alloc((functions.length + 1) * SYMBOL_BYTES);
  functions.forEach(({ name, address, size }, i) => {
    const at = (i + 1) * SYMBOL_BYTES;
    symbols.writeUInt32LE(nameAt, at);
    symbols.writeUInt8(0x12, at + 4); // GLOBAL, FUNC
    symbols.writeUInt16LE(1, at + 6);
    symbols.writeBigUInt64LE(address, at + 8);
    symbols.writeBigUInt64LE(BigInt(size), at + 16);
    const bytes = Buffer.from(`${name}\0`, 'latin1');
    names.push(bytes);
    nameAt += bytes.length;
  });
  const strings = Buffer.concat(names);
  const sectionNames = Buffer.from('\0.text\0.symtab\0.strtab\0.shstrtab\0', 'latin1');
  const header = Buffer.alloc(64);
  const symbolsAt = header.length;
  const stringsAt = symbolsAt + symbols.length;
  const sectionNamesAt = stringsAt + strings.length;
  const sectionsAt = (sectionNamesAt + sectionNames.length + 7) & ~7;
  const section = (name: string, type: number, flags: bigint, address: bigint, offset: number, size: number, link = 0, info = 0, entry = 0): Buffer => {
    const bytes = Buffer.alloc(SECTION_BYTES);
    bytes.writeUInt32LE(name === '' ? 0 : sectionNames.indexOf(`${name}\0`), 0);
    bytes.writeUInt32LE(type, 4);
    bytes.writeBigUInt64LE(flags, 8);
    bytes.writeBigUInt64LE(address, 16);
    bytes.writeBigUInt64LE(BigInt(offset), 24);
    bytes.writeBigUInt64LE(BigInt(size), 32);
    bytes.writeUInt32LE(link, 40);
    bytes.writeUInt32LE(info, 44);
    bytes.writeBigUInt64LE(16n, 48);
    bytes.writeBigUInt64LE(BigInt(entry), 56);
    return bytes;
  };
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  header.writeUInt16LE(2, 16); // EXEC
  header.writeUInt16LE(62, 18); // x86-64
  header.writeUInt32LE(1, 20);
  header.writeBigUInt64LE(BigInt(sectionsAt), 40);
  header.writeUInt16LE(64, 52);
  header.writeUInt16LE(SECTION_BYTES, 58);
  header.writeUInt16LE(5, 60);
  header.writeUInt16LE(4, 62);
  return Buffer.concat([
    header, symbols, strings, sectionNames, Buffer.alloc(sectionsAt - sectionNamesAt - sectionNames.length),
    section('', 0, 0n, 0n, 0, 0),
    section('.text', SHT.nobits, 6n, low, 0, Number(high - low)),
    section('.symtab', SHT.symtab, 0n, 0n, symbolsAt, symbols.length, 3, 1, SYMBOL_BYTES),
    section('.strtab', SHT.strtab, 0n, 0n, stringsAt, strings.length),
    section('.shstrtab', SHT.strtab, 0n, 0n, sectionNamesAt, sectionNames.length),
  ]); // prettier-ignore
}

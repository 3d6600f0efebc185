import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { labImage } from '../../test/determinism/cases.ts';
import { SymbolError, SymbolTable, parseElfSymbols } from './symbols.ts';

const image = labImage('bug-lost-update');
const table = parseElfSymbols(image);

/** A 32-bit ELF file of a null section, names and symbols. */
function elf32(symbols: readonly { readonly name: string; readonly address: number; readonly size: number; readonly info: number }[]): Uint8Array {
  const names = new TextEncoder().encode(`\0${symbols.map(({ name }) => name).join('\0')}\0`);
  const namesAt = 52;
  const symbolsAt = namesAt + names.length;
  const symbolBytes = (symbols.length + 1) * 16;
  const sectionsAt = symbolsAt + symbolBytes;
  const bytes = new Uint8Array(sectionsAt + 3 * 40);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  view.setUint32(32, sectionsAt, true);
  view.setUint16(46, 40, true);
  view.setUint16(48, 3, true);
  bytes.set(names, namesAt);
  let nameAt = 1;
  symbols.forEach(({ name, address, size, info }, i) => {
    const at = symbolsAt + (i + 1) * 16;
    view.setUint32(at, nameAt, true);
    view.setUint32(at + 4, address, true);
    view.setUint32(at + 8, size, true);
    bytes[at + 12] = info;
    view.setUint16(at + 14, 1, true);
    nameAt += name.length + 1;
  });
  const section = (i: number, type: number, offset: number, size: number, link: number): void => [type, 0, 0, offset, size, link].forEach((value, field) => view.setUint32(sectionsAt + i * 40 + 4 + field * 4, value, true));
  section(1, 3, namesAt, names.length, 0);
  section(2, 2, symbolsAt, symbolBytes, 1);
  return bytes;
}

describe('symbols', () => {
  it('are found by name and by address', () => {
    const call = table.find('accounting_call');
    expect(call).toMatchObject({ kind: 'function', address: 0xffffffff80101060n, size: 0x138, file: undefined });
    expect(table.tell(call.address)).toBe('accounting_call');
    expect(table.tell(call.address + 0x45n)).toBe('accounting_call+0x45');
    expect(table.at(call.address + BigInt(call.size))?.name).not.toBe('accounting_call');
    expect(table.tell(0x1234n)).toBe('0x1234');
    for (const symbol of table.symbols) if (symbol.size > 0) expect(table.at(symbol.address + BigInt(symbol.size) - 1n)).toBeDefined();
  });

  it('of one name are told apart by their files', () => {
    expect(() => table.find('free_list')).toThrow(/3 symbols: say which, accounting\.c:free_list .*heap\.c:free_list/);
    expect(table.find('accounting.c:free_list').address).not.toBe(table.find('heap.c:free_list').address);
    expect(table.find('heap:free_list')).toBe(table.find('heap.c:free_list'));
    expect(() => table.find('acounting')).toThrow('there is no symbol "acounting"');
    expect(() => table.find('accounting')).toThrow(/there is accounting_/);
    expect(() => SymbolTable.EMPTY.find('x')).toThrow('no symbols');
  });

  it('are read from 32-bit files', () => {
    const symbols = parseElfSymbols(elf32([{ name: 'main.c', address: 0, size: 0, info: 4 }, { name: 'start', address: 0x100000, size: 0x20, info: 2 }, { name: 'jobs', address: 0x200000, size: 4, info: 0x11 }]));
    expect(symbols.symbols.map(({ name, address, size, kind, file }) => [name, address, size, kind, file])).toEqual([['start', 0x100000n, 0x20, 'function', 'main.c'], ['jobs', 0x200000n, 4, 'object', undefined]]);
    expect(symbols.tell(0x100012n)).toBe('start+0x12');
  });

  it('of what is no ELF file, or a stripped one, are an error that says so', () => {
    expect(() => parseElfSymbols(new Uint8Array(100))).toThrow(SymbolError);
    expect(() => parseElfSymbols(image.subarray(0, 40))).toThrow('its header');
    expect(() => parseElfSymbols(image.subarray(0, image.length - 10))).toThrow('truncated or damaged');
    expect(() => parseElfSymbols(elf32([]))).toThrow('stripped');
    const big = elf32([]);
    big[5] = 2;
    expect(() => parseElfSymbols(big)).toThrow('not little-endian');
  });

  it('of damaged files are symbols or an error, never anything else', () => {
    const small = elf32([{ name: 'start', address: 1, size: 2, info: 2 }, { name: 'x', address: 5, size: 0, info: 0 }]);
    fc.assert(
      fc.property(fc.constantFrom(small, image.subarray(0, image.length)), fc.array(fc.tuple(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.nat(255)), { maxLength: 6 }), fc.nat(63), (file, flips, header) => {
        const bytes = file.slice();
        flips.forEach(([at, value], i) => (bytes[i === 0 ? 4 + (header % 60) : Math.floor(at * bytes.length)] = value));
        try {
          const symbols = parseElfSymbols(bytes);
          symbols.tell(0x1000n);
        } catch (error) {
          if (!(error instanceof SymbolError)) throw error;
        }
      }),
      { numRuns: 300 },
    );
  });
});

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SymbolError, Symbols } from './symbols.ts';

const kernel = new Uint8Array(readFileSync(fileURLToPath(new URL('../../guests/images/lab-kernel.elf', import.meta.url))));
const text = new TextEncoder().encode(['ffffffff81000000 T _text', 'ffffffff81000040 t second', 'ffffffff81000040 T second_alias', '0000000000000000 A absolute', 'ffffffff81200000 W far', 'not a line', ''].join('\n'));

describe('symbols', () => {
  it('finds the function before an address in a System.map', () => {
    const symbols = Symbols.parse(text);
    expect(symbols.count).toBe(3);
    expect(symbols.at(0x8100_0000, 0xffff_ffff)).toBe('_text');
    expect(symbols.at(0x8100_003f, 0xffff_ffff)).toBe('_text');
    expect(symbols.at(0x8100_0041, 0xffff_ffff)).toBe('second');
    expect(symbols.at(0x80ff_ffff, 0xffff_ffff)).toBeUndefined();
    expect(symbols.at(0x8100_0000, 0)).toBeUndefined();
    expect(symbols.at(0x8120_0010, 0xffff_ffff)).toBe('far');
    // Farther from the last symbol than any function is long.
    expect(symbols.at(0x8190_0000, 0xffff_ffff)).toBeUndefined();
  });

  it('reads the symbols of the lab kernel', () => {
    const symbols = Symbols.parse(kernel);
    expect(symbols.count).toBeGreaterThan(100);
    // A kernel half of the address space, and nothing in the user half.
    const names = new Set(Array.from({ length: 0x8000 }, (_, i) => symbols.at(0x8010_0000 + i * 16, 0xffff_ffff)));
    expect(names).toContain('uart_write');
    expect(symbols.at(0x40_0000, 0)).toBeUndefined();
  });

  it('answers damage with an error, never a crash', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat({ max: kernel.length - 1 }), fc.integer({ min: 0, max: 255 })), { maxLength: 30 }), fc.integer({ min: 0, max: kernel.length }), fc.boolean(), (edits, length, isCut) => {
        const damaged = kernel.slice(0, isCut ? length : kernel.length);
        for (const [at, value] of edits) if (at < damaged.length) damaged[at < 200 ? at : at % 64] = value;
        try {
          Symbols.parse(damaged).at(0x10_0000, 0);
        } catch (error) {
          expect(error).toBeInstanceOf(SymbolError);
        }
      }),
      { numRuns: 200 },
    );
    expect(() => Symbols.parse(new TextEncoder().encode('hello'))).toThrow(SymbolError);
  });
});

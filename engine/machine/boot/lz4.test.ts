import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeLz4Block, decodeLz4Legacy, LZ4_LEGACY_BLOCK_SIZE, Lz4Error } from './lz4.ts';
import { frameLz4, literalBlock, packLz4 } from './testing.ts';

/** `lz4 -l` 1.9.4 of 400 bytes of a repeated line. */
const SAMPLE = 'AiFMGCYAAABtaGVsbG8gBgCLLCBrZXJuZWwHAB0KKQACOwAPLwD/M1BlbGxvLA==';

describe('lz4', () => {
  it('unpacks what the lz4 tool made', () => {
    const packed = Uint8Array.from(atob(SAMPLE), (character) => character.charCodeAt(0));
    const text = 'hello hello hello hello, kernel kernel kernel \n'.repeat(12).slice(0, 400);
    expect(new TextDecoder().decode(decodeLz4Legacy(packed, 400))).toBe(text);
  });

  it('unpacks literals of any length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
        expect(decodeLz4Legacy(packLz4(bytes), bytes.length)).toEqual(bytes);
      }),
    );
  });

  it('unpacks matches of any distance and length like a model', () => {
    const sequence = fc.record({
      literals: fc.uint8Array({ minLength: 1, maxLength: 300 }),
      distance: fc.nat(400),
      length: fc.integer({ min: 4, max: 700 }),
    });
    fc.assert(
      fc.property(fc.array(sequence, { maxLength: 12 }), fc.uint8Array({ maxLength: 40 }), (sequences, last) => {
        const block: number[] = [];
        const model: number[] = [];
        const extend = (value: number): void => {
          for (let rest = value; ; rest -= 255) {
            block.push(Math.min(rest, 255));
            if (rest < 255) return;
          }
        };
        for (const { literals, distance, length } of sequences) {
          const back = 1 + (distance % (model.length + literals.length));
          block.push((Math.min(literals.length, 15) << 4) | Math.min(length - 4, 15));
          if (literals.length >= 15) extend(literals.length - 15);
          block.push(...literals, back & 255, back >> 8);
          if (length - 4 >= 15) extend(length - 19);
          model.push(...literals);
          for (let index = 0; index < length; index++) model.push(model[model.length - back]);
        }
        block.push(...literalBlock(last));
        model.push(...last);
        const frame = frameLz4([Uint8Array.from(block)], model.length);
        expect(decodeLz4Legacy(frame, model.length)).toEqual(Uint8Array.from(model));
      }),
    );
  });

  it('joins blocks of 8 MiB', () => {
    const first = new Uint8Array(LZ4_LEGACY_BLOCK_SIZE).fill(7);
    const second = Uint8Array.of(1, 2, 3);
    const size = first.length + second.length;
    const output = decodeLz4Legacy(frameLz4([literalBlock(first), literalBlock(second)], size), size);
    expect(output.length).toBe(size);
    expect(Array.from(output.subarray(-4))).toEqual([7, 1, 2, 3]);
  });

  it('gives Lz4Error and nothing else for garbage', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(300), (bytes, size) => {
        try {
          decodeLz4Block(bytes, 0, bytes.length, new Uint8Array(size), 0, size);
        } catch (error) {
          expect(error).toBeInstanceOf(Lz4Error);
        }
      }),
    );
  });
});

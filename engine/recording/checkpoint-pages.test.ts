import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadCore } from '../../server/store/core-module.ts';
import * as L from '../cpu/layout.ts';
import { equalBytes } from '../log/bytes.ts';
import { decodeLz4Block } from '../machine/boot/lz4.ts';
import { CheckpointError } from './checkpoint-errors.ts';
import { PagePool, packBytes, packPage, pageKey, unpackBytes, unpackPage, unpackToFrame } from './checkpoint-pages.ts';
import { buildMachine } from './recipe.ts';

const PAGE = 4096;
/** Pages as guests have them: runs, repeats, text, noise. */
const pages: fc.Arbitrary<Uint8Array> = fc
  .array(
    fc.oneof(
      fc.tuple(fc.nat(255), fc.integer({ min: 1, max: 4096 })).map(([byte, length]) => new Array<number>(length).fill(byte)),
      fc.tuple(fc.array(fc.nat(255), { minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 200 })).map(([bytes, times]) => Array.from({ length: times }, () => bytes).flat()),
      fc.array(fc.nat(255), { maxLength: 600 }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => {
    const page = new Uint8Array(PAGE);
    page.set(parts.flat().slice(0, PAGE));
    return page;
  });

describe('packed pages', () => {
  test('come back, and are LZ4 blocks to a decoder that is not ours to change', () => {
    fc.assert(
      fc.property(pages, (page) => {
        const packed = packPage(page);
        expect(packed.length).toBeLessThanOrEqual(PAGE);
        expect(equalBytes(unpackPage(packed), page)).toBe(true);
        if (packed.length < PAGE) {
          const out = new Uint8Array(PAGE);
          expect(decodeLz4Block(packed, 0, packed.length, out, 0, PAGE)).toBe(PAGE);
          expect(equalBytes(out, page)).toBe(true);
        }
      }),
    );
  });

  test('a page that repeats becomes small', () => {
    expect(packPage(new Uint8Array(PAGE).fill(7)).length).toBeLessThan(40);
    expect(packPage(Uint8Array.from({ length: PAGE }, (_, i) => i & 15)).length).toBeLessThan(60);
  });

  test('that are damaged are refused or another page, never an overrun', () => {
    fc.assert(
      fc.property(pages, fc.nat(PAGE), fc.integer({ min: 1, max: 255 }), (page, at, flip) => {
        const packed = packPage(page).slice();
        if (packed.length === PAGE) return;
        packed[at % packed.length] ^= flip;
        try {
          expect(unpackPage(packed).length).toBe(PAGE);
        } catch (error) {
          expect(error).toBeInstanceOf(CheckpointError);
        }
      }),
    );
  });

  test('the core unpacks what this does, refuses what this refuses, and writes nothing beside the page', () => {
    const { core } = buildMachine(
      { guest: '', commandLine: '', protocol: 'auto', epochInstructions: 0, digestInstructions: 0, machine: { memoryBytes: 2 << 20, seed: '0', wallClockNs: '0', acpi: false, virtio: [], accessCostNs: 0 } },
      { kernel: new Uint8Array(0) }, loadCore(), {}, true,
    ); // prettier-ignore
    const FRAME = 5;
    const around = (): Uint8Array => core.readPhysical((FRAME - 1) * PAGE, 3 * PAGE);
    fc.assert(
      fc.property(pages, fc.option(fc.tuple(fc.nat(PAGE), fc.integer({ min: 1, max: 255 }))), fc.nat(60), (page, damage, cut) => {
        let packed = packPage(page).slice();
        if (damage !== null && packed.length < PAGE) packed[damage[0] % packed.length] ^= damage[1];
        if (damage !== null && packed.length > cut + 1) packed = packed.subarray(0, packed.length - cut);
        let expected: Uint8Array | undefined;
        try {
          expected = unpackPage(packed);
        } catch (error) {
          expect(error).toBeInstanceOf(CheckpointError);
        }
        core.u8.fill(0xa5, L.RAM + (FRAME - 1) * PAGE, L.RAM + (FRAME + 2) * PAGE);
        if (expected === undefined) expect(() => unpackToFrame(packed, FRAME, core)).toThrow(CheckpointError);
        else {
          unpackToFrame(packed, FRAME, core);
          expect(equalBytes(core.readPhysical(FRAME * PAGE, PAGE), expected)).toBe(true);
        }
        const [before, after] = [around().subarray(0, PAGE), around().subarray(2 * PAGE)];
        expect(before.every((byte) => byte === 0xa5) && after.every((byte) => byte === 0xa5)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  test('bytes of any length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 10_000 }), (bytes) => {
        expect(Array.from(unpackBytes(packBytes(bytes)))).toEqual(Array.from(bytes));
      }),
    );
    expect(() => unpackBytes(packBytes(new Uint8Array(9000).fill(1)).subarray(0, 20))).toThrow(CheckpointError);
  });
});

test('keys tell pages apart that differ in one bit', () => {
  fc.assert(
    fc.property(pages, fc.nat(PAGE * 8 - 1), (page, bit) => {
      const other = page.slice();
      other[bit >>> 3] ^= 1 << (bit & 7);
      expect(pageKey(other)).not.toBe(pageKey(page));
      expect(pageKey(page.slice())).toBe(pageKey(page));
    }),
  );
});

test('the pool keeps a page once, for as long as something refers to it', () => {
  const pool = new PagePool();
  const page = new Uint8Array(PAGE).fill(3);
  const a = pool.add(page);
  expect(pool.add(page.slice())).toBe(a);
  expect(pool.count).toBe(1);
  pool.release(a);
  expect(pool.read(a)).toEqual(page);
  pool.release(a);
  expect(pool.count).toBe(0);
  expect(pool.bytes).toBe(0);
  expect(() => pool.release(a)).toThrow(/too often/);
});

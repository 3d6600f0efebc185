import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseElf, physicalEntry } from './elf.ts';
import { BootError, type BootErrorCode } from './errors.ts';
import { buildElf, pvhNote } from './testing.ts';

function codeOf(action: () => unknown): BootErrorCode | undefined {
  try {
    action();
  } catch (error) {
    if (error instanceof BootError) return error.code;
    throw error;
  }
  return undefined;
}

describe('elf', () => {
  for (const wide of [32, 64] as const) {
    it(`parses ELF${wide}`, () => {
      const elf = parseElf(
        buildElf({
          class: wide,
          entry: 0x100004n,
          loads: [
            { paddr: 0x100000n, vaddr: 0x80100000n, bytes: Uint8Array.of(1, 2, 3, 4, 5), memorySize: 0x2000 },
            { paddr: 0x200000n, bytes: Uint8Array.of(6) },
          ],
          notes: [pvhNote(0x100000), { name: 'GNU', type: 3, description: Uint8Array.of(9, 8, 7) }],
        }),
      );
      expect(elf.class).toBe(wide);
      expect(elf.loads.map((load) => [load.paddr, load.fileSize, load.memorySize])).toEqual([
        [0x100000n, 5, 0x2000],
        [0x200000n, 1, 1],
      ]);
      expect(elf.notes.map((note) => [note.name, note.type, note.description.length])).toEqual([
        ['Xen', 18, 8],
        ['GNU', 3, 3],
      ]);
      expect(physicalEntry(elf)).toBe(0x100004);
    });
  }

  it('translates a virtual entry point', () => {
    const vaddr = 0xffffffff81000000n;
    const loads = [{ paddr: 0x1000000n, vaddr, bytes: new Uint8Array(16) }];
    expect(physicalEntry(parseElf(buildElf({ entry: vaddr + 8n, loads })))).toBe(0x1000008);
    const outside = parseElf(buildElf({ entry: 0x5000n, loads }));
    expect(codeOf(() => physicalEntry(outside))).toBe('elf-malformed');
  });

  it('refuses other machines, objects and damage', () => {
    expect(codeOf(() => parseElf(buildElf({ machine: 183 })))).toBe('machine-unsupported');
    expect(() => parseElf(buildElf({ machine: 183 }))).toThrow(/AArch64/);
    expect(codeOf(() => parseElf(buildElf({ type: 1 })))).toBe('elf-not-executable');
    expect(codeOf(() => parseElf(Uint8Array.of(1, 2, 3)))).toBe('image-truncated');
    expect(codeOf(() => parseElf(new Uint8Array(100)))).toBe('elf-malformed');
    const loads = [{ paddr: 0n, bytes: new Uint8Array(9), memorySize: 4 }];
    expect(codeOf(() => parseElf(buildElf({ loads })))).toBe('elf-malformed');
  });

  it('gives BootError and nothing else when cut off anywhere', () => {
    const file = buildElf({ notes: [pvhNote(0x100000)] });
    for (let length = 0; length < file.length; length++) {
      expect(codeOf(() => parseElf(file.subarray(0, length))), `${length} bytes`).toBe('image-truncated');
    }
  });

  it('gives BootError and nothing else for any overwritten bytes', () => {
    const file = buildElf({ notes: [pvhNote(0x100000)] });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { maxLength: 8 }), (changes) => {
        const damaged = file.slice();
        for (const [at, value] of changes) damaged[at] = value;
        codeOf(() => physicalEntry(parseElf(damaged)));
      }),
      { numRuns: 2000 },
    );
  });
});

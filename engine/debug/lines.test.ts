import { readFileSync } from 'node:fs';
import { inflateSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LogReader } from '../log/reader.ts';
import { MemorySource } from '../log/storage.ts';
import { ElfSections, SymbolError } from '../machine/boot/elf-sections.ts';
import { SourceLines } from './lines.ts';

/** What addr2line says, innermost function first: made by lines.fixture.mjs. */
interface Fixture {
  readonly made: string;
  readonly kernel: { readonly sha256: string; readonly rows: readonly (readonly [string, string])[] };
  readonly programs: readonly { readonly options: string; readonly elf: string; readonly rows: readonly (readonly [string, string])[] }[];
}
const fixture = JSON.parse(readFileSync(new URL('lines.fixture.json', import.meta.url), 'utf8')) as Fixture;
const recording = LogReader.open(new MemorySource(new Uint8Array(readFileSync(new URL('../../traces/lab-kernel.cvlog', import.meta.url)))));
const kernel = recording.image(fixture.kernel.sha256);
const programs = fixture.programs.map(({ elf }) => new Uint8Array(inflateSync(Buffer.from(elf, 'base64'))));

/** Of each row: what we say, and what addr2line says. It names code without DWARF, and the padding between functions, by .symtab, which is not asked here. */
function bothOf(lines: SourceLines, rows: Fixture['kernel']['rows']): { readonly ours: readonly string[]; readonly theirs: readonly string[]; readonly unnamed: number } {
  const place = (source: { file: string; line: number } | undefined): string => (source === undefined ? '??:?' : `${source.file}:${source.line}`);
  const ours: string[] = [];
  const theirs: string[] = [];
  let unnamed = 0;
  for (const [text, row] of rows) {
    const address = BigInt(text);
    const frames = lines.framesOf(address);
    const expected = row.replaceAll('??:0', '??:?');
    if (frames.length === 0) {
      unnamed++;
      ours.push(`${text} ${place(lines.lineOf(address))}`);
      theirs.push(`${text} ${expected.slice(expected.indexOf(' ') + 1)}`);
      continue;
    }
    expect(frames[0].source).toEqual(lines.lineOf(address));
    ours.push(`${text} ${frames.map(({ function: name, source }) => `${name ?? '??'} ${place(source)}`).join(' < ')}`);
    theirs.push(`${text} ${expected}`);
  }
  return { ours, theirs, unnamed };
}

describe('lines of the lab kernel', () => {
  it('are those of addr2line, inlined functions included', () => {
    // Another kernel is in the recording now: make the fixture anew.
    expect(kernel).toBeDefined();
    const lines = new SourceLines(new ElfSections(kernel!));
    const { rows } = fixture.kernel;
    expect(rows.length).toBeGreaterThan(150);
    expect(rows.filter(([, text]) => text.includes(' < ')).length).toBeGreaterThan(40);
    const { ours, theirs, unnamed } = bothOf(lines, rows);
    expect(ours).toEqual(theirs);
    expect(unnamed).toBeLessThan(rows.length / 5);
    expect(lines.problem).toBeUndefined();
  });

  it('lead to addresses, and back', () => {
    const lines = new SourceLines(new ElfSections(kernel!));
    expect(lines.files.length).toBeGreaterThan(20);
    let many = 0;
    for (const file of lines.files) {
      const numbers = lines.linesOf(file);
      expect(numbers.length, file).toBeGreaterThan(0);
      for (const line of numbers) {
        const addresses = lines.addressesOf(file, line);
        expect(addresses.length, `${file}:${line}`).toBeGreaterThan(0);
        for (const address of addresses) expect(lines.lineOf(address)).toEqual({ file, line });
        many += addresses.length;
      }
    }
    expect(many).toBeGreaterThan(1000);
    const file = lines.files.find((name) => name.endsWith('kernel/accounting.c'))!;
    const [line] = lines.linesOf(file);
    expect(lines.addressesOf('accounting.c', line)).toEqual(lines.addressesOf(file, line));
    expect(lines.addressesOf('ccounting.c', line)).toEqual([]);
    expect(lines.addressesOf('accounting.c', 1_000_000)).toEqual([]);
    expect(lines.addressesOf('', 1)).toEqual([]);
    expect(lines.lineOf(0x1234n)).toBeUndefined();
    expect(lines.framesOf(0xffff_ffff_ffff_ffffn)).toEqual([]);
  });
});

describe('lines of a program', () => {
  fixture.programs.forEach(({ options, rows }, i) => {
    it(`are those of addr2line with ${options}`, () => {
      const lines = new SourceLines(new ElfSections(programs[i]));
      const { ours, theirs, unnamed } = bothOf(lines, rows);
      expect(ours).toEqual(theirs);
      expect(unnamed).toBeLessThan(rows.length / 5);
      expect(lines.files).toEqual(['/src/one.c', '/src/two.c']);
      expect(lines.problem).toBeUndefined();
    });
  });

  it('are none without DWARF, and packed ones say so', () => {
    const elf = new ElfSections(programs[0]);
    const without = new SourceLines({ ...elf, named: () => undefined } as unknown as ElfSections);
    expect(without.lineOf(BigInt(fixture.programs[0].rows[0][0]))).toBeUndefined();
    expect(without.files).toEqual([]);
    expect(without.problem).toBeUndefined();
    const found = elf.sections.find(({ name }) => name === '.debug_info')!;
    (found as { flags: number }).flags |= 0x800;
    expect(new SourceLines(elf).problem).toContain('compressed');
  });
});

describe('damaged DWARF', () => {
  it('is lines or none, never a crash or a hang', () => {
    let answers = 0;
    fc.assert(
      fc.property(fc.nat(programs.length - 1), fc.array(fc.tuple(fc.constantFrom('.debug_line', '.debug_info', '.debug_abbrev', '.debug_ranges', '.debug_rnglists', '.debug_line_str', ''), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.nat(255)), { minLength: 1, maxLength: 8 }), (which, flips) => {
        const bytes = programs[which].slice();
        const { sections } = new ElfSections(programs[which]);
        for (const [name, at, value] of flips) {
          const section = sections.find((each) => each.name === name);
          const [offset, size] = section === undefined ? [0, bytes.length] : [section.offset, section.size];
          if (size > 0) bytes[offset + Math.floor(at * size)] = value;
        }
        let elf: ElfSections;
        try {
          elf = new ElfSections(bytes);
        } catch (error) {
          if (!(error instanceof SymbolError)) throw error;
          return;
        }
        const lines = new SourceLines(elf);
        for (const [address] of fixture.programs[which].rows) {
          const source = lines.lineOf(BigInt(address));
          if (source !== undefined) answers++;
          lines.framesOf(BigInt(address));
        }
        for (const file of lines.files) for (const line of lines.linesOf(file).slice(0, 20)) lines.addressesOf(file, line);
      }),
      { numRuns: 300 },
    );
    expect(answers).toBeGreaterThan(500);
  });

  it('that was made to be slow is given up', () => {
    // Small units, each with a table of abbreviations of its own that reaches to the end of a long section.
    const [program] = programs;
    const abbreviations = new Uint8Array(1 << 19).fill(1);
    const info = new Uint8Array(1 << 16);
    const view = new DataView(info.buffer);
    for (let i = 0; i + 16 <= info.length; i += 16) {
      view.setUint32(i, 12, true);
      view.setUint16(i + 4, 4, true);
      view.setUint32(i + 6, i >> 4, true);
      info[i + 10] = 8;
    }
    const elf = new ElfSections(program);
    const hostile = {
      ...elf,
      sections: elf.sections,
      named: (name: string) => (name === '.debug_abbrev' ? { section: { flags: 0 }, bytes: abbreviations } : name === '.debug_info' ? { section: { flags: 0 }, bytes: info } : undefined),
    } as unknown as ElfSections;
    const lines = new SourceLines(hostile);
    expect(lines.problem).toMatch(/damaged/);
    expect(lines.framesOf(0x1000n)).toEqual([]);
  });
});

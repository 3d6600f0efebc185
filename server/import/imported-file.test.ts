import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemorySink } from '../../engine/log/storage.ts';
import { TextImport, importText } from './import-text.ts';
import { ImportError, ImportedFileWriter, readImportedFile } from './imported-file.ts';

const TEXT = Array.from({ length: 30 }, (_, i) => `  x-1 [000] ${i}.000000: kvm_exit: reason ${i % 3 === 0 ? 'HLT' : 'CPUID'} rip 0xffffffff8100${(1000 + i).toString(16)} info 1 0\n  x-1 [000] ${i}.000005: kvm_entry: vcpu 0`).join('\n');

function write(text: string): string {
  const sink = new MemorySink();
  const writer = new ImportedFileWriter(sink);
  const importer = new TextImport('t', (exit) => writer.exit(exit));
  importer.push(new TextEncoder().encode(text));
  writer.end(importer.end());
  return new TextDecoder().decode(sink.toBytes());
}

describe('the file of an import', () => {
  const file = write(TEXT);

  it('is read back as it was', () => {
    expect(readImportedFile('f', file)).toEqual(JSON.parse(JSON.stringify(importText('t', TEXT))));
    const { exits } = JSON.parse(file) as { exits: { columns: string[]; rows: unknown[][] } };
    expect(exits.rows).toHaveLength(30);
    expect(exits.rows.every((row) => row.length === exits.columns.length)).toBe(true);
    // 64-bit addresses survive.
    expect(exits.rows[1][exits.columns.indexOf('rip')]).toBe('0xffffffff81003e9');
  });

  it('is refused if it is not one, with what to do', () => {
    for (const [text, what] of [['', 'neither a recording'], ['[]', 'format'], ['{"format":"chronovisor-import","version":9}', 'version 9'], ['{"format":"chronovisor-import","version":1}', '"report"'], [file.replace('"exits":30,"idleExits"', '"exits":"30","idleExits"'), 'profile.exits']] as const) {
      expect(() => readImportedFile('f.json', text)).toThrow(ImportError);
      expect(() => readImportedFile('f.json', text)).toThrow(what);
      expect(() => readImportedFile('f.json', text)).toThrow('chronovisor import ');
    }
  });

  it('is refused or read, whatever was done to it', () => {
    const attempt = (text: string): void => {
      try {
        const { profile } = readImportedFile('f', text);
        for (const rows of Object.values(profile.by)) for (const row of rows) expect(typeof row.label).toBe('string');
      } catch (error) {
        expect(error).toBeInstanceOf(ImportError);
      }
    };
    fc.assert(fc.property(fc.json(), attempt));
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat({ max: file.length - 1 }), fc.constantFrom('0', '"', 'n', '{', '}', '[', ']', ',', 'null', '-')), { minLength: 1, maxLength: 5 }), (edits) => {
        let text = file;
        for (const [at, replacement] of edits) text = text.slice(0, at) + replacement + text.slice(at + replacement.length);
        attempt(text);
      }),
    );
  });
});

import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { StoreError, type StoreErrorCode } from './errors.ts';
import { FileSink, FileSource, readImage, readText } from './files.ts';

const folder = mkdtempSync(join(tmpdir(), 'chronovisor-store-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);

function codeOf(action: () => unknown): StoreErrorCode | 'none' {
  try {
    action();
  } catch (error) {
    if (error instanceof StoreError) return error.code;
    throw error;
  }
  return 'none';
}

describe('FileSink and FileSource', () => {
  it('give back what they were given', () => {
    const sink = new FileSink(at('a'), '-o');
    expect(existsSync(at('a'))).toBe(false);
    sink.append(Uint8Array.of(1, 2, 3));
    sink.append(new Uint8Array(0));
    sink.append(Uint8Array.of(4));
    sink.sync();
    sink.close();
    const source = new FileSource(at('a'), 'FILE');
    expect(source.length).toBe(4);
    expect([...source.read(1, 3)]).toEqual([2, 3, 4]);
    expect(() => source.read(2, 3)).toThrow('shorter');
    source.close();
  });

  it('never write over anything, even if it comes in between', () => {
    writeFileSync(at('there'), 'x');
    expect(codeOf(() => new FileSink(at('there'), '-o'))).toBe('output-exists');
    const late = new FileSink(at('late'), '-o');
    writeFileSync(at('late'), 'x');
    expect(codeOf(() => late.append(Uint8Array.of(1)))).toBe('output-exists');
    expect(late.discard()).toBe(false);
    expect(readFileSync(at('late'), 'utf8')).toBe('x');
    symlinkSync(at('target'), at('dangling'));
    expect(codeOf(() => new FileSink(at('dangling'), '-o').append(Uint8Array.of(1)))).toBe('output-exists');
    expect(existsSync(at('target'))).toBe(false);
  });

  it('take back only what they made', () => {
    const sink = new FileSink(at('b'), '-o');
    sink.append(Uint8Array.of(1));
    expect(sink.discard()).toBe(true);
    expect(existsSync(at('b'))).toBe(false);
  });

  it('say what is wrong with a file', () => {
    expect(codeOf(() => new FileSource(at('none'), 'FILE'))).toBe('file-missing');
    expect(codeOf(() => new FileSource(folder, 'FILE'))).toBe('file-not-regular');
    expect(codeOf(() => readImage('/dev/null', 'FILE'))).toBe('file-not-regular');
    expect(codeOf(() => readText(folder, 'FILE'))).toBe('file-not-regular');
    expect(codeOf(() => new FileSink(at('none/x'), '-o').append(Uint8Array.of(1)))).toBe('folder-missing');
  });
});

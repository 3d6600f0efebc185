/** Images that are not in the recording: looked for when it is opened, read when they are needed. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { LogReader } from '../../engine/log/reader.ts';
import { sha256Hex } from '../../engine/log/sha256.ts';
import { openLog, writeLog } from '../../engine/log/testing.ts';
import { StoreError } from './errors.ts';
import { openImages } from './guest-images.ts';

const kernel = Uint8Array.from({ length: 5000 }, (_, i) => i);
const initrd = Uint8Array.from({ length: 7001 }, (_, i) => i * 3);
const reader: LogReader = openLog(writeLog(() => undefined, { images: [{ name: 'kernel', sha256: sha256Hex(kernel), bytes: kernel.length }, { name: 'initrd', sha256: sha256Hex(initrd), bytes: initrd.length }] }));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'chronovisor-images-'));
  mkdirSync(join(folder, 'a'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const put = (name: string, bytes: Uint8Array): void => writeFileSync(join(folder, name), bytes);

function codeOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    return error instanceof StoreError ? `${error.code}: ${error.message}` : String(error);
  }
  return undefined;
}

it('takes the file with the hash, whatever else has its size, when it is asked for', () => {
  put('a/first', kernel.map((byte) => byte ^ 1)); // prettier-ignore
  put('b', kernel);
  put('c', initrd);
  const images = openImages(reader, { folder });
  expect(images.kernel).toEqual(kernel);
  expect(images.initrd).toEqual(initrd);
  expect(images.kernel).toBe(images.kernel);
});

it('says at once what is nowhere: no file has its size', () => {
  put('b', kernel);
  expect(codeOf(() => openImages(reader, { folder }))).toMatch(/^images-missing: [^]*initrd, 7001 bytes[^]*--initrd FILE/);
});

it('says when it is asked for that the file of its size is another', () => {
  put('b', kernel);
  put('c', initrd.map((byte) => byte ^ 1)); // prettier-ignore
  const images = openImages(reader, { folder });
  expect(images.kernel).toEqual(kernel);
  expect(codeOf(() => images.initrd)).toMatch(/^images-missing: [^]*initrd, 7001 bytes/);
});

it('says at once that a file which was given is another', () => {
  put('b', kernel.map((byte) => byte ^ 1)); // prettier-ignore
  put('c', initrd);
  expect(codeOf(() => openImages(reader, { folder, kernel: join(folder, 'b') }))).toMatch(/^image-mismatch: /);
});

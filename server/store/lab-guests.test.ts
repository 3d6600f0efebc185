import { expect, it } from 'vitest';
import { LogReader } from '../../engine/log/reader.ts';
import { FileSource } from './files.ts';
import { LAB_GUEST, LAB_PV_GUEST, labImages, labSymbols, readLabImage } from './lab-guests.ts';

const NOBODY = '0'.repeat(64);

it('the images are what the manifest says, and one is for a hypervisor', () => {
  for (const image of labImages()) expect(readLabImage(image).length).toBe(image.bytes);
  expect(labImages().filter(({ regime }) => regime === 'para').map(({ name }) => name)).toEqual([LAB_PV_GUEST]);
  expect(labImages()[0].name).toBe(LAB_GUEST);
});

it('symbols of a recorded kernel: by its hash, or by its code', () => {
  const [lab, ...bugs] = labImages();
  expect(labSymbols(lab.sha256, undefined)?.name).toBe(LAB_GUEST);
  expect(labSymbols(NOBODY, undefined)).toBeUndefined();
  const bytes = readLabImage(bugs[0]).slice();
  // Behind everything that is loaded: section headers, symbols, lines.
  bytes[bytes.length - 1] ^= 0xff;
  expect(labSymbols(NOBODY, bytes)?.name).toBe(bugs[0].name);
  bytes[0x2000] ^= 0xff;
  expect(labSymbols(NOBODY, bytes)).toBeUndefined();
  expect(labSymbols(NOBODY, Uint8Array.of(1, 2, 3))).toBeUndefined();
});

it('the recordings in traces have their symbols still', () => {
  for (const name of ['lab-kernel', 'bug-lost-update']) {
    const source = new FileSource(new URL(`../../traces/${name}.cvlog`, import.meta.url).pathname, 'FILE');
    const reader = LogReader.open(source);
    const kernel = reader.header.images.find((image) => image.name === 'kernel')!;
    expect(labSymbols(kernel.sha256, reader.image(kernel.sha256))?.path).toContain(`${name}.elf`);
    source.close();
  }
});

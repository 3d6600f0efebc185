import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TarReader } from './tar.ts';

/** A tar archive as dpkg-deb writes it, long names by the GNU extension. */
function buildTar(files: readonly { readonly path: string; readonly bytes: Uint8Array }[]): Uint8Array {
  const blocks: Uint8Array[] = [];
  const add = (path: string, type: string, bytes: Uint8Array): void => {
    const header = new Uint8Array(512);
    const put = (at: number, text: string): void => header.set(new TextEncoder().encode(text), at);
    put(0, path.slice(0, 99));
    put(100, '0000644\0');
    put(124, `${bytes.length.toString(8).padStart(11, '0')}\0`);
    put(148, '        ');
    put(156, type);
    put(257, 'ustar  \0');
    put(148, `${header.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0')}\0 `);
    const content = new Uint8Array(Math.ceil(bytes.length / 512) * 512);
    content.set(bytes);
    blocks.push(header, content);
  };
  for (const { path, bytes } of files) {
    if (path.length > 99) add('././@LongLink', 'L', new TextEncoder().encode(`${path}\0`));
    add(path, '0', bytes);
  }
  blocks.push(new Uint8Array(1024));
  return Uint8Array.from(blocks.flatMap((block) => [...block]));
}

const FILES = [
  { path: './boot/vmlinuz', bytes: new Uint8Array(1500).fill(1) },
  { path: './empty', bytes: new Uint8Array(0) },
  { path: `./lib/${'long/'.repeat(30)}module.ko`, bytes: new Uint8Array(512).fill(2) },
  { path: './doc', bytes: new Uint8Array(3).fill(3) },
];

describe('tar', () => {
  it('keeps the wanted files, whatever the chunks', () => {
    const archive = buildTar(FILES);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 1200 }), { maxLength: 20 }), (sizes) => {
        const reader = new TarReader((path) => path !== 'doc');
        let at = 0;
        for (const size of [...sizes, archive.length]) {
          reader.push(archive.subarray(at, at + size));
          at += size;
        }
        reader.end();
        expect([...reader.files.keys()]).toEqual(FILES.slice(0, 3).map((file) => file.path.slice(2)));
        expect([...reader.files.values()]).toEqual(FILES.slice(0, 3).map((file) => file.bytes));
      }),
    );
  });

  it('notices damage and an end too soon', () => {
    const archive = buildTar(FILES);
    const cut = new TarReader(() => true);
    cut.push(archive.subarray(0, 1000));
    expect(() => cut.end()).toThrow(/cut off/);
    archive[5] ^= 1;
    expect(() => new TarReader(() => true).push(archive)).toThrow(/checksum/);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { base64Pieces, bytesOfBase64 } from './base64.ts';
import { RECORDING_MARK, parseSelfContainedHead, selfContainedPieces } from './self-contained.ts';

describe('base64', () => {
  it('is what RFC 4648, section 10, says', () => {
    const text = (of: string): string => [...base64Pieces(new TextEncoder().encode(of))].join('');
    expect(['', 'f', 'fo', 'foo', 'foob', 'fooba', 'foobar'].map(text)).toEqual(['', 'Zg==', 'Zm8=', 'Zm9v', 'Zm9vYg==', 'Zm9vYmE=', 'Zm9vYmFy']);
  });
  it('comes back, in one piece or more', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(bytesOfBase64([...base64Pieces(bytes)].join(''))).toEqual(bytes);
    }));
    const large = Uint8Array.from({ length: 2_000_003 }, (_, i) => (i * 31) >> 3);
    const pieces = [...base64Pieces(large)];
    expect(pieces.length).toBeGreaterThan(1);
    // toEqual takes seconds for so many.
    const back = bytesOfBase64(pieces.join(''))!;
    expect(back.length).toBe(large.length);
    expect(back.findIndex((byte, i) => byte !== large[i])).toBe(-1);
  });
  it('refuses what is none', () => {
    for (const text of ['Zg', 'Zg=', 'Z===', 'Zm9\u00e9', 'Zm 9', '====']) expect(bytesOfBase64(text), text).toBeUndefined();
  });
});

describe('a self-contained page', () => {
  const empty = new Uint8Array(0);

  it('has the recording where the mark is, and nothing that a person wrote ends its block', () => {
    const text = '</script><script>alert(1)</script><!--';
    const log = Uint8Array.of(1, 2, 3);
    const page = [...selfContainedPieces(`<head>${RECORDING_MARK}</head>`, { name: text, notes: [{ position: 7, text }], at: 9, log, parents: [log], images: [empty] })].join('');
    expect(page.match(/<\/script>/g)).toHaveLength(4);
    expect(page).not.toContain('<!--');
    const json = /id="recording">([^<]*)</.exec(page)![1];
    expect(parseSelfContainedHead(json)).toEqual({ name: text, notes: [{ position: 7, text }], at: 9 });
    expect(page).toContain('data-part="log">AQID</script>');
    expect(page).toContain('data-part="parent">AQID</script>');
    expect(page).toContain('data-part="image"></script>');
  });
  it('needs a page with a place for it', () => {
    expect(() => [...selfContainedPieces('<html>', { name: '', notes: [], log: empty, parents: [], images: [] })]).toThrow(RangeError);
  });
  it('is not read if a later version wrote it', () => {
    for (const json of ['', '{', '{"format":2,"name":"","notes":[]}', '{"format":1,"notes":[]}', 'null']) expect(parseSelfContainedHead(json), json).toBeUndefined();
    expect(parseSelfContainedHead('{"format":1,"name":"a","notes":[{"position":-1,"text":"x"},{"position":1}],"at":0.5}')).toEqual({ name: 'a', notes: [], at: undefined });
  });
});

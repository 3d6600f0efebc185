import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CpioMember, readCpio, writeCpio } from './cpio.ts';

const path = fc.stringMatching(/^[a-z][a-zé/-]{0,20}$/);
const mode = fc.nat(0o7777);
const member: fc.Arbitrary<CpioMember> = fc.oneof(
  fc.record({ kind: fc.constant('file' as const), path, mode, bytes: fc.uint8Array({ maxLength: 50 }) }),
  fc.record({ kind: fc.constant('directory' as const), path, mode }),
  fc.record({ kind: fc.constant('link' as const), path, target: path }),
  fc.record({ kind: fc.constant('character-device' as const), path, mode, major: fc.nat(255), minor: fc.nat(255) }),
);

describe('cpio', () => {
  it('reads back what it wrote', () => {
    fc.assert(
      fc.property(fc.uniqueArray(member, { selector: (one) => one.path, maxLength: 8 }), (members) => {
        expect(readCpio(writeCpio(members))).toEqual(members);
      }),
    );
  });

  it('writes the newc header field by field', () => {
    const archive = writeCpio([{ kind: 'file', path: 'ab', mode: 0o644, bytes: Uint8Array.of(1, 2, 3, 4, 5) }]);
    const header = new TextDecoder().decode(archive.subarray(0, 110));
    expect(header).toBe(
      `070701${'00000001'}${'000081A4'}${'00000000'.repeat(2)}${'00000001'}${'00000000'}${'00000005'}` +
        `${'00000000'.repeat(4)}${'00000003'}${'00000000'}`,
    );
    expect(archive.length % 4).toBe(0);
    // 110 + 3 bytes of name are padded to 116.
    expect(Array.from(archive.subarray(116, 124))).toEqual([1, 2, 3, 4, 5, 0, 0, 0]);
  });

  it('refuses bad paths and cut-off archives', () => {
    const file = (name: string): CpioMember => ({ kind: 'directory', path: name, mode: 0o755 });
    expect(() => writeCpio([file('/bin')])).toThrow(/bad or repeated/);
    expect(() => writeCpio([file('bin'), file('bin')])).toThrow(/bad or repeated/);
    const archive = writeCpio([file('bin')]);
    for (let length = 0; length < archive.length - 3; length++) {
      expect(() => readCpio(archive.subarray(0, length))).toThrow(/cpio/);
    }
  });
});

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BOOT_ERRORS, BootError, type BootErrorCode, hex, mebibytes } from './errors.ts';

describe('boot errors', () => {
  it('fill in their details and demand all of them', () => {
    const error = new BootError('kernel-16-bit', { image: 'vmlinuz', why: 'a zImage' });
    expect(error.code).toBe('kernel-16-bit');
    expect(error.message).toMatch(/^vmlinuz is a 16-bit kernel \(a zImage\)/);
    expect(() => new BootError('kernel-16-bit', { image: 'vmlinuz' })).toThrow(/no value for \{why\}/);
  });

  it('are all in the README', () => {
    const text = readFileSync(new URL('./README.md', import.meta.url), 'utf8');
    const documented = [...text.matchAll(/^\| `([a-z0-9-]+)` \|/gm)].map((match) => match[1]);
    expect(documented.sort()).toEqual((Object.keys(BOOT_ERRORS) as BootErrorCode[]).sort());
  });

  it('write numbers as people read them', () => {
    expect([hex(0x1000n), mebibytes((64 << 20) + 1)]).toEqual(['0x1000', '65 MiB']);
  });
});
